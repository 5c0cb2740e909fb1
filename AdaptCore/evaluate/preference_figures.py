"""Figures and tables of the benchmark of preference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt_figures import relative_reduction
from AdaptCore.evaluate.preference import ARMS, CLICKS, PROFILE, WARM_UP, Rules, Trial, User
from AdaptCore.evaluate.tables import text_table

Users = Mapping[str, User]
"""Users of a target by name."""


def figures(targets: Mapping[str, Users], rules: Rules) -> dict[str, Any]:
    """All figures.

    Returns:
        {"targets": {T: {"arms": {arm: figures of `summarize_arm`}, "first_dice_after_10": {"own" | "fresh" | "other":
        mean}, "gain_after_10": {"fresh" | "other": {"value", "low", "high"}}, "asked": the highest Dice that clicks
        alone reach on at least half of the images, "fewer": {arm: {"value", "low", "high"}} interactions to it than by
        clicks}}, "round_ms": {"median", "p95"}}; intervals are over patients.
    """
    times = [ms for users in targets.values() for user in users.values() for ms in _all(user, PROFILE, "round_ms")]
    return {
        "targets": {name: _of_target(users, rules) for name, users in targets.items()},
        "round_ms": {
            "median": float(np.median(times)) if times else None,
            "p95": float(np.quantile(times, 0.95)) if times else None,
        },
    }


def report(result: Mapping[str, Any], rules: Rules) -> str:
    """Tables for people."""
    rows, firsts, agreement = [], [], []
    for name, target in result["targets"].items():
        for arm, of in target["arms"].items():
            fewer = target["fewer"].get(arm)
            rows.append(
                [
                    f"{name} {arm}",
                    of["n"],
                    *(f"{of['interactions'][key]:.2f}" for key in of["interactions"]),
                    *(f"{of['failures'][key]:.2f}" for key in of["failures"]),
                    ""
                    if fewer is None
                    else f"{100 * fewer['value']:.0f} % [{100 * fewer['low']:.0f}, {100 * fewer['high']:.0f}]",
                    _number(of["coverage"]),
                    _number(of["diversity"]),
                ]
            )
            if arm in (CLICKS, PROFILE):
                agreement += [
                    [f"{name} {arm}, {whose} mask", *map(_number, of["agreement"][whose])]
                    for whose in ("own", "opposite")
                ]
        after, gain = target["first_dice_after_10"], target["gain_after_10"]
        firsts.append(
            [name, *(_number(after[kind]) for kind in ("own", "fresh", "other"))]
            + [_interval(gain.get(kind)) for kind in ("fresh", "other")]
        )
    targets = [f"{value:.2f}" for value in rules.targets]
    header = ["target and arm", "n", *(f"to {value}" for value in targets), *(f"missed {value}" for value in targets)]
    asked = ", ".join(f"{name} {target['asked']}" for name, target in result["targets"].items())
    times = result["round_ms"]
    tables = [
        text_table([*header, "fewer than by clicks", "coverage", "diversity"], rows),
        f"fewer interactions: to the highest Dice that clicks alone reach on half of the images ({asked})",
        text_table(["Dice by interaction", *map(str, range(1, rules.rounds + 1))], agreement),
        text_table(
            [f"first Dice after image {WARM_UP}", "own profile", "fresh", "other's", "own - fresh", "own - other's"],
            firsts,
        ),
        f"round of candidates: {_number(times['median'], 0)} ms median, {_number(times['p95'], 0)} ms p95",
    ]
    return "\n\n".join(tables)


def summarize_arm(trials: Sequence[Trial], users: Users, arm: str, rules: Rules) -> dict[str, Any]:
    """Means over all images of all users, with 95 % intervals over patients."""
    groups = [trial.group for trial in trials]

    def mean(values: Sequence[float]) -> float:
        return float(np.mean(values))

    interactions = {f"{goal:.2f}": [float(one.interactions(goal, rules)) for one in trials] for goal in rules.targets}
    missed = {key: [float(value == rules.missed) for value in values] for key, values in interactions.items()}
    covered = [one.coverage for one in trials if one.coverage is not None]
    diverse = [one.diversity for one in trials if one.diversity is not None]
    return {
        "n": len(trials),
        "interactions": {key: mean(values) for key, values in interactions.items()},
        "failures": {key: mean(values) for key, values in missed.items()},
        "ci": {
            "interactions": {
                key: list(metrics.bootstrap_interval(values, groups, rules.seed))
                for key, values in interactions.items()
            },
            "failures": {
                key: list(metrics.bootstrap_interval(values, groups, rules.seed)) for key, values in missed.items()
            },
        },
        "picks": mean([one.picks for one in trials]),
        "first_dice": _by_place([[one.dice[0] for one in user.trials[arm] if one.dice] for user in users.values()]),
        "coverage": mean(covered) if covered else None,
        "diversity": mean(diverse) if diverse else None,
        "agreement": {
            "own": [mean([_at(one.dice, place) for one in trials]) for place in range(rules.rounds)],
            "opposite": [
                mean([_at(one.opposite, place) for one in trials if one.opposite]) for place in range(rules.rounds)
            ],
        },
    }


def _of_target(users: Users, rules: Rules) -> dict[str, Any]:
    trials = {arm: [trial for user in users.values() for trial in user.trials[arm] if trial.dice] for arm in ARMS}
    trials = {arm: of for arm, of in trials.items() if of}
    arms = {arm: summarize_arm(of, users, arm, rules) for arm, of in trials.items()}
    asked = [key for key, share in arms[CLICKS]["failures"].items() if share <= 0.5]
    goal = max(asked, default=f"{min(rules.targets):.2f}")
    groups = {"all": [trial.group for trial in trials[CLICKS]]}
    effort = {arm: {"all": [float(one.interactions(float(goal), rules)) for one in of]} for arm, of in trials.items()}
    firsts = {
        kind: [value for user in users.values() for value in user.first[kind][WARM_UP:]]
        for kind in ("own", "fresh", "other")
    }
    late = [trial.group for user in users.values() for trial in user.trials[CLICKS][WARM_UP:]]
    return {
        "arms": arms,
        "users": list(users),
        "asked": goal,
        "fewer": {
            arm: relative_reduction(effort[CLICKS], effort[arm], groups, rules.seed) for arm in trials if arm != CLICKS
        },
        "first_dice_after_10": {kind: float(np.mean(values)) if values else None for kind, values in firsts.items()},
        "gain_after_10": {
            kind: _difference(firsts["own"], firsts[kind], late, rules.seed) for kind in ("fresh", "other") if late
        },
    }


def _difference(values: Sequence[float], others: Sequence[float], groups: Sequence[str], seed: int) -> dict[str, float]:
    """Mean of the paired differences with its 95 % interval."""
    apart = [one - other for one, other in zip(values, others, strict=True)]
    low, high = metrics.bootstrap_interval(apart, groups, seed)
    return {"value": float(np.mean(apart)), "low": low, "high": high}


def _by_place(sequences: Sequence[Sequence[float]]) -> list[float]:
    """Mean at each place of sequences that may end at different places."""
    most = max(map(len, sequences), default=0)
    return [float(np.mean([of[place] for of in sequences if len(of) > place])) for place in range(most)]


def _at(values: Sequence[float], place: int) -> float:
    return values[min(place, len(values) - 1)]


def _all(user: User, arm: str, name: str) -> list[float]:
    return [value for trial in user.trials[arm] for value in getattr(trial, name)]


def _interval(gain: Mapping[str, float] | None) -> str:
    return "-" if gain is None else f"{gain['value']:+.3f} [{gain['low']:+.3f}, {gain['high']:+.3f}]"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
