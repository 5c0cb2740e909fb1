"""The learner of one task: it answers with what it knows and learns from every accepted mask in the background."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from AdaptCore.adapt.clicks import ClickAdapter
from AdaptCore.adapt.guard import is_behind, is_good, loses, may_answer
from AdaptCore.adapt.history import Event, Opener, Outcome
from AdaptCore.adapt.lessons import Lesson, Memory, contradicts, lesson_losses, lessons_from
from AdaptCore.adapt.recipe import DEFAULT, Recipe
from AdaptCore.adapt.steps import take_steps
from AdaptCore.adapt.trial import is_other_opened
from AdaptCore.errors import AdaptSegError
from AdaptCore.models.base import AdaptableModel, Model
from AdaptCore.models.frame import AnyQuestion
from AdaptCore.predict.learning import Example, Taught, telling
from AdaptCore.predict.masks import iou


@dataclass(frozen=True, eq=False)
class Knowledge:
    """All that was learnt under one task; never changed, only followed by another.

    Attributes:
        model: with the task's decoder.
        good: the latest model whose arm was not behind the frozen one.
        memory: lessons to repeat.
        history: outcome of every accepted image, in order.
    """

    model: AdaptableModel
    good: AdaptableModel
    memory: Memory
    history: tuple[Outcome, ...] = ()

    @classmethod
    def none(cls, frozen: AdaptableModel, recipe: Recipe) -> Knowledge:
        """What a new task knows: the frozen model."""
        return cls(frozen, frozen, Memory(recipe.memory_bytes))

    def answering(self, frozen: AdaptableModel) -> AdaptableModel:
        """The model that answers: the adapted one, or the frozen one while that is better."""
        return self.model if may_answer(self.history) else frozen


@dataclass(frozen=True, eq=False)
class Opening:
    """What the trial has drawn for one object.

    Attributes:
        adapted: the adapted model when it was drawn.
        chance: of the opener.
    """

    opener: Opener
    adapted: AdaptableModel
    chance: float


class Learner:
    """Online adaptation of one task.

    Every answer comes from one immutable model, so its weights are one consistent set, whatever is learnt meanwhile.
    Lessons are learnt one after the other on one thread; with the same seed and the same masks, each waited for, they
    give the same weights.

    Args:
        frozen: the model as it was trained; the control arm.
        known: what was learnt before, None for a new task.
        seed: of the choice of lessons, and of the trial.
        trial: let some objects be opened by the model that does not answer otherwise, to measure what learning brings.
    """

    def __init__(
        self,
        frozen: AdaptableModel,
        recipe: Recipe = DEFAULT,
        *,
        known: Knowledge | None = None,
        seed: int = 0,
        trial: bool = False,
    ) -> None:
        self.frozen = frozen
        self.recipe = recipe
        self._seed = seed
        self.trial = trial
        self._openings: dict[str, Opening | None] = {}
        self._adapter = ClickAdapter(recipe)
        self._lock = threading.Lock()
        self._knowledge = known or Knowledge.none(frozen, recipe)
        self._jobs: list[Future[None]] = []
        self._executor = ThreadPoolExecutor(1, "AdaptCore-learner")
        self._closed = threading.Event()
        self._problem = ""
        self._latest: tuple[Taught, Knowledge, Knowledge] | None = None

    def __enter__(self) -> Learner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def knowledge(self) -> Knowledge:
        """What is known at this moment."""
        with self._lock:
            return self._knowledge

    @property
    def model(self) -> AdaptableModel:
        """The model that answers at this moment; see `Knowledge.answering`."""
        return self.knowledge.answering(self.frozen)

    def opening(self, image: str) -> AdaptableModel:
        """The model that answers an object until its first mask was accepted, and the one that answers after that.

        Args:
            image: random name of the image; slices of one volume are one image.
        """
        opening = self._opening(image)
        if opening is None:
            return self.model
        return opening.adapted if opening.opener is Opener.ADAPTED else self.frozen

    def _opening(self, image: str) -> Opening | None:
        if image not in self._openings and self.trial:
            known = self.knowledge
            if known.model is not self.frozen:
                self._openings[image] = drawn_opening(known, self._seed)
        return self._openings.get(image)

    @property
    def problem(self) -> str:
        """Why nothing was learnt from the latest lesson; empty if it was learnt."""
        return self._problem

    @property
    def click_problem(self) -> str:
        """Why nothing was learnt from the latest click that should have taught something; empty if each did."""
        return self._adapter.problem

    @property
    def latest(self) -> Taught | None:
        """The last lesson, as long as it can be taken back; None once it was, and before the first."""
        with self._lock:
            return self._latest[0] if self._latest and self._latest[2] is self._knowledge else None

    def adapt(self, model: Model, question: AnyQuestion, added: int, logits: Tensor) -> Model:
        """Mid-interaction adaptation; see `AdaptCore.predict.plane.Adapter`."""
        return self._adapter.adapt(model, question, added, logits)

    def learn(self, examples: Sequence[Example], image: str = "") -> Taught:
        """Learn from an accepted mask in the background.

        Args:
            examples: what the mask says about the questions that led to it, in order, at least one.
            image: as for `opening`; the first mask of an image ends its part in the trial.

        Returns:
            The lesson. Only the last one can be taken back, or learnt again; both wait for it to end.

        Raises:
            RuntimeError: the learner is closed.
        """
        taught = Taught(lambda: self._exchange(taught, 1), lambda: self._exchange(taught, 2))
        self._jobs = [job for job in self._jobs if not job.done()]
        opening = self._openings.get(image)
        self._openings[image] = None
        self._jobs.append(self._executor.submit(self._learn, list(examples), image, opening, taught))
        return taught

    def reset(self) -> None:
        """Forget all that was ever learnt; waits for what is being learnt."""
        self.wait()
        with self._lock:
            self._knowledge = Knowledge.none(self.frozen, self.recipe)
            self._latest = None
            self._openings = {}

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until all lessons are learnt; False if `timeout` seconds passed before."""
        return not wait(self._jobs, timeout).not_done

    def close(self) -> None:
        """Drop the lessons that wait, finish the running one and end the thread; closing twice is harmless."""
        self._closed.set()
        self._executor.shutdown(wait=True)

    def _learn(self, examples: Sequence[Example], image: str, opening: Opening | None, taught: Taught) -> None:
        if self._closed.is_set():
            return
        before = self.knowledge
        try:
            after = learnt(before, examples, self.frozen, self.recipe, self._seed, image, opening)
        except (RuntimeError, MemoryError, AdaptSegError) as error:
            logging.getLogger(__name__).warning("an accepted mask could not be learnt from", exc_info=True)
            self._problem = str(error) or "out of memory"
            return
        self._problem = ""
        with self._lock:
            self._knowledge = after
            self._latest = (taught, before, after)

    def _exchange(self, taught: Taught, place: int) -> bool:
        self.wait()
        with self._lock:
            if self._latest is None or self._latest[0] is not taught:
                return False
            self._knowledge = (self._latest[1], self._latest[2])[place - 1]
            return True


