"""Voxels lie where files of any format say; what no file can say is refused, and masks lie where their image does."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import ImageError, OutputError
from AdaptCore.files.geometry import Geometry
from AdaptCore.io import read_volume, write_mask
from Testing.image_files import make_image, noise
from Testing.nifti_files import write_nifti

VOXELS = noise((6, 5, 4))
"""(I, J, K)."""

SFORM = np.array([[1.0, 0, 0, 10], [0, 1, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1]])
QFORM = np.array([[1.0, 0, 0, -5], [0, 1, 0, 20], [0, 0, 2, 30], [0, 0, 0, 1]])
SHEARED = np.array([[0.8, 0, 0.5, -40], [0, 0.9, 0, -30], [0, 0, 3.0, 12], [0, 0, 0, 1]])
"""LPS."""
LPS_OF_RAS = np.diag([-1.0, -1, 1, 1])

NRRD = (
    "NRRD0005\ntype: short\ndimension: 3\nsizes: 6 5 4\nendian: little\nencoding: raw\n"
    "space: left-posterior-superior\nspace directions: {directions}\nspace origin: {origin}\n{more}\n"
)
MHA = (
    "ObjectType = Image\nNDims = 3\nBinaryData = True\nBinaryDataByteOrderMSB = False\nCompressedData = False\n"
    "TransformMatrix = {matrix}\nOffset = {origin}\nElementSpacing = {spacing}\nDimSize = 6 5 4\n"
    "ElementType = MET_SHORT\nElementDataFile = LOCAL\n"
)


def write_nrrd(
    path: Path, directions: str = "(0.8,0,0) (0,0.9,0) (0,0,3)", origin: str = "(1,2,3)", more: str = ""
) -> Path:
    path.write_bytes(NRRD.format(directions=directions, origin=origin, more=more).encode() + VOXELS.tobytes(order="F"))
    return path


def write_mha(path: Path, matrix: str = "1 0 0 0 1 0 0 0 1", origin: str = "1 2 3", spacing: str = "0.8 0.9 3") -> Path:
    header = MHA.format(matrix=matrix, origin=origin, spacing=spacing)
    path.write_bytes(header.encode() + VOXELS.tobytes(order="F"))
    return path


def sheared(path: Path) -> Path:
    return write_nrrd(path, "(0.8,0,0) (0,0.9,0) (0.5,0,3)", "(-40,-30,12)")


@pytest.mark.parametrize("name", ["m.nrrd", "m.seg.nrrd", "m.mha"])
def test_a_sheared_volume_keeps_its_place(tmp_path: Path, name: str) -> None:
    geometry = read_volume(sheared(tmp_path / "v.nrrd")).geometry
    np.testing.assert_allclose(geometry.affine, SHEARED, atol=1e-12)
    assert geometry.voxel_millilitres == pytest.approx(0.8 * 0.9 * 3 / 1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_mask(VOXELS > 100, geometry, tmp_path / name)
    np.testing.assert_allclose(read_volume(tmp_path / name).geometry.affine, SHEARED, atol=1e-9)


def test_a_sheared_nifti_mask_is_exact_and_its_readers_are_named(tmp_path: Path) -> None:
    geometry = read_volume(sheared(tmp_path / "v.nrrd")).geometry
    with pytest.warns(UserWarning, match=r"sheared .* 3D Slicer and ITK do not read .* Choose \.nrrd, \.mha or \.seg"):
        write_mask(VOXELS > 100, geometry, tmp_path / "m.nii.gz")
    mask = nibabel.load(tmp_path / "m.nii.gz")
    np.testing.assert_allclose(LPS_OF_RAS @ mask.affine, SHEARED, atol=1e-5)
    assert int(mask.header["qform_code"]) == 0
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "m.nii.gz"))


@pytest.mark.parametrize(
    ("codes", "readers"),
    [
        ((1, 1), "as nibabel, FSL, 3D Slicer and ITK do; masks"),
        ((1, 2), "as nibabel and FSL do; 3D Slicer and ITK read the other; masks"),
    ],
)
def test_two_places_of_a_nifti_are_told_and_kept(tmp_path: Path, codes: tuple[int, int], readers: str) -> None:
    path = write_nifti(tmp_path / "v.nii.gz", VOXELS, SFORM, QFORM, codes)
    with pytest.warns(UserWarning, match=f"sform and qform lie up to 15 mm apart. The sform is used, {readers}"):
        volume = read_volume(path)
    np.testing.assert_allclose(volume.geometry.affine, LPS_OF_RAS @ SFORM)
    write_mask(VOXELS > 100, volume.geometry, tmp_path / "m.nii.gz")
    header = nibabel.load(tmp_path / "m.nii.gz").header
    np.testing.assert_allclose(header.get_sform(), SFORM)
    np.testing.assert_allclose(header.get_qform(), QFORM)
    assert (int(header["qform_code"]), int(header["sform_code"])) == codes
    image, mask = sitk.ReadImage(str(path)), sitk.ReadImage(str(tmp_path / "m.nii.gz"))
    assert (mask.GetOrigin(), mask.GetDirection()) == (image.GetOrigin(), image.GetDirection())


@pytest.mark.parametrize(("codes", "wanted"), [((1, 0), QFORM), ((0, 1), SFORM), ((2, 0), QFORM)])
def test_a_single_place_of_a_nifti_is_taken_in_silence(
    tmp_path: Path, codes: tuple[int, int], wanted: np.ndarray
) -> None:
    path = write_nifti(tmp_path / "v.nii", VOXELS, SFORM, QFORM, codes)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_allclose(read_volume(path).geometry.affine, LPS_OF_RAS @ wanted)


def test_a_nifti_without_a_place_is_told_and_lies_where_itk_shows_it(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "v.nii", VOXELS, codes=(0, 0))
    with pytest.warns(UserWarning, match="tells no place in the patient"):
        geometry = read_volume(path).geometry
    image = sitk.ReadImage(str(path))
    assert geometry.direction == image.GetDirection()
    write_mask(VOXELS > 100, geometry, tmp_path / "m.nii")
    assert int(nibabel.load(tmp_path / "m.nii").header["sform_code"]) == 0


def test_a_sheared_sform_is_taken_as_it_is(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "v.nii", VOXELS, LPS_OF_RAS @ SHEARED, LPS_OF_RAS @ SHEARED)
    with pytest.warns(UserWarning, match=r"sform and qform lie up to [\d.]+ mm apart"):
        geometry = read_volume(path).geometry
    np.testing.assert_allclose(geometry.affine, SHEARED, atol=1e-5)
    path = write_nifti(tmp_path / "w.nii", VOXELS, LPS_OF_RAS @ SHEARED, codes=(0, 1))
    with pytest.warns(UserWarning, match="The axes are sheared; 3D Slicer and ITK do not open"):
        np.testing.assert_allclose(read_volume(path).geometry.affine, SHEARED, atol=1e-5)


@pytest.mark.parametrize(("units", "factor"), [(0, 1), (1, 1000), (2, 1), (3, 0.001), (11, 0.001)])
def test_nifti_lengths_have_units(tmp_path: Path, units: int, factor: float) -> None:
    path = write_nifti(tmp_path / "v.nii", VOXELS, SFORM, SFORM, xyzt_units=units)
    geometry = read_volume(path).geometry
    assert geometry.spacing == pytest.approx((factor, factor, 2 * factor))
    assert geometry.origin == pytest.approx((-10 * factor, -20 * factor, 30 * factor))


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf, 1e30])
@pytest.mark.parametrize("axis", [1, 3])
def test_nifti_spacing_that_cannot_be_is_refused(tmp_path: Path, axis: int, value: float) -> None:
    pixdim = [1.0, 1, 1, 2, 0, 0, 0, 0]
    pixdim[axis] = value
    path = write_nifti(tmp_path / "v.nii", VOXELS, pixdim=pixdim)
    with pytest.raises(
        ImageError, match=rf"{value:g}.* mm apart\. Expected numbers from 1e-06 to 1e\+06".replace("+3", r"\+3")
    ):
        read_volume(path)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"srow_x": [np.nan, 0, 0, 0]}, "The place of the voxels is not finite"),
        ({"qoffset_x": np.inf}, "The place of the voxels is not finite"),
        ({"srow_x": [0, 0, 0, 0]}, r"The voxels are \(0, 1, 2\) mm apart"),
        (
            {"srow_x": [1, 1, 0, 0], "srow_y": [1, 1, 0, 0]},
            r"point along .* Expected three finite directions that do not lie in one plane",
        ),
        ({"srow_x": [1, 0, 0, 1e9]}, r"The first voxel lies at \(-1e\+09, 0, 0\) mm"),
        ({"quatern_b": 5.0}, "The qform is damaged"),
        ({"dim": [3, 6, 0, 4, 1, 1, 1, 1]}, r"it gives the size \[6, 0, 4\]"),
        ({"dim": [9, 6, 5, 4, 1, 1, 1, 1]}, "The NIfTI header is damaged"),
        ({"dim": [3, 6, 5, 2, 1, 1, 1, 1], "datatype": 16, "bitpix": 32}, None),
        ({"dim": [3, 6, 5, 5, 1, 1, 1, 1]}, "cut short"),
        ({"datatype": 32, "bitpix": 64, "dim": [3, 6, 5, 1, 1, 1, 1, 1]}, "of type complex64"),
        ({"datatype": 9999}, "The NIfTI header is damaged"),
        ({"magic": b"ni1"}, "no NIfTI header"),
        ({"scl_slope": 1.0, "scl_inter": np.nan}, "The NIfTI header is damaged"),
    ],
)
def test_a_nifti_header_that_cannot_be_is_refused(
    tmp_path: Path, fields: dict[str, object], reason: str | None
) -> None:
    path = write_nifti(tmp_path / "v.nii", VOXELS, **fields)
    if reason is None:
        assert read_volume(path).array.shape == (6, 5, 2)
        return
    with pytest.raises(ImageError, match=reason) as refused:
        read_volume(path)
    assert "\n" not in str(refused.value)


def test_voxels_of_which_the_header_does_not_tell_are_refused(tmp_path: Path) -> None:
    voxels = noise((30, 30, 4))
    path = write_nifti(tmp_path / "v.nii", voxels, dim=[3, 30, 30, 2, 1, 1, 1, 1])
    with pytest.raises(ImageError, match="holds 7200 bytes of image data, its header tells of 3600"):
        read_volume(path)


@pytest.mark.parametrize(
    ("directions", "origin"),
    [
        ("(nan,0,0) (0,1,0) (0,0,1)", "(0,0,0)"),
        ("(inf,0,0) (0,1,0) (0,0,1)", "(0,0,0)"),
        ("(0,0,0) (0,1,0) (0,0,1)", "(0,0,0)"),
        ("(1e308,0,0) (0,1,0) (0,0,1)", "(0,0,0)"),
        ("(1e-320,0,0) (0,1,0) (0,0,1)", "(0,0,0)"),
        ("(1,0,0) (1,0,0) (0,0,1)", "(0,0,0)"),
        ("(1,0,0) (0,1,0) (0,0,1)", "(nan,0,0)"),
        ("(1,0,0) (0,1,0) (0,0,1)", "(1e300,0,0)"),
    ],
)
def test_a_nrrd_place_that_cannot_be_is_refused(tmp_path: Path, directions: str, origin: str) -> None:
    with pytest.raises(ImageError, match=r"v\.nrrd: The "):
        read_volume(write_nrrd(tmp_path / "v.nrrd", directions, origin))


@pytest.mark.parametrize("spacings", ["0 1 1", "-1 1 1", "nan 1 1", "inf 1 1", "1e300 1 1"])
def test_nrrd_spacings_that_cannot_be_are_refused(tmp_path: Path, spacings: str) -> None:
    head = f"NRRD0004\ntype: short\ndimension: 3\nsizes: 6 5 4\nendian: little\nencoding: raw\nspacings: {spacings}\n\n"
    (tmp_path / "v.nrrd").write_bytes(head.encode() + VOXELS.tobytes(order="F"))
    with pytest.raises(ImageError, match=rf"The spacing is {spacings.split()[0]} mm\. Expected numbers above 0"):
        read_volume(tmp_path / "v.nrrd")


@pytest.mark.parametrize(
    "changed",
    [
        {"spacing": "nan nan nan"},
        {"spacing": "0 1 1"},
        {"spacing": "-1 1 1"},
        {"spacing": "inf 1 1"},
        {"spacing": "x 1 1"},
        {"origin": "nan 0 0"},
        {"matrix": "nan 0 0 0 1 0 0 0 1"},
        {"matrix": "0 0 0 0 0 0 0 0 0"},
        {"matrix": "1 0 0 1 0 0 0 0 1"},
    ],
)
def test_a_meta_image_place_that_cannot_be_is_refused(tmp_path: Path, changed: dict[str, str]) -> None:
    with pytest.raises(ImageError, match=r"v\.mha: ") as refused:
        read_volume(write_mha(tmp_path / "v.mha", **changed))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("NDims = 3", "NDims = 100", "tells of 100 dimensions"),
        ("NDims = 3", "NDims = -2", "tells of -2 dimensions"),
        ("NDims = 3", "NDims = 2", "tells of 2 dimensions and the size '6 5 4'"),
        ("DimSize = 6 5 4", "DimSize = 6 5 0", "gives the size '6 5 0'"),
        ("DimSize = 6 5 4", "DimSize = 6 5 5", "cut short .240 bytes of image data of 300"),
        ("DimSize = 6 5 4", "DimSize = 60000 50000 40000", "cut short"),
        ("MET_SHORT", "MET_STRING", "of type 'MET_STRING'"),
        ("MET_SHORT\n", "MET_SHORT\nElementNumberOfChannels = 1000000\n", "The voxels are 1000000"),
        ("= LOCAL", "= /dev/zero", "is missing: /dev/zero"),
        ("= LOCAL", "= LIST\n/etc/passwd", "is missing: LIST"),
    ],
)
def test_a_meta_image_header_is_checked_before_itk_sees_it(tmp_path: Path, old: str, new: str, reason: str) -> None:
    path = write_mha(tmp_path / "v.mha")
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode(), 1))
    with pytest.raises(ImageError, match=reason):
        read_volume(path)


def test_compressed_voxels_that_are_too_few_are_never_made_up(tmp_path: Path) -> None:
    sitk.WriteImage(make_image(noise((4, 5, 6))), str(tmp_path / "v.mha"), useCompression=True)
    content = (tmp_path / "v.mha").read_bytes()
    (tmp_path / "v.mha").write_bytes(content.replace(b"DimSize = 6 5 4", b"DimSize = 6 5 9", 1))
    with pytest.raises(ImageError, match=r"cut short \(240 bytes of image data of 540\)"):
        read_volume(tmp_path / "v.mha")


@pytest.mark.parametrize("name", ["v.nrrd", "v.mha"])
def test_without_spacing_there_are_no_millimetres(tmp_path: Path, name: str) -> None:
    path = write_nrrd(tmp_path / name) if name == "v.nrrd" else write_mha(tmp_path / name)
    content = path.read_bytes()
    for line in (b"space: left", b"space directions", b"space origin", b"ElementSpacing"):
        start = content.find(line)
        if start >= 0:
            content = content[:start] + content[content.index(b"\n", start) + 1 :]
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="tells no spacing, so nothing is told in millimetres"):
        assert not read_volume(path).geometry.has_millimetres


@pytest.mark.parametrize(
    ("name", "line", "unit"),
    [
        ("v.nrrd", 'space units: "um" "um" "um"', "um"),
        ("v.nhdr", 'space units: "mm" "mm" "cm"', "cm"),
        ("v.nrrd", 'spacings: 0.8 0.9 3\nunits: "m" "mm" "um"', "m, um"),
        ("v.nrrd", 'spacings: 0.8 0.9 3\nkinds: domain domain domain\nunits: "mm" "mm" "\u00b5m"', "\u00b5m"),
        ("v.mha", "DistanceUnits = cm", "cm"),
        ("v.mhd", "DistanceUnits = um", "um"),
    ],
)
def test_lengths_in_another_unit_are_no_millimetres(tmp_path: Path, name: str, line: str, unit: str) -> None:
    """ITK and 3D Slicer take the numbers for mm; a mask with the same numbers lies on the image in them."""
    path = with_line(tmp_path / name, line)
    with pytest.warns(UserWarning, match=rf"gives lengths in {unit}, which 3D Slicer and ITK take for mm"):
        geometry = read_volume(path).geometry
    assert not geometry.has_millimetres
    assert geometry.spacing == (0.8, 0.9, 3.0)
    write_mask(np.ones(VOXELS.shape, np.uint8), geometry, tmp_path / "m.nrrd")
    seen, mask = sitk.ReadImage(path), sitk.ReadImage(tmp_path / "m.nrrd")
    assert seen.GetSpacing() == mask.GetSpacing() and seen.GetOrigin() == mask.GetOrigin()


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("v.nrrd", 'space units: "mm" "mm" "mm"'),
        ("v.nrrd", 'spacings: 0.8 0.9 3\nunits: "" "MM" "???"'),
        ("v.mha", "DistanceUnits = mm"),
        ("v.mha", "DistanceUnits = ?"),
    ],
)
def test_millimetres_are_taken_in_silence(tmp_path: Path, name: str, line: str) -> None:
    path = with_line(tmp_path / name, line)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_volume(path).geometry.has_millimetres


def with_line(path: Path, line: str) -> Path:
    """A volume whose header has a further line; the voxels of a .nhdr or .mhd are in a file beside it."""
    if path.suffix in (".nrrd", ".nhdr"):
        write_nrrd(path, more=f"{line}\n" + "data file: voxels.raw\n" * (path.suffix == ".nhdr"))
        if "spacings" in line:  # in place of directions, beside which axes have no units
            path.write_bytes(re.sub(rb"space.*\n(?=space|spacings)|space origin.*\n", b"", path.read_bytes()))
    else:
        write_mha(path)
        path.write_bytes(path.read_bytes().replace(b"ElementType", f"{line}\nElementType".encode()))
    if path.suffix in (".nhdr", ".mhd"):
        path.with_name("voxels.raw").write_bytes(VOXELS.tobytes(order="F"))
        path.write_bytes(path.read_bytes().removesuffix(VOXELS.tobytes(order="F")).replace(b"LOCAL", b"voxels.raw"))
    return path


LISTS = [
    ("list domain domain domain", "3 6 5 4", "none {}", 0),
    ("domain domain domain list", "6 5 4 3", "{} none", 3),
    ("list domain domain domain", "2 6 5 4", "none {}", 0),
]


@pytest.mark.parametrize(("kinds", "sizes", "directions", "axis"), LISTS)
def test_points_in_time_are_no_colours(tmp_path: Path, kinds: str, sizes: str, directions: str, axis: int) -> None:
    length = int(sizes.split()[axis])
    head = NRRD.format(
        directions=directions.format("(0.8,0,0) (0,0.9,0) (0,0,3)"), origin="(1,2,3)", more=f"kinds: {kinds}\n"
    )
    head = head.replace("dimension: 3", "dimension: 4").replace("sizes: 6 5 4", f"sizes: {sizes}")
    (tmp_path / "v.nrrd").write_bytes(head.encode() + np.stack([VOXELS] * length, axis).tobytes(order="F"))
    with pytest.raises(ImageError, match=r"axis of the kind 'list', such as points in time .* no colours"):
        read_volume(tmp_path / "v.nrrd")


@pytest.mark.parametrize("intent", [0, 1007, 1006])
def test_the_fifth_dimension_of_nifti_is_no_colour(tmp_path: Path, intent: int) -> None:
    path = write_nifti(tmp_path / "v.nii", np.stack([VOXELS] * 3, -1)[:, :, :, None], intent_code=intent)
    with pytest.raises(ImageError, match=r"Each voxel holds 3 numbers \(6 x 5 x 4 x 1 x 3\), .* which are no colours"):
        read_volume(path)


def test_colours_of_nifti_are_colours(tmp_path: Path) -> None:
    colours = noise((6, 5, 4, 3), np.uint8)
    kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
    path = write_nifti(tmp_path / "v.nii", np.ascontiguousarray(colours).view(kind)[..., 0])
    np.testing.assert_array_equal(read_volume(path).array, colours)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("name", ["m.png", "m.nii.gz", "m.nrrd"])
def test_one_slice_along_any_axis_is_a_plane(tmp_path: Path, axis: int, name: str) -> None:
    size = [6, 5, 4]
    size[axis] = 1
    geometry = Geometry((size[0], size[1], size[2]), (0.8, 0.9, 3.0))
    assert (geometry.flat_axis, geometry.is_flat) == (axis, True)
    mask = np.zeros(size, bool)
    voxel = [2, 3, 1]
    voxel[axis] = 0
    mask[tuple(voxel)] = True
    write_mask(mask, geometry, tmp_path / name)
    array = read_volume(tmp_path / name).array
    if name == "m.png":
        column, row = (length for other, length in enumerate(voxel) if other != axis)
        assert np.argwhere(array[:, :, 0] == 255).tolist() == [[column, row]]
    else:
        np.testing.assert_array_equal(array, mask)


@pytest.mark.parametrize("shape", [(6, 1, 1), (1, 1, 4), (1, 1, 1)])
def test_a_line_of_voxels_is_refused(tmp_path: Path, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ImageError, match=r"one line of voxels"):
        read_volume(write_nifti(tmp_path / "v.nii", np.ones(shape, np.int16)))


def test_places_that_a_format_cannot_hold_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = sitk.WriteImage

    def shifted(image: sitk.Image, path: str, **options: bool) -> None:
        moved = sitk.Image(image)
        moved.SetOrigin((0.0, 0.0, 0.5))
        written(moved, path, **options)

    monkeypatch.setattr(sitk, "WriteImage", shifted)
    with pytest.raises(
        OutputError, match=r"m\.mha: This file type cannot hold .* \(origin \(0, 0, 0.5\); \(0, 0, 0\)\)"
    ):
        write_mask(np.ones((6, 5, 4)), Geometry((6, 5, 4)), tmp_path / "m.mha")
    assert list(tmp_path.iterdir()) == []


def test_a_link_to_another_file_is_no_output(tmp_path: Path) -> None:
    image = write_nrrd(tmp_path / "other.nrrd")
    before = image.read_bytes()
    (tmp_path / "m.nrrd").symlink_to(image)
    with pytest.raises(OutputError, match=r"m\.nrrd: This is a link to .*other\.nrrd, which would be replaced"):
        write_mask(np.ones((6, 5, 4)), Geometry((6, 5, 4)), tmp_path / "m.nrrd")
    assert image.read_bytes() == before
