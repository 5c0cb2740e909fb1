"""Mixture over z: density, responsibilities and sampling against values known otherwise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import multivariate_normal

from AdaptCore.preference.mixture import Mixture


def two_apart() -> Mixture:
    """A small one on the left, a large one on the right."""
    return Mixture(np.array([0.25, 0.75]), np.array([[-4.0, 0.0], [4.0, 1.0]]), np.array([[0.25, 1.0], [1.0, 4.0]]))


def random_mixture(seed: int, components: int = 5, dimensions: int = 3) -> Mixture:
    rng = np.random.default_rng(seed)
    weights = rng.dirichlet(np.ones(components)) + 1e-3
    shape = (components, dimensions)
    return Mixture(weights / weights.sum(), rng.normal(0, 2, shape), rng.uniform(0.05, 3, shape))


def test_density_is_that_of_the_sum_of_gaussians() -> None:
    mixture, z = random_mixture(1), np.random.default_rng(2).normal(0, 2, (20, 3))
    expected = sum(
        weight * multivariate_normal(mean, np.diag(variance)).pdf(z)
        for weight, mean, variance in zip(mixture.weights, mixture.means, mixture.variances)
    )
    np.testing.assert_allclose(np.exp(mixture.log_density(z)), expected, rtol=1e-10)


def test_density_integrates_to_one() -> None:
    grid = np.linspace(-30, 30, 6001)
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[-2.0], [3.0]]), np.array([[0.5], [2.0]]))
    assert np.exp(mixture.log_density(grid[:, None])).sum() * 0.01 == pytest.approx(1, abs=1e-9)


def test_a_lone_gaussian_has_the_density_of_the_book() -> None:
    mixture = Mixture(np.ones(1), np.zeros((1, 2)), np.full((1, 2), 4.0))
    assert mixture.log_density(np.array([[2.0, 0.0]]))[0] == pytest.approx(-math.log(2 * math.pi * 4) - 0.5)


def test_far_points_have_a_finite_density_and_belong_to_someone() -> None:
    z = np.array([[1e6, -1e6], [4000.0, 0.0]])
    assert np.isfinite(two_apart().log_density(z)).all()
    np.testing.assert_allclose(two_apart().responsibilities(z), [[0, 1], [0, 1]])


def test_responsibilities_follow_bayes() -> None:
    mixture = Mixture(np.array([0.2, 0.8]), np.array([[-1.0], [1.0]]), np.ones((2, 1)))
    odds = 0.2 / 0.8 * math.exp(-2 * 0.3)
    np.testing.assert_allclose(mixture.responsibilities(np.array([[0.3]])), [[odds / (1 + odds), 1 / (1 + odds)]])


@given(st.integers(0, 10_000), st.floats(-1e3, 1e3))
def test_responsibilities_are_a_distribution(seed: int, place: float) -> None:
    found = random_mixture(seed).responsibilities(np.full((2, 3), place))
    assert found.shape == (2, 5) and (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


def test_each_sample_comes_from_one_component() -> None:
    z = two_apart().sample(20_000, np.random.default_rng(0))
    left = z[:, 0] < 0
    assert left.mean() == pytest.approx(0.25, abs=0.01)
    np.testing.assert_allclose(z[left].mean(axis=0), [-4, 0], atol=0.05)
    np.testing.assert_allclose(z[left].var(axis=0), [0.25, 1], rtol=0.06)
    np.testing.assert_allclose(z[~left].mean(axis=0), [4, 1], atol=0.05)
    np.testing.assert_allclose(z[~left].var(axis=0), [1, 4], rtol=0.06)


def test_samples_do_not_share_their_noise() -> None:
    mixture = Mixture(np.array([0.5, 0.5]), np.zeros((2, 2)), np.ones((2, 2)))
    z = mixture.sample(4000, np.random.default_rng(3))
    assert len(np.unique(z)) == z.size
    assert abs(np.corrcoef(z.T)[0, 1]) < 0.05


def test_the_same_seed_gives_the_same_samples() -> None:
    one, other = (two_apart().sample(5, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(one, other) and one.shape == (5, 2)


def test_weights_in_half_precision_are_brought_to_a_sum_of_one() -> None:
    weights = np.full(16, 1 / 16 * 1.00003, np.float32)
    assert Mixture(weights, np.zeros((16, 2)), np.ones((16, 2))).weights.sum() == pytest.approx(1, abs=1e-15)


def test_arrays_are_own_copies_that_nobody_can_change() -> None:
    means = np.zeros((1, 2))
    mixture = Mixture(np.ones(1), means, np.ones((1, 2)))
    means += 7
    assert mixture.means.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        mixture.means[0, 0] = 1


@pytest.mark.parametrize(
    ("weights", "means", "variances", "message"),
    [
        ([1.0], [[0.0]], [[0.0]], "expected finite, positive variances of a mixture, got 0"),
        ([1.0], [[0.0]], [[math.nan]], "expected finite, positive variances"),
        ([1.0], [[math.inf]], [[1.0]], "expected finite means"),
        ([0.5, 0.4], [[0.0], [1.0]], [[1.0], [1.0]], r"from 0\.4 with a sum of 0\.9"),
        ([0.0, 1.0], [[0.0], [1.0]], [[1.0], [1.0]], "from 0 with a sum of 1"),
        ([math.nan, 1.0], [[0.0], [1.0]], [[1.0], [1.0]], "positive weights"),
        ([1.0], [[0.0, 1.0]], [[1.0]], r"got shapes \(1,\), \(1, 2\) and \(1, 1\)"),
        ([0.5, 0.5], [[0.0]], [[1.0]], r"got shapes \(2,\), \(1, 1\) and \(1, 1\)"),
        ([], np.zeros((0, 2)), np.zeros((0, 2)), "at least one component"),
    ],
)
def test_what_is_no_mixture_is_refused(weights: object, means: object, variances: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixture(np.array(weights), np.array(means), np.array(variances))


@pytest.mark.parametrize(
    ("z", "message"),
    [
        (np.zeros(2), r"expected z \(N, 2\), got shape \(2,\)"),
        (np.zeros((4, 3)), r"got shape \(4, 3\)"),
        (np.array([[0.0, math.nan]]), "expected finite values"),
    ],
)
def test_z_of_another_kind_is_refused(z: np.ndarray, message: str) -> None:
    for action in (two_apart().log_density, two_apart().responsibilities):
        with pytest.raises(ValueError, match=message):
            action(z)