def drawn_opening(known: Knowledge, seed: int) -> Opening:
    """Who opens the next object: mostly the model that answers otherwise."""
    is_other, chance = is_other_opened(known.history, seed)
    is_adapted = may_answer(known.history) != is_other
    return Opening(Opener.ADAPTED if is_adapted else Opener.FROZEN, known.model, chance if is_other else 1 - chance)


def learnt(
    known: Knowledge,
    examples: Sequence[Example],
    frozen: AdaptableModel,
    recipe: Recipe,
    seed: int,
    image: str = "",
    opening: Opening | None = None,
) -> Knowledge:
    """What is known after one more accepted mask (post-interaction adaptation and guard).

    Args:
        opening: of the object, if this is its first mask; one that was drawn, or began from a mask, tells nothing.
    """
    rng = np.random.default_rng([seed, len(known.history)])
    whole = telling(examples)
    if opening is not None and examples[0].is_opening:
        outcome = _compared(examples[0], frozen, opening, image)
    else:
        first = whole[0]
        agreements = agreement(frozen, first), agreement(known.model, first)
        outcome = Outcome(first.prompts, *agreements, image=image)
    if not recipe.learns_post:
        return replace(known, history=(*known.history, outcome))
    if contradicts(examples[-1]):
        return replace(known, history=(*known.history, replace(outcome, event=Event.CONTRADICTORY)))
    lessons = lessons_from(whole, frozen, recipe, rng)
    model, kept = _taught(known, lessons, recipe, rng)
    memory = known.memory.with_image(lessons, rng) if recipe.replayed else known.memory
    history = (*known.history, outcome if kept else replace(outcome, event=Event.ROLLED_BACK))
    if is_behind(history):
        history = (*known.history, replace(outcome, event=Event.RETURNED))
        return Knowledge(known.good, frozen, Memory(recipe.memory_bytes), history)
    return Knowledge(model, known.model if is_good(history) else known.good, memory, history)


def _compared(first: Example, frozen: AdaptableModel, opening: Opening, image: str) -> Outcome:
    answers = [first.answered(model) for model in (frozen, opening.adapted)]
    agreements = [iou(answer, first.mask) for answer in answers]
    return Outcome(
        first.prompts,
        agreements[0],
        agreements[1],
        opener=opening.opener,
        chance=opening.chance,
        alike=iou(*answers),
        image=image,
    )


def agreement(model: Model, example: Example) -> float:
    """IoU of a model's answer to an example's question with its mask; two empty masks agree."""
    return iou(example.answered(model), example.mask)


def _taught(
    known: Knowledge, lessons: Sequence[Lesson], recipe: Recipe, rng: np.random.Generator
) -> tuple[AdaptableModel, bool]:
    """The model after the lessons, and whether that was kept: steps that lose on the memory's masks are not."""
    repeated = [known.memory.drawn(recipe.replayed, rng) for _ in range(recipe.post_steps)]
    steps = [
        lambda model, others=others: lesson_losses(model, (*lessons, *others), recipe).mean() for others in repeated
    ]
    model = take_steps(known.model, steps, recipe.post_rate)
    if not repeated[0]:
        return model, True
    judge = replace(recipe, post_click_weight=0.0)
    with torch.no_grad():
        before, after = (lesson_losses(judged, repeated[0], judge).tolist() for judged in (known.model, model))
    return (known.model, False) if loses(before, after) else (model, True)
