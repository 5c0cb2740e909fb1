"""Times the page in Chromium with real mouse and wheel: what the user waits for, from event to painted pixel.

`.venv-web/bin/python Testing/bench_web.py --json FILE` prints median and 95th percentile in milliseconds, on a volume
of 512 x 512 x 200 voxels:

server: from the start of `adaptseg web` until it can be opened, without the volume's creation.
first_paint: from the address until panel and views are painted.
scroll: from a turn of the wheel to the painted slice.
click: from the press of the mouse button to the painted mask of the slice, whose embedding is there.
object_click: the same for the whole object.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "InteractiveAdaptSeg")]

from Testing.bench_panel import BALLS, SHAPE, SPACING, volume_array  # noqa: E402
from Testing.web.conftest import Server, chromium  # noqa: E402
from Testing.web.user import WebUser  # noqa: E402

ROUNDS = 8
WATCH = """
window.pixels = (view) => {
    const image = document.querySelectorAll(".views img")[view];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    return context.getImageData(0, 0, canvas.width, canvas.height);
};
window.isTinted = (view) => {
    const {data} = window.pixels(view);
    let tinted = 0;
    for (let at = 0; at < data.length; at += 4) {
        const most = Math.max(data[at], data[at + 1], data[at + 2]);
        if (most - Math.min(data[at], data[at + 1], data[at + 2]) > 12) tinted++;
    }
    return tinted > 1000;
};
window.sum = (view) => {
    const {data, width, height} = window.pixels(view);
    let sum = 0;
    for (let y = Math.floor(height / 4); y < height / 2; y++)
        for (let x = Math.floor(width / 4); x < width / 2; x++) sum = (31 * sum + data[4 * (y * width + x)]) % 1e9;
    return sum;
};
window.waitFor = (event, test) => new Promise((done) => {
    let start = 0;
    window.addEventListener(event, () => { start = start || performance.now(); }, {capture: true, once: true});
    let seen = "";
    const look = () => {
        const shown = [...document.querySelectorAll(".views img")].map((image) => image.src).join();
        const isNew = start && shown !== seen;
        if (isNew) seen = shown;
        if (isNew && test()) done(performance.now() - start);
        else requestAnimationFrame(look);
    };
    look();
});
"""
"""Looks at each frame of the page whether a view has changed since an event."""


def write_volume(path: Path) -> Path:
    """The volume that the panel is timed on, moved so that the middle slice cuts a ball in the middle."""
    from AdaptCore.io import Geometry, Volume
    from AdaptCore.io import write_volume as write

    array = np.roll(volume_array(), SHAPE[2] // 2 - BALLS[0][2], axis=2)
    write(Volume(array, Geometry(SHAPE, SPACING)), path)
    return path


class Bench:
    """The user at the page, with a watch."""

    def __init__(self, user: WebUser) -> None:
        self.user, self.page = user, user.page
        self.page.evaluate(f"() => {{ {WATCH} }}")

    def scroll(self) -> float:
        where = self.user.place()
        self.page.mouse.move(*where)
        self._settle()
        self._start("wheel", "((before) => () => window.sum(0) !== before)(window.sum(0))")
        self.page.mouse.wheel(0, 100)
        return self._time()

    def click(self) -> float:
        """Click on the middle of a ball, wait until more than the cross is in colour, and undo."""
        x, y = _share(BALLS[0])
        self.page.mouse.move(*self.user.place("axial", x, y), steps=3)
        self._settle()
        self._start("pointerdown", "() => window.isTinted(0)")
        self.page.mouse.click(*self.user.place("axial", x, y))
        took = self._time()
        self.user.wait("status", "Accept the mask")
        self.user.press("undo")
        self.page.wait_for_function("!window.isTinted(0)")
        return took

    def _start(self, event: str, test: str) -> None:
        self.page.evaluate(f"() => {{ window.taken = window.waitFor('{event}', {test}); }}")

    def _time(self) -> float:
        return float(self.page.evaluate("() => window.taken"))

    def _settle(self) -> None:
        """Wait until the view rests at full quality, and what is computed beside is done."""
        time.sleep(2.0)


def _share(ball: tuple[int, ...]) -> tuple[float, float]:
    """Where a ball's middle is in the axial view, in shares of its width and height; the volume fills the height."""
    i, j = ball[0] / SHAPE[0], ball[1] / SHAPE[1]
    return 0.5 + (i - 0.5) * FILLED[0], 0.5 + (j - 0.5) * FILLED[1]


FILLED = (0.83, 1.0)
"""Shares of the view's width and height that the slice takes in a window of 1280 x 800."""


def measure(folder: Path, browser: Any) -> dict[str, list[float]]:
    volume = write_volume(folder / "balls.nrrd")
    times: dict[str, list[float]] = {}
    start = time.perf_counter()
    server = Server(folder, str(volume))
    times["server"] = [1000 * (time.perf_counter() - start)]
    try:
        for last in (False, False, True):
            context = browser.new_context(viewport={"width": 1280, "height": 800})
            start = time.perf_counter()
            user = WebUser(context.new_page(), server.address)
            times.setdefault("first_paint", []).append(1000 * (time.perf_counter() - start))
            if not last:
                context.close()
        bench = Bench(user)
        times["scroll"] = [bench.scroll() for _ in range(ROUNDS)]
        user.take("positive")
        for name, unit in (("click", "slice"), ("object_click", "object")):
            user.choose_unit(unit)
            times[name] = [bench.click() for _ in range(ROUNDS + 1)][1:]
    finally:
        server.kill()
    return times


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all times there, too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        times = measure(Path(folder), browser)
        browser.close()
    for name, values in times.items():
        print(f"{name:14} {np.median(values):7.0f} {np.percentile(values, 95):7.0f}")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(times, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
