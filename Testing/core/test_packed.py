"""What histories keep: arrays come back as they were, masks exactly, logits to a sixteenth, in little memory."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AdaptCore.models.base import Question
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.packed import PackedArray, PackedLogits, PackedMask, PackedPrompts
from AdaptCore.predict.plane import MODELS_KEPT, PlaneSession
from AdaptCore.predict.volume import VolumeSession
from AdaptCore.prompts import SEEN_CLICKS, Box, Click, Lasso, Prompts
from Testing.toy_model import BatchToy, ToyModel


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_packed_arrays_come_back_as_they_were(dtype: type) -> None:
    for values in (np.array([], dtype), np.array([250, 3, 3, 0, 255], dtype), np.arange(5, 100_000, 7).astype(dtype)):
        packed = PackedArray.of(values)
        assert packed.values().dtype == dtype
        np.testing.assert_array_equal(packed.values(), values)


def test_indices_of_a_plane_take_a_hundredth_of_their_memory() -> None:
    indices = (np.arange(512 * 512) + 7 * 512 * 512).astype(np.int32)
    assert len(PackedArray.of(indices).data) < indices.nbytes / 100


def test_packed_logits_keep_every_sign_and_are_right_to_a_sixteenth() -> None:
    logits = np.random.default_rng(0).normal(0, 3, (37, 41)).astype(np.float32)
    logits[0, :4] = 1e-9, -1e-9, 0.0, -1e4
    back = PackedLogits.of(logits).logits()
    np.testing.assert_array_equal(back > 0, logits > 0)
    assert np.abs(back - logits)[1:].max() <= 1 / 16
    assert back[0, 2] == 0 and back[0, 3] == -2047
    np.testing.assert_array_equal(PackedMask.of(logits > 0).mask(), logits > 0)


def a_disc(side: int = 96) -> np.ndarray:
    y, x = np.mgrid[:side, :side]
    return (0.1 + 0.7 * ((x - 50) ** 2 + (y - 40) ** 2 < 400)).astype(np.float32)


def test_answers_far_back_come_back_with_their_masks_and_questions() -> None:
    session = PlaneSession(ToyModel(), a_disc())
    given = [session.click(50 + step, 40, positive=step % 3 != 2) for step in range(9)]
    masks, priors = [each.mask.copy() for each in given], []
    for mask in reversed(masks):
        np.testing.assert_array_equal(session.prediction.mask, mask)
        question = session.question
        assert isinstance(question, Question) and len(question.prompts.clicks) == len(session.prompts.clicks)
        priors.append(question.prior)
        session.undo()
    assert session.prediction is None and priors[-1] is None
    for mask in masks:
        np.testing.assert_array_equal(session.redo().mask, mask)


def test_lesson_asks_the_questions_of_all_clicks() -> None:
    session = PlaneSession(ToyModel(), a_disc())
    for step in range(6):
        session.click(50 + step, 40)
    examples = session.examples(session.prediction.mask)
    assert [len(example.question.prompts.clicks) for example in examples] == [1, 2, 3, 4, 5, 6]
    assert len({id(example.question.embedding) for example in examples}) == len(
        {example.question.embedding.plane_shape for example in examples}
    )


def test_copy_that_is_asked_leaves_the_answer_of_the_session_exact() -> None:
    import copy

    session = PlaneSession(ToyModel(), a_disc())
    session.click(50, 40)
    before = session.prediction.logits.copy()
    copy.copy(session).take(session.look.with_answer(torch.zeros(session.look.seen.shape)))
    np.testing.assert_array_equal(session.prediction.logits, before)


def test_only_the_latest_models_that_clicks_have_taught_are_kept() -> None:
    class Teacher:
        def adapt(self, model, question, added, logits):
            return ToyModel()

    session = PlaneSession(ToyModel(), a_disc(), adapter=Teacher())
    frozen = session.model
    for step in range(MODELS_KEPT + 8):
        session.click(40 + step, 40)
    models = {id(state.model) for state in session._history}
    assert len(models) <= MODELS_KEPT + 2
    while session.can_undo:
        session.undo()
    assert session.model is frozen


def test_plane_at_rest_keeps_neither_its_image_nor_its_embedding() -> None:
    volume = np.repeat((500 * a_disc()).astype(np.int16)[:, :, None], 4, axis=2)
    with VolumeSession(ToyModel(), volume, cache=EmbeddingCache(0), precompute=0) as session:
        first = session.plane(axis_plane(volume.shape, 2, 0))
        mask = first.click(40, 50).mask.copy()
        session.plane(axis_plane(volume.shape, 2, 1)).click(40, 50)
        assert first._encoder._image is None
        assert all(state.prediction is None or state.prediction.held._look is None for state in first._history)
        np.testing.assert_array_equal(first.prediction.mask, mask)
        assert first.click(42, 50).mask.any()
        assert first.prompts != Prompts()


def test_voxels_that_a_segment_did_not_take_are_given_up_as_one_step() -> None:
    volume = np.repeat((500 * a_disc()).astype(np.int16)[:, :, None], 4, axis=2)
    with VolumeSession(ToyModel(), volume, precompute=0) as session:
        plane = axis_plane(volume.shape, 2, 1)
        session.plane(plane).click(40, 50)
        assert session.accept(plane)
        assert not session.accept(plane)
        accepted = session.labelmap.copy()
        lost = np.argwhere(accepted)[:10]
        session.give_up(lost)
        assert session.labelmap.sum() == accepted.sum() - 10
        assert session.is_confirmed(2, 1)
        np.testing.assert_array_equal(np.sort(session.lost_since(1), 0), np.sort(lost, 0))
        session.undo()
        np.testing.assert_array_equal(session.labelmap, accepted)
        session.redo()
        session.give_up(np.argwhere(session.labelmap), is_step=False)
        assert session.steps == 2 and not session.labelmap.any()


def test_other_sizes_of_a_packed_answer_come_back() -> None:
    session = PlaneSession(BatchToy(), np.repeat(np.repeat(a_disc(), 3, 0), 3, 1), spacing=(1.0, 1.0))
    session.click(150, 120)
    given = session.look
    for step in range(3):
        session.click(151 + step, 120)
    for _ in range(3):
        session.undo()
    assert given is not None and session.look is not None
    assert [look.window for look in session.look.others] == [look.window for look in given.others] != []
    for one, other in zip(session.look.sizes, given.sizes, strict=True):
        np.testing.assert_array_equal(one.logits.numpy() > 0, other.logits.numpy() > 0)
        assert one.question is not None and one.question.prompts == other.question.prompts


def test_packed_prompts_come_back_as_they_were_given() -> None:
    clicks = tuple(Click(0.1 * x, 1 / (x + 1), x % 2 > 0) for x in range(90))
    for prompts in (
        Prompts(),
        Prompts(clicks, Box(0.3, 1, 4.7, 9)),
        Prompts(clicks, lasso=Lasso(((1, 2), (5, 3), (2, 8)))),
    ):
        assert PackedPrompts.of(prompts).prompts() == prompts


def test_going_back_to_a_plane_embeds_only_what_is_asked_for() -> None:
    model = BatchToy()
    cache = EmbeddingCache(0)
    session = PlaneSession(model, np.repeat(np.repeat(a_disc(), 3, 0), 3, 1), spacing=(1.0, 1.0), cache=cache)
    image = session._encoder.image
    session.click(150, 120)
    given = session.look
    session.rest(lambda: image)
    encoded = model.encoded
    assert session.question is not None and len(session.look.others) == 3 and session.prediction.mask.any()
    assert model.encoded == encoded, "neither the answer nor those at other sizes need an embedding"
    other = session.look.others[1]
    assert other.question.embedding is other.question.embedding
    assert other.question.embedding.plane_shape == given.others[1].question.embedding.plane_shape
    assert model.encoded == encoded + 1


def test_lesson_of_many_clicks_embeds_nothing_before_it_is_learnt() -> None:
    model = ToyModel()
    session = PlaneSession(model, a_disc(), cache=EmbeddingCache(0))
    for step in range(12):
        session.click(44 + step, 40)
    encoded = model.encoded
    examples = session.examples(session.prediction.mask)
    assert len(examples) == 12 and model.encoded == encoded
    assert examples[0].question.embedding.plane_shape == examples[0].mask.shape and model.encoded == encoded + 1


def test_every_one_of_many_clicks_is_obeyed_though_the_model_sees_few() -> None:
    class Witness(ToyModel):
        most = 0

        def decode(self, embedding, prompts, prior_logits=None):
            Witness.most = max(Witness.most, len(prompts.seen))
            return super().decode(embedding, prompts, prior_logits)

    session = PlaneSession(Witness(), a_disc())
    angles = np.random.default_rng(0).permutation(np.linspace(0, 2 * np.pi, 100))
    session.click(50, 40)
    for place, angle in enumerate(angles):
        reach = 16 if place % 2 else 25
        session.click(50 + reach * np.cos(angle), 40 + reach * np.sin(angle), positive=place % 2 > 0)
    mask = session.prediction.mask
    assert all(mask[click.place_in(mask.shape)] == click.positive for click in session.prompts.clicks)
    assert len(session.prompts.clicks) == 101 and Witness.most == SEEN_CLICKS
