"""Benchmark of effort: how good a mask is after each simulated click, for a model and for its rivals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from AdaptCore.errors import ImageError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.datasets import Item, Target
from AdaptCore.evaluate.intervals import intervals
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
        return ModelImageSession(PlaneSession(self._model, image, zoom=self._zoom, spacing=spacing))


class ModelImageSession:
    def __init__(self, session: PlaneSession) -> None:
        self._session = session

    def click(self, click: Click) -> np.ndarray:
        return self._session.click(click.x, click.y, click.positive).mask


@dataclass(frozen=True)
class Curve:
    """Agreement of one item after click 1, 2, ...; all curves of a run have `max_clicks` values.

    Attributes:
        nsd: normalized surface Dice by click, after the clicks of `reported_clicks`.
        seconds: that each click took until its mask was there; fewer than `max_clicks` where the mask became exact.
    """

    id: str
    group: str
    dice: tuple[float, ...]
    iou: tuple[float, ...]
    nsd: Mapping[int, float] = field(default_factory=dict)
    seconds: tuple[float, ...] = ()


class CurveNotes:
    """Notes how well a mask agrees with the truth after each click, of a plane or of a volume.

    Args:
        truth: bool, never empty.
        spacing: millimetres along each of its axes; None takes a pixel for a millimetre.
    """

    def __init__(self, truth: np.ndarray, spacing: Sequence[float] | None, max_clicks: int) -> None:
        self._truth = truth
        self._spacing = spacing
        self._max_clicks = max_clicks
        self._dice: list[float] = []
        self._iou: list[float] = []
        self._nsd: dict[int, float] = {}

    @property
    def count(self) -> int:
        """After how many clicks something was noted."""
        return len(self._dice)

    def note(self, mask: np.ndarray) -> None:
        """Note the mask after one more click."""
        self._dice.append(metrics.dice(self._truth, mask))
        self._iou.append(metrics.iou(self._truth, mask))
        if self.count in reported_clicks(self._max_clicks):
            self._nsd[self.count] = metrics.surface_dice(self._truth, mask, self._spacing)

    def curve(self, item_id: str, group: str, seconds: Sequence[float] = ()) -> Curve:
        return Curve(item_id, group, tuple(self._dice), tuple(self._iou), dict(self._nsd), tuple(seconds))


def click_curve(segmenter: Segmenter, item: Item, max_clicks: int, seed: int, jitter: bool = False) -> Curve:
    """Let the simulated user click until the mask is exact or `max_clicks` are spent; the last value then stands.

    Args:
        jitter: of an unsteady user, see `next_click`.

    Raises:
        ImageError: image and mask differ in size.
    """
    image, truth = read_pair(item)
    spacing = item.spacing()
    session = segmenter.start(image, spacing)
    rng = rng_for(seed, item.id)
    mask = np.zeros(truth.shape, dtype=bool)
    notes = CurveNotes(truth, spacing and spacing[::-1], max_clicks)
    while notes.count < max_clicks:
        click = next_click(truth, mask, rng, jitter)
        if click is not None:
            mask = session.click(click)
        notes.note(mask)
    return notes.curve(item.id, item.group)


def read_pair(item: Item) -> tuple[np.ndarray, np.ndarray]:
    """Image and wanted mask of an item.

    Raises:
        ImageError: they differ in size.
    """
    image, truth = item.image(), item.truth()
    if image.shape[:2] != truth.shape:
        raise ImageError(
            f"{item.id}: Expected a mask of the size of the image, {image.shape[:2]} pixels, got {truth.shape}."
        )
    return image, truth


def run_targets(
    segmenter: Segmenter,
    targets: Sequence[Target],
    max_clicks: int,
    seed: int,
    advanced: Callable[[], object] | None = None,
    jitter: bool = False,
) -> dict[str, list[Curve]]:
    """Curves of every item by target name; `advanced` is called after each item."""
    curves: dict[str, list[Curve]] = {}
    for target in targets:
        curves[target.name] = []
        for item in target.items:
            curves[target.name].append(click_curve(segmenter, item, max_clicks, seed, jitter))
            if advanced is not None:
                advanced()
    return curves


def summarize(curves: Mapping[str, Sequence[Curve]], max_clicks: int, seed: int) -> dict[str, Any]:
    """Means and 95 % bootstrap intervals per target and over targets.

    Returns:
        {"targets": {name: S}, "mean": S} with S = {"n", "dice": {clicks: mean}, "nsd": ..., "noc85", "noc90", "fr85",
        "fr90", "ci"}, see `intervals`.
    """
    values = {name: _measures(of_target, max_clicks) for name, of_target in curves.items()}
    return intervals(values, groups_of(curves), seed)


def groups_of(curves: Mapping[str, Sequence[Curve]]) -> dict[str, list[str]]:
    """The groups (patients) of the items of each target."""
    return {name: [curve.group for curve in of_target] for name, of_target in curves.items()}


def reported_clicks(max_clicks: int) -> list[int]:
    """After which clicks Dice is reported: 1, 3, 5, 10 and the last."""
    return sorted({number for number in (*DICE_CLICKS, max_clicks) if number <= max_clicks})


def agreement_measures(curves: Sequence[Curve], max_clicks: int) -> dict[str, list[float]]:
    """Dice and normalized surface Dice of every item by flat measure name."""
    clicks = reported_clicks(max_clicks)
    dice = {f"dice {number}": [curve.dice[number - 1] for curve in curves] for number in clicks}
    return dice | {f"nsd {number}": [curve.nsd[number] for curve in curves] for number in clicks}


def _measures(curves: Sequence[Curve], max_clicks: int) -> dict[str, list[float]]:
    """Value of every item by flat measure name."""
    measures = agreement_measures(curves, max_clicks)
    for percent in IOU_PERCENTS:
        measures[f"noc{percent}"] = [float(metrics.noc(curve.iou, percent / 100, max_clicks)) for curve in curves]
    for percent in IOU_PERCENTS:
        measures[f"fr{percent}"] = [
            float(not metrics.reached(curve.iou, percent / 100, max_clicks)) for curve in curves
        ]
    return measures
