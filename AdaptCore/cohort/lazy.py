"""Sequences whose members are read when they are asked for, so that a cohort need not fit into memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TypeVar

Member = TypeVar("Member")


class Lazy(Sequence[Member]):
    """Members that are made when they are asked for.

    Args:
        members: number of them.
        make: gives member `index`, 0 <= index < members.
        most_bytes: memory for members that are kept, the latest asked for; none are by default.
        size_of: bytes of a member.
    """

    def __init__(
        self,
        members: int,
        make: Callable[[int], Member],
        most_bytes: int = 0,
        size_of: Callable[[Member], int] = lambda member: 0,
    ) -> None:
        self._members = members
        self._make = make
        self._most_bytes = most_bytes
        self._size_of = size_of
        self._kept: OrderedDict[int, Member] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return self._members

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._members))]
        if not -self._members <= index < self._members:
            raise IndexError(f"index {index} of {self._members} members")
        index %= self._members
        if index in self._kept:
            self._kept.move_to_end(index)
            return self._kept[index]
        member = self._make(index)
        self._keep(index, member)
        return member

    def _keep(self, index: int, member: Member) -> None:
        if not self._most_bytes:
            return
        self._kept[index] = member
        self._bytes += self._size_of(member)
        while self._bytes > self._most_bytes:
            self._bytes -= self._size_of(self._kept.popitem(last=False)[1])
