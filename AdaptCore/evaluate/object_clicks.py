"""Benchmark of objects in volumes: how good a mask is after each simulated click, and how soon it is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.clicks import Curve, CurveNotes, agreement_measures, groups_of
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.evaluate.intervals import intervals, report_rows
from AdaptCore.evaluate.objects import acquisition_axis
from AdaptCore.evaluate.propagate import check_pair
from AdaptCore.evaluate.users import VoxelClick, first_voxel, next_voxel, rng_for
from AdaptCore.io import Volume
from AdaptCore.predict.geometry import axis_plane, extract

AUC_CLICKS = 5
NOC_IOU = 0.85


class ObjectSession(Protocol):
    """One object's conversation with a method."""

    def click(self, i: int, j: int, k: int, positive: bool) -> np.ndarray:
        """Add a click on a voxel; returns the present mask, bool (I, J, K)."""
        ...


@runtime_checkable
class SliceSession(ObjectSession, Protocol):
    """A conversation that can also begin with the object's mask on a slice."""

    def slice_mask(self, axis: int, index: int, mask: np.ndarray) -> np.ndarray:
        """Add what is known on the slice `index` across an axis, bool (H, W) as `axis_plane` lays it out.

        Returns:
            The present mask, bool (I, J, K).
        """
        ...


class ObjectSegmenter(Protocol):
    """A method that answers clicks in a volume."""

    def start(self, volume: Volume, voxels: int) -> ObjectSession:
        """Begin with an object of a volume.

        Args:
            volume: intensities as stored (I, J, K) or (I, J, K, 3), with spacing and directions.
            voxels: how many the object has, which only a floor such as `Ball` may look at.
        """
        ...


@dataclass(frozen=True)
class ObjectRules:
    """How the simulated user works.

    Attributes:
        max_clicks: clicks on each object.
        seed: of the user's ties.
        jitter: an unsteady user, see `next_voxel`.
        known_slice: the correct mask of the slice through the first click takes that click's place.
    """

    max_clicks: int = 10
    seed: int = 0
    jitter: bool = False
    known_slice: bool = False


def object_curve(segmenter: ObjectSegmenter, item: VolumeItem, rules: ObjectRules) -> Curve:
    """Let the simulated user click until the mask is exact or the clicks are spent; the last value then stands.

    The time of a click is that of its answer. Opening the volume is not timed.

    Raises:
        ImageError: image and labels differ in size.
        AdaptSegError: a slice is known, and the method cannot begin with one.
    """
    volume, truth = item.volume(), item.truth()
    check_pair(item.id, volume.array, truth)
    spacing, rng = volume.geometry.spacing, rng_for(rules.seed, item.id)
    notes = CurveNotes(truth, spacing, rules.max_clicks)
    session = segmenter.start(volume, int(truth.sum()))
    seconds: list[float] = []
    mask = np.zeros(truth.shape, bool)
    click: VoxelClick | None = first_voxel(truth, spacing, rng, rules.jitter)
    while notes.count < rules.max_clicks:
        if click is not None:
            started = time.perf_counter()
            if rules.known_slice and not seconds:
                mask = _with_slice(session, truth, acquisition_axis(spacing), click)
            else:
                mask = session.click(*click.voxel, click.positive)
            seconds.append(time.perf_counter() - started)
        notes.note(mask)
        click = next_voxel(truth, mask, spacing, rng, rules.jitter)
    return notes.curve(item.id, item.group, seconds)


def warm_up(segmenter: ObjectSegmenter, targets: Sequence[VolumeTarget], rules: ObjectRules) -> None:
    """Answer the first object's first click once, so that loading libraries is not timed.

    Raises:
        AdaptSegError: as `object_curve`.
    """
    object_curve(segmenter, targets[0].items[0], replace(rules, max_clicks=1))


def run_objects(
    segmenter: ObjectSegmenter,
    targets: Sequence[VolumeTarget],
    rules: ObjectRules,
    advanced: Callable[[], object] | None = None,
) -> dict[str, list[Curve]]:
    """Curves of every object by target name; `advanced` is called after each object."""
    curves: dict[str, list[Curve]] = {}
    for target in targets:
        curves[target.name] = []
        for item in target.items:
            curves[target.name].append(object_curve(segmenter, item, rules))
            if advanced is not None:
                advanced()
    return curves


def summarize_objects(curves: Mapping[str, Sequence[Curve]], rules: ObjectRules) -> dict[str, Any]:
    """Means and 95 % bootstrap intervals per target and over targets, and seconds.

    Returns:
        {"targets": {name: S}, "mean": S} with S = {"n", "dice": {clicks: mean}, "nsd": ..., "auc5", "noc85", "worse",
        "ci", "seconds": {"first": {"median", "p95"}, "later": ...}}, see `intervals`; None where there was no later
        click. The seconds of "mean" are of all clicks of all targets.
    """
    values = {name: _measures(of_target, rules) for name, of_target in curves.items()}
    summary = intervals(values, groups_of(curves), rules.seed)
    for name, part in summary["targets"].items():
        part["seconds"] = _seconds(curves[name])
    summary["mean"]["seconds"] = _seconds([curve for of_target in curves.values() for curve in of_target])
    return summary


def object_rows(summary: Mapping[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the printed table: those of `report_rows` and the seconds."""
    header, rows = report_rows(summary)
    parts = [*summary["targets"].values(), summary["mean"]]
    times = [[of[key] for of in part["seconds"].values() for key in ("median", "p95")] for part in parts]
    return [*header, "first s", "p95", "later s", "p95"], [
        [*row, *("-" if value is None else value for value in of)]
        for row, of in zip(rows, [*times, *[[""] * 4] * (len(rows) - len(times))])
    ]


def _with_slice(session: ObjectSession, truth: np.ndarray, axis: int, click: VoxelClick) -> np.ndarray:
    if not isinstance(session, SliceSession):
        name = type(session).__name__
        raise AdaptSegError(f"{name} cannot begin with a known slice: leave its method out, or --known-slice.")
    index = click.voxel[axis]
    return session.slice_mask(axis, index, extract(truth, axis_plane(truth.shape, axis, index)))


def _measures(curves: Sequence[Curve], rules: ObjectRules) -> dict[str, list[float]]:
    """Value of every object by flat measure name."""
    return {
        **agreement_measures(curves, rules.max_clicks),
        f"auc{AUC_CLICKS}": [metrics.area_under(curve.dice, AUC_CLICKS) for curve in curves],
        "noc85": [float(metrics.noc(curve.iou, NOC_IOU, rules.max_clicks)) for curve in curves],
        "worse": [metrics.share_worse(curve.dice, len(curve.seconds)) for curve in curves],
    }


def _seconds(curves: Sequence[Curve]) -> dict[str, dict[str, float | None]]:
    return {
        "first": _spread([curve.seconds[0] for curve in curves]),
        "later": _spread([second for curve in curves for second in curve.seconds[1:]]),
    }


def _spread(seconds: Sequence[float]) -> dict[str, float | None]:
    if not seconds:
        return {"median": None, "p95": None}
    return {"median": float(np.median(seconds)), "p95": float(np.percentile(seconds, 95))}
