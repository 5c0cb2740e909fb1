"""A lock file lets one at a time pass and outlives nobody for long."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from AdaptCore.errors import OutputError
from AdaptCore.locks import FileLock, LockLost, long_locked


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


def test_a_lock_left_behind_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "file.lock").write_bytes(b"of a process that died")
    started = time.monotonic()
    with FileLock(tmp_path / "file", stale=0.2) as lock:
        lock.check()
    assert time.monotonic() - started >= 0.2
    assert list(tmp_path.iterdir()) == []


def test_patience_ends_with_a_message(tmp_path: Path) -> None:
    with (
        FileLock(tmp_path / "file"),
        pytest.raises(OutputError, match=r"another process kept this lock for 0\.1 s"),
        FileLock(tmp_path / "file", patience=0.1),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


def test_who_was_too_slow_notices_and_leaves_the_other_alone(tmp_path: Path) -> None:
    slow, quick = FileLock(tmp_path / "file"), FileLock(tmp_path / "file", stale=0.05)
    with ExitStack() as first:
        first.enter_context(slow)
        second = ExitStack()
        second.enter_context(quick)
        with pytest.raises(LockLost):
            slow.check()
    quick.check()
    second.close()
    assert list(tmp_path.iterdir()) == []


def test_a_long_lock_is_kept_for_as_long_as_its_owner_lives(tmp_path: Path) -> None:
    refused = pytest.raises(OutputError, match=r"another process kept this lock for 0\.25 s")
    with long_locked(tmp_path / "work", renew=0.05, stale=0.2):
        time.sleep(0.5)
        with refused, long_locked(tmp_path / "work", renew=0.05, stale=0.2):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_long_lock_of_a_process_that_died_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / "work.lock").write_bytes(b"of a process that died")
    with long_locked(tmp_path / "work", renew=0.05, stale=0.2):
        assert (tmp_path / "work.lock").read_bytes() != b"of a process that died"
    assert list(tmp_path.iterdir()) == []


def test_a_long_lock_that_was_lost_is_not_taken_back(tmp_path: Path) -> None:
    with long_locked(tmp_path / "work", renew=0.05, stale=0.2):
        (tmp_path / "work.lock").write_bytes(b"another owner")
        time.sleep(0.2)
        assert (tmp_path / "work.lock").read_bytes() == b"another owner"
    assert (tmp_path / "work.lock").read_bytes() == b"another owner"
