"""The simulated user: clicks where the prediction is most wrong, on a plane or in a volume."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AdaptCore.predict.masks import depth, largest_part, parts_of
from AdaptCore.prompts import Click

JITTER = 1.0
"""Standard deviation, in pixels along each axis, of how far an unsteady user clicks from where they mean to."""


@dataclass(frozen=True)
class VoxelClick:
    """A click at voxel (i, j, k)."""

    voxel: tuple[int, int, int]
    positive: bool = True


def next_click(
    truth: np.ndarray, prediction: np.ndarray, rng: np.random.Generator, jitter: bool = False
) -> Click | None:
    """Click in the middle of the thickest error, as a user does who repairs the worst place first.

    The Euclidean distance transforms of the false-negative and of the false-positive region are compared; the click
    goes to the maximum of the larger one, positive on missed object and negative on false object. What lies beyond the
    image border counts as outside. Pixels that tie (of either region) are drawn from `rng`.

    Args:
        truth: bool (H, W), the wanted mask.
        prediction: bool (H, W), the present mask; an empty one gives the first click, which lies on the object.
        rng: the only source of chance.
        jitter: click somewhere in the connected part around that place instead, see `unsteady`.

    Returns:
        The click at integer (x, y) pixel coordinates, or None when the masks are equal.

    Source: the usual simulation of interactive segmentation (RITM, Sofiiuk et al. 2022, section 4), ties ours.
    """
    missed, wrong = depth(truth & ~prediction), depth(prediction & ~truth)
    distance = np.maximum(missed, wrong)
    if distance.max() == 0:
        return None
    place = deepest(distance, rng)
    if jitter:
        error = missed if truth[place] else wrong
        numbers, _ = parts_of(error > 0)
        place = unsteady(np.where(numbers == numbers[place], error, 0), rng)
    row, column = place
    return Click(float(column), float(row), positive=bool(truth[place]))


def next_voxel(
    truth: np.ndarray,
    prediction: np.ndarray,
    spacing: Sequence[float],
    rng: np.random.Generator,
    jitter: bool = False,
) -> VoxelClick | None:
    """Click in the middle of the largest error of a volume, as nnInteractive and the CVPR challenge simulate it.

    Of the connected parts of what is missed and of what is false, the one with most voxels gets the click, where it is
    deepest in millimetres; ties are drawn from `rng`, of parts the first counts, missed before false.

    Args:
        truth, prediction: bool (I, J, K); an empty prediction gives the first click, which lies on the object.
        spacing: millimetres along i, j, k.
        rng: the only source of chance.
        jitter: click somewhere in that part instead, see `unsteady`.

    Returns:
        None when the masks are equal.
    """
    missed, false = largest_part(truth & ~prediction), largest_part(prediction & ~truth)
    if not missed.any() and not false.any():
        return None
    positive = bool(missed.sum() >= false.sum())
    return VoxelClick(_voxel_in(missed if positive else false, spacing, rng, jitter), positive)


def first_voxel(
    truth: np.ndarray, spacing: Sequence[float], rng: np.random.Generator, jitter: bool = False
) -> VoxelClick:
    """The click of `next_voxel` on an object bool (I, J, K), never empty, of which nothing is found yet."""
    return VoxelClick(_voxel_in(largest_part(truth), spacing, rng, jitter))


def deepest(distance: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    """The place of the largest distance; one of several is drawn."""
    places = np.argwhere(distance == distance.max())
    return _place(places[rng.integers(len(places)) if len(places) > 1 else 0])


def unsteady(distance: np.ndarray, rng: np.random.Generator) -> tuple[int, ...]:
    """A place drawn by the square root of its distance to the border, then missed by a pixel or so (ours).

    Clicks in the very middle flatter a method. A miss that leaves the region is not made: users see where they click.

    Args:
        distance: 0 outside of the region.
    """
    places = np.argwhere(distance > 0)
    weights = np.sqrt(distance[distance > 0])
    meant = places[rng.choice(len(places), p=weights / weights.sum())]
    hit = meant + np.rint(rng.normal(0, JITTER, len(meant))).astype(int)
    inside = ((hit >= 0) & (hit < distance.shape)).all() and distance[_place(hit)] > 0
    return _place(hit if inside else meant)


def rng_for(seed: int, item_id: str) -> np.random.Generator:
    """The user's chance on one item: the same whatever other items are run, and for every model."""
    return np.random.default_rng([seed, zlib.crc32(item_id.encode())])


def _voxel_in(
    region: np.ndarray, spacing: Sequence[float], rng: np.random.Generator, jitter: bool
) -> tuple[int, int, int]:
    distance = depth(region, spacing)
    i, j, k = unsteady(distance, rng) if jitter else deepest(distance, rng)
    return i, j, k


def _place(index: np.ndarray) -> tuple[int, ...]:
    return tuple(int(part) for part in index)
