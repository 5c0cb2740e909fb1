"""A label carried over by a smooth deformation."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AdaptCore.cohort.deformation import deformed
from AdaptCore.cohort.one_label import carried, coarse_probabilities, voted
from AdaptCore.evaluate.metrics import dice
from Testing.cohort_volumes import SHAPE, a_label, some_features

FAR = (4, -3, 3)


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([dice(one == kind, other == kind) for kind in (1, 2)]))


def test_an_object_is_followed_farther_than_a_step_of_the_search() -> None:
    template, moved = a_label(), a_label(FAR)
    found = carried(some_features(template), template, some_features(moved, seed=1)).argmax(0)
    assert agreement(moved, found) > 0.9
    assert agreement(moved, template) < 0.5


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


def test_a_deformation_is_smooth_where_features_are_noise() -> None:
    ramp = torch.arange(SHAPE[0]).float()[None, :, None, None].expand(1, *SHAPE)
    places = deformed(some_features(a_label()), ramp, some_features(a_label(), noise=3.0, seed=1))[0]
    steps = places.diff(dim=0)[4:-4]
    assert float(steps.min()) > 0 and float(steps.std()) < 0.5


def test_the_coarse_labels_are_what_both_ways_say_together() -> None:
    template, moved = a_label(), a_label((1, 0, 0))
    known, wanted = some_features(template), some_features(moved, seed=1)
    both = (voted(known, template, wanted) + carried(known, template, wanted)) / 2
    assert coarse_probabilities(known, template, wanted) == pytest.approx(both, abs=1e-6)
