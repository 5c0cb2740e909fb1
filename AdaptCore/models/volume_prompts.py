"""Prompts of volumes: what users tell of an object in a window, and the maps that a network sees of it.

Beside where prompts lie, the maps hold what they say of the image: how far each cell's intensity is from those clicked
on, how much likelier it is inside than outside of what is known, and how far each cell lies from seeds along paths
without edges. A network that gets these learns what is left to learn from far fewer examples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

Triple = tuple[float, float, float]

POSITIVE, NEGATIVE, PADDING = range(3)

GUIDES = 4
"""Intensities of a cell that points are compared with: its mean rank, its mean, and both blurred."""

RANKS = (0, 2)
"""The guides that are ranks."""

EDGES = 2
"""The guide whose steps paths are measured by."""

PROMPT_CHANNELS = 2 * (2 + GUIDES) + 1 + 8 + 1 + 8 + 1 + 2 * len(RANKS) + 2 * 2
"""Maps of + and of - points (narrow, wide, difference from the intensities there), box, earlier logits with their
flag, known slices with where they are known, likelihoods by known slices and by the earlier logits, paths from what is
known to be inside and from what is known to be outside."""

FAR = 2.0
"""Difference of intensities where there is no point to compare with."""

BINS, FAITH, MOST_LIKELY = 24, 5.0, 3.0
"""Bins of a histogram of ranks, how many cells of the window as a whole are added to it, and the largest log ratio."""

EDGE_COST, SWEEPS, DECAYS = 4.0, 2, (0.5, 2.0)
"""Cost of a step between ranks beside that of crossing the window, which is 1; sweeps through the window in each
direction; decay lengths of the maps."""


@dataclass(frozen=True, eq=False)
class VolumePrompts:
    """A batch of prompts on windows of S x S x S voxels.

    Attributes:
        points: float32 B x P x 3, positions along the window's axes; voxel centres at whole numbers.
        labels: int64 B x P, one of POSITIVE, NEGATIVE, PADDING.
        box: float32 B x 6, lower then upper corner along the axes; NaN where there is none.
        prior: float32 B x S x S x S, logits of an earlier mask; ignored where `has_prior` is 0.
        has_prior: float32 B.
        slices: float32 B x S x S x S, the mask where it is known, in [0, 1].
        known: float32 B x S x S x S, 1 where `slices` holds, 0 elsewhere.
    """

    points: Tensor
    labels: Tensor
    box: Tensor
    prior: Tensor
    has_prior: Tensor
    slices: Tensor
    known: Tensor

    @classmethod
    def empty(cls, size: Sequence[int], device: torch.device) -> VolumePrompts:
        """No prompts on a batch of windows, B x S x S x S."""
        batch, volume = size[0], torch.zeros(tuple(size), device=device)
        return cls(
            torch.zeros(batch, 0, 3, device=device),
            torch.zeros(batch, 0, dtype=torch.long, device=device),
            torch.full((batch, 6), torch.nan, device=device),
            volume,
            torch.zeros(batch, device=device),
            volume,
            volume,
        )

    def to(self, device: torch.device) -> VolumePrompts:
        """The same prompts on a device."""
        return VolumePrompts(*(getattr(self, part.name).to(device) for part in fields(self)))


def fold(x: Tensor) -> Tensor:
    """B x C x S x S x S -> B x 8C x S/2 x S/2 x S/2: eight voxels become channels."""
    batch, channels, *size = x.shape
    parts = x.reshape(batch, channels, size[0] // 2, 2, size[1] // 2, 2, size[2] // 2, 2)
    return parts.permute(0, 1, 3, 5, 7, 2, 4, 6).flatten(1, 4)


def guides(window: Tensor) -> Tensor:
    """What prompts are compared with, B x (GUIDES + 1) x S/2 x S/2 x S/2 of a window as `volumetric.prepare` gives it.

    The last channel is the share of a cell that lies in the volume.
    """
    means = torch.stack([window[:, 8:16].mean(1), window[:, :8].mean(1)], 1).float()
    blurred = F.avg_pool3d(means, 3, 1, 1, count_include_pad=False)
    return torch.cat([means, blurred, window[:, 16:].float()], 1)


def prompt_maps(prompts: VolumePrompts, guide: Tensor, radius: float, reach: float) -> Tensor:
    """Prompts as maps at half resolution, float32 B x PROMPT_CHANNELS x S/2 x S/2 x S/2.

    Args:
        guide: as of `guides`.
        radius: of a point on the narrow maps, in voxels.
        reach: decay length of the wide maps, as a share of the window's side.
    """
    side = prompts.prior.shape[-1]
    guide, share = guide[:, :GUIDES].float(), guide[:, GUIDES].float()
    grid = torch.arange(0, side, 2, device=prompts.points.device, dtype=torch.float32) + 0.5
    cells = ((prompts.points + 0.5) / 2).floor().long().clamp(0, len(grid) - 1)
    maps = [*point_maps(prompts, grid, side, radius, reach), *difference_maps(prompts.labels, cells, guide)]
    maps.append(filled_box(prompts.box, grid)[:, None])
    flag = prompts.has_prior[:, None, None, None, None]
    maps += [fold(torch.tanh(prompts.prior / 4)[:, None]) * flag, flag.expand_as(maps[-1])]
    known = fold(prompts.known[:, None])
    told = fold((prompts.known * (2 * prompts.slices - 1))[:, None])
    maps += [told, known.amax(1, keepdim=True)]
    inner, outer = ((known + told) / 2).mean(1), ((known - told) / 2).mean(1)
    earlier = fold(prompts.prior.sigmoid()[:, None]).mean(1)
    # Stacked, since a list of places as index would be copied to an accelerator, which the program then waits for.
    ranks = torch.stack([guide[:, rank] for rank in RANKS], 1)
    maps.append(likelihood(ranks, inner * share, outer * share))
    maps.append(likelihood(ranks, earlier * flag[:, 0] * share, (1 - earlier) * flag[:, 0] * share))
    for label, part, rest in ((POSITIVE, inner, outer), (NEGATIVE, outer, inner)):
        away = paths(seeded(prompts.labels == label, cells, part > rest), guide[:, EDGES])
        maps.append(torch.stack([(-away / decay).exp() for decay in DECAYS], 1))
    return torch.cat(maps, 1)


def point_maps(prompts: VolumePrompts, grid: Tensor, side: int, radius: float, reach: float) -> list[Tensor]:
    """Narrow and wide maps of + points, then of - points, each B x 1 x h x h x h."""
    offsets = [(grid[None, None] - prompts.points[:, :, axis, None]) ** 2 for axis in range(3)]
    maps = []
    for label in (POSITIVE, NEGATIVE):
        nearest = grid.new_full((len(prompts.points), len(grid), len(grid), len(grid)), torch.inf)
        for place in range(prompts.points.shape[1]):
            depth, row, column = (offset[:, place] for offset in offsets)
            squared = depth[:, :, None, None] + row[:, None, :, None] + column[:, None, None, :]
            other = (prompts.labels[:, place] != label)[:, None, None, None]
            nearest = torch.minimum(nearest, squared.masked_fill(other, torch.inf))
        away = nearest.sqrt()
        maps += [((radius + 1 - away) / 2).clamp(0, 1)[:, None]]
        maps += [(-away / (reach * side)).exp()[:, None]]
    return maps


def difference_maps(labels: Tensor, cells: Tensor, guide: Tensor) -> list[Tensor]:
    """How much each cell differs from the nearest in intensity of the + points, and of the - points, B x GUIDES each.

    Points outside of the window are compared with the cell nearest to them.
    """
    batch = torch.arange(len(guide), device=guide.device)
    maps = []
    for label in (POSITIVE, NEGATIVE):
        least = torch.full_like(guide, FAR)
        for place in range(cells.shape[1]):
            depth, row, column = cells[:, place].unbind(1)
            there = guide[batch, :, depth, row, column][:, :, None, None, None]
            other = (labels[:, place] != label)[:, None, None, None, None]
            least = torch.minimum(least, (guide - there).abs().masked_fill(other, FAR))
        maps.append(least)
    return maps


def filled_box(box: Tensor, grid: Tensor) -> Tensor:
    """Inside of each box on the grid with soft edges, B x h x h x h; zero where there is none."""
    low, high = box[:, :3, None], box[:, 3:, None]
    depth, row, column = torch.minimum(grid - low, high - grid).unbind(1)
    nearest = torch.minimum(torch.minimum(depth[:, :, None, None], row[:, None, :, None]), column[:, None, None, :])
    return (nearest / 2 + 0.5).clamp(0, 1).nan_to_num(0.0)


def likelihood(ranks: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """Log ratio of how frequent each cell's rank is inside and outside of what is known, B x R x h x h x h in [-1, 1].

    Args:
        ranks: B x R x h x h x h in [-1, 1].
        inner, outer: weights B x h x h x h of the cells that are known; the ratio is 0 where none are.
    """
    place = (ranks.flatten(2) + 1) * ((BINS - 1) / 2)
    low = place.floor().long().clamp(0, BINS - 2)
    part = place - low

    def histogram(weight: Tensor) -> Tensor:
        """B x R x BINS, smoothed."""
        spread = weight.flatten(1)[:, None].expand_as(place)
        counts = place.new_zeros(*place.shape[:2], BINS)
        counts = counts.scatter_add(2, low, spread * (1 - part)).scatter_add(2, low + 1, spread * part)
        return F.avg_pool1d(counts, 3, 1, 1, count_include_pad=False)

    whole = histogram(torch.ones_like(inner)) + 1e-3
    whole = FAITH * whole / whole.sum(2, keepdim=True)
    inside, outside = (
        (whole + counts) / (FAITH + counts.sum(2, keepdim=True)) for counts in (histogram(inner), histogram(outer))
    )
    ratio = (inside / outside).log().clamp(-MOST_LIKELY, MOST_LIKELY) / MOST_LIKELY
    return torch.lerp(ratio.gather(2, low), ratio.gather(2, low + 1), part).view_as(ranks)


def seeded(asked: Tensor, cells: Tensor, seeds: Tensor) -> Tensor:
    """Seeds bool B x h x h x h, and the cells B x P x 3 of the points that are `asked` for, B x P."""
    side = seeds.shape[-1]
    flat = (cells[..., 0] * side + cells[..., 1]) * side + cells[..., 2]
    counts = seeds.flatten(1).float().scatter_add(1, flat, asked.float())
    return (counts > 0).view_as(seeds)


def paths(seeds: Tensor, guide: Tensor) -> Tensor:
    """Length of the shortest path from seeds to each cell, B x h x h x h; infinite where there are no seeds.

    A step to a neighbour costs its share of the window's side, and far more across an edge. Sweeps along each axis to
    and fro leave a path that turns often a little too long (after the raster scans of Criminisi et al., GeoS).
    """
    away = torch.where(seeds, 0.0, torch.inf)
    least, costs = 1 / guide.shape[-1], []
    for axis in range(1, 4):
        steps = guide.diff(dim=axis) * EDGE_COST
        costs.append((steps.square() + least**2).sqrt().movedim(axis, 0))
    for _ in range(SWEEPS):
        for axis, cost in enumerate(costs, 1):
            # Lists of slices: writing into one tensor slice by slice is several times slower.
            lines = list(away.movedim(axis, 0))
            for place in range(1, len(lines)):
                lines[place] = torch.minimum(lines[place], lines[place - 1] + cost[place - 1])
            for place in range(len(lines) - 2, -1, -1):
                lines[place] = torch.minimum(lines[place], lines[place + 1] + cost[place])
            away = torch.stack(lines, axis)
    return away
