"""The gallery of the panel: candidates are previewed under the mouse, and picked with it or with the keys 1 to 4."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _


class Gallery:
    """Shows candidates on the panel's buttons; the first one has the number 1.

    Args:
        buttons: tool buttons, checkable.
        onPick: called with the number of the candidate that is to be picked.
        onHover: called with the number of the candidate under the mouse, or None when the mouse has left it.
    """

    def __init__(
        self, buttons: Sequence[Any], onPick: Callable[[int], None], onHover: Callable[[int | None], None]
    ) -> None:
        self._buttons = buttons
        self._shown: Sequence[Any] = ()
        self._hoverFilter = HoverFilter(buttons, onHover)
        for number, button in enumerate(buttons, start=1):
            _connect(button, number, onPick)

    def show(self, state: Any) -> None:
        """Show a `GalleryState`."""
        if state.views is not self._shown:
            self._shown = state.views
            self._drawPictures()
        for number, button in enumerate(self._buttons, start=1):
            button.enabled = state.canPick and number <= len(state.views)
            button.checked = number == state.picked

    def _drawPictures(self) -> None:
        """Give each button its candidate; Qt gets pictures through files, which are gone afterwards."""
        from InteractiveAdaptSegLib.PictureFile import writePicture

        with tempfile.TemporaryDirectory(dir=slicer.app.temporaryPath) as folder:
            for number, button in enumerate(self._buttons, start=1):
                view = self._shown[number - 1] if number <= len(self._shown) else None
                path = Path(folder) / f"{number}.png"
                if view is not None:
                    writePicture(path, view.thumbnail)
                button.setIcon(qt.QIcon() if view is None else qt.QIcon(qt.QPixmap(str(path))))
                button.text = "" if view is None else candidateText(number, view)
                button.toolTip = "" if view is None else candidateToolTip(number, view)


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


def candidateText(number: int, view: Any) -> str:
    """The words below a candidate's picture."""
    return _("{number}: {percent} %\n{area}").format(
        number=number, percent=round(100 * view.probability), area=areaText(view.areaChange)
    )


def candidateToolTip(number: int, view: Any) -> str:
    """What a candidate's numbers mean."""
    return _(
        "Candidate {number}: {area} against the present mask; {percent} % of the masks that you may want look like"
        " it. Blue is added, orange is removed. Click on it or press {number} to pick it."
    ).format(number=number, percent=round(100 * view.probability), area=areaText(view.areaChange))


def areaText(area: float) -> str:
    """A change of area, given in mm², in at most three digits or so."""
    if abs(area) >= 1000:
        return f"{area / 100:+.1f} cm²"
    return f"{area:+.0f} mm²" if abs(area) >= 10 else f"{area:+.1f} mm²"


def galleryText(state: Any) -> str:
    """The words above the gallery."""
    if state.isAsking:
        return _("Looking for other masks...")
    if not state.round:
        return _("Other masks that you may want appear here.")
    if not state.views:
        return _("No other mask differs from this one.")
    return _("Round {round} of {rounds}. Blue: added, orange: removed.").format(round=state.round, rounds=state.rounds)
