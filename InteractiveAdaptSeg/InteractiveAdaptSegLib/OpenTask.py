"""A task in use: its learner, and its file, which follows the learner in the background."""

from __future__ import annotations

import itertools
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from AdaptCore.errors import AdaptSegError

if TYPE_CHECKING:
    from AdaptCore.adapt.learner import Learner
    from AdaptCore.adapt.recipe import Recipe
    from AdaptCore.models.base import AdaptableModel


class OpenTask:
    """What was learnt under a name, and what is being learnt; of the images, features are stored with it.

    Args:
        name: a task of the user's; one that there is not yet knows nothing.
        frozen: the model as it was trained.
        recipe: how a new task learns; None for the usual one.
        trial: whether some objects are opened by the model that does not answer otherwise.

    Raises:
        TaskError: this cannot be a name, or the task's file cannot be used with this model; it stays as it is.
    """

    def __init__(self, name: str, frozen: AdaptableModel, recipe: Recipe | None = None, trial: bool = True) -> None:
        from AdaptCore.adapt.learner import Learner
        from AdaptCore.adapt.tasks import TaskStore

        self._store = TaskStore()
        self._task = self._store.load(name, frozen, None if self._store.path(name).exists() else recipe)
        self._learner = Learner(frozen, self._task.recipe, known=self._task.known, trial=trial)
        self._saver = ThreadPoolExecutor(1, "InteractiveAdaptSeg-task")
        self._saving: list[Future[str]] = []
        self._told: dict[str, str] = {}
        self._isKeptTold = self._store.replay_path(self._task.name).exists()

    @property
    def learner(self) -> Learner:
        return self._learner

    @property
    def isSaved(self) -> bool:
        """Whether the file holds all that is known."""
        return self._learner.knowledge is self._task.known

    @property
    def isBusy(self) -> bool:
        """Whether something is learnt or saved whose end `news` has not told yet."""
        return bool(self._saving)

    def saveSoon(self) -> None:
        """Save in the background, as soon as all lessons are learnt."""
        self._saving.append(self._saver.submit(self._save))

    def news(self) -> list[str] | None:
        """What the user should know of what has ended since the last call; None if nothing has.

        Raises:
            BaseException: what broke the saving and is no matter of the user's.
        """
        ended = [job for job in self._saving if job.done()]
        self._saving = [job for job in self._saving if job not in ended]
        return [text for text in (job.result() for job in ended) if text] if ended else None

    def problems(self) -> list[str]:
        """What went wrong with clicks and stored files that the user was not told yet."""
        about = {"click": self._learner.click_problem, "stored": self._task.problem}
        return [text for text in itertools.starmap(self._once, about.items()) if text]

    def finish(self) -> list[str]:
        """Wait until all is learnt and saved; what the user should know."""
        self.saveSoon()
        self._saving[-1].exception()
        return self.news() or []

    def close(self) -> None:
        """End the threads; what is not saved is lost."""
        self._saver.shutdown()
        self._learner.close()

    def _save(self) -> str:
        """Save what is known after the lessons; what the user should know, each problem once."""
        self._learner.wait()
        problem = self._learner.problem
        lesson = self._once("lesson", problem and f"Nothing was learnt from the last accepted mask: {problem}")
        return " ".join(text for text in (lesson, self._write()) if text)

    def _write(self) -> str:
        known = self._learner.knowledge
        if known is self._task.known:
            return ""
        try:
            self._task = self._store.save(self._task, known)
        except AdaptSegError as error:
            return self._once("file", f"What task '{self._task.name}' has learnt is not saved yet: {error}")
        self._once("file", "")
        return self._keptOnce()

    def _keptOnce(self) -> str:
        """What is kept of the images, the first time that there is something."""
        if self._isKeptTold or not self._store.replay_path(self._task.name).exists():
            return ""
        self._isKeptTold = True
        kept = self._store.kept(self._task.name)
        return f"Kept with task '{self._task.name}' from now on, so that later adaptation steps repeat them: {kept}."

    def _once(self, about: str, problem: str) -> str:
        """The problem, unless it was the last one told about this; "" means that there is none any more."""
        told, self._told[about] = self._told.get(about, ""), problem
        return problem if problem != told else ""
