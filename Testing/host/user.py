"""The user's mouse and keyboard on widgets; who cannot see a widget, or finds it greyed out, cannot use it.

Events are dealt with inside an event loop, as in Slicer: what a slot marks for deletion lives until the slot has ended,
even if it waits for a dialog in between.
"""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QEventLoop, QPoint, QPointF, Qt, QTimer
from PySide6.QtGui import QEnterEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QCheckBox, QComboBox, QRadioButton, QWidget

from Testing.host.instances import Instance, unwrapped


def press(widget: Instance) -> None:
    """Click on a widget."""
    qt_widget = _usable(widget)
    is_at_left = isinstance(qt_widget, (QCheckBox, QRadioButton))
    position = QPoint(8, qt_widget.height() // 2) if is_at_left else qt_widget.rect().center()
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    _in_event_loop(lambda: QTest.mouseClick(qt_widget, button, keys, position))


def hover(widget: Instance) -> None:
    """Move the mouse onto a widget."""
    qt_widget = _usable(widget)
    _in_event_loop(lambda: QApplication.sendEvent(qt_widget, QEnterEvent(*[QPointF(qt_widget.rect().center())] * 3)))


def leave(widget: Instance) -> None:
    """Move the mouse away from a widget."""
    _in_event_loop(lambda: QApplication.sendEvent(unwrapped(widget), QEvent(QEvent.Type.Leave)))


def type_text(widget: Instance, text: str) -> None:
    """Click into a line or an editable list, type in place of what stands there, and press Enter."""
    qt_widget = _usable(widget)
    line = qt_widget.lineEdit() if isinstance(qt_widget, QComboBox) else qt_widget
    _in_event_loop(lambda: QTest.mouseClick(line, Qt.MouseButton.LeftButton))
    line.selectAll()
    _in_event_loop(lambda: QTest.keyClick(line, Qt.Key.Key_Delete))
    _in_event_loop(lambda: QTest.keyClicks(line, text))
    _in_event_loop(lambda: QTest.keyClick(line, Qt.Key.Key_Return))


def choose(widget: Instance, text: str) -> None:
    """Pick an entry of a list, or of the visible list in a widget, with the keyboard."""
    qt_widget = _usable(widget)
    lists = [qt_widget] if isinstance(qt_widget, QComboBox) else qt_widget.findChildren(QComboBox)
    box = next(box for box in lists if box.isVisible())
    row = box.findText(text)
    assert row >= 0, f"{text!r} is not among {[box.itemText(index) for index in range(box.count())]}"
    box.showPopup()
    box.view().setCurrentIndex(box.model().index(row, 0))
    _in_event_loop(lambda: QTest.keyClick(box.view(), Qt.Key.Key_Return))


def double_click_row(table: Instance, row: int) -> None:
    """Scroll to a row of a table, and click twice on its first cell."""
    place, viewport = _cell(table, row)
    button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    _in_event_loop(lambda: QTest.mouseClick(viewport, button, keys, place))
    _in_event_loop(lambda: QTest.mouseDClick(viewport, button, keys, place))


def select_row(table: Instance, row: int) -> None:
    """Scroll to a row of a table, and click on its first cell."""
    place, viewport = _cell(table, row)
    _in_event_loop(lambda: QTest.mouseClick(viewport, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, place))


def _cell(table: Instance, row: int) -> tuple[QPoint, QWidget]:
    """Where a row's first cell is in the part of the table that can be seen."""
    qt_table = _usable(table)
    item = qt_table.item(row, 0)
    qt_table.scrollToItem(item)
    return qt_table.visualItemRect(item).center(), qt_table.viewport()


def _in_event_loop(action: Callable[[], object]) -> None:
    loop = QEventLoop()

    def act() -> None:
        try:
            action()
        finally:
            QTimer.singleShot(0, loop.quit)

    QTimer.singleShot(0, act)
    loop.exec()


def _usable(widget: Instance) -> QWidget:
    qt_widget = unwrapped(widget)
    assert qt_widget.isVisible(), f"{qt_widget.objectName()} is not shown"
    assert qt_widget.isEnabled(), f"{qt_widget.objectName()} is disabled"
    return qt_widget
