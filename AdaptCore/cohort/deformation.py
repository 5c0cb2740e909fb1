"""A template's label carried over by a smooth deformation that brings its features onto those of a volume.

After ConvexAdam (Siebert, Hansen and Heinrich 2021), with the features of the frozen encoder in the place of hand-made
ones. Shifts d(x) say where in the template, laid over the volume centre on centre, the content of x lies. A search
among the offsets o of a ball on a coarse grid begins, in turn for each coupling k of `COUPLINGS`:

    d(x) = average over neighbours of  sum of o e(o) / sum of e(o)
    e(o) = exp( (cos(x, o) - k |o - d(x)|^2) / SHARPNESS )

where cos(x, o) is the similarity of features, averaged over neighbours too. Then Adam moves control points c, between
which d is interpolated, to lessen

    mean over x of |f(x) - t(x + d(x))|^2  +  STIFFNESS * mean over neighbouring control points of |c - c'|^2

with narrow features f and t (`Features.narrow`) and, in each step, another quarter of the cells x. No intensity is
compared, so the stored features are enough.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F

from AdaptCore.cohort.features import Features

SPACING = 2
"""Cells between control points, and cells of a coarse one of the search."""

RADIUS = 2
"""Of the search, in coarse cells."""

COUPLINGS = (0.0, 0.01, 0.03, 0.06)
SHARPNESS = 0.01
STIFFNESS = 0.005
STEPS = 20
STEP = 0.5
"""Voxels that a control point moves in a step of Adam, about."""

QUARTERS = ((0, 0), (1, 1), (0, 1), (1, 0))
"""First cells along i and j of those that a step looks at, every second one along both."""


def moved(template: Features, features: Features) -> torch.Tensor:
    """Control points of the deformation that fits a template to a volume: shifts in voxels, float32 (3, i, j, k)."""
    return _fitted(template, features, _searched(template, features))


def deformed(
    template: Features, shares: torch.Tensor, features: Features, points: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """What lies over a template, on the voxels of a volume, and how much the features that meet there are alike.

    Args:
        shares: values over the template's voxels, float32 (C, i, j, k).
        points: control points from `moved`.

    Returns:
        Values float32 (C, I, J, K), and cosine similarity averaged over neighbouring cells, float32 (I, J, K).
    """
    values = _read(shares, template, features, _between(points, features.shape))
    cosine = smooth((met(template, features, points) * features.tensor()).sum(0)[None])
    alike = F.interpolate(cosine[None], features.shape, mode="trilinear", align_corners=False)[0, 0]
    return values, alike


def met(template: Features, features: Features, points: torch.Tensor) -> torch.Tensor:
    """Features of a template that meet the cells of a volume, unit length in each, float32 (C, i, j, k).

    Args:
        points: control points from `moved`.
    """
    shift = _between(points, features.values.shape[1:])
    return F.normalize(_read(template.tensor(), template, features, shift), dim=0)


def smooth(values: torch.Tensor) -> torch.Tensor:
    """Mean over the 3 x 3 x 3 cells about each cell, of those that there are; (C, i, j, k)."""
    sides = values.shape[1:]
    cube, padding = [min(3, side) for side in sides], [int(side > 2) for side in sides]
    return F.avg_pool3d(values[None], cube, 1, padding, count_include_pad=False)[0].expand(-1, *sides)


def _searched(template: Features, features: Features) -> torch.Tensor:
    """Shifts in voxels on a coarse grid, (3, i', j', k')."""
    wanted = features.tensor()
    fine = wanted.shape[1:]
    i, j, k = (max(2, round(side / SPACING)) for side in fine)
    coarse = (i, j, k)
    known = _read(template.tensor(), template, features, torch.zeros(3, *fine))
    known, wanted = (F.normalize(F.adaptive_avg_pool3d(values, coarse), dim=0) for values in (known, wanted))
    known = F.pad(known[None], (RADIUS,) * 6, mode="replicate")[0]
    ball = itertools.product(range(-RADIUS, RADIUS + 1), repeat=3)
    offsets = [offset for offset in ball if sum(step * step for step in offset) <= RADIUS**2 + 1]
    windows = [(slice(None), *(slice(RADIUS + d, RADIUS + d + n) for d, n in zip(o, coarse))) for o in offsets]
    cosine = smooth(torch.stack([(wanted * known[window]).sum(0) for window in windows]))
    steps = torch.tensor(offsets, dtype=torch.float32)
    shift = torch.zeros(3, *coarse)
    for coupling in COUPLINGS:
        apart = (steps[..., None, None, None] - shift).square().sum(1)
        weights = ((cosine - coupling * apart) / SHARPNESS).softmax(0)
        shift = smooth(smooth(torch.einsum("oijk,oc->cijk", weights, steps)))
    cell = [side / n for side, n in zip(features.shape, coarse)]
    return shift * torch.tensor(cell).view(3, 1, 1, 1)


def _fitted(template: Features, features: Features, shift: torch.Tensor) -> torch.Tensor:
    """Control points, float32 of the shift's shape, moved until the features fit."""
    known, wanted = template.narrow(), features.narrow()
    grid = wanted.shape[1:]
    points = shift.clone().requires_grad_()
    optimizer = torch.optim.Adam([points], STEP)
    for _, quarter in zip(range(STEPS), itertools.cycle(QUARTERS)):
        seen = (slice(None), *(slice(first if side > 1 else 0, None, 2) for first, side in zip(quarter, grid)))
        places = _places(template, features, _between(points, grid))[seen[1:]]
        unlike = (_sampled(known, places) - wanted[seen]).square().sum(0).mean()
        bent = sum(points.diff(dim=axis).square().mean() for axis in (1, 2, 3))
        (unlike + STIFFNESS * bent).backward()
        optimizer.step()
        optimizer.zero_grad()
    return points.detach()


def _between(points: torch.Tensor, grid: Sequence[int]) -> torch.Tensor:
    """Shifts between control points."""
    return F.interpolate(smooth(points)[None], tuple(grid), mode="trilinear", align_corners=False)[0]


def _read(values: torch.Tensor, template: Features, features: Features, shift: torch.Tensor) -> torch.Tensor:
    """Values on a grid over the template, read at the places of a grid over the volume plus their shift in voxels."""
    return _sampled(values, _places(template, features, shift))


def _places(template: Features, features: Features, shift: torch.Tensor) -> torch.Tensor:
    """Where in a template the cells of a grid over the volume lie, as `grid_sample` takes it: (i, j, k, 3)."""
    axes = [((torch.arange(n) + 0.5) / n - 0.5) * side for n, side in zip(shift.shape[1:], features.shape)]
    places = torch.stack(torch.meshgrid(*axes, indexing="ij")) + shift
    relative = 2 * places / torch.tensor(template.shape).view(3, 1, 1, 1)
    return relative.flip(0).permute(1, 2, 3, 0)


def _sampled(values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return F.grid_sample(values[None], places[None], padding_mode="border", align_corners=False)[0]
