"""Only what was pointed at: parts of a mask that hold no + prompt are dropped, in answers, candidates and commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore import cli
from AdaptCore.io import read_volume
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.predict.pointing import corrected, only_pointed, pointed_pixels
from AdaptCore.predict.volume import VolumeSession
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.profile import Profile
from AdaptCore.prompts import Box, Click, Lasso, Prompts
from Testing.toy_model import BatchToy, ToyModel

SHAPE = (48, 64)
LEFT, RIGHT, SMALL = (slice(10, 20), slice(6, 16)), (slice(10, 20), slice(40, 50)), (slice(30, 34), slice(30, 34))


def three_parts() -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for part in (LEFT, RIGHT, SMALL):
        mask[part] = True
    return mask


def logits_of(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 3.0, -3.0).astype(np.float32)


def kept_parts(prompts: Prompts, start: np.ndarray | None = None) -> set[str]:
    logits = logits_of(three_parts())
    kept = only_pointed(logits, pointed_pixels(prompts, SHAPE, start)) > 0
    assert (logits > 0).sum() == three_parts().sum(), "the given array is not changed"
    return {name for name, part in (("left", LEFT), ("right", RIGHT), ("small", SMALL)) if kept[part].all()}


ON_LEFT, ON_RIGHT, BESIDE = Click(10, 15), Click(45, 15), Click(2, 2)


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        (Prompts((ON_LEFT,)), {"left"}),
        (Prompts((ON_LEFT, ON_RIGHT)), {"left", "right"}),
        (Prompts((ON_LEFT, Click(45, 15, positive=False))), {"left"}),
        (Prompts((BESIDE,)), {"left", "right", "small"}),
        (Prompts(box=Box(25.0, 5.0, 60.0, 40.0)), {"right", "small"}),
        (Prompts((ON_LEFT,), Box(25.0, 25.0, 40.0, 40.0)), {"left", "small"}),
        (Prompts().with_lasso(Lasso(((25.0, 25.0), (40.0, 25.0), (32.0, 40.0)))), {"small"}),
    ],
)
def test_parts_without_a_positive_prompt_are_dropped(prompts: Prompts, expected: set[str]) -> None:
    assert kept_parts(prompts) == expected


def test_parts_of_the_mask_that_is_corrected_stay() -> None:
    start = np.zeros(SHAPE, bool)
    start[SMALL] = True
    assert kept_parts(Prompts((ON_LEFT,)), start) == {"left", "small"}


def test_parts_that_touch_at_a_corner_are_one_part() -> None:
    mask = np.zeros((8, 8), bool)
    mask[1:3, 1:3] = mask[3:5, 3:5] = mask[6, 6] = True
    kept = only_pointed(logits_of(mask), pointed_pixels(Prompts((Click(1, 1),)), (8, 8))) > 0
    assert kept.sum() == 8 and not kept[6, 6]


def image_of_parts() -> np.ndarray:
    return np.where(three_parts(), 0.9, 0.1).astype(np.float32)


def test_answers_hold_only_the_clicked_parts() -> None:
    everything = PlaneSession(ToyModel(), image_of_parts()).click(10, 15).mask
    assert all(everything[part].mean() > 0.5 for part in (LEFT, RIGHT))
    session = PlaneSession(ToyModel(), image_of_parts(), only_pointed=True)
    first = session.click(10, 15).mask
    assert first[LEFT].mean() > 0.5 and not first[RIGHT].any() and not first[SMALL].any()
    both = session.click(45, 15).mask
    assert both[LEFT].mean() > 0.5 and both[RIGHT].mean() > 0.5 and not both[SMALL].any()
    session.undo()
    assert session.prediction is not None
    np.testing.assert_array_equal(session.prediction.mask, first)


def test_answers_at_other_sizes_hold_only_the_clicked_parts() -> None:
    strays = []
    for is_only in (False, True):
        session = PlaneSession(BatchToy(), image_of_parts(), only_pointed=is_only)
        session.click(10, 15)
        assert session.look is not None and session.look.others
        strays.append(sum(int((look.logits[RIGHT] > 0).sum()) for look in session.look.sizes))
    assert strays[0] > 0 and strays[1] == 0


def test_candidates_hold_only_the_clicked_parts() -> None:
    session = PlaneSession(ToyModel(), image_of_parts(), only_pointed=True)
    session.click(10, 15)
    adviser = Adviser(Profile.fresh("", "default", space_of(session.model, None)), None)
    shown = adviser.ask(session)
    assert shown.proposal.candidates
    for candidate, look in zip(shown.proposal.candidates, shown.looks):
        picture = candidate.logits > 0
        assert not picture[:, picture.shape[1] // 2 :].any(), "not in the thumbnail either"
        assert not session.take(look).mask[RIGHT].any()


def test_a_corrected_mask_keeps_its_parts() -> None:
    prior = np.zeros(SHAPE, bool)
    prior[RIGHT] = True
    mask = PlaneSession(ToyModel(), image_of_parts(), prior=prior, only_pointed=True).click(10, 15).mask
    assert mask[LEFT].mean() > 0.5 and mask[RIGHT].mean() > 0.5 and not mask[SMALL].any()


def volume_of_parts() -> np.ndarray:
    return np.ascontiguousarray(np.repeat(image_of_parts().T[..., None], 5, axis=2) * 1000).astype(np.int16)


@pytest.mark.parametrize("is_only", [True, False])
def test_a_propagation_carries_what_was_pointed_at(is_only: bool) -> None:
    with VolumeSession(ToyModel(), volume_of_parts(), precompute=0, only_pointed=is_only) as session:
        plane = axis_plane(session.shape, 2, 2)
        session.plane(plane).click(10, 15)
        session.accept(plane)
        session.propagate(2, 2)
        labels = session.labelmap.T
    assert labels[4][LEFT].mean() > 0.5
    assert (labels[:, RIGHT[0], RIGHT[1]].mean() > 0.5) == (not is_only)


@pytest.mark.parametrize(("switch", "expected"), [([], False), (["--all-parts"], True)])
def test_the_command_drops_parts_unless_it_is_told_to_keep_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: list[str], expected: bool
) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    sitk.WriteImage(sitk.GetImageFromArray(volume_of_parts().T), str(tmp_path / "parts.nrrd"))
    mask = tmp_path / "mask.nrrd"
    words = ["segment", str(tmp_path / "parts.nrrd"), "--slice", "--click", "10,15,2", "--out", str(mask), *switch]
    assert cli.main(words) == 0
    found = read_volume(mask).array[..., 2].T > 0
    assert found[LEFT].mean() > 0.5
    assert found[RIGHT].any() == expected


def test_a_given_mask_is_changed_only_where_it_is_clicked() -> None:
    given, answer = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
    given[LEFT] = given[SMALL] = True
    answer[11:20, 6:16] = answer[RIGHT] = True
    plus, minus = Click(45, 15), Click(31, 31, positive=False)
    expected = given.copy()
    np.testing.assert_array_equal(corrected(given, answer, Prompts((Click(10, 15),))), expected)
    expected[RIGHT] = True
    np.testing.assert_array_equal(corrected(given, answer, Prompts((plus,))), expected)
    expected[SMALL] = False
    np.testing.assert_array_equal(corrected(given, answer, Prompts((plus, minus))), expected)
