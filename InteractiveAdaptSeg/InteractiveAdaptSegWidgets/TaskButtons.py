"""The part of the panel that takes back what the chosen task has learnt: its latest image, or all of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import slicer
from slicer.i18n import tr as _


class TaskButtons:
    """Two buttons.

    Args:
        ui: the panel's widgets.
        session: the `SegmentationLogic`.
        reported: within it, errors are shown to the user.
    """

    def __init__(self, ui: Any, session: Any, reported: Callable[[], AbstractContextManager[None]]) -> None:
        self.ui = ui
        self._session = session
        self._reported = reported
        ui.undoLessonButton.connect("clicked()", self.onUndoLesson)
        ui.resetTaskButton.connect("clicked()", self.onReset)

    def show(self, state: Any) -> None:
        """Show `TaskActions`."""
        self.ui.undoLessonButton.enabled = state.canUndoLesson
        self.ui.resetTaskButton.enabled = state.canReset

    def onUndoLesson(self) -> None:
        with self._reported():
            self._session.undoLesson()

    def onReset(self) -> None:
        question = _("All that {task} has learnt will no longer count. The old file is kept.").format(
            task=self._session.task.name
        )
        if slicer.util.confirmOkCancelDisplay(question, _("Reset the task")):
            with self._reported():
                self._session.resetTask()
