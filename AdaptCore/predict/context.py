"""Appearance context: what an accepted plane's object looks like to the encoder, as a linear score (ours)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from AdaptCore.models.base import Embedding, to_plane, to_prior

GRID_SIDE = 64
"""Side of the grid on which features are compared; a model whose finest map is coarser is compared on that map."""

NEAR_CELLS = 10.0
"""Background within about this many cells of the object counts most."""

FAR_WEIGHT = 0.05
"""Weight of the background far away; next to the object it is 1 more than this."""

LEAST_SPREAD = 1e-3
"""Added to each feature's standard deviation, for features that hardly vary."""


@dataclass(frozen=True, eq=False)
class AppearanceContext:
    """A ridge regression from encoder features to +1 inside and -1 outside an object.

    It keeps no image. A score near 1 looks like the object and one near -1 like its surroundings, on the plane that it
    was fitted on and, as far as both look alike there, on planes beside it.

    Attributes:
        weights: float32 (C,), of the standardized features.
        bias: the score of a cell with average features.
        mean, spread: float32 (C,), of the plane that it was fitted on.
    """

    weights: torch.Tensor
    bias: float
    mean: torch.Tensor
    spread: torch.Tensor

    @classmethod
    def fit(cls, embedding: Embedding, mask: np.ndarray, ridge: float = 0.2) -> AppearanceContext:
        """Learn how the object in a non-empty `mask`, bool (H, W) on the embedding's plane, differs from the rest.

        Object and background weigh the same in all, the background near the object most.

        Args:
            ridge: how strongly weights are held near zero, in units of the features' variance.
        """
        features = grid_features(embedding)
        channels, height, width = features.shape
        target = _grid_mask(embedding, mask, features.shape[1:])
        samples = features.reshape(channels, -1).T
        mean, spread = samples.mean(0), samples.std(0, correction=0) + LEAST_SPREAD
        design = torch.cat([(samples - mean) / spread, torch.ones(height * width, 1)], 1)
        weighted = design.T * _sample_weights(target > 0).reshape(-1)
        covariance = weighted @ design + ridge * torch.eye(channels + 1)
        solution = torch.linalg.solve(covariance, weighted @ target.reshape(-1))
        return cls(solution[:-1], float(solution[-1]), mean, spread)

    def score(self, embedding: Embedding) -> torch.Tensor:
        """How much each pixel looks like the object, float32 (H, W) on the embedding's plane, on the CPU."""
        features = grid_features(embedding)
        weights = self.weights / self.spread
        small = torch.einsum("c,chw->hw", weights, features) + (self.bias - float(weights @ self.mean))
        side = _grid_side(embedding)
        padding = (0, side - small.shape[1], 0, side - small.shape[0])
        square = F.pad(small[None, None], padding, mode="replicate")[0, 0]
        return to_plane(square, embedding)


def grid_features(embedding: Embedding) -> torch.Tensor:
    """The encoder's finer features on one grid, float32 (C, h, w) on the CPU, without the padding.

    Maps of less than half the grid's side say too little of where something is and are left out.
    """
    side = _grid_side(embedding)
    maps = [_resample(feature, side) for feature in embedding.features if 2 * feature.shape[-1] >= side]
    height, width = (min(side, max(1, round(length * side / embedding.input_side))) for length in embedding.input_shape)
    return torch.cat(maps, 1)[0, :, :height, :width]


def _grid_side(embedding: Embedding) -> int:
    return min(GRID_SIDE, max(feature.shape[-1] for feature in embedding.features))


def _resample(feature: torch.Tensor, side: int) -> torch.Tensor:
    values = feature.detach().float().cpu()
    if values.shape[-1] > side:
        return F.adaptive_avg_pool2d(values, side)
    return F.interpolate(values, (side, side), mode="bilinear", align_corners=False)


def _grid_mask(embedding: Embedding, mask: np.ndarray, shape: torch.Size) -> torch.Tensor:
    """The mask (H, W) on the grid, float32 (h, w) from -1 to 1, above zero in at least one cell."""
    signs = torch.from_numpy(np.where(mask, np.float32(1), np.float32(-1)))
    target = to_prior(signs, embedding, _grid_side(embedding))[: shape[0], : shape[1]].clamp(-1, 1)
    if not (target > 0).any():
        target = torch.where(target == target.max(), 1.0, target)
    return target


def _sample_weights(inside: torch.Tensor) -> torch.Tensor:
    """Weights (h, w) of cells inside, bool (h, w), and outside the object; each side sums to a half."""
    distance = torch.from_numpy(distance_transform_edt(~inside.numpy())).float()
    outside = torch.where(inside, 0.0, torch.exp(-((distance / NEAR_CELLS) ** 2)) + FAR_WEIGHT)
    return 0.5 * inside / inside.sum() + 0.5 * outside / outside.sum().clamp(min=FAR_WEIGHT)
