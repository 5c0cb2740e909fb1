"""Paints the views of the page: the one in hand first, each once however much has changed, a sharp picture at rest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
from trame_rca.encoders import RcaImageEncoder
from trame_server import Server
from trame_slicer.app.logic import get_view_trame_id
from trame_slicer.rca_view.rca_view_factory import RcaWindow
from trame_slicer.views import AbstractView, ScheduledRenderStrategy
from vtkmodules.vtkCommonCore import vtkCommand

from AdaptWeb.messages import log_place

QUALITY = 60
"""Of pictures while something changes, in percent as JPEG has it."""

SHARP_QUALITY = 90
AT_ONCE = 0.005
"""Seconds from a change to the picture of the view in hand: what the same event has changed is in it, too."""

LATER = 0.1
"""Seconds from a change to the pictures of the other views."""

AT_REST = 0.2
"""Seconds without a change until a view gets a sharp picture."""

IN_HAND = (
    vtkCommand.MouseMoveEvent,
    vtkCommand.MouseWheelForwardEvent,
    vtkCommand.MouseWheelBackwardEvent,
    vtkCommand.LeftButtonPressEvent,
)
"""What the mouse does in a view makes it the one in hand."""


@dataclass(eq=False)
class _Canvas:
    """A view, and when its next pictures are due, in seconds of the clock."""

    name: str
    window: RcaWindow
    due: float = np.inf
    sharp_due: float = np.inf
    is_sharp: bool = True
    picture: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint8))


class Painter:
    """Renders views and sends what has changed to the page.

    The scheduler of trame-slicer renders all views whenever one has changed, in no order, and each a second time for
    its sharp picture: without a graphics card, the user waits for all of them.

    Args:
        server: has the page.
        views: asks for nothing but these; each gets a strategy that asks here.
    """

    def __init__(self, server: Server, views: Sequence[AbstractView]) -> None:
        self._server = server
        self._canvases = [self._canvas(view) for view in views]
        self._in_hand = self._canvases[0]
        self._changed = asyncio.Event()
        self._work = asyncio.get_running_loop().create_task(self._paint())

    def close(self) -> None:
        """Paint nothing any more."""
        self._work.cancel()

    def ask(self, canvas: _Canvas) -> None:
        """A view has changed."""
        delay = AT_ONCE if canvas is self._in_hand else LATER
        canvas.due = min(canvas.due, time.monotonic() + delay)
        canvas.sharp_due = np.inf
        self._changed.set()

    def _canvas(self, view: AbstractView) -> _Canvas:
        name = get_view_trame_id(self._server, view)
        canvas = _Canvas(name, RcaWindow(view.render_window(), self._server.state, f"{name}_active_view_cursor"))
        view.set_scheduled_render(_Asking(self, canvas))
        for event in IN_HAND:
            view.interactor().AddObserver(event, lambda *_: self._take(canvas), 1.0)
        return canvas

    def _take(self, canvas: _Canvas) -> None:
        if canvas is not self._in_hand:
            self._in_hand = canvas
            if canvas.due < np.inf:
                self.ask(canvas)

    async def _paint(self) -> None:
        await self._server.ready
        while True:
            canvas = min(self._canvases, key=_next_due)
            await self._wait(_next_due(canvas) - time.monotonic())
            if _next_due(canvas) <= time.monotonic():
                try:
                    self._paint_next(canvas)
                except Exception as error:  # one picture that fails must not be the last one
                    log_place(error)
                await asyncio.sleep(0)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until a view has changed."""
        self._changed.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._changed.wait(), None if seconds == np.inf else max(0.0, seconds))

    def _paint_next(self, canvas: _Canvas) -> None:
        if canvas.due > canvas.sharp_due:
            self._send(canvas, SHARP_QUALITY)
            return
        canvas.due = np.inf
        picture = canvas.window.img_cols_rows[0]
        if not np.array_equal(picture, canvas.picture):
            canvas.picture = picture
            self._send(canvas, QUALITY)
        if not canvas.is_sharp:
            canvas.sharp_due = time.monotonic() + AT_REST

    def _send(self, canvas: _Canvas, quality: int) -> None:
        canvas.is_sharp, canvas.sharp_due = quality == SHARP_QUALITY, np.inf
        rows, columns, _ = canvas.picture.shape
        content, meta, _ = RcaImageEncoder.TURBO_JPEG.encode(canvas.picture, columns, rows, quality)
        self._server.protocol_call("trame.rca.push", canvas.name, meta, content)


class _Asking(ScheduledRenderStrategy):
    """Asks the painter for a picture of a view."""

    def __init__(self, painter: Painter, canvas: _Canvas) -> None:
        super().__init__()
        self._painter, self._canvas = painter, canvas

    def schedule_render(self) -> None:
        self._painter.ask(self._canvas)


def _next_due(canvas: _Canvas) -> float:
    return min(canvas.due, canvas.sharp_due)
