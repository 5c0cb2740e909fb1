"""Pictures as a step of training takes them: targets within the picture, each asked for once before one comes again."""

from __future__ import annotations

import numpy as np
import torch

from AdaptCore.training.pictures import chosen, outline, picture_grid, pictures
from AdaptCore.training.synthetic import Scene, Target, TextureBank


def a_target(size: int) -> Target:
    mask = np.zeros((32, 32), bool)
    mask[8 : 8 + size, 8 : 8 + size] = True
    return Target("blob", mask, 4.0)


def test_pictures_come_with_targets_that_lie_in_them() -> None:
    textures = TextureBank(0, count=2, side=64)
    image, sizes, targets = pictures(np.random.default_rng(3), textures, 6, 2, 32)
    assert image.shape == (6, 3, 32, 32) and 0 <= float(image.min()) < float(image.max()) <= 1
    assert targets.mask.shape == targets.valid.shape == (12, 1, 32, 32)
    assert targets.row.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert bool(targets.truth.flatten(1).any(1).all())
    assert torch.equal(targets.valid[::2].sum((1, 2, 3)).long(), sizes.prod(1))
    assert int(sizes.min()) < 32
    for row, (height, width) in enumerate(sizes.tolist()):
        assert not image[row, :, height:].any() and not image[row, :, :, width:].any()
    again, _, _ = pictures(np.random.default_rng(3), textures, 6, 2, 32)
    assert torch.equal(image, again)


def test_each_target_is_asked_for_before_one_comes_again() -> None:
    scene = Scene(np.zeros((32, 32, 3), np.float32), (a_target(4), a_target(5), a_target(6)), (32, 32))
    asked = [int(target.mask.sum()) for target in chosen(np.random.default_rng(0), scene, 5)]
    assert sorted(asked[:3]) == [16, 25, 36] and len(asked) == 5 and asked[3] != asked[4]


def test_two_in_five_targets_are_as_a_rater_draws_them() -> None:
    rng, target = np.random.default_rng(1), a_target(12)
    changed = sum(not np.array_equal(outline(rng, target), target.mask) for _ in range(200))
    assert 50 < changed <= 100


def test_pixels_of_pictures_lie_evenly_between_the_plane_s_edges() -> None:
    grid = picture_grid(2, 8)
    assert grid.shape == (2, 1, 8, 8) and not grid.points[:, 0].any()
    assert grid.points[0, 2, 0, 0].tolist() == [-0.875, -0.625, -0.375, -0.125, 0.125, 0.375, 0.625, 0.875]
