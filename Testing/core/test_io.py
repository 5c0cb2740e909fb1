"""Images come in with exact geometry, masks go out with the same, and nothing half-written stays behind."""

from __future__ import annotations

import errno
import gzip
import os
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import ImageError, OutputError
from AdaptCore.io import Geometry, check_output, read_volume, write_mask
from Testing.image_files import (
    ORIGIN,
    SPACING,
    make_image,
    noise,
    oblique_direction,
    write_dicom_series,
)

VOLUME_TYPES = ("v.nrrd", "v.nii", "v.nii.gz", "v.mha", "v.mhd", "v.nhdr")
MASK_TYPES = ("m.seg.nrrd", "m.nii.gz", "m.nii", "m.nrrd", "m.mha")


@pytest.fixture
def a_geometry() -> Geometry:
    return Geometry((6, 5, 4), SPACING, ORIGIN, oblique_direction())


@pytest.fixture
def a_mask() -> np.ndarray:
    mask = np.zeros((6, 5, 4), np.uint8)
    mask[1:3, 2, 3] = 1
    mask[5, 4, 0] = 2
    return mask


@pytest.mark.parametrize("name", VOLUME_TYPES)
@pytest.mark.parametrize("left_handed", [False, True])
def test_volume_is_read_in_ijk_order_with_its_geometry(tmp_path: Path, name: str, left_handed: bool) -> None:
    voxels = noise((4, 5, 6))
    sitk.WriteImage(make_image(voxels, left_handed=left_handed), str(tmp_path / name))
    volume = read_volume(tmp_path / name)
    assert volume.array.shape == (6, 5, 4)
    assert volume.array.dtype == np.int16
    assert volume.array[5, 1, 2] == voxels[2, 1, 5]
    assert volume.geometry.size == (6, 5, 4)
    assert volume.geometry.dimensions == 3
    np.testing.assert_allclose(volume.geometry.spacing, SPACING, rtol=1e-6)
    np.testing.assert_allclose(volume.geometry.origin, ORIGIN, rtol=1e-6)
    np.testing.assert_allclose(volume.geometry.direction, oblique_direction(left_handed), atol=1e-6)


def test_voxels_of_the_source_cannot_be_overwritten(tmp_path: Path) -> None:
    sitk.WriteImage(make_image(noise((4, 5, 6))), str(tmp_path / "v.nrrd"))
    with pytest.raises(ValueError, match="read-only"):
        read_volume(tmp_path / "v.nrrd").array[0, 0, 0] = 1


@pytest.mark.parametrize("name", ["v.nrrd", "v.mha"])
def test_colour_volume_has_its_channels_last(tmp_path: Path, name: str) -> None:
    voxels = noise((4, 5, 6, 3), np.uint8)
    sitk.WriteImage(make_image(voxels, colour=True), str(tmp_path / name))
    array = read_volume(tmp_path / name).array
    assert array.shape == (6, 5, 4, 3)
    assert array[5, 1, 2].tolist() == voxels[2, 1, 5].tolist()


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 255), (np.uint16, 60000)])
def test_png_is_a_volume_of_one_plane(tmp_path: Path, dtype: type, top: int) -> None:
    pixels = noise((5, 6), dtype)
    pixels[4, 2] = top
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "p.png"))
    volume = read_volume(tmp_path / "p.png")
    assert volume.array.shape == (6, 5, 1)
    assert volume.array.dtype == dtype
    assert volume.array[2, 4, 0] == top
    assert (volume.geometry.dimensions, volume.geometry.is_flat) == (2, True)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_colour_picture_loses_its_alpha_channel_and_that_is_told(tmp_path: Path, dtype: type) -> None:
    pixels = noise((5, 6, 4), dtype)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "p.png"))
    with pytest.warns(UserWarning, match=r"p\.png: The alpha channel \(transparency\) is left out"):
        array = read_volume(tmp_path / "p.png").array
    np.testing.assert_array_equal(array[:, :, 0], pixels[..., :3].transpose(1, 0, 2))
    assert array.dtype == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_picture_loses_its_alpha_channel_and_that_is_told(tmp_path: Path, dtype: type) -> None:
    pixels = noise((5, 6, 2), dtype)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "p.PNG"))
    with pytest.warns(UserWarning, match=r"p\.PNG: The alpha channel \(transparency\) is left out"):
        array = read_volume(tmp_path / "p.PNG").array
    np.testing.assert_array_equal(array[:, :, 0], pixels[..., 0].T)
    assert array.dtype == dtype


