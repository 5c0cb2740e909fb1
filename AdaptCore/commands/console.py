"""What commands share on the terminal: their help, typed numbers, lines, warnings as one line each, and progress.

All that a command tells passes through here: `say`, and `complain` for what went wrong.
"""

from __future__ import annotations

import argparse
import errno
import io
import math
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import TextIO

from tqdm import tqdm

from AdaptCore.errors import AdaptSegError
from AdaptCore.printable import printable

MOST_DIGITS = 9
"""A longer number is taken for a slip."""

STDERR = 2
"""Written to without Python's buffers, which a signal may find in use."""

GONE = (errno.EPIPE, errno.EINVAL)
"""What a stream says when its reader has gone away, as `head` does; on Windows the second."""


_quiet: ContextVar[bool] = ContextVar("quiet", default=False)
"""Whether the command that runs shows warnings and errors only."""


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    text: str,
    run: Callable[[argparse.Namespace], None] | None = None,
) -> argparse.ArgumentParser:
    """Add a command; what it does stands in the list of commands and, as a sentence, in its own help."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    if run:
        parser.set_defaults(run=run)
    return parser


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


def above_zero(text: str) -> float:
    """Type of an argument: a number above zero.

    Raises:
        ArgumentTypeError: it is none.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"Expected a number above 0, such as 60 or 0.5, got {text!r}.")
    return value


@contextmanager
def quietly(is_quiet: bool) -> Iterator[None]:
    """Show warnings and errors only while the block runs, if `is_quiet`: no results and no progress."""
    token = _quiet.set(is_quiet)
    try:
        yield
    finally:
        _quiet.reset(token)


def say(*lines: str) -> None:
    """Print lines for the user; each stays one line, and what cannot be seen in it is shown by its number."""
    if not _quiet.get():
        _print(sys.stdout, lines)


def counted(number: int, thing: str) -> str:
    """A number of things in words."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}{'es' if thing.endswith('x') else 's'}"


def complain(problem: object) -> None:
    """Print what went wrong, as one line beside the results."""
    _print(sys.stderr, [f"adaptseg: {problem}"])


def all_of(steps: Iterable[Callable[[], None]]) -> None:
    """Take all steps, also after one that fails.

    Raises:
        AdaptSegError, OSError: of the last step that failed; the others are told.
    """
    problem: Exception | None = None
    for step in steps:
        try:
            step()
        except (AdaptSegError, OSError) as error:
            if problem:
                complain(problem)
            problem = error
    if problem:
        raise problem


@contextmanager
def open_streams() -> Iterator[None]:
    """Let a terminal that lacks a letter show its number, and a reader that goes away end the printing in silence."""
    streams = [stream for stream in (sys.stdout, sys.stderr) if isinstance(stream, io.TextIOWrapper)]
    for stream in streams:
        stream.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        for stream in streams:
            with _silenced_if_gone(stream):
                stream.flush()


@contextmanager
def _silenced_if_gone(stream: TextIO) -> Iterator[None]:
    """Send to nowhere what is written to a stream once its reader has gone away; the command goes on."""
    try:
        yield
    except OSError as error:
        if error.errno not in GONE:
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _print(stream: TextIO, lines: Iterable[str]) -> None:
    with _silenced_if_gone(stream):
        for line in lines:
            tqdm.write(printable(line), file=stream)
        stream.flush()


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
        complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = show
        yield


def progress_bar(total: int | None, label: str | None = None, unit: str = "plane") -> tqdm:
    """A bar on the terminal; nothing where the output goes to a file. Bytes ("B") are counted in kilo and mega."""
    return tqdm(
        total=total, desc=label, unit=unit, unit_scale=unit == "B", disable=True if _quiet.get() else None, leave=False
    )


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
        raise argparse.ArgumentTypeError(f"Expected a whole number from {least} to {'9' * MOST_DIGITS}, got {text!r}.")
    return int(text)
