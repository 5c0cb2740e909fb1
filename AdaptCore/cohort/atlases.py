"""Labels of cases that something is known of (atlases), carried over to a volume and put together where each fits best.

An atlas is the template, any other case with an accepted label, or one with probabilities of a round's network. What
it says of a voxel x, y(x), is the mean of two ways to carry its label over, which err, but not in the same places:
votes of similar cells (`one_label.py`) and a smooth deformation (`deformation.py`). Several atlases a count by how much
the features that meet under the deformation are alike,

    f(x) = sum over a of exp(cos_a(x) / TEMPERATURE) y_a(x)  /  sum over a of exp(cos_a(x) / TEMPERATURE)

which is label fusion with local weights (Artaechevarria, Munoz-Barrutia and Ortiz-de-Solorzano 2009) with the encoder's
features in the place of intensities. `MOST` atlases of a case are used: labelled ones first, then others, the most
similar of each first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from AdaptCore.cohort.deformation import deformed, moved
from AdaptCore.cohort.description import Description
from AdaptCore.cohort.features import Features
from AdaptCore.cohort.one_label import one_hot, to_labels, voted

MOST = 6
TEMPERATURE = 0.15


@dataclass(frozen=True, eq=False)
class Atlas:
    """What is known of a case: its features, and the share of each class, float32 (classes, I, J, K)."""

    features: Features
    shares: np.ndarray


@dataclass(frozen=True, eq=False)
class Carried:
    """What an atlas says of a volume: shares float32 (classes, I, J, K), and cosine similarity float32 (I, J, K)."""

    shares: np.ndarray
    similarity: np.ndarray


def coarse_labels(template: Features, label: np.ndarray, features: Features) -> tuple[np.ndarray, np.ndarray]:
    """Carry a template's label over to a volume.

    Args:
        label: classes of the template, uint8 (I, J, K).

    Returns:
        Classes uint8 (I, J, K) of the volume, and the share that each voxel's class got, float32.

    Raises:
        ImageError: the label has not the template's shape, or no class above 0.
    """
    return to_labels(carry(Atlas(template, one_hot(template, label).numpy()), features).shares)


def carry(atlas: Atlas, features: Features, points: torch.Tensor | None = None) -> Carried:
    """Carry an atlas over to a volume, in both ways.

    Args:
        points: of the deformation, where it is known from `deformation.moved`.
    """
    shares = torch.from_numpy(atlas.shares)
    points = moved(atlas.features, features) if points is None else points
    values, similarity = deformed(atlas.features, shares, features, points)
    return Carried((voted(atlas.features, shares, features) + values.numpy()) / 2, similarity.numpy())


def fused(carried: Iterable[Carried]) -> np.ndarray:
    """What at least one atlas says together, float32 (classes, I, J, K); they are asked for one at a time."""
    votes = weights = np.zeros((), np.float32)
    for one in carried:
        weight = np.exp(one.similarity / TEMPERATURE)
        votes, weights = votes + weight * one.shares, weights + weight
    return np.asarray(votes / weights)


def nearest(cases: Sequence[Description], labelled: Sequence[bool]) -> list[list[int]]:
    """For each case the indices of the atlases that are carried over to it, at most `MOST`; it is none of them.

    Args:
        labelled: which of the cases have an accepted label.
    """
    if not cases:
        return []
    vectors, unlabelled = np.stack([case.vector for case in cases]), ~np.asarray(labelled, bool)
    orders = (np.lexsort((-vectors @ vector, unlabelled))[: MOST + 1] for vector in vectors)
    return [[int(index) for index in order if index != own][:MOST] for own, order in enumerate(orders)]
