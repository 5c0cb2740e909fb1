"""User profiles in the scene: picks and accepted planes teach the chosen user in the background, till undone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from AdaptCore.errors import OutputError, ProfileError
from AdaptCore.facts import PROFILES
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.profiles import ProfileStore
from AdaptCore.sealed import write_sealed
from Testing.slicer.panel import Panel
from Testing.slicer.scenes import CENTRE, SHAPE
from Testing.toy_model import ToyModel

ABOVE = (CENTRE[0], CENTRE[1], CENTRE[2] + 1)
BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
SPACE = space_of(ToyModel(), None)
TIMEOUT = 20.0
CANNOT_BE_TAKEN_BACK = (
    "What Anna's profile had learnt from it could not be taken back: "
    "it is too long ago, or the profile has begun anew since."
)


@pytest.fixture(autouse=True)
def a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProfileStore:
    """The users' profiles, none yet."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    return ProfileStore()


@pytest.fixture
def a_panel(a_scene: Any, a_slice_view: Any) -> Iterator[Panel]:
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.logic.candidates.setWanted(True)
    yield panel
    panel.logic.close()


@pytest.fixture
def a_session(a_panel: Panel, a_volume: Any, a_segmentation: Any) -> Panel:
    """A panel where the segment "lesion" is chosen, and the user Anna."""
    a_panel.choose(a_volume, a_segmentation, "lesion")
    a_panel.logic.profile.choose("Anna")
    return a_panel


@pytest.fixture
def a_round(a_session: Panel) -> Panel:
    """A panel with candidates beside the answer to a click."""
    a_session.click(CENTRE)
    a_session.wait()
    return a_session


def stored(store: ProfileStore, user: str = "Anna", task: str = "default") -> Profile:
    return store.load(user, task, SPACE)


def same_belief(one: Profile, other: Profile) -> bool:
    pairs = zip(vars(one.belief.mixture).values(), vars(other.belief.mixture).values())
    return all(np.array_equal(mine, yours) for mine, yours in pairs)


def store_habit(store: ProfileStore, user: str, shift: float) -> None:
    """A profile of a user who has always wanted an outline that lies further outside, in units of z."""
    profile = stored(store, user)
    for _ in range(20):
        profile = store.pick(profile, np.array([[shift, 0.0, 0.0, 0.0]]))


def test_pick_teaches_the_chosen_user_what_was_picked(a_round: Panel, a_store: ProfileStore) -> None:
    offer = a_round.logic.candidates._offer
    a_round.logic.pick(1)
    a_round.wait()
    z = offer.round.z(offer.round.proposal.candidates[0])
    expected = Profile.fresh("Anna", "default", SPACE).picked(z, offer.round.prior)
    assert stored(a_store).picks == a_round.logic.profile.picks == 1
    assert same_belief(stored(a_store), expected)


def test_nobody_learns_nothing_and_is_stored_nowhere(a_session: Panel, a_store: ProfileStore) -> None:
    a_session.logic.profile.choose(None)
    a_session.click(CENTRE)
    a_session.wait()
    before = a_session.logic.mask
    a_session.logic.pick(1)
    assert not np.array_equal(a_session.logic.mask, before)
    a_session.logic.accept()
    assert not a_session.logic.isBusy
    assert a_store.profiles() == () and a_session.logic.profile.picks == 0


def test_profile_that_may_not_learn_only_answers(a_round: Panel, a_store: ProfileStore) -> None:
    a_round.logic.setLearning(False)
    a_round.wait()
    a_round.logic.pick(1)
    a_round.logic.accept()
    a_round.wait()
    assert a_store.profiles() == ()


def test_user_gets_the_masks_that_they_prefer(a_session: Panel, a_store: ProfileStore) -> None:
    store_habit(a_store, "Ben", shift=3.0)
    a_session.click(CENTRE)
    fresh = a_session.logic.mask
    a_session.logic.undo()
    a_session.logic.profile.choose("Ben")
    a_session.click(CENTRE)
    assert (a_session.logic.mask & ~fresh).sum() > 10
    assert not (fresh & ~a_session.logic.mask).any()


