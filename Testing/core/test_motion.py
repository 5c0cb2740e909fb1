"""A mask moves with what it lies on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from AdaptCore.predict.masks import dice
from AdaptCore.predict.motion import carried, signed_distance

SHAPE = (70, 90)


def a_disc(radius: float, x: float, y: float, shape: tuple[int, int] = SHAPE) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def a_texture(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(0).normal(size=shape), 3)
    return ((noise - noise.min()) / np.ptp(noise)).astype(np.float32)


def test_mask_follows_the_content() -> None:
    before = a_texture()
    after = np.roll(before, (2, -3), axis=(0, 1))
    mask = a_disc(14, 45, 35)
    assert dice(carried(mask, before, after) > 0, a_disc(14, 42, 37)) > 0.96
    assert dice(mask, a_disc(14, 42, 37)) < 0.9


def test_mask_stays_where_nothing_moves() -> None:
    mask = a_disc(9, 30, 20)
    distance = carried(mask, a_texture(), a_texture())
    np.testing.assert_allclose(distance, signed_distance(mask), atol=0.05)


def test_large_region_is_followed_on_a_coarser_grid() -> None:
    shape = (300, 400)
    before = gaussian_filter(a_texture(shape), 6)
    before = (before - before.min()) / np.ptp(before)
    after = np.roll(before, (6, -9), axis=(0, 1))
    mask = a_disc(60, 200, 150, shape)
    moved = carried(mask, before, after) > 0
    assert moved.shape == shape
    assert dice(moved, a_disc(60, 191, 156, shape)) > 0.96


def test_colour_planes_move_by_their_grey_values() -> None:
    before, mask = a_texture(), a_disc(14, 45, 35)
    after = np.roll(before, (2, -3), axis=(0, 1))
    grey = carried(mask, before, after)
    colour = carried(mask, np.stack([before] * 3, -1), np.stack([after] * 3, -1))
    np.testing.assert_allclose(colour, grey, atol=1e-2)


def test_distance_is_positive_inside_and_grows_with_the_way_to_the_outline() -> None:
    distance = signed_distance(a_disc(10, 40, 30))
    assert distance[30, 40] == pytest.approx(10, abs=1)
    assert distance[30, 60] == pytest.approx(-10, abs=1.1)


def test_masks_at_the_border_and_of_one_pixel_are_carried() -> None:
    for mask in (a_disc(12, 0, 0), a_disc(0.6, 50, 50)):
        assert (carried(mask, a_texture(), a_texture()) > 0).any()


def test_mask_stays_in_place_where_the_appearance_changes() -> None:
    mask = a_disc(12, 45, 35)
    before, after = 0.2 + 0.6 * mask.astype(np.float32), 0.9 - 0.6 * mask.astype(np.float32)
    np.testing.assert_array_equal(carried(mask, before, after), signed_distance(mask))
