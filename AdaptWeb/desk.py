"""One user's desk: the scene with its volumes, the panel, the page, and the files that come in and go out."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web
from trame_server import Server

from AdaptCore.errors import AdaptSegError
from AdaptCore.io import Geometry, Volume
from AdaptWeb.application import Application
from AdaptWeb.autosave import Autosave
from AdaptWeb.files import FORMATS, Source, segmentation_file
from AdaptWeb.keys import CANDIDATES, button_of_key, known_keys
from AdaptWeb.messages import refusal
from AdaptWeb.page import TOOLS, Page
from AdaptWeb.panel import Panel
from AdaptWeb.uploads import PIECE, Uploads
from InteractiveAdaptSegLib.Keys import PUT_DOWN
from InteractiveAdaptSegLib.SceneNodes import addVolume

SERVE = Path(__file__).resolve().parent / "serve"
SCRIPTS = ["__adaptseg/keys.js", "__adaptseg/uploads.js"]


class Desk:
    """One user's work: the scene, the panel and the page.

    Args:
        found: volumes that can be opened.
        autosave: keeps the work.
    """

    def __init__(self, server: Server, found: list[Source], autosave: Autosave) -> None:
        self._state, self._found = server.state, found
        self._opened: dict[int, tuple[Any, Geometry]] = {}
        self._news: dict[int, str] = {}
        self._shown = 0
        self._uploads, self._autosave = Uploads(), autosave
        _set_first_state(server.state, found)
        self._application = Application(server)
        self.panel = Panel(server, self._application, self._keep)
        server.enable_module({"serve": {"__adaptseg": str(SERVE)}, "scripts": SCRIPTS})
        server.trigger("key")(self.press_key)
        Page(server, self._application, self.panel, self.choose)

    def close(self) -> None:
        """Let go of everything when the server ends."""
        self._keep()
        self.panel.close()
        self._autosave.close()
        self._application.close()
        self._uploads.close()

    def add_routes(self, app: web.Application) -> None:
        """Answer what the page asks for besides its state."""
        app.router.add_get("/download/{name}", self.download)
        app.router.add_post("/upload/{drop}", self.upload)
        app.router.add_post("/uploaded/{drop}", self.end_upload)

    def choose(self, number: int) -> None:
        """The user has chosen another volume of the list."""
        with self.panel.messages.reported():
            self.panel.session.requireIdle()
            self.show(number)

    def show(self, number: int) -> None:
        """Show a volume of the list, as it was left if it was open before.

        Raises:
            ImageError: it cannot be read; what was shown stays.
        """
        if number not in self._opened:
            self._add(number, self._found[number].read())
        self.panel.use(self._opened[number][0])
        self._shown = self._state.volume = number
        if text := self._news.pop(number, ""):
            self.panel.tell(text)

    def _add(self, number: int, volume: Volume) -> None:
        node = addVolume(self._application.scene, self._found[number].name, volume)
        self._opened[number] = node, volume.geometry
        try:
            self._news[number] = self._autosave.resume(self._application.scene, node, volume)
        except AdaptSegError as error:
            self._news[number] = refusal(error)

    def _keep(self) -> None:
        """Keep a copy of the work on the volume that is shown."""
        choice = self.panel.choices.node
        if self.panel.session.isIdle:
            try:
                self._autosave.save(choice.inputVolume, choice.segmentation)
            except AdaptSegError as error:
                self.panel.refuse(error)

    def press_key(self, key: str) -> None:
        name = button_of_key(key)
        if key in CANDIDATES:
            self.panel.pick(int(key))
        elif name == PUT_DOWN:
            self.panel.put_down()
        elif name in TOOLS:
            self.panel.take(name)
        elif name is not None:
            self.panel.press(name)

    async def download(self, request: web.Request) -> web.Response:
        """The segmentation of the volume that is shown, as a file."""
        name = request.match_info["name"]
        suffix = next((suffix for suffix in FORMATS if name == f"segmentation{suffix}"), None)
        if suffix is None:
            raise web.HTTPNotFound
        volume_node, geometry = self._opened[self._shown]
        try:
            content = segmentation_file(self.panel.choices.node.segmentation, volume_node, geometry, suffix)
        except AdaptSegError as error:
            self.panel.refuse(error)
            raise web.HTTPConflict(text=str(error)) from None
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)

    async def upload(self, request: web.Request) -> web.Response:
        """One file of what is dropped on the page."""
        drop = request.match_info["drop"]
        try:
            await self._uploads.take(drop, request.query.get("name", ""), request.content.iter_chunked(PIECE))
        except AdaptSegError as error:
            raise self._refused(drop, error) from None
        return web.Response()

    async def end_upload(self, request: web.Request) -> web.Response:
        """All of a drop is there: list its volumes, and show the first one."""
        drop = request.match_info["drop"]
        try:
            found = self._uploads.end(drop)
            volume = await asyncio.to_thread(found[0].read)
        except AdaptSegError as error:
            raise self._refused(drop, error) from None
        number = len(self._found)
        self._found += found
        with self._state:
            self._state.volumes = [source.name for source in self._found]
            self._add(number, volume)
            self.choose(number)
        return web.Response()

    def _refused(self, drop: str, error: AdaptSegError) -> web.HTTPException:
        """Tell why a drop cannot be used, and delete it."""
        self._uploads.drop(drop)
        self.panel.refuse(error)
        return web.HTTPConflict(text=str(error))


def _set_first_state(state: Any, found: list[Source]) -> None:
    """All names that the page shows, before anything is known."""
    state.update(
        {
            "status": "",
            "is_waiting": False,
            "progress": [0, 0],
            "enabled": {},
            "tool": "",
            "is_at_object": True,
            "tips": {},
            "segments": [],
            "segment_id": "",
            "only_pointed": True,
            "gallery_text": "",
            "candidates": [],
            "picked": 0,
            "result": "",
            "learn": True,
            "measures": True,
            "task_text": "",
            "profile_text": "",
            "tasks": [],
            "task": "",
            "users": [],
            "user": "",
            "volumes": [source.name for source in found],
            "volume": 0,
            "uploading": "",
            "keys": known_keys(),
        }
    )
