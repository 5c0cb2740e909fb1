"""`adaptseg segment --object`: clicks in a volume become the mask of the whole object."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from AdaptCore.commands import teaching
from AdaptCore.commands.typed_prompts import parse_click
from AdaptCore.errors import PromptError

if TYPE_CHECKING:
    import numpy as np

    from AdaptCore.commands.teaching import TaskUse
    from AdaptCore.files.geometry import Volume
    from AdaptCore.predict.object_prompts import VolumeClick

ONLY_PLANES = ("box", "axis", "propagate", "window", "user", "candidates", "pick", "report", "all_parts")
"""Arguments that speak of planes, which an object in three dimensions does not know yet."""


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check that nothing is asked for that goes with planes alone.

    Raises:
        PromptError: it is.
    """
    # Compared by identity: axis 0 is given, although it equals False.
    values = {name: getattr(arguments, name) for name in ONLY_PLANES}
    given = [name for name, value in values.items() if value is not None and value is not False and value != []]
    if given:
        raise PromptError(f"--object goes with clicks, --task and --learn alone: leave out --{', --'.join(given)}.")


def voxel_of(click: VolumeClick) -> tuple[int, int, int]:
    """The voxel that was typed."""
    i, j, k = (int(at) for at in click.position)
    return i, j, k


def typed_clicks(clicks: Sequence[str], size: tuple[int, int, int]) -> list[VolumeClick]:
    """Clicks as typed, those on the object first.

    Raises:
        PromptError: one cannot be read, lies outside, or contradicts another; none is on the object; or the volume is
            a picture.
    """
    from AdaptCore.predict.object_prompts import VolumeClick

    if min(size) < 2:
        raise PromptError(f"--object needs a volume of several slices, and this one has {' x '.join(map(str, size))}.")
    found: dict[tuple[int, int, int], bool] = {}
    for text in clicks:
        voxel, positive = parse_click(text, size)
        if found.setdefault(voxel, positive) != positive:
            place = ",".join(map(str, voxel))
            raise PromptError(f"Voxel {place} is clicked as object and as background: leave one of the clicks out.")
    if True not in found.values():
        raise PromptError("--object needs at least one click on the object.")
    ordered = sorted(found.items(), key=lambda item: not item[1])
    return [VolumeClick((float(i), float(j), float(k)), positive) for (i, j, k), positive in ordered]


def segment_object(
    volume: Volume, clicks: Sequence[VolumeClick], arguments: argparse.Namespace
) -> tuple[np.ndarray, TaskUse]:
    """The mask, uint8 (I, J, K), of the object that clicks point at; a task answers, and learns from it with --learn.

    Returns:
        The mask, and the task in use: what it has learnt is not saved yet.

    Raises:
        PromptError: a file that does not say how far its voxels are apart.
        ImageError: a volume in colour.
        ModelError, CheckpointError: a model cannot be loaded.
        TaskError: the task is of another model, or its file cannot be used.
    """
    from AdaptCore.adapt.recipe import VOLUMES
    from AdaptCore.models.registry import load_model, load_volume_model
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.guess import SliceGuess

    if not volume.geometry.has_millimetres:
        raise PromptError(
            "--object needs to know how far the voxels are apart in mm, which the file does not say: add its spacing, "
            "or leave out --object."
        )
    spacing, device = volume.geometry.spacing, arguments.device
    guess = SliceGuess(load_model(arguments.model, device), volume.array, spacing)
    model = load_volume_model(device=device)
    with teaching.begin(arguments, model, VOLUMES, "object") as use:
        session = BlockSession(use.model, volume.array, spacing, guess=guess)
        for click in clicks:
            session.click(*click.position, positive=click.positive)
        assert session.prediction is not None, "typed_clicks gives at least one"
        mask = session.prediction.on(session.shape)
        if use.learner:
            use.learner.learn(session.examples(mask))
            use.learner.wait()
    return mask.astype("uint8"), use
