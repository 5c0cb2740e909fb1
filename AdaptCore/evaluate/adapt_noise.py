"""Users who accept bad masks: how a mask is spoilt before the learner gets it (ours)."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi, sin, sqrt
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.users import rng_for
from AdaptCore.predict.masks import depth

NoiseKind = Literal["dilated", "eroded", "shifted", "wrong", "large"]
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)

SHARE = 0.1
"""Of the object's equivalent radius or of its extent."""

WRONG_EVERY = 5
"""One in so many masks is that of another object."""


@dataclass(frozen=True)
class Noise:
    """How a user's masks are wrong.

    `dilated`, `eroded`: accepted masks by a tenth of the object's equivalent radius; `shifted`: by a tenth of its
    extent in a random direction; `wrong`: one in five is another object; `large`: the user wants masks that are
    dilated so, and clicks for them. Each is by one pixel at least.
    """

    kind: NoiseKind
    seed: int = 0

    def wanted(self, truth: np.ndarray) -> np.ndarray:
        """The mask bool (H, W) that the user wants where the reference is `truth`."""
        return dilated(truth) if self.kind == "large" else truth

    def accepted(self, mask: np.ndarray, item_id: str, place: int, before: np.ndarray | None) -> np.ndarray:
        """What the learner is told instead of an accepted mask, bool (H, W).

        Args:
            item_id: of the image; its chance depends on it and on the seed only.
            place: of the image in the sequence.
            before: the mask of the image before, of any size, None for the first image.
        """
        if self.kind == "dilated":
            return dilated(mask)
        if self.kind == "eroded":
            return eroded(mask)
        if self.kind == "shifted":
            return shifted(mask, 2 * pi * rng_for(self.seed, item_id).random())
        if self.kind == "wrong" and place % WRONG_EVERY == self.seed % WRONG_EVERY:
            return another(mask, before)
        return mask


def dilated(mask: np.ndarray) -> np.ndarray:
    """A mask grown by a tenth of its equivalent radius."""
    if not mask.any():
        return mask
    return np.asarray(ndimage.distance_transform_edt(~mask) <= _step(mask))


def eroded(mask: np.ndarray) -> np.ndarray:
    """A mask shrunk by a tenth of its equivalent radius; one that would vanish keeps its deepest pixels."""
    inside = depth(mask)
    left = inside > _step(mask)
    return left if left.any() else mask & (inside == inside.max())


def shifted(mask: np.ndarray, angle: float) -> np.ndarray:
    """A mask moved by a tenth of its extent towards an angle in radians; what leaves the image is lost."""
    boxes = ndimage.find_objects(mask.astype(np.uint8))
    if not boxes:
        return mask
    distance = max(1.0, SHARE * max(side.stop - side.start for side in boxes[0]))
    rows, columns = round(distance * sin(angle)), round(distance * cos(angle))
    return np.asarray(ndimage.shift(mask, (rows, columns), order=0))


def another(mask: np.ndarray, before: np.ndarray | None) -> np.ndarray:
    """Another object's mask of the same size: that of the image before or this one, where it overlaps least.

    It may stay in place, be mirrored, or be moved by half the image.
    """
    source = mask if before is None or not before.any() else _resized(before, mask.shape)
    half = (mask.shape[0] // 2, mask.shape[1] // 2)
    places = [source, source[:, ::-1], source[::-1], np.roll(source, half, (0, 1))]
    return np.ascontiguousarray(min(places, key=lambda place: metrics.iou(mask, place)))


def _step(mask: np.ndarray) -> float:
    return max(1.0, SHARE * sqrt(mask.sum() / pi))


def _resized(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Nearest neighbour."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, mask.shape))
    return mask[rows[:, None], columns[None, :]]
