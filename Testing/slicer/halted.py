"""Work beside the window that halts at a known place, so that tests can do something in the middle of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

PATIENCE = 20.0


@contextmanager
def halted_propagation(planes: int) -> Iterator[None]:
    """Propagations give so many planes, and then wait until they are cancelled or stopped."""
    from InteractiveAdaptSegLib.PropagationTask import PropagationTask

    report = PropagationTask._report

    def report_and_halt(task: Any, done: int, total: int, confidence: float) -> None:
        report(task, done, total, confidence)
        if done == planes:
            assert task._cancelled.wait(PATIENCE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PropagationTask, "_report", report_and_halt)
        yield


@contextmanager
def halted_learning() -> Iterator[threading.Event]:
    """Lessons begin, and wait for the event that is given, and some time at the longest."""
    from AdaptCore.adapt import learner

    learnt, goes_on = learner.learnt, threading.Event()

    def halt_and_learn(*given: Any) -> Any:
        assert goes_on.wait(PATIENCE)
        return learnt(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learner, "learnt", halt_and_learn)
        yield goes_on
        goes_on.set()