def test_damaged_grey_picture_with_alpha_is_named(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(noise((50, 60, 2), np.uint8), isVector=True), str(tmp_path / "p.png"))
    content = (tmp_path / "p.png").read_bytes()
    (tmp_path / "p.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(ImageError, match=r"/p\.png: The image cannot be read"):
        read_volume(tmp_path / "p.png")


def test_four_channels_of_another_format_are_refused(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(noise((5, 6, 4), np.uint8), isVector=True), str(tmp_path / "p.nrrd"))
    with pytest.raises(ImageError, match=r"The image has 4 channels\. Expected 1 \(grey\) or 3 \(colour\)"):
        read_volume(tmp_path / "p.nrrd")


@pytest.mark.parametrize("name", ["p.png", "p.jpg", "P.JPEG"])
def test_colour_picture_has_three_channels(tmp_path: Path, name: str) -> None:
    pixels = np.zeros((16, 24, 3), np.uint8)
    pixels[:, 12:, 0] = 200
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "p.jpg"))
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "p.png"))
    if name == "P.JPEG":
        (tmp_path / "p.jpg").rename(tmp_path / name)
    array = read_volume(tmp_path / name).array
    assert array.shape == (24, 16, 1, 3)
    assert array[20, 8, 0, 0] > 190
    assert array[3, 8, 0, 0] < 10
    assert array[20, 8, 0, 2] < 10


def test_dicom_folder_is_one_volume(tmp_path: Path) -> None:
    voxels = write_dicom_series(tmp_path / "scan")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume = read_volume(tmp_path / "scan")
    assert volume.array.shape == (14, 12, 5)
    assert volume.array[13, 2, 4] == voxels[4, 2, 13]
    assert volume.geometry.spacing == pytest.approx(SPACING)
    assert volume.geometry.origin == pytest.approx((-10, -20, 30))


def test_the_largest_of_several_dicom_series_is_taken_and_named(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, "1.2.826.1", slices=3, number=1)
    voxels = write_dicom_series(tmp_path, "1.2.826.2", slices=6, number=7)
    with pytest.warns(UserWarning, match=r"2 DICOM series.*series number 7, 6 files"):
        volume = read_volume(tmp_path)
    assert volume.array[0, 0, 5] == voxels[5, 0, 0]


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_damaged_dicom_slice_is_named_instead_of_left_out(tmp_path: Path, kept: float) -> None:
    write_dicom_series(tmp_path, slices=4)
    damaged = tmp_path / "s1_002.dcm"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(
        ImageError, match=r"s1_002\.dcm: The (DICOM (file|header) is damaged|file holds \d+ bytes of pixels)"
    ):
        read_volume(tmp_path)


def test_slices_at_one_position_are_refused(tmp_path: Path) -> None:
    write_dicom_series(tmp_path, "1.2.826.1", slices=3, number=1)
    write_dicom_series(tmp_path, "1.2.826.1", slices=3, number=2)
    with pytest.raises(ImageError, match="Several slices lie at one position"):
        read_volume(tmp_path)


def test_single_dicom_file_without_a_suffix_is_read(tmp_path: Path) -> None:
    voxels = write_dicom_series(tmp_path, slices=1)
    (tmp_path / "s1_000.dcm").rename(tmp_path / "IM0001")
    assert read_volume(tmp_path / "IM0001").array[3, 2, 0] == voxels[0, 2, 3]


def test_nifti_of_four_dimensions_with_one_volume_is_read(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(np.ones((1, 3, 4, 5), np.int16), isVector=False), str(tmp_path / "v.nii"))
    assert read_volume(tmp_path / "v.nii").array.shape == (5, 4, 3)


