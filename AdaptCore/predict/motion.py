"""Motion: a mask moves with the image content from one plane to the next (dense optical flow)."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, map_coordinates
from skimage.registration import optical_flow_tvl1
from skimage.transform import resize

from AdaptCore.predict.zoom import mask_bounds

GRID_SIDE = 64
"""Longest side of the grid that the flow is computed on; a smaller region is not enlarged."""

MARGIN = 1.0
"""The region around the mask grows on each side by this share of the longer side of the mask's box."""

MIN_MARGIN = 8
"""And by at least so many pixels."""

LEAST_AREA_RATIO = 0.6
"""A flow that makes the mask smaller than this share, or larger than its inverse, is not believed: where the
appearance changes, a flow flees to what looks alike."""

ATTACHMENT = 60.0
"""Weight of the image against a smooth flow (Zach et al. 2007, TV-L1)."""


def carried(mask: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where a mask lies on the next plane: its signed distance in pixels, float32 (H, W), above zero inside.

    The mask stays in place where the flow cannot be believed.

    Args:
        mask: bool (H, W), not empty, on the plane `before`.
        before, after: float32 (H, W) or (H, W, 3) in [0, 1].
    """
    distance = signed_distance(mask)
    region = _region(mask)
    flow = _flow(_grey(before)[region], _grey(after)[region])
    places = np.mgrid[: flow.shape[1], : flow.shape[2]] + flow
    moved = map_coordinates(distance[region], places, order=1, mode="nearest")
    if LEAST_AREA_RATIO <= np.count_nonzero(moved > 0) / np.count_nonzero(mask) <= 1 / LEAST_AREA_RATIO:
        distance[region] = moved
    return distance


def signed_distance(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels to the outline of a mask that is neither empty nor full, float32 (H, W), negative outside."""
    return (distance_transform_edt(mask) - distance_transform_edt(~mask)).astype(np.float32)


def _region(mask: np.ndarray) -> tuple[slice, slice]:
    x0, y0, x1, y1 = mask_bounds(mask) or (0, 0, mask.shape[1] - 1, mask.shape[0] - 1)
    margin = max(MIN_MARGIN, round(MARGIN * (max(x1 - x0, y1 - y0) + 1)))
    return slice(max(0, y0 - margin), y1 + margin + 1), slice(max(0, x0 - margin), x1 + margin + 1)


def _grey(image: np.ndarray) -> np.ndarray:
    return image if image.ndim == 2 else image.mean(axis=-1)


def _flow(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """For each pixel of `after` (h, w), rows and columns to go to where it was on `before`, float32 (2, h, w)."""
    share = min(1.0, GRID_SIDE / max(after.shape))
    shape = tuple(max(2, round(length * share)) for length in after.shape)
    small = [resize(image, shape, order=1, anti_aliasing=share < 1).astype(np.float32) for image in (after, before)]
    flow = optical_flow_tvl1(*small, attachment=ATTACHMENT)
    return np.stack(
        [resize(part, after.shape, order=1) * (long / short) for part, long, short in zip(flow, after.shape, shape)]
    )
