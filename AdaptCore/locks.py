"""A lock file beside a file: one process or thread at a time reads, changes and writes it, on every system."""

from __future__ import annotations

import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from AdaptCore.atomic import check_folder
from AdaptCore.errors import OutputError

STALE_SECONDS = 20.0
"""A lock that one owner has held for so long was left behind by a process that died."""

RENEW_SECONDS = 5.0
"""How often the owner of a long lock shows that it lives."""

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.02

Check = Callable[[], None]
"""Called right before a change takes effect; raises `LockLost` if it must not."""

Result = TypeVar("Result")


class LockLost(Exception):  # noqa: N818 (a signal to begin again, no error of the user's)
    """The lock was held for so long that another process has taken it."""


class FileLock:
    """Held from `with` to the end of its block; not reentrant.

    Its file holds a random token. Who waits sees by its own clock for how long a token stays the same, so neither
    process numbers nor the clocks of two machines matter.

    Args:
        target: what is locked; its folder must exist and be writable.
        stale: seconds after which a token that stays the same no longer counts.
        patience: seconds to wait for other owners.

    Raises:
        OutputError: on entering, the lock cannot be made or was busy for too long.
    """

    def __init__(self, target: Path, *, stale: float = STALE_SECONDS, patience: float = WAIT_SECONDS) -> None:
        self._path = target.with_name(f"{target.name}.lock")
        self._stale = stale
        self._patience = patience
        self._token = b""

    def __enter__(self) -> FileLock:
        self._token = uuid.uuid4().hex.encode()
        give_up = time.monotonic() + self._patience
        seen, since = self._holder(), time.monotonic()
        while not self._made():
            holder, now = self._holder(), time.monotonic()
            if holder != seen:
                seen, since = holder, now
            elif now - since > self._stale:
                self._remove(holder)
                since = now
            elif now > give_up:
                raise OutputError(f"{self._path}: another process kept this lock for {self._patience:g} s; try again")
            time.sleep(POLL_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove(self._token)

    def check(self) -> None:
        """Call it right before the change takes effect.

        Raises:
            LockLost: another process holds the lock by now.
        """
        if self._holder() != self._token:
            raise LockLost

    def renew(self) -> None:
        """Show who waits that the owner lives.

        Raises:
            LockLost: another process holds the lock by now.
        """
        self.check()
        self._token = uuid.uuid4().hex.encode()
        self._path.write_bytes(self._token)

    def _made(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except (FileExistsError, PermissionError):  # Windows refuses a name whose file is just being deleted
            return False
        except OSError as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror})") from error
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(self._token)
        return True

    def _holder(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    def _remove(self, token: bytes | None) -> None:
        """Remove the lock if it is the token's; Windows refuses while another process reads it, so try again."""
        for _ in range(50):
            if self._holder() != token:
                return
            try:
                self._path.unlink(missing_ok=True)
                return
            except PermissionError:
                time.sleep(POLL_SECONDS)


def locked(action: Callable[[Check], Result], *paths: Path) -> Result:
    """The action's result while the files are locked; begun again if the locks did not hold until its end.

    Raises:
        OutputError: the folder cannot be written, or another process keeps a lock.
    """
    for path in paths:
        check_folder(path)
    while True:
        with suppress(LockLost), ExitStack() as stack:
            locks = [stack.enter_context(FileLock(path)) for path in sorted(set(paths))]
            return action(partial(_check_all, locks))


@contextmanager
def long_locked(path: Path, *, renew: float = RENEW_SECONDS, stale: float = STALE_SECONDS) -> Iterator[None]:
    """Hold a lock for work of any length: a thread renews it, so that nobody takes it over from who lives.

    One that a process left behind when it died is taken over after `stale` seconds.

    Raises:
        OutputError: the folder cannot be written, or another process holds the lock and lives.
    """
    check_folder(path)
    ended = threading.Event()

    def keep(lock: FileLock) -> None:
        with suppress(LockLost, OSError):
            while not ended.wait(renew):
                lock.renew()

    with FileLock(path, stale=stale, patience=stale + renew) as lock:
        keeper = threading.Thread(target=keep, args=(lock,), daemon=True)
        keeper.start()
        try:
            yield
        finally:
            ended.set()
            keeper.join()


def _check_all(locks: Sequence[FileLock]) -> None:
    for lock in locks:
        lock.check()
