"""Binary masks: how deep a pixel lies inside, how far two of them agree, and what an outline goes around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage


def depth(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels from each pixel of a mask to the nearest one outside of it, float64 (H, W); 0 outside.

    What lies beyond the image border counts as outside.

    Args:
        mask: bool (H, W).
    """
    found = np.zeros(mask.shape, np.float64)
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if boxes:
        found[boxes[0]] = ndimage.distance_transform_edt(np.pad(mask[boxes[0]], 1))[1:-1, 1:-1]
    return found


def dice(truth: np.ndarray, prediction: np.ndarray) -> float:
    """2 |A and B| / (|A| + |B|) of two bool masks of one shape; two empty masks agree (1)."""
    total = int(truth.sum()) + int(prediction.sum())
    return 2.0 * int((truth & prediction).sum()) / total if total else 1.0


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
