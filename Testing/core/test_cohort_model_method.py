"""The methods of a cohort with one frozen model, asked as the steps ask them."""

from __future__ import annotations

import pickle
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest

from AdaptCore.cohort import atlases, refine
from AdaptCore.cohort.arrays import StoredFeatures
from AdaptCore.cohort.atlases import Atlas, carry
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.model_method import ModelMethod
from AdaptCore.cohort.views import CaseView
from AdaptCore.errors import CohortError
from Testing.cohort_volumes import a_label, probabilities_of, some_features

METHOD = ModelMethod("compact")


@dataclass
class View:
    """A case in memory, as `CaseView` shows one on the disk."""

    name: str
    label: np.ndarray
    is_labelled: bool = False
    sure: float = 0.7
    damaged: bool = False

    def features(self) -> StoredFeatures:
        if self.damaged:
            raise CohortError(f"{self.name}: damaged")
        found = some_features(self.label, seed=len(self.name))
        return StoredFeatures(found.values, found.shape, {})

    def probabilities(self) -> np.ndarray:
        return probabilities_of(self.label, self.sure)

    def shares(self) -> np.ndarray:
        return probabilities_of(self.label, 1.0) if self.is_labelled else self.probabilities()


def a_view(*given: Any, **named: Any) -> CaseView:
    return cast(CaseView, View(*given, **named))


def test_neighbours_with_a_label_come_first_and_no_case_is_its_own() -> None:
    swapped = np.array([0, 2, 1], np.uint8)[a_label()]
    views = [
        a_view("a", a_label()),
        a_view("odd", swapped),
        a_view("like", a_label((1, 0, 0))),
        a_view("known", swapped, is_labelled=True),
    ]
    assert METHOD.neighbours(views, Watch())[0] == [3, 2, 1]


def test_a_case_is_relabelled_from_its_neighbours_and_a_little_from_its_own_network() -> None:
    truth = a_label((1, 1, 0))
    wrong = View("own", truth, sure=0.5)
    known, other = View("known", a_label(), is_labelled=True), View("another", a_label((2, 1, 0)))
    believed = METHOD.relabel(cast(CaseView, wrong), cast("list[CaseView]", [known, other]), Watch())
    features = some_features(truth, seed=len("own"))
    said = [
        carry(Atlas(some_features(view.label, seed=len(view.name)), view.shares()), features) for view in (known, other)
    ]
    assert np.array_equal(believed, refine.believed(wrong.probabilities(), atlases.fused(said)))
    labels, sure = METHOD.settled(believed)
    assert (labels == truth).mean() > 0.98 and np.array_equal(sure, 1 - refine.uncertainty(believed))


def test_a_neighbour_that_cannot_be_read_has_no_say_and_a_case_alone_keeps_its_own() -> None:
    own = a_view("own", a_label())
    known, damaged = a_view("known", a_label((1, 0, 0)), is_labelled=True), a_view("b", a_label(), damaged=True)
    with_one = METHOD.relabel(own, [known], Watch())
    with pytest.warns(UserWarning, match="b: cannot be read, so it has no say"):
        with_both = METHOD.relabel(own, [damaged, known], Watch())
    assert np.array_equal(with_both, with_one)
    with pytest.warns(UserWarning, match="b: cannot be read"):
        alone = METHOD.relabel(own, [damaged], Watch())
    assert np.array_equal(alone, own.probabilities())


def test_relabelling_and_describing_can_be_cancelled_between_two_cases() -> None:
    asked = iter([False])
    watch = Watch(cancelled=lambda: next(asked, True))
    views = [a_view("a", a_label()), a_view("b", a_label())]
    with pytest.raises(CancelledError):
        METHOD.neighbours(views, watch)
    with pytest.raises(CancelledError):
        METHOD.relabel(views[0], views[1:], Watch(cancelled=lambda: True))


def test_the_methods_travel_without_their_model() -> None:
    assert pickle.loads(pickle.dumps(METHOD)) == METHOD


def test_the_device_travels_with_the_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | None]] = []
    monkeypatch.setattr("AdaptCore.cohort.model_method.load_model", lambda name, device: asked.append((name, device)))
    sent = pickle.loads(pickle.dumps(ModelMethod("compact", "cuda")))
    _ = sent.model
    assert sent == ModelMethod("compact", "cuda") and asked == [("compact", "cuda")]
