"""Wide planes: seeded, in range, with small objects as a whole, some of them alike in a row."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from AdaptCore.training.synthetic import SceneGenerator, TextureBank
from AdaptCore.training.wide import LEAST_TARGET, WideGenerator, WideRecipe

SIDE = 160


@pytest.fixture(scope="module")
def textures() -> TextureBank:
    return TextureBank(0, count=6, side=SIDE)


def shares(generator: SceneGenerator, scenes: int) -> np.ndarray:
    """Of the plane that each target of some scenes covers."""
    drawn = [generator.scene(np.random.default_rng(seed)) for seed in range(scenes)]
    return np.array([target.mask.mean() for scene in drawn for target in scene.targets])


def test_the_same_seed_gives_the_same_plane(textures: TextureBank) -> None:
    one, other = (WideGenerator(SIDE, textures).scene(np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    assert [int(target.mask.sum()) for target in one.targets] == [int(target.mask.sum()) for target in other.targets]


def test_objects_are_smaller_than_those_of_scenes_that_fill_their_plane(textures: TextureBank) -> None:
    wide, filled = shares(WideGenerator(SIDE, textures), 8), shares(SceneGenerator(SIDE, textures), 8)
    assert np.median(wide) < 0.3 * np.median(filled)
    assert LEAST_TARGET <= wide.min() < 0.004 < 0.02 < wide.max() <= 0.8


def test_image_is_in_range_and_padding_holds_no_object(textures: TextureBank) -> None:
    for seed in range(6):
        scene = WideGenerator(SIDE, textures).scene(np.random.default_rng(seed))
        height, width = scene.valid_shape
        assert scene.image.min() >= 0 and scene.image.max() <= 1
        for target in scene.targets:
            assert not target.mask[height:].any() and not target.mask[:, width:].any()


def test_rows_hold_objects_of_one_size(textures: TextureBank) -> None:
    recipe = replace(WideRecipe(), row=1.0, within=0.0, body=0.0)
    scene = WideGenerator(SIDE, textures, recipe).scene(np.random.default_rng(1))
    sizes = Counter(int(target.mask.sum()) for target in scene.targets)
    assert max(sizes.values()) >= 3
