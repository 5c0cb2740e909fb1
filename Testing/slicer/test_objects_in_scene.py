"""Whole objects in a real scene: a click in any view gives the object, accepted and undone as one step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.errors import AdaptSegError
from Testing.bright_model import BrightModel
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE, matrix_of, rotation
from Testing.toy_model import ToyModel

BESIDE = (CENTRE[0] + 3, CENTRE[1] + 2, CENTRE[2] + 2)
CORNER = (2, 2, 2)


def an_object_panel(scene: Any, view: Any, volume: Any, segmentation: Any) -> Panel:
    panel = Panel(scene, view, ToyModel(), volume_model=BrightModel(100.0))
    panel.choose(volume, segmentation, "lesion")
    panel.logic.setAtObject(True)
    return panel


@pytest.fixture
def a_session(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel where prompts on the segment "lesion" are about whole objects."""
    panel = an_object_panel(a_scene, a_slice_view, a_volume, a_segmentation)
    yield panel
    panel.logic.close()


def click(panel: Panel, voxel: Any, positive: bool = True) -> None:
    """Click, and wait for the answer."""
    panel.click(voxel, positive)
    panel.wait()


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def shown(panel: Panel) -> np.ndarray:
    """The mask that is previewed, bool (i, j, k)."""
    full = np.zeros(SHAPE, bool)
    block = panel.logic.mask
    full[block.slices] = block.mask
    return full


def test_one_click_gives_the_whole_object_and_nothing_is_written_before_it_is_accepted(
    a_session: Panel, an_ellipsoid: np.ndarray
) -> None:
    a_session.click(CENTRE)
    assert a_session.logic.isPredicting, "the window does not wait"
    a_session.wait()
    assert dice(shown(a_session), an_ellipsoid) > 0.9
    assert not a_session.segment("lesion").any()
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion"), shown(a_session))
    assert a_session.logic.isAccepted


