"""What the mouse does in the slice views: places points, draws, or changes the window and level."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from AdaptWeb.views import DrawnViews
from InteractiveAdaptSegLib.DrawMode import DrawMode, Tool, givePrompt
from InteractiveAdaptSegLib.FirstPoint import FirstPoint
from InteractiveAdaptSegLib.PlaceMode import interactionNode, isPlacing, startPlacing, stopPlacing
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

POINTS = ("positive", "negative")
"""Names of the tools for points, in the order of `PromptNodes.pointNodes`."""

WINDOW_LEVEL = "windowLevel"


class Tools:
    """One tool at most is in hand.

    Args:
        scene: its mouse mode is that of the views.
        views: where is drawn.
        session: takes the prompts.
        reported: within it, errors are shown to the user.
        begin: makes a segment where none is chosen, before the first prompt is given.
        on_message: called with what the user should do instead.
        on_changed: called when a tool is taken up or put down.
        defer: runs a function when the current event has been dealt with.
    """

    def __init__(
        self,
        scene: Any,
        views: DrawnViews,
        session: SegmentationLogic,
        reported: Callable[[], AbstractContextManager[None]],
        begin: Callable[[], None],
        on_message: Callable[[str], None],
        on_changed: Callable[[], None],
        defer: Callable[[Callable[[], None]], None],
    ) -> None:
        self._scene = scene
        self._session = session
        self._reported = reported
        self._begin = begin
        self._on_changed = on_changed
        self._awaits_segment = False
        self._first_point = FirstPoint(scene, self._on_first_placed, defer)
        self._draw_mode = DrawMode(
            scene, views, lambda *drawn: defer(lambda: self._on_drawn(*drawn)), on_message, on_changed
        )

    @property
    def name(self) -> str:
        """The tool in hand; empty for none."""
        if self._draw_mode.tool is not None:
            return self._draw_mode.tool.value
        mouse, sign = interactionNode(self._scene), self._placed_sign
        if mouse.GetCurrentInteractionMode() == mouse.AdjustWindowLevel:
            return WINDOW_LEVEL
        return "" if sign is None else POINTS[sign]

    def press(self, name: str) -> None:
        """Take up a tool; put it down where it is in hand.

        Raises:
            ValueError: there is no such tool.
        """
        is_on = name == self.name
        self.stop()
        if not is_on:
            self._take_up(name)
        self._on_changed()

    def stop(self) -> None:
        """Give the mouse back to the views, whatever it is used for."""
        self._draw_mode.stop()
        self.stop_placing()
        mouse = interactionNode(self._scene)
        mouse.SetCurrentInteractionMode(mouse.ViewTransform)

    def stop_drawing(self, may_begin: bool = False) -> None:
        """Put down a tool that draws.

        Args:
            may_begin: keep one that was taken up before there was a segment, whose first prompt makes it.
        """
        if not (may_begin and self._awaits_segment):
            self._draw_mode.stop()

    def stop_placing(self) -> None:
        """Let clicks place no more points of prompts."""
        if self._placed_sign is not None:
            stopPlacing(self._scene)
        self._first_point.drop()

    def _take_up(self, name: str) -> None:
        if name == WINDOW_LEVEL:
            mouse = interactionNode(self._scene)
            mouse.SetCurrentInteractionMode(mouse.AdjustWindowLevel)
            return
        prompts = self._session.promptNodes
        self._awaits_segment = prompts is None
        if name not in POINTS:
            self._draw_mode.start(Tool(name))
        elif prompts is None:
            self._first_point.start(POINTS.index(name))
        else:
            startPlacing(self._scene, prompts.pointNodes[POINTS.index(name)])

    def _on_first_placed(self, sign: int, slice_node: Any, world: list[float]) -> None:
        """The user has placed a point, and there was no segment when the tool was taken up."""
        stopPlacing(self._scene)
        with self._reported():
            self._begin()
            if self._session.promptNodes is not None:
                startPlacing(self._scene, self._session.promptNodes.pointNodes[sign])
            self._session.addClick(slice_node, world, positive=sign == 0)

    def _on_drawn(self, tool: Tool, slice_node: Any, world_points: list[list[float]]) -> None:
        with self._reported():
            if self._awaits_segment:
                self._begin()
                self._awaits_segment = False
            givePrompt(self._session, tool, slice_node, world_points)

    @property
    def _placed_sign(self) -> int | None:
        """The sign of the points that clicks in the views place; None for none."""
        prompts = self._session.promptNodes
        nodes = prompts.pointNodes if prompts is not None else ()
        signs = [sign for sign, node in enumerate(nodes) if isPlacing(self._scene, node)]
        return signs[0] if signs else self._first_point.sign
