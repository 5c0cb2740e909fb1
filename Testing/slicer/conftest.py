"""A real MRML scene for each test, set up as Slicer's application does it, and the nodes that tests start from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

MODULE_FOLDER = Path(__file__).resolve().parents[2] / "InteractiveAdaptSeg"
DISC_RADIUS = 7.0


@pytest.fixture(scope="session", autouse=True)
def slicer_libraries() -> None:
    """Skip where Slicer's libraries or what they load are missing; make the module's package importable."""
    pytest.importorskip("vtk", reason="vtk cannot be loaded", exc_type=ImportError)
    pytest.importorskip("slicer", reason="slicer-core cannot be loaded", exc_type=ImportError)
    if str(MODULE_FOLDER) not in sys.path:
        sys.path.insert(0, str(MODULE_FOLDER))


@pytest.fixture
def a_scene(slicer_libraries: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty scene with the logics and default nodes that Slicer adds at its start."""
    import slicer

    application = SceneApplication(tmp_path)
    monkeypatch.setattr(slicer, "mrmlScene", application.scene, raising=False)
    monkeypatch.setattr(slicer, "app", application.app, raising=False)
    monkeypatch.setattr(slicer, "modules", application.modules, raising=False)
    yield application.scene
    application.close()


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
        colours = slicer.vtkMRMLColorLogic()
        colours.SetMRMLScene(self.scene)
        colours.AddDefaultColorNodes()
        self.logic.SetColorLogic(colours)
        self.logic.SetSliceLogics(vtk.vtkCollection())
        self.logic.SetViewLogics(vtk.vtkCollection())
        slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self.logic)
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory.GetInstance().SetMRMLApplicationLogic(self.logic)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene)
        self._connect_files(cache_folder)
        self.module_logics = {
            name: self._module_logic(name, class_name)
            for name, class_name in (
                ("Terminologies", "vtkSlicerTerminologiesModuleLogic"),
                ("SubjectHierarchy", "vtkSlicerSubjectHierarchyModuleLogic"),
                ("Volumes", "vtkSlicerVolumesLogic"),
                ("Transforms", "vtkSlicerTransformLogic"),
                ("Markups", "vtkSlicerMarkupsLogic"),
                ("Segmentations", "vtkSlicerSegmentationsModuleLogic"),
            )
        }
        self.app = SimpleNamespace(applicationLogic=lambda: self.logic, mrmlScene=lambda: self.scene)
        self.modules = SimpleNamespace(
            **{
                name.lower(): SimpleNamespace(logic=lambda logic=logic: logic)
                for name, logic in self.module_logics.items()
            }
        )

    def close(self) -> None:
        self.scene.Clear(True)
        for logic in (*self.module_logics.values(), self.remote_io, self.logic):
            logic.SetMRMLScene(None)

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
