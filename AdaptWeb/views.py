"""The slice views of the page, for what is drawn in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from trame_slicer.core import ViewManager
from trame_slicer.views import SliceView


class DrawnView:
    """One of them; see `InteractiveAdaptSegLib.DrawMode.View`."""

    def __init__(self, view: SliceView) -> None:
        self._view = view
        self.sliceNode: Any = view.get_view_node()
        self.interactor: Any = view.interactor()

    def render(self) -> None:
        self._view.schedule_render()

    def setDrawing(self, isDrawing: bool) -> None:  # noqa: N802, N803
        """The page shows the cursor itself."""


class DrawnViews:
    """All of them, always: see `InteractiveAdaptSegLib.DrawMode.Views`."""

    def __init__(self, manager: ViewManager) -> None:
        self._manager = manager

    def all(self) -> Iterator[DrawnView]:
        return map(DrawnView, self._manager.get_slice_views())

    def watch(self, onChanged: Callable[[], None]) -> None:  # noqa: N803
        """The views of the page stay."""

    def unwatch(self, onChanged: Callable[[], None]) -> None:  # noqa: N803
        """See `watch`."""
