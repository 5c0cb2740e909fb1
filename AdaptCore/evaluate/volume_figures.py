"""Figures and table of the benchmark of learning on volumes."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import FROZEN
from AdaptCore.evaluate.adapt_figures import quarters, relative_reduction
from AdaptCore.evaluate.tables import text_table
from AdaptCore.evaluate.volumes import LEARNING, VolumeRules, VolumeTrial

DICE_CLICKS = (1, 3, 5, 10)
HEADER = [
    "target and arm",
    "n",
    "clicks",
    "95 % from",
    "to",
    "reached",
    *(f"Dice@{click}" for click in DICE_CLICKS),
    "Dice at stop",
    "clicks by quarter",
    "post ms",
]

Trials = Mapping[str, Mapping[str, Sequence[VolumeTrial]]]
"""Trials in the order of the sequence, by target and arm."""


def figures(trials: Trials, rules: VolumeRules) -> dict[str, Any]:
    """All figures.

    Returns:
        {"targets": {T: {"arms": {arm: figures of `summarize_arm`}, "reduction": {"clicks": {"value", "low",
        "high"}}}}}; the reduction is that of the learning arm against the frozen one, a share with its 95 % interval.
    """
    return {"targets": {name: _of_target(name, arms, rules) for name, arms in trials.items()}}


def summarize_arm(name: str, trials: Sequence[VolumeTrial], rules: VolumeRules) -> dict[str, Any]:
    """Means over the volumes of a target, with a 95 % interval over patients; median time of a lesson in ms."""
    clicks = [float(trial.clicks(rules)) for trial in trials]
    groups = [trial.group for trial in trials]
    lessons = [lesson for trial in trials for lesson in trial.lessons]
    chance = (rules.seed, zlib.crc32(name.encode()))
    return {
        "n": len(trials),
        "clicks": float(np.mean(clicks)),
        "ci": {"clicks": list(metrics.bootstrap_interval(clicks, groups, chance))},
        "reached": float(np.mean([trial.reached(rules) for trial in trials])),
        **{f"dice{click}": float(np.mean([trial.dice_at(click) for trial in trials])) for click in DICE_CLICKS},
        "dice_at_stop": float(np.mean([trial.dice[-1] for trial in trials])),
        "quarters": quarters(clicks),
        "post_ms": float(np.median([lesson.milliseconds for lesson in lessons])) if lessons else 0.0,
        "lessons": dict(Counter(lesson.event for lesson in lessons)),
        "clicks_by_volume": [int(value) for value in clicks],
    }


def report(result: Mapping[str, Any]) -> str:
    """Tables of `figures`: one row a target and arm, then by how much learning saves clicks."""
    rows = [_row(f"{name} {arm}", of) for name, part in result["targets"].items() for arm, of in part["arms"].items()]
    saved = [
        [name, *(_percent(part["reduction"]["clicks"][bound]) for bound in ("value", "low", "high"))]
        for name, part in result["targets"].items()
    ]
    return (
        f"{text_table(HEADER, rows)}\n\n{text_table(['fewer clicks than frozen', 'value', '95 % from', 'to'], saved)}"
    )


def _of_target(name: str, arms: Mapping[str, Sequence[VolumeTrial]], rules: VolumeRules) -> dict[str, Any]:
    frozen, learning = ({name: [trial.clicks(rules) for trial in arms[arm]]} for arm in (FROZEN, LEARNING))
    groups = {name: [trial.group for trial in arms[FROZEN]]}
    return {
        "arms": {arm: summarize_arm(name, trials, rules) for arm, trials in arms.items()},
        "reduction": {"clicks": relative_reduction(frozen, learning, groups, rules.seed)},
    }


def _row(title: str, of: Mapping[str, Any]) -> list[object]:
    spread = " ".join(f"{value:.1f}" for value in of["quarters"])
    dice = (of[f"dice{click}"] for click in DICE_CLICKS)
    times = f"{of['post_ms']:.0f}"
    return [title, of["n"], of["clicks"], *of["ci"]["clicks"], of["reached"], *dice, of["dice_at_stop"], spread, times]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
