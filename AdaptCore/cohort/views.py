"""A case as the methods see it: everything about it can be asked for, and is read from the disk only then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AdaptCore.cohort.arrays import StoredFeatures, read_features, read_probabilities
from AdaptCore.cohort.folder import Cohort, geometry_of
from AdaptCore.cohort.records import Case
from AdaptCore.errors import CohortError


@dataclass(frozen=True)
class CaseView:
    """One case in one round.

    Attributes:
        cohort: that it is of.
        case: its record.
        round: whose proposals and probabilities are asked for.
    """

    cohort: Cohort
    case: Case
    round: int

    @property
    def name(self) -> str:
        return self.case.id

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres along i, j, k."""
        return geometry_of(self.case).spacing

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along i, j, k."""
        return geometry_of(self.case).size

    @property
    def is_labelled(self) -> bool:
        return self.case.label is not None

    def image(self) -> np.ndarray:
        """float32 (I, J, K), intensities as stored.

        Raises:
            ImageError: it cannot be read, or has changed.
        """
        return self.cohort.image(self.case).array.astype(np.float32)

    def label(self) -> np.ndarray:
        """The accepted label as classes, uint8 (I, J, K).

        Raises:
            CohortError: there is none.
            ImageError: it cannot be read, or has changed.
        """
        if self.case.label is None:
            raise CohortError(f"{self.name}: no label was accepted; one is wanted")
        return self.cohort.label(self.case, self.case.label)

    def features(self) -> StoredFeatures:
        """Raises CohortError where they are missing or damaged."""
        return read_features(self.cohort.features_path(self.name))

    def proposal(self) -> np.ndarray:
        """The round's label as classes, uint8 (I, J, K).

        Raises:
            ImageError: it cannot be read.
        """
        return self.cohort.proposal(self.case, self.round)

    def confidence(self) -> np.ndarray:
        """Confidence of the round's label, float32 (I, J, K) from 0 to 1.

        Raises:
            ImageError: it cannot be read.
        """
        return self.cohort.confidence(self.case, self.round)

    def probabilities(self) -> np.ndarray:
        """float32 (classes, I, J, K) of the round's network, background first; there are none in round 0.

        Raises:
            CohortError: they are missing or damaged.
        """
        return read_probabilities(self.cohort.probabilities_path(self.name, self.round))
