"""Reads images into arrays in IJK order and writes masks with the same geometry.

Geometry is ITK's and DICOM's: positions in millimetres, axes to the patient's left, posterior and superior (LPS).
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import warnings
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from AdaptCore.atomic import atomic_target, check_folder
from AdaptCore.errors import ImageError, OutputError
from AdaptCore.integrity import check_whole

READERS = {
    ".nrrd": "NrrdImageIO",
    ".nhdr": "NrrdImageIO",
    ".nii": "NiftiImageIO",
    ".nii.gz": "NiftiImageIO",
    ".mha": "MetaImageIO",
    ".mhd": "MetaImageIO",
    ".png": "PNGImageIO",
    ".jpg": "JPEGImageIO",
    ".jpeg": "JPEGImageIO",
    ".dcm": "GDCMImageIO",
}
MASK_SUFFIXES = (".seg.nrrd", ".nii.gz", ".nii", ".nrrd", ".mha", ".png")
WANTED_IMAGE = "a NRRD, NIfTI, MHA, MHD, PNG or JPG image or a DICOM folder is wanted"
POSITION, SERIES_NUMBER = "0020|0032", "0020|0011"
SEGMENT_COLOURS = ("0.9 0.62 0", "0.34 0.71 0.91", "0 0.62 0.45", "0.8 0.47 0.65", "0.94 0.89 0.26", "0.84 0.37 0")
SMALLEST_DETERMINANT = 1e-6
"""Below it, a plane's axes in the patient cannot be told in two dimensions (sagittal and coronal planes)."""
PNG_HEADER, PNG_FORMAT, PNG_HEADER_CHECKSUM = slice(12, 29), slice(24, 26), slice(29, 33)
"""Bytes of a PNG; its format is bits and colour type (PNG specification, 11.2.1)."""
ALIKE_FORMATS = {bytes((8, 4)): bytes((16, 0)), bytes((16, 4)): bytes((8, 6))}
"""Grey with alpha, which ITK does not read -> a format that lays out the same bytes: plain grey of 16 bits, or RGBA."""
STDERR = 2
_STDERR_LOCK = threading.Lock()


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a volume lie; a 2D image is a volume of one plane.

    Attributes:
        size: voxels along i, j, k.
        spacing: millimetres along i, j, k.
        origin: LPS position of the centre of voxel (0, 0, 0).
        direction: 3 x 3 direction cosines, row by row; column a is the direction of axis a.
        dimensions: 2 for an image that was stored as 2D, else 3.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    dimensions: int = 3

    @property
    def direction_matrix(self) -> np.ndarray:
        return np.array(self.direction, dtype=float).reshape(3, 3)

    @property
    def is_flat(self) -> bool:
        """True for a single plane along k, whether it was stored as 2D or 3D."""
        return self.size[2] == 1

    @property
    def voxel_millilitres(self) -> float:
        return float(np.prod(self.spacing)) / 1000.0


@dataclass(frozen=True)
class Volume:
    """An image in memory.

    Attributes:
        array: (I, J, K) or, in colour, (I, J, K, 3); read-only, of the stored type.
        geometry: where its voxels lie.
    """

    array: np.ndarray
    geometry: Geometry


def read_volume(path: str | Path, mend: bool = True) -> Volume:
    """Read an image file or a DICOM folder.

    Args:
        mend: voxels that are not finite get the lowest finite value, with a warning; else they are refused.

    Raises:
        ImageError: nothing is there, or it may not be read, is empty, damaged, no image, not 2D or 3D, or not of 1 or 3
            channels (besides the alpha channel of a PNG, which is left out with a warning); or without a finite voxel.
    """
    path = Path(path)
    try:
        if not path.exists():
            raise ImageError(f"{path}: no such file or folder; {WANTED_IMAGE}")
        image = _read_dicom_folder(path) if path.is_dir() else _read_file(path)
    except OSError as error:
        raise ImageError(f"{error.filename or path}: cannot be read ({_reason(error)}); {WANTED_IMAGE}") from error
    return Volume(_as_array(image, path, mend), _geometry_of(image))


def check_contrast(volume: Volume, name: str) -> None:
    """Raises ImageError when all voxels have one value, so that there is nothing to segment."""
    low, high = volume.array.min(), volume.array.max()
    if low == high:
        raise ImageError(f"{name}: the image is constant (every voxel is {low}); an image with contrast is wanted")


