"""The model of volumes in the benchmark of objects."""

from __future__ import annotations

import numpy as np

from AdaptCore.io import Volume
from AdaptCore.models.base import Model
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.guess import SliceGuess


class ObjectModel:
    """A model of volumes: every click asks it; a colour volume is shown in grey.

    Args:
        model: of volumes.
        planes: a model of planes that guesses the slices through the first click, None for none.
    """

    def __init__(self, model: VolumetricModel, planes: Model | None) -> None:
        self.name = model.name
        self._model, self._planes = model, planes

    def start(self, volume: Volume, voxels: int) -> ObjectModelSession:
        array = volume.array if volume.array.ndim == 3 else volume.array.mean(3)
        i, j, k = volume.geometry.spacing
        spacing = (float(i), float(j), float(k))
        guess = None if self._planes is None else SliceGuess(self._planes, array, spacing)
        return ObjectModelSession(BlockSession(self._model, array, spacing, guess=guess))


class ObjectModelSession:
    """One object. A negative click on no mask changes nothing: the session refuses it."""

    def __init__(self, session: BlockSession) -> None:
        self._session = session

    def click(self, i: int, j: int, k: int, positive: bool) -> np.ndarray:
        if positive or (self._session.prediction is not None and self._session.prediction.mask.any()):
            self._session.click(i, j, k, positive)
        return self._mask

    def slice_mask(self, axis: int, index: int, mask: np.ndarray) -> np.ndarray:
        self._session.known_slice(axis, index, mask.T)
        return self._mask

    @property
    def _mask(self) -> np.ndarray:
        prediction = self._session.prediction
        shape = self._session.shape
        return np.zeros(shape, bool) if prediction is None else prediction.on(shape)
