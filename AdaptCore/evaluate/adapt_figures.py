"""Figures of the benchmark of learning: per target and arm, pooled, and how much less effort learning takes."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import BOTH, FINE_CLICKS, FINE_IOU, FROZEN, LEAST_CLICKS, Rules, Trial

POOLED = ("clicks", "fr20_85", "fr30_90", "dice1", "dice5")
REDUCED = ("fr20_85", "fr30_90", "clicks")
TITLES = {
    "clicks": "clicks",
    "fr20_85": "FR20@85",
    "fr30_90": "FR30@90",
    "noc90": "NoC90",
    "dice1": "Dice@1",
    "dice5": "Dice@5",
}
TOLERATED_LOSS = 0.02
"""Learning from bad masks may cost so much Dice after the first click."""

Trials = Mapping[str, Mapping[str, Sequence[Trial]]]
"""Trials in the order of the sequence, by target and arm."""


def measures(trials: Sequence[Trial], rules: Rules) -> dict[str, list[float]]:
    """Value of every image by measure."""
    return {
        "clicks": [float(metrics.noc(trial.iou, rules.stop_iou, rules.max_clicks)) for trial in trials],
        "fr20_85": [float(not metrics.reached(trial.iou, 0.85, 20)) for trial in trials],
        "fr30_90": [float(not metrics.reached(trial.iou, FINE_IOU, FINE_CLICKS)) for trial in trials],
        "noc90": [float(metrics.noc(trial.iou, FINE_IOU, rules.max_clicks)) for trial in trials],
        "dice1": [trial.dice_at(1) for trial in trials],
        "dice5": [trial.dice_at(LEAST_CLICKS) for trial in trials],
    }


def quarters(values: Sequence[float]) -> list[float]:
    """Means of the quarters of a sequence; of fewer parts where there are fewer than four values."""
    return [float(part.mean()) for part in np.array_split(values, min(4, len(values)))]


def check_tuned(tuned: Sequence[str], targets: Sequence[str]) -> None:
    """Raise AdaptSegError if a target that a recipe was tuned on is not among the targets."""
    for name in tuned:
        if name not in targets:
            raise AdaptSegError(f"Expected tuned targets among {', '.join(targets)}, got {name!r}.")


def figures(trials: Trials, rules: Rules, tuned: Sequence[str] = ()) -> dict[str, Any]:
    """All figures of a recipe.

    Args:
        tuned: targets on which the recipe's constants were chosen; pooled figures are given without them, too.

    Returns:
        {"targets": {T: {"arms": {arm: figures of `summarize_arm`}}}, "pooled": {"arms": {arm: {measure: mean}},
        "reduction": {measure: {"value", "low", "high"}}}}, with `tuned` also "tuned" and "pooled_not_tuned".
    """
    targets = {
        name: {"arms": {arm: summarize_arm(of, rules) for arm, of in arms.items()}} for name, arms in trials.items()
    }
    result: dict[str, Any] = {"targets": targets, "pooled": pooled(trials, rules)}
    others = {name: arms for name, arms in trials.items() if name not in tuned}
    if tuned and others:
        result |= {"tuned": list(tuned), "pooled_not_tuned": pooled(others, rules)}
    return result


def pooled(trials: Trials, rules: Rules) -> dict[str, Any]:
    """Means over all images of all targets by arm, and the relative reductions of both steps against frozen."""
    arms = list(next(iter(trials.values())))
    values = {arm: {name: measures(of[arm], rules) for name, of in trials.items()} for arm in arms}
    means = {
        arm: {key: float(np.mean([value for of in values[arm].values() for value in of[key]])) for key in POOLED}
        for arm in arms
    }
    reduction = {}
    if FROZEN in arms and BOTH in arms:
        groups = {name: [trial.group for trial in of[FROZEN]] for name, of in trials.items()}
        for key in REDUCED:
            frozen, both = ({name: of[key] for name, of in values[arm].items()} for arm in (FROZEN, BOTH))
            reduction[key] = relative_reduction(frozen, both, groups, rules.seed)
    return {"arms": means, "reduction": reduction}


def relative_reduction(
    before: Mapping[str, Sequence[float]],
    after: Mapping[str, Sequence[float]],
    groups: Mapping[str, Sequence[str]],
    seed: int,
) -> dict[str, float | None]:
    """How much smaller the mean over all images is, as a share, with its 95 % interval.

    The bootstrap is paired and draws groups (patients) within each target. None where there is nothing to reduce.

    Args:
        before, after: values by target, of the same images in the same order.
        groups: the group of each of them.
    """
    was, became = (_pooled_resamples(values, groups, seed) for values in (before, after))
    shares = 1 - became[was > 0] / was[was > 0]
    start, end = (sum(map(sum, values.values())) for values in (before, after))
    if start == 0 or not len(shares):
        return {"value": None, "low": None, "high": None}
    low, high = metrics.percentile_interval(shares)
    return {"value": 1 - end / start, "low": low, "high": high}


def summarize_arm(trials: Sequence[Trial], rules: Rules) -> dict[str, Any]:
    """Means over the images, clicks of each quarter and image, median times in ms (0 without such steps), lessons."""
    values = measures(trials, rules)
    return {
        "n": len(trials),
        **{key: float(np.mean(of)) for key, of in values.items()},
        "quarters": quarters(values["clicks"]),
        "mid_ms": _median([taken for trial in trials for taken in trial.mid_ms]),
        "post_ms": _median([trial.post_ms for trial in trials]),
        "lessons": dict(Counter(trial.lesson for trial in trials if trial.lesson)),
        "clicks_by_image": [int(value) for value in values["clicks"]],
    }


def noise_figures(trials: Trials, kind: str) -> dict[str, Any]:
    """What learning from bad masks does to Dice after the first click, beside the frozen arm.

    Returns:
        {"kind", "targets": {T: {arm: {"all", "last_quarter", "passed"}}}}: differences of the means over the sequence
        and over its last quarter, and whether the latter is above the tolerated loss.
    """
    return {
        "kind": kind,
        "targets": {
            name: {arm: _loss(arms[FROZEN], of) for arm, of in arms.items() if arm != FROZEN}
            for name, arms in trials.items()
        },
    }


def _loss(frozen: Sequence[Trial], adapted: Sequence[Trial]) -> dict[str, float | bool]:
    gains = [after.dice_at(1) - before.dice_at(1) for before, after in zip(frozen, adapted)]
    last = quarters(gains)[-1]
    return {"all": float(np.mean(gains)), "last_quarter": last, "passed": last >= -TOLERATED_LOSS}


def _pooled_resamples(
    values: Mapping[str, Sequence[float]], groups: Mapping[str, Sequence[str]], seed: int
) -> np.ndarray:
    """Means over all images of resamples within each target, float64 (RESAMPLES,); equal groups give equal draws."""
    sums = [
        len(of) * metrics.bootstrap_means(of, groups[name], (seed, zlib.crc32(name.encode())))
        for name, of in values.items()
    ]
    return np.asarray(sum(sums) / sum(map(len, values.values())))


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else 0.0
