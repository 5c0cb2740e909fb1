"""Benchmark of propagation: how well one accepted plane gives the whole volume."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from AdaptCore.errors import ImageError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.models.base import Model
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.volume import VolumeSession

LAST_AXIS = 2


@dataclass(frozen=True)
class VolumeScore:
    """One volume's result.

    Attributes:
        group: the patient, else the volume.
        dice: Dice of the whole volume, the accepted plane included.
        dice_others: Dice of the volume without the accepted plane; 1 if the object lies in that plane only and stays
            there.
    """

    id: str
    group: str
    dice: float
    dice_others: float


def middle_plane(truth: np.ndarray) -> int:
    """Index along the last axis of the middle one of the planes (I, J, K) that hold the object."""
    holding = np.flatnonzero(truth.any(axis=(0, 1)))
    return int(holding[len(holding) // 2])


def read_volume_pair(item: VolumeItem) -> tuple[np.ndarray, np.ndarray]:
    """Image (I, J, K) or (I, J, K, 3) as stored and mask bool (I, J, K) of an item.

    Raises:
        ImageError: they differ in size.
    """
    volume, truth = item.volume().array, item.truth()
    check_pair(item.id, volume, truth)
    return volume, truth


def check_pair(item_id: str, volume: np.ndarray, truth: np.ndarray) -> None:
    """Insist on an image (I, J, K) or (I, J, K, 3) and a mask (I, J, K) of one size.

    Raises:
        ImageError: they differ.
    """
    if volume.shape[:3] != truth.shape:
        raise ImageError(
            f"{item_id}: Expected labels of the size of the image, {volume.shape[:3]} voxels, got {truth.shape}."
        )


def volume_score(model: Model, item: VolumeItem, zoom: bool = True) -> VolumeScore:
    """Accept the reference mask of the middle plane, propagate in both directions and compare.

    Raises:
        ImageError: image and mask differ in size.
    """
    volume, truth = read_volume_pair(item)
    index = middle_plane(truth)
    plane = axis_plane(truth.shape, LAST_AXIS, index)
    with VolumeSession(model, volume, zoom=zoom, precompute=0) as session:
        session.accept(plane, truth[:, :, index].T)
        session.propagate(LAST_AXIS, index)
        found = session.labelmap > 0
    others = np.delete(truth, index, axis=LAST_AXIS), np.delete(found, index, axis=LAST_AXIS)
    return VolumeScore(item.id, item.group, metrics.dice(truth, found), metrics.dice(*others))


def run_volumes(
    model: Model, targets: Sequence[VolumeTarget], zoom: bool = True, advanced: Callable[[], object] | None = None
) -> dict[str, list[VolumeScore]]:
    """Scores of every volume by target name; `advanced` is called after each volume."""
    scores: dict[str, list[VolumeScore]] = {}
    for target in targets:
        scores[target.name] = []
        for item in target.items:
            scores[target.name].append(volume_score(model, item, zoom))
            if advanced is not None:
                advanced()
    return scores


def summarize(scores: dict[str, list[VolumeScore]], seed: int) -> dict[str, Any]:
    """Means with 95 % bootstrap intervals over groups.

    Returns:
        {"targets": {name: {"n", "dice", "dice_others", "ci": {"dice": [low, high], "dice_others": ...}}},
        "mean": {"dice", "dice_others"} averaged over targets}.
    """
    targets = {name: _summary(name, of_target, seed) for name, of_target in scores.items()}
    mean = {key: float(np.mean([part[key] for part in targets.values()])) for key in ("dice", "dice_others")}
    return {"targets": targets, "mean": mean}


def report_rows(summary: dict[str, Any]) -> tuple[list[str], list[list[object]]]:
    """Header and rows of the printed table: one row a target, then the mean."""
    header = ["target", "n", "Dice", "95 % from", "to", "Dice without the accepted plane"]
    rows: list[list[object]] = [
        [name, part["n"], part["dice"], *part["ci"]["dice"], part["dice_others"]]
        for name, part in summary["targets"].items()
    ]
    return header, [*rows, ["mean", "", summary["mean"]["dice"], "", "", summary["mean"]["dice_others"]]]


def _summary(name: str, scores: Sequence[VolumeScore], seed: int) -> dict[str, Any]:
    groups = [score.group for score in scores]
    values = {"dice": [score.dice for score in scores], "dice_others": [score.dice_others for score in scores]}
    chance = (seed, zlib.crc32(name.encode()))
    return {
        "n": len(scores),
        **{key: float(np.mean(list_)) for key, list_ in values.items()},
        "ci": {key: list(metrics.bootstrap_interval(list_, groups, chance)) for key, list_ in values.items()},
    }
