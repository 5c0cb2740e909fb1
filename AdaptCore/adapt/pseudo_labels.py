"""Pseudo-labels: what an accepted mask is sure of, at the mask resolution (Schoen et al. 2024; band and core ours)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from AdaptCore.adapt.recipe import Recipe
from AdaptCore.models.frame import AnyClick, Frame
from AdaptCore.predict.masks import depth


@dataclass(frozen=True, eq=False)
class PseudoLabel:
    """Wanted mask and how sure it is.

    Attributes:
        target: float32 on the model's grid, 1 inside the object and 0 outside.
        weight: float32, 0 on padding and where nothing is known, 1 where it is sure.
    """

    target: torch.Tensor
    weight: torch.Tensor

    @property
    def nbytes(self) -> int:
        return self.target.nbytes + self.weight.nbytes

    def to(self, device: torch.device) -> PseudoLabel:
        """The label on a device: the model may have moved since it was made."""
        return PseudoLabel(self.target.to(device), self.weight.to(device))


def pseudo_label(
    mask: np.ndarray, embedding: Frame, clicks: Sequence[AnyClick], mask_side: int, recipe: Recipe
) -> PseudoLabel:
    """The pseudo-label of an accepted mask.

    Object and background are each eroded by a share of the largest inscribed radius; the band between gets the band
    weight. An object that erosion would remove keeps its core, the pixels deepest inside, and each clicked pixel has
    its click's class for sure.

    Args:
        mask: bool of what was embedded, (H, W) or (S, S, S).
        clicks: in its pixels.
        mask_side: side m of the label.
    """
    present = grid_mask(mask, embedding, mask_side)
    inside, outside = depth(present), _distance_outside(present)
    radius = float(np.clip(recipe.erosion * inside.max(), *recipe.erosion_limits))
    core = inside > radius
    if not core.any():
        core = present & (inside == inside.max())
    weight = np.where(core | (outside > radius), 1.0, recipe.band_weight)
    target = present.copy()
    for click in clicks:
        cell = embedding.cell(click, mask_side)
        target[cell], weight[cell] = click.positive, 1.0
    weight = weight * embedding.inside(mask_side)
    return PseudoLabel(torch.from_numpy(target.astype(np.float32)), torch.from_numpy(weight.astype(np.float32)))


def grid_mask(mask: np.ndarray, embedding: Frame, mask_side: int) -> np.ndarray:
    """A mask of what was embedded on the model's grid, bool; one that is not empty keeps at least one pixel."""
    signs = torch.from_numpy(np.where(mask, np.float32(1), np.float32(-1)))
    small = embedding.gridded(signs, mask_side).numpy()
    present = small > 0
    if mask.any() and not present.any():
        present = small == small.max()
    return present


def _distance_outside(present: np.ndarray) -> np.ndarray:
    """Distance of each cell outside the object to it, 0 inside; infinite if there is no object."""
    if not present.any():
        return np.full(present.shape, np.inf)
    return np.asarray(distance_transform_edt(~present))
