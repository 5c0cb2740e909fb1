"""Writing into segments through the Segment Editor logic: neighbours, masking, overwriting, undo, other geometries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import SHAPE, matrix_of, rotation


@pytest.fixture
def a_writer(a_scene: Any, a_volume: Any, a_segmentation: Any) -> Any:
    """Writes into the segment "lesion"."""
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    writer = SegmentWriter(a_scene)
    writer.setTarget(a_volume, a_segmentation, "lesion")
    yield writer
    writer.release()


def block(*limits: tuple[int, int]) -> Any:
    """A full block of voxels from first to last index, inclusive, along i, j, k."""
    from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

    low, high = np.array(limits).T
    return VoxelBlock(tuple(int(v) for v in low), np.ones(high - low + 1, bool))


def contents(segmentation: Any, volume: Any, segment_id: str) -> np.ndarray:
    """A segment's voxels on the volume's grid, bool (i, j, k), as Slicer reads them."""
    import slicer

    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, segment_id, volume).T > 0


def expected(*limits: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(first, last + 1) for first, last in limits)] = True
    return mask


def test_mask_lands_on_its_voxels_and_nowhere_else(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((3, 8), (10, 20), (6, 6)))
    assert not contents(a_segmentation, a_volume, "organ").any()


def test_source_voxels_are_never_changed(a_writer: Any, a_volume: Any, voxels: np.ndarray) -> None:
    import slicer

    a_writer.write(block((0, 39), (0, 35), (0, 11)))
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(a_volume).T, voxels)


def test_writing_keeps_the_other_slices_of_the_segment(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    a_writer.write(block((4, 5), (11, 12), (7, 7)))
    wanted = expected((3, 8), (10, 20), (6, 6)) | expected((4, 5), (11, 12), (7, 7))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), wanted)


def test_voxels_can_be_taken_out_in_the_same_step(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    a_writer.write(block((9, 9), (10, 20), (6, 6)), remove=block((3, 5), (10, 20), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((6, 9), (10, 20), (6, 6)))
    a_writer.undo()
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((3, 8), (10, 20), (6, 6)))


def test_neighbour_keeps_its_voxels_if_overwriting_is_off(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 20), (0, 20), (5, 7)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetOverwriteMode(a_writer.editorNode.OverwriteNone)
    a_writer.write(block((10, 30), (10, 12), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "organ"), expected((0, 20), (0, 20), (5, 7)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((10, 30), (10, 12), (6, 6)))


def test_neighbour_gives_way_only_under_the_mask_if_overwriting_is_on(
    a_writer: Any, a_segmentation: Any, a_volume: Any
) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 20), (0, 20), (5, 7)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetOverwriteMode(a_writer.editorNode.OverwriteAllSegments)
    a_writer.write(block((10, 30), (10, 12), (6, 6)), remove=block((0, 2), (0, 2), (6, 6)))
    wanted = expected((0, 20), (0, 20), (5, 7)) & ~expected((10, 30), (10, 12), (6, 6))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "organ"), wanted)


def test_hidden_neighbour_is_kept_if_only_visible_ones_are_overwritten(
    a_writer: Any, a_segmentation: Any, a_volume: Any
) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 20), (0, 20), (5, 7)))
    a_segmentation.GetDisplayNode().SetSegmentVisibility("organ", False)
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetOverwriteMode(a_writer.editorNode.OverwriteVisibleSegments)
    a_writer.write(block((10, 30), (10, 12), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "organ"), expected((0, 20), (0, 20), (5, 7)))


def test_masking_to_another_segment_holds(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 20), (0, 20), (5, 7)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetMaskMode(a_segmentation.EditAllowedInsideSingleSegment)
    a_writer.editorNode.SetMaskSegmentID("organ")
    a_writer.editorNode.SetOverwriteMode(a_writer.editorNode.OverwriteNone)
    a_writer.write(block((10, 30), (10, 12), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((10, 20), (10, 12), (6, 6)))


def test_masking_outside_other_segments_holds(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 20), (0, 20), (5, 7)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetMaskMode(a_segmentation.EditAllowedOutsideAllSegments)
    a_writer.write(block((10, 30), (10, 12), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((21, 30), (10, 12), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "organ"), expected((0, 20), (0, 20), (5, 7)))


def test_masking_concerns_the_written_segment_whatever_the_segment_editor_has_selected(
    a_writer: Any, a_segmentation: Any, a_volume: Any
) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 20), (0, 20), (5, 7)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetMaskMode(a_segmentation.EditAllowedOutsideAllSegments)
    a_writer.editorNode.SetSelectedSegmentID("organ")
    a_writer.write(block((10, 30), (10, 12), (6, 6)))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), expected((21, 30), (10, 12), (6, 6)))


def test_masking_by_intensity_holds(
    a_writer: Any, a_segmentation: Any, a_volume: Any, an_ellipsoid: np.ndarray
) -> None:
    a_writer.editorNode.SourceVolumeIntensityMaskOn()
    a_writer.editorNode.SetSourceVolumeIntensityMaskRange(400, 1000)
    a_writer.write(block((0, 39), (0, 35), (6, 6)))
    np.testing.assert_array_equal(
        contents(a_segmentation, a_volume, "lesion"), an_ellipsoid & expected((0, 39), (0, 35), (6, 6))
    )


def test_masking_by_intensity_is_that_of_slicer_on_any_grid(
    a_scene: Any, a_volume: Any, make_volume: Callable[..., Any], voxels: np.ndarray
) -> None:
    import slicer

    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    beside = ijkToWorld(a_volume)
    beside[:3, 3] += beside[:3, :3] @ (0.3, -0.4, 0.5)
    found = []
    for name in ("ours", "slicers"):
        node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
        node.SetReferenceImageGeometryParameterFromVolumeNode(make_volume(voxels, beside))
        node.GetSegmentation().AddEmptySegment("lesion", "lesion")
        writer = SegmentWriter(a_scene)
        writer.setTarget(a_volume, node, "lesion")
        writer.editorNode.SourceVolumeIntensityMaskOn()
        writer.editorNode.SetSourceVolumeIntensityMaskRange(100, 400)
        if name == "ours":
            report = writer.write(block((5, 35), (3, 33), (2, 9)))
        else:
            writer._modify(writer._modifier(block((5, 35), (3, 33), (2, 9))), writer._editor.ModificationModeAdd)
        image = node.GetBinaryLabelmapInternalRepresentation("lesion")
        found.append((image.GetExtent(), slicer.util.arrayFromSegmentInternalBinaryLabelmap(node, "lesion").copy()))
        writer.release()
    assert found[0][0] == found[1][0]
    np.testing.assert_array_equal(found[0][1], found[1][1])
    assert found[0][1].sum() > 200
    assert report.notEditable == 31 * 31 * 8 - found[0][1].sum()


def test_voxels_that_masking_keeps_in_the_segment_are_told(
    a_writer: Any, a_segmentation: Any, a_volume: Any, an_ellipsoid: np.ndarray
) -> None:
    a_writer.write(block((0, 39), (0, 35), (6, 6)))
    a_writer.editorNode.SourceVolumeIntensityMaskOn()
    a_writer.editorNode.SetSourceVolumeIntensityMaskRange(400, 1000)
    report = a_writer.write(None, remove=block((0, 39), (0, 35), (6, 6)))
    kept = ~an_ellipsoid & expected((0, 39), (0, 35), (6, 6))
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), kept)
    assert (report.leftOut, report.taken, report.notEditable) == ({}, {}, kept.sum())


def test_voxels_outside_the_range_of_intensities_are_not_told_to_belong_to_a_segment_that_may_be_overwritten(
    a_writer: Any, a_segmentation: Any, a_volume: Any, an_ellipsoid: np.ndarray
) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 39), (0, 35), (6, 6)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.editorNode.SetOverwriteMode(a_writer.editorNode.OverwriteAllSegments)
    a_writer.editorNode.SourceVolumeIntensityMaskOn()
    a_writer.editorNode.SetSourceVolumeIntensityMaskRange(400, 1000)
    report = a_writer.write(block((0, 39), (0, 35), (6, 6)))
    taken = int(an_ellipsoid[:, :, 6].sum())
    assert (report.leftOut, report.taken, report.notEditable) == ({}, {"organ": taken}, 40 * 36 - taken)


def test_refused_write_leaves_the_grid_as_it_was(
    a_scene: Any, a_volume: Any, a_writer: Any, make_volume: Callable[..., Any], voxels: np.ndarray
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Small")
    small = make_volume(voxels[:20, :, :6], ijkToWorld(a_volume))
    node.SetReferenceImageGeometryParameterFromVolumeNode(small)
    node.GetSegmentation().AddEmptySegment("lesion", "lesion")
    a_writer.setTarget(a_volume, node, "lesion")
    key = "Reference image geometry"
    before = node.GetSegmentation().GetConversionParameter(key)
    a_writer.editorNode.SourceVolumeIntensityMaskOn()
    a_writer.editorNode.SetSourceVolumeIntensityMaskRange(1000, 2000)
    with pytest.raises(SceneError, match="Left out: 300 voxels outside of what Masking"):
        a_writer.write(block((15, 24), (10, 19), (5, 7)))
    assert before and node.GetSegmentation().GetConversionParameter(key) == before
    a_writer.editorNode.SourceVolumeIntensityMaskOff()
    a_writer.write(block((15, 24), (10, 19), (5, 7)))
    assert node.GetSegmentation().GetConversionParameter(key) != before
    np.testing.assert_array_equal(contents(node, a_volume, "lesion"), expected((15, 24), (10, 19), (5, 7)))


def test_undo_and_redo_bring_back_each_state(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    a_writer.write(block((3, 8), (10, 20), (7, 7)))
    one, both = expected((3, 8), (10, 20), (6, 6)), expected((3, 8), (10, 20), (6, 7))
    states = []
    for step in (a_writer.undo, a_writer.undo, a_writer.redo, a_writer.redo):
        step()
        states.append(contents(a_segmentation, a_volume, "lesion"))
    for state, wanted in zip(states, (one, np.zeros(SHAPE, bool), one, both)):
        np.testing.assert_array_equal(state, wanted)
    assert (a_writer.canUndo, a_writer.canRedo) == (True, False)


def test_undo_never_takes_back_what_someone_else_has_drawn(
    a_scene: Any, a_writer: Any, a_segmentation: Any, a_volume: Any
) -> None:
    import slicer

    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    painted = expected((3, 8), (10, 20), (6, 6)) | expected((30, 31), (30, 31), (2, 2))
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted.T.astype(np.uint8), a_segmentation, "lesion", a_volume)
    assert not a_writer.canUndo
    a_writer.undo()
    np.testing.assert_array_equal(contents(a_segmentation, a_volume, "lesion"), painted)


def test_outside_edits_are_reported_and_own_writes_are_not(a_scene: Any, a_volume: Any, a_segmentation: Any) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    reports: list[str] = []
    writer = SegmentWriter(a_scene, lambda: reports.append("edited"))
    writer.setTarget(a_volume, a_segmentation, "lesion")
    writer.write(block((3, 8), (10, 20), (6, 6)))
    writer.undo()
    assert reports == []
    a_segmentation.GetSegmentation().AddEmptySegment("third", "third")
    assert reports == ["edited"]
    writer.release()
    a_segmentation.GetSegmentation().AddEmptySegment("fourth", "fourth")
    assert reports == ["edited"]


def test_contents_reads_the_segment_and_not_its_neighbour(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    a_writer.setTarget(a_volume, a_segmentation, "organ")
    a_writer.write(block((0, 2), (0, 2), (6, 6)))
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    assert not a_writer.contents(np.array([[1, 1, 6]])).any()
    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    asked = np.array([[3, 10, 6], [8, 20, 6], [9, 20, 6], [3, 10, 5], [1, 1, 6], [39, 35, 11]])
    assert a_writer.contents(asked).tolist() == [True, True, False, False, False, False]


def test_segmentation_without_geometry_takes_that_of_the_volume_with_its_transform(
    a_scene: Any, a_volume: Any, put_under_transform: Callable[..., Any]
) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    put_under_transform(matrix_of(rotation(2, 30.0), (5.0, 6.0, 7.0)), a_volume)
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.GetSegmentation().AddEmptySegment("lesion")
    writer = SegmentWriter(a_scene)
    writer.setTarget(a_volume, segmentation, "lesion")
    writer.write(block((3, 8), (10, 20), (6, 6)))
    assert segmentation.GetTransformNodeID() == a_volume.GetTransformNodeID()
    np.testing.assert_array_equal(contents(segmentation, a_volume, "lesion"), expected((3, 8), (10, 20), (6, 6)))
    writer.release()


def test_volume_under_a_transform_meets_a_segmentation_that_is_not(
    a_writer: Any, a_volume: Any, a_segmentation: Any, put_under_transform: Callable[..., Any]
) -> None:
    put_under_transform(matrix_of(np.eye(3), (-0.8 * 4, 0.0, 2.5)), a_volume)
    a_writer.setTarget(a_volume, a_segmentation, "lesion")
    a_writer.write(block((3, 8), (10, 20), (6, 6)))
    assert a_writer.contents(np.array([[3, 10, 6], [9, 10, 6]])).tolist() == [True, False]
    assert contents_on_own_grid(a_segmentation) == ((7, 12), (10, 20), (7, 7))


def contents_on_own_grid(segmentation: Any) -> tuple[tuple[int, int], ...]:
    """First and last voxel of the segment "lesion" along each axis of the segmentation's grid."""
    import slicer

    image = segmentation.GetBinaryLabelmapInternalRepresentation("lesion")
    first = np.array(image.GetExtent())[::2]
    filled = np.argwhere(slicer.util.arrayFromSegmentInternalBinaryLabelmap(segmentation, "lesion").T) + first
    return tuple((int(low), int(high)) for low, high in zip(filled.min(axis=0), filled.max(axis=0)))


