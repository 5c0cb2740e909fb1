"""The user's actions as commands that can be undone and redone in their order."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Protocol


class Command(Protocol):
    """An action that has been done."""

    def undo(self) -> None: ...

    def redo(self) -> None: ...


class History:
    """What was done and what was undone."""

    def __init__(self) -> None:
        self._done: list[Command] = []
        self._undone: list[Command] = []
        self._joined: weakref.WeakSet[Command] = weakref.WeakSet()

    @property
    def canUndo(self) -> bool:
        return bool(self._done)

    @property
    def canRedo(self) -> bool:
        return bool(self._undone)

    @property
    def next(self) -> Command | None:
        """What `undo` would undo."""
        return self._done[-1] if self._done else None

    @property
    def undone(self) -> tuple[Command, ...]:
        """What `redo` can do again, the next one last."""
        return tuple(self._undone)

    @property
    def nextUndone(self) -> Command | None:
        """What `redo` would do again, the last of those that are one action."""
        following: Command | None = None
        for command in reversed(self._undone):
            if following is not None and command not in self._joined:
                break
            following = command
        return following

    def push(self, command: Command, start: Command | None = None) -> None:
        """Note an action; what was undone before can no longer be redone.

        Args:
            start: of the same action: both are undone and redone together.
        """
        if start is not None and self.next is start:
            self._joined.add(command)
        self._done.append(command)
        self._undone.clear()

    def undo(self) -> None:
        """Undo the last action if there is one."""
        isJoined = True
        while isJoined and self._done:
            command = self._done.pop()
            command.undo()
            self._undone.append(command)
            isJoined = command in self._joined

    def redo(self) -> None:
        """Do again what was undone last, if anything was."""
        isJoined = True
        while isJoined and self._undone:
            command = self._undone.pop()
            command.redo()
            self._done.append(command)
            isJoined = bool(self._undone) and self._undone[-1] in self._joined

    def drop(self, isGone: Callable[[Command], bool]) -> None:
        """Forget the actions that can be neither undone nor redone any more."""
        self._done = [command for command in self._done if not isGone(command)]
        self._undone = [command for command in self._undone if not isGone(command)]

    def cutDone(self, isLost: Callable[[Command], bool]) -> None:
        """Forget the actions that can no longer be undone, with all before them, which were done on other ground."""
        self._done = _after(isLost, self._done)

    def cutUndone(self, isLost: Callable[[Command], bool]) -> None:
        """Forget the actions that can no longer be done again, with all that would follow them."""
        self._undone = _after(isLost, self._undone)

    def clear(self) -> None:
        self._done.clear()
        self._undone.clear()


def _after(isLost: Callable[[Command], bool], commands: list[Command]) -> list[Command]:
    """The commands after the last lost one; those that come first are the last in either list."""
    first = max((place + 1 for place, command in enumerate(commands) if isLost(command)), default=0)
    return commands[first:]
