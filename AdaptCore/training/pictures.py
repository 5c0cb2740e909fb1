"""Pictures for the model of planes: scenes of `synthetic`, with targets as several raters draw them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from AdaptCore.training.fields import Grid
from AdaptCore.training.interaction import Targets
from AdaptCore.training.raters import random_style
from AdaptCore.training.synthetic import Scene, SceneGenerator, Target, TextureBank

EXACT = 0.6
"""Share of the targets that are asked for as they are; the others as some rater draws them."""


def pictures(
    rng: np.random.Generator, textures: TextureBank, count: int, asked: int, side: int
) -> tuple[Tensor, Tensor, Targets]:
    """`count` pictures of which `asked` targets each are to be found.

    Returns:
        The pictures, float32 B x 3 x S x S in [0, 1]; (h, w) of each proper, int64 B x 2; the targets, N x 1 x S x S.
    """
    generator = SceneGenerator(side, textures)
    scenes = [generator.scene(rng) for _ in range(count)]
    image = torch.from_numpy(np.stack([scene.image for scene in scenes])).movedim(-1, 1)
    sizes = torch.tensor([scene.valid_shape for scene in scenes])
    masks = np.stack([outline(rng, target) for scene in scenes for target in chosen(rng, scene, asked)])
    valid = torch.zeros(count, 1, side, side)
    for row, (height, width) in enumerate(sizes.tolist()):
        valid[row, :, :height, :width] = 1.0
    rows = torch.arange(count).repeat_interleave(asked)
    return image, sizes, Targets(torch.from_numpy(masks)[:, None].float(), valid[rows], rows)


def chosen(rng: np.random.Generator, scene: Scene, count: int) -> list[Target]:
    """So many targets of a scene, each of them once before one comes again."""
    there = len(scene.targets)
    order = np.concatenate([rng.permutation(there) for _ in range(-(-count // there))])
    return [scene.targets[place] for place in order[:count]]


def outline(rng: np.random.Generator, target: Target) -> np.ndarray:
    """A target's mask (S, S): the true one, or a rater's."""
    return target.mask if rng.random() < EXACT else target.drawn_by(random_style(rng))


def picture_grid(count: int, side: int) -> Grid:
    """The pixels of pictures as points in the plane's own coordinates."""
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([torch.zeros_like(rows), rows, columns])[:, None].expand(count, -1, -1, -1, -1)
    return Grid(points, 2 / side, False, points)
