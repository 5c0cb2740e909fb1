"""Benchmark of the trial: what it tells of the gain, beside the true one, under users who accept too early."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.adapt.trial import Estimate, Evidence, evidence
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import Rules, Shown, in_random_order, learn_from, show
from AdaptCore.evaluate.datasets import Target
from AdaptCore.evaluate.tables import text_table
from AdaptCore.evaluate.users import next_click, rng_for
from AdaptCore.models.base import AdaptableModel
from AdaptCore.predict.plane import PlaneSession

EARLY_USERS = {"lenient": 0.7, "first": 0.0}
"""IoU from which a user accepts who does not look closely; `first` accepts every first answer."""

TOLERATED_ERROR = 0.03
"""What is told may be so far from the true gain in IoU, in the mean over targets."""

TOLERATED_LOSS = 0.02
"""From a true loss of more than this on, no gain may be told."""


@dataclass(frozen=True)
class TrueEffect:
    """What really came of two openings of one image: IoU of the first answers with the reference, clicks to acceptance.

    Attributes:
        iou: adapted less frozen.
        clicks: frozen less adapted.
    """

    iou: float
    clicks: int


@dataclass(frozen=True, eq=False)
class TrialRun:
    """One target: the true effects of the images that were compared since the latest return, and what is told."""

    true: tuple[TrueEffect, ...]
    told: Evidence


@dataclass(frozen=True, eq=False)
class _Work:
    session: PlaneSession
    mask: np.ndarray
    first_iou: float
    clicks: int


def run_trial(
    model: AdaptableModel,
    target: Target,
    recipe: Recipe,
    rules: Rules,
    advanced: Callable[[], object] | None = None,
) -> TrialRun:
    """Let a user whose `rules` accept early work through a target in a task with the trial.

    Each image is opened by both models to know the true effect; the task learns from the drawn opening alone.
    """
    sequence = [(target.name, item) for item in in_random_order(target.items, rules.seed, target.name)]
    effects: dict[str, TrueEffect] = {}
    with Learner(model, recipe, seed=rules.seed, trial=True) as learner:
        for shown in show(model, sequence, rules):
            name = f"image{shown.place}"
            drawn, adapted = learner.opening(name), learner.knowledge.model
            works = {opener: _work(shown, opener, learner, rules) for opener in dict.fromkeys((model, adapted))}
            frozen, other = works[model], works[adapted]
            effects[name] = TrueEffect(other.first_iou - frozen.first_iou, frozen.clicks - other.clicks)
            learn_from(learner, works[drawn].session.examples(works[drawn].mask), name)
            if advanced is not None:
                advanced()
        history = learner.knowledge.history
    told = evidence(history)
    return TrialRun(tuple(effects[each.image] for each in told.compared), told)


def _work(shown: Shown, opener: AdaptableModel, learner: Learner, rules: Rules) -> _Work:
    session = PlaneSession(
        opener,
        shown.image,
        embedding=shown.embedding,
        cache=shown.cache,
        zoom=rules.zoom,
        spacing=shown.item.spacing(),
        adapter=learner,
    )
    rng, mask, ious = rng_for(rules.seed, shown.item.id), np.zeros(shown.wanted.shape, dtype=bool), list[float]()
    while not ious or not rules.accepts(ious):
        click = next_click(shown.wanted, mask, rng)
        if click is None:
            break
        mask = session.click(click.x, click.y, click.positive).mask
        ious.append(metrics.iou(shown.wanted, mask))
    return _Work(session, mask, ious[0], len(ious))


def trial_figures(runs: Mapping[str, TrialRun], kind: str) -> dict[str, Any]:
    """All figures.

    Returns:
        {"user", "targets": {T: {"images", "opened_frozen", "true_iou", "iou": {"value", "low", "high", "known"} or
        None, "true_clicks", "clicks": as iou, "cost"}}, "mean": {"told", "error", "estimate_error"}, "wrong_side": [T],
        "passed"}. "told" is how many targets' gains are told, "error" how far those are from the true ones in the mean,
        "estimate_error" the same of all estimates, also those that are not told yet; None without any.
    """
    targets = {name: _of_target(run) for name, run in runs.items()}
    estimated = [of for of in targets.values() if of["iou"]]
    told = [of for of in estimated if of["iou"]["known"]]
    error = _error(told)
    wrong = [
        name
        for name, of in targets.items()
        if of in told and of["true_iou"] < -TOLERATED_LOSS and of["iou"]["value"] > 0
    ]
    return {
        "user": kind,
        "targets": targets,
        "mean": {"told": len(told), "error": error, "estimate_error": _error(estimated)},
        "wrong_side": wrong,
        "passed": not wrong and (error is None or abs(error) <= TOLERATED_ERROR),
    }


def trial_report(figures: Mapping[str, Any]) -> str:
    """Table of `trial_figures`: the true gain and what is told of it."""
    rows: list[list[object]] = [
        [
            name,
            of["images"],
            of["opened_frozen"],
            f"{of['true_iou']:+.3f}",
            _told(of["iou"], "+.3f"),
            f"{of['true_clicks']:+.2f}",
            _told(of["clicks"], "+.2f"),
            "-" if of["cost"] is None else f"{of['cost']:+.1f}",
        ]
        for name, of in figures["targets"].items()
    ]
    header = [
        f"{figures['user']}: target",
        "compared",
        "frozen opened",
        "true gain",
        "told gain (IoU)",
        "true clicks saved",
        "told",
        "cost",
    ]
    mean = figures["mean"]
    error = "-" if mean["error"] is None else f"{mean['error']:+.3f}"
    verdict = "passed" if figures["passed"] else "FAILED"
    return (
        f"{text_table(header, rows)}\n\n"
        f"told on {mean['told']} of {len(figures['targets'])} targets, told less true in the mean {error}: {verdict}"
    )


def _of_target(run: TrialRun) -> dict[str, Any]:
    told = run.told
    return {
        "images": told.images,
        "opened_frozen": told.opened_frozen,
        "true_iou": float(np.mean([each.iou for each in run.true])) if run.true else 0.0,
        "iou": _estimate(told.iou),
        "true_clicks": float(np.mean([each.clicks for each in run.true])) if run.true else 0.0,
        "clicks": _estimate(told.clicks),
        "cost": told.cost,
    }


def _estimate(estimate: Estimate | None) -> dict[str, Any] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "known": estimate.is_known}


def _error(targets: Sequence[Mapping[str, Any]]) -> float | None:
    return float(np.mean([of["iou"]["value"] - of["true_iou"] for of in targets])) if targets else None


def _told(estimate: Mapping[str, Any] | None, form: str) -> str:
    if estimate is None:
        return "not known yet"
    interval = f"[{estimate['low']:{form}}, {estimate['high']:{form}}]"
    return f"{estimate['value']:{form}} {interval}" if estimate["known"] else f"not known yet {interval}"
