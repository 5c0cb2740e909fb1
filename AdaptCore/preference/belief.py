"""What one user's picks have taught: conjugate priors around a mixture, learnt by online EM in closed form.

The prior of the weights is Dirichlet, that of each component's mean and variance in each dimension is
normal-inverse-gamma, both centred on the shipped mixture. SPA (appendix, section 7) shows that the posterior of the
user's own component tends to 1, and then predicts the mixture with a network, because its maximum likelihood has no
closed form. With the component of each z as hidden variable, each step of EM has one: see `docs/preference.md`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from AdaptCore.preference.mixture import Mixture, checked_z
from AdaptCore.preference.recipe import DEFAULT, Recipe

LEAST_WEIGHT = 1e-12
"""Of a component that a question leaves out."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Expected sufficient statistics of picks, float64, read-only; deviations are from the prior's means.

    Attributes:
        counts: (M,), how many picks fell to each component.
        sums: (M, D), their summed deviations.
        squares: (M, D), their summed squared deviations.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, negative counts, or squares too small for the
            counts and sums.
    """

    counts: np.ndarray
    sums: np.ndarray
    squares: np.ndarray

    def __post_init__(self) -> None:
        counts, sums, squares = (
            np.array(values, dtype=np.float64) for values in (self.counts, self.sums, self.squares)
        )
        if counts.ndim != 1 or sums.ndim != 2 or sums.shape != squares.shape or len(sums) != len(counts):
            raise ValueError(
                "expected counts (M,), sums (M, D) and squares (M, D), got shapes "
                f"{counts.shape}, {sums.shape} and {squares.shape}"
            )
        if not all(np.isfinite(values).all() for values in (counts, sums, squares)) or (counts < 0).any():
            raise ValueError("expected finite statistics of picks with counts from 0, got others")
        if (sums**2 > counts[:, None] * squares * (1 + 1e-6) + 1e-12).any():
            raise ValueError("expected statistics of picks, got squares that are too small for their sums")
        for name, values in (("counts", counts), ("sums", sums), ("squares", squares)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @classmethod
    def none(cls, mixture: Mixture) -> Statistics:
        """Those of no pick, for the components of a mixture."""
        zeros = np.zeros_like(mixture.means)
        return cls(zeros[:, 0], zeros, zeros)

    @property
    def total(self) -> float:
        """Number of picks that still count."""
        return float(self.counts.sum())

    def scaled(self, by: float) -> Statistics:
        """Those in which every pick counts `by` times as much."""
        return Statistics(by * self.counts, by * self.sums, by * self.squares)

    def __add__(self, other: Statistics) -> Statistics:
        return Statistics(self.counts + other.counts, self.sums + other.sums, self.squares + other.squares)


@dataclass(frozen=True, eq=False)
class Belief:
    """A prior and the picks since; never changed, only followed by another.

    Attributes:
        prior: the mixture before any pick.
        statistics: of the picks.
        recipe: how much the prior counts, and the half-life of picks.

    Raises:
        ValueError: statistics for another number of components or dimensions.
    """

    prior: Mixture
    statistics: Statistics
    recipe: Recipe = DEFAULT

    def __post_init__(self) -> None:
        if self.statistics.sums.shape != self.prior.means.shape:
            raise ValueError(
                f"expected statistics of the prior's (M, D) {self.prior.means.shape}, got {self.statistics.sums.shape}"
            )

    @classmethod
    def fresh(cls, prior: Mixture, recipe: Recipe = DEFAULT) -> Belief:
        """What is believed before any pick."""
        return cls(prior, Statistics.none(prior), recipe)

    @property
    def mixture(self) -> Mixture:
        """The posterior mean of weights, means and variances (M-step)."""
        prior, found, recipe = self.prior, self.statistics, self.recipe
        counts = found.counts[:, None]
        weights = (recipe.weights_strength * prior.weights + found.counts) / (recipe.weights_strength + found.total)
        shifts = found.sums / (recipe.means_strength + counts)
        scatter = recipe.variances_strength * prior.variances + found.squares - found.sums * shifts
        return Mixture(weights, prior.means + shifts, scatter / (recipe.variances_strength + counts))

    def on(self, prior: Mixture) -> Mixture:
        """The mixture for one question, whose own prior gives the components other weights than the common prior."""
        present = self.mixture
        weights = present.weights * prior.weights / self.prior.weights
        weights = np.maximum(weights / weights.sum(), LEAST_WEIGHT)
        return Mixture(weights / weights.sum(), present.means, present.variances)

    def expected(self, z: np.ndarray, mixture: Mixture | None = None) -> Statistics:
        """The statistics of one pick under the present mixture, or the one for its question (E-step).

        Which z the user would have chosen is not known, only that its mask looks like the picked one. The members of
        the picked cluster are draws from the profile given just that, so each stands for an equal share of one pick.

        Args:
            z: (N, D) of the picked cluster's members, at least one.

        Raises:
            ValueError: z of another shape, none of them, or values that are not finite.
        """
        z = checked_z(z, self.prior.dimensions)
        if not len(z):
            raise ValueError("expected at least one z of a pick, got none")
        shares = (mixture or self.mixture).responsibilities(z) / len(z)
        deviations = z[:, None] - self.prior.means
        sums, squares = (np.einsum("nm,nmd->md", shares, deviations**power) for power in (1, 2))
        return Statistics(shares.sum(axis=0), sums, squares)

    def observe(self, z: np.ndarray) -> Belief:
        """What is believed after one more pick; see `expected`."""
        return self.joined(self.expected(z))

    def joined(self, pick: Statistics) -> Belief:
        """What is believed after one more pick of these statistics."""
        return replace(self, statistics=self.faded(1).statistics + pick)

    def faded(self, picks: float) -> Belief:
        """What is left after so many picks that taught nothing: by half each half-life it returns to the prior."""
        return replace(self, statistics=self.statistics.scaled(0.5 ** (picks / self.recipe.half_life)))
