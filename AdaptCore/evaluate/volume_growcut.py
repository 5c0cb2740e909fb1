"""GrowCut ("Grow from seeds") on a whole volume, answering the clicks that a user gave on its planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AdaptCore.evaluate.pictures import VoxelClick
from AdaptCore.evaluate.rivals import BACKGROUND, SeededGrowth, grey_value, seed_labels
from AdaptCore.prompts import Click


class VolumeGrowCut:
    """The clicks on planes across one axis are seeds in three dimensions.

    Args:
        image: float32 (I, J, K) or (I, J, K, 3) in [0, 1].
        axis: across which the clicked planes lie.

    Raises:
        ModelError: slicer-core is missing.
    """

    def __init__(self, image: np.ndarray, axis: int) -> None:
        self._shape = image.shape[:3]
        self._axis = axis
        self._clicks: list[VoxelClick] = []
        self._growth = SeededGrowth(image if image.ndim == 3 else grey_value(image))

    def click(self, click: VoxelClick) -> np.ndarray:
        """Add a click; returns bool (I, J, K)."""
        self._clicks.append(click)
        return self._growth.grown(volume_seeds(self._shape, self._axis, self._clicks))


def volume_seeds(shape: Sequence[int], axis: int, clicks: Sequence[VoxelClick]) -> np.ndarray:
    """Seeds uint8 (I, J, K): on each plane those of `seed_labels`; the first and the last plane are background.

    A first or last plane that was clicked on has its own seeds, as any other.
    """
    first, second = (other for other in range(3) if other != axis)
    labels = np.zeros(shape, np.uint8)
    planes = np.moveaxis(labels, axis, 0)
    side = (shape[first], shape[second])
    planes[:] = seed_labels(side, [])
    planes[[0, -1]] = BACKGROUND
    for index in {click.voxel[axis] for click in clicks}:
        here = [click for click in clicks if click.voxel[axis] == index]
        painted = [Click(click.voxel[second], click.voxel[first], click.positive) for click in here]
        planes[index] = seed_labels(side, painted)
    return labels
