"""`adaptseg web`: the panel as a page in the browser, on Slicer's own core, served to this computer only."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from AdaptCore.commands.console import add_command, say, whole
from AdaptCore.errors import OutputError

PORT = 8080
MOST = 65535


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "web", "segment in the browser: serve a page to this computer", run)
    parser.add_argument(
        "volumes",
        nargs="*",
        type=Path,
        metavar="FILE|FOLDER",
        help="images, DICOM folders, or folders of images to choose from (default: a phantom)",
    )
    parser.add_argument(
        "--port", type=whole, default=PORT, metavar="N", help="port, 0 for any that is free (default: %(default)s)"
    )
    parser.add_argument("--open", action="store_true", help="open the page in the browser")
    parser.add_argument("--task", metavar="NAME", help="learn from accepted masks under this name")
    parser.add_argument("--new", action="store_true", help="begin anew on images whose masks were kept")
    parser.add_argument("--user", metavar="NAME", help="learn this user's preference")


def run(arguments: argparse.Namespace) -> None:
    """Serve until Ctrl-C.

    Raises:
        AdaptSegError: packages are missing, or a volume, the port, the task or the user cannot be used.
    """
    check_installed()
    if arguments.port > MOST:
        raise OutputError(f"Expected a port from 0 to {MOST}, got {arguments.port}.")
    from AdaptWeb.server import Settings, serve

    names = arguments.task, arguments.user
    serve(Settings(arguments.volumes, arguments.port, arguments.open, *names, arguments.new), say)


def check_installed() -> None:
    """Check that the page can be served.

    Raises:
        OutputError: packages of the extra `web` are missing.
    """
    missing = [name for name in ("AdaptWeb", "slicer", "trame_slicer") if importlib.util.find_spec(name) is None]
    if missing:
        raise OutputError(
            f"The page in the browser needs Python packages that are not installed ({', '.join(missing)}). Install "
            'them in an environment of their own: pip install "adaptseg[web]"; in a clone of the repository, run '
            '"make web".'
        )