def test_voxels_that_are_not_finite_get_the_lowest_finite_value(tmp_path: Path) -> None:
    voxels = np.linspace(-3, 9, 60, dtype=np.float32).reshape(3, 4, 5)
    voxels[0, 1, 2], voxels[1, 1, 1], voxels[2, 0, 0] = np.nan, np.inf, -np.inf
    sitk.WriteImage(make_image(voxels), str(tmp_path / "v.nrrd"))
    with pytest.warns(UserWarning, match=r"v\.nrrd: 3 NaN or infinite voxels are replaced by -3"):
        array = read_volume(tmp_path / "v.nrrd").array
    assert array[2, 1, 0] == array[1, 1, 1] == array[0, 0, 2] == -3
    assert array[4, 3, 2] == 9


def write_nifti(path: Path, voxels: np.ndarray, start: int = 352, slope: float = 0) -> None:
    """Write voxels (K, J, I) with their own type and byte order; a `start` of 0 is 348 to readers of NIfTI."""
    order = voxels.dtype.str[0]
    header = bytearray(start or 348)
    struct.pack_into(order + "i", header, 0, 348)
    struct.pack_into(order + "8h", header, 40, 3, *voxels.shape[::-1], 1, 1, 1, 1)
    size = voxels.dtype.itemsize
    struct.pack_into(order + "hh", header, 70, {4: 16, 8: 64}[size], 8 * size)
    struct.pack_into(order + "8f", header, 76, *[1.0] * 8)
    struct.pack_into(order + "3f", header, 108, start, slope, 0)
    struct.pack_into(order + "h", header, 252, 1)
    header[344:348] = b"n+1\0"
    with gzip.open(path, "wb", 1) if path.suffix.lower() == ".gz" else path.open("wb") as stream:
        stream.write(header + voxels.tobytes())


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "V.NII.GZ"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_nifti_voxels_that_are_not_finite_are_told_and_replaced(
    tmp_path: Path, name: str, kind: str, broken: float
) -> None:
    voxels = np.linspace(-3, 9, 60).reshape(3, 4, 5).astype(kind)
    wanted = voxels.copy()
    for place in [(0, 1, 2), (1, 1, 1), (2, 3, 3)]:
        voxels[place], wanted[place] = broken, -3
    write_nifti(tmp_path / name, voxels)
    with pytest.warns(UserWarning, match=rf"{name}: 3 NaN or infinite voxels are replaced by -3\.$"):
        volume = read_volume(tmp_path / name)
    np.testing.assert_array_equal(volume.array, wanted.transpose(2, 1, 0))


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("kind", ["<f4", ">f4", "<f8", ">f8"])
def test_finite_nifti_is_read_without_a_warning(tmp_path: Path, name: str, kind: str) -> None:
    voxels = np.linspace(-3, 9, 60).reshape(3, 4, 5).astype(kind)
    voxels[1, 1, 1] = np.finfo(kind).max
    write_nifti(tmp_path / name, voxels)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, voxels.transpose(2, 1, 0))


@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz"])
@pytest.mark.parametrize("start", [0, 352, 357, 2_000_000])
def test_nifti_voxel_is_found_wherever_the_voxels_start(tmp_path: Path, name: str, start: int) -> None:
    voxels = np.full((9, 200, 301), 5, np.float32)
    voxels[8, 199, 300], voxels[0, 0, 0], voxels[4, 100, 7] = np.nan, np.inf, 2
    write_nifti(tmp_path / name, voxels, start)
    with pytest.warns(UserWarning, match=r"2 NaN or infinite voxels are replaced by 2\.$"):
        array = read_volume(tmp_path / name).array
    assert np.argwhere(array == 2).tolist() == [[0, 0, 0], [7, 100, 4], [300, 199, 8]]


def test_scaled_nifti_voxels_are_replaced_by_the_lowest_scaled_one(tmp_path: Path) -> None:
    write_nifti(tmp_path / "v.nii", np.array([[[4, np.nan, 6]] * 2], np.float32), slope=10)
    with pytest.warns(UserWarning, match=r"2 NaN or infinite voxels are replaced by 40\.$"):
        assert read_volume(tmp_path / "v.nii").array[:, 0, 0].tolist() == [40, 40, 60]


