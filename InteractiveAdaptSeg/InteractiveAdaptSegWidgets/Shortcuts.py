"""Keys of the panel's buttons; a key is Slicer's while its button is greyed out or hidden, as in other modules."""

from __future__ import annotations

from typing import Any

import qt
import slicer

KEYS = {
    "positive": ("+",),
    "negative": ("-",),
    "accept": ("Return", "Enter"),
    "propagate": ("P",),
    "unsure": ("N",),
    "undo": ("Ctrl+Z",),
    "redo": ("Ctrl+Y",),
    "cancel": ("Esc",),
}
"""Keys for each button; the first one is shown in its tool tip. Slicer's main window uses none of them."""

SETTING = "InteractiveAdaptSeg/Keys/{name}"
"""In Slicer's settings: another key for a button."""

ENDS_TYPING = "accept"
TEXT_FIELDS = ("QLineEdit", "QAbstractSpinBox", "QComboBox")
FOCUS_CHANGED = "focusChanged(QWidget*,QWidget*)"


class Shortcuts:
    """Lets keys press the panel's buttons, until `close`.

    Fields for text keep their keys: Qt asks them first for all that can be typed, and Enter ends the typing.

    Args:
        ui: the panel's widgets.
    """

    def __init__(self, ui: Any) -> None:
        self._endingTyping: list[Any] = []
        for name, keys in KEYS.items():
            chosen = slicer.app.userSettings().value(SETTING.format(name=name))
            shortcuts = _addShortcuts(getattr(ui, f"{name}Button"), (chosen,) if chosen else keys)
            if name == ENDS_TYPING:
                self._endingTyping = shortcuts
        slicer.app.connect(FOCUS_CHANGED, self._onFocusChanged)

    def close(self) -> None:
        """Stop watching where the user types; the keys go with their buttons."""
        slicer.app.disconnect(FOCUS_CHANGED, self._onFocusChanged)

    def _onFocusChanged(self, old: Any, now: Any) -> None:
        isTyping = now is not None and any(now.inherits(kind) for kind in TEXT_FIELDS)
        for shortcut in self._endingTyping:
            shortcut.enabled = not isTyping


def _addShortcuts(button: Any, keys: tuple[str, ...]) -> list[Any]:
    """Let keys press a button, and say so in its tool tip."""

    def press() -> None:
        button.click()

    shown = qt.QKeySequence(keys[0]).toString(qt.QKeySequence.NativeText)
    button.toolTip = f"{button.toolTip} ({shown})"
    shortcuts = []
    for key in keys:
        shortcut = qt.QShortcut(button)
        shortcut.setKey(qt.QKeySequence(key))
        shortcut.connect("activated()", press)
        shortcuts.append(shortcut)
    return shortcuts
