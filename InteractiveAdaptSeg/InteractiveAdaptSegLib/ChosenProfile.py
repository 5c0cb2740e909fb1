"""The user whose preference answers and learns for all sessions; another one can be chosen while they are open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from AdaptCore.errors import AdaptSegError, ProfileError

if TYPE_CHECKING:
    import numpy as np
    import torch

    from AdaptCore.models.base import Model, Question
    from AdaptCore.predict.learning import Example, Taught
    from AdaptCore.preference.adviser import Adviser
    from AdaptCore.preference.latent import Latent
    from AdaptCore.preference.mixture import Mixture
    from AdaptCore.preference.profiles import ProfileStore

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Choice:
    """A user and a task whose profile can be used.

    Attributes:
        user: None for nobody: candidates are those of a fresh user, and nothing is learnt.
        task: of the profile.
        adviser: None until there is a model.
        stored: picks that the profile's file holds.
    """

    user: str | None
    task: str
    adviser: Adviser | None = None
    stored: int = 0


@dataclass(eq=False)
class Lesson:
    """What the profile of a user and task has learnt from a pick or an accepted mask.

    Attributes:
        names: of the picks that it counts for; none before it is learnt and after it is forgotten.
        forgotten: of those that were taken back and can be learnt again.
    """

    user: str
    task: str
    names: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()


@dataclass(eq=False)
class PickLesson(Lesson):
    """What a pick teaches; it can be learnt again after it was forgotten.

    Attributes:
        z: (n, D) of the picked candidate's members.
        prior: of the question that they answer.
    """

    z: np.ndarray = field(kw_only=True)
    prior: Mixture = field(kw_only=True)


class ChosenProfile:
    """What sessions take for their preference (`AdaptCore.predict.learning.Preference`).

    Asking for candidates, learning and forgetting run one after the other on a thread of their own. A profile stays
    in use after another one was chosen, so that undo can still take back what it has learnt.

    Args:
        onMessage: called, by the thread that calls, with what the user should know.
        onChanged: called when another profile was chosen, or the chosen one begins anew.
        requireIdle: raises an AdaptSegError while a profile is asked.
    """

    def __init__(
        self,
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
        requireIdle: Callable[[], None] = lambda: None,
    ) -> None:
        self._onMessage = onMessage
        self._requireIdle = requireIdle
        self._onChanged = onChanged
        self._worker = ThreadPoolExecutor(1, "InteractiveAdaptSeg-profile")
        self._learning: list[Future[str]] = []
        self._lessons: set[Lesson] = set()
        self._forgotten: set[Lesson] = set()
        self._frozen: Model | None = None
        self._latent: Latent | None = None
        self._advisers: dict[tuple[str, str], Adviser] = {}
        self._choice = self.prepared(None, None)

    @property
    def user(self) -> str | None:
        return self._choice.user

    @property
    def task(self) -> str:
        return self._choice.task

    @property
    def picks(self) -> int:
        """What the chosen profile has learnt, in picks."""
        adviser = self._choice.adviser
        return self._choice.stored if adviser is None else adviser.profile.picks

    @property
    def isBusy(self) -> bool:
        """Whether something is learnt or forgotten whose end `update` has not told yet."""
        return bool(self._learning)

    def users(self) -> tuple[str, ...]:
        """Names of the users whose profiles are on this computer, and of the chosen one."""
        from AdaptCore.facts import PROFILES

        chosen = () if self.user is None else (self.user,)
        return tuple(sorted({*PROFILES.names("user"), *chosen}, key=str.casefold))

    def prepared(self, user: str | None, task: str | None) -> Choice:
        """A choice that `use` can make.

        Args:
            task: None for the profile of masks that belong to no task.

        Raises:
            ProfileError: this cannot be a name, or the profile's file cannot be used; it stays as it is.
            OutputError: the profile cannot be written.
        """
        from AdaptCore.facts import OTHERWISE

        task = OTHERWISE if task is None else task
        if user is None:
            return Choice(None, task, self._nobody(task) if self._frozen is not None else None)
        from AdaptCore.atomic import prepare_folder
        from AdaptCore.facts import PROFILES
        from AdaptCore.names import clean_name

        user, task = clean_name(user, "user", ProfileError), clean_name(task, "task", ProfileError)
        path = PROFILES.folder / PROFILES.file_name(user, task)
        prepare_folder(path.parent, (path.name,))
        if self._frozen is not None:
            return Choice(user, task, self._adviserOf(user, task))
        return Choice(user, task, stored=_storedPicks(path) if path.exists() else 0)

    def use(self, choice: Choice) -> None:
        """Let a user's preference answer and learn from now on; what was answered stays as it is."""
        self._choice = choice
        self._onChanged()

    def choose(self, user: str | None) -> None:
        """Let another user's preference for the same task answer and learn; None for nobody's.

        Raises:
            AdaptSegError: as `prepared`; the choice stays as it was.
        """
        self._requireIdle()
        self.use(self.prepared(user, self.task))

    def open(self, frozen: Model) -> None:
        """Bring the chosen profile into use, with the model as it was trained.

        Raises:
            AdaptSegError: the profile is of another model, or a file cannot be used.
        """
        if self._frozen is None:
            from AdaptCore.preference.latent import latent_of

            self._latent = latent_of(frozen.digest)
            self._frozen = frozen
        if self._choice.adviser is None:
            self._choice = self.prepared(self.user, self.task)

    def useModel(self, frozen: Model, task: str | None) -> str:
        """Let another model be asked; what the user should know, empty if nothing.

        A user whose profile it cannot use is no longer chosen. What was learnt until now can no longer be taken back.

        Args:
            task: as in `prepared`.
        """
        from AdaptCore.preference.latent import latent_of

        self.wait()
        self._frozen, self._latent = frozen, latent_of(frozen.digest)
        for known in (self._advisers, self._lessons, self._forgotten):
            known.clear()
        text = ""
        try:
            choice = self.prepared(self.user, task)
        except AdaptSegError as error:
            text = (
                f"The profile of {self.user} cannot go on, so that picks are not learnt now: {str(error).rstrip('.')}."
            )
            choice = self.prepared(None, task)
        self.use(choice)
        return text

    def ask(self, seed: int, question: Callable[[Adviser], Answer]) -> Future[Answer]:
        """Ask what the user may want, in the background, with all that was learnt before.

        Args:
            question: asks the adviser that it is given; it runs on another thread.
        """
        from AdaptCore.preference.adviser import Adviser

        adviser, latent = self._choice.adviser, self._latent
        assert adviser is not None
        return self._worker.submit(lambda: question(Adviser(adviser.profile, latent, seed=seed)))

    def lesson(self, z: np.ndarray, prior: Mixture) -> PickLesson | None:
        """What the pick of a candidate teaches; None where nobody is chosen. See `Adviser.observe`."""
        return None if self.user is None else PickLesson(self.user, self.task, z=z, prior=prior)

    def learnPick(self, lesson: PickLesson) -> None:
        """Learn a pick in the background, for the first time or again."""

        def teach(adviser: Adviser) -> tuple[str, ...]:
            adviser.observe(lesson.z, lesson.prior)
            return (adviser.profile.last_pick(),)

        self._learnSoon(lesson, teach)

    def forgetSoon(self, lesson: Lesson) -> None:
        """Take back in the background what was learnt; what can no longer be taken back is told."""
        self._learning.append(self._worker.submit(self._forget, lesson))

    def preferred(self, model: Model, question: Question) -> torch.Tensor | None:
        """See `Adviser.preferred`."""
        adviser = self._choice.adviser
        return None if adviser is None else adviser.preferred(model, question)

    def learn(self, model: Model, examples: Sequence[Example]) -> Taught | None:
        """Learn from an accepted mask in the background, where a user is chosen.

        It can be taken back also when another user is chosen.
        """
        from AdaptCore.predict.learning import Taught

        if self.user is None:
            return None
        lesson = Lesson(self.user, self.task)
        self._lessons.add(lesson)
        self._learnSoon(lesson, lambda adviser: adviser.learn_picks(model, examples))
        return Taught(lambda: self._takeBack(lesson), lambda: self._bringBack(lesson))

    def _takeBack(self, lesson: Lesson) -> bool:
        if lesson not in self._lessons:
            return False
        self._lessons.remove(lesson)
        self._forgotten.add(lesson)
        self.forgetSoon(lesson)
        return True

    def _bringBack(self, lesson: Lesson) -> bool:
        if lesson not in self._forgotten:
            return False
        self._forgotten.remove(lesson)
        self._lessons.add(lesson)
        self._learning.append(self._worker.submit(self._recall, lesson))
        return True

    def update(self) -> bool:
        """Take the news of what is learnt; whether there are some.

        Raises:
            BaseException: what broke the learning and is no matter of the user's.
        """
        ended = [job for job in self._learning if job.done()]
        self._learning = [job for job in self._learning if job not in ended]
        for text in [text for text in (job.result() for job in ended) if text]:
            self._onMessage(text)
        return bool(ended)

    def reset(self) -> None:
        """Begin the chosen profile anew; its file is kept beside its place.

        Raises:
            ProfileError: nobody is chosen, or there is nothing to reset.
            OutputError: the system could not write.
        """
        self._requireIdle()
        kept = _store().reset(self._requireUser(), self.task)
        self._takeUpAnew(self.user)
        self._onMessage(f"The profile begins anew; its old file is {kept}")

    def export(self, path: Path) -> None:
        """Write the chosen profile to a file that another computer can import.

        Raises:
            ProfileError: nobody is chosen, or there is nothing to export.
            OutputError: the system could not write.
        """
        _store().export(self._requireUser(), self.task, path)

    def importFrom(self, path: Path) -> None:
        """Take over a file as the profile of the chosen user and task.

        Where nobody is chosen, it is taken over under the names that it holds, and its user is chosen.

        Raises:
            ProfileError: the file cannot be used, or there is a profile of these names.
            OutputError: the system could not write.
        """
        from AdaptCore.preference.profile import counted_picks

        self._requireIdle()
        self.wait()
        info = _store().import_(path, self.user, None if self.user is None else self.task)
        self._takeUpAnew(info.user)
        self._onMessage(f"Imported the profile of {info.user} for {info.task}, with {counted_picks(info.picks)}.")

    def wait(self) -> None:
        """Sleep until all that was asked for before is done."""
        self._worker.submit(lambda: None).result()

    def close(self) -> None:
        """Learn what there is to learn, and end the thread."""
        self._worker.shutdown()
        self.update()

    def _requireUser(self) -> str:
        """The chosen user, when all that was to be learnt is in the file."""
        if self.user is None:
            raise ProfileError("no user is chosen: choose one first")
        self.wait()
        return self.user

    def _takeUpAnew(self, user: str | None) -> None:
        """Use a profile as its file is now."""
        self._advisers.pop((user or "", self.task), None)
        self.choose(user)

    def _adviserOf(self, user: str, task: str) -> Adviser:
        if (user, task) not in self._advisers:
            from AdaptCore.preference.adviser import Adviser, space_of

            assert self._frozen is not None
            store = _store()
            profile = store.load(user, task, space_of(self._frozen, self._latent))
            self._advisers[user, task] = Adviser(profile, self._latent, store)
        return self._advisers[user, task]

    def _nobody(self, task: str) -> Adviser:
        from AdaptCore.preference.adviser import Adviser, space_of
        from AdaptCore.preference.profile import Profile

        assert self._frozen is not None
        return Adviser(Profile.fresh("", task, space_of(self._frozen, self._latent)), self._latent)

    def _learnSoon(self, lesson: Lesson, teach: Callable[[Adviser], tuple[str, ...]]) -> None:
        self._learning.append(self._worker.submit(self._learn, lesson, teach))

    def _learn(self, lesson: Lesson, teach: Callable[[Adviser], tuple[str, ...]]) -> str:
        """Learn; what the user should know, empty if nothing."""
        try:
            adviser = self._adviserOf(lesson.user, lesson.task)
            problem = _problem(adviser)
            lesson.names = teach(adviser)
        except AdaptSegError as error:
            return f"Nothing was learnt for {lesson.user}: {error}"
        return problem and f"{problem} It is kept beside its place, and what is known here of {lesson.user} goes on."

    def _forget(self, lesson: Lesson) -> str:
        """Forget; what the user should know, empty if nothing."""
        names, lesson.names = lesson.names, ()
        try:
            if not names or self._adviserOf(lesson.user, lesson.task).forget(names):
                lesson.forgotten = names
                return ""
        except AdaptSegError as error:
            return str(error)
        return (
            f"What {lesson.user}'s profile had learnt from it could not be taken back: "
            "it is too long ago, or the profile has begun anew since."
        )

    def _recall(self, lesson: Lesson) -> str:
        """Learn again what was forgotten; what the user should know, empty if nothing."""
        names, lesson.forgotten = lesson.forgotten, ()
        try:
            if not names or self._adviserOf(lesson.user, lesson.task).recall(names):
                lesson.names = names
                return ""
        except AdaptSegError as error:
            return str(error)
        return f"What {lesson.user}'s profile had learnt from it is gone: the profile has begun anew since."


def _problem(adviser: Adviser) -> str:
    """Why a profile's file cannot be used, empty where it can or where there is none."""
    profile = adviser.profile
    try:
        _store().load(profile.user, profile.task, profile.space)
    except ProfileError as error:
        return str(error)
    return ""


def _storedPicks(path: Path) -> int:
    """Picks that a profile's file tells of; the rest of it is checked with the first prompt, when PyTorch is there.

    Raises:
        ProfileError: the file cannot be used.
    """
    from AdaptCore.facts import PROFILES, damaged, read_facts

    try:
        return int(read_facts(path, PROFILES.kind)["picks"])
    except (KeyError, ValueError) as error:
        if isinstance(error, ProfileError):
            raise
        raise damaged(path, PROFILES.kind) from error


def _store() -> ProfileStore:
    from AdaptCore.preference.profiles import ProfileStore

    return ProfileStore()
