"""Windows of several sizes: where they lie, what their answers tell, and which of them a first click gets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from AdaptCore.errors import PromptError
from AdaptCore.models.base import BatchModel
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.learning import telling
from AdaptCore.predict.masks import dice
from AdaptCore.predict.plane import Look, PlaneSession
from AdaptCore.predict.sizes import (
    PICTURE,
    SCAN,
    Evidence,
    SizePolicy,
    agreements,
    evidence_of,
    sized_windows,
    support,
    weights_for,
)
from AdaptCore.predict.zoom import CropWindow
from AdaptCore.prompts import Click, Prompts
from Testing.toy_model import BatchToy

PLANE = (400, 512)
HERE = Prompts((Click(200, 180),))


def a_disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[: PLANE[0], : PLANE[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def an_image(mask: np.ndarray) -> np.ndarray:
    noise = 0.02 * np.random.default_rng(0).standard_normal(mask.shape)
    return np.clip(0.2 + 0.6 * mask + noise, 0, 1).astype(np.float32)


@pytest.fixture
def a_small_disc() -> np.ndarray:
    return a_disc(200, 180, 7)


@pytest.fixture
def a_model() -> BatchToy:
    return BatchToy()


@pytest.fixture
def a_session(a_model: BatchToy, a_small_disc: np.ndarray) -> PlaneSession:
    return PlaneSession(a_model, an_image(a_small_disc), spacing=(0.8, 0.8))


def test_windows_are_in_millimetres_around_the_click_and_the_largest_comes_first() -> None:
    windows = sized_windows(HERE, PLANE, (0.8, 0.8), SizePolicy())
    assert windows == [
        CropWindow(20, 0, 380, 360),
        CropWindow(110, 90, 290, 270),
        CropWindow(156, 136, 246, 226),
        CropWindow(178, 158, 223, 203),
    ]


def test_windows_are_square_in_millimetres_where_pixels_are_not() -> None:
    shapes = [window.shape for window in sized_windows(HERE, PLANE, (1.0, 4.0), SizePolicy())]
    assert shapes == [(72, 288), (36, 144), (32, 72), (32, 36)]


def test_windows_are_shares_of_a_plane_whose_spacing_is_not_known() -> None:
    shapes = [window.shape for window in sized_windows(HERE, PLANE, None, SizePolicy())]
    assert shapes == [(256, 256), (128, 128), (64, 64)]


def test_no_window_shows_nearly_the_plane_or_less_than_its_shortest_side() -> None:
    shapes = [window.shape for window in sized_windows(HERE, PLANE, (3.0, 3.0), SizePolicy())]
    assert shapes == [(96, 96), (48, 48), (32, 32)], "72 and 36 mm both become the shortest side"
    assert sized_windows(Prompts((Click(10, 10),)), (40, 40), (1.0, 1.0), SizePolicy()) == []


def test_windows_hold_all_positive_clicks() -> None:
    prompts = Prompts((Click(200, 180), Click(280, 180), Click(500, 10, False)))
    windows = sized_windows(prompts, PLANE, (0.8, 0.8), SizePolicy())
    assert [window.shape for window in windows] == [(360, 360), (180, 180), (90, 90)]
    assert windows[1] == CropWindow(150, 90, 330, 270)


def test_evidence_is_what_the_answer_shows() -> None:
    logits = np.full((64, 64), -3.0, np.float32)
    logits[16:48, 16:48] = 4.0
    logits[16:48, 47] = 0.5
    logits[2:4, 2:6] = 4.0
    window = CropWindow(100, 100, 164, 164)
    found = evidence_of(logits, 0.8, window, Prompts((Click(30, 30), Click(60, 60, False))), PLANE, 0.6)
    area = 32 * 32 + 8
    assert found.score == pytest.approx(math.log(4))
    assert found.fill == pytest.approx(0.5 * math.log(area / 64**2)) and found.fill_squared == found.fill**2
    assert found.stable == pytest.approx((area - 32) / area)
    assert 3.0 < found.sure < 4.0
    assert found.one_part == pytest.approx(1024 / area)
    assert (found.agreement, found.share, found.whole) == (0.6, pytest.approx(math.log(64 / 512)), 0.0)


def test_evidence_of_an_empty_answer_on_the_whole_plane_is_finite() -> None:
    found = evidence_of(np.full((1200, 1600), -9.0, np.float32), 0.0, None, HERE, (1200, 1600), 0.0)
    assert (found.stable, found.sure, found.one_part, found.share, found.whole) == (0.0, 0.0, 0.0, 0.0, 1.0)
    assert found.score == pytest.approx(math.log(0.01 / 0.99)) and found.fill == pytest.approx(0.5 * math.log(1e-4))


def test_answers_agree_with_the_more_alike_of_their_neighbours() -> None:
    masks = [a_disc(200, 180, radius) for radius in (40, 20, 19)]
    large, middle, small = agreements(masks)
    assert large == pytest.approx(0.25, abs=0.01) and middle == small == pytest.approx(0.90, abs=0.01)
    assert agreements(masks[:1]) == [0.0]


def test_support_weighs_the_evidence_by_the_rule_of_the_spacing() -> None:
    evidence = Evidence(1.0, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert support(evidence, SCAN) == pytest.approx(SCAN.score + SCAN.stable / 2 + SCAN.whole)
    assert weights_for((1.0, 1.0)) is SCAN and weights_for(None) is PICTURE


def test_first_click_asks_all_sizes_in_one_batch(a_session: PlaneSession, a_model: BatchToy) -> None:
    assert isinstance(a_model, BatchModel)
    a_session.click(200, 180)
    assert a_model.batches == [("encode", 5), ("decode", 5)]
    assert a_session.look and len(a_session.look.others) == 4
    shares = [look.likelihood for look in a_session.look.sizes]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1)


def test_small_object_is_seen_closely_from_the_first_click_on(
    a_session: PlaneSession, a_model: BatchToy, a_small_disc: np.ndarray
) -> None:
    mask = a_session.click(200, 180).mask
    whole = PlaneSession(a_model, an_image(a_small_disc), zoom=False).click(200, 180).mask
    assert dice(whole, a_small_disc) < 0.85 < 0.95 < dice(mask, a_small_disc)
    assert a_session.window and max(a_session.window.shape) <= 180
    assert a_session.question and a_session.question.is_ambiguous, "it is still a lone click"
    assert a_session.question.embedding.plane_shape == a_session.window.shape


def test_embedding_of_the_whole_plane_that_is_there_is_not_computed_again(
    a_model: BatchToy, a_small_disc: np.ndarray
) -> None:
    image, cache = an_image(a_small_disc), EmbeddingCache()
    PlaneSession(a_model, image, zoom=False, cache=cache).click(5, 5)
    PlaneSession(a_model, image, spacing=(0.8, 0.8), cache=cache).click(200, 180)
    given = PlaneSession(a_model, image, spacing=(0.8, 0.8), embedding=a_model.encode(image))
    given.click(200, 180)
    assert [count for what, count in a_model.batches if what == "encode"] == [4, 4]


def test_later_clicks_inside_stay_in_the_window(a_session: PlaneSession, a_model: BatchToy) -> None:
    a_session.click(200, 180)
    window, before = a_session.window, a_model.encoded
    a_session.click(203, 181)
    a_session.click(10, 390, positive=False)
    assert a_session.window == window and a_model.encoded == before
    assert a_session.look and a_session.look.others == ()


def test_positive_click_outside_asks_the_sizes_that_hold_it(a_model: BatchToy) -> None:
    both = a_disc(200, 180, 7) | a_disc(280, 180, 7)
    session = PlaneSession(a_model, an_image(both), spacing=(0.8, 0.8))
    session.click(200, 180)
    chosen = next(look for look in session.look.sizes if look.window and look.window.shape == (45, 45))
    session.take(chosen)
    a_model.batches.clear()
    session.click(280, 180)
    assert a_model.batches[-1] == ("decode", 4), "the whole plane, 288, 144 and 72 mm around both"
    assert all(look.window is None or look.window.contains(280, 180) for look in session.look.sizes)


def test_window_grows_where_the_mask_touches_its_border(a_model: BatchToy) -> None:
    truth = a_disc(200, 180, 40)
    session = PlaneSession(a_model, an_image(truth), spacing=(0.8, 0.8))
    session.click(200, 180)
    cut = next(look for look in session.look.sizes if look.window and look.window.shape == (45, 45))
    session.take(cut)
    mask = session.click(205, 185).mask
    assert session.window and session.window.shape == (90, 90)
    assert dice(mask, truth) > 0.95


def test_window_gives_way_to_a_closer_one_once_clicks_tell_the_extent(a_model: BatchToy) -> None:
    truth = a_disc(200, 180, 10)
    session = PlaneSession(a_model, an_image(truth), spacing=(0.8, 0.8))
    session.click(200, 180)
    wide = next(look for look in session.look.sizes if look.window and look.window.shape == (180, 180))
    session.take(wide)
    for number in range(3):
        session.click(201 + number, 180)
        assert session.window == wide.window
    session.click(205, 180)
    assert session.window and 32 <= max(session.window.shape) <= 60


def test_sizes_are_not_asked_without_zoom_nor_for_a_box(a_model: BatchToy, a_small_disc: np.ndarray) -> None:
    session = PlaneSession(a_model, an_image(a_small_disc), zoom=False, spacing=(0.8, 0.8))
    session.click(200, 180)
    assert session.window is None and session.look and session.look.others == () and a_model.batches == []
    boxed = PlaneSession(a_model, an_image(a_small_disc), spacing=(0.8, 0.8))
    boxed.box(190, 170, 210, 190)
    assert a_model.batches == []


def test_undo_brings_the_window_and_the_other_sizes_back(a_session: PlaneSession) -> None:
    first = a_session.click(200, 180)
    look = a_session.look
    a_session.take(look.others[0])
    assert a_session.window == look.others[0].window
    assert a_session.undo() is first and a_session.look is look
    a_session.undo()
    assert a_session.look is None and a_session.click(200, 180).mask.any()


def test_mask_is_taken_at_the_size_that_it_came_from(a_session: PlaneSession) -> None:
    a_session.click(200, 180)
    for other in a_session.look.sizes[1:]:
        fresh = a_session.take_mask(other.logits.numpy() > 0)
        assert np.array_equal(fresh.mask, other.logits.numpy() > 0)
        a_session.undo()
    larger = a_disc(200, 180, 60)
    assert np.array_equal(a_session.take_mask(larger).mask, larger), "no window cuts it off"
    assert a_session.window is None or a_session.window.shape[0] > 120


def test_mask_cannot_be_taken_before_a_prompt(a_session: PlaneSession) -> None:
    with pytest.raises(PromptError, match="click, box or scribble"):
        a_session.take_mask(np.zeros(PLANE, bool))


def test_each_size_has_all_others_beside_it(a_session: PlaneSession) -> None:
    a_session.click(200, 180)
    sizes = a_session.look.sizes
    assert len(sizes) == 5
    for place, look in enumerate(sizes):
        assert [id(other.logits) for other in look.others] == [
            id(other.logits) for other in sizes if other is not sizes[place]
        ]


def test_window_that_cuts_the_accepted_mask_off_teaches_nothing(a_session: PlaneSession) -> None:
    a_session.click(200, 180)
    small = next(look for look in a_session.look.sizes if look.window and look.window.shape == (45, 45))
    large = next(look for look in a_session.look.sizes if look.window is None)
    a_session.take(small)
    a_session.take(large)
    wanted = a_disc(200, 180, 40)
    examples = telling(a_session.examples(wanted))
    shapes = [example.mask.shape for example in examples]
    assert (45, 45) not in shapes and shapes[-1] == PLANE
    assert all(example.mask.sum() == wanted.sum() for example in examples)


def test_questions_that_are_forgotten_take_the_other_sizes_along(a_session: PlaneSession) -> None:
    prediction = a_session.click(200, 180)
    a_session.forget_questions()
    assert a_session.look and a_session.look.others == () and a_session.question is None
    assert a_session.prediction is prediction


def test_scribble_is_asked_at_the_sizes_that_hold_it(a_session: PlaneSession, a_model: BatchToy) -> None:
    a_session.scribble([(200, 178), (200, 182)])
    assert a_model.batches[-1] == ("decode", 5)


def test_object_at_the_corner_of_a_tiny_plane_gets_an_answer(a_model: BatchToy) -> None:
    for shape in ((1, 1), (3, 90), (33, 33)):
        session = PlaneSession(a_model, np.full(shape, 0.5, np.float32), spacing=(0.5, 0.5))
        assert session.click(0, 0).mask.shape == shape


def test_mask_that_was_given_tells_the_extent(a_model: BatchToy, a_small_disc: np.ndarray) -> None:
    session = PlaneSession(a_model, an_image(a_small_disc), spacing=(0.8, 0.8), prior=a_small_disc)
    session.click(205, 180)
    assert session.window and max(session.window.shape) <= 40


@pytest.mark.parametrize("spacing", [None, (0.8, 0.8)])
def test_mask_that_was_given_stays_when_a_further_part_is_clicked(
    a_model: BatchToy, spacing: tuple[float, float] | None
) -> None:
    given, further = a_disc(100, 110, 12), a_disc(240, 180, 12)
    session = PlaneSession(a_model, an_image(given | further), spacing=spacing, prior=given)
    session.click(100, 118)
    mask = session.click(240, 180).mask
    assert session.look.question.prior is not None and session.look.others == (), "what was there is asked along"
    assert mask[given].mean() > 0.7 and mask[further].mean() > 0.7


def test_look_without_window_shows_the_plane() -> None:
    look = Look(torch.zeros(3, 4), 1.0)
    assert look.seen is look.logits and look.sizes[0].logits is look.logits
