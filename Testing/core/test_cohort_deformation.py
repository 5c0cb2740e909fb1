"""A label carried over by a smooth deformation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AdaptCore.cohort.deformation import deformed, moved
from AdaptCore.cohort.features import Features
from AdaptCore.cohort.one_label import one_hot
from AdaptCore.evaluate.metrics import dice
from Testing.cohort_volumes import SHAPE, a_label, some_features

FAR = (4, -3, 3)


def carried(template: Features, label: np.ndarray, features: Features) -> np.ndarray:
    """Shares of the template's classes under the deformation, (classes, I, J, K)."""
    return deformed(template, one_hot(template, label), features, moved(template, features))[0].numpy()


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([dice(one == kind, other == kind) for kind in (1, 2)]))


def test_an_object_is_followed_farther_than_a_step_of_the_search() -> None:
    template, other = a_label(), a_label(FAR)
    found = carried(some_features(template), template, some_features(other, seed=1)).argmax(0)
    assert agreement(other, found) > 0.9
    assert agreement(other, template) < 0.5


def test_what_is_carried_are_shares_of_every_class() -> None:
    template = a_label()
    shares = carried(some_features(template), template, some_features(a_label(FAR), seed=1))
    assert shares.shape == (3, *SHAPE) and shares.dtype == np.float32
    assert shares.sum(0) == pytest.approx(1, abs=1e-4)


def test_the_same_volume_keeps_its_label_and_volumes_of_other_shapes_are_laid_centre_on_centre() -> None:
    template, other = a_label(), a_label(shape=(22, 27, 25))
    assert agreement(template, carried(some_features(template), template, some_features(template)).argmax(0)) > 0.97
    found = carried(some_features(template), template, some_features(other, seed=1)).argmax(0)
    assert found.shape == other.shape
    assert agreement(other, found) > 0.9


@pytest.mark.parametrize("shape", [(2, 64, 60), (64, 2, 60), (64, 60, 2)])
def test_a_volume_one_cell_thick_can_be_deformed(shape: tuple[int, int, int]) -> None:
    template, other = a_label(shape=shape), a_label((0, 0, 0), shape)
    known = some_features(template)
    assert 1 in known.values.shape[1:]
    found = carried(known, template, some_features(other, seed=1))
    assert np.isfinite(found).all() and agreement(other, found.argmax(0)) > 0.9


def test_a_deformation_is_smooth_where_features_are_noise() -> None:
    ramp = torch.arange(SHAPE[0]).float()[None, :, None, None].expand(1, *SHAPE)
    template, noisy = some_features(a_label()), some_features(a_label(), noise=3.0, seed=1)
    places = deformed(template, ramp, noisy, moved(template, noisy))[0][0]
    steps = places.diff(dim=0)[4:-4]
    assert float(steps.min()) > 0 and float(steps.std()) < 0.5


def test_features_are_alike_where_the_same_thing_meets() -> None:
    template, other = a_label(), a_label(FAR)
    known, wanted = some_features(template, noise=0.1), some_features(other, noise=0.1, seed=1)
    unmoved = moved(known, wanted) * 0
    _, before = deformed(known, one_hot(known, template), wanted, unmoved)
    _, after = deformed(known, one_hot(known, template), wanted, moved(known, wanted))
    inside = other > 0
    assert float(after[inside].mean()) > 0.9 > 0.7 > float(before[inside].mean())
