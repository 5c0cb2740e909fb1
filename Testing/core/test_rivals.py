"""GrowCut and the random walker answer clicks as a Slicer user would use them."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.rivals import BACKGROUND, OBJECT, GrowCut, RandomWalker, grey_value, seed_labels
from AdaptCore.prompts import Click

SHAPE = (60, 90)


def a_disc(centre: tuple[int, int], radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def an_image(*bright: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 0.02, SHAPE)
    return np.clip(0.2 + 0.5 * np.any(bright, axis=0) + noise, 0, 1).astype(np.float32)


@pytest.fixture(params=["growcut", "random-walker", "small random-walker"])
def a_rival(request: pytest.FixtureRequest) -> GrowCut | RandomWalker:
    if request.param == "growcut":
        pytest.importorskip("slicer", reason="GrowCut needs slicer-core", exc_type=ImportError)
        return GrowCut()
    return RandomWalker(side=45) if request.param.startswith("small") else RandomWalker()


def test_one_click_finds_a_bright_disc(a_rival: GrowCut | RandomWalker) -> None:
    truth = a_disc((28, 40), 14)
    mask = a_rival.start(an_image(truth)).click(Click(40, 28))
    assert mask.shape == SHAPE
    assert mask.dtype == bool
    assert dice(truth, mask) > 0.93


def test_a_colour_image_is_understood(a_rival: GrowCut | RandomWalker) -> None:
    truth = a_disc((28, 40), 14)
    colour = np.repeat(an_image(truth)[..., None], 3, axis=2)
    assert dice(truth, a_rival.start(colour).click(Click(40, 28))) > 0.93


def test_a_negative_click_takes_a_second_disc_away_and_a_positive_one_brings_it_back(
    a_rival: GrowCut | RandomWalker,
) -> None:
    left, right = a_disc((30, 25), 12), a_disc((30, 62), 12)
    bridge = np.zeros(SHAPE, dtype=bool)
    bridge[28:33, 30:55] = True
    session = a_rival.start(an_image(left, right, bridge))
    assert session.click(Click(25, 30))[30, 25]
    without = session.click(Click(62, 30, positive=False))
    assert (without & right).sum() < 0.2 * right.sum()
    assert (without & left).sum() > 0.8 * left.sum()
    again = session.click(Click(66, 34))
    assert again[34, 66]
    assert not again[30, 62]


def test_images_do_not_share_a_state(a_rival: GrowCut | RandomWalker) -> None:
    first, second = a_disc((28, 30), 12), a_disc((28, 60), 12)
    session = a_rival.start(an_image(first))
    session.click(Click(30, 28))
    assert dice(second, a_rival.start(an_image(second)).click(Click(60, 28))) > 0.9


def test_a_click_paints_a_disc_and_the_rim_is_background() -> None:
    labels = seed_labels((300, 400), [Click(200, 100)])
    assert (labels == OBJECT).sum() == 81
    assert labels[100, 205] == OBJECT
    assert labels[100, 206] == 0
    assert set(np.unique(labels[:5])) == set(np.unique(labels[:, -5:])) == {BACKGROUND}
    assert set(np.unique(labels[5:20, 5:-5])) == {0}


def test_a_click_near_the_rim_clears_it_there() -> None:
    labels = seed_labels((300, 400), [Click(200, 1)])
    assert labels[0, 200] == OBJECT
    assert labels[0, 220] == BACKGROUND


def test_overlapping_discs_are_split_between_their_clicks() -> None:
    labels = seed_labels((300, 400), [Click(200, 100), Click(204, 100, positive=False)])
    assert [int(value) for value in labels[100, 199:206]] == [OBJECT] * 3 + [BACKGROUND] * 4


def test_grey_value_weighs_green_most() -> None:
    primaries = np.eye(3, dtype=np.float32)[None]
    assert grey_value(primaries)[0].tolist() == pytest.approx([0.299, 0.587, 0.114])
