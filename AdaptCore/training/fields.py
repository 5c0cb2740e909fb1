"""Implicit shapes of synthetic scenes on any points: batches of fields that are positive inside, in torch.

A field is float32 B x D x H x W, about the distance to the shape's surface in units of the scene (a window reaches
from -1 to 1 along each axis). Fields are functions of position, so that a cube and an oblique plane show the same
object. Points are float32 B x 3 x D x H x W.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

Draw = torch.Generator


def uniform(draw: Draw, low: float, high: float, *shape: int) -> Tensor:
    """Even random numbers."""
    return low + (high - low) * torch.rand(shape, generator=draw)


def log_uniform(draw: Draw, low: float, high: float, *shape: int) -> Tensor:
    """Random numbers whose logarithm is even."""
    return uniform(draw, math.log(low), math.log(high), *shape).exp()


def chance(draw: Draw, share: float, *shape: int) -> Tensor:
    """bool, True for this share."""
    return torch.rand(shape, generator=draw) < share


def grain(draw: Draw, shape: tuple[int, ...], device: torch.device) -> Tensor:
    """Normal random numbers for each voxel, drawn where they are used."""
    seed = int(torch.randint(0, 2**62, (), generator=draw))
    return torch.randn(shape, generator=torch.Generator(device).manual_seed(seed), device=device)


def wide(values: Tensor) -> Tensor:
    """B -> B x 1 x 1 x 1, to go with fields."""
    return values[:, None, None, None]


@dataclass(frozen=True, eq=False)
class Grid:
    """Points of B scenes: the voxels of a cube, or any others, such as those of a plane.

    Attributes:
        points: float32 B x 3 x D x H x W, from -1 to 1.
        step: distance of neighbouring points.
        is_cube: whether they fill the scene from face to face.
        flat: for planes, their own coordinates from -1 to 1, B x 3 x 1 x H x W with the first one 0: for what lies in a
            plane, as a photograph or a projection shows it.
    """

    points: Tensor
    step: float
    is_cube: bool
    flat: Tensor | None = None

    @classmethod
    def cube(cls, batch: int, side: int, device: torch.device) -> Grid:
        """The voxels of a window of `side`^3."""
        axis = (torch.arange(side, device=device) + 0.5) * 2 / side - 1
        points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"))
        return cls(points.expand(batch, -1, -1, -1, -1), 2 / side, True)

    @property
    def batch(self) -> int:
        return len(self.points)

    @property
    def device(self) -> torch.device:
        return self.points.device

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(B, D, H, W)."""
        batch, _, depth, height, width = self.points.shape
        return batch, depth, height, width

    def noise(self, draw: Draw, cells: int, channels: int = 1) -> Tensor:
        """Smooth random fields of about unit deviation with this many cells across the scene, B x C x D x H x W."""
        lattice = torch.randn(self.batch, channels, *[cells + 1] * 3, generator=draw).to(self.device)
        if cells <= 6:
            fine = F.interpolate(lattice, size=3 * cells + 1, mode="trilinear", align_corners=True)
            lattice = F.avg_pool3d(fine, 3, 1, 1, count_include_pad=False) * 1.5
        if self.is_cube:
            # Ten times as fast as sampling at the same points.
            return F.interpolate(lattice, size=self.shape[1:], mode="trilinear", align_corners=True)
        places = self.points.flip(1).movedim(1, -1)
        return F.grid_sample(lattice, places, mode="bilinear", padding_mode="reflection", align_corners=True)


def random_rotations(draw: Draw, batch: int) -> Tensor:
    """Rotation matrices, B x 3 x 3, evenly distributed (from random quaternions)."""
    w, x, y, z = F.normalize(torch.randn(batch, 4, generator=draw), dim=1).unbind(1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, 1).reshape(batch, 3, 3)


def beside(points: Tensor, offset: Tensor) -> Tensor:
    """Points seen from an offset B x 3."""
    return points - offset.to(points.device)[:, :, None, None, None]


def local(points: Tensor, centre: Tensor, turn: Tensor) -> Tensor:
    """Points in the frame of an object: centre B x 3, rotation B x 3 x 3."""
    shifted = beside(points, centre)
    return torch.bmm(turn.to(points.device), shifted.flatten(2)).view_as(shifted)


def length(u: Tensor) -> Tensor:
    """Distance from the frame's origin, B x D x H x W."""
    return (u[:, 0].square() + u[:, 1].square() + u[:, 2].square()).sqrt()


def ellipsoid(u: Tensor, radii: Tensor) -> Tensor:
    """Ellipsoid of half axes `radii` B x 3 in local points."""
    radii = radii.to(u.device)
    return (1 - length(u / radii[:, :, None, None, None])) * wide(radii.amin(1))


def solid(u: Tensor, radii: Tensor, power: Tensor) -> Tensor:
    """Superellipsoid |x/a|^p + |y/b|^p + |z/c|^p < 1: nearly an octahedron for p = 1, nearly a box for 8.

    Args:
        u: local points.
        radii: B x 3.
        power: B.
    """
    radii, exponent = radii.to(u.device), wide(power.to(u.device))
    logs = (u / radii[:, :, None, None, None]).abs().clamp(min=1e-4).log() * exponent[:, None]
    total = logs[:, 0].exp() + logs[:, 1].exp() + logs[:, 2].exp()
    return (1 - (total.log() / exponent).exp()) * wide(radii.amin(1))


