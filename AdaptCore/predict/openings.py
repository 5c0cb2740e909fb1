"""Openings: first prompts on an object are answered in several windows at once, and a calibrated rule chooses (ours).

Neither a click nor the masks that a model of planes guesses through it tell for certain how large the object is. What
tells is how the answers in several windows agree with themselves, with the guesses and with each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import permutations

import numpy as np
import torch
from torch import Tensor

from AdaptCore.predict.object_prompts import Ask, Extent, KnownSlice, known_in
from AdaptCore.predict.windows import Triple, VolumeWindow

LEAST_SCORE = 0.01
LEAST_EXTENT = 0.02
SURE_LOGIT = 6.0
"""Logits count as no surer than this."""

COARSE = 2
"""Answers are compared at every second sample along each axis."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What the model says in one window.

    Attributes:
        window: where.
        logits: float32 S x S x S.
        score: predicted IoU.
    """

    window: VolumeWindow
    logits: Tensor
    score: float

    def extent(self) -> Extent | None:
        """The extent of what is positive, in voxel coordinates; None where nothing is."""
        places = (self.logits > 0).nonzero()
        if not len(places):
            return None
        low, high = places.amin(0).tolist(), places.amax(0).tolist()
        window = self.window
        first = tuple(window.low[axis] + low[axis] * window.step[axis] for axis in range(3))
        last = tuple(window.low[axis] + (high[axis] + 1) * window.step[axis] for axis in range(3))
        return (first[0], first[1], first[2]), (last[0], last[1], last[2])

    def touched(self, shape: tuple[int, int, int]) -> int:
        """How many of the window's faces inside of a volume of this shape the object reaches."""
        positive, count = self.logits > 0, 0
        for axis in range(3):
            ends = self.window.positions(axis)[[0, -1]]
            reached = positive.movedim(axis, 0)[[0, -1]].flatten(1).sum(1) > 2
            inner = (ends[0] > 0.5, ends[1] < shape[axis] - 1.5)
            count += sum(bool(face) and within for face, within in zip(reached, inner))
        return count


@dataclass(frozen=True)
class Evidence:
    """What an answer tells of itself; or how much each of that weighs.

    Attributes:
        score: predicted IoU, as logit.
        expected: IoU that the logits, read as probabilities, say the mask has, as logit.
        extent: logarithm of the mask's longest extent as a share of the window's.
        extent_squared: its square.
        touched: faces of the window that the mask reaches.
        guessed: mean IoU with the guessed slices that the window shows, 0 without any.
        best_guessed: the best of these.
        alike: mean IoU with the two answers that are most alike.
        width: logarithm of the window's width as a share of the volume's longest side.
        told: slices that the answer was given.
    """

    score: float
    expected: float
    extent: float
    extent_squared: float
    touched: float
    guessed: float
    best_guessed: float
    alike: float
    width: float
    told: float


OPENING = Evidence(
    score=0.9,
    expected=0.508,
    extent=0.871,
    extent_squared=-0.38,
    touched=-0.106,
    guessed=-0.654,
    best_guessed=0.551,
    alike=1.07,
    width=2.46,
    told=0.0313,
)
"""How much each weighs. Source: `adaptseg train --sizes compact3d`, which calibrates on synthetic volumes alone."""


def evidence(
    asks: Sequence[Ask],
    answers: Sequence[Answer],
    guesses: Sequence[KnownSlice],
    shape: tuple[int, int, int],
    spacing: Triple,
) -> list[Evidence]:
    """What each of several answers to the same first prompts tells of itself.

    Args:
        guesses: all that were made, given to an answer or not.
        shape, spacing: of the volume in voxels, and of the voxels in millimetres.
    """
    longest = max(length * space for length, space in zip(shape, spacing))
    alike = likeness(answers)
    return [
        _evidence(ask, answer, guesses, shape, spacing, longest, near)
        for ask, answer, near in zip(asks, answers, alike)
    ]


def _evidence(
    ask: Ask,
    answer: Answer,
    guesses: Sequence[KnownSlice],
    shape: tuple[int, int, int],
    spacing: Triple,
    longest: float,
    alike: float,
) -> Evidence:
    extent, width = answer.extent(), answer.window.millimetres(spacing)
    span = 0.0 if extent is None else max((b - a) * space for a, b, space in zip(*extent, spacing))
    share = math.log(max(span / width, LEAST_EXTENT))
    compared = [_agreement(answer, guess, shape) for guess in guesses]
    agreed = [value for value in compared if value is not None] or [0.0]
    return Evidence(
        score=_odds(answer.score),
        expected=_odds(expected_iou(answer.logits)),
        extent=share,
        extent_squared=share**2,
        touched=answer.touched(shape),
        guessed=sum(agreed) / len(agreed),
        best_guessed=max(agreed),
        alike=alike,
        width=math.log(width / longest),
        told=len(ask.prompts.slices),
    )


def support(found: Evidence, weights: Evidence = OPENING) -> float:
    """How much speaks for an answer: the natural logarithm of its odds against the others."""
    return float(np.dot(astuple(found), astuple(weights)))


def expected_iou(logits: Tensor) -> float:
    """The IoU of the mask where logits are positive, with what they say of each voxel taken for its probability."""
    likely = logits.clamp(-SURE_LOGIT, SURE_LOGIT).sigmoid()
    # What is surely outside would add up over a large window.
    likely = torch.where(logits > -SURE_LOGIT / 2, likely, 0.0)
    positive = logits > 0
    total = positive.sum() + likely[~positive].sum()
    return float(likely[positive].sum() / total.clamp(min=1))


def likeness(answers: Sequence[Answer]) -> list[float]:
    """Mean IoU of each answer with the two that are most alike, 0 for what is alone."""
    pairs = np.zeros((len(answers), len(answers)))
    for first, second in permutations(range(len(answers)), 2):
        pairs[first, second] = _overlap(answers[first], answers[second])
    # Each pair is compared in both windows: what reaches out of one is seen in the other.
    pairs = np.minimum(pairs, pairs.T)
    return [float(row.mean()) if row.size else 0.0 for row in np.sort(pairs, 1)[:, 1:][:, -2:]]


def _overlap(seen: Answer, other: Answer) -> float:
    """IoU of two answers in the window of the first."""
    own = seen.logits[::COARSE, ::COARSE, ::COARSE] > 0
    mask = other.logits > 0
    for axis in range(3):
        at = np.rint(other.window.samples(seen.window.positions(axis)[::COARSE], axis))
        inside = torch.from_numpy((at >= 0) & (at < other.window.side))
        mask = mask.index_select(axis, torch.from_numpy(at.clip(0, other.window.side - 1).astype(np.int64)))
        mask = mask & inside.view([-1 if place == axis else 1 for place in range(3)])
    return float((own & mask).sum() / (own | mask).sum().clamp(min=1))


def _agreement(answer: Answer, guess: KnownSlice, shape: tuple[int, int, int]) -> float | None:
    """IoU with a guess on its slice, None where the window does not show it."""
    mask, known = known_in(answer.window, [guess], shape)
    there = known > 0
    if not bool(there.any()):
        return None
    own, told = answer.logits[there] > 0, mask[there] > 0
    return float((own & told).sum() / (own | told).sum().clamp(min=1))


def _odds(share: float) -> float:
    held = min(max(share, LEAST_SCORE), 1 - LEAST_SCORE)
    return math.log(held / (1 - held))
