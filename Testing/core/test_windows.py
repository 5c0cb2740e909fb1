"""Windows of a volume: what they show of its voxels, and how masks come back to them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AdaptCore.errors import ImageError
from AdaptCore.predict.windows import VolumeWindow, interpolated, paste, resample, sample, weights

SPACING = (0.7, 1.3, 4.0)


def places(shape: tuple[int, int, int]) -> list[np.ndarray]:
    return list(np.meshgrid(*(np.arange(length, dtype=float) for length in shape), indexing="ij"))


def a_ramp(shape: tuple[int, int, int]) -> np.ndarray:
    i, j, k = places(shape)
    return 2 * i - 3 * j + 5 * k + 7


def expected_ramp(window: VolumeWindow) -> np.ndarray:
    i, j, k = np.meshgrid(*(window.positions(axis) for axis in range(3)), indexing="ij")
    return 2 * i - 3 * j + 5 * k + 7


def test_a_window_is_even_in_millimetres_around_its_centre() -> None:
    window = VolumeWindow.around((20, 30, 5), 32.0, SPACING, 16)
    for axis, (centre, space) in enumerate(zip((20, 30, 5), SPACING)):
        at = window.positions(axis)
        assert np.diff(at) * space == pytest.approx(np.full(15, 2.0))
        assert (at[0] + at[-1]) / 2 == pytest.approx(centre)
    assert window.millimetres(SPACING) == pytest.approx(32)
    assert window.to_samples((20, 30, 5)) == pytest.approx((7.5, 7.5, 7.5))
    assert window.samples(window.positions(1), 1) == pytest.approx(np.arange(16))


def test_a_window_contains_what_lies_between_its_faces() -> None:
    window = VolumeWindow((10, 10, 10), (0.5, 1.0, 2.0), 8)
    assert window.contains((10, 10, 10)) and window.contains((14, 18, 26))
    assert not window.contains((9.9, 12, 12)) and not window.contains((12, 12, 26.1))
    assert window.contains((11, 12, 14), 2.0) and not window.contains((10.9, 12, 14), 2.0)
    assert window.voxels((100, 15, 100)) == (slice(10, 15), slice(10, 15), slice(10, 27))
    assert window.voxels((5, 15, 100))[0] == slice(10, 10)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING, (0.3, 0.3, 20.0)])
def test_a_ramp_is_read_exactly_between_voxels(spacing: tuple[float, float, float]) -> None:
    volume = a_ramp((60, 50, 40))
    window = VolumeWindow.around((29.3, 25.1, 19.7), 16 * min(spacing) * 0.9, spacing, 16)
    seen, inside = sample(volume.astype(np.int32), window)
    assert bool(inside.all()) and seen.dtype == torch.float32
    np.testing.assert_allclose(seen, expected_ramp(window), atol=1e-3)


@pytest.mark.parametrize(("step", "error"), [(2.0, 1e-3), (4.0, 1e-3), (2.5, 0.3), (7.0, 3.0)])
def test_a_ramp_is_kept_where_samples_are_far_apart(step: float, error: float) -> None:
    window = VolumeWindow((20.2, 20.4, 20.1), (step,) * 3, 8)
    seen, _ = sample(a_ramp((100, 100, 100)), window)
    np.testing.assert_allclose(seen, expected_ramp(window), atol=error)


def test_noise_is_averaged_where_samples_are_far_apart() -> None:
    volume = np.random.default_rng(0).normal(size=(80, 80, 80)).astype(np.float32)
    deviations = [float(sample(volume, VolumeWindow((8, 8, 8), (step,) * 3, 16))[0].std()) for step in (1.0, 2.0, 4.0)]
    assert deviations[1] < 0.4 and deviations[2] < 0.3


def test_weights_of_each_position_sum_to_one_and_the_ends_go_on() -> None:
    table = weights(np.array([-3.0, 0.25, 4.0, 9.0]), 5, 1.0)
    assert table.tolist() == [[1, 0, 0, 0, 0], [0.75, 0.25, 0, 0, 0], [0, 0, 0, 0, 1], [0, 0, 0, 0, 1]]
    np.testing.assert_allclose(weights(np.linspace(-2, 12, 40), 9, 3.3).sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(weights(np.array([2.0]), 5, 2.0), [[0, 0.25, 0.5, 0.25, 0]])


def test_a_window_over_the_volumes_faces_tells_what_lies_inside() -> None:
    volume = a_ramp((20, 20, 20))
    window = VolumeWindow((-5.0, 4.0, 14.0), (1.0, 1.0, 1.0), 10)
    seen, inside = sample(volume, window)
    i, _, k = (window.positions(axis) for axis in range(3))
    assert torch.equal(inside.any(2).any(1), torch.from_numpy(i >= -0.5))
    assert torch.equal(inside.any(1).any(0), torch.from_numpy(k <= 19.5))
    there = inside.numpy() & (i > 0)[:, None, None] & (k < 19)[None, None]
    np.testing.assert_allclose(seen.numpy()[there], expected_ramp(window)[there], atol=1e-3)
    assert float(seen[0, 0, 0]) == pytest.approx(float(expected_ramp(window)[0, 0, 0] - 2 * i[0]), abs=1e-3)


def test_a_window_outside_of_the_volume_is_refused() -> None:
    with pytest.raises(ImageError, match=r"does not meet the volume of \(20, 20, 20\) voxels"):
        sample(np.zeros((20, 20, 20)), VolumeWindow((30.0, 0.0, 0.0), (1.0, 1.0, 1.0), 8))


@pytest.mark.parametrize("size", [0.5, 1.5, 3.0, 8.0])
@pytest.mark.parametrize("at", [0.0, 0.3])
def test_a_volume_thinner_than_a_sample_is_seen(size: float, at: float) -> None:
    volume = np.full((40, 40, 1), 5.0)
    seen, inside = sample(volume, VolumeWindow.around((20, 20, at), 16 * size, (1.0, 1.0, 1.0), 16))
    assert bool(inside.any(2).any(1)[6:10].all()) and bool((seen == 5).all())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_voxels_without_a_value_are_as_dark_as_the_darkest(value: float) -> None:
    volume = a_ramp((12, 12, 12))
    volume[6, 6, 6] = value
    window = VolumeWindow((1.5, 1.5, 1.5), (1.0, 1.0, 1.0), 8)
    seen, _ = sample(volume, window)
    assert bool(seen.isfinite().all()) and float(seen[4, 4, 4]) == float(seen.min())
    nothing, _ = sample(np.full((12, 12, 12), value), window)
    assert not nothing.any()


def test_what_is_read_does_not_grow_with_the_volume() -> None:
    read = []

    class Counting(np.ndarray):
        def __getitem__(self, key: object) -> np.ndarray:
            part = super().__getitem__(key)
            read.append(part.size)
            return np.asarray(part)

    for length in (128, 2048):
        volume = np.broadcast_to(np.zeros((1, 1, 1), np.int16), (length,) * 3).view(Counting)
        sample(volume, VolumeWindow.around((64, 64, 64), 32, (1.0, 1.0, 1.0), 32))
    assert read[0] == read[1] <= 35**3


def test_reading_the_same_window_changes_nothing_and_another_one_interpolates() -> None:
    held = VolumeWindow((0.0, 0.0, 0.0), (1.0, 2.0, 0.5), 12)
    logits = torch.from_numpy(expected_ramp(held)).float()
    torch.testing.assert_close(resample(logits, held, held, -8.0), logits)
    close = VolumeWindow((3.0, 6.0, 2.0), (0.5, 1.0, 0.25), 8)
    np.testing.assert_allclose(resample(logits, held, close, -8.0), expected_ramp(close), atol=1e-3)
    far = VolumeWindow((6.0, 0.0, 0.0), (1.0, 2.0, 0.5), 12)
    moved = resample(logits, held, far, -8.0)
    assert bool((moved[6:] == -8).all()) and torch.equal(moved[:6], logits[6:])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), SPACING])
@pytest.mark.parametrize("centre", [(30.0, 20.0, 12.0), (2.0, 20.0, 23.0)])
def test_a_mask_comes_back_to_the_voxels_within_a_voxel(
    spacing: tuple[float, float, float], centre: tuple[float, float, float]
) -> None:
    shape, radius = (60, 40, 24), 9.0
    window = VolumeWindow.around(centre, 32.0, spacing, 32)

    def depth(*at: np.ndarray) -> np.ndarray:
        return radius - np.sqrt(sum(((a - c) * s) ** 2 for a, c, s in zip(at, centre, spacing)))

    logits = depth(*np.meshgrid(*(window.positions(axis) for axis in range(3)), indexing="ij"))
    box, values = paste(torch.from_numpy(logits).float(), window, shape)
    full = np.full(shape, -1.0)
    full[box] = values
    exact = depth(*places(shape))
    assert (full > 0).sum() > 100
    assert np.abs(exact[(full > 0) != (exact > 0)]).max(initial=0) < 0.5
    assert all(part.stop - part.start <= 2 * radius / space + 4 for part, space in zip(box, spacing))


def test_nothing_positive_pastes_nothing() -> None:
    window = VolumeWindow((0.0, 0.0, 0.0), (1.0, 1.0, 1.0), 8)
    box, values = paste(torch.full((8, 8, 8), -1.0), window, (20, 20, 20))
    assert values.size == 0 and np.zeros((20, 20, 20))[box].size == 0
    beside = torch.full((8, 8, 8), -1.0)
    beside[0] = 1
    box, values = paste(beside, VolumeWindow((-6.0, 0.0, 0.0), (1.0, 1.0, 1.0), 8), (20, 20, 20))
    assert values.size == 0 and np.zeros((20, 20, 20))[box].size == 0


def test_values_are_read_linearly_along_one_axis() -> None:
    values = torch.tensor([[0.0, 1, 4], [10, 20, 30]])[..., None]
    assert interpolated(values, np.array([0.5, 1.5, 9, -3]), 1)[0, :, 0].tolist() == [0.5, 2.5, 4, 0]
    assert interpolated(values, np.array([0.25]), 0)[0, :, 0].tolist() == [2.5, 5.75, 10.5]
    assert interpolated(values, np.array([0.0, 7.0]), 2).shape == (2, 3, 2)
