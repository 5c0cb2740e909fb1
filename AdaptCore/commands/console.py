"""What commands share on the terminal: numbers as they are typed, warnings as one line each, and progress."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from tqdm import tqdm

MOST_DIGITS = 9
"""A longer number is taken for a slip."""

STDERR = 2
"""Written to without Python's buffers, which a signal may find in use."""


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


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Give what tells whether Ctrl-C was pressed, so that work can end at a safe point; pressed again, it ends at once.

    To be used in the main thread.
    """
    pressed = threading.Event()

    def press(number: int, frame: FrameType | None) -> None:
        pressed.set()
        signal.signal(signal.SIGINT, before)
        os.write(STDERR, b"\nadaptseg: stopping as soon as that is safe; Ctrl-C again stops at once\n")

    before = signal.signal(signal.SIGINT, press) or signal.default_int_handler
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _number(text: str, least: int) -> int:
    if not text.isdecimal() or len(text) > MOST_DIGITS or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number from {least} to {'9' * MOST_DIGITS} is wanted")
    return int(text)
