"""What a Slicer user has today, answering the same clicks: GrowCut ("Grow from seeds") and the random walker.

Both need background seeds, which a click-only user has not given at first. A sensible user paints some around the
object, so the rim of the image is background from the start, except near a positive click. A click becomes a painted
disc.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.errors import ModelError
from AdaptCore.prompts import Click

BACKGROUND, OBJECT = 1, 2
DISC_SHARE = 0.01
RIM_SHARE = 0.01
LUMINANCE = (0.299, 0.587, 0.114)
SLICER_INSTALL = "GrowCut needs slicer-core (pip install slicer-core) or 3D Slicer's own Python"


class GrowCut:
    """Slicer's "Grow from seeds": `vtkImageGrowCutSegment` with its default settings (no distance penalty).

    It sees the grey value (ITU-R BT.601 luminance of a colour image) at native resolution, as in Slicer's Segment
    Editor, and keeps its state between clicks, so later clicks update the labels in the quick way Slicer does.
    """

    name = "growcut"

    def __init__(self) -> None:
        """Raises ModelError when slicer-core is missing."""
        slicer_filter()

    def start(self, image: np.ndarray, spacing: tuple[float, float] | None = None) -> GrowCutSession:
        """Begin on a plane, float32 (H, W) or (H, W, 3) in [0, 1]; millimetres do not matter to it."""
        return GrowCutSession(image)


class GrowCutSession:
    """GrowCut on one plane."""

    def __init__(self, image: np.ndarray) -> None:
        self._shape = image.shape[:2]
        self._clicks: list[Click] = []
        self._growth = SeededGrowth(grey_value(image)[None])

    def click(self, click: Click) -> np.ndarray:
        """Add a click; returns bool (H, W)."""
        self._clicks.append(click)
        return self._growth.grown(seed_labels(self._shape, self._clicks)[None])[0]


class SeededGrowth:
    """The filter on grey values float32 (I, J, K) in [0, 1], with the border of one voxel that it wants around them.

    Raises:
        ModelError: slicer-core is missing.
    """

    def __init__(self, grey: np.ndarray) -> None:
        self._filter = slicer_filter()
        self._seeds = _vtk_image(np.zeros([side + 2 for side in grey.shape], np.uint8))
        self._filter.SetIntensityVolume(_vtk_image(np.pad(255 * grey, 1, mode="edge")))
        self._filter.SetSeedLabelVolume(self._seeds)

    def grown(self, seeds: np.ndarray) -> np.ndarray:
        """The object bool (I, J, K) that seeds uint8 (I, J, K) grow to."""
        bordered = np.pad(seeds, 1)
        _values(self._seeds)[:] = bordered.ravel()
        self._seeds.GetPointData().GetScalars().Modified()
        self._filter.Update()
        labels = _values(self._filter.GetOutput()).reshape(bordered.shape)
        return np.asarray(labels[1:-1, 1:-1, 1:-1] == OBJECT)


class RandomWalker:
    """scikit-image's `random_walker` with its default beta 130 and mode "cg_j" (Grady 2006).

    It sees the image, in colour where there is colour, at most `side` pixels long, because its linear system takes
    seconds beyond that; the probability of the object returns to native resolution before it is cut at one half.
    """

    name = "random-walker"

    def __init__(self, side: int = 256) -> None:
        self.side = side

    def start(self, image: np.ndarray, spacing: tuple[float, float] | None = None) -> RandomWalkerSession:
        """Begin on a plane, float32 (H, W) or (H, W, 3) in [0, 1]; millimetres do not matter to it."""
        return RandomWalkerSession(image, self.side)


class RandomWalkerSession:
    """Random walker on one plane."""

    def __init__(self, image: np.ndarray, side: int) -> None:
        self._shape = image.shape[:2]
        scale = min(1.0, side / max(self._shape))
        self._small = max(1, round(self._shape[0] * scale)), max(1, round(self._shape[1] * scale))
        self._image = _resized(image, self._small)
        self._clicks: list[Click] = []

    def click(self, click: Click) -> np.ndarray:
        """Add a click; returns bool (H, W)."""
        from skimage.segmentation import random_walker

        (height, width), (rows, columns) = self._shape, self._small
        x = (click.x + 0.5) * columns / width - 0.5
        y = (click.y + 0.5) * rows / height - 0.5
        self._clicks.append(Click(x, y, click.positive))
        labels = seed_labels(self._small, self._clicks)
        channel_axis = -1 if self._image.ndim == 3 else None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            chances = random_walker(self._image, labels, mode="cg_j", return_full_prob=True, channel_axis=channel_axis)
        return _resized(np.asarray(chances[OBJECT - 1], dtype=np.float32), self._shape) > 0.5


def seed_labels(shape: tuple[int, int], clicks: list[Click]) -> np.ndarray:
    """Seeds uint8 (H, W): a disc around each click, background on the rim where no positive click is near.

    Disc radius and rim width are 1 % of the diagonal, at least 1 pixel. A pixel in several discs belongs to the
    nearest click, the later one at equal distance.
    """
    height, width = shape
    diagonal = float(np.hypot(height, width))
    radius, rim = max(1.0, DISC_SHARE * diagonal), max(1, round(RIM_SHARE * diagonal))
    rows, columns = np.mgrid[:height, :width]
    to_border = np.minimum(np.minimum(rows, height - 1 - rows), np.minimum(columns, width - 1 - columns))
    labels = np.where(to_border < rim, BACKGROUND, 0).astype(np.uint8)
    nearest = np.full(shape, np.inf)
    for click in clicks:
        distance = np.hypot(columns - click.x, rows - click.y)
        painted = (distance <= radius) & (distance <= nearest)
        labels[painted] = OBJECT if click.positive else BACKGROUND
        nearest[painted] = distance[painted]
    return labels


def grey_value(image: np.ndarray) -> np.ndarray:
    """float32 (H, W): the image itself or the luminance of (H, W, 3)."""
    return image if image.ndim == 2 else image @ np.asarray(LUMINANCE, dtype=np.float32)


def _resized(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bilinear with antialiasing, float32 (h, w) or (h, w, 3)."""
    planes = torch.from_numpy(np.ascontiguousarray(image if image.ndim == 3 else image[..., None])).permute(2, 0, 1)
    resized = F.interpolate(planes[None].float(), shape, mode="bilinear", antialias=True)[0].permute(1, 2, 0).numpy()
    return resized if image.ndim == 3 else resized[..., 0]


def slicer_filter() -> Any:
    """A new `vtkImageGrowCutSegment`; raises ModelError when slicer-core is missing."""
    try:
        from slicer import vtkImageGrowCutSegment
    except ImportError as error:
        raise ModelError(f"{SLICER_INSTALL} ({error})") from error
    return vtkImageGrowCutSegment()


def _values(image: Any) -> np.ndarray:
    """The values of a vtkImageData, not copied."""
    from vtk.util.numpy_support import vtk_to_numpy  # type: ignore[import-not-found,unused-ignore]

    return np.asarray(vtk_to_numpy(image.GetPointData().GetScalars()))


def _vtk_image(array: np.ndarray) -> Any:
    """A vtkImageData of (planes, rows, columns) with its own copy of the values."""
    import vtk  # type: ignore[import-not-found,unused-ignore]
    from vtk.util.numpy_support import numpy_to_vtk  # type: ignore[import-not-found,unused-ignore]

    image = vtk.vtkImageData()
    image.SetDimensions(*reversed(array.shape))
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(array).ravel(), deep=True))
    return image
