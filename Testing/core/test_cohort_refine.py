"""Uncertainty, relabelling of uncertain voxels, and the collapse check."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.cohort.refine import UNSURE, collapsed, confident, relabel, relabelled, uncertainty
from Testing.cohort_volumes import SHAPE, a_label, probabilities_of, some_features


def test_uncertainty_runs_from_sure_to_undecided() -> None:
    probabilities = np.array([[1.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.0]], np.float32)[:, None, None]
    assert uncertainty(probabilities)[0, 0] == pytest.approx([0, 1, np.log(2) / np.log(3)], abs=1e-5)


def undecided_patch() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Labels of three volumes, and probabilities in which a part of the first is undecided and leans the wrong way."""
    labels = [a_label(shift) for shift in ((0, 0, 0), (1, 0, 0), (0, 1, 0))]
    probabilities = [probabilities_of(label) for label in labels]
    probabilities[0][:, 10:14, 9:12, 8:12] = np.array([0.4, 0.28, 0.32], np.float32)[:, None, None, None]
    return labels, probabilities


def test_an_undecided_voxel_takes_the_label_of_its_look_alikes() -> None:
    labels, probabilities = undecided_patch()
    features = [some_features(label, seed=n) for n, label in enumerate(labels)]
    (first, weight), *others = relabel(features, probabilities)
    assert (probabilities[0].argmax(0)[10:14, 9:12, 8:12] == 0).all()
    assert (first == labels[0]).mean() > 0.999
    assert first.dtype == np.uint8 and weight.shape == SHAPE
    for (same, _), label in zip(others, labels[1:]):
        assert np.array_equal(same, label)


def test_sure_voxels_keep_their_label_whatever_their_look_alikes_say() -> None:
    labels, probabilities = undecided_patch()
    misleading = some_features(a_label((4, 4, 4)))
    (first, _), *_ = relabel([misleading, *(some_features(label) for label in labels[1:])], probabilities)
    sure = uncertainty(probabilities[0]) <= UNSURE
    assert np.array_equal(first[sure], labels[0][sure])


def test_the_weight_is_low_where_doubt_remains() -> None:
    labels, probabilities = undecided_patch()
    noise = [some_features(np.zeros_like(label), noise=5, seed=n) for n, label in enumerate(labels)]
    (_, weight), *_ = relabel(noise, probabilities)
    assert weight[10:14, 9:12, 8:12].mean() < 0.9 * weight[0, 0, 0]


def test_a_cohort_without_doubt_or_without_cases_stays() -> None:
    label = a_label()
    ((same, _),) = relabel([some_features(label)], [probabilities_of(label)])
    assert np.array_equal(same, label)
    assert list(relabel([], [])) == []


def test_each_volume_is_read_twice_and_not_kept() -> None:
    class Disk(list):
        read = 0

        def __getitem__(self, index):  # type: ignore[no-untyped-def]
            type(self).read += 1
            return super().__getitem__(index)

    labels, probabilities = undecided_patch()
    list(relabel(Disk(some_features(label) for label in labels), probabilities))
    assert Disk.read <= 2 * len(labels)


def test_labels_that_empty_fill_or_wander_are_a_collapse() -> None:
    reference = [a_label(), a_label((1, 0, 0))]
    emptied = [np.where(label == 1, 0, label).astype(np.uint8) for label in reference]
    filled = [np.full_like(label, 2) for label in reference]
    wandering = [np.roll(label, 6, 0) for label in reference]
    assert collapsed(reference, reference, reference) is None
    assert (collapsed(reference, emptied, reference) or "").startswith("class 1 drifts to empty: 0.0")
    assert "class 2 drifts to full" in (
        collapsed(reference, filled, [np.where(one == 1, 0, one) for one in reference]) or ""
    )
    assert "agreement with the reference falls from 1.00 to" in (collapsed(reference, wandering, reference) or "")
    assert collapsed(wandering, wandering, reference) is None
    assert collapsed(reference, [np.roll(label, 1, 0) for label in reference], reference) is None


def test_a_volume_outside_of_the_cohort_is_relabelled_from_the_cohort() -> None:
    labels, probabilities = undecided_patch()
    features = [some_features(label, seed=n) for n, label in enumerate(labels)]
    bank = confident(features, probabilities)
    outside = probabilities_of(labels[1])
    outside[:, 10:14, 9:12, 8:12] = np.array([0.4, 0.28, 0.32], np.float32)[:, None, None, None]
    found, weight = relabelled(some_features(labels[1], seed=9), outside, bank)
    assert (outside.argmax(0) == labels[1]).mean() < 0.998 < (found == labels[1]).mean()
    assert weight.dtype == np.float32