def test_acceptance_is_one_step_of_undo(a_session: Panel) -> None:
    click(a_session, CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    a_session.logic.undo()
    assert not a_session.segment("lesion").any() and not a_session.logic.isAccepted
    np.testing.assert_array_equal(shown(a_session), accepted)
    a_session.logic.redo()
    np.testing.assert_array_equal(a_session.segment("lesion"), accepted)
    a_session.logic.undo()
    a_session.logic.undo()
    assert a_session.logic.mask is None and a_session.count_points() == (0, 0)


def test_a_click_in_another_view_corrects_the_object(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    click(a_session, CENTRE)
    before = shown(a_session)
    a_session.view.SetOrientation("Coronal")
    click(a_session, BESIDE, positive=False)
    after = shown(a_session)
    assert before[BESIDE] and not after[BESIDE]
    a_session.logic.undo()
    np.testing.assert_array_equal(shown(a_session), before)
    a_session.logic.redo()
    np.testing.assert_array_equal(shown(a_session), after)


def candidate_mask(panel: Panel, number: int) -> np.ndarray:
    full = np.zeros(SHAPE, bool)
    block = panel.logic.candidates.view(number).mask
    full[block.slices] = block.mask
    return full


@pytest.fixture
def a_round(a_session: Panel) -> Panel:
    """A panel with candidates beside the object that a click has given."""
    a_session.logic.candidates.setWanted(True)
    click(a_session, CENTRE)
    assert a_session.logic.candidates.round == 1 and len(a_session.logic.candidates.views) >= 2
    return a_session


def test_candidates_of_an_object_tell_their_difference_in_millilitres(a_round: Panel) -> None:
    answer = shown(a_round)
    views = a_round.logic.candidates.views
    for number, view in enumerate(views, start=1):
        voxels = int(candidate_mask(a_round, number).sum()) - int(answer.sum())
        assert view.volumeChange == pytest.approx(voxels * 0.8 * 0.9 * 2.5 / 1000) and view.areaChange is None
        assert view.thumbnail.shape == (144, 144, 3) and (view.added.any() or view.removed.any())
    changes = [view.volumeChange for view in views]
    assert changes == sorted(changes) and changes[0] < changes[-1]


def test_picked_object_is_one_step_of_undo_and_what_accept_writes(a_round: Panel) -> None:
    answer, last = shown(a_round), len(a_round.logic.candidates.views)
    picked, first = candidate_mask(a_round, last), candidate_mask(a_round, 1)
    a_round.logic.preview(last)
    np.testing.assert_array_equal(shown(a_round), answer)
    a_round.logic.pick(last)
    np.testing.assert_array_equal(shown(a_round), picked)
    assert (picked != answer).any() and a_round.logic.candidates.picked == last
    a_round.logic.undo()
    np.testing.assert_array_equal(shown(a_round), answer)
    a_round.logic.redo()
    np.testing.assert_array_equal(shown(a_round), picked)
    a_round.logic.pick(1)
    np.testing.assert_array_equal(shown(a_round), first)
    a_round.logic.accept()
    np.testing.assert_array_equal(a_round.segment("lesion"), first)
    a_round.logic.undo()
    a_round.logic.undo()
    np.testing.assert_array_equal(shown(a_round), answer)


def test_picked_object_is_saved_with_the_scene(a_round: Panel, tmp_path: Path) -> None:
    last = len(a_round.logic.candidates.views)
    picked = candidate_mask(a_round, last)
    a_round.logic.pick(last)
    other = save_and_reload(a_round, tmp_path)
    other.logic.setAtObject(True)
    other.wait()
    np.testing.assert_array_equal(shown(other), picked)
    click(other, BESIDE, positive=False)
    assert not shown(other)[BESIDE]
    other.logic.undo()
    np.testing.assert_array_equal(shown(other), picked)
    other.logic.close()


def test_next_click_does_not_wait_for_candidates(a_session: Panel) -> None:
    a_session.logic.candidates.setWanted(True)
    a_session.click(CENTRE)
    a_session.click(BESIDE, positive=False)
    a_session.wait()
    assert not shown(a_session)[BESIDE] and a_session.logic.candidates.round == 1
    for number in range(1, len(a_session.logic.candidates.views) + 1):
        assert not candidate_mask(a_session, number)[BESIDE]


def test_several_objects_of_a_segment_leave_each_other_alone(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    click(a_session, CENTRE)
    a_session.logic.accept()
    first = a_session.segment("lesion")
    a_session.logic.clearPrompts()
    click(a_session, OTHER_CENTRE)
    a_session.logic.accept()
    both = a_session.segment("lesion")
    assert both[OTHER_CENTRE] and (both & first).sum() == first.sum() < both.sum()
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), first)


def test_another_segment_is_protected_and_what_is_left_out_is_told(a_session: Panel) -> None:
    click(a_session, CENTRE)
    a_session.logic.accept()
    lesion = a_session.segment("lesion")
    a_session.choose(a_session.volume, a_session.segmentation, "organ")
    click(a_session, CENTRE)
    with pytest.raises(AdaptSegError, match="nothing of the mask can be written"):
        a_session.logic.accept()
    a_session.choose(a_session.volume, a_session.segmentation, "lesion")
    a_session.wait()
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion)
    np.testing.assert_array_equal(shown(a_session), lesion)


def test_slices_that_the_user_accepted_stay_as_they_are(a_session: Panel) -> None:
    logic = a_session.logic
    logic.setAtObject(False)
    a_session.click(CENTRE)
    a_session.click((CENTRE[0] + 1, CENTRE[1], CENTRE[2]), positive=False)
    logic.accept()
    accepted = a_session.segment("lesion")
    logic.setAtObject(True)
    click(a_session, BESIDE)
    np.testing.assert_array_equal(shown(a_session)[:, :, CENTRE[2]], accepted[:, :, CENTRE[2]])
    logic.accept()
    found = a_session.segment("lesion")
    np.testing.assert_array_equal(found[:, :, CENTRE[2]], accepted[:, :, CENTRE[2]])
    assert found[BESIDE]
    logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), accepted)


