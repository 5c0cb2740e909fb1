"""Work beside the window that halts at a known place, so that tests can do something in the middle of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

PATIENCE = 20.0


@contextmanager
def halted_propagation(planes: int) -> Iterator[None]:
    """Propagations give so many planes, and then wait until they are cancelled or stopped."""
    from InteractiveAdaptSegLib.Propagating import Propagating

    report = Propagating._report

    def report_and_halt(task: Any, done: int, total: int, confidence: float) -> None:
        report(task, done, total, confidence)
        if done == planes:
            assert task._cancelled.wait(PATIENCE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Propagating, "_report", report_and_halt)
        yield


def halted_learning() -> AbstractContextManager[threading.Event]:
    """Lessons begin, and wait for the event that is given."""
    from AdaptCore.adapt import learner

    return _halted(learner, "learnt")


def halted_candidates() -> AbstractContextManager[threading.Event]:
    """Candidates are asked for, and wait for the event that is given."""
    from AdaptCore.preference.adviser import Adviser

    return _halted(Adviser, "ask")


@contextmanager
def halted_answers() -> Iterator[threading.Event]:
    """Every model counts as slow, and its answers wait for the event that is given."""
    from InteractiveAdaptSegLib.Asker import RegionQuestion
    from InteractiveAdaptSegLib.ChosenModel import ChosenModel

    with pytest.MonkeyPatch.context() as patch, _halted(RegionQuestion, "answer") as goes_on:
        patch.setattr(ChosenModel, "isSlow", True)
        yield goes_on


@contextmanager
def _halted(owner: Any, name: str) -> Iterator[threading.Event]:
    function, goes_on = getattr(owner, name), threading.Event()

    def halt(*given: Any, **options: Any) -> Any:
        assert goes_on.wait(PATIENCE)
        return function(*given, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, halt)
        try:
            yield goes_on
        finally:
            goes_on.set()
