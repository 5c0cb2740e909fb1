"""Memory and click time of long work: 1,000 clicks, 600 propagated planes of 512 x 512, 200 clicks on one plane.

`python Testing/bench_memory.py --json FILE`, on Linux.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch

from AdaptCore.models.base import Model
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.volume import VolumeSession
from Testing.toy_model import ToyModel

MEGABYTE = 2**20
CACHE = 64 * MEGABYTE
CLICKS_ON_A_PLANE = 20


def resident() -> float:
    """Megabytes of this process in memory (Linux)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * 4096 / MEGABYTE


def cylinder(side: int, planes: int, seed: int) -> np.ndarray:
    """int16 (i, j, k): a bright cylinder through all planes on dark ground, with noise."""
    i, j = np.ogrid[:side, :side]
    inside = ((i - side / 2) / (side / 6)) ** 2 + ((j - side / 2) / (side / 8)) ** 2 <= 1
    plane = np.where(inside, 500, 0) + np.random.default_rng(seed).normal(0, 30, (side, side))
    return np.repeat(plane.astype(np.int16)[:, :, None], planes, axis=2).copy(order="F")


def clicks_around(side: int, count: int, seed: int) -> list[tuple[float, float, bool]]:
    """A click in the middle, then clicks on both sides of the cylinder's border (x, y, positive)."""
    rng = np.random.default_rng(seed)
    angles, shares = rng.uniform(0, 2 * np.pi, count), rng.uniform(0.7, 1.3, count)
    x, y = side / 2 + side / 6 * shares * np.cos(angles), side / 2 + side / 8 * shares * np.sin(angles)
    return [(side / 2, side / 2, True), *zip(x.tolist(), y.tolist(), (shares < 1).tolist())][:count]


def measure(model: Model, side: int = 512, planes: int = 600, clicks: int = 1000, seed: int = 0) -> dict[str, Any]:
    """Megabytes above volume and cache after each part of the work, and processor milliseconds of clicks."""
    volume = cylinder(side, planes, seed)
    cache = EmbeddingCache(CACHE)
    with VolumeSession(model, volume, cache=cache, precompute=0) as session:
        session.plane(axis_plane(volume.shape, 2, 0)).click(side / 2, side / 2)
        start = resident() - cache.nbytes / MEGABYTE
        found: dict[str, Any] = {"volume_mb": volume.nbytes / MEGABYTE, "planes": planes, "clicks": clicks}

        def above() -> float:
            return round(resident() - cache.nbytes / MEGABYTE - start, 1)

        found["click_ms"] = click_times(session, axis_plane(volume.shape, 2, 0), side, seed)
        for index in range(clicks // CLICKS_ON_A_PLANE):
            plane = session.plane(axis_plane(volume.shape, 2, index % planes))
            for x, y, positive in clicks_around(side, CLICKS_ON_A_PLANE, seed + index):
                plane.click(x, y, positive)
        found["after_clicks_mb"] = above()
        middle = axis_plane(volume.shape, 2, planes // 2)
        session.plane(middle).click(side / 2, side / 2)
        session.accept(middle)
        found["propagated"] = len(session.propagate(2, planes // 2).masks)
        found["after_propagation_mb"] = above()
        session.undo()
        session.redo()
        found["after_undo_mb"] = above()
    return found


def click_times(session: VolumeSession, geometry: Any, side: int, seed: int, count: int = 200) -> dict[str, float]:
    """Median processor milliseconds of ten clicks, up to the 20th and up to the 200th on one plane, and of a stroke."""
    plane, times = session.plane(geometry), []
    for x, y, positive in clicks_around(side, count, seed):
        start = time.thread_time()
        plane.click(x, y, positive)
        times.append(1000 * (time.thread_time() - start))
    start = time.thread_time()
    plane.scribble([(x, y) for x, y, positive in clicks_around(side, 300, seed + 1) if positive])
    stroke = 1000 * (time.thread_time() - start)
    return {
        "20th": round(float(np.median(times[10:20])), 1),
        "200th": round(float(np.median(times[-10:])), 1),
        "stroke": round(stroke, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=("toy", "compact"), default="compact")
    parser.add_argument("--planes", type=int, default=600)
    parser.add_argument("--clicks", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="where to write the figures")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(_model(chosen.model), planes=chosen.planes, clicks=chosen.clicks)
    print(json.dumps(found, indent=2))
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=2))


def _model(name: str) -> Model:
    from AdaptCore.models.registry import load_model

    return ToyModel() if name == "toy" else load_model()


if __name__ == "__main__":
    main()