def test_undone_pick_is_forgotten_and_redone_learnt_again(a_round: Panel, a_store: ProfileStore) -> None:
    fresh = stored(a_store)
    a_round.logic.pick(2)
    a_round.wait()
    learnt = stored(a_store)
    a_round.logic.undo()
    a_round.wait()
    assert stored(a_store).picks == a_round.logic.profile.picks == 0
    assert same_belief(stored(a_store), fresh)
    a_round.logic.redo()
    a_round.wait()
    assert stored(a_store).picks == 1
    assert same_belief(stored(a_store), learnt) and not same_belief(learnt, fresh)


def test_pick_in_place_of_another_counts_alone(a_round: Panel, a_store: ProfileStore) -> None:
    for number in (1, 2):
        a_round.logic.pick(number)
    a_round.wait()
    offer = a_round.logic.candidates._offer
    z = offer.round.z(offer.round.proposal.candidates[1])
    expected = Profile.fresh("Anna", "default", SPACE).picked(z, offer.round.prior)
    assert stored(a_store).picks == 1 and same_belief(stored(a_store), expected)


def test_accepted_plane_teaches_the_user_and_undo_takes_it_back(a_session: Panel, a_store: ProfileStore) -> None:
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_session.logic.accept()
    assert a_session.logic.isBusy
    a_session.wait()
    assert stored(a_store).picks == 2, "the first question and the later one"
    for undo_or_redo, picks in ((a_session.logic.undo, 0), (a_session.logic.redo, 2), (a_session.logic.undo, 0)):
        undo_or_redo()
        a_session.wait()
        assert stored(a_store).picks == picks
    assert a_session.messages == []


def test_undo_of_pick_and_acceptance_leaves_nothing(a_round: Panel, a_store: ProfileStore) -> None:
    fresh = stored(a_store)
    a_round.logic.pick(1)
    a_round.logic.accept()
    a_round.wait()
    assert stored(a_store).picks == 2
    a_round.logic.undo()
    a_round.logic.undo()
    a_round.wait()
    assert stored(a_store).picks == 0 and same_belief(stored(a_store), fresh)


def test_what_is_too_long_ago_stays_learnt_and_is_told(a_session: Panel, a_store: ProfileStore) -> None:
    for index in range(2, 9):
        a_session.click((CENTRE[0], CENTRE[1], index))
        a_session.wait()
        a_session.logic.pick(1)
    a_session.wait()
    assert stored(a_store).picks == 7
    while a_session.logic.canUndo:
        a_session.logic.undo()
    a_session.wait()
    assert stored(a_store).picks == 1
    assert a_session.messages == [CANNOT_BE_TAKEN_BACK]


