"""Means of measures with bootstrap intervals, for each target and over targets, and their table."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from AdaptCore.evaluate import metrics

TITLES = {"dice": "Dice", "nsd": "NSD", "auc": "AUC", "noc": "NoC", "fr": "FR"}
BY_CLICK = ("dice", "nsd")

Values = Mapping[str, Mapping[str, Sequence[float]]]
"""One value an item, by target and flat measure name; "dice 5" is Dice after five clicks."""


def intervals(values: Values, groups: Mapping[str, Sequence[str]], seed: int) -> dict[str, Any]:
    """Means and 95 % bootstrap intervals per target and over targets.

    Args:
        groups: of the items of each target; whole groups (patients) are resampled.

    Returns:
        {"targets": {name: S}, "mean": S} with S = {"n", measure: mean, "ci": {measure: [low, high]}}; "dice 5" becomes
        {"dice": {"5": ...}}. The interval of the mean over targets comes from the targets' own resamples, so the choice
        of targets counts as fixed.
    """
    means = {name: {key: float(np.mean(list_)) for key, list_ in of.items()} for name, of in values.items()}
    resampled = {
        name: {
            key: metrics.bootstrap_means(list_, groups[name], (seed, zlib.crc32(name.encode())))
            for key, list_ in of.items()
        }
        for name, of in values.items()
    }
    measures = list(next(iter(values.values())))
    overall = {key: float(np.mean([of[key] for of in means.values()])) for key in measures}
    overall_resampled = {key: np.mean([of[key] for of in resampled.values()], axis=0) for key in measures}
    return {
        "targets": {name: _summary(len(groups[name]), means[name], resampled[name]) for name in values},
        "mean": _summary(float(np.mean([len(of) for of in groups.values()])), overall, overall_resampled),
    }


def report_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the printed table: one row a target, then the mean with its interval."""
    columns = list(flat(summary["mean"]["ci"]))
    rows: list[list[object]] = [
        [name, part["n"], *(flat(part)[column] for column in columns)] for name, part in summary["targets"].items()
    ]
    mean, interval = flat(summary["mean"]), flat(summary["mean"]["ci"])
    rows.append(["mean", "", *(mean[column] for column in columns)])
    rows.append(["  95 % from", "", *(interval[column][0] for column in columns)])
    rows.append(["  to", "", *(interval[column][1] for column in columns)])
    return ["target", "n", *(title(column) for column in columns)], rows


def flat(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of a summary by flat measure name, as in `Values`."""
    found: dict[str, Any] = {}
    for key, value in summary.items():
        found |= {f"{key} {number}": of for number, of in value.items()} if key in BY_CLICK else {key: value}
    return found


def title(column: str) -> str:
    """How a table calls a flat measure: Dice@5, NoC85."""
    name = column.rstrip("0123456789 ")
    number = column.removeprefix(name).strip()
    return TITLES.get(name, name) + ("@" if name in BY_CLICK else "") + number


def _summary(count: float, means: Mapping[str, float], resampled: Mapping[str, np.ndarray]) -> dict[str, Any]:
    bounds = {key: list(metrics.percentile_interval(samples)) for key, samples in resampled.items()}
    return {"n": count, **_nested(means), "ci": _nested(bounds)}


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        name, _, number = key.partition(" ")
        if number:
            nested.setdefault(name, {})[number] = value
        else:
            nested[name] = value
    return nested
