"""Questions about synthetic volumes whose objects several raters outline, to train the latent space on (ours)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.models.base import Canvas
from AdaptCore.models.volumetric import WINDOW_SIDE, VolumetricModel
from AdaptCore.predict.block import BlockSession, WindowPolicy
from AdaptCore.predict.masks import depth
from AdaptCore.predict.windows import sample
from AdaptCore.training.fields import Grid
from AdaptCore.training.interaction import choose_targets
from AdaptCore.training.preference import Asked, LatentTraining, asked_of
from AdaptCore.training.raters import draw, random_style
from AdaptCore.training.scene3d import scenes

SPACING = (1.0, 1.0, 1.0)
EDGE = 1.0
"""Width of the objects' soft edge in voxels."""

POLICY = WindowPolicy(sizes=(float(WINDOW_SIDE),), more=0)
"""Each object is asked for in the window that its scene fills, as in training."""


def ask_objects(model: VolumetricModel, config: LatentTraining, advanced: Callable[[], object]) -> Iterator[Asked]:
    """Questions of a user who clicks as the first rater of each scene would draw; see `preference.ask`."""
    for index in range(config.scenes):
        rng, chance = np.random.default_rng([config.seed, index]), torch.Generator().manual_seed(index + config.seed)
        scene = scenes(chance, Grid.cube(1, WINDOW_SIDE, torch.device("cpu")))
        truth = (choose_targets(chance, scene, 1).truth[0] & scene.inside[0]).numpy()
        masks = [draw(truth, EDGE, random_style(rng)) for _ in range(config.raters)]
        if masks[0].any():
            yield from _questions(model, scene.image[0].numpy(), masks, config.clicks)
        advanced()


def _questions(model: VolumetricModel, volume: np.ndarray, masks: Sequence[np.ndarray], clicks: int) -> Iterator[Asked]:
    session = BlockSession(model, volume, SPACING, POLICY)
    present = np.zeros_like(masks[0])
    for _ in range(clicks):
        missed, wrong = depth(masks[0] & ~present), depth(present & ~masks[0])
        worst = np.maximum(missed, wrong)
        place = np.unravel_index(int(worst.argmax()), worst.shape)
        if not worst.any() or not (present.any() or masks[0][place]):
            return
        i, j, k = map(float, place)
        prediction = session.click(i, j, k, bool(masks[0][place]))
        present, question = prediction.on(session.shape), session.question
        assert question is not None
        wanted = torch.stack([sample(mask, prediction.window)[0] for mask in masks])
        inside = torch.from_numpy(question.embedding.inside(model.mask_side)).float()
        halves = F.avg_pool3d(wanted, 2) >= 0.5, F.avg_pool3d(inside[None], 2)[0] >= 0.5
        yield from asked_of(_halved(model.canvas(question)), *halves, question.is_opening)


def _halved(canvas: Canvas) -> Canvas:
    """A canvas at half the resolution, as logits are linear in its features: an eighth of the memory."""
    return replace(canvas, features=F.avg_pool3d(canvas.features, 2))
