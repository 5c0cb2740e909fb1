"""Tasks on disk: what was learnt under a name outlives the program, and two programs may learn the same task."""

from __future__ import annotations

import difflib
import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AdaptCore import names
from AdaptCore.adapt.history import Outcome
from AdaptCore.adapt.learner import Knowledge
from AdaptCore.adapt.lessons import Memory
from AdaptCore.adapt.recipe import DEFAULT, RECIPES, Recipe
from AdaptCore.adapt.replay_file import pack_memory, unit_of, unpack_memory
from AdaptCore.adapt.task_file import TaskRecord, merged, read_task, write_task
from AdaptCore.aside import kept_aside, set_aside, told
from AdaptCore.atomic import check_folder, prepare_folder
from AdaptCore.errors import OutputError, TaskError
from AdaptCore.facts import TASKS, Kind, read_facts
from AdaptCore.locks import locked
from AdaptCore.models.base import AdaptableModel
from AdaptCore.printable import shortened
from AdaptCore.sealed import read_sealed, write_sealed

REPLAY_END = ".replay.safetensors"
REPLAY_KIND = Kind("replay", TaskError, is_private=True)


@dataclass(frozen=True)
class TaskInfo:
    """What is told of a task without its model.

    Attributes:
        name: of the task; of the file where that cannot be read.
        path: of the file.
        size: its bytes.
        model: name of the model that learnt.
        digest: SHA256 of its frozen weights (hex).
        recipe: name of the latest recipe.
        history: outcome of every accepted image, in order.
        replay: file of the replay memory, if one is kept.
        problem: why the file cannot be used, empty where it can.
    """

    name: str
    path: Path
    size: int
    model: str = ""
    digest: str = ""
    recipe: str = ""
    history: tuple[Outcome, ...] = ()
    replay: Path | None = None
    problem: str = ""

    @property
    def accepted(self) -> int:
        """Number of accepted images."""
        return len(self.history)


@dataclass(frozen=True, eq=False)
class Task:
    """A task that is in use: what `TaskStore.save` compares with.

    Attributes:
        known: what was known when it was loaded or last saved by its user.
        revision: of the file that holds just that, empty if there was none; None if the file holds more, because
            another program has learnt the task too.
        problem: what of the stored files could not be used or written, for the user; empty where all could.
    """

    name: str
    frozen: AdaptableModel
    recipe: Recipe
    known: Knowledge
    revision: str | None = ""
    problem: str = ""

    def record(self, known: Knowledge) -> TaskRecord:
        """The record of what is known now, as the one after this task's."""
        return TaskRecord.of(self.name, known, self.frozen, self.recipe, self.revision or "")


