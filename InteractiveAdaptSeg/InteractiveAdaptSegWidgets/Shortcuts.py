"""Keys of the panel's buttons; a key is Slicer's while its button is greyed out or hidden, as in other modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.Keys import (
    CHANGE_SIGN,
    KEYS,
    NNINTERACTIVE,
    PREVIOUS_SEGMENT,
    PUT_DOWN,
    SCHEMES,
    SIGNS,
    TOOLS,
)

SCHEME_SETTING = "InteractiveAdaptSeg/KeyScheme"

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
        self.ui = ui
        self._onPreviousSegment = onPreviousSegment
        self._shortcuts: list[Any] = []
        self._endingTyping: list[Any] = []
        self._texts = {name: self._button(name).text for name in {**KEYS, **NNINTERACTIVE}}
        self._toolTips = {name: self._button(name).toolTip for name in self._texts}
        ui.keysSelector.addItems(list(SCHEMES))
        ui.keysSelector.connect("activated(int)", self.onSchemeChosen)
        scheme = slicer.app.userSettings().value(SCHEME_SETTING)
        self.use(scheme if scheme in SCHEMES else next(iter(SCHEMES)))
        for tool in TOOLS:
            _addPuttingDown(self._button(tool), self._keys(KEYS, PUT_DOWN))
        slicer.app.connect(FOCUS_CHANGED, self._onFocusChanged)

    def close(self) -> None:
        """Stop watching where the user types; the keys go with their buttons."""
        slicer.app.disconnect(FOCUS_CHANGED, self._onFocusChanged)

    def use(self, scheme: str) -> None:
        """Let the keys of a scheme press the buttons, in place of those before."""
        for shortcut in self._shortcuts:
            shortcut.enabled = False
            shortcut.deleteLater()
        self.ui.keysSelector.setCurrentText(scheme)
        keys = SCHEMES[scheme]
        self._shortcuts = [_addShortcut(self.ui.nextSegmentButton, PREVIOUS_SEGMENT, self._onPreviousSegment)]
        if keys is NNINTERACTIVE:
            self._shortcuts.append(_addShortcut(self.ui.boxButton, CHANGE_SIGN, self.onChangeSign))
        for name in self._texts:
            shortcuts = self._addShortcuts(name, self._keys(keys, name))
            self._shortcuts += shortcuts
            if name == ENDS_TYPING:
                self._endingTyping = shortcuts

    def offered(self) -> str:
        """Where other keys can be chosen, for the user, the first time that this is asked on a computer; then empty."""
        settings = slicer.app.userSettings()
        if settings.value(SCHEME_SETTING) in SCHEMES:
            return ""
        settings.setValue(SCHEME_SETTING, self.ui.keysSelector.currentText)
        return str(_("The buttons show their keys. If you know those of nnInteractive, choose them in section Model."))

    def onSchemeChosen(self) -> None:
        scheme = self.ui.keysSelector.currentText
        slicer.app.userSettings().setValue(SCHEME_SETTING, scheme)
        self.use(scheme)

    def onChangeSign(self) -> None:
        """Take up the tool of the other sign."""
        for pair in SIGNS:
            down = [name for name in pair if self._button(name).checked]
            if down:
                other = pair[1 - pair.index(down[0])]
                self._button(other).click()
                return

    def _addShortcuts(self, name: str, keys: tuple[str, ...]) -> list[Any]:
        """Let keys press a button, and say so on it and in its tool tip."""
        button = self._button(name)
        shown = qt.QKeySequence(keys[0]).toString(qt.QKeySequence.NativeText) if keys else ""
        button.text = f"{self._texts[name]} ({shown})" if shown else self._texts[name]
        button.toolTip = f"{self._toolTips[name]} ({shown})" if shown else self._toolTips[name]
        return [_addPress(button, key) for key in keys]

    def _keys(self, scheme: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
        chosen = slicer.app.userSettings().value(SETTING.format(name=name))
        return (chosen,) if chosen else scheme.get(name, ())

    def _button(self, name: str) -> Any:
        return getattr(self.ui, f"{name}Button")

    def _onFocusChanged(self, old: Any, now: Any) -> None:
        isTyping = now is not None and any(now.inherits(kind) for kind in TEXT_FIELDS)
        for shortcut in self._endingTyping:
            shortcut.enabled = not isTyping


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
