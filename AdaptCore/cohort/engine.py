"""Where the work on many cases is done: in this process, or on a Ray cluster (`AdaptCore.cohort.engine_ray`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import Protocol, TypeVar

from AdaptCore.errors import AdaptSegError

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


@dataclass(frozen=True)
class Watch:
    """Who watches the work.

    Attributes:
        progress: called with what is done, which may be a part of one, and the number to do.
        cancelled: asked often whether to stop.
    """

    progress: Callable[[float, int], None] = lambda done, total: None
    cancelled: Callable[[], bool] = lambda: False

    def check(self) -> None:
        """Raises CancelledError when the work is to stop."""
        if self.cancelled():
            raise CancelledError

    def part(self, number: int, total: int) -> Watch:
        """Who watches one of `total` items, of which `number` are done."""
        return Watch(lambda done, all_: self.progress(number + done / max(all_, 1), total), self.cancelled)


class Job(Protocol[Item_contra, Result_co]):
    """What is done with each item; it can be pickled, so that another machine can do it."""

    def __call__(self, item: Item_contra, watch: Watch) -> Result_co: ...


class Engine(Protocol):
    """Does a job with many items."""

    def map(
        self, job: Job[Item, Result], items: Sequence[Item], watch: Watch
    ) -> Iterator[tuple[Item, Result | AdaptSegError]]:
        """Each item with its result, or with the error of ours that it met, in the order of the items.

        Few results are in memory at once.

        Raises:
            CancelledError: the watch says so.
        """
        ...

    def close(self) -> None:
        """Give back what it holds."""
        ...


class LocalEngine:
    """One item after the other, in this process."""

    def map(
        self, job: Job[Item, Result], items: Sequence[Item], watch: Watch
    ) -> Iterator[tuple[Item, Result | AdaptSegError]]:
        """See `Engine`."""
        for number, item in enumerate(items):
            watch.check()
            watch.progress(number, len(items))
            yield item, attempt(job, item, watch.part(number, len(items)))
        watch.progress(len(items), len(items))

    def close(self) -> None:
        """Nothing is held."""


def attempt(job: Job[Item, Result], item: Item, watch: Watch) -> Result | AdaptSegError:
    """The job's result, or the error of ours that it met.

    Raises:
        CancelledError: the watch says so.
    """
    try:
        result = job(item, watch)
    except AdaptSegError as error:
        return error
    watch.check()
    return result
