"""Implicit shapes of synthetic objects: float32 fields in pixels, positive inside (ours).

Every shape is a function of warped coordinates, so that its outline is irregular, and its value near the outline is
close to the signed distance, so that soft edges and tight or generous outlines follow from one threshold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Grid:
    """Warped pixel coordinates of a square image: x and y are side x side."""

    x: Field
    y: Field

    @property
    def side(self) -> int:
        """Pixels along each side."""
        return int(self.x.shape[0])


def smooth_noise(rng: np.random.Generator, side: int, cells: int) -> Field:
    """Smooth random field of unit variance with about `cells` bumps along each side."""
    coarse = rng.standard_normal((cells + 3, cells + 3)).astype(np.float32)
    positions = np.linspace(1, cells + 1, side, dtype=np.float32)
    basis = cubic_basis(positions, cells + 3)
    field = basis @ coarse @ basis.T
    return (field / max(float(field.std()), 1e-6)).astype(np.float32)


def cubic_basis(positions: Field, count: int) -> Field:
    """Uniform cubic B-spline weights of `count` knots at the positions, (positions, count)."""
    away = np.abs(positions[:, None] - np.arange(count, dtype=np.float32)[None])
    near = 2 / 3 - away**2 + away**3 / 2
    far = np.clip(2 - away, 0, None) ** 3 / 6
    return np.where(away < 1, near, far).astype(np.float32)


def warped_grid(rng: np.random.Generator, side: int, strength: float) -> Grid:
    """Pixel coordinates displaced by a smooth field of `strength` (share of the side)."""
    axis = np.arange(side, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    cells = int(rng.integers(2, 7))
    amplitude = strength * side / cells
    return Grid(x + amplitude * smooth_noise(rng, side, cells), y + amplitude * smooth_noise(rng, side, cells))


def local_frame(grid: Grid, centre: tuple[float, float], angle: float) -> tuple[Field, Field]:
    """Coordinates in pixels along and across a direction (radians from the x axis), from a centre (x, y)."""
    dx, dy = grid.x - centre[0], grid.y - centre[1]
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * dx + sin * dy, cos * dy - sin * dx


def ellipse(grid: Grid, centre: tuple[float, float], radii: tuple[float, float], angle: float) -> Field:
    """Ellipse with half axes `radii`, the first one in the direction of `angle` (radians)."""
    u, v = local_frame(grid, centre, angle)
    return ((1 - np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2)) * min(radii)).astype(np.float32)


def blob(rng: np.random.Generator, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
    """Star-shaped outline with random harmonics."""
    u, v = local_frame(grid, centre, rng.uniform(0, 2 * math.pi))
    theta = np.arctan2(v, u)
    outline = np.ones_like(theta)
    roughness = rng.uniform(0.05, 0.35)
    for order in range(2, int(rng.integers(4, 9))):
        outline += roughness / order * rng.standard_normal() * np.cos(order * theta + rng.uniform(0, 2 * math.pi))
    return (radius * np.clip(outline, 0.25, None) - np.hypot(u, v)).astype(np.float32)


def lobes(rng: np.random.Generator, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
    """Union of overlapping ellipses."""
    parts = []
    for _ in range(int(rng.integers(2, 6))):
        offset = rng.uniform(-0.7, 0.7, 2) * radius
        radii = rng.uniform(0.35, 0.8, 2) * radius
        position = (centre[0] + offset[0], centre[1] + offset[1])
        parts.append(ellipse(grid, position, (radii[0], radii[1]), rng.uniform(0, math.pi)))
    return np.maximum.reduce(parts)


def cloud(rng: np.random.Generator, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
    """Ragged region: a smooth random field added to a disk."""
    cells = int(rng.integers(4, 14))
    body = radius - np.hypot(grid.x - centre[0], grid.y - centre[1])
    return (body + rng.uniform(0.15, 0.45) * radius * smooth_noise(rng, grid.side, cells)).astype(np.float32)


def crescent(rng: np.random.Generator, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
    """Star-shaped outline from which an ellipse beside its centre is taken away."""
    outer = blob(rng, grid, centre, radius)
    angle, shift = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.9) * radius
    bite = (centre[0] + shift * math.cos(angle), centre[1] + shift * math.sin(angle))
    inner = ellipse(grid, bite, (radius * rng.uniform(0.6, 0.95), radius * rng.uniform(0.6, 0.95)), angle)
    return np.minimum(outer, -inner)


def spindle(rng: np.random.Generator, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
    """Elongated body with tapered ends, often with thin processes, as cells have."""
    angle = rng.uniform(0, math.pi)
    u, v = local_frame(grid, centre, angle)
    v = v - rng.uniform(-0.5, 0.5) * (u / radius) ** 2 * radius * 0.5
    width = radius * rng.uniform(0.12, 0.45)
    taper = np.clip(1 - (u / radius) ** 2, 0, None) ** rng.uniform(0.5, 1.5)
    field = np.where(np.abs(u) < radius, width * taper - np.abs(v), -np.hypot(np.abs(u) - radius, v))
    for _ in range(int(rng.integers(0, 4))):
        field = np.maximum(field, process(rng, grid, centre, radius))
    return field.astype(np.float32)


def process(rng: np.random.Generator, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
    """Thin arm from the centre outwards that narrows to its tip."""
    u, v = local_frame(grid, centre, rng.uniform(0, 2 * math.pi))
    length = radius * rng.uniform(0.7, 1.6)
    along = np.clip(u / length, 0, 1)
    width = radius * rng.uniform(0.08, 0.2) * (1.1 - along)
    return (width - np.hypot(v, np.where(u < 0, u, np.clip(u - length, 0, None)))).astype(np.float32)


def ring(rng: np.random.Generator, base: Field, radius: float) -> Field:
    """Wall around a shape, of uneven thickness."""
    width = radius * rng.uniform(0.06, 0.35)
    uneven = 1 + 0.35 * smooth_noise(rng, base.shape[0], 3)
    return (width / 2 * np.clip(uneven, 0.4, 1.8) - np.abs(base)).astype(np.float32)


def tube(rng: np.random.Generator, side: int, width: float, length: float) -> Field:
    """Curved band of nearly constant width."""
    start = rng.uniform(0.2, 0.8, 2) * side
    return width - distance_to(walk(rng, start, rng.uniform(0, 2 * math.pi), length, 0.12), side)


def tree(rng: np.random.Generator, side: int, width: float) -> Field:
    """Branching vessels that get thinner at every fork."""
    start = rng.uniform(0.05, 0.95, 2) * side
    middle = np.array([side / 2, side / 2])
    heading = math.atan2(middle[1] - start[1], middle[0] - start[0]) + rng.uniform(-0.5, 0.5)
    generations: list[list[NDArray[np.float64]]] = []
    tips = [(start, heading)]
    for generation in range(int(rng.integers(2, 5))):
        paths, forks = [], []
        for position, direction in tips[:12]:
            path = walk(rng, position, direction, side * rng.uniform(0.2, 0.5) * 0.8**generation, 0.1)
            paths.append(path)
            for sign in (-1, 1):
                at = path[int(rng.integers(len(path) // 2, len(path)))]
                forks.append((at, direction + sign * rng.uniform(0.25, 0.9)))
        generations.append(paths)
        tips = forks
    levels = [
        max(width * 0.7**g, 0.6) - distance_to(np.concatenate(paths), side) for g, paths in enumerate(generations)
    ]
    return np.maximum.reduce(levels)


def walk(
    rng: np.random.Generator, start: NDArray[np.float64], heading: float, length: float, bend: float
) -> NDArray[np.float64]:
    """Points every half pixel along a smoothly turning path, (n, 2) as (x, y)."""
    steps = max(8, int(2 * length))
    turns = ndimage.gaussian_filter1d(rng.standard_normal(steps), 8) * bend
    headings = heading + np.cumsum(turns)
    moves = 0.5 * np.stack([np.cos(headings), np.sin(headings)], 1)
    return start + np.cumsum(moves, 0)


def distance_to(points: NDArray[np.float64], side: int) -> Field:
    """Distance of every pixel to the nearest point, in pixels (side where no point is inside)."""
    columns, rows = np.rint(points).astype(int).T
    inside = (columns >= 0) & (columns < side) & (rows >= 0) & (rows < side)
    if not inside.any():
        return np.full((side, side), side, np.float32)
    away = np.ones((side, side), bool)
    away[rows[inside], columns[inside]] = False
    return ndimage.distance_transform_edt(away).astype(np.float32)


def signed_distance(mask: Mask) -> Field:
    """Signed Euclidean distance to the outline of a mask in pixels, positive inside."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    return np.where(mask, inside - 0.5, 0.5 - outside).astype(np.float32)
