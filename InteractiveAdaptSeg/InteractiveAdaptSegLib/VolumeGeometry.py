"""Volumes of the scene as arrays, and slice views as planes of them.

Voxel arrays are in IJK order, as in AdaptCore; world means RAS after all parent transforms, in mm.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from InteractiveAdaptSegLib.Errors import SceneError

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.intensity import Window

EXACT_SLICE_DRIFT = 0.5
"""A view whose plane stays within this many voxels of one slice, from edge to edge, shows that slice (ours)."""

DECIMALS = 6
"""Oblique planes are rounded to this many decimals of a voxel, so that a view that returns meets the same plane."""


def voxelArray(volumeNode: Any) -> np.ndarray:
    """The voxels as stored, (i, j, k) or (i, j, k, 3): a read-only view, nothing is copied.

    Raises:
        SceneError: the node holds no image, or one of 2 or more than 4 components.
    """
    image = volumeNode.GetImageData()
    if image is None or not image.GetNumberOfPoints():
        raise SceneError(f"Volume '{volumeNode.GetName()}' holds no image: choose a volume with voxels.")
    array = slicer.util.arrayFromVolume(volumeNode)
    voxels = array.transpose(2, 1, 0, *range(3, array.ndim))
    if voxels.ndim == 4:
        voxels = _greyOrColour(voxels, volumeNode.GetName())
    voxels = voxels[:]
    voxels.flags.writeable = False
    return voxels


def voxelTime(volumeNode: Any) -> int:
    """A number that changes when the voxels are changed in place, as scripts do; 0 without an image."""
    image = volumeNode.GetImageData()
    scalars = image.GetPointData().GetScalars() if image else None
    return scalars.GetMTime() if scalars else 0


def _greyOrColour(voxels: np.ndarray, name: str) -> np.ndarray:
    components = voxels.shape[3]
    if components == 1:
        return voxels[..., 0]
    if components in (3, 4):
        return voxels[..., :3]
    raise SceneError(f"Volume '{name}' has {components} components: choose one with 1 (grey) or 3 (colour).")


def ijkToWorld(volumeNode: Any) -> np.ndarray:
    """4 x 4 matrix from voxel coordinates to world.

    Raises:
        SceneError: the volume is under a non-linear transform.
    """
    matrix = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    return toWorldMatrix(volumeNode) @ slicer.util.arrayFromVTKMatrix(matrix)


def toWorldMatrix(node: Any) -> np.ndarray:
    """4 x 4 matrix of a node's parent transforms.

    Raises:
        SceneError: one of them is not linear.
    """
    transform = node.GetParentTransformNode()
    if transform is None:
        return np.eye(4)
    if not transform.IsTransformToWorldLinear():
        raise SceneError(
            f"'{node.GetName()}' is under the non-linear transform '{transform.GetName()}': "
            "harden the transform, or take the node out of it"
        )
    matrix = vtk.vtkMatrix4x4()
    transform.GetMatrixTransformToWorld(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def placement(volumeNode: Any, node: Any) -> np.ndarray | None:
    """4 x 4 matrix from voxel coordinates to a node's own; None under a non-linear transform."""
    try:
        return np.linalg.inv(toWorldMatrix(node)) @ ijkToWorld(volumeNode)
    except SceneError:
        return None


def requireLinearTransforms(*nodes: Any) -> None:
    """Refuse nodes that cannot be worked on where they are, before anything is changed.

    Raises:
        SceneError: one of them is under a non-linear transform.
    """
    for node in nodes:
        toWorldMatrix(node)


def displayWindow(volumeNode: Any) -> Window | None:
    """The window and level that the user has set for the volume's display; None where Slicer chose them by itself."""
    from AdaptCore.predict.intensity import Window

    display = volumeNode.GetScalarVolumeDisplayNode()
    if display is None or display.GetAutoWindowLevel() or display.GetWindow() <= 0:
        return None
    return Window.from_level(display.GetLevel(), display.GetWindow())


def worldPoint(matrix: np.ndarray, point: Any) -> np.ndarray:
    """A point (3) moved by a 4 x 4 matrix."""
    return (matrix @ (*point, 1.0))[:3]


