"""The slice views of Slicer's window, for what is drawn in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import qt
import slicer

LAYOUT_CHANGED = "layoutChanged(int)"


class SliceView:
    """One of them; see `InteractiveAdaptSegLib.DrawMode.View`."""

    def __init__(self, widget: Any) -> None:
        self.sliceNode = widget.mrmlSliceNode()
        self.interactor = widget.sliceView().interactor()
        self._view = widget.sliceView()

    def render(self) -> None:
        self._view.scheduleRender()

    def setDrawing(self, isDrawing: bool) -> None:
        if isDrawing:
            self._view.setViewCursor(qt.QCursor(qt.Qt.CrossCursor))
        else:
            self._view.unsetViewCursor()


class SliceViews:
    """Those of the layout that is shown; see `InteractiveAdaptSegLib.DrawMode.Views`."""

    def all(self) -> Iterator[SliceView]:
        layout = slicer.app.layoutManager()
        return (SliceView(layout.sliceWidget(name)) for name in layout.sliceViewNames())

    def watch(self, onChanged: Callable[[], None]) -> None:
        slicer.app.layoutManager().connect(LAYOUT_CHANGED, onChanged)

    def unwatch(self, onChanged: Callable[[], None]) -> None:
        layout = slicer.app.layoutManager()
        if layout is not None:
            layout.disconnect(LAYOUT_CHANGED, onChanged)
