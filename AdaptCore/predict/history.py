"""History: what a session was asked, step by step, with undo and redo; planes and objects keep the same one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

Shown = TypeVar("Shown")


@dataclass(frozen=True, eq=False)
class State:
    """One entry.

    Attributes:
        model: the one that the next prompt asks.
        prediction: what is shown, None at the start.
    """

    model: Any
    prediction: Any = None

    @property
    def is_opening(self) -> bool:
        """Whether there are no prompts."""
        raise NotImplementedError


AnyState = TypeVar("AnyState", bound=State)


class History(Generic[AnyState, Shown]):
    """The base of sessions.

    Args:
        first: the start.
        models_kept: so many latest entries ask the model that clicks had taught; each is a copy of the decoder, of some
            megabytes.
    """

    def __init__(self, first: AnyState, models_kept: int) -> None:
        self._history = [first]
        self._position = 0
        self._models_kept = models_kept

    @property
    def prediction(self) -> Shown | None:
        """What is shown, None at the start."""
        prediction: Shown | None = self._state.prediction
        return prediction

    @property
    def steps(self) -> int:
        """How many steps can be undone."""
        return self._position

    @property
    def can_undo(self) -> bool:
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        return self._position < len(self._history) - 1

    def undo(self) -> Shown | None:
        """Go back one step; the earlier prediction comes back as it was. Does nothing at the start."""
        return self._go_to(max(0, self._position - 1))

    def redo(self) -> Shown | None:
        """Go forward one step that was undone. Does nothing at the end."""
        return self._go_to(min(len(self._history) - 1, self._position + 1))

    def reset(self) -> None:
        """Return to the start without prompts, as a step that can be undone."""
        self._append(self._history[0])

    def go_on_with(self, model: Any) -> None:
        """Let later prompts, also after undo, ask this model; answers stay, what the clicks had taught is dropped."""
        self._history = [replace(state, model=model) for state in self._history]

    @property
    def _state(self) -> AnyState:
        return self._history[self._position]

    def _asked(self) -> list[AnyState]:
        """What led to the present prediction, from the start or the latest reset on."""
        past = self._history[: self._position + 1]
        start = max(place for place, state in enumerate(past) if state.is_opening)
        return past[start:]

    def _append(self, state: AnyState) -> None:
        kept = self._history[: self._position + 1]
        first, old = kept[0].model, kept[: -self._models_kept]
        kept[: len(old)] = [each if each.model is first else replace(each, model=first) for each in old]
        self._history = [*kept, state]
        self._go_to(self._position + 1)

    def _go_to(self, position: int) -> Shown | None:
        """Make an entry beside the present one the present one."""
        self._position = position
        self._pack()
        return self.prediction

    def _pack(self) -> None:
        """Keep little of the entries that are far from the present one."""
        raise NotImplementedError
