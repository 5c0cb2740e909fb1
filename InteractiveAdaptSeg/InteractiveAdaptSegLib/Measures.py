"""What is told of the segment that is worked on: its volume, its longest diameter, and its slices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import vtk

from InteractiveAdaptSegLib.Masking import imageArray
from InteractiveAdaptSegLib.SegmentWriter import segmentTime
from InteractiveAdaptSegLib.VolumeGeometry import toWorldMatrix

DIRECTIONS, PARTS = 400, 20
"""Directions in which an object is measured, so many at a time; the longest diameter is found to a thousandth."""


@dataclass(frozen=True)
class Measures:
    """Of one segment.

    Attributes:
        volume: mL.
        diameter: mm, between the two voxel centres that are farthest apart.
        slices: how many it meets along the segmentation's third axis.
    """

    volume: float
    diameter: float
    slices: int


class Measuring:
    """Measures the chosen segment again only when its voxels have changed."""

    def __init__(self) -> None:
        self._known: tuple[Any, Measures | None] = (None, None)

    def measures(self, segmentationNode: Any, segmentID: str) -> Measures | None:
        """On the segmentation's own voxels; None for an empty segment.

        Raises:
            SceneError: the segmentation is under a non-linear transform.
        """
        toWorld = toWorldMatrix(segmentationNode)
        state = segmentationNode.GetID(), segmentID, segmentTime(segmentationNode, segmentID), toWorld.tobytes()
        if state != self._known[0]:
            mask, scale = _voxels(segmentationNode, segmentID, toWorld)
            self._known = state, measured(mask, scale) if mask.any() else None
        return self._known[1]


def _voxels(segmentationNode: Any, segmentID: str, toWorld: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a segment holds, bool (i, j, k), and the 3 x 3 matrix from its voxels to mm."""
    image = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if image is None or image.IsEmpty():
        return np.zeros((0, 0, 0), bool), np.eye(3)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    value = segmentationNode.GetSegmentation().GetSegment(segmentID).GetLabelValue()
    return imageArray(image) == value, (toWorld @ slicer.util.arrayFromVTKMatrix(matrix))[:3, :3]


def measured(mask: np.ndarray, scale: np.ndarray) -> Measures:
    """Measure voxels.

    Args:
        mask: bool (i, j, k), with at least one voxel.
        scale: 3 x 3 matrix from voxels to mm.
    """
    voxel = abs(float(np.linalg.det(scale)))
    slices = int(mask.any(axis=(0, 1)).sum())
    return Measures(int(mask.sum()) * voxel / 1000.0, _longest(_ends(mask) @ scale.T), slices)


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
    directions = np.stack((radius * np.cos(turn), radius * np.sin(turn), height), axis=1).astype(np.float32)
    lines, outermost = np.ascontiguousarray(points.T, np.float32), []
    for some in np.array_split(directions, PARTS):
        along = some @ lines
        outermost += [along.argmin(axis=1), along.argmax(axis=1)]
    outer = points[np.unique(np.concatenate(outermost))]
    return float(np.linalg.norm(outer[:, None] - outer[None], axis=2).max())
