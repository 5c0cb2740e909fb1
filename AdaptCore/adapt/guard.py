"""Control arm and guard: what the frozen model would have answered, and when to stop following the other (ours)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

WINDOW = 8
"""Latest accepted images over which the arms are compared."""

LEAST = 4
"""No judgement before so many."""

MARGIN = 0.02
"""An adapted arm is behind when its mean IoU is lower by more than this, and ahead when it is higher by as much."""

REPLAY_MARGIN = 0.05
"""A step loses on the replay memory when its mean loss there grows by more than this."""


class Event(str, Enum):
    """What became of an accepted image's lesson."""

    LEARNT = "learnt"
    ROLLED_BACK = "rolled back"
    CONTRADICTORY = "contradictory"
    RETURNED = "returned"


@dataclass(frozen=True)
class Outcome:
    """One accepted image in a task's history.

    Attributes:
        clicks: prompts that it took.
        frozen: IoU of the frozen model's answer to the first question with the accepted mask.
        adapted: IoU of the answer with what had been learnt before this image.
        event: what became of the lesson.
    """

    clicks: int
    frozen: float
    adapted: float
    event: Event = Event.LEARNT

    @property
    def gain(self) -> float:
        return self.adapted - self.frozen


def since_return(history: Sequence[Outcome]) -> Sequence[Outcome]:
    """The outcomes after the latest return to earlier weights, contradictory ones left out."""
    start = max((place + 1 for place, outcome in enumerate(history) if outcome.event is Event.RETURNED), default=0)
    return [outcome for outcome in history[start:] if outcome.event is not Event.CONTRADICTORY]


def is_behind(history: Sequence[Outcome]) -> bool:
    """Whether the adapted arm has lost to the frozen one over the latest window."""
    gains = _gains(history)
    return len(gains) >= LEAST and sum(gains) / len(gains) < -MARGIN


def is_good(history: Sequence[Outcome]) -> bool:
    """Whether the adapted arm is not behind at all over the latest window."""
    gains = _gains(history)
    return len(gains) >= LEAST and sum(gains) / len(gains) >= 0


def latest_gain(history: Sequence[Outcome]) -> float | None:
    """Mean gain over the latest window, None while nothing was compared.

    The first image says nothing: nothing was known when it was asked.
    """
    gains = _gains(history[1:])
    return sum(gains) / len(gains) if gains else None


def may_answer(history: Sequence[Outcome]) -> bool:
    """Whether the adapted arm answers the next image, or only watches while the frozen one does.

    It watches while it is not ahead over the latest window, and after a return until it has shown that it is.
    """
    gain = latest_gain(history)
    if gain is None:
        return all(outcome.event is not Event.RETURNED for outcome in history)
    return gain >= MARGIN


def adapted_answers(history: Sequence[Outcome]) -> bool:
    """For the user: whether the adapted arm answers the next image, having learnt something and being allowed to."""
    return may_answer(history) and any(outcome.event is Event.LEARNT for outcome in history)


def loses(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether the losses on replayed lessons grew too much by a step; never without replayed lessons."""
    return bool(before) and sum(after) / len(after) > sum(before) / len(before) + REPLAY_MARGIN


def _gains(history: Sequence[Outcome]) -> list[float]:
    return [outcome.gain for outcome in since_return(history)][-WINDOW:]
