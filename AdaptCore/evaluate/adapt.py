"""Benchmark of learning: the same images in the same order, frozen and with each part of online adaptation."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe, without
from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt_noise import Noise
from AdaptCore.evaluate.clicks import read_pair
from AdaptCore.evaluate.datasets import Item, Target, VolumeItem
from AdaptCore.evaluate.users import next_click, rng_for
from AdaptCore.models.base import AdaptableModel, Embedding, Model, Question
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.plane import Example, PlaneSession

AnyItem = TypeVar("AnyItem", Item, VolumeItem)

FROZEN, POST, MID, BOTH = "frozen", "post", "mid", "both"
ARMS = (FROZEN, POST, MID, BOTH)

FINE_IOU = 0.90
"""The user of the benchmark clicks on until here, also after accepting, for FR30@90."""

FINE_CLICKS = 30
LEAST_CLICKS = 5
"""And at least so often, for Dice after 5 clicks."""


@dataclass(frozen=True)
class Rules:
    """How the simulated user works.

    Attributes:
        max_clicks: a mask is accepted after so many clicks at the latest.
        stop_iou: a mask is accepted at the first click with this IoU.
        zoom: with the second look.
        seed: of the order of the images, of the user's ties, of the learner's choices and of the noise.
        noise: how accepted masks are spoilt before the learner gets them, None for not at all.
    """

    max_clicks: int = 20
    stop_iou: float = 0.85
    zoom: bool = True
    seed: int = 0
    noise: Noise | None = None

    @property
    def most_clicks(self) -> int:
        return max(self.max_clicks, FINE_CLICKS)

    def accepts(self, ious: Sequence[float]) -> bool:
        """Whether the user accepts the latest mask."""
        return ious[-1] >= self.stop_iou or len(ious) >= self.max_clicks

    def ends(self, ious: Sequence[float]) -> bool:
        """Whether nothing more is measured on an image."""
        fine = max(ious) >= max(self.stop_iou, FINE_IOU)
        return len(ious) >= (LEAST_CLICKS if fine else self.most_clicks)


@dataclass(frozen=True)
class Arm:
    """A way of working through a sequence: frozen without a recipe, else what the recipe does."""

    name: str
    recipe: Recipe | None = None


@dataclass(frozen=True, eq=False)
class Shown:
    """One image of a sequence as every arm sees it.

    Attributes:
        place: in the sequence, from 0.
        target: name of its target.
        image: float32 (H, W) or (H, W, 3) in [0, 1].
        wanted: bool (H, W), the mask that the user wants.
        before: the wanted mask of the image before, None for the first.
        embedding, cache: of the image and of its windows, shared by all arms.
    """

    place: int
    target: str
    item: Item
    image: np.ndarray
    wanted: np.ndarray
    before: np.ndarray | None
    embedding: Embedding
    cache: EmbeddingCache


@dataclass
class Trial:
    """How one image went in one arm.

    Attributes:
        id, group: as in `Item`.
        dice, iou: after click 1, 2, ...; the last value stands for all later clicks.
        accepted: the click after which the mask was accepted.
        mid_ms: for each click with a mid step, how much later its answer came.
        post_ms: duration of the lesson, 0 without one.
        lesson: what became of it, "" without one.
    """

    id: str
    group: str
    dice: list[float] = field(default_factory=list)
    iou: list[float] = field(default_factory=list)
    accepted: int = 0
    mid_ms: list[float] = field(default_factory=list)
    post_ms: float = 0.0
    lesson: str = ""

    def note(self, wanted: np.ndarray, mask: np.ndarray) -> None:
        """Add what a click gave."""
        self.dice.append(metrics.dice(wanted, mask))
        self.iou.append(metrics.iou(wanted, mask))

    def dice_at(self, click: int) -> float:
        return self.dice[min(click, len(self.dice)) - 1]


def arms_of(recipes: Sequence[Recipe], names: Sequence[str]) -> list[Arm]:
    """The named arms: frozen once, the others for each recipe.

    Raises:
        AdaptSegError: there is no arm of that name.
    """
    for name in names:
        if name not in ARMS:
            raise AdaptSegError(f"Expected one of the arms {', '.join(ARMS)}, got {name!r}.")
    learning = [Arm(name, _part(recipe, name)) for recipe in recipes for name in ARMS[1:] if name in names]
    return ([Arm(FROZEN)] if FROZEN in names else []) + learning


def in_random_order(items: Sequence[AnyItem], seed: int, name: str) -> list[AnyItem]:
    """Items of a target in an order that depends on seed and name only: file names may be sorted by finding."""
    order = np.random.default_rng([seed, zlib.crc32(name.encode())]).permutation(len(items))
    return [items[place] for place in order]


def run_target(
    model: AdaptableModel,
    target: Target,
    arms: Sequence[Arm],
    rules: Rules,
    advanced: Callable[[], object] | None = None,
) -> dict[Arm, list[Trial]]:
    """All arms side by side on a target, each with a task of its own; `advanced` is called after each image."""
    sequence = [(target.name, item) for item in in_random_order(target.items, rules.seed, target.name)]
    trials: dict[Arm, list[Trial]] = {arm: [] for arm in arms}
    with ExitStack() as stack:
        learners = {
            arm: stack.enter_context(Learner(model, arm.recipe, seed=rules.seed)) if arm.recipe else None
            for arm in arms
        }
        for shown in show(model, sequence, rules):
            for arm, learner in learners.items():
                trials[arm].append(work_on(shown, model, learner, rules))
            if advanced is not None:
                advanced()
    return trials


def run_seeds(
    model: AdaptableModel,
    target: Target,
    arms: Sequence[Arm],
    rules: Rules,
    seeds: Sequence[int],
    advanced: Callable[[], object] | None = None,
) -> dict[Arm, list[Trial]]:
    """`run_target` for each seed, which draws the order too; the first images of all seeds come first."""
    runs = [run_target(model, target, arms, replace(rules, seed=seed), advanced) for seed in seeds]
    return {arm: [trial for trials in zip(*(run[arm] for run in runs)) for trial in trials] for arm in arms}


def show(model: Model, sequence: Iterable[tuple[str, Item]], rules: Rules) -> Iterator[Shown]:
    """Images one after the other, each read and embedded once."""
    before = None
    for place, (target, item) in enumerate(sequence):
        image, truth = read_pair(item)
        wanted = rules.noise.wanted(truth) if rules.noise else truth
        with torch.no_grad():
            embedding = model.encode(image)
        yield Shown(place, target, item, image, wanted, before, embedding, EmbeddingCache())
        before = wanted


def work_on(shown: Shown, model: AdaptableModel, learner: Learner | None, rules: Rules) -> Trial:
    """Let the simulated user click on one image, accept a mask, and the learner learn from it.

    What is measured after acceptance is without the lesson; it is learnt when nothing else runs.
    """
    adapter = TimedAdapter(learner) if learner and learner.recipe.learns_mid else None
    session = PlaneSession(
        learner.model if learner else model,
        shown.image,
        embedding=shown.embedding,
        cache=shown.cache,
        zoom=rules.zoom,
        spacing=shown.item.spacing(),
        adapter=adapter,
    )
    trial = Trial(shown.item.id, shown.item.group)
    rng = rng_for(rules.seed, shown.item.id)
    mask = np.zeros(shown.wanted.shape, dtype=bool)
    examples: list[Example] = []
    while not trial.iou or not rules.ends(trial.iou):
        click = next_click(shown.wanted, mask, rng)
        if click is None:
            break
        mask = session.click(click.x, click.y, click.positive).mask
        trial.note(shown.wanted, mask)
        if adapter is not None:
            trial.mid_ms += adapter.taken()
        if not trial.accepted and rules.accepts(trial.iou):
            trial.accepted = len(trial.iou)
            examples = session.examples(_taught(mask, shown, rules))
    if learner is not None and learner.recipe.learns_post:
        trial.post_ms, trial.lesson = learn_from(learner, examples)
    return trial


class TimedAdapter:
    """A learner's mid steps with the time they add to a click: from the first answer to the one after the step."""

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._started: float | None = None

    def adapt(self, model: Model, question: Question, added: int, logits: Tensor) -> Model:
        """See `AdaptCore.predict.plane.Adapter`."""
        self._started = time.perf_counter()
        return self._learner.adapt(model, question, added, logits)

    def taken(self) -> list[float]:
        """Milliseconds since the latest step began, asked right after the click's answer; none without a step."""
        started, self._started = self._started, None
        return [] if started is None else [1000 * (time.perf_counter() - started)]


def learn_from(learner: Learner, examples: Sequence[Example], image: str = "") -> tuple[float, str]:
    """Teach and wait; gives the lesson's duration in ms and what became of it."""
    known = len(learner.knowledge.history)
    started = time.perf_counter()
    learner.learn(examples, image)
    learner.wait()
    taken = 1000 * (time.perf_counter() - started)
    history = learner.knowledge.history
    return taken, history[-1].event.value if len(history) > known else "failed"


def by_recipe(trials: Mapping[Arm, list[Trial]], recipe: Recipe) -> dict[str, list[Trial]]:
    """The trials of the frozen arm and of a recipe's arms by the arm's name."""
    return {arm.name: of for arm, of in trials.items() if arm.recipe is None or arm.recipe.name == recipe.name}


def _part(recipe: Recipe, arm: str) -> Recipe:
    return without(recipe, mid=arm == POST, post=arm == MID)


def _taught(mask: np.ndarray, shown: Shown, rules: Rules) -> np.ndarray:
    if rules.noise is None:
        return mask
    return rules.noise.accepted(mask, shown.item.id, shown.place, shown.before)
