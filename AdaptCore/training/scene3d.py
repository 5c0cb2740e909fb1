"""Synthetic volumes with many objects, their intensities and the faults of devices: seeded, in batches, on any device.

Each scene is drawn object by object. An object has a field (positive inside), a label of its own, and paints its
intensity with its own softness, so that partial volume is part of the painting. Every label that can be seen can be
asked for. The scenes of one batch have the same kinds of objects in the same order, each with its own numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.training.fields import (
    Draw,
    Grid,
    along,
    beside,
    chain,
    chance,
    ellipsoid,
    grain,
    length,
    lobed,
    local,
    log_uniform,
    network,
    path,
    random_rotations,
    solid,
    tree,
    uniform,
    wide,
)

LABELS = 96
"""Most labels of a scene; 0 to 7 are regions of the background."""

NOTHING = 7
"""Label of the air around a body and of padding, which nobody asks for."""

COPIES = 6
"""Members of a chain of alike neighbours."""


@dataclass(frozen=True, eq=False)
class SceneBatch:
    """Scenes on one grid of points.

    Attributes:
        image: float32 B x D x H x W.
        labels: int64 B x D x H x W.
        inside: bool B x D x H x W, False where the volume has no voxels.
        parent: int64 B x LABELS, the label that a label lies in; itself if in none.
        thickness: voxels that the device averaged along each axis, int64 (3).
        extent: (axis, length) where an axis ends before the grid does, None where none does.
    """

    image: Tensor
    labels: Tensor
    inside: Tensor
    parent: Tensor
    thickness: Tensor
    extent: tuple[int, int] | None = None


@dataclass(eq=False)
class Painting:
    """The scene under way."""

    draw: Draw
    grid: Grid
    points: Tensor
    image: Tensor
    labels: Tensor
    parent: Tensor
    textures: list[Tensor]
    last: int = 8
    centres: list[Tensor] = field(default_factory=list)
    radii: list[Tensor] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)

    @property
    def batch(self) -> int:
        return self.grid.batch

    def new_label(self, count: int = 1) -> int:
        """The first of `count` labels that are free."""
        self.last += count
        return self.last - count

    def texture(self, draw: Draw, value: Tensor, contrast: float = 1.0) -> Tensor:
        """Intensity of one material around `value` B, with texture, patches or a slope, as it happens."""
        fine, middle, coarse = self.textures
        strength = log_uniform(draw, 0.005, 0.14, 3, self.batch).to(fine.device) * contrast
        turned = torch.roll(fine, int(torch.randint(0, fine.shape[-1], (), generator=draw)), -1)
        patches = (middle > wide(uniform(draw, 0.2, 1.2, self.batch).to(fine.device))).float()
        patchy = wide((strength[1] * chance(draw, 0.3, self.batch).to(fine.device)) * 2)
        return wide(value.to(fine.device)) + wide(strength[0]) * turned + patchy * patches + wide(strength[2]) * coarse

    def paint(self, shape: Tensor, value: Tensor, number: Tensor | int, present: Tensor, label: bool = True) -> None:
        """Lay a shape over the scene: its material with a soft edge, and its label."""
        device = self.points.device
        softness = self.grid.step * log_uniform(self.draw, 0.25, 1.2, self.batch)
        softness = torch.where(chance(self.draw, 0.12, self.batch), softness * 4, softness)
        alpha = (shape / wide(softness.to(device))).clamp(-9, 9).sigmoid() * wide(present.to(device).float())
        self.image = torch.lerp(self.image, self.texture(self.draw, value), alpha)
        if label:
            covered = (shape > 0) & wide(present.to(device))
            self.labels = torch.where(covered, torch.as_tensor(number, device=device), self.labels)


def scenes(draw: Draw, grid: Grid) -> SceneBatch:
    """Scenes on the points of a grid; all random numbers come from `draw`, a generator on the CPU."""
    painting = background(draw, grid)
    warped = warp(draw, grid)
    kinds = KINDS if grid.flat is None else KINDS + FLAT_KINDS
    shares = torch.tensor([share for share, _ in kinds])
    for _ in range(int(torch.randint(4, 11, (), generator=draw))):
        painting.points = warped if torch.rand((), generator=draw) < 0.7 else grid.points
        kind = int(torch.multinomial(shares, 1, generator=draw))
        kinds[kind][1](painting)
    return through_device(painting)


def warp(draw: Draw, grid: Grid) -> Tensor:
    """The grid's points displaced by a smooth field."""
    cells = int(torch.randint(1, 5, (), generator=draw))
    strength = uniform(draw, 0.0, 0.35, grid.batch).to(grid.device) / cells
    return grid.points + grid.noise(draw, cells, 3) * wide(strength)[:, None]


