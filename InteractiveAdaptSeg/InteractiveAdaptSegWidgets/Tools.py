"""The buttons of the panel that give the mouse in the slice views to prompts: + and - points, box, lasso, scribbles."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import qt
import slicer

from InteractiveAdaptSegLib.DrawMode import Tool
from InteractiveAdaptSegLib.PromptTools import POINTS, PromptTools
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegWidgets.SliceViews import SliceViews

NAMES = (*POINTS, *(tool.value for tool in Tool))


class Tools(PromptTools):
    """Buttons, of which one at most is down.

    Args:
        ui: the panel's widgets.
        onTaken: called before a tool is taken up.
    """

    def __init__(
        self,
        ui: Any,
        session: SegmentationLogic,
        reported: Callable[[], AbstractContextManager[None]],
        onTaken: Callable[[], None],
        begin: Callable[[], None],
        onMessage: Callable[[str], None],
        onChanged: Callable[[], None],
    ) -> None:
        super().__init__(
            slicer.mrmlScene,
            SliceViews(),
            session,
            reported,
            begin,
            onMessage,
            onChanged,
            defer=lambda function: qt.QTimer.singleShot(0, function),
        )
        self.ui = ui
        self._onTaken = onTaken
        for name in NAMES:
            self._connect(name)

    def show(self, canPlace: bool) -> None:
        """Show which button the mouse in the views belongs to."""
        inHand = self.name
        for name in NAMES:
            button = self._button(name)
            button.enabled, button.checked = canPlace, name == inHand

    def onPressed(self, name: str, isOn: bool) -> None:
        self._onTaken()
        if isOn:
            self.take(name)
        else:
            self.stop()
            self._onChanged()

    def _connect(self, name: str) -> None:
        self._button(name).connect("clicked(bool)", lambda isOn: self.onPressed(name, isOn))

    def _button(self, name: str) -> Any:
        return getattr(self.ui, f"{name}Button")
