"""A lock file beside a file: one process or thread at a time reads, changes and writes it, on every system.

Only who has claimed the lock file holds the lock, so a process that is killed leaves none behind, and one that lives
never loses it.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType

from AdaptCore.atomic import PRIVATE, SHARED, check_folder, output_error
from AdaptCore.claims import claim, is_at
from AdaptCore.errors import OutputError

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.02


class FileLock:
    """Held from `with` to the end of its block; not reentrant.

    Args:
        target: what is locked; its folder must exist and be writable.
        shared: whether other users may take the lock, as those may who work in the folder of one cohort.
        patience: seconds to wait for other owners.

    Raises:
        OutputError: on entering, the lock cannot be made or was busy for too long.
    """

    def __init__(self, target: Path, *, shared: bool = False, patience: float = WAIT_SECONDS) -> None:
        self._path = target.with_name(f"{target.name}.lock")
        self._mode = SHARED if shared else PRIVATE
        self._patience = patience
        self._descriptor = -1

    def __enter__(self) -> FileLock:
        give_up = time.monotonic() + self._patience
        while not self._acquired():
            if time.monotonic() > give_up:
                raise OutputError(f"{self._path}: Another process kept this lock for {self._patience:g} s. Try again.")
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if sys.platform == "win32":  # removes no open file, and none that another process has opened since
            os.close(self._descriptor)
        with suppress(OSError):
            self._path.unlink()
        if sys.platform != "win32":  # the name goes while nobody else can hold the lock
            os.close(self._descriptor)

    def _acquired(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_RDWR, self._mode)
        except OSError as error:
            if sys.platform == "win32" and isinstance(error, PermissionError):  # the file is just being deleted
                return False
            raise output_error(f"{self._path}: The lock cannot be written", error) from error
        try:
            if claim(descriptor) and is_at(descriptor, self._path):
                self._descriptor = descriptor
                return True
        except OSError as error:
            os.close(descriptor)
            raise output_error(
                f"{self._path}: This disk cannot lock files", error, " Choose a folder on another one."
            ) from error
        os.close(descriptor)
        return False


@contextmanager
def locked(*paths: Path, shared: bool = False, patience: float = WAIT_SECONDS) -> Iterator[None]:
    """Hold the locks of files, for work of any length; see `FileLock`.

    Raises:
        OutputError: a folder cannot be written, or another process keeps a lock.
    """
    for path in paths:
        check_folder(path)
    with ExitStack() as stack:
        for path in sorted(set(paths)):
            stack.enter_context(FileLock(path, shared=shared, patience=patience))
        yield