def background(draw: Draw, grid: Grid) -> Painting:
    """Regions of tissue, often inside a body with air around it."""
    batch, device, shape = grid.batch, grid.device, grid.shape
    fine = blurred(grain(draw, shape, device), float(uniform(draw, 0.3, 1.2)))
    middle, coarse = (
        grid.noise(draw, int(torch.randint(*span, (), generator=draw)))[:, 0] for span in ((6, 20), (2, 6))
    )
    parent = torch.arange(LABELS).expand(batch, -1).clone()
    painting = Painting(
        draw,
        grid,
        grid.points,
        torch.zeros(shape, device=device),
        torch.zeros(shape, dtype=torch.long, device=device),
        parent,
        [fine / fine.std().clamp(min=1e-3), middle, coarse],
    )
    regions = int(torch.randint(1, 7, (), generator=draw))
    contrast = log_uniform(draw, 0.05, 1.0, batch)
    values = 0.5 + (uniform(draw, 0, 1, regions, batch) - 0.5) * contrast
    painting.image = painting.texture(draw, values[0])
    if regions > 1:
        cells = int(torch.randint(2, 7, (), generator=draw))
        which = grid.noise(draw, cells, regions).argmax(1)
        painting.labels = which
        for number in range(1, regions):
            mask = (which == number).float()
            soft = blurred(mask, 0.6)
            painting.image = torch.lerp(painting.image, painting.texture(draw, values[number]), soft)
    if torch.rand((), generator=draw) < 0.4:
        radii = uniform(draw, 0.7, 1.6, batch, 3)
        body = solid(
            local(grid.points, 0.3 * torch.randn(batch, 3, generator=draw), random_rotations(draw, batch)),
            radii,
            torch.full((batch,), 2.5),
        )
        painting.paint(-body, uniform(draw, -0.6, 0.1, batch), NOTHING, chance(draw, 0.8, batch))
    return painting


def place(painting: Painting, low: float, high: float) -> tuple[Tensor, Tensor, Tensor]:
    """Centre B x 3, rotation B x 3 x 3 and radius B of a new object."""
    draw, batch = painting.draw, painting.batch
    radius = log_uniform(draw, low, high, batch)
    return uniform(draw, -1, 1, batch, 3) * 0.95, random_rotations(draw, batch), radius


def value_beside(painting: Painting) -> Tensor:
    """An intensity that differs from the scene's mean, a little or a lot, B."""
    draw, batch = painting.draw, painting.batch
    away = log_uniform(draw, 0.12, 0.9, batch) * torch.where(chance(draw, 0.5, batch), 1.0, -1.0)
    return painting.image.mean((1, 2, 3)).cpu() + away


def rough(painting: Painting, field_: Tensor, radius: Tensor, most: float = 0.5) -> Tensor:
    """A field with an uneven surface."""
    draw = painting.draw
    cells = int(torch.randint(2, 13, (), generator=draw))
    amount = uniform(draw, 0.0, most, painting.batch) * radius
    return field_ + painting.grid.noise(draw, cells)[:, 0] * wide(amount.to(field_.device))


def body_of(painting: Painting, u: Tensor, radius: Tensor) -> Tensor:
    """A compact shape: superellipsoid or lobes, rough or smooth."""
    draw, batch = painting.draw, painting.batch
    if torch.rand((), generator=draw) < 0.6:
        radii = radius[:, None] * log_uniform(draw, 0.4, 1.0, batch, 3)
        shape = solid(u, radii, uniform(draw, 1.4, 5.0, batch))
    else:
        shape = lobed(draw, u, radius, int(torch.randint(2, 6, (), generator=draw)))
    return rough(painting, shape, 0.5 * radius)


