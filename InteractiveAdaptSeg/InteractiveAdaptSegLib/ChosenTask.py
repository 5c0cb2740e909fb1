"""The task that answers and learns for all sessions; another one can be chosen while they are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, cast

from AdaptCore.errors import AdaptSegError, ModelError, OutputError, TaskError
from InteractiveAdaptSegLib.OpenTask import OpenTask

if TYPE_CHECKING:
    import torch

    from AdaptCore.adapt.history import Outcome
    from AdaptCore.models.base import Model, Question
    from AdaptCore.predict.learning import Example, Taught


SLICES, OBJECTS = " (slices)", " (objects)"
"""Ends of a task's name where another model than the one of its file learns under it, that of planes or of volumes."""


class ChosenTask:
    """What sessions take for their learner (`AdaptCore.predict.learning.Learning`).

    Without a task, the frozen model answers and nothing is learnt. Tasks stay in use after another one was chosen, so
    that undo can still take their lessons back, until `end`.

    Args:
        loadModel: gives the frozen model, called once, unless `useModel` gives one before.
        onMessage: called, by the thread that calls `update` or `end`, with what the user should know.
        requireIdle: raises an AdaptSegError while a task is asked.
        onChanged: called when another model answers than before, or another task learns.
        ofObjects: whether the model is that of volumes; under one name, both learn into files of their own.
    """

    def __init__(
        self,
        loadModel: Callable[[], Model],
        onMessage: Callable[[str], None],
        requireIdle: Callable[[], None] = lambda: None,
        onChanged: Callable[[], None] = lambda: None,
        ofObjects: bool = False,
    ) -> None:
        self._ofObjects = ofObjects
        self._loadModel = loadModel
        self._onMessage = onMessage
        self._requireIdle = requireIdle
        self._onChanged = onChanged
        self._frozen: Model | None = None
        self._name: str | None = None
        self._isOn = True
        self._isMeasured = True
        self._begun: dict[str, str | None] = {}
        self._storedHistory: tuple[Outcome, ...] = ()
        self._inUse: dict[tuple[str, Model], OpenTask] = {}
        self._lessons: dict[Taught, tuple[OpenTask, Taught]] = {}

    @property
    def name(self) -> str | None:
        return self._name

    @property
    def isLearning(self) -> bool:
        """Whether accepted masks teach the chosen task."""
        return self._isOn and self._name is not None

    @property
    def isOn(self) -> bool:
        """Whether a chosen task learns."""
        return self._isOn

    @property
    def isMeasured(self) -> bool:
        """Whether some objects are opened by the model that does not answer otherwise, so that the gain is measured."""
        return self._isMeasured

    def setMeasured(self, isMeasured: bool) -> None:
        """Let what tasks gain be measured by trial, or not; objects that are open keep the model that opened them."""
        self._isMeasured = isMeasured
        for task in list(self._inUse.values()):
            task.learner.trial = isMeasured
        self._onChanged()

    @property
    def isBusy(self) -> bool:
        """Whether something is learnt or saved whose end `update` has not told yet."""
        return any(task.isBusy for task in list(self._inUse.values()))

    @property
    def history(self) -> tuple[Outcome, ...]:
        """Outcome of every image that the chosen task was taught, in order."""
        task = self._current
        return task.learner.knowledge.history if task else self._storedHistory

    def names(self) -> tuple[str, ...]:
        """The user's tasks, with those that have nothing to save yet."""
        from AdaptCore.facts import TASKS

        chosen = () if self._name is None else (self._name,)
        inUse = (name for name, _ in self._inUse)
        stored = (name.removesuffix(SLICES).removesuffix(OBJECTS) for name in TASKS.names("name"))
        return tuple(sorted({*stored, *inUse, *chosen}, key=str.casefold))

    def choose(self, name: str | None) -> None:
        """Let a task answer and learn, a new one if there is none of the name; None for the frozen model.

        Raises:
            AdaptSegError: the task cannot be used or, if it is to learn, not be saved; the choice stays as it was.
        """
        self._requireIdle()
        history: tuple[Outcome, ...] = ()
        if name is not None:
            name, history = self._checked(name)
            if self._frozen is not None:
                self._use(name, self._frozen)
        self._name, self._storedHistory = name, history
        self._onChanged()

    def setOn(self, isOn: bool) -> None:
        """Let chosen tasks learn, or only answer.

        Raises:
            OutputError: the chosen task cannot be saved.
        """
        self._requireIdle()
        if isOn and self._name is not None:
            self._prepare(self._name)
        self._isOn = isOn
        self._onChanged()

    def open(self) -> Model:
        """The frozen model, once the chosen task is in use.

        Raises:
            AdaptSegError: the model cannot be loaded, it cannot learn, or the task cannot be used with it.
        """
        if self._frozen is None:
            self._frozen = self._loadModel()
        if self._name is not None:
            self._use(self._name, self._frozen)
        return self._frozen

    def useModel(self, frozen: Model) -> str:
        """Let another frozen model answer; what the user should know, empty if nothing.

        A task that it cannot go on with is no longer chosen. All tasks are saved and closed first, so that undo cannot
        take back any more what they have learnt until now.
        """
        self.end()
        self._frozen = frozen
        if self._name is not None:
            try:
                self._use(self._name, frozen)
            except AdaptSegError as error:
                name, self._name, self._storedHistory = self._name, None, ()
                return f"Task '{name}' cannot go on, so that nothing is learnt now: {str(error).rstrip('.')}."
        return ""

    def forgetModel(self) -> None:
        """Save and close all tasks, and load the frozen model anew where it is needed next."""
        self.end()
        self._frozen = None

    @property
    def canReset(self) -> bool:
        """Whether the chosen task has learnt something to begin anew from."""
        return bool(self.history)

    def reset(self) -> None:
        """Begin the chosen task anew, from the original model; its file is kept beside its place.

        Raises:
            TaskError: no task is chosen, or it has learnt nothing.
            OutputError: what it has learnt cannot be saved, or the system could not move the file.
        """
        from AdaptCore.adapt.tasks import TaskStore

        self._requireIdle()
        if self._name is None:
            raise TaskError("no task is chosen: choose one first")
        task = self._current
        if task is not None:
            texts = task.finish()
            if not task.isSaved:
                raise OutputError(f"Task '{self._name}' stays as it is: {' '.join(texts)}")
        kept = TaskStore().reset(self._stored(self._name))
        self._storedHistory = ()
        if task is not None:
            self._lessons = {taught: lesson for taught, lesson in self._lessons.items() if lesson[0] is not task}
            del self._inUse[self._name, task.learner.frozen]
            task.close()
            self.open()
        self._onMessage(f"Task '{self._name}' begins anew; its old file is {kept}")
        self._onChanged()

    @property
    def latestLesson(self) -> Taught | None:
        """The image that the chosen task has learnt last, as long as it can be taken back."""
        task = self._current
        if task is None or task.isBusy or task.learner.latest is None:
            return None
        latest = (task, task.learner.latest)
        return next((taught for taught, lesson in self._lessons.items() if lesson == latest), None)

    @property
    def model(self) -> Model:
        """What answers at this moment."""
        task = self._current
        return task.learner.model if task else self.open()

    def opening(self, image: str) -> Model:
        """The model that answers an object of an image; see `AdaptCore.adapt.learner.Learner.opening`.

        An image that was begun under another task tells nothing of this one.
        """
        task = self._current
        isOthers = self._begun.setdefault(image, self._name) != self._name
        if task is None or not self._isOn or isOthers:
            return self.model
        return task.learner.opening(image)

    def adapt(self, model: Model, question: Question, added: int, logits: torch.Tensor) -> Model:
        task = self._current
        return task.learner.adapt(model, question, added, logits) if task and self._isOn else model

    def learn(self, examples: Sequence[Example], image: str = "") -> Taught | None:
        """Teach the chosen task in the background, and save it then.

        The lesson can be taken back also when another task is chosen.
        """
        from AdaptCore.predict.learning import Taught

        task = self._current
        if task is None or not self._isOn:
            return None
        lesson = task.learner.learn(examples, image)
        taught = Taught(lambda: self._step(taught, lesson.undo), lambda: self._step(taught, lesson.redo))
        self._lessons[taught] = task, lesson
        task.saveSoon()
        return taught

    def _step(self, taught: Taught, step: Callable[[], bool]) -> bool:
        """Take a lesson back, or learn it again; False once its task was closed."""
        if taught not in self._lessons or not step():
            return False
        self._lessons[taught][0].saveSoon()
        return True

    def wait(self, timeout: float | None = None) -> bool:
        task = self._current
        return task is None or task.learner.wait(timeout)

    def update(self) -> bool:
        """Take the news of the background; whether there are some."""
        # A list: objects take their task into use on the thread that asks.
        news = [task.news() for task in list(self._inUse.values())]
        for text in (text for texts in news for text in texts or ()):
            self._onMessage(text)
        self.tellOfProblems()
        return any(texts is not None for texts in news)

    def tellOfProblems(self) -> None:
        """Tell once of clicks that taught nothing, and of stored files that cannot be used or written."""
        for text in [text for task in list(self._inUse.values()) for text in task.problems()]:
            self._onMessage(text)

    def end(self) -> None:
        """Save and close all tasks; one that cannot be saved stays in use, so that nothing is lost."""
        self._lessons.clear()
        with ExitStack() as ending:
            for key in self._inUse:
                ending.callback(self._end, *key)

    def close(self) -> None:
        """Save and close all tasks, for the last time."""
        with ExitStack() as closing:
            for task in self._inUse.values():
                closing.callback(task.close)
            self.end()
        self._inUse.clear()

    @property
    def _current(self) -> OpenTask | None:
        return None if self._name is None or self._frozen is None else self._inUse.get((self._name, self._frozen))

    def _end(self, name: str, frozen: Model) -> None:
        task = self._inUse[name, frozen]
        for text in (*task.finish(), *task.problems()):
            self._onMessage(text)
        if task is self._current:
            self._storedHistory = self.history
        if task.isSaved:
            del self._inUse[name, frozen]
            task.close()

    def _checked(self, name: str) -> tuple[str, tuple[Outcome, ...]]:
        """A task's clean name and its history; it can be read and, if it is to learn, written."""
        from AdaptCore.adapt.tasks import TaskStore, clean_name

        name = clean_name(name)
        if self._isOn:
            self._prepare(name)
        store, stored = TaskStore(), self._stored(name)
        return name, store.info(stored).history if store.path(stored).exists() else ()

    def _prepare(self, name: str) -> None:
        from AdaptCore.adapt.tasks import TaskStore

        TaskStore().prepare(self._stored(name))

    def _stored(self, name: str) -> str:
        """The name of the file of a task: its own, unless that is for the other kind of model."""
        from AdaptCore.adapt.recipe import VOLUMES
        from AdaptCore.adapt.tasks import TaskStore
        from AdaptCore.names import MOST_NAME_LENGTH

        store, isOfObjects = TaskStore(), name.endswith(OBJECTS)
        if store.path(name).exists():
            with suppress(TaskError):  # it is told where the task is taken into use
                isOfObjects = store.info(name).recipe == VOLUMES.name
        if isOfObjects == self._ofObjects:
            return name
        end = OBJECTS if self._ofObjects else SLICES
        return name[: MOST_NAME_LENGTH - len(end)] + end

    def _use(self, name: str, frozen: Model) -> None:
        if (name, frozen) in self._inUse:
            return
        from AdaptCore.models.base import AdaptableModel

        # The model of volumes learns too, though it is no model of planes as the protocol has it.
        if not self._ofObjects and not isinstance(frozen, AdaptableModel):
            raise ModelError(f"model {frozen.name} cannot learn: choose no task, or the built-in model or SAM")
        from AdaptCore.adapt.recipe import VOLUMES

        recipe = VOLUMES if self._ofObjects else None
        stored, model = self._stored(name), cast(AdaptableModel, frozen)
        self._inUse[name, frozen] = OpenTask(stored, model, recipe, self._isMeasured)
