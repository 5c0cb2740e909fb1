"""Calibration of the choice between openings of an object, on synthetic volumes: `adaptseg train --sizes compact3d`.

Run it again when the weights of either model change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from AdaptCore.models.base import Model
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.guess import SliceGuess
from AdaptCore.predict.masks import iou
from AdaptCore.predict.object_prompts import ObjectPrompts, VolumeClick
from AdaptCore.predict.openings import OPENING
from AdaptCore.predict.windows import Triple
from AdaptCore.training.calibration import Sample, report
from AdaptCore.training.fields import Draw, Grid, chance, log_uniform
from AdaptCore.training.interaction import choose_targets, click_weights, pick
from AdaptCore.training.scene3d import scenes


@dataclass(frozen=True)
class Recipe:
    """How the weights are calibrated (ours).

    Attributes:
        scenes: how many synthetic volumes.
        sides: of the volumes in voxels, one of them by chance.
        targets: objects that are clicked in each.
        spacing: of the voxels in millimetres, from and to.
        thick: share of volumes with thick slices along one axis, and how many voxels become one at most.
        middle: share of the clicks that lie in the very middle of the object; the others lie anywhere in it.
        ridge: weight of the squared weights, of evidence of unit deviation, against the IoU.
    """

    scenes: int = 200
    sides: tuple[int, ...] = (80, 112, 144)
    targets: int = 3
    spacing: tuple[float, float] = (0.5, 3.0)
    thick: tuple[float, int] = (0.35, 5)
    middle: float = 0.5
    ridge: float = 4e-3


def samples(
    model: VolumetricModel, planes: Model, seed: int, recipe: Recipe, advanced: Callable[[], object] | None = None
) -> Iterator[Sample]:
    """Clicks on the objects of seeded volumes.

    Args:
        planes: guesses the slices through a click.
        advanced: called after each volume.
    """
    for number in range(recipe.scenes):
        draw = torch.Generator().manual_seed(seed * 1_000_003 + number)
        side = recipe.sides[int(torch.randint(0, len(recipe.sides), (), generator=draw))]
        scene = scenes(draw, Grid.cube(1, side, torch.device("cpu")))
        targets = choose_targets(draw, scene, recipe.targets)
        thickness = _thickness(draw, recipe)
        space = float(log_uniform(draw, *recipe.spacing, 1))
        spacing = (space * thickness[0], space * thickness[1], space * thickness[2])
        volume = _thicker(scene.image, thickness)[0].numpy()
        guess = SliceGuess(planes, volume, spacing)
        truths = _thicker(targets.mask, thickness) >= 0.5
        middle = chance(draw, recipe.middle, len(truths))
        clicks = pick(draw, click_weights(truths), middle)
        for truth, click in zip(truths, clicks):
            if truth.any():
                yield _sample(BlockSession(model, volume, spacing, guess=guess), truth.numpy(), click, number)
        if advanced:
            advanced()


def _sample(session: BlockSession, truth: np.ndarray, click: Tensor, scene: int) -> Sample:
    i, j, k = (float(np.clip(at, 0, length - 1)) for at, length in zip(click.tolist(), truth.shape))
    _, answers, found = session.openings(ObjectPrompts((VolumeClick((i, j, k)),)))
    ious = [iou(truth, session.voxels(answer)) for answer in answers]
    return Sample(scene, np.array([astuple(each) for each in found]), np.array(ious))


def _thickness(draw: Draw, recipe: Recipe) -> tuple[int, int, int]:
    """Voxels that become one along each axis."""
    thickness = [1, 1, 1]
    share, most = recipe.thick
    if torch.rand((), generator=draw) < share:
        axis = int(torch.randint(0, 3, (), generator=draw))
        thickness[axis] = int(torch.randint(2, most + 1, (), generator=draw))
    return thickness[0], thickness[1], thickness[2]


def _thicker(volumes: Tensor, thickness: Triple) -> Tensor:
    """B x D x H x W with voxels that are thicker along some axes."""
    step = tuple(int(value) for value in thickness)
    return volumes if max(step) == 1 else torch.nn.functional.avg_pool3d(volumes[:, None], step, step)[:, 0]


def calibrate(model: VolumetricModel, planes: Model, recipe: Recipe, seed: int, advanced: Callable[[], object]) -> str:
    """The weights as code, with how well they choose; `advanced` is called after each volume."""
    clicked = list(samples(model, planes, seed, recipe, advanced))
    return report("OPENING", clicked, OPENING, recipe.ridge, "smallest window") + "\n"
