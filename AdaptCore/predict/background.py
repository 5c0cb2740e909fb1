"""Background work: one thread that runs the latest list of jobs and can be cancelled and closed at any time."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable

Job = Callable[[], object]


class _Queue:
    """What the thread and its owner share; the thread holds no reference to the owner, so that one can be freed."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.jobs: deque[Job] = deque()
        self.busy = False
        self.closed = False


class BackgroundWorker:
    """Runs jobs one after the other, in order, on one thread that starts with the first job and sleeps between jobs.

    Jobs only prepare: what one could not do is tried again, and its error met again, where the result is asked for. So
    an exception in a job is logged as a warning, no call here raises it, and the next job runs.
    """

    def __init__(self) -> None:
        self._queue = _Queue()
        self._finalizer: weakref.finalize | None = None

    def request(self, jobs: Iterable[Job]) -> None:
        """Replace the jobs that still wait; the one that runs goes on.

        Raises:
            RuntimeError: the worker is closed.
        """
        with self._queue.changed:
            if self._queue.closed:
                raise RuntimeError("the background worker is closed")
            self._queue.jobs = deque(jobs)
            self._queue.changed.notify_all()
        if self._finalizer is None:
            thread = threading.Thread(target=_work, args=(self._queue,), name="AdaptCore-background", daemon=True)
            thread.start()
            self._finalizer = weakref.finalize(self, _stop, self._queue, thread)

    def cancel(self) -> None:
        """Drop the jobs that still wait; the one that runs goes on."""
        with self._queue.changed:
            self._queue.jobs.clear()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until nothing is left to do; False if `timeout` seconds passed before."""
        with self._queue.changed:
            return self._queue.changed.wait_for(lambda: not (self._queue.jobs or self._queue.busy), timeout)

    def close(self) -> None:
        """Drop what waits, let the running job end and end the thread; closing twice is harmless."""
        if self._finalizer is not None:
            self._finalizer()
        with self._queue.changed:
            self._queue.closed = True


def _work(queue: _Queue) -> None:
    while True:
        with queue.changed:
            queue.busy = False
            queue.changed.notify_all()
            queue.changed.wait_for(lambda: queue.jobs or queue.closed)
            if queue.closed:
                return
            job = queue.jobs.popleft()
            queue.busy = True
        try:
            job()
        except Exception:
            logging.getLogger(__name__).warning("work in the background failed", exc_info=True)
        finally:
            del job  # while the thread sleeps, it must not keep alive what the job belongs to


def _stop(queue: _Queue, thread: threading.Thread) -> None:
    with queue.changed:
        queue.jobs.clear()
        queue.closed = True
        queue.changed.notify_all()
    if thread is not threading.current_thread():
        thread.join()
