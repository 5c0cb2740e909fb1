"""A server of the page in a process of its own, and a user in front of a real browser, without a window."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from Testing.web.user import WebUser

REPOSITORY = Path(__file__).resolve().parents[2]
PHANTOM = REPOSITORY / "InteractiveAdaptSeg/Resources/SampleData/AdaptSegPhantom.nrrd"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PATIENCE = 120
"""Seconds for the server to start, on a busy machine."""


@pytest.fixture(scope="session", autouse=True)
def web_packages() -> None:
    """Skip where the packages of the page are missing, as in the environment of the other tests."""
    for name in ("trame_slicer", "aiohttp"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f'{name} is missing: run these tests in the environment of "make .venv-web/.dev"')


def chromium() -> str | None:
    """The browser of the system; None for none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


class Server:
    """`adaptseg web` as a user starts it.

    Attributes:
        address: with the key.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.log = folder / "server.log"
        environment = {**os.environ, "ADAPTSEG_HOME": str(folder / "home"), "PYTHONUNBUFFERED": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(map(str, (REPOSITORY, REPOSITORY / "InteractiveAdaptSeg")))
        command = [sys.executable, "-m", "AdaptCore.cli", "web", "--port", "0", *arguments]
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, cwd=folder)
        self.address = self._wait()

    @property
    def place(self) -> str:
        """The address without the key."""
        return self.address.partition("?")[0]

    @property
    def told(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def _wait(self) -> str:
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"http://\S+key=\S+", self.told):
                return found[0]
            time.sleep(0.2)
        self.process.kill()
        raise AssertionError(f"the server has not started:\n{self.told}")


@pytest.fixture(scope="module")
def a_server(web_packages: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The page with the phantom and a second volume."""
    folder = tmp_path_factory.mktemp("server")
    other = folder / "images" / "other.nrrd"
    other.parent.mkdir()
    shutil.copy(PHANTOM, other)
    server = Server(folder, str(PHANTOM), str(other.parent))
    yield server
    server.kill()


@pytest.fixture(scope="module")
def a_browser(web_packages: None) -> Iterator[Any]:
    """Chromium of the system, without a window."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium on this computer (on Debian: apt-get install chromium)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def a_user(a_browser: Any, a_server: Server) -> Iterator[WebUser]:
    """The user in front of the page; the work of the user before is still there."""
    context = a_browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)
    user = WebUser(context.new_page(), a_server.address)
    yield user
    context.close()
