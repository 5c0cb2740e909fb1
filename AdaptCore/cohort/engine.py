"""Where the work on many cases is done: in this process, or on a Ray cluster (`AdaptCore.cohort.engine_ray`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from AdaptCore.errors import AdaptSegError

Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class Cancelled(Exception):  # noqa: N818 (the user's wish, no error)
    """Work was stopped from outside; what was stored until then is kept, and the same step goes on with it."""


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
        """Raises Cancelled when the work is to stop."""
        if self.cancelled():
            raise Cancelled

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
            Cancelled: the watch says so.
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
        Cancelled: the watch says so.
    """
    try:
        result = job(item, watch)
    except AdaptSegError as error:
        return error
    watch.check()
    return result


@dataclass(frozen=True)
class Lazy(Sequence[Result], Generic[Result]):
    """A sequence whose members are made when they are asked for, and not kept.

    Attributes:
        members: number of them.
        make: gives member `index`, 0 <= index < members.
    """

    members: int
    make: Callable[[int], Result]

    def __len__(self) -> int:
        return self.members

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        if isinstance(index, slice):
            return [self.make(one) for one in range(*index.indices(self.members))]
        if not -self.members <= index < self.members:
            raise IndexError(f"index {index} of {self.members} members")
        return self.make(index % self.members)
