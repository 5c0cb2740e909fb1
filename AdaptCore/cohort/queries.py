"""Which cases to review next: ASSFT's two measures, and the rivals that they are compared with.

ASSFT (Active Test-Time Sample Query) names diversified knowledge divergence and anatomical segmentation difficulty but
gives no formulas; these are ours. With z the vector and d the difficulty of a case (`description.py`), L the labelled
cases, S those already chosen, and y any unlabelled case,

    ASD(y)   = d(y)
    DKD_S(y) = min over l in L and S of (1 - z(y) . z(l))       how far y is from everything known
    left(x)  = 90th percentile over y of DKD_(S and x)(y) ASD(y)

and the case x with the lowest left(x) is chosen, of equal ones that with the lowest mean, one after the other: the one
after which the cases that are worst off are least badly off. That takes cases of which there are many like them before
odd ones: an odd one teaches nothing about the others. `farthest` is the case with the highest DKD alone (k-centre
greedy, Sener and Savarese 2018), `entropy` the mean uncertainty over the whole volume, `random` chance.
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
LIKE_NEW = "like many that are unlike anything labelled"
LIKE_HARD = "like many that are hard at the boundary"
UNCERTAIN = "uncertain in many places"
CHANCE = "drawn by chance"


@dataclass(frozen=True)
class Query:
    """A case to review.

    Attributes:
        id: of the case.
        score: of `random`, `entropy` and `farthest` what is highest first; of `ours` how much left falls by this case,
            which may be more for a later one.
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
        raise AdaptSegError(f"Expected one of the query methods {', '.join(METHODS)}, got {method!r}.")
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
    if not unlabelled:
        return []
    vectors = np.stack([one.vector for one in unlabelled])
    divergence = np.full(len(vectors), FARTHEST)
    if labelled:
        divergence = distances(list(unlabelled), list(labelled)).min(1)
    difficulty = np.array([one.difficulty for one in unlabelled])
    new, hard = _shares_below(divergence), _shares_below(difficulty)
    queries: list[Query] = []
    left = np.arange(len(vectors))
    for _ in range(count):
        blocks = (left[start : start + BLOCK] for start in range(0, len(left), BLOCK))
        worst, mean = np.concatenate([_left_after(vectors, block, divergence, difficulty) for block in blocks], axis=1)
        first = np.lexsort((mean, worst))[0]
        gained = float(np.quantile(divergence * difficulty, WORST_OFF) - worst[first])
        best, left = left[first], np.delete(left, first)
        nearer = np.minimum(divergence, _apart(vectors, np.array([best]))[:, 0])
        # The rule takes a case for the sake of those that are less badly off with it, so these give the reason.
        helped = (divergence - nearer) * difficulty + 1e-12
        is_hard = np.average(hard, weights=helped) > np.average(new, weights=helped)
        queries.append(Query(unlabelled[best].id, gained, LIKE_HARD if is_hard else LIKE_NEW))
        divergence = nearer
    return queries


def _left_after(
    vectors: np.ndarray, candidates: np.ndarray, divergence: np.ndarray, difficulty: np.ndarray
) -> np.ndarray:
    """left(x) of some candidates, and the mean over y where it is a percentile, (2, candidates)."""
    left = np.minimum(divergence[:, None], _apart(vectors, candidates)) * difficulty[:, None]
    return np.stack([np.quantile(left, WORST_OFF, axis=0), left.mean(0)])


def _apart(vectors: np.ndarray, some: np.ndarray) -> np.ndarray:
    """1 - cosine similarity of all vectors with some of them, (all, some); none is apart from itself."""
    apart = 1 - vectors @ vectors[some].T
    apart[some, np.arange(len(some))] = 0
    return apart


def _shares_below(values: np.ndarray) -> np.ndarray:
    """Share of the others that are lower, float64 in [0, 1]."""
    return np.searchsorted(np.sort(values), values) / max(1, len(values) - 1)
