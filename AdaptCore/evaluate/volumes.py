"""Benchmark of learning on volumes: the same volumes in the same order, frozen, learning, and with GrowCut."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import FROZEN, in_random_order
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.evaluate.propagate import LAST_AXIS, read_volume_pair
from AdaptCore.evaluate.users import rng_for
from AdaptCore.evaluate.volume_growcut import grown_from
from AdaptCore.evaluate.volume_user import Patience, VolumeRun, VolumeUser
from AdaptCore.models.base import AdaptableModel
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.intensity import apply_window
from AdaptCore.predict.learning import Example, Taught
from AdaptCore.predict.volume import VolumeSession

LEARNING, GROWCUT = "learning", "growcut"


@dataclass(frozen=True)
class VolumeRules:
    """How the simulated user works on a volume.

    Attributes:
        target_dice: the volume is finished at the first click with this Dice, and a plane is accepted at the first one.
        max_clicks: or after so many clicks.
        zoom: with the second look.
        seed: of the order of the volumes, of the user's ties and of the learner's choices.
    """

    target_dice: float = 0.85
    max_clicks: int = 60
    zoom: bool = True
    seed: int = 0

    @property
    def patience(self) -> Patience:
        return Patience(plane_dice=self.target_dice, volume_dice=self.target_dice, max_clicks=self.max_clicks)


@dataclass(frozen=True)
class LessonTaken:
    """How long the lesson of an accepted plane took, and what became of it ("failed" where nothing did)."""

    milliseconds: float
    event: str


@dataclass(frozen=True)
class VolumeTrial:
    """How one volume went in one arm.

    Attributes:
        id, group: as in `VolumeItem`.
        dice: of the volume after click 1, 2, ...; the last value stands for all later clicks.
        lessons: of its accepted planes.
    """

    id: str
    group: str
    dice: tuple[float, ...]
    lessons: tuple[LessonTaken, ...] = ()

    def clicks(self, rules: VolumeRules) -> int:
        """Number of the first click with the wanted Dice, else the maximum."""
        return metrics.noc(self.dice, rules.target_dice, rules.max_clicks)

    def reached(self, rules: VolumeRules) -> bool:
        return metrics.reached(self.dice, rules.target_dice, rules.max_clicks)

    def dice_at(self, click: int) -> float:
        return self.dice[min(click, len(self.dice)) - 1]


class AttentiveLearner(Learner):
    """A learner that learns at once and notes how each lesson went, so that nothing else runs meanwhile."""

    def __init__(self, frozen: AdaptableModel, recipe: Recipe, seed: int) -> None:
        super().__init__(frozen, recipe, seed=seed)
        self._taken: list[LessonTaken] = []

    def learn(self, examples: Sequence[Example], image: str = "") -> Taught:
        """See `Learner.learn`; waits for the lesson."""
        known = len(self.knowledge.history)
        started = time.perf_counter()
        taught = super().learn(examples, image)
        self.wait()
        taken = 1000 * (time.perf_counter() - started)
        history = self.knowledge.history
        self._taken.append(LessonTaken(taken, history[-1].event.value if len(history) > known else "failed"))
        return taught

    def taken(self) -> tuple[LessonTaken, ...]:
        """The lessons since this was asked last."""
        lessons, self._taken = tuple(self._taken), []
        return lessons


def run_target(
    model: AdaptableModel,
    target: VolumeTarget,
    recipe: Recipe,
    rules: VolumeRules,
    growcut: bool = True,
    advanced: Callable[[], object] | None = None,
) -> dict[str, list[VolumeTrial]]:
    """Trials of every arm in the order of the sequence; the learning arm has one task for all volumes.

    Args:
        growcut: also let GrowCut answer the frozen arm's clicks.
        advanced: called after each volume.

    Raises:
        ImageError: image and mask of a volume differ in size.
        ModelError: GrowCut was asked for and slicer-core is missing.
    """
    trials: dict[str, list[VolumeTrial]] = {arm: [] for arm in (FROZEN, LEARNING, *([GROWCUT] if growcut else []))}
    learner = AttentiveLearner(model, recipe, rules.seed)
    with learner:
        for item in in_random_order(target.items, rules.seed, target.name):
            volume, truth = read_volume_pair(item)
            cache = EmbeddingCache()
            run, trial = work_on(item, volume, truth, model, None, rules, cache)
            trials[FROZEN].append(trial)
            trials[LEARNING].append(work_on(item, volume, truth, model, learner, rules, cache)[1])
            if growcut:
                trials[GROWCUT].append(growcut_trial(item, volume, truth, run))
            if advanced is not None:
                advanced()
    return trials


def work_on(
    item: VolumeItem,
    volume: np.ndarray,
    truth: np.ndarray,
    model: AdaptableModel,
    learner: AttentiveLearner | None,
    rules: VolumeRules,
    cache: EmbeddingCache,
) -> tuple[VolumeRun, VolumeTrial]:
    """Let the simulated user segment a volume (I, J, K) plane by plane until it agrees with the truth well enough.

    Args:
        learner: learns from every plane that is accepted, None for the frozen arm.
        cache: embeddings, which all arms share because encoders do not learn.
    """
    spacing = item.volume().geometry.spacing
    with VolumeSession(
        model, volume, spacing=spacing, cache=cache, zoom=rules.zoom, precompute=0, learner=learner
    ) as session:
        run = VolumeUser(session, truth, LAST_AXIS, rng_for(rules.seed, item.id), rules.patience).work()
    lessons = learner.taken() if learner else ()
    return run, VolumeTrial(item.id, item.group, run.dice_after_click, lessons)


def growcut_trial(item: VolumeItem, volume: np.ndarray, truth: np.ndarray, run: VolumeRun) -> VolumeTrial:
    """What GrowCut makes of the clicks of a run, one after the other, on what the model saw of the volume."""
    image = apply_window(volume, run.window)
    told = (run.clicks[: count + 1] for count in range(len(run.clicks)))
    dice = tuple(metrics.dice(truth, grown_from(image, LAST_AXIS, clicks)) for clicks in told)
    return VolumeTrial(item.id, item.group, dice)
