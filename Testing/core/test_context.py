"""Appearance context: what an accepted plane's object looks like tells it from its surroundings on other planes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AdaptCore.models.base import Embedding
from AdaptCore.predict.context import AppearanceContext, grid_features
from Testing.toy_model import ToyModel

HEIGHT, WIDTH = 60, 90


def a_disc(radius: float, x: float, y: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def embedded(mask: np.ndarray, low: float = 0.2, high: float = 0.8) -> Embedding:
    return ToyModel().encode(np.where(mask, high, low).astype(np.float32))


def maps(*sides: int, input_side: int) -> Embedding:
    features = tuple(torch.full((1, 3, side, side), float(side), dtype=torch.float16) for side in sides)
    return Embedding(features, (100, 50), (input_side, input_side // 2), input_side)


@pytest.mark.parametrize(("x", "y"), [(30, 30), (60, 40), (78, 48)])
def test_score_tells_a_disc_that_has_moved_from_its_surroundings(x, y):
    context = AppearanceContext.fit(embedded(a_disc(10, 30, 30)), a_disc(10, 30, 30))
    score = context.score(embedded(a_disc(10, x, y))).numpy()
    assert score.shape == (HEIGHT, WIDTH)
    assert score.dtype == np.float32
    assert score[a_disc(7, x, y)].min() > 0.5
    assert score[~a_disc(13, x, y)].max() < -0.5


def test_score_is_negative_everywhere_once_the_object_has_gone():
    context = AppearanceContext.fit(embedded(a_disc(10, 30, 30)), a_disc(10, 30, 30))
    assert context.score(embedded(a_disc(0, 0, 0))).max() < -0.5


def test_dark_object_is_learnt_as_well():
    context = AppearanceContext.fit(embedded(a_disc(10, 30, 30), 0.8, 0.2), a_disc(10, 30, 30))
    score = context.score(embedded(a_disc(10, 50, 30), 0.8, 0.2)).numpy()
    assert score[30, 50] > 0.5 > -0.5 > score[30, 20]


def test_padding_of_a_plane_does_not_count():
    """Dark padding would draw the average to itself, were it part of the plane."""
    object_of_a_bright_plane = a_disc(10, 30, 30)
    context = AppearanceContext.fit(embedded(object_of_a_bright_plane, 0.5, 0.9), object_of_a_bright_plane)
    assert 0.5 < float(context.mean[0]) < 0.6


def test_object_smaller_than_a_cell_is_learnt_from_the_cell_that_holds_it():
    rows, columns = np.mgrid[:400, :400]
    dot = (rows == 201) & (columns == 103)
    context = AppearanceContext.fit(ToyModel().encode(dot.astype(np.float32)), dot)
    score = context.score(ToyModel().encode(dot.astype(np.float32)))
    assert float(score[201, 103]) > 0.2
    assert float(score[300, 300]) < 0.0


def test_mask_without_any_background_is_learnt_as_object_everywhere():
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    score = AppearanceContext.fit(embedded(everywhere), everywhere).score(embedded(everywhere))
    assert torch.isfinite(score).all()
    assert score.min() > 0


def test_stronger_ridge_gives_weaker_scores():
    disc = a_disc(10, 30, 30)
    weak, strong = (AppearanceContext.fit(embedded(disc), disc, ridge) for ridge in (0.01, 5.0))
    assert weak.score(embedded(disc))[30, 30] > 1.5 * strong.score(embedded(disc))[30, 30] > 0


@pytest.mark.parametrize(
    ("sides", "input_side", "kept"),
    [((128, 64, 32, 16), 256, (128, 64, 32)), ((64,), 1024, (64,)), ((16,), 64, (16,))],
)
def test_finer_maps_are_brought_to_one_grid_without_padding(sides, input_side, kept):
    features = grid_features(maps(*sides, input_side=input_side))
    side = min(64, sides[0])
    assert features.shape == (3 * len(kept), side, side // 2)
    assert features.dtype == torch.float32
    assert [float(channel.mean()) for channel in features[::3]] == list(map(float, kept))
