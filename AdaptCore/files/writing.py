"""Masks and volumes are written whole, with the voxels and the places of their image, or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from AdaptCore.atomic import atomic_target, check_folder
from AdaptCore.errors import OutputError
from AdaptCore.files.geometry import Geometry, Volume, differs
from AdaptCore.files.itk import array_of, geometry_of, quiet_itk, reason
from AdaptCore.files.nifti import is_sheared, nifti_bytes, read_nifti
from AdaptCore.files.segments import segment_pairs

MASK_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", ".png")
EXACT_SUFFIXES = ".nrrd, .mha or .seg.nrrd"


def check_output(path: str | Path, geometry: Geometry | None = None, suffixes: tuple[str, ...] = MASK_SUFFIXES) -> None:
    """Check before long work that a result can be written at `path`.

    Raises:
        OutputError: unknown file type, a link to another file, a folder that is missing or read-only, or a volume for a
            2D file type.
    """
    path = Path(path)
    suffix = _suffix(path, suffixes)
    check_folder(path)
    if path.is_symlink() and path.exists():
        raise OutputError(f"{path}: This is a link to {path.resolve()}, which would be replaced. Choose another file.")
    if suffix == ".png" and geometry is not None and not geometry.is_flat:
        others = ", ".join(other for other in suffixes if other != ".png")
        raise OutputError(f"{path}: A PNG holds one plane and the image has {geometry.size[2]}. Choose {others}.")


def mask_suffix(path: str | Path) -> str:
    """The end of a mask's name that tells its file type, such as ".nii.gz".

    Raises:
        OutputError: unknown file type.
    """
    return _suffix(Path(path), MASK_SUFFIXES)


def write_mask(mask: np.ndarray, geometry: Geometry, path: str | Path, names: Mapping[int, str] | None = None) -> None:
    """Write a labelmap (I, J, K), bool or whole numbers from 0 to 255, with the geometry of its image.

    The file type follows the name: `.seg.nrrd` is Slicer's segmentation (one segment for each label in `names`),
    `.png` holds one plane with the object in white and no place in the patient, the others hold the labels. The file is
    read back, voxels and places, before it replaces an older one.

    Raises:
        OutputError: unknown file type or one that cannot hold the places, a mask of another size or with other labels,
            or the system could not write; an older file stays whole.
    """
    path = Path(path)
    check_output(path, geometry)
    if mask.shape != geometry.size:
        raise OutputError(f"{path}: The mask has {mask.shape} voxels. Expected {geometry.size} as in its image.")
    suffix = _suffix(path, MASK_SUFFIXES)
    labels = _as_labels(mask, path)
    if suffix == ".png":
        _write_picture(labels, geometry, path)
        return
    if suffix in (".nii", ".nii.gz"):
        _write_nifti(labels, geometry, path)
        return
    pairs = segment_pairs(names or {1: "Segment_1"}, geometry.size) if suffix == ".seg.nrrd" else {}
    _write_with_itk(labels, geometry, path, suffix, pairs)


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write a grey image as NRRD with its geometry and stored type, whole or not at all.

    Raises:
        OutputError: not a .nrrd name, or the system could not write.
    """
    path = Path(path)
    check_output(path, volume.geometry, (".nrrd",))
    _write_with_itk(volume.array, volume.geometry, path, ".nrrd", {})


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    for suffix in known:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return suffix
    raise OutputError(f"{path}: Unknown file type. Choose a name that ends in one of {', '.join(known)}.")


def _as_labels(mask: np.ndarray, path: Path) -> np.ndarray:
    wanted = "Expected whole numbers from 0 to 255."
    if mask.dtype.kind not in "biuf":
        raise OutputError(f"{path}: The labels are of type {mask.dtype}. {wanted}")
    if mask.dtype not in (np.bool_, np.uint8):
        fits = (mask >= 0) & (mask <= 255) & (mask == np.floor(mask))
        if not fits.all():
            raise OutputError(f"{path}: The mask holds the label {mask[~fits][0]}. {wanted}")
    return mask.astype(np.uint8)


def _write_picture(labels: np.ndarray, geometry: Geometry, path: Path) -> None:
    plane = labels.take(0, geometry.flat_axis)
    image = sitk.GetImageFromArray(np.where(plane.T > 0, 255, 0).astype(np.uint8))
    with atomic_target(path, ".png") as temporary:
        _check_arrived(path, array_of(image), array_of(_written(image, temporary, path)))


def _write_nifti(labels: np.ndarray, geometry: Geometry, path: Path) -> None:
    if geometry.dimensions == 2 and geometry.nifti is None:
        geometry = geometry.in_the_plane
    if geometry.nifti is None and is_sheared(geometry):
        warnings.warn(
            f"{path}: The axes of the image are sheared (not perpendicular), which 3D Slicer and ITK do not read from "
            f"a NIfTI file; nibabel and FSL do. Choose {EXACT_SUFFIXES} for them.",
            stacklevel=3,
        )
    content = nifti_bytes(labels, geometry, path)
    with atomic_target(path, ".nii.gz" if path.name.lower().endswith(".gz") else ".nii") as temporary:
        temporary.write_bytes(content)
        array, place = read_nifti(temporary, tell=False)
        _check_arrived(path, labels, array, geometry, place)


def _write_with_itk(voxels: np.ndarray, geometry: Geometry, path: Path, suffix: str, pairs: Mapping[str, str]) -> None:
    flat = geometry.dimensions == 2 and suffix != ".seg.nrrd"
    image = _as_image(voxels, geometry, flat)
    for key, value in pairs.items():
        image.SetMetaData(key, value)
    with atomic_target(path, suffix) as temporary:
        written = _written(image, temporary, path)
        _check_arrived(path, voxels, array_of(written), None if flat else geometry, geometry_of(written))


def _written(image: sitk.Image, temporary: Path, path: Path) -> sitk.Image:
    """What a file holds after it was written."""
    try:
        with quiet_itk():
            sitk.WriteImage(image, str(temporary), useCompression=True)
            return sitk.ReadImage(str(temporary))
    except RuntimeError as error:
        raise OutputError(f"{path}: The file cannot be written ({reason(error)}).") from error


def _check_arrived(
    path: Path, voxels: np.ndarray, got: np.ndarray, geometry: Geometry | None = None, place: Geometry | None = None
) -> None:
    """Some of ITK's writers do not notice a full disk, and some formats do not hold every place."""
    if not np.array_equal(voxels, got):
        raise OutputError(f"{path}: The file cannot be written (what arrived on the disk differs: is it full?).")
    difference = differs(place, geometry) if geometry and place else ""
    if difference:
        raise OutputError(
            f"{path}: This file type cannot hold the places of the image ({difference}). Choose {EXACT_SUFFIXES}."
        )


def _as_image(voxels: np.ndarray, geometry: Geometry, flat: bool) -> sitk.Image:
    """An image of ITK of two dimensions, if `flat`, else of three."""
    axes = 2 if flat else 3
    place = geometry.in_the_plane if flat else geometry
    image = sitk.GetImageFromArray(voxels[:, :, 0].T if flat else voxels.transpose(2, 1, 0))
    image.SetSpacing(place.spacing[:axes])
    image.SetOrigin(place.origin[:axes])
    image.SetDirection(place.direction_matrix[:axes, :axes].ravel().tolist())
    return image
