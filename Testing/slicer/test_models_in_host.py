"""Models, device, memory limit and task of the panel, in a stand-in for Slicer's window: real mouse, real dialogs."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest

from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.models import devices
from AdaptCore.models.registry import add_model, list_models
from Testing.learning_toy import LearningToy
from Testing.slicer.model_server import URL, Server, a_server_at
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import MODULE, User
from Testing.small_model import write_small_model
from Testing.toy_model import ToyModel

ABOVE = (CENTRE[0], CENTRE[1], CENTRE[2] + 1)
BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
TIMEOUT = 20.0


class Other(ToyModel):
    """The same model under another name."""

    name, digest = "other", "71"


class Loader:
    """Gives a model for any name, and notes what was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, name: str, device: str | None) -> ToyModel:
        assert self.goes_on.wait(TIMEOUT)
        self.asked.append((name, device))
        return ToyModel() if name == "compact" else Other()


@pytest.fixture
def a_loader(a_loaded_module: Any, monkeypatch: pytest.MonkeyPatch) -> Loader:
    from InteractiveAdaptSegLib import SegmentationLogic

    loader = Loader()
    monkeypatch.setattr(SegmentationLogic, "_loadModel", loader)
    return loader


@pytest.fixture
def a_file(a_loader: Loader, tmp_path: Path) -> Path:
    """A checkpoint, that the user has added as "mine"."""
    write_small_model(tmp_path / "mine v2.safetensors")
    add_model(tmp_path / "mine v2.safetensors", "mine", licence="CC0-1.0")
    return tmp_path / "mine v2.safetensors"