def finish(
    painting: Painting, shape: Tensor, centre: Tensor, radius: Tensor, number: Tensor | int | None = None
) -> None:
    """Paint an object, sometimes with a rim of its own, and remember where it is."""
    draw, batch = painting.draw, painting.batch
    present = chance(draw, 0.85, batch)
    value = value_beside(painting)
    own = painting.new_label() if number is None else number
    if torch.rand((), generator=draw) < 0.25:
        rim = wide((radius * uniform(draw, 0.05, 0.4, batch)).to(shape.device))
        painting.paint(shape + rim, value_beside(painting), 0, present & chance(draw, 0.6, batch), label=False)
    painting.paint(shape, value, own, present)
    if number is None:
        painting.centres.append(centre)
        painting.radii.append(radius)
        painting.numbers.append(int(own))


def paint_blob(painting: Painting) -> None:
    """A compact object of any size."""
    centre, turn, radius = place(painting, 0.08, 1.1)
    finish(painting, body_of(painting, local(painting.points, centre, turn), radius), centre, radius)


def paint_small(painting: Painting) -> None:
    """Several tiny objects, each with its own label, alike in intensity."""
    draw, batch = painting.draw, painting.batch
    value = value_beside(painting)
    for _ in range(int(torch.randint(1, 5, (), generator=draw))):
        centre, turn, radius = place(painting, 0.05, 0.16)
        shape = body_of(painting, local(painting.points, centre, turn), radius)
        painting.paint(shape, value, painting.new_label(), chance(draw, 0.8, batch))


def paint_crescent(painting: Painting) -> None:
    """A compact object with a bite taken out of its side."""
    draw, batch = painting.draw, painting.batch
    centre, turn, radius = place(painting, 0.2, 1.0)
    u = local(painting.points, centre, turn)
    bite = beside(u, (radius * uniform(draw, 0.4, 0.9, batch))[:, None] * torch.tensor([1.0, 0.0, 0.0]))
    inner = ellipsoid(bite, radius[:, None] * uniform(draw, 0.6, 1.0, batch, 3))
    finish(painting, torch.minimum(body_of(painting, u, radius), -inner), centre, radius)


def paint_shell(painting: Painting) -> None:
    """A wall around a cavity, closed or open on one side, as a myocardium or a skull."""
    draw, batch = painting.draw, painting.batch
    centre, turn, radius = place(painting, 0.25, 1.1)
    u = local(painting.points, centre, turn)
    outer = body_of(painting, u, radius)
    width = wide((radius * uniform(draw, 0.08, 0.35, batch)).to(u.device))
    shape = torch.minimum(outer, width - outer)
    cut = wide((radius * torch.where(chance(draw, 0.5, batch), uniform(draw, 0.0, 0.7, batch), 9.0)).to(u.device))
    number = painting.new_label()
    if torch.rand((), generator=draw) < 0.6:
        painting.paint(outer - width, value_beside(painting), number, chance(draw, 0.9, batch))
    finish(painting, torch.minimum(shape, cut - u[:, 0]), centre, radius)


def paint_folds(painting: Painting) -> None:
    """A folded sheet of even thickness around a core, as a cortex, with core and sheet as objects."""
    draw, batch = painting.draw, painting.batch
    centre, turn, radius = place(painting, 0.4, 1.2)
    u = local(painting.points, centre, turn)
    base = ellipsoid(u, radius[:, None] * uniform(draw, 0.6, 1.0, batch, 3))
    cells = int(torch.randint(4, 12, (), generator=draw))
    folds = painting.grid.noise(draw, cells)[:, 0] * wide((radius * uniform(draw, 0.08, 0.3, batch)).to(u.device))
    width = wide((radius * uniform(draw, 0.05, 0.2, batch)).to(u.device))
    finish(painting, base + 0.5 * folds, centre, radius)
    finish(painting, base + folds - width, centre, radius)


def paint_sheet(painting: Painting) -> None:
    """A curved sheet through the scene: a level of a smooth field."""
    draw, batch = painting.draw, painting.batch
    centre, _, radius = place(painting, 0.4, 1.2)
    level = painting.grid.noise(draw, int(torch.randint(1, 4, (), generator=draw)))[:, 0]
    width = wide(uniform(draw, 0.03, 0.15, batch).to(level.device))
    away = length(beside(painting.points, centre))
    shape = torch.minimum((width - level.abs()) * 0.4, wide(radius.to(level.device)) - away)
    finish(painting, shape, centre, radius)


