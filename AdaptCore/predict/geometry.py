"""Planes of a volume: where a 2D plane lies in voxel space, how it is read and how its mask goes back.

Volumes are arrays in IJK order, `volume[i, j, k]` or `volume[i, j, k, channel]`. A plane's image is `image[y, x]`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates

from AdaptCore.errors import ImageError, PromptError


@dataclass(frozen=True, eq=False)
class PlaneGeometry:
    """A plane of `shape` (H, W) pixels in voxel space.

    Attributes:
        plane_to_ijk: 3 x 3 float64, read-only; maps homogeneous pixels (x, y, 1) to voxel coordinates (i, j, k).
            Its columns are the step of x, the step of y and the first pixel's centre.
        shape: (H, W) in pixels.
        of_object: whether prompts on it are about a whole object; such a plane is another one than without.

    Raises:
        ImageError: the matrix is not 3 x 3, not finite or spans no plane, or the shape is empty.
    """

    plane_to_ijk: np.ndarray
    shape: tuple[int, int]
    of_object: bool = False

    def __post_init__(self) -> None:
        matrix = np.array(self.plane_to_ijk, dtype=np.float64)
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise ImageError(f"Expected a finite 3 x 3 matrix plane_to_ijk, got shape {matrix.shape}.")
        x_step, y_step = matrix[:, 0], matrix[:, 1]
        if np.linalg.norm(np.cross(x_step, y_step)) <= 1e-9 * np.linalg.norm(x_step) * np.linalg.norm(y_step):
            raise ImageError(f"Expected plane steps in two directions, got {x_step.tolist()} and {y_step.tolist()}.")
        shape = tuple(int(side) for side in self.shape)
        if len(shape) != 2 or min(shape) < 1:
            raise ImageError(f"Expected a plane (H, W) of at least 1 pixel each, got {self.shape}.")
        matrix.flags.writeable = False
        object.__setattr__(self, "plane_to_ijk", matrix)
        object.__setattr__(self, "shape", shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlaneGeometry):
            return NotImplemented
        if (self.shape, self.of_object) != (other.shape, other.of_object):
            return False
        return np.array_equal(self.plane_to_ijk, other.plane_to_ijk)

    def __hash__(self) -> int:
        return hash((self.shape, self.of_object, tuple(self.plane_to_ijk.ravel().tolist())))

    @property
    def normal(self) -> np.ndarray:
        """Unit vector across the plane, in voxel space."""
        cross = np.cross(self.plane_to_ijk[:, 0], self.plane_to_ijk[:, 1])
        return cross / np.linalg.norm(cross)

    @property
    def axis(self) -> int | None:
        """The IJK axis across the plane if its pixels are voxels of one slice (flips and swaps count), else None."""
        steps, origin = self.plane_to_ijk[:, :2], self.plane_to_ijk[:, 2]
        unit_steps = np.isin(steps, (-1.0, 0.0, 1.0)).all() and (np.abs(steps).sum(axis=0) == 1).all()
        if not unit_steps or (origin != np.round(origin)).any():
            return None
        return int(np.abs(steps).sum(axis=1).argmin())

    @property
    def is_axis_aligned(self) -> bool:
        """Whether the plane's pixels are voxels of one slice."""
        return self.axis is not None

    def spacing(self, voxel_spacing: Sequence[float]) -> tuple[float, float]:
        """Millimetres from pixel to pixel along x and y, with those from voxel to voxel along i, j and k."""
        across, along = np.linalg.norm(self.plane_to_ijk[:, :2] * np.asarray(voxel_spacing)[:, None], axis=0)
        return float(across), float(along)

    def voxel(self, x: float, y: float) -> tuple[float, float, float]:
        """Voxel coordinates (i, j, k) of the pixel (x, y)."""
        i, j, k = self.plane_to_ijk @ (x, y, 1.0)
        return float(i), float(j), float(k)

    def pixel(self, voxel: Sequence[float]) -> tuple[float, float]:
        """Pixel (x, y) nearest to voxel coordinates (i, j, k), which may lie off the plane."""
        offset = np.asarray(voxel, dtype=np.float64) - self.plane_to_ijk[:, 2]
        x, y = np.linalg.lstsq(self.plane_to_ijk[:, :2], offset, rcond=None)[0]
        return float(x), float(y)

    def moved(self, offset: Sequence[float]) -> PlaneGeometry:
        """The parallel plane shifted by `offset` voxels (i, j, k)."""
        matrix = self.plane_to_ijk.copy()
        matrix[:, 2] += np.asarray(offset, dtype=np.float64)
        return PlaneGeometry(matrix, self.shape)