def slicePlane(sliceNode: Any, volumeNode: Any) -> PlaneGeometry:
    """The plane of the volume that a slice view shows.

    A view along the volume's own axes gives the exact slice. Any other view gives the part of its plane that lies in
    the volume, with square pixels of the volume's smallest spacing, x to the view's right and y downwards.

    Raises:
        SceneError: the view does not pass through the volume, or the volume is under a non-linear transform.
    """
    from AdaptCore.predict.geometry import axis_plane

    view = slicer.util.arrayFromVTKMatrix(sliceNode.GetSliceToRAS())
    toWorld = ijkToWorld(volumeNode)
    shape = np.array(volumeNode.GetImageData().GetDimensions())
    axis, index = _nearestSlice(view, toWorld, shape)
    if axis is None:
        return _obliquePlane(view, toWorld, shape, sliceNode, volumeNode)
    if not 0 <= index < shape[axis]:
        raise _missed(sliceNode, volumeNode)
    return axis_plane(tuple(int(size) for size in shape), axis, index)


def sliceIndex(geometry: PlaneGeometry) -> int:
    """The index of a slice along one of the volume's axes."""
    assert geometry.axis is not None
    return int(geometry.plane_to_ijk[geometry.axis, 2])


def _nearestSlice(view: np.ndarray, toWorld: np.ndarray, shape: np.ndarray) -> tuple[int | None, int]:
    """Axis and index of the slice that the view's plane coincides with; (None, 0) if it is oblique to all axes."""
    normal = toWorld[:3, :3].T @ view[:3, 2]
    distance = view[:3, 2] @ (view[:3, 3] - toWorld[:3, 3])
    axis = int(np.abs(normal).argmax())
    others = [other for other in range(3) if other != axis]
    drift = np.abs(normal[others]) @ (shape[others] - 1) / abs(normal[axis])
    if drift >= EXACT_SLICE_DRIFT:
        return None, 0
    depth = (distance - normal[others] @ ((shape[others] - 1) / 2)) / normal[axis]
    return axis, int(np.floor(depth + 0.5))


def _obliquePlane(
    view: np.ndarray, toWorld: np.ndarray, shape: np.ndarray, sliceNode: Any, volumeNode: Any
) -> PlaneGeometry:
    from AdaptCore.predict.geometry import oblique_plane

    right, down = view[:3, 0] / np.linalg.norm(view[:3, 0]), -view[:3, 1] / np.linalg.norm(view[:3, 1])
    outline = _crossSection(view, toWorld, shape)
    if len(outline) < 3:
        raise _missed(sliceNode, volumeNode)
    step = np.linalg.norm(toWorld[:3, :3], axis=0).min()
    inPlane = (outline - view[:3, 3]) @ np.column_stack((right, down))
    low, size = inPlane.min(axis=0), np.ptp(inPlane, axis=0)
    width, height = (max(1, int(np.ceil(side / step - 1e-6))) for side in size)
    centre = view[:3, 3] + right * (low[0] + step / 2) + down * (low[1] + step / 2)
    toVoxels = np.linalg.inv(toWorld)
    steps = toVoxels[:3, :3] @ np.column_stack((right, down)) * step
    origin, xStep, yStep = np.vstack((worldPoint(toVoxels, centre), steps.T)).round(DECIMALS).tolist()
    return oblique_plane(origin, xStep, yStep, (height, width))


def _crossSection(view: np.ndarray, toWorld: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Where the view's plane cuts the edges of the volume's box, N x 3 in world."""
    corners = [
        worldPoint(toWorld, np.where([bit >> axis & 1 for axis in range(3)], shape - 0.5, -0.5)) for bit in range(8)
    ]
    heights = [float((corner - view[:3, 3]) @ view[:3, 2]) for corner in corners]
    cuts = []
    for first, second in combinations(range(8), 2):
        isEdge = (first ^ second) in (1, 2, 4)
        if isEdge and heights[first] * heights[second] <= 0 and heights[first] != heights[second]:
            share = heights[first] / (heights[first] - heights[second])
            cuts.append(corners[first] + share * (corners[second] - corners[first]))
    return np.array(cuts).reshape(-1, 3)


def _missed(sliceNode: Any, volumeNode: Any) -> SceneError:
    return SceneError(
        f"slice view '{sliceNode.GetName()}' does not pass through volume '{volumeNode.GetName()}': "
        "scroll to a slice of the volume"
    )
