"""Images and labels from outside: which are found, what they are called, and which are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cohort.images import differs, digest, examine, find_images, named, read_label, stem
from AdaptCore.errors import CohortError, ImageError
from AdaptCore.files.detached import voxel_file
from AdaptCore.io import Geometry, read_volume
from Testing.cohort_toy import LABELS, SIZE, a_case, write
from Testing.image_files import write_dicom_series

GEOMETRY = Geometry(SIZE, (1.0, 1.5, 2.0), (-20.0, 10.0, 5.0), (-1.0, 0, 0, 0, -1.0, 0, 0, 0, 1.0))


def test_a_folder_stands_for_its_images_and_dicom_folders(tmp_path: Path) -> None:
    image = a_case(0)[0]
    for name in ("b.nii.gz", "a.nrrd", "deeper/c.nii.gz"):
        write(tmp_path / name, image)
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / ".hidden.nii.gz").write_bytes(b"")
    write_dicom_series(tmp_path / "series")
    found = find_images((tmp_path, tmp_path / "deeper" / "c.nii.gz", tmp_path / "a.nrrd"))
    assert [path.name for path in found] == ["a.nrrd", "b.nii.gz", "series", "c.nii.gz"]
    assert find_images((tmp_path / "series",)) == ((tmp_path / "series").resolve(),)


def test_a_place_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match=r"nowhere: No such file or folder. Choose images or folders with images"):
        find_images((tmp_path / "nowhere",))
    with pytest.raises(CohortError, match=r"No image is there. Choose files that end in \.nrrd, "):
        find_images((tmp_path,))


def test_every_image_gets_a_name_of_its_own_and_keeps_it() -> None:
    paths = [Path(text) for text in ("/a/scan.nii.gz", "/b/scan.nii.gz", "/b/SCAN.nrrd", "/b/con.mha", "/b/Ä 1.nrrd")]
    names = named(paths, {})
    ids = list(names)
    assert ids[0] == "scan" and len({name.casefold() for name in ids}) == 5
    assert ids[1].startswith("b-scan-") and ids[3].startswith("con-") and ids[4].startswith("a-1-")
    assert named(paths[::-1], names) == names
    assert list(named([Path("/c/scan.nii"), *paths], names))[:5] == ids


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((4, 4, 4, 3), np.uint8), "Expected a grey image, got one of 3 channels."),
        (np.arange(16, dtype=np.int16).reshape(4, 4, 1), "Expected a volume, got one plane (4 x 4 x 1)."),
        (np.full((4, 4, 4), 7, np.int16), "The image is constant (every voxel is 7)"),
    ],
)
def test_an_image_that_is_no_grey_volume_is_refused(tmp_path: Path, array: np.ndarray, reason: str) -> None:
    path = write(tmp_path / "image.nrrd", array)
    with pytest.raises(ImageError) as refused:
        examine(path)
    assert reason in str(refused.value)


def test_a_changed_byte_changes_the_digest_of_a_file_and_of_a_series(tmp_path: Path) -> None:
    path, series = write(tmp_path / "image.nii.gz", a_case(0)[0]), tmp_path / "series"
    write_dicom_series(series)
    before = digest(path), digest(series)
    (series / ".DS_Store").write_bytes(b"of a desktop")
    assert digest(series) == before[1]
    for file in (path, sorted(series.iterdir())[1]):
        file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert digest(path) != before[0] and digest(series) != before[1]


@pytest.mark.parametrize("suffix", [".nhdr", ".mhd", ".NHDR"])
def test_voxels_beside_their_header_count_too(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"scan{suffix.lower()}", a_case(0)[0]).rename(tmp_path / f"scan{suffix}")
    (voxels,) = (file for file in tmp_path.iterdir() if file != path)
    assert voxel_file(path) == voxels
    before = digest(path)
    content = bytearray(voxels.read_bytes())
    content[-1] ^= 1
    voxels.write_bytes(bytes(content))
    assert digest(path) != before
    voxels.unlink()
    with pytest.raises(ImageError, match="The image cannot be read"):
        digest(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("scan.nrrd", "NRRD0004\nDATA FILE: voxels.raw\n\n"),
        ("scan.nrrd", "NRRD0004\r\n# made by hand\r\ndatafile:voxels.raw\r\n"),
        ("scan.mha", "NDims = 3\nElementDataFile = voxels.raw\n"),
        ("scan.mhd", "NDims = 3\n  ElementDataFile =voxels.raw"),
    ],
)
def test_any_header_may_name_another_file_for_its_voxels(tmp_path: Path, name: str, content: str) -> None:
    path, voxels = tmp_path / name, tmp_path / "voxels.raw"
    path.write_bytes(content.encode())
    voxels.write_bytes(b"0123")
    before = digest(path)
    voxels.write_bytes(b"0124")
    assert digest(path) != before


def test_voxels_that_follow_their_header_are_in_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "scan.mhd").write_text("NDims = 3\nElementDataFile = LOCAL\n")
    (tmp_path / "scan.nhdr").write_text("NRRD0004\nencoding: raw\n\ndata")
    for name in ("scan.mhd", "scan.nhdr", "scan.nii.gz"):
        assert voxel_file(tmp_path / name) is None


def test_a_label_comes_with_its_values(tmp_path: Path) -> None:
    label = a_case(0)[1]
    path = write(tmp_path / "label.nii.gz", label.astype(np.float32))
    got = read_label(path, read_volume(path).geometry, LABELS)
    assert got.dtype == np.uint8 and np.array_equal(got, label)


@pytest.mark.parametrize(
    ("label", "spacing", "reason"),
    [
        (np.ones((12, 10, 7), np.uint8), (1.0, 1.5, 2.0), r"has \(12, 10, 7\) voxels; \(12, 10, 8\) in the image"),
        (np.ones(SIZE, np.uint8), (1.0, 1.5, 2.1), r"has spacing \(1, 1.5, 2.1\); \(1, 1.5, 2\) in the image"),
        (np.full(SIZE, 3, np.uint8), (1.0, 1.5, 2.0), "Expected the values 0 and 2, 5, got 3"),
        (np.full(SIZE, 2.5, np.float32), (1.0, 1.5, 2.0), "holds the value 2.5. Expected whole numbers from 0 to 255"),
        (np.full((*SIZE, 3), 2, np.uint8), (1.0, 1.5, 2.0), "Each voxel holds 3 numbers"),
        (
            np.where(a_case(0)[1] > 0, a_case(0)[1], np.float32("nan")),
            (1.0, 1.5, 2.0),
            r"\d+ voxels are NaN or infinite\. Expected finite ones",
        ),
    ],
)
def test_a_label_that_does_not_fit_is_refused(
    tmp_path: Path, label: np.ndarray, spacing: tuple[float, float, float], reason: str
) -> None:
    path = write(tmp_path / "label.nii.gz", label, spacing)
    with pytest.raises(ImageError, match=rf"label\.nii\.gz: .*{reason}"):
        read_label(path, GEOMETRY, LABELS)


def test_rounding_is_no_difference_and_a_shift_is_one() -> None:
    assert differs(replace(GEOMETRY, origin=(-20.0005, 10.0, 5.0), spacing=(1.0, 1.5, 2.000001)), GEOMETRY) == ""
    assert differs(replace(GEOMETRY, origin=(-19.9, 10.0, 5.0)), GEOMETRY).startswith("origin (-19.9, 10, 5); ")
    assert differs(replace(GEOMETRY, direction=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0)), GEOMETRY).startswith("direction ")


@pytest.mark.parametrize("suffix", [".nrrd", ".nhdr", ".seg.nrrd", ".seg.nhdr", ".nii.gz", ".MHD"])
def test_a_name_goes_without_the_type_of_the_file(suffix: str) -> None:
    assert stem(Path(f"/a/scan.1{suffix}")) == "scan.1"
