"""Raters of synthetic objects: outlines that differ systematically from person to person (ours).

A style acts in the same way on every image: tight or generous, with or without the soft rim, with or without thin
protrusions, smooth or detailed. Preference learning has something to learn because of that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from AdaptCore.models.frame import equivalent_radius
from AdaptCore.training.shapes import Mask, signed_distance


@dataclass(frozen=True)
class RaterStyle:
    """How one person draws; all zeros is the true outline.

    Attributes:
        offset: outward shift of the outline, as a share of the object's equivalent radius.
        rim: shift in units of the object's edge softness: -1 leaves the soft rim out, +1 takes it in.
        protrusions: 0 keeps thin parts, 1 cuts off what is thinner than a third of the object's inscribed radius.
        smoothness: 0 keeps detail, 1 smooths the outline over a fifth of the equivalent radius.
    """

    offset: float = 0.0
    rim: float = 0.0
    protrusions: float = 0.0
    smoothness: float = 0.0


def random_style(rng: np.random.Generator) -> RaterStyle:
    """How a person drawn at random outlines objects."""
    return RaterStyle(
        offset=float(np.clip(rng.normal(0, 0.07), -0.15, 0.15)),
        rim=float(rng.uniform(-1, 1)),
        protrusions=float(rng.random() < 0.3),
        smoothness=float(max(0.0, rng.uniform(-0.6, 1))),
    )


def draw(mask: Mask, softness: float, style: RaterStyle) -> Mask:
    """Outline the true object `mask`, (H, W) or (S, S, S), whose edge is `softness` pixels wide, in a person's style.

    An object that the style would remove is returned unchanged.
    """
    radius = equivalent_radius(float(mask.sum()), mask.ndim)
    distance = signed_distance(mask)
    if style.protrusions > 0:
        depth = style.protrusions * float(distance.max()) / 3
        core = distance > depth
        distance = np.minimum(distance, depth - ndimage.distance_transform_edt(~core).astype(np.float32) + 1)
    if style.smoothness > 0:
        distance = ndimage.gaussian_filter(distance, 0.2 * style.smoothness * radius, truncate=2.5)
    drawn = distance > -(style.offset * radius + style.rim * softness)
    return drawn if drawn.sum() >= 0.2 * mask.sum() else mask.copy()
