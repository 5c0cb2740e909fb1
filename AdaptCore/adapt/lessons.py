"""Post-interaction adaptation: lessons from an accepted mask, and the memory they are repeated from."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AdaptCore.adapt.clicks import click_weights
from AdaptCore.adapt.losses import click_loss, label_loss
from AdaptCore.adapt.pseudo_labels import PseudoLabel, pseudo_label
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.models.base import AdaptableModel, Decoding
from AdaptCore.models.frame import AnyQuestion
from AdaptCore.predict.learning import Example


@dataclass(frozen=True, eq=False)
class Lesson:
    """A question and what an accepted mask says about it.

    Attributes:
        around: weights on the model's grid of the click-centred loss, or None.
    """

    question: AnyQuestion
    label: PseudoLabel
    around: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        around = 0 if self.around is None else self.around.nbytes
        return self.question.embedding.nbytes + self.question.nbytes + self.label.nbytes + around


@dataclass(frozen=True, eq=False)
class Memory:
    """Lessons of accepted images, bounded in bytes; adding gives a new memory and leaves the old one.

    Attributes:
        images: lessons by accepted image, oldest first.
        names: random name of each image, which tells it apart in the memories of other programs.
    """

    max_bytes: int
    images: tuple[tuple[Lesson, ...], ...] = ()
    names: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        return sum(_bytes_of(lessons) for lessons in self.images)

    def with_image(self, lessons: Sequence[Lesson], rng: np.random.Generator, name: str = "") -> Memory:
        """The memory with one more image; images drawn at random make room, the new one always stays.

        Args:
            name: of the image in another memory; a new one by default.
        """
        kept = list(zip(self.images, self.names, strict=True))
        room = self.max_bytes - _bytes_of(lessons)
        while kept and sum(_bytes_of(others) for others, _ in kept) > room:
            del kept[int(rng.integers(len(kept)))]
        return Memory.of(self.max_bytes, [*kept, (tuple(lessons), name or uuid.uuid4().hex)])

    @classmethod
    def of(cls, max_bytes: int, named: Iterable[tuple[tuple[Lesson, ...], str]]) -> Memory:
        """The memory of images with their names."""
        images, names = tuple(zip(*named)) or ((), ())
        return cls(max_bytes, images, names)

    def without(self, names: Collection[str]) -> Memory:
        """The memory without some images, which it may not hold."""
        named = zip(self.images, self.names, strict=True)
        return Memory.of(self.max_bytes, [each for each in named if each[1] not in names])

    def drawn(self, count: int, rng: np.random.Generator) -> list[Lesson]:
        """A random lesson of each of `count` different images, fewer if there are not so many."""
        chosen = rng.permutation(len(self.images))[:count]
        return [self.images[place][int(rng.integers(len(self.images[place])))] for place in chosen]


def _bytes_of(lessons: Sequence[Lesson]) -> int:
    """Of one image, an embedding that lessons share counted once."""
    embeddings = {id(lesson.question.embedding): lesson.question.embedding.nbytes for lesson in lessons}
    return sum(embeddings.values()) + sum(lesson.nbytes - lesson.question.embedding.nbytes for lesson in lessons)


def lessons_from(
    examples: Sequence[Example], model: AdaptableModel, recipe: Recipe, rng: np.random.Generator
) -> list[Lesson]:
    """The lesson of the first question and, where the recipe says so, of one random later question."""
    chosen = list(examples[:1])
    if recipe.later_prompts and len(examples) > 1:
        chosen.append(examples[int(rng.integers(1, len(examples)))])
    return [_lesson(example, model, recipe) for example in chosen]


def lesson_losses(model: AdaptableModel, lessons: Sequence[Lesson], recipe: Recipe) -> Tensor:
    """What is wrong with a model's answer to each lesson's question, (L,)."""
    decodings = model.answers([lesson.question for lesson in lessons])
    return torch.stack([_loss(decoding, lesson, recipe) for decoding, lesson in zip(decodings, lessons, strict=True)])


def _loss(decoding: Decoding, lesson: Lesson, recipe: Recipe) -> Tensor:
    """Of the mask with the best score."""
    logits = decoding.logits[decoding.best]
    label = lesson.label.to(logits.device)
    loss = label_loss(logits, label)
    if recipe.post_click_weight and lesson.around is not None:
        loss = loss + recipe.post_click_weight * click_loss(logits, lesson.around.to(logits.device), label.target)
    return loss


def contradicts(example: Example) -> bool:
    """Whether more than half of the clicks lie on the wrong side of the mask: then one of the two is a mistake."""
    wrong = [bool(example.mask[click.place_in(example.mask.shape)]) != click.positive for click in example.clicks]
    return 2 * sum(wrong) > len(wrong)


def _lesson(example: Example, model: AdaptableModel, recipe: Recipe) -> Lesson:
    question, side = example.question, model.mask_side
    label = pseudo_label(example.mask, question.embedding, example.clicks, side, recipe).to(model.device)
    around = None
    if recipe.post_click_weight:
        around = click_weights(example.clicks, label.target, question.embedding, recipe) * (label.weight > 0)
    return Lesson(question, label, around)