def lobed(draw: Draw, u: Tensor, radius: Tensor, parts: int) -> Tensor:
    """Union of overlapping ellipsoids around the object's centre; radius B."""
    batch, field = len(u), None
    for _ in range(parts):
        offset = F.normalize(torch.randn(batch, 3, generator=draw), dim=1) * uniform(draw, 0.2, 0.75, batch, 1)
        radii = radius[:, None] * uniform(draw, 0.3, 0.75, batch, 3)
        one = ellipsoid(beside(u, offset * radius[:, None]), radii)
        field = one if field is None else torch.maximum(field, one)
    assert field is not None
    return field


def path(draw: Draw, start: Tensor, heading: Tensor, length: Tensor, bend: float, steps: int) -> Tensor:
    """Knots of smoothly turning lines, B x (steps + 1) x 3; start, heading B x 3, length B."""
    knots, turn = [start], torch.zeros_like(heading)
    for _ in range(steps):
        turn = 0.6 * turn + bend * torch.randn(heading.shape, generator=draw)
        heading = F.normalize(heading + turn, dim=1)
        knots.append(knots[-1] + heading * (length / steps)[:, None])
    return torch.stack(knots, 1)


def along(points: Tensor, knots: Tensor, widths: Tensor) -> Tensor:
    """Field of a tube through knots B x K x 3 of half widths B x K, which change from knot to knot."""
    knots, widths = knots.to(points.device), widths.to(points.device)
    field = None
    for place in range(knots.shape[1] - 1):
        start = beside(points, knots[:, place])
        line = knots[:, place + 1] - knots[:, place]
        scaled = line / line.square().sum(1, keepdim=True).clamp(min=1e-8)
        share = torch.einsum("bidhw,bi->bdhw", start, scaled).clamp(0, 1)
        away = length(start - share[:, None] * line[:, :, None, None, None])
        one = torch.lerp(wide(widths[:, place]), wide(widths[:, place + 1]), share) - away
        field = one if field is None else torch.maximum(field, one)
    assert field is not None
    return field


def tree(draw: Draw, points: Tensor, width: Tensor, generations: int) -> Tensor:
    """Branching tubes that get thinner at every fork; width B is the trunk's half width."""
    batch = len(points)
    start = F.normalize(torch.randn(batch, 3, generator=draw), dim=1) * uniform(draw, 0.3, 1.3, batch, 1)
    heading = F.normalize(-start + 0.6 * torch.randn(batch, 3, generator=draw), dim=1)
    return branches(draw, points, start, heading, width, generations, 4)


def network(draw: Draw, flat: Tensor, width: Tensor, trees: int) -> Tensor:
    """Vessels of a picture, as of an eye's fundus: trees out of one place, seen from above; `flat` as in `Grid`."""
    batch, field = len(flat), None
    root = uniform(draw, -0.8, 0.8, batch, 3) * torch.tensor([0.0, 1.0, 1.0])
    for _ in range(trees):
        heading = F.normalize(torch.randn(batch, 3, generator=draw) * torch.tensor([0.2, 1.0, 1.0]) - 0.5 * root, dim=1)
        one = branches(draw, flat, root, heading, width * uniform(draw, 0.6, 1.0, batch), 4, 6, is_flat=True)
        field = one if field is None else torch.maximum(field, one)
    assert field is not None
    return field


def branches(
    draw: Draw,
    points: Tensor,
    start: Tensor,
    heading: Tensor,
    width: Tensor,
    generations: int,
    most: int,
    is_flat: bool = False,
) -> Tensor:
    """Field of a tree that begins at `start` B x 3.

    Args:
        most: branches of a generation that fork.
        is_flat: project it along the first axis.
    """
    batch, seen = len(points), torch.tensor([0.0 if is_flat else 1.0, 1.0, 1.0])
    tips, field, length = [(start, heading)], None, uniform(draw, 0.7, 1.4, batch)
    for _ in range(generations):
        forks = []
        for begin, direction in tips[:most]:
            knots = path(draw, begin, direction, length, 0.15, 4) * seen
            widths = width[:, None] * torch.linspace(1.0, 0.75, 5)
            one = along(points, knots, widths)
            field = one if field is None else torch.maximum(field, one)
            for at in (2 + int(torch.randint(0, 2, (), generator=draw)), 4):
                side = F.normalize(direction + 0.8 * torch.randn(batch, 3, generator=draw), dim=1)
                forks.append((knots[:, at], side))
        tips, width, length = forks, width * 0.72, length * 0.7
    assert field is not None
    return field


def chain(u: Tensor, size: Tensor, pitch: Tensor, power: Tensor, copies: int, bend: Tensor) -> tuple[Tensor, Tensor]:
    """Alike neighbours in a bent row along the first axis, as vertebrae or teeth.

    Args:
        u: local points.
        size: half sizes of one member, B x 3.
        pitch: distance of neighbours, B.
        power: of the superellipsoid, B.
        copies: members of the row.
        bend: curvature of the row, B.

    Returns:
        The field, and the number of the member that each point belongs to (int64, 0 to copies - 1).
    """
    device = u.device
    x, y, z = u.unbind(1)
    y = y - wide(bend.to(device)) * x * x
    step = wide(pitch.to(device))
    number = (x / step).round().clamp(-(copies // 2), (copies - 1) // 2)
    member = torch.stack([x - number * step, y, z], 1)
    return solid(member, size, power), (number + copies // 2).long()
