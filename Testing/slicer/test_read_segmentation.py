"""A .seg.nrrd that Slicer writes gives us its segments: names, values, layers, and the cropped grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cohort.images import read_template_label
from AdaptCore.errors import ImageError
from AdaptCore.files.geometry import Geometry
from AdaptCore.io import read_labels, write_mask

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed", exc_type=ImportError)

pytestmark = pytest.mark.slicer

GEOMETRY = Geometry((9, 8, 7), (0.7, 0.8, 2.5), (-31.5, 12.25, 105.0))


def labelmap() -> np.ndarray:
    labels = np.zeros(GEOMETRY.size, np.uint8)
    labels[1:6, 2:6, 2:5] = 1
    labels[6:8, 3:5, 3] = 2
    return labels


def written_by_slicer(folder: Path, overlapping: bool) -> Path:
    """Two segments that we wrote, loaded and saved by Slicer, with a copy of the first over it if asked for."""
    write_mask(labelmap(), GEOMETRY, folder / "ours.seg.nrrd", {1: "Liver", 2: "Tumour"})
    scene = slicer.vtkMRMLScene()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(folder / "ours.seg.nrrd"))
    assert storage.ReadData(node) == 1
    if overlapping:
        image = slicer.vtkOrientedImageData()
        node.GetBinaryLabelmapRepresentation(node.GetSegmentation().GetNthSegmentID(0), image)
        node.AddSegmentFromBinaryLabelmapRepresentation(image, "Whole")
    storage.SetFileName(str(folder / "slicers.seg.nrrd"))
    assert storage.WriteData(node) == 1
    return folder / "slicers.seg.nrrd"


def test_segments_come_back_on_their_voxels(tmp_path: Path) -> None:
    path = written_by_slicer(tmp_path, overlapping=False)
    assert read_labels(path).geometry.size == (7, 4, 3)  # Slicer keeps only what the segments need
    labels = read_template_label(path, GEOMETRY)
    assert labels.names == {1: "Liver", 2: "Tumour"}
    np.testing.assert_array_equal(labels.array, labelmap())


def test_segments_that_overlap_in_slicer_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="The segments 'Liver' and 'Whole' overlap in 60 voxels"):
        read_labels(written_by_slicer(tmp_path, overlapping=True))
