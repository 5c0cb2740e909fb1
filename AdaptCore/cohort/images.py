"""Images and labels from outside: which there are, what they are called, and whether they can be used."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from AdaptCore.cohort.records import Image
from AdaptCore.errors import CohortError, ImageError
from AdaptCore.files.detached import voxel_file
from AdaptCore.files.dicom import files_in, is_dicom_folder
from AdaptCore.files.geometry import Geometry, Volume, differs, part_of
from AdaptCore.files.segments import MOST_LABEL, Labels
from AdaptCore.io import READERS, check_contrast, read_labels, read_volume
from AdaptCore.names import file_stem

BLOCK_BYTES = 1 << 20
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
"""Names that every system takes as a file's name, unless they are those of devices of Windows."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))}


def find_images(places: Iterable[Path]) -> tuple[Path, ...]:
    """Images among files and folders, sorted within each folder.

    A folder stands for the image files in it and, each as one image, the folders with DICOM files in it; one that holds
    DICOM files itself is one image.

    Raises:
        CohortError: a place does not exist, or none of them holds an image.
    """
    places = tuple(places)
    found: dict[Path, None] = {}
    for place in places:
        if not place.exists():
            raise CohortError(f"{place}: No such file or folder. Choose images or folders with images.")
        found |= dict.fromkeys(path.resolve() for path in _images_in(place))
    if not found:
        raise CohortError(f"{', '.join(map(str, places))}: No image is there. Choose files that end in {_suffixes()}.")
    return tuple(found)


def named(paths: Iterable[Path], known: Mapping[str, Path]) -> dict[str, Path]:
    """An id for each image, in order; those that are known keep theirs.

    An id is the file's stem where that is safe and tells the image apart, else some letters of it and a hash.
    """
    names = dict(known)
    taken = {name.casefold() for name in names}
    for path in paths:
        if path in names.values():
            continue
        name = stem(path)
        if name.casefold() in taken:
            name = file_stem(path.parent.name, name, str(path.parent), otherwise="image")
        taken.add(name.casefold())
        names[name] = path
    return names


def stem(path: Path) -> str:
    """What a file or folder is called without its type, in letters that every system takes as a file's name."""
    name = path.name
    for suffix in sorted((".seg.nrrd", ".seg.nhdr", *READERS), key=len, reverse=True):
        if name.lower().endswith(suffix):
            name = name[: -len(suffix)]
            break
    is_safe = SAFE_ID.fullmatch(name) and name.partition(".")[0].lower() not in DEVICES and name[-1] != "."
    return name if is_safe else file_stem(name, otherwise="image")


def examine(path: Path) -> Image:
    """Read an image whole and tell what it is.

    Raises:
        ImageError: it cannot be read, is damaged or constant, has colours, or is one plane.
    """
    return Image(digest(path), read_grey(path).geometry)


def read_grey(path: Path) -> Volume:
    """Read a grey volume.

    Raises:
        ImageError: as `examine`.
    """
    volume = read_volume(path)
    if volume.array.ndim != 3:
        raise ImageError(f"{path}: Expected a grey image, got one of {volume.array.shape[3]} channels.")
    if volume.geometry.is_flat:
        size = " x ".join(map(str, volume.geometry.size))
        raise ImageError(f"{path}: Expected a volume, got one plane ({size}).")
    check_contrast(volume, str(path))
    return volume


def digest(path: Path) -> str:
    """SHA256 (hex) of a file's bytes, or of those of all files in a DICOM folder in the order of their names.

    Voxels that a header names another file for count too.

    Raises:
        ImageError: it cannot be read.
    """
    total = hashlib.sha256()
    try:
        for file in files_in(path) if path.is_dir() else filter(None, (path, voxel_file(path))):
            with file.open("rb") as stream:
                while block := stream.read(BLOCK_BYTES):
                    total.update(block)
    except OSError as error:
        raise ImageError(f"{path}: The image cannot be read ({error.strerror}).") from error
    return total.hexdigest()


def read_template_label(path: Path, geometry: Geometry) -> Labels:
    """Read a label file with all values and names that it has, on the voxels of its image.

    A segmentation of 3D Slicer may be cropped: it lies on some of the image's voxels.

    Raises:
        ImageError: it cannot be read, lies elsewhere than its image, or two segments have the same name.
    """
    label = read_labels(path)
    offset = part_of(label.geometry, geometry) if label.names else None
    if offset is not None:
        whole = np.zeros(geometry.size, np.uint8, order="F")
        whole[tuple(slice(start, start + n) for start, n in zip(offset, label.geometry.size))] = label.array
        label = Labels(whole, geometry, label.names)
    difference = differs(label.geometry, geometry)
    if difference:
        raise ImageError(f"{path}: Expected the places of the image. The label has {difference} in the image.")
    twice = [name for name, count in Counter(map(_plain, label.names.values())).items() if count > 1]
    if twice:
        raise ImageError(f"{path}: Two segments are called '{twice[0]}'. Give each a name of its own.")
    return label


def read_label(
    path: Path, geometry: Geometry, labels: tuple[int, ...], names: Mapping[int, str] | None = None
) -> np.ndarray:
    """Read a label file as uint8 (I, J, K) of the cohort's values.

    Segments are found by name where both the file and the cohort have names, else by value.

    Args:
        geometry: of its image.
        labels: values that it may hold besides 0.
        names: of these values, where the cohort has them.

    Raises:
        ImageError: as `read_template_label`, or it holds other values or segments.
    """
    label = read_template_label(path, geometry)
    values = np.unique(label.array)
    if names and label.names:
        return _by_name(path, label, names)
    odd = [value for value in values.tolist() if value not in (0, *labels)]
    if odd:
        raise ImageError(f"{path}: Expected the values 0 and {', '.join(map(str, labels))}, got {odd[0]}.")
    if len(labels) > 1 and label.names:
        told = ", ".join(f"{value} '{name}'" for value, name in sorted(label.names.items()))
        warnings.warn(
            f"{path}: The cohort has no names of segments, so they are taken by their label values: {told}.",
            stacklevel=2,
        )
    return label.array


def _by_name(path: Path, label: Labels, names: Mapping[int, str]) -> np.ndarray:
    wanted = {_plain(name): value for value, name in names.items()}
    known = " and ".join(f"'{name}'" for name in names.values())
    table = np.zeros(MOST_LABEL + 1, np.uint8)
    for value in np.unique(label.array[label.array > 0]).tolist():
        name = label.names.get(value)
        if name is None or _plain(name) not in wanted:
            found = f"the value {value}, which belongs to no segment" if name is None else f"the segment '{name}'"
            raise ImageError(f"{path}: The label holds {found}. Expected the segments {known}, as in the first label.")
        table[value] = wanted[_plain(name)]
    return np.asarray(table[label.array])


def _plain(name: str) -> str:
    return " ".join(name.split()).casefold()


def _images_in(place: Path) -> list[Path]:
    if not place.is_dir() or is_dicom_folder(place):
        return [place]
    return sorted(path for path in place.iterdir() if not path.name.startswith(".") and _is_image(path))


def _is_image(path: Path) -> bool:
    if path.is_dir():
        return is_dicom_folder(path)
    return path.name.lower().endswith(tuple(READERS))


def _suffixes() -> str:
    return ", ".join(READERS)
