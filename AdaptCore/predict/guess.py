"""What a model of planes makes of a click or outline in a volume: masks of slices, to open an object with."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.models.base import Model
from AdaptCore.predict.geometry import PlaneGeometry, axis_plane, extract, plane_voxels
from AdaptCore.predict.intensity import Window, apply_window, auto_window
from AdaptCore.predict.object_prompts import KnownSlice, ObjectPrompts, VolumeClick
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.predict.pointing import pointed_pixels
from AdaptCore.predict.propagate import innermost
from AdaptCore.predict.windows import Triple
from AdaptCore.prompts import Box, Click, Lasso, Prompts

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
        window: intensities that the model sees; None for robust percentiles.
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

    def outlined(self, plane: PlaneGeometry, box: Box | None, lasso: Lasso | None) -> ObjectPrompts:
        """What a box or lasso on a plane tells of an object: the mask in it of a slice, as a guess.

        On an oblique plane, whose mask no slice shows, it is a click on what lies in the outline and some around it.

        Raises:
            PromptError, ModelError: the outline does not fit the plane, or the model cannot answer.
        """
        prompts = Prompts().with_box(box) if lasso is None and box is not None else Prompts()
        prompts = prompts if lasso is None else prompts.with_lasso(lasso)
        mask = self._answer(plane, prompts)
        mask = mask if mask.any() else pointed_pixels(prompts, plane.shape)
        if plane.axis is not None:
            return ObjectPrompts(slices=(self._guessed(plane, mask),))
        inside = innermost(mask)
        clicks = [VolumeClick(plane.voxel(inside.x, inside.y))]
        places = [plane.voxel(x, y) for x, y in _beside(prompts)]
        for i, j, k in places:
            if all(-0.5 <= at <= length - 0.5 for at, length in zip((i, j, k), self._volume.shape)):
                clicks.append(VolumeClick((i, j, k), False))
        return ObjectPrompts(tuple(clicks))

    def _slice(self, axis: int, place: list[int]) -> KnownSlice:
        x_axis, y_axis = (other for other in range(3) if other != axis)
        plane = axis_plane(self._volume.shape, axis, place[axis])
        return self._guessed(plane, self._answer(plane, Prompts((Click(place[x_axis], place[y_axis]),))))

    def _answer(self, plane: PlaneGeometry, prompts: Prompts) -> np.ndarray:
        """What the model makes of prompts on a plane, bool (H, W)."""
        image = apply_window(extract(self._volume, plane), self._window)
        # Square pixels: a model of planes has never seen an object that thick slices make flat.
        across, along = plane.spacing(self._spacing)
        finest = min(across, along)
        height, width = image.shape
        shape = round(height * along / finest), round(width * across / finest)
        session = PlaneSession(self._model, resized(image, shape), spacing=(finest, finest))

        def at(x: float, y: float) -> tuple[float, float]:
            return (x + 0.5) * shape[1] / width - 0.5, (y + 0.5) * shape[0] / height - 0.5

        if prompts.lasso is not None:
            session.lasso([at(x, y) for x, y in prompts.lasso.points])
        elif prompts.box is not None:
            session.box(*at(prompts.box.x0, prompts.box.y0), *at(prompts.box.x1, prompts.box.y1))
        for click in prompts.clicks:
            session.click(*at(click.x, click.y), click.positive)
        assert session.prediction is not None, "there was a prompt"
        return resized(session.prediction.logits, (height, width)) > 0

    def _guessed(self, plane: PlaneGeometry, mask: np.ndarray) -> KnownSlice:
        """A mask (H, W) on a slice along the volume's axes."""
        axis = plane.axis
        assert axis is not None
        voxels, rows, columns = plane_voxels(self._volume.shape, plane)
        shape = [1 if other == axis else length for other, length in enumerate(self._volume.shape)]
        known = np.zeros(shape, bool)
        known[tuple(0 if other == axis else at for other, at in enumerate(voxels))] = mask[rows, columns]
        return KnownSlice(axis, int(voxels[axis][0]), known, is_certain=False)


def _beside(prompts: Prompts, distance: float = 2.0) -> list[tuple[float, float]]:
    """Points in pixels that lie a little outside of a box or lasso, on four sides."""
    if prompts.lasso is not None:
        points = np.array(prompts.lasso.points)
        ends = points[[points[:, 0].argmin(), points[:, 0].argmax(), points[:, 1].argmin(), points[:, 1].argmax()]]
    else:
        box = prompts.box
        assert box is not None
        points = ends = np.array([(box.x0, box.y0), (box.x1, box.y0), (box.x0, box.y1), (box.x1, box.y1)])
    away = ends - points.mean(axis=0)
    lengths = np.linalg.norm(away, axis=1, keepdims=True).clip(1e-6)
    return [(float(x), float(y)) for x, y in ends + distance * away / lengths]


def resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Float32 (H, W) at another shape, linearly."""
    if image.shape == shape:
        return image
    pixels = torch.from_numpy(np.array(image, np.float32))[None, None]
    return F.interpolate(pixels, shape, mode="bilinear", align_corners=False)[0, 0].numpy()
