"""Candidates in the scene: offered in the background, previewed, picked, undone, and dropped when they are stale."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.errors import ModelError, PromptError
from AdaptCore.preference.adviser import Adviser
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE, OTHER_CENTRE
from Testing.toy_model import ToyModel

PIXEL = 0.8 * 0.9
BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
TIMEOUT = 20.0


@pytest.fixture(autouse=True)
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No profile of any user yet."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))


@pytest.fixture
def a_panel(a_scene: Any, a_slice_view: Any) -> Iterator[Panel]:
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.logic.candidates.setWanted(True)
    yield panel
    panel.logic.close()


@pytest.fixture
def a_session(a_panel: Panel, a_volume: Any, a_segmentation: Any) -> Panel:
    """A panel where the segment "lesion" is chosen, and nobody."""
    a_panel.choose(a_volume, a_segmentation, "lesion")
    return a_panel


@pytest.fixture
def a_round(a_session: Panel) -> Panel:
    """A panel with candidates beside the answer to a click."""
    a_session.click(CENTRE)
    a_session.wait()
    assert a_session.logic.candidates.round == 1
    return a_session


@pytest.fixture
def slow_asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Candidates are there only after this was set."""
    ask, goes_on = Adviser.ask, threading.Event()
    monkeypatch.setattr(Adviser, "ask", lambda *given, **options: goes_on.wait(TIMEOUT) and ask(*given, **options))
    yield goes_on
    goes_on.set()


def masks(panel: Panel) -> list[np.ndarray]:
    return [view.mask for view in panel.logic.candidates.views]


