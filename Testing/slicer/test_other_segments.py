"""What is never lost in silence: other segments, hand-drawn voxels, undo past a new segment, masks on other grids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from AdaptCore.predict.masks import dice
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE
from Testing.toy_model import ToyModel

OVERWRITING = "To overwrite other segments, choose so under Masking in the Segment Editor."


@pytest.fixture
def a_session(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel where the segment "lesion" is chosen."""
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    yield panel
    panel.logic.close()


def accept_at(panel: Panel, voxel: Any, segment_id: str) -> np.ndarray:
    """Accept the mask of a click for a segment; the mask, bool (i, j, k)."""
    panel.choose(panel.volume, panel.segmentation, segment_id)
    panel.click(voxel)
    mask = np.zeros(SHAPE, bool)
    mask[:, :, voxel[2]] = panel.logic.mask.T
    panel.logic.accept()
    return mask


def paint(panel: Panel, mask: np.ndarray, segment_id: str = "lesion") -> None:
    """Give a segment this content, as by hand."""
    import slicer

    slicer.util.updateSegmentBinaryLabelmapFromArray(
        mask.T.astype(np.uint8), panel.segmentation, segment_id, panel.volume
    )


def test_propagation_leaves_what_another_segment_holds_and_says_so(a_session: Panel) -> None:
    lesion = accept_at(a_session, CENTRE, "lesion")
    accept_at(a_session, (*CENTRE[:2], CENTRE[2] - 2), "organ")
    a_session.logic.propagate()
    a_session.wait()
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion)
    organ = a_session.segment("organ")
    assert not (organ & lesion).any()
    assert organ[:, :, CENTRE[2] - 1].any() and organ[:, :, CENTRE[2] + 1].any()
    left_out = int(a_session.messages[-1].split(" ")[2])
    assert a_session.messages[-1] == f"Left out: {left_out} voxels belong to 'lesion'. {OVERWRITING}"
    assert 0.9 * lesion.sum() <= left_out <= lesion.sum()
    target = a_session.logic._requireTarget()
    np.testing.assert_array_equal(target.session.labelmap > 0, organ)
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion)
    assert np.unique(np.argwhere(a_session.segment("organ"))[:, 2]).tolist() == [CENTRE[2] - 2]
    np.testing.assert_array_equal(target.session.labelmap > 0, a_session.segment("organ"))


def test_accepted_mask_that_left_something_out_counts_as_accepted(a_session: Panel, tmp_path: Any) -> None:
    taken = np.zeros(SHAPE, bool)
    taken[: CENTRE[0], :, CENTRE[2]] = True
    paint(a_session, taken, "organ")
    mask = accept_at(a_session, CENTRE, "lesion")
    np.testing.assert_array_equal(a_session.segment("lesion"), mask & ~taken)
    assert a_session.messages == [f"Left out: {(mask & taken).sum()} voxels belong to 'organ'. {OVERWRITING}"]
    assert a_session.logic.isAccepted
    loaded = save_and_reload(a_session, tmp_path)
    loaded.look_at(CENTRE)
    assert loaded.logic.showPlane(loaded.view)
    assert loaded.logic.isAccepted
    np.testing.assert_array_equal(loaded.logic._requireTarget().session.labelmap > 0, mask & ~taken)
    loaded.logic.close()


