"""Work on a Ray cluster: every worker does the same job on other items; one that dies is replaced, its item repeated.

Ray is an optional package and is imported only here. All machines reach the cohort folder and the images under the same
paths; results come back to this process, which alone writes.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from types import ModuleType

import torch

from AdaptCore.cohort.engine import Item, Job, Result, Watch, attempt
from AdaptCore.errors import AdaptSegError, CohortError

POLL_SECONDS = 0.2
AHEAD = 2
"""Items given to each worker at a time, so that none waits for the next."""


class RayEngine:
    """Several items at once, each in a process of a Ray cluster.

    Args:
        address: of a cluster that runs, None for one on this machine that ends with the engine.
        workers: number of processes, None for one a processor.

    Raises:
        CohortError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._ray = _imported()
        try:
            if address is None:
                self._ray.init("local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
            else:
                self._ray.init(address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise CohortError(f"{address or 'local'}: Ray cannot be reached ({error}); HOST:PORT is wanted") from error
        self._workers = workers or max(1, int(self._ray.cluster_resources().get("CPU", 1)))

    def map(
        self, job: Job[Item, Result], items: Sequence[Item], watch: Watch
    ) -> Iterator[tuple[Item, Result | AdaptSegError]]:
        """See `Engine`; progress counts whole items."""
        worker = self._ray.remote(max_restarts=-1, max_task_retries=-1)(_Worker)
        shared, threads = self._ray.put(job), torch.get_num_threads()
        workers = [worker.remote(threads) for _ in range(min(self._workers, len(items)))]
        underway: deque = deque()
        waiting = enumerate(items)
        try:
            for done, item in enumerate(items):
                watch.progress(done, len(items))
                while len(underway) < AHEAD * len(workers) and (following := next(waiting, None)):
                    number, one = following
                    underway.append(workers[number % len(workers)].work.remote(shared, one))
                answer = underway.popleft()
                while not self._ray.wait([answer], timeout=POLL_SECONDS)[0]:
                    watch.check()
                yield item, self._ray.get(answer)
                watch.check()
            watch.progress(len(items), len(items))
        finally:
            for one in workers:
                self._ray.kill(one)

    def close(self) -> None:
        """Leave the cluster; one on this machine ends."""
        self._ray.shutdown()


class _Worker:
    """One process of the cluster.

    Args:
        threads: of torch, as in the process that asks, because sums depend on their number.
    """

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        self._job: Job | None = None

    def work(self, job: Job, item: object) -> object:
        """The job's result for an item, or the error of ours that it met; what the first job has loaded serves all."""
        self._job = self._job or job
        return attempt(self._job, item, Watch())


def _imported() -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise CohortError("Ray is not installed; pip install 'AdaptCore[ray]', or --engine local, is wanted") from error
    module: ModuleType = ray
    return module
