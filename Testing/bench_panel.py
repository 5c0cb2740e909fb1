"""Times the panel in the stand-in for Slicer's window: what the user waits for, and whether the window answers.

`python Testing/bench_panel.py --json FILE` prints median and 95th percentile in milliseconds:

opening: loading the module's file and showing the panel, before PyTorch is loaded.
click: from the press of the mouse button on a plane whose embedding is there to the painted preview; `further_click`
    is one that corrects it, `click_task` the first one under a task that learns.
accept: from the press of the button until the segment holds the mask, under a task that learns.
plane_change: from the change of the slice to its painted picture, while embeddings of its neighbours are computed.
object_click: from the press of the mouse button to the painted preview of the whole object, the first click on it;
    `object_further_click` is one that corrects it, in another view. `object_accept` until the segment holds it.
beats_*: time between two turns of the event loop while the named thing is under way, and the longest one.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "InteractiveAdaptSeg")]
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from Testing.screenshots import MODULE, a_window  # noqa: E402

SHAPE = (512, 512, 200)
SPACING = (0.7, 0.7, 1.5)
BALLS = ((180, 200, 60, 40), (330, 300, 60, 55), (200, 350, 140, 45), (340, 180, 140, 50))
"""Middle (i, j, k) and radius in voxels of the structures that are clicked on."""
BEAT = 5
"""Milliseconds between two beats of an idle event loop."""
ROUNDS = 12
PROPAGATED = 12

Times = dict[str, list[float]]


def volume_array(seed: int = 0) -> np.ndarray:
    """Bright balls on noisy ground, int16 (i, j, k)."""
    rng = np.random.default_rng(seed)
    array = rng.normal(100, 15, SHAPE).astype(np.int16)
    grid = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    for *middle, radius in BALLS:
        distance = sum((axis - centre) ** 2 * scale for axis, centre, scale in zip(grid, middle, (1, 1, 4)))
        array[distance <= radius**2] += 120
    return array


class Bench:
    """The user at the panel, with a watch."""

    def __init__(self, host: Any, view: Any, panel: Any, volume: Any) -> None:
        self.host, self.view, self.panel, self.volume = host, view, panel, volume
        self.times: Times = {}

    def world(self, voxel: Any) -> np.ndarray:
        from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

        return worldPoint(ijkToWorld(self.volume), voxel)

    def jump(self, voxel: Any) -> None:
        self.view.node.JumpSliceByCentering(*self.world(voxel))

    def warm(self, voxel: Any) -> None:
        """Go to a slice, and wait until it is embedded."""
        self.jump(voxel)
        session = self.panel.session._target.session
        session.plane(self._plane())._encoder(None)
        self.settle()
        self.view.paint()

    def click(self, voxel: Any) -> None:
        """Click, and wait until the answer is painted."""
        self.view.click(self.world(voxel))
        self.host.process_events()
        self.view.paint()

    def timed(self, name: str, action: Callable[[Any], object], argument: Any) -> None:
        start = time.perf_counter()
        action(argument)
        self.times.setdefault(name, []).append(1000 * (time.perf_counter() - start))

    def press(self, name: str) -> None:
        from Testing.host.user import press

        press(getattr(self.panel.ui, f"{name}Button"))

    def settle(self) -> None:
        self.host.wait_until(lambda: not self.panel.session.isBusy)
        session = self.panel.session._target.session if self.panel.session.hasTarget else None
        if session is not None:
            session.wait()

    @contextmanager
    def beating(self, name: str) -> Iterator[None]:
        """Note the time between the turns of the event loop."""
        import qt

        beats: list[float] = []
        timer = qt.QTimer()
        timer.setInterval(BEAT)
        timer.connect("timeout()", lambda: beats.append(time.perf_counter()))
        timer.start()
        yield
        timer.stop()
        self.times.setdefault(name, []).extend((1000 * np.diff(beats)).tolist())

    def clicks(self) -> None:
        """Clicks on planes of all balls, the first one of each plane and one that corrects it."""
        for number in range(ROUNDS + 1):
            i, j, k, radius = BALLS[number % len(BALLS)]
            middle, beside = (i, j, k + number // len(BALLS)), (i + radius // 2, j, k + number // len(BALLS))
            self.warm(middle)
            for name, voxel in (("click", middle), ("further_click", beside)):
                self.timed(name, self.click, voxel)
                self.settle()

    def plane_changes(self) -> None:
        """Scroll through slices with prompts beside them, while neighbours are being embedded."""
        i, j, k, _ = BALLS[0]
        for number in range(ROUNDS + 1):
            self.panel.session._target.session.plane(self._plane())
            self.timed("plane_change", self._scroll, (i, j, k + 10 + 3 * number))
        self.settle()

    def propagation(self) -> None:
        i, j, k, _ = BALLS[1]
        self.jump((i, j, k))
        self.click((i, j, k))
        self.settle()
        with self.beating("beats_propagation"):
            self.press("propagate")
            self.host.wait_until(lambda: self.panel.session.progress[0] >= PROPAGATED)
            self.press("cancel")
            self.host.wait_until(lambda: not self.panel.session.isBusy)

    def learning(self) -> None:
        """Accept masks under a task, and wait until each is learnt."""
        self.panel.session.setTask("bench")
        self.press("positive")
        for number, (i, j, k, _) in enumerate(BALLS * 2):
            middle = (i, j, k - 2 - number)
            self.warm(middle)
            self.timed("click_task", self.click, middle)
            self.settle()
            with self.beating("beats_learning"):
                self.timed("accept", self.press, "accept")
                self.host.wait_until(lambda: not self.panel.session.isBusy)
        assert len(self.panel.session.task.history) == 2 * len(BALLS)

    def objects(self) -> None:
        """Clicks on the balls as whole objects in segments of their own, corrected in another view and accepted."""
        self.press("object")
        for number in range(ROUNDS + 1):
            i, j, k, radius = BALLS[number % len(BALLS)]
            self.press("newSegment")
            if not self.panel.ui.positiveButton.checked:
                self.press("positive")
            for name, orientation, voxel in (
                ("object_click", "Axial", (i, j, k)),
                ("object_further_click", "Coronal", (i + radius // 2, j, k)),
            ):
                self.view.node.SetOrientation(orientation)
                self.view.node.RotateToVolumePlane(self.volume)
                self.jump(voxel)
                self.host.process_events()
                with self.beating(f"beats_{name}") if number else nullcontext():
                    self.timed(name, self._click_object, voxel)
            self.timed("object_accept", self.press, "accept")
            self.settle()

    def _click_object(self, voxel: Any) -> None:
        self.view.click(self.world(voxel))
        self.host.process_events()
        self.host.wait_until(lambda: not self.panel.session.isPredicting)
        self.view.paint()

    def _scroll(self, voxel: Any) -> None:
        self.jump(voxel)
        self.host.process_events()
        self.view.paint()

    def _plane(self) -> Any:
        from InteractiveAdaptSegLib.VolumeGeometry import slicePlane

        return slicePlane(self.view.node, self.volume)


def measure() -> Times:
    """Everything once, in a scene of its own."""
    import slicer

    with tempfile.TemporaryDirectory() as temporary, a_window(Path(temporary)) as host:
        from Testing.host.slice_view import SliceView
        from Testing.slicer.scenes import add_slice_node

        start = time.perf_counter()
        panel = host.open(MODULE).panel
        opening = 1000 * (time.perf_counter() - start)
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Volume")
        slicer.util.updateVolumeFromArray(volume, np.ascontiguousarray(volume_array().T))
        volume.SetSpacing(SPACING)
        volume.CreateDefaultDisplayNodes()
        panel.choices.node.inputVolume = volume
        node = add_slice_node(slicer.mrmlScene)
        node.RotateToVolumePlane(volume)
        view = SliceView(node, volume)
        bench = Bench(host, view, panel, volume)
        bench.press("slice")
        bench.press("newSegment")
        bench.press("positive")
        bench.times["opening"] = [opening]
        bench.jump(BALLS[0][:3])
        bench.click(BALLS[0][:3])
        bench.settle()
        bench.clicks()
        bench.plane_changes()
        bench.propagation()
        bench.learning()
        bench.objects()
        host.leave()
        view.close()
    return bench.times


def figures(times: Times) -> dict[str, dict[str, float]]:
    """Median, 95th percentile, longest and number of each, the first of several left out as a warm-up."""
    kept = {name: values[1:] if len(values) > 1 else values for name, values in times.items()}
    return {
        name: {
            "median": round(float(np.median(values)), 1),
            "p95": round(float(np.percentile(values, 95)), 1),
            "longest": round(max(values), 1),
            "n": len(values),
        }
        for name, values in kept.items()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = figures(measure())
    for name, of in found.items():
        print(f"{name:20s}", *(f"{key} {value:8.1f}" for key, value in of.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n")