@pytest.mark.parametrize("is_reloaded", [False, True])
def test_slices_that_were_painted_by_hand_stay_as_they_are(a_session: Panel, tmp_path: Path, is_reloaded: bool) -> None:
    import slicer

    click(a_session, CENTRE)
    a_session.logic.accept()
    panel = save_and_reload(a_session, tmp_path) if is_reloaded else a_session
    panel.logic.setAtObject(True)
    panel.wait()
    painted = panel.segment("lesion")
    painted[CENTRE[0] - 3 : CENTRE[0] + 3, 4:30, CENTRE[2] + 1] = True
    painted[:, : CENTRE[1] - 2, CENTRE[2] - 1] = False
    labels = np.ascontiguousarray(painted.T.astype(np.uint8))
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, panel.segmentation, "lesion", panel.volume)
    panel.catch_up()
    click(panel, (CENTRE[0], CENTRE[1], CENTRE[2] + 3))
    np.testing.assert_array_equal(shown(panel)[:, :, CENTRE[2] + 1], painted[:, :, CENTRE[2] + 1])
    panel.logic.accept()
    for k in (CENTRE[2] - 1, CENTRE[2] + 1):
        np.testing.assert_array_equal(panel.segment("lesion")[:, :, k], painted[:, :, k])
    if is_reloaded:
        panel.logic.close()


