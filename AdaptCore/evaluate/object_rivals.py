"""What answers clicks on an object of a volume today: GrowCut, the random walker, planes that propagate, and a ball."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from AdaptCore.errors import PromptError
from AdaptCore.evaluate.objects import acquisition_axis
from AdaptCore.evaluate.rivals import BACKGROUND, OBJECT, SeededGrowth, grey_value, slicer_filter
from AdaptCore.evaluate.users import VoxelClick
from AdaptCore.evaluate.volume_growcut import volume_seeds
from AdaptCore.evaluate.volume_user import stretch
from AdaptCore.io import Volume
from AdaptCore.models.base import Model
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.intensity import apply_window, auto_window
from AdaptCore.predict.volume import VolumeSession

WALKER_SIDE = 96

Grow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""The object bool (I, J, K) that seeds uint8 (I, J, K) grow to on grey values float32 (I, J, K) in [0, 1]."""


class GrowCut:
    """Slicer's "Grow from seeds" on the whole volume, with the seeds of `volume_seeds`."""

    name = "growcut"

    def __init__(self) -> None:
        """Raises ModelError when slicer-core is missing."""
        slicer_filter()

    def start(self, volume: Volume, voxels: int) -> SeededSession:
        return SeededSession(volume, lambda grey, seeds: SeededGrowth(grey).grown(seeds))


class RandomWalker:
    """scikit-image's `random_walker` with its default beta 130 and mode "cg_j" (Grady 2006), with the same seeds.

    It sees at most 96 voxels along each axis around the middle of the object's seeds, because its linear system takes
    minutes beyond that; the rim of this window is background where nothing else was seeded.
    """

    name = "random-walker"

    def start(self, volume: Volume, voxels: int) -> SeededSession:
        return SeededSession(volume, lambda grey, seeds: walked(grey, seeds, volume.geometry.spacing))


class SeededSession:
    """Clicks and known slices as seeds, grown afresh each time."""

    def __init__(self, volume: Volume, grow: Grow) -> None:
        image = apply_window(volume.array, auto_window(volume.array))
        self._grey = image if image.ndim == 3 else grey_value(image)
        self._axis = acquisition_axis(volume.geometry.spacing)
        self._grow = grow
        self._clicks: list[VoxelClick] = []
        self._slices: list[tuple[int, int, np.ndarray]] = []

    def click(self, i: int, j: int, k: int, positive: bool) -> np.ndarray:
        self._clicks.append(VoxelClick((i, j, k), positive))
        return self._grow(self._grey, self._seeds())

    def slice_mask(self, axis: int, index: int, mask: np.ndarray) -> np.ndarray:
        self._slices.append((axis, index, mask))
        return self._grow(self._grey, self._seeds())

    def _seeds(self) -> np.ndarray:
        seeds = volume_seeds(self._grey.shape, self._axis, self._clicks)
        for axis, index, mask in self._slices:
            np.moveaxis(seeds, axis, 0)[index] = np.where(mask.T, OBJECT, BACKGROUND)
        for click in self._clicks:
            seeds[click.voxel] = OBJECT if click.positive else BACKGROUND
        return seeds


def walked(grey: np.ndarray, seeds: np.ndarray, spacing: Sequence[float], side: int = WALKER_SIDE) -> np.ndarray:
    """The object bool (I, J, K) that the random walker finds in a window of at most `side` voxels an axis.

    Where nothing is left to find, or all grey values are equal, which the filter cannot work with, it is the seeds.

    Args:
        grey, seeds: as in `Grow`; the window is around the middle of the object's seeds.
    """
    from skimage.segmentation import random_walker

    window = _window_around(seeds, side)
    labels = seeds[window].copy()
    for axis, (cut, length) in enumerate(zip(window, seeds.shape)):
        for face in [0] * (cut.start > 0) + [-1] * (cut.stop < length):
            plane = np.moveaxis(labels, axis, 0)[face]
            plane[plane == 0] = BACKGROUND
    if labels.all() or np.ptp(grey[window]) == 0:
        return seeds == OBJECT
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        chances = random_walker(grey[window], labels, mode="cg_j", return_full_prob=True, spacing=spacing)
    found = np.zeros(seeds.shape, bool)
    found[window] = chances[OBJECT - 1] > 0.5
    return found


class Planes:
    """The product's plane path: click on a slice, accept, propagate up to halfway to the slices accepted before."""

    name = "planes"

    def __init__(self, model: Model, zoom: bool = True) -> None:
        self._model = model
        self._zoom = zoom

    def start(self, volume: Volume, voxels: int) -> PlanesSession:
        return PlanesSession(self._model, volume, self._zoom)


class PlanesSession:
    """Planes across the acquisition axis."""

    def __init__(self, model: Model, volume: Volume, zoom: bool) -> None:
        self._session = VolumeSession(model, volume.array, spacing=volume.geometry.spacing, zoom=zoom, precompute=0)
        self._axis = acquisition_axis(volume.geometry.spacing)
        self._accepted: set[int] = set()

    def click(self, i: int, j: int, k: int, positive: bool) -> np.ndarray:
        """A negative click on a slice without any mask changes nothing: the product refuses it."""
        index = (i, j, k)[self._axis]
        plane = axis_plane(self._session.shape, self._axis, index)
        try:
            x, y = (at for axis, at in enumerate((i, j, k)) if axis != self._axis)
            self._session.plane(plane).click(x, y, positive)
        except PromptError:
            return self._mask
        return self._accept(index)

    def slice_mask(self, axis: int, index: int, mask: np.ndarray) -> np.ndarray:
        self._axis = axis
        return self._accept(index, mask)

    @property
    def _mask(self) -> np.ndarray:
        return self._session.labelmap > 0

    def _accept(self, index: int, mask: np.ndarray | None = None) -> np.ndarray:
        self._accepted.add(index)
        extent = stretch(self._accepted, index, self._session.shape[self._axis])
        self._session.accept(axis_plane(self._session.shape, self._axis, index), mask)
        self._session.propagate(self._axis, index, extent=extent)
        return self._mask


class Ball:
    """A floor: a ball around the first click, of the volume in millilitres that the object has; it stays as it is."""

    name = "ball"

    def start(self, volume: Volume, voxels: int) -> BallSession:
        return BallSession(volume, voxels)


class BallSession:
    def __init__(self, volume: Volume, voxels: int) -> None:
        self._shape, self._spacing = volume.array.shape[:3], volume.geometry.spacing
        self._radius = float(np.cbrt(0.75 / np.pi * voxels * np.prod(self._spacing)))
        self._mask: np.ndarray | None = None

    def click(self, i: int, j: int, k: int, positive: bool) -> np.ndarray:
        if self._mask is None:
            places = np.ogrid[tuple(slice(side) for side in self._shape)]
            away = sum(((at - to) * step) ** 2 for at, to, step in zip(places, (i, j, k), self._spacing))
            self._mask = np.asarray(away <= self._radius**2)
        return self._mask


def _window_around(seeds: np.ndarray, side: int) -> tuple[slice, ...]:
    """At most `side` voxels along each axis around the middle of the object's seeds, inside the volume."""
    middles = [round(float(place)) for place in np.median(np.argwhere(seeds == OBJECT), axis=0)]
    firsts = [max(0, min(middle - side // 2, length - side)) for middle, length in zip(middles, seeds.shape)]
    return tuple(slice(first, min(first + side, length)) for first, length in zip(firsts, seeds.shape))
