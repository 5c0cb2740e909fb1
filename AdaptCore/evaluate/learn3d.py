"""Benchmark of learning in volumes: the same objects in the same order, frozen and with each part of the learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from AdaptCore.adapt.learner import Learner
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import FROZEN, Arm, TimedAdapter, Trial, in_random_order, learn_from
from AdaptCore.evaluate.adapt_figures import quarters, relative_reduction
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.evaluate.tables import text_table
from AdaptCore.evaluate.users import next_voxel, rng_for
from AdaptCore.models.base import AdaptableModel, Model
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.guess import SliceGuess


@dataclass(frozen=True)
class ObjectLearningRules:
    """How the simulated user works.

    Attributes:
        max_clicks: a mask is accepted after so many clicks at the latest.
        stop_dice: a mask is accepted at the first click with this Dice.
        seed: of the order of the objects, of the user's ties and of the learner's choices.
    """

    max_clicks: int = 10
    stop_dice: float = 0.85
    seed: int = 0


def run_object_target(
    model: VolumetricModel,
    planes: Model | None,
    target: VolumeTarget,
    arms: Sequence[Arm],
    rules: ObjectLearningRules,
    advanced: Callable[[], object] | None = None,
) -> dict[str, list[Trial]]:
    """All arms side by side on a target, each with a task of its own; `advanced` is called after each object.

    Args:
        planes: guesses the slices through a first click, None for no guesses; it learns nothing.
    """
    trials: dict[str, list[Trial]] = {arm.name: [] for arm in arms}
    frozen = cast(AdaptableModel, model)
    with ExitStack() as stack:
        learners = {
            arm.name: stack.enter_context(Learner(frozen, arm.recipe, seed=rules.seed)) if arm.recipe else None
            for arm in arms
        }
        for item in in_random_order(target.items, rules.seed, target.name):
            for name, learner in learners.items():
                trials[name].append(_work_on(item, frozen, planes, learner, rules))
            if advanced is not None:
                advanced()
    return trials


def _work_on(
    item: VolumeItem, frozen: AdaptableModel, planes: Model | None, learner: Learner | None, rules: ObjectLearningRules
) -> Trial:
    """Let the simulated user click on one object and accept its mask, and the learner learn from it."""
    volume, truth = item.volume(), item.truth()
    array = volume.array if volume.array.ndim == 3 else volume.array.mean(3)
    spacing = volume.geometry.spacing
    adapter = TimedAdapter(learner) if learner and learner.recipe.learns_mid else None
    model = cast(VolumetricModel, learner.model if learner else frozen)
    guess = None if planes is None else SliceGuess(planes, array, spacing)
    session = BlockSession(model, array, spacing, guess=guess, adapter=adapter)
    trial, rng, mask = Trial(item.id, item.group), rng_for(rules.seed, item.id), np.zeros(truth.shape, bool)
    while not trial.dice or (trial.dice[-1] < rules.stop_dice and len(trial.dice) < rules.max_clicks):
        click = next_voxel(truth, mask, spacing, rng)
        if click is None:
            break
        if click.positive or mask.any():
            mask = session.click(*click.voxel, positive=click.positive).on(truth.shape)
        trial.note(truth, mask)
        if adapter is not None:
            trial.mid_ms += adapter.taken()
    trial.accepted = len(trial.dice)
    if learner is not None and learner.recipe.learns_post:
        trial.post_ms, trial.lesson = learn_from(learner, session.examples(mask))
    return trial


def learn3d_figures(trials: Mapping[str, Mapping[str, Sequence[Trial]]], rules: ObjectLearningRules) -> dict[str, Any]:
    """All figures, by target and arm.

    Returns:
        {"targets": {T: {"n", "arms": {arm: {"clicks", "reached", "dice1", "dice3", "dice1_by_quarter",
        "clicks_by_quarter", "mid_ms", "post_ms"}}}}, "mean": {arm: {measure: mean over targets}},
        "reduction": {arm: {"value", "low", "high"}}}: the last is how many fewer clicks an arm takes than the frozen
        one, over all objects, with a paired 95 % interval.
    """
    found = {name: {arm: _arm_figures(of, rules) for arm, of in arms.items()} for name, arms in trials.items()}
    targets = {name: {"n": len(next(iter(trials[name].values()))), "arms": arms} for name, arms in found.items()}
    arms = list(next(iter(trials.values())))
    measures = ("clicks", "reached", "dice1", "dice3")
    mean = {arm: {key: float(np.mean([of[arm][key] for of in found.values()])) for key in measures} for arm in arms}
    result: dict[str, Any] = {"targets": targets, "mean": mean, "reduction": {}}
    if FROZEN in arms:
        groups = {name: [trial.group for trial in of[FROZEN]] for name, of in trials.items()}
        before = {name: _clicks(of[FROZEN], rules) for name, of in trials.items()}
        for arm in arms:
            after = {name: _clicks(of[arm], rules) for name, of in trials.items()}
            if arm != FROZEN:
                result["reduction"][arm] = relative_reduction(before, after, groups, rules.seed)
    return result


def learn3d_report(figures: Mapping[str, Any]) -> str:
    """The printed tables: one row for each target and arm, the means, and how many fewer clicks learning takes."""
    header = ["target", "arm", "n", "clicks", "reached", "Dice@1", "Dice@3", "Dice@1 by quarter"]
    rows: list[list[object]] = []
    for name, part in figures["targets"].items():
        for arm, of in part["arms"].items():
            by_quarter = " ".join(f"{value:.3f}" for value in of["dice1_by_quarter"])
            rows.append([name, arm, part["n"], of["clicks"], of["reached"], of["dice1"], of["dice3"], by_quarter])
    for arm, of in figures["mean"].items():
        rows.append(["mean", arm, "", of["clicks"], of["reached"], of["dice1"], of["dice3"], ""])
    lines = [
        f"{arm}: {100 * of['value']:.0f} % fewer clicks than frozen [{100 * of['low']:.0f}, {100 * of['high']:.0f}]"
        for arm, of in figures["reduction"].items()
        if of["value"] is not None
    ]
    return "\n".join([text_table(header, rows), *lines])


def _arm_figures(trials: Sequence[Trial], rules: ObjectLearningRules) -> dict[str, Any]:
    clicks, first = _clicks(trials, rules), [trial.dice_at(1) for trial in trials]
    return {
        "clicks": float(np.mean(clicks)),
        "reached": float(np.mean([metrics.reached(trial.dice, rules.stop_dice, rules.max_clicks) for trial in trials])),
        "dice1": float(np.mean(first)),
        "dice3": float(np.mean([trial.dice_at(3) for trial in trials])),
        "dice1_by_quarter": quarters(first),
        "clicks_by_quarter": quarters(clicks),
        "mid_ms": float(np.median([ms for trial in trials for ms in trial.mid_ms] or [0.0])),
        "post_ms": float(np.median([trial.post_ms for trial in trials])),
    }


def _clicks(trials: Sequence[Trial], rules: ObjectLearningRules) -> list[float]:
    """Clicks to the Dice that is accepted, of each object; all that are allowed where it is not reached."""
    return [float(metrics.noc(trial.dice, rules.stop_dice, rules.max_clicks)) for trial in trials]
