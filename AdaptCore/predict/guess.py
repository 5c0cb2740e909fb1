"""What a model of planes makes of a click in a volume: masks of the three slices through it, to open an object with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.models.base import Model
from AdaptCore.predict.geometry import axis_plane, extract
from AdaptCore.predict.intensity import Window, apply_window, auto_window
from AdaptCore.predict.object_prompts import KnownSlice
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.predict.windows import Triple

LEAST_SIDE = 8
"""Shortest side in voxels of a slice that is worth a guess."""

MOST_FLAT = 2.5
"""Largest ratio of a slice's spacings: across thicker slices there is too little to see."""


class SliceGuess:
    """Asks a model of planes on the slices through a click; see `BlockSession`.

    Args:
        model: of planes.
        volume: (I, J, K), intensities as stored.
        spacing: of the voxels in millimetres.
        window: intensities that the model sees; None for the usual ones.
    """

    def __init__(self, model: Model, volume: np.ndarray, spacing: Triple, window: Window | None = None) -> None:
        self._model, self._volume, self._spacing = model, volume, spacing
        self._window = window or auto_window(volume)

    def __call__(self, position: Triple) -> tuple[KnownSlice, ...]:
        place = [min(max(round(at), 0), length - 1) for at, length in zip(position, self._volume.shape)]
        return tuple(self._slice(axis, place) for axis in range(3) if self._is_worth_it(axis))

    def _is_worth_it(self, axis: int) -> bool:
        others = [other for other in range(3) if other != axis]
        spacing = [self._spacing[other] for other in others]
        return min(self._volume.shape[other] for other in others) >= LEAST_SIDE and (
            max(spacing) <= MOST_FLAT * min(spacing)
        )

    def _slice(self, axis: int, place: list[int]) -> KnownSlice:
        x_axis, y_axis = (other for other in range(3) if other != axis)
        plane = axis_plane(self._volume.shape, axis, place[axis])
        image = apply_window(extract(self._volume, plane), self._window)
        # Square pixels: a model of planes has never seen an object that thick slices make flat.
        finest = min(self._spacing[x_axis], self._spacing[y_axis])
        height, width = image.shape
        shape = round(height * self._spacing[y_axis] / finest), round(width * self._spacing[x_axis] / finest)
        session = PlaneSession(self._model, resized(image, shape), spacing=(finest, finest))
        x, y = (
            (place[other] + 0.5) * new / old - 0.5
            for other, new, old in ((x_axis, shape[1], width), (y_axis, shape[0], height))
        )
        mask = resized(session.click(x, y).logits, (height, width)) > 0
        return KnownSlice(axis, place[axis], np.expand_dims(mask.T, axis), is_certain=False)


def resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Float32 (H, W) at another shape, linearly."""
    if image.shape == shape:
        return image
    pixels = torch.from_numpy(np.array(image, np.float32))[None, None]
    return F.interpolate(pixels, shape, mode="bilinear", align_corners=False)[0, 0].numpy()