@pytest.fixture
def a_server(a_loader: Loader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The model "little" can be downloaded."""
    server = a_server_at(tmp_path, monkeypatch)
    yield server
    server.goes_on.set()


@pytest.fixture
def an_open_section(a_user: User) -> User:
    """A user who has opened the section of models, and gets real questions."""
    import slicer

    a_user.ui.modelSection.collapsed = False
    a_user.ui.learningSection.collapsed = False
    slicer.app.setTestingEnabled(False)
    return a_user


def choose_model(user: User, name: str) -> None:
    from Testing.host.user import choose

    choose(user.ui.modelSelector, name)


def listed(selector: Any) -> list[str]:
    return [selector.itemText(row) for row in range(selector.count)]


def test_models_are_listed_with_licence_size_and_state(a_file: Path, an_open_section: User) -> None:
    ui = an_open_section.ui
    assert listed(ui.modelSelector) == ["compact", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mine"]
    assert (ui.modelSelector.currentText, ui.modelLabel.text) == ("compact", "ready, Apache-2.0, 9 MB")
    assert not ui.downloadModelButton.enabled and ui.addModelButton.enabled
    assert not ui.downloadProgressBar.isVisible() and not ui.cancelDownloadButton.isVisible()
    choose_model(an_open_section, "sam_vit_b")
    assert ui.modelLabel.text == "not downloaded, Apache-2.0, 375 MB\nMeanwhile compact predicts."
    assert ui.downloadModelButton.enabled
    a_file.write_bytes(b"rubbish")
    choose_model(an_open_section, "mine")
    assert ui.modelLabel.text.startswith("the file was changed or is damaged, CC0-1.0, ")


def test_nothing_of_the_models_is_read_before_the_packages_are_there(
    a_host: Any, a_loader: Loader, a_volume: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from InteractiveAdaptSegLib import InstallLogic

    monkeypatch.setattr(InstallLogic, "installedPackageVersion", lambda name: None)
    ui = a_host.open(MODULE).ui
    ui.modelSection.collapsed = False
    assert ui.modelLabel.text == "" and ui.modelSelector.count == 0
    for widget in (ui.modelSelector, ui.downloadModelButton, ui.addModelButton, ui.deviceSelector, ui.memorySpinBox):
        assert not widget.enabled
    assert not ui.installModelButton.isVisible()


def test_model_is_changed_with_accepted_masks_and_undone_and_gone_on_with(
    a_file: Path, an_open_section: User, a_loader: Loader
) -> None:
    user = an_open_section
    user.begin()
    user.click(CENTRE)
    user.press("accept")
    accepted = user.segment()
    choose_model(user, "mine")
    user.wait()
    assert a_loader.asked == [("compact", None), ("mine", None)]
    assert user.message == "Now using model mine."
    assert user.ui.modelLabel.text.startswith("ready, CC0-1.0, ")
    assert user.ui.modelLabel.text.endswith("Computes on: Processor (CPU)")
    np.testing.assert_array_equal(user.segment(), accepted)
    user.press("undo")
    assert not user.segment().any()
    user.press("redo")
    np.testing.assert_array_equal(user.segment(), accepted)
    user.click(ABOVE)
    user.press("accept")
    assert user.segment()[ABOVE] and user.segment()[CENTRE]


def test_window_goes_on_while_a_model_is_loaded(a_file: Path, an_open_section: User, a_loader: Loader) -> None:
    user = an_open_section
    user.begin()
    user.click(CENTRE)
    a_loader.goes_on.clear()
    choose_model(user, "mine")
    assert user.ui.modelLabel.text.startswith("is being loaded, CC0-1.0")
    assert "Meanwhile compact predicts." in user.ui.modelLabel.text
    user.press("accept")
    assert user.segment()[CENTRE]
    a_loader.goes_on.set()
    user.wait()
    assert user.panel.session.model.answering == "mine"


def test_chosen_model_comes_back_with_the_scene(
    a_file: Path, an_open_section: User, a_scene: Any, tmp_path: Path
) -> None:
    user = an_open_section
    choose_model(user, "mine")
    path = str(tmp_path / "scene.mrb")
    assert a_scene.WriteToMRB(path, None)
    choose_model(user, "compact")
    a_scene.Clear(False)
    user.host.process_events()
    assert user.ui.modelSelector.currentText == "compact", "a new scene goes on with the model that answers"
    assert a_scene.ReadFromMRB(path, True, None)
    user.host.process_events()
    user.wait()
    assert user.ui.modelSelector.currentText == user.panel.session.model.answering == "mine"


def test_scene_with_an_unknown_model_keeps_its_choice_until_the_user_makes_another(
    a_file: Path, an_open_section: User
) -> None:
    user = an_open_section
    user.panel.choices.node.model = "theirs"
    assert user.message.startswith("This computer has no model 'theirs'")
    assert user.ui.modelSelector.currentText == "theirs"
    assert user.ui.modelLabel.text == "not on this computer\nMeanwhile compact predicts."
    user.begin()
    user.click(CENTRE)
    user.press("accept")
    assert user.segment()[CENTRE] and user.panel.choices.node.model == "theirs"
    choose_model(user, "compact")
    assert user.panel.choices.node.model == "compact"
    assert user.ui.modelLabel.text.startswith("ready") and "theirs" not in listed(user.ui.modelSelector)
    assert user.segment()[CENTRE]


def test_model_is_downloaded_after_a_yes_that_knows_all(
    a_server: Server, an_open_section: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    user, questions = an_open_section, []
    ask = slicer.util.confirmOkCancelDisplay
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, *given, **named: questions.append(text) or ask(text, *given)
    )
    choose_model(user, "little")
    user.host.answer_next_dialog("Cancel")
    user.press("downloadModel")
    assert a_server.asked == [] and not user.panel.session.isBusy
    assert all(part in questions[0] for part in ("A little model.", "1 MB", URL, "CC0-1.0", str(a_server.entry.path)))
    user.host.answer_next_dialog("OK")
    user.press("downloadModel")
    user.wait()
    assert a_server.asked == [URL] and a_server.entry.path.read_bytes() == a_server.content
    assert user.panel.session.model.answering == "little" and user.ui.modelLabel.text.startswith("ready, CC0-1.0, 1 MB")
    assert not user.ui.downloadModelButton.enabled and not user.ui.downloadProgressBar.isVisible()


def test_downloaded_model_is_removed_after_a_question(
    a_server: Server, an_open_section: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    import slicer

    user, questions, ask = an_open_section, [], slicer.util.confirmOkCancelDisplay
    monkeypatch.setattr(
        slicer.util, "confirmOkCancelDisplay", lambda text, *given, **named: questions.append(text) or ask(text, *given)
    )
    choose_model(user, "little")
    assert not user.ui.removeModelButton.enabled
    user.host.answer_next_dialog("OK")
    user.press("downloadModel")
    user.wait()
    user.host.answer_next_dialog("Cancel")
    user.press("removeModel")
    assert a_server.entry.path.is_file() and f"{a_server.entry.path} (1 MB) will be deleted" in questions[-1]
    user.host.answer_next_dialog("OK")
    user.press("removeModel")
    user.wait()
    assert not a_server.entry.path.exists() and not user.ui.removeModelButton.enabled
    assert user.ui.modelLabel.text.startswith("not downloaded") and user.ui.downloadModelButton.enabled


def test_download_shows_its_progress_and_is_cancelled_half_way(a_server: Server, an_open_section: User) -> None:
    user = an_open_section
    a_server.sends = 4
    choose_model(user, "little")
    user.host.answer_next_dialog("OK")
    user.press("downloadModel")
    user.host.wait_until(lambda: user.ui.downloadProgressBar.value == 100 * (4 << 16) // len(a_server.content))
    assert user.ui.downloadProgressBar.isVisible() and user.ui.modelLabel.text.startswith("is being downloaded")
    user.begin()
    user.click(CENTRE)
    user.press("accept")
    assert user.segment()[CENTRE], "the user goes on meanwhile"
    user.press("cancelDownload")
    assert not user.ui.cancelDownloadButton.enabled
    a_server.goes_on.set()
    user.wait()
    assert user.message == "The download of little was cancelled; nothing of it was kept."
    assert list(a_server.entry.path.parent.iterdir()) == []
    assert not user.ui.downloadProgressBar.isVisible() and user.ui.downloadModelButton.enabled


@pytest.mark.parametrize("what", ["checksum", "offline"])
def test_failed_download_is_told_of_in_the_panel(a_server: Server, an_open_section: User, what: str) -> None:
    user = an_open_section
    if what == "offline":
        a_server.error = URLError("no route to host")
    a_server.content = a_server.content[:-1] + b"\0"
    choose_model(user, "little")
    user.host.answer_next_dialog("OK")
    user.press("downloadModel")
    user.wait()
    wanted = "press Download again" if what == "offline" else f"Expected SHA256 {a_server.entry.sha256}, got "
    assert wanted in user.message
    assert user.ui.modelLabel.text.startswith("not downloaded") and user.ui.downloadModelButton.enabled


def test_own_file_is_added_under_a_name_and_a_licence(a_file: Path, an_open_section: User, tmp_path: Path) -> None:
    user = an_open_section
    user.host.name_file_in_next_dialog(a_file)
    user.host.fill_in_dialog("AddModel", {"licenceLineEdit": "CC-BY-4.0"}, "OK")
    user.press("addModel")
    user.wait()
    assert user.message == "mine-v2 was added: it can be chosen now."
    (entry,) = [entry for entry in list_models() if entry.name == "mine-v2"]
    assert (entry.licence, entry.path) == ("CC-BY-4.0", a_file)
    choose_model(user, "mine-v2")
    user.begin()
    user.wait()
    user.click(CENTRE)
    assert user.panel.session.model.answering == "mine-v2" and user.panel.session.mask.any()


def test_cancelled_dialogs_and_wrong_files_add_nothing(a_file: Path, an_open_section: User, tmp_path: Path) -> None:
    user, before = an_open_section, list_models()
    user.host.answer_next_dialog("Cancel")
    user.press("addModel")
    user.host.name_file_in_next_dialog(a_file)
    user.host.fill_in_dialog("AddModel", {}, "Cancel")
    user.press("addModel")
    assert not user.panel.session.isBusy and user.message == ""
    user.host.name_file_in_next_dialog(a_file)
    user.host.fill_in_dialog("AddModel", {"nameLineEdit": "two words"}, "OK")
    user.press("addModel")
    assert user.message == "Model name 'two words': use letters, digits, _ and - only."
    (tmp_path / "wrong.pth").write_bytes(b"<html>")
    user.host.name_file_in_next_dialog(tmp_path / "wrong.pth")
    user.host.fill_in_dialog("AddModel", {}, "OK")
    user.press("addModel")
    user.wait()
    assert "a web page" in user.message and list_models() == before


def test_packages_are_asked_for_when_a_model_that_needs_them_is_chosen(
    a_server: Server, a_loader: Loader, a_host: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    from InteractiveAdaptSegLib import InstallLogic

    installed: list[str] = []
    known = InstallLogic.installedPackageVersion
    lacking = {"torchvision": None, "segment-anything": None}
    monkeypatch.setattr(
        InstallLogic, "installedPackageVersion", lambda name: lacking[name] if name in lacking else known(name)
    )

    def install(requirements: Any) -> None:
        for requirement in requirements:
            installed.append(requirement.name)
            lacking[requirement.name] = "99"

    monkeypatch.setattr(InstallLogic, "installTorchWithPyTorchUtils", lambda requirement: install([requirement]))
    monkeypatch.setattr(InstallLogic, "installPackagesWithSlicer", install)
    a_server.make_sam()
    a_server.entry.path.parent.mkdir()
    a_server.entry.path.write_bytes(a_server.content)
    user = request.getfixturevalue("an_open_section")
    assert user.ui.installModelButton.isVisible()
    user.host.answer_next_dialog("Cancel")
    choose_model(user, "little")
    assert installed == [] and user.panel.choices.node.model == "little"
    assert user.ui.modelLabel.text.startswith("needs Python packages: press Install packages")
    assert user.panel.session.model.answering == "compact"
    user.host.answer_next_dialog("OK")
    user.press("installModel")
    user.wait()
    assert installed == ["torchvision", "segment-anything"]
    assert user.panel.session.model.answering == "little" and not user.ui.installModelButton.isVisible()


@pytest.fixture
def a_machine_with_two_gpus(a_loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "available_devices", lambda: ("cpu", "cuda:0", "cuda:1"))


def test_devices_are_those_of_the_machine_and_the_choice_is_remembered(
    a_machine_with_two_gpus: None, an_open_section: User, a_loader: Loader
) -> None:
    from Testing.host.user import choose

    user, setting = an_open_section, "InteractiveAdaptSeg/Device"
    names = ["Automatic", "Processor (CPU)", "NVIDIA GPU (CUDA) 0", "NVIDIA GPU (CUDA) 1"]
    assert listed(user.ui.deviceSelector) == names and user.ui.deviceSelector.currentText == "Automatic"
    user.begin()
    user.click(CENTRE)
    choose(user.ui.deviceSelector, "NVIDIA GPU (CUDA) 1")
    user.wait()
    assert a_loader.asked == [("compact", None), ("compact", "cuda:1")]
    assert user.host.application.userSettings().value(setting) == "cuda:1"
    user.click(ABOVE)
    assert user.panel.session.mask.any()
    choose(user.ui.deviceSelector, "Automatic")
    user.wait()
    assert user.host.application.userSettings().value(setting) == ""


@pytest.mark.parametrize(("remembered", "expected"), [("cuda:1", "cuda:1"), ("mps", None), ("", None)])
def test_device_of_the_last_session_is_taken_up_if_it_is_still_there(
    a_machine_with_two_gpus: None,
    a_loader: Loader,
    a_host: Any,
    a_volume: Any,
    remembered: str,
    expected: str | None,
) -> None:
    a_host.application.userSettings().setValue("InteractiveAdaptSeg/Device", remembered)
    panel = a_host.open(MODULE).panel
    a_host.process_events()
    assert not panel.session.isBusy and a_loader.asked == [], "nothing is loaded before it is needed"
    panel.session.model.load()
    assert a_loader.asked == [("compact", expected)]
    panel.ui.modelSection.collapsed = False
    shown = "NVIDIA GPU (CUDA) 1" if expected else "Automatic"
    assert panel.ui.deviceSelector.currentText == shown
    assert a_host.application.userSettings().value("InteractiveAdaptSeg/Device") == remembered


def test_memory_limit_holds_at_once_and_is_remembered(a_loader: Loader, an_open_section: User) -> None:
    from Testing.host.user import type_text

    user, settings = an_open_section, an_open_section.host.application.userSettings()
    assert user.ui.memorySpinBox.value == 512 and settings.value("InteractiveAdaptSeg/EmbeddingMemory") is None
    type_text(user.ui.memorySpinBox, "64")
    assert user.panel.session.model.memory == 64
    assert int(settings.value("InteractiveAdaptSeg/EmbeddingMemory")) == 64


def test_memory_limit_of_the_last_session_is_taken_up(a_loader: Loader, a_host: Any, a_volume: Any) -> None:
    a_host.application.userSettings().setValue("InteractiveAdaptSeg/EmbeddingMemory", "128")
    panel = a_host.open(MODULE).panel
    a_host.process_events()
    assert panel.session.model.memory == 128
    panel.ui.modelSection.collapsed = False
    assert panel.ui.memorySpinBox.value == 128 and panel.session.model.cache.max_bytes == 128 * 2**20


def test_model_and_device_are_greyed_out_during_a_propagation(a_file: Path, an_open_section: User) -> None:
    from Testing.slicer.halted import halted_propagation

    user = an_open_section
    user.begin()
    user.click(CENTRE)
    with halted_propagation(planes=1):
        user.press("propagate")
        assert not user.ui.modelSelector.enabled and not user.ui.deviceSelector.enabled
        user.press("cancel")
        user.wait()
    assert user.ui.modelSelector.enabled and user.ui.deviceSelector.enabled


def test_task_of_another_model_is_told_of_and_leaves_the_list_empty(
    a_file: Path, an_open_section: User, a_loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    from InteractiveAdaptSegLib import SegmentationLogic
    from Testing.host.user import type_text

    user = an_open_section
    user.panel.session.model._loadModel = lambda name, device: LearningToy() if name == "compact" else Other()
    assert SegmentationLogic._loadModel is a_loader
    type_text(user.ui.taskSelector, "tube")
    user.begin()
    user.click(CENTRE)
    user.press("accept")
    user.wait()
    choose_model(user, "mine")
    user.wait()
    assert user.ui.taskSelector.currentText == "" and user.ui.taskLabel.text == "No task: nothing is learnt."
    assert user.message.startswith("Now using model mine. Task 'tube' cannot go on, so that nothing is learnt")
    assert TaskStore().info("tube").accepted == 1


def test_last_lesson_is_undone_and_the_task_is_reset(a_learning_model: None, an_open_section: User) -> None:
    from Testing.host.user import type_text

    user = an_open_section
    type_text(user.ui.taskSelector, "tube")
    assert not user.ui.undoLessonButton.enabled and not user.ui.resetTaskButton.enabled
    user.begin()
    for index, voxel in enumerate((CENTRE, ABOVE), start=1):
        user.click(voxel)
        user.press("accept")
        user.wait()
        assert TaskStore().info("tube").accepted == index
    before = user.segment()
    user.press("undoLesson")
    user.wait()
    assert TaskStore().info("tube").accepted == 1 and not user.ui.undoLessonButton.enabled
    assert "only the latest one" in user.ui.undoLessonButton.toolTip
    user.host.answer_next_dialog("Cancel")
    user.press("resetTask")
    assert TaskStore().path("tube").exists()
    user.host.answer_next_dialog("OK")
    user.press("resetTask")
    assert not TaskStore().path("tube").exists() and len(list(TaskStore().folder.glob("*.bak"))) == 1
    assert user.ui.taskLabel.text == "tube: nothing accepted yet"
    assert user.message.startswith("Task 'tube' begins anew; its old file is ")
    assert not user.ui.resetTaskButton.enabled
    np.testing.assert_array_equal(user.segment(), before)


@pytest.mark.parametrize("what", ["loading", "downloading"])
def test_slicer_can_end_while_a_model_comes(
    a_server: Server, an_open_section: User, a_loader: Loader, what: str
) -> None:
    user, panel = an_open_section, an_open_section.panel
    choose_model(user, "little")
    a_server.sends = 2
    if what == "loading":
        a_server.entry.path.parent.mkdir(exist_ok=True)
        a_server.entry.path.write_bytes(a_server.content)
        a_loader.goes_on.clear()
        choose_model(user, "compact")
        choose_model(user, "little")
        assert panel.session.isBusy
    else:
        user.host.answer_next_dialog("OK")
        user.press("downloadModel")
        assert a_server.halted.wait(TIMEOUT)
    threading.Timer(0.1, lambda: (a_server.goes_on.set(), a_loader.goes_on.set())).start()
    user.host.close()
    assert user.widget.panel is None


def test_scene_can_be_closed_while_a_model_is_loaded(
    a_file: Path, an_open_section: User, a_scene: Any, a_loader: Loader
) -> None:
    user = an_open_section
    user.begin()
    user.click(CENTRE)
    a_loader.goes_on.clear()
    choose_model(user, "mine")
    a_scene.Clear(False)
    user.host.process_events()
    a_loader.goes_on.set()
    user.wait()
    assert user.panel.session.model.answering == "mine" == user.ui.modelSelector.currentText
