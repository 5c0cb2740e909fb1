"""Synthetic images with several raters: tissue, objects, appearance and imaging, all random and seeded (ours).

No real image is used. A scene is painted from implicit shapes: warped tissue regions, then objects of many kinds, each
with its own intensity, texture and edge, then the faults of an imaging device. Several targets can be asked of a scene.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from AdaptCore.predict.intensity import apply_window, auto_window
from AdaptCore.training import shapes
from AdaptCore.training.raters import RaterStyle, draw
from AdaptCore.training.shapes import Field, Grid, Mask

KINDS = ("blob", "nested", "ring", "tube", "tree", "spindle", "parts", "cloud", "lobes", "crescent", "ellipse")
KIND_WEIGHTS = (0.15, 0.16, 0.06, 0.05, 0.06, 0.12, 0.14, 0.08, 0.06, 0.03, 0.09)


@dataclass(frozen=True, eq=False)
class Target:
    """One thing that can be asked of a scene: the true mask (H, W) and the width of its soft edge in pixels."""

    kind: str
    mask: Mask
    softness: float

    def drawn_by(self, style: RaterStyle) -> Mask:
        """The mask (H, W) as a person of that style outlines it."""
        return draw(self.mask, self.softness, style)


@dataclass(frozen=True, eq=False)
class Scene:
    """A synthetic image, float32 (S, S, 3) in [0, 1], with its targets.

    `valid_shape` is (h, w) of the image proper; the rest of the square is zero padding.
    """

    image: Field
    targets: tuple[Target, ...]
    valid_shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class PaintedObject:
    """An object before imaging: fields in pixels of its parts and what can be asked of it."""

    kind: str
    layers: tuple[Field, ...]
    targets: tuple[Field, ...]
    softness: float


class TextureBank:
    """Random fields of many spectra made once, from which crops are taken; zero mean, unit variance.

    Args:
        seed: the same seed gives the same fields.
        count: how many fields.
        side: pixels along each side of a field.
    """

    def __init__(self, seed: int, count: int = 96, side: int = 512) -> None:
        rng = np.random.default_rng(seed)
        self._fields = np.stack([self._field(rng, side) for _ in range(count)])

    @staticmethod
    def _field(rng: np.random.Generator, side: int) -> Field:
        fy, fx = np.meshgrid(np.fft.fftfreq(side), np.fft.rfftfreq(side), indexing="ij")
        angle, stretch = rng.uniform(0, math.pi), rng.choice([1.0, 1.0, rng.uniform(1, 5)])
        along = fx * math.cos(angle) + fy * math.sin(angle)
        across = (fy * math.cos(angle) - fx * math.sin(angle)) * stretch
        frequency = np.hypot(along, across)
        cut_low, cut_high = rng.uniform(0.002, 0.03), rng.uniform(0.05, 0.5)
        amplitude = (frequency + cut_low) ** -rng.uniform(0.3, 2.2) * np.exp(-((frequency / cut_high) ** 2))
        spectrum = amplitude * np.exp(2j * math.pi * rng.random(frequency.shape))
        field = np.fft.irfft2(spectrum, (side, side))
        form = rng.integers(4)
        if form == 1:
            field = np.abs(field)
        elif form == 2:
            field = np.sign(field) * np.abs(field) ** 0.5
        field = field - field.mean()
        return (field / field.std()).astype(np.float32)

    def sample(self, rng: np.random.Generator, side: int) -> Field:
        """A crop (side, side) of a random field, flipped and turned at random."""
        field = self._fields[rng.integers(len(self._fields))]
        row, column = rng.integers(0, field.shape[0] - side + 1, 2)
        crop = field[row : row + side, column : column + side]
        if rng.random() < 0.5:
            crop = crop.T
        return crop[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])]


class SceneGenerator:
    """Makes scenes of side x side pixels; the same seed gives the same scenes."""

    def __init__(self, side: int, textures: TextureBank) -> None:
        self.side = side
        self.textures = textures
        self.least_target = 0.001

    def scene(self, rng: np.random.Generator) -> Scene:
        """A scene with at least one target, none smaller than `least_target` or larger than 80 % of the image."""
        while True:
            valid = self._valid_shape(rng)
            image, targets = self._filled(rng)
            targets = [self._crop(target, valid) for target in targets]
            least = self.least_target
            kept = tuple(t for t in targets if least <= t.mask[: valid[0], : valid[1]].mean() <= 0.8)
            if kept:
                return Scene(self._imaging(rng, image, valid), kept, valid)

    def _filled(self, rng: np.random.Generator) -> tuple[Field, list[Target]]:
        """Tissue with objects (S, S, 3) before imaging, and what can be asked of it."""
        image, region = self._tissue(rng)
        targets: list[Target] = []
        for _ in range(int(rng.integers(1, rng.choice([3, 6])))):
            painted = self._object(rng)
            image = self._paint(rng, image, painted)
            targets = [self._hide(t, painted, rng) for t in targets] + [
                Target(painted.kind, field > 0, painted.softness) for field in painted.targets
            ]
        if region is not None and rng.random() < 0.3:
            targets.append(Target("tissue", region, 1.0))
        return image, targets

    def _valid_shape(self, rng: np.random.Generator) -> tuple[int, int]:
        if rng.random() < 0.6:
            return self.side, self.side
        short = int(self.side * rng.uniform(0.55, 1))
        return (short, self.side) if rng.random() < 0.7 else (self.side, short)

    @staticmethod
    def _crop(target: Target, valid: tuple[int, int]) -> Target:
        mask = target.mask.copy()
        mask[valid[0] :] = False
        mask[:, valid[1] :] = False
        return Target(target.kind, mask, target.softness)

    @staticmethod
    def _hide(target: Target, above: PaintedObject, rng: np.random.Generator) -> Target:
        """What is painted over an earlier target is no longer part of it, unless it is a small inclusion.

        A target that loses more than half is given up.
        """
        covered = np.logical_or.reduce([field > 0 for field in above.layers])
        overlap = (covered & target.mask).sum()
        if overlap == 0 or (overlap < 0.25 * target.mask.sum() and rng.random() < 0.5):
            return target
        left = target.mask & ~covered if overlap <= 0.5 * target.mask.sum() else np.zeros_like(target.mask)
        return Target(target.kind, left, target.softness)

    def _grid(self, rng: np.random.Generator) -> Grid:
        return shapes.warped_grid(rng, self.side, float(rng.choice([0.0, 0.1, 0.2, 0.35])))

    def _tissue(self, rng: np.random.Generator) -> tuple[Field, Mask | None]:
        """Background (S, S, 3) and, where it has regions, one of them as a mask."""
        side = self.side
        image = np.empty((side, side, 3), np.float32)
        image[:] = random_colour(rng)
        region = None
        if rng.random() < 0.65:
            grid = shapes.warped_grid(rng, side, rng.uniform(0.1, 0.5))
            seeds = rng.uniform(-0.1, 1.1, (int(rng.integers(2, 25)), 2)) * side
            distances = (grid.x[..., None] - seeds[:, 0]) ** 2 + (grid.y[..., None] - seeds[:, 1]) ** 2
            labels = distances.argmin(-1)
            contrast = rng.uniform(0.02, 0.4)
            colours = random_colour(rng) + contrast * np.stack([random_tint(rng) for _ in seeds])
            image = colours.astype(np.float32)[labels]
            region = labels == rng.choice(labels.ravel())
            blur = rng.uniform(0.3, 2.5)
            image = ndimage.gaussian_filter(image, (blur, blur, 0), truncate=2.5)
        texture = self.textures.sample(rng, side)[..., None] * random_tint(rng)
        image = image + rng.choice([0.02, 0.06, 0.15]) * rng.uniform(0.2, 1.2) * texture
        if rng.random() < 0.25:
            body = shapes.blob(rng, self._grid(rng), (side / 2, side / 2), side * rng.uniform(0.38, 0.6))
            soft = np.clip(body / rng.uniform(1, 6) + 0.5, 0, 1)[..., None]
            image = soft * image + (1 - soft) * rng.choice([0.0, rng.random()])
        return image.astype(np.float32), region

    def _object(self, rng: np.random.Generator) -> PaintedObject:
        side = self.side
        kind = str(rng.choice(KINDS, p=KIND_WEIGHTS))
        grid = self._grid(rng)
        centre = tuple(rng.uniform(0.12, 0.88, 2) * side)
        radius = side * float(np.exp(rng.uniform(math.log(0.06), math.log(0.42))))
        softness = float(rng.choice([0.5, 1.0, rng.uniform(1, 0.02 * side + 1), rng.uniform(1, 0.15 * radius + 1.5)]))
        if kind == "tube":
            fields = (shapes.tube(rng, side, side * rng.uniform(0.008, 0.05), side * rng.uniform(0.3, 1.2)),)
            return PaintedObject(kind, fields, fields, min(softness, 2.0))
        if kind == "tree":
            fields = (shapes.tree(rng, side, side * rng.uniform(0.006, 0.025)),)
            return PaintedObject(kind, fields, fields, min(softness, 1.5))
        if kind == "parts":
            parts = self._parts(rng, grid, radius)
            union = np.maximum.reduce(parts)
            asked = [union, parts[0]] if rng.random() < 0.35 else [union]
            return PaintedObject(kind, (union,), tuple(asked), softness)
        base = self._base(rng, "blob" if kind in ("nested", "ring") else kind, grid, centre, radius)
        if kind == "ring":
            wall = shapes.ring(rng, base, radius)
            filled = np.maximum(base, wall)
            return PaintedObject(kind, (filled, wall), (wall, filled), softness)
        if kind == "nested":
            inner = self._inner(rng, base, grid, centre, radius)
            asked = [base, inner] if rng.random() < 0.8 else [base, inner, np.minimum(base, -inner)]
            return PaintedObject(kind, (base, inner), tuple(asked), softness)
        return PaintedObject(kind, (base,), (base,), softness)

    @staticmethod
    def _base(rng: np.random.Generator, kind: str, grid: Grid, centre: tuple[float, float], radius: float) -> Field:
        if kind == "ellipse" or (kind == "blob" and rng.random() < 0.3):
            radii = (radius, radius * rng.uniform(0.35, 1))
            return shapes.ellipse(grid, centre, radii, rng.uniform(0, math.pi))
        makers = {
            "blob": shapes.blob,
            "spindle": shapes.spindle,
            "cloud": shapes.cloud,
            "lobes": shapes.lobes,
            "crescent": shapes.crescent,
        }
        return makers[kind](rng, grid, centre, radius)

    def _inner(
        self, rng: np.random.Generator, base: Field, grid: Grid, centre: tuple[float, float], radius: float
    ) -> Field:
        """A part inside the base: a lesion, or a shrunken copy as a cup in its disc."""
        if rng.random() < 0.4:
            return base - radius * rng.uniform(0.15, 0.6)
        shift = rng.uniform(-0.35, 0.35, 2) * radius
        inner = shapes.blob(rng, grid, (centre[0] + shift[0], centre[1] + shift[1]), radius * rng.uniform(0.15, 0.65))
        return np.minimum(inner, base)

    def _parts(self, rng: np.random.Generator, grid: Grid, radius: float) -> list[Field]:
        """Two mirrored organs or several alike objects."""
        side = self.side
        radius = max(radius, 0.06 * side)
        if rng.random() < 0.6:
            gap, height = rng.uniform(0.16, 0.3) * side, rng.uniform(0.35, 0.65) * side
            tilt, radii = rng.uniform(-0.25, 0.25), (gap * rng.uniform(0.6, 0.95), side * rng.uniform(0.15, 0.4))
            middle = side / 2 + rng.uniform(-0.06, 0.06) * side
            parts = []
            for sign in (-1, 1):
                scale = rng.uniform(0.8, 1.1)
                position = (middle + sign * gap, height + rng.uniform(-0.04, 0.04) * side)
                body = shapes.ellipse(grid, position, (radii[0] * scale, radii[1] * scale), sign * tilt)
                bite = shapes.ellipse(
                    grid, (middle + sign * gap * 0.3, height + 0.3 * radii[1]), (gap * 0.7, radii[1] * 0.6), 0
                )
                parts.append(np.minimum(body, -bite) if rng.random() < 0.5 else body)
            return parts
        positions = rng.uniform(0.1, 0.9, (int(rng.integers(2, 6)), 2)) * side
        return [shapes.blob(rng, grid, (x, y), radius * rng.uniform(0.3, 0.8)) for x, y in positions]

    def _paint(self, rng: np.random.Generator, image: Field, painted: PaintedObject) -> Field:
        contrast = float(np.exp(rng.uniform(math.log(0.05), math.log(0.7))))
        if painted.kind == "tree":
            contrast = max(contrast, 0.15)
        for field in painted.layers:
            tint = contrast * random_tint(rng)
            inside = image[field > 0]
            local = inside.mean(0) if len(inside) else image.mean((0, 1))
            colour = local + tint
            texture = self.textures.sample(rng, self.side)
            keep = rng.choice([0.0, 1.0, rng.random()])
            amount = rng.choice([0.0, 0.03, 0.1, 0.2]) * rng.uniform(0.3, 1.2)
            surface = keep * (image + tint) + (1 - keep) * colour
            surface = surface + amount * texture[..., None] * random_tint(rng)
            if rng.random() < 0.35:
                surface = surface + rng.uniform(0.2, 1) * contrast * self._patches(rng)[..., None] * random_tint(rng)
            if rng.random() < 0.3:
                slope = np.clip(field / max(float(field.max()), 1e-3), 0, 1)[..., None]
                surface = surface + rng.uniform(-0.5, 0.5) * contrast * slope
            if rng.random() < (0.3 if painted.kind == "spindle" else 0.15):
                surface = keep * image + (1 - keep) * surface
            soft = np.clip(field / (2 * painted.softness) + 0.5, 0, 1)[..., None]
            image = soft * surface + (1 - soft) * image
            if rng.random() < (0.6 if painted.kind == "spindle" else 0.3):
                image = image + self._rim(rng, field)[..., None] * random_tint(rng)
            contrast *= rng.uniform(0.4, 1.2)
        return image.astype(np.float32)

    def _patches(self, rng: np.random.Generator) -> Field:
        """Uneven filling: regions with outlines of their own that are no outline of the object, within [-1, 1]."""
        noise = shapes.smooth_noise(rng, self.side, int(rng.integers(2, 9)))
        return np.clip((noise - rng.uniform(-1, 1)) * rng.uniform(1, 12), -1, 1).astype(np.float32)

    def _rim(self, rng: np.random.Generator, field: Field) -> Field:
        """Bright or dark halo along the outline, as phase contrast and membranes have."""
        width, shift = rng.uniform(1, 0.02 * self.side + 1), rng.uniform(-3, 3)
        strength = rng.uniform(0.05, 0.4) * rng.choice([-1, 1])
        uneven = np.clip(0.7 + 0.5 * shapes.smooth_noise(rng, self.side, 4), 0, None)
        rim = np.exp(-(((field - shift) / width) ** 2)) * uneven
        if rng.random() < 0.5:
            rim = rim - 0.7 * np.exp(-(((field - shift + 2 * width) / width) ** 2))
        return (strength * rim).astype(np.float32)

    def _imaging(self, rng: np.random.Generator, image: Field, valid: tuple[int, int]) -> Field:
        side = self.side
        image = self._distractors(rng, image)
        if rng.random() < 0.5:
            bias = np.exp(rng.uniform(0.05, 0.35) * shapes.smooth_noise(rng, side, int(rng.integers(1, 4))))
            image = image * bias[..., None]
        if rng.random() < 0.3:
            image = lose_resolution(image, rng.uniform(1.5, 6))
        elif rng.random() < 0.5:
            blur = rng.uniform(0.3, 1.6)
            image = ndimage.gaussian_filter(image, (blur, blur, 0), truncate=2.5)
        image = image + self._noise(rng, image)
        if rng.random() < 0.5:
            image = image.mean(-1, keepdims=True).repeat(3, -1)
        image = image[: valid[0], : valid[1]]
        if rng.random() < 0.2:
            image = -image
        image = apply_window(image, auto_window(image))
        if rng.random() < 0.35:
            image = image ** np.exp(rng.uniform(-0.6, 0.6))
        if rng.random() < 0.2:
            low, high = rng.uniform(0, 0.25), rng.uniform(0.75, 1)
            image = np.clip((image - low) / (high - low), 0, 1)
        padded = np.zeros((side, side, 3), np.float32)
        padded[: valid[0], : valid[1]] = image
        return padded

    def _noise(self, rng: np.random.Generator, image: Field) -> Field:
        level = rng.choice([0.0, 0.02, 0.06, 0.12]) * rng.uniform(0.3, 1.2)
        noise = rng.standard_normal((*image.shape[:2], 1), dtype=np.float32)
        if rng.random() < 0.4:
            grain = rng.uniform(0.5, 1.5)
            noise = 2 * grain * ndimage.gaussian_filter(noise, (grain, grain, 0), truncate=2.5)
        if rng.random() < 0.3:
            return (3 * level * noise * np.abs(image)).astype(np.float32)
        return (level * noise).astype(np.float32)

    def _distractors(self, rng: np.random.Generator, image: Field) -> Field:
        """Vessels, hairs, spots and a dark surround that belong to no target."""
        side = self.side
        if rng.random() < 0.25:
            for _ in range(int(rng.integers(1, 4))):
                field = shapes.tube(rng, side, rng.uniform(0.6, 2.0), side * rng.uniform(0.3, 1.5))
                image = image + np.clip(field, 0, 1)[..., None] * rng.uniform(0.1, 0.5) * random_tint(rng)
        if rng.random() < 0.15:
            field = shapes.tree(rng, side, side * rng.uniform(0.006, 0.02))
            image = image + np.clip(field, 0, 1)[..., None] * rng.uniform(0.1, 0.4) * random_tint(rng)
        if rng.random() < 0.15:
            spots = np.zeros((side, side), np.float32)
            rows, columns = rng.integers(0, side, (2, int(rng.integers(3, 40))))
            spots[rows, columns] = rng.uniform(0.5, 1.5, len(rows))
            size = rng.uniform(0.5, 2.5)
            image = image + 4 * size**2 * ndimage.gaussian_filter(spots, size)[..., None] * rng.uniform(0.2, 1)
        if rng.random() < 0.12:
            centre, radius = side * rng.uniform(0.42, 0.58, 2), side * rng.uniform(0.42, 0.6)
            grid = shapes.warped_grid(rng, side, 0.0)
            field = shapes.ellipse(grid, (centre[0], centre[1]), (radius, radius), 0)
            image = np.where((field > 0)[..., None], image, image.min())
        return image.astype(np.float32)


def random_colour(rng: np.random.Generator) -> Field:
    """Colour (3,) in [0, 1], grey half of the time."""
    grey = rng.random()
    return np.clip(grey + rng.choice([0.0, 0.25]) * rng.standard_normal(3), 0, 1).astype(np.float32)


def random_tint(rng: np.random.Generator) -> Field:
    """Direction of a change of colour: mostly grey, of either sign, largest part 1."""
    tint = rng.choice([-1.0, 1.0]) * np.ones(3) + rng.choice([0.0, 0.5]) * rng.standard_normal(3)
    return (tint / np.abs(tint).max()).astype(np.float32)


def lose_resolution(image: Field, factor: float) -> Field:
    """Down and up again by `factor`, as a small scan shown large."""
    side = image.shape[0]
    share = max(16, round(side / factor)) / side
    blurred = ndimage.gaussian_filter(image, (factor / 2.5, factor / 2.5, 0), truncate=2.5)
    for zoom in (share, 1 / share):
        blurred = ndimage.zoom(blurred, (zoom, zoom, 1), order=1, mode="nearest", grid_mode=True)
    return blurred
