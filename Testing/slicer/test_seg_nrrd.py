"""A .seg.nrrd of ours is, for Slicer's own reader, a segmentation with the right names, labels and place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from AdaptCore.io import Geometry, write_mask
from Testing.image_files import ORIGIN, SPACING, oblique_direction

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed", exc_type=ImportError)
vtk = pytest.importorskip("vtk", reason="VTK is not installed")
numpy_support = pytest.importorskip("vtk.util.numpy_support")

pytestmark = pytest.mark.slicer

SIZE = (9, 8, 7)


def load(path: Path):
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    assert storage.ReadData(node) == 1
    return scene, node


def labelmap_of(node, segment_id: str):
    image = slicer.vtkOrientedImageData()
    assert node.GetBinaryLabelmapRepresentation(segment_id, image)
    return image


def voxel_centres_ras(geometry: Geometry, indices: np.ndarray) -> np.ndarray:
    lps = np.array(geometry.origin) + (indices * geometry.spacing) @ geometry.direction_matrix.T
    return lps * (-1, -1, 1)


def voxels_ras(image) -> np.ndarray:
    """RAS positions of all voxels that are not zero, in the order of k, j, i."""
    extent, matrix = image.GetExtent(), vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    scalars = numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    array = scalars.reshape([extent[2 * a + 1] - extent[2 * a] + 1 for a in (2, 1, 0)])
    kji = np.argwhere(array > 0) + np.array([extent[4], extent[2], extent[0]])
    return np.array([matrix.MultiplyPoint((*ijk, 1.0))[:3] for ijk in kji[:, ::-1].tolist()])


@pytest.fixture(params=[False, True], ids=["right-handed", "left-handed"])
def a_geometry(request: pytest.FixtureRequest) -> Geometry:
    return Geometry(SIZE, SPACING, ORIGIN, oblique_direction(left_handed=request.param))


@pytest.fixture
def a_labelmap() -> np.ndarray:
    labels = np.zeros(SIZE, np.uint8)
    labels[1:4, 2:4, 3] = 1
    labels[8, 7, 0:3] = 2
    return labels


def test_segments_lie_where_the_labels_lie(tmp_path: Path, a_geometry: Geometry, a_labelmap: np.ndarray) -> None:
    write_mask(a_labelmap, a_geometry, tmp_path / "m.seg.nrrd", {1: "Left lung", 2: "Lesion"})
    _scene, node = load(tmp_path / "m.seg.nrrd")
    segmentation = node.GetSegmentation()
    ids = [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]
    assert [segmentation.GetSegment(i).GetName() for i in ids] == ["Left lung", "Lesion"]
    assert [segmentation.GetSegment(i).GetLabelValue() for i in ids] == [1, 2]
    for label, segment_id in enumerate(ids, start=1):
        kji = np.argwhere(a_labelmap.transpose(2, 1, 0) == label)
        wanted = voxel_centres_ras(a_geometry, kji[:, ::-1])
        np.testing.assert_allclose(voxels_ras(labelmap_of(node, segment_id)), wanted, atol=1e-6)


def test_spacing_is_that_of_the_image(tmp_path: Path, a_geometry: Geometry, a_labelmap: np.ndarray) -> None:
    write_mask(a_labelmap, a_geometry, tmp_path / "m.seg.nrrd", {1: "Lung", 2: "Lesion"})
    _scene, node = load(tmp_path / "m.seg.nrrd")
    layer = slicer.vtkOrientedImageData.SafeDownCast(
        node.GetSegmentation().GetNthSegment(0).GetRepresentation("Binary labelmap")
    )
    assert layer.GetSpacing() == pytest.approx(SPACING)
    assert layer.GetExtent() == (0, 8, 0, 7, 0, 6)


def test_colours_differ(tmp_path: Path, a_geometry: Geometry, a_labelmap: np.ndarray) -> None:
    write_mask(a_labelmap, a_geometry, tmp_path / "m.seg.nrrd", {1: "Lung", 2: "Lesion"})
    _scene, node = load(tmp_path / "m.seg.nrrd")
    colours = [node.GetSegmentation().GetNthSegment(n).GetColor() for n in (0, 1)]
    assert colours == [(0.9, 0.62, 0.0), (0.34, 0.71, 0.91)]


def test_segment_of_no_voxels_is_kept(tmp_path: Path, a_geometry: Geometry) -> None:
    write_mask(np.zeros(SIZE, bool), a_geometry, tmp_path / "m.seg.nrrd", {1: "Nothing yet"})
    _scene, node = load(tmp_path / "m.seg.nrrd")
    assert node.GetSegmentation().GetNumberOfSegments() == 1
    assert node.GetSegmentation().GetNthSegment(0).GetName() == "Nothing yet"


def test_plane_of_a_picture_is_a_segmentation(tmp_path: Path) -> None:
    mask = np.zeros((9, 8, 1), bool)
    mask[3, 5, 0] = True
    write_mask(mask, Geometry((9, 8, 1), (0.5, 0.5, 1.0), dimensions=2), tmp_path / "m.seg.nrrd")
    _scene, node = load(tmp_path / "m.seg.nrrd")
    segment_id = node.GetSegmentation().GetNthSegmentID(0)
    np.testing.assert_allclose(voxels_ras(labelmap_of(node, segment_id)), [(-1.5, -2.5, 0)])
