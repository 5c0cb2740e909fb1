"""A mixture of Gaussians over the latent z: which masks a user may want (SPA, section 3.1, equation 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

SUM_TOLERANCE = 1e-4
"""Weights in half precision sum to 1 that closely."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """p(z) = sum over m of weights[m] N(z | means[m], diag variances[m]), all read-only float64.

    Attributes:
        weights: (M,), positive; their sum is brought to exactly 1.
        means: (M, D).
        variances: (M, D), positive.

    Raises:
        ValueError: shapes that do not fit, values that are not finite, or no distribution.
    """

    weights: np.ndarray
    means: np.ndarray
    variances: np.ndarray

    def __post_init__(self) -> None:
        weights, means, variances = (
            np.array(values, dtype=np.float64) for values in (self.weights, self.means, self.variances)
        )
        if weights.ndim != 1 or means.ndim != 2 or means.shape != variances.shape or len(means) != len(weights):
            raise ValueError(
                "expected weights (M,), means (M, D) and variances (M, D), got shapes "
                f"{weights.shape}, {means.shape} and {variances.shape}"
            )
        if not means.size:
            raise ValueError(f"expected means of at least one component and one dimension, got {means.shape}")
        if not np.isfinite(means).all():
            raise ValueError("expected finite means of a mixture, got NaN or infinity")
        if not (np.isfinite(variances).all() and variances.min() > 0):
            raise ValueError(f"expected finite, positive variances of a mixture, got {variances.min():g}")
        if not (weights.min() > 0 and abs(weights.sum() - 1) <= SUM_TOLERANCE):
            raise ValueError(
                "expected positive weights of a mixture with a sum of 1, got some from "
                f"{weights.min():g} with a sum of {weights.sum():g}"
            )
        for name, values in (("weights", weights / weights.sum()), ("means", means), ("variances", variances)):
            values.flags.writeable = False
            object.__setattr__(self, name, values)

    @property
    def components(self) -> int:
        """M, the number of Gaussians."""
        return self.means.shape[0]

    @property
    def dimensions(self) -> int:
        """D, the length of a z."""
        return self.means.shape[1]

    @property
    def heaviest(self) -> np.ndarray:
        """Mean (D,) of the component with the greatest weight."""
        return np.asarray(self.means[int(self.weights.argmax())])

    def log_density(self, z: np.ndarray) -> np.ndarray:
        """log p(z), float64 (N,), of z (N, D).

        Raises:
            ValueError: z of another shape, or not finite.
        """
        return np.asarray(logsumexp(self._log_joint(z), axis=1))

    def responsibilities(self, z: np.ndarray) -> np.ndarray:
        """Probability of each component given each z (N, D), float64 (N, M); rows sum to 1.

        Raises:
            ValueError: as `log_density`.
        """
        joint = self._log_joint(z)
        return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))

    def sample(self, count: int, rng: np.random.Generator) -> np.ndarray:
        """Draw z, float64 (count, D): for each a component first, then a point of that Gaussian."""
        chosen = rng.choice(self.components, size=count, p=self.weights)
        noise = rng.standard_normal((count, self.dimensions))
        return self.means[chosen] + np.sqrt(self.variances[chosen]) * noise

    def _log_joint(self, z: np.ndarray) -> np.ndarray:
        """log of weights[m] N(z[n] | m), (N, M)."""
        z = checked_z(z, self.dimensions)
        distances = ((z[:, None] - self.means) ** 2 / self.variances).sum(axis=2)
        normalisers = np.log(self.variances).sum(axis=1) + self.dimensions * math.log(2 * math.pi)
        return np.log(self.weights) - 0.5 * (distances + normalisers)


def checked_z(z: np.ndarray, dimensions: int) -> np.ndarray:
    """z as float64 (N, D).

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    z = np.asarray(z, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] != dimensions:
        raise ValueError(f"expected z (N, {dimensions}), got shape {z.shape}")
    if not np.isfinite(z).all():
        raise ValueError("expected finite values of z, got NaN or infinity")
    return z
