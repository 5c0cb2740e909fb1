"""How a candidate's object differs from the recommended one: millilitres, and the slice that shows it best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AdaptCore.predict.block import ObjectPrediction
from AdaptCore.predict.windows import Box3


@dataclass(frozen=True, eq=False)
class ObjectChange:
    """What a pick would change.

    Attributes:
        added, removed: millilitres in the candidate alone, and in the recommended object alone.
        axis, index: the slice that most of these voxels lie on.
        before, after: bool (H, W), both masks on that slice as `AdaptCore.predict.geometry.axis_plane` gives it.
    """

    added: float
    removed: float
    axis: int
    index: int
    before: np.ndarray
    after: np.ndarray

    @property
    def millilitres(self) -> float:
        """How much larger the candidate is; negative where it is smaller."""
        return self.added - self.removed


def change_of(
    before: ObjectPrediction,
    after: ObjectPrediction,
    shape: tuple[int, int, int],
    voxel_millilitres: float,
    axis: int = 2,
) -> ObjectChange:
    """How one prediction differs from another in a volume of this shape.

    Args:
        voxel_millilitres: of one voxel.
        axis: across the slices, one of which is shown.
    """
    box = _around(before.box, after.box)
    old, new = (_in_box(each, box) for each in (before, after))
    added, removed = (float(np.count_nonzero(part)) * voxel_millilitres for part in (new & ~old, old & ~new))
    across = tuple(other for other in range(3) if other != axis)
    place = int((old ^ new).sum(axis=across).argmax()) if old.size else 0
    slices = [_on_slice(mask, box, shape, axis, place) for mask in (old, new)]
    return ObjectChange(added, removed, axis, box[axis].start + place, *slices)


def _around(one: Box3, other: Box3) -> Box3:
    """The box around two boxes; one that is empty does not count."""
    boxes = [box for box in (one, other) if all(part.stop > part.start for part in box)] or [one]
    i, j, k = (slice(min(part.start for part in parts), max(part.stop for part in parts)) for parts in zip(*boxes))
    return i, j, k


def _in_box(prediction: ObjectPrediction, box: Box3) -> np.ndarray:
    """A prediction's mask on the voxels of a box that holds it."""
    mask = np.zeros([part.stop - part.start for part in box], bool)
    if prediction.mask.size:
        inner = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(prediction.box, box))
        mask[inner] = prediction.mask
    return mask


def _on_slice(mask: np.ndarray, box: Box3, shape: tuple[int, int, int], axis: int, place: int) -> np.ndarray:
    """One slice of a box's mask on the whole plane, bool (H, W)."""
    others = [other for other in range(3) if other != axis]
    whole = np.zeros([shape[other] for other in others], bool)
    if mask.size:
        whole[tuple(box[other] for other in others)] = mask.take(place, axis)
    return whole.T