def check_volume(volume: np.ndarray) -> tuple[int, int, int]:
    """The volume's (i, j, k) shape.

    Raises:
        ImageError: it is not (i, j, k) or (i, j, k, 3), is empty, or holds no real numbers.
    """
    grey_or_colour = volume.ndim == 3 or (volume.ndim == 4 and volume.shape[3] == 3)
    if not grey_or_colour or not volume.size or volume.dtype.kind not in "biuf":
        raise ImageError(
            f"Expected a non-empty volume of numbers (i, j, k) or (i, j, k, 3), got shape {volume.shape} and type "
            f"{volume.dtype}."
        )
    size_i, size_j, size_k = volume.shape[:3]
    return size_i, size_j, size_k


def known_spacing(volume: np.ndarray, spacing: Sequence[float] | None) -> tuple[float, float, float] | None:
    """Millimetres along i, j and k of a checked volume, None where nobody knows them.

    Readers give a picture, which has colours or one slice only, a spacing of 1 x 1 mm.
    """
    if spacing is None or volume.ndim == 4 or (volume.shape[2] == 1 and tuple(spacing[:2]) == (1.0, 1.0)):
        return None
    i, j, k = (float(step) for step in spacing)
    return i, j, k


def thickest_axis(spacing: Sequence[float]) -> int:
    """The axis across the thickest slices, the third one where all are alike."""
    thickest = max(spacing)
    return 2 if spacing[2] >= 0.99 * thickest else list(spacing).index(thickest)


def axis_plane(volume_shape: Sequence[int], axis: int, index: int) -> PlaneGeometry:
    """The slice `index` across IJK axis 0, 1 or 2; x and y are the other two axes in increasing order.

    Raises:
        PromptError: there is no such axis or slice.
    """
    if axis not in (0, 1, 2):
        raise PromptError(f"Expected axis 0, 1 or 2, got {axis}.")
    if not 0 <= index < volume_shape[axis]:
        raise PromptError(
            f"Expected a plane from 0 to {volume_shape[axis] - 1} along axis {axis}, got {index}: outside the volume."
        )
    x_axis, y_axis = (other for other in range(3) if other != axis)
    matrix = np.zeros((3, 3))
    matrix[x_axis, 0] = matrix[y_axis, 1] = 1.0
    matrix[axis, 2] = index
    return PlaneGeometry(matrix, (int(volume_shape[y_axis]), int(volume_shape[x_axis])))


def oblique_plane(
    origin: Sequence[float], x_step: Sequence[float], y_step: Sequence[float], shape: tuple[int, int]
) -> PlaneGeometry:
    """The plane with its first pixel's centre at `origin` and the next ones `x_step` and `y_step` away, in voxels.

    Raises:
        ImageError: the steps span no plane, a number is not finite, or the shape (H, W) is empty.
    """
    return PlaneGeometry(np.column_stack((x_step, y_step, origin)).astype(np.float64), shape)


def extract(volume: np.ndarray, geometry: PlaneGeometry) -> np.ndarray:
    """The plane's image, (H, W) or (H, W, 3).

    A plane of voxels inside the volume is the exact slice, a read-only view of the stored type. Any other plane is
    resampled linearly to float32, NaN outside the volume.

    Raises:
        ImageError: the plane misses the volume.
    """
    exact = _exact_slice(volume, geometry)
    return _resample(volume, geometry) if exact is None else exact


def check_mask(mask: np.ndarray, geometry: PlaneGeometry) -> None:
    """Insist on a mask of the plane's shape.

    Raises:
        ImageError: it has another one.
    """
    if mask.shape != geometry.shape:
        raise ImageError(f"Expected a mask of the shape of its plane, {geometry.shape}, got {mask.shape}.")


def plane_voxels(
    volume_shape: Sequence[int], geometry: PlaneGeometry
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray, np.ndarray]:
    """The voxels a plane passes and the pixel nearest to each: ((i, j, k), rows, columns), integers of one length.

    Along the axis that the plane faces most, each column of voxels is met once, at the voxel nearest to the plane;
    so the voxels form one layer without holes and an axis-aligned plane gives exactly its slice (ours).
    """
    if _is_exact(volume_shape, geometry):
        rows, columns = np.indices(geometry.shape).reshape(2, -1)
        steps = geometry.plane_to_ijk.astype(np.intp)
        exact = [columns * across + rows * along + start for across, along, start in steps]
        return (exact[0], exact[1], exact[2]), rows, columns
    normal, origin = geometry.normal, geometry.plane_to_ijk[:, 2]
    facing = int(np.abs(normal).argmax())
    first, second = (axis for axis in range(3) if axis != facing)
    index = np.indices((volume_shape[first], volume_shape[second])).reshape(2, -1)
    offset = index - origin[[first, second], None]
    pixel_of_offset = np.linalg.inv(geometry.plane_to_ijk[[first, second], :2])
    columns, rows = _nearest(pixel_of_offset @ offset)
    depth = _depth(normal, origin, facing, index)
    height, width = geometry.shape
    met = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    met &= (depth >= 0) & (depth < volume_shape[facing])
    voxels = {first: index[0][met], second: index[1][met], facing: depth[met]}
    return (voxels[0], voxels[1], voxels[2]), rows[met], columns[met]


