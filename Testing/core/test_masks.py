"""Depth inside a mask and overlap of two masks, against values worked out by hand or the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from AdaptCore.predict.masks import depth, dice


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


def test_dice_of_a_known_overlap() -> None:
    mask, nothing = np.arange(8).reshape(2, 4) < 4, np.zeros((2, 4), bool)
    assert dice(mask, np.arange(8).reshape(2, 4) >= 2) == pytest.approx(2 * 2 / (4 + 6))
    assert dice(mask, nothing) == dice(nothing, mask) == dice(mask, ~mask) == 0.0
    assert dice(nothing, nothing) == 1.0
