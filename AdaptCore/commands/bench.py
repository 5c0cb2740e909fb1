"""`adaptseg bench`: how few clicks a mask takes, how fast answers come, how well propagation holds, with figures."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AdaptCore.commands.bench_adapt import run_adapt
from AdaptCore.commands.bench_all import add_all
from AdaptCore.commands.bench_cohort import PARTS, run_cohort
from AdaptCore.commands.bench_learn3d import run_learn3d
from AdaptCore.commands.bench_object import OBJECT_RIVALS, run_object
from AdaptCore.commands.bench_preference import run_preference
from AdaptCore.commands.bench_volume import run_volume
from AdaptCore.commands.console import add_command, positive, progress_bar, say, whole

if TYPE_CHECKING:
    from AdaptCore.evaluate.clicks import Segmenter

DEFAULT_MODEL = "compact"
RIVALS = ("growcut", "random-walker")
ARMS = ("frozen", "post", "mid", "both")
NOISES = ("dilated", "eroded", "shifted", "wrong", "large", "lenient", "first")
MEASURES = {"noc85": "NoC85", "noc90": "NoC90", "fr85": "FR85", "fr90": "FR90"}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "bench", "measure clicks to a good mask, speed, propagation and learning, with figures"
    )
    kinds = parser.add_subparsers(dest="kind", required=True)
    _add_clicks(kinds)
    _add_object(kinds)
    _add_latency(kinds)
    _add_propagate(kinds)
    _add_adapt(kinds)
    _add_learn3d(kinds)
    _add_volume(kinds)
    _add_preference(kinds)
    _add_cohort(kinds)
    add_all(kinds)


def run_clicks(arguments: argparse.Namespace) -> None:
    """Benchmark of clicks for one or more methods.

    Raises:
        AdaptSegError: data, targets, models or result file cannot be used.
    """
    from AdaptCore.evaluate.clicks import run_targets, summarize
    from AdaptCore.evaluate.datasets import load_target
    from AdaptCore.evaluate.intervals import report_rows
    from AdaptCore.evaluate.tables import text_table

    _check_result_file(arguments.json)
    segmenters = {name: _segmenter(name, arguments.device, arguments.zoom) for name in arguments.model}
    targets = [load_target(arguments.data, name, arguments.limit, arguments.seed) for name in arguments.targets]
    for target in targets:
        if target.empty:
            say(f"{target.name}: {target.empty} empty masks left out")
    results: dict[str, dict[str, Any]] = {}
    for name, segmenter in segmenters.items():
        with progress_bar(sum(len(target.items) for target in targets), name, "image") as bar:
            curves = run_targets(segmenter, targets, arguments.max_clicks, arguments.seed, bar.update, arguments.jitter)
        summary = summarize(curves, arguments.max_clicks, arguments.seed)
        say("", f"{name}, seed {arguments.seed}", *text_table(*report_rows(summary)).splitlines(), "")
        circumstances = {"max_clicks": arguments.max_clicks, "jitter": arguments.jitter}
        results[name] = summary | {"seed": arguments.seed, "model": name} | circumstances
    if len(results) > 1:
        say(f"Means over the targets, seed {arguments.seed}", *text_table(*side_by_side(results)).splitlines())
    _write(arguments.json, results)


def side_by_side(results: Mapping[str, dict[str, Any]]) -> tuple[list[str], list[list[object]]]:
    """Header and one row for each method, with its mean over the targets.

    Args:
        results: method -> what `AdaptCore.evaluate.clicks.summarize` gives; all with the same clicks.
    """
    means = {name: result["mean"] for name, result in results.items()}
    clicks = next(iter(means.values()))["dice"]
    rows = [[name, *mean["dice"].values(), *(mean[key] for key in MEASURES)] for name, mean in means.items()]
    return ["method", *(f"Dice@{click}" for click in clicks), *MEASURES.values()], rows


def run_latency(arguments: argparse.Namespace) -> None:
    """Benchmark of speed beside SamPredictor.

    Raises:
        AdaptSegError: the model or the result file cannot be used.
    """
    from AdaptCore.evaluate.latency import measure, report
    from AdaptCore.evaluate.tables import write_json

    _check_result_file(arguments.json)
    result = measure(arguments.model, arguments.device, arguments.rounds)
    say(*report(result).splitlines())
    if arguments.json:
        write_json(arguments.json, result)


def run_propagate(arguments: argparse.Namespace) -> None:
    """Benchmark of propagation from one accepted plane.

    Raises:
        AdaptSegError: data, targets, model or result file cannot be used.
    """
    from AdaptCore.evaluate.datasets import load_volumes
    from AdaptCore.evaluate.propagate import report_rows, run_volumes, summarize
    from AdaptCore.evaluate.tables import text_table, write_json
    from AdaptCore.models.registry import load_model

    _check_result_file(arguments.json)
    model = load_model(arguments.model, arguments.device)
    targets = [load_volumes(arguments.data, name, arguments.limit, arguments.seed) for name in arguments.targets]
    with progress_bar(sum(len(target.items) for target in targets), arguments.model, "volume") as bar:
        scores = run_volumes(model, targets, arguments.zoom, bar.update)
    summary = summarize(scores, arguments.seed)
    say(*text_table(*report_rows(summary)).splitlines())
    if arguments.json:
        write_json(arguments.json, summary | {"seed": arguments.seed, "model": arguments.model})


def _add_clicks(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds,
        "clicks",
        "measure the quality of masks after each simulated click on images, for one or more methods",
        run_clicks,
    )
    _add_data(parser)
    parser.add_argument(
        "--model",
        type=_names,
        default=[DEFAULT_MODEL],
        metavar="NAME[,NAME]",
        help=f"model name or checkpoint file, or {' or '.join(RIVALS)}; several run one after the other",
    )
    parser.add_argument("--max-clicks", type=positive, default=20, metavar="N", help="clicks on each image (20)")
    _add_jitter(parser)


def _add_object(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds,
        "object",
        "measure the quality of objects in volumes after each simulated click, for one or more methods",
        run_object,
    )
    _add_data(parser)
    parser.add_argument(
        "--model",
        type=_names,
        default=["compact3d"],
        metavar="NAME[,NAME]",
        help="model of volumes or of planes, which then propagates (name or checkpoint file), or a rival: "
        f"{', '.join(OBJECT_RIVALS)}, where planes is the built-in model of planes and ball a floor; several run one "
        "after the other (default: compact3d)",
    )
    parser.add_argument("--max-clicks", type=positive, default=10, metavar="N", help="clicks on each object (10)")
    _add_jitter(parser)
    parser.add_argument(
        "--known-slice",
        action="store_true",
        help="begin with the correct mask of the slice through the first click, in place of that click",
    )
    parser.add_argument(
        "--no-guess",
        dest="guess",
        action="store_false",
        help="a model of volumes is not told what the built-in model of planes makes of the slices through the click",
    )


def _add_jitter(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--jitter",
        action="store_true",
        help="click anywhere in the error, its middle preferred, and miss by a pixel or so; else in its very middle",
    )


def _add_latency(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(kinds, "latency", "measure time and memory of a click, beside Segment Anything", run_latency)
    parser.add_argument("--rounds", type=positive, default=20, metavar="N", help="number of measured planes (20)")
    _add_model(parser)
    _add_output(parser)


def _add_propagate(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds, "propagate", "measure how well one accepted plane is carried through its volume", run_propagate
    )
    _add_data(parser)
    _add_model(parser)


def _add_adapt(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds, "adapt", "compare learning with the frozen model on the same images in the same order", run_adapt
    )
    _add_data(parser)
    _add_model(parser)
    parser.add_argument(
        "--recipe",
        type=_names,
        default=["default"],
        metavar="NAME[,NAME]",
        help="how to learn: default, schoen, oaims, or the default without a part, such as no-memory",
    )
    parser.add_argument(
        "--max-clicks",
        type=positive,
        default=20,
        metavar="N",
        help="accept a mask after this many clicks at the latest (20)",
    )
    parser.add_argument(
        "--stop-iou", type=_share, default=0.85, metavar="IOU", help="accept a mask as soon as its IoU is this (0.85)"
    )
    parser.add_argument(
        "--arms",
        type=_names,
        default=list(ARMS),
        metavar="ARM[,ARM]",
        help=f"what to compare: {', '.join(ARMS)} (default: all)",
    )
    parser.add_argument(
        "--tuned", type=_names, default=[], metavar="T1,T2", help="targets to leave out of the second pooled figures"
    )
    parser.add_argument(
        "--seeds", type=positive, default=1, metavar="N", help="so many seeds, each with its own order, together (1)"
    )
    parser.add_argument(
        "--noise",
        choices=NOISES,
        help="how accepted masks are bad; with lenient or first: whether the gain that is told is the true one",
    )
    long = parser.add_mutually_exclusive_group()
    long.add_argument(
        "--sequence", type=positive, nargs="?", const=300, metavar="N", help="show N images, the targets in turns (300)"
    )
    long.add_argument("--soak", type=positive, metavar="N", help="only learn from N images: memory and time")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw the learning curves into this PNG file")


def _add_learn3d(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds, "learn3d", "compare learning in volumes with the frozen model on the same objects in order", run_learn3d
    )
    _add_data(parser)
    parser.add_argument("--model", default="compact3d", help="model of volumes (default: compact3d)")
    parser.add_argument(
        "--max-clicks",
        type=positive,
        default=10,
        metavar="N",
        help="accept a mask after this many clicks at the latest (10)",
    )
    parser.add_argument(
        "--stop-dice",
        type=_share,
        default=0.85,
        metavar="DICE",
        help="accept a mask as soon as it has this Dice (0.85)",
    )
    parser.add_argument(
        "--arms",
        type=_names,
        default=list(ARMS),
        metavar="ARM[,ARM]",
        help=f"what to compare: {', '.join(ARMS)} (default: all)",
    )


def _add_volume(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds,
        "volume",
        "compare learning with the frozen model and with Slicer's Grow from seeds on whole volumes",
        run_volume,
    )
    _add_data(parser)
    _add_model(parser)
    parser.add_argument("--recipe", default="default", metavar="NAME", help="how to learn: default, schoen or oaims")
    parser.add_argument(
        "--target-dice", type=_share, default=0.85, metavar="DICE", help="finish a volume at this Dice (0.85)"
    )
    parser.add_argument("--max-clicks", type=positive, default=60, metavar="N", help="most clicks on a volume (60)")


def _add_preference(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds, "preference", "measure what candidates and profiles save, with raters as users", run_preference
    )
    _add_data(parser)
    _add_model(parser)
    parser.add_argument("--users", type=_names, default=[], metavar="U1,U2", help="only these raters (default: all)")


def _add_cohort(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        kinds,
        "cohort",
        "measure how well one label serves a cohort of volumes, and which labels to ask for next",
        run_cohort,
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of benchmark sets")
    parser.add_argument("--targets", type=_names, required=True, metavar="SET", help="one set of volumes")
    parser.add_argument(
        "--unlabelled", type=positive, default=100, metavar="N", help="number of volumes in the cohort (100)"
    )
    parser.add_argument(
        "--test", type=positive, default=60, metavar="N", help="number of test volumes apart from it (60)"
    )
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="seed of everything random (0)")
    parser.add_argument(
        "--parts",
        type=_names,
        default=list(PARTS),
        metavar="P1,P2",
        help=f"what to measure: {', '.join(PARTS)} (default: all)",
    )
    parser.add_argument("--picture", type=Path, metavar="FILE", help="draw Dice against labels into this PNG file")
    _add_model(parser)
    _add_output(parser)


def _add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of benchmark sets")
    parser.add_argument(
        "--targets",
        type=_names,
        required=True,
        metavar="T1,T2",
        help="what to segment, as SET[:SELECTOR], such as busi, drive:obs1 or the slices of a volume set, SET:slices",
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="at most N items of each target")
    parser.add_argument("--seed", type=whole, default=0, metavar="S", help="seed of everything random (0)")
    parser.add_argument(
        "--no-zoom",
        dest="zoom",
        action="store_false",
        help="predict once, without a refinement in a window around the object",
    )
    _add_output(parser)


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help="model name or checkpoint file")


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda or mps (default: the best there is)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures into this file")


def _segmenter(name: str, device: str | None, zoom: bool) -> Segmenter:
    from AdaptCore.evaluate.clicks import ModelSegmenter
    from AdaptCore.evaluate.rivals import GrowCut, RandomWalker
    from AdaptCore.models.registry import load_model

    if name == GrowCut.name:
        return GrowCut()
    if name == RandomWalker.name:
        return RandomWalker()
    return ModelSegmenter(load_model(name, device), zoom)


def _write(path: Path | None, results: dict[str, dict[str, Any]]) -> None:
    from AdaptCore.evaluate.tables import write_json

    if path is not None:
        write_json(path, next(iter(results.values())) if len(results) == 1 else {"models": results})


def _check_result_file(path: Path | None) -> None:
    from AdaptCore.atomic import check_folder

    if path is not None:
        check_folder(path)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"Expected at least 1 name, got {text!r}.")
    return list(dict.fromkeys(names))


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"Expected a number above 0 and up to 1, got {text!r}.")
    return value
