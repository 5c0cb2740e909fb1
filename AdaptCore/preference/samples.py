"""What a sampler gives: masks of one object, each with the z that it was decoded with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Samples:
    """Masks that a user may want, with z drawn from the profile: each stands for an equal share of its probability.

    Attributes:
        logits: float32 (N, h, w) or (N, d, h, w), a map for each z, all of the same places, padding cut off.
        z: (N, D).

    Raises:
        ValueError: no map, or shapes that do not fit.
    """

    logits: np.ndarray
    z: np.ndarray

    def __post_init__(self) -> None:
        if (
            self.logits.ndim not in (3, 4)
            or not self.logits.size
            or self.z.ndim != 2
            or len(self.z) != len(self.logits)
        ):
            raise ValueError(
                f"expected logits (N, h, w) or (N, d, h, w) with z (N, D), got {self.logits.shape} with {self.z.shape}"
            )

    @property
    def count(self) -> int:
        """N, the number of masks."""
        return len(self.logits)
