"""Loads `.ui` files with the widgets of this stand-in, and makes the connections that they hold."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from PySide6.QtCore import QBuffer, QIODevice, QObject
from PySide6.QtUiTools import QUiLoader
from PySide6.QtWidgets import QWidget

from Testing.host import signals
from Testing.host.ctk_widgets import ctkCollapsibleButton
from Testing.host.mrml_widgets import qMRMLNodeComboBox, qMRMLSegmentSelectorWidget, qMRMLWidget


class UiLoader(QUiLoader):
    """Slicer's loader, with its own widgets under their names in `.ui` files."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        for widget_class in (ctkCollapsibleButton, qMRMLWidget, qMRMLNodeComboBox, qMRMLSegmentSelectorWidget):
            self.registerCustomWidget(widget_class)

    def load(self, device: QIODevice, parent: QWidget | None = None) -> QWidget:
        tree = ElementTree.fromstring(device.readAll().data())
        connections = tree.find("connections")
        if connections is not None:
            tree.remove(connections)
        for text in tree.iterfind(".//property[@name='text']/string"):
            text.text = translated(text.text or "")
        buffer = QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QIODevice.OpenModeFlag.ReadOnly)
        root = super().load(buffer, parent)
        for connection in connections if connections is not None else ():
            _connect(root, connection)
        return root


def translated(text: str) -> str:
    """A text in the language of the user, which is English."""
    return text


def _connect(root: QWidget, connection: ElementTree.Element) -> None:
    """Connect as a `.ui` file says; the slot is named with its arguments, such as setMRMLScene(vtkMRMLScene*)."""
    sender, receiver = (_named(root, connection.findtext(end, "")) for end in ("sender", "receiver"))
    slot = getattr(receiver, connection.findtext("slot", "").split("(")[0])
    signals.connect(sender, connection.findtext("signal", ""), slot)


def _named(root: QWidget, name: str) -> QObject:
    return root if root.objectName() == name else root.findChild(QObject, name)
