"""Benchmark of preference: users who each want their own mask, with clicks only and with candidates to pick from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter

import numpy as np

from AdaptCore.adapt.learner import Learner
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import in_random_order, learn_from
from AdaptCore.evaluate.clicks import read_pair
from AdaptCore.evaluate.datasets import Item, load_target
from AdaptCore.evaluate.users import next_click, rng_for
from AdaptCore.models.base import AdaptableModel, Embedding
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.masks import binarize
from AdaptCore.predict.plane import Look, PlaneSession
from AdaptCore.preference.adviser import Adviser, Round, space_of
from AdaptCore.preference.candidates import Candidate
from AdaptCore.preference.latent import Latent
from AdaptCore.preference.profile import Profile

CLICKS, SLIDER, CANDIDATES, PROFILE = "clicks", "slider", "candidates", "profile"
STRANGER, ADAPT, BOTH = "stranger", "adapt", "profile+adapt"
ARMS = (CLICKS, SLIDER, CANDIDATES, STRANGER, PROFILE, ADAPT, BOTH)
"""`adapt` is clicks alone with online adaptation; `stranger` is `profile` with that of the opposite user."""
SLIDER_LOGITS = (-2.0, -1.0, 0.0, 1.0, 2.0)
"""Thresholds of the frozen logits that the slider offers."""

WARM_UP = 10
"""Images after which a profile should help."""


@dataclass(frozen=True)
class Rules:
    """How the simulated user works.

    Attributes:
        targets: Dice that are asked for; the user goes on to the highest.
        rounds: most interactions: a click, a pick and accepting an offered mask each cost one, accepting the present
            mask none.
        missed: counted where a target is not reached (SPA: 10).
        least_gain: the user picks the best candidate if it removes at least this share of what is wrong (1 - Dice) with
            the present mask, else clicks.
        seed: of the order of the images, of the user's ties and of the candidates.
    """

    targets: tuple[float, ...] = (0.80, 0.85, 0.90)
    rounds: int = 6
    missed: int = 10
    least_gain: float = 0.3
    seed: int = 0


@dataclass
class Trial:
    """How one image went for one user in one arm.

    Attributes:
        dice: of the present mask after each interaction; the last value stands for all later ones.
        offered: of the best mask that could then be accepted: the present one and those offered beside it.
        opposite: Dice with the opposite user's mask, likewise.
        picks: how many of the interactions were picks.
        coverage: Dice of the best of the first round's masks, the recommended one among them.
        diversity: mean Dice of the first round's candidates with each other.
        round_ms: duration of each round of candidates.
    """

    id: str
    group: str
    dice: list[float] = field(default_factory=list)
    offered: list[float] = field(default_factory=list)
    opposite: list[float] = field(default_factory=list)
    picks: int = 0
    coverage: float | None = None
    diversity: float | None = None
    round_ms: list[float] = field(default_factory=list)

    def interactions(self, target: float, rules: Rules) -> int:
        """Clicks and picks until a mask that reaches the target is accepted."""
        present, offered = (_place(values, target, rules) for values in (self.dice, self.offered))
        count = min(present or rules.missed, offered + 1 if offered else rules.missed)
        return count if count <= rules.rounds else rules.missed


def _place(values: Sequence[float], target: float, rules: Rules) -> int:
    """Of the first value that reaches the target, from 1; 0 if none does in time."""
    return next((place for place, value in enumerate(values[: rules.rounds], start=1) if value >= target), 0)


@dataclass(frozen=True, eq=False)
class Case:
    """One image with the masks that its users want, bool (H, W) by user."""

    item: Item
    image: np.ndarray
    wanted: Mapping[str, np.ndarray]
    embedding: Embedding
    cache: EmbeddingCache


@dataclass(eq=False)
class User:
    """One user of a target: an adviser that learns, one that stays fresh, one beside a learner, a learner, all trials.

    Attributes:
        first: Dice of the first answer with the own, a fresh and the opposite user's profile, image after image.
    """

    adviser: Adviser
    fresh: Adviser
    beside: Adviser
    learner: Learner
    alone: Learner
    trials: dict[str, list[Trial]] = field(default_factory=lambda: {arm: [] for arm in ARMS})
    first: dict[str, list[float]] = field(default_factory=lambda: {"own": [], "fresh": [], "other": []})


def run_target(
    model: AdaptableModel,
    latent: Latent | None,
    data: Path,
    target: str,
    names: Sequence[str],
    rules: Rules,
    limit: int | None = None,
    advanced: Callable[[], object] | None = None,
    arms: Sequence[str] = ARMS,
) -> dict[str, User]:
    """All users of a target side by side, image after image; `advanced` is called after each image.

    Args:
        names: of the users, selectors of the target's set.

    Raises:
        AdaptSegError: a user without masks.
    """
    items = {
        name: {item.id: item for item in load_target(data, f"{target.partition(':')[0]}:{name}").items}
        for name in names
    }
    ids = sorted({id for of in items.values() for id in of})
    every = [next(of[id] for of in items.values() if id in of) for id in ids]
    chosen = in_random_order(every, rules.seed, target)[:limit]
    opposite = opposites({name: {id: item.truth() for id, item in of.items()} for name, of in items.items()})
    with ExitStack() as stack:
        users = {name: _user(stack, model, latent, name, rules) for name in names}
        for shown in chosen:
            image, _ = read_pair(shown)
            wanted = {name: of[shown.id].truth() for name, of in items.items() if shown.id in of}
            case = Case(shown, image, wanted, model.encode(image), EmbeddingCache())
            for name in wanted:
                _work_for(case, name, users, opposite[name], model, rules, arms)
            if advanced is not None:
                advanced()
        return users


def opposites(truths: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, str]:
    """For each user the one whose masks (user -> image -> bool (H, W)) differ most in size from theirs."""
    sizes: dict[str, list[float]] = {}
    for id in {id for of in truths.values() for id in of}:
        areas = {name: float(np.log(of[id].sum() + 1.0)) for name, of in truths.items() if id in of}
        middle = float(np.mean(list(areas.values())))
        for name, area in areas.items():
            sizes.setdefault(name, []).append(area - middle)
    bias = {name: float(np.mean(of)) for name, of in sizes.items()}
    return {name: max(bias, key=lambda other: abs(bias[other] - bias[name])) for name in truths}


def _user(stack: ExitStack, model: AdaptableModel, latent: Latent | None, name: str, rules: Rules) -> User:
    profile = Profile.fresh(name, "bench", space_of(model, latent))
    learner, alone = (stack.enter_context(Learner(model, seed=rules.seed)) for _ in range(2))
    own, fresh, beside = (Adviser(profile, latent, seed=rules.seed) for _ in range(3))
    return User(own, fresh, beside, learner, alone)


def _work_for(
    case: Case,
    name: str,
    users: Mapping[str, User],
    opposite: str,
    model: AdaptableModel,
    rules: Rules,
    arms: Sequence[str],
) -> None:
    user = users[name]
    for kind, adviser in (("own", user.adviser), ("fresh", user.fresh), ("other", users[opposite].adviser)):
        session = _session(case, model, adviser)
        click = next_click(case.wanted[name], np.zeros_like(case.wanted[name]), rng_for(rules.seed, case.item.id))
        if click:
            mask = session.click(click.x, click.y, click.positive).mask
            user.first[kind].append(metrics.dice(case.wanted[name], mask))
    for arm in arms:
        user.trials[arm].append(work_on(case, name, opposite, arm, users, model, rules))


def work_on(
    case: Case,
    name: str,
    opposite: str,
    arm: str,
    users: Mapping[str, User],
    model: AdaptableModel,
    rules: Rules,
) -> Trial:
    """Let one user work on one image in one arm; where the arm learns, the user accepts what is there at the end."""
    user = users[name]
    advisers = {CANDIDATES: user.fresh, STRANGER: users[opposite].adviser, PROFILE: user.adviser, BOTH: user.beside}
    adviser = advisers.get(arm)
    learner = {ADAPT: user.alone, BOTH: user.learner}.get(arm)
    learns = arm in (PROFILE, ADAPT, BOTH)
    recommends = adviser if learns or arm == STRANGER else None
    session = _session(case, learner.model if learner else model, recommends, learner)
    wanted, other = case.wanted[name], case.wanted.get(opposite)
    trial = Trial(case.item.id, case.item.group)
    rng = rng_for(rules.seed, case.item.id)
    mask, around = np.zeros_like(wanted), None
    while True:
        options = _options(arm, adviser, session, around, wanted, trial) if trial.dice else []
        best = max(options, key=lambda option: option.dice, default=None)
        if trial.dice:
            trial.offered.append(max([trial.dice[-1], *(option.dice for option in options)]))
            if trial.offered[-1] >= max(rules.targets) or len(trial.dice) == rules.rounds:
                if best and best.dice > trial.dice[-1]:
                    mask, _ = _take(best, session, adviser if learns else None)
                break
        if best and best.dice >= trial.dice[-1] + rules.least_gain * (1 - trial.dice[-1]):
            mask, around = _take(best, session, adviser if learns else None)
            trial.picks += 1
        else:
            click = next_click(wanted, mask, rng)
            if click is None:
                break
            mask, around = session.click(click.x, click.y, click.positive).mask, None
        _note(trial, wanted, other, mask)
    examples = session.examples(mask) if learns else []
    if adviser and examples:
        adviser.learn(session.model if learner is None else learner.model, examples)
    if learner and examples:
        learn_from(learner, examples)
    return trial


def _session(
    case: Case, model: AdaptableModel, adviser: Adviser | None, learner: Learner | None = None
) -> PlaneSession:
    return PlaneSession(
        model,
        case.image,
        embedding=case.embedding,
        cache=case.cache,
        spacing=case.item.spacing(),
        adapter=learner,
        preference=adviser,
    )


def _note(trial: Trial, wanted: np.ndarray, other: np.ndarray | None, mask: np.ndarray) -> None:
    trial.dice.append(metrics.dice(wanted, mask))
    if other is not None:
        trial.opposite.append(metrics.dice(other, mask))


@dataclass(frozen=True, eq=False)
class Option:
    """A mask that is offered beside the present one.

    Attributes:
        look: what a choice of it makes the answer.
        dice: with the mask that the user wants.
        candidate: with its round; None for a position of the slider.
    """

    look: Look
    dice: float
    candidate: tuple[Round, Candidate] | None


def _options(
    arm: str,
    adviser: Adviser | None,
    session: PlaneSession,
    around: np.ndarray | None,
    wanted: np.ndarray,
    trial: Trial,
) -> list[Option]:
    """What an arm offers now; coverage and diversity of the first round and all durations are noted."""
    offers: list[tuple[Look, tuple[Round, Candidate] | None]] = []
    if arm == SLIDER and session.look is not None:
        offers = [(session.look.with_answer(session.look.seen + logit), None) for logit in SLIDER_LOGITS]
    elif adviser:
        started = perf_counter()
        shown = adviser.ask(session, around)
        trial.round_ms.append(1000 * (perf_counter() - started))
        offers = [(shown.look(each), (shown, each)) for each in shown.proposal.candidates]
    masks = [binarize(look.logits.numpy()) for look, _ in offers]
    options = [Option(look, metrics.dice(wanted, mask), of) for (look, of), mask in zip(offers, masks)]
    if adviser and len(trial.dice) == 1:
        trial.coverage = max([trial.dice[0], *(option.dice for option in options)])
        trial.diversity = _diversity(masks)
    return options


def _take(option: Option, session: PlaneSession, learning: Adviser | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The mask (H, W) once an option is chosen, and the z of its candidate."""
    mask = session.take(option.look).mask
    if option.candidate is None:
        return mask, None
    shown, candidate = option.candidate
    if learning:
        learning.picked(shown, candidate)
    return mask, shown.z(candidate)


def _diversity(masks: Sequence[np.ndarray]) -> float | None:
    """Mean Dice of all pairs; None for less than two masks."""
    pairs = [metrics.dice(a, b) for place, a in enumerate(masks) for b in masks[:place]]
    return float(np.mean(pairs)) if pairs else None
