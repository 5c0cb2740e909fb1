"""Objects of a labelled volume, and the slice on which a user sees one of them first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from AdaptCore.evaluate.users import first_voxel
from AdaptCore.io import Volume
from AdaptCore.predict.geometry import axis_plane, extract
from AdaptCore.predict.intensity import apply_window, auto_window
from AdaptCore.predict.masks import parts_of

SMALLEST_OBJECT_VOXELS = 200
OBJECTS_PER_CASE = 3


@dataclass(frozen=True)
class ObjectName:
    """A label, or the n-th connected part of it (from 1)."""

    label: int
    part: int | None = None

    def __str__(self) -> str:
        return f"{self.label}" if self.part is None else f"{self.label}.{self.part}"


@dataclass(frozen=True, eq=False)
class ObjectSlice:
    """What a user sees of an object at the first click.

    Attributes:
        image: float32 (H, W) or (H, W, 3) in [0, 1].
        truth: bool (H, W), the part of the object's cross-section that was clicked on.
        spacing: millimetres from pixel to pixel along x and y.
    """

    image: np.ndarray
    truth: np.ndarray
    spacing: tuple[float, float]


def object_names(labels: np.ndarray, whole: Callable[[int], bool]) -> list[ObjectName]:
    """The objects of at least 200 voxels among labels (I, J, K): connected parts of a label, corners connect.

    Args:
        whole: whether a label is one object, however many parts it has, such as vessels and tissue.
    """
    values = [int(value) for value in np.unique(labels) if value > 0]
    return [name for value in values for name in _names_of(labels == value, value, whole(value))]


def object_mask(labels: np.ndarray, name: ObjectName) -> np.ndarray:
    """The voxels of an object, bool (I, J, K)."""
    mask = labels == name.label
    return mask if name.part is None else parts_of(mask)[0] == name.part


def acquisition_axis(spacing: tuple[float, float, float]) -> int:
    """The axis across the slices as they were acquired: that of the largest spacing, the last one of equals."""
    largest = max(spacing)
    return max(axis for axis in range(3) if np.isclose(spacing[axis], largest, rtol=1e-2))


def first_slice(volume: Volume, truth: np.ndarray, rng: np.random.Generator) -> ObjectSlice:
    """The slice across the acquisition axis through the first click on an object, bool (I, J, K).

    Args:
        rng: as for `first_voxel`; the same one gives the same click.
    """
    spacing = volume.geometry.spacing
    axis = acquisition_axis(spacing)
    x_axis, y_axis = (other for other in range(3) if other != axis)
    voxel = first_voxel(truth, spacing, rng).voxel
    plane = axis_plane(truth.shape, axis, voxel[axis])
    parts, _ = parts_of(extract(truth, plane))
    image = apply_window(extract(volume.array, plane), auto_window(volume.array))
    return ObjectSlice(image, parts == parts[voxel[y_axis], voxel[x_axis]], (spacing[x_axis], spacing[y_axis]))


def _names_of(mask: np.ndarray, label: int, whole: bool) -> list[ObjectName]:
    if whole:
        return [ObjectName(label)] if mask.sum() >= SMALLEST_OBJECT_VOXELS else []
    sizes = np.bincount(parts_of(mask)[0].ravel())
    return [ObjectName(label, part) for part in range(1, len(sizes)) if sizes[part] >= SMALLEST_OBJECT_VOXELS]
