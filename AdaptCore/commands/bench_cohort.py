"""What `adaptseg bench cohort` runs: one label for a cohort, queries and selective semi-supervision on real volumes."""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from AdaptCore.commands.console import say
from AdaptCore.errors import AdaptSegError

if TYPE_CHECKING:
    from AdaptCore.evaluate.cohort import Bench, Part

PARTS: tuple[Part, ...] = ("one-label", "queries", "selection")

_given: list[Bench] = []
"""What a worker process measures with; it is sent once, not with each repetition."""


def run_cohort(arguments: argparse.Namespace) -> None:
    """Benchmark of a cohort: from one label to all, which labels to ask for, and what unlabelled cases add.

    Each repetition is one thread's work, and as many are at work as there are processors. The result is written after
    each part, so that a run that is cut off keeps what it found.

    Raises:
        AdaptSegError: data, target, model or result file cannot be used, or MONAI is missing.
    """
    from AdaptCore.atomic import check_folder, write_bytes
    from AdaptCore.cohort.network import check_installed
    from AdaptCore.evaluate import drawing

    drawing.check_installed()
    from AdaptCore.evaluate import cohort
    from AdaptCore.evaluate.cohort_figures import picture, report
    from AdaptCore.evaluate.tables import write_json
    from AdaptCore.models.registry import load_model

    unknown = sorted(set(arguments.parts) - set(PARTS))
    if unknown or len(arguments.targets) != 1:
        raise AdaptSegError(
            f"Expected parts among {', '.join(PARTS)} and one target, got {', '.join(arguments.parts)} of "
            f"{', '.join(arguments.targets)}."
        )
    check_installed()
    for path in filter(None, (arguments.json, arguments.picture)):
        check_folder(path)
    started = time.monotonic()
    rules = cohort.CohortRules(arguments.unlabelled, arguments.test, arguments.seed)
    model = load_model(arguments.model, arguments.device)
    bench = cohort.prepare(arguments.data, arguments.targets[0], model, rules, say)
    parts: tuple[Part, ...] = ("full", *(part for part in PARTS if part in arguments.parts))
    counts = {part: cohort.repetitions(part, bench.rules) for part in parts}
    processes = min(os.cpu_count() or 1, sum(counts.values()))
    result = _circumstances(arguments) | {"processes": processes}
    pool = ProcessPoolExecutor(processes, get_context("spawn"), _begin, (bench,))
    try:
        asked = {part: [pool.submit(_measure, part, number) for number in range(counts[part])] for part in parts}
        full = asked["full"][0].result()
        for part, answers in asked.items():
            result |= cohort.figures(part, [answer.result() for answer in answers], full, bench.rules)
            result["minutes"] = (time.monotonic() - started) / 60
            if arguments.json:
                write_json(arguments.json, result)
    finally:
        pool.shutdown(cancel_futures=True)
    say(f"seed {rules.seed}, {result['minutes']:.0f} minutes", "", *report(result).splitlines())
    if arguments.picture:
        write_bytes(arguments.picture, picture(result))


def _begin(bench: Bench) -> None:
    import SimpleITK as sitk  # noqa: N813
    import torch

    torch.set_num_threads(1)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    _given.append(bench)


def _measure(part: Part, number: int) -> Any:
    from AdaptCore.evaluate import cohort

    return cohort.run(_given[0], part, number)


def _circumstances(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "target": arguments.targets[0],
        "unlabelled": arguments.unlabelled,
        "test": arguments.test,
        "seed": arguments.seed,
        "model": arguments.model,
    }
