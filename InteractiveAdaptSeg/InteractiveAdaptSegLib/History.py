"""The user's actions as commands that can be undone and redone in their order."""

from __future__ import annotations

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
        """What `redo` would do again."""
        return self._undone[-1] if self._undone else None

    def push(self, command: Command) -> None:
        """Note an action; what was undone before can no longer be redone."""
        self._done.append(command)
        self._undone.clear()

    def undo(self) -> Command | None:
        """Undo the last action and give it; None if there is none."""
        if not self._done:
            return None
        command = self._done.pop()
        command.undo()
        self._undone.append(command)
        return command

    def redo(self) -> Command | None:
        """Do again what was undone last and give it; None if there is none."""
        if not self._undone:
            return None
        command = self._undone.pop()
        command.redo()
        self._done.append(command)
        return command

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
