"""The first point of a volume: Slicer places points into a list, and there is none before there is a segment."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.PlaceMode import isPlacing, startPlacing
from InteractiveAdaptSegLib.SceneNodes import addMarkups, removeNode, viewUnderCursor


class FirstPoint:
    """Lets the mouse place one point, in a list that is not kept.

    Args:
        onPlaced: called with the sign (0 for +, 1 for -), the slice view under the cursor, and the world point (3).
        defer: runs a function when the current event has been dealt with.
    """

    def __init__(
        self, scene: Any, onPlaced: Callable[[int, Any, list[float]], None], defer: Callable[[Callable[[], None]], None]
    ) -> None:
        self._scene = scene
        self._onPlaced = onPlaced
        self._defer = defer
        self._observations = Observations()
        self._node: Any = None
        self._sign = 0

    @property
    def sign(self) -> int | None:
        """What the next click in a view places; None for nothing."""
        return self._sign if self._node is not None and isPlacing(self._scene, self._node) else None

    def start(self, sign: int) -> None:
        """Wait for a click."""
        self.drop()
        self._sign, self._node = sign, addMarkups(self._scene, "vtkMRMLMarkupsFiducialNode", "First point")
        self._node.SetHideFromEditors(True)
        self._node.SetSaveWithScene(False)
        self._observations.add(self._node, self._node.PointPositionDefinedEvent, self._onPointPlaced)
        startPlacing(self._scene, self._node)

    def drop(self) -> None:
        """Wait no longer."""
        self._observations.clear()
        node, self._node = self._node, None
        removeNode(node)

    def _onPointPlaced(self, caller: Any, event: str) -> None:
        sliceNode, world = viewUnderCursor(self._scene), list(caller.GetNthControlPointPositionWorld(0))
        self._defer(lambda: self._take(sliceNode, world))

    def _take(self, sliceNode: Any, world: list[float]) -> None:
        if self._node is not None:
            self.drop()
            self._onPlaced(self._sign, sliceNode, world)
