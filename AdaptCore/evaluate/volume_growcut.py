"""GrowCut ("Grow from seeds") on a whole volume, answering the clicks that a user gave on its planes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from AdaptCore.evaluate.rivals import BACKGROUND, SeededGrowth, grey_value, seed_labels
from AdaptCore.evaluate.users import VoxelClick
from AdaptCore.prompts import Click


def grown_from(image: np.ndarray, axis: int, clicks: Sequence[VoxelClick]) -> np.ndarray:
    """The object bool (I, J, K) that clicks on planes across one axis grow to, as seeds in three dimensions.

    It is grown afresh each time: Slicer's quick update after a click was a little worse on volumes.

    Args:
        image: float32 (I, J, K) or (I, J, K, 3) in [0, 1].

    Raises:
        ModelError: slicer-core is missing.
    """
    grey = image if image.ndim == 3 else grey_value(image)
    return SeededGrowth(grey).grown(volume_seeds(image.shape[:3], axis, clicks))


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
