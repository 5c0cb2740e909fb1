"""What the steps of a cohort ask of its methods: features, coarse labels, networks, relabelling, queries, selection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from AdaptCore.cohort.arrays import Network, StoredFeatures
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.network import Sample
from AdaptCore.cohort.records import Settings
from AdaptCore.cohort.views import CaseView
from AdaptCore.io import Geometry


class Method(Protocol):
    """The methods of one cohort; can be pickled for other machines, so the model is loaded when it is first needed."""

    @property
    def digest(self) -> str:
        """Tells features apart: of the frozen model's weights and of what else the features depend on."""
        ...

    def features_bytes(self, shape: tuple[int, int, int]) -> int:
        """Size of the features of a volume (I, J, K)."""
        ...

    def features(self, image: np.ndarray, watch: Watch) -> StoredFeatures:
        """Features of a volume (I, J, K); their source is filled in by who stores them."""
        ...

    def coarse(
        self, template: StoredFeatures, label: np.ndarray, features: StoredFeatures
    ) -> tuple[np.ndarray, np.ndarray]:
        """Classes uint8 and confidence float32 in [0, 1], (I, J, K) both, from one labelled volume."""
        ...

    def train(
        self,
        samples: Sequence[Sample],
        labelled: int,
        grids: Sequence[Geometry],
        classes: int,
        seed: int,
        watch: Watch,
    ) -> Network:
        """A network trained from scratch.

        Args:
            samples: read when they are asked for.
            labelled: the first so many have an accepted label.
            grids: where the voxels of each sample lie.
            classes: background included.
            seed: of everything random.
        """
        ...

    def predict(self, network: Network, image: np.ndarray) -> np.ndarray:
        """Probabilities float32 (classes, I, J, K), background first, of an image (I, J, K) as stored."""
        ...

    def neighbours(self, views: Sequence[CaseView], watch: Watch) -> Sequence[Sequence[int]]:
        """Of each case the indices of those that have a say in its labels."""
        ...

    def relabel(self, view: CaseView, neighbours: Sequence[CaseView], watch: Watch) -> np.ndarray:
        """What is believed of a case, float32 (classes, I, J, K), from its probabilities and its neighbours' shares.

        A neighbour that cannot be read has no say.
        """
        ...

    def settled(self, believed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Classes uint8 and confidence float32 (I, J, K) of what is believed."""
        ...

    def collapsed(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], reference: Sequence[np.ndarray]
    ) -> str | None:
        """Why the labels after a round are worse than before, None if they are not; classes of the same cases."""
        ...

    def trusted(self, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView]) -> tuple[Sequence[int], str]:
        """Indices of the unlabelled cases that take part in the next round, and why these; round 1 or later."""
        ...

    def rank(
        self, strategy: str, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView], count: int, seed: int
    ) -> Sequence[tuple[int, float, str]]:
        """Index, score and reason of the unlabelled cases to review next, the first one first."""
        ...


def load_method(settings: Settings, device: str | None = None) -> Method:
    """The methods of a cohort, by its settings; its model is loaded when it is first needed.

    Args:
        device: where model and networks compute, as for `load_model`.
    """
    from AdaptCore.cohort.model_method import ModelMethod

    return ModelMethod(settings.model, device)
