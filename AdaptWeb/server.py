"""The server of `adaptseg web`: one user, one scene, on this computer only."""

from __future__ import annotations

import asyncio
import importlib
import os
import socket
import sys
import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from trame_server import Server

from AdaptCore.errors import AdaptSegError, OutputError
from AdaptWeb.application import Application
from AdaptWeb.files import FORMATS, Source, segmentation_file, sources
from AdaptWeb.guard import Guard
from AdaptWeb.keys import CANDIDATES, button_of_key, known_keys
from AdaptWeb.messages import log_place
from AdaptWeb.page import TOOLS, Page
from AdaptWeb.panel import Panel
from AdaptWeb.resources import resource_path
from InteractiveAdaptSegLib.Keys import PUT_DOWN
from InteractiveAdaptSegLib.SceneNodes import addVolume

HOST = "127.0.0.1"
PHANTOM = "SampleData/AdaptSegPhantom.nrrd"
SERVE = Path(__file__).resolve().parent / "serve"
MEGABYTES = 4
"""Of one message of the page at most."""


@dataclass(frozen=True)
class Settings:
    """What the command line asks for.

    Attributes:
        volumes: files and folders; without any, a phantom is shown.
        port: 0 for any that is free.
        opens: whether the browser is opened.
        task, user: names that are learnt under from the start.
    """

    volumes: Sequence[Path] = ()
    port: int = 0
    opens: bool = False
    task: str | None = None
    user: str | None = None


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Raises:
        AdaptSegError: a volume, the port, the task or the user cannot be used.
    """
    os.environ["TRAME_ARGS"] = "--server --nosignalhandlers"
    os.environ["WSLINK_READY_MSG"] = ""
    if sys.platform == "linux" and "DISPLAY" not in os.environ:
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    os.environ["WSLINK_MAX_MSG_SIZE"] = str(MEGABYTES * 1024 * 1024)
    _check_port(settings.port)
    found = sources(settings.volumes or [resource_path(PHANTOM)])
    asyncio.run(_serve(settings, found, say))


async def _serve(settings: Settings, found: list[Source], say: Callable[[str], None]) -> None:
    asyncio.get_running_loop().set_exception_handler(_log_problem)
    server = Server("adaptseg", client_type="vue3")
    desk = Desk(server, found)
    try:
        desk.open(0)
        desk.panel.use_names(settings.task, settings.user)
        guard = Guard()
        server.controller.on_server_bind.add(lambda bound: _bind(bound.app, guard, desk))
        server.controller.on_server_ready.add(lambda **_: _tell(server, guard, settings, say))
        threading.Thread(target=_import_early, daemon=True).start()
        await server.start(
            port=settings.port,
            host=HOST,
            exec_mode="coroutine",
            open_browser=False,
            show_connection_info=False,
            timeout=0,
            disable_logging=True,
        )
    finally:
        desk.panel.close()


def _check_port(port: int) -> None:
    """Check that the port can be listened to, before anything is loaded.

    Raises:
        OutputError: it cannot.
    """
    try:
        with socket.create_server((HOST, port)):
            pass
    except OSError as error:
        raise OutputError(
            f"Port {port} cannot be used ({os.strerror(error.errno or 0)}): choose another one with --port, "
            "or 0 for any that is free."
        ) from error


def _log_problem(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log where work in the background has failed; that a browser has gone away is no failure."""
    error = context.get("exception")
    if isinstance(error, Exception) and not isinstance(error, ConnectionError):
        log_place(error)


def _import_early() -> None:
    """Import what the first click needs while the page is being opened: it takes seconds."""
    for name in ("AdaptCore.models.registry", "AdaptCore.predict.volume"):
        importlib.import_module(name)


def _bind(app: web.Application, guard: Guard, desk: Desk) -> None:
    guard.protect(app)
    app.router.add_get("/download/{name}", desk.download)


def _tell(server: Server, guard: Guard, settings: Settings, say: Callable[[str], None]) -> None:
    address = f"http://{HOST}:{server.port}/?key={guard.key}"
    say(f"Open {address}")
    say("Whoever has this address can see and change the images. Ctrl-C ends the server.")
    if settings.opens:
        webbrowser.open(address)


class Desk:
    """One user's work: the scene, the panel and the page.

    Args:
        found: volumes that can be opened.
    """

    def __init__(self, server: Server, found: list[Source]) -> None:
        self._state, self._found = server.state, found
        self._opened: dict[int, tuple[Any, Any]] = {}
        _set_first_state(server.state, found)
        self._application = Application(server)
        self.panel = Panel(server, self._application)
        server.enable_module({"serve": {"__adaptseg": str(SERVE)}, "scripts": ["__adaptseg/keys.js"]})
        server.trigger("key")(self.press_key)
        Page(server, self._application, self.panel, self.choose)

    def choose(self, number: int) -> None:
        """The user has chosen another volume."""
        with self.panel.messages.reported():
            self.panel.session.requireIdle()
            self.open(number)

    def open(self, number: int) -> None:
        """Show a volume of the list, as it was left if it was open before.

        Raises:
            ImageError: it cannot be read; what was shown stays.
        """
        if number not in self._opened:
            volume = self._found[number].read()
            node = addVolume(self._application.scene, self._found[number].name, volume)
            self._opened[number] = node, volume.geometry
        self.panel.use(self._opened[number][0])
        self._state.volume = number

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
        volume_node, geometry = self._opened[self._state.volume]
        try:
            content = segmentation_file(self.panel.choices.node.segmentation, volume_node, geometry, suffix)
        except AdaptSegError as error:
            self.panel.refuse(error)
            raise web.HTTPConflict(text=str(error)) from None
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return web.Response(body=content, content_type="application/octet-stream", headers=headers)


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
            "task_text": "",
            "profile_text": "",
            "tasks": [],
            "task": "",
            "users": [],
            "user": "",
            "volumes": [source.name for source in found],
            "volume": 0,
            "keys": known_keys(),
        }
    )
