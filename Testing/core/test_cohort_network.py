"""The network of a cohort: sizes, learning, repeatability."""

from __future__ import annotations

from concurrent.futures import CancelledError
from dataclasses import replace

import numpy as np
import pytest
import torch

from AdaptCore.cohort import network
from AdaptCore.cohort.network import NetworkSettings, Sample, predict, settings_for, train
from AdaptCore.errors import ImageError
from AdaptCore.evaluate.metrics import dice
from Testing.cohort_volumes import SHAPE, a_label, an_image

pytest.importorskip("monai")


@pytest.fixture
def a_small_setting() -> NetworkSettings:
    return replace(settings_for([SHAPE], (1, 1, 1), 3), channels=(8, 16), steps=40)


def a_sample(seed: int) -> Sample:
    shift = tuple(int(step) for step in np.random.default_rng(seed).integers(-2, 3, 3))
    label = a_label((shift[0], shift[1], shift[2]))
    return Sample(an_image(label, seed), label)


def test_small_volumes_are_seen_whole_and_large_ones_in_patches() -> None:
    small = settings_for([(35, 50, 36), (37, 50, 38)], (1, 1, 1), 3)
    assert (small.patch, small.reduction) == ((36, 48, 36), (4, 4, 4))
    large = settings_for([(512, 512, 200)], (0.7, 0.7, 1), 2)
    assert (large.patch, large.reduction) == ((64, 64, 64), (8, 8, 8))


def test_thick_slices_are_not_halved_until_the_others_are_as_coarse() -> None:
    settings = settings_for([(256, 256, 20)], (0.5, 0.5, 4), 2)
    assert settings.strides == ((2, 2, 1), (2, 2, 1), (2, 2, 1))
    assert settings.patch == (64, 64, 20)


def test_a_few_steps_teach_both_classes(a_small_setting: NetworkSettings) -> None:
    weights = train([a_sample(seed) for seed in range(3)], a_small_setting)
    unseen = a_sample(9)
    probabilities = predict(weights, a_small_setting, unseen.image)
    assert probabilities.shape == (3, *SHAPE) and probabilities.dtype == np.float32
    assert probabilities.sum(0) == pytest.approx(1, abs=1e-5)
    found = probabilities.argmax(0)
    assert min(dice(unseen.label == kind, found == kind) for kind in (1, 2)) > 0.8


def test_the_seed_makes_the_weights_and_leaves_the_global_one_alone(a_small_setting: NetworkSettings) -> None:
    few = replace(a_small_setting, steps=3)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first, again, other = (train([a_sample(0)], replace(few, seed=seed)) for seed in (5, 5, 6))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_only_drawn_samples_are_read(a_small_setting: NetworkSettings) -> None:
    class Disk(list):
        read: set[int]

        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            self.read.add(index)
            return super().__getitem__(index)

    samples = Disk([a_sample(0)] * 500)
    samples.read = set()
    train(samples, replace(a_small_setting, steps=2))
    assert 1 <= len(samples.read) <= 4


def test_large_volumes_are_predicted_in_windows(
    a_small_setting: NetworkSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = a_sample(0)
    weights = train([sample], a_small_setting)
    whole = predict(weights, a_small_setting, sample.image)
    monkeypatch.setattr(network, "WINDOW_SIDE", 16)
    small_patch = replace(a_small_setting, patch=(16, 16, 16))
    windowed = predict(weights, small_patch, sample.image)
    assert windowed.shape == whole.shape
    assert not np.array_equal(windowed, whole)
    assert (windowed.argmax(0) == whole.argmax(0)).mean() > 0.9


def test_a_small_object_in_a_large_volume_is_met_in_every_second_patch(a_small_setting: NetworkSettings) -> None:
    label = np.zeros((96, 96, 96), np.uint8)
    label[80:84, 80:84, 80:84] = 1
    sample = Sample(an_image(label), label)
    generator = torch.Generator().manual_seed(0)
    settings = replace(a_small_setting, patch=(16, 16, 16))
    met = [bool((network._patch(sample, settings, generator)[:, 2] > 0.5).any()) for _ in range(60)]
    assert 0.35 < np.mean(met) < 0.7


def test_progress_and_cancelling(a_small_setting: NetworkSettings) -> None:
    done: list[tuple[int, int]] = []
    with pytest.raises(CancelledError):
        train([a_sample(0)], a_small_setting, lambda *step: done.append(step), lambda: len(done) == 2)
    assert done == [(1, 40), (2, 40)]


def test_samples_that_do_not_fit_are_refused(a_small_setting: NetworkSettings) -> None:
    image, label = an_image(a_label()), a_label()
    with pytest.raises(ImageError, match="Expected at least 1 sample to train on, got none"):
        train([], a_small_setting)
    with pytest.raises(ImageError, match="Expected a label of the shape of the image"):
        train([Sample(image, label[1:])], a_small_setting)
    with pytest.raises(ImageError, match="Expected classes below 3, got 7"):
        train([Sample(image, np.full(SHAPE, 7, np.uint8))], a_small_setting)
    with pytest.raises(ImageError, match="Expected at least 1 volume and 2 classes, got 1 and 1"):
        settings_for([SHAPE], (1, 1, 1), 1)
    with pytest.raises(ImageError, match="Expected a grey volume"):
        predict({}, a_small_setting, np.zeros((4, 4, 4, 3), np.float32))
