"""Losses of online adaptation; all take logits float32 on the model's grid, (m, m) or (m, m, m), and give a scalar."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.adapt.pseudo_labels import PseudoLabel


def label_loss(logits: Tensor, label: PseudoLabel) -> Tensor:
    """Class-balanced cross-entropy + Dice against a pseudo-label (ours)."""
    target, weight = label.target, label.weight
    entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    inside, outside = weight * target, weight * (1 - target)
    balanced = (_mean(entropy, inside) + _mean(entropy, outside)) / 2
    probability = logits.sigmoid()
    overlap, total = (probability * inside).sum(), (probability * weight).sum() + inside.sum()
    return balanced + 1 - (2 * overlap + 1) / (total + 1)


def click_loss(logits: Tensor, around: Tensor, target: Tensor) -> Tensor:
    """Click-centred cross-entropy (OAIMS) towards `target`: mean over the click's weights `around`."""
    return _mean(F.binary_cross_entropy_with_logits(logits, target, reduction="none"), around)


def tether_loss(logits: Tensor, anchor: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy to the probabilities of other logits as a mean over `weight`."""
    return _mean(F.binary_cross_entropy_with_logits(logits, anchor.sigmoid(), reduction="none"), weight)


def click_gaussian(
    place: Sequence[float], sigma: float, cut: float, shape: Sequence[int], device: torch.device
) -> Tensor:
    """Weights of a shape that fall from 1 at a place as a Gaussian and end after `cut` standard deviations."""
    away = torch.zeros((), device=device)
    for at, length in zip(place, shape, strict=True):
        away = away[..., None] + (torch.arange(length, device=device) - at) ** 2
    away = away / sigma**2
    return torch.exp(-away / 2) * (away < cut**2)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean; 0 where all weights are."""
    return (values * weight).sum() / weight.sum().clamp(min=1e-6)