def test_learning_does_not_hold_up_the_user(
    a_round: Panel, a_store: ProfileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    pick, goes_on = ProfileStore.pick, threading.Event()
    monkeypatch.setattr(ProfileStore, "pick", lambda *given: goes_on.wait(TIMEOUT) and pick(*given))
    picked = a_round.logic.candidates.view(1).mask
    a_round.logic.pick(1)
    a_round.logic.accept()
    np.testing.assert_array_equal(a_round.segment("lesion")[:, :, CENTRE[2]].T, picked)
    assert a_round.logic.isBusy and stored(a_store).picks == 0
    goes_on.set()
    a_round.wait()
    assert stored(a_store).picks == 2


def test_user_who_is_switched_in_a_round_gets_candidates_of_their_own(a_round: Panel, a_store: ProfileStore) -> None:
    store_habit(a_store, "Ben", shift=3.0)
    annas = max(view.areaChange for view in a_round.logic.candidates.views)
    a_round.logic.pick(1)
    a_round.logic.profile.choose("Ben")
    assert a_round.logic.candidates.views == ()
    a_round.wait()
    assert max(view.areaChange for view in a_round.logic.candidates.views) != annas
    a_round.logic.undo()
    a_round.wait()
    assert (stored(a_store).picks, stored(a_store, "Ben").picks) == (0, 20), "it was Anna who had picked"


def test_answer_stays_when_the_user_is_switched(a_round: Panel, a_store: ProfileStore) -> None:
    store_habit(a_store, "Ben", shift=3.0)
    answer = a_round.logic.mask
    a_round.logic.profile.choose("Ben")
    assert a_round.logic.mask is answer


def test_profiles_of_tasks_are_apart(a_round: Panel, a_store: ProfileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    a_round.logic.pick(1)
    a_round.wait()
    assert a_round.logic.profile.prepared("Anna", "cup").task == "cup"
    monkeypatch.setattr(a_round.logic._task, "choose", lambda name: None)
    a_round.logic.setTask("cup")
    assert (a_round.logic.profile.task, a_round.logic.profile.picks) == ("cup", 0)
    a_round.wait()
    a_round.logic.pick(1)
    a_round.wait()
    assert (stored(a_store).picks, stored(a_store, task="cup").picks) == (1, 1)


def test_refused_task_changes_no_profile(a_round: Panel) -> None:
    from AdaptCore.errors import ModelError

    with pytest.raises(ModelError, match="model toy cannot learn"):
        a_round.logic.setTask("cup")
    assert a_round.logic.profile.task == "default"


def test_profile_is_that_of_the_command_line(a_session: Panel) -> None:
    from AdaptCore.facts import OTHERWISE

    assert a_session.logic.profile.task == OTHERWISE


@pytest.mark.parametrize("is_loaded", [False, True])
def test_damaged_profile_is_refused_and_its_file_stays(
    a_session: Panel, a_store: ProfileStore, is_loaded: bool
) -> None:
    if is_loaded:
        a_session.click(CENTRE)
    path = a_store.path("Ben", "default")
    path.write_bytes(b"rubbish")
    with pytest.raises(ProfileError, match="Expected a profile file of AdaptSeg"):
        a_session.logic.profile.choose("Ben")
    assert path.read_bytes() == b"rubbish"
    assert a_session.logic.profile.user == "Anna" and a_session.logic.profile.users() == ("Anna",)


def test_newer_profile_is_refused(a_session: Panel, a_store: ProfileStore) -> None:
    path = a_store.path("Ben", "default")
    write_sealed(path, replace(PROFILES.kind, version=2), {"none": torch.zeros(1)}, {})
    with pytest.raises(ProfileError, match="of a newer AdaptSeg"):
        a_session.logic.profile.choose("Ben")
    assert a_session.logic.profile.user == "Anna"


def test_profile_of_another_model_is_refused_at_the_first_prompt(a_session: Panel, a_store: ProfileStore) -> None:
    store_habit(a_store, "Ben", shift=1.0)
    before = a_store.path("Ben", "default").read_bytes()
    a_session.logic.profile.choose("Ben")
    assert a_session.logic.profile.picks == 20
    a_session.model.digest = "71"
    with pytest.raises(ProfileError, match="Choose that model, or another user name"):
        a_session.click(CENTRE)
    assert a_session.count_points() == (0, 0)
    assert a_store.path("Ben", "default").read_bytes() == before
    a_session.logic.profile.choose("Anna")
    a_session.click(CENTRE)
    assert a_session.logic.mask.any()


@pytest.mark.filterwarnings("ignore:.*It is kept as")
def test_profile_that_is_damaged_meanwhile_is_kept_aside_and_goes_on(a_round: Panel, a_store: ProfileStore) -> None:
    a_round.logic.pick(1)
    a_round.wait()
    path = a_store.path("Anna", "default")
    path.write_bytes(b"rubbish")
    a_round.click(BESIDE)
    a_round.wait()
    a_round.logic.pick(1)
    a_round.wait()
    assert stored(a_store).picks == 2
    assert [file.read_bytes() for file in path.parent.glob("*.bak")] == [b"rubbish"]
    (message,) = a_round.messages
    assert message.startswith(str(path)) and message.endswith("what is known here of Anna goes on.")


def test_profile_that_cannot_be_written_is_told_and_the_pick_stays(
    a_round: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise OutputError("the disk is full")

    monkeypatch.setattr(ProfileStore, "pick", refuse)
    picked = a_round.logic.candidates.view(1).mask
    a_round.logic.pick(1)
    a_round.wait()
    np.testing.assert_array_equal(a_round.logic.mask, picked)
    assert a_round.messages == ["Nothing was learnt for Anna: the disk is full"]
    a_round.logic.undo()
    a_round.wait()
    assert len(a_round.messages) == 1 and a_round.logic.profile.picks == 0


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 201])
def test_odd_name_is_refused(a_session: Panel, name: str) -> None:
    with pytest.raises(ProfileError, match="on one line, got"):
        a_session.logic.profile.choose(name)
    assert a_session.logic.profile.user == "Anna"


def test_reset_profile_begins_anew_and_its_file_is_kept(a_round: Panel, a_store: ProfileStore) -> None:
    a_round.logic.pick(1)
    a_round.logic.profile.reset()
    assert a_round.logic.profile.picks == 0
    (kept,) = a_store.folder.glob("*.bak")
    assert a_round.messages == [f"The profile begins anew; its old file is {kept}"]
    a_round.logic.undo()
    a_round.wait()
    assert a_round.logic.profile.picks == 0 and a_round.messages[1:] == [CANNOT_BE_TAKEN_BACK]
    a_round.logic.redo()
    a_round.wait()
    assert a_round.logic.profile.picks == stored(a_store).picks == 1
    a_round.logic.undo()
    a_round.wait()
    assert a_round.logic.profile.picks == stored(a_store).picks == 0


def test_profile_goes_to_another_user_through_a_file(a_round: Panel, a_store: ProfileStore, tmp_path: Path) -> None:
    a_round.logic.pick(1)
    file = tmp_path / "anna.safetensors"
    a_round.logic.profile.export(file)
    a_round.logic.profile.choose("Ben")
    a_round.logic.profile.importFrom(file)
    assert (a_round.logic.profile.user, a_round.logic.profile.picks) == ("Ben", 1)
    assert a_round.messages == ["Imported the profile of Ben for default, with 1 pick."]
    assert same_belief(stored(a_store), stored(a_store, "Ben"))
    with pytest.raises(ProfileError, match="There is a profile of"):
        a_round.logic.profile.importFrom(file)
    assert a_round.logic.profile.users() == ("Anna", "Ben")


def test_nobody_takes_over_a_file_under_its_names(a_round: Panel, a_store: ProfileStore, tmp_path: Path) -> None:
    a_round.logic.pick(1)
    file = tmp_path / "anna.safetensors"
    a_round.logic.profile.export(file)
    a_store.path("Anna", "default").unlink()
    a_round.logic.profile.choose(None)
    a_round.logic.profile.importFrom(file)
    assert (a_round.logic.profile.user, a_round.logic.profile.picks) == ("Anna", 1)


@pytest.mark.parametrize("what", ["reset", "export"])
def test_what_needs_a_profile_is_refused_without_one(a_session: Panel, tmp_path: Path, what: str) -> None:
    arguments = () if what == "reset" else (tmp_path / "file",)
    with pytest.raises(ProfileError, match="no profile of 'Anna' for 'default'"):
        getattr(a_session.logic.profile, what)(*arguments)
    a_session.logic.profile.choose(None)
    with pytest.raises(ProfileError, match="no user is chosen"):
        getattr(a_session.logic.profile, what)(*arguments)


def test_closing_learns_what_is_waiting_and_ends_the_thread(a_round: Panel, a_store: ProfileStore) -> None:
    a_round.logic.pick(1)
    a_round.logic.close()
    assert stored(a_store).picks == 1
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("InteractiveAdaptSeg-profile")]


