"""Volume session with a learner: what accepted planes teach, when it is taken back, and who waits for it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

from AdaptCore.adapt import learner as learner_module
from AdaptCore.adapt.learner import Knowledge, Learner, learnt
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.models.base import Model
from AdaptCore.predict import volume as volume_module
from AdaptCore.predict.geometry import PlaneGeometry, axis_plane
from AdaptCore.predict.intensity import Window
from AdaptCore.predict.learning import Example, Taught
from AdaptCore.predict.volume import VolumeSession
from AdaptCore.prompts import Click
from Testing.learning_toy import LearningToy, a_cone

QUICK = Recipe("quick", mid_steps=1, mid_rate=1e-4, post_steps=3, post_rate=1e-4)
SIDE, DEPTH = 48, 5
SHAPE = (SIDE, SIDE, DEPTH)


def a_volume() -> np.ndarray:
    """A cone in every slice."""
    return np.repeat(a_cone(SIDE, 12)[..., None], DEPTH, axis=2)


def a_slice(index: int) -> PlaneGeometry:
    return axis_plane(SHAPE, 2, index)


def the_object() -> np.ndarray:
    return a_cone(SIDE, 12) > 0.5


def bias_of(model: Model) -> float:
    assert isinstance(model, LearningToy)
    return float(model.decoder_parameters()["bias"])


class Attentive(Learner):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(LearningToy(), QUICK)
        self.told: list[list[Example]] = []

    def learn(self, examples: Sequence[Example], image: str = "") -> Taught:
        self.told.append(list(examples))
        return super().learn(examples, image)


@pytest.fixture
def a_learner() -> Iterator[Attentive]:
    with Attentive() as learner:
        yield learner


@pytest.fixture
def a_session(a_learner: Attentive) -> Iterator[VolumeSession]:
    with VolumeSession(
        a_learner.frozen, a_volume(), window=Window(0, 1), zoom=None, precompute=0, learner=a_learner
    ) as session:
        yield session


def slow_lessons(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    def slowly(*arguments: object) -> Knowledge:
        time.sleep(seconds)
        return learnt(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(learner_module, "learnt", slowly)


# What is taught


def test_an_accepted_plane_teaches_its_questions_and_the_next_plane_knows_them(
    a_session: VolumeSession, a_learner: Attentive
) -> None:
    plane = a_session.plane(a_slice(2))
    untaught = plane.click(23, 23)
    plane.click(30, 23)
    a_session.accept(a_slice(2), the_object())
    ((first, second),) = a_learner.told
    assert [len(example.question.prompts.clicks) for example in (first, second)] == [1, 2]
    assert np.array_equal(first.mask, the_object())
    a_learner.wait()
    known = a_learner.model
    assert bias_of(known) > bias_of(a_learner.frozen)
    assert a_session.plane(a_slice(3)).model is known
    assert a_session.plane(a_slice(3)).click(23, 23).mask.sum() > untaught.mask.sum()


def test_the_predicted_mask_is_taught_where_none_is_given(a_session: VolumeSession, a_learner: Attentive) -> None:
    mask = a_session.plane(a_slice(2)).click(23, 23).mask
    a_session.accept(a_slice(2))
    assert np.array_equal(a_learner.told[0][0].mask, mask)


def test_a_mask_without_questions_is_taught_with_a_click_in_its_middle(
    a_session: VolumeSession, a_learner: Attentive
) -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:21, 30:41] = True
    a_session.accept(a_slice(1), mask)
    ((example,),) = a_learner.told
    assert example.clicks == example.question.prompts.clicks == (Click(35, 15),)
    assert example.question.is_ambiguous and np.array_equal(example.mask, mask)


def test_accepting_twice_without_a_change_teaches_once(a_session: VolumeSession, a_learner: Attentive) -> None:
    a_session.plane(a_slice(2)).click(23, 23)
    a_session.accept(a_slice(2))
    a_session.accept(a_slice(2))
    assert len(a_learner.told) == 1 and a_session.steps == 1


def test_a_correction_teaches_its_own_questions(a_session: VolumeSession, a_learner: Attentive) -> None:
    a_session.plane(a_slice(2)).click(23, 23)
    a_session.accept(a_slice(2))
    a_session.plane(a_slice(2)).click(32, 23)
    a_session.accept(a_slice(2), the_object())
    assert [len(examples) for examples in a_learner.told] == [1, 1]
    assert a_learner.told[1][0].question.prompts.clicks == (Click(23, 23), Click(32, 23))


@pytest.mark.parametrize("clicked", [False, True])
def test_an_empty_plane_teaches_nothing(a_session: VolumeSession, a_learner: Attentive, clicked: bool) -> None:
    if clicked:
        a_session.plane(a_slice(2)).click(23, 23)
        a_session.plane(a_slice(2)).click(30, 23, positive=False)
    a_session.accept(a_slice(2), np.zeros((SIDE, SIDE), bool))
    assert a_learner.told == []
    assert a_session.is_confirmed(2, 2)
    a_session.undo()
    assert not a_session.is_confirmed(2, 2)


def test_a_refused_mask_teaches_nothing(a_session: VolumeSession, a_learner: Attentive) -> None:
    with pytest.raises(ValueError, match="shape"):
        a_session.accept(a_slice(2), np.ones((3, 3), bool))
    assert a_learner.told == []


# Mid-interaction weights


def test_what_clicks_taught_ends_when_another_plane_is_turned_to(
    a_session: VolumeSession, a_learner: Attentive
) -> None:
    plane = a_session.plane(a_slice(2))
    plane.click(23, 23)
    answer = plane.click(32, 23)
    assert plane.model is not a_learner.frozen
    assert a_session.plane(a_slice(2)) is plane and plane.model is not a_learner.frozen
    assert a_session.plane(a_slice(3)).model is a_learner.frozen
    assert plane.model is a_learner.frozen and plane.prediction is answer


def test_what_clicks_taught_ends_when_the_plane_is_accepted(a_session: VolumeSession, a_learner: Attentive) -> None:
    plane = a_session.plane(a_slice(2))
    plane.click(23, 23)
    plane.click(32, 23)
    adapted = plane.model
    a_session.accept(a_slice(2), np.zeros((SIDE, SIDE), bool))
    assert adapted is not a_learner.frozen and plane.model is a_learner.frozen


def test_a_plane_turned_to_again_asks_what_is_known_by_then(a_session: VolumeSession, a_learner: Attentive) -> None:
    first = a_session.plane(a_slice(0))
    first.click(23, 23)
    a_session.plane(a_slice(2)).click(23, 23)
    a_session.accept(a_slice(2), the_object())
    a_learner.wait()
    assert first.model is a_learner.frozen
    assert a_session.plane(a_slice(0)) is first
    assert first.model is a_learner.model is not a_learner.frozen


def test_a_session_without_learner_adapts_nothing() -> None:
    model = LearningToy()
    with VolumeSession(model, a_volume(), window=Window(0, 1), zoom=None, precompute=0) as session:
        session.plane(a_slice(2)).click(23, 23)
        session.plane(a_slice(2)).click(32, 23)
        session.accept(a_slice(2))
        assert session.plane(a_slice(2)).model is model is session.plane(a_slice(3)).model
        assert len(session.plane(a_slice(2)).examples(the_object())) == 2


# Taking back


def test_undo_takes_the_lesson_back_and_redo_brings_it_again(a_session: VolumeSession, a_learner: Attentive) -> None:
    a_session.accept(a_slice(1), the_object())
    a_learner.wait()
    before = a_learner.knowledge
    a_session.accept(a_slice(2), the_object())
    a_session.undo()
    a_learner.wait()
    assert a_learner.knowledge is before and not a_session.is_confirmed(2, 2)
    a_session.redo()
    assert len(a_learner.knowledge.history) == 2 and a_session.is_confirmed(2, 2)
    assert bias_of(a_learner.model) > bias_of(before.model)
    assert a_session.plane(a_slice(3)).model is a_learner.model


def test_undo_leaves_a_lesson_that_another_one_followed(a_session: VolumeSession, a_learner: Attentive) -> None:
    for index in (1, 2):
        a_session.accept(a_slice(index), the_object())
    a_session.undo()
    a_session.undo()
    assert len(a_learner.knowledge.history) == 1
    assert not a_session.labelmap.any()


def test_undo_of_a_step_that_taught_nothing_takes_no_lesson_back(
    a_session: VolumeSession, a_learner: Attentive
) -> None:
    a_session.accept(a_slice(1), the_object())
    a_learner.wait()
    known = a_learner.knowledge
    a_session.accept(a_slice(4), np.zeros((SIDE, SIDE), bool))
    a_session.undo()
    assert a_learner.knowledge is known
    a_session.propagate(2, 1, extent=(1, 2))
    a_session.undo()
    assert a_learner.knowledge is known


def test_undo_after_the_learner_was_closed_does_not_hang(
    a_session: VolumeSession, a_learner: Attentive, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_lessons(monkeypatch, 0.1)
    for index in (1, 2, 3):
        a_session.accept(a_slice(index), the_object())
    a_learner.close()
    assert a_learner.wait(20)
    a_session.undo()
    assert len(a_learner.knowledge.history) <= 1 and not a_session.is_confirmed(2, 3)


# Propagation


def test_propagation_waits_for_the_lesson_and_asks_what_was_learnt(
    a_session: VolumeSession, a_learner: Attentive, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_lessons(monkeypatch, 0.2)
    asked: list[Model] = []
    propagate_planes = volume_module.propagate_planes

    def spying(model: Model, *arguments: object) -> object:
        asked.append(model)
        return propagate_planes(model, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(volume_module, "propagate_planes", spying)
    a_session.accept(a_slice(2), the_object())
    assert a_learner.model is a_learner.frozen
    a_session.propagate(2, 2)
    assert asked == [a_learner.model] * 2
    assert asked[0] is not a_learner.frozen and len(a_learner.knowledge.history) == 1


def test_the_same_clicks_teach_the_same_twice() -> None:
    def run() -> tuple[float, bytes]:
        with Attentive() as learner:
            session = VolumeSession(
                learner.frozen, a_volume(), window=Window(0, 1), zoom=None, precompute=0, learner=learner
            )
            with session:
                for index in (1, 3):
                    session.plane(a_slice(index)).click(23, 23)
                    session.plane(a_slice(index)).click(33, 23)
                    session.accept(a_slice(index))
                    learner.wait()
                session.propagate(2, 1)
                return bias_of(learner.model), session.labelmap.tobytes()

    assert run() == run()
