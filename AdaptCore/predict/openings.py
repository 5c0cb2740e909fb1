"""Openings: first prompts on an object are answered in several windows at once, and the best rated one is shown (ours).

Neither a click nor the masks that a model of planes guesses through it tell for certain how large the object is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from scipy.special import softmax
from torch import Tensor

from AdaptCore.predict.object_prompts import Ask, Extent
from AdaptCore.predict.packed import PackedLogits
from AdaptCore.predict.windows import VolumeWindow, resample

TOUCHED_FACE = 0.15
"""Taken off for each face of the window that the object reaches."""

LEAST_SCORE = 0.01


@dataclass(eq=False)
class Asked:
    """Where and with what an answer was asked for.

    Attributes:
        held: the earlier mask's logits in the window, float32 S x S x S, which `rest` packs; None for first prompts.
    """

    ask: Ask
    held: Tensor | PackedLogits | None = None

    @property
    def prior(self) -> Tensor | None:
        """The earlier mask's logits in the window, float32 S x S x S; to 1/16 after a rest."""
        return torch.from_numpy(self.held.logits()) if isinstance(self.held, PackedLogits) else self.held

    def rest(self) -> None:
        """Keep little from now on."""
        # In place: several entries of a history may share what was asked, and are told apart by that.
        if isinstance(self.held, Tensor):
            self.held = PackedLogits.of(self.held.numpy())


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

    def halved(self) -> Answer:
        """The same in half the memory."""
        return replace(self, logits=self.logits.half())

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


@dataclass(frozen=True, eq=False)
class Opening:
    """An answer to first prompts, in one of several windows or as one of several alternatives there.

    Attributes:
        asked: what it answers.
        likelihood: that it is the one that is meant, as far as all of them tell.
    """

    answer: Answer
    asked: Asked
    likelihood: float


def ranked(
    asks: Sequence[Ask], alternatives: Sequence[Sequence[Answer]], shape: tuple[int, int, int], most: int
) -> list[Opening]:
    """The answer to show, the best rated of those that are best in their window, then the likeliest of all others.

    Likelihoods are the odds that the ratings give, shared out among all answers.

    Args:
        alternatives: answers to each of the asks, the best one first.
        shape: of the volume.
        most: so many others that hold an object; their logits are float16.
    """
    answers = [answer for each in alternatives for answer in each]
    asked = [asked for ask, each in zip(asks, alternatives) for asked in [Asked(ask)] * len(each)]
    shares = softmax([rating(answer, shape) for answer in answers])
    openings = [Opening(*each) for each in zip(answers, asked, shares.tolist())]
    openings.sort(key=lambda opening: -opening.likelihood)
    best = [each[0] for each in alternatives]
    first = next(opening for opening in openings if opening.answer in best)
    others = [each for each in openings if each is not first and (each.answer.logits > 0).any()]
    return [first, *(replace(each, answer=each.answer.halved()) for each in others[:most])]


def overlap(one: Answer, other: Answer) -> float:
    """IoU of two answers' masks, at the finer resolution of the two windows."""
    fine, coarse = sorted((one, other), key=lambda answer: answer.window.step[0])
    shared = resample(coarse.logits.float(), coarse.window, fine.window, -1.0) > 0
    cell = [math.prod(answer.window.step) for answer in (fine, coarse)]
    own, others = (float((answer.logits > 0).sum()) * size for answer, size in zip((fine, coarse), cell))
    common = float((shared & (fine.logits > 0)).sum()) * cell[0]
    return min(1.0, common / max(own + others - common, 1e-9))
