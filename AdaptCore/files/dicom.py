"""DICOM: the slices of a file or of a folder's series become one volume, or the reason why they cannot.

Each frame of each file is asked for its own place, pixel spacing and rescale, so a series of single slices, one
enhanced multi-frame file and several of them are read in the same way (DICOM PS3.3, C.7.6.2, C.7.6.16 and C.8).
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from AdaptCore.errors import ImageError
from AdaptCore.files.dicom_frames import MARKED_BYTES, Frame, NotAnImage, frames_of, has_dicom_mark
from AdaptCore.files.dicom_pixels import frame_values
from AdaptCore.files.geometry import Geometry

SAME_DIRECTION = 1e-3
"""Between direction cosines of slices; files round them (ours)."""
SAME_POSITION = 1e-3
"""Millimetres along the normal between slices at one position."""
IRREGULAR, TOLD_IRREGULAR = 0.1, 0.02
"""How far a slice may lie from its place on the regular grid, in distances of slices: refused, told (ours)."""
TILTED = 0.5
"""Degrees between the way from slice to slice and the normal from which on the user is told (ours)."""
HINTS = 3
"""Subfolders and files that a message names at most."""
MAC_COPY = "._"
"""What macOS puts before the name of a file that holds what its file systems alone can keep of another one."""


def read_dicom_file(path: Path) -> tuple[np.ndarray, Geometry]:
    """Voxels (I, J, K) or (I, J, K, 3) and places of a DICOM file.

    Raises:
        ImageError: it is damaged or no image, or its frames are not the slices of one volume.
        OSError: the system could not read.
    """
    try:
        return _volume(path, frames_of(path))
    except NotAnImage as error:
        raise ImageError(f"{path}: The DICOM file holds no image but {error}. Choose the file of an image.") from error


def read_dicom_folder(folder: Path) -> tuple[np.ndarray, Geometry]:
    """Voxels and places of the series with most slices in a folder; ties go to the larger one on disk.

    What is no image is left out with one line, as are other series.

    Raises:
        ImageError: no image is there, a DICOM file is damaged, or the slices are not those of one volume.
        OSError: the system could not read.
    """
    frames, left_out = _frames_in(folder)
    if not frames:
        raise ImageError(f"{folder}: The folder holds no DICOM image{_told(left_out)}. {_hint(folder)}")
    if left_out:
        warnings.warn(f"{folder}: Left out{_told(left_out)}.", stacklevel=2)
    series: dict[str, list[Frame]] = defaultdict(list)
    for frame in frames:
        series[frame.file.series].append(frame)
    chosen = max(series.values(), key=_rank)
    if len(series) > 1:
        files = len({frame.file for frame in chosen})
        warnings.warn(
            f"{folder}: Of {len(series)} DICOM series the largest is taken (series number "
            f"{chosen[0].file.series_number or 'unknown'}, {files} file{'s' if files > 1 else ''}).",
            stacklevel=2,
        )
    return _volume(folder, chosen)


def is_dicom_folder(folder: Path) -> bool:
    """Whether a folder itself, not one in it, holds a file that begins as DICOM files do."""
    return any(_is_dicom(file) for file in files_in(folder))


def files_in(folder: Path) -> list[Path]:
    """The files of a folder besides those that a desktop keeps there; a slice's name may begin with a dot."""
    beside = (MAC_COPY, ".DS_Store", "Thumbs.db", "desktop.ini")
    return sorted(file for file in folder.iterdir() if file.is_file() and not file.name.startswith(beside))


def _frames_in(folder: Path) -> tuple[list[Frame], dict[str, str]]:
    """The frames of all images, and what files that one may take for images are, by name."""
    frames: list[Frame] = []
    left_out: dict[str, str] = {}
    seen: dict[str, Path] = {}
    for file in sorted(file for file in folder.iterdir() if file.is_file() and file.name != "DICOMDIR"):
        try:
            frames += _slices(file, seen)
        except NotAnImage as error:
            left_out[file.name] = str(error)
    return frames, {name: kind for name, kind in left_out.items() if kind}


def _slices(file: Path, seen: dict[str, Path]) -> list[Frame]:
    """The frames of a file.

    Args:
        seen: the files before it by the identifiers of their images.

    Raises:
        NotAnImage: with what it is; empty where nobody would take it for an image.
    """
    is_named, is_short = file.suffix.lower() == ".dcm", file.stat().st_size < MARKED_BYTES
    if file.name.startswith(MAC_COPY) and not has_dicom_mark(file):
        raise NotAnImage("macOS metadata")
    if not (is_named if is_short else has_dicom_mark(file, or_header=True)):
        raise NotAnImage("no DICOM" if is_named else "")
    found = frames_of(file)
    twin = seen.setdefault(found[0].file.instance or str(file), file)
    if twin != file and twin.read_bytes() == file.read_bytes():
        raise NotAnImage(f"a copy of {twin.name}")
    return found


