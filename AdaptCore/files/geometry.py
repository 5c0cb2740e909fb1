"""Where the voxels of a volume lie in the patient.

Geometry is ITK's and DICOM's: positions in millimetres, axes to the patient's left, posterior and superior (LPS). The
axes of a volume may be sheared, as those of a CT with a tilted gantry are.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from AdaptCore.errors import ImageError

SAME_PLACE = 0.05
"""In voxels: what formats round is less, what a user could see is more (ours)."""
SMALLEST, LARGEST = 1e-6, 1e6
"""Millimetres between voxels; beyond them a header is damaged, and single precision cannot hold the places (ours)."""
LEAST_VOLUME = 1e-3
"""Of the parallelepiped that the unit vectors along the axes span; below it, the axes lie in one plane."""
MILLIMETRES = {"", "?", "???", "none", "mm", "millimeter", "millimeters", "millimetre", "millimetres"}
"""Units of length in headers that stand for millimetres; where none is named, millimetres are meant, as in ITK."""


@dataclass(frozen=True)
class NiftiPlace:
    """All that a NIfTI header says of the place, as it is stored; a mask keeps it, whichever part a program reads.

    Attributes:
        units: code of the unit of length and time.
        codes: of qform and sform; 0 where one is not given.
        pixdim: qfac and the spacing.
        quaternion: b, c, d and the offset.
        rows: of the sform, RAS.
    """

    units: int
    codes: tuple[int, int]
    pixdim: tuple[float, ...]
    quaternion: tuple[float, ...]
    rows: tuple[float, ...]


@dataclass(frozen=True)
class Geometry:
    """Where the voxels of a volume lie; a 2D image is a volume of one plane.

    Attributes:
        size: voxels along i, j, k.
        spacing: millimetres along i, j, k.
        origin: LPS position of the centre of voxel (0, 0, 0).
        direction: 3 x 3 direction cosines, row by row; column a is the direction of axis a.
        dimensions: 2 for an image that was stored as 2D, else 3.
        has_millimetres: False where the file does not tell the spacing, which is 1 along each axis then, or gives it
            in another unit, which ITK and 3D Slicer take for millimetres; so masks have the file's numbers, too.
        nifti: what a NIfTI file says of the place besides.
    """

    size: tuple[int, int, int]
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    origin: tuple[float, float, float] = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    dimensions: int = 3
    has_millimetres: bool = field(default=True, compare=False)
    nifti: NiftiPlace | None = field(default=None, compare=False)

    @classmethod
    def from_affine(
        cls, size: tuple[int, int, int], affine: np.ndarray, dimensions: int = 3, nifti: NiftiPlace | None = None
    ) -> Geometry:
        """The geometry of an affine 4 x 4 from voxels to LPS."""
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        direction = affine[:3, :3] / np.where(lengths > 0, lengths, 1.0)
        i, j, k = lengths.tolist()
        x, y, z = affine[:3, 3].tolist()
        return cls(size, (i, j, k), (x, y, z), tuple(direction.ravel().tolist()), dimensions, nifti=nifti)

    @property
    def direction_matrix(self) -> np.ndarray:
        return np.array(self.direction, dtype=float).reshape(3, 3)

    @property
    def affine(self) -> np.ndarray:
        """4 x 4, from voxels to LPS."""
        affine = np.eye(4)
        affine[:3, :3] = self.direction_matrix * self.spacing
        affine[:3, 3] = self.origin
        return affine

    @property
    def flat_axis(self) -> int | None:
        """The axis across the plane where there is only one, whether it was stored as 2D or 3D; else None."""
        return next((axis for axis in (2, 1, 0) if self.size[axis] == 1), None)

    @property
    def is_flat(self) -> bool:
        """True for a single plane."""
        return self.flat_axis is not None

    @property
    def shape_text(self) -> str:
        """Size as it is told, such as "512 x 512 x 40"."""
        return " x ".join(map(str, self.size))

    @property
    def in_the_plane(self) -> Geometry:
        """What a file of two dimensions can hold of the place: plain axes where the plane is sagittal or coronal."""
        direction = np.eye(3)
        stands_upright = abs(np.linalg.det(self.direction_matrix[:2, :2])) < LEAST_VOLUME
        direction[:2, :2] = np.eye(2) if stands_upright else self.direction_matrix[:2, :2]
        origin = (self.origin[0], self.origin[1], 0.0)
        return replace(self, origin=origin, direction=tuple(direction.ravel().tolist()))

    @property
    def voxel_millilitres(self) -> float:
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0


@dataclass(frozen=True)
class Volume:
    """An image in memory.

    Attributes:
        array: (I, J, K) or, in colour, (I, J, K, 3); read-only, of the stored type.
        geometry: where its voxels lie.
    """

    array: np.ndarray
    geometry: Geometry


def check_geometry(path: Path, geometry: Geometry) -> None:
    """Check that a file gives its voxels a place that can be.

    Raises:
        ImageError: a number is not finite, the spacing is not from 1e-6 to 1e6 mm, or two axes are parallel.
    """
    if not all(SMALLEST <= side <= LARGEST for side in geometry.spacing):
        raise ImageError(
            f"{path}: The voxels are {numbers_text(geometry.spacing)} mm apart. Expected numbers from {SMALLEST:g} to "
            f"{LARGEST:g}: correct the spacing in the file's header."
        )
    if not all(abs(place) <= LARGEST for place in geometry.origin):
        raise ImageError(
            f"{path}: The first voxel lies at {numbers_text(geometry.origin)} mm. Expected finite numbers below "
            f"{LARGEST:g}: correct the origin in the file's header."
        )
    spanned = abs(float(np.linalg.det(geometry.direction_matrix))) if np.isfinite(geometry.direction).all() else 0.0
    if not spanned >= LEAST_VOLUME:
        raise ImageError(
            f"{path}: The axes of the image point along {numbers_text(geometry.direction)}. Expected three finite "
            "directions that do not lie in one plane: correct them in the file's header."
        )


def largest_shift(one: Geometry, other: Geometry) -> float:
    """How far a corner voxel lies from its place in another geometry of the same size, in mm."""
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, length - 1) for length in one.size))])
    return float(np.linalg.norm(corners @ (one.affine - other.affine).T, axis=1).max())


def is_same_place(one: Geometry, other: Geometry) -> bool:
    """Whether all voxels of two geometries of the same size lie at the same places."""
    return largest_shift(one, other) <= SAME_PLACE * min(other.spacing)


def part_of(part: Geometry, whole: Geometry) -> tuple[int, int, int] | None:
    """Index in `whole` of the first voxel of a geometry that lies on some of its voxels; None if it lies elsewhere."""
    start = np.linalg.solve(whole.affine, part.affine[:, 3])[:3]
    i, j, k = (int(index) for index in np.rint(start))
    lengths = zip((i, j, k), part.size, whole.size)
    if not all(index >= 0 and index + length <= most for index, length, most in lengths):
        return None
    origin = (whole.affine @ (i, j, k, 1))[:3]
    moved = replace(whole, size=part.size, origin=(float(origin[0]), float(origin[1]), float(origin[2])))
    return (i, j, k) if is_same_place(part, moved) else None


def differs(one: Geometry, other: Geometry) -> str:
    """How two geometries differ: what was got and, after a semicolon, what was wanted; empty if they do not."""
    if one.size != other.size:
        return f"{one.size} voxels; {other.size}"
    if is_same_place(one, other):
        return ""
    far = {
        "spacing": np.abs(np.array(one.spacing) / other.spacing - 1).max() * max(other.size),
        "direction": np.abs(np.array(one.direction) - other.direction).max() * max(other.size),
        "origin": np.abs(np.array(one.origin) - other.origin).max() / min(other.spacing),
    }
    name = next((name for name, voxels in far.items() if voxels > SAME_PLACE), max(far, key=lambda name: far[name]))
    return f"{name} {numbers_text(getattr(one, name))}; {numbers_text(getattr(other, name))}"


def numbers_text(numbers: tuple[float, ...]) -> str:
    return f"({', '.join(f'{number:.6g}' for number in numbers)})"
