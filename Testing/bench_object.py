"""Seconds and memory of clicks in volumes: `python Testing/bench_object.py [--json FILE] [--sizes IxJxK,...]`.

The time of a click is that of windows, networks and mask together. It should be the same on a small and a large volume,
and a later click should cost less than half of the first one.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from pathlib import Path

import numpy as np
import torch

from AdaptCore.models.registry import load_model, load_volume_model
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.guess import SliceGuess

SPACING = (0.8, 0.8, 1.0)


def a_volume(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Noise with bright balls of 12 mm every 60 mm, int16."""
    volume = np.empty(shape, np.int16)
    axes = np.ogrid[tuple(slice(side) for side in shape)]
    for k in range(shape[2]):
        away = sum(((axis * step) % 60 - 30) ** 2 for axis, step in zip((*axes[:2], k), SPACING))
        volume[:, :, k] = 200 * (away < 144).squeeze(-1) + rng.normal(0, 40, shape[:2])
    return volume


def measure(shape: tuple[int, ...], objects: int, rng: np.random.Generator) -> dict[str, object]:
    """Seconds of first and later clicks on some objects, and the growth of memory beside the volume in MB."""
    volume = a_volume(shape, rng)
    model, guess = load_volume_model(), SliceGuess(load_model(), volume, SPACING)
    before = peak()
    first, later = [], []
    for number in range(objects + 1):
        centre = [
            int(30 / step + 60 / step * rng.integers(0, int(side * step) // 60)) for side, step in zip(shape, SPACING)
        ]
        session = BlockSession(model, volume, SPACING, guess=guess)
        for click in range(5):
            place = [at + int(rng.integers(-4, 5)) * (click > 0) for at in centre]
            started = time.perf_counter()
            session.click(*place, positive=True)
            if number:  # the first object warms up
                (later if click else first).append(time.perf_counter() - started)
    return {
        "shape": list(shape),
        "first": spread(first),
        "later": spread(later),
        "megabytes": round(peak() - before),
        "threads": torch.get_num_threads(),
    }


def spread(seconds: list[float]) -> dict[str, float]:
    return {"median": round(float(np.median(seconds)), 3), "p95": round(float(np.percentile(seconds, 95)), 3)}


def peak() -> float:
    """Most memory so far in MB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sizes", default="128x128x128,512x512x800")
    parser.add_argument("--objects", type=int, default=12)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    shapes = [tuple(int(side) for side in text.split("x")) for text in arguments.sizes.split(",")]
    results = [measure(shape, arguments.objects, rng) for shape in shapes]
    for result in results:
        print(result)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
