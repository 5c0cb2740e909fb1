"""The part of the panel that gives the mouse in the slice views to prompts: + and - points, box, lasso, scribbles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import qt
import slicer

from InteractiveAdaptSegLib.DrawMode import DrawMode, Tool, givePrompt
from InteractiveAdaptSegLib.FirstPoint import FirstPoint
from InteractiveAdaptSegLib.PlaceMode import isPlacing, startPlacing, stopPlacing
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegWidgets.SliceViews import SliceViews

SIGNS = ("positive", "negative")
"""Names of the buttons for points, in the order of `PromptNodes.pointNodes`."""


class Tools:
    """Buttons, of which one at most is down.

    Args:
        ui: the panel's widgets.
        session: takes the prompts.
        reported: within it, errors are shown to the user.
        onTaken: called before a tool is taken up.
        begin: makes a segment where none is chosen, before the first prompt is given.
        onMessage: called with what the user should do instead.
        onChanged: called when a tool is taken up or put down.
    """

    def __init__(
        self,
        ui: Any,
        session: SegmentationLogic,
        reported: Callable[[], AbstractContextManager[None]],
        onTaken: Callable[[], None],
        begin: Callable[[], None],
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
    ) -> None:
        self.ui = ui
        self._session = session
        self._reported = reported
        self._onTaken = onTaken
        self._begin = begin
        self._onChanged = onChanged
        self._isClosed = False
        self._awaitsSegment = False
        self._drawMode = DrawMode(
            slicer.mrmlScene,
            SliceViews(),
            onDrawn=lambda *drawn: qt.QTimer.singleShot(0, lambda: self.onDrawn(*drawn)),
            onMessage=onMessage,
            onChanged=onChanged,
        )
        self._firstPoint = FirstPoint(
            slicer.mrmlScene, self.onFirstPlaced, defer=lambda function: qt.QTimer.singleShot(0, function)
        )
        for sign in range(len(SIGNS)):
            self._connectSign(sign)
        for tool in Tool:
            self._connectTool(tool)

    @property
    def drawn(self) -> Tool | None:
        """What the mouse draws now; None for nothing."""
        return self._drawMode.tool

    def stop(self) -> None:
        """Give the mouse back to the views, whatever it is used for."""
        self._drawMode.stop()
        self.stopPlacing()

    def stopDrawing(self, mayBegin: bool = False) -> None:
        """Put down a tool that draws.

        Args:
            mayBegin: keep one that was taken up before there was a segment, whose first prompt makes it.
        """
        if not (mayBegin and self._awaitsSegment):
            self._drawMode.stop()

    def stopPlacing(self) -> None:
        """Let clicks place no more points of prompts."""
        if self._placedSign is not None:
            stopPlacing(slicer.mrmlScene)
        self._firstPoint.drop()

    def close(self) -> None:
        """Put down a tool that draws, for good; placing goes on when the module is loaded again."""
        self._isClosed = True
        self._drawMode.stop()
        self._firstPoint.drop()

    def show(self, canPlace: bool) -> None:
        """Show which button the mouse in the views belongs to; it may be left with the Escape key."""
        placed = self._placedSign
        for sign, name in enumerate(SIGNS):
            self._show(name, canPlace, sign == placed)
        for tool in Tool:
            self._show(tool.value, canPlace, tool is self._drawMode.tool)

    def onPlace(self, sign: int, isOn: bool) -> None:
        self._onTaken()
        self._firstPoint.drop()
        if not isOn:
            self.stopPlacing()
        elif self._session.promptNodes is None:
            self._firstPoint.start(sign)
        else:
            startPlacing(slicer.mrmlScene, self._session.promptNodes.pointNodes[sign])
        self._onChanged()

    def onDraw(self, tool: Tool, isOn: bool) -> None:
        self._onTaken()
        self._firstPoint.drop()
        self._awaitsSegment = self._session.promptNodes is None
        if isOn:
            self._drawMode.start(tool)
        else:
            self._drawMode.stop()

    def onFirstPlaced(self, sign: int, sliceNode: Any, world: list[float]) -> None:
        """The user has placed a point, and there was no segment when the tool was taken up."""
        if self._isClosed:
            return
        stopPlacing(slicer.mrmlScene)
        with self._reported():
            self._begin()
            if self._session.promptNodes is not None:
                startPlacing(slicer.mrmlScene, self._session.promptNodes.pointNodes[sign])
            self._session.addClick(sliceNode, world, positive=sign == 0)

    def onDrawn(self, tool: Tool, sliceNode: Any, worldPoints: list[list[float]]) -> None:
        """The user has drawn in a slice view."""
        if not self._isClosed:
            with self._reported():
                self._begin()
                self._awaitsSegment = False
                givePrompt(self._session, tool, sliceNode, worldPoints)

    @property
    def _placedSign(self) -> int | None:
        """The sign of the points that clicks in the views place; None for none."""
        prompts = self._session.promptNodes
        nodes = prompts.pointNodes if prompts is not None else (None, None)
        signs = [sign for sign, node in enumerate(nodes) if isPlacing(slicer.mrmlScene, node)]
        return signs[0] if signs else self._firstPoint.sign

    def _connectSign(self, sign: int) -> None:
        self._button(SIGNS[sign]).connect("clicked(bool)", lambda isOn: self.onPlace(sign, isOn))

    def _connectTool(self, tool: Tool) -> None:
        self._button(tool.value).connect("clicked(bool)", lambda isOn: self.onDraw(tool, isOn))

    def _show(self, name: str, canPlace: bool, isDown: bool) -> None:
        button = self._button(name)
        button.enabled, button.checked = canPlace, isDown

    def _button(self, name: str) -> Any:
        return getattr(self.ui, f"{name}Button")
