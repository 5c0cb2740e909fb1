"""What the mouse does in the slice views: places + and - points, or draws boxes, lassos and scribbles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from InteractiveAdaptSegLib.DrawMode import DrawMode, Tool, Views, givePrompt
from InteractiveAdaptSegLib.FirstPoint import FirstPoint
from InteractiveAdaptSegLib.PlaceMode import isPlacing, startPlacing, stopPlacing

if TYPE_CHECKING:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

POINTS = ("positive", "negative")
"""Names of the tools for points, in the order of `PromptNodes.pointNodes`; a `Tool` names those that draw."""


class PromptTools:
    """One tool at most is in hand; it may be left with the Escape key, or taken away by another mouse mode of Slicer.

    Args:
        scene: its mouse mode is that of the views.
        views: where is drawn.
        session: takes the prompts.
        reported: within it, errors are shown to the user.
        begin: makes a segment where none is chosen, before a prompt is given.
        onMessage: called with what the user should do instead.
        onChanged: called when a tool is taken up or put down.
        defer: runs a function when the current event has been dealt with.
    """

    def __init__(
        self,
        scene: Any,
        views: Views,
        session: SegmentationLogic,
        reported: Callable[[], AbstractContextManager[None]],
        begin: Callable[[], None],
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
        defer: Callable[[Callable[[], None]], None],
    ) -> None:
        self._scene = scene
        self._session = session
        self._reported = reported
        self._begin = begin
        self._onChanged = onChanged
        self._isClosed = False
        self._awaitsSegment = False
        self._drawMode = DrawMode(
            scene, views, lambda *drawn: defer(lambda: self._onDrawn(*drawn)), onMessage, onChanged
        )
        self._firstPoint = FirstPoint(scene, self._onFirstPlaced, defer)

    @property
    def name(self) -> str:
        """The tool in hand; empty for none."""
        if self._drawMode.tool is not None:
            return self._drawMode.tool.value
        sign = self._placedSign
        return "" if sign is None else POINTS[sign]

    def take(self, name: str) -> None:
        """Take up a tool, in place of any other.

        Raises:
            ValueError: there is no such tool.
        """
        self.stop()
        prompts = self._session.promptNodes
        self._awaitsSegment = prompts is None
        if name not in POINTS:
            self._drawMode.start(Tool(name))
        elif prompts is None:
            self._firstPoint.start(POINTS.index(name))
        else:
            startPlacing(self._scene, prompts.pointNodes[POINTS.index(name)])
        self._onChanged()

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
            stopPlacing(self._scene)
        self._firstPoint.drop()

    def close(self) -> None:
        """Put down a tool that draws, for good; placing goes on when the module is loaded again."""
        self._isClosed = True
        self._drawMode.stop()
        self._firstPoint.drop()

    def _onFirstPlaced(self, sign: int, sliceNode: Any, world: list[float]) -> None:
        """The user has placed a point, and there was no segment when the tool was taken up."""
        if self._isClosed:
            return
        stopPlacing(self._scene)
        with self._reported():
            self._begin()
            if self._session.promptNodes is not None:
                startPlacing(self._scene, self._session.promptNodes.pointNodes[sign])
            self._session.addClick(sliceNode, world, positive=sign == 0)

    def _onDrawn(self, tool: Tool, sliceNode: Any, worldPoints: list[list[float]]) -> None:
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
        nodes = prompts.pointNodes if prompts is not None else ()
        signs = [sign for sign, node in enumerate(nodes) if isPlacing(self._scene, node)]
        return signs[0] if signs else self._firstPoint.sign
