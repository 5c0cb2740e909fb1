"""Drawing in slice views: what lies between press and release of the left mouse button becomes a prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import slicer
import vtk

from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.PlaceMode import interactionNode
from InteractiveAdaptSegLib.PromptNodes import NEGATIVE_COLOR, POSITIVE_COLOR
from InteractiveAdaptSegLib.VolumeGeometry import worldPoint

if TYPE_CHECKING:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

PRIORITY = 1.0
"""Heard before Slicer's own mouse, as the effects of the Segment Editor are."""

CLICK_REACH = 3.0
"""A mouse that stays within this many pixels of the view has clicked and not drawn."""

SAME_SLICE = 0.01
"""A stroke that lies within this share of a slice's thickness lies on the slice."""

LINE_WIDTH = 2.0


class Tool(Enum):
    """What is drawn; the value is the name of its button and key."""

    BOX = "box"
    LASSO = "lasso"
    SCRIBBLE_POSITIVE = "scribblePositive"
    SCRIBBLE_NEGATIVE = "scribbleNegative"


def givePrompt(logic: SegmentationLogic, tool: Tool, sliceNode: Any, worldPoints: list[list[float]]) -> None:
    """Ask with what was drawn.

    Raises:
        AdaptSegError: see `SegmentationLogic`.
    """
    if tool is Tool.BOX:
        logic.addBox(sliceNode, *worldPoints)
    elif tool is Tool.LASSO:
        logic.addLasso(sliceNode, worldPoints)
    else:
        logic.addScribble(sliceNode, worldPoints, positive=tool is Tool.SCRIBBLE_POSITIVE)


class View(Protocol):
    """A slice view, whichever window or page it is in."""

    @property
    def sliceNode(self) -> Any: ...

    @property
    def interactor(self) -> Any: ...

    def render(self) -> None:
        """Draw it anew, soon."""

    def setDrawing(self, isDrawing: bool) -> None:
        """Show by the mouse's cursor whether it draws."""


class Views(Protocol):
    """The slice views that there are."""

    def all(self) -> Iterable[View]: ...

    def watch(self, onChanged: Callable[[], None]) -> None:
        """Call a function whenever there are other views, until `unwatch`."""

    def unwatch(self, onChanged: Callable[[], None]) -> None: ...


