"""Openings: in which windows first prompts are answered, and which answer is chosen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.object_prompts import KnownSlice
from AdaptCore.predict.openings import TOUCHED_FACE, Answer, rating
from AdaptCore.predict.windows import VolumeWindow
from Testing.bright_model import BrightModel

SPACING = (1.0, 1.0, 1.0)
SHAPE = (32, 32, 32)


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


def test_the_rating_is_the_predicted_overlap_less_what_is_cut_off() -> None:
    sure, unsure = an_answer(16, 10, 20, score=0.8), an_answer(16, 10, 20, score=0.5)
    assert rating(sure, SHAPE) == pytest.approx(math.log(4)) and rating(unsure, SHAPE) == pytest.approx(0)
    assert rating(an_answer(16, 12, 30), SHAPE) == pytest.approx(-3 * TOUCHED_FACE)
    assert math.isfinite(rating(replace(sure, score=1.0), SHAPE))


def test_guesses_are_asked_together_and_one_by_one_beside_windows_of_several_sizes() -> None:
    volume = np.zeros((60, 60, 60), np.float32)
    volume[20:40, 20:40, 20:40] = 1
    guesses = []
    for axis, side in ((0, 20), (1, 10)):
        mask = np.zeros((60, 60), bool)
        mask[20 : 20 + side, 20 : 20 + side] = True
        guesses.append(KnownSlice(axis, 25, np.expand_dims(mask, axis), False))
    model = BrightModel()
    session = BlockSession(model, volume, SPACING, guess=lambda position: guesses)  # type: ignore[arg-type]
    assert session.click(25, 25, 25).on(volume.shape)[20:40, 20:40, 20:40].mean() > 0.95
    known = model.asked[0].known
    told = [sum(bool(one.movedim(axis, 0).flatten(1).all(1).any()) for axis in (0, 1)) for one in known]
    assert told == [0, 2, 1, 1], "the lone click, both guesses, and each"
    assert session.prompts.slices == ()
