"""Draws the panel and a slice view, as they are in the stand-in for Slicer's window, for README and tutorial.

`python Testing/screenshots.py FOLDER` writes one PNG for each thing that the user does with the phantom of the demo.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
MODULE = "InteractiveAdaptSeg"
PANEL_SIZE = (400, 710)
LAYOUT_ROUNDS = 5
"""Times that events are dealt with until layouts within layouts have settled."""
SEGMENT_COLOUR = (0.9, 0.6, 0.0)
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / MODULE)]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@contextmanager
def a_window(folder: Path) -> Iterator[Any]:
    """Slicer's environment around an empty scene, and none of the user's tasks."""
    import slicer

    from Testing.host.host import Host
    from Testing.slicer.scenes import SceneApplication

    application = SceneApplication(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ADAPTSEG_HOME", str(folder / "home"))
        for name in ("app", "modules"):
            patch.setattr(slicer, name, getattr(application, name), raising=False)
        patch.setattr(slicer, "mrmlScene", application.scene, raising=False)
        host = Host(application.scene, patch, folder)
        host.load(REPOSITORY / MODULE / f"{MODULE}.py")
        yield host
        host.close()
        application.close()


def add_phantom(scene: Any) -> tuple[Any, np.ndarray]:
    """The demo's volume in the scene, and the middle of its lesion in the world."""
    import slicer

    from AdaptCore.evaluate.phantom import make_phantom
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

    phantom = make_phantom()
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(phantom.volume.array.T))
    geometry = phantom.volume.geometry
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = geometry.direction_matrix * geometry.spacing, geometry.origin
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix))
    node.CreateDefaultDisplayNodes()
    return node, worldPoint(ijkToWorld(node), np.argwhere(phantom.truth).mean(axis=0).round())


def draw(folder: Path) -> None:
    """Go through a first segmentation and draw what the user sees at each step."""
    import slicer

    with tempfile.TemporaryDirectory() as temporary, a_window(Path(temporary)) as host:
        from Testing.host.slice_view import SliceView
        from Testing.host.user import hover, leave, press, type_text
        from Testing.slicer.scenes import add_slice_node

        volume, middle = add_phantom(slicer.mrmlScene)
        node = add_slice_node(slicer.mrmlScene)
        node.RotateToVolumePlane(volume)
        node.JumpSliceByCentering(*middle)
        view = SliceView(node, volume)
        panel = host.open(MODULE)
        save(folder / "1-fresh-panel.png", panel, view)
        press(panel.ui.newSegmentButton)
        panel.ui.segmentSelector.currentNode().GetSegmentation().GetNthSegment(0).SetColor(SEGMENT_COLOUR)
        type_text(panel.ui.taskSelector, "Lesion")
        type_text(panel.ui.userSelector, "Anna")
        press(panel.ui.positiveButton)
        view.click(middle)
        host.process_events()
        host.wait_until(lambda: not panel.session.isBusy)
        save(folder / "2-mask-and-candidates.png", panel, view)
        hover(panel.ui.candidateButton2)
        save(folder / "3-candidate-under-the-mouse.png", panel, view)
        leave(panel.ui.candidateButton2)
        press(panel.ui.candidateButton2)
        host.wait_until(lambda: not panel.session.isBusy)
        save(folder / "4-candidate-picked.png", panel, view)
        press(panel.ui.acceptButton)
        host.wait_until(lambda: not panel.session.isBusy)
        save(folder / "5-accepted.png", panel, view)
        press(panel.ui.propagateButton)
        host.wait_until(lambda: panel.session.progress[0] > 2)
        save(folder / "6-propagation-under-way.png", panel, view)
        host.wait_until(lambda: not panel.session.isBusy)
        view.close()


def save(path: Path, panel: Any, view: Any) -> None:
    """The panel and the slice view beside each other."""
    import qt
    import slicer

    panel.parent.resize(*PANEL_SIZE)
    for _ in range(LAYOUT_ROUNDS):
        slicer.app.processEvents()
    slicer_view = view.picture()
    height, width, _ = slicer_view.shape
    shown = qt.QImage(slicer_view.tobytes(), width, height, 3 * width, qt.QImage.Format_RGB888)
    picture = qt.QPixmap(PANEL_SIZE[0] + width, PANEL_SIZE[1])
    picture.fill(qt.QColor("black"))
    painter = qt.QPainter(picture)
    painter.drawPixmap(0, 0, panel.parent.grab())
    painter.drawImage(PANEL_SIZE[0], (PANEL_SIZE[1] - height) // 2, shown)
    painter.end()
    path.parent.mkdir(parents=True, exist_ok=True)
    assert picture.save(str(path)), path


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