def test_mask_that_lies_in_another_segment_is_refused(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    paint(a_session, np.ones(SHAPE, bool), "organ")
    a_session.click(CENTRE)
    count = a_session.logic.mask.sum()
    with pytest.raises(SceneError, match=f"nothing of the mask can be written. Left out: {count} voxels belong to 'or"):
        a_session.logic.accept()
    assert not a_session.segment("lesion").any()
    assert not a_session.logic.isAccepted
    a_session.logic.undo()
    assert a_session.count_points() == (0, 0)


def test_overwriting_that_was_chosen_is_told_and_followed_by_the_other_segment(a_session: Panel) -> None:
    lesion = accept_at(a_session, CENTRE, "lesion")
    first = a_session.logic._requireTarget()
    a_session.logic.editorNode.SetOverwriteMode(a_session.logic.editorNode.OverwriteAllSegments)
    organ = accept_at(a_session, (CENTRE[0] + 1, *CENTRE[1:]), "organ")
    lost = lesion & organ
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion & ~organ)
    np.testing.assert_array_equal(first.session.labelmap > 0, lesion & ~organ)
    assert a_session.messages == [f"{lost.sum()} voxels of 'lesion' overwritten."]
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion)
    np.testing.assert_array_equal(first.session.labelmap > 0, lesion)
    a_session.logic.redo()
    np.testing.assert_array_equal(first.session.labelmap > 0, lesion & ~organ)


def test_voxels_erased_by_hand_can_be_accepted_again(a_session: Panel) -> None:
    mask = accept_at(a_session, CENTRE, "lesion")
    paint(a_session, np.zeros(SHAPE, bool))
    assert a_session.logic.showPlane(a_session.view)
    assert not a_session.logic.isAccepted
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion"), mask)


def test_undo_after_new_takes_the_segment_away_and_then_the_propagation(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    a_session.logic.propagate()
    a_session.wait()
    propagated = a_session.segment("lesion")
    a_session.choose(a_session.volume, a_session.segmentation, "")
    added = a_session.logic.promptNodes.segmentID
    a_session.messages.clear()
    a_session.logic.undo()
    assert a_session.segmentation.GetSegmentation().GetSegmentIDs() == ("lesion", "organ")
    assert a_session.logic.promptNodes.segmentID == "lesion"
    assert a_session.messages == ["Now working on segment 'lesion'."]
    np.testing.assert_array_equal(a_session.segment("lesion"), propagated)
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), accepted)
    assert a_session.count_points() == (1, 0)
    for _ in range(2):
        a_session.logic.redo()
    assert a_session.logic.promptNodes.segmentID == added
    np.testing.assert_array_equal(a_session.segment("lesion"), propagated)


def test_what_was_done_in_a_new_segment_is_redone_after_undo_took_it_away(a_session: Panel) -> None:
    a_session.choose(a_session.volume, a_session.segmentation, "")
    added = a_session.logic.promptNodes.segmentID
    mask = accept_at(a_session, CENTRE, added)
    for _ in range(3):
        a_session.logic.undo()
    assert a_session.segmentation.GetSegmentation().GetSegment(added) is None
    for _ in range(3):
        a_session.logic.redo()
    np.testing.assert_array_equal(a_session.segment(added), mask)
    assert a_session.count_points() == (1, 0)


