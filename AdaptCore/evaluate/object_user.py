"""The simulated user of an object: one click, then the best of the candidates where one of them is better (ours)."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np

from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.users import VoxelClick, first_voxel
from AdaptCore.io import Volume
from AdaptCore.models.base import Model
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.guess import SliceGuess
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.latent import latent_of
from AdaptCore.preference.profile import Profile


@dataclass(frozen=True, eq=False)
class ObjectRun:
    """What the user did and got.

    Attributes:
        click: the only one.
        first_dice, first_seconds: of the answer to it, and until it was there.
        picked: number of the candidate that was picked, from 1; None where none was better.
        mask: bool (I, J, K) in the end.
        dice, seconds: of it, and of click and candidates together.
    """

    click: VoxelClick
    first_dice: float
    first_seconds: float
    picked: int | None
    mask: np.ndarray
    dice: float
    seconds: float


def click_and_pick(model: VolumetricModel, planes: Model, volume: Volume, truth: np.ndarray, seed: int) -> ObjectRun:
    """Click once in the middle of an object, bool (I, J, K), and pick the candidate that agrees best with it.

    Args:
        planes: a model of planes that guesses slices.
        seed: of the place, where several are as deep, and of the candidates.
    """
    spacing = volume.geometry.spacing
    click = first_voxel(truth, spacing, np.random.default_rng(seed))
    latent = latent_of(model.digest)
    adviser = Adviser(Profile.fresh("", "", space_of(model, latent)), latent, seed=seed)
    session = BlockSession(model, volume.array, spacing, guess=SliceGuess(planes, volume.array, spacing))
    started = perf_counter()
    first = session.click(*click.voxel).on(session.shape)
    answered = perf_counter()
    masks = [first, *(look.on(session.shape) for look in adviser.ask(session).looks)]
    offered = perf_counter()
    agreement = [dice(truth, mask) for mask in masks]
    best = int(np.argmax(agreement))
    return ObjectRun(
        click, agreement[0], answered - started, best or None, masks[best], agreement[best], offered - started
    )
