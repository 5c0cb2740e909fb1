"""What the similarity of features says of a volume's labels, from one labelled volume.

SemiSAM-O1 (section 3.1) compares every voxel with one prototype a class. Anatomy that looks like its surroundings needs
to be told where as well: here every cell of the template near the same place is a prototype of its own, and votes for
its label by its cosine similarity (ours; as in non-local patch-based label fusion, Coupe et al. 2011):

    w(x, d) = exp( mean over the cells about x of cos(f(x), t(x + d)) / TEMPERATURE  -  |d|^2 / (2 REACH^2) )
    p(x)    = sum over |d| <= RADIUS of w(x, d) y(x + d)  /  sum of w(x, d)

f and t are the narrow features (`Features.narrow`) of the volume and of the template, scaled to unit length; the
template is laid over the volume centre on centre; y is the share of each class in a cell; x and d are in cells.
`prototype_labels` is the paper's rule, kept as a rival.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.cohort.deformation import smooth
from AdaptCore.cohort.features import Features
from AdaptCore.errors import ImageError

RADIUS = 3
REACH = 3.0
TEMPERATURE = 0.05
"""In units of cosine similarity, which is averaged over a cube of neighbours."""


def voted(template: Features, shares: torch.Tensor, features: Features) -> np.ndarray:
    """Shares of the votes of similar cells nearby, p: float32 (classes, I, J, K).

    Args:
        shares: of each class in the template's voxels, float32 (classes, i, j, k), background first.
    """
    wanted = F.normalize(features.narrow(), dim=0)
    grid = wanted.shape[1:]
    known = _laid_over(F.normalize(template.narrow(), dim=0), grid)
    voters = _laid_over(_in_cells(template, shares), grid)
    voters[0] = 1 - voters[1:].sum(0)
    return _on_voxels(_votes(wanted, known, voters), features.shape)


def prototype_labels(template: Features, label: np.ndarray, features: Features) -> tuple[np.ndarray, np.ndarray]:
    """The class whose prototype, the mean of the template's features over it, is most similar (SemiSAM-O1, 3.1).

    Args:
        label: classes of the template, uint8 (I, J, K).

    Returns:
        Classes uint8 (I, J, K) of the volume, and the share that each voxel's class got, float32.

    Raises:
        ImageError: as `one_hot`.
    """
    shares = _in_cells(template, one_hot(template, label)).flatten(1)
    prototypes = F.normalize(shares @ template.tensor().flatten(1).T, dim=1)
    similarity = torch.einsum("nc,cijk->nijk", prototypes, features.tensor())
    return to_labels(_on_voxels((similarity / TEMPERATURE).softmax(0), features.shape))


def to_labels(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest class, uint8 (I, J, K), and its probability, float32, of (classes, I, J, K)."""
    return probabilities.argmax(0).astype(np.uint8), probabilities.max(0)


def one_hot(template: Features, label: np.ndarray) -> torch.Tensor:
    """Classes of the template's voxels, float32 (classes, I, J, K).

    Raises:
        ImageError: the label has not the template's shape, or no class above 0.
    """
    if label.shape != template.shape or not label.any():
        raise ImageError(
            f"Expected a label of the template's shape {template.shape} with a class above 0, got {label.shape} with "
            f"classes up to {int(label.max(initial=0))}."
        )
    return F.one_hot(torch.from_numpy(label.astype(np.int64))).permute(3, 0, 1, 2).float()


def _in_cells(template: Features, shares: torch.Tensor) -> torch.Tensor:
    """Mean shares in the template's cells, float32 (classes, i', j', k')."""
    return F.adaptive_avg_pool3d(shares, template.values.shape[1:])


def _laid_over(values: torch.Tensor, grid: torch.Size) -> torch.Tensor:
    """Values C x a x b x c on another grid, centre on centre; zero outside."""
    laid = values.new_zeros((len(values), *grid))
    common = [min(own, other) for own, other in zip(values.shape[1:], grid)]
    target, source = (
        (slice(None), *(slice((side - n) // 2, (side - n) // 2 + n) for side, n in zip(sides, common)))
        for sides in (grid, values.shape[1:])
    )
    laid[target] = values[source]
    return laid


def _votes(wanted: torch.Tensor, known: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """p(x) of all cells, classes x grid."""
    grid, sides = wanted.shape[1:], (RADIUS,) * 6
    known, shares = (F.pad(values[None], sides, mode="replicate")[0] for values in (known, shares))
    votes, weights = shares.new_zeros((len(shares), *grid)), shares.new_zeros(grid)
    for offset in itertools.product(range(-RADIUS, RADIUS + 1), repeat=3):
        squared = sum(step * step for step in offset)
        if squared > RADIUS**2:
            continue
        window = (slice(None), *(slice(RADIUS + d, RADIUS + d + n) for d, n in zip(offset, grid)))
        cosine = (wanted * known[window]).sum(0)[None]
        weight = torch.exp(smooth(cosine)[0] / TEMPERATURE - squared / (2 * REACH**2))
        votes += weight * shares[window]
        weights += weight
    return votes / weights


def _on_voxels(values: torch.Tensor, shape: tuple[int, int, int]) -> np.ndarray:
    return F.interpolate(values[None], shape, mode="trilinear", align_corners=False)[0].numpy()
