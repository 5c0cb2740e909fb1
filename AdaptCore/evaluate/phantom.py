"""An ambiguous phantom volume with its truth: a soft lesion with a halo in textured tissue, vessels and distractors.

The halo is half as bright as the lesion and does not belong to the truth, so a first click cannot tell which of the
two is meant (source: ours).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from AdaptCore.io import Geometry, Volume


@dataclass(frozen=True)
class PhantomRecipe:
    """Sizes in voxels or millimetres, intensities as in CT (HU).

    Attributes:
        size: voxels along i, j, k.
        spacing: millimetres; slices are thick, as in clinical scans.
        tilt_degrees: turn about the patient's superior and left axes, so that the directions are oblique.
        tissue, lesion_contrast, halo_contrast, vessel_contrast: intensity of tissue and what is added to it.
        texture, noise: standard deviation of the correlated tissue texture and of the noise in each voxel.
        blur: millimetres of partial volume and motion at every edge.
        lesion_radii: half axes in millimetres; `halo_width` is added on each side.
        waviness: amplitude of the lesion's bumps, as a share of its radius.
        distractors: bodies as bright as the lesion elsewhere.
    """

    size: tuple[int, int, int] = (144, 128, 26)
    spacing: tuple[float, float, float] = (0.8, 0.8, 3.0)
    tilt_degrees: tuple[float, float] = (14.0, -9.0)
    tissue: float = 45.0
    lesion_contrast: float = 70.0
    halo_contrast: float = 30.0
    vessel_contrast: float = 120.0
    texture: float = 9.0
    noise: float = 7.0
    blur: float = 1.0
    lesion_radii: tuple[float, float, float] = (15.0, 12.0, 18.0)
    halo_width: float = 4.5
    waviness: float = 0.22
    distractors: int = 5


@dataclass(frozen=True, eq=False)
class Phantom:
    """The image and the voxels of the lesion, bool (I, J, K)."""

    volume: Volume
    truth: np.ndarray


def make_phantom(seed: int = 0, recipe: PhantomRecipe = PhantomRecipe()) -> Phantom:
    """Draw the phantom; equal seeds give equal volumes."""
    rng = np.random.default_rng(seed)
    grid = _millimetres(recipe)
    reach = _lesion_reach(grid, recipe, rng)
    truth = reach <= 0.0
    contrast = np.where(reach <= recipe.halo_width, recipe.halo_contrast, 0.0)
    for body in _distractors(grid, recipe, rng):
        contrast = np.where(body & (reach > 2 * recipe.halo_width), recipe.lesion_contrast, contrast)
    for vessel in _vessels(grid, recipe, rng):
        contrast = np.where(vessel & (reach > recipe.halo_width), recipe.vessel_contrast, contrast)
    contrast = np.where(truth, recipe.lesion_contrast, contrast)
    sharp = recipe.tissue + contrast + recipe.texture * _texture(recipe, rng)
    soft = gaussian_filter(sharp, [recipe.blur / spacing for spacing in recipe.spacing])
    image = np.rint(soft + rng.normal(0.0, recipe.noise, recipe.size)).astype(np.int16)
    image.flags.writeable = truth.flags.writeable = False
    return Phantom(Volume(image, _geometry(recipe)), truth)


def _millimetres(recipe: PhantomRecipe) -> np.ndarray:
    """Position of each voxel relative to the middle of the volume: 3 x I x J x K, in millimetres."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(recipe.size, recipe.spacing)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def _lesion_reach(grid: np.ndarray, recipe: PhantomRecipe, rng: np.random.Generator) -> np.ndarray:
    """Distance in millimetres (nearly) from the lesion's wavy surface; negative inside."""
    centre = rng.uniform(-0.15, 0.15, 3) * [n * s for n, s in zip(recipe.size, recipe.spacing)]
    radii = np.array(recipe.lesion_radii)
    offset = (grid - centre[:, None, None, None]) / radii[:, None, None, None]
    radius = np.sqrt((offset**2).sum(axis=0))
    bumps = sum(
        np.cos((direction[:, None, None, None] * offset).sum(axis=0) * 2.2 + phase)
        for direction, phase in zip(rng.normal(size=(4, 3)), rng.uniform(0, 2 * math.pi, 4))
    )
    surface = 1.0 + recipe.waviness * bumps / 2.0
    return (radius - surface) * radii.min()


def _distractors(grid: np.ndarray, recipe: PhantomRecipe, rng: np.random.Generator) -> list[np.ndarray]:
    extent = np.array([n * s for n, s in zip(recipe.size, recipe.spacing)])
    bodies = []
    for _ in range(recipe.distractors):
        centre, radii = rng.uniform(-0.45, 0.45, 3) * extent, rng.uniform(4.0, 9.0, 3)
        bodies.append((((grid - centre[:, None, None, None]) / radii[:, None, None, None]) ** 2).sum(axis=0) <= 1.0)
    return bodies


def _vessels(grid: np.ndarray, recipe: PhantomRecipe, rng: np.random.Generator) -> list[np.ndarray]:
    """Two wavy tubes that run across the slices."""
    width = recipe.size[0] * recipe.spacing[0]
    vessels = []
    for side in (-1.0, 1.0):
        phase, sway = rng.uniform(0, 2 * math.pi), rng.uniform(4.0, 8.0)
        x = side * 0.36 * width + sway * np.sin(grid[2] / 11.0 + phase)
        y = rng.uniform(-15.0, 15.0) + sway * np.cos(grid[2] / 13.0 + phase)
        vessels.append(np.hypot(grid[0] - x, grid[1] - y) <= 3.2)
    return vessels


def _texture(recipe: PhantomRecipe, rng: np.random.Generator) -> np.ndarray:
    """Correlated noise of two scales, standard deviation 1."""
    fields = [
        gaussian_filter(rng.normal(size=recipe.size), [scale / spacing for spacing in recipe.spacing])
        for scale in (2.0, 8.0)
    ]
    mixed = sum(field / field.std() for field in fields)
    return mixed / mixed.std()


def _geometry(recipe: PhantomRecipe) -> Geometry:
    about_s, about_l = (math.radians(angle) for angle in recipe.tilt_degrees)
    turn_s = np.array(
        [[math.cos(about_s), -math.sin(about_s), 0], [math.sin(about_s), math.cos(about_s), 0], [0, 0, 1]]
    )
    turn_l = np.array(
        [[1, 0, 0], [0, math.cos(about_l), -math.sin(about_l)], [0, math.sin(about_l), math.cos(about_l)]]
    )
    direction = turn_s @ turn_l
    corner = direction @ [-(n - 1) / 2 * s for n, s in zip(recipe.size, recipe.spacing)]
    return Geometry(recipe.size, recipe.spacing, tuple(corner.tolist()), tuple(direction.ravel().tolist()))
