"""Uncertainty, relabelling, and the collapse check."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.cohort.refine import believed, collapsed, settled, uncertainty
from Testing.cohort_volumes import SHAPE, a_label, probabilities_of


def test_uncertainty_runs_from_sure_to_undecided() -> None:
    probabilities = np.array([[1.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.5], [0.0, 1 / 3, 0.0]], np.float32)[:, None, None]
    assert uncertainty(probabilities)[0, 0] == pytest.approx([0, 1, np.log(2) / np.log(3)], abs=1e-5)


def test_look_alikes_outvote_the_network_where_they_are_sure() -> None:
    truth, wrong = a_label(), a_label((2, 0, 0))
    together = believed(probabilities_of(wrong), probabilities_of(truth))
    assert together.dtype == np.float32 and together.sum(0) == pytest.approx(1, abs=1e-5)
    labels, sure = settled(together)
    assert np.array_equal(labels, truth)
    assert labels.dtype == np.uint8 and sure.shape == SHAPE and sure.dtype == np.float32
    assert sure[wrong != truth].mean() < 0.7 < 0.85 < sure[wrong == truth].mean()


def test_the_network_decides_where_look_alikes_do_not() -> None:
    truth = a_label()
    undecided = np.full((3, *SHAPE), 1 / 3, np.float32)
    labels, sure = settled(believed(probabilities_of(truth), undecided))
    assert np.array_equal(labels, truth)
    assert sure.max() < 0.1


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
