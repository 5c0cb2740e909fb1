"""Labels of several cases carried over to one volume."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.cohort import atlases
from AdaptCore.cohort.atlases import Atlas, Carried, carry, fused, nearest
from AdaptCore.cohort.deformation import moved
from AdaptCore.cohort.description import Description
from AdaptCore.evaluate.metrics import dice
from Testing.cohort_volumes import SHAPE, a_label, probabilities_of, some_features


def test_of_two_atlases_that_disagree_the_one_that_fits_decides_place_by_place() -> None:
    left, right = (np.zeros((2, *SHAPE), np.float32) for _ in range(2))
    left[0], right[1] = 1, 1
    fits = np.zeros(SHAPE, np.float32)
    fits[:10] = 0.9
    together = fused([Carried(left, fits), Carried(right, 0.9 - fits)])
    assert (together[:, :10].argmax(0) == 0).all() and (together[:, 10:].argmax(0) == 1).all()
    assert together.sum(0) == pytest.approx(1, abs=1e-5)
    odds = np.exp(0.9 / atlases.TEMPERATURE)
    assert together[0, 0, 0, 0] == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_a_wrong_label_of_an_atlas_that_does_not_fit_is_outvoted() -> None:
    truth, far = a_label((1, 0, 0)), a_label((0, 3, 2))
    good = carry(Atlas(some_features(a_label()), probabilities_of(a_label())), some_features(truth, seed=1))
    misfit = some_features(np.array([0, 2, 1], np.uint8)[far], seed=2)
    bad = carry(Atlas(misfit, probabilities_of(far)), some_features(truth, seed=1))

    def quality(shares: np.ndarray) -> float:
        return float(np.mean([dice(truth == kind, shares.argmax(0) == kind) for kind in (1, 2)]))

    assert quality(bad.shares) < 0.7 and quality(fused([good, bad])) > 0.9
    assert good.similarity.shape == SHAPE and good.similarity.mean() > bad.similarity.mean()


def test_a_known_deformation_is_not_sought_again(monkeypatch: pytest.MonkeyPatch) -> None:
    atlas, features = Atlas(some_features(a_label()), probabilities_of(a_label())), some_features(a_label((1, 1, 0)))
    sought = carry(atlas, features)
    points = moved(atlas.features, features)
    monkeypatch.setattr(atlases, "moved", lambda *given: pytest.fail("sought again"))
    given = carry(atlas, features, points)
    assert np.array_equal(given.shares, sought.shares) and np.array_equal(given.similarity, sought.similarity)


def test_labelled_cases_come_first_then_the_most_similar() -> None:
    angles = np.deg2rad([0, 80, 5, 10, 20, 30, 40, 50, 60])
    cases = [Description(str(n), np.array([np.cos(a), np.sin(a)], np.float32), 0.1, 0.1) for n, a in enumerate(angles)]
    chosen = nearest(cases, [False, True, False, False, False, False, False, False, False])
    assert chosen[0] == [1, 2, 3, 4, 5, 6]
    assert chosen[1] == [8, 7, 6, 5, 4, 3]
    assert all(own not in row for own, row in enumerate(chosen))


def test_a_case_alone_and_no_case_at_all_have_no_atlas() -> None:
    assert nearest([Description("0", np.ones(1, np.float32), 0.1, 0.1)], [True]) == [[]]
    assert nearest([], []) == []
