"""A scene as Slicer's application sets it up, and the volume that the tests of the scene share."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

SHAPE = (40, 36, 12)
CENTRE = (22, 16, 6)
RADII = (9.0, 8.0, 4.2)
OTHER_CENTRE = (8, 28, 6)


def rotation(axis: int, degrees: float) -> np.ndarray:
    """3 x 3 rotation about an axis."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = (other for other in range(3) if other != axis)
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def matrix_of(linear: np.ndarray, translation: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> np.ndarray:
    """4 x 4 matrix of a 3 x 3 one and a translation."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, translation
    return matrix


def add_slice_node(scene: Any) -> Any:
    """An axial slice view named "Red"."""
    node = scene.CreateNodeByClass("vtkMRMLSliceNode")
    node.UnRegister(None)
    node.SetName("Red")
    node.SetLayoutName("Red")
    node = scene.AddNode(node)
    node.SetOrientation("Axial")
    return node


class SceneApplication:
    """What of qSlicerApplication a scene needs: application logic, colours, module logics, reading and writing."""

    def __init__(self, cache_folder: Path) -> None:
        import slicer
        import vtk

        self.scene = slicer.vtkMRMLScene()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetSingletonTag("default")
        self.scene.AddNode(crosshair)
        self.logic = slicer.vtkSlicerApplicationLogic()
        self.logic.SetMRMLScene(self.scene)
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self.logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self.logic)
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self.logic)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)
        self._connect_files(cache_folder)
        self.module_logics = {
            name: self._module_logic(name, class_name)
            for name, class_name in (
                ("Colors", "vtkMRMLColorLogic"),
                ("SubjectHierarchy", "vtkSlicerSubjectHierarchyModuleLogic"),
                ("Volumes", "vtkSlicerVolumesLogic"),
                ("Transforms", "vtkSlicerTransformLogic"),
                ("Markups", "vtkSlicerMarkupsLogic"),
                ("Segmentations", "vtkSlicerSegmentationsModuleLogic"),
                ("Plots", "vtkSlicerPlotsLogic"),
            )
        }
        self.module_logics["Colors"].AddDefaultColorNodes()
        self.logic.SetColorLogic(self.module_logics["Colors"])
        self.app = SimpleNamespace(applicationLogic=lambda: self.logic, mrmlScene=lambda: self.scene)
        self.modules = SimpleNamespace(
            **{
                name.lower(): SimpleNamespace(logic=lambda logic=logic: logic)
                for name, logic in self.module_logics.items()
            }
        )

    def close(self) -> None:
        self.scene.Clear(True)
        for logic in (self.remote_io, self.logic):
            logic.SetMRMLScene(None)
        # A scene closes once more when it is destroyed: a garbage collection, in any later test, which may have emptied
        # by then what still observes it.
        self.scene.RemoveAllObservers()

    def _connect_files(self, cache_folder: Path) -> None:
        import slicer

        self.remote_io = slicer.vtkMRMLRemoteIOLogic()
        self.remote_io.SetMRMLScene(self.scene)
        self.remote_io.GetCacheManager().SetRemoteCacheDirectory(str(cache_folder))
        self.remote_io.AddDataIOToScene()
        self.data_io = slicer.vtkDataIOManagerLogic()
        self.data_io.SetMRMLApplicationLogic(self.logic)
        self.data_io.SetAndObserveDataIOManager(self.remote_io.GetDataIOManager())
        self.logic.SetMRMLSceneDataIO(self.scene, self.remote_io, self.data_io)

    def _module_logic(self, name: str, class_name: str) -> Any:
        import slicer

        logic = getattr(slicer, class_name)()
        logic.SetMRMLApplicationLogic(self.logic)
        logic.SetMRMLScene(self.scene)
        self.logic.SetModuleLogic(name, logic)
        return logic
