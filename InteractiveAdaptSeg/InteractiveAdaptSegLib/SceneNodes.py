"""Nodes that this module adds to the scene, taken out with what only they use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import slicer

from InteractiveAdaptSegLib.VolumeGeometry import requireLinearTransforms

if TYPE_CHECKING:
    from AdaptCore.io import Geometry, Volume

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def addVolume(scene: Any, name: str, volume: Volume) -> Any:
    """A volume that AdaptCore has read. It has no file: saving the scene cannot write to the image."""
    voxels = np.ascontiguousarray(np.moveaxis(volume.array, (0, 1, 2), (2, 1, 0)))
    kind = "vtkMRMLVectorVolumeNode" if voxels.ndim == 4 else "vtkMRMLScalarVolumeNode"
    node = scene.AddNewNodeByClass(kind, name)
    slicer.util.updateVolumeFromArray(node, voxels)
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(ijkToRas(volume.geometry)))
    node.CreateDefaultDisplayNodes()
    return node


def ijkToRas(geometry: Geometry) -> np.ndarray:
    """4 x 4 matrix from the voxels of an image to the patient, as Slicer has it."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = geometry.direction_matrix * geometry.spacing, geometry.origin
    return LPS_TO_RAS @ matrix


def addMarkups(scene: Any, className: str, name: str) -> Any:
    """Add a markups node; the mouse goes on to place points where it did, which Slicer would give to the new node."""
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if selection is None:
        return scene.AddNewNodeByClass(className, name)
    placed = selection.GetActivePlaceNodeClassName(), selection.GetActivePlaceNodeID()
    node = scene.AddNewNodeByClass(className, name)
    selection.SetReferenceActivePlaceNodeClassName(placed[0])
    selection.SetActivePlaceNodeID(placed[1])
    return node


def viewUnderCursor(scene: Any) -> Any:
    """The slice view that the mouse is in; None outside of all."""
    crosshair = scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    return crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0]) if crosshair else None


def addSegmentation(scene: Any, volumeNode: Any) -> Any:
    """A new segmentation with the volume's geometry and transform.

    Raises:
        SceneError: the volume is under a non-linear transform.
    """
    requireLinearTransforms(volumeNode)
    name = scene.GenerateUniqueName(f"{volumeNode.GetName()} segmentation")
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.CreateDefaultDisplayNodes()
    node.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
    node.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)
    return node


def removeNode(node: Any) -> None:
    """Remove a node with its display and storage nodes, which views go on to draw otherwise; nothing if it is gone."""
    scene = node.GetScene() if node is not None else None
    if scene is None:
        return
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    for part in (*displays, node.GetStorageNode(), node):
        if part is not None:
            scene.RemoveNode(part)
