"""NIfTI files, of either version: voxels as stored, places as the header gives them, and masks with the same places.

ITK fills the missing voxels of a truncated file with zeros, as it does its NaN and infinite ones, and replaces an sform
with sheared axes by the nearest one without; so the header is read with nibabel, and the voxels here.
"""

from __future__ import annotations

import gzip
import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AdaptCore.errors import ImageError, OutputError
from AdaptCore.files.geometry import (
    LARGEST,
    SMALLEST,
    Geometry,
    NiftiPlace,
    check_geometry,
    is_same_place,
    largest_shift,
)
from AdaptCore.files.itk import geometry_of, open_image
from AdaptCore.files.streams import SURPLUS, Stream, check_length, opened, read_bytes, skip

if TYPE_CHECKING:
    from nibabel import Nifti1Header

LPS_OF_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
LENGTHS = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}
"""Code of the unit of length -> millimetres; without a unit, millimetres are meant (nifti1.h, xyzt_units)."""
COLOURS = {128: 3, 2304: 4}
"""Datatype code of colours (RGB24, RGBA32) -> bytes of a voxel."""
HEADER_BYTES = 540
QUATERNION = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
GIVEN = 1
"""Code of a qform or sform in the scanner's axes (NIFTI_XFORM_SCANNER_ANAT)."""


def read_nifti(path: Path, tell: bool = True) -> tuple[np.ndarray, Geometry]:
    """Voxels (I, J, K) or, of a file in colours, (I, J, K, 3 or 4), and their places.

    Raises:
        ImageError: the file is damaged or cut short, is no NIfTI, not 2D or 3D, or its voxels are vectors or complex.
        OSError: the system could not read.
    """
    is_compressed = path.suffix.lower() == ".gz"
    with opened(path, is_compressed) as stream:
        header = _header(path, read_bytes(stream, HEADER_BYTES))
    size = _size(path, header)
    channels = COLOURS.get(int(header["datatype"]), 1)
    geometry = _geometry(path, header, size, tell)
    with opened(path, is_compressed) as stream:
        stored = _stored(path, stream, header, math.prod(size) * channels)
    if channels > 1:
        return stored.reshape(*size[::-1], channels).swapaxes(0, 2), geometry
    return _scaled(path, stored, header).reshape(size, order="F"), geometry


def nifti_bytes(labels: np.ndarray, geometry: Geometry, path: Path) -> bytes:
    """The NIfTI file `path` of labels uint8 (I, J, K); the mask of a NIfTI file has the very places of its header.

    Raises:
        OutputError: the size is more than NIfTI can hold.
    """
    import nibabel

    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.uint8)
    try:
        header.set_data_shape(labels.shape[: geometry.dimensions])
    except nibabel.spatialimages.HeaderDataError as error:
        raise OutputError(f"{path}: NIfTI cannot hold {geometry.shape_text} voxels. Choose .nrrd or .mha.") from error
    if geometry.nifti is None:
        _set_affine(header, geometry)
    else:
        _set_place(header, geometry.nifti)
    header["vox_offset"] = header.single_vox_offset
    content: bytes = header.binaryblock + bytes(4) + labels.tobytes(order="F")
    return gzip.compress(content, 6, mtime=0) if path.suffix.lower() == ".gz" else content


def is_sheared(geometry: Geometry) -> bool:
    """Whether no NIfTI qform, and with it no ITK, can hold the places: the axes are not perpendicular."""
    return not is_same_place(_without_shear(geometry), geometry)


def _header(path: Path, head: bytearray) -> Nifti1Header:
    import nibabel

    check_length(path, len(head), 348)
    kinds = {b"n+1\0": nibabel.Nifti1Header, b"n+2\0": nibabel.Nifti2Header}
    kind = kinds.get(bytes(head[344:348])) or kinds.get(bytes(head[4:8]))
    if kind is None or len(head) < kind.sizeof_hdr:
        raise ImageError(f"{path}: The file has no NIfTI header. Choose a NIfTI file in one piece (.nii or .nii.gz).")
    try:
        header = kind(bytes(head[: kind.sizeof_hdr]), check=False)
        header.get_data_dtype()
        header.get_slope_inter()
    except (nibabel.spatialimages.HeaderDataError, KeyError, ValueError) as error:
        raise ImageError(f"{path}: The NIfTI header is damaged ({error}).") from error
    if int(header["sizeof_hdr"]) != kind.sizeof_hdr:
        raise ImageError(f"{path}: The NIfTI header is damaged (its length is {int(header['sizeof_hdr'])}).")
    return header


