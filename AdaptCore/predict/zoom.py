"""Zoom: where a second look at native resolution pays, as a window of the plane (ours)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from AdaptCore.prompts import Box, Click, Prompts

OUTSIDE_LOGIT = -1.0
"""Highest logit that stays outside a window once the second look has been pasted."""


@dataclass(frozen=True)
class ZoomPolicy:
    """When and how far to zoom; the values were chosen on synthetic scenes.

    Attributes:
        margin: added on each side of the object, as a share of its bounding box's longer side.
        limit: no zoom where the window's longer side reaches this share of the longer side of what is seen already.
        min_side: shortest window side in pixels, as far as the plane allows.
        min_clicks: no zoom before this many clicks unless a box is given: an early mask is often only a part of the
            object, and a window around the part hides the rest.
    """

    margin: float = 0.5
    limit: float = 0.75
    min_side: int = 32
    min_clicks: int = 5


def zoom_policy(zoom: ZoomPolicy | bool | None) -> ZoomPolicy | None:
    """A policy as it is, the default one for True, none for False and None."""
    return ZoomPolicy() if zoom is True else zoom or None


@dataclass(frozen=True)
class CropWindow:
    """A rectangle of whole pixels: columns x0 to x1 and rows y0 to y1, without x1 and y1."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def shape(self) -> tuple[int, int]:
        """(h, w) in pixels."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def slices(self) -> tuple[slice, slice]:
        """The window's rows and columns of an array (H, W)."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def contains(self, x: float, y: float) -> bool:
        """Whether a point of the plane lies on the window's pixels."""
        return self.x0 - 0.5 <= x <= self.x1 - 0.5 and self.y0 - 0.5 <= y <= self.y1 - 0.5

    def contains_box(self, box: Box) -> bool:
        """Whether a box of the plane lies on the window's pixels as a whole."""
        return self.contains(box.x0, box.y0) and self.contains(box.x1, box.y1)


def choose_window(
    mask: np.ndarray,
    prompts: Prompts,
    plane_shape: tuple[int, int],
    policy: ZoomPolicy,
    seen: CropWindow | None = None,
) -> CropWindow | None:
    """A roughly square window around the object in `mask` (H, W), its positive clicks and its box.

    Negative clicks do not enlarge the window: those outside it are already answered by the object staying inside.
    None where there is no object, or where the window would not be much smaller than what is seen already.

    Args:
        seen: the window that is seen already, None for the plane.
    """
    bounds = mask_bounds(mask)
    if bounds is None:
        return None
    x0, y0, x1, y1 = _around_prompts(bounds, prompts)
    longer = max(x1 - x0, y1 - y0) + 1
    side = max(policy.min_side, round(longer * (1 + 2 * policy.margin)))
    if side >= policy.limit * max(seen.shape if seen else plane_shape):
        return None
    return rectangle_around(((x0 + x1) / 2, (y0 + y1) / 2), (side, side), plane_shape)


def rectangle_around(centre: tuple[float, float], size: tuple[int, int], plane_shape: tuple[int, int]) -> CropWindow:
    """The window of `size` (w, h) pixels around `centre` (x, y), moved into the plane (H, W) and cut to it."""
    height, width = plane_shape
    left, right = _span(centre[0], size[0], width)
    top, bottom = _span(centre[1], size[1], height)
    return CropWindow(left, top, right, bottom)


def tell_extent(prompts: Prompts, policy: ZoomPolicy) -> bool:
    """Whether the prompts say enough of the object's extent for a second look."""
    return prompts.box is not None or len(prompts.clicks) >= policy.min_clicks


def mask_bounds(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """First and last column and row (x0, y0, x1, y1) of a mask (H, W), all inclusive; None for an empty one."""
    columns = np.flatnonzero(mask.any(axis=0))
    if not columns.size:
        return None
    rows = np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def touches_border(mask: np.ndarray, window: CropWindow) -> bool:
    """Whether the plane's mask (H, W) reaches a side of the window that is not a side of the plane."""
    height, width = mask.shape
    inside = mask[window.slices]
    return bool(
        (window.x0 > 0 and inside[:, 0].any())
        or (window.y0 > 0 and inside[0].any())
        or (window.x1 < width and inside[:, -1].any())
        or (window.y1 < height and inside[-1].any())
    )


def prompts_in(prompts: Prompts, window: CropWindow) -> Prompts:
    """The prompts in the window's own pixels: clicks outside are dropped, the box is clipped."""
    clicks = tuple(click for click in prompts.clicks if window.contains(click.x, click.y))
    box = prompts.box and clip_box(prompts.box, window)
    return Prompts(clicks, box).shifted(-window.x0, -window.y0)


def clip_box(box: Box, window: CropWindow) -> Box | None:
    """The part of the box inside the window, None if there is none."""
    x0, x1 = max(box.x0, window.x0 - 0.5), min(box.x1, window.x1 - 0.5)
    y0, y1 = max(box.y0, window.y0 - 0.5), min(box.y1, window.y1 - 0.5)
    return Box(x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def paste(base: torch.Tensor, window: CropWindow, logits: torch.Tensor) -> torch.Tensor:
    """A new plane (H, W): `logits` (h, w) inside the window, outside it `base` held at `OUTSIDE_LOGIT` or below."""
    plane = base.clamp(max=OUTSIDE_LOGIT)
    plane[window.slices] = logits
    return plane


def window_holds(window: CropWindow, added: Prompts, mask: np.ndarray) -> bool:
    """Whether the window still suffices: the added prompts lie inside and the mask (H, W) leaves its border free.

    Negative clicks outside are already answered by the object staying inside.
    """
    if not holds_clicks(window, added):
        return False
    if added.box is not None and not window.contains_box(added.box):
        return False
    return not touches_border(mask, window)


def holds_clicks(window: CropWindow, prompts: Prompts) -> bool:
    """Whether all positive clicks lie in the window."""
    return all(window.contains(click.x, click.y) for click in prompts.clicks if click.positive)


def _around_prompts(bounds: tuple[int, int, int, int], prompts: Prompts) -> tuple[float, float, float, float]:
    positive: list[Click] = [click for click in prompts.clicks if click.positive]
    xs = [bounds[0], bounds[2], *(click.x for click in positive)]
    ys = [bounds[1], bounds[3], *(click.y for click in positive)]
    if prompts.box is not None:
        xs += [prompts.box.x0, prompts.box.x1]
        ys += [prompts.box.y0, prompts.box.y1]
    return min(xs), min(ys), max(xs), max(ys)


def _span(centre: float, side: int, size: int) -> tuple[int, int]:
    """`side` pixels around `centre`, moved into 0 to `size`, and cut to it where it is too long."""
    start = min(max(0, round(centre - (side - 1) / 2)), max(0, size - side))
    return start, min(size, start + side)
