"""Prompts are values: checked when made, never changed."""

from __future__ import annotations

import dataclasses

import pytest

from AdaptCore.errors import PromptError
from AdaptCore.prompts import Box, Click, Prompts


@pytest.mark.parametrize("point", [(float("nan"), 0.0), (0.0, float("inf"))])
def test_click_without_a_place_is_refused(point):
    with pytest.raises(PromptError, match="finite"):
        Click(*point)


@pytest.mark.parametrize("corners", [(3, 3, 3, 9), (3, 3, 9, 3), (9, 3, 3, 9), (0, 0, float("nan"), 1)])
def test_box_without_a_size_is_refused(corners):
    with pytest.raises(PromptError, match="wanted"):
        Box(*corners)


def test_adding_a_prompt_gives_a_new_object():
    empty = Prompts()
    clicked = empty.with_scribble([Click(1, 2)]).with_scribble([Click(3, 4, False), Click(5, 6, False)])
    boxed = clicked.with_box(Box(9, 9, 11, 11)).with_box(Box(0, 0, 4, 4))
    assert empty.clicks == ()
    assert boxed.clicks == (Click(1, 2), Click(3, 4, False), Click(5, 6, False))
    assert (clicked.box, boxed.box) == (None, Box(0, 0, 4, 4))
    with pytest.raises(dataclasses.FrozenInstanceError):
        boxed.box = None  # type: ignore[misc]


def test_shifting_moves_clicks_and_box_alike():
    shifted = Prompts((Click(10, 20, False),), Box(1, 2, 3, 4)).shifted(-5, 7)
    assert shifted == Prompts((Click(5, 27, False),), Box(-4, 9, -2, 11))


@pytest.mark.parametrize("corner", [(-0.5, -0.5), (29.5, 19.5)])
def test_plane_reaches_half_a_pixel_beyond_its_pixel_centres(corner):
    Prompts((Click(*corner),)).validate((20, 30))


@pytest.mark.parametrize("outside", [(29.6, 5), (-0.6, 5), (5, 19.6), (5, -0.6)])
def test_click_outside_is_refused_with_its_place_and_the_plane_size(outside):
    with pytest.raises(PromptError, match=rf"\({outside[0]:g}, {outside[1]:g}\) is outside the plane of 30 x 20"):
        Prompts((Click(5, 5), Click(*outside))).validate((20, 30))


def test_box_beside_the_plane_is_refused():
    with pytest.raises(PromptError, match="outside the plane"):
        Prompts(box=Box(40, 2, 50, 9)).validate((20, 30))


@pytest.mark.parametrize("prompts", [Prompts(), Prompts((Click(1, 1, False), Click(2, 2, False)))])
def test_nothing_positive_is_refused(prompts):
    with pytest.raises(PromptError, match="at least one positive"):
        prompts.validate((20, 30))


def test_box_makes_negative_clicks_usable():
    Prompts((Click(1, 1, False),), Box(0, 0, 9, 9)).validate((20, 30))
