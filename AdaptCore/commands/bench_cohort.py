"""What `adaptseg bench cohort` runs: one label for a cohort, queries and selective semi-supervision on real volumes."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING, Any

from AdaptCore.errors import AdaptSegError

if TYPE_CHECKING:
    from AdaptCore.evaluate.cohort import Bench

PARTS = ("one-label", "queries", "selection")


def run_cohort(arguments: argparse.Namespace) -> None:
    """Benchmark of a cohort: from one label to all, which labels to ask for, and what unlabelled cases add.

    The result is written after each part, so that a run that is cut off keeps what it found.

    Raises:
        AdaptSegError: data, target, model or result file cannot be used, or MONAI is missing.
    """
    from tqdm import tqdm

    from AdaptCore.atomic import check_folder, write_bytes
    from AdaptCore.cohort.network import check_installed
    from AdaptCore.evaluate.cohort import CohortRules, full_supervision, prepare
    from AdaptCore.evaluate.cohort_figures import picture, report
    from AdaptCore.evaluate.tables import write_json
    from AdaptCore.models.registry import load_model

    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown or len(arguments.targets) != 1:
        raise AdaptSegError(
            f"parts {', '.join(arguments.parts)} of {', '.join(arguments.targets)}: "
            f"some of {', '.join(PARTS)} and one target are wanted"
        )
    check_installed()
    for path in filter(None, (arguments.json, arguments.picture)):
        check_folder(path)
    started = time.monotonic()
    rules = CohortRules(arguments.unlabelled, arguments.test, arguments.seed)
    bench = prepare(
        arguments.data, arguments.targets[0], load_model(arguments.model, arguments.device), rules, tqdm.write
    )
    result: dict[str, Any] = _circumstances(arguments) | {"full": full_supervision(bench)}
    for part in PARTS:
        if part in arguments.parts:
            result |= _run_part(part, bench, result["full"]) | {"minutes": (time.monotonic() - started) / 60}
            if arguments.json:
                write_json(arguments.json, result)
    print(f"seed {rules.seed}, {result['minutes']:.0f} minutes\n\n{report(result)}")
    if arguments.picture:
        write_bytes(arguments.picture, picture(result))


def _run_part(part: str, bench: Bench, full: float) -> dict[str, Any]:
    from AdaptCore.evaluate import cohort

    if part == "one-label":
        return cohort.one_label_part(bench, full)
    return cohort.queries_part(bench, full) if part == "queries" else cohort.selection_part(bench)


def _circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    import torch

    return {
        "target": arguments.targets[0],
        "unlabelled": arguments.unlabelled,
        "test": arguments.test,
        "seed": arguments.seed,
        "model": arguments.model,
        "threads": torch.get_num_threads(),
    }
