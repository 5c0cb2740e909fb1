"""What is told of the segment that is worked on: its volume, its longest diameter, and its slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from InteractiveAdaptSegLib.SegmentWriter import VoxelBlock, segmentBlock, segmentTime
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

DIRECTIONS = 400
"""Directions in which an object is measured; the longest diameter is found to a thousandth."""


@dataclass(frozen=True)
class Measures:
    """Of one segment.

    Attributes:
        volume: mL.
        diameter: mm, between the two voxel centres that are farthest apart.
        slices: how many it meets along the volume's third axis.
    """

    volume: float
    diameter: float
    slices: int


class Measuring:
    """Measures the chosen segment again only when its voxels have changed."""

    def __init__(self) -> None:
        self._known: tuple[Any, Measures | None] = (None, None)

    def measures(self, volumeNode: Any, segmentationNode: Any, segmentID: str) -> Measures | None:
        """None for an empty segment.

        Raises:
            SceneError: one of the nodes is under a non-linear transform.
        """
        toWorld = ijkToWorld(volumeNode)
        state = segmentationNode.GetID(), segmentID, segmentTime(segmentationNode, segmentID), toWorld.tobytes()
        if state != self._known[0]:
            block = segmentBlock(volumeNode, segmentationNode, segmentID)
            self._known = state, None if block is None else measured(block, toWorld)
        return self._known[1]


def measured(block: VoxelBlock, toWorld: np.ndarray) -> Measures:
    """Measure voxels.

    Args:
        block: holds at least one voxel.
        toWorld: 4 x 4 matrix from voxels (i, j, k) to mm.
    """
    scale = toWorld[:3, :3]
    voxel = abs(float(np.linalg.det(scale)))
    slices = int(block.mask.any(axis=(0, 1)).sum())
    return Measures(int(block.mask.sum()) * voxel / 1000.0, _longest(_ends(block.mask) @ scale.T), slices)


def _ends(mask: np.ndarray) -> np.ndarray:
    """The first and the last voxel of each line along the third axis, M x 3; every corner of the hull is among them."""
    i, j = np.nonzero(mask.any(axis=2))
    lines = mask[i, j]
    first, last = lines.argmax(axis=1), lines.shape[1] - 1 - lines[:, ::-1].argmax(axis=1)
    return np.concatenate([np.column_stack((i, j, first)), np.column_stack((i, j, last))]).astype(float)


def _longest(points: np.ndarray) -> float:
    """The largest distance between points M x 3, among those that are outermost in many directions."""
    turn = np.arange(DIRECTIONS) * np.pi * (3.0 - 5.0**0.5)
    height = (np.arange(DIRECTIONS) + 0.5) / DIRECTIONS
    radius = np.sqrt(1.0 - height**2)
    along = points @ np.stack((radius * np.cos(turn), radius * np.sin(turn), height))
    outer = points[np.unique(np.concatenate((along.argmin(axis=0), along.argmax(axis=0))))]
    return float(np.linalg.norm(outer[:, None] - outer[None], axis=2).max())
