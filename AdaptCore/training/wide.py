"""Wide synthetic planes: objects of all sizes, down to a fiftieth of the plane, as scans of a body show them (ours).

A scene of `synthetic` fills its plane. Here smaller objects are painted into patches of such a scene, alone, inside of
a larger one, or several alike in a row, as lesions, organs, vertebrae and teeth are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from AdaptCore.training import shapes
from AdaptCore.training.shapes import Field, Mask
from AdaptCore.training.synthetic import PaintedObject, SceneGenerator, Target, TextureBank

LEAST_TARGET = 0.0002
"""Share of the plane that the smallest target covers."""


@dataclass(frozen=True)
class WideRecipe:
    """What a wide plane holds.

    Attributes:
        patches: fewest and most small objects, or rows of them.
        patch: shortest and longest side of a small object's patch, as shares of the plane's.
        within: share of the small objects that lie in a larger one.
        row: share of them that come as several alike in a row.
        alike: fewest and most of such a row.
        body: share of planes with a body in front of a flat background.
    """

    patches: tuple[int, int] = (4, 12)
    patch: tuple[float, float] = (0.05, 0.5)
    within: float = 0.4
    row: float = 0.3
    alike: tuple[int, int] = (3, 8)
    body: float = 0.4


class WideGenerator(SceneGenerator):
    """Makes wide planes of side x side pixels; the same seed gives the same planes."""

    def __init__(self, side: int, textures: TextureBank, recipe: WideRecipe | None = None) -> None:
        super().__init__(side, textures)
        self.recipe = recipe or WideRecipe()
        self.least_target = LEAST_TARGET

    def _filled(self, rng: np.random.Generator) -> tuple[Field, list[Target]]:
        image, targets = super()._filled(rng)
        for _ in range(int(rng.integers(*self.recipe.patches, endpoint=True))):
            image, targets = self._with_patches(rng, image, targets)
        return self._in_body(rng, image, targets) if rng.random() < self.recipe.body else (image, targets)

    def _with_patches(
        self, rng: np.random.Generator, image: Field, targets: list[Target]
    ) -> tuple[Field, list[Target]]:
        """The scene with one more small object, or a row of alike ones."""
        low, high = self.recipe.patch
        side = round(self.side * math.exp(rng.uniform(math.log(low), math.log(high))))
        small, seed = SceneGenerator(side, self.textures), int(rng.integers(2**31))
        if not _fits(small, seed):
            return image, targets
        for centre in self._places(rng, targets, side, _reach(small, seed)):
            corner = np.clip(np.rint(np.array(centre) - side / 2).astype(int), 0, self.side - side)
            here = (slice(corner[1], corner[1] + side), slice(corner[0], corner[0] + side))
            alike = np.random.default_rng(seed)
            painted = small._object(alike)
            image = image.copy()
            image[here] = _feathered(image[here], small._paint(alike, image[here], painted))
            whole = self._in_plane(painted, here)
            targets = [self._hide(target, whole, rng) for target in targets]
            targets += [Target(painted.kind, field > 0, painted.softness) for field in whole.targets]
        return image, targets

    def _places(
        self, rng: np.random.Generator, targets: list[Target], side: int, reach: float
    ) -> list[tuple[float, float]]:
        """Centres (x, y) of the patches of one object, or of a row of objects `reach` pixels wide."""
        x, y = rng.uniform(0.1, 0.9, 2) * self.side
        if targets and rng.random() < self.recipe.within:
            rows, columns = np.nonzero(targets[int(rng.integers(len(targets)))].mask)
            if len(rows):
                place = int(rng.integers(len(rows)))
                x, y = float(columns[place]), float(rows[place])
        if rng.random() >= self.recipe.row:
            return [(x, y)]
        count, angle = int(rng.integers(*self.recipe.alike, endpoint=True)), rng.uniform(0, 2 * math.pi)
        step, bend = reach * rng.uniform(1.0, 1.5), rng.normal(0, 0.15)
        places = []
        for _ in range(count):
            places.append((x, y))
            x, y, angle = x + step * math.cos(angle), y + step * math.sin(angle), angle + bend
        margin = side / 2
        return [place for place in places if margin <= min(place) and max(place) <= self.side - margin]

    def _in_plane(self, painted: PaintedObject, here: tuple[slice, slice]) -> PaintedObject:
        """A patch's object with fields of the whole plane."""

        def whole(field: Field) -> Field:
            plane = np.full((self.side, self.side), -1.0, np.float32)
            plane[here] = field
            return plane

        return replace(painted, layers=tuple(map(whole, painted.layers)), targets=tuple(map(whole, painted.targets)))

    def _in_body(self, rng: np.random.Generator, image: Field, targets: list[Target]) -> tuple[Field, list[Target]]:
        """The scene in front of a flat background, outside of a large outline."""
        side = self.side
        body = shapes.blob(rng, self._grid(rng), (side / 2, side / 2), side * rng.uniform(0.42, 0.7))
        soft = np.clip(body / rng.uniform(1, 4) + 0.5, 0, 1)[..., None]
        flat = rng.choice([float(image.min()), rng.random()])
        inside: Mask = body > 0
        kept = [Target(target.kind, target.mask & inside, target.softness) for target in targets]
        return (soft * image + (1 - soft) * flat).astype(np.float32), kept


def _fits(small: SceneGenerator, seed: int) -> bool:
    """Whether the object of a seed lies in its patch as a whole."""
    margin = max(2, small.side // 20)
    fields = small._object(np.random.default_rng(seed)).layers
    inner = np.s_[margin:-margin, margin:-margin]
    return all(bool((field[inner] > 0).sum() == (field > 0).sum()) for field in fields)


def _reach(small: SceneGenerator, seed: int) -> float:
    """Width in pixels of a disc of the area of the object of a seed."""
    area = (np.maximum.reduce(small._object(np.random.default_rng(seed)).layers) > 0).sum()
    return 2 * math.sqrt(int(area) / math.pi)


def _feathered(before: Field, after: Field) -> Field:
    """`after` inside of a patch (s, s, 3), `before` along its rim."""
    side = before.shape[0]
    axis = np.arange(side) + 0.5
    away = np.minimum(axis, side - axis)
    weight = np.clip(np.minimum(away[:, None], away[None]) / max(2.0, side / 20), 0, 1)[..., None].astype(np.float32)
    return weight * after + (1 - weight) * before
