"""What a task file holds: how far the decoder moved from the frozen one, and the history; and how two are merged."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from AdaptCore.adapt.history import Event, Opener, Outcome
from AdaptCore.adapt.learner import Knowledge
from AdaptCore.adapt.lessons import Memory
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.errors import TaskError
from AdaptCore.facts import TASKS
from AdaptCore.json_text import parse
from AdaptCore.models.base import AdaptableModel
from AdaptCore.models.checkpoint import few
from AdaptCore.names import clean_name
from AdaptCore.printable import shortened
from AdaptCore.sealed import read_sealed, write_sealed

LEARNT, GOOD = "learnt.", "good."
STORED_TYPE = torch.float16
"""Deltas are small: after 24 lessons, the built-in model's logits with stored weights differ by less than 1e-4 from
those with the weights themselves, in a range of 21 (float32: 4e-6 for twice the bytes; bfloat16: 8e-4)."""

MOST_NAME_CHARACTERS = 32

Deltas = Mapping[str, Tensor]
"""Decoder parameters by name minus the frozen ones, float32 on the CPU; those that are equal are left out."""


@dataclass(frozen=True, eq=False)
class TaskRecord:
    """One task as it is stored.

    Attributes:
        name: what the user calls it.
        model: name of the model that learnt.
        digest: SHA256 of the frozen model's weights (hex).
        recipe: name of the latest recipe.
        history: outcome of every accepted image, in order.
        learnt: the task's decoder.
        good: the latest decoder whose arm was not behind.
        parent: revision that this one followed, empty for the first.
        revision: random name of this state.
    """

    name: str
    model: str
    digest: str
    recipe: str
    history: tuple[Outcome, ...]
    learnt: Deltas
    good: Deltas
    parent: str = ""
    revision: str = field(default_factory=lambda: uuid.uuid4().hex)

    @classmethod
    def of(cls, name: str, known: Knowledge, frozen: AdaptableModel, recipe: Recipe, parent: str = "") -> TaskRecord:
        """The record of what is known under a task name."""
        learnt, good = deltas(known.model, frozen), deltas(known.good, frozen)
        return cls(name, frozen.name, frozen.digest, recipe.name, known.history, learnt, good, parent)

    def knowledge(self, frozen: AdaptableModel, memory: Memory) -> Knowledge:
        """What is known, on top of the frozen model."""
        return Knowledge(moved(frozen, self.learnt), moved(frozen, self.good), memory, self.history)

    def check_model(self, frozen: AdaptableModel, path: Path) -> None:
        """Check that the record is of this model.

        Raises:
            TaskError: it is of another one.
        """
        if self.digest != frozen.digest:
            raise TaskError(
                f"{path}: Task {self.name!r} was learnt with model {self.model} (weights {self.digest[:12]}), not with "
                f"{frozen.name} ({frozen.digest[:12]}). Choose that model, or another task name: "
                "slices and objects have tasks of their own."
            )
        wanted = frozen.decoder_parameters()
        odd = [
            name
            for moved_weights in (self.learnt, self.good)
            for name, delta in moved_weights.items()
            if name not in wanted or wanted[name].shape != delta.shape or not delta.isfinite().all()
        ]
        if odd:
            raise TaskError(f"{path}: Expected finite weights of the decoder of {frozen.name}, got {few(odd)}.")


def read_task(path: Path) -> TaskRecord:
    """Read a task file.

    Raises:
        TaskError: see `read_sealed`, or what is in it is not a task.
    """
    tensors, facts = read_sealed(path, TASKS.kind)
    try:
        history = tuple(_outcome(*of_image) for of_image in parse(facts["history"]))
        return TaskRecord(
            name=clean_name(facts["name"], "task", TaskError),
            model=facts["model"],
            digest=facts["digest"],
            recipe=facts["recipe"],
            history=history,
            learnt=_beginning(tensors, LEARNT),
            good=_beginning(tensors, GOOD),
            parent=facts["parent"],
            revision=facts["revision"],
        )
    except (KeyError, TypeError, ValueError) as error:
        reason = shortened(str(error))
        raise TaskError(f"{path}: Expected the facts of a task, got others ({reason}).") from error


def write_task(path: Path, record: TaskRecord) -> None:
    """Write a task file whole or not at all; see `write_sealed`.

    Raises:
        OutputError: the system could not write.
    """
    tensors = {f"{LEARNT}{name}": delta.to(STORED_TYPE) for name, delta in record.learnt.items()}
    tensors |= {f"{GOOD}{name}": delta.to(STORED_TYPE) for name, delta in record.good.items()}
    history = [
        (one.clicks, one.frozen, one.adapted, one.event.value, one.opener, one.chance, one.alike, one.image)
        for one in record.history
    ]
    facts = {
        "name": record.name,
        "model": record.model,
        "digest": record.digest,
        "recipe": record.recipe,
        "history": json.dumps(history),
        "revision": record.revision,
        "parent": record.parent,
    }
    write_sealed(path, TASKS.kind, tensors, facts)


def merged(theirs: TaskRecord, ours: TaskRecord, base: TaskRecord) -> TaskRecord:
    """The state after theirs in which what we have changed since `base` has happened too (ours).

    What both have learnt adds up: theirs + (ours - base), for the weights as for the history.
    """
    return replace(
        ours,
        history=_merged_history(theirs.history, ours.history, base.history),
        learnt=_sum(theirs.learnt, _sum(ours.learnt, base.learnt, -1), 1),
        good=_sum(theirs.good, _sum(ours.good, base.good, -1), 1),
        parent=theirs.revision,
    )


def deltas(model: AdaptableModel, frozen: AdaptableModel) -> dict[str, Tensor]:
    """How far a model's decoder is from the frozen one."""
    if model is frozen:
        return {}
    base = frozen.decoder_parameters()
    differences = {name: weight.detach() - base[name].detach() for name, weight in model.decoder_parameters().items()}
    return {name: difference.float().cpu() for name, difference in differences.items() if difference.any()}


