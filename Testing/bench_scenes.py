"""Measures how much of a training step goes into drawing its scenes, for each model and stage.

`python Testing/bench_scenes.py [--device cpu] [--steps 5]`. One line each: seconds of a step, and the share of scenes.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from unittest import mock

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AdaptCore.models.compact import CompactConfig
from AdaptCore.models.devices import choose_device, choose_dtype
from AdaptCore.models.volumetric import VolumetricConfig
from AdaptCore.training import plane_course, volume_course
from AdaptCore.training.trainer import Course


def wait_for(device: torch.device) -> None:
    """Until the device has computed what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure(course: Course, module: object, first: int, steps: int, device: torch.device) -> tuple[float, float]:
    """Seconds of a step, forward and backward, and of its scenes; means after one step that is not counted."""
    network, drawn = course.network().to(device), 0.0
    scenes = module.scenes  # type: ignore[attr-defined]
    dtype = choose_dtype(device)

    def timed(*arguments: object) -> object:
        nonlocal drawn
        wait_for(device)
        began = time.perf_counter()
        scene = scenes(*arguments)
        wait_for(device)
        drawn += time.perf_counter() - began
        return scene

    with mock.patch.object(module, "scenes", timed):
        for step in range(first, first + steps + 1):
            if step == first + 1:
                drawn, began = 0.0, time.perf_counter()
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss, _ = course.loss(network, step, device)
            loss.backward()
            wait_for(device)
    return (time.perf_counter() - began) / steps, drawn / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps (default: the fastest there is)")
    parser.add_argument("--steps", type=int, default=5, help="steps of each stage (default: 5)")
    parser.add_argument("--threads", type=int, help="processor threads (default: all)")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    courses: list[tuple[Course, object]] = [
        (plane_course.PlaneCourse(plane_course.PlaneRecipe(), CompactConfig()), plane_course),
        (volume_course.VolumeCourse(volume_course.VolumeRecipe(), VolumetricConfig()), volume_course),
    ]
    for course, module in courses:
        first = 0
        for stage in course.recipe.stages:
            whole, scenes = measure(course, module, first, arguments.steps, device)
            print(f"{course.architecture:10} side {stage.side:3}: {whole:6.2f} s a step, scenes {scenes / whole:4.0%}")
            first += stage.steps


if __name__ == "__main__":
    main()
