"""The Python modules `qt` and `ctk`."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from PySide6 import QtCore, QtGui, QtWidgets

from Testing.host.ctk_widgets import ctkCollapsibleButton, ctkMessageBox
from Testing.host.instances import class_of
from Testing.host.ui_files import UiLoader

LIBRARIES = (QtCore, QtGui, QtWidgets)


class QtModule(ModuleType):
    """Qt's classes under their names; those of objects follow PythonQt's rules."""

    def __getattr__(self, name: str) -> Any:
        for library in LIBRARIES:
            if name.startswith("Q") and hasattr(library, name):
                found = getattr(library, name)
                return class_of(found) if issubclass(found, QtCore.QObject) else found
        raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")


class FileDialog(QtWidgets.QFileDialog):
    """Its questions for a file give the path alone, "" after Cancel; drawn by Qt, so that tests can answer them."""

    @staticmethod
    def getOpenFileName(*arguments: Any) -> str:
        options = QtWidgets.QFileDialog.Option.DontUseNativeDialog
        return QtWidgets.QFileDialog.getOpenFileName(*arguments, options=options)[0]

    @staticmethod
    def getSaveFileName(*arguments: Any) -> str:
        options = QtWidgets.QFileDialog.Option.DontUseNativeDialog
        return QtWidgets.QFileDialog.getSaveFileName(*arguments, options=options)[0]

    @staticmethod
    def getExistingDirectory(*arguments: Any) -> str:
        options = QtWidgets.QFileDialog.Option.DontUseNativeDialog | QtWidgets.QFileDialog.Option.ShowDirsOnly
        return QtWidgets.QFileDialog.getExistingDirectory(*arguments, options=options)


def qt_module() -> ModuleType:
    module = QtModule("qt")
    module.QFileDialog = class_of(FileDialog)
    module.QUiLoader = class_of(UiLoader)
    return module


def ctk_module() -> ModuleType:
    module = ModuleType("ctk")
    module.ctkCollapsibleButton = class_of(ctkCollapsibleButton)
    module.ctkMessageBox = class_of(ctkMessageBox)
    return module
