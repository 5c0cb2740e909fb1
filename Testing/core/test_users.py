"""The simulated user clicks where the thickest error is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from AdaptCore.evaluate.users import VoxelClick, first_voxel, next_click, next_voxel, rng_for
from AdaptCore.prompts import Click


def a_disc(shape: tuple[int, int], centre: tuple[int, int], radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 <= radius**2


def nothing_like(mask: np.ndarray) -> np.ndarray:
    return np.zeros_like(mask)


def drawn_clicks(truth: np.ndarray, prediction: np.ndarray, seeds: int = 60) -> set[Click | None]:
    return {next_click(truth, prediction, np.random.default_rng(seed)) for seed in range(seeds)}


def test_the_first_click_hits_the_middle_of_the_object() -> None:
    truth = a_disc((20, 30), centre=(7, 21), radius=5.5)
    assert next_click(truth, nothing_like(truth), np.random.default_rng(0)) == Click(21.0, 7.0, True)


def test_the_thicker_of_two_missed_parts_is_clicked_first() -> None:
    thin = a_disc((40, 40), (8, 8), 3)
    thick = a_disc((40, 40), (28, 28), 6)
    assert next_click(thin | thick, nothing_like(thin), np.random.default_rng(0)) == Click(28.0, 28.0, True)


def test_a_thick_false_part_gets_a_negative_click_before_a_thin_missed_one() -> None:
    missed, wrong = a_disc((40, 40), (8, 8), 3), a_disc((40, 40), (28, 28), 6)
    assert next_click(missed, wrong, np.random.default_rng(0)) == Click(28.0, 28.0, False)


def test_the_image_border_counts_as_outside() -> None:
    truth = np.ones((5, 9), dtype=bool)
    assert drawn_clicks(truth, nothing_like(truth)) == {Click(float(x), 2.0, True) for x in range(2, 7)}


def test_ties_are_drawn_by_the_seed_from_all_tying_pixels() -> None:
    truth = np.zeros((7, 11), dtype=bool)
    truth[2:5, 2:9] = True
    found = drawn_clicks(truth, nothing_like(truth))
    assert found == {Click(float(x), 3.0, True) for x in range(3, 8)}
    again = [next_click(truth, nothing_like(truth), np.random.default_rng(5)) for _ in range(2)]
    assert again[0] == again[1]


def test_missed_and_false_regions_of_equal_thickness_are_both_drawn() -> None:
    missed, wrong = a_disc((20, 30), (10, 7), 4), a_disc((20, 30), (10, 22), 4)
    assert drawn_clicks(missed, wrong) == {Click(7.0, 10.0, True), Click(22.0, 10.0, False)}


def test_equal_masks_get_no_click() -> None:
    truth = a_disc((10, 10), (5, 5), 3)
    assert next_click(truth, truth.copy(), np.random.default_rng(0)) is None


def test_the_masks_are_left_as_they_are() -> None:
    truth, prediction = a_disc((10, 10), (5, 5), 3), a_disc((10, 10), (4, 5), 3)
    kept = truth.copy(), prediction.copy()
    next_click(truth, prediction, np.random.default_rng(0))
    assert np.array_equal(truth, kept[0])
    assert np.array_equal(prediction, kept[1])


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), height=st.integers(1, 12), width=st.integers(1, 12))
def test_the_click_has_the_largest_distance_in_the_whole_padded_image(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    truth, prediction = rng.random((2, height, width)) < 0.6
    click = next_click(truth, prediction, rng)
    missed, wrong = (
        ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
        for region in (truth & ~prediction, prediction & ~truth)
    )
    if click is None:
        assert np.array_equal(truth, prediction)
        return
    region = missed if click.positive else wrong
    assert region[int(click.y), int(click.x)] == pytest.approx(max(missed.max(), wrong.max()))


def test_an_items_chance_depends_on_the_seed_and_its_id_only() -> None:
    first, again, other, reseeded = (rng_for(*key).random() for key in ((1, "a"), (1, "a"), (1, "b"), (2, "a")))
    assert first == again
    assert len({first, other, reseeded}) == 3


EVEN = (1.0, 1.0, 1.0)


def a_box(*ranges: tuple[int, int], shape: tuple[int, int, int] = (24, 24, 24)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*ends) for ends in ranges)] = True
    return mask


def drawn_voxels(
    truth: np.ndarray, prediction: np.ndarray, spacing: tuple[float, ...] = EVEN
) -> set[VoxelClick | None]:
    return {next_voxel(truth, prediction, spacing, np.random.default_rng(seed)) for seed in range(40)}


def test_the_first_voxel_is_the_deepest_in_millimetres() -> None:
    truth = a_box((2, 9), (2, 13), (3, 10))
    assert drawn_voxels(truth, nothing_like(truth)) == {VoxelClick((5, j, 6)) for j in range(5, 10)}
    short_steps = drawn_voxels(truth, nothing_like(truth), (1.0, 0.2, 1.0))
    assert len(short_steps) > 10
    assert {(2 < click.voxel[0] < 8, click.voxel[1], 3 < click.voxel[2] < 9) for click in short_steps if click} == {
        (True, 7, True)
    }
    assert first_voxel(truth, EVEN, np.random.default_rng(3)) == next_voxel(
        truth, nothing_like(truth), EVEN, np.random.default_rng(3)
    )


def test_the_error_with_most_voxels_is_clicked_even_where_another_is_thicker() -> None:
    thin, thick = a_box((0, 22), (0, 22), (0, 3)), a_box((8, 15), (8, 15), (12, 19))
    in_thin = {
        VoxelClick((i, j, 1), positive) for i in range(1, 21) for j in range(1, 21) for positive in (True, False)
    }
    assert drawn_voxels(thick, thin) <= {click for click in in_thin if not click.positive}
    assert drawn_voxels(thin | thick, nothing_like(thick)) <= {click for click in in_thin if click.positive}
    assert drawn_voxels(thick, nothing_like(thick)) == {VoxelClick((11, 11, 15), True)}


def test_of_equal_errors_the_missed_one_is_clicked() -> None:
    missed, false = a_box((1, 6), (1, 6), (1, 6)), a_box((10, 15), (10, 15), (10, 15))
    assert drawn_voxels(missed, false) == {VoxelClick((3, 3, 3), True)}


def test_equal_volumes_get_no_click() -> None:
    truth = a_box((1, 6), (1, 6), (1, 6))
    assert drawn_voxels(truth, truth.copy()) == {None}


def test_an_unsteady_user_clicks_anywhere_in_the_error_and_deeper_places_more_often() -> None:
    large, small = a_box((2, 13), (2, 13), (2, 13)), a_box((16, 19), (16, 19), (16, 19))
    truth = large | small
    clicks = [next_voxel(truth, nothing_like(truth), EVEN, np.random.default_rng(seed), True) for seed in range(300)]
    assert all(click and click.positive and large[click.voxel] for click in clicks)
    assert len(set(clicks)) > 200
    inner = a_box((5, 10), (5, 10), (5, 10))
    share = np.mean([inner[click.voxel] for click in clicks if click])
    assert inner.sum() / large.sum() < 0.1 < 0.12 < share < 0.25


def test_an_unsteady_click_on_a_plane_stays_in_the_part_around_the_thickest_place() -> None:
    thin, thick = a_disc((40, 40), (8, 8), 3), a_disc((40, 40), (28, 28), 6)
    found = [next_click(thin, thick, np.random.default_rng(seed), jitter=True) for seed in range(60)]
    assert all(click and not click.positive and thick[int(click.y), int(click.x)] for click in found)
    assert len(set(found)) > 30
