"""`adaptseg segment` in three dimensions: clicks in a volume become the mask of the whole object."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from AdaptCore.commands import advising, teaching
from AdaptCore.commands.console import counted
from AdaptCore.commands.offering import OBJECT
from AdaptCore.commands.typed_prompts import parse_object_box, parse_object_pick, read_clicks
from AdaptCore.errors import PromptError

if TYPE_CHECKING:
    import numpy as np

    from AdaptCore.commands.advising import Advice
    from AdaptCore.commands.offering import CandidateFolder
    from AdaptCore.commands.teaching import TaskUse
    from AdaptCore.evaluate.report import Report
    from AdaptCore.files.geometry import Geometry, Volume
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.intensity import Window
    from AdaptCore.predict.object_prompts import Extent, VolumeClick

HINT = "Add --slice to segment planes."


def is_asked_for(arguments: argparse.Namespace, geometry: Geometry) -> bool:
    """Whether the command is about the whole object: in volumes of several slices, unless planes are asked for."""
    return not (arguments.slice or arguments.propagate or geometry.is_flat)


@dataclass(frozen=True, eq=False)
class TypedObject:
    """What was typed about an object.

    Attributes:
        clicks: those on the object first.
        box: None where none was typed.
        picks: numbers of candidates, from 1, one of each round.
    """

    clicks: tuple[VolumeClick, ...]
    box: Extent | None
    picks: tuple[int, ...]

    @classmethod
    def of(cls, arguments: argparse.Namespace, clicks: Sequence[str], volume: Volume) -> TypedObject:
        """Read clicks, box and picks.

        Raises:
            PromptError: one cannot be read, lies outside, or contradicts another; nothing is on the object; an option
                is about planes; or the file does not say how far its voxels are apart.
            ImageError: a volume in colour.
        """
        _check_volume(volume)
        if arguments.axis is not None:
            raise PromptError(f"--axis {arguments.axis} is about planes, and clicks give the whole object. {HINT}")
        if len(arguments.box) > 1:
            raise PromptError(f"Expected one box around the whole object, got {len(arguments.box)}. {HINT}")
        size = volume.geometry.size
        low, high = parse_object_box(arguments.box[0], size) if arguments.box else ((), ())
        box = ((low[0], low[1], low[2]), (high[0], high[1], high[2])) if low else None
        found = typed_clicks(clicks, size)
        if not box and not any(click.positive for click in found):
            raise PromptError("Expected at least one click on the object (--click) or a box (--box), got none.")
        return cls(tuple(found), box, tuple(map(parse_object_pick, arguments.pick)))


def _check_volume(volume: Volume) -> None:
    from AdaptCore.errors import ImageError

    if volume.array.ndim != 3:
        raise ImageError(f"Whole objects need a volume in grey, and this one is in colour. {HINT}")
    if not volume.geometry.has_millimetres:
        raise PromptError(
            "Whole objects need to know how far the voxels are apart in mm, which the file does not say: add its "
            "spacing, or add --slice to segment planes."
        )


def voxel_of(click: VolumeClick) -> tuple[int, int, int]:
    """The voxel that was typed."""
    i, j, k = (int(at) for at in click.position)
    return i, j, k


def typed_clicks(clicks: Sequence[str], size: tuple[int, int, int]) -> list[VolumeClick]:
    """Clicks as typed, those on the object first.

    Raises:
        PromptError: one cannot be read, lies outside, or contradicts another.
    """
    from AdaptCore.predict.object_prompts import VolumeClick

    ordered = sorted(dict.fromkeys(read_clicks(clicks, size)), key=lambda click: not click[1])
    return [VolumeClick((float(i), float(j), float(k)), positive) for (i, j, k), positive in ordered]


@dataclass(frozen=True, eq=False)
class SegmentedObject:
    """What was segmented; nothing that was learnt is saved yet.

    Attributes:
        mask: uint8 (I, J, K).
        score: the model's estimate of its IoU with the object.
    """

    mask: np.ndarray
    score: float
    use: TaskUse
    advice: Advice

    @property
    def label(self) -> str:
        """What answered, for people."""
        return self.use.model_label + self.advice.label


def segment_object(
    volume: Volume,
    typed: TypedObject,
    arguments: argparse.Namespace,
    window: Window | None = None,
    folder: CandidateFolder | None = None,
) -> SegmentedObject:
    """The object that was typed; task and user answer, and learn from it with --learn.

    Args:
        window: intensities that the model of planes sees, which guesses slices; None for the usual ones.
        folder: takes the candidates.

    Raises:
        PromptError: there is no candidate of a number that was picked.
        ModelError, CheckpointError: a model cannot be loaded.
        TaskError, ProfileError: task or profile is of another model, or its file cannot be used.
        OutputError: the folder cannot be written.
    """
    from AdaptCore.adapt.recipe import VOLUMES
    from AdaptCore.models.registry import load_model, load_volume_model
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.guess import SliceGuess
    from AdaptCore.predict.intensity import auto_window

    spacing, device = volume.geometry.spacing, arguments.device
    guess = SliceGuess(load_model(arguments.model, device), volume.array, spacing, window)
    model = load_volume_model(device=device)
    with teaching.begin(arguments, model, VOLUMES, "object") as use:
        advice = advising.begin(arguments, model, "object")
        if folder:
            folder.prepare([OBJECT])
        session = BlockSession(
            use.model,
            volume.array,
            spacing,
            guess=guess,
            only_pointed=not arguments.all_parts,
            preference=advice.preference,
        )
        _prompt(session, typed)
        if advice.adviser:
            rounds = advice.picked(session, None, typed.picks)
            if folder:
                folder.note_object(rounds, session, window or auto_window(volume.array))
        assert session.prediction is not None, "something was typed"
        mask = session.prediction.on(session.shape)
        examples = session.examples(mask) if arguments.learn else []
        if use.learner and examples:
            use.learner.learn(examples, use.image_name)
            use.learner.wait()
        if advice.preference and examples:
            advice.preference.learn(session.model, examples)
    return SegmentedObject(mask.astype("uint8"), session.prediction.score, use, advice)


def _prompt(session: BlockSession, typed: TypedObject) -> None:
    if typed.box:
        session.box(*typed.box)
    for click in typed.clicks:
        session.click(*click.position, positive=click.positive)


def make_report(volume: Volume, found: SegmentedObject, typed: TypedObject, window: Window | None, mask: str) -> Report:
    """The page for one object.

    Args:
        window: intensities from black to white, None for the usual ones.
        mask: its size in words.
    """
    from AdaptCore.evaluate.pictures import Scene
    from AdaptCore.evaluate.report import Report, object_pictures
    from AdaptCore.evaluate.users import VoxelClick
    from AdaptCore.predict.intensity import auto_window

    geometry, shown = volume.geometry, window or auto_window(volume.array)
    clicks = [VoxelClick(voxel_of(click), click.positive) for click in typed.clicks]
    scene = Scene(volume.array, geometry, shown, found.mask, clicks)
    sides = " x ".join(f"{side:.3g}" for side in geometry.spacing)
    prompts = [counted(len(clicks), "click"), *(["1 box"] if typed.box else [])]
    prompts += [counted(len(typed.picks), "pick")] if typed.picks else []
    facts = [
        ("Image", f"{geometry.shape_text} voxels of {sides} mm"),
        ("Intensities", f"{shown.low:g} to {shown.high:g}"),
        ("Model", found.label),
        ("Prompts", ", ".join(prompts)),
        ("Mask", mask),
        ("Predicted agreement", f"IoU {found.score:.2f}, the model's own estimate"),
    ]
    return Report("Segmentation", "One object, segmented in three dimensions.", facts, object_pictures(scene))
