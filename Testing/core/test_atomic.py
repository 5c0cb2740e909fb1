"""Files that are written whole or not at all, whoever is killed meanwhile, with the modes that their users expect."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from AdaptCore import atomic
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.atomic import atomic_target, unless_busy, write_bytes
from AdaptCore.errors import OutputError
from Testing.tiny_model import taught, tiny_model

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")

KILLED = """
import os, signal, sys
from pathlib import Path
from AdaptCore import atomic
from AdaptCore.adapt.tasks import TaskStore
from Testing.tiny_model import taught, tiny_model

atomic._flush_to_disk = lambda path: os.kill(os.getpid(), signal.SIGKILL)
store = TaskStore(Path(sys.argv[1]))
task = store.load("cup", tiny_model())
store.save(task, taught(task.known, 0.1, 1))
"""


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@posix
def test_a_save_after_one_that_was_killed_before_the_renaming_waits_for_nothing_and_cleans_up(
    tmp_path: Path, repository: Path
) -> None:
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=environment, check=False)
    left = sorted(path.suffix for path in tmp_path.iterdir())
    assert left == [".lock", ".tmp"]
    store = TaskStore(tmp_path)
    task = store.load("cup", tiny_model())
    store.save(task, taught(task.known, 0.1, 7))
    assert [path.name for path in tmp_path.iterdir()] == [store.path("cup").name]
    assert [one.clicks for one in store.load("cup", tiny_model()).known.history] == [7]


def test_a_file_that_is_being_written_is_no_leftover(tmp_path: Path) -> None:
    with atomic_target(tmp_path / "one") as writing:
        writing.write_bytes(b"1")
        write_bytes(tmp_path / "other", b"2")
        assert writing.exists()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one": b"1", "other": b"2"}


def test_files_of_others_are_no_leftovers(tmp_path: Path) -> None:
    names = {f".{'0' * 32}.tmp", ".adaptseg-notes.tmp", f"adaptseg-{'0' * 32}.tmp"}
    for name in names:
        (tmp_path / name).write_bytes(b"the user's")
    (tmp_path / f".adaptseg-{'0' * 32}.nii.gz").write_bytes(b"half")
    write_bytes(tmp_path / "one", b"1")
    assert {path.name for path in tmp_path.iterdir()} == {*names, "one"}


@posix
def test_a_link_among_the_leftovers_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "image").write_bytes(b"the patient")
    (tmp_path / "folder" / f".adaptseg-{'0' * 32}.tmp").symlink_to(tmp_path / "image")
    write_bytes(tmp_path / "folder" / "one", b"1")
    assert (tmp_path / "image").read_bytes() == b"the patient"


def test_what_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"old")
    refused = pytest.raises(OutputError, match=r"one: The file cannot be written \(No space left on device\)")
    with refused, atomic_target(tmp_path / "one") as writing:
        writing.write_bytes(b"half")
        raise OSError(28, "No space left on device")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"one": b"old"}


@pytest.mark.parametrize(("platform", "calls"), [("win32", 3), ("linux", 1)])
def test_only_on_windows_may_a_forbidden_file_be_a_busy_one(
    monkeypatch: pytest.MonkeyPatch, platform: str, calls: int
) -> None:
    monkeypatch.setattr(atomic, "BUSY_RETRIES", 2)
    monkeypatch.setattr(atomic, "BUSY_SECONDS", 0)
    monkeypatch.setattr(atomic.sys, "platform", platform)
    called = []

    def forbidden() -> None:
        called.append(1)
        raise PermissionError(13, "Permission denied")

    with pytest.raises(PermissionError):
        unless_busy(forbidden)
    assert len(called) == calls


@posix
@pytest.mark.parametrize("before", [0o644, 0o600, 0o664, 0o640])
def test_a_file_keeps_its_mode(tmp_path: Path, before: int) -> None:
    (tmp_path / "one").write_bytes(b"old")
    (tmp_path / "one").chmod(before)
    for private in (False, True):
        write_bytes(tmp_path / "one", b"new", private=private)
        assert mode(tmp_path / "one") == before


@posix
def test_a_new_file_has_the_mode_that_the_users_mask_leaves(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes(tmp_path / "one", b"1")
        write_bytes(tmp_path / "own", b"1", private=True)
    finally:
        os.umask(before)
    assert (mode(tmp_path / "one"), mode(tmp_path / "own")) == (0o640, 0o600)


@posix
def test_what_was_learnt_is_for_its_user_alone(a_home: Path, tmp_path: Path) -> None:
    store, model = TaskStore(), tiny_model()
    task = store.load("cup", model)
    store.save(task, taught(task.known, 0.1, 1))
    store.export("cup", tmp_path / "cup.safetensors")
    store.import_(tmp_path / "cup.safetensors", "other")
    store.rename("other", "third")
    assert {mode(path) for path in (store.path("cup"), store.path("third"), tmp_path / "cup.safetensors")} == {0o600}
