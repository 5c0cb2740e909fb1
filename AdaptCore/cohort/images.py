"""Images and labels from outside: which there are, what they are called, and whether they can be used."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from AdaptCore.cohort.records import Image
from AdaptCore.errors import CohortError, ImageError
from AdaptCore.io import READERS, Geometry, Volume, check_contrast, has_dicom_mark, read_volume
from AdaptCore.names import file_stem

BLOCK_BYTES = 1 << 20
SAFE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
"""Names that every system takes as a file's name, unless they are those of devices of Windows."""
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{number}" for name in ("com", "lpt") for number in range(10))}
TOLERANCE = 1e-3
"""Of spacing, direction and, in voxels, origin: formats round them differently."""
MOST_LABEL = 255


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
            raise CohortError(f"{place}: no such file or folder; images or folders with images are wanted")
        found |= dict.fromkeys(path.resolve() for path in _images_in(place))
    if not found:
        raise CohortError(f"{', '.join(map(str, places))}: no image there; files that end in {_suffixes()} are wanted")
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
    for suffix in sorted((".seg.nrrd", *READERS), key=len, reverse=True):
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
        raise ImageError(f"{path}: the image has {volume.array.shape[3]} channels; 1 (grey) is wanted")
    if volume.geometry.is_flat:
        size = " x ".join(map(str, volume.geometry.size))
        raise ImageError(f"{path}: the image is one plane ({size}); a volume is wanted")
    check_contrast(volume, str(path))
    return volume


def digest(path: Path) -> str:
    """SHA256 (hex) of a file's bytes, or of those of all files in a DICOM folder in the order of their names.

    Raises:
        ImageError: it cannot be read.
    """
    total = hashlib.sha256()
    try:
        for file in _files_in(path) if path.is_dir() else [path]:
            with file.open("rb") as stream:
                while block := stream.read(BLOCK_BYTES):
                    total.update(block)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); an image is wanted") from error
    return total.hexdigest()


def read_label(path: Path, geometry: Geometry, labels: tuple[int, ...] | None = None) -> np.ndarray:
    """Read a label file as uint8 (I, J, K) of its own values.

    Args:
        geometry: of its image.
        labels: values that it may hold besides 0; None for any.

    Raises:
        ImageError: it cannot be read, lies elsewhere than its image, or holds other values.
    """
    volume = read_volume(path, mend=False)
    if volume.array.ndim != 3:
        raise ImageError(f"{path}: the label has {volume.array.shape[3]} channels; 1 is wanted")
    difference = differs(volume.geometry, geometry)
    if difference:
        raise ImageError(f"{path}: the label has {difference} as in its image are wanted")
    values = np.unique(volume.array)
    allowed = range(MOST_LABEL + 1) if labels is None else (0, *labels)
    odd = [value for value in values.tolist() if value not in allowed]
    if odd:
        wanted = f"whole numbers from 0 to {MOST_LABEL}" if labels is None else f"0 and {', '.join(map(str, labels))}"
        raise ImageError(f"{path}: the label holds the value {odd[0]:g}; {wanted} are wanted")
    return np.ascontiguousarray(volume.array.astype(np.uint8))


def differs(one: Geometry, other: Geometry) -> str:
    """How two geometries differ: what was got and, after a semicolon, what was wanted; empty if they do not."""
    if one.size != other.size:
        return f"{one.size} voxels; {other.size}"
    spacing = np.array(other.spacing)
    pairs = {
        "spacing": (np.array(one.spacing) / spacing, np.ones(3)),
        "direction": (np.array(one.direction), np.array(other.direction)),
        "origin": (np.array(one.origin) / spacing, np.array(other.origin) / spacing),
    }
    for name, (got, wanted) in pairs.items():
        if not np.allclose(got, wanted, rtol=0, atol=TOLERANCE):
            return f"{name} {_rounded(getattr(one, name))}; {_rounded(getattr(other, name))}"
    return ""


def _images_in(place: Path) -> list[Path]:
    if not place.is_dir() or _is_dicom_folder(place):
        return [place]
    return sorted(path for path in place.iterdir() if not path.name.startswith(".") and _is_image(path))


def _is_image(path: Path) -> bool:
    if path.is_dir():
        return _is_dicom_folder(path)
    return path.name.lower().endswith(tuple(READERS))


def _is_dicom_folder(folder: Path) -> bool:
    return any(_is_dicom(file) for file in _files_in(folder))


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith("."))


def _is_dicom(file: Path) -> bool:
    try:
        return has_dicom_mark(file)
    except OSError:
        return False


def _suffixes() -> str:
    return ", ".join(READERS)


def _rounded(numbers: tuple[float, ...]) -> str:
    return f"({', '.join(f'{number:.6g}' for number in numbers)})"
