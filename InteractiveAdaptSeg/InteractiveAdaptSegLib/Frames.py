"""Which image a volume node holds: another frame of a sequence, or new voxels, are another image in the same node."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import Any

import numpy as np

from InteractiveAdaptSegLib.VolumeGeometry import voxelArray, voxelTime

KNOWN = 256
"""Images whose digests are kept: the frames of a sequence come back, and hashing a large one takes part of a second."""


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
    """Of an image (i, j, k) or (i, j, k, 3), which Slicer stores with i running fastest."""
    content = hashlib.blake2b(f"{voxels.shape}{voxels.dtype.str}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(voxels.swapaxes(0, 2)).data)
    return content.hexdigest()