class DrawMode:
    """Gives the left mouse button of all slice views to a tool, until `stop`.

    Other buttons, the wheel, and the left button with Ctrl, Shift or Alt stay with Slicer. Another mouse mode of
    Slicer, such as placing points, ends the drawing, and so does the Escape key.

    Args:
        scene: its mouse mode is followed.
        views: where is drawn.
        onDrawn: called with tool, slice node and world points: the corners of a box, else the points of the line.
        onMessage: called with what the user should do instead.
        onChanged: called when a tool is taken up or put down.
    """

    def __init__(
        self,
        scene: Any,
        views: Views,
        onDrawn: Callable[[Tool, Any, list[list[float]]], None],
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._views = views
        self._onDrawn = onDrawn
        self._onMessage = onMessage
        self._onChanged = onChanged
        self._tool: Tool | None = None
        self._stroke: _Stroke | None = None
        self._observed: dict[Any, View] = {}
        self._observations = Observations()

    @property
    def tool(self) -> Tool | None:
        """What the mouse draws now; None for nothing."""
        return self._tool

    def start(self, tool: Tool) -> None:
        """Take up a tool, in place of any other and of Slicer's own mouse modes."""
        self._putDown()
        mouse = interactionNode(self._scene)
        mouse.SetCurrentInteractionMode(mouse.ViewTransform)
        self._tool = tool
        self._observations.add(mouse, mouse.InteractionModeChangedEvent, self._onMouseMode)
        self._views.watch(self._observeViews)
        self._observeViews()
        self._onChanged()

    def stop(self) -> None:
        """Give the mouse back to the views; what is being drawn is dropped."""
        if self._tool is not None:
            self._putDown()
            self._onChanged()

    def _putDown(self) -> None:
        self._dropStroke()
        self._observations.clear()
        for view in self._observed.values():
            view.setDrawing(False)
        self._observed.clear()
        self._tool = None
        self._views.unwatch(self._observeViews)

    def _observeViews(self) -> None:
        """Hear the mouse in all slice views that there are, those of a new layout too."""
        for view in self._views.all():
            view.setDrawing(True)
            self._observed[view.interactor] = view
            for event, method in (
                ("LeftButtonPressEvent", self._onPress),
                ("LeftButtonDoubleClickEvent", self._onPress),
                ("MouseMoveEvent", self._onMove),
                ("LeftButtonReleaseEvent", self._onRelease),
                ("KeyPressEvent", self._onKey),
            ):
                self._observations.add(view.interactor, event, method, PRIORITY)

    def _onPress(self, interactor: Any, event: str) -> None:
        if interactor.GetControlKey() or interactor.GetShiftKey() or interactor.GetAltKey():
            return
        self._dropStroke()
        assert self._tool
        self._stroke = _Stroke(self._tool, self._observed[interactor])
        self._stroke.goTo(*interactor.GetEventPosition())
        self._observations.abort(interactor, event)

    def _onMove(self, interactor: Any, event: str) -> None:
        if self._stroke is not None:
            self._stroke.goTo(*interactor.GetEventPosition())
            self._observations.abort(interactor, event)

    def _onRelease(self, interactor: Any, event: str) -> None:
        if self._stroke is None:
            return
        self._observations.abort(interactor, event)
        stroke = self._stroke
        stroke.goTo(*interactor.GetEventPosition())
        self._dropStroke()
        if not stroke.isOnSlice:
            self._onMessage("The view went to another slice while you were drawing: draw again.")
        elif stroke.isClick:
            self._onMessage("A click draws nothing: hold the left mouse button down, draw, and let go.")
        else:
            self._onDrawn(stroke.tool, stroke.sliceNode, stroke.worldPoints)

    def _onKey(self, interactor: Any, event: str) -> None:
        if interactor.GetKeySym() == "Escape":
            self._observations.abort(interactor, event)
            self.stop()

    def _onMouseMode(self, mouse: Any, event: str) -> None:
        if mouse.GetCurrentInteractionMode() != mouse.ViewTransform:
            self.stop()

    def _dropStroke(self) -> None:
        if self._stroke is not None:
            self._stroke.hide()
            self._stroke = None


class _Stroke:
    """What is being drawn in a view, and its line there. It stays on its voxels when the view is moved or zoomed."""

    def __init__(self, tool: Tool, view: View) -> None:
        self.tool, self.sliceNode, self._view = tool, view.sliceNode, view
        self._path: list[np.ndarray] = []
        self._line = vtk.vtkPolyData()
        self._actor = vtk.vtkActor2D()
        mapper = vtk.vtkPolyDataMapper2D()
        mapper.SetInputData(self._line)
        self._actor.SetMapper(mapper)
        self._actor.GetProperty().SetColor(NEGATIVE_COLOR if tool is Tool.SCRIBBLE_NEGATIVE else POSITIVE_COLOR)
        self._actor.GetProperty().SetLineWidth(LINE_WIDTH)
        self._renderer.AddViewProp(self._actor)

    def goTo(self, x: int, y: int) -> None:
        """Draw on to a pixel of the view."""
        self._path.append(worldPoint(self._toWorld, (x, y, 0)))
        self._show(self._corners())
        self._view.render()

    def hide(self) -> None:
        self._renderer.RemoveViewProp(self._actor)
        self._view.render()

    @property
    def worldPoints(self) -> list[list[float]]:
        """Corners of the box, or points of the line."""
        return [worldPoint(self._toWorld, corner).tolist() for corner in self._corners()]

    @property
    def isOnSlice(self) -> bool:
        """Whether the view still shows the slice that all of it was drawn on."""
        return bool(np.abs(self._inView[:, 2]).max() <= SAME_SLICE)

    @property
    def isClick(self) -> bool:
        return bool(np.ptp(self._inView[:, :2], axis=0).max() <= CLICK_REACH)

    @property
    def _toWorld(self) -> np.ndarray:
        return slicer.util.arrayFromVTKMatrix(self.sliceNode.GetXYToRAS())

    @property
    def _inView(self) -> np.ndarray:
        """The path in pixels of the view as it is now, N x 3."""
        fromWorld = np.linalg.inv(self._toWorld)
        return np.array([worldPoint(fromWorld, point) for point in self._path])

    @property
    def _renderer(self) -> Any:
        return self._view.interactor.GetRenderWindow().GetRenderers().GetFirstRenderer()

    def _corners(self) -> np.ndarray:
        """What is drawn as points of the view, N x 3; the sides of a box are those of the view."""
        path = self._inView
        if self.tool is not Tool.BOX:
            return path
        (x0, y0, z), (x1, y1, _) = path[0], path[-1]
        return np.array([(x0, y0, z), (x1, y0, z), (x1, y1, z), (x0, y1, z)])

    def _show(self, corners: np.ndarray) -> None:
        points, line = vtk.vtkPoints(), vtk.vtkCellArray()
        for x, y, _ in corners:
            points.InsertNextPoint(x, y, 0.0)
        ids = list(range(len(corners)))
        if self.tool in (Tool.BOX, Tool.LASSO):
            ids.append(0)
        line.InsertNextCell(len(ids), ids)
        self._line.SetPoints(points)
        self._line.SetLines(line)
