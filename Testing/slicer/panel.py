"""The user in front of the panel, for tests of the module's logic."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from AdaptCore.models.base import Model

PATIENCE = 100.0
LoadModel = Callable[[str, "str | None"], Model]


class Panel:
    """Stands for the user in front of the panel: looks at slices, clicks on voxels, and reads messages."""

    def __init__(
        self,
        scene: Any,
        view: Any,
        model: Model,
        load_model: LoadModel | None = None,
        volume_model: Any = None,
    ) -> None:
        from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

        self.scene, self.view, self.model, self.volume_model = scene, view, model, volume_model
        self.messages: list[str] = []
        self.later: list[Callable[[], None]] = []
        self.logic = SegmentationLogic(
            scene,
            loadModel=load_model or (lambda name, device: model),
            loadVolumeModel=lambda device: volume_model,
            onMessage=self.messages.append,
            defer=self.later.append,
        )
        self.volume: Any = None
        self.segmentation: Any = None

    def choose(self, volume: Any, segmentation: Any, segment_id: str) -> None:
        self.volume, self.segmentation = volume, segmentation
        self.logic.setTarget(volume, segmentation, segment_id)

    def world(self, voxel: Any) -> np.ndarray:
        from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

        return worldPoint(ijkToWorld(self.volume), voxel)

    def look_at(self, voxel: Any) -> None:
        self.view.JumpSliceByCentering(*self.world(voxel))

    def click(self, voxel: Any, positive: bool = True) -> None:
        """Scroll to a voxel and click on it."""
        self.look_at(voxel)
        self.logic.addClick(self.view, self.world(voxel), positive)

    def place(self, voxel: Any, positive: bool = True) -> None:
        """Place a point with Slicer's own mouse mode instead."""
        self.look_at(voxel)
        crosshair = self.scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
        crosshair.SetCursorPositionXYZ([0.0, 0.0, 0.0], self.view)
        self.points(positive).AddControlPointWorld(*(float(value) for value in self.world(voxel)))
        self.catch_up()

    def catch_up(self) -> None:
        """Let the event loop run."""
        while self.later:
            self.later.pop(0)()

    def points(self, positive: bool = True) -> Any:
        return self.logic.promptNodes.pointNodes[0 if positive else 1]

    def count_points(self) -> tuple[int, int]:
        return tuple(node.GetNumberOfControlPoints() for node in self.logic.promptNodes.pointNodes)

    def segment(self, segment_id: str) -> np.ndarray:
        import slicer

        return slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentation, segment_id, self.volume).T > 0

    def wait(self) -> None:
        """Wait until nothing is under way any more."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if not self.logic.update(0.05):
                return
            time.sleep(0.002)
        raise AssertionError("the work in the background did not end")


def save_and_reload(panel: Panel, folder: Path, segment_id: str = "lesion") -> Panel:
    """Save the scene as MRB, close it, and load it in front of a new panel."""
    path = str(folder / "scene.mrb")
    assert panel.scene.WriteToMRB(path, None)
    panel.scene.Clear(False)
    assert panel.scene.ReadFromMRB(path, True, None)
    view = panel.scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    other = Panel(panel.scene, view, panel.model, volume_model=panel.volume_model)
    volume = panel.scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
    segmentation = panel.scene.GetFirstNodeByClass("vtkMRMLSegmentationNode")
    other.choose(volume, segmentation, segment_id)
    return other
