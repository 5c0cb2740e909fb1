"""The gallery of the panel: candidates are previewed under the mouse, and picked with it or with the keys 1 to 4."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.PictureFile import writePicture
from InteractiveAdaptSegLib.Words import candidateText, candidateToolTip, galleryText


class Gallery:
    """Shows candidates on the panel's buttons; the first one has the number 1.

    The section opens by itself when the first candidates are asked for, and stays open. While the user keeps it closed,
    none are asked for.

    Args:
        ui: the panel's widgets.
        candidates: the session's `Candidates`.
        reported: within it, errors are shown to the user.
        onPick: called with the number of the candidate that is to be picked.
        onHover: called with the number of the candidate under the mouse, or None when the mouse has left it.
    """

    def __init__(
        self,
        ui: Any,
        candidates: Any,
        reported: Callable[[], AbstractContextManager[None]],
        onPick: Callable[[int], None],
        onHover: Callable[[int | None], None],
    ) -> None:
        self.ui = ui
        self._candidates = candidates
        self._reported = reported
        self._buttons = ui.candidateButton1, ui.candidateButton2, ui.candidateButton3, ui.candidateButton4
        self._shown: Sequence[Any] = ()
        self._hasOpened = False
        candidates.setWanted(True)
        ui.candidatesSection.connect("contentsCollapsed(bool)", self.onCollapsed)
        ui.othersButton.connect("clicked()", self.onOthers)
        ui.moreButton.connect("clicked()", self.onMore)
        self._hoverFilter = HoverFilter(self._buttons, onHover)
        for number, button in enumerate(self._buttons, start=1):
            _connect(button, number, onPick)

    def show(self, state: Any) -> None:
        """Show a `GalleryState`."""
        if (state.isAsking or state.views) and not self._hasOpened:
            self._hasOpened = True
            self.ui.candidatesSection.collapsed = False
        if state.views is not self._shown:
            self._shown = state.views
            self._drawPictures()
        for number, button in enumerate(self._buttons, start=1):
            button.enabled = state.canPick and number <= len(state.views)
            button.checked = number == state.picked
        self.ui.galleryLabel.text = galleryText(state, _)
        self.ui.othersButton.enabled = state.canAskForOthers
        self.ui.moreButton.enabled = state.canAskForMore

    def onCollapsed(self, isCollapsed: bool) -> None:
        if isCollapsed == self._candidates.isWanted:
            with self._reported():
                self._candidates.setWanted(not isCollapsed)

    def onOthers(self) -> None:
        with self._reported():
            self._candidates.askForOthers()

    def onMore(self) -> None:
        with self._reported():
            self._candidates.askForMore()

    def _drawPictures(self) -> None:
        """Give each button its candidate; Qt gets pictures through files, which are gone afterwards."""
        with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
            for number, button in enumerate(self._buttons, start=1):
                view = self._shown[number - 1] if number <= len(self._shown) else None
                path = Path(folder) / f"{number}.png"
                if view is not None:
                    writePicture(path, view.thumbnail)
                button.setIcon(qt.QIcon() if view is None else qt.QIcon(qt.QPixmap(str(path))))
                button.text = "" if view is None else candidateText(number, view, _)
                button.toolTip = "" if view is None else candidateToolTip(number, view, _)


def _connect(button: Any, number: int, onPick: Callable[[int], None]) -> None:
    """Let a button and a key pick; the key is Slicer's while the button is hidden or greyed out."""

    def pick() -> None:
        onPick(number)

    button.connect("clicked()", pick)
    shortcut = qt.QShortcut(button)
    shortcut.setKey(qt.QKeySequence(str(number)))
    shortcut.connect("activated()", pick)


class HoverFilter(qt.QObject):
    """Tells which of some buttons the mouse is on."""

    def __init__(self, buttons: Sequence[Any], onHover: Callable[[int | None], None]) -> None:
        qt.QObject.__init__(self)
        self.buttons = list(buttons)
        self.onHover = onHover
        for button in self.buttons:
            button.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Called by Qt; every event goes on to the button."""
        if event.type() == qt.QEvent.Enter and watched.enabled:
            self.onHover(self.buttons.index(watched) + 1)
        elif event.type() == qt.QEvent.Leave:
            self.onHover(None)
        return False
