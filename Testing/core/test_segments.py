"""Label files: segments by name and value, layers, cropped grids, near-integers; and what a label cannot hold."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore import io
from AdaptCore.cohort.images import read_label, read_template_label
from AdaptCore.errors import ImageError
from AdaptCore.files.geometry import Geometry
from AdaptCore.io import read_labels, write_mask

SIZE = (12, 10, 8)
GEOMETRY = Geometry(SIZE, (1.0, 1.5, 2.0), (-20.0, 10.0, 5.0))
NAMES = {1: "Liver", 2: "Tumour"}


def a_label() -> np.ndarray:
    """A liver (1) with a tumour (2) in it, uint8 (I, J, K)."""
    label = np.zeros(SIZE, np.uint8)
    label[2:9, 2:8, 1:6] = 1
    label[4:6, 4:6, 3:5] = 2
    return label


def write_segments(
    path: Path, array: np.ndarray, segments: list[tuple[str, int, int]], start: tuple[int, int, int] = (0, 0, 0)
) -> Path:
    """Write as 3D Slicer does: segments are (name, label value, layer), layers the last axis of the array.

    Args:
        start: index of the image's voxel on which the first one lies.
    """
    image = sitk.GetImageFromArray(array.swapaxes(0, 2), isVector=array.ndim == 4)
    image.SetSpacing(GEOMETRY.spacing)
    image.SetOrigin([o + i * s for o, i, s in zip(GEOMETRY.origin, start, GEOMETRY.spacing)])
    for index, (name, value, layer) in enumerate(segments):
        for key, text in {"ID": f"Segment_{index}", "Name": name, "LabelValue": value, "Layer": layer}.items():
            image.SetMetaData(f"Segment{index}_{key}", str(text))
    sitk.WriteImage(image, str(path))
    return path


def test_names_come_with_their_values(tmp_path: Path) -> None:
    path = write_segments(tmp_path / "l.seg.nrrd", a_label(), [("Tumour", 2, 0), ("Liver", 1, 0), ("Empty", 3, 0)])
    labels = read_labels(path)
    assert labels.names == {1: "Liver", 2: "Tumour"}
    np.testing.assert_array_equal(labels.array, a_label())


def test_our_own_segmentations_have_their_names(tmp_path: Path) -> None:
    write_mask(a_label(), GEOMETRY, tmp_path / "l.seg.nrrd", {1: "Leber", 2: "Größe: 3"})
    assert read_labels(tmp_path / "l.seg.nrrd").names == {1: "Leber", 2: "Größe: 3"}


@pytest.mark.parametrize("name", ["l.seg.nhdr", "l.nhdr", "L.SEG.NHDR", "l.nrrd"])
def test_names_are_read_from_every_form_of_nrrd(tmp_path: Path, name: str) -> None:
    """Without them, the values of another segmentation would swap the classes of a cohort."""
    swapped = np.array([0, 2, 1], np.uint8)[a_label()]
    write_segments(tmp_path / "l.seg.nhdr", swapped, [("Tumour", 1, 0), ("Liver", 2, 0)])
    path = tmp_path / name
    if name.endswith("nrrd"):
        path = write_segments(path, swapped, [("Tumour", 1, 0), ("Liver", 2, 0)])
    else:
        (tmp_path / "l.seg.nhdr").replace(path)
    assert read_labels(path).names == {1: "Tumour", 2: "Liver"}
    np.testing.assert_array_equal(read_label(path, GEOMETRY, (1, 2), NAMES), a_label())


def test_layers_of_a_detached_header_become_one_label(tmp_path: Path) -> None:
    layers = np.stack([a_label() == 1, a_label() == 2], -1).astype(np.uint8)
    path = write_segments(tmp_path / "l.seg.nhdr", layers, [("Liver", 1, 0), ("Tumour", 1, 1)])
    np.testing.assert_array_equal(read_labels(path).array, a_label())


def test_names_may_hold_every_letter(tmp_path: Path) -> None:
    write_mask(a_label(), GEOMETRY, tmp_path / "l.seg.nrrd", {1: r"a\nb\\c", 2: 'T:= "2"'})
    assert read_labels(tmp_path / "l.seg.nrrd").names == {1: r"a\nb\\c", 2: 'T:= "2"'}


def test_a_label_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    header_of = io.read_nrrd_header
    monkeypatch.setattr(io, "read_nrrd_header", lambda path: read.append(path) or header_of(path))
    path = write_segments(tmp_path / "l.seg.nrrd", a_label(), [("Liver", 1, 0), ("Tumour", 2, 0)])
    read_labels(path)
    assert read == [path]


def test_points_in_time_are_no_layers_of_segments(tmp_path: Path) -> None:
    path = write_segments(tmp_path / "l.nrrd", np.stack([a_label()] * 2, -1), [])
    path.write_bytes(path.read_bytes().replace(b"kinds: vector", b"kinds: list"))
    with pytest.raises(ImageError, match="axis of the kind 'list'"):
        read_labels(path)


def test_other_values_of_the_same_names_are_the_same_classes(tmp_path: Path) -> None:
    swapped = np.array([0, 7, 1], np.uint8)[a_label()]
    path = write_segments(tmp_path / "l.seg.nrrd", swapped, [(" tumour", 1, 0), ("LIVER", 7, 0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_label(path, GEOMETRY, (1, 2), NAMES), a_label())


@pytest.mark.parametrize(
    ("segments", "reason"),
    [
        ([("Liver", 1, 0), ("Spleen", 2, 0)], "holds the segment 'Spleen'. Expected the segments 'Liver' and 'Tumour'"),
        ([("Liver", 1, 0)], "holds the value 2, which belongs to no segment"),
        ([("Liver", 1, 0), ("liver ", 2, 0)], "Two segments are called 'liver'"),
    ],
)
def test_segments_that_the_cohort_does_not_know_are_refused(
    tmp_path: Path, segments: list[tuple[str, int, int]], reason: str
) -> None:
    path = write_segments(tmp_path / "l.seg.nrrd", a_label(), segments)
    with pytest.raises(ImageError) as refused:
        read_label(path, GEOMETRY, (1, 2), NAMES)
    assert reason in str(refused.value)


def test_a_cohort_without_names_takes_the_values_and_says_so(tmp_path: Path) -> None:
    path = write_segments(tmp_path / "l.seg.nrrd", a_label(), [("Tumour", 2, 0), ("Liver", 1, 0)])
    with pytest.warns(UserWarning, match="taken by their label values: 1 'Liver', 2 'Tumour'"):
        np.testing.assert_array_equal(read_label(path, GEOMETRY, (1, 2)), a_label())


def test_layers_that_do_not_overlap_become_one_label(tmp_path: Path) -> None:
    label = a_label()
    layers = np.stack([label == 1, label == 2], -1).astype(np.uint8)
    path = write_segments(tmp_path / "l.seg.nrrd", layers, [("Liver", 1, 0), ("Tumour", 1, 1)])
    labels = read_labels(path)
    np.testing.assert_array_equal(labels.array, label)
    assert labels.names == NAMES


def test_segments_that_overlap_are_refused_by_name(tmp_path: Path) -> None:
    layers = np.stack([a_label() > 0, a_label() == 2], -1).astype(np.uint8)
    path = write_segments(tmp_path / "l.seg.nrrd", layers, [("Liver", 1, 0), ("Tumour", 1, 1)])
    with pytest.raises(ImageError, match="segments 'Liver' and 'Tumour' overlap in 8 voxels"):
        read_labels(path)


def test_a_cropped_segmentation_lies_on_its_voxels(tmp_path: Path) -> None:
    cropped = np.ascontiguousarray(a_label()[2:9, 2:8, 1:6])
    path = write_segments(tmp_path / "l.seg.nrrd", cropped, [("Liver", 1, 0), ("Tumour", 2, 0)], (2, 2, 1))
    np.testing.assert_array_equal(read_template_label(path, GEOMETRY).array, a_label())


@pytest.mark.parametrize("start", [(2.5, 2, 1), (6, 2, 1), (-1, 2, 1)])
def test_a_cropped_segmentation_beside_the_voxels_is_refused(tmp_path: Path, start: tuple[int, int, int]) -> None:
    cropped = np.ascontiguousarray(a_label()[2:9, 2:8, 1:6])
    path = write_segments(tmp_path / "l.seg.nrrd", cropped, [("Liver", 1, 0), ("Tumour", 2, 0)], start)
    with pytest.raises(ImageError, match=r"has \(7, 6, 5\) voxels; \(12, 10, 8\)"):
        read_template_label(path, GEOMETRY)


@pytest.mark.parametrize(("shift", "fits"), [(0.0009, True), (0.0011, False)])
def test_near_integers_are_rounded(tmp_path: Path, shift: float, fits: bool) -> None:
    image = sitk.GetImageFromArray((a_label() * (1 + shift / 2)).astype(np.float64).swapaxes(0, 2))
    sitk.WriteImage(image, str(tmp_path / "l.nii.gz"))
    if fits:
        np.testing.assert_array_equal(read_labels(tmp_path / "l.nii.gz").array, a_label())
        return
    with pytest.raises(ImageError, match=r"The label holds the value 2\.0011\. Expected whole numbers from 0 to 255"):
        read_labels(tmp_path / "l.nii.gz")


@pytest.mark.parametrize("value", [-1, 256, 70000])
def test_values_that_no_label_has_are_refused(tmp_path: Path, value: int) -> None:
    array = a_label().astype(np.int32)
    array[0, 0, 0] = value
    sitk.WriteImage(sitk.GetImageFromArray(array.swapaxes(0, 2)), str(tmp_path / "l.nrrd"))
    with pytest.raises(ImageError, match=f"holds the value {value}"):
        read_labels(tmp_path / "l.nrrd")