def test_profile_goes_on_when_the_scene_is_closed(a_round: Panel, a_store: ProfileStore) -> None:
    a_round.logic.pick(1)
    a_round.scene.Clear(False)
    a_round.wait()
    assert stored(a_store).picks == a_round.logic.profile.picks == 1
    assert a_round.logic.profile.user == "Anna"


def test_loaded_scene_teaches_nothing_a_second_time(a_round: Panel, a_store: ProfileStore) -> None:
    a_round.logic.pick(1)
    a_round.logic.accept()
    a_round.wait()
    a_round.volume.GetImageData().Modified()
    a_round.catch_up()
    assert a_round.logic.showPlane(a_round.view)
    a_round.wait()
    assert stored(a_store).picks == 2


def test_propagation_is_that_of_the_picked_mask(a_round: Panel) -> None:
    a_round.logic.pick(len(a_round.logic.candidates.views))
    picked = a_round.logic.mask
    a_round.logic.propagate()
    a_round.wait()
    np.testing.assert_array_equal(a_round.segment("lesion")[:, :, CENTRE[2]].T, picked)
    assert 1 < a_round.segment("lesion").any(axis=(0, 1)).sum() <= SHAPE[2]


def test_asking_sees_what_was_learnt_before(a_round: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    ask = Adviser.ask
    monkeypatch.setattr(
        Adviser,
        "ask",
        lambda adviser, plane, around, sizes: seen.append(adviser.profile.picks) or ask(adviser, plane, around),
    )
    a_round.logic.pick(1)
    a_round.logic.candidates.askForMore()
    a_round.wait()
    assert seen == [1]