@pytest.mark.parametrize("name", MASK_TYPES)
@pytest.mark.parametrize("left_handed", [False, True])
def test_mask_has_the_geometry_of_its_image(tmp_path: Path, a_mask: np.ndarray, name: str, left_handed: bool) -> None:
    sitk.WriteImage(make_image(noise((4, 5, 6)), left_handed=left_handed), str(tmp_path / "v.nrrd"))
    source = read_volume(tmp_path / "v.nrrd").geometry
    write_mask(a_mask, source, tmp_path / name)
    written = sitk.ReadImage(str(tmp_path / name))
    assert written.GetSize() == source.size
    tolerance = 1e-6 if ".nii" in name else 1e-12
    np.testing.assert_allclose(written.GetSpacing(), source.spacing, rtol=tolerance)
    np.testing.assert_allclose(written.GetOrigin(), source.origin, rtol=tolerance)
    np.testing.assert_allclose(written.GetDirection(), source.direction, atol=tolerance)
    np.testing.assert_array_equal(sitk.GetArrayFromImage(written).transpose(2, 1, 0), a_mask)


@pytest.mark.parametrize("left_handed", [False, True])
def test_nifti_mask_of_a_nifti_image_has_equal_geometry(tmp_path: Path, left_handed: bool) -> None:
    sitk.WriteImage(make_image(noise((4, 5, 6)), left_handed=left_handed), str(tmp_path / "v.nii.gz"))
    source = read_volume(tmp_path / "v.nii.gz").geometry
    write_mask(np.ones((6, 5, 4), bool), source, tmp_path / "m.nii.gz")
    mask = read_volume(tmp_path / "m.nii.gz").geometry
    np.testing.assert_allclose(mask.direction, source.direction, atol=1e-7)
    np.testing.assert_allclose(mask.spacing + mask.origin, source.spacing + source.origin, rtol=1e-7)


def test_flat_mask_is_written_as_a_white_object(tmp_path: Path) -> None:
    mask = np.zeros((6, 5, 1), bool)
    mask[4, 1, 0] = True
    write_mask(mask, Geometry((6, 5, 1), dimensions=2), tmp_path / "m.png")
    written = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "m.png")))
    assert written.shape == (5, 6)
    assert written[1, 4] == 255
    assert written.sum() == 255


def test_mask_of_a_two_dimensional_image_is_two_dimensional(tmp_path: Path) -> None:
    image = sitk.GetImageFromArray(noise((5, 6)))
    image.SetSpacing((0.5, 0.25))
    image.SetOrigin((3, -4))
    sitk.WriteImage(image, str(tmp_path / "i.nrrd"))
    write_mask(np.ones((6, 5, 1)), read_volume(tmp_path / "i.nrrd").geometry, tmp_path / "m.nrrd")
    mask = sitk.ReadImage(str(tmp_path / "m.nrrd"))
    assert (mask.GetSize(), mask.GetSpacing(), mask.GetOrigin()) == ((6, 5), (0.5, 0.25), (3.0, -4.0))


def test_png_of_a_volume_is_refused(tmp_path: Path, a_mask: np.ndarray, a_geometry: Geometry) -> None:
    with pytest.raises(OutputError, match=r"m\.png: A PNG holds one plane and the image has 4"):
        write_mask(a_mask, a_geometry, tmp_path / "m.png")


def test_mask_of_another_size_is_refused(tmp_path: Path, a_geometry: Geometry) -> None:
    with pytest.raises(OutputError, match=r"The mask has \(6, 5, 3\) voxels\. Expected \(6, 5, 4\)"):
        write_mask(np.zeros((6, 5, 3)), a_geometry, tmp_path / "m.nrrd")


@pytest.mark.parametrize("name", ["m.doc", "m", ".nii.gz", "m.seg.nrrd.txt"])
def test_unknown_output_type_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match=r"Unknown file type\. .*\.seg\.nrrd"):
        check_output(tmp_path / name)


def test_missing_output_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"absent does not exist\. Choose one that does"):
        check_output(tmp_path / "absent" / "m.nrrd")
    assert not (tmp_path / "absent").exists()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("m" * 300 + ".nrrd", "File name too long"),
        ("m" * 300 + "/m.nrrd", "File name too long"),
        ("m\0.nrrd", "embedded null byte"),
        ("loop.nrrd", "Too many levels of symbolic links"),
    ],
)
def test_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "loop.nrrd").symlink_to("loop.nrrd")
    with pytest.raises(OutputError, match=rf"cannot be written \({reason}\)\. Choose another file name\."):
        check_output(tmp_path / name)


