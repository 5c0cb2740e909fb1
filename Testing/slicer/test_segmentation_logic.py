"""Clicks in slice views become masks in segments: acceptance, undo, several segments, propagation, gone nodes, MRB."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from AdaptCore.errors import PromptError
from AdaptCore.models.base import Decoding, Embedding
from AdaptCore.predict.geometry import PlaneGeometry, axis_plane
from AdaptCore.predict.propagate import PropagationPolicy
from AdaptCore.prompts import Prompts
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE, matrix_of, rotation
from Testing.toy_model import ToyModel


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2.0 * float((first & second).sum()) / float(first.sum() + second.sum())


def extent_of(image: Any) -> list[tuple[int, int]]:
    """Where an image lies on the volume's grid: first voxel and one past the last, per axis."""
    first_and_last = np.array(image.GetExtent()).reshape(3, 2)
    return [(int(first), int(last) + 1) for first, last in first_and_last]


def paint(panel: Panel, mask: np.ndarray) -> None:
    """Give the segment "lesion" this content, as by hand."""
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask.T.astype(np.uint8), panel.segmentation, "lesion", panel.volume
    )


def only_slice(mask: np.ndarray, index: int) -> np.ndarray:
    alone = np.zeros_like(mask)
    alone[:, :, index] = mask[:, :, index]
    return alone


def accepted_masks(panel: Panel) -> Iterator[tuple[PlaneGeometry, np.ndarray]]:
    """The accepted planes that the scene holds, with their masks."""
    from InteractiveAdaptSegLib.PromptNodes import PlaneMask

    return panel.logic.promptNodes.masks(PlaneMask.ACCEPTED)


@pytest.fixture
def a_panel(a_scene: Any, a_slice_view: Any) -> Iterator[Panel]:
    """A panel with nothing chosen."""
    panel = Panel(a_scene, a_slice_view, ToyModel())
    yield panel
    panel.logic.close()


@pytest.fixture
def a_session(a_panel: Panel, a_volume: Any, a_segmentation: Any) -> Panel:
    """A panel where the segment "lesion" is chosen."""
    a_panel.choose(a_volume, a_segmentation, "lesion")
    return a_panel


def test_one_click_finds_the_object_on_its_slice(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    a_session.click(CENTRE)
    assert dice(a_session.logic.mask.T, an_ellipsoid[:, :, CENTRE[2]]) > 0.9
    assert not a_session.segment("lesion").any()


def test_accepting_writes_the_mask_into_the_chosen_segment_on_that_slice_only(
    a_session: Panel, an_ellipsoid: np.ndarray
) -> None:
    a_session.click(CENTRE)
    mask = a_session.logic.mask
    a_session.logic.accept()
    wanted = np.zeros(SHAPE, bool)
    wanted[:, :, CENTRE[2]] = mask.T
    np.testing.assert_array_equal(a_session.segment("lesion"), wanted)
    assert not a_session.segment("organ").any()
    assert dice(a_session.segment("lesion"), only_slice(an_ellipsoid, CENTRE[2])) > 0.9


def test_model_is_loaded_at_the_first_prompt_and_once(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any
) -> None:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    loaded: list[ToyModel] = []
    logic = SegmentationLogic(a_scene, loadModel=lambda *given: loaded.append(ToyModel()) or loaded[-1])
    logic.setTarget(a_volume, a_segmentation, "lesion")
    assert loaded == []
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.volume = a_volume
    for segment_id in ("lesion", "organ"):
        logic.setTarget(a_volume, a_segmentation, segment_id)
        panel.look_at(CENTRE)
        logic.addClick(a_slice_view, panel.world(CENTRE))
    assert len(loaded) == 1
    logic.close()
    panel.logic.close()


def test_source_voxels_stay_as_they_are(a_session: Panel, voxels: np.ndarray) -> None:
    import slicer

    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.propagate()
    a_session.wait()
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(a_session.volume).T, voxels)


@pytest.mark.parametrize("orientation, axis", [("Sagittal", 0), ("Coronal", 1)])
def test_other_orientations_write_their_own_slice(
    a_session: Panel, an_ellipsoid: np.ndarray, orientation: str, axis: int
) -> None:
    a_session.view.SetOrientation(orientation)
    a_session.click(CENTRE)
    a_session.logic.accept()
    filled = np.unique(np.argwhere(a_session.segment("lesion"))[:, axis])
    assert filled.tolist() == [CENTRE[axis]]
    truth = an_ellipsoid & a_session.segment("lesion")
    assert truth.sum() > 0.8 * np.take(an_ellipsoid, CENTRE[axis], axis).sum()


def test_oblique_view_writes_the_voxels_that_its_plane_passes(
    a_panel: Panel, an_oblique_volume: Any, an_ellipsoid: np.ndarray
) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    segmentation = a_panel.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_panel.choose(an_oblique_volume, segmentation, "")
    a_panel.click(CENTRE)
    a_panel.logic.accept()
    segment = a_panel.segment(segmentation.GetSegmentation().GetNthSegmentID(0))
    assert an_ellipsoid[segment].mean() > 0.85
    heights = (ijkToWorld(an_oblique_volume) @ np.column_stack((np.argwhere(segment), np.ones(segment.sum()))).T)[2]
    np.testing.assert_allclose(heights, a_panel.world(CENTRE)[2], atol=1.3)


def test_volume_and_segmentation_under_a_transform_agree(
    a_session: Panel, an_ellipsoid: np.ndarray, put_under_transform: Callable[..., Any]
) -> None:
    import slicer

    turn = matrix_of(rotation(2, 90.0), (5.0, -7.0, 2.5))
    put_under_transform(turn, a_session.volume, a_session.segmentation)
    a_session.click(CENTRE)
    a_session.logic.accept()
    image = a_session.segmentation.GetBinaryLabelmapInternalRepresentation("lesion")
    filled = slicer.util.arrayFromSegmentInternalBinaryLabelmap(a_session.segmentation, "lesion").T > 0
    truth = only_slice(an_ellipsoid, CENTRE[2])[tuple(slice(*limits) for limits in extent_of(image))]
    assert dice(filled, truth) > 0.9


def test_negative_click_takes_away(a_session: Panel) -> None:
    a_session.click(CENTRE)
    before = a_session.logic.mask
    a_session.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    assert before[CENTRE[1], CENTRE[0] + 7]
    assert not a_session.logic.mask[CENTRE[1], CENTRE[0] + 7]


def test_box_gives_a_mask_inside_it(a_session: Panel) -> None:
    a_session.look_at(CENTRE)
    corners = [(CENTRE[0] + sign * 4, CENTRE[1] + sign * 4, CENTRE[2]) for sign in (1, -1)]
    a_session.logic.addBox(a_session.view, *(a_session.world(corner) for corner in corners))
    rows, columns = np.nonzero(a_session.logic.mask)
    for pixels, centre in ((columns, CENTRE[0]), (rows, CENTRE[1])):
        assert centre - 4 <= pixels.min() <= centre - 3
        assert centre + 3 <= pixels.max() <= centre + 4