def moved(frozen: AdaptableModel, by: Deltas) -> AdaptableModel:
    """The frozen model with its decoder moved; the frozen model itself where there is nothing to move."""
    if not by:
        return frozen
    base = frozen.decoder_parameters()
    return frozen.with_decoder({name: base[name].detach() + delta.to(base[name].device) for name, delta in by.items()})


def _outcome(
    clicks: int,
    frozen: float,
    adapted: float,
    event: str,
    opener: str | None = None,
    chance: float = 1.0,
    alike: float = 1.0,
    image: str = "",
) -> Outcome:
    """One image of a stored history; tasks that were written before there was a trial end with the event.

    Raises:
        TypeError, ValueError: it cannot be one.
    """
    if clicks < 0 or not all(0 <= share <= 1 for share in (frozen, adapted, alike)) or not 0 < chance <= 1:
        raise ValueError(f"{clicks} clicks with IoUs of {frozen}, {adapted} and {alike} and a chance of {chance}")
    opened = None if opener is None else Opener(opener)
    numbers = float(frozen), float(adapted)
    return Outcome(int(clicks), *numbers, Event(event), opened, float(chance), float(alike), clean_image_name(image))


def clean_image_name(name: str) -> str:
    """The random name of an image as it is stored.

    Raises:
        ValueError: it is none.
    """
    if not isinstance(name, str) or len(name) > MOST_NAME_CHARACTERS or not (name == "" or name.isalnum()):
        raise ValueError(f"{name!r} as an image's random name")
    return name


def _merged_history(theirs: Sequence[Outcome], ours: Sequence[Outcome], base: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Theirs without what we have taken back since `base`, then what we have added."""
    kept = 0
    while kept < min(len(ours), len(base)) and ours[kept] == base[kept]:
        kept += 1
    history = list(reversed(theirs))
    for outcome in reversed(base[kept:]):
        if outcome in history:
            history.remove(outcome)
    return (*reversed(history), *ours[kept:])


def _sum(one: Deltas, other: Deltas, sign: int) -> dict[str, Tensor]:
    zero = torch.zeros(())
    return {name: one.get(name, zero) + sign * other.get(name, zero) for name in {**one, **other}}


def _beginning(tensors: Mapping[str, Tensor], start: str) -> dict[str, Tensor]:
    return {name.removeprefix(start): tensor.float() for name, tensor in tensors.items() if name.startswith(start)}
