"""Between two rounds: which voxels are uncertain, what their look-alikes in the cohort say, and whether a round failed.

SemiSAM-O1 (section 3.2) relabels uncertain regions from their most similar confident neighbours in feature space, over
the whole cohort. It gives no formula; these are ours:

    u(x) = - sum over c of p_c(x) log p_c(x)  /  log C                              uncertainty, 0 to 1
    z(x) = [f(x), PLACE * (x / size - 1/2)] / length                                where f is the feature at a voxel
    votes_c(x) = sum over the NEIGHBOURS confident voxels y nearest to x of exp(z(x) . z(y) / TEMPERATURE) p_c(y)

A voxel with u(x) > UNSURE takes p_c(x) * votes_c(x), summing to one, instead of p_c(x). Confident are voxels with
u(y) < SURE that lie near unsure ones; a fixed number of them, drawn evenly over volumes and classes, stands for all,
so memory does not grow with the cohort.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage

from AdaptCore.cohort.features import CHANNELS, Features
from AdaptCore.cohort.one_label import to_labels
from AdaptCore.predict.masks import dice

SURE = 0.2
UNSURE = 0.3
NEAR = 3
"""Voxels between a confident one and the nearest unsure one, at most."""

BANK = 10_000
NEIGHBOURS = 16
TEMPERATURE = 0.05
PLACE = 4.0
BLOCK = 2048

EMPTIEST = 0.25
FULLEST = 4.0
LEAST_KEPT = 0.6
"""A round is a collapse when a class's size, relative to the reference, leaves the range from `EMPTIEST` to `FULLEST`,
or when agreement with the reference falls below this share of what it was. The first round is compared with the
reference itself, whose agreement is 1, and is meant to correct it."""


def uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """Entropy of (classes, I, J, K) as a share of the highest possible, float32 (I, J, K) in [0, 1]."""
    safe = np.clip(probabilities, 1e-7, 1.0)
    entropy = -(safe * np.log(safe)).sum(0) / math.log(len(probabilities))
    return np.clip(entropy, 0.0, 1.0).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Bank:
    """Confident voxels that stand for a cohort: z (N, D) and probabilities (N, classes), float32."""

    keys: torch.Tensor
    shares: torch.Tensor


def relabel(
    features: Sequence[Features], probabilities: Sequence[np.ndarray], seed: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """New labels of all volumes, one after the other; both sequences are asked for each item twice.

    Args:
        features: of each volume.
        probabilities: of each volume, float32 (classes, I, J, K), background first.
        seed: of the confident voxels that are drawn.

    Yields:
        Labels and weights as `relabelled`.
    """
    if not len(features):
        return
    bank = confident(features, probabilities, seed)
    for n in range(len(features)):
        yield relabelled(features[n], probabilities[n], bank)


def confident(features: Sequence[Features], probabilities: Sequence[np.ndarray], seed: int = 0) -> Bank:
    """Confident voxels of at least one volume; arguments as `relabel`.

    They are put into one array that is there from the start: small arrays kept of each volume would lie between what is
    freed of the volumes, and the system could not use that memory again.
    """
    generator = np.random.default_rng(seed)
    classes = len(probabilities[0])
    quota = -(-max(1, BANK // len(features)) // classes)
    most = len(features) * classes * quota
    keys, shares, count = torch.empty(most, CHANNELS + 3), torch.empty(most, classes), 0
    for n in range(len(features)):
        rows = slice(count, count + classes * quota)
        found, believed = _confident(features[n], probabilities[n], quota, generator)
        keys[rows][: len(found)], shares[rows][: len(found)] = found, believed
        count += len(found)
    return Bank(keys[:count], shares[:count])


def relabelled(features: Features, probabilities: np.ndarray, bank: Bank) -> tuple[np.ndarray, np.ndarray]:
    """A volume's labels, of the cohort that the bank is of or not.

    Returns:
        Classes uint8 (I, J, K) and the weight of each voxel, float32 in [0, 1]: 1 - u of what is now believed.
    """
    believed = probabilities.copy()
    unsure = uncertainty(believed) > UNSURE
    if len(bank.keys) and unsure.any():
        votes = _votes(_described(features, np.argwhere(unsure)), bank)
        joint = believed[:, unsure] * votes + 1e-6
        believed[:, unsure] = joint / joint.sum(0)
    return to_labels(believed)[0], 1 - uncertainty(believed)


def collapsed(before: Sequence[np.ndarray], after: Sequence[np.ndarray], reference: Sequence[np.ndarray]) -> str | None:
    """Why the labels after a round are worse than those before it, or None.

    Compared with a frozen reference (the coarse labels): no user's label is needed.

    Args:
        before, after, reference: classes uint8 (I, J, K) of the same volumes, at least one.
    """
    classes = range(1, 1 + max(int(labels.max()) for labels in reference))
    if not classes:
        return "the reference has no class"
    for kind in classes:
        sizes = [(int((new == kind).sum()), int((old == kind).sum())) for new, old in zip(after, reference)]
        ratio = float(np.median([(new + 1) / (old + 1) for new, old in sizes]))
        if not EMPTIEST <= ratio <= FULLEST:
            drift = "empty" if ratio < EMPTIEST else "full"
            return f"class {kind} drifts to {drift}: {ratio:.2f} of the reference's voxels"
    kept, new = (_agreement(labels, reference, classes) for labels in (before, after))
    if new < LEAST_KEPT * kept:
        return f"agreement with the reference falls from {kept:.2f} to {new:.2f}"
    return None


def _agreement(labels: Sequence[np.ndarray], reference: Sequence[np.ndarray], classes: range) -> float:
    """Mean Dice over volumes and classes."""
    return float(
        np.mean([dice(one == kind, other == kind) for one, other in zip(labels, reference) for kind in classes])
    )


def _confident(
    features: Features, probabilities: np.ndarray, quota: int, generator: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """At most `quota` confident voxels near unsure ones of each class: z (N, D) and probabilities (N, C)."""
    unsure = uncertainty(probabilities)
    near = ndimage.binary_dilation(unsure > UNSURE, iterations=NEAR)
    labels = to_labels(probabilities)[0]
    chosen = []
    for kind in range(len(probabilities)):
        found = np.argwhere((unsure < SURE) & near & (labels == kind))
        chosen.append(generator.permutation(found)[:quota])
    places = np.concatenate(chosen)
    i, j, k = places.T
    shares = torch.from_numpy(probabilities[:, i, j, k].T.copy())
    return _described(features, places), shares


def _described(features: Features, places: np.ndarray) -> torch.Tensor:
    """z of voxels (N, 3), float32 (N, D) of unit length."""
    size = torch.tensor(features.shape, dtype=torch.float32)
    relative = (torch.from_numpy(places).float() + 0.5) / size
    where = (2 * relative - 1).flip(-1)[None, :, None, None]
    found = F.grid_sample(features.tensor()[None], where, mode="bilinear", padding_mode="border", align_corners=False)
    return F.normalize(torch.cat([found[0, :, :, 0, 0].T, PLACE * (relative - 0.5)], 1), dim=1)


def _votes(wanted: torch.Tensor, bank: Bank) -> np.ndarray:
    """Votes of the nearest voxels of the bank, summing to one, (C, N)."""
    votes = []
    for block in wanted.split(BLOCK):
        similarity, nearest = (block @ bank.keys.T).topk(min(NEIGHBOURS, len(bank.keys)), 1)
        votes.append(((similarity / TEMPERATURE).softmax(1)[..., None] * bank.shares[nearest]).sum(1))
    return torch.cat(votes).T.numpy()