def check_output(path: str | Path, geometry: Geometry | None = None, suffixes: tuple[str, ...] = MASK_SUFFIXES) -> None:
    """Check before long work that a result can be written at `path`.

    Raises:
        OutputError: unknown file type, a folder that is missing or read-only, or a volume for a 2D file type.
    """
    path = Path(path)
    suffix = _suffix(path, suffixes)
    check_folder(path)
    if suffix == ".png" and geometry is not None and not geometry.is_flat:
        others = ", ".join(other for other in suffixes if other != ".png")
        raise OutputError(f"{path}: a PNG holds one plane and the image has {geometry.size[2]}; {others} is wanted")


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
    read back before it replaces an older one.

    Raises:
        OutputError: unknown file type, a mask of another size or with other labels, or the system could not write; an
            older file stays whole.
    """
    path = Path(path)
    check_output(path, geometry)
    if mask.shape != geometry.size:
        raise OutputError(f"{path}: the mask has {mask.shape} voxels; {geometry.size} as in its image are wanted")
    suffix = _suffix(path, MASK_SUFFIXES)
    labels = _as_labels(mask, path)
    if suffix == ".png":
        labels = np.where(labels > 0, 255, 0).astype(np.uint8)
        geometry = Geometry(geometry.size, geometry.spacing)
    flat = suffix == ".png" or (geometry.dimensions == 2 and suffix != ".seg.nrrd")
    image = _as_image(labels, geometry, flat)
    if suffix == ".seg.nrrd":
        _add_segments(image, names or {1: "Segment_1"})
    with atomic_target(path, suffix) as temporary:
        _write_checked(image, temporary, path)


def write_volume(volume: Volume, path: str | Path) -> None:
    """Write a grey image as NRRD with its geometry and stored type, whole or not at all.

    Raises:
        OutputError: not a .nrrd name, or the system could not write.
    """
    path = Path(path)
    check_output(path, volume.geometry, (".nrrd",))
    image = _as_image(volume.array, volume.geometry, volume.geometry.dimensions == 2)
    with atomic_target(path, ".nrrd") as temporary:
        _write_checked(image, temporary, path)


def _suffix(path: Path, known: tuple[str, ...]) -> str:
    for suffix in known:
        if path.name.lower().endswith(suffix) and len(path.name) > len(suffix):
            return suffix
    raise OutputError(f"{path}: unknown file type; a name that ends in one of {', '.join(known)} is wanted")


def _as_labels(mask: np.ndarray, path: Path) -> np.ndarray:
    wanted = "whole numbers from 0 to 255 are wanted"
    if mask.dtype.kind not in "biuf":
        raise OutputError(f"{path}: the labels are of type {mask.dtype}; {wanted}")
    if mask.dtype not in (np.bool_, np.uint8):
        fits = (mask >= 0) & (mask <= 255) & (mask == np.floor(mask))
        if not fits.all():
            raise OutputError(f"{path}: the mask holds the label {mask[~fits][0]}; {wanted}")
    return mask.astype(np.uint8)


def _write_checked(image: sitk.Image, temporary: Path, path: Path) -> None:
    """Write, then read back: some of ITK's writers do not notice a full disk."""
    try:
        with _quiet_itk():
            sitk.WriteImage(image, str(temporary), useCompression=True)
            written = sitk.GetArrayFromImage(sitk.ReadImage(str(temporary)))
    except RuntimeError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    if not np.array_equal(written, sitk.GetArrayViewFromImage(image)):
        raise OutputError(f"{path}: cannot be written (what arrived on the disk differs; is it full?)")


def _as_image(voxels: np.ndarray, geometry: Geometry, flat: bool) -> sitk.Image:
    if flat:
        image = sitk.GetImageFromArray(voxels[:, :, 0].T)
        image.SetSpacing(geometry.spacing[:2])
        image.SetOrigin(geometry.origin[:2])
        direction = geometry.direction_matrix[:2, :2]
        stands_upright = abs(np.linalg.det(direction)) < SMALLEST_DETERMINANT
        image.SetDirection((np.eye(2) if stands_upright else direction).ravel().tolist())
        return image
    image = sitk.GetImageFromArray(voxels.transpose(2, 1, 0))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin)
    image.SetDirection(geometry.direction)
    return image


def _add_segments(image: sitk.Image, names: Mapping[int, str]) -> None:
    """Name the labels in the fields that Slicer's vtkMRMLSegmentationStorageNode reads."""
    extent = " ".join(f"0 {size - 1}" for size in image.GetSize())
    for index, (label, name) in enumerate(sorted(names.items())):
        fields = {
            "ID": f"Segment_{label}",
            "Name": " ".join(name.split()),
            "NameAutoGenerated": "0",
            "Color": SEGMENT_COLOURS[index % len(SEGMENT_COLOURS)],
            "ColorAutoGenerated": "1",
            "LabelValue": str(label),
            "Layer": "0",
            "Extent": extent,
            "Tags": "",
        }
        for key, value in fields.items():
            image.SetMetaData(f"Segment{index}_{key}", value)
    image.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    image.SetMetaData("Segmentation_ContainedRepresentationNames", "Binary labelmap|")
    image.SetMetaData("Segmentation_ConversionParameters", "")
    image.SetMetaData("Segmentation_ReferenceImageExtentOffset", "0 0 0")


