"""One object of a volume: prompts become its mask in windows that fit, with undo and redo."""

from __future__ import annotations

from copy import copy
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.models.volume_prompts import VolumePrompts
from AdaptCore.predict.block import NEAR, BlockSession, WindowPolicy, predict_object
from AdaptCore.predict.object_prompts import KnownSlice, ObjectPrompts, VolumeClick
from AdaptCore.predict.packed import PackedLogits
from AdaptCore.prompts import SEEN_CLICKS
from Testing.bright_model import BrightModel
from Testing.tiny_volume_model import tiny_volume_model

EVEN = (1.0, 1.0, 1.0)
POLICY = WindowPolicy(side=32)


def a_ball(shape: tuple[int, int, int], centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Ones in a ball whose edge is a voxel wide, zeros around it."""
    away = np.sqrt(sum((axis - at) ** 2 for axis, at in zip(np.indices(shape), centre)))
    return np.clip(radius + 0.5 - away, 0, 1).astype(np.float32)


def a_session(
    volume: np.ndarray, spacing: tuple[float, float, float] = EVEN, policy: WindowPolicy = POLICY
) -> tuple[BlockSession, BrightModel]:
    model = BrightModel()
    return BlockSession(model, volume, spacing, policy), model  # type: ignore[arg-type]


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return 2 * (mask & truth).sum() / (mask.sum() + truth.sum())


@pytest.fixture(scope="module")
def a_volume() -> np.ndarray:
    return a_ball((60, 50, 40), (30, 25, 20), 9)


def test_a_click_finds_the_object_and_its_box(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    prediction = session.click(30, 25, 20)
    truth = a_volume > 0.5
    assert dice(prediction.on(session.shape), truth) > 0.98
    assert prediction.mask.sum() == prediction.on(session.shape).sum()
    assert all(part.stop - part.start <= 21 for part in prediction.box)
    assert prediction.score == pytest.approx(0.8) and not prediction.mask.flags.writeable


def test_the_same_object_is_found_in_thick_slices() -> None:
    spacing = (0.8, 0.8, 4.0)
    i, j, k = np.indices((60, 60, 20))
    truth = ((i - 30) * 0.8) ** 2 + ((j - 30) * 0.8) ** 2 + ((k - 9) * 4.0) ** 2 < 12**2
    session, _ = a_session(truth.astype(np.uint8), spacing)
    assert dice(session.click(30, 30, 9).on(session.shape), truth) > 0.9


def test_the_volume_is_only_read(a_volume: np.ndarray) -> None:
    volume = (a_volume * 1.0).copy()
    volume.flags.writeable = False
    session, _ = a_session(volume)
    session.click(30, 25, 20)
    session.click(20, 20, 20, positive=False)
    assert np.array_equal(volume, a_volume)


def test_a_negative_click_with_nothing_to_remove_is_refused(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    with pytest.raises(PromptError, match="There is nothing to remove yet: click on the object first"):
        session.click(30, 25, 20, positive=False)
    assert not session.can_undo and session.prediction is None and not model.asked


@pytest.mark.parametrize("position", [(-1, 5, 5), (5, 50, 5), (5, 5, 39.6), (1e9, 5, 5)])
def test_a_click_outside_of_the_volume_is_refused(a_volume: np.ndarray, position: tuple[float, float, float]) -> None:
    session, _ = a_session(a_volume)
    before = session.click(30, 25, 20)
    with pytest.raises(PromptError, match=r"outside the volume of \(60, 50, 40\) voxels: nothing has changed"):
        session.click(*position)
    assert session.prediction is before and len(session.prompts.clicks) == 1


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_click_without_a_place_is_refused(a_volume: np.ndarray, bad: float) -> None:
    with pytest.raises(PromptError, match="three finite coordinates"):
        a_session(a_volume)[0].click(3, bad, 3)


def test_clicks_are_obeyed_where_the_model_disagrees(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    first = session.click(30, 25, 20).on(session.shape)
    removed = session.click(30, 25, 14, positive=False).on(session.shape)
    added = session.click(30, 38, 20).on(session.shape)
    assert first[30, 25, 14] and not removed[30, 25, 14] and not first[30, 38, 20] and added[30, 38, 20]
    changed = np.argwhere(first != removed)
    assert np.abs(changed - (30, 25, 14)).max() <= 5


def test_undo_and_redo_bring_answers_back_as_they_were(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    one = session.click(30, 25, 20)
    two = session.click(30, 36, 20)
    asked = len(model.asked)
    assert session.undo() is one and session.prompts.clicks == (VolumeClick((30.0, 25.0, 20.0)),)
    assert session.undo() is None and not session.can_undo and session.undo() is None
    assert session.redo() is one and session.redo() is two and session.redo() is two and not session.can_redo
    assert len(model.asked) == asked
    session.undo()
    three = session.click(30, 14, 20)
    assert not session.can_redo and session.undo() is one and session.redo() is three


def test_a_known_slice_is_kept_voxel_by_voxel(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    session.click(30, 25, 20)
    told = np.random.default_rng(0).random((60, 50)) > 0.7
    answer = session.known_slice(2, 18, told).on(session.shape)
    assert np.array_equal(answer[:, :, 18], told)
    other = session.known_slice(0, 30, np.zeros((50, 40), bool)).on(session.shape)
    assert not other[30].any() and np.array_equal(other[31:, :, 18], told[31:])
    again = session.known_slice(2, 18, ~told).on(session.shape)
    assert len(session.prompts.slices) == 2 and np.array_equal(again[:30, :, 18], ~told[:30])


def test_a_known_slice_alone_tells_object_and_window(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    truth = a_volume > 0.5
    prediction = session.known_slice(1, 25, truth[:, 25])
    assert dice(prediction.on(session.shape), truth) > 0.98
    assert prediction.window.millimetres(EVEN) == pytest.approx(1.7 * 17)
    prompts = model.asked[0]
    plane = int(prompts.known[0].any(2).any(0).nonzero().item())
    at = prediction.window.positions(1)[plane]
    assert abs(at - 25) <= 0.5 * prediction.window.step[1] + 1e-6
    assert float(prompts.slices.sum()) * prediction.window.step[0] ** 2 == pytest.approx(truth[:, 25].sum(), rel=0.1)


def test_a_guessed_slice_opens_the_session_but_does_not_bind_it(a_volume: np.ndarray) -> None:
    guessed = np.zeros((60, 50, 1), bool)
    guessed[24:30, 20:31] = True
    model, asked = BrightModel(), []

    def guess(position: tuple[float, float, float]) -> list[KnownSlice]:
        asked.append(position)
        return [KnownSlice(2, 20, guessed, is_certain=False)]

    session = BlockSession(model, a_volume, EVEN, POLICY, guess)  # type: ignore[arg-type]
    prediction = session.click(30, 25, 20)
    assert asked == [(30.0, 25.0, 20.0)] and bool(model.asked[0].known.any())
    assert dice(prediction.on(session.shape), a_volume > 0.5) > 0.98
    assert session.prompts.slices == ()
    session.click(30, 30, 20)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("axis", "index", "shape", "message"),
    [
        (2, 40, (60, 50), r"Axis 2 of a volume of \(60, 50, 40\) voxels has no slice 40"),
        (3, 0, (60, 50), "Axis 3"),
        (0, -1, (50, 40), "no slice -1"),
        (2, 0, (50, 60), r"A slice along axis 2 has \(60, 50\) voxels, got \(50, 60\)"),
        (1, 0, (60, 40), "The known slice is empty: mark the object on it"),
    ],
)
def test_slices_that_make_no_sense_are_refused(
    a_volume: np.ndarray, axis: int, index: int, shape: tuple[int, int], message: str
) -> None:
    session, _ = a_session(a_volume)
    with pytest.raises(PromptError, match=message):
        session.known_slice(axis, index, np.zeros(shape, bool))
    assert not session.can_undo


def test_a_box_tells_the_window(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    prediction = session.box((40, 15, 10), (20, 35, 30))
    assert dice(prediction.on(session.shape), a_volume > 0.5) > 0.98
    window = prediction.window
    assert window.millimetres(EVEN) == pytest.approx(34) and window.contains((30, 25, 20), 15)
    drawn = model.asked[0].box[0].tolist()
    assert drawn == pytest.approx([*window.to_samples((20, 15, 10)), *window.to_samples((40, 35, 30))], abs=1e-4)
    session.box((25, 20, 15), (35, 30, 25))
    assert session.prompts.box == ((25.0, 20.0, 15.0), (35.0, 30.0, 25.0))


@pytest.mark.parametrize(
    ("first", "second"),
    [((5, 5, 5), (5, 9, 9)), ((-9, 0, 0), (-1, 9, 9)), ((0, 0, 40), (9, 9, 50)), ((np.nan,) * 3,) * 2],
)
def test_boxes_without_size_or_outside_are_refused(
    a_volume: np.ndarray, first: tuple[float, float, float], second: tuple[float, float, float]
) -> None:
    session, _ = a_session(a_volume)
    with pytest.raises(PromptError, match="has no size or lies outside the volume"):
        session.box(first, second)
    assert not session.can_undo


def test_a_window_grows_while_the_object_touches_its_faces() -> None:
    volume = a_ball((100, 100, 100), (50, 50, 50), 30)
    session, model = a_session(volume, policy=replace(POLICY, sizes=(24.0,)))
    prediction = session.click(50, 50, 50)
    assert prediction.window.millimetres(EVEN) == pytest.approx(24 * 1.5**3)
    assert dice(prediction.on(session.shape), volume > 0.5) > 0.98
    assert [bool(prompts.has_prior.any()) for prompts in model.asked] == [False, True, True, True]


def test_a_window_does_not_grow_beyond_the_volume() -> None:
    session, model = a_session(np.ones((20, 20, 20)))
    prediction = session.click(10, 10, 10)
    assert prediction.on(session.shape).all() and prediction.window.millimetres(EVEN) <= 1.7 * 20
    assert len(model.asked) <= 2


def test_an_object_small_in_its_window_is_asked_for_again_in_a_closer_one() -> None:
    volume = a_ball((120, 120, 120), (60, 60, 60), 8)
    session, _ = a_session(volume, policy=replace(POLICY, sizes=(110.0,)))
    prediction = session.click(60, 60, 60)
    assert 1.7 * 13 <= prediction.window.millimetres(EVEN) <= 1.7 * 20
    assert dice(prediction.on(session.shape), volume > 0.5) > 0.97


def test_of_several_windows_the_best_rated_is_taken(a_volume: np.ndarray) -> None:
    class Preferring(BrightModel):
        def decode(self, embeddings: list[SimpleNamespace], prompts: VolumePrompts) -> tuple[Tensor, Tensor]:
            logits, _ = super().decode(embeddings, prompts)
            return logits, torch.tensor([[0.2, 0.3], [0.6, 0.9], [0.5, 0.4]])[: len(embeddings)]

    policy = replace(POLICY, sizes=(30.0, 40.0, 50.0), more=0)
    prediction = BlockSession(Preferring(), a_volume, EVEN, policy).click(30, 25, 20)  # type: ignore[arg-type]
    assert prediction.window.millimetres(EVEN) == pytest.approx(40) and prediction.score == pytest.approx(0.9)


def test_parts_that_were_not_pointed_at_are_dropped() -> None:
    volume = a_ball((60, 40, 40), (18, 20, 20), 7) + a_ball((60, 40, 40), (38, 20, 20), 5)
    policy = WindowPolicy(side=32, sizes=(60.0,), least_fill=0.0)
    session, _ = a_session(volume, EVEN, policy)
    one = session.click(18, 20, 20).on(session.shape)
    assert one[18, 20, 20] and not one[30:].any()
    both = session.click(38, 20, 20).on(session.shape)
    assert both[18, 20, 20] and both[38, 20, 20]
    everything = BlockSession(BrightModel(), volume, EVEN, policy, only_pointed=False)  # type: ignore[arg-type]
    assert everything.click(18, 20, 20).on(session.shape)[38, 20, 20]
    boxed, _ = a_session(volume, EVEN, policy)
    assert boxed.box((8, 8, 8), (46, 32, 32)).on(session.shape)[[18, 38], 20, 20].all()


def test_a_far_click_enlarges_the_window_and_keeps_the_mask() -> None:
    volume = a_ball((120, 60, 60), (30, 30, 30), 9)
    session, model = a_session(volume)
    first = session.click(30, 30, 30).on(session.shape)
    prediction = session.click(85, 30, 30)
    both = prediction.on(session.shape)
    assert prediction.window.contains((85, 30, 30)) and prediction.window.contains((30, 30, 30))
    assert both[85, 30, 30] and dice(both[:60], first[:60]) > 0.85
    assert bool(model.asked[-1].has_prior.all()) and bool((model.asked[-1].prior > 0).any())


class FickleModel(BrightModel):
    """Takes everything for the object as soon as there is an earlier mask."""

    def decode(self, embeddings: list[SimpleNamespace], prompts: VolumePrompts) -> tuple[Tensor, Tensor]:
        logits, score = super().decode(embeddings, prompts)
        return torch.where(prompts.has_prior[:, None, None, None, None] > 0, 8.0, logits), score


def test_a_click_changes_little_far_away_and_other_prompts_may_change_all(a_volume: np.ndarray) -> None:
    policy = replace(POLICY, local=0.1, more=0)
    first, corrected, told = (BlockSession(FickleModel(), a_volume, EVEN, policy) for _ in range(3))  # type: ignore[arg-type]
    before = first.click(30, 25, 20).on(first.shape)
    corrected.click(30, 25, 20)
    after = corrected.click(39, 25, 20).on(first.shape)
    assert after[39:43, 25, 20].all() and not after[:20].any()
    assert (after[:30] == before[:30]).mean() > 0.99
    told.click(30, 25, 20)
    assert told.known_slice(0, 30, a_volume[30] > 0.5).on(first.shape)[18:24].any()


def test_a_slice_outside_of_the_window_enlarges_it_too() -> None:
    volume = a_ball((200, 60, 60), (30, 30, 30), 9)
    session, model = a_session(volume)
    session.click(30, 30, 30)
    told = np.zeros((60, 60), bool)
    told[20:40, 20:40] = True
    prediction = session.known_slice(0, 150, told)
    assert prediction.window.contains((150, 30, 30)) and prediction.window.contains((30, 30, 30))
    assert bool(model.asked[-1].known.any())


def test_a_click_in_the_window_is_answered_without_encoding_anew(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    session.click(30, 25, 20)
    encoded = model.encoded
    session.click(31, 25, 20)
    session.click(30, 25, 21)
    assert model.encoded == encoded


@pytest.mark.parametrize(
    ("shape", "spacing", "least"),
    [
        ((3, 4, 5), EVEN, 0.9),
        ((40, 40, 1), EVEN, 0.9),
        ((1, 300, 300), EVEN, 0.9),
        ((30, 2, 30), EVEN, 0.9),
        ((1, 1, 1), EVEN, 1.0),
        ((80, 80, 1), (0.3, 0.3, 20.0), 0.9),
        ((80, 80, 3), (0.3, 0.3, 20.0), 0.7),
        ((3, 4, 5), (0.3, 0.3, 20.0), 0.0),
    ],
)
def test_volumes_smaller_than_a_window_and_single_slices_are_answered(
    shape: tuple[int, int, int], spacing: tuple[float, float, float], least: float
) -> None:
    volume = np.zeros(shape, np.int16)
    middle = tuple(length // 2 for length in shape)
    block = tuple(slice(at - length // 4, at + length // 4 + 1) for at, length in zip(middle, shape))
    volume[block] = 1
    session, _ = a_session(volume, spacing)
    answer = session.click(*middle).on(shape)
    assert answer.shape == shape and answer[middle]
    assert dice(answer, volume > 0) >= least


@pytest.mark.parametrize("value", [0.0, 1.0, np.nan])
def test_corners_of_a_constant_volume_can_be_clicked(value: float) -> None:
    volume = np.full((30, 20, 10), value)
    for corner in np.ndindex(2, 2, 2):
        at = tuple((length - 1) * end for length, end in zip(volume.shape, corner))
        session, _ = a_session(volume)
        assert session.click(*at).on(volume.shape)[at]
        assert not session.click(*at, positive=False).on(volume.shape)[at]


def test_the_network_answers_every_kind_of_prompt_on_a_constant_volume() -> None:
    session = BlockSession(tiny_volume_model(), np.zeros((20, 20, 3), np.int16), (0.5, 0.5, 5.0), WindowPolicy(side=16))
    told = np.zeros((20, 20), bool)
    told[5:9, 5:9] = True
    for answer in (session.click(0, 0, 0), session.box((2, 2, 0), (9, 9, 2)), session.known_slice(2, 1, told)):
        assert bool(answer.logits.isfinite().all()) and 0 < answer.score < 1
    assert np.array_equal(session.prediction.on(session.shape)[:, :, 1], told)  # type: ignore[union-attr]


def test_refinement_comes_closer_to_the_voxels_and_is_no_step_of_its_own() -> None:
    volume = a_ball((120, 120, 120), (60, 60, 60), 36)
    truth = volume > 0.5
    session, _ = a_session(volume, policy=replace(POLICY, sizes=(110.0,), more=0))
    coarse = session.click(60, 60, 60)
    session.click(60, 60, 30, positive=False)
    answers = list(session.refine())
    assert session.prediction is answers[-1] and len(session.prompts.clicks) == 2
    finest = answers[-1].on(session.shape)
    assert dice(finest, truth) > dice(coarse.on(session.shape), truth) and dice(finest, truth) > 0.99
    assert finest[60, 60, 60] and not finest[60, 60, 30]
    assert session.undo() is coarse and session.redo() is answers[-1]


def test_refinement_ends_with_the_next_prompt_and_gains_nothing_at_the_voxels(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume, policy=replace(POLICY, sizes=(30.0,)))
    assert list(session.refine()) == []
    session.click(30, 25, 20)
    assert list(session.refine()) == []
    large, _ = a_session(a_ball((120, 120, 120), (60, 60, 60), 36), policy=replace(POLICY, sizes=(110.0,), more=0))
    large.click(60, 60, 60)
    under_way = large.refine()
    next(under_way)
    latest = large.click(61, 60, 60)
    assert list(under_way) == [] and large.prediction is latest


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4, 3), (0, 4, 4)])
def test_other_arrays_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ImageError, match="three axes and one channel, got an array of"):
        a_session(np.zeros(shape))


@pytest.mark.parametrize("spacing", [(0.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, float("nan"))])
def test_a_spacing_that_is_not_above_zero_is_refused(spacing: tuple[float, float, float]) -> None:
    with pytest.raises(ImageError, match="Voxel spacing must be above zero"):
        a_session(np.zeros((4, 4, 4)), spacing)


def test_an_object_is_predicted_from_its_clicks_alone(a_volume: np.ndarray) -> None:
    clicks = [VolumeClick((30, 25, 20)), VolumeClick((30, 25, 12), positive=False)]
    mask = predict_object(BrightModel(), a_volume, EVEN, clicks)  # type: ignore[arg-type]
    assert mask.shape == a_volume.shape and mask[30, 25, 20] and not mask[30, 25, 12]
    with pytest.raises(PromptError, match="at least one click"):
        predict_object(BrightModel(), a_volume, EVEN, [])  # type: ignore[arg-type]


def test_long_history_is_packed_and_comes_back(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    places = [(30 + 4 * np.cos(angle), 25 + 4 * np.sin(angle), 20) for angle in np.linspace(0, 6, 60)]
    given = [session.click(*place) for place in places]
    masks, logits = [each.on(session.shape) for each in given], [each.logits.numpy().copy() for each in given]
    assert sum(state.prediction is not None for state in session._history) == 1 + NEAR
    for mask, exact in list(zip(masks, logits))[-2::-1]:
        back = session.undo()
        assert back is not None and np.array_equal(back.on(session.shape), mask) and not back.mask.flags.writeable
        assert np.abs(back.logits.numpy() - exact).max() <= 1 / 16
    assert len(session.prompts.clicks) == 1 and model.asked[-1].points.shape[1] == SEEN_CLICKS


def test_the_other_openings_can_be_taken_and_the_next_click_goes_on_from_them() -> None:
    lesion, organ = (40, 40, 40), a_ball((80, 80, 80), (40, 40, 40), 20)
    volume = 0.75 * (organ > 0.5) + 0.25 * (a_ball((80, 80, 80), lesion, 6) > 0.5)

    class Sized(BrightModel):
        """Finds the organ in wide windows and the lesion alone, which is brighter, in narrow ones."""

        def decode(self, embeddings: list[SimpleNamespace], prompts: VolumePrompts) -> tuple[Tensor, Tensor]:
            logits, _ = super().decode(embeddings, prompts)
            narrow = [float((each.features[0] > 0).float().mean()) > 0.3 for each in embeddings]
            shift = torch.tensor([6.0 if one else 0.0 for one in narrow])
            return logits - shift.view(-1, 1, 1, 1, 1), torch.where(shift > 0, 0.5, 0.8)[:, None].expand(-1, 2)

    policy = replace(POLICY, sizes=(32.0, 80.0), more=0)
    session = BlockSession(Sized(), volume.astype(np.float32), EVEN, policy)  # type: ignore[arg-type]
    shown = session.click(*lesion)
    assert dice(shown.on(session.shape), organ > 0.5) > 0.93
    chances = [shown.likelihood, *(other.likelihood for other in shown.others)]
    assert sum(chances) == pytest.approx(1) and chances == sorted(chances, reverse=True)
    odds = chances[-1] / chances[0]
    assert odds == pytest.approx(1 / 4, rel=1e-3), "the odds of a predicted IoU of 0.5 against one of 0.8"
    narrow = session.opened(shown.others[-1])
    assert session.prediction is shown and dice(narrow.on(session.shape), volume == 1) > 0.9
    assert session.take(narrow) is narrow and session.prediction is narrow and narrow.window.side == 32
    back = session.opened(narrow.others[0])
    assert np.array_equal(back.on(session.shape), shown.on(session.shape)), "the answer before is offered in turn"
    session.click(40, 40, 44)
    assert session.prediction is not None and session.prediction.window.millimetres(EVEN) == pytest.approx(32)
    assert session.undo() is narrow and session.undo() is shown and session.redo() is narrow
    assert len(session.examples(volume == 1)) == 2, "each opening was asked, and what was picked answers one of them"


def test_other_logits_in_the_same_window_obey_the_clicks_and_count_as_the_same_question(a_volume: np.ndarray) -> None:
    session, model = a_session(a_volume)
    with pytest.raises(PromptError, match="There is nothing to choose from yet"):
        session.with_answer(torch.zeros(32, 32, 32))
    shown = session.click(30, 25, 20)
    asked = len(model.asked)
    smaller = session.with_answer(shown.logits - 20)
    assert smaller.mask[tuple(at - part.start for at, part in zip((30, 25, 20), smaller.box))]
    assert 0 < smaller.mask.sum() < 200 and session.prediction is shown
    session.take(smaller)
    assert len(session.examples(a_volume > 0.5)) == 1 and len(model.asked) == asked


def test_an_answer_is_changed_to_what_the_user_prefers(a_volume: np.ndarray) -> None:
    class Tight:
        def preferred(self, model: object, question: object) -> Tensor:
            return torch.full((32, 32, 32), -1.0)

    session = BlockSession(BrightModel(), a_volume, EVEN, POLICY, preference=Tight())  # type: ignore[arg-type]
    prediction = session.click(30, 25, 20)
    assert 0 < prediction.mask.sum() < 200, "only what the click itself holds on to"
    assert prediction.on(session.shape)[30, 25, 20]


def test_a_scribble_is_one_step_and_changes_the_mask_near_all_of_its_points(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    first = session.click(30, 25, 20)
    stroke = tuple(VolumeClick((float(i), 25.0, 20.0)) for i in (4, 30, 56))
    answer = session.add(ObjectPrompts(stroke)).on(session.shape)
    assert session.steps == 2
    assert all(answer[i, 25, 20] for i in (4, 30, 56))
    session.undo()
    assert session.prediction is first


def test_a_stroke_of_negative_clicks_alone_is_refused(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    with pytest.raises(PromptError, match="click on the object first"):
        session.add(ObjectPrompts((VolumeClick((1.0, 1.0, 1.0), False), VolumeClick((2.0, 1.0, 1.0), False))))
    assert session.steps == 0


def test_what_was_asked_before_a_reset_teaches_nothing(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    session.click(3, 3, 3)
    session.click(5, 5, 5)
    session.reset()
    session.click(30, 25, 20)
    (example,) = session.examples(a_volume > 0.5)
    assert example.prompts == 1 and example.is_opening and len(example.clicks) == 1
    session.undo()
    assert session.examples(a_volume > 0.5) == []


def test_a_reset_and_another_model_drop_what_the_clicks_have_taught(a_volume: np.ndarray) -> None:
    class Following:
        """Gives another model with each click."""

        def adapt(self, model: object, question: object, added: int, logits: Tensor) -> BrightModel:
            return BrightModel()

    first, other = BrightModel(), BrightModel()
    session = BlockSession(first, a_volume, EVEN, POLICY, adapter=Following())  # type: ignore[arg-type]
    session.click(30, 25, 20)
    session.click(30, 25, 24)
    assert session.model is not first
    session.reset()
    assert session.model is first, "the next object is asked of the model as it was given"
    session.go_on_with(other)  # type: ignore[arg-type]
    session.undo()
    assert session.model is other and session.prediction is not None
    session.reset()
    assert session.model is other


def test_first_prompts_that_begin_with_a_negative_click_look_around_the_positive_one(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    clicks = (VolumeClick((2.0, 2.0, 2.0), False), VolumeClick((30.0, 25.0, 20.0)))
    assert dice(session.add(ObjectPrompts(clicks)).on(session.shape), a_volume > 0.5) > 0.95


@pytest.mark.parametrize(
    ("added", "message"),
    [
        (ObjectPrompts(box=((3.0, 3.0, 3.0), (3.0, 9.0, 9.0))), "has no size"),
        (ObjectPrompts(box=((70.0, 3.0, 3.0), (80.0, 9.0, 9.0))), "lies outside the volume"),
        (ObjectPrompts(slices=(KnownSlice(2, 40, np.ones((60, 50, 1), bool)),)), "has no slice 40"),
        (ObjectPrompts(slices=(KnownSlice(2, 3, np.ones((50, 60, 1), bool)),)), r"has \(60, 50\) voxels"),
        (ObjectPrompts(slices=(KnownSlice(2, 3, np.zeros((60, 50, 1), bool)),)), "known slice is empty"),
        (
            ObjectPrompts(
                (VolumeClick((1.0, 1.0, 1.0), False),), slices=(KnownSlice(2, 3, np.zeros((60, 50, 1), bool)),)
            ),
            "nothing to remove yet",
        ),
    ],
)
def test_prompts_given_together_are_checked_like_each_alone(
    a_volume: np.ndarray, added: ObjectPrompts, message: str
) -> None:
    session, _ = a_session(a_volume)
    with pytest.raises(PromptError, match=message):
        session.add(added)
    assert session.steps == 0


def test_resting_entries_take_little_memory(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    for k in range(12, 28):
        session.click(30, 25, k)
    resting = [state.packed for state in session._history if state.packed]
    assert len(resting) > 8
    priors = [each.asked.held for each in resting[1:]]
    assert all(isinstance(prior, PackedLogits) for prior in priors)
    kept = [len(each.logits.data) + len(each.mask.data) + len(prior.data) for each, prior in zip(resting[1:], priors)]
    assert max(kept) < 32**3, "less than a byte for each sample of the window"


def test_begin_anew_can_be_undone(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    first = session.click(30, 25, 20)
    session.reset()
    assert session.prediction is None and not session.prompts.clicks
    session.undo()
    assert session.prediction is first


def test_confidence_is_the_overlap_that_is_expected_on_each_slice(a_volume: np.ndarray) -> None:
    session, _ = a_session(a_volume)
    answer = session.click(30, 25, 20)
    probability = torch.full_like(answer.logits, 0.0)
    probability[:] = 0.125
    inside = answer.logits > 0
    probability[inside] = 0.75
    sure = replace(answer, logits=probability.logit())
    found = sure.confidences(2)
    assert set(found) == set(np.flatnonzero(answer.on(session.shape).any((0, 1))).tolist())
    at = int(np.rint(answer.window.samples(np.array(20.0), 2)))
    count, rest = int(inside[:, :, at].sum()), int((~inside[:, :, at]).sum())
    assert found[20] == pytest.approx(0.75 * count / (count + 0.125 * rest))


def test_padding_of_any_size_is_padding() -> None:
    volume = 100 * a_ball((60, 60, 30), (30, 30, 15), 8) + np.random.default_rng(0).normal(0, 2, (60, 60, 30))
    outside = np.hypot(*(np.indices((60, 60)) - 29.5)) > 27
    model, masks = tiny_volume_model(), []
    for padding in (-1e5, -3.4e38):
        padded = np.where(outside[..., None], padding, volume).astype(np.float32)
        masks.append(BlockSession(model, padded, EVEN).click(30, 30, 15).on((60, 60, 30)))
    assert masks[0].any() and not masks[0].all() and np.array_equal(*masks)


def test_a_mask_that_is_taken_is_the_answer_until_undo_also_beyond_the_window() -> None:
    volume = np.zeros((40, 40, 40), np.float32)
    volume[10:16, 10:16, 10:16] = 1
    session = BlockSession(BrightModel(), volume, EVEN, replace(POLICY, sizes=(12.0,), more=0))  # type: ignore[arg-type]
    answer = session.click(12, 12, 12)
    for box in (np.s_[11:15, 11:15, 11:15], np.s_[2:38, 3:37, 4:36]):
        taken = session.take_mask(box, np.ones([part.stop - part.start for part in box], bool))
        whole = np.zeros(volume.shape, bool)
        whole[box] = True
        np.testing.assert_array_equal(taken.on(volume.shape), whole)
        assert session.prediction is taken and taken.window == taken.asked.ask.window
        assert taken.window.contains((box[0].start, 12.0, 12.0)) and taken.window.contains(
            (12.0, box[1].stop - 1, 12.0)
        )
        session.undo()
        assert session.prediction is answer


def test_copies_keep_embeddings_of_their_own() -> None:
    volume = np.zeros((40, 40, 40), np.float32)
    volume[10:16, 10:16, 10:16] = 1
    model = BrightModel()
    session = BlockSession(model, volume, EVEN, POLICY)  # type: ignore[arg-type]
    other = copy(session)
    other.click(12, 12, 12)
    encoded = model.encoded
    session.click(12, 12, 12)
    assert model.encoded == 2 * encoded and session.prediction is not other.prediction
