"""What sessions ask of something that learns; `AdaptCore.adapt` provides it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from AdaptCore.models.base import Model
from AdaptCore.models.frame import AnyClick, AnyQuestion


@dataclass(frozen=True, eq=False)
class Example:
    """What an accepted mask says about one question: the answer that was wanted.

    Attributes:
        mask: bool of what the question's embedding shows, (H, W) or (S, S, S).
        clicks: all clicks that led to the mask and lie there, in its pixels.
        answer: gives a model's mask for a question, bool of the same shape.
        prompts: prompts and picks that led to the mask; 0 for a mask that nobody asked for.
        is_opening: whether this is the first question about the object, asked without an earlier mask.
        is_whole: whether the question shows all of the mask.
    """

    question: AnyQuestion
    mask: np.ndarray
    clicks: tuple[AnyClick, ...]
    answer: Callable[[Model, AnyQuestion], np.ndarray]
    prompts: int = 1
    is_opening: bool = True
    is_whole: bool = True

    def answered(self, model: Model) -> np.ndarray:
        """What a model answers to the question."""
        return self.answer(model, self.question)


def telling(examples: Sequence[Example]) -> Sequence[Example]:
    """Those that show all of the mask, which one that cuts it off tells nothing of; all of them where none does."""
    return [example for example in examples if example.is_whole] or examples


@dataclass(frozen=True, eq=False)
class Taught:
    """What an accepted mask has taught, which goes and comes back with the mask.

    Attributes:
        undo: takes it back; False where that is not possible any more, such as after another lesson.
        redo: teaches again what was taken back last; False where that is not it.
    """

    undo: Callable[[], bool]
    redo: Callable[[], bool]


class Adapter(Protocol):
    """Changes a model from click to click on one image."""

    def adapt(self, model: Model, question: AnyQuestion, added: int, logits: torch.Tensor) -> Model:
        """A model that has learnt from the latest clicks; the one given stays as it is.

        Args:
            question: with the latest clicks at the end.
            added: how many of its clicks are new.
            logits: float32, the answer to the question on what its embedding shows.
        """
        ...


class Learning(Adapter, Protocol):
    """Learns from accepted masks; its model is another one after each."""

    @property
    def model(self) -> Model:
        """The model with what is known at this moment; it never changes itself."""
        ...

    def opening(self, image: str) -> Model:
        """The model that answers an object of an image of this random name, until and after its first accepted mask."""
        ...

    def learn(self, examples: Sequence[Example], image: str = "") -> Taught | None:
        """Learn from an accepted mask, at least one example, in the background; None where nothing is to learn."""
        ...

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until all lessons are learnt; False if `timeout` seconds passed before."""
        ...


class Preference(Protocol):
    """Knows which of the masks that answer a question its user prefers; `AdaptCore.preference` provides it."""

    def preferred(self, model: Model, question: AnyQuestion) -> torch.Tensor | None:
        """Logits float32 of what the question's embedding shows, (H, W) or (S, S, S); None for the plain answer."""
        ...

    def learn(self, model: Model, examples: Sequence[Example]) -> Taught | None:
        """Learn from an accepted mask that `model` has answered, at least one example; None if that taught nothing."""
        ...
