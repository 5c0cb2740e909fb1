"""Files that cannot be used are kept aside under a dated name, never overwritten."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from AdaptCore.errors import AdaptSegError, OutputError


def keep_aside(path: Path, reason: AdaptSegError) -> None:
    """Move a file aside, with a warning that says why and where it is.

    Raises:
        OutputError: it cannot be moved.
    """
    warnings.warn(kept_aside(path, reason), stacklevel=2)


def kept_aside(path: Path, reason: AdaptSegError) -> str:
    """Move a file aside; gives, for the user, why and where it is.

    Raises:
        OutputError: it cannot be moved.
    """
    with told(path):
        return f"{reason} It is kept as {set_aside(path)}."


def set_aside(path: Path) -> Path:
    """Move a file to a dated name beside it that nothing has, and give that."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (f"{path.name}.{stamp}{'' if number == 1 else f'-{number}'}.bak" for number in count(1))
    backup = next(path.with_name(name) for name in names if not path.with_name(name).exists())
    path.replace(backup)
    return backup


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Errors of the system in words of ours.

    Raises:
        OutputError: the system could not move or remove the file.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(f"{path}: The file cannot be moved ({error.strerror}).") from error