def _size(path: Path, header: Nifti1Header) -> tuple[int, int, int]:
    dimensions = int(header["dim"][0])
    lengths = [int(length) for length in header["dim"][1 : 1 + max(dimensions, 0)]]
    if not 1 <= dimensions <= 7 or min(lengths) < 1:
        raise ImageError(f"{path}: The NIfTI header is damaged (it gives the size {lengths}).")
    shape = " x ".join(map(str, lengths))
    while len(lengths) > 3 and lengths[-1] == 1:
        lengths.pop()
    if len(lengths) == 5 and lengths[3] == 1:
        raise ImageError(
            f"{path}: Each voxel holds {lengths[4]} numbers ({shape}), such as a vector or points in time, which are "
            "no colours. Choose a file with one number in each voxel."
        )
    if len(lengths) not in (2, 3):
        raise ImageError(
            f"{path}: The image has {len(lengths)} dimensions ({shape}). Choose one of 2 or 3, such as a single point "
            "in time."
        )
    return (lengths[0], lengths[1], lengths[2] if len(lengths) == 3 else 1)


def _stored(path: Path, stream: Stream, header: Nifti1Header, count: int) -> np.ndarray:
    """The voxels as stored, in the order of the file; reads to its end, where a gzip stream has its checksum."""
    start = float(header["vox_offset"])
    if not math.isfinite(start):
        raise ImageError(f"{path}: The NIfTI header puts the voxels at byte {start}. Expected a finite number.")
    colour = int(header["datatype"]) in COLOURS
    kind = np.dtype(np.uint8) if colour else header.get_data_dtype()
    if kind.kind not in "iuf":
        raise ImageError(f"{path}: The voxels are of type {kind}. Expected real numbers.")
    if kind.itemsize > 8:
        raise ImageError(f"{path}: The voxels are numbers of {8 * kind.itemsize} bits. Expected at most 64.")
    skip(stream, max(int(start), header.sizeof_hdr))
    content = read_bytes(stream, count * kind.itemsize)
    check_length(path, len(content) + skip(stream), count * kind.itemsize, SURPLUS)
    return np.frombuffer(content, kind)


def _scaled(path: Path, stored: np.ndarray, header: Nifti1Header) -> np.ndarray:
    native = stored.astype(stored.dtype.newbyteorder("="), copy=False)
    slope, inter = header.get_slope_inter()
    if slope is None or (slope, inter) == (1, 0):
        return native
    is_exact = native.dtype.itemsize <= 2 or native.dtype == np.float32
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: np.ndarray = native.astype(np.float32 if is_exact else np.float64) * slope + inter
    if np.isinf(scaled).any() and not np.isinf(native).any():
        raise ImageError(f"{path}: The NIfTI header scales voxels to infinity (slope {slope:g}, intercept {inter:g}).")
    return scaled


def _geometry(path: Path, header: Nifti1Header, size: tuple[int, int, int], tell: bool) -> Geometry:
    """The sform's place, else the qform's, else that which ITK takes; what other programs read is told."""
    dimensions = min(3, max(2, int(header["dim"][0])))
    spacing = [float(side) for side in header["pixdim"][1 : 1 + dimensions]]
    if not all(SMALLEST <= side <= LARGEST for side in spacing):
        told = " x ".join(f"{side:g}" for side in spacing)
        raise ImageError(
            f"{path}: The voxels are {told} mm apart. Expected numbers from {SMALLEST:g} to {LARGEST:g}: correct "
            "pixdim in the header."
        )
    place = _place(header)
    if not np.isfinite([*place.pixdim, *place.quaternion, *place.rows]).all():
        raise ImageError(f"{path}: The place of the voxels is not finite. Correct qform and sform in the header.")
    qform, sform = _qform(path, header), header.get_sform(coded=True)[0]
    plain = LPS_OF_RAS @ np.diag([*spacing, *[1.0] * (4 - dimensions)])
    affine = next((form for form in (sform, qform) if form is not None), plain)
    unit = LENGTHS.get(place.units % 8, 1.0)
    own, other = (
        Geometry.from_affine(size, _in_millimetres(form, unit), dimensions, place)
        for form in (affine, affine if qform is None else qform)
    )
    check_geometry(path, own)
    check_geometry(path, other)
    if tell:
        _tell_place(path, own, other)
    return own


