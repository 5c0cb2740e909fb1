"""A step killed at any moment: the cohort opens again, nothing accepted is lost, and the step goes on."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import time
from collections.abc import Callable
from itertools import count
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from AdaptCore.cohort.accepting import accept
from AdaptCore.cohort.beginning import begin
from AdaptCore.cohort.engine import LocalEngine
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.images import digest
from AdaptCore.cohort.steps import propagate, train
from Testing.cohort_toy import ToyMethod, a_case, begun, contents, results, unwatched, write_cohort

MOMENTS, CASES = 20, 6
PREFERRED = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
CONTEXT = multiprocessing.get_context(PREFERRED)
if PREFERRED == "forkserver":
    CONTEXT.set_forkserver_preload(["Testing.cohort_toy", "AdaptCore.cohort.steps"])

Step = Callable[[Path], object]


def begin_again(folder: Path) -> None:
    images, labels = folder / "images", folder / "labels"
    begin(folder / "cohort", [images], images / "case-000.nii.gz", labels / "case-000.nii.gz", "toy")


def propagate_all(folder: Path) -> None:
    propagate(Cohort.open(folder / "cohort"), ToyMethod(), LocalEngine(), unwatched)


def train_once(folder: Path) -> None:
    cohort = Cohort.open(folder / "cohort")
    if not cohort.state.rounds:
        train(cohort, ToyMethod(), 1, LocalEngine(), unwatched)


def accept_many(folder: Path) -> None:
    """Accept one label after the other, without end; a line tells of each that was accepted."""
    cohort = Cohort.open(folder / "cohort")
    with (folder / "told.txt").open("a", encoding="utf-8") as told:
        for number in count():
            case = accept(cohort, f"case-{number % CASES:03}", a_case(number + 1000)[1])
            told.write(f"{case.id} {case.accepted[-1].file} {case.accepted[-1].sha256}\n")
            told.flush()


def run(step: Step, folder: Path, ready: Event) -> None:
    ready.set()
    step(folder)


def started(step: Step, folder: Path) -> multiprocessing.process.BaseProcess:
    """A process that has just begun the step."""
    ready = CONTEXT.Event()
    process = CONTEXT.Process(target=run, args=(step, folder, ready))
    process.start()
    assert ready.wait(120)
    return process


def seconds_of(step: Step, folder: Path) -> float:
    process = started(step, folder)
    begun_at = time.monotonic()
    process.join()
    assert process.exitcode == 0
    return time.monotonic() - begun_at


def killed(step: Step, folder: Path, after: float) -> bool:
    """Kill the step after so many seconds and remove its locks, as time would; whether it was at work."""
    process = started(step, folder)
    process.join(after)
    process.kill()
    process.join()
    for lock in folder.rglob("*.lock"):
        lock.unlink()
    return process.exitcode != 0


def check_whole(cohort: Cohort) -> None:
    """Every record can be used, and every accepted label is as it was accepted."""
    assert cohort.state is not None
    for case in cohort.cases():
        assert not case.aside
        for accepted in case.accepted:
            assert digest(cohort.folder / accepted.file) == accepted.sha256
            assert cohort.label(case, accepted).any()


@pytest.fixture
def a_base(tmp_path: Path) -> Path:
    """A folder with a cohort of six cases, two of them with accepted labels."""
    cohort = begun(tmp_path / "base", CASES)
    for number in (1, 2):
        accept(cohort, f"case-{number:03}", a_case(number)[1])
    return tmp_path / "base"


@pytest.mark.slow
def test_init_can_be_killed_at_any_moment(tmp_path: Path) -> None:
    write_cohort(tmp_path / "base", CASES)
    shutil.copytree(tmp_path / "base", tmp_path / "whole")
    seconds, moments = seconds_of(begin_again, tmp_path / "whole"), random.Random(0)
    images, inside = contents(tmp_path / "base", "images", "labels"), 0
    for number in range(MOMENTS):
        folder = tmp_path / str(number)
        shutil.copytree(tmp_path / "base", folder)
        inside += killed(begin_again, folder, moments.uniform(0, seconds))
        if (folder / "cohort" / "cohort.json").exists():
            check_whole(Cohort.open(folder / "cohort"))
        begin_again(folder)
        assert all(case.is_usable for case in Cohort.open(folder / "cohort").cases())
        assert len(Cohort.open(folder / "cohort").case("case-000").accepted) == 1
        assert contents(folder, "images", "labels") == images
    assert inside > MOMENTS // 3, "most were killed while they worked"


@pytest.mark.slow
@pytest.mark.parametrize("step", [propagate_all, train_once])
def test_a_long_step_can_be_killed_at_any_moment(tmp_path: Path, a_base: Path, step: Step) -> None:
    if step is train_once:
        propagate_all(a_base)
    shutil.copytree(a_base, tmp_path / "whole")
    seconds, moments = seconds_of(step, tmp_path / "whole"), random.Random(1)
    whole, accepted, inside = Cohort.open(tmp_path / "whole" / "cohort"), contents(a_base, "cohort/accepted"), 0
    for number in range(MOMENTS):
        folder = tmp_path / str(number)
        shutil.copytree(a_base, folder)
        inside += killed(step, folder, moments.uniform(0, seconds))
        check_whole(Cohort.open(folder / "cohort"))
        assert contents(folder, "cohort/accepted") == accepted
        step(folder)
        cohort = Cohort.open(folder / "cohort")
        assert results(cohort) == results(whole) and cohort.state == whole.state
        shutil.rmtree(folder)
    assert inside > MOMENTS // 3, "most were killed while they worked"


@pytest.mark.slow
def test_a_review_can_be_killed_at_any_moment(a_base: Path) -> None:
    cohort, moments, inside = Cohort.open(a_base / "cohort"), random.Random(2), 0
    before = {case.id: case.accepted for case in cohort.cases()}
    for _ in range(MOMENTS):
        inside += killed(accept_many, a_base, moments.uniform(0, 0.5))
        check_whole(cohort)
        told = [line.split() for line in (a_base / "told.txt").read_text("utf-8").splitlines()]
        stored = {case.id: {(one.file, one.sha256) for one in case.accepted} for case in cohort.cases()}
        assert all((file, sha256) in stored[name] for name, file, sha256 in told)
        assert all({(one.file, one.sha256) for one in accepted} <= stored[name] for name, accepted in before.items())
    files = [one.file for case in cohort.cases() for one in case.accepted]
    assert len(files) == len(set(files)) and len(told) > MOMENTS
    assert inside == MOMENTS