def _read_file(path: Path) -> sitk.Image:
    reader = _reader_name(path)
    try:
        not_finite = check_whole(path)
        if reader == "PNGImageIO" and _png_format(path) in ALIKE_FORMATS:
            return _read_grey_with_alpha(path)
        image = _read_with_itk(path, reader, path)
        return image if not_finite is None else _with_nan(image, not_finite)
    except (RuntimeError, OSError) as error:
        raise ImageError(f"{path}: cannot be read ({_reason(error)}); {WANTED_IMAGE}") from error


def _read_with_itk(stored: Path, reader_name: str, path: Path) -> sitk.Image:
    """Read the file `stored`; errors name `path`."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO(reader_name)
    reader.SetFileName(str(stored))
    with _quiet_itk():
        reader.ReadImageInformation()
        _check_kind(path, reader.GetSize(), reader.GetNumberOfComponents(), reader.GetPixelID())
        return reader.Execute()


def _with_nan(image: sitk.Image, places: np.ndarray) -> sitk.Image:
    """Put NaN for voxels that ITK has set to zero; `places` are in the order of a NIfTI file: (channel, k, j, i)."""
    channels = image.GetNumberOfComponentsPerPixel()
    array = sitk.GetArrayFromImage(image)
    np.copyto(array.reshape(-1, channels), np.nan, where=places.reshape(channels, -1).T)
    restored = sitk.GetImageFromArray(array, isVector=channels > 1)
    restored.CopyInformation(image)
    return restored


def _png_format(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(PNG_FORMAT.stop)[PNG_FORMAT]


def _read_grey_with_alpha(path: Path) -> sitk.Image:
    """Read a copy of the PNG under its alike format, then pick the bytes of the grey."""
    content = bytearray(path.read_bytes())
    content[PNG_FORMAT] = ALIKE_FORMATS[bytes(content[PNG_FORMAT])]
    content[PNG_HEADER_CHECKSUM] = zlib.crc32(content[PNG_HEADER]).to_bytes(4, "big")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "alike.png"
        copy.write_bytes(content)
        image = _read_with_itk(copy, "PNGImageIO", path)
    _warn_of_alpha(path)
    if image.GetNumberOfComponentsPerPixel() == 1:
        return sitk.Cast(image // 256, sitk.sitkUInt8)
    high, low = (sitk.VectorIndexSelectionCast(image, channel, sitk.sitkUInt16) for channel in (0, 1))
    return high * 256 + low


def _warn_of_alpha(path: Path) -> None:
    warnings.warn(f"{path}: the alpha channel (transparency) is left out", stacklevel=4)


def _reader_name(path: Path) -> str:
    for suffix, reader in READERS.items():
        if path.name.lower().endswith(suffix):
            return reader
    if has_dicom_mark(path):
        return "GDCMImageIO"
    raise ImageError(f"{path}: not an image of a known type; {WANTED_IMAGE}")


def _check_kind(path: Path, size: tuple[int, ...], channels: int, pixel_id: int) -> None:
    shape = " x ".join(str(length) for length in size)
    if len(size) not in (2, 3):
        raise ImageError(f"{path}: the image has {len(size)} dimensions ({shape}); 2 or 3 are wanted")
    if pixel_id in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise ImageError(f"{path}: the voxels are complex numbers; real ones are wanted")
    with_alpha = channels == 4 and path.suffix.lower() == ".png"
    if channels not in (1, 3) and not with_alpha:
        raise ImageError(f"{path}: the image has {channels} channels; 1 (grey) or 3 (colour) are wanted")


def has_dicom_mark(path: Path) -> bool:
    """Whether a file begins as DICOM files do, whatever its name.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(128)
        return stream.read(4) == b"DICM"


def _read_dicom_folder(folder: Path) -> sitk.Image:
    """Read the series with most files; ties go to the larger one on disk."""
    with _quiet_itk():
        series = [
            [Path(name) for name in sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), identifier)]
            for identifier in sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
        ]
    _check_all_listed(folder, [file for files in series for file in files])
    if not series:
        raise ImageError(f"{folder}: the folder holds no DICOM image; {WANTED_IMAGE}")
    files = max(series, key=lambda names: (len(names), sum(name.stat().st_size for name in names)))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(file) for file in files])
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        with _quiet_itk():
            image = reader.Execute()
    except RuntimeError as error:
        raise ImageError(f"{folder}: the DICOM series cannot be read ({_reason(error)}); {WANTED_IMAGE}") from error
    if len(series) > 1:
        number = reader.GetMetaData(0, SERIES_NUMBER).strip() if reader.HasMetaDataKey(0, SERIES_NUMBER) else "unknown"
        warnings.warn(
            f"{folder}: {len(series)} DICOM series; the largest is taken (series number {number}, {len(files)} files)",
            stacklevel=3,
        )
    _check_kind(folder, image.GetSize(), image.GetNumberOfComponentsPerPixel(), image.GetPixelID())
    _check_positions(folder, reader, len(files))
    return image