def _told(left_out: dict[str, str]) -> str:
    if not left_out:
        return ""
    named = ", ".join(f"{name} ({kind})" for name, kind in islice(left_out.items(), HINTS))
    more = f" and {len(left_out) - HINTS} more" if len(left_out) > HINTS else ""
    return f": {named}{more}"


def _hint(folder: Path) -> str:
    subfolders = sorted(path for path in folder.iterdir() if path.is_dir())
    found = [path.name for path in subfolders if any(_is_dicom(file) for file in islice(path.rglob("*"), 100))]
    if not found:
        return "Choose a folder with the slices of a series."
    more = " ..." if len(found) > HINTS else ""
    return f"Choose the folder in it that holds the slices of one series: {', '.join(found[:HINTS])}{more}."


def _is_dicom(file: Path) -> bool:
    try:
        return file.is_file() and has_dicom_mark(file)
    except OSError:
        return False


def _rank(frames: list[Frame]) -> tuple[bool, int, int]:
    files = {frame.file for frame in frames}
    return frames[0].file.is_anatomy, len(frames), sum(file.path.stat().st_size for file in files)


def _volume(path: Path, frames: Sequence[Frame]) -> tuple[np.ndarray, Geometry]:
    _check_alike(path, frames, "pixels", lambda frame: f"{frame.columns} x {frame.rows}")
    _check_alike(path, frames, "colours", lambda frame: frame.photometric if frame.samples == 1 else "RGB")
    frames, geometry = _placed(path, frames)
    return frame_values(frames), geometry


def _check_alike(path: Path, frames: Sequence[Frame], what: str, value: Callable[[Frame], str]) -> None:
    counted = Counter(map(value, frames))
    if len(counted) > 1:
        told = ", ".join(f"{count} of {one}" for one, count in counted.most_common(HINTS))
        raise ImageError(
            f"{path}: The slices differ in {what} ({told}). Choose slices that are alike, in a folder of their own."
        )


def _placed(path: Path, frames: Sequence[Frame]) -> tuple[list[Frame], Geometry]:
    """The frames in order, and the geometry of their stack."""
    size = (frames[0].columns, frames[0].rows, len(frames))
    places = [frame.position is not None and frame.orientation is not None for frame in frames]
    if any(places) and not all(places):
        lacking = frames[places.index(False)].name
        raise ImageError(f"{path}: {lacking} tells no position or orientation, others do. Choose slices that all do.")
    if not all(places):
        return _unplaced(path, frames, size)
    axes = _axes(path, frames)
    _check_alike(path, frames, "pixel spacing", lambda frame: str(frame.spacing))
    spacing = frames[0].spacing
    if spacing is None:
        raise ImageError(f"{path}: {frames[0].name} tells no pixel spacing. Choose slices that do.")
    normal = np.cross(*axes)
    positions = np.array([frame.position for frame in frames])
    order = np.argsort(positions @ normal, kind="stable")
    frames, positions = [frames[index] for index in order], positions[order]
    step = _step(path, frames, positions, normal)
    return frames, _stack(size, axes, spacing, step, positions[0])


def _unplaced(path: Path, frames: Sequence[Frame], size: tuple[int, int, int]) -> tuple[list[Frame], Geometry]:
    """Slices without positions lie as far apart as the files say, in the order of their numbers."""
    ordered = sorted(frames, key=lambda frame: (frame.file.number, frame.index))
    first = ordered[0]
    _check_alike(path, frames, "pixel spacing", lambda frame: str(frame.spacing))
    _check_alike(path, frames, "thickness", lambda frame: str(frame.thickness))
    is_turned = all(frame.orientation is not None for frame in frames)
    if len(frames) > 1:
        _check_stack(path, first, len(frames), is_turned)
    axes = _axes(path, ordered) if is_turned else np.eye(3)[:2]
    step = np.cross(*axes) * (first.thickness or 1.0)
    geometry = _stack(size, axes, first.spacing or (1.0, 1.0), step, np.array(first.file.corner or (0.0, 0.0, 0.0)))
    return ordered, replace(geometry, has_millimetres=first.spacing is not None)


