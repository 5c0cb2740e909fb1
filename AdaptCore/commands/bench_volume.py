"""What `adaptseg bench volume` runs: clicks for whole volumes, frozen, learning, and with GrowCut."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, cast

from AdaptCore.commands.console import complain, progress_bar, say

if TYPE_CHECKING:
    from AdaptCore.evaluate.volumes import VolumeRules
    from AdaptCore.models.base import AdaptableModel


def run_volume(arguments: argparse.Namespace) -> None:
    """Benchmark of learning on volumes: the same volumes in the same order, frozen and learning, and with GrowCut.

    Raises:
        AdaptSegError: data, targets, model, recipe or result file cannot be used.
    """
    from AdaptCore.adapt.recipe import recipe_named
    from AdaptCore.atomic import check_folder
    from AdaptCore.evaluate.datasets import load_volumes
    from AdaptCore.evaluate.tables import write_json
    from AdaptCore.evaluate.volume_figures import figures, report
    from AdaptCore.evaluate.volumes import VolumeRules, run_target
    from AdaptCore.models.registry import load_model

    if arguments.json:
        check_folder(arguments.json)
    recipe, growcut = recipe_named(arguments.recipe), _has_growcut()
    rules = VolumeRules(arguments.target_dice, arguments.max_clicks, zoom=arguments.zoom, seed=arguments.seed)
    model = cast("AdaptableModel", load_model(arguments.model, arguments.device))
    targets = [load_volumes(arguments.data, name, arguments.limit, arguments.seed) for name in arguments.targets]
    with progress_bar(sum(len(target.items) for target in targets), unit="volume") as bar:
        trials = {target.name: run_target(model, target, recipe, rules, growcut, bar.update) for target in targets}
    result = figures(trials, rules)
    say(f"recipe {recipe.name}, seed {rules.seed}", "", *report(result).splitlines())
    if arguments.json:
        write_json(arguments.json, result | _circumstances(arguments, rules))


def _has_growcut() -> bool:
    """Whether GrowCut can run; says so where it cannot."""
    from AdaptCore.errors import ModelError
    from AdaptCore.evaluate.rivals import slicer_filter

    try:
        slicer_filter()
    except ModelError as error:
        complain(f"warning: without growcut: {error}")
        return False
    return True


def _circumstances(arguments: argparse.Namespace, rules: VolumeRules) -> dict[str, Any]:
    import torch

    return {
        "seed": rules.seed,
        "model": arguments.model,
        "recipe": arguments.recipe,
        "target_dice": rules.target_dice,
        "max_clicks": rules.max_clicks,
        "threads": torch.get_num_threads(),
    }
