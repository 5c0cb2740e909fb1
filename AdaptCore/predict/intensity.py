"""Intensity windows: what part of the stored intensities the model sees, as [0, 1]."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AdaptCore.errors import ImageError

LOW_PERCENTILE = 0.5
HIGH_PERCENTILE = 99.5
SAMPLE_SIZE = 1_000_000
FAR_OUTSIDE = 0.3
"""Of the range of the other voxels: padding lies at least as far below or above them (ours)."""
LEAST_BORDER, LEAST_REST = 0.01, 0.05
"""Shares of the border that padding fills, and of the image that it leaves; else it is ground or an object (ours)."""
MOST_PADDINGS, SHORT_AXIS = 4, 4


@dataclass(frozen=True)
class Window:
    """Stored intensities from `low` (shown as 0) to `high` (shown as 1).

    Raises:
        ImageError: the limits are not finite or not increasing.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and math.isfinite(self.high - self.low)):
            raise ImageError(f"Expected finite limits of the intensity window, got {self.low} to {self.high}.")
        if self.high <= self.low:
            raise ImageError(f"Expected an intensity window with low < high, got {self.low} to {self.high}.")

    @classmethod
    def from_level(cls, level: float, width: float) -> Window:
        """The window that radiologists give as level (its centre) and width, in stored intensities (HU in CT).

        Raises:
            ImageError: the width is not above zero, or a number is not finite.
        """
        return cls(level - width / 2, level + width / 2)


def auto_window(image: np.ndarray) -> Window:
    """Robust percentiles of the finite voxels besides padding, over all channels (ours).

    An image that is flat between the percentiles gets its whole range, a constant one a window around its value.
    Percentiles of large images are those of a sample with a fixed seed, so the same image always gets the same window.

    Raises:
        ImageError: the image holds no number, or none that is finite.
    """
    values = _finite(_sample(_numeric(image)))
    if not values.size:
        values = _finite(image)
    if not values.size:
        raise ImageError(f"Expected at least 1 finite voxel, got none in an image of shape {image.shape}.")
    padding = _padding(image, values)
    low, high = _range(_without(values, padding))
    if low == high:
        values = _without(_finite(image), padding)
        low, high = float(values.min()), float(values.max())
    if low == high:
        half = max(0.5, abs(low) * 1e-6)
        low, high = low - half, high + half
    return Window(low, high)


def padding_values(image: np.ndarray) -> tuple[float, ...]:
    """What fills voxels that were never measured: constants at the border, far outside of the other values (ours).

    Such as -3024 outside of the circle that a CT scanner reconstructs, or 65535 where a volume was resampled.
    """
    return _padding(image, _finite(_sample(_numeric(image))))


def limits_beside_padding(image: np.ndarray) -> tuple[float, float] | None:
    """Values that padding is brought to where it is averaged with others; None without padding.

    They lie ten times as far outside of the usual window as that is wide, where padding such as -3024 stays as it is.
    Averages with numbers such as -3.4e38 would be infinite.
    """
    if not padding_values(image):
        return None
    window = auto_window(image)
    far = 10 * (window.high - window.low)
    return window.low - far, window.high + far


def told_of_padding(image: np.ndarray, voxel: tuple[int, int, int], padding: Sequence[float]) -> str:
    """What to tell the user of a click on a voxel; empty where something was measured.

    Args:
        padding: `padding_values` of the image.
    """
    if not padding or not np.isin(image[voxel], padding).all():
        return ""
    return f"This voxel is padding ({padding[0]:g}), outside of what was measured."


def apply_window(image: np.ndarray, window: Window) -> np.ndarray:
    """A new float32 array in [0, 1] of the image's shape; NaN and infinite voxels count as the lowest finite one.

    Raises:
        ImageError: the image does not hold numbers.
    """
    precision = np.float32 if image.dtype.itemsize <= 4 else np.float64
    values: np.ndarray = _numeric(image).astype(precision, order="C")
    finite = np.isfinite(values)
    if not finite.all():
        values[~finite] = values[finite].min() if finite.any() else window.low
    shown = np.clip((values - window.low) / (window.high - window.low), 0.0, 1.0)
    return shown.astype(np.float32, copy=False)


def _padding(image: np.ndarray, values: np.ndarray) -> tuple[float, ...]:
    border = _border(image).astype(np.float64)
    found: list[float] = []
    while len(found) < MOST_PADDINGS:
        rest = _without(values, found)
        ends = (rest.min(), rest.max()) if rest.size else ()
        new = next((float(end) for end in ends if _is_padding(end, border, rest, values.size)), None)
        if new is None:
            break
        found.append(new)
    return tuple(found)


def _is_padding(end: float, border: np.ndarray, rest: np.ndarray, count: int) -> bool:
    if np.count_nonzero(border == end) < LEAST_BORDER * border.size:
        return False
    others = rest[rest != end]
    if others.size < LEAST_REST * count:
        return False
    low, high = _range(others)
    return low < high and max(low - end, end - high) > FAR_OUTSIDE * (high - low)


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(values, (LOW_PERCENTILE, HIGH_PERCENTILE))
    return float(low), float(high)


def _without(values: np.ndarray, padding: Sequence[float]) -> np.ndarray:
    return values[~np.isin(values, padding)] if padding else values


def _border(image: np.ndarray) -> np.ndarray:
    """Voxels of the first and last plane along each axis; a short one is that of colours, or nearly all border."""
    # Not `take`, which copies the whole of an image that lies in memory in another order, as Slicer's do.
    turned = [np.moveaxis(image, axis, 0) for axis in range(image.ndim) if image.shape[axis] > SHORT_AXIS]
    planes = [plane.ravel() for along in turned for plane in (along[0], along[-1])]
    return np.concatenate(planes) if planes else image.ravel()


def _numeric(image: np.ndarray) -> np.ndarray:
    if image.dtype.kind not in "biuf" or not image.size:
        raise ImageError(f"Expected a non-empty image of numbers, got shape {image.shape} and type {image.dtype}.")
    return image


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _sample(image: np.ndarray) -> np.ndarray:
    values = image.ravel(order="K")
    if values.size > SAMPLE_SIZE:
        values = values[np.random.default_rng(0).integers(0, values.size, SAMPLE_SIZE)]
    return values.astype(np.float64)
