"""Which image a volume node holds: another frame of a sequence, or new voxels, are another image in the same node."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np

from InteractiveAdaptSegLib.VolumeGeometry import voxelArray, voxelTime

KNOWN = 256
"""Images whose digests are kept: the frames of a sequence come back."""

ROW_BYTES = 2**19
"""Of the voxels that are summed up at once."""


class Frames:
    """Digests of the voxels that volume nodes hold or have held."""

    def __init__(self) -> None:
        self._known: OrderedDict[int, str] = OrderedDict()

    def digest(self, volumeNode: Any) -> str:
        """Tells images apart, also after the scene was saved and loaded; "" where the node holds no image."""
        time = voxelTime(volumeNode)
        if not time:
            return ""
        if time not in self._known:
            self._known[time] = _digest(voxelArray(volumeNode))
        self._known.move_to_end(time)
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return self._known[time]


def _digest(voxels: np.ndarray) -> str:
    """Of an image (i, j, k) or (i, j, k, 3), which Slicer stores with i running fastest.

    A cryptographic digest of a large volume takes part of a second before the first answer: it is taken of sums.
    """
    content = hashlib.blake2b(f"{voxels.shape}{voxels.dtype.str}".encode(), digest_size=16)
    stored = np.ascontiguousarray(voxels.swapaxes(0, 2)).reshape(-1).view(np.uint8)
    whole = stored.size - stored.size % ROW_BYTES
    content.update(_weightedSum(stored[:whole].view(np.uint64).reshape(-1, ROW_BYTES // 8)).data)
    content.update(stored[whole:].data)
    return content.hexdigest()


def _weightedSum(rows: np.ndarray) -> np.ndarray:
    """Sum of rows, uint64 (N, W), each with an odd weight of its own: no row changes, or swaps places, unnoticed."""
    drawn = hashlib.shake_128(b"weights of rows").digest(8 * len(rows))
    total = np.zeros(rows.shape[1], np.uint64)
    for row, weight in zip(rows, np.frombuffer(drawn, np.uint64) | np.uint64(1)):
        total += row * weight
    return total
