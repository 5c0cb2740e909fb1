"""Files that are written whole or not at all: a temporary file beside the target takes its place at the end."""

from __future__ import annotations

import errno
import os
import re
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from AdaptCore.claims import claim, is_at
from AdaptCore.errors import FullDiskError, OutputError

BUSY_RETRIES, BUSY_SECONDS = 10, 0.05
"""Windows refuses to replace a file that another process reads at this moment, and to read one just being replaced."""

TEMPORARY = re.compile(r"\.adaptseg-[0-9a-f]{32}\..+")
"""Name of a file until it is whole."""

RENAME_SECONDS = 60.0
"""On Windows, a temporary file that was written since then may be about to take its place."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""No room on the disk, or none for this user."""

PRIVATE, SHARED = 0o600, 0o666
"""Modes of new files: for their user alone, and for all that the user's mask leaves."""

Result = TypeVar("Result")


@contextmanager
def atomic_target(path: Path, suffix: str = ".tmp", *, private: bool = False) -> Iterator[Path]:
    """Give an empty file in the folder of `path`; when the block ends well it replaces `path` and takes over its mode.

    When it does not, it is removed and what was at `path` before stays as it was. The same is removed that a process
    which was killed has left in the folder.

    Args:
        private: whether a new file is for its user alone, where the system can tell users apart.

    Raises:
        OutputError: the system could not write (no space, no permission, no folder).
    """
    target = path.resolve()
    try:
        remove_leftovers(target.parent)
        temporary, descriptor = _new_file(target.parent, suffix, PRIVATE if private or target.exists() else SHARED)
    except OSError as error:
        raise output_error(f"{path}: The file cannot be written", error) from error
    if sys.platform == "win32":  # renames no open file
        os.close(descriptor)
    try:
        yield temporary
        _flush_to_disk(temporary)
        if target.exists():
            temporary.chmod(stat.S_IMODE(target.stat().st_mode))
        temporary.replace(target)
    except OSError as error:
        raise output_error(f"{path}: The file cannot be written", error) from error
    finally:
        temporary.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove the temporary files in a folder whose process was killed before it could."""
    with suppress(OSError):
        for left in [file for file in folder.iterdir() if TEMPORARY.fullmatch(file.name)]:
            with suppress(OSError):
                _remove_leftover(left)


def _remove_leftover(path: Path) -> None:
    if sys.platform == "win32":  # removes no open file
        if time.time() - path.stat().st_mtime > RENAME_SECONDS:
            path.unlink()
    else:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            if claim(descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _new_file(folder: Path, suffix: str, mode: int) -> tuple[Path, int]:
    """An empty file that nobody takes for a leftover as long as its descriptor is open."""
    while True:
        path = folder / f".adaptseg-{uuid.uuid4().hex}{suffix}"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode)
        if _is_safe(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _is_safe(path: Path, descriptor: int) -> bool:
    """Whether a new file is claimed before another process could take it for a leftover."""
    if sys.platform == "win32":  # an open file cannot be removed there
        return True
    else:
        try:
            return claim(descriptor) and is_at(descriptor, path)
        except OSError:  # a disk without locks, where no file is taken for a leftover
            return True


def write_bytes(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a file whole or not at all; see `atomic_target`.

    Raises:
        OutputError: as `atomic_target`.
    """
    with atomic_target(path, private=private) as temporary:
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
        raise OutputError(f"{path}: The folder {folder} does not exist. Choose one that does.")
    if path.is_dir():
        raise OutputError(f"{path}: This is a folder. Choose a file name.")
    if path.exists() and not os.access(path, os.W_OK):
        raise OutputError(f"{path}: The file is read-only. Choose another one.")
    probe = folder / f".adaptseg-{uuid.uuid4().hex}.tmp"
    try:
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise output_error(f"{path}: The folder {folder} cannot be written", error, " Choose another one.") from error


def prepare_folder(folder: Path, names: Iterable[str]) -> None:
    """Make a folder with its parents where it is missing, and check that files of these names can be written there.

    Raises:
        OutputError: it cannot be made, or as `check_folder`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise output_error(f"{folder}: The folder cannot be made", error, " Choose another one.") from error
    for name in names:
        check_folder(folder / name)


def _check_name(path: Path) -> None:
    try:
        path.stat()
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise output_error(f"{path}: The file cannot be written", error, " Choose another file name.") from error


def output_error(what: str, error: OSError | ValueError, advice: str = "") -> OutputError:
    """An error of the system in words of ours."""
    number, reason = (error.errno, error.strerror) if isinstance(error, OSError) else (None, None)
    kind = FullDiskError if number in FULL else OutputError
    return kind(f"{what} ({reason or error}).{advice}")


def _flush_to_disk(path: Path) -> None:
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def unless_busy(action: Callable[[], Result]) -> Result:
    """The action's result; tried again while Windows says that another process has the file open."""
    for _ in range(BUSY_RETRIES if sys.platform == "win32" else 0):
        try:
            return action()
        except (PermissionError, OutputError) as error:
            if not isinstance(error, PermissionError) and not isinstance(error.__cause__, PermissionError):
                raise
            time.sleep(BUSY_SECONDS)
    return action()
