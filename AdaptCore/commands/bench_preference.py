"""What `adaptseg bench preference` runs: users who each want their own mask, with and without a profile."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, cast

from AdaptCore.commands.console import progress_bar, say

if TYPE_CHECKING:
    from AdaptCore.models.base import AdaptableModel


def run_preference(arguments: argparse.Namespace) -> None:
    """Benchmark of preference: raters as users, by clicks only, with candidates, with a profile, and with learning too.

    Raises:
        AdaptSegError: data, targets, users, model or result file cannot be used.
    """
    from AdaptCore.atomic import check_folder
    from AdaptCore.evaluate.datasets import users_of
    from AdaptCore.evaluate.preference import Rules, run_target
    from AdaptCore.evaluate.preference_figures import figures, report
    from AdaptCore.evaluate.tables import write_json
    from AdaptCore.models.registry import load_model
    from AdaptCore.preference.latent import latent_of

    if arguments.json:
        check_folder(arguments.json)
    rules = Rules(seed=arguments.seed)
    model = cast("AdaptableModel", load_model(arguments.model, arguments.device))
    latent = latent_of(model.digest)
    users = {name: users_of(arguments.data, name, arguments.users) for name in arguments.targets}
    with progress_bar(None, unit="image") as bar:
        trials = {
            name: run_target(model, latent, arguments.data, name, raters, rules, arguments.limit, bar.update)
            for name, raters in users.items()
        }
    result = figures(trials, rules)
    say(f"seed {rules.seed}", "", *report(result, rules).splitlines())
    if arguments.json:
        write_json(arguments.json, result | _circumstances(arguments))


def _circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    return {"seed": arguments.seed, "model": arguments.model, "threads": torch.get_num_threads()}
