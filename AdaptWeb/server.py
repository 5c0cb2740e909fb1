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

from AdaptCore.errors import OutputError
from AdaptWeb.autosave import Autosave
from AdaptWeb.desk import Desk
from AdaptWeb.files import Source, sources
from AdaptWeb.guard import Guard
from AdaptWeb.messages import log_place
from AdaptWeb.resources import resource_path

HOST = "127.0.0.1"
PHANTOM = "SampleData/AdaptSegPhantom.nrrd"
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
        begins_anew: whether work that was kept of the volumes is left aside.
    """

    volumes: Sequence[Path] = ()
    port: int = 0
    opens: bool = False
    task: str | None = None
    user: str | None = None
    begins_anew: bool = False


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until Ctrl-C.

    Raises:
        AdaptSegError: a volume, the port, the task or the user cannot be used.
    """
    os.environ["TRAME_ARGS"] = "--server --nosignalhandlers"
    os.environ["WSLINK_READY_MSG"] = ""
    if sys.platform == "linux" and "DISPLAY" not in os.environ:
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    os.environ.setdefault("LP_NUM_THREADS", "1")  # of Mesa: a view is small, and the model needs the other cores
    os.environ["WSLINK_MAX_MSG_SIZE"] = str(MEGABYTES * 1024 * 1024)
    _check_port(settings.port)
    found = sources(settings.volumes or [resource_path(PHANTOM)])
    asyncio.run(_serve(settings, found, say))


async def _serve(settings: Settings, found: list[Source], say: Callable[[str], None]) -> None:
    asyncio.get_running_loop().set_exception_handler(_log_problem)
    server = Server("adaptseg", client_type="vue3")
    desk = Desk(server, found, Autosave(begins_anew=settings.begins_anew))
    try:
        desk.show(0)
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
        desk.close()


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
    desk.add_routes(app)


def _tell(server: Server, guard: Guard, settings: Settings, say: Callable[[str], None]) -> None:
    address = f"http://{HOST}:{server.port}/?key={guard.key}"
    say(f"Open {address}")
    say("Whoever has this address can see and change the images. Ctrl-C ends the server.")
    if settings.opens:
        webbrowser.open(address)
