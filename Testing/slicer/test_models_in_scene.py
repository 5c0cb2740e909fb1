"""Models in the scene: chosen, loaded beside the window, downloaded, added; sessions go on with what was accepted."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch

from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.errors import CheckpointError, ModelError
from AdaptCore.models.base import Model
from AdaptCore.models.registry import add_model, list_models, load_model, user_manifest
from AdaptCore.preference.profiles import ProfileStore
from Testing.learning_toy import LearningToy
from Testing.slicer.model_server import URL, Server, a_server_at
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE
from Testing.small_model import write_small_model

BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
ABOVE = (CENTRE[0], CENTRE[1], CENTRE[2] + 1)
TIMEOUT = 20.0


class Eager(LearningToy):
    """Takes everything for the object."""

    name, digest = "mine", "71"

    def __init__(self, bias: torch.Tensor | None = None) -> None:
        super().__init__(torch.tensor(1.0) if bias is None else bias)

    def with_decoder(self, weights: Any) -> Eager:
        return Eager(weights.get("bias", self._bias))


class Movable(LearningToy):
    """Says that it computes where it is told to."""

    place = "cpu"

    @property
    def device(self) -> torch.device:
        return torch.device(self.place)


class Loader:
    """Gives models by name, and notes what was asked for; an error is raised in place of the model."""

    def __init__(self) -> None:
        self.models: dict[str, Model | Exception] = {"compact": LearningToy(), "mine": Eager(), "little": Eager()}
        self.asked: list[tuple[str, str | None]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()

    def __call__(self, name: str, device: str | None) -> Model:
        assert self.goes_on.wait(TIMEOUT)
        self.asked.append((name, device))
        model = self.models[name]
        if isinstance(model, Exception):
            raise model
        return model


@pytest.fixture(autouse=True)
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, with the model "mine"."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    write_small_model(tmp_path / "mine.safetensors")
    add_model(tmp_path / "mine.safetensors", "mine", licence="CC0-1.0")
    return tmp_path / "home"


@pytest.fixture
def a_loader() -> Loader:
    return Loader()


@pytest.fixture
def a_panel(a_scene: Any, a_slice_view: Any, a_loader: Loader) -> Iterator[Panel]:
    panel = Panel(a_scene, a_slice_view, LearningToy(), a_loader)
    panel.logic.model.refresh()
    yield panel
    a_loader.goes_on.set()
    panel.logic.close()


@pytest.fixture
def a_session(a_panel: Panel, a_volume: Any, a_segmentation: Any) -> Panel:
    """A panel where the segment "lesion" is chosen."""
    a_panel.choose(a_volume, a_segmentation, "lesion")
    return a_panel


@pytest.fixture
def a_server(a_home: Path, tmp_path: Path, a_panel: Panel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The model "little" can be downloaded, and is chosen."""
    server = a_server_at(tmp_path, monkeypatch)
    a_panel.logic.model.refresh()
    a_panel.logic.model.choose("little")
    yield server
    server.goes_on.set()


def status(panel: Panel) -> str:
    return panel.logic.model.status.name


def test_scene_begins_with_the_built_in_model_which_is_loaded_at_the_first_prompt(
    a_session: Panel, a_loader: Loader
) -> None:
    assert (a_session.logic.model.name, status(a_session), a_session.logic.isBusy) == ("compact", "READY", False)
    assert a_loader.asked == []
    a_session.click(CENTRE)
    assert a_loader.asked == [("compact", None)]


def test_chosen_model_answers_later_prompts_once_it_is_loaded(a_session: Panel, a_loader: Loader) -> None:
    a_session.click(CENTRE)
    little = a_session.logic.mask
    a_loader.goes_on.clear()
    a_session.logic.model.choose("mine")
    assert (status(a_session), a_session.logic.model.answering) == ("LOADING", "compact")
    np.testing.assert_array_equal(a_session.logic.mask, little)
    a_loader.goes_on.set()
    a_session.wait()
    assert (status(a_session), a_session.logic.model.answering) == ("READY", "mine")
    assert a_session.logic.mask.all() and not little.all(), "what is not accepted is answered anew"
    assert a_session.messages == ["Now using model mine."]
    a_session.click(ABOVE)
    assert a_session.logic.mask.all()


