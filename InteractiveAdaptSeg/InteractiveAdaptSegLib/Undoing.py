"""Steps back and forth through the history, each once its plane has answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from InteractiveAdaptSegLib.Asker import Asker
from InteractiveAdaptSegLib.Commands import ON_PLANE, LessonCommand, NewSegmentCommand, PromptCommand
from InteractiveAdaptSegLib.History import Command
from InteractiveAdaptSegLib.Prompting import Prompting
from InteractiveAdaptSegLib.SceneWatch import SceneWatch
from InteractiveAdaptSegLib.SegmentChoice import SegmentChoice
from InteractiveAdaptSegLib.SegmentHistory import SegmentHistory
from InteractiveAdaptSegLib.Target import Target

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class Undoing:
    """Undoes and redoes.

    Args:
        choice: goes to the segment that a command concerns.
        activate: called with the plane that it concerns.
        onLesson: called when a task has learnt or forgotten something.
        onMessage: called when another segment is worked on.
    """

    def __init__(
        self,
        history: SegmentHistory,
        asker: Asker,
        watch: SceneWatch,
        prompting: Prompting,
        choice: SegmentChoice,
        activate: Callable[[PlaneGeometry], None],
        onLesson: Callable[[], None],
        onMessage: Callable[[str], None],
    ) -> None:
        self._history = history
        self._asker = asker
        self._prompting = prompting
        self._watch = watch
        self._choice = choice
        self._activate = activate
        self._onLesson = onLesson
        self._onMessage = onMessage

    def undo(self) -> None:
        """Take back the latest action.

        Raises:
            AdaptSegError: its plane cannot answer what the scene holds for it.
        """
        self._history.forgetLost()
        self._step(self._history.next, self._history.undo)

    def redo(self) -> None:
        """Do again what was taken back last.

        Raises:
            AdaptSegError: as `undo`.
        """
        self._history.forgetLost()
        command = self._history.nextUndone
        if isinstance(command, PromptCommand) and not command.target.region(command.geometry).canRedo:
            self._prompting.giveAgain(command, lambda: self._step(command, self._history.redo))
        else:
            self._step(command, self._history.redo)

    def _step(self, command: Command | None, step: Callable[[], object]) -> None:
        def goOn() -> None:
            with self._watch.ownChange():
                step()
            self._show(command)

        if isinstance(command, ON_PLANE):
            self._asker.onceAnswered(command.target, command.geometry, goOn)
        else:
            goOn()

    def _show(self, command: Command | None) -> None:
        """Make the plane active that an undone or redone command concerns."""
        if isinstance(command, NewSegmentCommand):
            added = command.target
            self._turnTo(added if added is not None and added.prompts.isComplete else command.before, isNews=True)
        if isinstance(command, ON_PLANE):
            self._turnTo(command.target)
            region = command.target.region(command.geometry)
            if region.isChanged:  # the command was given to a session before this one
                region.rebuild()
            self._activate(command.geometry)
        elif isinstance(command, LessonCommand):
            self._onLesson()

    def _turnTo(self, target: Target, isNews: bool = False) -> None:
        """Go to the segment that a command concerns, which is told if it is news or another one."""
        if isNews or not self._choice.isCurrent(target):
            self._choice.select(target)
            self._onMessage(f"Now working on segment '{target.name}'.")
        self._watch.add(target)