def test_other_segmentation_leaves_no_undo_that_takes_only_the_clicks_back(a_session: Panel, a_scene: Any) -> None:
    accept_at(a_session, CENTRE, "lesion")
    first = a_session.segmentation
    a_session.choose(a_session.volume, a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Other"), "")
    a_session.logic.undo()
    a_session.choose(a_session.volume, first, "lesion")
    assert a_session.segment("lesion").any()
    assert a_session.count_points() == (1, 0)


def test_oblique_mask_counts_as_accepted_and_propagation_says_why_not(
    a_scene: Any, a_slice_view: Any, an_oblique_volume: Any
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.ViewModel import panelState

    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(an_oblique_volume, a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode"), "")
    panel.click(CENTRE)
    before = panelState(panel.logic)
    with pytest.raises(SceneError, match="this one is oblique: turn the view to the volume plane"):
        panel.logic.propagate()
    assert panelState(panel.logic) == before
    assert before.canPropagate and not panel.logic.isAccepted
    panel.logic.accept()
    state = panelState(panel.logic)
    assert (state.status.name, state.canAccept) == ("ACCEPTED", False)
    panel.logic.close()


def test_hand_drawn_part_that_a_negative_click_takes_out_of_the_preview_leaves_the_segment(a_session: Panel) -> None:
    spot = (CENTRE[0] + 7, CENTRE[1], CENTRE[2])
    drawn = np.zeros(SHAPE, bool)
    drawn[spot[0] - 1 : spot[0] + 2, spot[1] - 1 : spot[1] + 2, spot[2]] = True
    drawn[2:5, 2:5, spot[2]] = True
    paint(a_session, drawn)
    a_session.click(CENTRE)
    assert a_session.logic.mask[spot[1], spot[0]]
    a_session.click(spot, positive=False)
    mask = np.zeros(SHAPE, bool)
    mask[:, :, spot[2]] = a_session.logic.mask.T
    assert not mask[spot]
    a_session.logic.accept()
    far = drawn.copy()
    far[5:] = False
    np.testing.assert_array_equal(a_session.segment("lesion"), mask | far)
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), drawn)


def test_volume_that_is_moved_after_acceptance_is_told_once(
    a_session: Panel, put_under_transform: Callable[..., Any]
) -> None:
    accept_at(a_session, CENTRE, "lesion")
    origin = a_session.volume.GetOrigin()
    a_session.volume.SetOrigin(0.0, 0.0, 0.0)
    a_session.catch_up()
    assert a_session.messages == [
        "'Volume' and 'Segmentation' were moved against each other: what was accepted in 'lesion' no longer lies on "
        "what it outlines. Take the move back, or put both under the same transform."
    ]
    a_session.volume.SetOrigin(*origin)
    a_session.volume.Modified()
    assert len(a_session.messages) == 1
    put_under_transform(np.diag([1.0, 1.0, 1.0, 1.0]) + np.eye(4, k=3) * 5, a_session.volume)
    assert len(a_session.messages) == 2


MOVED = (
    "'Volume' and 'Segmentation' were moved against each other since masks were written into 'lesion': take the move "
    "back, or put both under the same transform"
)


def test_work_is_there_when_a_volume_is_moved_back(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    mask = accept_at(a_session, CENTRE, "lesion")
    target, origin = a_session.logic._requireTarget(), a_session.volume.GetOrigin()
    a_session.volume.SetOrigin(origin[0] + 4.0, origin[1], origin[2])
    a_session.click((CENTRE[0] + 4, CENTRE[1], CENTRE[2]))
    for refused in (a_session.logic.accept, a_session.logic.propagate):
        with pytest.raises(SceneError, match=f"^{MOVED}$"):
            refused()
    with pytest.raises(SceneError, match=f"^{MOVED}$"):
        a_session.logic.propagate(a_session.view)
    np.testing.assert_array_equal(target.session.labelmap > 0, mask)
    a_session.logic.undo()
    a_session.volume.SetOrigin(*origin)
    a_session.look_at(CENTRE)
    assert a_session.logic.showPlane(a_session.view)
    assert a_session.logic.isAccepted
    np.testing.assert_array_equal(target.session.labelmap > 0, mask)
    np.testing.assert_array_equal(a_session.segment("lesion"), mask)
    a_session.logic.propagate()
    a_session.wait()
    assert len(np.unique(np.argwhere(a_session.segment("lesion"))[:, 2])) >= 7


def test_work_in_a_moved_volume_outlives_saving_and_another_segment(
    a_session: Panel, make_volume: Callable[..., Any], voxels: np.ndarray, tmp_path: Any
) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    mask = accept_at(a_session, CENTRE, "lesion")
    first, target, origin = a_session.volume, a_session.logic._requireTarget(), a_session.volume.GetOrigin()
    other = make_volume(voxels, ijkToWorld(first))
    first.SetOrigin(origin[0] + 4.0, origin[1], origin[2])
    a_session.choose(other, a_session.segmentation, "organ")
    a_session.click((OTHER_CENTRE[0], OTHER_CENTRE[1], OTHER_CENTRE[2]))
    a_session.logic.accept()
    np.testing.assert_array_equal(target.session.labelmap > 0, mask)
    a_session.scene.RemoveNode(other)
    loaded = save_and_reload(a_session, tmp_path)
    loaded.look_at(CENTRE)
    loaded.logic.showPlane(loaded.view)
    np.testing.assert_array_equal(loaded.logic._requireTarget().session.labelmap > 0, mask)
    loaded.volume.SetOrigin(*origin)
    loaded.look_at(CENTRE)
    assert loaded.logic.showPlane(loaded.view)
    assert loaded.logic.isAccepted
    np.testing.assert_array_equal(loaded.logic._requireTarget().session.labelmap > 0, mask)
    loaded.logic.close()


def test_propagation_whose_volume_is_moved_meanwhile_is_not_written(a_session: Panel) -> None:
    mask = accept_at(a_session, CENTRE, "lesion")
    a_session.logic.propagate()
    a_session.volume.SetOrigin(0.0, 0.0, 0.0)
    a_session.wait()
    assert a_session.messages[-1] == MOVED
    np.testing.assert_array_equal(a_session.logic._requireTarget().session.labelmap > 0, mask)


def test_mask_that_was_taken_back_does_not_hold_its_volume(a_session: Panel) -> None:
    accept_at(a_session, CENTRE, "lesion")
    a_session.logic.undo()
    a_session.volume.SetOrigin(*(value + 3.0 for value in a_session.volume.GetOrigin()))
    assert a_session.messages == []
    a_session.logic.propagate()
    a_session.wait()
    labels = a_session.logic._requireTarget().session.labelmap > 0
    assert len(np.unique(np.argwhere(labels)[:, 2])) >= 7
    assert not a_session.logic._requireTarget().isMoved


@pytest.fixture
def two_volumes(a_session: Panel, make_volume: Callable[..., Any], voxels: np.ndarray) -> tuple[Any, Any]:
    """Two volumes in the same place; a segment of one segmentation is accepted on each, the second one last."""
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    first = a_session.volume
    accept_at(a_session, CENTRE, "lesion")
    second = make_volume(voxels, ijkToWorld(first))
    a_session.volume = second
    accept_at(a_session, OTHER_CENTRE, "organ")
    return first, second


def test_undo_stops_before_what_a_removed_volume_hides(a_session: Panel, two_volumes: tuple[Any, Any]) -> None:
    first, second = two_volumes
    held = [a_session.segment(name) for name in ("lesion", "organ")]
    a_session.choose(first, a_session.segmentation, "lesion")
    a_session.click((CENTRE[0], CENTRE[1], CENTRE[2] - 1))
    a_session.logic.accept()
    a_session.scene.RemoveNode(second)
    while a_session.logic.canUndo:
        a_session.logic.undo()
    for name, mask in zip(("lesion", "organ"), held):
        np.testing.assert_array_equal(a_session.segment(name), mask)
    for _ in range(2):
        a_session.logic.redo()
    assert np.unique(np.argwhere(a_session.segment("lesion"))[:, 2]).tolist() == [CENTRE[2] - 1, CENTRE[2]]
    np.testing.assert_array_equal(a_session.segment("organ"), held[1])


def test_redo_stops_before_what_a_removed_volume_hides(a_session: Panel, two_volumes: tuple[Any, Any]) -> None:
    first, second = two_volumes
    a_session.choose(first, a_session.segmentation, "lesion")
    lesion = a_session.segment("lesion")
    for _ in range(4):
        a_session.logic.undo()
    a_session.choose(first, a_session.segmentation, "lesion")
    a_session.scene.RemoveNode(second)
    while a_session.logic.canRedo:
        a_session.logic.redo()
    np.testing.assert_array_equal(a_session.segment("lesion"), lesion)
    assert not a_session.segment("organ").any()


def test_new_segment_stays_once_the_volume_before_it_is_removed(a_session: Panel, two_volumes: tuple[Any, Any]) -> None:
    first, second = two_volumes
    a_session.choose(second, a_session.segmentation, "organ")
    a_session.choose(first, a_session.segmentation, "")
    count = len(a_session.segmentation.GetSegmentation().GetSegmentIDs())
    a_session.scene.RemoveNode(second)
    assert not a_session.logic.canUndo
    a_session.logic.undo()
    assert len(a_session.segmentation.GetSegmentation().GetSegmentIDs()) == count
    a_session.click(CENTRE)
    assert a_session.logic.canUndo


@pytest.mark.parametrize("shift", [(0, 0, 0.5), (0, 0, -0.5), (0.5, -0.5, 0.5)])
@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_mask_is_read_back_from_a_grid_half_a_voxel_beside_the_volume(
    a_session: Panel, make_volume: Callable[..., Any], a_scene: Any, shift: Any, flip: float
) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    matrix = ijkToWorld(a_session.volume)
    matrix[:3, 3] += matrix[:3, :3] @ np.array(shift)
    if flip < 0:
        matrix[:3, 3] += matrix[:3, 2] * (SHAPE[2] - 1)
        matrix[:3, 2] *= -1
    other = make_volume(np.zeros(SHAPE, np.int16), matrix)
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Beside")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(other)
    segmentation.GetSegmentation().AddEmptySegment("x", "x")
    a_session.choose(a_session.volume, segmentation, "x")
    a_session.click(CENTRE)
    a_session.logic.accept()
    from InteractiveAdaptSegLib.PlaneRegion import PlaneRegion

    target = a_session.logic._requireTarget()
    contents = PlaneRegion(target, a_session.logic.activePlane).contents(a_session.logic._writer)
    np.testing.assert_array_equal(contents, a_session.logic.mask)
    a_session.logic.propagate()
    a_session.wait()
    labels = target.session.labelmap > 0
    assert len(np.unique(np.argwhere(labels)[:, 2])) >= 7
    assert dice(a_session.segment("x"), labels) > 0.85


def test_segmentation_that_is_smaller_than_the_mask_is_extended(
    a_session: Panel, make_volume: Callable[..., Any], a_scene: Any
) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    small = make_volume(np.zeros((CENTRE[0], SHAPE[1], CENTRE[2]), np.int16), ijkToWorld(a_session.volume))
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Small")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(small)
    segmentation.GetSegmentation().AddEmptySegment("x", "x")
    a_session.choose(a_session.volume, segmentation, "x")
    mask = accept_at(a_session, CENTRE, "x")
    np.testing.assert_array_equal(a_session.segment("x"), mask)
    assert OTHER_CENTRE[0] < CENTRE[0]
    inner = accept_at(a_session, (*OTHER_CENTRE[:2], 2), "x")
    np.testing.assert_array_equal(a_session.segment("x"), mask | inner)


def test_drawn_voxels_that_are_corrected_outlive_a_move_of_the_volume(a_session: Panel) -> None:
    drawn = np.zeros(SHAPE, bool)
    drawn[CENTRE[0] - 5 : CENTRE[0] + 6, CENTRE[1] - 5 : CENTRE[1] + 6, CENTRE[2]] = True
    paint(a_session, drawn)
    a_session.click(CENTRE)
    target, origin = a_session.logic._requireTarget(), a_session.volume.GetOrigin()
    np.testing.assert_array_equal(target.session.labelmap > 0, drawn)
    a_session.volume.SetOrigin(origin[0] + 4.0, origin[1], origin[2])
    image = a_session.segmentation.GetBinaryLabelmapInternalRepresentation("lesion")
    image.GetPointData().GetScalars().Modified()
    image.Modified()
    a_session.logic._requireTarget()
    np.testing.assert_array_equal(target.session.labelmap > 0, drawn)
    a_session.volume.SetOrigin(*origin)
    a_session.logic.accept()
    assert a_session.segment("lesion")[CENTRE]