class TaskStore:
    """The tasks in one folder, one file each; nothing is kept in memory.

    Args:
        folder: None for `tasks` in the user's folder; made when the first task is written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = TASKS.folder if folder is None else Path(folder)

    def tasks(self) -> tuple[TaskInfo, ...]:
        """All task files, sorted by name; one that cannot be used is among them with its problem."""
        paths = self.folder.glob(f"*{TASKS.end}") if self.folder.is_dir() else ()
        return tuple(sorted((self._listed(path) for path in paths), key=lambda info: (info.name.casefold(), info.name)))

    def names(self) -> tuple[str, ...]:
        """Names of the tasks that can be used."""
        return tuple(info.name for info in self.tasks() if not info.problem)

    def path(self, name: str) -> Path:
        """Where a task is or would be.

        Raises:
            TaskError: this cannot be a name.
        """
        return self.folder / TASKS.file_name(clean_name(name))

    def info(self, name: str) -> TaskInfo:
        """What is told of one task.

        Raises:
            TaskError: there is none of that name, or its file cannot be used.
        """
        return self._info(self._existing(name))

    def load(self, name: str, frozen: AdaptableModel, recipe: Recipe | None = None) -> Task:
        """A task with what was learnt; one that does not exist yet knows nothing.

        A replay memory that cannot be used is kept aside; the task's `problem` says so.

        Args:
            frozen: the model as it was trained.
            recipe: None for the one that the task was learnt with.

        Raises:
            TaskError: this cannot be a name, or the file is damaged, of another model or version; it stays as it is.
        """
        path = self.path(name)
        if not path.exists():
            recipe = recipe or DEFAULT
            return Task(clean_name(name), frozen, recipe, Knowledge.none(frozen, recipe))
        record = read_task(path)
        record.check_model(frozen, path)
        recipe = recipe or RECIPES.get(record.recipe, DEFAULT)
        memory, problem = self._memory(record.name, frozen, recipe)
        return Task(record.name, frozen, recipe, record.knowledge(frozen, memory), record.revision, problem)

    def prepare(self, name: str) -> None:
        """Check, before long work begins, that a task can be saved; makes the folder.

        Raises:
            TaskError: this cannot be a name.
            OutputError: the folder cannot be made or written.
        """
        prepare_folder(self.folder, (self.path(name).name, self.replay_path(name).name))

    def save(self, task: Task, known: Knowledge, *, keep_replay: bool = True) -> Task:
        """Store what is known now, together with what another program has stored since the task was loaded.

        A file in its place that cannot be used is kept aside, and where the replay memory, which is far larger, has no
        room, the task is stored without it: the `problem` of what is returned says so.

        Args:
            task: as it was loaded, or as the latest `save` gave it.
            known: what grew from `task.known`.
            keep_replay: store the replay memory too (see `kept`); else one stored earlier is removed.

        Returns:
            The task to give to the next `save`. Load it again to go on with what others have learnt.

        Raises:
            OutputError: the system could not write; nothing has changed.
        """
        self.prepare(task.name)
        path = self.path(task.name)
        with locked(path):
            theirs, problem = self._found(task)
            joins = theirs is not None and theirs.revision != task.revision
            record = task.record(known)
            if theirs is not None and joins:
                record = merged(theirs, record, task.record(task.known))
            write_task(path, record)
            problems = [problem, *self._save_memory(task, known, joins, keep_replay)]
        told = " ".join(filter(None, problems))
        return replace(task, known=known, revision=None if joins else record.revision, problem=told)

    def rename(self, old: str, new: str) -> None:
        """Give a task another name.

        Raises:
            TaskError: there is none of the old name, its file cannot be used, or the new name is taken.
            OutputError: the system could not write.
        """
        source, target = self._existing(old), self.path(new)
        with locked(source, target):
            record = read_task(source)
            self._check_free(new)
            write_task(target, replace(record, name=clean_name(new)))
            with told(source):
                if self.replay_path(old).exists():
                    self.replay_path(old).replace(self.replay_path(new))
                source.unlink()

    def reset(self, name: str) -> Path:
        """Begin a task anew: its file is kept aside and can be imported again, its replay memory is removed.

        Returns:
            Where the old file is.

        Raises:
            TaskError: there is none of that name.
            OutputError: the system could not write.
        """
        path = self._existing(name)
        with locked(path), told(path):
            self.replay_path(name).unlink(missing_ok=True)
            return set_aside(path)

    def export(self, name: str, path: Path) -> None:
        """Write a task, without its replay memory, to a file that another machine can import.

        Raises:
            TaskError: there is none of that name, or its file cannot be used.
            OutputError: a file is there already, or the system could not write.
        """
        record = read_task(self._existing(name))
        check_folder(path)
        if path.exists():
            raise OutputError(f"{path}: This file is there already. Choose another file name.")
        write_task(path, record)

    def import_(self, path: Path, name: str | None = None) -> TaskInfo:
        """Take over a task from a file.

        Args:
            name: None for the one in the file.

        Raises:
            TaskError: the file is damaged, of a newer version or no task, or a task of the name is there already.
            OutputError: the system could not write.
        """
        record = read_task(path)
        name = clean_name(record.name if name is None else name)
        target = self.path(name)
        self.prepare(name)
        with locked(target):
            self._check_free(name)
            write_task(target, replace(record, name=name))
        return self._info(target)

    def kept(self, name: str) -> str:
        """For the user: what of the images themselves is kept with a task, and where.

        Raises:
            TaskError: this cannot be a name, or the file of the replay memory cannot be used.
        """
        path = self.replay_path(name)
        if not path.exists():
            return "nothing of the images"
        facts = read_facts(path, REPLAY_KIND)
        count, unit = facts.get("count", "some"), unit_of(facts)
        accepted = f"{count} accepted {unit}" + ("" if count == "1" else "s")
        return f"derived image features of {accepted}, which may show anatomy, in {path} ({_size(path) / 1e6:.1f} MB)"

    def replay_path(self, name: str) -> Path:
        """Where a task's replay memory is or would be.

        Raises:
            TaskError: this cannot be a name.
        """
        return self.folder / f"{file_stem(name)}{REPLAY_END}"

    def _existing(self, name: str) -> Path:
        path = self.path(name)
        if path.exists():
            return path
        known = self.names()
        close = difflib.get_close_matches(name.casefold(), [one.casefold() for one in known], n=1)
        hint = next((f" (did you mean {one!r}?)" for one in known if [one.casefold()] == close), "")
        raise TaskError(f"There is no task {name!r}{hint}. Those in {self.folder}: {', '.join(known) or 'none'}.")

    def _check_free(self, name: str) -> None:
        if self.path(name).exists():
            raise TaskError(f"There is a task {name!r} already. Choose another name.")

    def _listed(self, path: Path) -> TaskInfo:
        try:
            return self._info(path)
        except TaskError as error:
            return TaskInfo(path.name, path, _size(path), problem=str(error))

    def _info(self, path: Path) -> TaskInfo:
        record = read_task(path)
        if path.name != self.path(record.name).name:
            raise TaskError(
                f"{path}: The file holds task {record.name!r} under the file name of another one. Import it instead."
            )
        replay = self.replay_path(record.name)
        return TaskInfo(
            record.name,
            path,
            _size(path),
            record.model,
            record.digest,
            record.recipe,
            record.history,
            replay if replay.exists() else None,
        )

    def _found(self, task: Task) -> tuple[TaskRecord | None, str]:
        """What is in the task's place, an empty record where nothing is; None and why, once it was moved away."""
        path = self.path(task.name)
        if not path.exists():
            return replace(task.record(Knowledge.none(task.frozen, task.recipe)), revision=""), ""
        try:
            record = read_task(path)
            record.check_model(task.frozen, path)
        except TaskError as error:
            return None, kept_aside(path, error)
        return record, ""

    def _memory(self, name: str, frozen: AdaptableModel, recipe: Recipe) -> tuple[Memory, str]:
        """The stored replay memory; empty if there is none or, with the reason, once it was moved away."""
        path, problem = self.replay_path(name), ""
        if path.exists():
            try:
                return _read_memory(path, frozen, recipe.memory_bytes), ""
            except TaskError as error:
                problem = kept_aside(path, error)
        return Memory(recipe.memory_bytes), problem

    def _save_memory(self, task: Task, known: Knowledge, joins: bool, keeps: bool) -> list[str]:
        """Store the replay memory beside a task, or remove it; what went wrong."""
        memory, problem = known.memory if keeps else Memory(0), ""
        if keeps and joins:
            memory, problem = self._joined_memory(task, known)
        try:
            _store_memory(self.replay_path(task.name), memory, task.frozen)
        except OutputError as error:
            return [problem, f"{error} The task itself is saved, but later adaptation steps cannot repeat it."]
        return [problem]

    def _joined_memory(self, task: Task, known: Knowledge) -> tuple[Memory, str]:
        """The stored replay memory with the images that we have added, and without those that we have taken back."""
        before, now, rng = task.known.memory, known.memory, np.random.default_rng(len(known.history))
        memory, problem = self._memory(task.name, task.frozen, task.recipe)
        memory = memory.without({*before.names} - {*now.names})
        for lessons, name in zip(now.images, now.names, strict=True):
            if name not in before.names:
                memory = memory.with_image(lessons, rng, name)
        return memory, problem


