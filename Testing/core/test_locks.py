"""A lock file lets one at a time pass, outlives no process that held it, and is never lost by one that lives."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from AdaptCore import locks
from AdaptCore.errors import OutputError
from AdaptCore.locks import FileLock, locked

HOLDER = """
import sys, time
from pathlib import Path
from AdaptCore.locks import FileLock

with FileLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def held_by_another_process(target: Path, repository: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(repository)}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(target)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_one_at_a_time_passes(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0", encoding="utf-8")

    def count() -> None:
        for _ in range(5):
            with FileLock(counter):
                number = int(counter.read_text(encoding="utf-8"))
                time.sleep(0.005)
                counter.write_text(str(number + 1), encoding="utf-8")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.read_text(encoding="utf-8") == "20"
    assert [path.name for path in tmp_path.iterdir()] == ["counter"]


def test_the_lock_of_a_killed_process_is_free_at_once(tmp_path: Path, repository: Path) -> None:
    process = held_by_another_process(tmp_path / "file", repository)
    with pytest.raises(OutputError), FileLock(tmp_path / "file", patience=0.1):
        pass
    process.kill()
    process.wait()
    assert (tmp_path / "file.lock").exists()
    with FileLock(tmp_path / "file", patience=0.1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_file_that_nobody_holds_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "file.lock").write_bytes(b"of a process that died")
    with FileLock(tmp_path / "file", patience=0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_patience_ends_with_a_message(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "file"),
        pytest.raises(OutputError, match=r"file\.lock: Another process kept this lock for 0\.1 s\. Try again\.$"),
        FileLock(tmp_path / "file", patience=0.1),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_holds_several_locks_gives_them_all_back(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    with locked(other, one), pytest.raises(OutputError, match=r"one\.lock"), locked(one, patience=0):
        pass
    with locked(one, other, patience=0):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_its_holder_removed_meanwhile_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who opened the old file before it went holds nothing that others would see."""
    claim = locks.claim

    def removed_before(descriptor: int) -> bool:
        monkeypatch.setattr(locks, "claim", claim)
        (tmp_path / "file.lock").unlink()
        return claim(descriptor)

    monkeypatch.setattr(locks, "claim", removed_before)
    with (
        FileLock(tmp_path / "file"),
        pytest.raises(OutputError),
        FileLock(tmp_path / "file", patience=0),
    ):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
@pytest.mark.parametrize(("shared", "mode"), [(False, 0o600), (True, 0o660)])
def test_a_lock_is_private_unless_it_is_shared(tmp_path: Path, shared: bool, mode: int) -> None:
    before = os.umask(0o007)
    try:
        with locked(tmp_path / "file", shared=shared):
            assert stat.S_IMODE((tmp_path / "file.lock").stat().st_mode) == mode
    finally:
        os.umask(before)


@pytest.mark.parametrize("platform", ["linux", "win32"])
def test_a_lock_that_may_not_be_opened_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """On Windows alone, that may mean that the file is just being deleted."""

    def forbidden(path: Path, flags: int, mode: int) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(locks.os, "open", forbidden)
    monkeypatch.setattr(locks.sys, "platform", platform)
    reason = "Another process kept" if platform == "win32" else r"The lock cannot be written \(Permission denied\)"
    begun = time.monotonic()
    with pytest.raises(OutputError, match=rf"file\.lock: {reason}"), FileLock(tmp_path / "file", patience=0.2):
        pass
    assert (time.monotonic() - begun > 0.2) == (platform == "win32")


def test_a_disk_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(descriptor: int) -> bool:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(locks, "claim", no_locks)
    wanted = r"file\.lock: This disk cannot lock files \(No locks available\)\. Choose a folder on another one\.$"
    with pytest.raises(OutputError, match=wanted), FileLock(tmp_path / "file"):
        pass
