"""What commands share on the terminal: numbers as they are typed, warnings as one line each, and progress."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm

MOST_DIGITS = 9
"""A longer number is taken for a slip."""


def whole(text: str) -> int:
    """Type of an argument: a whole number from 0.

    Raises:
        ArgumentTypeError: it is none, or too long.
    """
    return _number(text, 0)


def positive(text: str) -> int:
    """Type of an argument: a whole number from 1.

    Raises:
        ArgumentTypeError: it is none, or too long.
    """
    return _number(text, 1)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print warnings as `adaptseg: warning: ...` without the place in the source."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        tqdm.write(f"adaptseg: warning: {message}", file=sys.stderr)

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def progress_bar(total: int, label: str, unit: str = "plane") -> tqdm:
    """A bar on the terminal; nothing where the output goes to a file."""
    return tqdm(total=total, desc=label, unit=unit, disable=None, leave=False)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {least} to {'9' * MOST_DIGITS} is wanted")
    return int(text)
