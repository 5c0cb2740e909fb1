"""Which cases to review next: ASSFT's two measures, and the rivals that they are compared with.

ASSFT (Active Test-Time Sample Query) names diversified knowledge divergence and anatomical segmentation difficulty but
gives no formulas; these are ours. With z the vector and d the difficulty of a case (`description.py`), L the labelled
cases, S those already chosen, and y any unlabelled case,

    ASD(y)   = d(y)
    DKD_S(y) = min over l in L and S of (1 - z(y) . z(l))       how far y is from everything known
    left(x)  = 90th percentile over y of DKD_(S and x)(y) ASD(y)

and the case x with the lowest left(x) is chosen, one after the other: the one after which the cases that are worst off
are least badly off. That takes cases of which there are many like them before odd ones: an odd one teaches nothing
about the others. `farthest` is the case with the highest DKD alone (k-centre greedy, Sener and Savarese 2018),
`entropy` the mean uncertainty over the whole volume, `random` chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from AdaptCore.cohort.description import Description, distances
from AdaptCore.errors import AdaptSegError

Method = Literal["ours", "random", "entropy", "farthest"]
METHODS: tuple[Method, ...] = get_args(Method)

WORST_OFF = 0.9
"""Quantile of what is left over the cases: the very oddest do not decide."""

FARTHEST = 2.0
"""1 - cosine similarity of opposite vectors: of a case while nothing is labelled."""

BLOCK = 256
"""Candidates that are compared with all cases at once, so that memory does not grow with their square."""

UNLIKE = "unlike anything labelled"
HARD = "hard at the boundary"
UNCERTAIN = "uncertain in many places"
CHANCE = "drawn by chance"


@dataclass(frozen=True)
class Query:
    """A case to review.

    Attributes:
        id: of the case.
        score: the higher, the sooner; comparable within one list of one method only.
        reason: why, in words for the user.
    """

    id: str
    score: float
    reason: str


def rank(
    method: Method, labelled: Sequence[Description], unlabelled: Sequence[Description], count: int, seed: int = 0
) -> list[Query]:
    """The `count` cases to review next, the first one first; fewer where there are fewer.

    Args:
        labelled: cases whose labels the network has seen; none is allowed.
        seed: of chance.

    Raises:
        AdaptSegError: an unknown method.
    """
    if method not in METHODS:
        raise AdaptSegError(f"query method {method!r}: one of {', '.join(METHODS)} is wanted")
    count = min(count, len(unlabelled))
    if method == "random":
        scores = np.random.default_rng(seed).random(len(unlabelled))
        return _highest(unlabelled, scores, count, CHANCE)
    if method == "entropy":
        return _highest(unlabelled, np.array([one.entropy for one in unlabelled]), count, UNCERTAIN)
    choose = _most_useful if method == "ours" else _farthest
    return choose(labelled, unlabelled, count)


def _highest(cases: Sequence[Description], scores: np.ndarray, count: int, reason: str) -> list[Query]:
    order = np.argsort(-scores, kind="stable")[:count]
    return [Query(cases[index].id, float(scores[index]), reason) for index in order]


def _farthest(labelled: Sequence[Description], unlabelled: Sequence[Description], count: int) -> list[Query]:
    chosen, queries = list(labelled), []
    left = list(unlabelled)
    for _ in range(count):
        divergence = distances(left, chosen).min(1) if chosen else np.zeros(len(left))
        best = int(divergence.argmax())
        chosen.append(left.pop(best))
        queries.append(Query(chosen[-1].id, float(divergence[best]), UNLIKE))
    return queries


def _most_useful(labelled: Sequence[Description], unlabelled: Sequence[Description], count: int) -> list[Query]:
    cases, queries = list(unlabelled), []
    left = list(range(len(cases)))
    divergence = np.full(len(cases), FARTHEST)
    if labelled and cases:
        divergence = distances(cases, list(labelled)).min(1)
    difficulty = np.array([one.difficulty for one in cases])
    new, hard = _shares_below(divergence), _shares_below(difficulty)
    for _ in range(count):
        blocks = (left[start : start + BLOCK] for start in range(0, len(left), BLOCK))
        left_after = np.concatenate([_left_after(cases, block, divergence, difficulty) for block in blocks])
        best = left.pop(int(left_after.argmin()))
        gained = float(np.quantile(divergence * difficulty, WORST_OFF) - left_after.min())
        queries.append(Query(cases[best].id, gained, HARD if hard[best] > new[best] else UNLIKE))
        divergence = np.minimum(divergence, distances(cases, [cases[best]])[:, 0])
    return queries


def _left_after(
    cases: Sequence[Description], candidates: Sequence[int], divergence: np.ndarray, difficulty: np.ndarray
) -> np.ndarray:
    """left(x) of some candidates, float64 (candidates,)."""
    apart = distances(list(cases), [cases[index] for index in candidates])
    return np.quantile(np.minimum(divergence[:, None], apart) * difficulty[:, None], WORST_OFF, axis=0)


def _shares_below(values: np.ndarray) -> np.ndarray:
    """Share of the others that are lower, float64 in [0, 1]."""
    return np.searchsorted(np.sort(values), values) / max(1, len(values) - 1)