def test_accepted_masks_stay_and_are_undone_and_redone_under_another_model(a_session: Panel) -> None:
    for voxel in (CENTRE, ABOVE):
        a_session.click(voxel)
        a_session.click((voxel[0] + 6, *voxel[1:]))
        a_session.logic.accept()
    before = a_session.segment("lesion")
    a_session.logic.model.choose("mine")
    a_session.wait()
    np.testing.assert_array_equal(a_session.segment("lesion"), before)
    assert a_session.logic.isAccepted
    a_session.logic.undo()
    first = a_session.segment("lesion")
    np.testing.assert_array_equal(first[:, :, CENTRE[2]], before[:, :, CENTRE[2]])
    assert not first[:, :, ABOVE[2]].any()
    a_session.logic.redo()
    np.testing.assert_array_equal(a_session.segment("lesion"), before)
    for _ in range(6):
        a_session.logic.undo()
    assert not a_session.logic.canUndo and not a_session.segment("lesion").any()
    assert a_session.count_points() == (0, 0)
    for _ in range(6):
        a_session.logic.redo()
    np.testing.assert_array_equal(a_session.segment("lesion"), before)
    assert a_session.count_points() == (4, 0)


def test_correction_by_another_model_takes_the_place_of_what_was_accepted(a_session: Panel, a_loader: Loader) -> None:
    a_loader.models["compact"], a_loader.models["mine"] = Eager(), LearningToy()
    a_session.click(CENTRE)
    a_session.logic.accept()
    assert a_session.segment("lesion")[:, :, CENTRE[2]].all()
    a_session.logic.model.choose("mine")
    a_session.wait()
    a_session.click(BESIDE)
    corrected = a_session.logic.mask
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion")[:, :, CENTRE[2]].T, corrected)
    assert 0 < corrected.sum() < corrected.size


def test_propagation_goes_on_and_is_undone_under_another_model(a_session: Panel) -> None:
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_session.logic.propagate()
    a_session.wait()
    carried = a_session.segment("lesion")
    assert carried.any(axis=(0, 1)).sum() > 1
    a_session.logic.model.choose("mine")
    a_session.wait()
    np.testing.assert_array_equal(a_session.segment("lesion"), carried)
    assert a_session.logic.hasUnsurePlane
    a_session.logic.showUnsurePlane()
    assert a_session.logic.mask is not None
    a_session.logic.undo()
    assert not a_session.segment("lesion").any(), "a mask that was not accepted is propagated in one step"
    a_session.logic.redo()
    np.testing.assert_array_equal(a_session.segment("lesion"), carried)


def test_cleared_clicks_and_boxes_come_back_under_another_model(a_session: Panel) -> None:
    a_session.click(CENTRE)
    corner, opposite = (a_session.world((CENTRE[0] + by, CENTRE[1] + by, CENTRE[2])) for by in (-5, 5))
    a_session.logic.addBox(a_session.view, corner, opposite)
    corner = a_session.world((CENTRE[0] - 8, CENTRE[1] - 8, CENTRE[2]))
    a_session.logic.addBox(a_session.view, corner, opposite)
    a_session.logic.clearPrompts()
    a_session.logic.model.choose("mine")
    a_session.wait()
    plane = lambda: a_session.logic._requireTarget().region(a_session.logic.activePlane).session  # noqa: E731
    a_session.logic.undo()
    assert len(plane().prompts.clicks) == 1 and plane().prompts.box.x1 - plane().prompts.box.x0 == pytest.approx(13)
    a_session.logic.undo()
    assert plane().prompts.box.x1 - plane().prompts.box.x0 == pytest.approx(10)
    a_session.logic.undo()
    assert plane().prompts.box is None and len(plane().prompts.clicks) == 1


