"""Features of a volume: grid, size, what they depend on, and how the work is watched."""

from __future__ import annotations

from concurrent.futures import CancelledError

import numpy as np
import pytest
import torch

from AdaptCore.cohort.features import CHANNELS, NARROW, Features, features_of, grid_of, size_of
from AdaptCore.errors import ImageError
from Testing.cohort_volumes import SHAPE, a_label, an_image
from Testing.tiny_model import tiny_model
from Testing.toy_model import ToyModel


def test_a_cell_is_about_a_cube_of_voxels() -> None:
    assert grid_of((256, 256, 150)) == (32, 32, 19)
    assert grid_of((35, 50, 35)) == (22, 32, 22)
    assert grid_of((10, 8, 1)) == (10, 8, 1)


def test_the_size_is_told_beforehand() -> None:
    model = tiny_model()
    features = features_of(model, an_image(a_label()))
    assert features.nbytes == size_of(model, SHAPE) == 2 * CHANNELS * 24 * 28 * 20
    assert features.shape == SHAPE


def test_each_cell_has_unit_length() -> None:
    features = features_of(tiny_model(), an_image(a_label()))
    assert np.linalg.norm(features.values.astype(np.float32), axis=0) == pytest.approx(1, abs=2e-3)


def test_narrow_features_keep_angles_about_as_they_are() -> None:
    values = np.random.default_rng(0).normal(size=(CHANNELS, 6, 7, 8)).astype(np.float32)
    values[:, 3:] = values[:, :3] + 0.3 * values[:, 3:]
    wide = Features((values / np.linalg.norm(values, axis=0)).astype(np.float16), (6, 7, 8))
    narrow = wide.narrow()
    assert narrow.shape == (NARROW, 6, 7, 8) and narrow.dtype == torch.float32
    assert float(narrow.square().sum(0).mean()) == pytest.approx(1, abs=0.05)
    alike = [float((each[:, :3] * each[:, 3:]).sum(0).mean()) for each in (wide.tensor(), narrow)]
    assert alike[0] > 0.9 and alike[1] == pytest.approx(alike[0], abs=0.05)
    assert torch.equal(narrow, wide.narrow())


def test_features_follow_the_object_and_not_the_scale_of_intensities() -> None:
    image = an_image(a_label())
    one, scaled, other = (
        features_of(tiny_model(), volume).values.astype(np.float32)
        for volume in (image, 7 * image + 300, an_image(a_label((4, 0, 0))))
    )
    assert (one * scaled).sum(0).min() > 0.99
    changed = a_label() != a_label((4, 0, 0))
    similarity = (one * other).sum(0)
    assert similarity[changed].mean() < similarity[~changed].mean() - 0.01


def test_cells_lie_where_their_voxels_are() -> None:
    volume = np.zeros((20, 24, 28), np.float32)
    volume[4:7, 17:20, 9:12] = 100
    values = features_of(ToyModel(), volume).values.astype(np.float32)
    background = values[:, 0, 0, 0]
    similarity = np.einsum("c,cijk->ijk", background, values)
    assert np.argwhere(similarity < 0).mean(0) == pytest.approx([5, 18, 10], abs=0.6)


def test_a_flat_stack_is_read_through_its_wide_planes_only() -> None:
    model = ToyModel()
    assert features_of(model, np.random.default_rng(0).random((40, 30, 4))).values.shape == (CHANNELS, 32, 24, 3)
    assert model.encoded == 4


def test_progress_ends_at_the_total_and_cancelling_stops_at_once() -> None:
    steps: list[tuple[int, int]] = []
    model = ToyModel()
    features_of(model, an_image(a_label()), progress=lambda done, total: steps.append((done, total)))
    assert steps[0] == (1, 72) and steps[-1] == (72, 72)
    model.encoded = 0
    with pytest.raises(CancelledError):
        features_of(model, an_image(a_label()), cancelled=lambda: model.encoded == 5)
    assert model.encoded == 5


def test_a_plane_is_no_volume() -> None:
    with pytest.raises(ImageError, match=r"shape \(5, 6\)"):
        features_of(ToyModel(), np.zeros((5, 6)))
