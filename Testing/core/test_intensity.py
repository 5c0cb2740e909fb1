"""Intensity windows keep the source intact and put what matters into [0, 1]."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from AdaptCore.errors import ImageError
from AdaptCore.predict.intensity import Window, apply_window, auto_window, padding_values


def test_window_maps_low_to_zero_high_to_one_and_clips_beyond():
    image = np.array([[-2000, -160, 40, 240, 3000]], dtype=np.int16)
    assert apply_window(image, Window(-160, 240)).tolist() == [[0.0, 0.0, 0.5, 1.0, 1.0]]


def test_level_and_width_give_the_radiologists_window():
    assert Window.from_level(40, 400) == Window(-160, 240)


@pytest.mark.parametrize("limits", [(1.0, 1.0), (2.0, 1.0), (float("nan"), 1.0), (0.0, float("inf")), (-1e308, 1e308)])
def test_window_without_a_finite_width_is_refused(limits):
    with pytest.raises(ImageError, match="Expected"):
        Window(*limits)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_source_voxels_are_never_modified(dtype):
    image = np.random.default_rng(0).integers(0, 200, (20, 30)).astype(dtype)
    before = image.copy()
    shown = apply_window(image, auto_window(image))
    shown[:] = 7.0
    assert np.array_equal(image, before)
    assert image.dtype == dtype


def test_high_16_bit_values_do_not_wrap_around():
    image = np.array([[0, 40000, 65535]], dtype=np.uint16)
    assert apply_window(image, Window(30000, 50000)).tolist() == [[0.0, 0.5, 1.0]]


def test_nan_and_infinite_voxels_count_as_the_lowest_finite_one():
    image = np.array([[np.nan, np.inf, -np.inf, 10.0, 30.0]], dtype=np.float32)
    assert apply_window(image, Window(0, 40)).tolist() == [[0.25, 0.25, 0.25, 0.25, 0.75]]


def test_plane_of_nothing_but_nan_is_dark():
    assert apply_window(np.full((3, 3), np.nan, np.float32), Window(5, 6)).tolist() == [[0.0] * 3] * 3


def test_automatic_window_ignores_outliers_and_nan():
    image = np.linspace(0, 1000, 100_000).astype(np.float32)
    image[:100] = 1e6
    image[-100:] = np.nan
    window = auto_window(image.reshape(100, 1000))
    assert window.low == pytest.approx(5, abs=2)
    assert window.high == pytest.approx(996, abs=3)


def test_small_bright_object_on_a_flat_background_is_not_lost():
    image = np.zeros((100, 100), np.int16)
    image[50, 50:60] = 900
    assert auto_window(image) == Window(0, 900)


@pytest.mark.parametrize("value", [0, -1024, 30000, 1e20])
def test_constant_image_gets_a_window_and_the_middle_grey(value):
    image = np.full((4, 5), value, np.float64)
    assert apply_window(image, auto_window(image)) == pytest.approx(np.full((4, 5), 0.5), abs=1e-3)


def test_large_image_is_sampled_the_same_way_each_time():
    image = np.random.default_rng(1).normal(100, 20, 1_500_000).astype(np.float32).reshape(1000, 1500)
    window = auto_window(image)
    assert window == auto_window(image)
    assert window.low == pytest.approx(np.percentile(image, 0.5), abs=0.5)


@pytest.mark.parametrize(
    "image", [np.full((2, 2), np.nan), np.zeros((0, 4)), np.array([["a"]]), np.zeros((2, 2), complex)]
)
def test_image_without_usable_numbers_is_refused(image):
    with pytest.raises(ImageError):
        auto_window(image)


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.float32, (4, 6), elements=st.floats(-1e6, 1e6, width=32) | st.just(np.nan)))
def test_any_image_lands_between_zero_and_one(image):
    shown = apply_window(image, Window(-1000, 1000))
    assert shown.dtype == np.float32
    assert shown.min() >= 0.0
    assert shown.max() <= 1.0


def test_single_bright_voxel_of_a_sparse_volume_is_not_lost():
    volume = np.zeros((200, 200, 200), np.int16)
    volume[17, 120, 44] = 1000
    assert auto_window(volume) == Window(0, 1000)


def test_few_finite_voxels_among_many_are_found():
    volume = np.full((200, 200, 200), np.nan, np.float32)
    volume[17, 120, 44:46] = (20, 70)
    assert auto_window(volume) == Window(20.25, 69.75)


def scan(padding=None, kind=np.float32):
    """Noise about 40 in (60, 60, 8), 1040 in unsigned types, and outside of the scanner's circle the padding."""
    values = np.random.default_rng(0).normal(1040 if np.dtype(kind).kind == "u" else 40, 20, (60, 60, 8))
    if padding is not None:
        i, j = np.indices((60, 60))
        values[(i - 29.5) ** 2 + (j - 29.5) ** 2 > 29**2] = padding
    return values.astype(kind)


@pytest.mark.parametrize(
    ("padding", "kind"),
    [
        (-3024, np.int16),
        (-32768, np.int16),
        (65535, np.uint16),
        (0, np.uint16),
        (-3.4e38, np.float32),
        (-2000, np.int16),
    ],
)
@pytest.mark.parametrize("index", [slice(None), 3], ids=["volume", "plane"])
def test_padding_does_not_set_the_window(padding, kind, index):
    image, plain = scan(padding, kind)[:, :, index], scan(None, kind)[:, :, index]
    window, wanted = auto_window(image), auto_window(plain)
    assert padding_values(image) == (pytest.approx(padding),)
    assert (window.low, window.high) == pytest.approx((wanted.low, wanted.high), abs=6)


def test_two_paddings_are_both_left_out():
    image = scan(-3024, np.int16)
    image[:, :, 0] = 30000
    assert sorted(padding_values(image)) == [-3024, 30000]
    assert auto_window(image).high < 110


@pytest.mark.parametrize(
    "ground",
    [
        pytest.param(-30, id="near"),
        pytest.param(-1000, id="inside"),
        pytest.param(-1001, id="small"),
    ],
)
def test_ground_and_objects_are_no_padding(ground):
    image = scan(None, np.int16)
    if ground == -30:  # air of a scan, next to its tissue
        image[:8] = ground
    elif ground == -1000:  # a hole in the object
        image[20:40, 20:40, 2:6] = ground
    else:  # a small object on plain ground
        image[:] = ground
        image[29:31, 29:31, 3:5] = np.arange(8).reshape(2, 2, 2) + 500
    assert padding_values(image) == ()


def test_colours_have_a_window_of_their_own_too():
    image = np.repeat(scan(None, np.uint8)[:, :, :1], 3, axis=2)
    assert padding_values(image) == ()
