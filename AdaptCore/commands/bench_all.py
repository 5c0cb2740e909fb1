"""What `adaptseg bench all` runs: every table of the README, one after the other; a run that was stopped goes on."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from AdaptCore.commands.console import add_command, complain, say
from AdaptCore.errors import AdaptSegError

PLANES = (
    "bu_bil_2,bu_bil_3,drishti_gs:od_min2of4,drishti_gs:cup_min2of4,busi,ph2,cxr_lungs,lung_ct_2d,polyp_mini,"
    "msd_hippocampus:any"
)
VESSELS = "drive:obs1,chase_db1:1stHO"
LEARNING = PLANES.removesuffix(",msd_hippocampus:any")
TUNED = "bu_bil_2,drishti_gs:cup_min2of4,polyp_mini"
OBJECTS = (
    "vertebra_t2_mr,lidc_nodule_ct,lung_proton_mr,fetal_brain_mr,ms_lesion_flair,totalseg_ct,msd_hippocampus,"
    "ct_lesion3d,mixed3d"
)
SLICES = ",".join(f"{name}:slices" for name in OBJECTS.split(","))

TABLES: dict[str, str] = {
    "clicks": f"clicks --targets {PLANES},{VESSELS} --limit 64 --model MODEL",
    "rivals": f"clicks --targets {PLANES},{VESSELS} --limit 64 --model growcut,random-walker",
    "object": f"object --targets {OBJECTS} --limit 4 --model compact3d,MODEL,growcut,random-walker,ball",
    "slices": f"clicks --targets {SLICES} --limit 7 --max-clicks 10 --model MODEL",
    "adapt": f"adapt --targets {LEARNING} --limit 80 --tuned {TUNED} --recipe default,schoen,oaims --model MODEL",
    "lenient": f"adapt --targets {LEARNING} --limit 40 --noise lenient --model MODEL",
    "first": f"adapt --targets {LEARNING} --limit 40 --noise first --model MODEL",
    "preference": "preference --targets bu_bil_3,bu_bil_2,drishti_gs:cup --limit 47 --model MODEL",
    "volume": "volume --targets msd_hippocampus:any --limit 40 --model MODEL",
    "learn3d": "learn3d --targets msd_hippocampus,vertebra_t2_mr,lung_proton_mr,lidc_nodule_ct --limit 14",
    "propagate": "propagate --targets msd_hippocampus:any --limit 30 --model MODEL",
    "cohort": "cohort --targets msd_hippocampus --model MODEL",
    "latency": "latency --model MODEL",
}
"""Options of each table by the name of its file; MODEL stands for the model."""

ORIGIN = "origin.json"
"""In the folder: weights and data that its tables come from."""


def add_all(kinds: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the kinds of benchmarks."""
    text = "make every table of the README, and go on where an earlier run was stopped"
    parser = add_command(kinds, "all", text, run_all)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder of benchmark sets")
    parser.add_argument(
        "--model", default="compact", metavar="NAME", help="model of planes, by name or checkpoint file"
    )
    parser.add_argument("--device", metavar="DEVICE", help="cpu, cuda or mps (default: the best there is)")
    parser.add_argument(
        "--out", type=Path, default=Path("out/bench"), metavar="FOLDER", help="where the tables' files go (out/bench)"
    )
    parser.add_argument(
        "--tables", type=_names, default=tuple(TABLES), metavar="T1,T2", help=f"only these of {', '.join(TABLES)}"
    )


def run_all(arguments: argparse.Namespace) -> None:
    """Make the tables that are not there yet, each in a file of its own; one that fails does not hold up the others.

    Raises:
        AdaptSegError: there is no table of a name, the folder cannot be written or holds tables of other weights or
            data, or a table could not be made.
    """
    from AdaptCore.atomic import prepare_folder

    unknown = [name for name in arguments.tables if name not in TABLES]
    if unknown:
        raise AdaptSegError(f"Expected tables among {', '.join(TABLES)}, got {', '.join(unknown)}.")
    prepare_folder(arguments.out, [f"{name}.json" for name in arguments.tables])
    _check_origin(arguments)
    failed = [name for name in arguments.tables if not _make(name, arguments)]
    if failed:
        raise AdaptSegError(f"These tables could not be made: {', '.join(failed)}. The same command tries them again.")


def _check_origin(arguments: argparse.Namespace) -> None:
    """Refuse a folder whose tables come from other weights or data, and note where those of a new one come from."""
    from AdaptCore.atomic import write_bytes
    from AdaptCore.models.registry import load_model, load_volume_model

    weights = [load_model(arguments.model, arguments.device).digest, load_volume_model().digest]
    origin = json.dumps({"weights": weights, "data": str(arguments.data.resolve())}).encode()
    path = arguments.out / ORIGIN
    if path.exists() and path.read_bytes() != origin:
        raise AdaptSegError(f"{arguments.out}: The tables there are of other weights or data. Choose another --out.")
    write_bytes(path, origin)


def options_of(name: str, arguments: argparse.Namespace, path: Path) -> list[str]:
    """What `adaptseg bench` is called with for a table that goes to a file."""
    options = [word.replace("MODEL", arguments.model) for word in TABLES[name].split()]
    given = ["--device", arguments.device] if arguments.device else []
    data = [] if name == "latency" else ["--data", str(arguments.data)]
    return [*options, *data, *given, "--json", str(path)]


def _make(name: str, arguments: argparse.Namespace) -> bool:
    """Make a table unless it is there; a file that is not whole yet has another name. Whether it is there now."""
    path, part = (arguments.out / f"{name}{end}" for end in (".json", ".part.json"))
    if path.exists():
        say(f"{name}: there already, {path}")
        return True
    options = options_of(name, arguments, part)
    say("", f"{name}: adaptseg bench {' '.join(options)}")
    try:
        _run(options)
        part.replace(path)
    except (AdaptSegError, OSError) as error:
        complain(f"{name}: {error}")
        return False
    return True


def _run(options: Sequence[str]) -> None:
    from AdaptCore.commands import bench

    parser = argparse.ArgumentParser()
    bench.add_parser(parser.add_subparsers())
    parsed = parser.parse_args(["bench", *options])
    parsed.run(parsed)


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))
