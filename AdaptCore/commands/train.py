"""`adaptseg train`: train the built-in model on synthetic scenes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from AdaptCore.commands.console import add_command, positive, progress_bar, say, whole
from AdaptCore.errors import AdaptSegError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(subparsers, "train", "train the built-in model on synthetic images", run)
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoint, log.csv and exported weights")
    parser.add_argument(
        "--stages",
        type=parse_stages,
        help="SIDE:BATCH:STEPS,... one run of steps per image side (default: the shipped model's recipe)",
    )
    parser.add_argument("--seed", type=whole, default=0, help="seed of everything random (default: %(default)s)")
    parser.add_argument("--device", help="cpu, cuda, cuda:N or mps (default: the fastest there is)")
    parser.add_argument(
        "--threads", type=positive, help="processor threads of the network (data has a process of its own)"
    )
    parser.add_argument("--log-every", type=positive, default=500, help="steps between rows of the table")
    parser.add_argument("--resume", action="store_true", help="continue from the folder's checkpoint")
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


def parse_stages(text: str) -> tuple[tuple[int, int, int], ...]:
    try:
        stages = tuple(tuple(int(number) for number in part.split(":")) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: SIDE:BATCH:STEPS,... in whole numbers is wanted") from error
    if any(len(stage) != 3 or min(stage) < 1 or stage[0] % 16 for stage in stages):
        raise argparse.ArgumentTypeError(f"{text!r}: SIDE:BATCH:STEPS,... with SIDE a multiple of 16 is wanted")
    return stages  # type: ignore[return-value]


def run(arguments: argparse.Namespace) -> None:
    """Train, with a checkpoint on the way, and write the weights.

    Raises:
        AdaptSegError: the folder cannot be written, or its checkpoint is missing, foreign, or there without --resume.
    """
    import torch

    from AdaptCore.models.compact import CompactConfig
    from AdaptCore.models.devices import choose_device
    from AdaptCore.training.train import Stage, Trainer, TrainingConfig

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    if arguments.preference or arguments.sizes:
        (_train_preference if arguments.preference else _calibrate_sizes)(arguments)
        return
    config = TrainingConfig(seed=arguments.seed)
    if arguments.stages:
        config = TrainingConfig(stages=tuple(Stage(*stage) for stage in arguments.stages), seed=arguments.seed)
    trainer = Trainer(config, CompactConfig(), arguments.out, choose_device(arguments.device))
    if arguments.resume:
        trainer.resume()
    elif trainer.checkpoint.exists():
        raise AdaptSegError(f"{arguments.out} holds a training already: --resume or another folder is wanted")
    trainer.run(arguments.log_every)
    weights = arguments.out / "compact.safetensors"
    trainer.export(weights)
    say(f"trained to step {trainer.step} in {trainer.seconds / 60:.0f} minutes: {weights}")


def _train_preference(arguments: argparse.Namespace) -> None:
    from AdaptCore.atomic import prepare_folder
    from AdaptCore.models.base import ReadoutModel
    from AdaptCore.models.registry import load_model
    from AdaptCore.preference.latent import write_latent
    from AdaptCore.training.preference import LatentTraining, train_latent

    path = arguments.out / "preference.safetensors"
    prepare_folder(arguments.out, (path.name,))
    if path.exists():
        raise AdaptSegError(f"{path} is there already: another folder is wanted")
    model = load_model(arguments.preference, arguments.device)
    if not isinstance(model, ReadoutModel):
        raise AdaptSegError(f"{arguments.preference}: no readout to train for; the built-in model is wanted")
    config = LatentTraining(seed=arguments.seed)
    config = replace(config, scenes=arguments.scenes or config.scenes)
    with progress_bar(config.scenes, unit="scene") as bar:
        write_latent(path, train_latent(model, config, bar.update))
    say(f"trained on {config.scenes} scenes: {path}")


def _calibrate_sizes(arguments: argparse.Namespace) -> None:
    from AdaptCore.atomic import prepare_folder, write_bytes
    from AdaptCore.models.base import BatchModel
    from AdaptCore.models.registry import load_model
    from AdaptCore.training.sizes import Recipe, calibrate

    path = arguments.out / "sizes.txt"
    prepare_folder(arguments.out, (path.name,))
    model = load_model(arguments.sizes, arguments.device)
    if not isinstance(model, BatchModel):
        raise AdaptSegError(f"{arguments.sizes} looks at whole planes only: the built-in model is wanted")
    recipe = Recipe()
    if arguments.scenes:
        recipe = replace(recipe, wide_scenes=arguments.scenes, filled_scenes=arguments.scenes)
    with progress_bar(recipe.wide_scenes + recipe.filled_scenes, unit="scene") as bar:
        found = calibrate(model, recipe, arguments.seed, bar.update)
    write_bytes(path, found.encode())
    say(found)
    say(f"calibrated: {path}")
