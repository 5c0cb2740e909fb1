"""Work on a local Ray with two workers equals work in one process, also when a worker is killed."""

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

needs_ray = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="needs Ray: pip install 'AdaptCore[ray]'"
)
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


def number_and_process(item: int, watch: Watch) -> tuple[int, int]:
    time.sleep(0.2)
    if item == 3:
        raise CohortError("3: another number is wanted")
    return item * 10, os.getpid()


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
def test_a_cluster_that_does_not_answer_is_told() -> None:
    with pytest.raises(CohortError, match=r"127\.0\.0\.1:1: Ray cannot be reached"):
        RayEngine("127.0.0.1:1")


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(CohortError, match=r"Ray is not installed; pip install 'AdaptCore\[ray\]'"):
        engine_ray.RayEngine()
