"""What the mouse does in the slice views: places points, draws, or changes the window and level."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from AdaptWeb.views import DrawnViews
from InteractiveAdaptSegLib.DrawMode import DrawMode, Tool, givePrompt
from InteractiveAdaptSegLib.PlaceMode import interactionNode, isPlacing, placedSign, startPlacing, stopPlacing
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
        begin: makes a segment where none is chosen, before a tool is taken up.
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
        self._draw_mode = DrawMode(
            scene, views, lambda *drawn: defer(lambda: self._on_drawn(*drawn)), on_message, on_changed
        )

    @property
    def name(self) -> str:
        """The tool in hand; empty for none."""
        if self._draw_mode.tool is not None:
            return self._draw_mode.tool.value
        mouse, prompts = interactionNode(self._scene), self._session.promptNodes
        if mouse.GetCurrentInteractionMode() == mouse.AdjustWindowLevel:
            return WINDOW_LEVEL
        nodes = prompts.pointNodes if prompts is not None else ()
        return next((name for name, node in zip(POINTS, nodes) if isPlacing(self._scene, node)), "")

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

    def stop_drawing(self) -> None:
        """Put down a tool that draws."""
        self._draw_mode.stop()

    def stop_placing(self) -> None:
        """Let clicks place no more points of prompts."""
        if placedSign(self._scene) is not None:
            stopPlacing(self._scene)

    def _take_up(self, name: str) -> None:
        if name == WINDOW_LEVEL:
            mouse = interactionNode(self._scene)
            mouse.SetCurrentInteractionMode(mouse.AdjustWindowLevel)
            return
        tool = None if name in POINTS else Tool(name)
        self._begin()
        prompts = self._session.promptNodes
        if prompts is None:
            return
        if tool is None:
            startPlacing(self._scene, prompts.pointNodes[POINTS.index(name)])
        else:
            self._draw_mode.start(tool)

    def _on_drawn(self, tool: Tool, slice_node: Any, world_points: list[list[float]]) -> None:
        with self._reported():
            givePrompt(self._session, tool, slice_node, world_points)
