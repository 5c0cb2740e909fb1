"""Slicer's environment around a scene: loads modules, opens their panels, and tells what went wrong unseen."""

from __future__ import annotations

import ctypes
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import slicer
from PySide6.QtCore import QCoreApplication, QEvent, Qt, QTimer
from PySide6.QtGui import QKeySequence
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLineEdit, QPushButton, QWidget

from Testing.host import mrml_widgets, parameter_nodes, scripted_modules, signals
from Testing.host.application import Application, qSlicerApplication
from Testing.host.instances import class_of, unwrapped, wrapped
from Testing.host.modules import ctk_module, qt_module
from Testing.host.sample_data import sample_data_module

MRML_WIDGETS = (
    mrml_widgets.qMRMLWidget,
    mrml_widgets.qMRMLNodeComboBox,
    mrml_widgets.qMRMLSegmentSelectorWidget,
    scripted_modules.qSlicerScriptedLoadableModuleWidget,
)
PATIENCE = 30.0
NONE_REFERENCES = 10_000_000


def keep_none() -> None:
    """Make up for PySide6, which drops a reference to None with each call that gives None.

    It relies on a None that is not counted, as from Python 3.12 on. Before that, Python ends with a fatal error once no
    reference is left, after some tens of thousands of calls.
    """
    if sys.version_info < (3, 12):
        ctypes.c_ssize_t.from_address(id(None)).value += NONE_REFERENCES


class Host:
    """Stands for Slicer's application window.

    Args:
        scene: the scene, with its application logic, as `slicer.mrmlScene`, `slicer.app` and `slicer.modules` hold it.
        patch: puts the environment in place and takes it away again.
        temporary_folder: for files that Slicer would put into its own.
    """

    def __init__(self, scene: Any, patch: pytest.MonkeyPatch, temporary_folder: Path) -> None:
        keep_none()
        self.qt_application = QApplication.instance() or qSlicerApplication(["Slicer"])
        self.failures: list[str] = []
        self.application = Application(scene, slicer.app.applicationLogic(), str(temporary_folder))
        self._patch = patch
        self._opened: Any = None
        patch.setattr(slicer, "app", self.application)
        patch.setattr(sys, "excepthook", self._on_error)
        for widget_class in MRML_WIDGETS:
            patch.setattr(slicer, widget_class.__name__, class_of(widget_class), raising=False)
        for module in _environment():
            patch.setitem(sys.modules, module.__name__, module)

    def load(self, file: Path) -> Any:
        """Load a scripted module as Slicer does at its start; it can be found at `slicer.modules` then."""
        self._patch.setitem(sys.modules, file.stem, ModuleType(file.stem))
        module = scripted_modules.qSlicerScriptedLoadableModule(file)
        self.application.add_module(module)
        self._patch.setattr(slicer.modules, file.stem.lower(), wrapped(module), raising=False)
        return wrapped(module)

    def complete_startup(self) -> None:
        """Tell all loaded modules that the application is there, as Slicer does once."""
        self.qt_application.startupCompleted.emit()
        self.process_events()

    def open(self, name: str) -> Any:
        """Go to a module; the Python object of its panel."""
        self.leave()
        self._opened = slicer.app.moduleManager().module(name).widgetRepresentation()
        self._opened.enter()
        self._opened.show()
        self.process_events()
        return self._opened.self()

    def leave(self) -> None:
        """Go to no module."""
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.exit()
            opened.hide()

    def process_events(self) -> None:
        """Let Qt do what is waiting, deletions too."""
        QApplication.processEvents()
        QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete.value)

    def wait_until(self, is_done: Callable[[], bool]) -> None:
        """Run the event loop until something has happened."""
        end = time.monotonic() + PATIENCE
        while not is_done():
            assert time.monotonic() < end, "it did not happen"
            QApplication.processEvents()
            time.sleep(0.001)

    def answer_next_dialog(self, text: str) -> None:
        """Press the button with that text in the dialog that is opened next."""
        self._in_next_dialog(
            lambda dialog: next(button for button in dialog.findChildren(QPushButton) if text in button.text()).click()
        )

    def name_file_in_next_dialog(self, path: Path) -> None:
        """Type a file's name into the dialog that is opened next, and press Enter."""

        def type_name(dialog: QWidget) -> None:
            line = dialog.findChild(QLineEdit, "fileNameEdit")
            line.setText(str(path))
            QTest.keyClick(line, Qt.Key.Key_Return)

        self._in_next_dialog(type_name)

    def fill_in_dialog(self, name: str, texts: Mapping[str, str], button: str) -> None:
        """Type into the lines of the dialog with that object name, once it is opened, and press a button in it."""

        def fill_in(dialog: QWidget) -> None:
            for line, text in texts.items():
                dialog.findChild(QLineEdit, line).setText(text)
            next(found for found in dialog.findChildren(QPushButton) if button in found.text()).click()

        self._in_next_dialog(fill_in, lambda dialog: dialog.objectName() == name)

    def press_key(self, key: str) -> None:
        """Press a key, such as "2" or "Ctrl+Z", in the panel's window, wherever in it the user has clicked before."""
        panel = unwrapped(self._opened)
        panel.activateWindow()
        self.wait_until(lambda: QApplication.activeWindow() is panel)
        QTest.keySequence(panel, QKeySequence(key))
        self.process_events()

    def _in_next_dialog(
        self, act: Callable[[QWidget], None], is_meant: Callable[[QWidget], bool] = lambda dialog: True
    ) -> None:
        def wait() -> None:
            dialog = QApplication.activeModalWidget()
            if dialog is None or not is_meant(dialog):
                QTimer.singleShot(1, wait)
            else:
                act(dialog)

        QTimer.singleShot(0, wait)

    def close(self) -> None:
        """End the application: every module is told, and its panel deleted.

        Raises:
            AssertionError: something went wrong in a slot or an observer, and nobody has taken note of it.
        """
        self.leave()
        signals.disconnect(self.qt_application, "startupCompleted()")
        for module in self.application.take_modules():
            slicer.app.moduleManager().moduleAboutToBeUnloaded.emit(module.name)
            module.unload()
        self.process_events()
        failures = self.take_failures()
        assert not failures, "".join(failures)

    def take_failures(self) -> list[str]:
        """What went wrong in slots and observers since this was asked for last."""
        failures, self.failures = self.failures, []
        return failures

    def _on_error(self, kind: type[BaseException], error: BaseException, trace: Any) -> None:
        self.failures.append("".join(traceback.format_exception(kind, error, trace)))


def _environment() -> list[ModuleType]:
    """The Python modules that Slicer has and slicer-core has not."""
    translation = ModuleType("slicer.i18n")
    translation.tr = lambda text: slicer.app.translate("", text)
    translation.translate = lambda context, text: slicer.app.translate(context, text)
    parameters = ModuleType("slicer.parameterNodeWrapper")
    parameters.parameterNodeWrapper = parameter_nodes.parameterNodeWrapper
    bases = ModuleType("slicer.ScriptedLoadableModule")
    for name in ("", "Widget", "Logic", "Test"):
        name = f"ScriptedLoadableModule{name}"
        setattr(bases, name, getattr(scripted_modules, name))
    return [qt_module(), ctk_module(), sample_data_module(), translation, parameters, bases]
