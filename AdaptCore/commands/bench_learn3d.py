"""What `adaptseg bench learn3d` runs: learning from accepted objects in volumes beside the frozen model."""

from __future__ import annotations

import argparse

from AdaptCore.commands.console import progress_bar, say


def run_learn3d(arguments: argparse.Namespace) -> None:
    """Benchmark of learning in volumes: the same objects in the same order, frozen and learning.

    Raises:
        AdaptSegError: data, targets, model, arms or result file cannot be used.
    """
    import torch

    from AdaptCore.adapt.recipe import VOLUMES
    from AdaptCore.atomic import check_folder
    from AdaptCore.evaluate.adapt import arms_of
    from AdaptCore.evaluate.datasets import load_objects
    from AdaptCore.evaluate.learn3d import (
        ObjectLearningRules,
        learn3d_figures,
        learn3d_report,
        run_object_target,
    )
    from AdaptCore.evaluate.tables import write_json
    from AdaptCore.models.registry import load_model, load_volume_model

    if arguments.json:
        check_folder(arguments.json)
    rules = ObjectLearningRules(arguments.max_clicks, arguments.stop_dice, arguments.seed)
    arms = arms_of([VOLUMES], arguments.arms)
    model, planes = load_volume_model(arguments.model, arguments.device), load_model("compact", arguments.device)
    targets = [load_objects(arguments.data, name, arguments.limit, arguments.seed) for name in arguments.targets]
    with progress_bar(sum(len(target.items) for target in targets), unit="object") as bar:
        trials = {target.name: run_object_target(model, planes, target, arms, rules, bar.update) for target in targets}
    figures = learn3d_figures(trials, rules)
    say("", f"{model.name}, seed {rules.seed}", *learn3d_report(figures).splitlines(), "")
    if arguments.json:
        circumstances = {"max_clicks": rules.max_clicks, "stop_dice": rules.stop_dice}
        about = {"model": model.name, "seed": rules.seed, "recipe": VOLUMES.name, "threads": torch.get_num_threads()}
        write_json(arguments.json, figures | circumstances | about)
