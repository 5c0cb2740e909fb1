"""Calibration of the choice between windows of several sizes, on synthetic planes alone: `adaptseg train --sizes`.

The weights of `AdaptCore.predict.sizes` are those that make the IoU which a choice by their odds can expect highest.
Those for planes of known spacing are learnt from wide scenes, those for pictures from scenes that fill their plane. Run
it again when the model's weights change.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

import numpy as np

from AdaptCore.models.base import BatchModel
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.masks import binarize, depth, iou
from AdaptCore.predict.plane import PlaneEncoder, looks_at_sizes
from AdaptCore.predict.sizes import PICTURE, SCAN, SizePolicy
from AdaptCore.prompts import Click, Prompts
from AdaptCore.training.calibration import Sample, report
from AdaptCore.training.synthetic import SceneGenerator, TextureBank
from AdaptCore.training.wide import WideGenerator


@dataclass(frozen=True)
class Recipe:
    """How the weights are calibrated (ours).

    Attributes:
        wide_scenes, filled_scenes: how many there are of each family.
        textures: random fields that scenes are painted with.
        wide_sides: of the wide planes in pixels, one of them by chance.
        filled_side: of the scenes that fill their plane.
        wide_targets, filled_targets: most objects that are clicked in a scene of each family.
        least_pixels: smaller objects are not clicked.
        middle: share of the clicks that lie in the very middle of the object; the others lie anywhere in it.
        largest: side of the largest window as a share of the plane's, from and to; each next one is half as large.
        least_side: shortest side of a window in pixels.
        ridge: weight of the squared weights, of evidence of unit deviation, against the IoU.
    """

    wide_scenes: int = 360
    filled_scenes: int = 250
    textures: int = 48
    wide_sides: tuple[int, ...] = (256, 384, 512)
    filled_side: int = 256
    wide_targets: int = 3
    filled_targets: int = 2
    least_pixels: int = 30
    middle: float = 0.5
    largest: tuple[float, float] = (0.35, 0.7)
    least_side: int = 32
    ridge: float = 4e-3


def samples(
    model: BatchModel, wide: bool, seed: int, recipe: Recipe, advanced: Callable[[], object] | None = None
) -> Iterator[Sample]:
    """Clicks on the objects of seeded scenes, wide ones or those that fill their plane.

    Args:
        advanced: called after each scene.
    """
    textures = TextureBank(seed, recipe.textures)
    for number in range(recipe.wide_scenes if wide else recipe.filled_scenes):
        rng = np.random.default_rng([seed + (1 if wide else 2), number])
        side = int(rng.choice(recipe.wide_sides)) if wide else recipe.filled_side
        scene = (WideGenerator if wide else SceneGenerator)(side, textures).scene(rng)
        height, width = scene.valid_shape
        masks = [target.mask[:height, :width] for target in scene.targets]
        masks = [mask for mask in masks if mask.sum() >= recipe.least_pixels]
        image = np.ascontiguousarray(scene.image[:height, :width])
        encoder = PlaneEncoder(model, image, EmbeddingCache())
        for place in rng.permutation(len(masks))[: recipe.wide_targets if wide else recipe.filled_targets]:
            yield _sample(model, encoder, masks[place], number, rng, recipe)
        if advanced:
            advanced()


def _sample(
    model: BatchModel, encoder: PlaneEncoder, truth: np.ndarray, scene: int, rng: np.random.Generator, recipe: Recipe
) -> Sample:
    prompts = Prompts((_click(truth, rng, recipe.middle),))
    share, shares = rng.uniform(*recipe.largest), []
    while share * max(truth.shape) >= recipe.least_side:
        shares.append(share)
        share /= 2
    sizes = SizePolicy(shares=tuple(shares), min_side=recipe.least_side)
    looks, evidence = looks_at_sizes(model, encoder, prompts, None, sizes)
    ious = [iou(truth, binarize(look.logits.numpy())) for look in looks]
    return Sample(scene, np.array([astuple(each) for each in evidence]), np.array(ious))


def _click(truth: np.ndarray, rng: np.random.Generator, middle: float) -> Click:
    inward = depth(truth)
    at = int(inward.argmax())
    if rng.random() >= middle:
        cumulated = np.cumsum(inward.ravel() ** 2)
        at = min(int(np.searchsorted(cumulated, rng.random() * cumulated[-1])), inward.size - 1)
    row, column = np.unravel_index(at, truth.shape)
    return Click(float(column), float(row))


def calibrate(model: BatchModel, recipe: Recipe, seed: int, advanced: Callable[[], object]) -> str:
    """Both sets of weights as code, with how well they choose; `advanced` is called after each scene."""
    reports = []
    for name, wide, present in (("SCAN", True, SCAN), ("PICTURE", False, PICTURE)):
        clicked = list(samples(model, wide, seed, recipe, advanced))
        reports.append(report(name, clicked, present, recipe.ridge, "whole plane"))
    return "\n".join(reports) + "\n"