def test_oversampled_segmentation_gets_every_voxel_under_the_mask(a_scene: Any, a_volume: Any) -> None:
    import slicer

    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    fine = a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    sizes = np.array(SHAPE) * 2
    slicer.util.updateVolumeFromArray(fine, np.zeros(sizes[::-1], np.int16))
    matrix = slicer.util.arrayFromVTKMatrix(a_volume_matrix(a_volume))
    matrix[:3, 3] -= matrix[:3, :3] @ (0.25, 0.25, 0.25)
    matrix[:3, :3] /= 2
    fine.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(matrix))
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(fine)
    segmentation.GetSegmentation().AddEmptySegment("lesion", "lesion")
    writer = SegmentWriter(a_scene)
    writer.setTarget(a_volume, segmentation, "lesion")
    writer.write(block((3, 8), (10, 20), (6, 6)))
    assert contents_on_own_grid(segmentation) == ((6, 17), (20, 41), (12, 13))
    assert contents(segmentation, fine, "lesion").sum() == 6 * 11 * 1 * 8
    writer.release()


def a_volume_matrix(volume: Any) -> Any:
    import vtk

    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    return matrix


def test_mask_that_misses_the_segmentation_is_refused_and_leaves_no_undo_step(
    a_writer: Any, a_volume: Any, a_segmentation: Any, put_under_transform: Callable[..., Any]
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    put_under_transform(matrix_of(np.eye(3), (500.0, 0.0, 0.0)), a_volume)
    with pytest.raises(SceneError, match="does not meet the voxels of segmentation 'Segmentation'"):
        a_writer.write(block((3, 8), (10, 20), (6, 6)))
    assert not a_writer.canUndo


def test_missing_segment_is_refused(a_writer: Any, a_volume: Any, a_segmentation: Any) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    with pytest.raises(SceneError, match="has no segment 'nothing'"):
        a_writer.setTarget(a_volume, a_segmentation, "nothing")


def test_segmentation_made_of_surfaces_is_refused(a_scene: Any, a_volume: Any) -> None:
    import slicer
    import vtk

    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    sphere = vtk.vtkSphereSource()
    sphere.Update()
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
    segment = slicer.vtkSegment()
    segment.AddRepresentation("Closed surface", sphere.GetOutput())
    segmentation.GetSegmentation().AddSegment(segment, "lesion")
    nodes = a_scene.GetNumberOfNodes()
    with pytest.raises(SceneError, match="'Surfaces' is made of surfaces"):
        SegmentWriter(a_scene).setTarget(a_volume, segmentation, "lesion")
    with pytest.raises(SceneError, match="'Surfaces' is made of surfaces"):
        SegmentWriter(a_scene).addSegment(a_volume, segmentation)
    assert a_scene.GetNumberOfNodes() == nodes
    assert segmentation.GetSegmentation().GetNumberOfSegments() == 1


@pytest.mark.parametrize("refused", ["setTarget", "addSegment"])
def test_refused_segmentation_is_left_as_it_was(
    a_scene: Any, a_volume: Any, bend: Callable[..., None], refused: str
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    bend(a_volume)
    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.GetSegmentation().AddEmptySegment("lesion")
    nodes = a_scene.GetNumberOfNodes()
    arguments = (a_volume, segmentation, "lesion")
    with pytest.raises(SceneError, match="'Volume' is under the non-linear transform 'Bend'"):
        getattr(SegmentWriter(a_scene), refused)(*arguments[: 3 if refused == "setTarget" else 2])
    assert a_scene.GetNumberOfNodes() == nodes
    assert segmentation.GetDisplayNode() is None
    assert segmentation.GetTransformNodeID() is None
    assert segmentation.GetSegmentation().GetSegmentIDs() == ("lesion",)
    assert not segmentation.GetSegmentation().GetConversionParameter("Reference image geometry")


def test_segment_added_to_an_empty_segmentation_of_surfaces_is_made_of_voxels(a_scene: Any, a_volume: Any) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter

    segmentation = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    segmentation.GetSegmentation().SetSourceRepresentationName("Closed surface")
    writer = SegmentWriter(a_scene)
    segment_id = writer.addSegment(a_volume, segmentation)
    writer.setTarget(a_volume, segmentation, segment_id)
    writer.write(block((3, 8), (10, 20), (6, 6)))
    np.testing.assert_array_equal(contents(segmentation, a_volume, segment_id), expected((3, 8), (10, 20), (6, 6)))
    writer.release()


def test_writing_after_the_segmentation_is_deleted_says_so(a_scene: Any, a_writer: Any, a_segmentation: Any) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_scene.RemoveNode(a_segmentation)
    with pytest.raises(SceneError, match="the segmentation is gone"):
        a_writer.write(block((3, 8), (10, 20), (6, 6)))


def test_block_of_a_volume_mask_is_the_smallest_that_holds_it() -> None:
    from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

    mask = expected((3, 8), (10, 20), (6, 6))
    mask[5, 15, 6] = False
    found = VoxelBlock.around(mask)
    assert found.origin == (3, 10, 6)
    assert found.mask.shape == (6, 11, 1)
    assert found.mask.sum() == mask.sum()
    assert VoxelBlock.around(np.zeros(SHAPE, bool)) is None


@pytest.mark.parametrize(
    "ijkToRAS",
    [
        matrix_of(np.diag([-0.8, -0.9, 2.5]), (15.8, 18.2, -35.0)),
        matrix_of(np.diag([-0.5, -0.4, 1.1]), (14.03, 15.1, -25.07)),
        matrix_of(rotation(2, 20.0) @ np.diag([-0.8, -0.9, 2.5]), (12.0, 20.0, -30.0)),
    ],
    ids=["moved", "finer", "turned"],
)
def test_segment_is_read_on_the_voxels_of_any_volume_as_slicer_does(
    a_writer: Any, a_segmentation: Any, make_volume: Callable[..., Any], ijkToRAS: np.ndarray
) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import segmentBlock

    a_writer.write(block((3, 12), (10, 20), (4, 8)))
    volume = make_volume(ijkToRAS=ijkToRAS)
    found = segmentBlock(volume, a_segmentation, "lesion")
    read = np.zeros(SHAPE, bool)
    if found is not None:
        read[found.slices] = found.mask
    wanted = contents(a_segmentation, volume, "lesion")
    assert wanted.sum() > 300
    assert np.count_nonzero(read != wanted) <= 0.02 * wanted.sum()


@pytest.mark.parametrize(
    ("ijkToRAS", "slices"),
    [
        (matrix_of(np.diag([-0.8, -0.9, 1.25]), (15.8, 18.2, -35.0)), (6, 6)),
        (matrix_of(rotation(0, 35.0) @ np.diag([-0.8, -0.9, 2.5]), (12.0, 20.0, -20.0)), (3, 6)),
    ],
    ids=["finer", "turned"],
)
def test_a_mask_that_the_grid_cannot_hold_voxel_by_voxel_is_refused(
    a_writer: Any, a_segmentation: Any, make_volume: Callable[..., Any], ijkToRAS: np.ndarray, slices: tuple[int, int]
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    volume = make_volume(ijkToRAS=ijkToRAS)
    a_writer.setTarget(volume, a_segmentation, "lesion")
    mask = block((3, 12), (10, 25), slices)
    for given in ((mask, None), (None, mask)):
        with pytest.raises(SceneError, match=r"so that \d+ voxels would be written wrongly: give it the geometry"):
            a_writer.write(*given)
    assert not contents(a_segmentation, volume, "lesion").any() and not a_writer.canUndo


def test_segment_is_read_voxel_by_voxel_on_its_own_grid(a_writer: Any, a_segmentation: Any, a_volume: Any) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import segmentBlock, segmentTime

    assert segmentBlock(a_volume, a_segmentation, "lesion") is None
    times = [segmentTime(a_segmentation, "lesion")]
    for limits in (((3, 12), (10, 20), (4, 8)), ((0, 1), (35, 35), (11, 11))):
        a_writer.write(block(*limits))
        times.append(segmentTime(a_segmentation, "lesion"))
    read = np.zeros(SHAPE, bool)
    found = segmentBlock(a_volume, a_segmentation, "lesion")
    read[found.slices] = found.mask
    np.testing.assert_array_equal(read, contents(a_segmentation, a_volume, "lesion"))
    assert segmentBlock(a_volume, a_segmentation, "organ") is None
    assert times[0] < times[1] < times[2]


def test_segment_beside_the_volume_is_read_as_nothing(
    a_writer: Any, a_segmentation: Any, make_volume: Callable[..., Any]
) -> None:
    from InteractiveAdaptSegLib.SegmentWriter import segmentBlock

    a_writer.write(block((3, 12), (10, 20), (4, 8)))
    assert segmentBlock(make_volume(ijkToRAS=matrix_of(np.eye(3), (500.0, 0.0, 0.0))), a_segmentation, "lesion") is None
