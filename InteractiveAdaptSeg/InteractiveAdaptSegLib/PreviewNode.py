"""Shows a mask that is not accepted yet: a segmentation of its own that is never saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
from vtk.util.numpy_support import numpy_to_vtk

from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry

FILL, OUTLINE = 0.3, 3
"""Opacity inside, and pixels of the line around it: an accepted mask is filled, and has a thin line."""
SEGMENT_ID = "preview"
UNNEEDED = ("Smoothing factor", "Compute surface normals")
"""Steps of the conversion to a surface that take most of its time and show nothing on a flat mask."""


class PreviewNode:
    """One mask in the slice and 3D views; its node comes with the first mask and goes with `remove`."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self.node: Any = None

    def show(self, image: Any, color: tuple[float, float, float]) -> None:
        """Show a mask in place of the one before.

        Args:
            image: of `planeImage` or `blockImage`.
            color: of the segment that it may be written into.
        """
        if self.node is None or self.node.GetScene() is None:
            self.node = self._create()
        segment = self.node.GetSegmentation().GetSegment(SEGMENT_ID)
        segment.SetColor(color)
        segment.AddRepresentation(_labelmap(), image)
        self.node.GetSegmentation().CreateRepresentation(_surface(), True)
        self.node.Modified()
        self.node.GetDisplayNode().SetVisibility(True)

    def hide(self) -> None:
        if self.node is not None and self.node.GetDisplayNode() is not None:
            self.node.GetDisplayNode().SetVisibility(False)

    def remove(self) -> None:
        if self.node is not None and self.node.GetScene() is not None:
            self._scene.RemoveNode(self.node)
        self.node = None

    def forget(self) -> None:
        """Let go of the node without touching the scene, which is being closed."""
        self.node = None

    def _create(self) -> Any:
        node = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Preview")
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
        node.CreateDefaultDisplayNodes()
        segment = slicer.vtkSegment()
        segment.SetName("Preview")
        segmentation = node.GetSegmentation()
        segmentation.SetSourceRepresentationName(_labelmap())
        for parameter in UNNEEDED:
            segmentation.SetConversionParameter(parameter, "0")
        segmentation.AddSegment(segment, SEGMENT_ID)
        display = node.GetDisplayNode()
        display.SetSaveWithScene(False)
        display.SetOpacity2DFill(FILL)
        display.SetSliceIntersectionThickness(OUTLINE)
        display.SetPreferredDisplayRepresentationName2D(_labelmap())
        display.SetPreferredDisplayRepresentationName3D(_surface())
        return node


def planeImage(volumeNode: Any, geometry: PlaneGeometry, mask: np.ndarray) -> Any:
    """A plane's mask (H, W) as an image of one slice in world coordinates."""
    toWorld = ijkToWorld(volumeNode)
    matrix = np.eye(4)
    matrix[:3, :2] = toWorld[:3, :3] @ geometry.plane_to_ijk[:, :2]
    matrix[:3, 3] = toWorld[:3, :3] @ geometry.plane_to_ijk[:, 2] + toWorld[:3, 3]
    normal = np.cross(matrix[:3, 0], matrix[:3, 1])
    matrix[:3, 2] = normal / np.linalg.norm(normal) * _thickness(toWorld, geometry)
    return _image(mask.T[..., None], (0, 0, 0), matrix)


def blockImage(volumeNode: Any, block: VoxelBlock) -> Any:
    """A mask over a part of a volume's voxels as an image in world coordinates."""
    return _image(block.mask, block.origin, ijkToWorld(volumeNode))


def _image(mask: np.ndarray, origin: Sequence[int], toWorld: np.ndarray) -> Any:
    """A mask, bool (a, b, c), whose first voxel is `origin` of a 4 x 4 matrix to world, as an image."""
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*(value for first, size in zip(origin, mask.shape) for value in (first, first + size - 1)))
    image.SetGeometryFromImageToWorldMatrix(slicer.util.vtkMatrixFromArray(toWorld))
    scalars = numpy_to_vtk(mask.ravel(order="F").astype(np.uint8), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def _thickness(toWorld: np.ndarray, geometry: PlaneGeometry) -> float:
    """Distance in mm between slices of the volume along the plane's facing axis."""
    facing = int(np.abs(geometry.normal).argmax())
    return float(np.linalg.norm(toWorld[:3, facing]))


def _labelmap() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _surface() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
