"""Simulated prompts for training: where a user would click, draw a box, or start from an earlier mask."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

from AdaptCore.models.compact import BOX_FIRST, BOX_SECOND, NEGATIVE, PADDING, POSITIVE, PromptTensors
from AdaptCore.predict.masks import depth
from AdaptCore.training.shapes import Mask, signed_distance, smooth_noise


@dataclass(eq=False)
class PromptState:
    """The growing prompts of one training sample, points in input pixels.

    `absent` says that the prior is the mask of something that is not in this image, so that nothing is to be found;
    `corrected`, that the last point corrects the answer to the others.
    """

    points: list[tuple[float, float]] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    prior: NDArray[np.float32] | None = None
    absent: bool = False
    corrected: bool = False

    @property
    def latest_correction(self) -> tuple[float, float]:
        """(x, y) of the latest click if it corrects an answer, else NaN."""
        return self.points[-1] if self.corrected else (math.nan, math.nan)

    @property
    def ambiguous(self) -> bool:
        """A single click and nothing else."""
        return len(self.points) == 1 and self.prior is None

    def add(self, x: float, y: float, label: int) -> None:
        """Add a point in input pixels, labelled as in `PromptTensors`."""
        self.points.append((x, y))
        self.labels.append(label)


def first_prompts(rng: np.random.Generator, target: Mask) -> PromptState:
    """Start of an interaction on a half-resolution target (h, w): a click, a box, several clicks or an earlier mask."""
    state = PromptState()
    choice = rng.random()
    if choice < 0.2:
        add_box(rng, state, target)
        if rng.random() < 0.3:
            add_click_in(rng, state, target, POSITIVE)
    elif choice < 0.45:
        if rng.random() < 0.5:
            state.prior = degraded(rng, target, growth=0.05)
        for index in range(int(rng.integers(2, 13))):
            positive = index == 0 or rng.random() < 0.5
            add_click_in(rng, state, target if positive else near_outside(target), POSITIVE if positive else NEGATIVE)
    elif choice < 0.55:
        continue_from_neighbour(rng, state, target)
    elif choice < 0.65:
        state.prior = degraded(rng, target)
        if rng.random() < 0.6:
            add_box(rng, state, target)
        if rng.random() < 0.6 or not state.points:
            add_click_in(rng, state, target, POSITIVE)
    else:
        add_click_in(rng, state, target, POSITIVE)
    return state


def continue_from_neighbour(rng: np.random.Generator, state: PromptState, target: Mask) -> None:
    """Only the mask of the plane before: of the same object, or, at the object's end, of one that is not here."""
    state.absent = rng.random() < 0.3
    mask = np.roll(target, rng.integers(0, target.shape[0], 2), (0, 1)).T if state.absent else target
    if state.absent and (mask & target).sum() > 0.3 * target.sum():
        state.absent, mask = False, target
    state.prior = degraded(rng, mask, growth=0.2)


def add_click_in(rng: np.random.Generator, state: PromptState, region: Mask, label: int) -> None:
    """A click inside the region: half of the time at its innermost point, else anywhere, the middle preferred."""
    if not region.any():
        return
    inward = depth(region)
    if rng.random() < 0.5:
        at = int(inward.argmax())
    else:
        cumulated = np.cumsum(inward.ravel())
        at = min(int(np.searchsorted(cumulated, rng.random() * cumulated[-1])), inward.size - 1)
    row, column = np.unravel_index(at, region.shape)
    state.add(2 * column + 0.5 + rng.uniform(-0.5, 0.5), 2 * row + 0.5 + rng.uniform(-0.5, 0.5), label)


def add_correction(rng: np.random.Generator, state: PromptState, predicted: Mask, target: Mask, valid: Mask) -> None:
    """A click into the larger of the missed and the wrongly added region (deepest point decides)."""
    missed, added = target & ~predicted, predicted & ~target & valid
    deepest_missed, deepest_added = depth(missed).max(), depth(added).max()
    if deepest_missed == deepest_added == 0:
        return
    if deepest_missed >= deepest_added:
        add_click_in(rng, state, missed, POSITIVE)
    else:
        add_click_in(rng, state, added, NEGATIVE)
    state.corrected = True


def add_box(rng: np.random.Generator, state: PromptState, target: Mask) -> None:
    """The target's bounding box with an error of up to 8 % of its size at each side."""
    rows, columns = np.nonzero(target)
    height, width = 2 * (np.ptp(rows) + 1), 2 * (np.ptp(columns) + 1)
    jitter = rng.uniform(-0.08, 0.08, 4) * np.array([width, height, width, height])
    x0, y0 = 2 * columns.min() - 0.5 + jitter[0], 2 * rows.min() - 0.5 + jitter[1]
    x1, y1 = 2 * columns.max() + 1.5 + jitter[2], 2 * rows.max() + 1.5 + jitter[3]
    state.add(x0, y0, BOX_FIRST)
    state.add(max(x1, x0 + 2), max(y1, y0 + 2), BOX_SECOND)


def near_outside(target: Mask) -> Mask:
    """Background within about one radius of the target."""
    reach = max(4, int(np.sqrt(target.sum() / np.pi)))
    return ndimage.distance_transform_edt(~target) < reach if target.any() else ~target


def degraded(rng: np.random.Generator, target: Mask, growth: float = 0.12) -> NDArray[np.float32]:
    """Logits of an earlier, imperfect mask: shifted, grown or shrunk, with an uneven outline.

    `growth` is the standard deviation of the outline's shift as a share of the equivalent radius.
    """
    radius = max(2.0, float(np.sqrt(target.sum() / np.pi)))
    distance = signed_distance(target)
    uneven = 0.2 * radius * rng.random() * smooth_noise(rng, target.shape[0], int(rng.integers(3, 9)))
    moved = ndimage.shift(distance, rng.normal(0, 0.08, 2) * radius, order=1, mode="nearest")
    grown = moved + uneven + np.clip(rng.normal(0, growth), -2 * growth, 2 * growth) * radius
    return np.clip(grown * rng.uniform(0.5, 3), -rng.uniform(3, 12), rng.uniform(3, 12)).astype(np.float32)


def collate(states: list[PromptState], side: int) -> PromptTensors:
    """Batch the prompts of several samples, of images of `side` x `side` pixels; missing points become PADDING."""
    count = max(1, *(len(state.points) for state in states))
    points = torch.zeros(len(states), count, 2)
    labels = torch.full((len(states), count), PADDING)
    prior = torch.zeros(len(states), side // 2, side // 2)
    known = torch.zeros(len(states))
    for row, state in enumerate(states):
        if state.points:
            points[row, : len(state.points)] = torch.tensor(state.points)
            labels[row, : len(state.labels)] = torch.tensor(state.labels)
        if state.prior is not None:
            prior[row], known[row] = torch.from_numpy(state.prior), 1.0
    return PromptTensors(points, labels, prior, known)
