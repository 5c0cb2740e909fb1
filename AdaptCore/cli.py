"""The command line `adaptseg`: one module of AdaptCore.commands for each command."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

from AdaptCore import __version__
from AdaptCore.commands import bench, cohort, demo, models, profiles, segment, tasks, train, web
from AdaptCore.commands.console import complain, open_streams, plain_warnings, quietly
from AdaptCore.errors import AdaptSegError

DESCRIPTION = "Segment medical images with a few clicks; what you accept teaches the tool. Not a medical device."
COMMANDS = (segment, tasks, profiles, cohort, demo, web, models, train, bench)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="adaptseg", description=DESCRIPTION)
    parser.add_argument(
        "--version", action="version", version=f"adaptseg {__version__}", help="show the version and exit"
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    for leaf in leaves(parser):
        leaf.add_argument("--quiet", action="store_true", help="show warnings and errors only")
    return parser


def leaves(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of the commands that do something, such as `adaptseg models list`."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not groups:
        yield parser
    for group in groups:
        for child in group.choices.values():
            yield from leaves(child)


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell that asks how a line may go on, and exit; nothing where none asks or argcomplete is missing."""
    if "_ARGCOMPLETE" in os.environ:
        with suppress(ImportError):
            import argcomplete

            argcomplete.autocomplete(parser)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; input that cannot be used gives one line on stderr and exit status 2, a warning one line."""
    with open_streams():
        parser = build_parser()
        complete(parser)
        arguments = parser.parse_args(argv)
        try:
            with plain_warnings(), quietly(arguments.quiet):
                arguments.run(arguments)
        except (AdaptSegError, OSError) as error:
            complain(error)
            return 2
        except KeyboardInterrupt:
            complain("cancelled")
            return 130
        return 0


if __name__ == "__main__":
    sys.exit(main())
