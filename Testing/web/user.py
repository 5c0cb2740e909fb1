"""The user in front of the page: real mouse and keys, and only what can be seen or downloaded."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

PATIENCE = 180_000
"""Milliseconds, on a busy machine."""

VIEWS = {"axial": 0, "3D": 1, "coronal": 2, "sagittal": 3}
"""Places of the views in the page."""

PAINTED = """() => {
    const images = [...document.querySelectorAll(".views img")];
    return images.length >= 4 && images.every((image) => image.naturalWidth > 8 && image.offsetWidth > 8);
}"""
"""Whether all views show something."""


class WebUser:
    """Opens the page and works in it.

    Attributes:
        page: Playwright's.
        problems: what the browser has complained of.
    """

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.problems: list[str] = []
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.goto(address)
        self.part("accept").wait_for()
        page.wait_for_function(PAINTED)

    def part(self, name: str) -> Any:
        """A part of the panel, by its name there."""
        return self.page.locator(f'[data-test="{name}"]')

    def press(self, *names: str) -> None:
        for name in names:
            self.part(name).click()

    def take(self, tool: str) -> None:
        """Take up a tool, and wait until the mouse has it."""
        self.press(tool)
        self.page.wait_for_selector(f'[data-test="{tool}"][aria-pressed="true"]')

    def choose_unit(self, name: str) -> None:
        """Let prompts be about the "object" or a "slice"."""
        self.press(name)
        self.page.wait_for_selector(f'[data-test="{name}"][aria-pressed="true"]')

    def put_down(self) -> None:
        self.page.keyboard.press("Escape")
        self.page.wait_for_function("!document.querySelector('.tools [aria-pressed=\"true\"]')")

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)

    def place(self, view: str = "axial", x: float = 0.5, y: float = 0.5) -> tuple[float, float]:
        """A point of a view, in the page's pixels; x and y are shares of its width and height."""
        box = self.page.locator(".views img").nth(VIEWS[view]).bounding_box()
        return box["x"] + x * box["width"], box["y"] + y * box["height"]

    def click(self, view: str = "axial", x: float = 0.5, y: float = 0.5) -> None:
        where = self.place(view, x, y)
        self.page.mouse.move(*where, steps=3)
        self.page.mouse.click(*where, delay=30)

    def drag(self, *points: tuple[float, float], view: str = "axial") -> None:
        """Press at the first point, go through the others, let go."""
        start, *others = (self.place(view, *point) for point in points)
        self.page.mouse.move(*start, steps=3)
        self.page.mouse.down()
        for point in others:
            self.page.mouse.move(*point, steps=6)
        self.page.mouse.up()

    def wait(self, name: str, text: str) -> None:
        """Wait until a part of the panel shows a text."""
        self.page.wait_for_function(
            '([name, text]) => document.querySelector(`[data-test="${name}"]`)?.innerText.includes(text)',
            arg=[name, text],
        )

    def wait_enabled(self, name: str) -> None:
        self.page.wait_for_selector(f'[data-test="{name}"]:not([disabled])')

    @property
    def status(self) -> str:
        return str(self.part("status").inner_text())

    @property
    def message(self) -> str:
        return str(self.part("message").inner_text())

    def download(self, suffix: str) -> Path:
        """Download the segmentation, and give the file."""
        with self.page.expect_download() as found:
            self.part(f"download{suffix}").click()
        path = Path(tempfile.mkdtemp()) / found.value.suggested_filename
        found.value.save_as(path)
        return path

    def labels(self) -> np.ndarray:
        """The downloaded segmentation: labels (i, j, k)."""
        from AdaptCore.io import read_volume

        return read_volume(self.download(".nii.gz")).array
