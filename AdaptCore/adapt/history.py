"""A task's history: what became of every accepted mask, and how both models had answered it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum


class Event(str, Enum):
    """What became of an accepted image's lesson."""

    LEARNT = "learnt"
    ROLLED_BACK = "rolled back"
    CONTRADICTORY = "contradictory"
    RETURNED = "returned"


class Opener(str, Enum):
    """Which model answered an object until its first mask was accepted."""

    FROZEN = "frozen"
    ADAPTED = "adapted"


@dataclass(frozen=True)
class Outcome:
    """One accepted mask in a task's history.

    Attributes:
        clicks: prompts and picks that it took; 0 for a mask that was drawn.
        frozen: IoU of the frozen model's answer to the first question with the accepted mask.
        adapted: IoU of the answer with what had been learnt before this object was begun.
        event: what became of the lesson.
        opener: which model opened the object, as the trial had drawn; None where it had not.
        chance: of that opener.
        alike: IoU of both answers with each other.
        image: random name of the image, which its masks share; empty where that is not known.
    """

    clicks: int
    frozen: float
    adapted: float
    event: Event = Event.LEARNT
    opener: Opener | None = None
    chance: float = 1.0
    alike: float = 1.0
    image: str = field(default="", compare=False)

    @property
    def gain(self) -> float:
        return self.adapted - self.frozen


def since_return(history: Sequence[Outcome]) -> Sequence[Outcome]:
    """The outcomes after the latest return to earlier weights, contradictory ones left out."""
    start = max((place + 1 for place, outcome in enumerate(history) if outcome.event is Event.RETURNED), default=0)
    return [outcome for outcome in history[start:] if outcome.event is not Event.CONTRADICTORY]


def images_of(outcomes: Sequence[Outcome]) -> dict[str, list[int]]:
    """Places of the outcomes by image; those of unknown images are one each."""
    found: dict[str, list[int]] = {}
    for place, outcome in enumerate(outcomes):
        found.setdefault(outcome.image or f"#{place}", []).append(place)
    return found