def plane_labels(labels: np.ndarray, geometry: PlaneGeometry) -> np.ndarray:
    """Where the voxel nearest to each pixel is labelled, bool (H, W); False outside of `labels` (i, j, k).

    Only the voxels that the plane passes (`plane_voxels`) are asked, so that a tilted plane which was written reads
    back without holes.
    """
    exact = _exact_slice(labels, geometry)
    if exact is not None:
        return exact > 0
    normal, origin = geometry.normal, geometry.plane_to_ijk[:, 2]
    facing = int(np.abs(normal).argmax())
    voxels = _nearest(_pixel_voxels(geometry))
    voxels[facing] = _depth(normal, origin, facing, np.delete(voxels, facing, axis=0))
    inside = ((voxels >= 0) & (voxels < np.array(labels.shape)[:, None])).all(axis=0)
    found = np.zeros(geometry.shape, bool)
    found.reshape(-1)[inside] = labels[tuple(voxels[:, inside])] > 0
    return found


def _depth(normal: np.ndarray, origin: np.ndarray, facing: int, index: np.ndarray) -> np.ndarray:
    """Along the axis `facing`, the voxel nearest to the plane in each column `index` (2 x N) of the other two axes."""
    first, second = (axis for axis in range(3) if axis != facing)
    offset = index - origin[[first, second], None]
    return _nearest(origin[facing] - (normal[[first, second]] @ offset) / normal[facing])


def _pixel_voxels(geometry: PlaneGeometry) -> np.ndarray:
    """Voxel coordinates of all pixels, row by row, 3 x (H * W)."""
    height, width = geometry.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return geometry.plane_to_ijk @ np.stack((columns.ravel(), rows.ravel(), np.ones(width * height)))


def _nearest(coordinates: np.ndarray) -> np.ndarray:
    return np.floor(coordinates + 0.5).astype(np.intp)


def _exact_slice(volume: np.ndarray, geometry: PlaneGeometry) -> np.ndarray | None:
    if not _is_exact(volume.shape[:3], geometry):
        return None
    axis, corners = geometry.axis, _corners(geometry)
    ranges: list[slice | int] = [0, 0, 0]
    for other in range(3):
        start, end = int(corners[other, 0]), int(corners[other, 1])
        ranges[other] = start if other == axis else _inclusive(start, end, int(geometry.plane_to_ijk[other, :2].sum()))
    view = volume[tuple(ranges)]
    x_axis, y_axis = (int(np.abs(geometry.plane_to_ijk[:, column]).argmax()) for column in (0, 1))
    view = view.swapaxes(0, 1) if x_axis < y_axis else view[:]
    view.flags.writeable = False
    return view


def _is_exact(volume_shape: Sequence[int], geometry: PlaneGeometry) -> bool:
    """Whether all pixels of a plane are voxels of a volume."""
    if not geometry.is_axis_aligned:
        return False
    corners = _corners(geometry)
    return bool((corners >= 0).all() and (corners < np.array(volume_shape)[:, None]).all())


def _corners(geometry: PlaneGeometry) -> np.ndarray:
    """Voxel coordinates of the first and the last pixel, 3 x 2."""
    height, width = geometry.shape
    return geometry.plane_to_ijk @ np.array([[0, width - 1], [0, height - 1], [1, 1]], dtype=np.float64)


def _inclusive(start: int, end: int, step: int) -> slice:
    stop = end + step
    return slice(start, None if stop < 0 else stop, step)


def _resample(volume: np.ndarray, geometry: PlaneGeometry) -> np.ndarray:
    height, width = geometry.shape
    voxels = _pixel_voxels(geometry)
    limits = np.array(volume.shape[:3])[:, None] - 0.5
    inside = ((voxels >= -0.5) & (voxels <= limits)).all(axis=0)
    if not inside.any():
        raise ImageError(
            f"plane at {geometry.plane_to_ijk[:, 2].tolist()} misses the volume of shape {volume.shape[:3]}"
        )
    channels = volume[..., None] if volume.ndim == 3 else volume
    if channels.dtype.kind == "f" and channels.dtype not in (np.float32, np.float64):
        channels = channels.astype(np.float32)  # the only other floats that map_coordinates takes
    image = np.full((height * width, channels.shape[3]), np.nan, dtype=np.float32)
    for channel in range(channels.shape[3]):
        image[inside, channel] = map_coordinates(
            channels[..., channel], voxels[:, inside], output=np.float32, order=1, mode="nearest"
        )
    return image.reshape(height, width, -1) if volume.ndim == 4 else image.reshape(height, width)