def test_saved_scene_goes_on_where_it_was(a_session: Panel, tmp_path: Path) -> None:
    click(a_session, CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    click(a_session, BESIDE, positive=False)
    corrected = shown(a_session)
    other = save_and_reload(a_session, tmp_path)
    np.testing.assert_array_equal(other.segment("lesion"), accepted)
    other.logic.setAtObject(True)
    other.wait()
    np.testing.assert_array_equal(shown(other), corrected)
    other.logic.accept()
    np.testing.assert_array_equal(other.segment("lesion"), corrected)
    other.logic.close()


def test_an_oblique_volume_under_a_transform_is_segmented_from_oblique_views(
    a_scene: Any,
    a_slice_view: Any,
    an_oblique_volume: Any,
    put_under_transform: Any,
    an_ellipsoid: np.ndarray,
) -> None:
    put_under_transform(matrix_of(rotation(1, 30.0), (5.0, -7.0, 2.5)), an_oblique_volume)
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.GetSegmentation().AddEmptySegment("lesion", "lesion")
    panel = an_object_panel(a_scene, a_slice_view, an_oblique_volume, segmentation)
    click(panel, CENTRE)
    assert panel.logic.activePlane.axis is None, "the view is oblique to the volume"
    assert dice(shown(panel), an_ellipsoid) > 0.9
    panel.logic.accept()
    np.testing.assert_array_equal(panel.segment("lesion"), shown(panel))
    panel.logic.close()


@pytest.mark.parametrize("is_oblique", [False, True])
@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_outlines_in_any_view_give_the_object(
    a_session: Panel, an_ellipsoid: np.ndarray, tool: str, is_oblique: bool
) -> None:
    if is_oblique:
        a_session.view.GetSliceToRAS().DeepCopy(_turned())
        a_session.view.UpdateMatrices()
    a_session.look_at(CENTRE)
    toWorld = _matrix(a_session.view.GetSliceToRAS())
    middle = a_session.world(CENTRE)
    corners = [middle + toWorld[:3, 0] * x + toWorld[:3, 1] * y for x, y in ((-9, -9), (9, -9), (9, 9), (-9, 9))]
    if tool == "box":
        a_session.logic.addBox(a_session.view, *corners)
    else:
        a_session.logic.addLasso(a_session.view, corners)
    a_session.wait()
    assert dice(shown(a_session), an_ellipsoid) > 0.9


def test_a_scribble_is_one_step(a_session: Panel) -> None:
    a_session.look_at(CENTRE)
    i, j, k = CENTRE
    a_session.logic.addScribble(a_session.view, [a_session.world((i + step, j, k)) for step in (-2, 0, 2)])
    a_session.wait()
    assert shown(a_session)[CENTRE]
    a_session.logic.undo()
    assert a_session.logic.mask is None and not a_session.logic.canUndo


def test_the_least_confident_slices_are_gone_to_one_after_the_other(a_session: Panel) -> None:
    click(a_session, CENTRE)
    assert a_session.logic.hasUnsurePlane
    sure = a_session.logic._target.object.prediction.confidences(2)
    order = sorted(sure, key=sure.__getitem__)
    for index in order[:2]:
        a_session.logic.showUnsurePlane()
        assert int(a_session.logic.activePlane.plane_to_ijk[2, 2]) == index
        offset = a_session.view.GetSliceOffset()
        assert offset == pytest.approx(a_session.world((0, 0, index))[2])
    a_session.logic.accept()
    assert a_session.logic.hasUnsurePlane and a_session.logic.isAccepted


def test_a_negative_click_before_any_other_is_refused_and_leaves_nothing(a_session: Panel) -> None:
    a_session.click(CORNER, positive=False)
    a_session.wait()
    assert a_session.messages == ["There is nothing to remove yet: click on the object first."]
    assert a_session.count_points() == (0, 0) and not a_session.logic.canUndo


def test_a_picture_is_segmented_as_a_slice(a_session: Panel, make_volume: Any) -> None:
    from InteractiveAdaptSegLib.Looking import Hindrance

    picture = make_volume(np.zeros((30, 20, 1), np.int16))
    assert a_session.logic.hindrance(picture) is Hindrance.ONE_SLICE
    assert a_session.logic.hindrance(a_session.volume) is None and a_session.logic.isAtObject


def test_each_way_of_working_keeps_its_prompts(a_session: Panel) -> None:
    click(a_session, CENTRE)
    whole = shown(a_session)
    a_session.logic.setAtObject(False)
    assert a_session.logic.mask is None
    a_session.click(CENTRE)
    assert isinstance(a_session.logic.mask, np.ndarray)
    a_session.logic.setAtObject(True)
    np.testing.assert_array_equal(shown(a_session), whole)


def test_prompts_that_come_before_an_answer_wait_for_their_turn(a_session: Panel) -> None:
    a_session.place(CENTRE)
    a_session.place(BESIDE, positive=False)
    assert a_session.logic.isPredicting and a_session.count_points() == (1, 0)
    a_session.wait()
    both = shown(a_session)
    assert a_session.count_points() == (1, 1) and not a_session.messages
    assert both[CENTRE] and not both[BESIDE]
    a_session.logic.undo()
    assert shown(a_session)[BESIDE] and a_session.count_points() == (1, 0)


def test_cancel_drops_the_answer_and_the_prompts_that_wait_for_it(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_session.logic.cancelPrediction()
    a_session.wait()
    assert a_session.logic.mask is None and a_session.count_points() == (0, 0) and not a_session.logic.canUndo


def test_an_object_cannot_be_accepted_before_its_answer(a_session: Panel) -> None:
    click(a_session, CENTRE)
    a_session.click(BESIDE, positive=False)
    with pytest.raises(AdaptSegError, match="the model is predicting: wait for its answer or cancel it"):
        a_session.logic.accept()
    a_session.wait()
    assert not a_session.segment("lesion").any()


@pytest.mark.parametrize("gone", ["volume", "segmentation", "prompts"])
def test_nodes_that_go_while_an_object_is_predicted_drop_the_answer(a_session: Panel, gone: str) -> None:
    a_session.click(CENTRE)
    nodes = {"volume": a_session.volume, "segmentation": a_session.segmentation, "prompts": a_session.points()}
    a_session.scene.RemoveNode(nodes[gone])
    a_session.catch_up()
    a_session.wait()
    assert not a_session.logic.hasTarget and a_session.logic.mask is None


def test_voxels_that_change_while_an_object_is_predicted_are_answered_anew(a_session: Panel) -> None:
    import slicer

    a_session.click(CENTRE)
    slicer.util.updateVolumeFromArray(a_session.volume, np.zeros(SHAPE[::-1], np.int16))
    a_session.catch_up()
    a_session.wait()
    assert not a_session.segment("lesion").any()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_volumes_of_a_few_slices(a_session: Panel, make_volume: Any, voxels: np.ndarray, count: int) -> None:
    volume = make_volume(voxels[:, :, CENTRE[2] - 1 : CENTRE[2] - 1 + count])
    segmentation = a_session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.GetSegmentation().AddEmptySegment("lesion", "lesion")
    a_session.choose(volume, segmentation, "lesion")
    assert a_session.logic.isAtObject is (count > 1)
    click(a_session, (*CENTRE[:2], count // 2))
    a_session.logic.accept()
    assert a_session.segment("lesion")[(*CENTRE[:2], count // 2)]


def test_a_closed_scene_drops_the_answer_that_is_waited_for(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.scene.Clear(False)
    a_session.wait()
    assert not a_session.logic.hasTarget and not a_session.logic.isPredicting


def _matrix(matrix: Any) -> np.ndarray:
    import slicer

    return slicer.util.arrayFromVTKMatrix(matrix)


def _turned() -> Any:
    import slicer

    return slicer.util.vtkMatrixFromArray(matrix_of(rotation(0, 20.0) @ rotation(1, 10.0)))
