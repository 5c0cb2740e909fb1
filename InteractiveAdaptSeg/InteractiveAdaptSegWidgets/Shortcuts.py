"""Keys of the panel's buttons; a key is Slicer's while its button is greyed out or hidden, as in other modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer

KEYS = {
    "positive": ("+",),
    "negative": ("-",),
    "box": ("X",),
    "lasso": ("L",),
    "scribblePositive": ("D",),
    "scribbleNegative": ("E",),
    "accept": ("Return", "Enter"),
    "propagate": ("P",),
    "unsure": ("N",),
    "nextSegment": ("W",),
    "undo": ("Z", "Ctrl+Z"),
    "redo": ("Y", "Ctrl+Y"),
    "cancel": ("Esc",),
}
"""Keys for each button; the first one is shown on it. Slicer's window and slice views use none of them."""

PREVIOUS_SEGMENT = "Q"

PUT_DOWN = "cancel"
TOOLS = ("positive", "negative", "box", "lasso", "scribblePositive", "scribbleNegative")
"""Buttons that give the mouse to prompts; the key of `PUT_DOWN` gives it back."""

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
        onPreviousSegment: called with the key of `PREVIOUS_SEGMENT`, which has no button.
    """

    def __init__(self, ui: Any, onPreviousSegment: Callable[[], None]) -> None:
        self._endingTyping: list[Any] = []
        _addShortcut(ui.nextSegmentButton, PREVIOUS_SEGMENT, onPreviousSegment)
        for name, keys in KEYS.items():
            chosen = slicer.app.userSettings().value(SETTING.format(name=name))
            keys = (chosen,) if chosen else keys
            shortcuts = _addShortcuts(getattr(ui, f"{name}Button"), keys)
            if name == PUT_DOWN:
                for tool in TOOLS:
                    _addPuttingDown(getattr(ui, f"{tool}Button"), keys)
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
    """Let keys press a button, and say so on it and in its tool tip."""
    shown = qt.QKeySequence(keys[0]).toString(qt.QKeySequence.NativeText)
    button.text = f"{button.text} ({shown})"
    button.toolTip = f"{button.toolTip} ({shown})"
    return [_addPress(button, key) for key in keys]


def _addPuttingDown(button: Any, keys: tuple[str, ...]) -> None:
    """Let keys press a button that is down, and nothing else."""
    shortcuts = [_addPress(button, key) for key in keys]

    def follow(isDown: bool) -> None:
        for shortcut in shortcuts:
            shortcut.enabled = isDown

    follow(button.checked)
    button.connect("toggled(bool)", follow)


def _addPress(button: Any, key: str) -> Any:
    def press() -> None:
        button.click()

    return _addShortcut(button, key, press)


def _addShortcut(button: Any, key: str, call: Callable[[], None]) -> Any:
    shortcut = qt.QShortcut(button)
    shortcut.setKey(qt.QKeySequence(key))
    shortcut.connect("activated()", call)
    return shortcut
