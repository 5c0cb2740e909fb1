"""`adaptseg models`: list, verify, fetch and add models."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from AdaptCore.commands.console import all_of, say
from AdaptCore.errors import ModelError


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = subparsers.add_parser("models", help="list, verify, fetch and add models", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="show all models and whether their weights are here").set_defaults(run=run_list)
    verify = actions.add_parser("verify", help="check weights: whole, unchanged, of the right architecture")
    verify.add_argument("names", nargs="*", metavar="NAME", help="models to check (all that are here)")
    verify.set_defaults(run=run_verify)
    fetch = actions.add_parser("fetch", help="download the weights of a model")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument("--yes", action="store_true", help="download without asking")
    fetch.set_defaults(run=run_fetch)
    add = actions.add_parser("add", help="make a checkpoint file of yours known by a name; the file stays where it is")
    add.add_argument("path", type=Path, metavar="FILE")
    add.add_argument("--name", required=True)
    add.add_argument("--architecture", help="insist on compact, sam_vit_b, sam_vit_l or sam_vit_h (found by itself)")
    add.add_argument("--licence", default="not stated", help="licence of the weights")
    add.add_argument("--citation", default="not stated", help="paper to cite")
    add.set_defaults(run=run_add)


def run_list(arguments: argparse.Namespace) -> None:
    from AdaptCore.models.registry import describe_size, known_models

    entries, problem = known_models()
    for entry in entries:
        state = "here" if entry.is_present else "to fetch" if entry.url else "missing"
        say(f"{entry.name:<16}{state:<10}{describe_size(entry.size):<16}{entry.licence:<14}{entry.description}")
    if problem:
        say(problem)


def run_verify(arguments: argparse.Namespace) -> None:
    """Check models; what is wrong with one keeps no other from being checked.

    Raises:
        ModelError, CheckpointError: what is wrong with the last one that cannot be used; the others are told.
    """
    from AdaptCore.models.registry import find_model, known_models, verify_model

    def verify(name: str) -> None:
        path = verify_model(name)
        known = "checksum and architecture are right" if find_model(name).sha256 else "no checksum known, it loads"
        say(f"{name}: {known} ({path})")

    entries, problem = known_models()
    all_of(partial(verify, name) for name in arguments.names or [entry.name for entry in entries if entry.is_present])
    if problem and not arguments.names:
        raise ModelError(problem)


def run_fetch(arguments: argparse.Namespace) -> None:
    from tqdm import tqdm

    from AdaptCore.models.registry import fetch_model, find_model

    confirm = announce if arguments.yes else ask
    with tqdm(desc=arguments.name, total=find_model(arguments.name).size, unit="B", unit_scale=True, delay=1) as bar:
        path = fetch_model(arguments.name, confirm, received=lambda count: bar.update(count - bar.n))
    say("Nothing was fetched." if path is None else f"{arguments.name}: {path}")


def announce(question: str) -> bool:
    say(question)
    return True


def ask(question: str) -> bool:
    """Show what would be fetched and wait for y.

    Raises:
        ModelError: nobody is there to answer.
    """
    try:
        say(question)
        return input("Fetch it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError as error:
        raise ModelError("no answer to whether to fetch: y or the option --yes is wanted") from error


def run_add(arguments: argparse.Namespace) -> None:
    from AdaptCore.models.registry import add_model

    entry = add_model(
        arguments.path,
        arguments.name,
        architecture=arguments.architecture,
        licence=arguments.licence,
        citation=arguments.citation,
    )
    say(f"{entry.name}: {entry.architecture}, {entry.file}")
