"""Coarse labels from one template."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.cohort.atlases import coarse_labels
from AdaptCore.cohort.one_label import one_hot, prototype_labels, voted
from AdaptCore.errors import ImageError
from AdaptCore.evaluate.metrics import dice
from Testing.cohort_volumes import SHAPE, a_label, some_features


def agreement(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.mean([dice(one == kind, other == kind) for kind in (1, 2)]))


def test_a_moved_object_is_followed() -> None:
    template, moved = a_label(), a_label((2, -1, 1))
    labels, confidence = coarse_labels(some_features(template), template, some_features(moved, seed=1))
    assert labels.dtype == np.uint8 and confidence.dtype == np.float32
    assert agreement(moved, labels) > 0.9 > agreement(moved, template)


def test_confidence_is_lower_at_boundaries() -> None:
    template = a_label()
    _, confidence = coarse_labels(some_features(template), template, some_features(a_label((1, 0, 0)), seed=1))
    moved = a_label((1, 0, 0))
    boundary = (moved != np.roll(moved, 1, 0)) | (moved != np.roll(moved, -1, 0))
    assert confidence[~boundary].mean() > 0.98
    assert confidence[boundary].mean() < 0.95


def test_what_looks_alike_elsewhere_is_not_taken_for_the_object() -> None:
    template, twice = a_label(), a_label()
    twice[:3, :5, :3] = 1
    found = some_features(twice, noise=0.1)
    labels, _ = coarse_labels(some_features(template, noise=0.1), template, found)
    by_prototype, _ = prototype_labels(some_features(template, noise=0.1), template, found)
    assert not labels[:3, :5, :3].any()
    assert (by_prototype[:3, :5, :3] == 1).mean() > 0.5


def test_volumes_of_other_shapes_are_laid_centre_on_centre() -> None:
    template, other = a_label(), a_label(shape=(22, 27, 25))
    labels, _ = coarse_labels(some_features(template), template, some_features(other, seed=1))
    assert labels.shape == other.shape
    assert agreement(other, labels) > 0.9


def test_votes_are_probabilities_of_every_class_of_the_template() -> None:
    template = a_label()
    known = some_features(template)
    probabilities = voted(known, one_hot(known, template), some_features(template, seed=1))
    assert probabilities.shape == (3, *SHAPE)
    assert probabilities.sum(0) == pytest.approx(1, abs=1e-5)


def test_prototypes_tell_classes_apart_where_features_do() -> None:
    template, moved = a_label(), a_label((2, -1, 1))
    labels, _ = prototype_labels(some_features(template, 0.1), template, some_features(moved, 0.1, seed=1))
    assert agreement(moved, labels) > 0.9


@pytest.mark.parametrize("label", [np.zeros(SHAPE, np.uint8), np.ones((4, 4, 4), np.uint8)], ids=["empty", "other"])
def test_a_label_that_does_not_fit_is_refused(label: np.ndarray) -> None:
    features = some_features(a_label())
    with pytest.raises(ImageError, match="the template's shape"):
        coarse_labels(features, label, features)


@pytest.mark.parametrize("planes", [2, 3, 5])
def test_a_stack_of_few_planes_is_labelled(planes: int) -> None:
    template, moved = (a_label(shift, (40, 36, planes)) for shift in ((0, 0, 0), (3, -2, 0)))
    labels, _ = coarse_labels(some_features(template), template, some_features(moved, seed=1))
    assert agreement(moved, labels) > 0.85 > agreement(moved, template)


def test_the_grid_of_a_wide_stack_may_have_one_cell_across() -> None:
    template, moved = (a_label(shift, (128, 96, 5)) for shift in ((0, 0, 0), (5, -4, 0)))
    known, wanted = some_features(template), some_features(moved, seed=1)
    assert known.values.shape[1:] == (32, 24, 1)
    assert agreement(moved, coarse_labels(known, template, wanted)[0]) > 0.5 > agreement(moved, template)
