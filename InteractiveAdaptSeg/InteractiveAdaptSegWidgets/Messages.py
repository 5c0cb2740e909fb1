"""The top of the panel, which never changes its height: the status, and below it news and why something was refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from AdaptCore.errors import AdaptSegError
from AdaptCore.printable import printable
from InteractiveAdaptSegLib.Errors import Refusal
from InteractiveAdaptSegLib.Words import sentence

STATUS_LINES, MESSAGE_LINES = 2, 3
"""Lines that are always there; a longer message can be scrolled, and is shown in full under the mouse."""


class Messages:
    """Shows one message at a time; one that says why something was refused has an icon.

    Args:
        ui: the panel's widgets.
        onDone: called after each of the user's calls.
    """

    def __init__(self, ui: Any, onDone: Callable[[], None]) -> None:
        self.ui = ui
        self._onDone = onDone
        ui.statusLabel.setFixedHeight(_height(ui.statusLabel, STATUS_LINES))
        ui.messageArea.setFixedHeight(_height(ui.messageLabel, MESSAGE_LINES))
        ui.progressFrame.setFixedHeight(ui.cancelButton.sizeHint.height())

    def show(self, text: str) -> None:
        """Show a message in place of the one before."""
        ui, isRefusal = self.ui, isinstance(text, Refusal)
        text = printable(sentence(text) if isRefusal else text)
        ui.messageLabel.text = ui.messageLabel.toolTip = text
        icon = slicer.app.style().standardIcon(qt.QStyle.SP_MessageBoxWarning) if text and isRefusal else qt.QIcon()
        ui.messageIcon.setPixmap(icon.pixmap(ui.messageIcon.maximumSize))

    @contextmanager
    def reported(self) -> Iterator[None]:
        """What the user can act on is shown in the panel, anything else in Slicer's error window."""
        self.show("")
        with slicer.util.tryWithErrorDisplay(_("Unexpected error."), waitCursor=True):
            try:
                yield
            except AdaptSegError as error:
                self.show(Refusal(error))
        self._onDone()


def _height(label: Any, lines: int) -> int:
    return lines * int(qt.QFontMetrics(label.font).lineSpacing()) + 2
