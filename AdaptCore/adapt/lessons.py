"""Post-interaction adaptation: lessons from an accepted mask, and the memory they are repeated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AdaptCore.adapt.clicks import click_weights
from AdaptCore.adapt.losses import click_loss, label_loss, score_loss, tether_loss
from AdaptCore.adapt.pseudo_labels import PseudoLabel, pseudo_label
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.models.base import AdaptableModel, Question
from AdaptCore.predict.learning import Example


@dataclass(frozen=True, eq=False)
class Lesson:
    """A question and what an accepted mask says about it.

    Attributes:
        frozen: the frozen model's logits (m, m), to stay near them; None where the answer may change freely.
        around: weights (m, m) of the click-centred loss, or None.
    """

    question: Question
    label: PseudoLabel
    frozen: Tensor | None = None
    around: Tensor | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all tensors."""
        rest = [tensor for tensor in (self.question.prior, self.frozen, self.around) if tensor is not None]
        return self.question.embedding.nbytes + self.label.nbytes + sum(tensor.nbytes for tensor in rest)


@dataclass(frozen=True, eq=False)
class Memory:
    """Lessons of accepted images, bounded in bytes; adding gives a new memory and leaves the old one.

    Attributes:
        images: lessons by accepted image, oldest first.
    """

    max_bytes: int
    images: tuple[tuple[Lesson, ...], ...] = ()

    @property
    def nbytes(self) -> int:
        return sum(lesson.nbytes for lessons in self.images for lesson in lessons)

    def with_image(self, lessons: Sequence[Lesson], rng: np.random.Generator) -> Memory:
        """The memory with one more image; images drawn at random make room, the new one always stays."""
        kept = list(self.images)
        room = self.max_bytes - sum(lesson.nbytes for lesson in lessons)
        while kept and sum(lesson.nbytes for others in kept for lesson in others) > room:
            del kept[int(rng.integers(len(kept)))]
        return Memory(self.max_bytes, (*kept, tuple(lessons)))

    def drawn(self, count: int, rng: np.random.Generator) -> list[Lesson]:
        """A random lesson of each of `count` different images, fewer if there are not so many."""
        chosen = rng.permutation(len(self.images))[:count]
        return [self.images[place][int(rng.integers(len(self.images[place])))] for place in chosen]


def lessons_from(
    examples: Sequence[Example], frozen: AdaptableModel, recipe: Recipe, rng: np.random.Generator
) -> list[Lesson]:
    """The lesson of the first question and, where the recipe says so, of one random later question."""
    chosen = list(examples[:1])
    if recipe.later_prompts and len(examples) > 1:
        chosen.append(examples[int(rng.integers(1, len(examples)))])
    return [_lesson(example, frozen, recipe) for example in chosen]


def lesson_loss(model: AdaptableModel, lesson: Lesson, recipe: Recipe) -> Tensor:
    """What is wrong with a model's answer to a lesson's question: the mask with the best score and the scores."""
    decoding = model.answer(lesson.question)
    logits = decoding.logits[decoding.best]
    loss = label_loss(logits, lesson.label)
    if recipe.score_weight:
        loss = loss + recipe.score_weight * score_loss(decoding.scores, decoding.logits, lesson.label)
    if lesson.frozen is not None:
        weight = (lesson.label.weight > 0).float()
        loss = loss + recipe.distillation * tether_loss(logits, lesson.frozen, weight)
    if lesson.around is not None:
        loss = loss + recipe.post_click_weight * click_loss(logits, lesson.around, lesson.label.target)
    return loss


def contradicts(example: Example) -> bool:
    """Whether more than half of the clicks lie on the wrong side of the mask: then one of the two is a mistake."""
    height, width = example.mask.shape
    wrong = [
        bool(example.mask[min(max(round(click.y), 0), height - 1), min(max(round(click.x), 0), width - 1)])
        != click.positive
        for click in example.clicks
    ]
    return 2 * sum(wrong) > len(wrong)


def _lesson(example: Example, frozen: AdaptableModel, recipe: Recipe) -> Lesson:
    question, side, device = example.question, frozen.mask_side, frozen.device
    label = pseudo_label(example.mask, question.embedding, example.clicks, side, recipe)
    label = PseudoLabel(label.target.to(device), label.weight.to(device))
    kept = around = None
    if recipe.distillation and not question.is_ambiguous:
        with torch.no_grad():
            decoding = frozen.answer(question)
        kept = decoding.logits[decoding.best]
    if recipe.post_click_weight:
        around = click_weights(example.clicks, label.target, question.embedding, recipe) * (label.weight > 0)
    return Lesson(question, label, kept, around)
