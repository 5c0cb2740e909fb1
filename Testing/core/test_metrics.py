"""Metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.evaluate import metrics


def a_mask(*pixels: int) -> np.ndarray:
    mask = np.zeros(10, dtype=bool)
    mask[list(pixels)] = True
    return mask.reshape(2, 5)


def test_iou_of_a_known_overlap() -> None:
    assert metrics.iou(a_mask(0, 1, 2, 3), a_mask(2, 3, 4, 5, 6, 7)) == pytest.approx(2 / 8)


def test_masks_without_overlap_score_zero_and_empty_ones_agree() -> None:
    assert metrics.iou(a_mask(0), a_mask(1)) == 0.0
    assert metrics.iou(a_mask(), a_mask()) == 1.0
    assert metrics.iou(a_mask(), a_mask(1)) == metrics.iou(a_mask(1), a_mask()) == 0.0


@pytest.mark.parametrize(
    ("ious", "clicks"),
    [
        ((0.9, 0.2, 0.3, 0.4), 1),
        ((0.2, 0.85, 0.3, 0.9), 2),
        ((0.2, 0.3, 0.4, 0.85), 4),
        ((0.2, 0.3, 0.4, 0.849), 4),
        ((0.2, 0.3, 0.4, 0.5, 0.99), 4),
    ],
)
def test_noc_is_the_first_click_that_reaches_the_threshold_else_the_maximum(
    ious: tuple[float, ...], clicks: int
) -> None:
    assert metrics.noc(ious, 0.85, max_clicks=4) == clicks


def test_success_on_the_last_allowed_click_is_no_failure() -> None:
    curves = [(0.1, 0.2, 0.85), (0.1, 0.2, 0.84), (0.9, 0.1, 0.1), (0.1, 0.1, 0.1)]
    assert metrics.failure_rate(curves, 0.85, clicks=3) == pytest.approx(2 / 4)
    assert metrics.failure_rate(curves, 0.85, clicks=2) == pytest.approx(3 / 4)


def test_the_bootstrap_interval_has_the_width_of_theory() -> None:
    values = np.random.default_rng(0).normal(5.0, 2.0, 400)
    low, high = metrics.bootstrap_interval(list(values))
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_the_bootstrap_is_replayed_by_its_seed() -> None:
    values = list(np.random.default_rng(0).random(30))
    assert metrics.bootstrap_interval(values, seed=3) == metrics.bootstrap_interval(values, seed=3)
    assert metrics.bootstrap_interval(values, seed=3) != metrics.bootstrap_interval(values, seed=4)


def test_images_of_one_patient_are_drawn_together() -> None:
    values = [0.0] * 20 + [1.0] * 20
    alone = metrics.bootstrap_interval(values)
    by_patient = metrics.bootstrap_interval(values, groups=["first"] * 20 + ["second"] * 20)
    assert by_patient == (0.0, 1.0)
    assert 0.3 < alone[0] < alone[1] < 0.7


def test_patients_with_more_images_weigh_more() -> None:
    means = metrics.bootstrap_means([1.0, 1.0, 1.0, 0.0], groups=["many", "many", "many", "one"])
    assert set(np.unique(means)) == {0.0, 0.75, 1.0}


def test_one_patient_alone_gives_no_width() -> None:
    assert metrics.bootstrap_interval([0.25, 0.75], groups=["same", "same"]) == (0.5, 0.5)
