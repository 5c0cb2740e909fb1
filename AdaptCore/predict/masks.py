"""Binary masks: how deep a pixel lies inside, how far two of them agree, and what an outline goes around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from AdaptCore.prompts import Click

MASK_LOGIT = 6.0
"""Logit that a mask given as an answer gets inside, and its negative outside."""


def mask_logits(mask: np.ndarray) -> np.ndarray:
    """Logits float32 of a mask's shape that stand for it."""
    return np.where(mask, np.float32(MASK_LOGIT), np.float32(-MASK_LOGIT))


def binarize(logits: np.ndarray) -> np.ndarray:
    """The only place where logits become a mask."""
    return logits > 0


def depth(mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Distance from each pixel of a mask to the nearest one outside of it, float64 of the mask's shape; 0 outside.

    What lies beyond the image border counts as outside.

    Args:
        mask: bool (H, W) or (I, J, K).
        spacing: from pixel to pixel along each of the mask's axes, in the unit of the distance; None counts pixels.
    """
    found = np.zeros(mask.shape, np.float64)
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if boxes:
        padded = np.pad(mask[boxes[0]], 1)
        inner = (slice(1, -1),) * mask.ndim
        found[boxes[0]] = ndimage.distance_transform_edt(padded, sampling=spacing)[inner]
    return found


def parts_of(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Numbers of the connected parts of a mask of 2 or 3 dimensions, and how many there are; corners connect."""
    numbers, count = ndimage.label(mask, np.ones((3,) * mask.ndim, bool))
    return numbers, count


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The connected part of a bool mask with most voxels, the first one of equals."""
    numbers, count = parts_of(mask)
    return mask if count < 2 else numbers == 1 + int(np.bincount(numbers.ravel())[1:].argmax())


def dice(truth: np.ndarray, prediction: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two bool masks of one shape; two empty masks agree (1)."""
    total = int(truth.sum()) + int(prediction.sum())
    return 2.0 * int((truth & prediction).sum()) / total if total else 1.0


def parts_at(mask: np.ndarray, clicks: Sequence[Click]) -> np.ndarray:
    """The connected parts of a mask, bool (H, W), that any of some clicks lies in; corners connect."""
    parts, _ = parts_of(mask)
    met = {parts[click.place_in((mask.shape[0], mask.shape[1]))] for click in clicks} - {0}
    return np.isin(parts, list(met))


def iou(truth: np.ndarray, prediction: np.ndarray) -> float:
    """|A and B| / |A or B| of two bool masks of one shape; two empty masks agree (1)."""
    union = int((truth | prediction).sum())
    return int((truth & prediction).sum()) / union if union else 1.0


def filled(outline: Sequence[tuple[float, float]], shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centres a closed outline (x, y) goes around, bool (H, W); once is enough, also where it crosses.

    The outline may leave the image.
    """
    height, width = shape
    turns = np.zeros((height, width + 1), np.int32)
    corners = np.asarray(outline, np.float64)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0)):
        rows = np.arange(max(0, int(np.ceil(min(y0, y1)))), min(height, int(np.ceil(max(y0, y1)))))
        if rows.size:
            crossed = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            turns[rows, np.ceil(crossed).clip(0, width).astype(np.intp)] += 1 if y1 > y0 else -1
    return turns.cumsum(axis=1)[:, :width] != 0