def clean_name(name: str) -> str:
    """A task name in Unicode's composed form, without space around it.

    Raises:
        TaskError: it is empty, too long, or has characters that cannot be shown on one line.
    """
    return names.clean_name(name, "task", TaskError)


def file_stem(name: str) -> str:
    """Beginning of a task's file names; see `AdaptCore.names.file_stem`.

    Raises:
        TaskError: this cannot be a name.
    """
    return names.file_stem(clean_name(name), otherwise="task")


def _read_memory(path: Path, frozen: AdaptableModel, max_bytes: int) -> Memory:
    tensors, facts = read_sealed(path, REPLAY_KIND)
    if facts.get("digest") != frozen.digest:
        raise TaskError(
            f"{path}: Expected features of {frozen.name} ({frozen.digest[:12]}), got those of another model."
        )
    try:
        memory = unpack_memory(tensors, facts, max_bytes, frozen.device)
        _check_fits(memory, frozen)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        reason = shortened(str(error).partition("\n")[0])
        raise TaskError(f"{path}: Expected the facts of a replay memory, got others ({reason}).") from error
    return memory


def _check_fits(memory: Memory, frozen: AdaptableModel) -> None:
    """Check that a model can learn from a memory that was read.

    Raises:
        LookupError, TypeError, ValueError, RuntimeError: it cannot.
    """
    lessons = [lesson for lessons in memory.images for lesson in lessons]
    maps = [(each.label.target, each.label.weight, each.around, *each.question.maps) for each in lessons]
    for lesson, of_one in zip(lessons, maps):
        shape = lesson.question.embedding.inside(frozen.mask_side).shape
        if any(tuple(each.shape) != shape for each in of_one if each is not None):
            raise ValueError(f"maps that are not {' x '.join(map(str, shape))}")
    features = [each.question.embedding.features for each in lessons]
    if not all(each.isfinite().all() for each in itertools.chain(*features, *maps) if each is not None):
        raise ValueError("numbers that are not finite")
    if len({tuple(each.shape for each in of_one) for of_one in features}) > 1:
        raise ValueError("embeddings of several shapes")
    for lesson in lessons[:1]:
        frozen.answer(lesson.question)


def _store_memory(path: Path, memory: Memory, frozen: AdaptableModel) -> None:
    """Write a replay memory; one without an image leaves no file.

    Raises:
        OutputError: the system could not write or remove the file.
    """
    if not memory.images:
        with told(path):
            path.unlink(missing_ok=True)
        return
    tensors, facts = pack_memory(memory)
    write_sealed(path, REPLAY_KIND, tensors, {**facts, "digest": frozen.digest})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
