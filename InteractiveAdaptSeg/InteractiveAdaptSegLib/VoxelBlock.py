"""Masks over a part of a volume's voxels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from InteractiveAdaptSegLib.PackedMask import packMask, unpackMask


@dataclass(frozen=True)
class VoxelBlock:
    """A mask over a box of the volume's voxels: bool (a, b, c), the first of them at `origin` (i, j, k)."""

    origin: tuple[int, int, int]
    mask: np.ndarray

    @classmethod
    def around(cls, volumeMask: np.ndarray, origin: Sequence[int] = (0, 0, 0)) -> VoxelBlock | None:
        """The smallest block that holds a mask, bool (i, j, k) from `origin` on; None if it is empty."""
        if not volumeMask.any():
            return None
        limits = []
        for axis in range(3):
            others = tuple(other for other in range(3) if other != axis)
            set_ = np.flatnonzero(volumeMask.any(axis=others))
            limits.append((int(set_[0]), int(set_[-1]) + 1))
        box = tuple(slice(*limit) for limit in limits)
        i, j, k = (int(start) + limit[0] for start, limit in zip(origin, limits))
        return cls((i, j, k), volumeMask[box])

    @classmethod
    def ofVoxels(cls, voxels: np.ndarray) -> VoxelBlock | None:
        """The block that holds voxels N x 3 (i, j, k); None if there are none."""
        if not len(voxels):
            return None
        low = voxels.min(axis=0)
        mask = np.zeros(voxels.max(axis=0) - low + 1, bool)
        mask[tuple((voxels - low).T)] = True
        return cls((int(low[0]), int(low[1]), int(low[2])), mask)

    @classmethod
    def unpacked(cls, text: str) -> VoxelBlock:
        """The block that `packed` made this text of."""
        *numbers, mask = text.split()
        i, j, k, a, b, c = map(int, numbers)
        return cls((i, j, k), unpackMask(mask, (a, b, c)))

    @property
    def packed(self) -> str:
        """As text, so that it can be saved in a node's attributes."""
        return " ".join([*map(str, (*self.origin, *self.mask.shape)), packMask(self.mask)])

    def with_(self, other: VoxelBlock) -> VoxelBlock:
        """What this block or another one holds."""
        blocks = [block for block in (self, other) if block.mask.size] or [self]
        i, j, k = (min(block.origin[axis] for block in blocks) for axis in range(3))
        a, b, c = (max(block.slices[axis].stop for block in blocks) for axis in range(3))
        return VoxelBlock(
            (i, j, k), np.logical_or.reduce([block.on((i, j, k), (a - i, b - j, c - k)) for block in blocks])
        )

    def on(self, origin: Sequence[int], shape: Sequence[int]) -> np.ndarray:
        """What it holds of another part of the volume, bool of that shape."""
        mask, theirs, own = np.zeros(shape, bool), [], []
        for start, size, first, length in zip(origin, shape, self.origin, self.mask.shape):
            low, high = max(start, first), min(start + size, first + length)
            theirs.append(slice(low - start, max(low, high) - start))
            own.append(slice(low - first, max(low, high) - first))
        mask[tuple(theirs)] = self.mask[tuple(own)]
        return mask

    @property
    def voxels(self) -> np.ndarray:
        """The voxels N x 3 (i, j, k) that it holds."""
        return np.argwhere(self.mask) + self.origin

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where the block lies in an array of the whole volume."""
        return tuple(slice(first, first + size) for first, size in zip(self.origin, self.mask.shape))
