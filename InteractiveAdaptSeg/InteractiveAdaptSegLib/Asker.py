"""Prompts on their way to the session of a plane or object: a copy is asked, its answer taken or dropped."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from AdaptCore.errors import PromptError
from InteractiveAdaptSegLib.PromptNodes import PromptStep
from InteractiveAdaptSegLib.Region import Session
from InteractiveAdaptSegLib.Target import Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from AdaptCore.predict.geometry import PlaneGeometry

PATIENCE = 0.1
"""Seconds that the window waits for an answer that may be slow: one that comes by then is taken at once."""


@dataclass(frozen=True, eq=False)
class RegionQuestion:
    """What a plane or an object is asked, without the scene.

    Attributes:
        session: a copy of its session.
        stored: prompts that the scene holds and the session was not given; one that no longer fits is left out.
        finish: called, with the answer in the session.
        prompt: the user's new one, None for no such one.
        takeBack: called where there is no answer.
        prepare: called before, on the thread that asks.
    """

    target: Target
    geometry: PlaneGeometry
    session: Session
    stored: list[PromptStep]
    finish: Callable[[], None]
    prompt: PromptStep | None = None
    takeBack: Callable[[], None] = lambda: None
    prepare: Callable[[], object] = lambda: None

    @classmethod
    def of(cls, target: Target, geometry: PlaneGeometry, finish: Callable[[], None], **options: Any) -> RegionQuestion:
        """A question to a region as it is now, before the scene holds the new prompt."""
        region = target.region(geometry)
        return cls(target, geometry, region.copied(), region.openSteps, finish, **options)

    def answer(self) -> Session:
        """Ask the model; nothing else is touched.

        Raises:
            AdaptSegError: the prompt does not fit, or the model cannot answer.
        """
        self.prepare()
        for step in self.stored:
            with suppress(PromptError):
                self.target.region(self.geometry).give(self.session, step)
        if self.prompt is not None:
            self.target.region(self.geometry).give(self.session, self.prompt)
        return self.session


class Asker:
    """Asks one question at a time: one that may take long on a thread of its own, where it can be left alone.

    Args:
        isSlow: tells whether an answer may take long.
        onWaiting: called when an answer is waited for.
    """

    def __init__(self, isSlow: Callable[[], bool], onWaiting: Callable[[], None]) -> None:
        self._isSlow = isSlow
        self._onWaiting = onWaiting
        self._worker = ThreadPoolExecutor(1, "InteractiveAdaptSeg-answer")
        self._asked: tuple[RegionQuestion, Future[Session]] | None = None

    @property
    def target(self) -> Target | None:
        """Whose answer is waited for."""
        return self._asked[0].target if self._asked else None

    @property
    def isAsking(self) -> bool:
        return self._asked is not None

    def isAnswered(self, seconds: float) -> bool:
        """Whether there is an answer to take; waits up to `seconds` for it, which lets the thread work meanwhile."""
        return self._asked is not None and bool(wait([self._asked[1]], seconds).done)

    def ask(self, question: RegionQuestion) -> None:
        """Ask, and take the answer if it is there at once or within `PATIENCE`; else see `isAnswered`.

        Raises:
            AdaptSegError: see `RegionQuestion.answer`.
        """
        isSlow = question.target.region(question.geometry).isSlow
        if not (isSlow or self._isSlow()):
            _take(question, question.answer)
            return
        self._asked = question, self._worker.submit(question.answer)
        if not isSlow and self.isAnswered(PATIENCE):
            self.take()
        if self.isAsking:
            self._onWaiting()

    def onceAnswered(self, target: Target, geometry: PlaneGeometry, goOn: Callable[[], None]) -> None:
        """Go on when a plane, or the object, has answered what the scene holds for it.

        Raises:
            AdaptSegError: see `RegionQuestion.answer`.
        """
        if target.region(geometry).openSteps:
            self.ask(RegionQuestion.of(target, geometry, goOn))
        else:
            goOn()

    def take(self) -> None:
        """Take the answer that is there, else wait for it.

        Raises:
            AdaptSegError: see `RegionQuestion.answer`.
        """
        if self._asked is not None:
            (question, answer), self._asked = self._asked, None
            _take(question, answer.result)

    def drop(self) -> RegionQuestion | None:
        """Wait no longer; gives what was asked. The model cannot be stopped: the next slow answer comes after it."""
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        asked[1].cancel()
        return asked[0]

    def close(self) -> None:
        """Drop what was asked, and wait for the thread to end."""
        self.drop()
        self._worker.shutdown(cancel_futures=True)


def _take(question: RegionQuestion, answer: Callable[[], Session]) -> None:
    try:
        question.target.region(question.geometry).take(answer())
    except BaseException:
        question.takeBack()
        raise
    question.finish()
