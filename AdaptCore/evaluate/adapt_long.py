"""Learning in the long run: three kinds of images in turns, and memory and time over very many accepted images."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from itertools import cycle, islice
from typing import Any

import numpy as np

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate.adapt import FROZEN, Rules, Trial, in_random_order, learn_from, show, work_on
from AdaptCore.evaluate.adapt_figures import measures, summarize_arm
from AdaptCore.evaluate.datasets import Item, Target
from AdaptCore.evaluate.latency import peak_megabytes
from AdaptCore.evaluate.users import next_click
from AdaptCore.models.base import AdaptableModel
from AdaptCore.predict.plane import PlaneSession

ROUNDS = 2
"""How often each target has its turn."""

ONE_TASK, OWN_TASKS = "one task", "a task each"

Block = list[tuple[str, Item]]
"""Images one after the other, each with the name of its target."""


def blocks(targets: Sequence[Target], images: int, seed: int) -> list[Block]:
    """A block of each target, and of each once more: A B C A B C; items in random order, repeated if there are few.

    Args:
        images: of all blocks together, at least one a block; what does not divide is left out.

    Raises:
        AdaptSegError: there are fewer images than blocks.
    """
    length = images // (ROUNDS * len(targets))
    if length < 1:
        raise AdaptSegError(f"Expected a sequence of at least {ROUNDS * len(targets)} images, got {images}.")
    endless = [(target.name, cycle(in_random_order(target.items, seed, target.name))) for target in targets]
    return [[(name, item) for item in islice(items, length)] for _ in range(ROUNDS) for name, items in endless]


def run_sequence(
    model: AdaptableModel,
    sequence: Sequence[Block],
    recipe: Recipe,
    rules: Rules,
    advanced: Callable[[], object] | None = None,
) -> dict[str, list[Trial]]:
    """Blocks of images frozen, all under one task, and under a task for each target."""
    trials: dict[str, list[Trial]] = {FROZEN: [], ONE_TASK: [], OWN_TASKS: []}
    with ExitStack() as stack:

        def new() -> Learner:
            return stack.enter_context(Learner(model, recipe, seed=rules.seed))

        one, own = new(), {name: new() for name in {name for block in sequence for name, _ in block}}
        for shown in show(model, [image for block in sequence for image in block], rules):
            learners = {FROZEN: None, ONE_TASK: one, OWN_TASKS: own[shown.target]}
            for arm, learner in learners.items():
                trials[arm].append(work_on(shown, model, learner, rules))
            if advanced is not None:
                advanced()
    return trials


def sequence_figures(sequence: Sequence[Block], trials: Mapping[str, Sequence[Trial]], rules: Rules) -> dict[str, Any]:
    """Mean clicks of each block.

    Returns:
        {"images": how many different ones, "blocks": [{"target", "n", "clicks": {arm: mean}}], "arms": {arm: figures}}.
    """
    length = len(sequence[0])
    clicks = {arm: np.reshape(measures(of, rules)["clicks"], (-1, length)).mean(axis=1) for arm, of in trials.items()}
    return {
        "images": len({(name, item.id) for block in sequence for name, item in block}),
        "blocks": [
            {"target": block[0][0], "n": length, "clicks": {arm: float(of[place]) for arm, of in clicks.items()}}
            for place, block in enumerate(sequence)
        ],
        "arms": {arm: summarize_arm(of, rules) for arm, of in trials.items()},
    }


def soak(
    model: AdaptableModel,
    targets: Sequence[Target],
    recipe: Recipe,
    images: int,
    rules: Rules,
    advanced: Callable[[], object] | None = None,
) -> dict[str, Any]:
    """Accept the wanted mask after one click on so many images under one task, again and again the same.

    Returns:
        {"images", "post_ms": median of each quarter, "post_cpu_ms": the same in processor time of all threads,
        "peak_mb": most memory of the process at the end of each}.
    """
    taken: list[float] = []
    busy: list[float] = []
    peaks: list[float] = []
    once = [
        (target.name, item) for target in targets for item in in_random_order(target.items, rules.seed, target.name)
    ]
    with Learner(model, recipe, seed=rules.seed) as learner:
        for shown in show(model, islice(cycle(once), images), rules):
            session = PlaneSession(
                learner.model, shown.image, embedding=shown.embedding, zoom=rules.zoom, spacing=shown.item.spacing()
            )
            click = next_click(shown.wanted, np.zeros_like(shown.wanted), np.random.default_rng(shown.place))
            if click is not None:
                session.click(click.x, click.y)
            started = time.process_time()
            taken.append(learn_from(learner, session.examples(shown.wanted))[0])
            busy.append(1000 * (time.process_time() - started))
            peaks.append(peak_megabytes())
            if advanced is not None:
                advanced()
    parts = np.array_split(np.arange(images), min(4, images))
    return {
        "images": images,
        "post_ms": [float(np.median(np.take(taken, part))) for part in parts],
        "post_cpu_ms": [float(np.median(np.take(busy, part))) for part in parts],
        "peak_mb": [peaks[part[-1]] for part in parts],
    }
