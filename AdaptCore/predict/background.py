"""Background work: one thread that runs the latest list of jobs and can be cancelled and closed at any time."""

from __future__ import annotations

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
        self.error: BaseException | None = None


class BackgroundWorker:
    """Runs jobs one after the other, in order, on one thread that starts with the first job and sleeps between jobs.

    An exception in a job drops the jobs that still wait; the next call here raises it.
    """

    def __init__(self) -> None:
        self._queue = _Queue()
        self._finalizer: weakref.finalize | None = None

    def request(self, jobs: Iterable[Job]) -> None:
        """Replace the jobs that still wait; the one that runs goes on."""
        with self._queue.changed:
            self._raise_error()
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
            self._raise_error()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until nothing is left to do; False if `timeout` seconds passed before."""
        with self._queue.changed:
            idle = self._queue.changed.wait_for(lambda: not (self._queue.jobs or self._queue.busy), timeout)
            self._raise_error()
        return idle

    def close(self) -> None:
        """Drop what waits, let the running job end and end the thread; closing twice is harmless."""
        if self._finalizer is not None:
            self._finalizer()
        with self._queue.changed:
            self._queue.closed = True
            self._raise_error()

    def _raise_error(self) -> None:
        error, self._queue.error = self._queue.error, None
        if error is not None:
            raise error


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
        except BaseException as error:
            with queue.changed:
                queue.error = error
                queue.jobs.clear()
        finally:
            del job  # while the thread sleeps, it must not keep alive what the job belongs to


def _stop(queue: _Queue, thread: threading.Thread) -> None:
    with queue.changed:
        queue.jobs.clear()
        queue.closed = True
        queue.changed.notify_all()
    if thread is not threading.current_thread():
        thread.join()
