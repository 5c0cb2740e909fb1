"""Refinement: an object that a coarse window has found is predicted again, piece by piece along its border (ours)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from AdaptCore.predict.windows import Box3, Triple, VolumeWindow, on_voxels, sample

Predict = Callable[[VolumeWindow, Tensor], Tensor]
"""Gives the logits of a window, S x S x S, from those that are there."""


@dataclass(frozen=True)
class RefinementPolicy:
    """How fine the pieces are (ours).

    Attributes:
        gain: least ratio of the coarse window's step to the pieces' that is worth the time.
        finest: step of the pieces as a multiple of the finest voxel spacing, at least.
        ratio: step of the pieces as a share of the coarse window's, at least.
        stride: distance of pieces as a share of their width.
        rim: samples at the faces of a piece that are not kept.
    """

    gain: float = 1.5
    finest: float = 1.0
    ratio: float = 0.3
    stride: float = 0.7
    rim: int = 6


DEFAULT_REFINEMENT = RefinementPolicy()


@dataclass(eq=False)
class Field:
    """Logits on a box of voxels: float32, changed piece by piece."""

    box: Box3
    logits: np.ndarray


def pieces(
    field: Field, coarse: VolumeWindow, spacing: Triple, focus: Triple, policy: RefinementPolicy
) -> list[VolumeWindow]:
    """Windows along the object's border, nearest to `focus` (voxel coordinates) first; none where nothing is gained."""
    held = coarse.step[0] * spacing[0]
    step = max(policy.finest * min(spacing), policy.ratio * held)
    if held < policy.gain * step:
        return []
    width = step * coarse.side
    places = _border(field.logits > 0)
    if not len(places):
        return []
    corner = np.array([part.start for part in field.box])
    millimetres = (places + corner) * np.array(spacing)
    cells = np.unique(np.floor(millimetres / (policy.stride * width)).astype(int), axis=0)
    centres = (cells + 0.5) * policy.stride * width / np.array(spacing)
    order = np.argsort((((centres - np.array(focus)) * np.array(spacing)) ** 2).sum(1))
    side = coarse.side
    return [VolumeWindow.around((float(i), float(j), float(k)), width, spacing, side) for i, j, k in centres[order]]


def refine(field: Field, windows: list[VolumeWindow], predict: Predict, policy: RefinementPolicy) -> Iterator[Box3]:
    """Predict in each window and lay the logits over the field; gives the voxels that each has changed."""
    for window in windows:
        prior, _ = sample(field.logits, _moved(window, field.box))
        logits = predict(window, prior)
        kept = _kept(window, field.box, policy.rim)
        if all(part.stop > part.start for part in kept):
            local = tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(kept, field.box))
            field.logits[local] = on_voxels(logits, window, kept)
            yield kept


def _border(mask: np.ndarray) -> np.ndarray:
    """Voxels (n, 3) of a mask that have a neighbour outside of it."""
    return np.argwhere(mask & ~ndimage.binary_erosion(mask))


def _moved(window: VolumeWindow, box: Box3) -> VolumeWindow:
    """A window in the coordinates of a box of voxels."""
    i, j, k = (at - part.start for at, part in zip(window.low, box))
    return VolumeWindow((i, j, k), window.step, window.side)


def _kept(window: VolumeWindow, box: Box3, rim: int) -> Box3:
    """The voxels of a box that lie in a window, without its rim."""
    spans = []
    for axis, part in enumerate(box):
        low = window.low[axis] + rim * window.step[axis]
        high = window.low[axis] + (window.side - rim) * window.step[axis]
        first, last = max(part.start, int(np.ceil(low))), min(part.stop, int(np.floor(high)) + 1)
        spans.append(slice(first, max(first, last)))
    return spans[0], spans[1], spans[2]


def field_of(logits: Tensor, window: VolumeWindow, shape: tuple[int, int, int], margin: float = 0.08) -> Field:
    """A window's logits on the voxels around what is positive, with a margin as a share of the window's side."""
    positive = torch.nonzero(logits > 0)
    low, high = positive.amin(0) - margin * window.side, positive.amax(0) + margin * window.side
    spans = []
    for axis, part in enumerate(window.voxels(shape)):
        ends = [window.low[axis] + (float(at[axis]) + 0.5) * window.step[axis] for at in (low, high)]
        first, last = max(part.start, int(np.floor(ends[0]))), min(part.stop, int(np.ceil(ends[1])) + 1)
        spans.append(slice(first, max(first, last)))
    box = (spans[0], spans[1], spans[2])
    return Field(box, on_voxels(logits, window, box))