def outline(panel: Panel, radius: float) -> list[np.ndarray]:
    """A circle around the object's centre, in the world."""
    angles = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    return [
        panel.world((CENTRE[0] + radius * np.cos(angle), CENTRE[1] + radius * np.sin(angle), CENTRE[2]))
        for angle in angles
    ]


def distances(mask: np.ndarray) -> np.ndarray:
    """Of the pixels of a slice's mask from the object's centre."""
    rows, columns = np.nonzero(mask)
    return np.hypot(columns - CENTRE[0], rows - CENTRE[1])


def test_lasso_gives_a_mask_inside_it_as_one_step(a_session: Panel) -> None:
    a_session.click(CENTRE)
    clicked = a_session.logic.mask
    a_session.logic.addLasso(a_session.view, outline(a_session, 5))
    inside = a_session.logic.mask
    assert 4 < distances(inside).max() <= 5
    (node,) = a_session.logic.promptNodes.lassoNodes
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.logic.mask, clicked)
    assert node.GetScene() is None
    a_session.logic.redo()
    np.testing.assert_array_equal(a_session.logic.mask, inside)
    a_session.logic.clearPrompts()
    assert a_session.logic.promptNodes.lassoNodes == []
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.logic.mask, inside)
    assert len(a_session.logic.promptNodes.lassoNodes) == 1


@pytest.mark.parametrize("undone", [False, True])
def test_moved_corner_of_a_lasso_is_answered_afresh(a_session: Panel, undone: bool) -> None:
    a_session.look_at(CENTRE)
    a_session.logic.addLasso(a_session.view, outline(a_session, 5))
    if undone:
        a_session.logic.undo()
        a_session.logic.redo()
    (node,) = a_session.logic.promptNodes.lassoNodes
    assert a_session.logic.mask[CENTRE[1] + 3, CENTRE[0] + 3]
    node.SetNthControlPointPositionWorld(3, *a_session.world((CENTRE[0] + 1, CENTRE[1] + 1, CENTRE[2])))
    node.InvokeEvent(node.PointEndInteractionEvent)
    a_session.catch_up()
    assert not a_session.logic.mask[CENTRE[1] + 3, CENTRE[0] + 3]
    assert a_session.logic.mask[CENTRE[1] - 3, CENTRE[0] - 3]
    node.RemoveNthControlPoint(0)
    a_session.catch_up()
    assert len(a_session.logic.promptNodes.steps(0)[0].lasso.points) == 23


def test_box_that_was_redone_is_answered_afresh_when_it_is_moved(a_session: Panel) -> None:
    a_session.look_at(CENTRE)
    corners = [(CENTRE[0] + sign * 4, CENTRE[1] + sign * 4, CENTRE[2]) for sign in (1, -1)]
    a_session.logic.addBox(a_session.view, *(a_session.world(corner) for corner in corners))
    a_session.logic.undo()
    a_session.logic.redo()
    (node,) = a_session.logic.promptNodes.boxNodes
    node.SetCenterWorld(*np.add(node.GetCenterWorld(), (-0.8 * 3, 0.0, 0.0)))
    node.InvokeEvent(node.PointEndInteractionEvent)
    a_session.catch_up()
    columns = np.nonzero(a_session.logic.mask)[1]
    assert CENTRE[0] - 1 <= columns.min() <= CENTRE[0]


def test_deleted_lasso_is_no_longer_asked(a_session: Panel) -> None:
    a_session.click(CENTRE)
    one = a_session.logic.mask
    a_session.logic.addLasso(a_session.view, outline(a_session, 5))
    a_session.scene.RemoveNode(a_session.logic.promptNodes.lassoNodes[0])
    a_session.catch_up()
    np.testing.assert_array_equal(a_session.logic.mask, one)


@pytest.mark.parametrize("moved", ["", "by a transform"])
def test_saved_scene_brings_the_lasso_back(
    a_session: Panel, tmp_path: Path, put_under_transform: Callable[..., Any], moved: str
) -> None:
    if moved:
        put_under_transform(matrix_of(rotation(1, 30.0), (5.0, -7.0, 2.5)), a_session.volume, a_session.segmentation)
        a_session.view.RotateToVolumePlane(a_session.volume)
    a_session.look_at(CENTRE)
    a_session.logic.addLasso(a_session.view, outline(a_session, 5.25))
    a_session.logic.addScribble(
        a_session.view, [a_session.world((CENTRE[0] + x, CENTRE[1], CENTRE[2])) for x in (-3, -1)]
    )
    mask = a_session.logic.mask
    other = save_and_reload(a_session, tmp_path)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, mask)
    (node,) = other.logic.promptNodes.lassoNodes
    node.SetNthControlPointPositionWorld(0, *other.world((CENTRE[0] + 1, CENTRE[1], CENTRE[2])))
    node.InvokeEvent(node.PointEndInteractionEvent)
    other.catch_up()
    assert mask[CENTRE[1], CENTRE[0] + 4] and not other.logic.mask[CENTRE[1], CENTRE[0] + 4]
    other.logic.close()


