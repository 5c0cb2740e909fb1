"""Which views are painted when something changes, in which order, and when a picture gets sharp."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("trame_slicer", reason="trame-slicer is missing: see Testing/web/conftest.py")

from trame_server import Server
from trame_slicer.core import SlicerApp
from trame_slicer.views import SliceView
from vtkmodules.vtkCommonCore import vtkCommand

from AdaptWeb.painter import AT_REST, LATER, QUALITY, SHARP_QUALITY, Painter

SENT = "trame.rca.push"


class Desk:
    """Two views, and what is sent of them: name and quality."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.is_cut = False
        real, core = Server(), SlicerApp()
        ready = asyncio.get_running_loop().create_future()
        ready.set_result(True)
        server: Any = SimpleNamespace(
            state=real.state, translator=real.translator, ready=ready, protocol_call=self._keep
        )
        self.views = [SliceView(core.scene, core.app_logic, name) for name in ("Red", "Green")]
        for view in self.views:
            view.render_window().SetSize(64, 48)
        self.painter = Painter(server, self.views)

    def _keep(self, method: str, name: str, meta: dict[str, Any], content: bytes) -> None:
        if self.is_cut:
            raise ConnectionResetError
        assert method == SENT and content.startswith(b"\xff\xd8") and (meta["w"], meta["h"]) == (64, 48)
        self.sent.append((name, meta["quality"]))

    def change(self, *numbers: int, grey: int = 90) -> None:
        for number in numbers:
            self.views[number].set_background_color([grey] * 3)
            self.views[number].schedule_render()


def run(work: Callable[[Desk], Awaitable[None]]) -> None:
    async def all_of_it() -> None:
        desk = Desk()
        try:
            await asyncio.sleep(LATER + 2 * AT_REST)
            desk.sent.clear()
            await work(desk)
        finally:
            desk.painter.close()

    asyncio.run(all_of_it())


def test_the_view_in_hand_is_painted_first_and_both_get_sharp_at_rest() -> None:
    async def work(desk: Desk) -> None:
        desk.views[1].interactor().InvokeEvent(vtkCommand.MouseMoveEvent)
        desk.change(0, 1)
        await asyncio.sleep(LATER + 2 * AT_REST)
        drafts = [name for name, quality in desk.sent if quality == QUALITY]
        assert drafts == ["Green", "Red"]
        assert [name for name, quality in desk.sent if quality == SHARP_QUALITY] == ["Green", "Red"]

    run(work)


def test_many_changes_are_one_picture_and_none_is_no_picture() -> None:
    async def work(desk: Desk) -> None:
        for grey in (40, 60, 80):
            desk.change(0, grey=grey)
        await asyncio.sleep(2 * AT_REST)
        assert desk.sent == [("Red", QUALITY), ("Red", SHARP_QUALITY)]
        desk.change(0, grey=80)
        await asyncio.sleep(2 * AT_REST)
        assert len(desk.sent) == 2

    run(work)


def test_a_picture_gets_sharp_also_where_the_view_asks_again_and_has_not_changed() -> None:
    async def work(desk: Desk) -> None:
        desk.change(0)
        await asyncio.sleep(AT_REST / 2)
        desk.change(0)
        await asyncio.sleep(2 * AT_REST)
        assert desk.sent == [("Red", QUALITY), ("Red", SHARP_QUALITY)]

    run(work)


def test_painting_goes_on_after_a_picture_that_could_not_be_sent() -> None:
    async def work(desk: Desk) -> None:
        desk.is_cut = True
        desk.change(0, grey=40)
        await asyncio.sleep(2 * AT_REST)
        desk.is_cut = False
        desk.change(0, grey=60)
        await asyncio.sleep(2 * AT_REST)
        assert desk.sent == [("Red", QUALITY), ("Red", SHARP_QUALITY)]

    run(work)