def test_scene_with_a_model_that_is_not_here_is_answered_by_the_built_in_one(a_session: Panel) -> None:
    a_session.logic.model.choose("theirs")
    a_session.click(CENTRE)
    assert (a_session.logic.model.name, status(a_session)) == ("theirs", "UNKNOWN")
    assert a_session.logic.model.answering == "compact" and not a_session.logic.mask.all()
    (message,) = a_session.messages
    assert message.startswith("This computer has no model 'theirs'") and "the built-in one is used" in message


def test_loaded_scene_goes_on_under_another_model(a_session: Panel, tmp_path: Path) -> None:
    a_session.click(CENTRE)
    a_session.logic.accept()
    accepted = a_session.segment("lesion")
    a_session.model = Eager()
    other = save_and_reload(a_session, tmp_path)
    np.testing.assert_array_equal(other.segment("lesion"), accepted)
    other.click(ABOVE)
    assert other.logic.mask.all()
    other.logic.close()


@pytest.mark.parametrize(
    ("error", "expected"), [(CheckpointError("SHA256 of another file"), "DAMAGED"), (ModelError("no such"), "FAILED")]
)
def test_model_that_cannot_be_loaded_leaves_the_session_alone(
    a_session: Panel, a_loader: Loader, error: Exception, expected: str
) -> None:
    a_session.click(CENTRE)
    session, mask = a_session.logic._requireTarget().session, a_session.logic.mask
    a_loader.models["mine"] = error
    a_session.logic.model.choose("mine")
    a_session.wait()
    assert (status(a_session), a_session.logic.model.problem) == (expected, str(error))
    assert a_session.messages == [str(error)]
    assert a_session.logic._requireTarget().session is session and a_session.logic.mask is mask
    a_loader.models["mine"] = Eager()
    a_session.logic.model.choose("compact")
    a_session.logic.model.choose("mine")
    a_session.wait()
    assert status(a_session) == "READY" and a_session.logic.mask.all()


def test_model_that_fails_after_another_one_gives_way_to_the_built_in(a_session: Panel, a_loader: Loader) -> None:
    a_session.logic.model.choose("mine")
    a_session.wait()
    a_session.click(CENTRE)
    a_loader.models["little"] = ModelError("no such")
    add_model(Path(a_session.logic.model.entries["mine"].file), "little")
    a_session.logic.model.refresh()
    a_session.logic.model.choose("little")
    a_session.wait()
    assert a_session.logic.model.answering == "compact" and not a_session.logic.mask.all()


