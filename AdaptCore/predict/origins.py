"""Where each voxel's label comes from, in two bits a voxel: a byte each would take as much as the labels themselves."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Origin(IntEnum):
    """Where a voxel's label comes from."""

    NONE = 0
    CARRIED = 1
    CONFIRMED = 2


class Origins:
    """The origin of each of `count` voxels by flat index, none at first."""

    def __init__(self, count: int) -> None:
        self._four = np.zeros((count + 3) // 4, np.uint8)

    def at(self, voxels: np.ndarray) -> np.ndarray:
        """Origins uint8 (N) of voxels (N)."""
        return (self._four[voxels >> 2] >> ((voxels & 3) << 1).astype(np.uint8)) & 3

    def put(self, voxels: np.ndarray, origins: np.ndarray | Origin) -> None:
        """Give voxels (N), each of them there once, one origin or one each."""
        given = np.broadcast_to(np.asarray(origins, np.uint8), voxels.shape)
        for place in range(4):
            # Of four voxels that share a byte, only one is written at a time.
            chosen = (voxels & 3) == place
            bytes_ = voxels[chosen] >> 2
            self._four[bytes_] = (self._four[bytes_] & ~np.uint8(3 << 2 * place)) | (given[chosen] << 2 * place)

    def carry(self, voxels: np.ndarray | None) -> None:
        """Let voxels (N) of no origin be carried; None for all."""
        if voxels is None:
            self._four |= ~(self._four | self._four >> 1) & np.uint8(0b01010101)
        else:
            self.put(voxels[self.at(voxels) == Origin.NONE], Origin.CARRIED)
