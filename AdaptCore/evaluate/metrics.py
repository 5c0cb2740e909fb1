"""Measures of agreement and of effort: Dice, IoU, number of clicks, failure rate, bootstrap interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from AdaptCore.predict.masks import dice as dice

RESAMPLES = 2000


def iou(truth: np.ndarray, prediction: np.ndarray) -> float:
    """|A and B| / |A or B| of two bool masks of one shape; two empty masks agree (1)."""
    union = int((truth | prediction).sum())
    return int((truth & prediction).sum()) / union if union else 1.0


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
