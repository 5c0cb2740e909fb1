"""`adaptseg train`: train a built-in model on synthetic scenes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands.console import above_zero, add_command, positive, progress_bar, say, whole
from AdaptCore.errors import AdaptSegError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from AdaptCore.training.preference import Asked, LatentTraining
    from AdaptCore.training.trainer import Course, Trainer

MODELS = ("compact", "compact3d")


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "train", "train a built-in model on synthetic images", run)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the checkpoint, the table, its picture and the weights"
    )
    parser.add_argument(
        "--model", choices=MODELS, default="compact", help="compact: planes; compact3d: volumes (default: compact)"
    )
    parser.add_argument("--minutes", type=above_zero, help="stop after this many minutes")
    parser.add_argument(
        "--cool",
        type=float,
        default=0.0,
        metavar="MINUTES",
        help="let the learning rate fall over this many of the minutes, at the end (default: 0)",
    )
    parser.add_argument("--steps", type=positive, help="stop at this step, counted from the beginning of the training")
    parser.add_argument("--seed", type=whole, default=0, help="of scenes, prompts and first weights (default: 0)")
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps (default: the fastest there is)")
    parser.add_argument("--threads", type=positive, help="processor threads (default: all)")
    parser.add_argument(
        "--batch", type=positive, default=1, help="multiplies the images of a step, for a GPU (default: 1)"
    )
    parser.add_argument(
        "--log-every", type=positive, default=500, help="steps between rows of the table (default: 500)"
    )
    parser.add_argument("--resume", action="store_true", help="continue from the folder's checkpoint")
    parser.add_argument(
        "--start", metavar="FILE", type=Path, help="begin with exported weights, at the step that they say"
    )
    parser.add_argument(
        "--preference",
        metavar="MODEL",
        help="train what this model knows of preferences instead, on scenes that several raters draw",
    )
    parser.add_argument("--scenes", type=positive, help="number of these scenes (default: the shipped recipe's)")
    parser.add_argument(
        "--sizes",
        metavar="MODEL",
        help="calibrate how this model chooses between windows of several sizes instead; the weights go to sizes.txt",
    )


def run(arguments: argparse.Namespace) -> None:
    """Train until the given minutes or steps are over, or until it is interrupted, and write the weights.

    Raises:
        AdaptSegError: the folder cannot be written, or its checkpoint is missing, foreign, or there without --resume.
    """
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.preference or arguments.sizes:
        (_train_preference if arguments.preference else _calibrate_sizes)(arguments)
        return
    from AdaptCore.evaluate.drawing import check_installed

    check_installed()
    if arguments.minutes is None and arguments.steps is None:
        raise AdaptSegError("Say how long to train: --minutes 60, or --steps 10000.")
    trainer = _trainer(arguments)
    if arguments.resume:
        trainer.resume()
    elif trainer.checkpoint.exists():
        raise AdaptSegError(f"{arguments.out} holds a training already: add --resume, or choose another folder.")
    elif arguments.start:
        trainer.start_from(arguments.start)
    with progress_bar(arguments.steps, unit="step") as bar:
        bar.update(trainer.step)
        trainer.run(arguments.minutes, arguments.steps, arguments.log_every, arguments.cool, bar)
    weights = arguments.out / f"{arguments.model}.safetensors"
    trainer.export(weights)
    say(f"trained to step {trainer.step} in {trainer.seconds / 60:.0f} minutes: {weights}")


def _trainer(arguments: argparse.Namespace) -> Trainer:
    from AdaptCore.models.devices import choose_device
    from AdaptCore.training.trainer import Trainer

    return Trainer(_course(arguments), arguments.out, choose_device(arguments.device))


def _course(arguments: argparse.Namespace) -> Course:
    if arguments.model == "compact":
        from AdaptCore.models.compact import CompactConfig
        from AdaptCore.training.plane_course import PlaneCourse, PlaneRecipe

        return PlaneCourse(PlaneRecipe(seed=arguments.seed, times=arguments.batch), CompactConfig())
    from AdaptCore.models.volumetric import VolumetricConfig
    from AdaptCore.training.volume_course import VolumeCourse, VolumeRecipe

    return VolumeCourse(VolumeRecipe(seed=arguments.seed, times=arguments.batch), VolumetricConfig())


def _train_preference(arguments: argparse.Namespace) -> None:
    from AdaptCore.atomic import prepare_folder
    from AdaptCore.preference.latent import write_latent
    from AdaptCore.training.preference import LatentTraining, train_latent

    path = arguments.out / "preference.safetensors"
    prepare_folder(arguments.out, (path.name,))
    if path.exists():
        raise AdaptSegError(f"{path} is there already: choose another folder.")
    config = LatentTraining(seed=arguments.seed)
    config = replace(config, scenes=arguments.scenes or config.scenes)
    with progress_bar(config.scenes, unit="scene") as bar:
        digest, asked = _asked(arguments, config, bar.update)
        write_latent(path, train_latent(digest, list(asked), config))
    say(f"trained on {config.scenes} scenes: {path}")


def _asked(
    arguments: argparse.Namespace, config: LatentTraining, advanced: Callable[[], object]
) -> tuple[str, Iterator[Asked]]:
    """The digest of the model whose preferences are trained, and what it is asked."""
    from AdaptCore.models.base import ReadoutModel
    from AdaptCore.models.registry import answers_planes, load_model, load_volume_model
    from AdaptCore.training.object_preference import ask_objects
    from AdaptCore.training.preference import ask

    if not answers_planes(arguments.preference):
        volumes = load_volume_model(arguments.preference, arguments.device)
        return volumes.digest, ask_objects(volumes, config, advanced)
    planes = load_model(arguments.preference, arguments.device)
    if not isinstance(planes, ReadoutModel):
        raise AdaptSegError(f"{arguments.preference} has no readout to train for: take the built-in model.")
    return planes.digest, ask(planes, config, advanced)


def _calibrate_sizes(arguments: argparse.Namespace) -> None:
    from AdaptCore.atomic import prepare_folder, write_bytes
    from AdaptCore.models.base import BatchModel
    from AdaptCore.models.registry import load_model
    from AdaptCore.training.sizes import Recipe, calibrate

    path = arguments.out / "sizes.txt"
    prepare_folder(arguments.out, (path.name,))
    model = load_model(arguments.sizes, arguments.device)
    if not isinstance(model, BatchModel):
        raise AdaptSegError(f"{arguments.sizes} looks at whole planes only. Choose the built-in model.")
    recipe = Recipe()
    if arguments.scenes:
        recipe = replace(recipe, wide_scenes=arguments.scenes, filled_scenes=arguments.scenes)
    with progress_bar(recipe.wide_scenes + recipe.filled_scenes, unit="scene") as bar:
        found = calibrate(model, recipe, arguments.seed, bar.update)
    write_bytes(path, found.encode())
    say(*found.splitlines())
    say(f"calibrated: {path}")
