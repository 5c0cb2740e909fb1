"""Draws the panel and a slice view, as they are in the stand-in for Slicer's window, for README and tutorial.

`python Testing/screenshots.py FOLDER [--dark]` writes one PNG of Slicer's window for each thing that the user does with
the phantom of the demo.
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
WINDOW = (1280, 800)
"""Pixels of Slicer's window on a small screen."""
PANEL_WIDTH, PANEL_TOP, PANEL_HEIGHT = 400, 112, 650
VIEWS_TOP = 62
FRAME = {
    "File    Edit    View    Help": 18,
    "Modules:  Interactive AdaptSeg": 46,
    "3D Slicer": 78,
    "\u25b8  Help & Acknowledgement": 102,
    "\u25b8  Data Probe": 786,
}
"""What Slicer's window shows around panel and views, with the base line of each text."""
LAYOUT_ROUNDS = 5
"""Times that events are dealt with until layouts within layouts have settled."""
SEGMENT_COLOUR = (0.9, 0.6, 0.0)
LEARNT_IMAGES = 10
GOOD_IOU, MOST_CLICKS = 0.85, 8
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


def add_phantom(scene: Any, seed: int = 0) -> tuple[Any, np.ndarray]:
    """A phantom of the demo in the scene, and its lesion, bool (i, j, k)."""
    import slicer

    from AdaptCore.evaluate.phantom import make_phantom

    phantom = make_phantom(seed)
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", f"Phantom {seed + 1}")
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(phantom.volume.array.T))
    geometry = phantom.volume.geometry
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = geometry.direction_matrix * geometry.spacing, geometry.origin
    node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix))
    node.CreateDefaultDisplayNodes()
    return node, phantom.truth


class Desk:
    """The user at the panel, with a phantom in a slice view."""

    def __init__(self, host: Any) -> None:
        import slicer

        from Testing.host.slice_view import SliceView
        from Testing.slicer.scenes import add_slice_node

        self.host = host
        self.volume, self.truth = add_phantom(slicer.mrmlScene)
        self.node = add_slice_node(slicer.mrmlScene)
        self.go_to_lesion()
        self.view = SliceView(self.node, self.volume)
        self.widget = host.open(MODULE)
        self.panel = self.widget.panel

    @property
    def session(self) -> Any:
        return self.panel.session

    @property
    def middle(self) -> np.ndarray:
        """The middle voxel (i, j, k) of the lesion."""
        return np.argwhere(self.truth).mean(axis=0).round().astype(int)

    def world(self, voxel: Any) -> np.ndarray:
        from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

        return worldPoint(ijkToWorld(self.volume), voxel)

    def go_to_lesion(self) -> None:
        self.node.RotateToVolumePlane(self.volume)
        self.node.JumpSliceByCentering(*self.world(self.middle))

    def look_at(self, seed: int) -> None:
        """Go on with another phantom."""
        import slicer

        self.volume, self.truth = add_phantom(slicer.mrmlScene, seed)
        self.go_to_lesion()
        self.view.show(self.volume)
        self.panel.choices.node.segmentation = None
        self.panel.choices.node.inputVolume = self.volume

    def press(self, *names: str) -> None:
        from Testing.host.user import press

        for name in names:
            press(getattr(self.panel.ui, name))
            self.wait()

    def view_along(self, orientation: str) -> np.ndarray:
        """The slice view through the lesion in an orientation, (h, w, 3)."""
        self.node.SetOrientation(orientation)
        self.go_to_lesion()
        self.host.process_events()
        return np.asarray(self.view.picture())

    def take_up(self, tool: str) -> None:
        """Press a tool's button unless it is down."""
        if not getattr(self.panel.ui, tool).checked:
            self.press(tool)

    def click(self, voxel: Any) -> None:
        self.view.click(self.world(voxel))
        self.host.process_events()
        self.wait()

    def wait(self) -> None:
        self.host.wait_until(lambda: not self.session.isBusy)

    def work_on(self, unit: str) -> None:
        """Let prompts be about the object or about the slice they are given on."""
        self.press(f"{unit}Button")

    def add_segment(self) -> None:
        self.press("newSegmentButton")
        self.panel.ui.segmentSelector.currentNode().GetSegmentation().GetNthSegment(0).SetColor(SEGMENT_COLOUR)

    def begin(self, unit: str = "slice") -> None:
        """Make a segment, say who works on what, and click on the lesion."""
        from Testing.host.user import type_text

        self.work_on(unit)
        self.add_segment()
        self.panel.ui.learningSection.collapsed = False
        type_text(self.panel.ui.taskSelector, "Lesion")
        type_text(self.panel.ui.userSelector, "Anna")
        self.panel.ui.learningSection.collapsed = True
        self.take_up("positiveButton")
        self.click(self.middle)

    def correct(self, rng: np.random.Generator) -> None:
        """Click on the worst place of the slice until its mask is good, and accept it."""
        from AdaptCore.evaluate.metrics import iou
        from AdaptCore.evaluate.users import next_click

        truth = self.truth[..., self.middle[2]].T
        for _ in range(MOST_CLICKS - 1):
            if iou(truth, self.session.mask) >= GOOD_IOU:
                break
            click = next_click(truth, self.session.mask, rng)
            self.take_up("positiveButton" if click.positive else "negativeButton")
            self.click((click.x, click.y, self.middle[2]))
        self.press("acceptButton")

    def picture(self, *beside: np.ndarray) -> Any:
        """Slicer's window with the panel, and beside it pictures (h, w, 3) from 0 to 255, or else the slice view.

        What of the panel is below the window's lower end is left out, as in Slicer, where it can be scrolled.
        """
        import qt
        import slicer

        panel = self.widget.parent
        panel.resize(PANEL_WIDTH, max(PANEL_HEIGHT, panel.minimumSizeHint.height()))
        for _ in range(LAYOUT_ROUNDS):
            slicer.app.processEvents()
        palette = panel.palette
        picture = qt.QPixmap(*WINDOW)
        picture.fill(palette.color(qt.QPalette.Window))
        painter = qt.QPainter(picture)
        painter.setPen(palette.color(qt.QPalette.WindowText))
        for text, line in FRAME.items():
            painter.drawText(12, line, text)
        painter.drawPixmap(0, PANEL_TOP, panel.grab(), 0, 0, PANEL_WIDTH, PANEL_HEIGHT)
        views = qt.QRect(PANEL_WIDTH, VIEWS_TOP, WINDOW[0] - PANEL_WIDTH, WINDOW[1] - VIEWS_TOP)
        painter.fillRect(views, qt.QColor("white" if beside else "black"))
        _draw_below_each_other(painter, views, beside or (self.view.picture(),))
        painter.end()
        return picture


