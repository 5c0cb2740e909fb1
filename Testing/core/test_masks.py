"""Depth inside a mask and overlap of two masks, against values worked out by hand or the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from AdaptCore.predict.masks import depth, dice, largest_part, parts_of


def test_depth_counts_the_image_border_as_outside() -> None:
    assert depth(np.ones((3, 5), bool)).tolist() == [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]


def test_depth_is_the_distance_to_the_nearest_pixel_outside_in_any_direction() -> None:
    mask = np.ones((9, 9), bool)
    mask[3, 2] = False
    found = depth(mask)
    assert found[3, 2] == 0
    assert found[5, 3] == pytest.approx(np.sqrt(5))
    assert found[4, 5] == pytest.approx(np.sqrt(10))


def test_nothing_has_no_depth() -> None:
    assert depth(np.zeros((4, 6), bool)).tolist() == [[0] * 6] * 4


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 12), width=st.integers(1, 12))
def test_depth_is_that_of_the_whole_padded_image(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height + 4, width + 3), bool)
    mask[1 : height + 1, 2 : width + 2] = rng.random((height, width)) < 0.7
    assert np.array_equal(depth(mask), ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1])


def test_depth_is_in_the_unit_of_the_spacing() -> None:
    assert depth(np.ones((3, 5), bool), (2.0, 0.5)).tolist() == [[0.5, 1, 1.5, 1, 0.5]] * 3
    assert depth(np.ones((5, 5, 5), bool), (1, 1, 4))[2, 2, 2] == 3


def test_parts_connect_at_corners_and_the_largest_is_the_first_of_equals() -> None:
    mask = np.zeros((5, 7), bool)
    mask[[0, 1, 4, 4, 4], [0, 1, 4, 5, 6]] = True
    numbers, count = parts_of(mask)
    assert (count, numbers[0, 0], numbers[1, 1], numbers[4, 4]) == (2, 1, 1, 2)
    assert np.argwhere(largest_part(mask)).tolist() == [[4, 4], [4, 5], [4, 6]]
    mask[4, 6] = False
    assert np.argwhere(largest_part(mask)).tolist() == [[0, 0], [1, 1]]
    assert not largest_part(np.zeros((3, 3), bool)).any()


def test_dice_of_a_known_overlap() -> None:
    mask, nothing = np.arange(8).reshape(2, 4) < 4, np.zeros((2, 4), bool)
    assert dice(mask, np.arange(8).reshape(2, 4) >= 2) == pytest.approx(2 * 2 / (4 + 6))
    assert dice(mask, nothing) == dice(nothing, mask) == dice(mask, ~mask) == 0.0
    assert dice(nothing, nothing) == 1.0
