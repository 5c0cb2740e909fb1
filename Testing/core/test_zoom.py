"""The second look: which window is chosen, and how it comes back into the plane."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from AdaptCore.predict.zoom import (
    OUTSIDE_LOGIT,
    CropWindow,
    ZoomPolicy,
    choose_window,
    paste,
    prompts_in,
    touches_border,
    window_holds,
    zoom_policy,
)
from AdaptCore.prompts import Box, Click, Prompts

PLANE = (200, 300)
POLICY = ZoomPolicy(margin=0.35, limit=0.75, min_side=32)
NO_PROMPTS = Prompts()


def a_mask(x0: int, y0: int, x1: int, y1: int, shape: tuple[int, int] = PLANE) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[y0:y1, x0:x1] = True
    return mask


def test_window_is_square_and_leaves_the_margin_on_each_side():
    assert choose_window(a_mask(100, 80, 140, 100), NO_PROMPTS, PLANE, POLICY) == CropWindow(86, 56, 154, 124)


def test_tiny_object_gets_the_smallest_window():
    window = choose_window(a_mask(100, 80, 102, 82), NO_PROMPTS, PLANE, POLICY)
    assert window is not None
    assert window.shape == (32, 32)


def test_window_at_the_corner_is_moved_into_the_plane():
    window = choose_window(a_mask(0, 0, 20, 20), NO_PROMPTS, PLANE, POLICY)
    assert window == CropWindow(0, 0, 34, 34)


def test_large_object_and_empty_mask_get_no_window():
    assert choose_window(a_mask(10, 10, 190, 190), NO_PROMPTS, PLANE, POLICY) is None
    assert choose_window(a_mask(0, 0, 0, 0), NO_PROMPTS, PLANE, POLICY) is None


def test_limit_is_a_share_of_the_planes_longer_side():
    assert choose_window(a_mask(100, 50, 220, 150), NO_PROMPTS, PLANE, POLICY) is not None
    assert choose_window(a_mask(100, 50, 232, 150), NO_PROMPTS, PLANE, POLICY) is not None
    assert choose_window(a_mask(100, 50, 234, 150), NO_PROMPTS, PLANE, POLICY) is None


def test_positive_clicks_and_box_enlarge_the_window_but_negative_clicks_do_not():
    mask = a_mask(100, 80, 120, 100)
    near = choose_window(mask, Prompts((Click(290, 190, False),)), PLANE, POLICY)
    assert near == choose_window(mask, NO_PROMPTS, PLANE, POLICY)
    clicked = choose_window(mask, Prompts((Click(160, 90),)), PLANE, POLICY)
    boxed = choose_window(mask, Prompts(box=Box(90, 60, 150, 110)), PLANE, POLICY)
    assert clicked is not None and clicked.contains(160, 90)
    assert boxed is not None and boxed.contains_box(Box(90, 60, 150, 110))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 290), st.integers(0, 190), st.integers(1, 100), st.integers(1, 100), st.data())
def test_window_contains_the_object_and_lies_in_the_plane(x0, y0, width, height, data):
    mask = a_mask(x0, y0, min(300, x0 + width), min(200, y0 + height))
    clicks = data.draw(st.lists(st.tuples(st.floats(-0.5, 299.5), st.floats(-0.5, 199.5)), max_size=2))
    prompts = Prompts(tuple(Click(x, y) for x, y in clicks))
    window = choose_window(mask, prompts, PLANE, POLICY)
    if window is None:
        return
    assert mask[window.slices].sum() == mask.sum()
    assert all(window.contains(click.x, click.y) for click in prompts.clicks)
    assert 0 <= window.x0 < window.x1 <= 300 and 0 <= window.y0 < window.y1 <= 200
    assert max(window.shape) < 0.75 * 300
    assert min(window.shape) >= 32


def test_prompts_are_shifted_clipped_and_dropped():
    window = CropWindow(50, 40, 90, 80)
    prompts = Prompts((Click(60, 45), Click(10, 10, False)), Box(30, 50, 70, 200))
    assert prompts_in(prompts, window) == Prompts((Click(10, 5),), Box(-0.5, 10, 20, 39.5))
    assert prompts_in(Prompts(box=Box(0, 0, 10, 10)), window).box is None


def test_only_borders_inside_the_plane_count_as_touched():
    window = CropWindow(0, 0, 40, 40)
    assert not touches_border(a_mask(0, 0, 20, 20), window)
    assert touches_border(a_mask(0, 0, 40, 20), window)
    assert touches_border(a_mask(0, 0, 20, 40), window)
    assert touches_border(a_mask(100, 90, 120, 110), CropWindow(100, 80, 140, 120))
    assert touches_border(a_mask(110, 80, 120, 110), CropWindow(100, 80, 140, 120))


def test_pasting_leaves_the_base_alone_and_makes_the_outside_background():
    base = torch.full((6, 8), 5.0)
    base[0, 0] = -7.0
    window = CropWindow(2, 1, 5, 4)
    plane = paste(base, window, torch.full((3, 3), 2.0))
    assert base[3, 3] == 5.0
    assert plane[1:4, 2:5].eq(2.0).all()
    assert plane[0, 0] == -7.0
    assert plane[5, 7] == OUTSIDE_LOGIT < 0
    assert int((plane > 0).sum()) == 9


def test_window_holds_until_a_prompt_or_the_object_leaves_it():
    window = CropWindow(50, 40, 90, 80)
    inside, edge = a_mask(60, 50, 70, 60), a_mask(60, 50, 90, 60)
    assert window_holds(window, Prompts((Click(65, 55, False),)), inside)
    assert not window_holds(window, Prompts((Click(65, 85),)), inside)
    assert not window_holds(window, Prompts(box=Box(45, 50, 70, 60)), inside)
    assert not window_holds(window, Prompts((Click(65, 55),)), edge)


@pytest.mark.parametrize(
    ("given_zoom", "policy"), [(True, ZoomPolicy()), (False, None), (None, None), (POLICY, POLICY)]
)
def test_zoom_can_be_switched_or_given_as_a_policy(given_zoom, policy):
    assert zoom_policy(given_zoom) == policy
