"""`adaptseg models`: list, verify, fetch, add and remove models."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from AdaptCore.commands.console import add_command, all_of, complain, progress_bar, say
from AdaptCore.errors import ModelError
from AdaptCore.printable import printable


def add_parser(subparsers: argparse._SubParsersAction) -> None:
    parser = add_command(subparsers, "models", "list, verify, fetch, add and remove models")
    actions = parser.add_subparsers(dest="action", required=True)
    add_command(actions, "list", "show all models and whether their weights are here", run_list)
    verify = add_command(
        actions, "verify", "check that weights are whole, unchanged and of the right architecture", run_verify
    )
    verify.add_argument("names", nargs="*", metavar="NAME", help="models to check (default: all that are here)")
    fetch = add_command(actions, "fetch", "download the weights of a model", run_fetch)
    fetch.add_argument("name", metavar="NAME", help="the model, as models list shows it")
    fetch.add_argument("--yes", action="store_true", help="download without asking")
    add = add_command(
        actions, "add", "make a checkpoint file of yours known by a name; the file stays where it is", run_add
    )
    add.add_argument("path", type=Path, metavar="FILE", help="the checkpoint: .pth, .pt or .safetensors")
    add.add_argument("--name", required=True, help="what to call it: letters, digits, _ and -")
    add.add_argument(
        "--architecture",
        help="refuse a file that is not of this architecture; sam_vit_b_medsam for MedSAM (default: the file's own)",
    )
    add.add_argument("--licence", default="not stated", help="licence of the weights")
    add.add_argument("--citation", default="not stated", help="paper to cite")
    remove = add_command(
        actions, "remove", "delete a downloaded model, or forget one that was added, whose file stays", run_remove
    )
    remove.add_argument("name", metavar="NAME", help="the model, as models list shows it")


def run_list(arguments: argparse.Namespace) -> None:
    from AdaptCore.models.registry import describe_size, known_models

    entries, problem = known_models()
    for entry in entries:
        state = "here" if entry.is_present else "to fetch" if entry.url else "missing"
        say(f"{entry.name:<16}{state:<10}{describe_size(entry.size):<16}{entry.licence:<14}{entry.description}")
    if problem:
        complain(problem)


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
    from AdaptCore.models.registry import fetch_model, find_model

    confirm = announce if arguments.yes else ask
    with progress_bar(find_model(arguments.name).size, arguments.name, unit="B") as bar:
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
        return input(f"{printable(question)}\nFetch it? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError as error:
        raise ModelError("Nobody answered whether to download. Answer y, or add --yes.") from error


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


def run_remove(arguments: argparse.Namespace) -> None:
    from AdaptCore.models.registry import describe_size, remove_model

    entry = remove_model(arguments.name)
    freed = f"{describe_size(entry.size)} deleted" if entry.url else f"forgotten; {entry.file} stays where it is"
    say(f"{entry.name}: {freed}")
