"""Dense features of a volume from the frozen encoder, computed once and kept on a coarse grid.

SemiSAM-O1 (section 3.1) takes dense features of every volume once; how planes become a volume is ours. Planes along all
three axes are encoded, each resized to the model's input as any plane is, so that a small volume fills it. Of each
embedding the map nearest to `CELLS` cells a side is taken and brought to the grid; the mean over the axes is
standardized channel by channel over the volume, which removes what a scanner adds everywhere. A fixed random projection
brings any number of channels to `CHANNELS` and keeps angles (Johnson and Lindenstrauss 1984); so the size is known
beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.models.base import Embedding, Model
from AdaptCore.predict.geometry import axis_plane, check_volume, extract
from AdaptCore.predict.intensity import apply_window, auto_window

CELLS = 32
"""Cells along the longest side of a volume, and most planes encoded along an axis."""

CHANNELS = 64
NARROW = 16
"""Channels where cells are compared very often."""

NARROWEST_PLANE = 16
"""Planes with a shorter side, in voxels, are not encoded where others are."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Features:
    """What the frozen encoder knows of a volume.

    Attributes:
        values: float16 (C, i', j', k') on a grid of equal cells over the whole volume, unit length in each cell.
        shape: (I, J, K) of the volume.
    """

    values: np.ndarray
    shape: tuple[int, int, int]

    @property
    def nbytes(self) -> int:
        """Memory of the features in bytes."""
        return self.values.nbytes

    def tensor(self) -> torch.Tensor:
        """The values as float32 (C, i', j', k')."""
        return torch.from_numpy(self.values).float()

    def narrow(self) -> torch.Tensor:
        """The values on `NARROW` fixed orthogonal directions, float32 (NARROW, i', j', k'); about unit length."""
        generator = torch.Generator().manual_seed(0)
        directions = torch.linalg.qr(torch.randn(len(self.values), NARROW, generator=generator))[0]
        return (len(self.values) / NARROW) ** 0.5 * torch.einsum("cijk,cd->dijk", self.tensor(), directions)


def grid_of(shape: Sequence[int]) -> tuple[int, int, int]:
    """Cells along i, j, k of a volume (I, J, K); a cell is about a cube of voxels, and never smaller than one."""
    side = max(1.0, max(shape) / CELLS)
    i, j, k = (max(1, round(length / side)) for length in shape)
    return i, j, k


def size_of(model: Model, shape: Sequence[int]) -> int:
    """Bytes of the features of a volume (I, J, K), the same for every model."""
    return CHANNELS * math.prod(grid_of(shape)) * np.dtype(np.float16).itemsize


def features_of(
    model: Model,
    volume: np.ndarray,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Features:
    """Features of a volume (I, J, K) or (I, J, K, 3) with intensities as stored.

    Args:
        progress: called after each plane with (done, to do).
        cancelled: asked before each plane.

    Raises:
        CancelledError: `cancelled` said yes.
        ImageError: it is no volume, or the model cannot take its planes.
    """
    shape = check_volume(volume)
    shown, grid = apply_window(volume, auto_window(volume)), grid_of(shape)
    planes = {axis: _plane_indices(shape[axis]) for axis in _axes(shape)}
    total, done, summed = sum(map(len, planes.values())), 0, torch.zeros(())
    for axis, indices in planes.items():
        maps, cells = [], _others(grid, axis)
        for index in indices:
            if cancelled is not None and cancelled():
                raise CancelledError
            embedding = model.encode(extract(shown, axis_plane(shape, axis, index)))
            maps.append(_on_grid(embedding, cells))
            done += 1
            if progress is not None:
                progress(done, total)
        summed = summed + _along(torch.stack(maps, -1), grid[axis]).movedim(-1, axis + 1)
    return Features(_projected(_standardized(summed)).half().numpy(), shape)


def _axes(shape: Sequence[int]) -> list[int]:
    """Axes whose planes are wide enough to be read; all if none is."""
    wide = [axis for axis in range(3) if min(_others(shape, axis)) >= NARROWEST_PLANE]
    return wide or [0, 1, 2]


def _others(sides: Sequence[int], axis: int) -> tuple[int, int]:
    first, second = (side for other, side in enumerate(sides) if other != axis)
    return first, second


def _plane_indices(length: int) -> list[int]:
    """At most `CELLS` planes, in the middle of equal parts."""
    count = min(length, CELLS)
    return [int((part + 0.5) * length / count) for part in range(count)]


def _on_grid(embedding: Embedding, grid: tuple[int, int]) -> torch.Tensor:
    """The chosen map of a plane without padding, float32 C x grid; its rows are the second of the plane's axes."""
    chosen = min(embedding.features, key=lambda level: abs(level.shape[-1] - CELLS))
    cells = (math.ceil(side * chosen.shape[-1] / embedding.input_side) for side in embedding.input_shape)
    height, width = cells
    columns_first = chosen[..., :height, :width].float().cpu().transpose(-1, -2)
    return F.interpolate(columns_first, grid, mode="bilinear", align_corners=False, antialias=True)[0]


def _along(maps: torch.Tensor, cells: int) -> torch.Tensor:
    """Maps of equally spaced planes, C x a x b x planes, on so many cells."""
    flat = maps.flatten(0, 2)[None]
    return F.interpolate(flat, cells, mode="linear", align_corners=False)[0].unflatten(0, maps.shape[:3])


def _standardized(values: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit deviation of each channel over the volume."""
    deviation, mean = torch.std_mean(values, (1, 2, 3), keepdim=True, correction=0)
    return (values - mean) / deviation.clamp(min=1e-3)


def _projected(values: torch.Tensor) -> torch.Tensor:
    """Values on a fixed random basis of `CHANNELS` dimensions, unit length in each cell."""
    basis = torch.randn(CHANNELS, len(values), generator=torch.Generator().manual_seed(0))
    return F.normalize(torch.einsum("pc,cijk->pijk", basis, values), dim=0)
