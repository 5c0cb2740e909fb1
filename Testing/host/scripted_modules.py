"""Base classes of scripted modules, and what Slicer makes of a module's file: its entry in the list and its panel."""

from __future__ import annotations

import importlib.util
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

import slicer
from PySide6.QtCore import Property, QObject
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import QVBoxLayout, QWidget

from Testing.host.instances import wrapped
from Testing.host.mrml_widgets import qMRMLWidget
from Testing.host.signals import deliver


class ScriptedLoadableModule:
    """Base of what Slicer shows of a module before it is opened."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__


class ScriptedLoadableModuleWidget:
    """Base of a module's panel; `parent` is the widget that Slicer shows it in."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return str(Path(slicer.util.modulePath(self.moduleName)).parent / "Resources" / filename)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """Base of a module's logic: gives the node that keeps the user's choices, one per scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Base of a module's self test."""

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        slicer.app.processEvents()


def _kept(kind: type | str, name: str, default: Any) -> Property:
    """A property that keeps what is set."""
    name = f"_{name}"
    return Property(kind, lambda owner: getattr(owner, name, default), lambda owner, value: setattr(owner, name, value))


class qSlicerScriptedLoadableModule(QObject):
    """A module in Slicer's list."""

    title = _kept(str, "title", "")
    categories = _kept("QStringList", "categories", [])
    dependencies = _kept("QStringList", "dependencies", [])
    contributors = _kept("QStringList", "contributors", [])
    associatedNodeTypes = _kept("QStringList", "associatedNodeTypes", [])
    helpText = _kept(str, "helpText", "")
    acknowledgementText = _kept(str, "acknowledgementText", "")
    icon = _kept(QIcon, "icon", QIcon())
    hidden = _kept(bool, "hidden", False)
    index = _kept(int, "index", -1)

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._representation: qSlicerScriptedLoadableModuleWidget | None = None
        python_class = getattr(load_source(file), file.stem)
        self._python = python_class(wrapped(self))

    @Property(str)
    def name(self) -> str:
        return self._file.stem

    @Property(str)
    def path(self) -> str:
        return str(self._file)

    def widgetRepresentation(self) -> QWidget:
        """The module's panel, built when it is asked for first."""
        if self._representation is None:
            self._representation = qSlicerScriptedLoadableModuleWidget(self._file)
            self._representation.setup()
        return self._representation

    def unload(self) -> None:
        """Delete the panel, if there is one."""
        if self._representation is not None:
            self._representation.deleteLater()


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """The widget that a module's panel is shown in; errors of the panel are printed, and Slicer goes on."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.setMRMLScene(slicer.mrmlScene)
        QVBoxLayout(self)
        self._file, self._is_entered = file, False
        self._make_python()

    @Property(bool)
    def isEntered(self) -> bool:
        return self._is_entered

    def self(self) -> Any:
        return self._python

    def setup(self) -> None:
        deliver(self._python.setup)

    def enter(self) -> None:
        self._is_entered = True
        deliver(self._python.enter)

    def exit(self) -> None:
        self._is_entered = False
        deliver(self._python.exit)

    def reload(self) -> None:
        """Build the panel of the class as it is in the file now."""
        self._make_python()
        self.setup()

    def _make_python(self) -> None:
        class_name = f"{self._file.stem}Widget"
        self._python = getattr(sys.modules[self._file.stem], class_name)(wrapped(self))
        setattr(slicer.modules, class_name, self._python)


def load_source(file: Path) -> ModuleType:
    """Execute a module's file under its name, as Slicer does at its start."""
    specification = importlib.util.spec_from_file_location(file.stem, file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[file.stem] = module
    specification.loader.exec_module(module)
    return module
