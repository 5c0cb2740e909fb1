"""Which cases to review next: ASSFT's two measures, and the rivals that they are compared with.

ASSFT (Active Test-Time Sample Query) names diversified knowledge divergence and anatomical segmentation difficulty but
gives no formulas; these are ours. With z the vector and d the difficulty of a case (`description.py`), L the labelled
cases and S those already chosen,

    DKD(x) = min over y in L and S of (1 - z(x) . z(y))         new against what is known, and against each other
    ASD(x) = d(x)
    score(x) = (rank of DKD(x) + rank of ASD(x)) / 2            ranks among the candidates, from 0 to 1

and the case of the highest score is chosen, one after the other. `farthest` is DKD alone (k-centre greedy, Sener and
Savarese 2018), `entropy` the mean uncertainty over the whole volume, `random` chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from scipy.stats import rankdata

from AdaptCore.cohort.description import Description, distances
from AdaptCore.errors import AdaptSegError

Method = Literal["ours", "random", "entropy", "farthest"]
METHODS: tuple[Method, ...] = get_args(Method)

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
    return _one_by_one(labelled, unlabelled, count, with_difficulty=method == "ours")


def _highest(cases: Sequence[Description], scores: np.ndarray, count: int, reason: str) -> list[Query]:
    order = np.argsort(-scores, kind="stable")[:count]
    return [Query(cases[index].id, float(scores[index]), reason) for index in order]


def _one_by_one(
    labelled: Sequence[Description], unlabelled: Sequence[Description], count: int, with_difficulty: bool
) -> list[Query]:
    left, chosen, queries = list(unlabelled), list(labelled), []
    for _ in range(count):
        divergence = distances(left, chosen).min(1) if chosen else np.zeros(len(left))
        new = _ranks(divergence)
        hard = _ranks(np.array([one.difficulty for one in left]))
        scores = (new + hard) / 2 if with_difficulty else divergence
        best = int(scores.argmax())
        reason = HARD if with_difficulty and hard[best] > new[best] else UNLIKE
        chosen.append(left.pop(best))
        queries.append(Query(chosen[-1].id, float(scores[best]), reason))
    return queries


def _ranks(values: np.ndarray) -> np.ndarray:
    """Share of the others that are lower, float64 in [0, 1]; equal values share their mean."""
    return (rankdata(values) - 1) / max(1, len(values) - 1)