def paint_tube(painting: Painting) -> None:
    """A curved vessel or bowel, sometimes with a wall."""
    draw, batch = painting.draw, painting.batch
    centre, _, _ = place(painting, 0.1, 0.2)
    heading = torch.nn.functional.normalize(torch.randn(batch, 3, generator=draw), dim=1)
    width = log_uniform(draw, 0.05, 0.25, batch)
    knots = path(draw, centre, heading, uniform(draw, 0.6, 2.5, batch), 0.25, 7)
    widths = width[:, None] * uniform(draw, 0.7, 1.3, batch, 8)
    shape = rough(painting, along(painting.points, knots, widths), width, 0.3)
    finish(painting, shape, centre, width)


def paint_tree(painting: Painting) -> None:
    """Branching vessels or airways."""
    draw, batch = painting.draw, painting.batch
    width = log_uniform(draw, 0.05, 0.14, batch)
    shape = tree(draw, painting.points, width, int(torch.randint(2, 4, (), generator=draw)))
    finish(painting, shape, torch.zeros(batch, 3), width)


def paint_network(painting: Painting) -> None:
    """Thin vessels all over a plane, as photographs and projections show them."""
    draw, batch, flat = painting.draw, painting.batch, painting.grid.flat
    assert flat is not None
    width = log_uniform(draw, 0.012, 0.06, batch)
    shape = network(draw, flat, width, int(torch.randint(1, 4, (), generator=draw)))
    finish(painting, shape.expand(painting.grid.shape), torch.zeros(batch, 3), width)


def paint_chain(painting: Painting) -> None:
    """Alike neighbours in a row, each an object, with something between them or nothing."""
    draw, batch = painting.draw, painting.batch
    centre, turn, radius = place(painting, 0.12, 0.5)
    u = local(painting.points, 0.5 * centre, turn)
    size = radius[:, None] * log_uniform(draw, 0.5, 1.3, batch, 3)
    size[:, 0] = radius * uniform(draw, 0.4, 0.9, batch)
    pitch = 2 * size[:, 0] * uniform(draw, 0.98, 1.4, batch)
    bend = uniform(draw, -0.5, 0.5, batch)
    shape, member = chain(u, size, pitch, uniform(draw, 2.0, 7.0, batch), COPIES, bend)
    if torch.rand((), generator=draw) < 0.6:
        between, _ = chain(u, size * torch.tensor([9.0, 0.9, 0.9]), pitch, torch.full((batch,), 8.0), 1, bend)
        within = wide((COPIES / 2 * pitch).to(u.device)) - u[:, 0].abs()
        painting.paint(
            torch.minimum(between, within), value_beside(painting), painting.new_label(), chance(draw, 0.9, batch)
        )
    first = painting.new_label(COPIES)
    finish(painting, rough(painting, shape, radius, 0.25), centre, radius, first + member)


def paint_lesion(painting: Painting) -> None:
    """An object inside one that is there already; the outer one may be asked for with or without it."""
    if not painting.centres:
        paint_blob(painting)
    draw, batch = painting.draw, painting.batch
    host = int(torch.randint(0, len(painting.centres), (), generator=draw))
    outer = painting.radii[host]
    offset = torch.nn.functional.normalize(torch.randn(batch, 3, generator=draw), dim=1)
    centre = painting.centres[host] + offset * (outer * uniform(draw, 0.0, 0.7, batch))[:, None]
    radius = (outer * log_uniform(draw, 0.12, 0.6, batch)).clamp(min=0.06)
    shape = body_of(painting, local(painting.points, centre, random_rotations(draw, batch)), radius)
    painting.parent[:, painting.last] = painting.numbers[host]
    finish(painting, shape, centre, radius)


KINDS: tuple[tuple[float, Callable[[Painting], None]], ...] = (
    (3.0, paint_blob),
    (1.2, paint_small),
    (0.8, paint_crescent),
    (1.0, paint_shell),
    (0.5, paint_folds),
    (0.4, paint_sheet),
    (1.2, paint_tube),
    (0.6, paint_tree),
    (1.3, paint_chain),
    (2.0, paint_lesion),
)
"""Kinds of objects with their shares."""

FLAT_KINDS = ((1.0, paint_network),)
"""Kinds that planes show besides."""


