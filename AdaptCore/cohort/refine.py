"""After a round: what look-alikes in the cohort say of each voxel, how sure that is, and whether the round failed.

SemiSAM-O1 (section 3.2) relabels uncertain regions from their most similar confident neighbours in feature space, over
the whole cohort. It gives no formula; these are ours, for every voxel on its own:

    q_c(x) = (f_c(x) + OWN p_c(x)) / (1 + OWN)                what is believed
    u(x)   = - sum over c of q_c(x) log q_c(x)  /  log C      its uncertainty, 0 to 1

where p is what the network says and f what the most similar cases say that meet at that place (`atlases.py`); an unsure
neighbour says little. It is done twice for all cases: a neighbour without an accepted label first says what the network
says of it, and then what was believed of it in the first pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from AdaptCore.cohort.one_label import to_labels
from AdaptCore.predict.masks import dice

OWN = 0.15
"""Weight of the network's own probabilities beside those of the look-alikes."""

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


def believed(probabilities: np.ndarray, fused: np.ndarray) -> np.ndarray:
    """What is believed of a volume, float32 (classes, I, J, K).

    Args:
        probabilities: of the network, float32 (classes, I, J, K), background first.
        fused: what similar cases say, of the same shape.
    """
    return np.asarray((fused + OWN * probabilities) / (1 + OWN), np.float32)


def settled(believed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Classes uint8 (I, J, K), and how sure each voxel's is: float32 in [0, 1], 1 - u."""
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