def _check_all_listed(folder: Path, listed: list[Path]) -> None:
    """GDCM passes over files it cannot read, which would leave a hole in the volume."""
    names = {file.name for file in listed} | {"DICOMDIR"}
    for file in sorted(folder.iterdir()):
        if file.name in names or not file.is_file():
            continue
        if file.suffix.lower() == ".dcm" or has_dicom_mark(file):
            raise ImageError(f"{file}: the DICOM file is damaged or cut short; a whole one is wanted")


def _check_positions(folder: Path, reader: sitk.ImageSeriesReader, count: int) -> None:
    if count < 3 or not all(reader.HasMetaDataKey(index, POSITION) for index in range(count)):
        return
    positions = np.array([reader.GetMetaData(index, POSITION).split("\\") for index in range(count)], dtype=float)
    moves = np.diff(positions, axis=0)
    steps = moves @ moves[0] / max(np.linalg.norm(moves[0]), 1e-9)
    if steps.min() < 1e-3:
        raise ImageError(f"{folder}: several slices lie at one position (a series over time?); one 3D image is wanted")
    if steps.max() > 1.02 * steps.min():
        warnings.warn(
            f"{folder}: slices lie {steps.min():.3f} to {steps.max():.3f} mm apart (some may be missing); "
            "the mask follows their mean distance",
            stacklevel=4,
        )


def _geometry_of(image: sitk.Image) -> Geometry:
    dimensions = image.GetDimension()
    if dimensions == 3:
        return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    direction = np.eye(3)
    direction[:2, :2] = np.array(image.GetDirection()).reshape(2, 2)
    return Geometry(
        (*image.GetSize(), 1),
        (*image.GetSpacing(), 1.0),
        (*image.GetOrigin(), 0.0),
        tuple(direction.ravel().tolist()),
        dimensions,
    )


def _as_array(image: sitk.Image, path: Path, mend: bool) -> np.ndarray:
    array = sitk.GetArrayFromImage(image)
    if image.GetNumberOfComponentsPerPixel() == 4:
        _warn_of_alpha(path)
        array = array[..., :3]
    if image.GetDimension() == 2:
        array = array[None]
    array = _finite(np.swapaxes(array, 0, 2), path, mend)
    array.flags.writeable = False
    return array


def _finite(array: np.ndarray, path: Path, mend: bool) -> np.ndarray:
    if not np.issubdtype(array.dtype, np.floating):
        return array
    broken = ~np.isfinite(array)
    count = int(broken.sum())
    if count == array.size:
        raise ImageError(f"{path}: every voxel is NaN or infinite; finite voxels are wanted")
    if count and not mend:
        raise ImageError(f"{path}: {count} voxels are NaN or infinite; finite ones are wanted")
    if count:
        lowest = array.min(where=~broken, initial=np.inf)
        warnings.warn(f"{path}: {count} NaN or infinite voxels are replaced by {lowest:g}", stacklevel=4)
        np.copyto(array, lowest, where=broken)
    return array


def _reason(error: Exception) -> str:
    """The telling end of ITK's long messages, without its object addresses; MetaImage's own "Reason" misleads."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or lines[-1].startswith("Reason:"):
        return "damaged or cut short"
    return re.sub(r"^(sitk::ERROR:|ITK ERROR:)?\s*(\w+\(0x[0-9a-f]+\):)?\s*", "", lines[-1]).rstrip(".")


@contextmanager
def _quiet_itk() -> Iterator[None]:
    """ITK and the C libraries under it print on the standard error stream besides raising; keep that from the user."""
    with _STDERR_LOCK:
        warned = sitk.ProcessObject.GetGlobalWarningDisplay()
        sitk.ProcessObject.GlobalWarningDisplayOff()
        try:
            kept = os.dup(STDERR)
        except OSError:
            kept = None
        if kept is not None:
            with Path(os.devnull).open("w") as nowhere:
                os.dup2(nowhere.fileno(), STDERR)
        try:
            yield
        finally:
            if kept is not None:
                os.dup2(kept, STDERR)
                os.close(kept)
            sitk.ProcessObject.SetGlobalWarningDisplay(warned)