def blurred(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of B x D x H x W with a deviation in voxels; an axis of one voxel stays as it is."""
    if sigma < 0.2:
        return x
    reach = max(1, int(2.5 * sigma + 0.5))
    kernel = torch.exp(-(torch.arange(-reach, reach + 1, device=x.device) ** 2) / (2 * sigma**2))
    kernel = kernel / kernel.sum()
    out = x[:, None]
    for axis in range(3):
        size = x.shape[1 + axis]
        if size <= reach:
            continue
        moved = out.movedim(2 + axis, -1)
        flat = F.pad(moved.reshape(-1, 1, size), (reach, reach), mode="replicate")
        total = sum(kernel[k] * flat[..., k : k + size] for k in range(2 * reach + 1))
        out = total.reshape(moved.shape).movedim(-1, 2 + axis)  # type: ignore[union-attr]
    return out[:, 0]


def through_device(painting: Painting) -> SceneBatch:
    """What a device makes of the scene: bias, blur, thick slices, noise, a window, padding, a cut field of view."""
    draw, image, batch = painting.draw, painting.image, painting.batch
    device = image.device
    cells = int(torch.randint(1, 4, (), generator=draw))
    bias = wide(uniform(draw, 0, 0.35, batch).to(device) * chance(draw, 0.5, batch).to(device))
    image = image * (bias * painting.grid.noise(draw, cells)[:, 0]).exp()
    image = blurred(image, float(uniform(draw, 0.0, 1.3)))
    thickness = thick_slices(draw, image.shape)
    strength = wide(log_uniform(draw, 0.004, 0.12, batch).to(device))
    speckle = blurred(grain(draw, painting.grid.shape, device), float(uniform(draw, 0.0, 0.7)))
    image = sliced(image + strength * speckle * float(thickness.prod()) ** 0.25, thickness)
    image = torch.where(wide(chance(draw, 0.2, batch).to(device)), (image**2 + (strength * speckle) ** 2).sqrt(), image)
    image = torch.where(wide(chance(draw, 0.3, batch).to(device)), -image, image)
    low, high = (torch.quantile(image.flatten(1)[:, ::13], q, dim=1) for q in (0.01, 0.99))
    span = (high - low).clamp(min=1e-3)
    cut = chance(draw, 0.4, batch).to(device)
    low = torch.where(cut, low + span * uniform(draw, 0, 0.25, batch).to(device), low - 9 * span)
    high = torch.where(cut, high - span * uniform(draw, 0, 0.25, batch).to(device), high + 9 * span)
    image = torch.minimum(torch.maximum(image, wide(low)), wide(high))
    inside = field_of_view(draw, painting.grid.points)
    shown = chance(draw, 0.5, batch).to(device)
    image = torch.where(inside, image, wide(image.amin((1, 2, 3))))
    # Nobody draws an object into padding, where it cannot be seen.
    labels = torch.where(inside, painting.labels, NOTHING)
    return SceneBatch(image, labels, inside | wide(shown), painting.parent, thickness)


def thick_slices(draw: Draw, shape: torch.Size) -> Tensor:
    """Voxels that become one along each axis: thick slices in three scenes of ten, coarse voxels in two of ten."""
    thickness = torch.ones(3, dtype=torch.long)
    if torch.rand((), generator=draw) < 0.3:
        axis = int(torch.randint(0, 3, (), generator=draw))
        thickness[axis] = int(torch.randint(2, 9, (), generator=draw))
    elif torch.rand((), generator=draw) < 0.25:
        thickness[:] = 2
    return torch.minimum(thickness, torch.tensor([max(1, length // 4) for length in shape[1:]]))


def sliced(x: Tensor, thickness: Tensor) -> Tensor:
    """B x D x H x W averaged over thick slices and interpolated between their centres, as a viewer resamples them."""
    step = tuple(int(value) for value in thickness)
    if max(step) == 1:
        return x
    coarse = F.avg_pool3d(x[:, None], step, step, ceil_mode=True, count_include_pad=False)
    return F.interpolate(coarse, x.shape[1:], mode="trilinear", align_corners=False)[:, 0]


def field_of_view(draw: Draw, points: Tensor) -> Tensor:
    """bool B x D x H x W: most windows lie in the volume, some reach over its faces."""
    batch = len(points)
    limits = torch.where(chance(draw, 0.06, batch, 6), uniform(draw, 0.1, 1.0, batch, 6), 2.0).to(points.device)
    inside = torch.ones_like(points[:, 0], dtype=torch.bool, device=points.device)
    for axis in range(3):
        inside &= (points[:, axis] < wide(limits[:, axis])) & (points[:, axis] > -wide(limits[:, 3 + axis]))
    return inside
