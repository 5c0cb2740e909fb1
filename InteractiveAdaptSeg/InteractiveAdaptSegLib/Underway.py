"""What is under way, one thing at a time: a slow answer, or a propagation."""

from __future__ import annotations

from collections.abc import Callable, Container
from contextlib import ExitStack

from AdaptCore.errors import AdaptSegError
from InteractiveAdaptSegLib.Asker import Asker
from InteractiveAdaptSegLib.Errors import Refusal, SceneError
from InteractiveAdaptSegLib.Propagating import Propagating
from InteractiveAdaptSegLib.Target import Target


class Underway:
    """Follows what is under way to its end.

    Args:
        onMessage: called with errors that are for the user.
        onChanged: called when something goes on.
        onEnded: called when something has ended, however.

    Attributes:
        running: the propagation that is under way.
    """

    def __init__(
        self,
        asker: Asker,
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
        onEnded: Callable[[], None],
    ) -> None:
        self._asker = asker
        self._onMessage = onMessage
        self._onChanged = onChanged
        self._onEnded = onEnded
        self.running: Propagating | None = None
        self._write: Callable[[Propagating], None] = Propagating.takeBack

    @property
    def isIdle(self) -> bool:
        return self.running is None and not self._asker.isAsking

    @property
    def progress(self) -> tuple[int, int]:
        """Planes done and planes there can be at most, of the propagation; (0, 0) without one."""
        return (self.running.done, self.running.total) if self.running else (0, 0)

    def requireIdle(self) -> None:
        """Refuse what cannot be done now.

        Raises:
            SceneError: something is under way.
        """
        if self.running is not None:
            raise SceneError("a propagation is under way: wait for its end or cancel it")
        if self._asker.isAsking:
            raise SceneError("the model is predicting: wait for its answer or cancel it")

    def begin(self, running: Propagating, write: Callable[[Propagating], None]) -> None:
        """Follow a propagation, and write what it has found at its end."""
        self.running, self._write = running, write
        self._onChanged()

    def takeAnswer(self, seconds: float) -> None:
        """Take the slow answer if it is there; waits up to `seconds` for it."""
        if self._asker.isAnswered(seconds):
            self._end(self._asker.take)

    def takeFound(self, seconds: float) -> None:
        """Take the news of the propagation; waits up to `seconds` for them."""
        running = self.running
        if running is None:
            return
        running.follow(seconds)
        if running.isFinished:
            self.running = None
            self._end(lambda: self._write(running))
        else:
            self._onChanged()

    def cancelPropagation(self) -> None:
        """Stop before the next plane; the planes done until then are found."""
        if self.running is not None:
            self.running.cancel()

    def stopPropagation(self) -> None:
        """End the propagation, which gives nothing."""
        running, self.running = self.running, None
        if running is not None:
            running.stop()
            running.takeBack()

    def cancelAnswer(self) -> None:
        """Drop the answer that is waited for, and take its prompt out of the scene again."""
        question = self._asker.drop()
        if question is not None:
            self._end(question.takeBack)

    def drop(self, gone: Container[Target]) -> None:
        """Wait no longer for what concerns targets that are gone; nothing of the scene is touched."""
        if self._asker.target in gone:
            self._asker.drop()
        running = self.running
        if running is not None and running.target in gone:
            self.running = None
            running.stop()

    def _end(self, end: Callable[[], None]) -> None:
        with ExitStack() as afterwards:
            afterwards.callback(self._onEnded)
            try:
                end()
            except AdaptSegError as error:
                self._onMessage(Refusal(error))