def _place(header: Nifti1Header) -> NiftiPlace:
    return NiftiPlace(
        int(header["xyzt_units"]),
        (int(header["qform_code"]), int(header["sform_code"])),
        tuple(float(side) for side in header["pixdim"][:4]),
        tuple(float(header[name]) for name in QUATERNION),
        tuple(float(number) for name in "xyz" for number in header[f"srow_{name}"]),
    )


def _qform(path: Path, header: Nifti1Header) -> np.ndarray | None:
    """The qform in RAS, if it is given; its first number of `pixdim` is a sign, and 0 stands for 1 (nifti1.h)."""
    kept = header.copy()
    kept["pixdim"][0] = -1 if header["pixdim"][0] < 0 else 1
    try:
        form: np.ndarray | None = kept.get_qform(coded=True)[0]
    except ValueError as error:
        raise ImageError(f"{path}: The qform is damaged ({error}). Correct it in the header.") from error
    return form


def _in_millimetres(ras: np.ndarray, unit: float) -> np.ndarray:
    affine: np.ndarray = LPS_OF_RAS @ ras
    affine[:3] *= unit
    return affine


def _tell_place(path: Path, own: Geometry, qform: Geometry) -> None:
    assert own.nifti is not None
    if not any(code > 0 for code in own.nifti.codes):
        warnings.warn(
            f"{path}: The header tells no place in the patient (neither qform nor sform): left and right are unknown.",
            stacklevel=2,
        )
        return
    itk = _seen_by_itk(path)
    is_itk_alike = itk is not None and itk.size == own.size and is_same_place(itk, own)
    if not is_same_place(qform, own):
        others = "nibabel, FSL, 3D Slicer and ITK" if is_itk_alike else "nibabel and FSL"
        rest = "" if is_itk_alike else "; 3D Slicer and ITK read the other"
        warnings.warn(
            f"{path}: sform and qform lie up to {largest_shift(qform, own):.3g} mm apart. The sform is used, as "
            f"{others} do{rest}; masks written as NIfTI keep both.",
            stacklevel=2,
        )
    elif itk is None:
        if own.dimensions == 3 and is_sheared(own):
            warnings.warn(
                f"{path}: The axes are sheared; 3D Slicer and ITK do not open such a NIfTI file.", stacklevel=2
            )
    elif not is_itk_alike and own.dimensions == 3:
        warnings.warn(
            f"{path}: 3D Slicer and ITK show this file up to {largest_shift(itk, own):.3g} mm elsewhere, because "
            "spacing or shear of its sform and its pixdim differ; masks written as NIfTI keep the header's places.",
            stacklevel=2,
        )


def _seen_by_itk(path: Path) -> Geometry | None:
    """Where ITK, and so 3D Slicer, lays the voxels; None where it refuses the file."""
    try:
        return geometry_of(open_image(path, "NiftiImageIO"))
    except RuntimeError:
        return None


def _set_affine(header: Nifti1Header, geometry: Geometry) -> None:
    ras = LPS_OF_RAS @ geometry.affine
    header.set_sform(ras, GIVEN)
    header.set_qform(LPS_OF_RAS @ _without_shear(geometry).affine, 0 if is_sheared(geometry) else GIVEN)
    header["pixdim"][1:4] = geometry.spacing
    header.set_xyzt_units("mm")


def _set_place(header: Nifti1Header, place: NiftiPlace) -> None:
    header["xyzt_units"] = place.units % 8
    header["qform_code"], header["sform_code"] = place.codes
    header["pixdim"][:4] = place.pixdim
    for name, value in zip(QUATERNION, place.quaternion):
        header[name] = value
    for row, name in enumerate("xyz"):
        header[f"srow_{name}"] = place.rows[4 * row : 4 * row + 4]


def _without_shear(geometry: Geometry) -> Geometry:
    """The geometry with the nearest perpendicular axes."""
    left, _, right = np.linalg.svd(geometry.direction_matrix)
    affine = geometry.affine
    affine[:3, :3] = (left @ right) * geometry.spacing
    return Geometry.from_affine(geometry.size, affine, geometry.dimensions)
