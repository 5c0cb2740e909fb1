"""Candidates: one recommended mask and a few that differ, to pick from (SPA, sections 3.3 and 3.4)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import label
from scipy.special import expit

from AdaptCore.predict.masks import binarize
from AdaptCore.preference.clusters import cluster, squared_distances
from AdaptCore.preference.recipe import DEFAULT, Recipe
from AdaptCore.preference.samples import Samples

SUREST_LOGIT = 15.0
"""Logits count as no surer than this."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """One mask to pick.

    Attributes:
        member: index of the sample that it is, -1 for an answer at another size of the window.
        members: int (n,), sorted indices of the samples that differ less from it than from all else that is shown;
            their z are what a pick of it teaches.
        logits: float32 (h, w) of a plane or (d, h, w) of an object, as all maps of a round.
        added: bool, in this mask but not in the recommended one.
        removed: bool, in the recommended mask but not in this one.
        probability: share of the profile's mass that its members have.
    """

    member: int
    members: np.ndarray
    logits: np.ndarray
    added: np.ndarray
    removed: np.ndarray
    probability: float

    @property
    def area_change(self) -> int:
        """Pixels, or samples of an object, that it has more than the recommended mask; negative where it is smaller."""
        return int(self.added.sum()) - int(self.removed.sum())


@dataclass(frozen=True, eq=False)
class Proposal:
    """What one round shows.

    Attributes:
        logits: float32 (h, w) or (d, h, w) of the recommended mask.
        members: int (n,), sorted indices of the samples that differ less from the recommended mask than from all else.
        probability: share of the profile's mass that they have.
        candidates: at most as many as the recipe says, from the smallest to the largest.
    """

    logits: np.ndarray
    members: np.ndarray
    probability: float
    candidates: tuple[Candidate, ...]


def propose(samples: Samples, logits: np.ndarray, seed: int, recipe: Recipe = DEFAULT) -> Proposal:
    """The recommended mask and the candidates that differ from it and from each other.

    Parts of the samples' masks that lie apart from the recommended mask are left out. Samples that look like the
    recommended mask, and empty ones, are no candidates. The others are clustered by k-means on their probabilities, and
    the sample nearest to each centre is shown, but for those that look alike. Each sample stands for that of the shown
    masks which it differs least from, the recommended one among them.

    Args:
        logits: float32 (h, w) or (d, h, w) of the recommended mask.
        seed: of k-means; the same samples and seed give the same candidates.
    """
    recommended = binarize(logits)
    samples = replace(samples, logits=without_strays(samples.logits, recommended))
    probabilities = expit(samples.logits.clip(-SUREST_LOGIT, SUREST_LOGIT))
    masks = binarize(samples.logits)
    alike = _difference(masks, recommended) < recipe.distinct
    is_empty = ~masks.reshape(len(masks), -1).any(axis=1)
    others = np.flatnonzero(~alike & ~is_empty)
    shown = _representatives(probabilities, masks, recommended, others, seed, recipe) if len(others) else []
    apart = np.stack([_difference(masks, recommended), *(_difference(masks, masks[member]) for member in shown)])
    nearest = np.where(is_empty, -1, apart.argmin(axis=0))
    candidates = [
        _candidate(samples, masks, recommended, member, np.flatnonzero(nearest == place))
        for place, member in enumerate(shown, start=1)
    ]
    candidates.sort(key=lambda candidate: (candidate.area_change, candidate.member))
    same = np.flatnonzero(nearest == 0)
    return Proposal(logits, same, len(same) / samples.count, tuple(candidates))


def _difference(masks: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Share (N,) of the union of each of bool masks (N, ...) with another (...) that is in one of the two only."""
    flat = masks.reshape(len(masks), -1)
    areas, area = np.count_nonzero(flat, axis=1), np.count_nonzero(mask)
    common = np.count_nonzero(flat[:, mask.reshape(-1)], axis=1)
    return (areas + area - 2 * common) / np.maximum(areas + area - common, 1)


def _representatives(
    probabilities: np.ndarray,
    masks: np.ndarray,
    recommended: np.ndarray,
    others: np.ndarray,
    seed: int,
    recipe: Recipe,
) -> list[int]:
    """The sample nearest to the centre of each cluster of these samples; of those that look alike only the first."""
    points = _block_means(probabilities[others], (masks != recommended).any(axis=0), recipe.grid_side)
    rng = np.random.default_rng(seed)
    clusters = cluster(squared_distances(points), recipe.candidates, recipe.starts, recipe.iterations, rng)
    shown: list[int] = []
    for rows in sorted(clusters, key=len, reverse=True):
        member = int(others[rows[0]])
        if not any(_alike(masks, member, other, recipe) for other in shown):
            shown.append(member)
    return shown


def _alike(masks: np.ndarray, one: int, other: int, recipe: Recipe) -> bool:
    return bool(_difference(masks[one][None], masks[other])[0] < recipe.distinct)


def _block_means(maps: np.ndarray, where: np.ndarray, side: int) -> np.ndarray:
    """Means (n, F) of maps (n, ...) over blocks of the box around a mask (...), which is not empty.

    There are at most as many as a square of this side has, so fewer along each of three axes.
    """
    box = (slice(None), *(slice(along.min(), along.max() + 1) for along in np.nonzero(where)))
    cut = np.ascontiguousarray(maps[box])
    most = round(side ** (2 / where.ndim))
    pool = F.adaptive_avg_pool2d if where.ndim == 2 else F.adaptive_avg_pool3d
    blocks = pool(torch.from_numpy(cut), tuple(min(most, length) for length in cut.shape[1:]))
    return np.asarray(blocks.flatten(1).numpy())


def _candidate(
    samples: Samples, masks: np.ndarray, recommended: np.ndarray, member: int, members: np.ndarray
) -> Candidate:
    mask = masks[member]
    return Candidate(
        member=member,
        members=members,
        logits=samples.logits[member],
        added=mask & ~recommended,
        removed=recommended & ~mask,
        probability=len(members) / samples.count,
    )


def without_strays(logits: np.ndarray, recommended: np.ndarray) -> np.ndarray:
    """Logits (N, ...) without those parts of each mask that lie apart from the recommended one, bool (...).

    What looks like the object far away from it is seldom meant. A mask that lies apart as a whole stays as it is.
    """
    masks, side_by_side = binarize(logits), np.ones((1, *(3,) * recommended.ndim))
    parts, count = label(masks, np.pad(side_by_side, [(1, 1), *[(0, 0)] * recommended.ndim]))
    meant = np.zeros(count + 1, bool)
    meant[parts[:, recommended]] = True
    stray = masks & ~meant[parts]
    stray[~masks[:, recommended].any(axis=1)] = False
    return np.where(stray, -logits, logits)
