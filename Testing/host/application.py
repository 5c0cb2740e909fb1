"""What `slicer.app` can do, as far as the module and `slicer.util` ask for it."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, QSettings, Signal
from PySide6.QtGui import QCursor
from PySide6.QtWidgets import QApplication

from Testing.host import signals
from Testing.host.instances import wrapped
from Testing.host.scripted_modules import qSlicerScriptedLoadableModule


class qSlicerModuleManager(QObject):
    """The modules that are loaded."""

    moduleAboutToBeUnloaded = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.modules: dict[str, qSlicerScriptedLoadableModule] = {}

    def module(self, name: str) -> qSlicerScriptedLoadableModule | None:
        return self.modules.get(name)


class qSlicerApplication(QApplication):
    """The application as Qt knows it."""

    startupCompleted = Signal()


class qMRMLSliceView(QObject):
    """The view in a slice widget: it is drawn when somebody asks for its picture."""

    def __init__(self, interactor: Any) -> None:
        super().__init__()
        self._interactor = interactor
        self.unsetViewCursor()

    def interactor(self) -> Any:
        return self._interactor

    def scheduleRender(self) -> None:
        pass

    def setViewCursor(self, cursor: QCursor) -> None:
        self.cursor: QCursor | None = cursor

    def unsetViewCursor(self) -> None:
        self.cursor = None


class qMRMLSliceWidget(QObject):
    """A slice view with what belongs to it."""

    def __init__(self, node: Any, interactor: Any) -> None:
        super().__init__()
        self._node, self._view = node, qMRMLSliceView(interactor)

    def mrmlSliceNode(self) -> Any:
        return self._node

    def sliceView(self) -> qMRMLSliceView:
        return self._view


class qSlicerLayoutManager(QObject):
    """The views of Slicer's window."""

    layoutChanged = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.widgets: dict[str, qMRMLSliceWidget] = {}

    def sliceViewNames(self) -> list[str]:
        return list(self.widgets)

    def sliceWidget(self, name: str) -> qMRMLSliceWidget | None:
        return self.widgets.get(name)


class Application:
    """Slicer's application without its windows. `testingEnabled` keeps Slicer's own dialogs shut, as its tests do."""

    applicationName = "Slicer"

    def __init__(self, scene: Any, logic: Any, temporaryPath: str) -> None:
        self.temporaryPath = temporaryPath
        self._scene, self._logic = scene, logic
        self._manager = qSlicerModuleManager()
        self._layout = qSlicerLayoutManager()
        self._is_testing = True
        self._settings = QSettings(f"{temporaryPath}/Slicer.ini", QSettings.Format.IniFormat)

    def connect(self, signature: str, slot: signals.Slot) -> bool:
        return signals.connect(QApplication.instance(), signature, slot, wrapped)

    def disconnect(self, signature: str, slot: signals.Slot | None = None) -> bool:
        return signals.disconnect(QApplication.instance(), signature, slot)

    def style(self) -> Any:
        return wrapped(QApplication.style())

    def userSettings(self) -> Any:
        return wrapped(self._settings)

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._logic

    def moduleManager(self) -> Any:
        return wrapped(self._manager)

    def layoutManager(self) -> Any:
        return wrapped(self._layout)

    def add_slice_view(self, node: Any, interactor: Any) -> None:
        """Show a slice view in the window."""
        self._layout.widgets[node.GetLayoutName()] = qMRMLSliceWidget(node, interactor)
        self._layout.layoutChanged.emit(0)

    def add_module(self, module: qSlicerScriptedLoadableModule) -> None:
        self._manager.modules[module.name] = module

    def take_modules(self) -> list[qSlicerScriptedLoadableModule]:
        """All modules; none is left."""
        modules = list(self._manager.modules.values())
        self._manager.modules.clear()
        return modules

    def processEvents(self) -> None:
        QApplication.processEvents()

    def testingEnabled(self) -> bool:
        return self._is_testing

    def setTestingEnabled(self, isEnabled: bool) -> None:
        self._is_testing = isEnabled

    def topLevelWidgets(self) -> tuple[Any, ...]:
        return wrapped(QApplication.topLevelWidgets())

    def overrideCursor(self) -> Any:
        return QApplication.overrideCursor()

    def setOverrideCursor(self, cursor: Any) -> None:
        QApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QApplication.restoreOverrideCursor()

    def translate(self, context: str, text: str) -> str:
        return text
