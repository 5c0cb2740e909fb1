"""Windows of a volume: cubes of samples, even in millimetres, taken from the voxels and written back to them (ours).

Sampling works along one axis after the other, with weights that also average where samples are farther apart than
voxels. Its cost follows the window, not the volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import ImageError
from AdaptCore.models.volume_prompts import Triple

Box3 = tuple[slice, slice, slice]


@dataclass(frozen=True)
class VolumeWindow:
    """A cube of S x S x S samples along a volume's axes.

    Attributes:
        low: voxel coordinates of the cube's lower corner; voxel centres are at whole numbers.
        step: distance of samples in voxels along each axis.
        side: samples S along each axis.
    """

    low: Triple
    step: Triple
    side: int

    @classmethod
    def around(cls, centre: Triple, millimetres: float, spacing: Triple, side: int) -> VolumeWindow:
        """The window of this width in millimetres around voxel coordinates."""
        step = tuple(millimetres / side / space for space in spacing)
        low = tuple(at - side * one / 2 for at, one in zip(centre, step))
        return cls((low[0], low[1], low[2]), (step[0], step[1], step[2]), side)

    def positions(self, axis: int) -> np.ndarray:
        """Voxel coordinates of the samples along an axis, float64 (S)."""
        return self.low[axis] + (np.arange(self.side) + 0.5) * self.step[axis]

    def samples(self, voxels: np.ndarray, axis: int) -> np.ndarray:
        """Sample coordinates of voxel coordinates along an axis; sample centres are at whole numbers."""
        return (np.asarray(voxels, float) - self.low[axis]) / self.step[axis] - 0.5

    def to_samples(self, position: Triple) -> Triple:
        """Sample coordinates of a voxel."""
        i, j, k = (float(self.samples(np.array(at), axis)) for axis, at in enumerate(position))
        return i, j, k

    def contains(self, position: Triple, margin: float = 0.0) -> bool:
        """Whether a voxel lies in the cube, at least `margin` samples from its faces."""
        return all(margin - 0.5 <= at <= self.side - 0.5 - margin for at in self.to_samples(position))

    def millimetres(self, spacing: Triple) -> float:
        """Width of the cube."""
        return self.step[0] * self.side * spacing[0]

    def voxels(self, shape: tuple[int, int, int]) -> Box3:
        """The voxels of a volume whose centres lie in the cube; may be empty."""
        bounds = [
            (
                max(0, int(np.ceil(self.low[axis]))),
                min(length, int(np.floor(self.low[axis] + self.side * self.step[axis])) + 1),
            )
            for axis, length in enumerate(shape)
        ]
        i, j, k = (slice(first, max(first, last)) for first, last in bounds)
        return i, j, k


def weights(positions: np.ndarray, count: int, width: float) -> np.ndarray:
    """Weights float32 (P, count) that read a line of `count` values at positions; each row sums to one.

    Linear interpolation for a width up to 1, a triangle of that half width beyond; positions outside read the end.
    """
    at = np.clip(positions, 0, count - 1)
    reach = max(1.0, width)
    raw = np.clip(1 - np.abs(at[:, None] - np.arange(count)[None]) / reach, 0, None)
    return (raw / raw.sum(1, keepdims=True)).astype(np.float32)


def sample(
    volume: np.ndarray, window: VolumeWindow, limits: tuple[float, float] | None = None
) -> tuple[Tensor, Tensor]:
    """What a window shows of a volume (I, J, K): float32 S x S x S, and bool of the samples that lie in the volume.

    Args:
        limits: lowest and highest value that is shown as it is.

    Raises:
        ImageError: the window lies outside of the volume.
    """
    lines = [_line(window, axis, length) for axis, length in enumerate(volume.shape)]
    cut = volume[tuple(line.taken for line in lines)]
    values = torch.from_numpy(np.array(cut, dtype=np.float32, order="C"))
    finite = values.isfinite()
    if not bool(finite.all()):
        values = torch.where(finite, values, values[finite].min() if bool(finite.any()) else 0.0)
    if limits is not None:
        values.clamp_(*limits)
    inside = [torch.from_numpy(line.inside) for line in lines]
    there = inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    if not bool(there.any()):
        raise ImageError(f"A window at voxel {window.low} does not meet the volume of {volume.shape} voxels.")
    return along_axes(values, [line.weights for line in lines]), there


def along_axes(values: Tensor, operators: list[np.ndarray]) -> Tensor:
    """Apply weights (P, n) along each of the three axes of values."""
    for operator in operators:
        values = torch.tensordot(values, torch.from_numpy(operator), dims=([0], [1]))
    return values


def resample(logits: Tensor, held: VolumeWindow, wanted: VolumeWindow, outside: float) -> Tensor:
    """Logits S x S x S of one window as another one shows them; `outside` where the first does not reach."""
    operators, inside = [], []
    for axis in range(3):
        at = held.samples(wanted.positions(axis), axis)
        operators.append(weights(at, held.side, wanted.step[axis] / held.step[axis]))
        inside.append(torch.from_numpy((at >= -0.5) & (at <= held.side - 0.5)))
    there = inside[0][:, None, None] & inside[1][None, :, None] & inside[2][None, None, :]
    return torch.where(there, along_axes(logits, operators), outside)


def paste(logits: Tensor, window: VolumeWindow, shape: tuple[int, int, int]) -> tuple[Box3, np.ndarray]:
    """A window's logits on the voxels around what is positive: where, and float32 logits there.

    The box is empty where nothing is positive.
    """
    spans, nothing = _positive_spans(logits), ((slice(0, 0),) * 3, np.zeros((0, 0, 0), np.float32))
    if spans is None:
        return nothing
    box = []
    for axis, (places, (first, last)) in enumerate(zip(window.voxels(shape), spans)):
        voxels = np.arange(places.start, places.stop)
        at = window.samples(voxels, axis)
        voxels = voxels[(at >= first - 1.5) & (at <= last + 1.5)]
        if not voxels.size:
            return nothing
        box.append(slice(int(voxels[0]), int(voxels[-1]) + 1))
    held = (box[0], box[1], box[2])
    return held, on_voxels(logits, window, held)


def on_voxels(logits: Tensor, window: VolumeWindow, places: Box3) -> np.ndarray:
    """A window's logits on voxels of the volume, float32; beyond its faces those of the nearest samples."""
    for axis, part in enumerate(places):
        logits = interpolated(logits, window.samples(np.arange(part.start, part.stop), axis), axis)
    return logits.numpy()


