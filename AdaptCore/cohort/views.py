"""A case as the methods see it: everything about it can be asked for, and is read from the disk only then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AdaptCore.cohort.arrays import StoredFeatures, read_features, read_probabilities
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.records import Case


@dataclass(frozen=True)
class CaseView:
    """One case in one round.

    Attributes:
        cohort: that it is of.
        case: its record.
        round: whose probabilities are asked for.
        once_relabelled: whether `shares` are those of the first pass of relabelling.
    """

    cohort: Cohort
    case: Case
    round: int
    once_relabelled: bool = False

    @property
    def name(self) -> str:
        return self.case.id

    @property
    def is_labelled(self) -> bool:
        return self.case.label is not None

    def features(self) -> StoredFeatures:
        """Raises CohortError where they are missing or damaged."""
        return read_features(self.cohort.features_path(self.name))

    def probabilities(self) -> np.ndarray:
        """float32 (classes, I, J, K) of the round's network, background first; there are none in round 0.

        Raises:
            CohortError: they are missing or damaged.
        """
        return read_probabilities(self.cohort.probabilities_path(self.name, self.round))

    def shares(self) -> np.ndarray:
        """What is known of each voxel's class, float32 (classes, I, J, K).

        It is the accepted label, else what was believed in the first pass of relabelling, before it `probabilities`.

        Raises:
            ImageError: the accepted label is missing or has changed.
            CohortError: the others are missing or damaged.
        """
        if self.case.label is None and self.once_relabelled:
            return read_probabilities(self.cohort.believed_path(self.name, self.round))
        if self.case.label is None:
            return self.probabilities()
        classes = self.cohort.label(self.case, self.case.label)
        return np.stack([classes == index for index in range(self.cohort.classes)]).astype(np.float32)
