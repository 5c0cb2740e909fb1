"""What queries, selection and relabelling know of a case: one vector, and how sure the network is.

The vector tells what the object looks like, part by part (ours). A grid of GRID^3 places is laid over the volume by the
probability of foreground: its centre is the centre of mass of that, along each axis it reaches SPAN standard deviations
to both sides. The features there, each of unit length and weighted by the probability of foreground, are projected on
`LENGTH` fixed random directions, which keeps angles (Johnson and Lindenstrauss).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.cohort.features import Features
from AdaptCore.cohort.refine import uncertainty

GRID = 8
SPAN = 2.2
LENGTH = 1024


@dataclass(frozen=True, eq=False)
class Description:
    """A case in a few numbers.

    Attributes:
        id: of the case.
        vector: appearance of the predicted foreground, float32 (LENGTH,) of unit length.
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
    shown = torch.from_numpy(1 - probabilities[0])
    places = _places(shown)
    values = F.grid_sample(features.tensor()[None], places, padding_mode="border", align_corners=False)[0]
    weighted = F.normalize(values, dim=0) * F.grid_sample(shown[None, None], places, align_corners=False)[0]
    vector = F.normalize(weighted.flatten() @ _directions(weighted.numel()), dim=0)
    difficulty = float(unsure[foreground].mean()) if foreground.any() else 1.0
    # A copy: torch's own memory lies between what is freed of the volumes, and the system could not use that again.
    return Description(case_id, vector.numpy().copy(), difficulty, float(unsure.mean()))


def distances(some: list[Description], others: list[Description]) -> np.ndarray:
    """1 - cosine similarity, float64 (len(some), len(others))."""
    first, second = (np.stack([one.vector for one in group]).astype(np.float64) for group in (some, others))
    return 1 - first @ second.T


def _places(shown: torch.Tensor) -> torch.Tensor:
    """The grid over a foreground (I, J, K) as `grid_sample` takes it, 1 x GRID x GRID x GRID x 3."""
    axes = []
    for axis in range(3):
        weights = shown.sum([other for other in range(3) if other != axis]) + 1e-6
        weights = weights / weights.sum()
        where = (torch.arange(len(weights)) + 0.5) / len(weights)
        centre = (weights * where).sum()
        deviation = (weights * (where - centre).square()).sum().sqrt()
        axes.append(2 * (centre + SPAN * deviation * torch.linspace(-1, 1, GRID)) - 1)
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flip(-1)[None]


@cache
def _directions(numbers: int) -> torch.Tensor:
    """Fixed random directions, numbers x LENGTH."""
    return torch.randn(numbers, LENGTH, generator=torch.Generator().manual_seed(0))