@pytest.mark.parametrize("shape", ["box", "lasso", "scribble"])
def test_drawn_prompts_on_an_oblique_slice(a_session: Panel, an_ellipsoid: np.ndarray, shape: str) -> None:
    import slicer
    import vtk

    turn = vtk.vtkTransform()
    turn.Translate(*a_session.world(CENTRE))
    turn.RotateX(35.0)
    turn.RotateZ(20.0)
    a_session.view.GetSliceToRAS().DeepCopy(turn.GetMatrix())
    a_session.view.UpdateMatrices()
    toWorld = slicer.util.arrayFromVTKMatrix(turn.GetMatrix())
    drawn = [(toWorld @ (10 * x, 10 * y, 0, 1))[:3] for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    if shape == "box":
        a_session.logic.addBox(a_session.view, *drawn)
    elif shape == "lasso":
        a_session.logic.addLasso(a_session.view, drawn)
    else:
        a_session.logic.addScribble(a_session.view, [(toWorld @ (x, 0, 0, 1))[:3] for x in range(-3, 4)])
    plane = a_session.logic.activePlane
    assert plane.axis is None
    a_session.logic.accept()
    found = a_session.segment("lesion")
    assert found[CENTRE]
    assert (found & an_ellipsoid).sum() > 0.85 * found.sum()
    depths = ((np.argwhere(found) - CENTRE) * (-0.8, -0.9, 2.5)) @ toWorld[:3, 2]
    assert np.abs(depths).max() < 2.5


def test_scribble_is_one_step(a_session: Panel) -> None:
    a_session.look_at(CENTRE)
    stroke = [a_session.world((CENTRE[0] + step, CENTRE[1], CENTRE[2])) for step in range(-4, 5)]
    a_session.logic.addScribble(a_session.view, stroke)
    assert a_session.count_points()[0] > 1
    a_session.logic.undo()
    assert a_session.count_points() == (0, 0)
    assert a_session.logic.mask is None


def test_refused_prompt_changes_nothing(a_session: Panel) -> None:
    with pytest.raises(PromptError):
        a_session.click(CENTRE, positive=False)
    assert a_session.count_points() == (0, 0)
    assert not a_session.logic.canUndo
    with pytest.raises(PromptError, match="no plane has a prompt"):
        a_session.logic.accept()


def test_click_outside_the_volume_is_refused(a_session: Panel) -> None:
    with pytest.raises(PromptError, match="you clicked outside the volume: nothing has changed"):
        a_session.click((SHAPE[0] + 5, 0, CENTRE[2]))


def test_click_in_a_3d_view_is_refused(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    with pytest.raises(SceneError, match="in slice views"):
        a_session.logic.addClick(None, a_session.world(CENTRE))


def test_mask_is_shown_until_it_is_accepted(a_session: Panel) -> None:
    a_session.click(CENTRE)
    preview = a_session.scene.GetFirstNodeByName("Preview")
    assert preview.GetDisplayNode().GetVisibility()
    shown = preview.GetBinaryLabelmapInternalRepresentation("preview")
    assert shown.GetScalarRange() == (0, 1)
    a_session.logic.accept()
    assert not preview.GetDisplayNode().GetVisibility()


def test_undo_takes_back_prompts_and_acceptances_in_order(a_session: Panel) -> None:
    a_session.click(CENTRE)
    one = a_session.logic.mask
    a_session.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    two = a_session.logic.mask
    a_session.logic.accept()
    a_session.logic.undo()
    assert not a_session.segment("lesion").any()
    np.testing.assert_array_equal(a_session.logic.mask, two)
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.logic.mask, one)
    assert a_session.count_points() == (1, 0)
    a_session.logic.undo()
    assert a_session.count_points() == (0, 0)
    assert not a_session.logic.canUndo
    for _ in range(3):
        a_session.logic.redo()
    assert a_session.count_points() == (1, 1)
    np.testing.assert_array_equal(a_session.segment("lesion")[:, :, CENTRE[2]].T, two)


def test_more_acceptances_than_slicer_keeps_are_undone_as_far_as_it_goes(a_session: Panel) -> None:
    filled = []
    for index in range(SHAPE[2]):
        a_session.click((CENTRE[0], CENTRE[1], index))
        a_session.logic.accept()
        filled.append(a_session.segment("lesion").sum())
    while a_session.logic.canUndo:
        a_session.logic.undo()
    left = len(np.unique(np.argwhere(a_session.segment("lesion"))[:, 2]))
    assert 0 < left < SHAPE[2] - 5
    assert a_session.segment("lesion").sum() == filled[left - 1]
    assert a_session.count_points() == (left, 0)  # what stays in the segment keeps its clicks
    assert len(list(accepted_masks(a_session))) == left


def test_second_acceptance_replaces_the_first_on_that_slice(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion")[:, :, CENTRE[2]].T, a_session.logic.mask)
    assert not a_session.segment("lesion")[CENTRE[0] + 7, CENTRE[1], CENTRE[2]]


def test_what_was_painted_by_hand_stays(a_session: Panel) -> None:

    painted = np.zeros(SHAPE, np.uint8)
    painted[1:4, 1:4, CENTRE[2]] = 1
    paint(a_session, painted)
    a_session.click(CENTRE)
    a_session.logic.accept()
    assert a_session.segment("lesion")[1:4, 1:4, CENTRE[2]].all()
    assert a_session.segment("lesion")[CENTRE]


def test_painting_by_hand_after_acceptance_ends_undo_of_it(a_session: Panel) -> None:

    a_session.click(CENTRE)
    a_session.logic.accept()
    painted = a_session.segment("lesion")
    painted[1:4, 1:4, 2] = True
    paint(a_session, painted)
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), painted)
    assert a_session.count_points() == (1, 0)  # what stays in the segment keeps its clicks


def test_cleared_prompts_leave_room_for_a_further_part(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    first = a_session.segment("lesion")
    a_session.logic.clearPrompts()
    assert a_session.count_points() == (0, 0)
    a_session.click(OTHER_CENTRE)
    a_session.logic.accept()
    both = a_session.segment("lesion")
    assert (both & first).sum() == first.sum()
    assert both[OTHER_CENTRE]
    for _ in range(3):
        a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), first)
    assert a_session.count_points() == (1, 0)


def test_undone_clearing_keeps_the_parts_that_were_there_before(a_session: Panel) -> None:
    for voxel in (CENTRE, OTHER_CENTRE):
        a_session.click(voxel)
        a_session.logic.accept()
        a_session.logic.clearPrompts()
    a_session.logic.undo()
    assert a_session.logic.mask[CENTRE[1], CENTRE[0]]
    assert a_session.logic.mask[OTHER_CENTRE[1], OTHER_CENTRE[0]]


def test_undone_box_brings_the_earlier_one_back(a_session: Panel) -> None:
    a_session.look_at(CENTRE)
    for half in (4, 6):
        corners = [(CENTRE[0] + sign * half, CENTRE[1] + sign * half, CENTRE[2]) for sign in (1, -1)]
        a_session.logic.addBox(a_session.view, *(a_session.world(corner) for corner in corners))
    a_session.logic.undo()
    boxes = [action.box for action in a_session.logic.promptNodes.steps(0)]
    assert [(box.x0, box.x1) for box in boxes] == [pytest.approx((CENTRE[0] - 4, CENTRE[0] + 4))]
    a_session.logic.redo()
    boxes = [action.box for action in a_session.logic.promptNodes.steps(0)]
    assert [(box.x0, box.x1) for box in boxes] == [pytest.approx((CENTRE[0] - 6, CENTRE[0] + 6))]


