"""Metrics against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

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


def a_block(shape: tuple[int, ...], *ranges: tuple[int, int]) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*ends) for ends in ranges)] = True
    return mask


def test_surfaces_within_the_tolerance_agree_and_others_do_not() -> None:
    truth = a_block((40, 40), (10, 30), (10, 30))
    assert metrics.surface_dice(truth, a_block((40, 40), (10, 30), (10, 32))) == 1
    moved = a_block((40, 40), (10, 30), (10, 33))
    edge_truth, edge_moved = 4 * 19, 2 * 19 + 2 * 22
    far_from_moved = 20 - 2 * 3
    far_from_truth = 20
    assert metrics.surface_dice(truth, moved) == pytest.approx(
        1 - (far_from_moved + far_from_truth) / (edge_truth + edge_moved)
    )


@pytest.mark.parametrize(("spacing", "agrees"), [((1, 1, 1), True), ((1, 1, 1.5), False), ((1, 1, 3), False)])
def test_the_tolerance_is_two_millimetres(spacing: tuple[float, ...], agrees: bool) -> None:
    truth, found = a_block((9, 9, 20), (2, 7), (2, 7), (4, 14)), a_block((9, 9, 20), (2, 7), (2, 7), (4, 16))
    assert (metrics.surface_dice(truth, found, spacing) == 1) == agrees


def test_the_tolerance_is_a_voxel_where_that_is_longer() -> None:
    truth, found = a_block((9, 9, 20), (2, 7), (2, 7), (4, 14)), a_block((9, 9, 20), (2, 7), (2, 7), (4, 15))
    assert metrics.surface_dice(truth, found, (1, 1, 5)) == 1
    assert metrics.surface_dice(truth, found, (1, 1, 1.9)) == 1


def test_surfaces_of_nothing() -> None:
    truth, nothing = a_block((9, 9), (2, 7), (2, 7)), np.zeros((9, 9), bool)
    assert metrics.surface_dice(nothing, nothing) == 1
    assert metrics.surface_dice(truth, nothing) == metrics.surface_dice(nothing, truth) == 0


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.8, 1.9), (0.7, 0.7, 5.0)])
def test_surface_dice_is_that_of_monai(spacing: tuple[float, ...]) -> None:
    monai = pytest.importorskip("monai.metrics")
    rng = np.random.default_rng(4)
    smooth = [ndimage.gaussian_filter(rng.standard_normal((24, 20, 16)), 2) > 0.02 for _ in range(2)]
    for truth, found in (smooth, (smooth[0], smooth[0] & smooth[1]), (smooth[0], ndimage.binary_dilation(smooth[0]))):
        theirs = monai.compute_surface_dice(
            *(torch.from_numpy(mask)[None, None] for mask in (found, truth)),
            class_thresholds=[max(2.0, *spacing)],
            include_background=True,
            spacing=spacing,
        )
        assert 0.3 < metrics.surface_dice(truth, found, spacing) == pytest.approx(float(theirs))


def test_area_under_dice_is_that_of_trapezoids() -> None:
    assert metrics.area_under([0.2, 0.4, 0.4, 0.8, 1.0, 0.1]) == pytest.approx(0.3 + 0.4 + 0.6 + 0.9)
    assert metrics.area_under([1.0] * 10) == 4
    assert metrics.area_under([0.5, 0.7]) == pytest.approx(0.6 + 3 * 0.7)


def test_clicks_that_make_it_worse_are_counted_from_the_second_on() -> None:
    dices = [0.5, 0.47, 0.46, 0.9, 0.87, 0.2]
    assert metrics.share_worse(dices, 6) == pytest.approx(3 / 5)
    assert metrics.share_worse(dices, 4) == pytest.approx(1 / 3)
    assert metrics.share_worse(dices, 1) == 0
