"""Pseudo-labels: what an accepted mask is sure of, where its outline is, and what the clicks say against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from AdaptCore.adapt.pseudo_labels import grid_mask, pseudo_label
from AdaptCore.adapt.recipe import DEFAULT, OAIMS, SCHOEN, Recipe
from AdaptCore.models.base import Embedding
from AdaptCore.prompts import Click

SIDE = 128


def an_embedding(height: int = SIDE, width: int = SIDE, side: int = SIDE) -> Embedding:
    """Of a plane that was not resized."""
    return Embedding((), (height, width), (height, width), side)


def a_square(width: int, shape: tuple[int, int] = (SIDE, SIDE), at: int = 20) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[at : at + width, at : at + width] = True
    return mask


def label_of(mask: np.ndarray, *clicks: Click, recipe: Recipe = DEFAULT) -> tuple[np.ndarray, np.ndarray]:
    """Target and weight where mask and plane have one resolution."""
    label = pseudo_label(mask, an_embedding(*mask.shape), clicks, SIDE, recipe)
    return label.target.numpy(), label.weight.numpy()


@pytest.mark.parametrize(("width", "band"), [(6, 1), (24, 3), (32, 4), (80, 6)])
def test_both_sides_are_eroded_by_a_quarter_of_the_inscribed_radius_within_limits(width: int, band: int) -> None:
    target, weight = label_of(a_square(width))
    middle = 20 + width // 2
    unsure = np.flatnonzero(weight[middle] < 1).tolist()
    first = [*range(20 - band, 20 + band)]
    assert unsure == first + [column + width for column in first]
    assert np.array_equal(target[middle] == 1, a_square(width)[middle])


@pytest.mark.parametrize(
    ("recipe", "weight"), [(DEFAULT, 0.3), (SCHOEN, 0.0), (replace(DEFAULT, band_weight=0.7), 0.7)]
)
def test_the_band_has_the_recipes_weight_and_the_rest_is_sure(recipe: Recipe, weight: float) -> None:
    _, found = label_of(a_square(24), recipe=recipe)
    assert np.unique(found) == pytest.approx([weight, 1.0])
    assert found[20, 32] == found[19, 32] == pytest.approx(weight)
    assert found[23, 32] == found[16, 32] == 1


def test_the_whole_mask_is_the_label_of_oaims() -> None:
    target, weight = label_of(a_square(24), recipe=OAIMS)
    assert (weight == 1).all()
    assert np.array_equal(target == 1, a_square(24))


def test_padding_is_ignored_and_the_plane_is_not() -> None:
    mask = a_square(24, shape=(64, SIDE))
    for clicks in ((), (Click(64, 63), Click(100, 2, positive=False))):
        target, weight = label_of(mask, *clicks)
        assert not weight[64:].any()
        assert weight[:64].all()
        assert target[:64].sum() == mask.sum() + any(click.positive for click in clicks)


def test_padding_narrower_than_half_a_pixel_belongs_to_the_plane() -> None:
    embedding = Embedding((), (100, 67), (64, 43), 64)
    assert embedding.inside(16).sum(1).tolist() == [11] * 16
    assert Embedding((), (67, 100), (41, 64), 64).inside(16).sum(0).tolist() == [10] * 16


def test_clicks_override_the_mask_for_sure() -> None:
    clicks = Click(32, 32, positive=False), Click(100, 90), Click(20, 30), Click(19, 30, positive=False)
    target, weight = label_of(a_square(24), *clicks, recipe=SCHOEN)
    assert [target[round(click.y), round(click.x)] for click in clicks] == [0, 1, 1, 0]
    assert [weight[round(click.y), round(click.x)] for click in clicks] == [1, 1, 1, 1]
    assert weight[31, 20] == weight[31, 19] == 0
    assert target.sum() == 24 * 24


def test_the_later_of_two_clicks_on_a_pixel_counts() -> None:
    target, _ = label_of(a_square(24), Click(90, 90), Click(90.2, 89.9, positive=False))
    assert target[90, 90] == 0


def test_a_line_keeps_all_of_itself() -> None:
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    mask[50, 10:110] = True
    target, weight = label_of(mask, recipe=SCHOEN)
    assert np.array_equal((target == 1) & (weight == 1), mask)
    assert not weight[49, 10:110].any() and (weight[47, 10:110] == 1).all()


def test_an_object_that_erosion_would_remove_keeps_its_deepest_pixels() -> None:
    target, weight = label_of(a_square(5), recipe=replace(SCHOEN, erosion_limits=(4.0, 6.0)))
    assert np.argwhere((target == 1) & (weight == 1)).tolist() == [[22, 22]]


def test_an_object_smaller_than_a_mask_pixel_is_not_lost() -> None:
    mask = np.zeros((1000, 500), dtype=bool)
    mask[700, 130] = True
    embedding = Embedding((), mask.shape, (128, 64), 128)
    assert np.argwhere(grid_mask(mask, embedding, 32)).tolist() == [[22, 4]]
    label = pseudo_label(mask, embedding, (), 32, SCHOEN)
    assert np.argwhere(label.target.numpy()).tolist() == [[22, 4]]
    assert label.weight[22, 4] == 1


def test_an_empty_mask_is_sure_background_but_for_the_clicks() -> None:
    nothing = np.zeros((64, SIDE), dtype=bool)
    target, weight = label_of(nothing)
    assert not target.any() and (weight[:64] == 1).all() and not weight[64:].any()
    target, weight = label_of(nothing, Click(3, 5))
    assert np.argwhere(target).tolist() == [[5, 3]]


def test_a_click_is_brought_to_the_mask_resolution_by_pixel_centres() -> None:
    embedding = Embedding((), (50, 100), (100, 200), 200)
    assert embedding.on_grid(Click(0, 0), 50) == pytest.approx((-0.25, -0.25))
    assert embedding.on_grid(Click(40, 10), 50) == pytest.approx((4.75, 19.75))
    assert embedding.cell(Click(40, 10), 50) == (5, 20)
    assert embedding.cell(Click(99.5, -0.5), 50) == (0, 49)
    rounded = Embedding((), (3, 100), (2, 80), 80)
    assert rounded.on_grid(Click(49.5, 1), 40) == pytest.approx((0.0, 19.5))


def test_the_accepted_mask_stays_as_it_is_and_the_label_tells_its_size() -> None:
    mask = a_square(24)
    before = mask.copy()
    label = pseudo_label(mask, an_embedding(), (Click(32, 32, positive=False),), SIDE, DEFAULT)
    assert np.array_equal(mask, before)
    assert label.nbytes == 2 * 4 * SIDE * SIDE
