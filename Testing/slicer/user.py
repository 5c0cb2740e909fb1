"""The user in front of the panel, for tests of the module in the stand-in for Slicer's window."""

from __future__ import annotations

from typing import Any

import numpy as np

MODULE = "InteractiveAdaptSeg"


class User:
    """Stands for the user: opens the module, looks at slices, clicks in them and on buttons."""

    def __init__(self, host: Any, view: Any, volume: Any, unit: str = "slice") -> None:
        self.host, self.view, self.volume = host, view, volume
        self.widget = host.open(MODULE)
        self.press(unit)
        self.ui.learningSection.collapsed = False

    @property
    def panel(self) -> Any:
        return self.widget.panel

    @property
    def ui(self) -> Any:
        return self.panel.ui

    @property
    def status(self) -> str:
        return self.ui.statusLabel.text

    @property
    def message(self) -> str:
        return self.ui.messageLabel.text

    @property
    def segmentation(self) -> Any:
        return self.panel.choices.node.segmentation

    def press(self, *names: str) -> None:
        from Testing.host.user import press

        for name in names:
            press(getattr(self.ui, f"{name}Button"))

    def begin(self) -> None:
        """Make a segmentation with a segment, and get ready to click on the object."""
        self.press("newSegment", "positive")

    def click(self, voxel: Any) -> None:
        """Scroll to a voxel and click on it."""
        world = self.world(voxel)
        self.view.node.JumpSliceByCentering(*world)
        self.view.click(world)
        self.host.process_events()

    def draw(self, tool: str, *voxels: Any) -> None:
        """Take up a tool, scroll to the first voxel, and draw to the others."""
        if not getattr(self.ui, f"{tool}Button").checked:
            self.press(tool)
        worlds = [self.world(voxel) for voxel in voxels]
        self.view.node.JumpSliceByCentering(*worlds[0])
        self.view.drag(worlds)
        self.host.process_events()

    def world(self, voxel: Any) -> np.ndarray:
        from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

        return worldPoint(ijkToWorld(self.volume), voxel)

    def wait(self) -> None:
        """Wait until nothing is under way any more."""
        self.host.wait_until(lambda: not self.panel.session.isBusy)

    def enabled(self) -> set[str]:
        names = ("positive", "negative", "clear", "accept", "propagate", "undo", "redo", "cancel")
        return {name for name in names if getattr(self.ui, f"{name}Button").enabled}

    def segment(self, segmentID: str = "") -> np.ndarray:
        """Voxels of a segment, the first one if none is named, bool (i, j, k)."""
        import slicer

        segmentID = segmentID or self.segmentation.GetSegmentation().GetNthSegmentID(0)
        return slicer.util.arrayFromSegmentBinaryLabelmap(self.segmentation, segmentID, self.volume).T > 0
