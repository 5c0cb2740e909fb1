"""What prompts say of the parts of a mask: those not pointed at are dropped, a given mask is corrected (ours)."""

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
    mask = binarize(logits)
    strays = mask & ~parts_that_hold(mask, pixels)
    if not strays.any() or np.array_equal(strays, mask):
        return logits
    return np.where(strays, np.minimum(logits, np.float32(OUTSIDE_LOGIT)), logits)


def corrected(given: np.ndarray, answer: np.ndarray, prompts: Prompts) -> np.ndarray:
    """A given mask, bool (H, W), with what + prompts add and without what - clicks take away; elsewhere it stays.

    Args:
        answer: bool (H, W), the model's to all prompts, which began from the given mask.
    """
    missed = np.zeros(given.shape, bool)
    for click in prompts.clicks:
        if not click.positive:
            missed[click.place_in(given.shape)] = True
    added = parts_that_hold(answer & ~given, pointed_pixels(prompts, given.shape))
    return (given | added) & ~parts_that_hold(given & ~answer, missed)


def parts_that_hold(mask: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """The connected parts of a mask that hold any of some pixels, both bool (H, W); corners connect."""
    parts, _ = parts_of(mask)
    held = np.unique(parts[pixels])
    return np.isin(parts, held[held > 0])
