"""Work on a local Ray with two workers equals work in one process, also when a worker is killed.

Those that kill workers come last: what follows waits for new ones.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cohort import engine_ray
from AdaptCore.cohort.arrays import StoredFeatures
from AdaptCore.cohort.engine import LocalEngine, Watch
from AdaptCore.cohort.engine_ray import RayEngine
from AdaptCore.cohort.steps import propagate, train
from AdaptCore.errors import AdaptSegError, CohortError
from Testing.cohort_toy import ToyMethod, begun, results, unwatched

needs_ray = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'adaptseg[ray]'")
LOOPBACK = "0100007F"
"""127.0.0.1 in Linux's lists of sockets."""

KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


@dataclass(frozen=True)
class Mortal(ToyMethod):
    """Kills its process once; a file tells that it has."""

    grave: Path = Path()

    def features(self, image: np.ndarray, watch: Watch) -> StoredFeatures:
        with suppress(FileExistsError):
            self.grave.touch(exist_ok=False)
            os.kill(os.getpid(), KILL)
        return super().features(image, watch)


@pytest.mark.parametrize(
    ("resources", "workers", "device", "wanted"),
    [
        ({"CPU": 8.0}, None, None, (0, 8)),
        ({"CPU": 8.0, "GPU": 2.0}, None, None, (1, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, 6, "cuda", (1, 2)),
        ({"CPU": 8.0, "GPU": 2.0}, 1, "cuda", (1, 1)),
        ({"CPU": 8.0, "GPU": 2.0}, 6, "cpu", (0, 6)),
        ({}, None, "cpu", (0, 1)),
    ],
)
def test_a_worker_gets_a_gpu_where_it_computes_on_one(
    resources: dict[str, float], workers: int | None, device: str | None, wanted: tuple[int, int]
) -> None:
    assert engine_ray.shares(resources, workers, device) == wanted


@pytest.mark.parametrize(
    ("device", "message"),
    [
        ("cuda", "The cluster has no GPU for --device cuda. Choose --device cpu."),
        ("cuda:1", "Ray gives out the GPUs itself, got --device cuda:1. Choose --device cuda."),
    ],
)
def test_gpus_that_ray_cannot_give_are_refused(device: str, message: str) -> None:
    with pytest.raises(CohortError, match=f"^{message}$"):
        engine_ray.shares({"CPU": 4.0}, None, device)


def number_and_process(item: int, watch: Watch) -> tuple[int, int]:
    time.sleep(0.2)
    if item == 3:
        raise CohortError("3: Choose another number.")
    return item * 10, os.getpid()


def killed_by_three(item: int, watch: Watch) -> int:
    if item == 3:
        os.kill(os.getpid(), KILL)
    return item


def priority(item: int, watch: Watch) -> int:
    return os.getpriority(os.PRIO_PROCESS, 0)


def processes_from_here() -> set[int]:
    """This process and all that it has started, and so on."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def sockets(processes: set[int]) -> set[str]:
    found = set()
    for process in processes:
        with suppress(OSError):
            found |= {str(file.readlink()) for file in Path(f"/proc/{process}/fd").iterdir()}
    return found


def listening_addresses(sockets: set[str]) -> list[str]:
    """Of those sockets that listen, in hexadecimal digits."""
    tables = [Path("/proc/net", name).read_text(encoding="utf-8").splitlines() for name in ("tcp", "tcp6")]
    lines = [line.split() for table in tables for line in table]
    return [line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets]


@pytest.fixture(scope="module")
def two_workers() -> Iterator[RayEngine]:
    engine = RayEngine(workers=2)
    yield engine
    engine.close()


@needs_ray
@pytest.mark.slow
def test_items_come_back_in_order_from_two_processes(two_workers: RayEngine) -> None:
    items: Sequence[int] = range(8)
    answers = dict(two_workers.map(number_and_process, items, Watch()))
    assert list(answers) == list(items)
    assert isinstance(answers.pop(3), CohortError)
    found = [answer for answer in answers.values() if not isinstance(answer, AdaptSegError)]
    assert [number for number, _ in found] == [0, 10, 20, 40, 50, 60, 70]
    processes = {process for _, process in found}
    assert len(processes) == 2 and os.getpid() not in processes


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other priorities")
def test_workers_have_the_priority_of_this_process(two_workers: RayEngine) -> None:
    answers = dict(two_workers.map(priority, range(4), Watch()))
    assert set(answers.values()) == {os.getpriority(os.PRIO_PROCESS, 0)}


@needs_ray
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's list of sockets")
def test_only_this_machine_reaches_a_ray_of_its_own(two_workers: RayEngine) -> None:
    list(two_workers.map(number_and_process, range(2), Watch()))
    listening = listening_addresses(sockets(processes_from_here()))
    assert len(listening) >= 4
    assert all(address.endswith(LOOPBACK) for address in listening)


@needs_ray
@pytest.mark.slow
def test_waiting_can_be_cancelled(two_workers: RayEngine) -> None:
    asked = iter([False, False])
    with pytest.raises(CancelledError):
        list(two_workers.map(number_and_process, range(50), Watch(cancelled=lambda: next(asked, True))))


@needs_ray
@pytest.mark.slow
def test_a_killed_worker_loses_nothing_and_results_are_those_of_one_process(
    two_workers: RayEngine, tmp_path: Path
) -> None:
    local, spread = begun(tmp_path / "local"), begun(tmp_path / "spread")
    for cohort, method, engine in (
        (local, ToyMethod(), LocalEngine()),
        (spread, Mortal(grave=tmp_path / "grave"), two_workers),
    ):
        propagate(cohort, method, engine, unwatched)
        train(cohort, method, 1, engine, unwatched)
    assert (tmp_path / "grave").exists()
    assert results(spread) == results(local) and spread.state == local.state
    assert all(case.is_usable for case in spread.cases())


@needs_ray
@pytest.mark.slow
def test_an_item_that_kills_every_worker_is_given_up_and_the_others_come_back(two_workers: RayEngine) -> None:
    answers = dict(two_workers.map(killed_by_three, range(6), Watch()))
    with pytest.raises(CohortError, match="3: 4 workers died over it"):
        raise answers.pop(3)
    assert answers == {item: item for item in (0, 1, 2, 4, 5)}


@needs_ray
def test_a_cluster_that_does_not_answer_is_told() -> None:
    with pytest.raises(CohortError, match=r"127\.0\.0\.1:1: Ray cannot be reached"):
        RayEngine("127.0.0.1:1")


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CohortError, match=r"Ray is not installed\. Run pip install 'adaptseg\[ray\]'"):
        engine_ray.RayEngine()
