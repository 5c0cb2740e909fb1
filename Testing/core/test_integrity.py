"""Files that are cut short or damaged are refused in one line, wherever they end."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import ImageError
from AdaptCore.io import read_volume
from Testing.image_files import make_image, noise, write_one_dimensional

FILES = (
    "r.nrrd",
    "z.nrrd",
    "r.nii",
    "z.nii.gz",
    "r.mha",
    "z.mha",
    "r.mhd",
    "z.mhd",
    "g.png",
    "c.png",
    "g.jpg",
    "c.jpg",
)
KEPT = (0.0, 0.002, 0.02, 0.1, 0.5, 0.9, 0.99, 1.0)


def write_whole(path: Path) -> Path:
    """Write a valid image; gives the file that holds its voxels."""
    if path.suffix in (".png", ".jpg"):
        colour = path.name.startswith("c")
        pixels = noise((40, 41, 3) if colour else (40, 41), np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=colour), str(path))
        return path
    sitk.WriteImage(make_image(noise((9, 20, 21))), str(path), useCompression=path.name.startswith("z"))
    if path.suffix == ".mhd":
        return path.with_suffix(".zraw" if path.name.startswith("z") else ".raw")
    return path


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("kept", KEPT)
def test_truncated_file_is_refused_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str, kept: float
) -> None:
    voxels = write_whole(tmp_path / name)
    content = voxels.read_bytes()
    voxels.write_bytes(content[: min(int(len(content) * kept), len(content) - 1)])
    with pytest.raises(ImageError) as caught:
        read_volume(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "0x" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_truncated_meta_image_that_does_not_tell_its_size_is_refused(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "z.mha")
    header, _, rest = path.read_bytes().partition(b"CompressedDataSize")
    path.write_bytes(header + rest.partition(b"\n")[2])
    assert read_volume(path).array.shape == (21, 20, 9)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(ImageError, match="The compressed voxels are cut short"):
        read_volume(path)


@pytest.mark.parametrize("name", ["z.nrrd", "z.nii.gz", "z.mha", "g.png"])
def test_changed_byte_in_compressed_voxels_is_noticed(tmp_path: Path, name: str) -> None:
    path = write_whole(tmp_path / name)
    content = bytearray(path.read_bytes())
    content[int(len(content) * 0.8)] ^= 0x55
    path.write_bytes(content)
    with pytest.raises(ImageError):
        read_volume(path)


@pytest.mark.parametrize(
    "suffix", [".nrrd", ".nii", ".nii.gz", ".mha", ".mhd", ".nhdr", ".png", ".jpg", ".dcm", ".doc", ""]
)
@pytest.mark.parametrize("content", [b"", b"hello, this is no image\n" * 40])
def test_file_that_is_no_image_is_refused_quietly(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], suffix: str, content: bytes
) -> None:
    path = tmp_path / f"note{suffix}"
    path.write_bytes(content)
    with pytest.raises(ImageError) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert "Choose a" in str(caught.value)
    assert capfd.readouterr().err == ""


def test_empty_file_is_called_empty(tmp_path: Path) -> None:
    (tmp_path / "v.nrrd").touch()
    with pytest.raises(ImageError, match="The file is empty"):
        read_volume(tmp_path / "v.nrrd")


def test_missing_file_is_called_missing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.nrrd: No such file or folder\. Choose a NRRD"):
        read_volume(tmp_path / "absent.nrrd")


@pytest.mark.parametrize("with_file", [False, True])
def test_folder_without_dicom_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str], with_file: bool) -> None:
    if with_file:
        (tmp_path / "note.txt").write_text("no image")
    with pytest.raises(ImageError, match="The folder holds no DICOM image"):
        read_volume(tmp_path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", ["v.nrrd", "v.nii.gz", "v.mha"])
def test_four_dimensions_are_refused(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(sitk.Image([4, 5, 6, 7], sitk.sitkInt16), str(tmp_path / name))
    with pytest.raises(ImageError, match=r"4 dimensions \(4 x 5 x 6 x 7\)\. Choose one of 2 or 3"):
        read_volume(tmp_path / name)


def test_one_dimension_is_refused(tmp_path: Path) -> None:
    for path in write_one_dimensional(tmp_path):
        with pytest.raises(ImageError, match=r"1 dimensions \(5\)\. Choose one of 2 or 3"):
            read_volume(path)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_are_refused(tmp_path: Path, channels: int) -> None:
    sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkVectorUInt8, channels), str(tmp_path / "v.nrrd"))
    with pytest.raises(ImageError, match=rf"{channels} channels\. Expected 1 \(grey\) or 3 \(colour\)"):
        read_volume(tmp_path / "v.nrrd")


def test_complex_voxels_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.Image([4, 5, 6], sitk.sitkComplexFloat32), str(tmp_path / "v.nii"))
    with pytest.raises(ImageError, match=r"of type complex64\. Expected real numbers"):
        read_volume(tmp_path / "v.nii")


@pytest.mark.parametrize("name", ["v.nrrd", "v.mha", "v.nii", "v.nii.gz"])
def test_image_of_nothing_but_nan_is_refused(tmp_path: Path, name: str) -> None:
    sitk.WriteImage(make_image(np.full((2, 3, 4), np.nan, np.float32)), str(tmp_path / name))
    with pytest.raises(ImageError, match="Every voxel is NaN or infinite"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["v.nii", "z.nii.gz"])
@pytest.mark.parametrize("lost", [1, 4, 900])
def test_truncated_nifti_of_real_numbers_is_refused(tmp_path: Path, name: str, lost: int) -> None:
    voxels = np.full((9, 20, 21), np.nan, np.float32)
    sitk.WriteImage(make_image(voxels), str(tmp_path / "whole.nii"))
    content = (tmp_path / "whole.nii").read_bytes()[:-lost]
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with pytest.raises(ImageError, match=rf"cut short \({15120 - lost} bytes of image data of 15120\)"):
        read_volume(tmp_path / name)


@pytest.mark.parametrize("start", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["r.nii", "z.nii.gz"])
def test_nifti_whose_voxels_start_nowhere_is_refused(tmp_path: Path, name: str, start: float) -> None:
    path = write_whole(tmp_path / name)
    opener = gzip.open if name.endswith(".gz") else open
    with opener(path, "rb") as stream:
        content = bytearray(stream.read())
    struct.pack_into("<f", content, 108, start)
    with opener(path, "wb") as stream:
        stream.write(content)
    with pytest.raises(ImageError, match=f"The NIfTI header puts the voxels at byte {start}. Expected a finite number"):
        read_volume(path)


def test_a_library_that_prints_is_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = write_whole(tmp_path / "g.jpg")
    content = bytearray(path.read_bytes())
    table = content.index(b"\xff\xc4")
    content[table + 21] = 255
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"g\.jpg: The image cannot be read"):
        read_volume(path)
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_that_is_decoded_in_part_is_told(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "g.jpg")
    path.write_bytes(path.read_bytes().replace(b"\xff\xda", b"\xff\xdd\x00\x04\x00\x01\xff\xda", 1))
    with pytest.warns(
        UserWarning, match=r"g\.jpg: The picture is damaged \(Corrupt JPEG data: .*\); parts of it may be"
    ):
        read_volume(path)


@pytest.mark.parametrize("fill", [1, 2, 7])
def test_jpeg_with_fill_bytes_before_its_markers_is_read(tmp_path: Path, fill: int) -> None:
    path = write_whole(tmp_path / "g.jpg")
    whole, content = read_volume(path).array, path.read_bytes()
    position, filled = 2, content[:2]
    while content[position + 1] != 0xDA:
        end = position + 2 + int.from_bytes(content[position + 2 : position + 4], "big")
        filled += b"\xff" * fill + content[position:end]
        position = end
    path.write_bytes(filled + b"\xff" * fill + content[position:])
    assert np.array_equal(read_volume(path).array, whole)
