"""Work on a Ray cluster: every worker does the same job on other items; the item of one that dies is repeated.

Ray is an optional package and is imported only here. All machines reach the cohort folder and the images under the same
paths; results come back to this process, which alone writes.
"""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import Any

import torch

from AdaptCore.cohort.engine import Item, Job, Result, Watch, attempt
from AdaptCore.errors import AdaptSegError, CohortError

POLL_SECONDS = 0.2
AHEAD = 2
"""Items given out for each worker, so that none waits for the next."""

RETRIES = 3
"""How often an item is given out again whose worker died. Ray's own retries have no end when memory runs out."""

SETTINGS = {"worker_niceness": 0}
"""Of a Ray on this machine. With Ray's own priority its workers wait for minutes while other programs are busy."""


class RayEngine:
    """Several items at once, each in a process of a Ray cluster.

    Args:
        address: of a cluster that runs, None for one on this machine that ends with the engine.
        workers: number of processes, None for one a processor or, on GPUs, one a GPU.
        device: where the work computes, None for GPUs if the cluster has some.

    Raises:
        CohortError: Ray is not installed, the cluster cannot be reached, or has no such device.
    """

    def __init__(self, address: str | None = None, workers: int | None = None, device: str | None = None) -> None:
        self._ray = _imported(local=address is None)
        try:
            if address is None:
                self._ray.init(
                    "local", num_cpus=workers, include_dashboard=False, log_to_driver=False, _system_config=SETTINGS
                )
            else:
                self._ray.init(address, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise CohortError(f"{address or 'local'}: Ray cannot be reached ({error}). Give its HOST:PORT.") from error
        try:
            self._gpus, self._workers = shares(self._ray.cluster_resources(), workers, device)
        except CohortError:
            self.close()
            raise

    def map(
        self, job: Job[Item, Result], items: Sequence[Item], watch: Watch
    ) -> Iterator[tuple[Item, Result | AdaptSegError]]:
        """See `Engine`; progress counts whole items."""
        work = self._ray.remote(max_retries=0, num_gpus=self._gpus)(_work)
        shared, threads = self._ray.put(job), torch.get_num_threads()

        def give(item: Item) -> Any:
            return work.remote(shared, item, threads)

        underway: deque = deque()
        waiting = iter(items)
        try:
            for done, item in enumerate(items):
                watch.progress(done, len(items))
                for following in itertools.islice(waiting, AHEAD * self._workers - len(underway)):
                    underway.append(give(following))
                result = self._result(underway, give, item, watch)
                underway.popleft()
                yield item, result
                watch.check()
            watch.progress(len(items), len(items))
        finally:
            for answer in underway:
                self._ray.cancel(answer, force=True)

    def _result(self, underway: deque, give: Callable[[Item], Any], item: Item, watch: Watch) -> Any:
        """Of the first one underway, which is `item`."""
        errors = self._ray.exceptions
        for tried in range(1 + RETRIES):
            if tried:
                underway[0] = give(item)
            while not self._ray.wait([underway[0]], timeout=POLL_SECONDS)[0]:
                watch.check()
            with suppress(
                errors.WorkerCrashedError, errors.OutOfMemoryError, errors.NodeDiedError, errors.ObjectLostError
            ):
                return self._ray.get(underway[0])
        return CohortError(f"{item}: {1 + RETRIES} workers died over it. Give them enough memory for one case.")

    def close(self) -> None:
        """Leave the cluster; one on this machine ends."""
        self._ray.shutdown()


def shares(resources: Mapping[str, float], workers: int | None, device: str | None) -> tuple[int, int]:
    """GPUs of each worker, and the number of workers; Ray hides GPUs from a worker that did not ask for one.

    Args:
        resources: of the cluster, by Ray's names.

    Raises:
        CohortError: GPUs are asked for by number, or where there is none.
    """
    gpus = int(resources.get("GPU", 0))
    if device and device.startswith("cuda:"):
        raise CohortError(f"Ray gives out the GPUs itself, got --device {device}. Choose --device cuda.")
    if device == "cuda" and not gpus:
        raise CohortError("The cluster has no GPU for --device cuda. Choose --device cpu.")
    if gpus and device in (None, "cuda"):
        return 1, min(workers or gpus, gpus)
    return 0, workers or max(1, int(resources.get("CPU", 1)))


def _work(job: Job[Item, Result], item: Item, threads: int) -> Result | AdaptSegError:
    """What a worker does; sums depend on the number of threads, so it is that of the process that asks."""
    torch.set_num_threads(threads)
    return attempt(job, item, Watch())


def _imported(local: bool) -> ModuleType:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if local:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # on Linux too, this makes Ray listen on 127.0.0.1 only
    try:
        import ray
    except ImportError as error:
        raise CohortError("Ray is not installed. Run pip install 'adaptseg[ray]', or choose --engine local.") from error
    module: ModuleType = ray
    return module