def _check_stack(path: Path, first: Frame, count: int, is_turned: bool) -> None:
    """Check that slices without positions have a distance, and tell what is taken for their place."""
    if first.file.is_film:
        raise ImageError(f"{path}: The {count} frames are pictures over time. Choose a single one, or a volume.")
    if first.thickness is None or first.spacing is None:
        raise ImageError(
            f"{path}: The {count} slices tell neither where they lie nor how far apart. Choose a volume with positions."
        )
    place = "; the first one lies where the file says" if is_turned and first.file.corner else ""
    unknown = "" if place else " Their place in the patient is unknown."
    warnings.warn(
        f"{path}: The slices tell no positions; they are taken to lie {first.thickness:g} mm apart, as their thickness "
        f"says, in the order of their numbers{place}.{unknown}",
        stacklevel=2,
    )


def _stack(
    size: tuple[int, int, int], axes: np.ndarray, spacing: tuple[float, float], step: np.ndarray, corner: np.ndarray
) -> Geometry:
    """The geometry of slices with `axes` (2, 3) along rows and columns, the first of which begins at `corner`."""
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack([axes[0] * spacing[0], axes[1] * spacing[1], step])
    affine[:3, 3] = corner
    return Geometry.from_affine(size, affine)


def _axes(path: Path, frames: Sequence[Frame]) -> np.ndarray:
    """Directions along rows and columns (2, 3), the same for all slices."""
    orientations = np.array([frame.orientation for frame in frames], float).reshape(-1, 2, 3)
    first = orientations[0]
    if np.abs(first @ first.T - np.eye(2)).max() > SAME_DIRECTION:
        told = ", ".join(f"{number:g}" for number in first.ravel())
        raise ImageError(
            f"{path}: Rows and columns point along {told}. Expected two directions of length 1 that are perpendicular."
        )
    others = np.flatnonzero(np.abs(orientations - first).max((1, 2)) > SAME_DIRECTION)
    if others.size:
        raise ImageError(
            f"{path}: {others.size} of {len(frames)} slices have another orientation than {frames[0].name}, such as "
            f"{frames[int(others[0])].name}. Choose slices of one orientation, in a folder of their own."
        )
    return np.asarray(first / np.linalg.norm(first, axis=1, keepdims=True))


def _step(path: Path, frames: Sequence[Frame], positions: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The way from a slice to the next, along the normal where there is one slice."""
    if len(positions) == 1:
        return normal * (frames[0].thickness or 1.0)
    gaps = np.diff(positions @ normal)
    if gaps.min() < SAME_POSITION:
        _refuse_double(path, frames, gaps)
    step: np.ndarray = (positions[-1] - positions[0]) / (len(positions) - 1)
    strays = np.linalg.norm(positions - positions[0] - np.arange(len(positions))[:, None] * step, axis=1)
    stray, distance = float(strays.max()), float(np.linalg.norm(step))
    if stray > IRREGULAR * distance:
        raise ImageError(
            f"{path}: The slices lie {gaps.min():.3f} to {gaps.max():.3f} mm apart, {_near(frames, gaps)}: some are "
            "missing, or the volume is not regular. Export the whole series again, or resample it to regular slices."
        )
    if stray > TOLD_IRREGULAR * distance:
        warnings.warn(
            f"{path}: The slices lie {gaps.min():.3f} to {gaps.max():.3f} mm apart; the mask follows their mean "
            f"distance and is up to {stray:.2g} mm off.",
            stacklevel=2,
        )
    angle = float(np.degrees(np.arccos(np.clip(step @ normal / distance, -1.0, 1.0))))
    if angle > TILTED:
        warnings.warn(
            f"{path}: The slices are tilted by {angle:.1f} degrees against their normal (gantry tilt); the mask has "
            "the same sheared axes.",
            stacklevel=2,
        )
    return step


def _near(frames: Sequence[Frame], gaps: np.ndarray) -> str:
    widest = int(gaps.argmax())
    return f"widest between {frames[widest].name} and {frames[widest + 1].name}"


def _refuse_double(path: Path, frames: Sequence[Frame], gaps: np.ndarray) -> None:
    """Tell what tells slices at one position apart: points in time, b-values, echoes ..."""
    places = 1 + int((gaps >= SAME_POSITION).sum())
    apart = np.split(np.arange(len(frames)), np.flatnonzero(gaps >= SAME_POSITION) + 1)
    crowded = [frames[index] for index in max(apart, key=len)]
    kinds = _what_differs(crowded)
    raise ImageError(
        f"{path}: Several slices lie at one position ({len(frames)} slices at {places} positions{kinds}). Choose one "
        "volume of them, in a folder or file of its own."
    )


def _what_differs(frames: Iterable[Frame]) -> str:
    frames = list(frames)
    for name in frames[0].facts:
        values = list(dict.fromkeys(frame.facts.get(name, "") for frame in frames))
        if len(values) == len(frames):
            more = ", ..." if len(values) > 2 * HINTS else ""
            return f": {len(values)} of {name} {', '.join(values[: 2 * HINTS])}{more}"
    return ""
