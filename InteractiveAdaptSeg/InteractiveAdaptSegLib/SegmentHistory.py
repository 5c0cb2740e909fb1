"""The user's actions in their order, some of which are steps of Slicer's own undo of a segmentation."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from InteractiveAdaptSegLib.Commands import isPromptOn, isStepOfSlicer, targetsOf
from InteractiveAdaptSegLib.History import Command, History
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
from InteractiveAdaptSegLib.Target import Target

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class SegmentHistory(History):
    """Follows Slicer's undo, which keeps some states of one segmentation, and none from before an edit made elsewhere.

    Args:
        writer: whose steps can be undone.
    """

    def __init__(self, writer: SegmentWriter) -> None:
        super().__init__()
        self._writer = writer
        self._isStepping = False

    @property
    def canUndo(self) -> bool:
        self.forgetLost()
        return super().canUndo

    @property
    def canRedo(self) -> bool:
        self.forgetLost()
        return super().canRedo

    def undo(self) -> None:
        with self._stepping():
            super().undo()

    def redo(self) -> None:
        with self._stepping():
            super().redo()

    def forgetLost(self) -> None:
        """Forget what Slicer's undo no longer keeps.

        Not asked in the middle of a step, where the panel may choose another segment since one has come or gone.
        """
        if self._isStepping:
            return
        if not self._writer.canUndo:
            self.cutDone(isStepOfSlicer)
        if not self._writer.canRedo:
            self.cutUndone(isStepOfSlicer)

    def forgetTargets(self, gone: Container[Target]) -> None:
        """Forget what was done to segments; steps of Slicer's undo go with all that they hide.

        Slicer takes back its latest step, whosever it is.
        """

        def isLost(command: Command) -> bool:
            return any(target in gone for target in targetsOf(command))

        self.cutDone(lambda command: isStepOfSlicer(command) and isLost(command))
        self.cutUndone(lambda command: isStepOfSlicer(command) and isLost(command))
        self.drop(isLost)

    def forgetPrompts(self, target: Target, geometry: PlaneGeometry) -> None:
        """Forget the prompts of a plane, which has begun anew."""
        self.drop(lambda command: isPromptOn(command, target, geometry))

    @contextmanager
    def _stepping(self) -> Iterator[None]:
        self._isStepping = True
        try:
            yield
        finally:
            self._isStepping = False
