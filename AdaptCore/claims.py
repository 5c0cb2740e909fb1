"""Claims on open files: the system ends them with the process that made them, however it ends."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

BUSY = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)


def claim(descriptor: int) -> bool:
    """Claim an open file until it is closed; False while another process or thread has claimed it.

    Raises:
        OSError: the file system knows no locks.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in BUSY:
            raise
        return False
    return True


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file still has its name: who had claimed it before may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