def test_changed_and_missing_files_are_noticed_before_they_are_loaded(a_session: Panel, tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(file.read_bytes() + b"x")
    a_session.logic.model.choose("mine")
    assert (status(a_session), a_session.logic.isBusy) == ("DAMAGED", False)
    file.unlink()
    assert status(a_session) == "GONE"
    a_session.click(CENTRE)
    assert a_session.logic.model.answering == "compact"


def test_damaged_list_of_own_models_is_told_of_and_the_shipped_ones_are_there(a_panel: Panel) -> None:
    user_manifest().write_text("{")
    a_panel.logic.model.refresh()
    assert list(a_panel.logic.model.entries) == ["compact", "sam_vit_b", "sam_vit_l", "sam_vit_h"]
    assert len(a_panel.messages) == 1 and "model manifest" in a_panel.messages[0]


def test_model_is_not_changed_during_a_propagation(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.ViewModel import modelState

    a_session.click(CENTRE)
    a_session.logic.propagate()
    assert not modelState(a_session.logic).canChoose
    for change in (lambda: a_session.logic.model.choose("mine"), lambda: a_session.logic.model.setDevice("cpu")):
        with pytest.raises(SceneError, match="propagation is under way"):
            change()
    a_session.wait()
    assert a_session.logic.model.name == "compact" and modelState(a_session.logic).canChoose


def test_model_that_arrives_during_a_propagation_answers_after_it(a_session: Panel, a_loader: Loader) -> None:
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_loader.goes_on.clear()
    a_session.logic.model.choose("mine")
    a_session.logic.propagate()
    a_loader.goes_on.set()
    assert a_session.logic.model._coming is not None and a_session.logic.model._coming[1].result(TIMEOUT)
    a_session.wait()
    assert a_session.logic.model.answering == "mine"
    assert not a_session.segment("lesion").all(axis=(0, 1)).any(), "the model before has carried the mask"


def test_click_while_the_first_model_is_loaded_is_refused_and_changes_nothing(
    a_session: Panel, a_loader: Loader
) -> None:
    a_loader.goes_on.clear()
    a_session.logic.model.choose("mine")
    with pytest.raises(ModelError, match="model mine is being loaded: click again when it is there"):
        a_session.click(CENTRE)
    assert a_session.count_points() == (0, 0) and not a_session.logic.canUndo
    a_loader.goes_on.set()
    a_session.wait()
    a_session.click(CENTRE)
    assert a_session.logic.mask.all() and a_loader.asked == [("mine", None)]


def test_choice_that_is_taken_back_while_it_is_loaded_has_no_effect(a_session: Panel, a_loader: Loader) -> None:
    a_session.click(CENTRE)
    mask = a_session.logic.mask
    a_loader.goes_on.clear()
    a_session.logic.model.choose("mine")
    a_session.logic.model.choose("compact")
    a_loader.goes_on.set()
    a_session.wait()
    assert (status(a_session), a_session.logic.model.answering) == ("READY", "compact")
    assert a_session.logic.mask is mask and a_session.messages == []


def test_task_of_another_model_is_no_longer_chosen_and_its_file_stays(a_session: Panel) -> None:
    a_session.logic.setTask("tube")
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_session.logic.accept()
    a_session.logic.model.choose("mine")
    a_session.wait()
    stored = TaskStore().path("tube").read_bytes()
    assert a_session.logic.task.name is None and not a_session.logic.task.isLearning
    assert "Task 'tube' cannot go on, so that nothing is learnt now" in a_session.messages[-1]
    assert "Choose that model, or another task name" in a_session.messages[-1]
    a_session.logic.setTask("all of it")
    a_session.click(ABOVE)
    a_session.logic.accept()
    a_session.wait()
    assert TaskStore().info("all of it").model == "mine"
    a_session.logic.model.choose("compact")
    a_session.wait()
    assert a_session.logic.task.name is None
    a_session.logic.setTask("tube")
    assert len(a_session.logic.task.history) == 1 and TaskStore().path("tube").read_bytes() == stored


def test_task_that_knows_nothing_yet_goes_on_with_the_other_model(a_session: Panel) -> None:
    a_session.logic.setTask("new")
    a_session.click(CENTRE)
    a_session.logic.model.choose("mine")
    a_session.wait()
    a_session.click(ABOVE)
    a_session.logic.accept()
    a_session.wait()
    assert a_session.logic.task.name == "new" and TaskStore().info("new").model == "mine"


def test_model_that_cannot_learn_leaves_no_task_chosen(a_session: Panel, a_loader: Loader) -> None:
    from Testing.toy_model import ToyModel

    a_loader.models["mine"] = ToyModel()
    a_session.logic.setTask("tube")
    a_session.click(CENTRE)
    a_session.logic.model.choose("mine")
    a_session.wait()
    assert a_session.logic.task.name is None and "model toy cannot learn" in a_session.messages[-1]
    a_session.click(ABOVE)
    assert a_session.logic.mask.any()


def test_user_whose_profile_is_of_another_model_is_no_longer_chosen(a_session: Panel) -> None:
    a_session.logic.profile.choose("Anna")
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.wait()
    stored = ProfileStore().path("Anna", "default").read_bytes()
    a_session.logic.model.choose("mine")
    a_session.wait()
    assert a_session.logic.profile.user is None
    assert a_session.messages[-1].startswith("Now using model mine. The profile of Anna cannot go on")
    assert "so that picks are not learnt now" in a_session.messages[-1]
    a_session.logic.undo()
    a_session.wait()
    assert ProfileStore().path("Anna", "default").read_bytes() == stored
    a_session.logic.model.choose("compact")
    a_session.wait()
    a_session.logic.profile.choose("Anna")
    assert a_session.logic.profile.picks == 1


def test_candidates_are_asked_of_the_model_that_is_chosen(a_session: Panel) -> None:
    a_session.logic.candidates.setWanted(True)
    a_session.click(CENTRE)
    a_session.wait()
    before = [view.mask for view in a_session.logic.candidates.views]
    a_session.logic.pick(1)
    a_session.logic.model.choose("mine")
    a_session.wait()
    assert a_session.logic.mask.any() and before
    a_session.click(ABOVE)
    a_session.wait()
    assert all(view.mask.sum() > max(mask.sum() for mask in before) for view in a_session.logic.candidates.views)


def test_device_is_passed_on_and_the_task_goes_on_there(a_session: Panel, a_loader: Loader) -> None:
    a_session.logic.model.setDevice("cpu")
    assert a_loader.asked == [] and not a_session.logic.isBusy, "nothing is loaded before it is needed"
    a_session.logic.setTask("tube")
    a_session.click(CENTRE)
    a_session.click(BESIDE)
    a_session.logic.accept()
    a_session.logic.model.setDevice(None)
    a_session.wait()
    assert a_loader.asked == [("compact", "cpu"), ("compact", None)]
    assert a_session.logic.task.name == "tube" and len(a_session.logic.task.history) == 1
    a_session.click(ABOVE)
    a_session.logic.accept()
    a_session.wait()
    assert TaskStore().info("tube").accepted == 2


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory"), MemoryError()]
)
def test_model_that_does_not_fit_says_what_to_do(a_session: Panel, a_loader: Loader, error: Exception) -> None:
    a_loader.models["mine"] = error
    a_session.logic.model.choose("mine")
    a_session.wait()
    assert status(a_session) == "FAILED"
    assert a_session.messages == [
        "Model mine does not fit into the memory of the device: choose a smaller one, or the CPU, or close what else "
        "uses the device"
    ]


def test_other_failure_of_loading_is_not_hidden(a_session: Panel, a_loader: Loader) -> None:
    a_loader.models["mine"] = RuntimeError("mat1 and mat2")
    a_session.logic.model.choose("mine")
    with pytest.raises(RuntimeError, match="mat1"):
        a_session.wait()
    assert not a_session.logic.isBusy
    a_session.click(CENTRE)
    assert a_session.logic.mask.any()
    assert (status(a_session), a_session.logic.model.problem) == ("FAILED", "RuntimeError: mat1 and mat2")


def test_model_that_has_gone_to_the_processor_is_told_of_once(a_session: Panel, a_loader: Loader) -> None:
    model = Movable()
    model.place = "meta"
    a_loader.models["compact"] = model
    a_session.logic.setTask(None)
    a_session.click(CENTRE)
    assert a_session.logic.model.computesOn == "meta" and a_session.messages == []
    model.place = "cpu"
    for voxel in (BESIDE, ABOVE):
        a_session.click(voxel)
    (message,) = a_session.messages
    assert (
        message.startswith("The device cannot go on, because its memory is full or PyTorch ")
        and "Choose a smaller model" in message
    )
    assert a_session.logic.model.isOnCpuInstead
    a_session.logic.model.setDevice(None)
    a_session.wait()
    assert a_loader.asked == [("compact", None)] * 2 and not a_session.logic.model.isOnCpuInstead


def test_lower_memory_limit_drops_the_oldest_embeddings_at_once(a_session: Panel) -> None:
    assert a_session.logic.model.memory == 512
    a_session.click(CENTRE)
    cache = a_session.logic.model.cache
    a_session.logic._requireTarget().session.wait()
    assert len(cache._entries) > 1
    a_session.logic.model.setMemory(0)
    assert len(cache._entries) == 0 and a_session.logic.model.memory == 0
    a_session.click(BESIDE)
    assert a_session.logic.mask.any()


def agree(entry: Any) -> bool:
    return True


def test_nothing_is_downloaded_without_a_yes(a_panel: Panel, a_server: Server, a_home: Path) -> None:
    asked: list[Any] = []
    a_panel.logic.model.startDownload(lambda entry: bool(asked.append(entry)))
    assert asked == [a_server.entry] and a_server.asked == [] and not a_panel.logic.isBusy
    assert (status(a_panel), (a_home / "models").exists()) == ("NOT_DOWNLOADED", False)


def test_downloaded_model_is_checked_and_answers(a_session: Panel, a_server: Server, a_home: Path) -> None:
    a_session.click(CENTRE)
    assert a_session.logic.model.answering == "compact"
    a_session.logic.model.startDownload(agree)
    a_session.wait()
    assert a_server.asked == [URL]
    assert (a_home / "models" / "little.safetensors").read_bytes() == a_server.content
    assert (status(a_session), a_session.logic.model.answering) == ("READY", "little")
    assert a_session.messages == ["little was downloaded and checked.", "Now using model little."]
    assert a_session.logic.mask.all()


def test_download_tells_how_far_it_is_and_can_be_cancelled(a_session: Panel, a_server: Server, a_home: Path) -> None:
    from InteractiveAdaptSegLib.ViewModel import modelState

    a_server.sends = 2
    a_session.logic.model.startDownload(agree)
    assert a_server.halted.wait(TIMEOUT)
    state = modelState(a_session.logic)
    assert (state.status.name, state.downloading, state.canCancelDownload) == ("DOWNLOADING", "little", True)
    assert (state.received, state.total) == (2 << 16, len(a_server.content))
    assert not state.canDownload
    a_session.click(CENTRE)
    assert a_session.logic.mask.any(), "the user goes on meanwhile"
    with pytest.raises(ModelError, match="little is being downloaded: wait for its end or cancel it"):
        a_session.logic.model.startDownload(agree)
    a_session.logic.model.cancelDownload()
    assert not modelState(a_session.logic).canCancelDownload
    a_server.goes_on.set()
    a_session.wait()
    assert status(a_session) == "NOT_DOWNLOADED" and modelState(a_session.logic).canDownload
    assert list((a_home / "models").iterdir()) == []
    assert a_session.messages == ["The download of little was cancelled; nothing of it was kept."]


@pytest.mark.parametrize("what", ["another file", "a web page", "offline"])
def test_failed_download_keeps_nothing_and_says_why(a_panel: Panel, a_server: Server, a_home: Path, what: str) -> None:
    if what == "another file":
        a_server.content = a_server.content[:-1] + b"\0"
    elif what == "a web page":
        a_server.content = b"<html>503</html>"
    else:
        a_server.error = URLError("no route to host")
    a_panel.logic.model.startDownload(agree)
    a_panel.wait()
    (message,) = a_panel.messages
    assert "Nothing was kept" in message and URL in message
    assert ("Check the internet connection and press Download again" in message) is (what == "offline")
    assert status(a_panel) == "NOT_DOWNLOADED" and list((a_home / "models").iterdir()) == []


def test_damaged_download_can_be_fetched_again(a_panel: Panel, a_server: Server) -> None:
    from InteractiveAdaptSegLib.ViewModel import modelState

    a_server.entry.path.parent.mkdir()
    a_server.entry.path.write_bytes(b"rubbish")
    assert status(a_panel) == "DAMAGED" and modelState(a_panel.logic).canDownload
    a_panel.logic.model.startDownload(agree)
    a_panel.wait()
    assert status(a_panel) == "READY" and not modelState(a_panel.logic).canDownload


def test_downloaded_model_is_removed_and_the_built_in_one_answers(a_session: Panel, a_server: Server) -> None:
    from InteractiveAdaptSegLib.ViewModel import modelState

    model = a_session.logic.model
    model.startDownload(agree)
    assert not modelState(a_session.logic).canRemove
    a_session.wait()
    assert model.answering == "little" and modelState(a_session.logic).canRemove
    model.remove(lambda entry: False)
    assert a_server.entry.path.is_file() and status(a_session) == "READY"
    model.remove(agree)
    a_session.wait()
    assert not a_server.entry.path.exists() and status(a_session) == "NOT_DOWNLOADED"
    assert model.answering == "compact"
    state = modelState(a_session.logic)
    assert state.canDownload and not state.canRemove
    with pytest.raises(ModelError, match="Model 'little' was not downloaded: there is nothing to remove"):
        model.remove(agree)
    for name in ("compact", "mine"):
        a_session.logic.model.choose(name)
        assert not modelState(a_session.logic).canRemove


def test_own_model_has_nothing_to_download(a_panel: Panel) -> None:
    a_panel.logic.model.choose("mine")
    with pytest.raises(ModelError, match="'mine' cannot be downloaded"):
        a_panel.logic.model.startDownload(agree)


def test_closing_ends_a_download_and_keeps_nothing(a_panel: Panel, a_server: Server, a_home: Path) -> None:
    a_server.sends = 2
    a_panel.logic.model.startDownload(agree)
    assert a_server.halted.wait(TIMEOUT)
    threading.Timer(0.1, a_server.goes_on.set).start()
    a_panel.logic.close()
    assert list((a_home / "models").iterdir()) == []


def test_own_file_is_added_and_can_be_chosen(a_panel: Panel, tmp_path: Path) -> None:
    a_panel.logic.model.addFile(tmp_path / "mine.safetensors", "second", "CC-BY-4.0")
    assert a_panel.logic.model.isAdding
    a_panel.wait()
    assert a_panel.messages == ["second was added: it can be chosen now."]
    assert [entry.licence for entry in list_models() if entry.name == "second"] == ["CC-BY-4.0"]
    assert "second" in a_panel.logic.model.entries and a_panel.logic.model.name == "compact"


def test_file_added_under_the_name_that_the_scene_asks_for_answers(
    a_session: Panel, a_loader: Loader, tmp_path: Path
) -> None:
    a_loader.models["theirs"] = Eager()
    a_session.logic.model.choose("theirs")
    a_session.logic.model.addFile(tmp_path / "mine.safetensors", "theirs", "")
    a_session.wait()
    a_session.click(CENTRE)
    assert a_session.logic.model.answering == "theirs" and a_session.logic.mask.all()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("new", b"<html>", "got a web page"),
        ("mine", None, "There is a model 'mine' already"),
    ],
)
def test_wrong_file_is_refused_with_the_reason(
    a_panel: Panel, tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    file = tmp_path / "mine.safetensors"
    if content is not None:
        file = tmp_path / "wrong.pth"
        file.write_bytes(content)
    before = user_manifest().read_bytes()
    a_panel.logic.model.addFile(file, name, "")
    a_panel.wait()
    assert len(a_panel.messages) == 1 and message in a_panel.messages[0]
    assert user_manifest().read_bytes() == before


@pytest.mark.parametrize("name", ["", "two words", "-x", "../up"])
def test_odd_name_for_a_model_is_refused(a_panel: Panel, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match="use letters, digits, _ and - only"):
        a_panel.logic.model.addFile(tmp_path / "mine.safetensors", name, "")
    assert not a_panel.logic.isBusy


@pytest.fixture
def without_packages(a_panel: Panel, tmp_path: Path) -> Callable[[], list[str]]:
    """The packages of SAM models are missing; gives what was installed since."""
    from InteractiveAdaptSegLib.InstallLogic import InstallLogic

    (tmp_path / "sam.txt").write_text("torchvision>=0.21\nsegment-anything>=1.0\n")
    there: dict[str, str] = {}
    install = lambda requirements: there.update({one.name: one.minimum for one in requirements})  # noqa: E731
    a_panel.logic.model._samPackages = InstallLogic(
        tmp_path / "sam.txt", there.get, lambda requirement: install([requirement]), install
    )
    return lambda: sorted(there)


def test_packages_of_a_model_are_installed_after_a_yes(
    a_session: Panel, a_server: Server, without_packages: Callable[[], list[str]]
) -> None:
    from InteractiveAdaptSegLib.ViewModel import modelState

    a_server.make_sam()
    a_server.entry.path.parent.mkdir()
    a_server.entry.path.write_bytes(a_server.content)
    a_session.logic.model.refresh()
    assert status(a_session) == "PACKAGES_MISSING" and modelState(a_session.logic).canInstall
    asked: list[str] = []
    a_session.logic.model.install(lambda missing: bool(asked.extend(map(str, missing))))
    assert asked == ["torchvision>=0.21", "segment-anything>=1.0"]
    assert without_packages() == [] and status(a_session) == "PACKAGES_MISSING"
    a_session.logic.model.install(lambda missing: True)
    assert without_packages() == ["segment-anything", "torchvision"]
    a_session.wait()
    assert a_session.logic.model.answering == "little" and not modelState(a_session.logic).canInstall


def test_file_that_needs_packages_says_to_install_them_first(
    a_panel: Panel, tmp_path: Path, without_packages: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from AdaptCore.models import registry

    def refuse(*given: Any, **named: Any) -> None:
        raise ModelError("SAM needs packages")

    monkeypatch.setattr(registry, "add_model", refuse)
    a_panel.logic.model.addFile(tmp_path / "mine.safetensors", "sam", "")
    a_panel.wait()
    assert a_panel.messages == [
        "SAM needs packages. Press Install packages under Model, then add the file again",
    ]


def test_state_tells_what_is_known_of_the_model(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.ChosenModel import ModelStatus
    from InteractiveAdaptSegLib.ViewModel import ModelState, modelState

    names = ("compact", "sam_vit_b", "sam_vit_l", "sam_vit_h", "mine")
    a_session.logic.model.choose("sam_vit_b")
    packages = a_session.logic.model.missingPackages()
    assert modelState(a_session.logic) == ModelState(
        "sam_vit_b",
        ModelStatus.NOT_DOWNLOADED,
        names,
        answering="compact",
        licence="Apache-2.0",
        size=375042383,
        canChoose=True,
        canDownload=True,
        canAdd=True,
        canInstall=bool(packages),
    )
    a_session.click(CENTRE)
    assert modelState(a_session.logic).computesOn == "cpu"
    a_session.logic.model.choose("theirs")
    state = modelState(a_session.logic)
    assert (state.names, state.licence, state.canDownload) == ((*names, "theirs"), "", False)


def test_nothing_is_told_before_the_models_are_listed(a_scene: Any, a_slice_view: Any) -> None:
    from InteractiveAdaptSegLib.ViewModel import modelState

    panel = Panel(a_scene, a_slice_view, LearningToy())
    assert modelState(panel.logic) is None
    panel.logic.close()


def test_real_weights_are_loaded_and_answer_after_the_built_in_ones(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any, an_ellipsoid: np.ndarray
) -> None:
    panel = Panel(a_scene, a_slice_view, LearningToy(), load_model)
    panel.choose(a_volume, a_segmentation, "lesion")
    panel.click(CENTRE)
    truth = an_ellipsoid[:, :, CENTRE[2]].T
    assert (panel.logic.mask & truth).sum() > 0.8 * truth.sum()
    panel.logic.accept()
    panel.logic.model.choose("mine")
    panel.wait()
    panel.click(ABOVE)
    session = panel.logic._requireTarget().session
    assert session._model.digest == list_models()[-1].sha256 and session._model.name == "mine"
    for _ in range(3):
        panel.logic.undo()
    assert not panel.segment("lesion").any() and panel.logic.mask is None
    panel.logic.close()
