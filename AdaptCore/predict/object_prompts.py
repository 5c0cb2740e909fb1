"""Prompts on one object of a volume, and what windows of it show of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import PromptError
from AdaptCore.models.volume_prompts import NEGATIVE, PADDING, POSITIVE, VolumePrompts
from AdaptCore.predict.masks import depth
from AdaptCore.predict.windows import Triple, VolumeWindow, weights
from AdaptCore.prompts import SEEN_CLICKS, most_telling

Extent = tuple[Triple, Triple]
"""Lower and upper corner in voxel coordinates."""


@dataclass(frozen=True)
class VolumeClick:
    """A point on the object (positive) or on the background, in voxel coordinates (i, j, k).

    Raises:
        PromptError: a coordinate is not finite.
    """

    position: Triple
    positive: bool = True

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.position):
            raise PromptError(f"A click needs three finite coordinates, got {self.position}.")


@dataclass(frozen=True, eq=False)
class KnownSlice:
    """The mask on the voxels of one slice.

    Attributes:
        axis, index: which slice.
        mask: bool, with a length of one along `axis`.
        is_certain: whether the user told it, so that masks have it voxel by voxel; else it only guides the model.
    """

    axis: int
    index: int
    mask: np.ndarray
    is_certain: bool = True


@dataclass(frozen=True, eq=False)
class ObjectPrompts:
    """All prompts about one object, in the order they were given; the box is its lower and upper voxel corner."""

    clicks: tuple[VolumeClick, ...] = ()
    box: tuple[Triple, Triple] | None = None
    slices: tuple[KnownSlice, ...] = ()

    def with_more(self, added: ObjectPrompts) -> ObjectPrompts:
        """These and others: their box takes the place of this one, their slices those of the same place.

        A slice that is certain ends what was guessed across the same axis.
        """
        places = {(one.axis, one.index) for one in added.slices}
        axes = {one.axis for one in added.slices if one.is_certain}
        others = [one for one in self.slices if (one.axis, one.index) not in places]
        kept = [one for one in others if one.is_certain or one.axis not in axes]
        return ObjectPrompts((*self.clicks, *added.clicks), added.box or self.box, (*kept, *added.slices))

    @property
    def shows_object(self) -> bool:
        """Whether they show where the object is, not only where it is not."""
        drawn = self.box is not None or any(known.mask.any() for known in self.slices)
        return drawn or any(click.positive for click in self.clicks)

    @property
    def is_lone_click(self) -> bool:
        return len(self.clicks) == 1 and self.box is None and not self.slices


@dataclass(frozen=True, eq=False)
class Ask:
    """Prompts in one window."""

    window: VolumeWindow
    prompts: ObjectPrompts


def shown(asks: Sequence[Ask], shape: tuple[int, int, int], prior: Tensor | None = None) -> VolumePrompts:
    """The prompts as the model takes them, a batch of windows of one side.

    Args:
        shape: of the volume in voxels.
        prior: logits S x S x S of an earlier mask in the only window.
    """
    side = asks[0].window.side
    batch = VolumePrompts.empty((len(asks), side, side, side), torch.device("cpu"))
    clicks = [_seen(ask) or clicks_in(ask.prompts.slices) for ask in asks]
    most = max(map(len, clicks))
    points, labels = torch.zeros(len(asks), most, 3), torch.full((len(asks), most), PADDING)
    for row, (ask, given) in enumerate(zip(asks, clicks)):
        for place, click in enumerate(given):
            points[row, place] = torch.tensor(ask.window.to_samples(click.position))
            labels[row, place] = _label_in(ask.window, click)
    boxes = torch.tensor([_box_in(ask) for ask in asks])
    known = [known_in(ask.window, ask.prompts.slices, shape) for ask in asks]
    batch = replace(
        batch,
        points=points,
        labels=labels,
        box=boxes,
        slices=torch.stack([mask for mask, _ in known]),
        known=torch.stack([where for _, where in known]),
    )
    return batch if prior is None else replace(batch, prior=prior[None], has_prior=torch.ones(1))


def _seen(ask: Ask) -> tuple[VolumeClick, ...]:
    """The clicks that the model sees in a window: all of them, or the most telling of many."""
    clicks = ask.prompts.clicks
    if len(clicks) <= SEEN_CLICKS:
        return clicks
    inside = [click for click in clicks if ask.window.contains(click.position)]
    places = [ask.window.to_samples(click.position) for click in inside]
    return tuple(inside[place] for place in most_telling(places, [click.positive for click in inside]))


def _box_in(ask: Ask) -> list[float]:
    if ask.prompts.box is None:
        return [math.nan] * 6
    return [at for corner in ask.prompts.box for at in ask.window.to_samples(corner)]


def prompted_extent(prompts: ObjectPrompts) -> Extent | None:
    """The extent in voxels that a box or slices tell; None where there are none.

    Along each axis the slices that the user told count, else what the guesses agree on: one that leaks must not set the
    window.
    """
    if prompts.box is not None:
        return prompts.box
    told = [known for known in prompts.slices if known.mask.any()]
    if not told:
        return None
    bounds = [bounds_of(known) for known in told]
    low, high = np.min([low for low, _ in bounds], 0), np.max([high for _, high in bounds], 0)
    for axis in range(3):
        across = [(known, ends) for known, ends in zip(told, bounds) if known.axis != axis]
        certain = [ends for known, ends in across if known.is_certain]
        if certain:
            low[axis], high[axis] = min(low[axis] for low, _ in certain), max(high[axis] for _, high in certain)
        elif across:
            low[axis] = max(ends[0][axis] for _, ends in across)
            high[axis] = min(ends[1][axis] for _, ends in across)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def bounds_of(known: KnownSlice) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of a slice's mask in voxel coordinates."""
    places = np.argwhere(known.mask).astype(float)
    places[:, known.axis] = known.index
    return places.min(0) - 0.5, places.max(0) + 0.5


def _label_in(window: VolumeWindow, click: VolumeClick) -> int:
    """A click's label for the model; one outside of the window has nothing to say there."""
    if not window.contains(click.position):
        return PADDING
    return POSITIVE if click.positive else NEGATIVE


def clicks_in(slices: Iterable[KnownSlice]) -> tuple[VolumeClick, ...]:
    """A click in the middle of each known slice, for those who gave none: the model was taught with both."""
    middles = []
    for known in slices:
        inward = depth(known.mask.squeeze(known.axis))
        if inward.max() > 0:
            place = [int(at) for at in np.unravel_index(int(inward.argmax()), inward.shape)]
            place.insert(known.axis, known.index)
            middles.append(VolumeClick((float(place[0]), float(place[1]), float(place[2]))))
    return tuple(middles)


def known_in(window: VolumeWindow, slices: Iterable[KnownSlice], shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Masks of slices as a window shows them, float32 S x S x S, and where they are known."""
    side = window.side
    mask, known = torch.zeros(side, side, side), torch.zeros(side, side, side)
    for one in slices:
        place = int(np.rint(window.samples(np.array(float(one.index)), one.axis)))
        if not 0 <= place < side:
            continue
        values = torch.from_numpy(one.mask.astype(np.float32)).squeeze(one.axis)
        for axis in (axis for axis in range(3) if axis != one.axis):
            operator = weights(window.positions(axis), shape[axis], window.step[axis])
            values = torch.tensordot(values, torch.from_numpy(operator), dims=([0], [1]))
        mask.select(one.axis, place).copy_((values >= 0.5).float())
        known.select(one.axis, place).fill_(1.0)
    return mask, known
