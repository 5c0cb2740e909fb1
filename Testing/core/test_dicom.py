"""DICOM images lie where every one of their slices says, with the values that each slice says, or are refused."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from AdaptCore.errors import ImageError
from AdaptCore.files import dicom_frames, dicom_pixels
from AdaptCore.io import read_volume, write_mask
from Testing.dicom_files import AXIAL, ORIGIN, SPACING, at, slice_position, write_dicom, write_enhanced, write_series
from Testing.image_files import noise

VOXELS = noise((5, 9, 7))
"""(K, rows, columns)."""
IN_ORDER = VOXELS.transpose(2, 1, 0)


def palette() -> dict[str, object]:
    """Elements of a palette: index i becomes red i, green 255 - i and blue 2 i."""
    indices = np.arange(256)
    colours = {"Red": indices, "Green": 255 - indices, "Blue": 2 * indices % 256}
    tables = {f"{name}PaletteColorLookupTableData": (257 * of).astype("<u2").tobytes() for name, of in colours.items()}
    return tables | {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in colours}


def place(path: Path, voxel: tuple[int, int, int]) -> list[float]:
    """LPS of a voxel, in mm."""
    return [round(float(x), 4) for x in (read_volume(path).geometry.affine @ (*voxel, 1))[:3]]


def test_a_series_lies_where_its_slices_say(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array, IN_ORDER)
    assert volume.array.dtype == np.int16
    assert place(tmp_path / "ct", (6, 8, 4)) == [-40 + 6 * 0.8, -30 + 8 * 0.9, 24]


def test_a_tilted_gantry_keeps_its_sheared_axes(tmp_path: Path) -> None:
    tilt = math.radians(15)
    orientation = [1.0, 0, 0, 0, math.cos(tilt), math.sin(tilt)]
    write_series(tmp_path / "ct", VOXELS, ImageOrientationPatient=orientation)
    with pytest.warns(UserWarning, match=r"tilted by 15\.0 degrees against their normal \(gantry tilt\)"):
        volume = read_volume(tmp_path / "ct")
    wanted = [ORIGIN[0] + 3 * 0.8, ORIGIN[1] + 5 * 0.9 * math.cos(tilt), ORIGIN[2] + 5 * 0.9 * math.sin(tilt) + 4 * 3]
    assert (volume.geometry.affine @ (3, 5, 4, 1))[:3] == pytest.approx(wanted, abs=1e-4)
    assert volume.geometry.voxel_millilitres == pytest.approx(0.8 * 0.9 * 3 * math.cos(tilt) / 1000)
    write_mask(volume.array > 100, volume.geometry, tmp_path / "m.nrrd")
    mask = read_volume(tmp_path / "m.nrrd")
    assert (mask.geometry.affine @ (3, 5, 4, 1))[:3] == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("orientation", [AXIAL, (0, 1, 0, 0, 0, -1), (1, 0, 0, 0, 0, -1)])
def test_every_orientation_has_its_slices_along_their_normal(tmp_path: Path, orientation: tuple[float, ...]) -> None:
    normal = np.cross(orientation[:3], orientation[3:])
    for k in range(4):
        position = (np.array(ORIGIN) + 2.5 * k * normal).tolist()
        elements = {"ImagePositionPatient": position, "ImageOrientationPatient": list(orientation)}
        write_dicom(tmp_path / "ct" / f"z{3 - k}.dcm", VOXELS[k], InstanceNumber=9 - k, **elements)
    volume = read_volume(tmp_path / "ct")
    np.testing.assert_array_equal(volume.array[:, :, 3], VOXELS[3].T)
    assert place(tmp_path / "ct", (0, 0, 3)) == pytest.approx(np.array(ORIGIN) + 7.5 * normal)


def test_a_missing_slice_is_refused_with_its_neighbours(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS, skipped=(3,))
    with pytest.raises(
        ImageError, match=r"3\.000 to 6\.000 mm apart, widest between s002\.dcm and s004\.dcm: some are"
    ):
        read_volume(tmp_path / "ct")


def test_slices_that_stray_a_little_are_told(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    write_dicom(tmp_path / "ct" / "s002.dcm", VOXELS[2], ImagePositionPatient=[-40, -30, 18.15])
    with pytest.warns(UserWarning, match=r"lie 2\.850 to 3\.150 mm apart; .* up to 0\.15 mm off"):
        read_volume(tmp_path / "ct")


def test_slices_that_leave_the_line_are_refused(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    write_dicom(tmp_path / "ct" / "s002.dcm", VOXELS[2], ImagePositionPatient=[-38, -30, 18])
    with pytest.raises(ImageError, match="the volume is not regular"):
        read_volume(tmp_path / "ct")


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        (
            {"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]},
            "1 of 5 slices have another orientation than s000.dcm, such as s001.dcm",
        ),
        ({"PixelSpacing": [0.7, 0.7]}, r"The slices differ in pixel spacing \(4 of \(0.8, 0.9\), 1 of \(0.7, 0.7\)\)"),
        ({"ImagePositionPatient": None}, "s001.dcm tells no position or orientation, others do"),
        ({"ImagePositionPatient": list(slice_position(2))}, r"at one position \(5 slices at 4 positions: 2 of number"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "have another orientation than s000.dcm, such as s001.dcm"),
        ({"ImageOrientationPatient": [1, 0, 0]}, "damaged .ImageOrientationPatient of 3 numbers"),
        ({"ImagePositionPatient": [0, 0, 1e9]}, "damaged .ImagePositionPatient 1000000000.0"),
        ({"PixelSpacing": [0, 0]}, "damaged .pixels 0 x 0 mm apart"),
        ({"RescaleSlope": 0, "RescaleIntercept": 0}, "damaged .RescaleSlope 0"),
        ({"Rows": 8}, "The slices differ in pixels"),
        ({"SamplesPerPixel": 3}, "The slices differ in colours"),
        ({"Columns": None}, "damaged .no Columns"),
        ({"PixelRepresentation": None}, "damaged .no PixelRepresentation"),
        ({"PhotometricInterpretation": None}, "damaged .no PhotometricInterpretation"),
        ({"HighBit": None}, "holds no pixels that can be read .no HighBit"),
        ({"PixelData": None}, "holds no pixels that can be read .no PixelData"),
    ],
)
def test_a_slice_that_does_not_fit_is_refused_by_name(tmp_path: Path, elements: dict[str, object], reason: str) -> None:
    write_series(tmp_path / "ct", VOXELS)
    own = {"ImagePositionPatient": list(slice_position(1)), "InstanceNumber": 7, **elements}
    write_dicom(tmp_path / "ct" / "s001.dcm", VOXELS[1], **own)
    with pytest.raises(ImageError, match=reason) as refused:
        read_volume(tmp_path / "ct")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("elements", "told"),
    [
        ({"PhotometricInterpretation": "PALETTE COLOR", **palette()}, "1 of PALETTE COLOR"),
        ({"PhotometricInterpretation": "MONOCHROME1"}, "1 of MONOCHROME1"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "1 of RGB"),
    ],
)
def test_a_slice_in_colour_among_grey_ones_is_refused(tmp_path: Path, elements: dict[str, object], told: str) -> None:
    grey = VOXELS.astype(np.uint8)
    write_series(tmp_path / "ct", grey)
    own = {"ImagePositionPatient": list(slice_position(1)), "PlanarConfiguration": 0, **elements}
    write_dicom(tmp_path / "ct" / "s001.dcm", grey[1], **own)
    with pytest.raises(ImageError, match=rf"The slices differ in colours \(4 of MONOCHROME2, {told}\)\. Choose slices"):
        read_volume(tmp_path / "ct")


@pytest.mark.parametrize("has_identifier", [True, False])
def test_a_picture_with_a_palette_has_its_colours(tmp_path: Path, has_identifier: bool) -> None:
    indices = np.arange(63, dtype=np.uint8).reshape(9, 7)
    path = write_dicom(tmp_path / "i.dcm", indices, PhotometricInterpretation="PALETTE COLOR", **palette())
    if not has_identifier:
        dataset = dcmread(path)
        del dataset.SOPInstanceUID
        dataset.save_as(path)
    array = read_volume(path).array
    np.testing.assert_array_equal(array[:, :, 0], np.stack([indices, 255 - indices, 2 * indices], -1).swapaxes(0, 1))


def test_pixels_that_are_decoded_to_another_form_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    indices = np.arange(63, dtype=np.uint8).reshape(9, 7)
    path = write_dicom(tmp_path / "i.dcm", indices, PhotometricInterpretation="PALETTE COLOR", **palette())
    monkeypatch.setattr(dicom_pixels, "array_of", lambda image: np.zeros((7, 9, 1), np.uint8))
    with pytest.raises(ImageError, match=r"decoded pixels are 7 x 9 x 1, the header tells of 7 x 9 x 1 x 3\."):
        read_volume(path)
    path = write_dicom(path, indices, PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(ImageError, match="The pixels cannot be decoded"):
        read_volume(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\x28\0\x10\0US", b"\x28\0\x10\0FD"),
        (b"\x08\0\x16\0UI", b"\x08\0\x16\0FD"),
        (b"\x08\0\x16\0UI", b"\x08\0\x16\0PN"),
        (b"\x02\0\x10\0UI", b"\x02\0\x10\0PN"),
        (b"\x02\0\0\0UL", b"\x02\0\0\0FD"),
        (b"\xe0\x7f\x10\0OW\0\0~\0\0\0", b"\xe0\x7f\x10\0SH~\0"),
    ],
)
def test_elements_of_a_damaged_kind_end_in_one_line(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write_dicom(tmp_path / "i.dcm", VOXELS[0])
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            np.testing.assert_array_equal(read_volume(path).array[:, :, 0], VOXELS[0].T)
        except ImageError as refused:
            assert "\n" not in str(refused)


def test_a_fault_of_ours_is_not_told_as_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_dicom(tmp_path / "i.dcm", VOXELS[0])
    monkeypatch.setattr(dicom_frames, "_stored_range", lambda bits, is_signed: bits.no_such_name)
    with pytest.raises(AttributeError, match="no_such_name"):
        read_volume(path)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Rows": 8}, "holds 126 bytes of pixels, its header tells of 112"),
        ({"Rows": 10}, "holds 126 bytes of pixels, its header tells of 140"),
        ({"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}, "holds 126 bytes of pixels, its header tells of 63"),
        ({"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31}, "holds 126 bytes of pixels, its header tells of 252"),
        ({"BitsAllocated": 7}, "Numbers of 16 in 7 bits"),
        ({"SamplesPerPixel": 0}, "Pixels of 0 numbers"),
        ({"SamplesPerPixel": 7}, "Pixels of 7 numbers"),
        ({"NumberOfFrames": 3}, "tell neither where they lie|are pictures|holds 126 bytes"),
        ({"NumberOfFrames": 0x7FFFFFF}, "134217727 frames"),
    ],
)
def test_pixels_that_the_header_does_not_describe_are_refused(
    tmp_path: Path, elements: dict[str, object], reason: str
) -> None:
    write_dicom(tmp_path / "i.dcm", VOXELS[0], **elements)
    with pytest.raises(ImageError, match=reason):
        read_volume(tmp_path / "i.dcm")


def test_each_slice_has_its_own_rescale(tmp_path: Path) -> None:
    for k, slope in enumerate((1, 0.0004, 0.5)):
        elements = {"RescaleSlope": slope, "RescaleIntercept": -k, "ImagePositionPatient": list(slice_position(k))}
        write_dicom(tmp_path / "pet" / f"{k}.dcm", VOXELS[k], **elements)
    array = read_volume(tmp_path / "pet").array
    assert array.dtype == np.float32
    for k, slope in enumerate((1, 0.0004, 0.5)):
        np.testing.assert_allclose(array[:, :, k], VOXELS[k].T * slope - k, rtol=1e-6)


@pytest.mark.parametrize(
    ("intercept", "kind"), [(0, np.int16), (-1024, np.int16), (40000, np.int32), (-1024.5, np.float32)]
)
def test_whole_rescales_keep_whole_numbers(tmp_path: Path, intercept: float, kind: type) -> None:
    write_series(tmp_path / "ct", VOXELS, RescaleSlope=1, RescaleIntercept=intercept)
    array = read_volume(tmp_path / "ct").array
    assert array.dtype == kind
    np.testing.assert_array_equal(array, IN_ORDER.astype(float) + intercept)


def test_ct_of_12_bits_stays_in_16_and_other_bits_are_left_out(tmp_path: Path) -> None:
    stored = VOXELS.astype(np.uint16) | 0xF000
    elements = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 1, "RescaleIntercept": -1024}
    write_series(tmp_path / "ct", stored, **elements)
    array = read_volume(tmp_path / "ct").array
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, IN_ORDER - 1024)


def test_other_plain_syntaxes_are_read(tmp_path: Path) -> None:
    dataset = dcmread(write_dicom(tmp_path / "i.dcm", VOXELS[0]))
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    dataset.save_as(tmp_path / "implicit.dcm", implicit_vr=True)
    swapped = Dataset()
    swapped.update(dataset)
    swapped.PixelData = VOXELS[0].astype(">i2").tobytes()
    swapped.file_meta = dataset.file_meta
    swapped.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    dcmwrite(tmp_path / "big.dcm", swapped, implicit_vr=False, little_endian=False, enforce_file_format=True)
    for name in ("implicit.dcm", "big.dcm"):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array[:, :, 0], VOXELS[0].T)


def test_compressed_slices_are_decoded_and_rescaled(tmp_path: Path) -> None:
    for k in range(2):
        elements = {"RescaleSlope": k + 0.5, "RescaleIntercept": 3, "ImagePositionPatient": list(slice_position(k))}
        path = write_dicom(tmp_path / "mr" / f"{k}.dcm", VOXELS[k], **elements)
        dataset = dcmread(path)
        dataset.compress("1.2.840.10008.1.2.5")
        dataset.save_as(path)
    array = read_volume(tmp_path / "mr").array
    np.testing.assert_allclose(array, np.stack([VOXELS[0].T * 0.5 + 3, VOXELS[1].T * 1.5 + 3], -1))


def test_pixels_that_are_not_compressed_as_told_are_refused(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "i.dcm", VOXELS[0])
    content = path.read_bytes()
    path.write_bytes(content.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1))
    with pytest.raises(ImageError, match="The pixels are not compressed, yet the header says so"):
        read_volume(path)


def frames(count: int = 5) -> list[dict]:
    return [at(slice_position(k)) for k in range(count)]


@pytest.mark.parametrize("in_a_folder", [False, True])
def test_an_enhanced_file_is_read_alone_and_in_a_folder(tmp_path: Path, in_a_folder: bool) -> None:
    path = write_enhanced(tmp_path / "ct" / "e.dcm", VOXELS, frames())
    chosen = path.parent if in_a_folder else path
    np.testing.assert_array_equal(read_volume(chosen).array, IN_ORDER)
    assert place(chosen, (6, 8, 4)) == [-40 + 6 * 0.8, -30 + 8 * 0.9, 24]


def test_frames_are_sorted_by_position_and_rescaled_one_by_one(tmp_path: Path) -> None:
    groups = [
        at(slice_position(4 - k), PixelValueTransformationSequence={"RescaleSlope": k + 1, "RescaleIntercept": -5})
        for k in range(5)
    ]
    array = read_volume(write_enhanced(tmp_path / "e.dcm", VOXELS, groups)).array
    wanted = np.stack([VOXELS[4 - k].T.astype(int) * (5 - k) - 5 for k in range(5)], -1)
    np.testing.assert_array_equal(array, wanted)


def test_a_volume_in_several_files_of_frames_is_one(tmp_path: Path) -> None:
    write_enhanced(tmp_path / "ct" / "b.dcm", VOXELS[:2], frames(2))
    write_enhanced(tmp_path / "ct" / "a.dcm", VOXELS[2:], frames(5)[2:])
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, IN_ORDER)


@pytest.mark.parametrize(
    ("group", "reason"),
    [
        (lambda n: {"MRDiffusionSequence": {"DiffusionBValue": 1000.0 * n}}, "2 of b-value 0, 1000"),
        (lambda n: {"FrameContentSequence": {"TemporalPositionIndex": n + 1}}, "2 of time point 1, 2"),
        (lambda n: {"MREchoSequence": {"EffectiveEchoTime": 4.6 + n}}, "2 of echo time 4.6, 5.6"),
        (lambda n: {}, r"\(6 slices at 3 positions\)"),
    ],
)
def test_frames_at_one_position_are_refused_and_named(tmp_path: Path, group: object, reason: str) -> None:
    groups = [at(slice_position(k % 3), **group(k // 3)) for k in range(6)]  # type: ignore[operator]
    path = write_enhanced(tmp_path / "e.dcm", noise((6, 9, 7)), groups)
    with pytest.raises(ImageError, match=f"Several slices lie at one position .*{reason}"):
        read_volume(path)


def test_a_series_over_time_is_refused_and_named(tmp_path: Path) -> None:
    for n in range(6):
        elements = {"ImagePositionPatient": list(slice_position(n % 3)), "TriggerTime": 40.0 * (n // 3)}
        write_dicom(tmp_path / "cine" / f"{n}.dcm", VOXELS[0], **elements)
    with pytest.raises(ImageError, match=r"6 slices at 3 positions: 2 of trigger time 0, 40\)"):
        read_volume(tmp_path / "cine")


def test_frames_of_other_orientations_and_holes_are_refused(tmp_path: Path) -> None:
    turned = [
        *frames(4),
        at(slice_position(4), PlaneOrientationSequence={"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}),
    ]
    with pytest.raises(
        ImageError, match=r"1 of 5 slices have another orientation than e\.dcm, such as e\.dcm, frame 5"
    ):
        read_volume(write_enhanced(tmp_path / "e.dcm", VOXELS, turned))
    holed = [at(slice_position(k + (k > 2))) for k in range(5)]
    with pytest.raises(ImageError, match=r"widest between h\.dcm, frame 3 and h\.dcm, frame 4"):
        read_volume(write_enhanced(tmp_path / "h.dcm", VOXELS, holed))


def test_frames_without_positions_take_the_thickness_and_say_so(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "m.dcm", VOXELS, ImagePositionPatient=None, ImageOrientationPatient=None)
    with pytest.warns(UserWarning, match=r"to lie 3 mm apart, .* numbers\. Their place in the patient is unknown"):
        volume = read_volume(path)
    assert volume.geometry.spacing == pytest.approx(SPACING)
    np.testing.assert_array_equal(volume.array, IN_ORDER)


def test_frames_of_which_the_first_has_a_position_go_on_along_their_normal(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "m.dcm", VOXELS, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    with pytest.warns(UserWarning, match="to lie 3 mm apart, .* numbers; the first one lies where the file says"):
        assert place(path, (2, 1, 4)) == [-40 - 4 * 3, -30 + 2 * 0.8, 12 - 0.9]


@pytest.mark.parametrize(
    ("elements", "reason"),
    [({"SliceThickness": None}, "tell neither where they lie nor how far apart"), ({"FrameTime": 40.0}, "over time")],
)
def test_frames_that_tell_nothing_are_refused(tmp_path: Path, elements: dict[str, object], reason: str) -> None:
    path = write_dicom(tmp_path / "m.dcm", VOXELS, ImagePositionPatient=None, **elements)
    with pytest.raises(ImageError, match=reason):
        read_volume(path)


def test_a_picture_without_spacing_has_no_millimetres(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "us.dcm", VOXELS[0], ImagePositionPatient=None, PixelSpacing=None)
    assert not read_volume(path).geometry.has_millimetres
    path = write_dicom(
        tmp_path / "xr.dcm", VOXELS[0], ImagePositionPatient=None, PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.1]
    )
    assert read_volume(path).geometry.spacing[:2] == (0.1, 0.2)


def test_a_dose_lies_by_its_offsets(tmp_path: Path) -> None:
    offsets = [0.0, 2.5, 5.0, 7.5, 10.0]
    elements = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.2", "GridFrameOffsetVector": offsets}
    path = write_dicom(tmp_path / "d.dcm", VOXELS.astype(np.uint16), DoseGridScaling=0.01, **elements)
    volume = read_volume(path)
    assert place(path, (0, 0, 4)) == [-40, -30, 22]
    np.testing.assert_allclose(volume.array, IN_ORDER * 0.01, rtol=1e-6)


OTHERS = {
    "RTSTRUCT": "1.2.840.10008.5.1.4.1.1.481.3",
    "SR": "1.2.840.10008.5.1.4.1.1.88.67",
    "PR": "1.2.840.10008.5.1.4.1.1.11.1",
}


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", ["other.dcm", "OTHER"])
def test_what_is_no_image_is_left_out_and_told(tmp_path: Path, kind: str, name: str) -> None:
    write_series(tmp_path / "ct", VOXELS)
    write_dicom(tmp_path / "ct" / name, None, SOPClassUID=OTHERS[kind], Modality=kind, SeriesInstanceUID="1.2.9")
    with pytest.warns(UserWarning) as told:
        np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, IN_ORDER)
    assert [str(one.message) for one in told] == [f"{tmp_path / 'ct'}: Left out: {name} ({kind})."]


@pytest.mark.parametrize("kept", [150, 300, 500, 0.999])
@pytest.mark.parametrize("k", [0, 2, 4])
def test_a_slice_that_is_cut_short_is_never_left_out(tmp_path: Path, k: int, kept: float) -> None:
    write_series(tmp_path / "ct", VOXELS)
    path = tmp_path / "ct" / f"s{k:03}.dcm"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept if kept > 1 else kept * len(content))])
    with pytest.raises(ImageError, match=rf"s{k:03}\.dcm: The "):
        read_volume(tmp_path / "ct")


def test_a_segmentation_beside_a_series_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    other = np.zeros((50, 9, 7), np.uint8)
    write_dicom(tmp_path / "ct" / "seg.dcm", other, SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG")
    with pytest.warns(UserWarning, match=r"seg\.dcm \(SEG\)"):
        assert read_volume(tmp_path / "ct").array.shape == (7, 9, 5)
    with pytest.raises(ImageError, match="holds no image but SEG"):
        read_volume(tmp_path / "ct" / "seg.dcm")


def test_names_that_begin_with_a_dot_are_slices_and_copies_of_a_mac_are_not(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    for path in list((tmp_path / "ct").iterdir()):
        path.rename(path.with_name(f".CT.{path.name}"))
    (tmp_path / "ct" / "._CT.s000.dcm").write_bytes(b"\0\5\x16\7" + bytes(300))
    (tmp_path / "ct" / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    with pytest.warns(UserWarning, match=r"Left out: \._CT\.s000\.dcm \(macOS metadata\)\.$"):
        np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, IN_ORDER)


def test_a_file_that_is_no_dicom_is_left_out_whatever_its_name(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    (tmp_path / "ct" / "notes.dcm").write_text("no image " * 40)
    (tmp_path / "ct" / "notes.txt").write_text("no image " * 40)
    with pytest.warns(UserWarning, match=r"ct: Left out: notes\.dcm \(no DICOM\)\.$"):
        np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, IN_ORDER)


def test_a_copy_of_a_slice_is_left_out(tmp_path: Path) -> None:
    write_series(tmp_path / "ct", VOXELS)
    (tmp_path / "ct" / "s001 (1).dcm").write_bytes((tmp_path / "ct" / "s001.dcm").read_bytes())
    with pytest.warns(UserWarning, match=r"s001\.dcm \(a copy of s001 \(1\)\.dcm\)"):
        np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, IN_ORDER)


def test_files_without_a_preamble_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the oldest version of pydicom, too: 2.4 lacks this attribute."""
    write_series(tmp_path / "ct", VOXELS)
    for path in (tmp_path / "ct").iterdir():
        dataset = dcmread(path)
        content = path.read_bytes()
        start = content.index(b"\x08\x00\x16\x00UI")
        assert dataset.SOPClassUID
        path.write_bytes(content[start:])
    monkeypatch.delattr(Dataset, "original_encoding")
    np.testing.assert_array_equal(read_volume(tmp_path / "ct").array, IN_ORDER)


def test_a_folder_of_folders_gets_a_hint(tmp_path: Path) -> None:
    write_series(tmp_path / "study" / "ct", VOXELS)
    (tmp_path / "study" / "notes").mkdir()
    with pytest.raises(ImageError, match=r"no DICOM image\. Choose the folder in it that holds .* series: ct\.$"):
        read_volume(tmp_path / "study")


def test_numbers_that_are_none_are_refused_in_one_line(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "i.dcm", VOXELS[0])
    content = path.read_bytes()
    position = b"-40.0\\-30.0\\12.0"
    assert content.count(position) == 1
    for text in (b"-40.0\\-30.0\\abcd", b"nan\\nan\\nan     ", b"inf\\0\\0        ", b"0\\0            "):
        path.write_bytes(content.replace(position, text.ljust(len(position))))
        with pytest.raises(ImageError, match=r"i\.dcm: The DICOM header is damaged"):
            read_volume(path)
