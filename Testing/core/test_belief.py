"""Belief: what picks teach, how much the prior counts, the claim of SPA's appendix, order and forgetting."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AdaptCore.preference.belief import Belief, Statistics
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.recipe import DEFAULT, Recipe

FIRM = Recipe(weights_strength=4, means_strength=4, variances_strength=8)
"""Strengths for which the figures below were worked out; they hold whatever the default's are."""

UNFORGETTING = replace(FIRM, half_life=math.inf)


def a_prior(components: int = 16, dimensions: int = 8, spread: float = 1.5) -> Mixture:
    rng = np.random.default_rng(0)
    shape = (components, dimensions)
    weights = rng.uniform(1, 2, components)
    return Mixture(weights / weights.sum(), rng.normal(0, spread, shape), rng.uniform(0.3, 0.6, shape))


def lone(mean: float, variance: float) -> Mixture:
    return Mixture(np.ones(1), np.array([[mean]]), np.array([[variance]]))


def taught(belief: Belief, picks: np.ndarray) -> Belief:
    """The belief after picks (J, D), one z each."""
    for z in picks:
        belief = belief.observe(z[None])
    return belief


def moments(mixture: Mixture) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (D,) of the whole mixture."""
    mean = mixture.weights @ mixture.means
    return mean, mixture.weights @ (mixture.variances + mixture.means**2) - mean**2


def difference(one: Mixture, other: Mixture) -> float:
    """Estimated Kullback-Leibler divergence of `other` from `one`."""
    z = one.sample(2000, np.random.default_rng(5))
    return float((one.log_density(z) - other.log_density(z)).mean())


def test_before_any_pick_the_prior_is_believed() -> None:
    prior = a_prior()
    found = Belief.fresh(prior).mixture
    for name in ("weights", "means", "variances"):
        np.testing.assert_allclose(getattr(found, name), getattr(prior, name), rtol=1e-12)


def test_one_component_follows_the_textbook() -> None:
    recipe = Recipe(means_strength=3, variances_strength=5, half_life=math.inf)
    z = np.array([1.0, 2.0, 4.0, 5.0])
    found = taught(Belief.fresh(lone(10.0, 2.0), recipe), z[:, None]).mixture
    mean = (3 * 10 + z.sum()) / (3 + 4)
    scatter = ((z - z.mean()) ** 2).sum() + 3 * 4 / (3 + 4) * (z.mean() - 10) ** 2
    assert found.means[0, 0] == pytest.approx(mean)
    assert found.variances[0, 0] == pytest.approx((5 * 2 + scatter) / (5 + 4))


def test_weights_count_the_prior_as_its_strength() -> None:
    prior = Mixture(np.array([0.25, 0.75]), np.array([[-50.0], [50.0]]), np.ones((2, 1)))
    belief = taught(Belief.fresh(prior, replace(UNFORGETTING, weights_strength=4)), np.full((6, 1), -50.0))
    np.testing.assert_allclose(belief.mixture.weights, [(4 * 0.25 + 6) / 10, 4 * 0.75 / 10])


def test_a_pick_counts_once_however_many_members_it_has() -> None:
    belief = Belief.fresh(a_prior())
    z = np.random.default_rng(1).normal(size=(12, 8))
    few, many = belief.observe(z), belief.observe(np.repeat(z, 3, axis=0))
    assert few.statistics.total == pytest.approx(1) and many.statistics.total == pytest.approx(1)
    np.testing.assert_allclose(few.mixture.means, many.mixture.means)
    np.testing.assert_allclose(few.mixture.variances, many.mixture.variances)


def test_members_of_a_pick_share_it_among_their_components() -> None:
    prior = Mixture(np.array([0.5, 0.5]), np.array([[-50.0], [50.0]]), np.ones((2, 1)))
    found = Belief.fresh(prior).observe(np.array([[-51.0], [-51.0], [-51.0], [52.0]])).statistics
    np.testing.assert_allclose(found.counts, [0.75, 0.25])
    np.testing.assert_allclose(found.sums, [[-0.75], [0.5]])
    np.testing.assert_allclose(found.squares, [[0.75], [1.0]])


@pytest.mark.slow
def test_ten_thousand_picks_recover_the_user_and_raise_their_component_to_one() -> None:
    """SPA, section 7: the posterior of the user's component tends to 1, and the mixture to the user's Gaussian."""
    prior, rng = a_prior(), np.random.default_rng(3)
    mean, variance = prior.means[3] + 0.2, np.linspace(0.1, 0.5, 8)
    picks = mean + np.sqrt(variance) * rng.standard_normal((10_000, 8))
    belief = taught(Belief.fresh(prior, UNFORGETTING), picks)
    found = belief.mixture
    assert found.weights[3] > 0.99 and prior.weights[3] < 0.1
    np.testing.assert_allclose(found.means[3], mean, atol=0.03)
    np.testing.assert_allclose(found.variances[3], variance, rtol=0.06)
    whole_mean, whole_variance = moments(found)
    np.testing.assert_allclose(whole_mean, mean, atol=0.03)
    np.testing.assert_allclose(whole_variance, variance, rtol=0.1)
    user = Mixture(np.ones(1), mean[None], variance[None])
    assert abs(difference(user, found)) < 0.02 and difference(user, prior) > 3


def test_a_user_between_the_components_is_recovered_too() -> None:
    prior, rng = a_prior(spread=1.0, dimensions=2), np.random.default_rng(4)
    mean, variance = np.array([0.3, -0.4]), np.array([0.2, 0.8])
    picks = mean + np.sqrt(variance) * rng.standard_normal((1000, 2))
    found = taught(Belief.fresh(prior, UNFORGETTING), picks).mixture
    user = Mixture(np.ones(1), mean[None], variance[None])
    assert difference(user, found) < 0.02 < 0.3 < difference(user, prior)


def test_each_pick_brings_the_belief_nearer_to_the_user() -> None:
    prior = a_prior()
    user = Mixture(np.ones(1), prior.means[3][None], prior.variances[3][None])
    picks = user.sample(27, np.random.default_rng(6))
    apart = [difference(user, taught(Belief.fresh(prior, FIRM), picks[:count]).mixture) for count in (0, 3, 9, 27)]
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 2 and apart[1] < 1.2 and apart[-1] < 0.4


@pytest.mark.parametrize(("recipe", "most"), [(FIRM, 0.02), (DEFAULT, 0.05)])
def test_the_order_of_picks_hardly_matters(recipe: Recipe, most: float) -> None:
    unforgetting = replace(recipe, half_life=math.inf)
    prior, rng = a_prior(), np.random.default_rng(7)
    picks = prior.sample(40, rng) * 0.7 + 0.2
    one = taught(Belief.fresh(prior, unforgetting), picks).mixture
    for _ in range(3):
        other = taught(Belief.fresh(prior, unforgetting), rng.permutation(picks)).mixture
        assert abs(difference(one, other)) < most
        assert abs(one.weights - other.weights).sum() / 2 < 0.06, "hardly more than two of the forty picks"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(0.0, 30.0), st.floats(0.5, 1e6))
def test_any_picks_leave_a_distribution(seed: int, count: int, scale: float, half_life: float) -> None:
    rng = np.random.default_rng(seed)
    belief = Belief.fresh(a_prior(5, 3), replace(DEFAULT, half_life=half_life))
    for _ in range(count):
        belief = belief.observe(rng.normal(0, scale, (int(rng.integers(1, 6)), 3)))
    found = belief.mixture
    assert found.weights.min() > 0 and found.weights.sum() == pytest.approx(1)
    least = DEFAULT.variances_strength / (DEFAULT.variances_strength + count)
    assert (found.variances > 0.99 * least * belief.prior.variances).all()
    assert belief.statistics.total <= count + 1e-9


def test_a_pick_counts_half_after_the_half_life() -> None:
    recipe = replace(DEFAULT, half_life=8)
    belief = Belief.fresh(a_prior(), recipe).observe(np.ones((2, 8)))
    assert belief.faded(8).statistics.total == pytest.approx(0.5)
    for _ in range(8):
        belief = belief.observe(np.zeros((1, 8)))
    later = sum(0.5 ** (age / 8) for age in range(8))
    assert belief.statistics.total == pytest.approx(0.5 + later)


def test_what_fades_returns_to_the_prior() -> None:
    prior = a_prior()
    user = Mixture(np.ones(1), prior.means[3][None], prior.variances[3][None])
    belief = taught(Belief.fresh(prior, FIRM), user.sample(30, np.random.default_rng(8)))
    apart = [difference(prior, belief.faded(picks).mixture) for picks in (0, 200, 800, 4000)]
    assert apart == sorted(apart, reverse=True)
    assert apart[0] > 0.5 and apart[-1] < 1e-4


def test_a_habit_that_changed_is_followed() -> None:
    prior, rng = a_prior(), np.random.default_rng(9)
    before, after = (Mixture(np.ones(1), prior.means[[m]], prior.variances[[m]]) for m in (3, 11))
    picks = np.concatenate([before.sample(60, rng), after.sample(20, rng)])
    forgetting = taught(Belief.fresh(prior, replace(FIRM, half_life=10)), picks).mixture
    keeping = taught(Belief.fresh(prior, UNFORGETTING), picks).mixture
    assert forgetting.weights[11] > 0.6 > 0.3 > keeping.weights[11]


def test_a_belief_is_never_changed() -> None:
    belief = Belief.fresh(a_prior())
    belief.observe(np.zeros((1, 8)))
    assert belief.statistics.total == 0


def test_a_pick_without_z_is_refused() -> None:
    belief = Belief.fresh(a_prior())
    with pytest.raises(ValueError, match="expected at least one z of a pick, got none"):
        belief.observe(np.zeros((0, 8)))
    with pytest.raises(ValueError, match=r"expected z \(N, 8\), got shape \(1, 5\)"):
        belief.observe(np.zeros((1, 5)))


@pytest.mark.parametrize(
    ("counts", "sums", "squares", "message"),
    [
        ([1.0], [[0.0]], [[0.0, 1.0]], r"got shapes \(1,\), \(1, 1\) and \(1, 2\)"),
        ([-1.0], [[0.0]], [[0.0]], "with counts from 0, got others"),
        ([1.0], [[math.nan]], [[1.0]], "expected finite statistics"),
        ([1.0], [[3.0]], [[8.0]], "squares that are too small"),
        ([0.0], [[0.1]], [[8.0]], "squares that are too small"),
    ],
)
def test_what_no_picks_can_give_is_refused(counts: object, sums: object, squares: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Statistics(np.array(counts), np.array(sums), np.array(squares))


def test_statistics_of_another_mixture_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the prior's \(M, D\) \(1, 1\), got \(16, 8\)"):
        Belief(lone(0, 1), Statistics.none(a_prior()))