def _draw_below_each_other(painter: Any, place: Any, pictures: tuple[np.ndarray, ...]) -> None:
    """Draw pictures (h, w, 3) as large as a place can show them all."""
    import qt

    painter.setRenderHint(qt.QPainter.SmoothPixmapTransform)
    height, width = sum(each.shape[0] for each in pictures), max(each.shape[1] for each in pictures)
    scale = min(place.height() / height, place.width() / width)
    top = place.top() + (place.height() - scale * height) / 2
    for each in pictures:
        rows, columns, _ = each.shape
        image = qt.QImage(np.ascontiguousarray(each).tobytes(), columns, rows, 3 * columns, qt.QImage.Format_RGB888)
        left = place.left() + (place.width() - scale * columns) / 2
        painter.drawImage(qt.QRectF(left, top, scale * columns, scale * rows), image)
        top += scale * rows


@contextmanager
def a_desk() -> Iterator[Desk]:
    """A panel in an empty scene with a phantom, and a user who has no tasks and profiles yet."""
    with tempfile.TemporaryDirectory() as temporary, a_window(Path(temporary)) as host:
        desk = Desk(host)
        yield desk
        host.leave()
        desk.view.close()


def first_segmentation() -> Iterator[tuple[str, Any]]:
    """What the user sees at each step of a first segmentation."""
    from Testing.host.user import hover, leave, press

    with a_desk() as desk:
        ui = desk.panel.ui
        yield "1-fresh-panel", desk.picture()
        desk.begin()
        yield "2-mask-and-candidates", desk.picture()
        hover(ui.candidateButton2)
        yield "3-candidate-under-the-mouse", desk.picture()
        leave(ui.candidateButton2)
        desk.press("candidateButton2")
        yield "4-candidate-picked", desk.picture()
        desk.press("acceptButton")
        yield "5-accepted", desk.picture()
        press(ui.propagateButton)
        desk.host.wait_until(lambda: desk.session.progress[0] > 2)
        yield "6-propagation-under-way", desk.picture()
        desk.wait()
        desk.press("unsureButton")
        yield "7-least-sure-slice", desk.picture()


def whole_object() -> Iterator[tuple[str, Any]]:
    """One click, one object, seen from three sides."""
    with a_desk() as desk:
        desk.begin("object")
        yield "11-whole-object", desk.picture(*map(desk.view_along, ("Axial", "Coronal", "Sagittal")))


def learning() -> Iterator[tuple[str, Any]]:
    """What a task has learnt from ten phantoms."""
    import slicer

    from Testing.host.plot_view import picture_of

    rng = np.random.default_rng(0)
    with a_desk() as desk:
        desk.begin()
        desk.correct(rng)
        for seed in range(1, LEARNT_IMAGES):
            desk.look_at(seed)
            desk.add_segment()
            desk.take_up("positiveButton")
            desk.click(desk.middle)
            desk.correct(rng)
        desk.panel.ui.learningSection.collapsed = False
        desk.press("learningButton")
        charts = slicer.util.getNodesByClass("vtkMRMLPlotChartNode")
        yield "8-learning-curve", desk.picture(*map(picture_of, charts))


def refusal() -> Iterator[tuple[str, Any]]:
    """A click beside the volume."""
    with a_desk() as desk:
        desk.begin()
        desk.click((-4, *desk.middle[1:]))
        yield "9-error", desk.picture()


def dark_palette() -> Any:
    """Light on dark, as in Slicer's dark style."""
    from PySide6.QtGui import QColor, QPalette

    palette, roles = QPalette(), QPalette.ColorRole
    for role in (roles.WindowText, roles.Text, roles.ButtonText, roles.ToolTipText):
        palette.setColor(role, QColor(230, 230, 230))
        palette.setColor(QPalette.ColorGroup.Disabled, role, QColor(120, 120, 120))
    for role in (roles.Window, roles.Button):
        palette.setColor(role, QColor(50, 50, 50))
    for role in (roles.Base, roles.AlternateBase, roles.ToolTipBase):
        palette.setColor(role, QColor(35, 35, 35))
    palette.setColor(roles.Highlight, QColor(60, 110, 170))
    return palette


def draw(folder: Path, is_dark: bool) -> None:
    """Write all pictures."""
    from PySide6.QtWidgets import QApplication

    from Testing.host.application import qSlicerApplication

    folder.mkdir(parents=True, exist_ok=True)
    if is_dark:
        (QApplication.instance() or qSlicerApplication(["Slicer"])).setPalette(dark_palette())
    for pictures in (first_segmentation, whole_object, learning, refusal):
        for name, picture in pictures():
            assert picture.save(str(folder / f"{name}.png")), name


if __name__ == "__main__":
    draw(Path(sys.argv[1]), is_dark="--dark" in sys.argv[2:])
