"""Draws synthetic volumes, kind by kind, to be looked at: the fullest slice of each, with its labels beside it.

`python Testing/contact_sheet.py OUT.png [--count 100] [--side 64] [--seed 0]`.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from AdaptCore.training.fields import Draw, Grid
from AdaptCore.training.interaction import BACKGROUND_LABELS
from AdaptCore.training.scene3d import KINDS, Painting, SceneBatch, background, scenes, through_device

COLUMNS = 10
Scene = Callable[[Draw, Grid], SceneBatch]


def of_kind(paint: Callable[[Painting], None]) -> Scene:
    """Scenes with three objects of one kind."""

    def draw_scene(draw: Draw, grid: Grid) -> SceneBatch:
        painting = background(draw, grid)
        for _ in range(3):
            paint(painting)
        return through_device(painting)

    return draw_scene


def families() -> dict[str, Scene]:
    """Every kind of object alone, then scenes as the training has them."""
    return {paint.__name__.removeprefix("paint_"): of_kind(paint) for _, paint in KINDS} | {"all kinds": scenes}


def tile(scene: SceneBatch) -> np.ndarray:
    """Grey and coloured labels of the slice with most of objects, side by side, (H, 2W, 3) in [0, 1]."""
    fullest = int((scene.labels[0] >= BACKGROUND_LABELS).sum((1, 2)).argmax())
    image, labels = scene.image[0, fullest].numpy(), scene.labels[0, fullest].numpy()
    low, high = np.quantile(image, (0.005, 0.995))
    grey = np.clip((image - low) / max(high - low, 1e-6), 0, 1)[..., None].repeat(3, 2)
    colours = np.where(labels[..., None] < BACKGROUND_LABELS, grey * 0.5, colormaps["tab20"](labels % 20)[..., :3])
    return np.concatenate([grey, colours], 1)


def draw_sheet(count: int, side: int, seed: int) -> Figure:
    """`count` scenes, each family on rows of its own."""
    kinds = families()
    each = max(1, round(count / len(kinds)))
    rows = [(name, start) for name in kinds for start in range(0, each, COLUMNS)]
    figure = Figure(figsize=(2.4 * min(each, COLUMNS), 1.35 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), min(each, COLUMNS), squeeze=False)
    for line, (name, start) in zip(grid, rows):
        line[0].set_title(name, loc="left", fontsize=8)
        for number, axes in enumerate(line, start):
            axes.set_axis_off()
            if number < each:
                draw = torch.Generator().manual_seed(seed + number)
                axes.imshow(tile(kinds[name](draw, Grid.cube(1, side, torch.device("cpu")))))
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="picture to write")
    parser.add_argument("--count", type=int, default=100, help="scenes in all (default: 100)")
    parser.add_argument("--side", type=int, default=64, help="voxels along each side (default: 64)")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw_sheet(arguments.count, arguments.side, arguments.seed).savefig(arguments.out, dpi=100)


if __name__ == "__main__":
    main()
