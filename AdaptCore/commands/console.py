"""What commands print besides their result: warnings as one line each, and progress."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from tqdm import tqdm


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
