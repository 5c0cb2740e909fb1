"""What is said of binary masks: how deep a pixel lies inside, and how far two of them agree."""

from __future__ import annotations

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
