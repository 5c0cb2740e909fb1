"""Obedience: clicks that a model leaves unanswered are followed, near them only."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.predict.obedience import ObediencePolicy, obey
from AdaptCore.prompts import Click, Prompts


@pytest.fixture
def a_disc() -> np.ndarray:
    rows, columns = np.mgrid[:120, :160]
    return (30.3 - np.hypot(columns - 70, rows - 60)).astype(np.float32).clip(-4, 4)


def obeyed(logits: np.ndarray, *clicks: Click) -> np.ndarray:
    return obey(logits, Prompts(clicks), ObediencePolicy())


def test_a_followed_click_changes_nothing(a_disc: np.ndarray) -> None:
    assert np.array_equal(obeyed(a_disc, Click(70, 60), Click(120, 60, False)), a_disc)


@pytest.mark.parametrize(("x", "y", "positive"), [(103, 60, True), (95, 60, False), (70, 26.4, True), (0, 0, True)])
def test_an_unanswered_click_gets_its_class(a_disc: np.ndarray, x: float, y: float, positive: bool) -> None:
    before = a_disc.copy()
    after = obeyed(a_disc, Click(x, y, positive))
    assert (after[round(y), round(x)] > 0) == positive
    assert np.array_equal(a_disc, before)


def test_only_the_surroundings_change(a_disc: np.ndarray) -> None:
    after = obeyed(a_disc, Click(103, 60))
    changed = np.argwhere((after > 0) != (a_disc > 0))
    assert 0 < len(changed) < 60
    assert np.hypot(*(changed - (60, 103)).T).max() < 8


def test_a_click_far_from_the_object_adds_a_small_part_of_its_own(a_disc: np.ndarray) -> None:
    added = (obeyed(a_disc, Click(140, 20)) > 0) & (a_disc <= 0)
    assert added[20, 140] and 4 <= added.sum() < 120


def test_the_middle_of_a_false_part_removes_it_to_its_edge() -> None:
    rows, columns = np.mgrid[:120, :160]
    logits = np.maximum(30 - np.hypot(columns - 60, rows - 60), 4 - np.hypot(columns - 120, rows - 60))
    after = obeyed(logits.clip(-2, 2).astype(np.float32), Click(120, 60, False))
    assert not (after[:, 110:] > 0).any()
    assert (after[:, :110] > 0).sum() == (logits[:, :110] > 0).sum()


def test_an_empty_answer_gets_the_clicked_spot() -> None:
    after = obeyed(np.full((40, 40), -3, np.float32), Click(20, 10))
    assert after[10, 20] > 0 and 1 <= (after > 0).sum() <= 25
