"""Openings: what answers in several windows tell of themselves, and which one is chosen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.object_prompts import Ask, KnownSlice, ObjectPrompts, VolumeClick
from AdaptCore.predict.openings import OPENING, Answer, evidence, expected_iou, likeness, support
from AdaptCore.predict.windows import VolumeWindow
from AdaptCore.training.openings import Recipe, calibrate, samples
from Testing.bright_model import BrightModel
from Testing.tiny_model import tiny_model
from Testing.tiny_volume_model import tiny_volume_model

SPACING = (1.0, 1.0, 1.0)
SHAPE = (32, 32, 32)
SMALL = Recipe(scenes=4, sides=(24,), targets=2)


def a_cube(window: VolumeWindow, low: int, high: int) -> Tensor:
    """Logits that are positive in a cube of voxels."""
    lines = [
        torch.from_numpy(abs(window.positions(axis) - (low + high - 1) / 2) < (high - low) / 2) for axis in (0, 1, 2)
    ]
    inside = lines[0][:, None, None] & lines[1][None, :, None] & lines[2][None, None, :]
    return torch.where(inside, 4.0, -4.0)


def an_answer(width: float, low: int, high: int, score: float = 0.5) -> Answer:
    window = VolumeWindow.around((15.5, 15.5, 15.5), width, SPACING, 48)
    return Answer(window, a_cube(window, low, high), score)


def test_extent_and_touched_faces_of_an_answer() -> None:
    answer = an_answer(16, 10, 20)
    assert np.allclose(answer.extent(), ((9.5,) * 3, (19.5,) * 3), atol=0.4)
    assert answer.touched(SHAPE) == 0
    assert an_answer(16, 12, 30).touched(SHAPE) == 3
    assert an_answer(32, 12, 32).touched(SHAPE) == 0, "a face of the volume is none of the window"
    assert replace(answer, logits=-answer.logits.abs()).extent() is None


def test_sure_masks_are_expected_to_be_better() -> None:
    sure = a_cube(an_answer(16, 0, 1).window, 10, 20)
    assert expected_iou(sure) > 0.95
    assert expected_iou(sure * 0.1) < 0.7
    assert expected_iou(-sure.abs()) == 0


def test_answers_are_alike_where_both_windows_see_the_same() -> None:
    same, closer, other = an_answer(32, 11, 21), an_answer(16, 11, 21), an_answer(32, 3, 5)
    first, second, third = likeness([same, closer, other])
    assert first == second == pytest.approx(0.5, abs=0.12) and third < 0.05
    assert likeness([same]) == [0.0]
    beyond = likeness([an_answer(16, 8, 24), an_answer(32, 2, 30)])
    assert beyond[0] == beyond[1] < 0.25, "what reaches out of the small window counts"


def test_evidence_says_how_an_answer_fits_window_and_guesses() -> None:
    answer = an_answer(16, 10, 20, score=0.8)
    mask = np.zeros((32, 32, 1), bool)
    mask[10:20, 10:20] = True
    guesses = [KnownSlice(2, 15, mask, False), KnownSlice(2, 31, mask, False), KnownSlice(0, 15, ~mask.T, False)]
    prompts = ObjectPrompts((VolumeClick((15, 15, 15)),), slices=(guesses[0],))
    (found,) = evidence([Ask(answer.window, prompts)], [answer], guesses, SHAPE, SPACING)
    assert found.score == pytest.approx(math.log(4)) and found.extent == pytest.approx(math.log(10 / 16), abs=0.05)
    assert found.extent_squared == pytest.approx(found.extent**2) and found.width == pytest.approx(math.log(0.5))
    assert (found.touched, found.told, found.alike) == (0, 1, 0)
    assert found.best_guessed == pytest.approx(1, abs=0.01) and found.guessed == pytest.approx(0.5, abs=0.01), (
        "a slice out of sight says nothing"
    )
    assert support(found, replace(OPENING, touched=-1)) == pytest.approx(support(replace(found, touched=0), OPENING))


def test_guesses_are_asked_together_and_one_by_one_beside_windows_of_several_sizes() -> None:
    volume = np.zeros((60, 60, 60), np.float32)
    volume[20:40, 20:40, 20:40] = 1
    guesses = []
    for axis, side in ((0, 20), (1, 10)):
        mask = np.zeros((60, 60), bool)
        mask[20 : 20 + side, 20 : 20 + side] = True
        guesses.append(KnownSlice(axis, 25, np.expand_dims(mask, axis), False))
    session = BlockSession(BrightModel(), volume, SPACING, guess=lambda position: guesses)  # type: ignore[arg-type]
    prompts = ObjectPrompts((VolumeClick((25, 25, 25)),))
    _, answers, found = session.openings(prompts)
    assert [round(answer.window.millimetres(SPACING)) for answer in answers] == [60, 34, 34, 17]
    assert [one.told for one in found] == [0, 2, 1, 1]
    assert session.prediction is None and not session.can_undo, "asking changes nothing"
    assert session.click(25, 25, 25).on((60, 60, 60))[20:40, 20:40, 20:40].mean() > 0.95


def test_calibration_is_seeded_and_writes_weights_as_code() -> None:
    one, other = (list(samples(tiny_volume_model(), tiny_model(), 3, SMALL)) for _ in range(2))
    assert len(one) >= 2
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.evidence, second.evidence)
        assert first.evidence.shape[0] == len(first.iou) >= 1 and ((first.iou >= 0) & (first.iou <= 1)).all()
    done: list[int] = []
    code, report = calibrate(tiny_volume_model(), tiny_model(), SMALL, 3, lambda: done.append(1)).splitlines()
    assert len(done) == 4 and code.startswith("OPENING = Evidence(score=") and "smallest window 0." in report
