"""The part of the panel where the user chooses the model, where it computes, and how much memory it may take."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import qt
import slicer
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.Words import deviceText, downloadText, modelText, removalText, samPackagesText

DEVICE_SETTING = "InteractiveAdaptSeg/Device"
MEMORY_SETTING = "InteractiveAdaptSeg/EmbeddingMemory"
ADD_MODEL = Path(__file__).resolve().parents[1] / "Resources" / "UI" / "AddModel.ui"


class ModelChooser:
    """Shows and changes which model answers; device and memory are remembered in Slicer's settings.

    Args:
        ui: the panel's widgets.
        session: the `SegmentationLogic`.
        reported: within it, errors are shown to the user.
        onChosen: called with the name of a model that the user has chosen.
    """

    def __init__(
        self,
        ui: Any,
        session: Any,
        reported: Callable[[], AbstractContextManager[None]],
        onChosen: Callable[[str], None],
    ) -> None:
        self.ui = ui
        self._session = session
        self._reported = reported
        self._onChosen = onChosen
        self._isRemembered = False
        self._names: tuple[str, ...] = ()
        self._state: Any = None
        ui.modelSection.connect("contentsCollapsed(bool)", self.onCollapsed)
        ui.modelSelector.connect("activated(int)", self.onModelChosen)
        ui.downloadModelButton.connect("clicked()", self.onDownload)
        ui.cancelDownloadButton.connect("clicked()", self.onCancelDownload)
        ui.removeModelButton.connect("clicked()", self.onRemove)
        ui.addModelButton.connect("clicked()", self.onAdd)
        ui.installModelButton.connect("clicked()", self.onInstall)
        ui.deviceSelector.connect("activated(int)", self.onDeviceChosen)
        ui.memorySpinBox.connect("valueChanged(int)", self.onMemoryChanged)

    def takeUpSettings(self) -> None:
        """Take up the device and memory of Slicer's last session; list models and devices if the section is open.

        A remembered device that is no longer there stays remembered, and the fastest one is taken.
        """
        if not self._isRemembered:
            self._isRemembered = True
            device, memory = (slicer.app.userSettings().value(name) for name in (DEVICE_SETTING, MEMORY_SETTING))
            if device:
                self._session.model.setDevice(device)
            if memory:
                self._session.model.setMemory(int(memory))
        if not self.ui.modelSection.collapsed:
            self._list()

    def show(self, state: Any) -> None:
        """Show a `ModelState`, None before the models are listed."""
        ui, isListed, self._state = self.ui, state is not None, state
        self._showWhatIsSeldomNeeded()
        for widget, enabled in (
            (ui.modelSelector, isListed and state.canChoose),
            (ui.downloadModelButton, isListed and state.canDownload),
            (ui.removeModelButton, isListed and state.canRemove),
            (ui.addModelButton, isListed and state.canAdd),
            (ui.installModelButton, isListed and state.canChoose),
            (ui.deviceSelector, isListed and state.canChoose),
            (ui.memorySpinBox, isListed),
        ):
            widget.enabled = enabled
        if not isListed:
            return
        if state.names != self._names:
            self._names = state.names
            ui.modelSelector.clear()
            ui.modelSelector.addItems(list(state.names))
        ui.modelSelector.setCurrentIndex(state.names.index(state.name))
        ui.modelLabel.text = modelText(state, _)

    def onCollapsed(self, isCollapsed: bool) -> None:
        """List what there is when the section is opened; that takes a second the first time, to load PyTorch."""
        if self._isRemembered and not isCollapsed:
            with self._reported():
                self._list()
        self._showWhatIsSeldomNeeded()

    def onModelChosen(self) -> None:
        name = self.ui.modelSelector.currentText
        if name == self._session.model.name:
            return
        self._onChosen(name)
        if self._session.model.status.name == "PACKAGES_MISSING":
            self.onInstall()

    def onDownload(self) -> None:
        with self._reported():
            self._session.model.startDownload(_confirmDownload)

    def onCancelDownload(self) -> None:
        with self._reported():
            self._session.model.cancelDownload()

    def onRemove(self) -> None:
        with self._reported():
            self._session.model.remove(_confirmRemoval)

    def onAdd(self) -> None:
        path = qt.QFileDialog.getOpenFileName(self.ui.modelSection, _("Add a model"), "", _filter())
        described = _askForName(Path(path)) if path else None
        if described is not None:
            with self._reported():
                self._session.model.addFile(Path(path), *described)

    def onInstall(self) -> None:
        with self._reported():
            self._session.model.install(_confirmInstallation)

    def onDeviceChosen(self) -> None:
        device = self._chosenDevice()
        with self._reported():
            self._session.model.setDevice(device)
            slicer.app.userSettings().setValue(DEVICE_SETTING, device or "")

    def onMemoryChanged(self, megabytes: int) -> None:
        self._session.model.setMemory(megabytes)
        slicer.app.userSettings().setValue(MEMORY_SETTING, megabytes)

    def _list(self) -> None:
        from AdaptCore.models.devices import available_devices

        self._session.model.refresh()
        selector, device = self.ui.deviceSelector, self._session.model.device
        selector.clear()
        for name in ("", *available_devices()):
            selector.addItem(deviceText(name, _), name)
        selector.setCurrentIndex(max(0, selector.findData(device or "")))
        self.ui.memorySpinBox.value = self._session.model.memory

    def _chosenDevice(self) -> str | None:
        return self.ui.deviceSelector.itemData(self.ui.deviceSelector.currentIndex) or None

    def _showWhatIsSeldomNeeded(self) -> None:
        """Show the button for packages, and the progress of a download; an opened section shows all that it holds."""
        ui, state = self.ui, self._state
        isOpen = state is not None and not ui.modelSection.collapsed
        ui.installModelButton.visible = isOpen and state.canInstall
        for widget in (ui.downloadProgressBar, ui.cancelDownloadButton):
            widget.visible = isOpen and bool(state.downloading)
        if isOpen:
            ui.cancelDownloadButton.enabled = state.canCancelDownload
            ui.downloadProgressBar.maximum = 100
            ui.downloadProgressBar.value = 100 * state.received // max(1, state.total)


def _confirmDownload(entry: Any) -> bool:
    return bool(slicer.util.confirmOkCancelDisplay(downloadText(entry, _), _("Download a model")))


def _confirmRemoval(entry: Any) -> bool:
    return bool(slicer.util.confirmOkCancelDisplay(removalText(entry, _), _("Remove a downloaded model")))


def _confirmInstallation(requirements: Sequence[Any]) -> bool:
    text = samPackagesText(requirements, _)
    return bool(slicer.util.confirmOkCancelDisplay(text, _("Install Python packages")))


def _askForName(path: Path) -> tuple[str, str] | None:
    """The name and the licence that the user gives to a model; None after Cancel."""
    dialog = slicer.util.loadUI(str(ADD_MODEL))
    ui = slicer.util.childWidgetVariables(dialog)
    ui.pathLabel.text = str(path)
    ui.nameLineEdit.text = re.sub("[^A-Za-z0-9_-]+", "-", path.stem).strip("-_")
    isGiven = dialog.exec_()
    described = ui.nameLineEdit.text.strip(), ui.licenceLineEdit.text.strip()
    dialog.deleteLater()
    return described if isGiven else None


def _filter() -> str:
    return _("Model weights (*.pth *.pt *.safetensors)")
