"""Prompts are values: checked when made, never changed."""

from __future__ import annotations

import dataclasses

import pytest

from AdaptCore.errors import PromptError
from AdaptCore.prompts import LATEST_SEEN, SEEN_CLICKS, Box, Click, Lasso, Prompts, contradict, most_telling


@pytest.mark.parametrize("point", [(float("nan"), 0.0), (0.0, float("inf"))])
def test_click_without_a_place_is_refused(point):
    with pytest.raises(PromptError, match="finite"):
        Click(*point)


@pytest.mark.parametrize("corners", [(3, 3, 3, 9), (3, 3, 9, 3), (9, 3, 3, 9), (0, 0, float("nan"), 1)])
def test_box_without_a_size_is_refused(corners):
    with pytest.raises(PromptError, match="Expected"):
        Box(*corners)


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ((), "at least 3 points around the object, got 0"),
        (((1, 1), (5, 2)), "at least 3 points around the object, got 2"),
        (((1, 1), (5, 2), (3, float("nan"))), r"finite coordinates of a lasso, got \(3, nan\)"),
        (((float("inf"), 1), (5, 2), (3, 3)), r"finite coordinates of a lasso, got \(inf, 1\)"),
        (((1, 4), (5, 4), (3, 4)), "around the object, got a line"),
        (((2, 1), (2, 9), (2, 3)), "around the object, got a line"),
    ],
)
def test_lasso_around_nothing_is_refused(points, wanted):
    with pytest.raises(PromptError, match=wanted):
        Lasso(points)


def test_lasso_and_box_take_each_others_place():
    lasso = Lasso(((1, 2), (8, 3), (4, 9)))
    drawn = Prompts((Click(4, 4),), Box(0, 0, 3, 3)).with_lasso(lasso)
    assert drawn == Prompts((Click(4, 4),), Box(1, 2, 8, 9), lasso)
    assert drawn.with_box(Box(0, 0, 3, 3)) == Prompts((Click(4, 4),), Box(0, 0, 3, 3))


def test_models_see_the_box_of_a_lasso_in_a_window():
    drawn = Prompts().with_lasso(Lasso(((1, 2), (8, 3), (4, 9))))
    assert drawn.shifted(-1, -2) == Prompts(box=Box(0, 0, 7, 7))


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
    with pytest.raises(PromptError, match="Expected a positive click or a box"):
        prompts.validate((20, 30))


def test_box_makes_negative_clicks_usable():
    Prompts((Click(1, 1, False),), Box(0, 0, 9, 9)).validate((20, 30))


@pytest.mark.parametrize(
    ("x", "positive", "found"), [(3.4, False, True), (2.5, False, True), (3.4, True, False), (3.6, False, False)]
)
def test_clicks_of_both_signs_in_one_pixel_contradict(x: float, positive: bool, found: bool) -> None:
    assert contradict([Click(x, 7.0, positive)], [Click(3.0, 7.2), Click(9.0, 9.0, False)]) is found


@pytest.mark.parametrize(
    ("place", "pixel"), [((2.4, 3.6), (4, 2)), ((-0.5, 0.0), (0, 0)), ((9.5, 7.4), (7, 9)), ((99, -7), (0, 9))]
)
def test_click_lies_on_the_nearest_pixel_of_the_plane(place, pixel):
    assert Click(*place).place_in((8, 10)) == pixel


def test_model_sees_all_of_few_clicks_and_the_most_telling_of_many():
    few = tuple(Click(x, 5, x % 3 > 0) for x in range(SEEN_CLICKS))
    assert Prompts(few).seen == few
    crowd = [Click(50 + 0.01 * x, 50) for x in range(150)]
    far, background = Click(400, 300), Click(90, 90, positive=False)
    latest = [Click(60 + 0.01 * x, 50) for x in range(LATEST_SEEN)]
    given = Prompts((*crowd[:70], far, *crowd[70:], background, *latest))
    seen = given.seen
    assert len(seen) == SEEN_CLICKS and seen == given.seen
    assert {far, background, crowd[0]} <= set(seen) and seen[-LATEST_SEEN:] == tuple(latest)
    assert list(seen) == [click for click in given.clicks if click in set(seen)], "in the order they were given"


def test_points_of_one_sign_do_not_stand_for_those_of_the_other():
    points = [(0.0, 0.0, 0.0), (9.0, 0.0, 0.0), (5.5, 0.0, 0.0), (1.0, 0.0, 0.0), (5.0, 0.0, 0.0)]
    assert most_telling(points, [True, True, False, True, True], most=3, latest=1) == [0, 2, 4]
    assert most_telling(points, [True] * 5, most=3, latest=1) == [0, 1, 4]
    assert most_telling(points[:3], [True] * 3, most=3, latest=1) == [0, 1, 2]