def test_folder_in_place_of_the_output_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.nrrd").mkdir()
    with pytest.raises(OutputError, match="This is a folder"):
        check_output(tmp_path / "m.nrrd")


def test_output_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OutputError, match=r"cannot be written \(Permission denied\)"):
        check_output(tmp_path / "m.nrrd")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_and_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.nrrd").touch(mode=0o444)
    with pytest.raises(OutputError, match="the file is read-only"):
        check_output(tmp_path / "m.nrrd")
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            check_output(tmp_path / "n.nrrd")
    finally:
        tmp_path.chmod(0o755)


def test_check_leaves_nothing_behind(tmp_path: Path) -> None:
    check_output(tmp_path / "m.nrrd")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.seg.nrrd", "m.nrrd", "m.mha", "m.png"])
def test_full_disk_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    (tmp_path / name).write_text("old")

    def cut_short(image: sitk.Image, path: str, **options: bool) -> None:
        Path(path).write_bytes(b"NRRD")
        raise RuntimeError("sitk::ERROR: No space left on device")

    monkeypatch.setattr(sitk, "WriteImage", cut_short)
    with pytest.raises(OutputError, match=r"cannot be written \(No space left on device\)"):
        write_mask(np.ones((6, 5, 1)), Geometry((6, 5, 1)), tmp_path / name)
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [(name, "old")]


def test_writer_that_silently_loses_voxels_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.mha").write_text("old")
    write_image = sitk.WriteImage

    def lose_the_end(image: sitk.Image, path: str, **options: bool) -> None:
        write_image(image, path, **options)
        content = Path(path).read_bytes()
        Path(path).write_bytes(content[:-40])

    monkeypatch.setattr(sitk, "WriteImage", lose_the_end)
    with pytest.raises(OutputError, match=r"m\.mha: The file cannot be written"):
        write_mask(np.ones((6, 5, 4)), Geometry((6, 5, 4)), tmp_path / "m.mha")
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("m.mha", "old")]


def test_failing_replacement_leaves_the_old_file_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "m.nrrd").write_text("old")

    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=r"m\.nrrd: The file cannot be written \(No space left on device\)"):
        write_mask(np.ones((6, 5, 4)), Geometry((6, 5, 4)), tmp_path / "m.nrrd")
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [("m.nrrd", "old")]


