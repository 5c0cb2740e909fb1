"""Observers of VTK objects that can all be taken off again; an object that is let go of is no longer held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Observations:
    """Who is observed, for which event, by which method."""

    def __init__(self) -> None:
        self._known: list[tuple[Any, Any, Callable[..., None], int]] = []

    def add(self, observed: Any, event: Any, method: Callable[..., None], priority: float = 0.0) -> None:
        """Observe an event once, however often this is called; observers of a higher priority hear of it earlier."""
        if not any(known[0] is observed and known[1:3] == (event, method) for known in self._known):
            self._known.append((observed, event, method, observed.AddObserver(event, method, priority)))

    def abort(self, observed: Any, event: Any) -> None:
        """Keep the event that is being heard from all observers that come later."""
        for known, knownEvent, _, tag in self._known:
            if known is observed and knownEvent == event:
                observed.GetCommand(tag).SetAbortFlag(1)

    def remove(self, observed: Any) -> None:
        """Take all observers off one object."""
        for known, _, _, tag in self._known:
            if known is observed:
                known.RemoveObserver(tag)
        self._known = [entry for entry in self._known if entry[0] is not observed]

    def clear(self) -> None:
        for observed, _, _, tag in self._known:
            observed.RemoveObserver(tag)
        self._known.clear()
