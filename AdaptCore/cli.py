"""The command line `adaptseg`: one module of AdaptCore.commands per command."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from AdaptCore import __version__
from AdaptCore.commands import bench, cohort, demo, models, profiles, segment, tasks, train
from AdaptCore.commands.console import complain, open_streams, plain_warnings
from AdaptCore.errors import AdaptSegError

COMMANDS = (segment, tasks, profiles, cohort, demo, models, train, bench)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="adaptseg", description=__doc__)
    parser.add_argument("--version", action="version", version=f"adaptseg {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for command in COMMANDS:
        command.add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; input that cannot be used gives one line on stderr and exit status 2, a warning one line."""
    with open_streams():
        arguments = build_parser().parse_args(argv)
        try:
            with plain_warnings():
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