def interpolated(values: Tensor, positions: np.ndarray, axis: int) -> Tensor:
    """Values read linearly at positions along one axis."""
    # Two reads and a mix: a matrix of weights would multiply mostly zeros, fifty times as slowly for a large organ.
    at = torch.from_numpy(np.clip(positions, 0, values.shape[axis] - 1).astype(np.float32))
    low = at.floor().long().clamp(max=max(0, values.shape[axis] - 2))
    part = (at - low).view([-1 if place == axis else 1 for place in range(3)])
    high = (low + 1).clamp(max=values.shape[axis] - 1)
    return torch.lerp(values.index_select(axis, low), values.index_select(axis, high), part)


def _positive_spans(logits: Tensor) -> list[tuple[int, int]] | None:
    """First and last sample with a positive logit along each axis; None where there is none."""
    positive = logits > 0
    spans = []
    for axis in range(3):
        there = positive.movedim(axis, 0).flatten(1).any(1).nonzero()
        if not len(there):
            return None
        spans.append((int(there[0]), int(there[-1])))
    return spans


@dataclass(frozen=True, eq=False)
class _Line:
    """Along one axis: the voxels that are read, their weights for each sample, and which samples lie in the volume."""

    taken: slice
    weights: np.ndarray
    inside: np.ndarray


def _line(window: VolumeWindow, axis: int, length: int) -> _Line:
    # Every second voxel or so is enough where samples are far apart: what is read stays as large as the window.
    stride = max(1, round(window.step[axis] / 2))
    positions, margin = window.positions(axis), max(1.0, window.step[axis])
    first = min(max(0, int(np.floor(positions[0] - margin))), length - 1)
    last = max(min(length, int(np.ceil(positions[-1] + margin)) + 1), first + 1)
    taken = slice(first, last, stride)
    count = len(range(first, last, stride))
    # A sample is as thick as its distance to the next: one slice may lie between the centres of two.
    reach = max(1.0, window.step[axis]) / 2
    inside = (positions >= -reach) & (positions <= length - 1 + reach)
    return _Line(taken, weights((positions - first) / stride, count, window.step[axis] / stride), inside)
