"""Files that are written whole or not at all: a temporary file beside the target takes its place at the end."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from AdaptCore.errors import OutputError

BUSY_RETRIES, BUSY_SECONDS = 10, 0.05
"""Windows refuses to replace a file that another process reads at this moment, and to read one just being replaced."""

Result = TypeVar("Result")


@contextmanager
def atomic_target(path: Path, suffix: str = ".tmp") -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well the file there replaces `path`.

    When it does not, the temporary file is removed and what was at `path` before stays as it was.

    Raises:
        OutputError: the system could not write (no space, no permission, no folder).
    """
    target = path.resolve()
    temporary = target.with_name(f".{uuid.uuid4().hex}{suffix}")
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(target)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)})") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        OutputError: as `atomic_target`.
    """
    with atomic_target(path) as temporary:
        temporary.write_bytes(content)


def check_folder(path: Path) -> None:
    """Check, before long work begins, that a file can be written at `path`.

    Raises:
        OutputError: no file can have this name, its folder is missing or read-only, or a folder or read-only file is
            in its place.
    """
    _check_name(path)
    folder = path.resolve().parent
    if not folder.is_dir():
        raise OutputError(f"{path}: the folder {folder} does not exist; an existing folder is wanted")
    if path.is_dir():
        raise OutputError(f"{path}: this is a folder; a file name is wanted")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: the file is read-only; a file that may be replaced is wanted")
    probe = folder / f".{uuid.uuid4().hex}.tmp"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(
            f"{path}: the folder {folder} cannot be written ({_reason(error)}); another one is wanted"
        ) from error


def prepare_folder(folder: Path, names: Iterable[str]) -> None:
    """Make a folder with its parents where it is missing, and check that files of these names can be written there.

    Raises:
        OutputError: it cannot be made, or as `check_folder`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise OutputError(f"{folder}: the folder cannot be made ({_reason(error)}); another one is wanted") from error
    for name in names:
        check_folder(folder / name)


def _check_name(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise OutputError(f"{path}: cannot be written ({_reason(error)}); another file name is wanted") from error


def _reason(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def unless_busy(action: Callable[[], Result]) -> Result:
    """The action's result; tried again while Windows says that another process has the file open."""
    for _ in range(BUSY_RETRIES):
        try:
            return action()
        except (PermissionError, OutputError) as error:
            if not isinstance(error, PermissionError) and not isinstance(error.__cause__, PermissionError):
                raise
            time.sleep(BUSY_SECONDS)
    return action()
