"""What queries and selection know of a case: one vector, and how sure the network is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.cohort.features import Features
from AdaptCore.cohort.refine import uncertainty


@dataclass(frozen=True, eq=False)
class Description:
    """A case in a few numbers.

    Attributes:
        id: of the case.
        vector: mean feature over the predicted foreground, float32 (C,) of unit length.
        difficulty: anatomical segmentation difficulty in [0, 1], the mean uncertainty over the predicted foreground
            (ASSFT: "predictive uncertainty within foreground regions of interest"); 1 where there is none.
        entropy: mean uncertainty over all voxels, in [0, 1].
    """

    id: str
    vector: np.ndarray
    difficulty: float
    entropy: float


def describe(case_id: str, features: Features, probabilities: np.ndarray) -> Description:
    """A case's description from its features and its probabilities, float32 (classes, I, J, K)."""
    unsure = uncertainty(probabilities)
    foreground = probabilities.argmax(0) > 0
    values = features.tensor()
    shown = F.adaptive_avg_pool3d(torch.from_numpy(1 - probabilities[:1]), features.values.shape[1:])
    vector = F.normalize((values * shown).sum((1, 2, 3)), dim=0)
    difficulty = float(unsure[foreground].mean()) if foreground.any() else 1.0
    # A copy: torch's own memory lies between what is freed of the volumes, and the system could not use that again.
    return Description(case_id, vector.numpy().copy(), difficulty, float(unsure.mean()))


def distances(some: list[Description], others: list[Description]) -> np.ndarray:
    """1 - cosine similarity, float64 (len(some), len(others))."""
    first, second = (np.stack([one.vector for one in group]).astype(np.float64) for group in (some, others))
    return 1 - first @ second.T
