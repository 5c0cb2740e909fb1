"""Synthetic scenes and their raters: seeded, in range, systematically different."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.training import shapes
from AdaptCore.training.raters import RaterStyle, draw
from AdaptCore.training.synthetic import KINDS, SceneGenerator, TextureBank, lose_resolution


@pytest.fixture(scope="module")
def a_generator() -> SceneGenerator:
    return SceneGenerator(64, TextureBank(0, count=6, side=128))


@pytest.fixture
def a_disk_with_arm() -> np.ndarray:
    y, x = np.mgrid[:96, :96]
    return (np.hypot(x - 48, y - 48) < 20) | ((np.abs(y - 48) < 2) & (x > 48) & (x < 90))


def test_the_same_seed_gives_the_same_scene(a_generator: SceneGenerator) -> None:
    one, other = (a_generator.scene(np.random.default_rng(5)) for _ in range(2))
    np.testing.assert_array_equal(one.image, other.image)
    assert [t.kind for t in one.targets] == [t.kind for t in other.targets]
    assert not np.array_equal(one.image, a_generator.scene(np.random.default_rng(6)).image)


def test_scenes_are_in_range_and_every_kind_occurs(a_generator: SceneGenerator) -> None:
    rng, kinds = np.random.default_rng(0), set()
    for _ in range(120):
        scene = a_generator.scene(rng)
        height, width = scene.valid_shape
        assert scene.image.shape == (64, 64, 3) and np.isfinite(scene.image).all()
        assert scene.image.min() >= 0 and scene.image.max() <= 1
        assert not scene.image[height:].any() and not scene.image[:, width:].any()
        for target in scene.targets:
            assert 0.001 <= target.mask[:height, :width].mean() <= 0.8
            assert not target.mask[height:].any() and not target.mask[:, width:].any()
            kinds.add(target.kind)
    assert kinds == {*KINDS, "tissue"}


def test_signed_distance_of_a_disk_is_its_radius() -> None:
    y, x = np.mgrid[:81, :81]
    distance = shapes.signed_distance(np.hypot(x - 40, y - 40) <= 20)
    assert distance[40, 40] == pytest.approx(19.5, abs=0.2)
    assert distance[40, 70] == pytest.approx(-9.5, abs=0.2)


def test_ellipse_has_its_radii() -> None:
    axis = np.arange(101, dtype=np.float32)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    inside = shapes.ellipse(shapes.Grid(x, y), (50, 50), (30, 10), 0.0) > 0
    assert inside.sum() == pytest.approx(np.pi * 300, rel=0.02)
    assert inside[50, 78] and not inside[50, 82] and not inside[62, 50]


def test_smooth_noise_has_unit_variance_and_no_jumps() -> None:
    field = shapes.smooth_noise(np.random.default_rng(0), 128, 4)
    assert field.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(np.diff(field, axis=0)).max() < 0.3


def test_generous_raters_draw_larger_than_tight_ones(a_disk_with_arm: np.ndarray) -> None:
    areas = [draw(a_disk_with_arm, 3.0, RaterStyle(offset=offset)).sum() for offset in (-0.1, 0, 0.1)]
    assert areas[0] < areas[1] == a_disk_with_arm.sum() < areas[2]
    rims = [draw(a_disk_with_arm, 3.0, RaterStyle(rim=rim)).sum() for rim in (-1, 0, 1)]
    assert rims[0] < rims[1] < rims[2]


def test_a_rater_without_protrusions_keeps_the_body_and_drops_the_arm(a_disk_with_arm: np.ndarray) -> None:
    drawn = draw(a_disk_with_arm, 1.0, RaterStyle(protrusions=1))
    assert drawn[48, 48] and not drawn[48, 80:].any()
    assert drawn.sum() == pytest.approx(np.pi * 400, rel=0.06)


def test_a_smooth_rater_shortens_thin_parts(a_disk_with_arm: np.ndarray) -> None:
    drawn = draw(a_disk_with_arm, 1.0, RaterStyle(smoothness=1))
    assert np.nonzero(drawn[48])[0].max() < np.nonzero(a_disk_with_arm[48])[0].max()


def test_an_object_is_never_drawn_away() -> None:
    small = np.zeros((40, 40), bool)
    small[20, 18:23] = True
    assert draw(small, 10.0, RaterStyle(offset=-0.15, rim=-1, protrusions=1, smoothness=1)).sum() == small.sum()


def test_losing_resolution_keeps_mean_and_place() -> None:
    image = np.zeros((64, 64, 3), np.float32)
    image[20:40, 30:50] = 1
    low = lose_resolution(image, 4)
    assert low.mean() == pytest.approx(image.mean(), rel=0.05)
    rows, columns = np.nonzero(low[..., 0] > 0.5)
    assert rows.mean() == pytest.approx(29.5, abs=0.6) and columns.mean() == pytest.approx(39.5, abs=0.6)
