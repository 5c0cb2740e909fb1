"""Openings: first prompts on an object are answered in several windows at once, and the best rated one is shown (ours).

Neither a click nor the masks that a model of planes guesses through it tell for certain how large the object is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from AdaptCore.predict.object_prompts import Extent
from AdaptCore.predict.windows import VolumeWindow

TOUCHED_FACE = 0.15
"""Taken off for each face of the window that the object reaches."""

LEAST_SCORE = 0.01


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


def rating(answer: Answer, shape: tuple[int, int, int]) -> float:
    """How much speaks for an answer in a volume of this shape: the predicted IoU as logit, less for faces touched.

    More evidence, such as how the answers agree with the guesses and with each other, chooses better on synthetic
    volumes and worse on scans: see docs/prediction.md.
    """
    score = min(max(answer.score, LEAST_SCORE), 1 - LEAST_SCORE)
    return math.log(score / (1 - score)) - TOUCHED_FACE * answer.touched(shape)
