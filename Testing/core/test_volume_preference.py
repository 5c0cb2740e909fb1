"""Volume session with a preference: it answers on every plane, learns from accepted ones, and undo takes that back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.models.base import Model, Question
from AdaptCore.models.registry import load_model
from AdaptCore.predict.geometry import PlaneGeometry, axis_plane
from AdaptCore.predict.intensity import Window
from AdaptCore.predict.learning import Example, Learning, Taught
from AdaptCore.predict.masks import dice
from AdaptCore.predict.volume import VolumeSession
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.latent import latent_of
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.profiles import ProfileStore
from Testing.learning_toy import LearningToy, a_cone
from Testing.toy_model import ToyModel

QUICK = Recipe("quick", mid_steps=1, mid_rate=1e-4, post_steps=3, post_rate=1e-4)
SIDE, DEPTH = 48, 5
SHAPE = (SIDE, SIDE, DEPTH)


class LeftHalf:
    """Wants the left half of whatever is asked, and keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Model, list[Example]]] = []
        self.forgotten: list[str] = []
        self.recalled: list[str] = []

    def preferred(self, model: Model, question: Question) -> torch.Tensor | None:
        height, width = question.embedding.plane_shape
        return torch.where(torch.arange(width) < width // 2, 5.0, -5.0).repeat(height, 1)

    def learn(self, model: Model, examples: Sequence[Example]) -> Taught:
        self.told.append((model, list(examples)))
        name = f"lesson {len(self.told)}"
        return Taught(lambda: _noted(self.forgotten, name), lambda: _noted(self.recalled, name))


def _noted(names: list[str], name: str) -> bool:
    names.append(name)
    return True


def a_slice(index: int) -> PlaneGeometry:
    return axis_plane(SHAPE, 2, index)


def a_session(model: Model, preference: LeftHalf | Adviser, learner: Learning | None = None) -> VolumeSession:
    """On a volume with a cone in every slice."""
    volume = np.repeat(a_cone(SIDE, 12)[..., None], DEPTH, axis=2)
    return VolumeSession(
        model, volume, window=Window(0, 1), zoom=None, precompute=0, learner=learner, preference=preference
    )


def the_object() -> np.ndarray:
    return a_cone(SIDE, 12) > 0.5


def a_square(low: int, high: int) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[low:high, low:high] = True
    return mask


def a_nested_volume() -> np.ndarray:
    """A bright core in a grey body, with blurred edges as in a scan, the same in every slice, with a little noise."""
    away = np.hypot(*(np.mgrid[:96, :96] - 48))
    body, core = (expit((radius - away) / 2) for radius in (26, 14))
    slices = np.repeat((0.2 + 0.3 * body + 0.4 * core)[..., None], DEPTH, axis=2)
    return (slices + np.random.default_rng(0).normal(0, 0.02, slices.shape)).astype(np.float32)


@pytest.fixture
def a_preference() -> LeftHalf:
    return LeftHalf()


@pytest.fixture
def an_adviser() -> Adviser:
    """Of a user who has not picked yet, kept nowhere."""
    return Adviser(Profile.fresh("Anna", "ball", space_of(ToyModel(), None)), None)


# Answers


def test_every_plane_answers_with_what_is_preferred(a_preference: LeftHalf) -> None:
    with a_session(ToyModel(), a_preference) as session:
        for index in (1, 3):
            mask = session.plane(a_slice(index)).click(20, 23).mask
            assert mask[:, :18].all() and not mask[:, 30:].any()


def test_the_preference_stays_when_the_window_changes(a_preference: LeftHalf) -> None:
    with a_session(ToyModel(), a_preference) as session:
        session.plane(a_slice(1)).click(20, 23)
        session.set_window(Window(0, 2))
        mask = session.plane(a_slice(1)).click(21, 23).mask
    assert mask[:, :18].all() and not mask[:, 30:].any()


# Picks


@pytest.mark.parametrize("candidate", [0, -1])
@pytest.mark.parametrize("volume", [a_nested_volume(), np.repeat(a_cone(SIDE, 12)[..., None], DEPTH, axis=2)])
def test_a_pick_carries_over_to_the_propagated_planes(volume: np.ndarray, candidate: int) -> None:
    model = load_model()
    latent = latent_of(model.digest)
    start, middle = axis_plane(volume.shape, 2, 2), volume.shape[0] // 2
    maps = []
    for picks in (False, True):
        adviser = Adviser(Profile.fresh("Anna", "ball", space_of(model, latent)), latent)
        with VolumeSession(model, volume, window=Window(0, 1), zoom=False, precompute=0, preference=adviser) as session:
            plane = session.plane(start)
            plane.click(middle, middle)
            if picks:
                shown = adviser.ask(plane)
                picked = shown.proposal.candidates[candidate]
                plane.take(shown.look(picked))
                adviser.picked(shown, picked)
            session.accept(start)
            session.propagate(2, 2, extent=(1, 3))
            maps.append(session.labelmap > 0)
    without, after = maps
    assert dice(without[:, :, 2], after[:, :, 2]) < 0.9
    for index in (1, 3):
        assert dice(after[:, :, 2], after[:, :, index]) > 0.95
        areas = without[:, :, index].sum(), after[:, :, index].sum()
        assert areas[1] < 0.9 * areas[0] if candidate == 0 else areas[1] > 1.1 * areas[0]


# Lessons


def test_an_accepted_plane_teaches_its_questions_once(a_preference: LeftHalf) -> None:
    model = ToyModel()
    with a_session(model, a_preference) as session:
        session.plane(a_slice(2)).click(23, 23)
        session.plane(a_slice(2)).click(30, 23)
        session.accept(a_slice(2), the_object())
        session.accept(a_slice(2), the_object())
        session.accept(a_slice(1), np.zeros((SIDE, SIDE), bool))
    ((asked, examples),) = a_preference.told
    assert asked is model
    assert [len(example.question.prompts.clicks) for example in examples] == [1, 2]
    assert np.array_equal(examples[0].mask, the_object())


def test_a_correction_teaches_its_own_question_only(a_preference: LeftHalf) -> None:
    with a_session(ToyModel(), a_preference) as session:
        session.plane(a_slice(2)).click(23, 23)
        session.accept(a_slice(2))
        session.plane(a_slice(2)).click(30, 23)
        session.accept(a_slice(2), the_object())
    assert [len(examples) for _, examples in a_preference.told] == [1, 1]


def test_a_plane_that_is_to_teach_nothing_does_not(a_preference: LeftHalf) -> None:
    with a_session(ToyModel(), a_preference) as session:
        session.plane(a_slice(2)).click(23, 23)
        session.accept(a_slice(2), teach=False)
        session.undo()
    assert a_preference.told == [] == a_preference.forgotten


def test_learner_and_preference_learn_the_same_mask_each(a_preference: LeftHalf) -> None:
    with Learner(LearningToy(), QUICK) as learner, a_session(learner.frozen, a_preference, learner) as session:
        session.accept(a_slice(1), the_object())
        learner.wait()
        session.accept(a_slice(2), the_object())
        learner.wait()
        assert len(learner.knowledge.history) == len(a_preference.told) == 2
        assert a_preference.told[0][0] is learner.frozen is not a_preference.told[1][0]
        session.undo()
        learner.wait()
        assert len(learner.knowledge.history) == 1 and a_preference.forgotten == ["lesson 2"]


# Taking back


def test_undo_takes_back_what_the_step_has_taught(a_preference: LeftHalf) -> None:
    with a_session(ToyModel(), a_preference) as session:
        session.accept(a_slice(1), the_object())
        session.accept(a_slice(2), the_object())
        session.propagate(2, 2, extent=(2, 3))
        session.undo()
        assert a_preference.forgotten == []
        session.undo()
        session.undo()
    assert a_preference.forgotten == ["lesson 2", "lesson 1"]


def test_the_profile_is_as_it_was_after_undo(an_adviser: Adviser) -> None:
    with a_session(ToyModel(), an_adviser) as session:
        session.accept(a_slice(1), a_square(10, 38))
        before = an_adviser.profile.belief.mixture
        session.plane(a_slice(2)).click(23, 23)
        session.plane(a_slice(2)).click(28, 23)
        session.accept(a_slice(2), a_square(20, 28))
        assert an_adviser.profile.picks == 3, "the first question and the last"
        assert abs(an_adviser.profile.belief.mixture.means - before.means).max() > 0.05
        session.undo()
    assert an_adviser.profile.picks == 1
    np.testing.assert_array_equal(an_adviser.profile.belief.mixture.means, before.means)


def test_redo_brings_back_what_undo_took(a_preference: LeftHalf) -> None:
    with a_session(ToyModel(), a_preference) as session:
        session.accept(a_slice(1), the_object())
        session.accept(a_slice(2), the_object(), teach=False)
        for _ in range(2):
            session.undo()
        session.redo()
        session.redo()
    assert a_preference.recalled == ["lesson 1"]


def test_the_profile_is_as_it_was_after_redo(an_adviser: Adviser) -> None:
    with a_session(ToyModel(), an_adviser) as session:
        for x in (23, 28):
            session.plane(a_slice(2)).click(x, 23)
        session.accept(a_slice(2), a_square(20, 28))
        after = an_adviser.profile
        session.undo()
        session.redo()
        assert an_adviser.profile.picks == 2
        np.testing.assert_array_equal(an_adviser.profile.belief.mixture.means, after.belief.mixture.means)
        session.undo()
    assert an_adviser.profile.picks == 0


def test_redo_adds_to_what_another_program_has_stored(tmp_path: Path) -> None:
    store, space = ProfileStore(tmp_path), space_of(ToyModel(), None)
    adviser = Adviser(store.load("Anna", "ball", space), None, store)
    with a_session(ToyModel(), adviser) as session:
        session.accept(a_slice(1), the_object())
        own = adviser.profile.last_pick()
        session.undo()
        other = store.pick(store.load("Anna", "ball", space), np.ones((1, 4)))
        session.redo()
    stored = store.load("Anna", "ball", space)
    assert [pick.name for pick in stored.recent] == [other.last_pick(), own] and stored.picks == 2


def test_redo_brings_no_lesson_twice_where_undo_could_not_take_it(an_adviser: Adviser) -> None:
    with a_session(ToyModel(), an_adviser) as session:
        for index in range(4):
            for x in (23, 28):
                session.plane(a_slice(index)).click(x, 23)
            session.accept(a_slice(index), the_object())
        for _ in range(4):
            session.undo()
        for _ in range(4):
            session.redo()
    assert an_adviser.profile.picks == 8


def test_a_pick_after_the_accepted_plane_stays(an_adviser: Adviser) -> None:
    with a_session(ToyModel(), an_adviser) as session:
        session.accept(a_slice(1), the_object())
        plane = session.plane(a_slice(2))
        plane.click(23, 23)
        shown = an_adviser.ask(plane)
        an_adviser.picked(shown, shown.proposal.candidates[0])
        pick = an_adviser.profile.last_pick()
        session.undo()
    assert [one.name for one in an_adviser.profile.recent] == [pick]


def test_undo_works_on_where_the_profile_cannot_be_taken_back(an_adviser: Adviser) -> None:
    with a_session(ToyModel(), an_adviser) as session:
        for index in range(4):
            for x in (23, 28):
                session.plane(a_slice(index)).click(x, 23)
            session.accept(a_slice(index), the_object())
        assert an_adviser.profile.picks == 8 and len(an_adviser.profile.recent) == 6
        for _ in range(4):
            session.undo()
        assert not session.labelmap.any()
    assert an_adviser.profile.picks == 2


def test_what_is_stored_is_taken_back_but_not_what_another_program_has_added(tmp_path: Path) -> None:
    store, space = ProfileStore(tmp_path), space_of(ToyModel(), None)
    adviser = Adviser(store.load("Anna", "ball", space), None, store)
    with a_session(ToyModel(), adviser) as session:
        session.accept(a_slice(1), the_object())
        session.accept(a_slice(2), the_object())
        other = store.pick(store.load("Anna", "ball", space), np.ones((1, 4)))
        session.undo()
        session.undo()
    assert [pick.name for pick in store.load("Anna", "ball", space).recent] == [other.last_pick()]


def test_a_profile_that_was_reset_meanwhile_is_left_alone(tmp_path: Path) -> None:
    store, space = ProfileStore(tmp_path), space_of(ToyModel(), None)
    adviser = Adviser(store.load("Anna", "ball", space), None, store)
    with a_session(ToyModel(), adviser) as session:
        session.accept(a_slice(1), the_object())
        store.reset("Anna", "ball")
        session.undo()
        assert not session.is_confirmed(2, 1)
    assert not store.path("Anna", "ball").exists()


def test_an_adviser_forgets_by_name_all_or_nothing(an_adviser: Adviser) -> None:
    with a_session(ToyModel(), an_adviser) as session:
        session.accept(a_slice(1), the_object())
    names = (an_adviser.profile.last_pick(), "a pick that there is not")
    assert not an_adviser.forget(names) and an_adviser.profile.picks == 1
    assert an_adviser.forget(names[:1]) and an_adviser.profile.picks == 0
    assert not an_adviser.forget(names[:1])
