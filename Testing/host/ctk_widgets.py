"""The widgets of CTK that the module uses."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Property, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QPainter, QPaintEvent, QShowEvent
from PySide6.QtWidgets import QAbstractButton, QMessageBox, QSizePolicy, QStyle, QStyleOptionButton, QWidget

INDENT = 24


class ctkCollapsibleButton(QAbstractButton):
    """A headline that shows and hides the widgets below it."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments: Any) -> None:
        *text, parent = arguments if arguments and isinstance(arguments[-1], QWidget) else (*arguments, None)
        super().__init__(parent)
        self.setText("".join(text))
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._headline, 0, 0)
        self.toggled.connect(self._on_toggled)

    @Property(bool)
    def collapsed(self) -> bool:
        return not self.isChecked()

    @collapsed.setter
    def collapsed(self, is_collapsed: bool) -> None:
        self.setChecked(not is_collapsed)

    def setCollapsed(self, isCollapsed: bool) -> None:
        self.setChecked(not isCollapsed)

    def sizeHint(self) -> QSize:
        return self._headline_size().expandedTo(super().sizeHint() if self.isChecked() else QSize())

    def minimumSizeHint(self) -> QSize:
        return self._headline_size().expandedTo(super().minimumSizeHint() if self.isChecked() else QSize())

    def hitButton(self, position: QPoint) -> bool:
        return position.y() < self._headline

    def showEvent(self, event: QShowEvent) -> None:
        """What was put into a closed section is hidden too."""
        super().showEvent(event)
        if not self.isChecked():
            self._show_contents(False)

    def paintEvent(self, event: QPaintEvent) -> None:
        headline = QRect(0, 0, self.width(), self._headline)
        option = QStyleOptionButton()
        option.initFrom(self)
        option.rect = headline
        painter = QPainter(self)
        self.style().drawControl(QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        painter.drawText(headline.adjusted(INDENT, 0, 0, 0), Qt.AlignmentFlag.AlignVCenter, self.text())
        arrow = QStyle.PrimitiveElement
        option.rect = QRect(6, self._headline // 2 - 5, 10, 10)
        direction = arrow.PE_IndicatorArrowDown if self.isChecked() else arrow.PE_IndicatorArrowRight
        self.style().drawPrimitive(direction, option, painter, self)

    def _headline_size(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self.text()) + 2 * INDENT, self._headline)

    @property
    def _headline(self) -> int:
        return self.fontMetrics().height() + 8

    def _on_toggled(self, is_open: bool) -> None:
        self._show_contents(is_open)
        self.updateGeometry()
        self.contentsCollapsed.emit(not is_open)

    def _show_contents(self, is_shown: bool) -> None:
        for child in self.children():
            if isinstance(child, QWidget):
                child.setVisible(is_shown)


class ctkMessageBox(QMessageBox):
    """A message box; the question whether to show it again is not part of this stand-in."""
