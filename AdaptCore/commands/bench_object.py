"""What `adaptseg bench object` runs: clicks on objects of volumes, for models and their rivals."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from AdaptCore.commands.console import progress_bar, say

if TYPE_CHECKING:
    from AdaptCore.evaluate.object_clicks import ObjectSegmenter

PLANE_MODEL = "compact"
OBJECT_RIVALS = ("growcut", "random-walker", "planes", "ball")


def run_object(arguments: argparse.Namespace) -> None:
    """Benchmark of clicks on objects of volumes, for one or more methods.

    Raises:
        AdaptSegError: data, targets, models or result file cannot be used.
    """
    from AdaptCore.atomic import check_folder
    from AdaptCore.evaluate.datasets import load_objects
    from AdaptCore.evaluate.object_clicks import ObjectRules, object_rows, run_objects, summarize_objects, warm_up
    from AdaptCore.evaluate.tables import text_table, write_json

    if arguments.json:
        check_folder(arguments.json)
    rules = ObjectRules(arguments.max_clicks, arguments.seed, arguments.jitter, arguments.known_slice)
    segmenters = {name: _segmenter(name, arguments) for name in arguments.model}
    targets = [load_objects(arguments.data, name, arguments.limit, arguments.seed) for name in arguments.targets]
    for target in targets:
        if target.empty:
            say(f"{target.name}: {target.empty} volumes without an object of at least 200 voxels left out")
    for segmenter in segmenters.values():
        warm_up(segmenter, targets, rules)
    results: dict[str, dict[str, Any]] = {}
    for name, segmenter in segmenters.items():
        with progress_bar(sum(len(target.items) for target in targets), name, "object") as bar:
            curves = run_objects(segmenter, targets, rules, bar.update)
        summary = summarize_objects(curves, rules)
        say("", f"{name}, seed {rules.seed}", *text_table(*object_rows(summary)).splitlines(), "")
        results[name] = summary | {"model": name, "seed": rules.seed} | _circumstances(arguments)
        if arguments.json:
            write_json(arguments.json, {"models": results})
    if len(results) > 1:
        say(f"Means over the targets, seed {rules.seed}", *text_table(*side_by_side(results)).splitlines())


def side_by_side(results: Mapping[str, dict[str, Any]]) -> tuple[list[str], list[list[object]]]:
    """Header and one row for each method, with its mean over the targets.

    Args:
        results: method -> what `summarize_objects` gives; all with the same clicks.
    """
    from AdaptCore.evaluate.intervals import flat, title

    means = {name: flat(result["mean"]) for name, result in results.items()}
    columns = list(flat(next(iter(results.values()))["mean"]["ci"]))
    return ["method", *map(title, columns)], [
        [name, *(mean[column] for column in columns)] for name, mean in means.items()
    ]


def _segmenter(name: str, arguments: argparse.Namespace) -> ObjectSegmenter:
    """A rival by its name, else a model of volumes, or one of planes that propagates."""
    from AdaptCore.evaluate.object_model import ObjectModel
    from AdaptCore.evaluate.object_rivals import Ball, GrowCut, Planes, RandomWalker
    from AdaptCore.models.registry import answers_planes, load_model, load_volume_model

    if name == GrowCut.name:
        return GrowCut()
    if name == RandomWalker.name:
        return RandomWalker()
    if name == Ball.name:
        return Ball()
    if name != Planes.name and not answers_planes(name):
        planes = load_model(PLANE_MODEL, arguments.device) if arguments.guess else None
        return ObjectModel(load_volume_model(name, arguments.device), planes)
    return Planes(load_model(PLANE_MODEL if name == Planes.name else name, arguments.device), arguments.zoom)


def _circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    return {
        "max_clicks": arguments.max_clicks,
        "jitter": arguments.jitter,
        "known_slice": arguments.known_slice,
        "guess": arguments.guess,
        "threads": torch.get_num_threads(),
    }