def test_undone_acceptance_can_be_accepted_again(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    assert a_session.logic.isAccepted
    accepted = a_session.segment("lesion")
    a_session.logic.undo()
    assert not a_session.logic.isAccepted
    assert list(accepted_masks(a_session)) == []
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion"), accepted)


def test_segments_keep_their_own_prompts_and_masks(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    lesion = a_session.segment("lesion")
    points = a_session.points()
    a_session.choose(a_session.volume, a_session.segmentation, "organ")
    assert a_session.count_points() == (0, 0)
    assert not points.GetDisplayVisibility()
    a_session.click(OTHER_CENTRE)
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion)
    assert a_session.segment("organ")[OTHER_CENTRE]
    a_session.choose(a_session.volume, a_session.segmentation, "lesion")
    assert a_session.count_points() == (1, 0)
    assert points.GetDisplayVisibility()


def test_undo_follows_the_segments_back(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.choose(a_session.volume, a_session.segmentation, "organ")
    a_session.click(OTHER_CENTRE)
    a_session.logic.accept()
    for _ in range(3):
        a_session.logic.undo()
    assert not a_session.segment("lesion").any()
    assert not a_session.segment("organ").any()
    assert a_session.logic.promptNodes.segmentID == "lesion"
    assert a_session.count_points() == (1, 0)
    a_session.logic.accept()
    assert a_session.segment("lesion")[CENTRE]
    assert not a_session.segment("organ").any()


def test_new_segment_is_added_on_request(a_session: Panel) -> None:
    a_session.logic.setTarget(a_session.volume, a_session.segmentation)
    assert a_session.segmentation.GetSegmentation().GetNumberOfSegments() == 3
    a_session.click(CENTRE)
    a_session.logic.accept()
    assert a_session.segment(a_session.logic.promptNodes.segmentID)[CENTRE]
    assert not a_session.segment("lesion").any()


def test_segment_can_be_added_without_choosing_it(a_session: Panel) -> None:
    segment_id = a_session.logic.addSegment(a_session.volume, a_session.segmentation)
    assert a_session.segmentation.GetSegmentation().GetNumberOfSegments() == 3
    assert a_session.logic.promptNodes.segmentID == "lesion"
    a_session.choose(a_session.volume, a_session.segmentation, segment_id)
    a_session.click(CENTRE)
    a_session.logic.accept()
    assert a_session.segment(segment_id)[CENTRE]


@pytest.mark.parametrize("bent", ["volume", "segmentation"])
@pytest.mark.parametrize("segment_id", ["", "organ"])
def test_refused_choice_changes_nothing(
    a_session: Panel, bend: Callable[..., None], bent: str, segment_id: str
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_session.click(CENTRE)
    a_session.logic.accept()
    bend(getattr(a_session, bent))
    nodes = a_session.scene.GetNumberOfNodes()
    with pytest.raises(SceneError, match="under the non-linear transform 'Bend'"):
        a_session.logic.setTarget(a_session.volume, a_session.segmentation, segment_id)
    assert a_session.scene.GetNumberOfNodes() == nodes
    assert a_session.segmentation.GetSegmentation().GetSegmentIDs() == ("lesion", "organ")
    assert a_session.logic.promptNodes.segmentID == a_session.logic.editorNode.GetSelectedSegmentID() == "lesion"
    getattr(a_session, bent).SetAndObserveTransformNodeID(None)
    assert a_session.segment("lesion").any()
    a_session.logic.undo()
    assert not a_session.segment("lesion").any()


def test_click_on_a_voxel_that_has_one_of_the_other_sign_is_refused(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.click(OTHER_CENTRE, positive=False)
    mask = a_session.logic.mask
    told = "One voxel cannot be on the object and on the background. Leave one out."
    with pytest.raises(PromptError, match=f"^{told}$"):
        a_session.click((CENTRE[0] + 0.3, *CENTRE[1:]), positive=False)
    with pytest.raises(PromptError, match=f"^{told}$"):
        a_session.logic.addScribble(a_session.view, [a_session.world(voxel) for voxel in (CENTRE, OTHER_CENTRE)])
    a_session.place(CENTRE, positive=False)
    assert a_session.messages == [told]
    assert a_session.count_points() == (1, 1)
    np.testing.assert_array_equal(a_session.logic.mask, mask)
    a_session.click((CENTRE[0], CENTRE[1], CENTRE[2] + 1), positive=True)
    a_session.click((CENTRE[0] + 1, CENTRE[1], CENTRE[2] + 1), positive=False)
    assert a_session.count_points() == (2, 2)


def test_point_that_is_dragged_onto_one_of_the_other_sign_is_told(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.click(OTHER_CENTRE, positive=False)
    node = a_session.points(positive=False)
    node.SetNthControlPointPositionWorld(0, *a_session.world(CENTRE))
    node.InvokeEvent(node.PointEndInteractionEvent)
    a_session.catch_up()
    assert a_session.messages == ["One voxel cannot be on the object and on the background. Leave one out."]


def test_click_in_padding_is_told(a_panel: Panel, make_volume: Callable[..., Any], voxels: np.ndarray) -> None:
    padded = voxels.copy()
    padded[:6] = padded[-6:] = padded[:, :6] = -3024
    a_panel.choose(make_volume(padded), a_panel.scene.AddNewNodeByClass("vtkMRMLSegmentationNode"), "")
    a_panel.click(CENTRE)
    a_panel.click((2, 20, CENTRE[2]), positive=False)
    assert a_panel.messages == []
    a_panel.click((3, 20, CENTRE[2]))
    assert a_panel.messages == ["This voxel is padding (-3024), outside of what was measured."]
    a_panel.logic.addScribble(a_panel.view, [a_panel.world((i, 3, CENTRE[2])) for i in range(8, 30)])
    assert len(a_panel.messages) == 2 and a_panel.messages[0] == a_panel.messages[1]


def test_segment_editor_masking_holds(a_session: Panel, voxels: np.ndarray) -> None:
    node = a_session.logic.editorNode
    node.SourceVolumeIntensityMaskOn()
    node.SetSourceVolumeIntensityMaskRange(500, 2000)
    a_session.click(CENTRE)
    mask = a_session.logic.mask.T
    isBright = voxels[:, :, CENTRE[2]] >= 500
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion")[:, :, CENTRE[2]], mask & isBright)
    left_out = (mask & ~isBright).sum()
    assert 20 < left_out < mask.sum() - 20
    told = f"Left out: {left_out} voxels outside of what Masking in the Segment Editor lets change."
    assert a_session.messages == [told]
    labels = a_session.logic._requireTarget().session.labelmap[:, :, CENTRE[2]] > 0
    np.testing.assert_array_equal(labels, mask & isBright)
    assert a_session.logic.isAccepted


def test_mask_that_segment_editor_masking_lets_nothing_of_be_written_is_refused(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.undo()
    node = a_session.logic.editorNode
    node.SourceVolumeIntensityMaskOn()
    node.SetSourceVolumeIntensityMaskRange(1000, 2000)
    count = a_session.logic.mask.sum()
    with pytest.raises(SceneError, match=f"nothing of the mask can be written. Left out: {count} voxels outside of"):
        a_session.logic.accept()
    assert not a_session.segment("lesion").any()
    assert not a_session.logic.isAccepted
    node.SourceVolumeIntensityMaskOff()
    a_session.logic.redo()
    assert a_session.segment("lesion").sum() == count


def test_propagation_fills_the_object_and_nothing_else(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.propagate()
    assert a_session.logic.isPropagating
    a_session.wait()
    assert dice(a_session.segment("lesion"), an_ellipsoid) > 0.85
    assert a_session.logic.progress == (0, 0)
    a_session.logic.undo()
    filled = np.unique(np.argwhere(a_session.segment("lesion"))[:, 2])
    assert filled.tolist() == [CENTRE[2]]
    a_session.logic.redo()
    assert dice(a_session.segment("lesion"), an_ellipsoid) > 0.85


def test_propagating_a_mask_that_is_not_accepted_is_one_step_of_undo(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.ViewModel import stepState

    a_session.click(CENTRE)
    a_session.logic.accept()
    first = a_session.segment("lesion")
    a_session.click(OTHER_CENTRE)
    mask = a_session.logic.mask.T
    a_session.logic.propagate()
    np.testing.assert_array_equal(a_session.segment("lesion")[:, :, CENTRE[2]], mask)
    a_session.wait()
    propagated = a_session.segment("lesion")
    assert propagated[:, :, CENTRE[2] + 1].any()
    for _ in range(2):
        a_session.logic.undo()
        np.testing.assert_array_equal(a_session.segment("lesion"), first)
        np.testing.assert_array_equal(a_session.logic.mask.T, mask)
        assert not a_session.logic.isAccepted
        assert stepState(a_session.logic.nextSteps[1]).kind.name == "PROPAGATE"
        a_session.logic.redo()
        np.testing.assert_array_equal(a_session.segment("lesion"), propagated)
        assert not a_session.logic.canRedo
    a_session.logic.undo()
    a_session.logic.undo()  # the second click
    a_session.logic.undo()
    assert not a_session.segment("lesion").any()


def test_accepted_masks_outlive_a_point_list_that_was_removed(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    a_session.scene.RemoveNode(a_session.points())
    a_session.catch_up()
    assert not a_session.logic.hasTarget
    a_session.choose(a_session.volume, a_session.segmentation, "lesion")
    a_session.click((*CENTRE[:2], CENTRE[2] + 1))
    np.testing.assert_array_equal(a_session.logic._target.session.labelmap > 0, accepted)
    assert a_session.count_points() == (1, 0)


def test_outside_edit_ends_undo_before_anything_else_is_asked(a_session: Panel) -> None:
    import slicer

    a_session.click(CENTRE)
    a_session.logic.accept()
    painted = np.zeros(SHAPE, np.uint8)
    painted[OTHER_CENTRE] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted.T, a_session.segmentation, "organ", a_session.volume)
    assert a_session.logic._history.next is None
    before = a_session.segment("lesion")
    with pytest.raises(PromptError, match="outside"):
        a_session.click((CENTRE[0], -5, CENTRE[2]))
    np.testing.assert_array_equal(a_session.segment("lesion"), before)


def test_single_slice_image_has_nowhere_to_propagate_to(
    a_panel: Panel, make_volume: Callable[..., Any], voxels: np.ndarray
) -> None:
    segmentation = a_panel.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_panel.choose(make_volume(voxels[:, :, CENTRE[2] : CENTRE[2] + 1]), segmentation, "")
    a_panel.click((CENTRE[0], CENTRE[1], 0))
    a_panel.logic.propagate()
    a_panel.wait()
    assert "no further slice" in a_panel.messages[-1]
    assert a_panel.segment(a_panel.logic.promptNodes.segmentID)[CENTRE[0], CENTRE[1], 0]
    a_panel.logic.undo()
    assert not a_panel.segment(a_panel.logic.promptNodes.segmentID).any()


def test_colour_image_is_segmented_too(a_panel: Panel, voxels: np.ndarray, an_ellipsoid: np.ndarray) -> None:
    import slicer

    node = a_panel.scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    colour = np.stack([np.clip(voxels, 0, 500) // 2] * 3, axis=-1).astype(np.uint8)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(colour.transpose(2, 1, 0, 3)))
    segmentation = a_panel.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_panel.choose(node, segmentation, "")
    a_panel.click(CENTRE)
    a_panel.logic.accept()
    segment = a_panel.segment(a_panel.logic.promptNodes.segmentID)
    assert dice(segment, only_slice(an_ellipsoid, CENTRE[2])) > 0.9


def test_propagation_starts_from_what_was_corrected_by_hand(a_session: Panel) -> None:

    painted = np.zeros(SHAPE, np.uint8)
    painted[CENTRE[0] - 3 : CENTRE[0] + 4, CENTRE[1] - 3 : CENTRE[1] + 4, CENTRE[2]] = 1
    paint(a_session, painted)
    a_session.look_at(CENTRE)
    a_session.logic.propagate(a_session.view)
    a_session.wait()
    segment = a_session.segment("lesion")
    np.testing.assert_array_equal(segment[:, :, CENTRE[2]], painted[:, :, CENTRE[2]] > 0)
    assert segment[CENTRE[0], CENTRE[1], CENTRE[2] + 1]


def test_propagation_gives_up_what_an_earlier_one_had_written_on_its_slices() -> None:
    from InteractiveAdaptSegLib.Propagating import propagationBlocks

    before, after = np.zeros((2, *SHAPE), bool)
    before[3:9, 3:9, 4:8] = True
    after[3:9, 3:9, 4] = True
    after[5:7, 5:7, 5:8] = True
    lost = np.argwhere(before & ~after)
    add, remove = propagationBlocks(after.astype(np.uint8), lost, axis=2, reached=[5, 7])
    assert (add.origin, add.mask.shape) == ((5, 5, 5), (2, 2, 3))
    assert add.mask.sum(axis=(0, 1)).tolist() == [4, 0, 4]
    assert (remove.origin, remove.mask.shape) == ((3, 3, 5), (6, 6, 3))
    assert remove.mask.sum() == 3 * (36 - 4)


def test_propagation_that_ends_earlier_takes_the_tail_of_the_one_before_out_of_the_segment(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.propagate()
    a_session.wait()
    before = a_session.segment("lesion")
    session = a_session.logic._requireTarget().session
    propagate = session.propagate
    session.propagate = lambda axis, index, **options: propagate(
        axis, index, policy=PropagationPolicy(min_area_ratio=1e3), **options
    )
    a_session.logic.propagate()
    a_session.wait()
    np.testing.assert_array_equal(a_session.segment("lesion"), only_slice(before, CENTRE[2]))
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), before)
    np.testing.assert_array_equal(session.labelmap > 0, before)


def test_acceptance_and_propagation_that_change_nothing_are_undone_alone(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.propagate()
    a_session.wait()
    session = a_session.logic._requireTarget().session
    labels, steps = session.labelmap.copy(), session.steps
    a_session.logic.accept()
    a_session.logic.undo()
    a_session.logic.propagate()
    a_session.wait()
    a_session.logic.undo()
    assert session.steps == steps
    np.testing.assert_array_equal(session.labelmap, labels)
    np.testing.assert_array_equal(a_session.segment("lesion"), labels > 0)


def test_undone_click_is_redone_on_a_plane_that_began_anew(a_session: Panel) -> None:
    a_session.click(CENTRE)
    geometry, mask = a_session.logic.activePlane, a_session.logic.mask
    a_session.logic.undo()
    target = a_session.logic._requireTarget()
    target.session.accept(axis_plane(SHAPE, 2, 0), np.zeros(SHAPE[1::-1], bool))
    target.session.plane(geometry)
    a_session.logic.redo()
    np.testing.assert_array_equal(a_session.logic.mask, mask)
    assert a_session.logic.mask.any()


def test_propagation_accepts_the_mask_it_starts_from(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.propagate()
    a_session.wait()
    assert a_session.segment("lesion")[CENTRE]
    a_session.logic.undo()
    a_session.logic.undo()
    assert not a_session.segment("lesion").any()


def test_cancelled_propagation_keeps_what_was_done(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    planes = a_session.model.encoded
    a_session.logic.propagate()
    a_session.logic.cancelPropagation()
    a_session.wait()
    assert not a_session.logic.isPropagating
    assert a_session.segment("lesion").sum() < an_ellipsoid.sum()
    assert a_session.segment("lesion")[CENTRE]
    assert a_session.model.encoded - planes < SHAPE[2]


def test_propagation_that_breaks_down_leaves_no_trace(a_session: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*arguments: object) -> Decoding:
        raise MemoryError("the graphics card is full")

    a_session.click(CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    painted = accepted.copy()
    painted[1:4, 1:4, CENTRE[2]] = True
    paint(a_session, painted)
    target = a_session.logic._requireTarget()
    steps, labels = target.session.steps, target.session.labelmap.copy()
    changes: list[bool] = []
    monkeypatch.setattr(a_session.logic, "_onChanged", lambda: changes.append(a_session.logic.isPropagating))
    monkeypatch.setattr(a_session.model, "decode", decode)
    a_session.logic.propagate()
    with pytest.raises(MemoryError, match="the graphics card is full"):
        a_session.wait()
    assert changes[-1] is False
    assert target.session.steps == steps
    np.testing.assert_array_equal(target.session.labelmap, labels)
    np.testing.assert_array_equal(a_session.segment("lesion"), painted)


def test_propagation_that_cannot_be_written_leaves_no_trace(a_session: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    def write(*arguments: object, **options: object) -> None:
        raise MemoryError("the memory is full")

    a_session.click(CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    session = a_session.logic._requireTarget().session
    a_session.logic.propagate()
    monkeypatch.setattr(SegmentWriter, "write", write)
    with pytest.raises(MemoryError, match="the memory is full"):
        a_session.wait()
    np.testing.assert_array_equal(session.labelmap > 0, accepted)
    a_session.logic.undo()
    assert not session.labelmap.any()


def test_session_that_does_not_close_is_let_go_of_all_the_same(
    a_session: Panel, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_session.click(CENTRE)
    a_session.choose(a_session.volume, a_session.segmentation, "organ")
    a_session.click(CENTRE)
    first, second = a_session.logic._targets.values()
    end_first, end_second = first.session.close, second.session.close
    closed: list[str] = []

    def close() -> None:
        end_first()
        raise RuntimeError("an error in the background")

    monkeypatch.setattr(first.session, "close", close)
    monkeypatch.setattr(second.session, "close", lambda: closed.append("second") or end_second())
    points = a_session.points()
    with pytest.raises(RuntimeError, match="an error in the background"):
        a_session.logic.close()
    assert closed == ["second"]
    assert not a_session.logic.hasTarget
    assert a_session.logic.mask is None
    assert not a_session.logic.canUndo
    assert a_session.scene.GetFirstNodeByName("Preview") is None
    points.AddControlPointWorld(0.0, 0.0, 0.0)
    assert a_session.later == []


def test_nothing_else_is_done_during_a_propagation(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.propagate()
    with pytest.raises(SceneError, match="propagation is under way"):
        a_session.click(CENTRE)
    assert not a_session.logic.canUndo
    a_session.wait()
    assert a_session.logic.canUndo


def test_point_moved_during_a_propagation_is_answered_after_it(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.propagate()
    a_session.points().SetNthControlPointPositionWorld(0, *(float(v) for v in a_session.world(OTHER_CENTRE)))
    a_session.points().InvokeEvent(a_session.points().PointEndInteractionEvent)
    a_session.catch_up()
    a_session.wait()
    assert dice(a_session.segment("lesion"), an_ellipsoid) > 0.85
    assert a_session.logic.mask[OTHER_CENTRE[1], OTHER_CENTRE[0]]


def test_placing_a_point_during_a_propagation_is_refused_and_does_not_disturb_it(
    a_session: Panel, an_ellipsoid: np.ndarray
) -> None:
    a_session.click(CENTRE)
    a_session.logic.propagate()
    a_session.place(OTHER_CENTRE)
    a_session.wait()
    assert a_session.count_points() == (1, 0)
    assert "propagation is under way" in a_session.messages[-1]
    assert dice(a_session.segment("lesion"), an_ellipsoid) > 0.85


def test_propagation_of_an_oblique_plane_is_refused(a_panel: Panel, an_oblique_volume: Any) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    segmentation = a_panel.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_panel.choose(an_oblique_volume, segmentation, "")
    a_panel.click(CENTRE)
    with pytest.raises(SceneError, match="along the volume's axes"):
        a_panel.logic.propagate()


def test_empty_slice_cannot_be_propagated(a_session: Panel) -> None:
    a_session.look_at(CENTRE)
    with pytest.raises(PromptError, match="empty on slice 6"):
        a_session.logic.propagate(a_session.view)


def test_point_placed_in_a_view_becomes_a_click(a_session: Panel, an_ellipsoid: np.ndarray) -> None:
    a_session.place(CENTRE)
    assert dice(a_session.logic.mask.T, an_ellipsoid[:, :, CENTRE[2]]) > 0.9
    a_session.logic.undo()
    assert a_session.count_points() == (0, 0)
    a_session.logic.redo()
    assert a_session.count_points() == (1, 0)


def test_point_placed_outside_of_slice_views_is_taken_back_with_a_message(a_session: Panel) -> None:
    a_session.points().AddControlPointWorld(1.0, 2.0, 3.0)
    a_session.catch_up()
    assert a_session.count_points() == (0, 0)
    assert "in slice views" in a_session.messages[-1]


def test_dragged_point_is_answered_where_it_is_now(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.points().SetNthControlPointPositionWorld(0, *(float(v) for v in a_session.world(OTHER_CENTRE)))
    a_session.points().InvokeEvent(a_session.points().PointEndInteractionEvent)
    a_session.catch_up()
    assert a_session.logic.mask[OTHER_CENTRE[1], OTHER_CENTRE[0]]
    assert not a_session.logic.mask[CENTRE[1], CENTRE[0]]
    assert not a_session.logic.canUndo


def test_point_deleted_in_the_markups_module_is_no_longer_asked(a_session: Panel) -> None:
    a_session.click(CENTRE)
    one = a_session.logic.mask
    a_session.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    a_session.points(False).RemoveNthControlPoint(0)
    a_session.catch_up()
    np.testing.assert_array_equal(a_session.logic.mask, one)


def test_prompts_follow_the_volume_under_a_transform(a_session: Panel, put_under_transform: Callable[..., Any]) -> None:
    a_session.click(CENTRE)
    put_under_transform(matrix_of(rotation(2, 40.0), (30.0, 0.0, 0.0)), a_session.volume, a_session.segmentation)
    steps = a_session.logic.promptNodes.steps(0)
    assert (steps[0].clicks[0].x, steps[0].clicks[0].y) == pytest.approx(CENTRE[:2], abs=1e-6)
    position = a_session.points().GetNthControlPointPositionWorld(0)
    np.testing.assert_allclose([position[axis] for axis in range(3)], a_session.world(CENTRE), atol=1e-6)
    a_session.volume.HardenTransform()
    steps = a_session.logic.promptNodes.steps(0)
    assert (steps[0].clicks[0].x, steps[0].clicks[0].y) == pytest.approx(CENTRE[:2], abs=1e-6)


def test_window_of_the_display_reaches_the_model(a_session: Panel) -> None:
    display = a_session.volume.GetScalarVolumeDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(600, 250)
    a_session.click(CENTRE)
    assert a_session.logic.mask.mean() < 0.3
    display.SetWindowLevel(2, -1000)
    a_session.click((CENTRE[0] + 1, CENTRE[1], CENTRE[2]))
    assert a_session.logic.mask.mean() > 0.9


def test_volume_that_keeps_its_voxels_keeps_its_session(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.volume.SetName("renamed")
    a_session.volume.SetOrigin(1.0, 2.0, 3.0)
    a_session.catch_up()
    assert a_session.logic.canUndo
    assert a_session.logic.mask[CENTRE[1], CENTRE[0]]


@pytest.mark.parametrize("role", ["volume", "segmentation", "points", "prompts"])
def test_deleted_node_ends_the_work_with_a_message(a_session: Panel, role: str) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_session.click(CENTRE)
    nodes = {
        "volume": a_session.volume,
        "segmentation": a_session.segmentation,
        "points": a_session.points(),
        "prompts": a_session.logic.promptNodes.node,
    }
    a_session.scene.RemoveNode(nodes[role])
    a_session.catch_up()
    assert "was removed" in a_session.messages[-1]
    assert not a_session.logic.hasTarget
    assert a_session.logic.mask is None
    assert not a_session.logic.canUndo
    with pytest.raises(SceneError, match="nothing is chosen"):
        a_session.logic.addClick(a_session.view, (0.0, 0.0, 0.0))


def test_volume_deleted_during_a_propagation_ends_it(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.propagate()
    a_session.scene.RemoveNode(a_session.volume)
    assert not a_session.logic.isPropagating
    assert not a_session.logic.update()


def test_segment_deleted_during_the_work_ends_it(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.segmentation.GetSegmentation().RemoveSegment("lesion")
    a_session.catch_up()
    assert not a_session.logic.hasTarget
    assert "segment" in a_session.messages[-1]
    a_session.choose(a_session.volume, a_session.segmentation, "organ")
    a_session.click(CENTRE)
    a_session.logic.accept()
    assert a_session.segment("organ")[CENTRE]


def test_deleted_box_is_no_longer_asked(a_session: Panel) -> None:
    a_session.click(CENTRE)
    one = a_session.logic.mask
    corners = [(CENTRE[0] + sign * 4, CENTRE[1] + sign * 4, CENTRE[2]) for sign in (1, -1)]
    a_session.logic.addBox(a_session.view, *(a_session.world(corner) for corner in corners))
    a_session.scene.RemoveNode(a_session.logic.promptNodes.boxNodes[0])
    a_session.catch_up()
    np.testing.assert_array_equal(a_session.logic.mask, one)


def test_scene_can_be_closed_at_any_moment(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.propagate()
    a_session.scene.Clear(False)
    assert not a_session.logic.isPropagating
    assert not a_session.logic.hasTarget
    assert not a_session.logic.update()
    assert not a_session.logic.canUndo


def test_closing_the_logic_keeps_prompts_and_segments_and_takes_the_preview_away(a_session: Panel) -> None:
    a_session.click(CENTRE)
    prompts = a_session.logic.promptNodes
    a_session.logic.close()
    assert prompts.isComplete
    assert a_session.scene.GetFirstNodeByName("Preview") is None
    prompts.pointNodes[0].AddControlPointWorld(0.0, 0.0, 0.0)
    assert a_session.later == []


def test_work_goes_on_in_a_new_scene(
    a_session: Panel, make_volume: Callable[..., Any], an_ellipsoid: np.ndarray
) -> None:
    a_session.click(CENTRE)
    a_session.scene.Clear(False)
    view = a_session.scene.CreateNodeByClass("vtkMRMLSliceNode")
    view.UnRegister(None)
    view.SetLayoutName("Red")
    a_session.view = a_session.scene.AddNode(view)
    a_session.view.SetOrientation("Axial")
    segmentation = a_session.scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    a_session.choose(make_volume(), segmentation, "")
    a_session.click(CENTRE)
    a_session.logic.propagate()
    a_session.wait()
    assert dice(a_session.segment(a_session.logic.promptNodes.segmentID), an_ellipsoid) > 0.85


def test_saved_scene_brings_the_prompts_back_and_work_goes_on(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    a_session.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    mask = a_session.logic.mask
    other = save_and_reload(a_session, tmp_path)
    assert other.count_points() == (1, 1)
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, mask)
    other.logic.accept()
    np.testing.assert_array_equal(other.segment("lesion")[:, :, CENTRE[2]].T, mask)
    other.logic.propagate()
    other.wait()
    assert other.segment("lesion")[CENTRE[0], CENTRE[1], CENTRE[2] + 1]
    other.logic.close()


def test_saved_scene_brings_boxes_and_accepted_planes_back(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    corners = [(CENTRE[0] + sign * 4.5, CENTRE[1] + sign * 3.5, CENTRE[2]) for sign in (1, -1)]
    a_session.logic.addBox(a_session.view, *(a_session.world(corner) for corner in corners))
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    other = save_and_reload(a_session, tmp_path)
    box = other.logic.promptNodes.steps(0)[1].box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx(
        (CENTRE[0] - 4.5, CENTRE[1] - 3.5, CENTRE[0] + 4.5, CENTRE[1] + 3.5), abs=1e-3
    )
    np.testing.assert_array_equal(other.segment("lesion"), accepted)
    other.click((CENTRE[0], CENTRE[1], CENTRE[2] + 1))
    other.logic.propagate()
    other.wait()
    np.testing.assert_array_equal(other.segment("lesion")[:, :, CENTRE[2]], accepted[:, :, CENTRE[2]])
    other.logic.close()


def test_saved_scene_keeps_the_parts_whose_prompts_were_cleared(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    first = a_session.segment("lesion")
    a_session.logic.clearPrompts()
    a_session.click(OTHER_CENTRE)
    both = a_session.logic.mask
    other = save_and_reload(a_session, tmp_path)
    assert other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, both)
    other.logic.accept()
    assert other.segment("lesion")[first].all()
    assert other.segment("lesion")[OTHER_CENTRE]
    other.logic.close()


def test_part_that_was_accepted_after_a_clearing_can_still_be_corrected_in_a_saved_scene(
    a_session: Panel, tmp_path: Path
) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    first = a_session.segment("lesion")
    a_session.logic.clearPrompts()
    a_session.click(OTHER_CENTRE)
    a_session.logic.accept()
    corner = (OTHER_CENTRE[0] + 2, OTHER_CENTRE[1] + 2, OTHER_CENTRE[2])
    assert a_session.segment("lesion")[corner]
    other = save_and_reload(a_session, tmp_path)
    other.click(corner, positive=False)
    other.logic.accept()
    assert not other.segment("lesion")[corner]
    assert other.segment("lesion")[first].all()
    other.logic.close()


def test_undone_clearing_is_not_taken_up_again_from_a_saved_scene(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.clearPrompts()
    a_session.logic.undo()
    other = save_and_reload(a_session, tmp_path)
    edge = (CENTRE[0] + 7, CENTRE[1], CENTRE[2])
    assert other.segment("lesion")[edge]
    other.click(edge, positive=False)
    other.logic.accept()
    assert not other.segment("lesion")[edge]
    other.logic.close()


def test_redone_clearing_is_taken_up_again_from_a_saved_scene(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    first = a_session.segment("lesion")
    a_session.logic.clearPrompts()
    a_session.logic.undo()
    a_session.logic.redo()
    other = save_and_reload(a_session, tmp_path)
    other.click(OTHER_CENTRE)
    other.logic.accept()
    assert other.segment("lesion")[first].all()
    other.logic.close()


def test_cleared_parts_stay_when_the_voxels_change(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.logic.clearPrompts()
    a_session.click(OTHER_CENTRE)
    both = a_session.logic.mask
    a_session.volume.GetImageData().Modified()
    a_session.catch_up()
    assert a_session.logic.showPlane(a_session.view)
    np.testing.assert_array_equal(a_session.logic.mask, both)


class GrowingModel(ToyModel):
    """Adds a rim to what it answered before."""

    def decode(self, embedding: Embedding, prompts: Prompts, prior_logits: torch.Tensor | None = None) -> Decoding:
        decoding = super().decode(embedding, prompts, prior_logits)
        if prior_logits is None:
            return decoding
        rim = F.max_pool2d(prior_logits.reshape(1, self.mask_side, self.mask_side), 3, stride=1, padding=1)
        return Decoding(torch.maximum(decoding.logits, rim.clamp(-10.0, 10.0)), decoding.scores)


@pytest.fixture
def a_growing_session(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel where the segment "lesion" is chosen, with a model for which the order of what it is told matters."""
    panel = Panel(a_scene, a_slice_view, GrowingModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    yield panel
    panel.logic.close()


def assert_accepted(panel: Panel, voxel: Any, mask: np.ndarray) -> None:
    """A look at the slice of a voxel shows this mask, and that it is accepted."""
    panel.look_at(voxel)
    assert panel.logic.showPlane(panel.view)
    np.testing.assert_array_equal(panel.logic.mask, mask)
    assert panel.logic.isAccepted


def test_accepted_plane_is_still_accepted_in_a_saved_scene(a_growing_session: Panel, tmp_path: Path) -> None:
    a_growing_session.click(CENTRE)
    a_growing_session.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    a_growing_session.logic.accept()
    mask = a_growing_session.logic.mask
    other = save_and_reload(a_growing_session, tmp_path)
    assert_accepted(other, CENTRE, mask)
    other.logic.close()


def test_corrected_plane_of_a_propagation_is_still_accepted_in_a_saved_scene(
    a_growing_session: Panel, tmp_path: Path
) -> None:
    a_growing_session.click(CENTRE)
    a_growing_session.logic.propagate()
    a_growing_session.wait()
    carried = a_growing_session.segment("lesion")[:, :, CENTRE[2] + 1].T
    a_growing_session.click((CENTRE[0] + 6, CENTRE[1], CENTRE[2] + 1), positive=False)
    a_growing_session.logic.accept()
    mask = a_growing_session.logic.mask
    other = save_and_reload(a_growing_session, tmp_path)
    assert (mask != carried).any()
    assert_accepted(other, (CENTRE[0], CENTRE[1], CENTRE[2] + 1), mask)
    other.points(False).RemoveNthControlPoint(0)
    other.catch_up()
    np.testing.assert_array_equal(other.logic.mask, carried)
    other.logic.close()


@pytest.mark.parametrize("steps, is_accepted", [(["undo"], False), (["undo", "redo"], True)])
def test_undone_and_redone_acceptance_come_back_as_they_are(
    a_session: Panel, tmp_path: Path, steps: list[str], is_accepted: bool
) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    for step in steps:
        getattr(a_session.logic, step)()
    other = save_and_reload(a_session, tmp_path)
    other.look_at(CENTRE)
    assert other.logic.showPlane(other.view)
    assert other.logic.isAccepted is is_accepted
    other.logic.close()


def test_what_was_painted_by_hand_on_an_accepted_plane_stays_in_a_saved_scene(a_session: Panel, tmp_path: Path) -> None:

    painted = np.zeros(SHAPE, np.uint8)
    painted[1:4, 1:4, CENTRE[2]] = 1
    paint(a_session, painted)
    a_session.click(CENTRE)
    a_session.logic.accept()
    mask = a_session.logic.mask
    other = save_and_reload(a_session, tmp_path)
    assert_accepted(other, CENTRE, mask)
    other.click((CENTRE[0] + 7, CENTRE[1], CENTRE[2]), positive=False)
    other.logic.accept()
    assert other.segment("lesion")[1:4, 1:4, CENTRE[2]].all()
    assert not other.segment("lesion")[CENTRE[0] + 7, CENTRE[1], CENTRE[2]]
    other.logic.close()


def test_crossing_planes_are_taken_up_in_the_order_of_their_acceptance(a_session: Panel, tmp_path: Path) -> None:
    edge = (CENTRE[0], CENTRE[1] + 5, CENTRE[2])
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.view.SetOrientation("Sagittal")
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.view.SetOrientation("Axial")
    a_session.click(edge, positive=False)
    a_session.logic.accept()
    mask = a_session.logic.mask
    assert not mask[edge[1], edge[0]]
    other = save_and_reload(a_session, tmp_path)
    assert_accepted(other, CENTRE, mask)
    other.logic.close()


def test_prompts_of_a_saved_scene_are_answered_when_their_plane_is_looked_at(a_session: Panel, tmp_path: Path) -> None:
    for index in (2, 4, 8, 10):
        a_session.click((CENTRE[0], CENTRE[1], index))
        a_session.logic.accept()
    other = save_and_reload(a_session, tmp_path)
    before = a_session.model.decoded
    other.click(CENTRE)
    once = a_session.model.decoded - before
    other.click((CENTRE[0], CENTRE[1], 4))
    assert a_session.model.decoded - before <= 3 * once
    other.logic.close()


def test_preview_is_not_saved(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    other = save_and_reload(a_session, tmp_path)
    assert other.scene.GetFirstNodeByName("Preview") is None
    assert other.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    other.logic.close()


def test_first_placed_point_stays_where_it_is_on_a_volume_under_a_transform(
    a_panel: Panel, an_oblique_volume: Any, a_segmentation: Any, put_under_transform: Callable[..., Any]
) -> None:
    put_under_transform(matrix_of(rotation(1, 30.0), (5.0, -7.0, 2.5)), an_oblique_volume)
    a_panel.choose(an_oblique_volume, a_segmentation, "lesion")
    a_panel.view.RotateToVolumePlane(an_oblique_volume)
    a_panel.place(CENTRE)
    target, geometry = a_panel.logic._requireTarget(), a_panel.logic.activePlane
    (step,) = target.region(geometry).steps
    np.testing.assert_allclose((step.clicks[0].x, step.clicks[0].y), geometry.pixel(CENTRE), atol=1e-3)
    assert not target.region(geometry).isChanged
