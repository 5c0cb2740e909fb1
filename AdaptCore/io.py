"""Images: read into arrays in IJK order, and masks written with the same geometry."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import ImageError
from AdaptCore.files.dicom import read_dicom_file, read_dicom_folder
from AdaptCore.files.dicom_frames import has_dicom_mark
from AdaptCore.files.geometry import Geometry, Volume, check_geometry
from AdaptCore.files.itk import array_of, geometry_of, open_image, quiet_itk, reason
from AdaptCore.files.meta_image import check_meta_image
from AdaptCore.files.nifti import read_nifti
from AdaptCore.files.nrrd import NrrdHeader, read_nrrd_header
from AdaptCore.files.pictures import read_jpeg, read_png
from AdaptCore.files.segments import Labels, has_segments, labels_of
from AdaptCore.files.writing import check_output, mask_suffix, write_mask, write_volume

__all__ = [
    "READERS",
    "Geometry",
    "Labels",
    "Volume",
    "check_contrast",
    "check_output",
    "mask_suffix",
    "read_labels",
    "read_volume",
    "write_mask",
    "write_volume",
]

Result = TypeVar("Result")
Voxels = tuple[np.ndarray, Geometry]
"""Voxels (I, J, K) or (I, J, K, channels), and their places."""
Reader = Callable[[Path], Voxels]

NRRD = (".nrrd", ".nhdr")

KNOWN_IMAGES = "Choose a NRRD, NIfTI, MetaImage, PNG, JPEG or DICOM image."
ALPHA = {2: 1, 4: 3}
"""Channels of a picture with an alpha channel -> those without."""


def read_volume(path: str | Path, mend: bool = True) -> Volume:
    """Read an image file or a DICOM folder.

    Args:
        mend: voxels that are not finite get the lowest finite value, with a warning; else they are refused.

    Raises:
        ImageError: nothing is there, or it may not be read, is empty, damaged, no image, not 2D or 3D, or not of 1 or 3
            channels (besides the alpha channel of a picture, which is left out with a warning); its voxels lie at no
            place that can be, or none is finite.
    """
    path = Path(path)
    array, geometry = _read(path, READERS)
    if array.ndim == 4 and array.shape[3] != 3:
        raise ImageError(
            f"{path}: The image has {array.shape[3]} channels. Expected 1 (grey) or 3 (colour): save one of them alone."
        )
    return Volume(_finite(array, path, mend), geometry)


def read_labels(path: str | Path) -> Labels:
    """Read a label file, with the names of its segments where it has them.

    Raises:
        ImageError: as `read_volume`, or its voxels are no whole numbers from 0 to 255, or its segments overlap.
    """
    path = Path(path)
    pairs: dict[str, str] = {}

    def read_segments(path: Path) -> Voxels:
        header = read_nrrd_header(path)
        pairs.update(header.pairs)
        if not has_segments(pairs):
            _refuse_lists(path, header)
        return _nrrd_voxels(path, header)

    array, geometry = _read(path, READERS | dict.fromkeys(NRRD, read_segments))
    return labels_of(path, Volume(_finite(array, path, mend=False), geometry), pairs)


def check_contrast(volume: Volume, name: str) -> None:
    """Raises ImageError when all voxels have one value, so that there is nothing to segment."""
    low, high = volume.array.min(), volume.array.max()
    if low == high:
        raise ImageError(f"{name}: The image is constant (every voxel is {low}). Choose an image with contrast.")


def _read(path: Path, readers: Mapping[str, Reader]) -> Voxels:
    """The voxels of a file or folder, and their places.

    Args:
        readers: of files, by the end of their names.
    """
    try:
        if not path.exists():
            raise ImageError(f"{path}: No such file or folder. {KNOWN_IMAGES}")
    except OSError as error:
        raise ImageError(f"{path}: The image cannot be read ({reason(error)}). {KNOWN_IMAGES}") from error
    if path.is_dir():
        array, geometry = _guarded(path, lambda: read_dicom_folder(path))
    else:
        array, geometry = _guarded(path, lambda: _read_file(path, readers))
    if sum(length == 1 for length in geometry.size) > 1:
        raise ImageError(
            f"{path}: The image is one line of voxels ({geometry.shape_text}). Choose a picture or volume."
        )
    check_geometry(path, geometry)
    return array, geometry


def _read_file(path: Path, readers: Mapping[str, Reader]) -> Voxels:
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: The file is empty. {KNOWN_IMAGES}")
    reader = next((reader for suffix, reader in readers.items() if path.name.lower().endswith(suffix)), None)
    if reader is None and has_dicom_mark(path):
        reader = read_dicom_file
    if reader is None:
        raise ImageError(f"{path}: The file is no image of a known type. {KNOWN_IMAGES}")
    return reader(path)


def _read_nrrd(path: Path) -> Voxels:
    header = read_nrrd_header(path)
    _refuse_lists(path, header)
    return _nrrd_voxels(path, header)


def _refuse_lists(path: Path, header: NrrdHeader) -> None:
    if header.lists:
        raise ImageError(
            f"{path}: The image has an axis of the kind '{header.lists[0]}', such as points in time or layers of "
            "segments, which are no colours. Save one of them alone."
        )


def _nrrd_voxels(path: Path, header: NrrdHeader) -> Voxels:
    return _read_with_itk(path, "NrrdImageIO", header.unit)


def _read_meta_image(path: Path) -> Voxels:
    return _read_with_itk(path, "MetaImageIO", check_meta_image(path))


def _read_picture(path: Path) -> Voxels:
    array, geometry = read_png(path) if path.name.lower().endswith(".png") else read_jpeg(path)
    return _without_alpha(path, array), geometry


def _read_nifti(path: Path) -> Voxels:
    array, geometry = read_nifti(path)
    return _without_alpha(path, array), geometry


def _read_with_itk(path: Path, format_name: str, unit: str) -> Voxels:
    """Voxels and places as ITK reads them.

    Args:
        unit: of length, empty where the header tells no spacing.
    """
    reader = open_image(path, format_name)
    size = reader.GetSize()
    if len(size) not in (2, 3):
        shape = " x ".join(map(str, size))
        raise ImageError(f"{path}: The image has {len(size)} dimensions ({shape}). Choose one of 2 or 3.")
    if reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise ImageError(f"{path}: The voxels are complex numbers. Expected real ones.")
    if unit not in ("", "mm"):
        warnings.warn(
            f"{path}: The file gives lengths in {unit}, which 3D Slicer and ITK take for mm. Masks have the file's "
            "numbers, so that they lie on the image; nothing is told in millimetres or millilitres.",
            stacklevel=2,
        )
    elif not unit and len(size) == 3:
        warnings.warn(
            f"{path}: The file tells no spacing, so nothing is told in millimetres or millilitres.", stacklevel=2
        )
    with quiet_itk():
        image = reader.Execute()
    return array_of(image), replace(geometry_of(image), has_millimetres=unit == "mm")


READERS: dict[str, Reader] = {
    **dict.fromkeys(NRRD, _read_nrrd),
    ".nii": _read_nifti,
    ".nii.gz": _read_nifti,
    ".mha": _read_meta_image,
    ".mhd": _read_meta_image,
    ".png": _read_picture,
    ".jpg": _read_picture,
    ".jpeg": _read_picture,
    ".dcm": read_dicom_file,
}


def _without_alpha(path: Path, array: np.ndarray) -> np.ndarray:
    kept = ALPHA.get(array.shape[3]) if array.ndim == 4 else None
    if kept is None:
        return array
    warnings.warn(f"{path}: The alpha channel (transparency) is left out.", stacklevel=2)
    return array[..., 0] if kept == 1 else array[..., :kept]


def _guarded(path: Path, read: Callable[[], Result]) -> Result:
    """What a reader gives; what the system or ITK raises becomes an error that names the file."""
    try:
        return read()
    except (RuntimeError, OSError) as error:
        place = error.filename if isinstance(error, OSError) and error.filename else path
        raise ImageError(f"{place}: The image cannot be read ({reason(error)}). {KNOWN_IMAGES}") from error


def _finite(array: np.ndarray, path: Path, mend: bool) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        array.flags.writeable = False
        return array
    broken = ~np.isfinite(array)
    count = int(broken.sum())
    if count == array.size:
        raise ImageError(f"{path}: Every voxel is NaN or infinite. Choose an image with finite voxels.")
    if count and not mend:
        raise ImageError(f"{path}: {count} voxels are NaN or infinite. Expected finite ones.")
    if count:
        lowest = array.min(where=~broken, initial=np.inf)
        warnings.warn(f"{path}: {count} NaN or infinite voxels are replaced by {lowest:g}.", stacklevel=2)
        array = np.where(broken, lowest, array)
    array.flags.writeable = False
    return array
