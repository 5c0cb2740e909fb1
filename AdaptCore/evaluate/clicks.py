"""Benchmark of effort: how good a mask is after each simulated click, for a model and for its rivals."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from AdaptCore.errors import ImageError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.datasets import Item, Target
from AdaptCore.evaluate.users import next_click, rng_for
from AdaptCore.models.base import Model
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.prompts import Click

DICE_CLICKS = (1, 3, 5, 10)
IOU_PERCENTS = (85, 90)


class ImageSession(Protocol):
    """One image's conversation with a method."""

    def click(self, click: Click) -> np.ndarray:
        """Add a click; returns the present mask, bool (H, W)."""
        ...


class Segmenter(Protocol):
    """A method that answers clicks."""

    def start(self, image: np.ndarray, spacing: tuple[float, float] | None = None) -> ImageSession:
        """Begin on an image, float32 (H, W) or (H, W, 3) in [0, 1], with pixels `spacing` mm apart along x and y."""
        ...


class ModelSegmenter:
    """A model as the product runs it, in a plane session."""

    def __init__(self, model: Model, zoom: bool = True) -> None:
        self._model = model
        self._zoom = zoom

    def start(self, image: np.ndarray, spacing: tuple[float, float] | None = None) -> ModelImageSession:
        return ModelImageSession(PlaneSession(self._model, image, zoom=self._zoom))


class ModelImageSession:
    def __init__(self, session: PlaneSession) -> None:
        self._session = session

    def click(self, click: Click) -> np.ndarray:
        return self._session.click(click.x, click.y, click.positive).mask


@dataclass(frozen=True)
class Curve:
    """Agreement of one item after click 1, 2, ...; all curves of a run have `max_clicks` values."""

    id: str
    group: str
    dice: tuple[float, ...]
    iou: tuple[float, ...]


def click_curve(segmenter: Segmenter, item: Item, max_clicks: int, seed: int) -> Curve:
    """Let the simulated user click until the mask is exact or `max_clicks` are spent; the last value then stands.

    Raises:
        ImageError: image and mask differ in size.
    """
    image, truth = read_pair(item)
    session = segmenter.start(image, item.spacing())
    rng = rng_for(seed, item.id)
    mask = np.zeros(truth.shape, dtype=bool)
    dices: list[float] = []
    ious: list[float] = []
    while len(ious) < max_clicks:
        click = next_click(truth, mask, rng)
        if click is not None:
            mask = session.click(click)
        dices.append(metrics.dice(truth, mask))
        ious.append(metrics.iou(truth, mask))
    return Curve(item.id, item.group, tuple(dices), tuple(ious))


def read_pair(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Image and wanted mask of an item.

    Raises:
        ImageError: they differ in size.
    """
    image, truth = item.image(), item.truth()
    if image.shape[:2] != truth.shape:
        raise ImageError(
            f"{item.id}: image of {image.shape[:2]} and mask of {truth.shape} pixels; equal sizes are wanted"
        )
    return image, truth


def run_targets(
    segmenter: Segmenter,
    targets: Sequence[Target],
    max_clicks: int,
    seed: int,
    advanced: Callable[[], object] | None = None,
) -> dict[str, list[Curve]]:
    """Curves of every item by target name; `advanced` is called after each item."""
    curves: dict[str, list[Curve]] = {}
    for target in targets:
        curves[target.name] = []
        for item in target.items:
            curves[target.name].append(click_curve(segmenter, item, max_clicks, seed))
            if advanced is not None:
                advanced()
    return curves


def summarize(curves: dict[str, list[Curve]], max_clicks: int, seed: int) -> dict[str, Any]:
    """Means and 95 % bootstrap intervals per target and over targets.

    Returns:
        {"targets": {name: S}, "mean": S} with S = {"n", "dice": {clicks: mean}, "noc85", "noc90", "fr85", "fr90",
        "ci": the same measures as [low, high]}. The interval of a target is over its groups (patients), that of the
        mean over all targets comes from the targets' own resamples, so the choice of targets counts as fixed.
    """
    values = {name: _measures(of_target, max_clicks) for name, of_target in curves.items()}
    groups = {name: [curve.group for curve in of_target] for name, of_target in curves.items()}
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
        "targets": {name: _summary(len(curves[name]), means[name], resampled[name]) for name in curves},
        "mean": _summary(float(np.mean([len(of) for of in curves.values()])), overall, overall_resampled),
    }


def report_rows(summary: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the printed table: one row a target, then the mean with its interval."""
    columns = list(_flat(summary["mean"]))
    header = ["target", "n", *(_title(column) for column in columns)]
    rows = [[name, part["n"], *_flat(part).values()] for name, part in summary["targets"].items()]
    interval = _flat(summary["mean"]["ci"])
    rows.append(["mean", "", *_flat(summary["mean"]).values()])
    rows.append(["  95 % from", "", *(bounds[0] for bounds in interval.values())])
    rows.append(["  to", "", *(bounds[1] for bounds in interval.values())])
    return header, rows


def dice_clicks(max_clicks: int) -> list[int]:
    """After which clicks Dice is reported: 1, 3, 5, 10 and the last."""
    return sorted({number for number in (*DICE_CLICKS, max_clicks) if number <= max_clicks})


def _measures(curves: Sequence[Curve], max_clicks: int) -> dict[str, list[float]]:
    """Value of every item by flat measure name."""
    measures = {f"dice {number}": [curve.dice[number - 1] for curve in curves] for number in dice_clicks(max_clicks)}
    for percent in IOU_PERCENTS:
        measures[f"noc{percent}"] = [float(metrics.noc(curve.iou, percent / 100, max_clicks)) for curve in curves]
    for percent in IOU_PERCENTS:
        measures[f"fr{percent}"] = [
            float(not metrics.reached(curve.iou, percent / 100, max_clicks)) for curve in curves
        ]
    return measures


def _summary(count: float, means: dict[str, float], resampled: dict[str, np.ndarray]) -> dict[str, Any]:
    intervals = {key: list(metrics.percentile_interval(samples)) for key, samples in resampled.items()}
    return {"n": count, **_nested(means), "ci": _nested(intervals)}


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {"dice": {}}
    for key, value in flat.items():
        name, _, number = key.partition(" ")
        if number:
            nested[name][number] = value
        else:
            nested[name] = value
    return nested


def _flat(summary: dict[str, Any]) -> dict[str, Any]:
    dice = {f"dice {number}": value for number, value in summary["dice"].items()}
    return dice | {key: value for key, value in summary.items() if key not in ("n", "dice", "ci")}


def _title(column: str) -> str:
    return column.replace("dice ", "Dice@").replace("noc", "NoC").replace("fr", "FR")
