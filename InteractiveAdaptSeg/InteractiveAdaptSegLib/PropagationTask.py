"""Runs a propagation in a thread of its own; the scene is only touched by the thread that asks for news."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from AdaptCore.predict.propagate import Progress, Propagation

Propagate = Callable[["Progress", Callable[[], bool]], "Propagation"]
"""Runs a propagation with a progress callback and a question whether it is cancelled."""


@dataclass(frozen=True)
class PlaneNews:
    """One more plane is done: how many so far, how many there can be, and how confident the plane is."""

    done: int
    total: int
    confidence: float


class PropagationTask:
    """A propagation that is under way; it starts at once.

    Args:
        propagate: called in the new thread.
    """

    def __init__(self, propagate: Propagate) -> None:
        self._news: queue.SimpleQueue[PlaneNews | None] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._propagate = propagate
        self._result: Propagation | None = None
        self._error: BaseException | None = None
        self._finished = False
        self._thread = threading.Thread(target=self._run, name="InteractiveAdaptSeg-propagation", daemon=True)
        self._thread.start()

    @property
    def isFinished(self) -> bool:
        """Whether the end has been seen by `news`."""
        return self._finished

    def news(self, seconds: float = 0.02) -> list[PlaneNews]:
        """What happened since the last call; waits up to `seconds` for it, which lets the thread work meanwhile."""
        found: list[PlaneNews] = []
        while not self._finished:
            try:
                item = self._news.get(timeout=0 if found else seconds) if seconds else self._news.get_nowait()
            except queue.Empty:
                break
            if item is None:
                self._finished = True
                self._thread.join()
            else:
                found.append(item)
        return found

    def cancel(self) -> None:
        """Stop before the next plane; what is done until then is kept."""
        self._cancelled.set()

    def result(self) -> Propagation:
        """What the finished propagation gave.

        Raises:
            BaseException: what the propagation raised.
        """
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def stop(self) -> None:
        """Cancel, and wait for the thread to end."""
        self.cancel()
        self._thread.join()
        self._finished = True

    def _run(self) -> None:
        try:
            self._result = self._propagate(self._report, self._cancelled.is_set)
        except BaseException as error:  # handed over to the thread that asks for the result
            self._error = error
        self._news.put(None)

    def _report(self, done: int, total: int, confidence: float) -> None:
        self._news.put(PlaneNews(done, total, confidence))
