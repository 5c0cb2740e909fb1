"""Plane session: what a user sees while clicking, taking back and clicking again."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.models.base import Decoding
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.masks import filled
from AdaptCore.predict.plane import (
    LASSO_CORNERS,
    STROKE_CLICKS,
    Look,
    PlaneEncoder,
    PlaneSession,
    Prediction,
    predict_window,
    thin_stroke,
)
from AdaptCore.predict.propagate import dice
from AdaptCore.predict.zoom import CropWindow, ZoomPolicy
from AdaptCore.prompts import Box, Click, Prompts
from Testing.toy_model import ToyModel

HEIGHT, WIDTH = 200, 260
EAGER = ZoomPolicy(margin=0.35, limit=0.75, min_clicks=1)


def a_disc(x: float, y: float, radius: float, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def an_image(mask: np.ndarray) -> np.ndarray:
    noise = 0.02 * np.random.default_rng(0).standard_normal(mask.shape)
    return np.clip(0.2 + 0.6 * mask + noise, 0, 1).astype(np.float32)


@pytest.fixture
def a_small_disc() -> np.ndarray:
    return a_disc(80, 120, 15)


@pytest.fixture
def a_model() -> ToyModel:
    return ToyModel()


@pytest.fixture
def a_session(a_model: ToyModel, a_small_disc: np.ndarray) -> PlaneSession:
    return PlaneSession(a_model, an_image(a_small_disc), zoom=EAGER)


def test_one_click_gives_the_disc(a_session, a_small_disc):
    prediction = a_session.click(80, 120)
    assert dice(prediction.mask, a_small_disc) > 0.95
    assert prediction.mask.shape == (HEIGHT, WIDTH)
    assert prediction.mask.dtype == bool
    assert prediction.logits.dtype == np.float32
    assert prediction.score == pytest.approx(1.0)
    assert a_session.prediction is prediction


def test_mask_probability_and_logits_agree(a_session):
    prediction = a_session.click(80, 120)
    assert np.array_equal(prediction.mask, prediction.logits > 0)
    assert np.array_equal(prediction.mask, prediction.probability > 0.5)


def test_very_sure_background_has_probability_zero_without_a_warning():
    sure = np.full((2, 2), -1e4, np.float32)
    prediction = PlaneSession(ToyModel(), np.zeros((2, 2), np.float32), prior=sure).prediction
    assert prediction.probability.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_best_alternative_is_the_one_with_the_highest_score(a_small_disc):
    class Chooser(ToyModel):
        def decode(self, embedding, prompts, prior_logits=None):
            self.decoded += 1
            side = self.mask_side
            return Decoding(
                torch.stack([torch.full((side, side), value) for value in (-1.0, 2.0, -3.0)]),
                torch.tensor([0.3, 0.9, 0.5]),
            )

    prediction = PlaneSession(Chooser(), an_image(a_small_disc), zoom=False).click(80, 120)
    assert prediction.score == pytest.approx(0.9)
    assert np.unique(prediction.logits) == pytest.approx([2.0])


def test_negative_click_takes_away_and_earlier_answers_stay(a_session):
    first = a_session.click(80, 120)
    copy = first.mask.copy(), first.logits.copy()
    second = a_session.click(90, 120, positive=False)
    assert first.mask[120, 90] and not second.mask[120, 90]
    assert np.array_equal(first.mask, copy[0])
    assert np.array_equal(first.logits, copy[1])


def test_answers_cannot_be_written_to(a_session):
    prediction = a_session.click(80, 120)
    for array in (prediction.mask, prediction.logits):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_box_alone_gives_the_disc_and_is_cut_to_the_plane(a_session, a_small_disc):
    prediction = a_session.box(-40, 80, 200, 160)
    assert a_session.prompts.box == Box(-0.5, 80, 200, 160)
    tight = a_session.box(60, 100, 100, 140)
    assert a_session.prompts.box == Box(60, 100, 100, 140)
    assert dice(tight.mask, a_small_disc) > dice(prediction.mask, a_small_disc)
    assert dice(tight.mask, a_small_disc) > 0.95


def test_scribble_is_one_step_of_a_few_clicks(a_session, a_small_disc):
    prediction = a_session.scribble([(70 + step / 5, 120) for step in range(100)])
    assert dice(prediction.mask, a_small_disc) > 0.95
    assert len(a_session.prompts.clicks) == STROKE_CLICKS
    a_session.undo()
    assert a_session.prompts.clicks == ()
    assert not a_session.can_undo


def test_long_stroke_keeps_its_ends_and_even_distances():
    stroke = tuple(Click(float(x), 0.0) for x in [0] * 50 + list(range(71)))
    assert [click.x for click in thin_stroke(stroke, 8)] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert thin_stroke(stroke[:3], 8) == stroke[:3]
    assert thin_stroke((Click(1, 1),) * 20, 8) == (Click(1, 1),)


def test_undo_and_redo_give_back_the_same_objects_without_decoding(a_session, a_model):
    first = a_session.click(80, 120)
    second = a_session.click(90, 120, positive=False)
    calls = a_model.decoded, a_model.encoded
    assert a_session.undo() is first
    assert a_session.undo() is None
    assert a_session.prompts.clicks == ()
    assert a_session.redo() is first
    assert a_session.redo() is second
    assert (a_model.decoded, a_model.encoded) == calls


def test_new_prompt_after_undo_replaces_what_was_undone(a_session):
    a_session.click(80, 120)
    a_session.click(90, 120, positive=False)
    a_session.undo()
    assert a_session.can_redo
    a_session.click(75, 115)
    assert not a_session.can_redo
    assert [click.x for click in a_session.prompts.clicks] == [80, 75]


def test_undo_at_the_start_and_redo_at_the_end_do_nothing(a_session):
    assert a_session.undo() is None
    only = a_session.click(80, 120)
    assert a_session.redo() is only


def test_reset_forgets_the_prompts_but_can_be_undone(a_session):
    answer = a_session.click(80, 120)
    a_session.reset()
    assert a_session.prediction is None
    assert a_session.prompts.clicks == ()
    assert a_session.undo() is answer


def test_answer_after_undo_does_not_depend_on_what_was_undone(a_model, a_small_disc):
    session, straight = (PlaneSession(a_model, an_image(a_small_disc)) for _ in range(2))
    session.click(80, 120)
    session.click(95, 120, positive=False)
    session.undo()
    straight.click(80, 120)
    assert np.array_equal(session.click(70, 120).logits, straight.click(70, 120).logits)


@pytest.mark.parametrize(
    "refused",
    [
        lambda session: session.click(WIDTH, 5),
        lambda session: session.click(float("nan"), 5),
        lambda session: session.box(5, 5, 5, 9),
        lambda session: session.box(WIDTH + 1, 5, WIDTH + 9, 9),
        lambda session: session.scribble([]),
        lambda session: session.scribble([(-1 if step == 7 else 0, step) for step in range(30)]),
        lambda session: session.set_prior(np.zeros((3, 3), bool)),
        lambda session: session.set_prior(np.full((HEIGHT, WIDTH), np.nan)),
    ],
)
def test_refused_prompt_leaves_everything_as_it_was(a_session, a_model, refused):
    answer = a_session.click(80, 120)
    a_session.click(90, 120, positive=False)
    a_session.undo()
    calls, prompts = a_model.decoded, a_session.prompts
    with pytest.raises((PromptError, ImageError)):
        refused(a_session)
    assert a_session.prediction is answer
    assert a_session.prompts == prompts
    assert a_session.can_redo
    assert a_model.decoded == calls


def test_only_negative_clicks_are_refused(a_session, a_model):
    with pytest.raises(PromptError, match="Expected a positive click or a box"):
        a_session.click(80, 120, positive=False)
    assert a_session.prediction is None
    assert a_model.encoded == 0


def test_negative_click_may_correct_a_given_mask(a_session, a_small_disc):
    given_mask = a_session.set_prior(a_small_disc)
    assert np.array_equal(given_mask.mask, a_small_disc)
    corrected = a_session.click(10, 10, positive=False)
    assert corrected.logits.shape == (HEIGHT, WIDTH)
    a_session.undo()
    assert a_session.prediction is given_mask


def test_previous_answer_is_the_prior_of_the_next(a_small_disc):
    class Remembering(ToyModel):
        def __init__(self):
            super().__init__()
            self.priors = []

        def decode(self, embedding, prompts, prior_logits=None):
            self.priors.append(prior_logits)
            return super().decode(embedding, prompts, prior_logits)

    model = Remembering()
    session = PlaneSession(model, an_image(a_small_disc), zoom=None)
    first = session.click(80, 120)
    session.click(82, 121)
    assert model.priors[0] is None
    prior = model.priors[1]
    assert prior.shape == (64, 64)
    assert prior.max() == pytest.approx(first.logits.max(), abs=0.5)
    assert prior[30:34, 18:22].min() < 0 < prior[29, 19]


def test_prior_nudges_the_answer(a_model, a_small_disc):
    plain, led = (PlaneSession(a_model, an_image(a_small_disc), zoom=None) for _ in range(2))
    led.set_prior(np.full((HEIGHT, WIDTH), 6.0, np.float32))
    difference = led.click(80, 120).logits - plain.click(80, 120).logits
    away_from_the_click = difference[5:-15, 120:-5]
    assert away_from_the_click == pytest.approx(np.full(away_from_the_click.shape, 0.6), abs=1e-3)


def test_prior_given_after_prompts_decodes_them_again(a_session, a_model, a_small_disc):
    a_session.click(80, 120)
    calls = a_model.decoded
    prediction = a_session.set_prior(a_small_disc)
    assert a_model.decoded > calls
    assert dice(prediction.mask, a_small_disc) > 0.95


def test_plane_is_encoded_at_the_first_prompt_and_once(a_model, a_small_disc):
    session = PlaneSession(a_model, an_image(a_small_disc), zoom=None)
    assert a_model.encoded == 0
    for x in (75, 80, 85):
        session.click(x, 120)
    assert a_model.encoded == 1


def test_given_embedding_is_used(a_model, a_small_disc):
    image = an_image(a_small_disc)
    session = PlaneSession(a_model, image, embedding=a_model.encode(image), zoom=None)
    session.click(80, 120)
    assert a_model.encoded == 1


def test_embedding_of_another_plane_is_refused(a_model, a_small_disc):
    embedding = a_model.encode(np.zeros((10, 10), np.float32))
    with pytest.raises(ImageError, match=r"Expected the embedding of a plane of \(\d+, \d+\), got one of"):
        PlaneSession(a_model, an_image(a_small_disc), embedding=embedding)


def test_sessions_on_the_same_image_share_embeddings_through_the_cache(a_model, a_small_disc):
    cache = EmbeddingCache()
    PlaneSession(a_model, an_image(a_small_disc), cache=cache).click(80, 120)
    calls = a_model.encoded
    PlaneSession(a_model, an_image(a_small_disc), cache=cache).click(80, 120)
    assert a_model.encoded == calls
    PlaneSession(a_model, an_image(a_disc(80, 120, 16)), cache=cache).click(80, 120)
    assert a_model.encoded > calls


def test_session_does_not_notice_later_changes_of_the_callers_image(a_model, a_small_disc):
    image = an_image(a_small_disc)
    session = PlaneSession(a_model, image, zoom=EAGER)
    image[:] = 0
    assert dice(session.click(80, 120).mask, a_small_disc) > 0.95


def test_zoom_looks_again_in_a_window_and_sharpens_the_outline(a_model):
    star = a_disc(80, 120, 9) & ~a_disc(80, 120, 5)
    plain = PlaneSession(a_model, an_image(star), zoom=None).click(87, 120)
    session = PlaneSession(a_model, an_image(star), zoom=EAGER)
    zoomed = session.click(87, 120)
    assert session.window is not None
    assert session.window.contains(80, 120)
    assert dice(zoomed.mask, star) > dice(plain.mask, star) + 0.02


def test_zoom_waits_until_clicks_or_a_box_tell_the_extent(a_model, a_small_disc):
    clicked, boxed = (PlaneSession(a_model, an_image(a_small_disc), zoom=ZoomPolicy(min_clicks=3)) for _ in range(2))
    windows = []
    for x in (75, 80, 85):
        clicked.click(x, 120)
        windows.append(clicked.window)
    assert windows[:2] == [None, None] and windows[2] is not None
    boxed.box(62, 102, 98, 138)
    assert boxed.window is not None


def test_later_clicks_inside_the_window_cost_one_decode_and_no_encode(a_session, a_model):
    a_session.click(80, 120)
    window, calls = a_session.window, (a_model.encoded, a_model.decoded)
    a_session.click(85, 122)
    assert a_session.window == window
    assert (a_model.encoded - calls[0], a_model.decoded - calls[1]) == (0, 1)


def test_click_outside_the_window_looks_at_the_whole_plane_again(a_model):
    both = a_disc(80, 120, 12) | a_disc(140, 120, 12)
    image = an_image(both)
    image[a_disc(140, 120, 12)] -= 0.3
    session = PlaneSession(a_model, np.clip(image, 0, 1), zoom=EAGER)
    assert dice(session.click(80, 120).mask, a_disc(80, 120, 12)) > 0.95
    assert not session.window.contains(140, 120)
    prediction = session.click(140, 120)
    assert session.window.contains(140, 120)
    assert dice(prediction.mask, both) > 0.9


@pytest.fixture
def a_small_window() -> CropWindow:
    return CropWindow(70, 90, 102, 122)


def look_in(window: CropWindow, model: ToyModel, truth: np.ndarray) -> Look:
    encoder = PlaneEncoder(model, an_image(truth), EmbeddingCache())
    before = Look(torch.full(truth.shape, -6.0), 1.0)
    click = Click((window.x0 + window.x1) / 2, (window.y0 + window.y1) / 2)
    return predict_window(model, encoder, Prompts((click,)), before, window, ZoomPolicy())


def test_object_that_leaves_the_window_makes_it_grow_once(a_model, a_small_window):
    look = look_in(a_small_window, a_model, a_disc(86, 106, 18))
    assert look.window is not None and look.window.contains_box(Box(68, 88, 104, 124))
    assert dice(look.logits.numpy() > 0, a_disc(86, 106, 18)) > 0.95
    assert a_model.decoded == 2


def test_object_inside_the_window_is_decoded_once(a_model, a_small_window):
    look = look_in(a_small_window, a_model, a_disc(86, 106, 10))
    assert look.window == a_small_window
    assert a_model.decoded == 1


def test_object_that_outgrows_every_window_is_decoded_on_the_whole_plane(a_model):
    truth = a_disc(130, 100, 90)
    look = look_in(CropWindow(60, 30, 200, 170), a_model, truth)
    assert look.window is None
    assert dice(look.logits.numpy() > 0, truth) > 0.95


def test_large_object_is_decoded_on_the_whole_plane_only(a_model):
    session = PlaneSession(a_model, an_image(a_disc(130, 100, 90)), zoom=True)
    session.click(130, 100)
    assert session.window is None
    assert a_model.decoded == 1


def test_other_rendering_keeps_history_and_answers_from_the_new_image(a_model, a_small_disc):
    session = PlaneSession(a_model, an_image(a_small_disc), zoom=None)
    answer = session.click(80, 120)
    other = session.seen_as(an_image(a_disc(160, 60, 20)))
    assert other.prediction is answer
    assert other.click(160, 60).mask[60, 160]
    assert other.undo() is answer
    assert session.prediction is answer
    with pytest.raises(ImageError, match=r"Expected a plane of \(\d+, \d+\) in its place, got"):
        session.seen_as(np.zeros((5, 5), np.float32))


def test_copy_is_asked_without_the_session_which_takes_its_answer_over(a_model, a_small_disc):
    session = PlaneSession(a_model, an_image(a_small_disc))
    first = session.click(80, 120)
    asked = copy.copy(session)
    second = asked.click(20, 20, positive=False)
    assert session.prediction is first and len(session.prompts.clicks) == 1
    session.take_over(asked)
    assert session.prediction is second and len(session.prompts.clicks) == 2
    assert session.undo() is first and asked.prediction is second
    assert session.redo() is second


def test_colour_plane_is_segmented(a_model, a_small_disc):
    image = np.repeat(an_image(a_small_disc)[..., None], 3, axis=2)
    assert dice(PlaneSession(a_model, image, zoom=EAGER).click(80, 120).mask, a_small_disc) > 0.95


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("shape", [(40, 60), (1, 1), (1, 300), (3, 2, 3)])
def test_constant_image_of_any_size_gets_an_answer(a_model, value, shape):
    session = PlaneSession(a_model, np.full(shape, value, np.float32))
    assert session.click(0, 0).mask.shape == shape[:2]
    assert np.isfinite(session.box(-0.5, -0.5, 0.5, 0.5).logits).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros(5, np.float32),
        np.zeros((4, 4, 4), np.float32),
        np.zeros((0, 4), np.float32),
        np.full((4, 4), 2.0, np.float32),
        np.full((4, 4), -1e-3, np.float32),
        np.full((4, 4), np.nan, np.float32),
    ],
)
def test_unusable_image_is_refused_with_what_was_wanted(a_model, image):
    with pytest.raises(ImageError, match="Expected"):
        PlaneSession(a_model, image)


ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("click"), st.integers(0, 49), st.integers(0, 39)),
        st.tuples(st.just("negative"), st.integers(0, 49), st.integers(0, 39)),
        st.tuples(st.just("box"), st.integers(0, 30), st.integers(0, 20)),
        st.tuples(st.just("undo")),
        st.tuples(st.just("redo")),
        st.tuples(st.just("reset")),
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(ACTIONS)
def test_history_always_leads_back_to_every_earlier_answer(actions):
    session = PlaneSession(ToyModel(), an_image(a_disc(20, 20, 9, (40, 50))))
    past, future = [None], []
    for name, *place in actions:
        if name == "undo":
            if len(past) > 1:
                future.append(past.pop())
            session.undo()
        elif name == "redo":
            if future:
                past.append(future.pop())
            session.redo()
        elif name == "reset":
            session.reset()
            past, future = [*past, None], []
        else:
            try:
                answer = _act(session, name, *place)
            except PromptError:
                continue
            past, future = [*past, answer], []
        assert session.prediction is past[-1]
        assert session.can_undo == (len(past) > 1)
        assert session.can_redo == bool(future)


def _act(session: PlaneSession, name: str, x: int, y: int) -> Prediction:
    if name == "box":
        return session.box(x, y, x + 15, y + 15)
    return session.click(x, y, positive=name == "click")


def test_builtin_architecture_answers_clicks_boxes_and_priors():
    compact = pytest.importorskip("AdaptCore.models.compact")
    session = PlaneSession(compact.CompactModel.random(0), an_image(a_disc(30, 40, 12, (96, 80))))
    for prediction in (session.click(30, 40), session.click(5, 5, False), session.box(10, 20, 50, 60)):
        assert prediction.logits.shape == (96, 80)
        assert np.isfinite(prediction.logits).all()
    assert session.undo().logits is not prediction.logits


def a_circle(x: float, y: float, radius: float, count: int = 60) -> list[tuple[float, float]]:
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [(x + radius * np.cos(angle), y + radius * np.sin(angle)) for angle in angles]


def test_lasso_gives_the_object_that_it_goes_around(a_session, a_small_disc):
    prediction = a_session.lasso(a_circle(82, 119, 20))
    assert dice(prediction.mask, a_small_disc) > 0.95
    lasso, box = a_session.prompts.lasso, a_session.prompts.box
    assert len(lasso.points) == LASSO_CORNERS
    assert (box.x0, box.y1) == pytest.approx((62, 139), abs=0.5)


def test_answers_stay_in_the_lasso_until_a_click_lies_outside(a_session, a_small_disc):
    right_half = [(80, 100), (100, 100), (100, 140), (80, 140)]
    half = a_session.lasso(right_half).mask
    assert half[120, 85] and not half[:, :80].any()
    assert dice(half, a_small_disc & (np.arange(WIDTH) >= 80)) > 0.9
    still_half = a_session.click(85, 110).mask
    assert still_half[110, 85] and not still_half[:, :80].any()
    whole = a_session.click(70, 120).mask
    assert whole[120, 70]


def test_picked_answer_stays_in_the_lasso(a_session):
    a_session.lasso(a_circle(80, 120, 10))
    picked = a_session.take(a_session.look.with_answer(torch.full_like(a_session.look.seen, 3.0))).mask
    rows, columns = np.nonzero(picked)
    assert np.hypot(columns - 80, rows - 120).max() <= 10
    assert picked.sum() > 0.9 * np.pi * 100


def test_lasso_is_undone_and_redone_as_one_step(a_session):
    clicked = a_session.click(80, 120)
    drawn = a_session.lasso(a_circle(80, 120, 10))
    assert a_session.undo() is clicked
    assert a_session.prompts == Prompts((Click(80, 120),))
    assert a_session.redo() is drawn
    assert a_session.prompts.clicks == (Click(80, 120),)
    a_session.box(50, 90, 110, 150)
    assert a_session.prompts == Prompts((Click(80, 120),), Box(50, 90, 110, 150))


def test_lasso_that_leaves_the_plane_is_cut_off(a_session):
    a_session.lasso([(-40, 100), (100, 100), (100, 500), (-40, 500)])
    assert a_session.prompts.box == Box(-0.5, 100, 100, HEIGHT - 0.5)
    assert a_session.prompts.lasso.points[0] == (-40, 100)


@pytest.mark.parametrize(
    ("points", "wanted"),
    [
        ([(80, 120), (90, 120)], "at least 3 points around the object, got 2"),
        ([(80, 120), (90, 120), (float("nan"), 110)], "finite"),
        ([(80, 120), (90, 120), (85, 120)], "got a line"),
        ([(80, 120), (90, 130), (80, 120)], "around no pixel of the plane of 260 x 200 pixels"),
        ([(300, 120), (320, 120), (310, 140)], "around no pixel of the plane of 260 x 200 pixels"),
        ([(80.2, 120.2), (80.4, 120.2), (80.3, 120.4)], "around no pixel"),
    ],
)
def test_lasso_around_nothing_changes_nothing(a_session, points, wanted):
    with pytest.raises(PromptError, match=wanted):
        a_session.lasso(points)
    assert not a_session.can_undo
    assert a_session.prediction is None


def test_outline_is_filled_as_often_as_it_goes_around():
    rows, columns = np.mgrid[:50, :60]
    disc = np.hypot(columns - 30.3, rows - 24.7) < 15
    once = filled(a_circle(30.3, 24.7, 15, 400), (50, 60))
    assert (once != disc).sum() <= 4
    twice = a_circle(30.3, 24.7, 15, 400) * 2
    np.testing.assert_array_equal(filled(twice, (50, 60)), once)
    np.testing.assert_array_equal(filled(twice[::-1], (50, 60)), once)


def test_outline_is_filled_inside_the_image_only():
    assert filled([(-9, -9), (99, -9), (99, 99), (-9, 99)], (5, 7)).all()
    np.testing.assert_array_equal(
        np.argwhere(filled([(1.5, -3), (3.5, -3), (3.5, 1.5), (1.5, 1.5)], (5, 7))), [(0, 2), (0, 3), (1, 2), (1, 3)]
    )
    assert not filled([(8, 1), (12, 1), (10, 4)], (5, 7)).any()
