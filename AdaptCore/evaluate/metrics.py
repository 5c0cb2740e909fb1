"""Measures of agreement and of effort: Dice, IoU, number of clicks, failure rate, bootstrap interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import numpy as np
from scipy import ndimage

from AdaptCore.predict.masks import dice as dice
from AdaptCore.predict.masks import iou as iou

RESAMPLES = 2000
SURFACE_TOLERANCE_MM = 2.0


def surface_dice(truth: np.ndarray, prediction: np.ndarray, spacing: Sequence[float] | None = None) -> float:
    """Normalized surface Dice (NSD): the share of both surfaces that lies within a tolerance of the other one.

    The tolerance is 2 mm, or the longest side of a voxel where that is longer. A surface is made of the voxels of a
    mask that have a face in common with its outside; beyond the image border is outside. Two empty masks agree (1).

    Args:
        truth, prediction: bool (H, W) or (I, J, K).
        spacing: millimetres along each of their axes; None takes a pixel for a millimetre.

    Source: Nikolov et al. 2018, with voxels in place of surface elements, as in MONAI.
    """
    steps = (1.0,) * truth.ndim if spacing is None else tuple(spacing)
    boxes = ndimage.find_objects((truth | prediction).astype(np.uint8))
    if not boxes:
        return 1.0
    surfaces = [_surface(np.pad(mask[boxes[0]], 1)) for mask in (truth, prediction)]
    if not all(surface.any() for surface in surfaces):
        return 0.0
    tolerance = max(SURFACE_TOLERANCE_MM, *steps)
    near = [
        int((ndimage.distance_transform_edt(~other, sampling=steps)[surface] <= tolerance).sum())
        for surface, other in (surfaces, surfaces[::-1])
    ]
    return sum(near) / sum(int(surface.sum()) for surface in surfaces)


def reached(ious: Sequence[float], threshold: float, clicks: int) -> bool:
    """Whether the IoU after one of the first `clicks` clicks is at least the threshold; `ious[0]` is after click 1."""
    return any(value >= threshold for value in ious[:clicks])


def noc(ious: Sequence[float], threshold: float, max_clicks: int) -> int:
    """NoC@threshold: number of the first click (from 1) whose IoU is at least the threshold, else `max_clicks`."""
    for click, value in enumerate(ious[:max_clicks], start=1):
        if value >= threshold:
            return click
    return max_clicks


def failure_rate(curves: Sequence[Sequence[float]], threshold: float, clicks: int) -> float:
    """FR_n@threshold: share of IoU curves that do not reach the threshold within n = `clicks`; click n still counts.

    Args:
        curves: IoU after click 1, 2, ... of each item, at least one item.
    """
    return sum(not reached(curve, threshold, clicks) for curve in curves) / len(curves)


def area_under(dices: Sequence[float], clicks: int = 5) -> float:
    """Area under Dice over the first clicks, by trapezoids of width 1: from 0 to 4 for five clicks.

    Args:
        dices: after click 1, 2, ...; the last value stands for all later clicks.

    Source: DSC_AUC of the CVPR 2025 challenge on interactive 3D biomedical image segmentation, over its clicks only.
    """
    first = [dices[min(click, len(dices) - 1)] for click in range(clicks)]
    return float(np.sum(first)) - (first[0] + first[-1]) / 2


def share_worse(dices: Sequence[float], clicks: int, loss: float = 0.02) -> float:
    """Share of the clicks 2 to `clicks` after which Dice is lower than before by more than `loss`; 0 without any."""
    lost = [before - after > loss for before, after in pairwise(dices[:clicks])]
    return sum(lost) / len(lost) if lost else 0.0


def bootstrap_means(
    values: Sequence[float], groups: Sequence[Hashable] | None = None, seed: int | Sequence[int] = 0
) -> np.ndarray:
    """Means of resampled data, float64 (RESAMPLES,): whole groups (patients) are drawn with replacement.

    Args:
        values: one value an item, at least one.
        groups: the group of each item; None makes each item its own group.
        seed: the same seed gives the same draws.
    """
    keys = list(range(len(values))) if groups is None else list(groups)
    number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    membership = [number[key] for key in keys]
    sums = np.bincount(membership, weights=np.asarray(values, dtype=np.float64))
    counts = np.bincount(membership)
    drawn = np.random.default_rng(seed).integers(len(number), size=(RESAMPLES, len(number)))
    return sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)


def percentile_interval(means: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """The middle `level` share of bootstrap means, as (low, high)."""
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bootstrap_interval(
    values: Sequence[float],
    groups: Sequence[Hashable] | None = None,
    seed: int | Sequence[int] = 0,
    level: float = 0.95,
) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean; a single group gives its mean twice."""
    return percentile_interval(bootstrap_means(values, groups, seed), level)


def _surface(mask: np.ndarray) -> np.ndarray:
    return np.asarray(mask & ~ndimage.binary_erosion(mask))