LIMITED_WRITER = """
import resource, signal, sys
import numpy as np
from AdaptCore.errors import OutputError
from AdaptCore.io import Geometry, write_mask
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))
mask = np.random.default_rng(0).integers(0, 2, (64, 64, 32))
try:
    write_mask(mask, Geometry((64, 64, 32)), sys.argv[1])
except OutputError as error:
    print(error)
    sys.exit(2)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are a matter of POSIX systems")
@pytest.mark.parametrize("name", ["m.seg.nrrd", "m.nii.gz", "m.nii", "m.mha"])
def test_disk_that_really_ends_leaves_the_old_file_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED_WRITER, str(tmp_path / name)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.startswith(f"{tmp_path / name}: The file cannot be written (")
    assert [(f.name, f.read_text()) for f in tmp_path.iterdir()] == [(name, "old")]


def test_segments_are_named_after_their_labels(tmp_path: Path, a_mask: np.ndarray, a_geometry: Geometry) -> None:
    write_mask(a_mask, a_geometry, tmp_path / "m.seg.nrrd", {1: "Left lung", 2: "Lesion\nB"})
    image = sitk.ReadImage(str(tmp_path / "m.seg.nrrd"))
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert fields["Segment0_Name"] == "Left lung"
    assert fields["Segment1_Name"] == "Lesion B"
    assert (fields["Segment0_LabelValue"], fields["Segment1_LabelValue"]) == ("1", "2")
    assert fields["Segment0_ID"] != fields["Segment1_ID"]
    assert fields["Segment1_Extent"] == "0 5 0 4 0 3"


@pytest.mark.data
@pytest.mark.parametrize("collection", ["mixed3d", "ct_lesion3d"])
def test_masks_of_real_images_have_their_geometry(tmp_path: Path, data_dir: Path, collection: str) -> None:
    images = sorted((data_dir / collection / "images").iterdir())
    assert images
    for path in images:
        source = sitk.ReadImage(str(path))
        volume = read_volume(path)
        assert volume.array.shape == source.GetSize()
        for name in ("m.seg.nrrd", "m.nii.gz"):
            write_mask(volume.array > volume.array.mean(), volume.geometry, tmp_path / name)
            mask = sitk.ReadImage(str(tmp_path / name))
            assert mask.GetSize() == source.GetSize()
            np.testing.assert_allclose(mask.GetSpacing(), source.GetSpacing(), rtol=1e-6)
            np.testing.assert_allclose(mask.GetOrigin(), source.GetOrigin(), rtol=1e-6, atol=1e-5)
            np.testing.assert_allclose(mask.GetDirection(), source.GetDirection(), atol=1e-6)


@pytest.mark.parametrize("direction", [(0, 0, 1, 1, 0, 0, 0, 1, 0), (1, 0, 0, 0, 0, 1, 0, -1, 0), oblique_direction()])
def test_flat_mask_of_any_orientation_becomes_a_picture(tmp_path: Path, direction: tuple[float, ...]) -> None:
    mask = np.zeros((6, 5, 1), np.uint8)
    mask[4, 1, 0] = 1
    write_mask(mask, Geometry((6, 5, 1), SPACING, ORIGIN, direction), tmp_path / "m.png")
    picture = sitk.ReadImage(str(tmp_path / "m.png"))
    assert np.argwhere(sitk.GetArrayFromImage(picture) == 255).tolist() == [[1, 4]]
    assert picture.GetOrigin() == (0, 0)
    assert picture.GetDirection() == (1, 0, 0, 1)


@pytest.mark.parametrize("name", ["m.nrrd", "m.nii.gz", "m.mha"])
def test_two_dimensional_mask_without_a_direction_of_its_own_gets_the_plain_one(tmp_path: Path, name: str) -> None:
    sagittal = Geometry((6, 5, 1), SPACING, ORIGIN, (0, 0, 1, 1, 0, 0, 0, 1, 0), dimensions=2)
    write_mask(np.ones((6, 5, 1), np.uint8), sagittal, tmp_path / name)
    written = sitk.ReadImage(str(tmp_path / name))
    assert written.GetSize() == (6, 5)
    assert written.GetDirection() == (1, 0, 0, 1)


@pytest.mark.parametrize("bad", [300, -1, 0.5, np.nan, np.inf])
@pytest.mark.parametrize("name", ["m.nrrd", "m.seg.nrrd"])
def test_labels_that_a_mask_file_cannot_hold_are_refused(
    tmp_path: Path, a_geometry: Geometry, name: str, bad: float
) -> None:
    mask = np.zeros((6, 5, 4), np.int32 if isinstance(bad, int) else np.float32)
    mask[1, 2, 3] = bad
    with pytest.raises(OutputError, match=rf"The mask holds the label {bad}\. Expected whole numbers from 0 to 255"):
        write_mask(mask, a_geometry, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_labels_that_are_no_numbers_are_refused(tmp_path: Path, a_geometry: Geometry) -> None:
    with pytest.raises(OutputError, match=r"The labels are of type complex128\. Expected whole numbers"):
        write_mask(np.ones((6, 5, 4), complex), a_geometry, tmp_path / "m.nrrd")


@pytest.mark.parametrize("kind", [bool, np.int64, np.float32])
def test_whole_labels_of_any_type_are_written(tmp_path: Path, a_geometry: Geometry, kind: type) -> None:
    mask = np.zeros((6, 5, 4), kind)
    mask[1, 2, 3] = 255
    write_mask(mask, a_geometry, tmp_path / "m.nrrd")
    assert read_volume(tmp_path / "m.nrrd").array[1, 2, 3] == (1 if kind is bool else 255)


@pytest.mark.parametrize("in_a_folder", [False, True])
def test_file_that_may_not_be_read_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_a_folder: bool) -> None:
    def no_permission(path: Path, *_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    (tmp_path / "IM0001").write_bytes(b"secret" * 40)
    monkeypatch.setattr(Path, "open", no_permission)
    with pytest.raises(ImageError, match=r"IM0001: The image cannot be read \(Permission denied\). Choose a NRRD"):
        read_volume(tmp_path if in_a_folder else tmp_path / "IM0001")
