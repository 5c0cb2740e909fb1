"""Options of `adaptseg segment` that let a task answer and learn."""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from AdaptCore.adapt.recipe import RECIPES, recipe_named
from AdaptCore.commands.console import counted
from AdaptCore.errors import FullDiskError, OutputError, TaskError

if TYPE_CHECKING:
    from AdaptCore.adapt.learner import Learner
    from AdaptCore.adapt.recipe import Recipe
    from AdaptCore.adapt.tasks import Task
    from AdaptCore.models.base import AdaptableModel
    from AdaptCore.preference.samplers import AnyModel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("learning")
    group.add_argument("--task", metavar="NAME", help="answer with what was learnt under this name")
    group.add_argument("--learn", action="store_true", help="learn from what is accepted; begins a new task if needed")
    group.add_argument(
        "--keep-replay",
        action=argparse.BooleanOptionalAction,
        help="keep features of what is accepted, which may show anatomy, but no image, so that later adaptation steps "
        "repeat them and one that spoils what was learnt is noticed (default: yes)",
    )
    group.add_argument(
        "--trial",
        action=argparse.BooleanOptionalAction,
        help="let the model that does not answer otherwise open some objects, one in four at first one in two, so that "
        "what learning brings is measured; without it no gain is claimed (default: yes)",
    )
    group.add_argument("--recipe", choices=RECIPES, help="how to learn (default: as before; a new task: default)")


def check_arguments(arguments: argparse.Namespace) -> None:
    """Check the options and the task before the image is read; with a user, the task may be one of a profile alone.

    A full disk costs what is learnt, but no mask.

    Raises:
        AdaptSegError: an option without the one it needs, a task that does not exist or whose file cannot be used, or
            a folder that cannot be written.
    """
    from AdaptCore.adapt.tasks import TaskStore

    if arguments.learn and arguments.task is None and arguments.user is None:
        raise TaskError("--learn needs --task NAME, the name to learn under, or --user NAME for a preference.")
    replay = "--no-keep-replay" if arguments.keep_replay is False else "--keep-replay"
    trial = "--no-trial" if arguments.trial is False else "--trial"
    options = (
        (replay, arguments.keep_replay is not None),
        (trial, arguments.trial is not None),
        ("--recipe", arguments.recipe),
    )
    for option, given in options:
        if given and not (arguments.learn and arguments.task is not None):
            raise TaskError(f"{option} needs --task NAME --learn.")
    if arguments.task is None:
        return
    store = TaskStore()
    if arguments.learn:
        with suppress(FullDiskError):
            store.prepare(arguments.task)
    may_be_new = arguments.learn or arguments.user is not None
    if not may_be_new or store.path(arguments.task).exists():
        store.info(arguments.task)


def begin(arguments: argparse.Namespace, model: AnyModel, recipe: Recipe | None = None, unit: str = "slice") -> TaskUse:
    """What answers the prompts and, with --learn, learns from them.

    Args:
        recipe: of a new task where none is typed; None for the default.
        unit: what is accepted, for people.

    Raises:
        TaskError: the task is of another model, or its file cannot be used.
    """
    if arguments.task is None:
        return TaskUse(model, model.name, unit=unit)
    from AdaptCore.adapt.learner import Learner
    from AdaptCore.adapt.tasks import TaskStore
    from AdaptCore.predict.volume import new_image_name

    frozen, store = cast("AdaptableModel", model), TaskStore()
    if arguments.recipe:
        recipe = recipe_named(arguments.recipe)
    elif store.path(arguments.task).exists():
        recipe = None
    task = store.load(arguments.task, frozen, recipe)
    _warn(task.problem)
    trial = arguments.trial is not False
    learner = Learner(frozen, task.recipe, known=task.known, trial=trial) if arguments.learn else None
    image_name = new_image_name()
    answering = learner.opening(image_name) if learner else task.known.answering(frozen)
    label = f"{model.name}, task {task.name}"
    if answering is frozen and not learner:
        label = f"{label} (which leaves the answers to the frozen model)"
    return TaskUse(answering, label, task, learner, arguments.keep_replay is not False, unit, image_name)


@dataclass(frozen=True, eq=False)
class TaskUse:
    """A task in use by one command; the learner's thread ends with the `with` block.

    Attributes:
        model: answers before anything is learnt; of planes or of volumes.
        model_label: its name for people.
        task: None without --task.
        learner: None without --learn.
        unit: what is accepted, for people.
        image_name: random name of the image in the trial.
    """

    model: Any
    model_label: str
    task: Task | None = None
    learner: Learner | None = None
    keep_replay: bool = True
    unit: str = "slice"
    image_name: str = ""

    def __enter__(self) -> TaskUse:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.learner:
            self.learner.close()

    def saved(self) -> list[str]:
        """Save what was learnt; lines that tell what, where, and what of the images is kept. None without --learn.

        Raises:
            OutputError: the system could not write.
        """
        if self.task is None or self.learner is None:
            return []
        from AdaptCore.adapt.tasks import TaskStore

        store, task = TaskStore(), self.task
        had_replay = store.replay_path(task.name).exists()
        known = self.learner.knowledge
        _warn(self.learner.click_problem)
        try:
            _warn(store.save(task, known, keep_replay=self.keep_replay).problem)
        except OutputError as error:
            raise type(error)(f"Task {task.name!r}: What it has learnt is not saved. {error}") from error
        info = store.info(task.name)
        counts = Counter(outcome.event.value for outcome in known.history[len(task.known.history) :])
        learnt = ", ".join(f"{count} {event}" for event, count in counts.items()) or "none could be learnt"
        accepted = f"accepted {self.unit}s: {learnt}; it knows {counted(info.accepted, f'accepted {self.unit}')}"
        lines = [f"Task {task.name!r}: {accepted}; {info.path}"]
        opened = [outcome.opener for outcome in known.history[len(task.known.history) :] if outcome.opener]
        if opened:
            lines.append(f"The {opened[0].value} model opened this {self.unit}, as the trial had drawn (--no-trial).")
        if info.replay:
            lines.append(f"Kept with the task: {store.kept(task.name)}")
        elif had_replay:
            lines.append("The features of images that were kept with the task have been removed (--no-keep-replay).")
        return lines


def _warn(problem: str) -> None:
    if problem:
        warnings.warn(problem, stacklevel=3)
