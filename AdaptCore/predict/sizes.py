"""Sizes: the first clicks are asked in windows of several sizes at once, and a calibrated rule chooses (ours).

A model that sees a whole plane at 256 pixels misses what is small, and one that sees a small window does not know that
the object goes on. Before there is a mask nothing tells which of the two is meant but the answers themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import binary_dilation

from AdaptCore.predict.masks import iou, parts_at
from AdaptCore.predict.zoom import CropWindow, holds_clicks, rectangle_around
from AdaptCore.prompts import Click, Prompts

Spacing = tuple[float, float]
"""Millimetres from pixel to pixel along x and y."""

STABLE_LOGIT = 1.0
"""A mask is stable where its outline stays in place between minus and plus this threshold."""

MOST_LOGIT = 5.0
"""Logits count as no surer than this."""

RIM = 2
"""Pixels around the mask in which the answer should be sure as well."""

LEAST_SCORE = 0.01
LEAST_FILL = 1e-4

MOST_PIXELS = 512
"""Evidence is looked for on at most so many rows and columns."""


@dataclass(frozen=True)
class SizePolicy:
    """Which windows are asked besides the whole plane: halves of each other (ours).

    Attributes:
        millimetres: sides of the windows where the spacing is known, from the largest to the smallest.
        shares: sides as shares of the plane's longer side where it is not known, as in photographs.
        min_side: shortest side in pixels, as far as the plane allows.
        limit: windows whose longer side reaches this share of the plane's longer side show no more than the plane.
    """

    millimetres: tuple[float, ...] = (288.0, 144.0, 72.0, 36.0)
    shares: tuple[float, ...] = (0.5, 0.25, 0.125)
    min_side: int = 32
    limit: float = 0.75


@dataclass(frozen=True)
class Evidence:
    """What the answer in one window tells of itself; or how much each of that weighs.

    Attributes:
        score: predicted IoU, as logit.
        fill: logarithm of the side of the mask, as if it were square, as a share of the window's.
        fill_squared: its square.
        stable: share of the mask at a low threshold that is left at a high one.
        sure: mean distance of the logits from zero in the mask and its rim.
        one_part: share of the mask in the parts that were clicked.
        agreement: IoU with the answer at the next larger or smaller size, the better of the two.
        share: logarithm of the window's longer side as a share of the plane's.
        whole: 1 for the whole plane.
    """

    score: float
    fill: float
    fill_squared: float
    stable: float
    sure: float
    one_part: float
    agreement: float
    share: float
    whole: float


SCAN = Evidence(
    score=1.67,
    fill=0.354,
    fill_squared=-0.0954,
    stable=5.86,
    sure=3.14,
    one_part=2.45,
    agreement=2.81,
    share=-0.106,
    whole=0.296,
)
"""Weights for planes whose spacing is known: the object may be of any size.

Source: `adaptseg train --sizes compact`, which calibrates them on synthetic planes alone.
"""

PICTURE = Evidence(
    score=0.993,
    fill=0.233,
    fill_squared=-0.0351,
    stable=3.49,
    sure=1.16,
    one_part=3.68,
    agreement=1.06,
    share=1.28,
    whole=2.38,
)
"""Weights for planes whose spacing is not known: who took a picture has framed the object. Source: the same."""


def weights_for(spacing: Spacing | None) -> Evidence:
    """How much each kind of evidence weighs on planes of this spacing."""
    return PICTURE if spacing is None else SCAN


def support(evidence: Evidence, weights: Evidence) -> float:
    """How much speaks for an answer: the natural logarithm of its odds against those at other sizes."""
    return float(np.dot(astuple(evidence), astuple(weights)))


def sized_windows(
    prompts: Prompts, shape: tuple[int, int], spacing: Spacing | None, policy: SizePolicy
) -> list[CropWindow]:
    """Windows around the positive clicks, from the largest to the smallest, that hold all of them.

    Args:
        shape: (H, W) of the plane.
        spacing: of its pixels, None where it is not known.
    """
    clicks = [click for click in prompts.clicks if click.positive]
    centre = tuple((min(along) + max(along)) / 2 for along in zip(*((click.x, click.y) for click in clicks)))
    longest = max(shape)
    if spacing is None:
        sides = [(share * longest, share * longest) for share in policy.shares]
    else:
        sides = [(side / spacing[0], side / spacing[1]) for side in policy.millimetres]
    windows: list[CropWindow] = []
    for width, height in sides:
        whole = round(max(width, policy.min_side)), round(max(height, policy.min_side))
        window = rectangle_around((centre[0], centre[1]), whole, shape)
        fits = max(window.shape) < policy.limit * longest and window not in windows
        if fits and holds_clicks(window, prompts):
            windows.append(window)
    return windows


def evidence_of(
    logits: np.ndarray,
    score: float,
    window: CropWindow | None,
    prompts: Prompts,
    shape: tuple[int, int],
    agreement: float,
) -> Evidence:
    """What an answer tells of itself.

    Args:
        logits: float32 (h, w) of what the window shows.
        score: predicted IoU.
        window: None for the whole plane.
        prompts: in pixels of the window.
        shape: (H, W) of the plane.
        agreement: IoU with the answers at the next sizes.
    """
    step = math.ceil(max(logits.shape) / MOST_PIXELS)
    logits = logits[::step, ::step]
    mask = logits > 0
    area = _count(mask)
    clicked = [Click(click.x / step, click.y / step) for click in prompts.clicks if click.positive]
    fill = 0.5 * math.log(max(area / mask.size, LEAST_FILL))
    likely = min(max(score, LEAST_SCORE), 1 - LEAST_SCORE)
    sureness = np.abs(logits[binary_dilation(mask, iterations=RIM)]).clip(max=MOST_LOGIT)
    return Evidence(
        score=math.log(likely / (1 - likely)),
        fill=fill,
        fill_squared=fill**2,
        stable=_count(logits > STABLE_LOGIT) / max(1, _count(logits > -STABLE_LOGIT)),
        sure=float(sureness.mean()) if area else 0.0,
        one_part=_count(parts_at(mask, clicked)) / max(1, area),
        agreement=agreement,
        share=math.log(max(window.shape if window else shape) / max(shape)),
        whole=float(window is None),
    )


def agreements(masks: Sequence[np.ndarray]) -> list[float]:
    """IoU of each mask (H, W), from the largest size to the smallest, with the more alike of its neighbours."""
    pairs = [iou(larger, smaller) for larger, smaller in pairwise(masks)]
    return [max(near) for near in zip([0.0, *pairs], [*pairs, 0.0])]


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))
