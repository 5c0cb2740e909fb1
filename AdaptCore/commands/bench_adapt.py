"""What `adaptseg bench adapt` runs: learning beside the frozen model, with bad masks, in long sequences."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from AdaptCore.commands.console import progress_bar, say

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from AdaptCore.adapt.recipe import Recipe
    from AdaptCore.evaluate.adapt import Rules
    from AdaptCore.evaluate.datasets import Target
    from AdaptCore.models.base import AdaptableModel


def run_adapt(arguments: argparse.Namespace) -> None:
    """Benchmark of online adaptation: the same images in the same order, frozen and learning.

    Raises:
        AdaptSegError: data, targets, model, recipe, arms or result files cannot be used.
    """
    from AdaptCore.adapt.recipe import recipe_named
    from AdaptCore.evaluate.adapt import Rules
    from AdaptCore.evaluate.adapt_noise import NOISE_KINDS, Noise
    from AdaptCore.evaluate.datasets import load_target
    from AdaptCore.models.registry import load_model

    _check(arguments)
    recipes = [recipe_named(name) for name in arguments.recipe]
    noise = Noise(arguments.noise, arguments.seed) if arguments.noise in NOISE_KINDS else None
    rules = Rules(arguments.max_clicks, arguments.stop_iou, arguments.zoom, arguments.seed, noise)
    model = cast("AdaptableModel", load_model(arguments.model, arguments.device))
    targets = [load_target(arguments.data, name, arguments.limit, arguments.seed) for name in arguments.targets]
    if arguments.noise and noise is None:
        results = _ask_trial(arguments, model, targets, recipes, rules)
    elif arguments.soak:
        results = _soak(arguments, model, targets, recipes, rules)
    elif arguments.sequence:
        results = _run_sequence(arguments, model, targets, recipes, rules)
    else:
        results = _compare_arms(arguments, model, targets, recipes, rules)
    _write(arguments, {recipe.name: results[recipe.name] | _circumstances(arguments, recipe) for recipe in recipes})


def _compare_arms(
    arguments: argparse.Namespace,
    model: AdaptableModel,
    targets: Sequence[Target],
    recipes: Sequence[Recipe],
    rules: Rules,
) -> dict[str, dict[str, Any]]:
    """Print and return the figures of each recipe by its name; the frozen arm is run once."""
    from AdaptCore.evaluate.adapt import arms_of, by_recipe, run_seeds
    from AdaptCore.evaluate.adapt_figures import figures, noise_figures
    from AdaptCore.evaluate.adapt_report import comparison, report

    arms, seeds = arms_of(recipes, arguments.arms), range(rules.seed, rules.seed + arguments.seeds)
    with progress_bar(len(seeds) * sum(len(target.items) for target in targets), unit="image") as bar:
        trials = {target.name: run_seeds(model, target, arms, rules, seeds, bar.update) for target in targets}
    results: dict[str, dict[str, Any]] = {}
    for recipe in recipes:
        of_recipe = {name: by_recipe(of, recipe) for name, of in trials.items()}
        results[recipe.name] = figures(of_recipe, rules, arguments.tuned)
        if rules.noise:
            results[recipe.name]["noise"] = noise_figures(of_recipe, rules.noise.kind)
        _tell(recipe, rules, report(results[recipe.name]))
    if len(results) > 1:
        say(*comparison(results).splitlines(), "")
    return results


def _ask_trial(
    arguments: argparse.Namespace,
    model: AdaptableModel,
    targets: Sequence[Target],
    recipes: Sequence[Recipe],
    rules: Rules,
) -> dict[str, dict[str, Any]]:
    """What is told of the gain, and the true one, under a user who accepts too early."""
    from AdaptCore.evaluate.adapt_trial import EARLY_USERS, run_trial, trial_figures, trial_report

    rules = replace(rules, stop_iou=EARLY_USERS[arguments.noise])
    results: dict[str, dict[str, Any]] = {}
    with progress_bar(len(recipes) * sum(len(target.items) for target in targets), unit="image") as bar:
        for recipe in recipes:
            runs = {target.name: run_trial(model, target, recipe, rules, bar.update) for target in targets}
            part = trial_figures(runs, arguments.noise)
            _tell(recipe, rules, trial_report(part))
            results[recipe.name] = {"trial": part}
    return results


def _tell(recipe: Recipe, rules: Rules, text: str) -> None:
    say("", f"recipe {recipe.name}, seed {rules.seed}", "", *text.splitlines(), "")


def _run_sequence(
    arguments: argparse.Namespace,
    model: AdaptableModel,
    targets: Sequence[Target],
    recipes: Sequence[Recipe],
    rules: Rules,
) -> dict[str, dict[str, Any]]:
    from AdaptCore.evaluate.adapt_long import blocks, run_sequence, sequence_figures
    from AdaptCore.evaluate.adapt_report import sequence_report

    sequence = blocks(targets, arguments.sequence, rules.seed)
    results: dict[str, dict[str, Any]] = {}
    with progress_bar(len(recipes) * sum(map(len, sequence)), unit="image") as bar:
        for recipe in recipes:
            part = sequence_figures(sequence, run_sequence(model, sequence, recipe, rules, bar.update), rules)
            _tell(recipe, rules, sequence_report(part))
            results[recipe.name] = {"sequence": part}
    return results


def _soak(
    arguments: argparse.Namespace,
    model: AdaptableModel,
    targets: Sequence[Target],
    recipes: Sequence[Recipe],
    rules: Rules,
) -> dict[str, dict[str, Any]]:
    from AdaptCore.evaluate.adapt_long import soak
    from AdaptCore.evaluate.adapt_report import soak_report

    results: dict[str, dict[str, Any]] = {}
    with progress_bar(len(recipes) * arguments.soak, unit="image") as bar:
        for recipe in recipes:
            part = soak(model, targets, recipe, arguments.soak, rules, bar.update)
            _tell(recipe, rules, soak_report(part))
            results[recipe.name] = {"soak": part}
    return results


def _circumstances(arguments: argparse.Namespace, recipe: Recipe) -> dict[str, Any]:
    import torch

    return {
        "seed": arguments.seed,
        "seeds": arguments.seeds,
        "model": arguments.model,
        "recipe": recipe.name,
        "max_clicks": arguments.max_clicks,
        "stop_iou": arguments.stop_iou,
        "threads": torch.get_num_threads(),
    }


def _write(arguments: argparse.Namespace, results: Mapping[str, dict[str, Any]]) -> None:
    from AdaptCore.atomic import write_bytes
    from AdaptCore.evaluate.learning_curve import learning_curves
    from AdaptCore.evaluate.tables import write_json

    if arguments.json is not None:
        write_json(arguments.json, next(iter(results.values())) if len(results) == 1 else {"recipes": dict(results)})
    if arguments.picture is not None:
        write_bytes(arguments.picture, learning_curves(_lines(results)))


def _lines(results: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Clicks by image of every target (or of the sequence) and arm; with several recipes their last arms only."""
    lines: dict[str, dict[str, list[float]]] = {}
    for recipe, result in results.items():
        parts = result["targets"] if "targets" in result else {"sequence": result["sequence"]}
        for title, part in parts.items():
            arms = part["arms"]
            for arm, of in arms.items():
                if len(results) == 1 or arm in ("frozen", list(arms)[-1]):
                    label = arm if len(results) == 1 or arm == "frozen" else f"{recipe} {arm}"
                    lines.setdefault(title, {})[label] = of["clicks_by_image"]
    return lines


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot work before anything is read or measured."""
    from AdaptCore.atomic import check_folder
    from AdaptCore.errors import AdaptSegError
    from AdaptCore.evaluate.adapt import FROZEN
    from AdaptCore.evaluate.adapt_figures import check_tuned
    from AdaptCore.evaluate.adapt_trial import EARLY_USERS
    from AdaptCore.evaluate.drawing import check_installed

    for file in (arguments.json, arguments.picture):
        if file is not None:
            check_folder(file)
    if arguments.picture:
        check_installed()
    check_tuned(arguments.tuned, arguments.targets)
    if arguments.noise and FROZEN not in arguments.arms:
        raise AdaptSegError(f"--noise needs the arm {FROZEN} to compare with, got {', '.join(arguments.arms)}.")
    if arguments.seeds > 1 and (arguments.noise or arguments.soak or arguments.sequence):
        raise AdaptSegError("--seeds compares arms alone. Leave out --noise, --soak and --sequence, or give --seed.")
    if arguments.noise in EARLY_USERS and (arguments.picture or arguments.soak or arguments.sequence):
        raise AdaptSegError(
            f"--noise {arguments.noise} compares what is told with the truth alone. Leave out --picture, --soak and "
            "--sequence."
        )
    if arguments.soak and arguments.picture:
        raise AdaptSegError("--soak draws no learning curve. Leave out --picture.")
