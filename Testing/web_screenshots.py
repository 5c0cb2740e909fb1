"""Draws the page as Chromium shows it, for the README: `.venv-web/bin/python Testing/web_screenshots.py FOLDER`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "InteractiveAdaptSeg")]

from Testing.web.conftest import PHANTOM, Server, chromium  # noqa: E402
from Testing.web.user import WebUser  # noqa: E402

FULL_QUALITY = 2.0
"""Seconds after which a view that rests is sent as it is."""


def draw(path: Path, browser: Any) -> None:
    """A click in the phantom of the demo, and the whole lesion before it is accepted."""
    with tempfile.TemporaryDirectory() as home:
        server = Server(Path(home), str(PHANTOM))
        try:
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            user = WebUser(page, server.address)
            user.take("positive")
            user.click()
            user.wait("status", "Accept the mask")
            user.wait("result", "mL")
            user.put_down()
            page.mouse.move(*user.place("3D"))
            time.sleep(FULL_QUALITY)
            page.screenshot(path=path)
        finally:
            server.kill()


def main() -> None:
    from playwright.sync_api import sync_playwright

    folder = Path(sys.argv[1])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        draw(folder / "12-in-the-browser.png", browser)
        browser.close()


if __name__ == "__main__":
    main()
