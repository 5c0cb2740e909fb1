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

from AdaptCore.printable import printable

DEVICE_SETTING = "InteractiveAdaptSeg/Device"
MEMORY_SETTING = "InteractiveAdaptSeg/EmbeddingMemory"
ADD_MODEL = Path(__file__).resolve().parents[1] / "Resources" / "UI" / "AddModel.ui"
MEGABYTE = 1e6


class ModelChooser:
    """Shows and changes which model answers; device and memory are remembered in Slicer's settings.

    Args:
        ui: the panel's widgets.
        session: the `SegmentationLogic`.
        reported: within it, errors are shown to the user.
        onChosen: called with the name of a model that the user has chosen.
        onAnswering: called when another model answers than before.
    """

    def __init__(
        self,
        ui: Any,
        session: Any,
        reported: Callable[[], AbstractContextManager[None]],
        onChosen: Callable[[str], None],
        onAnswering: Callable[[], None],
    ) -> None:
        self.ui = ui
        self._session = session
        self._reported = reported
        self._onChosen = onChosen
        self._onAnswering = onAnswering
        self._isRemembered = False
        self._names: tuple[str, ...] = ()
        self._answering = ""
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
                self._session.setDevice(device)
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
        ui.modelLabel.text = modelText(state)
        if state.answering != self._answering:
            wasAnswering, self._answering = self._answering, state.answering
            if wasAnswering:
                self._onAnswering()

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
            self._session.setDevice(device)
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
            selector.addItem(deviceText(name), name)
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


def modelText(state: Any) -> str:
    """The words for what is told of a model."""
    facts = [text for text in (printable(state.licence), sizeText(state.size)) if text]
    text = {
        "READY": _("ready"),
        "LOADING": _("is being loaded"),
        "NOT_DOWNLOADED": _("not downloaded"),
        "DOWNLOADING": _("is being downloaded"),
        "DAMAGED": _("the file was changed or is damaged"),
        "GONE": _("the file is gone: put it back, or add it again under another name"),
        "PACKAGES_MISSING": _("needs Python packages: press Install packages"),
        "FAILED": _("could not be loaded: {problem}").format(problem=state.problem),
        "UNKNOWN": _("not on this computer"),
    }[state.status.name]
    lines = [", ".join([text, *facts])]
    if state.answering != state.name:
        lines.append(_("Meanwhile {name} answers.").format(name=state.answering))
    if state.computesOn:
        lines.append(_("Computes on: {device}").format(device=deviceText(state.computesOn)))
    return "\n".join(lines)


def sizeText(size: int | None) -> str:
    """Bytes in whole megabytes; empty where they are not known."""
    return "" if size is None else f"{max(1, round(size / MEGABYTE))} MB"


def deviceText(device: str) -> str:
    """The words for a device; "" is the fastest one."""
    kind, *number = device.split(":")
    names = {
        "": _("Automatic"),
        "cpu": _("Processor (CPU)"),
        "cuda": _("NVIDIA GPU (CUDA)"),
        "mps": _("Apple GPU (MPS)"),
    }
    return " ".join((names.get(kind, kind), *number))


def _confirmDownload(entry: Any) -> bool:
    text = _(
        "{name} will be downloaded to this computer: {description}\n\n"
        "Size: {size}\nFrom: {url}\nTo: {path}\nLicence: {licence}\n\n{notes}"
    ).format(
        name=entry.name,
        description=printable(entry.description),
        size=sizeText(entry.size) or _("not known"),
        url=printable(entry.url),
        path=entry.path,
        licence=printable(entry.licence),
        notes=printable(entry.modality_notes),
    )
    return slicer.util.confirmOkCancelDisplay(text, _("Download a model"))


def _confirmRemoval(entry: Any) -> bool:
    text = _("{path} ({size}) will be deleted from this computer. {name} can be downloaded again.").format(
        path=entry.path, size=sizeText(entry.size) or _("size not known"), name=entry.name
    )
    return slicer.util.confirmOkCancelDisplay(text, _("Remove a downloaded model"))


def _confirmInstallation(requirements: Sequence[Any]) -> bool:
    text = _(
        "Models of Segment Anything need these Python packages: {names}. They will be downloaded and installed into "
        "Slicer. It may take some minutes."
    ).format(names=", ".join(map(str, requirements)))
    return slicer.util.confirmOkCancelDisplay(text, _("Install Python packages"))


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
