"""Only what was pointed at: parts of a mask that hold no + prompt, and touch none that does, are dropped (ours)."""

from __future__ import annotations

import numpy as np

from AdaptCore.predict.masks import binarize, filled, parts_of
from AdaptCore.predict.zoom import OUTSIDE_LOGIT
from AdaptCore.prompts import Prompts


def pointed_pixels(prompts: Prompts, shape: tuple[int, int], start: np.ndarray | None = None) -> np.ndarray:
    """Where a plane of (H, W) was pointed at, bool (H, W): + clicks, the inside of the box or lasso, and a mask.

    Args:
        start: bool (H, W), a mask that the prompts correct; None for none.
    """
    pixels = np.zeros(shape, bool) if start is None else start.copy()
    if prompts.lasso is not None:
        pixels |= filled(prompts.lasso.points, shape)
    elif prompts.box is not None:
        box = prompts.box
        left, top = (max(0, int(np.ceil(low))) for low in (box.x0, box.y0))
        pixels[top : int(np.floor(box.y1)) + 1, left : int(np.floor(box.x1)) + 1] = True
    for click in prompts.clicks:
        if click.positive:
            pixels[click.place_in(shape)] = True
    return pixels


def only_pointed(logits: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Logits, (H, W) or (S, S, S), without the parts of their mask that hold none of the pixels; corners connect.

    A mask that holds none of them at all stays as it is. The given array is not changed.
    """
    parts, count = parts_of(binarize(logits))
    kept = np.unique(parts[pixels])
    kept = kept[kept > 0]
    if not kept.size or kept.size == count:
        return logits
    return np.where((parts > 0) & ~np.isin(parts, kept), np.minimum(logits, np.float32(OUTSIDE_LOGIT)), logits)
