"""What a cohort's steps ask for, answered by the modules of this room with one frozen model."""

from __future__ import annotations

import hashlib
import itertools
import json
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np

from AdaptCore.cohort import atlases, features, network, queries, refine, selection
from AdaptCore.cohort.arrays import Network, StoredFeatures
from AdaptCore.cohort.atlases import Atlas
from AdaptCore.cohort.description import Description, describe
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.features import Features
from AdaptCore.cohort.lazy import Lazy
from AdaptCore.cohort.network import NetworkSettings, Sample
from AdaptCore.cohort.views import CaseView
from AdaptCore.errors import AdaptSegError, CohortError
from AdaptCore.io import Geometry
from AdaptCore.json_text import parse
from AdaptCore.models.base import Model
from AdaptCore.models.registry import load_model
from AdaptCore.printable import shortened


@dataclass(frozen=True)
class ModelMethod:
    """The methods with one frozen model, which is loaded when it is first needed and never pickled.

    Attributes:
        model_name: name or file of the model.
        device: where it and the networks compute, as for `load_model`.
    """

    model_name: str
    device: str | None = None

    @cached_property
    def model(self) -> Model:
        """The frozen model."""
        return load_model(self.model_name, self.device)

    def __getstate__(self) -> dict[str, str | None]:
        return {"model_name": self.model_name, "device": self.device}

    @property
    def digest(self) -> str:
        """Of the model's weights and the size of the features."""
        told = json.dumps([self.model.digest, features.CELLS, features.CHANNELS])
        return hashlib.sha256(told.encode()).hexdigest()

    def features_bytes(self, shape: tuple[int, int, int]) -> int:
        """See `Method`."""
        return features.size_of(self.model, shape)

    def features(self, image: np.ndarray, watch: Watch) -> StoredFeatures:
        """See `Method`."""
        found = features.features_of(self.model, image, watch.progress, watch.cancelled)
        return StoredFeatures(found.values, found.shape, {})

    def coarse(
        self, template: StoredFeatures, label: np.ndarray, wanted: StoredFeatures
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Method`."""
        return atlases.coarse_labels(_features(template), label, _features(wanted))

    def train(
        self,
        samples: Sequence[Sample],
        labelled: int,
        grids: Sequence[Geometry],
        classes: int,
        seed: int,
        watch: Watch,
    ) -> Network:
        """See `Method`; accepted labels are drawn about as often as proposed ones."""
        network.check_installed()
        spacing = np.median([grid.spacing for grid in grids], axis=0).tolist()
        settings = network.settings_for([grid.size for grid in grids], spacing, classes, seed)
        times = max(1, (len(samples) - labelled) // max(1, labelled))
        order = [*range(labelled)] * times + [*range(labelled, len(samples))]
        drawn = Lazy(len(order), lambda index: samples[order[index]])
        weights = network.train(drawn, settings, watch.progress, watch.cancelled, self.device)
        return Network(weights, {"settings": json.dumps(asdict(settings))})

    def predict(self, trained: Network, image: np.ndarray) -> np.ndarray:
        """See `Method`."""
        network.check_installed()
        return network.predict(dict(trained.weights), _settings(trained), image, self.device)

    def neighbours(self, views: Sequence[CaseView], watch: Watch) -> Sequence[Sequence[int]]:
        """See `Method`."""
        return atlases.nearest(_described(views, watch), [view.is_labelled for view in views])

    def relabel(self, view: CaseView, neighbours: Sequence[CaseView], watch: Watch) -> np.ndarray:
        """See `Method`."""
        features, probabilities = _features(view.features()), view.probabilities()
        carried = (atlases.carry(atlas, features) for atlas in _readable(_watched(neighbours, watch)))
        first = next(carried, None)
        if first is None:
            return probabilities
        return refine.believed(probabilities, atlases.fused(itertools.chain([first], carried)))

    def settled(self, believed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Method`."""
        return refine.settled(believed)

    def collapsed(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], reference: Sequence[np.ndarray]
    ) -> str | None:
        """See `Method`."""
        return refine.collapsed(before, after, reference)

    def trusted(self, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView]) -> tuple[Sequence[int], str]:
        """See `Method`."""
        return selection.trusted(_described(labelled, Watch()), _described(unlabelled, Watch()))

    def rank(
        self, strategy: str, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView], count: int, seed: int
    ) -> Sequence[tuple[int, float, str]]:
        """See `Method`."""
        places = {view.name: index for index, view in enumerate(unlabelled)}
        ranked = queries.rank(
            cast(queries.Method, strategy), _described(labelled, Watch()), _described(unlabelled, Watch()), count, seed
        )
        return [(places[query.id], query.score, query.reason) for query in ranked]


def _features(stored: StoredFeatures) -> Features:
    return Features(stored.values, stored.shape)


def _described(views: Sequence[CaseView], watch: Watch) -> list[Description]:
    return [describe(view.name, _features(view.features()), view.probabilities()) for view in _watched(views, watch)]


def _watched(views: Sequence[CaseView], watch: Watch) -> Iterator[CaseView]:
    for done, view in enumerate(views):
        watch.check()
        watch.progress(done, len(views))
        yield view
    watch.progress(len(views), len(views))


def _readable(views: Iterable[CaseView]) -> Iterator[Atlas]:
    for view in views:
        try:
            atlas = Atlas(_features(view.features()), view.shares())
        except AdaptSegError:
            warnings.warn(f"{view.name}: cannot be read, so it has no say in the labels of others", stacklevel=2)
        else:
            yield atlas


def _settings(trained: Network) -> NetworkSettings:
    try:
        stored: dict[str, Any] = parse(trained.settings["settings"])
        sizes = {name: tuple(stored[name]) for name in ("channels", "patch", "spacing")}
        strides = tuple(tuple(steps) for steps in stored["strides"])
        return NetworkSettings(**{**stored, **sizes, "strides": strides})
    except (LookupError, TypeError, ValueError) as error:
        raise CohortError(
            f"Expected the settings of a network, got others ({shortened(str(error))}). Train again."
        ) from error
