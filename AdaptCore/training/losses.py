"""Losses of the mask decoder: focal and Dice as in SAM (Kirillov et al. 2023, section 3), on soft targets."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_WEIGHT = 20.0
FOCAL_GAMMA = 2.0


def mask_loss(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """20 x focal + Dice per mask.

    Args:
        logits: float32 B x K x h x w.
        target: float32 B x h x w in [0, 1].
        valid: float32 B x h x w, weight of each pixel, 0 on padding.

    Returns:
        float32 B x K.
    """
    truth, weight = target[:, None].expand_as(logits), valid[:, None]
    probability = logits.sigmoid()
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    focal = ((probability - truth).abs() ** FOCAL_GAMMA * entropy * weight).sum((2, 3)) / weight.sum((2, 3)).clamp(
        min=1
    )
    overlap = (probability * truth * weight).sum((2, 3))
    total = ((probability + truth) * weight).sum((2, 3))
    return FOCAL_WEIGHT * focal + 1 - (2 * overlap + 1) / (total + 1)


@torch.no_grad()
def mask_iou(logits: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """IoU of the binary masks with the target cut at 0.5, B x K.

    An empty answer to an empty target counts 0, unlike in `evaluate.metrics`: the predicted IoU is trained on this
    value, and 0 is how it says that nothing is there.
    """
    predicted = (logits > 0) & (valid[:, None] > 0)
    truth = (target[:, None] >= 0.5) & (valid[:, None] > 0)
    union = (predicted | truth).sum((2, 3))
    return (predicted & truth).sum((2, 3)) / union.clamp(min=1)