def shown(panel: Panel) -> np.ndarray | None:
    """The mask in the slice views, bool (H, W); None where there is none."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    node = panel.scene.GetFirstNodeByName("Preview")
    if not node.GetDisplayNode().GetVisibility():
        return None
    name = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
    image = node.GetSegmentation().GetSegment("preview").GetRepresentation(name)
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width) > 0


def test_candidates_are_asked_for_only_where_they_are_wanted(a_session: Panel) -> None:
    a_session.logic.candidates.setWanted(False)
    a_session.click(CENTRE)
    assert not a_session.logic.isBusy
    assert a_session.logic.candidates.views == ()


def test_candidates_differ_from_the_answer_by_what_they_add_and_remove(a_round: Panel) -> None:
    views, answer = a_round.logic.candidates.views, a_round.logic.mask
    assert 2 <= len(views) <= 4
    for view in views:
        np.testing.assert_array_equal(view.added, view.mask & ~answer)
        np.testing.assert_array_equal(view.removed, answer & ~view.mask)
        assert view.areaChange == pytest.approx((int(view.mask.sum()) - int(answer.sum())) * PIXEL)
        assert view.thumbnail.shape == (144, 144, 3) and np.ptp(view.thumbnail) > 100
    changes = [view.areaChange for view in views]
    assert changes == sorted(changes) and changes[0] < changes[-1]
    assert 0 < sum(view.probability for view in views) <= 1


def test_area_is_that_in_the_world(
    a_session: Panel, put_under_transform: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    put_under_transform(np.diag([2.0, 3.0, 1.0, 1.0]), a_session.volume, a_session.segmentation)
    a_session.click(CENTRE)
    a_session.wait()
    view, answer = a_session.logic.candidates.views[-1], a_session.logic.mask
    assert view.areaChange == pytest.approx((int(view.mask.sum()) - int(answer.sum())) * PIXEL * 6)


@pytest.mark.parametrize("orientation, pixel", [("Sagittal", 0.9 * 2.5), ("Coronal", 0.8 * 2.5)])
def test_area_is_that_of_the_plane(a_session: Panel, orientation: str, pixel: float) -> None:
    a_session.view.SetOrientation(orientation)
    a_session.click(CENTRE)
    a_session.wait()
    for view in a_session.logic.candidates.views:
        assert view.areaChange == pytest.approx((int(view.added.sum()) - int(view.removed.sum())) * pixel)


def test_picked_candidate_is_what_accept_writes(a_round: Panel) -> None:
    answer, picked = a_round.logic.mask, masks(a_round)[-1]
    a_round.logic.pick(len(masks(a_round)))
    np.testing.assert_array_equal(a_round.logic.mask, picked)
    np.testing.assert_array_equal(shown(a_round), picked)
    a_round.logic.accept()
    written = a_round.segment("lesion")
    np.testing.assert_array_equal(written[:, :, CENTRE[2]].T, picked)
    assert written.sum() == picked.sum() != answer.sum()


def test_candidates_of_an_oblique_view_are_picked(a_panel: Panel, an_oblique_volume: Any) -> None:
    segmentation = a_panel.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_panel.choose(an_oblique_volume, segmentation, "")
    a_panel.click(CENTRE)
    a_panel.wait()
    largest = a_panel.logic.candidates.views[-1]
    assert not a_panel.logic.activePlane.is_axis_aligned
    assert largest.areaChange == pytest.approx((int(largest.added.sum()) - int(largest.removed.sum())) * 0.8**2)
    a_panel.logic.pick(len(masks(a_panel)))
    np.testing.assert_array_equal(a_panel.logic.mask, largest.mask)


def test_preview_shows_a_candidate_and_changes_nothing(a_round: Panel) -> None:
    answer = a_round.logic.mask
    a_round.logic.preview(1)
    np.testing.assert_array_equal(shown(a_round), masks(a_round)[0])
    assert a_round.logic.mask is answer and a_round.logic.candidates.picked is None
    a_round.logic.preview(None)
    np.testing.assert_array_equal(shown(a_round), answer)
    a_round.logic.undo()
    assert not a_round.logic.canUndo and a_round.logic.mask is None
    a_round.logic.redo()
    np.testing.assert_array_equal(a_round.logic.mask, answer)


def test_undone_pick_brings_back_answer_and_round_and_redo_the_pick(a_round: Panel) -> None:
    logic = a_round.logic
    answer, views = logic.mask, logic.candidates.views
    logic.pick(1)
    assert logic.candidates.picked == 1
    logic.undo()
    np.testing.assert_array_equal(logic.mask, answer)
    assert logic.candidates.views is views and logic.candidates.picked is None
    logic.redo()
    np.testing.assert_array_equal(logic.mask, views[0].mask)
    assert logic.candidates.picked == 1 and logic.candidates.views is views
    assert not logic.candidates.isAsking


def test_another_candidate_of_the_round_takes_the_place_of_the_picked_one(a_round: Panel) -> None:
    logic = a_round.logic
    answer, (first, second) = logic.mask, masks(a_round)[:2]
    for number in (1, 2, 2):
        logic.pick(number)
    np.testing.assert_array_equal(logic.mask, second)
    logic.undo()
    np.testing.assert_array_equal(logic.mask, answer)
    logic.undo()
    assert logic.mask is None and not logic.canUndo
    assert not np.array_equal(first, second)


def test_more_like_the_picked_one_are_offered_beside_it(a_round: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[np.ndarray | None] = []
    ask = Adviser.ask
    monkeypatch.setattr(
        Adviser,
        "ask",
        lambda adviser, plane, around, sizes: asked.append(around) or ask(adviser, plane, around, sizes=sizes),
    )
    logic = a_round.logic
    with pytest.raises(PromptError, match="Pick a candidate first"):
        logic.candidates.askForMore()
    logic.pick(1)
    picked, before = logic.mask, logic.candidates.views
    logic.candidates.askForMore()
    assert logic.candidates.views is before, "until the next round is there"
    a_round.wait()
    assert logic.candidates.round == 2 and logic.candidates.picked is None
    assert asked[0] is not None and asked[0].shape[1] == 4
    for view in logic.candidates.views:
        assert not (view.added & picked).any() and not (view.removed & ~picked).any()
    logic.undo()
    a_round.wait()
    assert logic.candidates.round == 1 and asked[-1] is None
    for again, one in zip(masks(a_round), before):
        np.testing.assert_array_equal(again, one.mask)


def test_none_of_these_gives_others_until_the_rounds_are_over(a_round: Panel) -> None:
    logic = a_round.logic
    answer, seen = logic.mask, masks(a_round)
    for number in range(2, 7):
        logic.candidates.askForOthers()
        a_round.wait()
        assert logic.candidates.round == number
        assert any(not np.array_equal(mask, other) for mask, other in zip(masks(a_round), seen))
        seen = masks(a_round)
    assert not logic.candidates.canAskAgain
    with pytest.raises(PromptError, match="6 rounds"):
        logic.candidates.askForOthers()
    np.testing.assert_array_equal(logic.mask, answer)
    a_round.click(BESIDE)
    a_round.wait()
    assert logic.candidates.round == 1


def test_number_that_is_not_offered_is_refused(a_round: Panel) -> None:
    answer = a_round.logic.mask
    for number in (0, 5):
        with pytest.raises(PromptError, match=f"no candidate {number}"):
            a_round.logic.pick(number)
    assert a_round.logic.mask is answer


def test_new_click_drops_the_round_and_what_was_being_asked(a_session: Panel, slow_asking: threading.Event) -> None:
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    answer = a_session.logic.mask
    with pytest.raises(PromptError, match="no candidate 1"):
        a_session.logic.pick(1)
    slow_asking.set()
    a_session.wait()
    for view in a_session.logic.candidates.views:
        np.testing.assert_array_equal(view.removed, answer & ~view.mask)


def test_asking_does_not_hold_up_the_next_click(a_session: Panel, slow_asking: threading.Event) -> None:
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_session.logic.accept()
    assert a_session.segment("lesion").any()
    assert not a_session.logic.isBusy, "nobody waits for candidates of a mask that is accepted"


def test_only_the_latest_of_quick_clicks_is_asked_about(
    a_session: Panel, slow_asking: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    ask = Adviser.ask
    monkeypatch.setattr(
        Adviser,
        "ask",
        lambda adviser, plane, around, sizes: asked.append(len(plane.prompts.clicks)) or ask(adviser, plane),
    )
    for step in range(5):
        a_session.click((CENTRE[0] + step, CENTRE[1], CENTRE[2]))
    slow_asking.set()
    a_session.wait()
    assert asked in ([1, 5], [5])
    assert a_session.logic.candidates.round == 1


def asked_from(panel: Panel) -> int:
    """Pixels of the mask, at the mask resolution, that the latest click was given on."""
    plane = panel.logic._requireTarget().region(panel.logic.activePlane).session
    return int((plane.question.prior > 0).sum())


def test_click_after_a_pick_goes_on_from_it(a_round: Panel) -> None:
    a_round.click(BESIDE)
    from_answer = asked_from(a_round)
    a_round.logic.undo()
    a_round.wait()
    a_round.logic.pick(len(masks(a_round)))
    grown = int(a_round.logic.candidates.view(len(masks(a_round))).added.sum())
    a_round.click(BESIDE)
    assert asked_from(a_round) - from_answer > grown > 0


def test_candidates_keep_the_parts_that_were_there_before(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.clearPrompts()
    a_session.click(OTHER_CENTRE)
    a_session.wait()
    for view in a_session.logic.candidates.views:
        assert view.mask[CENTRE[1], CENTRE[0]]
        assert not view.removed[CENTRE[1], CENTRE[0]]


@pytest.mark.parametrize("gone", ["scene", "volume", "segment", "segmentation", "voxels"])
def test_candidates_go_with_what_they_belong_to(a_session: Panel, slow_asking: threading.Event, gone: str) -> None:
    a_session.click(CENTRE)
    scene = a_session.scene
    {
        "scene": lambda: scene.Clear(False),
        "volume": lambda: scene.RemoveNode(a_session.volume),
        "segment": lambda: a_session.segmentation.GetSegmentation().RemoveSegment("lesion"),
        "segmentation": lambda: scene.RemoveNode(a_session.segmentation),
        "voxels": lambda: a_session.volume.GetImageData().Modified(),
    }[gone]()
    a_session.catch_up()
    slow_asking.set()
    a_session.wait()
    assert a_session.logic.candidates.views == () and a_session.logic.candidates.round == 0
    with pytest.raises(PromptError, match="no candidate 1"):
        a_session.logic.pick(1)


def test_other_segment_has_no_candidates_of_this_one(a_round: Panel) -> None:
    a_round.choose(a_round.volume, a_round.segmentation, "organ")
    assert masks(a_round) == [] and not a_round.logic.isBusy
    a_round.choose(a_round.volume, a_round.segmentation, "lesion")
    a_round.logic.showPlane(a_round.view)
    a_round.wait()
    assert len(masks(a_round)) >= 2


def test_pick_is_saved_with_the_scene(a_round: Panel, tmp_path: Path) -> None:
    count = len(masks(a_round))
    a_round.logic.pick(count)
    picked = a_round.logic.mask
    other = save_and_reload(a_round, tmp_path)
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, picked)
    other.click(BESIDE, positive=False)
    assert not other.logic.mask[BESIDE[1], BESIDE[0]]
    other.logic.undo()
    np.testing.assert_array_equal(other.logic.mask, picked)
    other.logic.close()


def test_pick_is_saved_when_a_click_after_it_was_undone(a_round: Panel, tmp_path: Path) -> None:
    a_round.logic.pick(1)
    picked = a_round.logic.mask
    a_round.click(BESIDE, positive=False)
    a_round.logic.undo()
    other = save_and_reload(a_round, tmp_path)
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, picked)
    other.logic.close()


def test_undone_pick_is_not_saved(a_round: Panel, tmp_path: Path) -> None:
    answer = a_round.logic.mask
    a_round.logic.pick(1)
    a_round.logic.undo()
    other = save_and_reload(a_round, tmp_path)
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, answer)
    other.logic.close()


def test_dragged_click_is_answered_afresh_without_the_pick(a_round: Panel) -> None:
    a_round.logic.pick(len(masks(a_round)))
    points = a_round.points()
    points.SetNthControlPointPositionWorld(0, *(float(value) for value in a_round.world(OTHER_CENTRE)))
    points.InvokeEvent(points.PointEndInteractionEvent)
    a_round.catch_up()
    assert a_round.logic.mask[OTHER_CENTRE[1], OTHER_CENTRE[0]]
    assert not a_round.logic.mask[CENTRE[1], CENTRE[0]]
    assert not a_round.logic.canUndo


def test_cleared_clicks_take_the_pick_along_and_undo_brings_it_back(a_round: Panel, tmp_path: Path) -> None:
    a_round.logic.pick(1)
    picked = a_round.logic.mask
    a_round.logic.clearPrompts()
    assert a_round.logic.promptNodes.steps(0) == []
    a_round.logic.undo()
    np.testing.assert_array_equal(a_round.logic.mask, picked)
    other = save_and_reload(a_round, tmp_path)
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, picked)
    other.logic.close()


def test_nothing_is_picked_during_a_propagation(a_round: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_round.logic.accept()
    a_round.click((CENTRE[0], CENTRE[1], CENTRE[2] + 1))
    a_round.wait()
    a_round.look_at(CENTRE)
    a_round.logic.propagate(a_round.view)
    with pytest.raises(SceneError, match="propagation is under way"):
        a_round.logic.pick(1)
    a_round.wait()
    assert a_round.segment("lesion").any(axis=(0, 1)).sum() > 1


def test_candidates_that_cannot_be_made_are_told_of(a_session: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **options: object) -> None:
        raise ModelError("the latent file is missing")

    monkeypatch.setattr(Adviser, "ask", refuse)
    a_session.click(CENTRE)
    a_session.wait()
    assert a_session.messages == ["the latent file is missing"]
    assert a_session.logic.mask.any() and masks(a_session) == []


def test_candidates_follow_the_slice_that_is_worked_on(a_session: Panel) -> None:
    picked = []
    for index in (CENTRE[2], CENTRE[2] + 3):
        a_session.click((CENTRE[0], CENTRE[1], index))
        a_session.wait()
        picked.append(masks(a_session)[-1])
        a_session.logic.pick(len(masks(a_session)))
        a_session.logic.accept()
        assert masks(a_session) == []
    for index, mask in zip((CENTRE[2], CENTRE[2] + 3), picked):
        np.testing.assert_array_equal(a_session.segment("lesion")[:, :, index].T, mask)
    assert picked[0].sum() > picked[1].sum()
