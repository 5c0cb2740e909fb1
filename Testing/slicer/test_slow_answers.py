"""Slow models answer beside the window: what the scene holds meanwhile, cancel, undo, errors, and stored prompts."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.errors import AdaptSegError, ModelError, PromptError
from AdaptCore.models.base import Embedding, Model
from AdaptCore.predict.cache import key
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.volume import VolumeSession
from Testing.learning_toy import LearningToy
from Testing.slicer.halted import halted_answers
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE, SHAPE
from Testing.toy_model import ToyModel

BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
NEAR = (BESIDE[0], BESIDE[1] + 1, BESIDE[2])
ABOVE = (CENTRE[0], CENTRE[1], CENTRE[2] + 1)
FAR = (CENTRE[0], CENTRE[1], CENTRE[2] + 3)
TIMEOUT = 20.0


class SlowToy(ToyModel):
    """Encodes when it is allowed to; embeddings that nobody waits for are there at once."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on, self.error = threading.Event(), False

    def encode(self, image: np.ndarray) -> Embedding:
        if threading.current_thread().name.startswith("InteractiveAdaptSeg-answer"):
            assert self.goes_on.wait(TIMEOUT)
        if self.error:
            raise ModelError("out of memory")
        return super().encode(image)


@pytest.fixture
def a_slow_model(a_slice_view: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowToy]:
    """A model that counts as slow; it encodes once its event is set."""
    from InteractiveAdaptSegLib.ChosenModel import ChosenModel

    monkeypatch.setattr(ChosenModel, "isSlow", True)
    model = SlowToy()
    yield model
    model.goes_on.set()


@pytest.fixture
def open_panel(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Callable[..., Panel]]:
    """Opens a panel where the segment "lesion" is chosen: open_panel(model, segment_id="lesion")."""
    panels: list[Panel] = []

    def begin(model: Model, segment_id: str = "lesion") -> Panel:
        panels.append(Panel(a_scene, a_slice_view, model))
        panels[-1].choose(a_volume, a_segmentation, segment_id)
        return panels[-1]

    yield begin
    for panel in panels:
        panel.logic.close()


@pytest.fixture
def a_session(open_panel: Callable[..., Panel], a_slow_model: SlowToy) -> Panel:
    """A panel with the slow model."""
    return open_panel(a_slow_model)


@pytest.fixture
def masks(a_volume: Any) -> list[np.ndarray]:
    """What the model answers to a click on the centre, and to a second one that takes away."""
    from InteractiveAdaptSegLib.VolumeGeometry import displayWindow, voxelArray

    with VolumeSession(ToyModel(), voxelArray(a_volume), window=displayWindow(a_volume)) as session:
        plane = session.plane(axis_plane(SHAPE, 2, CENTRE[2]))
        return [plane.click(*voxel[:2], positive).mask for voxel, positive in ((CENTRE, True), (BESIDE, False))]


def box(panel: Panel, size: int) -> None:
    panel.look_at(CENTRE)
    corners = [(CENTRE[0] + sign * size, CENTRE[1] + sign * size, CENTRE[2]) for sign in (1, -1)]
    panel.logic.addBox(panel.view, *(panel.world(corner) for corner in corners))


def box_widths(panel: Panel) -> list[float]:
    """Of the boxes in the scene, in pixels."""
    return [round(node.GetSize()[0] / 0.8, 3) for node in panel.logic.promptNodes.boxNodes]


def status(panel: Panel) -> str:
    from InteractiveAdaptSegLib.ViewModel import panelState

    return panelState(panel.logic).status.name


def test_model_is_slow_as_its_latest_embedding_was() -> None:
    from InteractiveAdaptSegLib.ChosenModel import SLOW, ChosenModel, Place

    model = ChosenModel(lambda name, device: ToyModel(), onMessage=lambda text: None)
    assert not model.isSlow, "the built-in one is not, until it is measured"

    def embed(seconds: float, image: np.ndarray) -> Embedding:
        time.sleep(seconds)
        return ToyModel().encode(image)

    for number, (seconds, is_slow) in enumerate(((SLOW + 0.05, True), (0.0, False))):
        image = np.full((8, 8), number / 2, np.float32)
        model.cache.get_or_compute(key("70", image), lambda given=(seconds, image): embed(*given))
        assert model.isSlow == is_slow
    image = np.zeros((8, 8), np.float32)
    model.cache.get_or_compute(key("70", image), lambda: pytest.fail("it is there"))
    assert not model.isSlow, "an embedding that is kept says nothing"
    model.cache.clear()
    model._inUse = Place("mine", None)
    assert model.isSlow, "another one is, until it is measured"
    model.close()


def test_click_is_answered_beside_the_window(a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]) -> None:
    start = time.monotonic()
    a_session.click(CENTRE)
    assert time.monotonic() - start < 5
    assert (status(a_session), a_session.logic.mask) == ("PREDICTING", None)
    assert a_session.count_points() == (1, 0) and not a_session.logic.canUndo
    assert a_session.logic.update() and a_session.logic.isPredicting
    a_slow_model.goes_on.set()
    a_session.wait()
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])
    assert status(a_session) == "MASK_TO_ACCEPT"
    a_session.click(BESIDE, positive=False)
    a_session.wait()
    np.testing.assert_array_equal(a_session.logic.mask, masks[1])
    assert (masks[0] != masks[1]).any()


def test_slow_answers_are_undone_and_redone(a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]) -> None:
    a_slow_model.goes_on.set()
    with halted_answers() as goes_on:
        for voxel, positive in ((CENTRE, True), (BESIDE, False)):
            goes_on.clear()
            a_session.click(voxel, positive)
            assert a_session.logic.isPredicting
            goes_on.set()
            a_session.wait()
    asked = a_slow_model.decoded
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])
    a_session.logic.undo()
    assert a_session.logic.mask is None and a_session.count_points() == (0, 0)
    for mask in masks:
        a_session.logic.redo()
        np.testing.assert_array_equal(a_session.logic.mask, mask)
    assert a_session.count_points() == (1, 1) and a_slow_model.decoded == asked
    a_session.logic.accept()
    np.testing.assert_array_equal(a_session.segment("lesion")[:, :, CENTRE[2]].T, masks[1])


def test_nothing_else_can_be_done_meanwhile(a_session: Panel) -> None:
    a_session.click(CENTRE)
    logic, world = a_session.logic, a_session.world(BESIDE)
    for action in (
        lambda: logic.addClick(a_session.view, world),
        lambda: box(a_session, 4),
        logic.accept,
        logic.propagate,
        logic.clearPrompts,
        logic.undo,
        logic.redo,
        lambda: logic.model.choose("mine"),
        lambda: logic.showPlane(a_session.view),
        lambda: logic.setTarget(a_session.volume, a_session.segmentation, "organ"),
    ):
        with pytest.raises(AdaptSegError, match="the model is predicting: wait for its answer or cancel it"):
            action()
    assert a_session.count_points() == (1, 0) and box_widths(a_session) == []


def test_placed_point_stays_and_one_that_is_placed_meanwhile_is_taken_back(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]
) -> None:
    a_session.place(CENTRE)
    assert a_session.count_points() == (1, 0) and a_session.messages == []
    a_session.place(BESIDE)
    a_session.place(BESIDE, positive=False)
    assert a_session.count_points() == (1, 0)
    assert a_session.messages == ["the model is predicting: wait for its answer or cancel it"] * 2
    a_slow_model.goes_on.set()
    a_session.wait()
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])
    a_session.logic.undo()
    assert a_session.count_points() == (0, 0)


def test_cancelled_answer_leaves_nothing_behind(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]
) -> None:
    a_session.place(CENTRE)
    a_session.logic.cancelPrediction()
    assert a_session.count_points() == (0, 0) and a_session.logic.isIdle
    assert status(a_session) == "READY_FOR_CLICK" and not a_session.logic.canUndo
    a_session.click(CENTRE)
    a_slow_model.goes_on.set()
    a_session.wait()
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])
    a_session.logic.undo()
    assert a_session.logic.mask is None and not a_session.logic.canUndo


def test_cancelled_box_gives_way_to_the_one_before(a_session: Panel, a_slow_model: SlowToy) -> None:
    a_slow_model.goes_on.set()
    box(a_session, 5)
    a_session.wait()
    before = a_session.logic.mask
    with halted_answers():
        box(a_session, 3)
        assert box_widths(a_session) == [6.0]
        a_session.logic.cancelPrediction()
    assert box_widths(a_session) == [10.0]
    np.testing.assert_array_equal(a_session.logic.mask, before)
    a_session.logic.promptNodes.boxNodes[0].SetSize(4.8, 5.4, 1)
    a_session.logic.promptNodes.boxNodes[0].InvokeEvent(
        a_session.logic.promptNodes.boxNodes[0].PointEndInteractionEvent
    )
    a_session.catch_up()
    a_session.wait()
    assert 0 < a_session.logic.mask.sum() < before.sum(), "the box that came back can be dragged"


@pytest.mark.parametrize("isPlaced", [True, False])
def test_error_of_a_slow_model_is_told_and_the_prompt_taken_out(
    a_session: Panel, a_slow_model: SlowToy, isPlaced: bool
) -> None:
    a_slow_model.error = True
    (a_session.place if isPlaced else a_session.click)(CENTRE)
    a_slow_model.goes_on.set()
    a_session.wait()
    assert a_session.messages == ["out of memory"] and a_session.logic.isIdle
    assert a_session.count_points() == (0, 0) and not a_session.logic.canUndo
    a_slow_model.error = False
    a_session.click(CENTRE)
    a_session.wait()
    assert a_session.logic.mask.any()


def test_only_the_point_without_an_answer_is_taken_out(
    a_session: Panel, a_slow_model: SlowToy, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_slow_model.goes_on.set()
    decode = a_slow_model.decode

    def decode_once(*given: Any) -> Any:
        if a_slow_model.decoded:
            raise ModelError("out of memory")
        return decode(*given)

    monkeypatch.setattr(a_slow_model, "decode", decode_once)
    a_session.look_at(CENTRE)
    crosshair = a_session.scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
    crosshair.SetCursorPositionXYZ([0.0, 0.0, 0.0], a_session.view)
    for voxel in (BESIDE, CENTRE):
        a_session.points().AddControlPointWorld(*(float(value) for value in a_session.world(voxel)))
    a_session.catch_up()
    a_session.wait()
    assert a_session.messages == ["out of memory"] and a_session.count_points() == (1, 0)
    np.testing.assert_allclose(a_session.points().GetNthControlPointPositionWorld(0), a_session.world(CENTRE))
    assert a_session.logic.mask.any()


def test_thread_ends_with_the_session(a_session: Panel, a_slow_model: SlowToy) -> None:
    a_session.click(CENTRE)
    points = a_session.points()
    threading.Timer(0.2, a_slow_model.goes_on.set).start()
    a_session.logic.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("InteractiveAdaptSeg-answer")]
    assert points.GetNumberOfControlPoints() == 1, "the scene keeps the prompt"


def test_prompt_that_does_not_fit_is_refused_at_once(a_session: Panel) -> None:
    with pytest.raises(PromptError, match="Expected a positive click or a box"):
        a_session.click(CENTRE, positive=False)
    a_session.look_at(CENTRE)
    with pytest.raises(PromptError, match="you clicked outside the volume: nothing has changed"):
        a_session.logic.addClick(a_session.view, a_session.world((-3, 5, CENTRE[2])))
    assert a_session.count_points() == (0, 0) and a_session.logic.isIdle


def test_prompt_that_is_dragged_meanwhile_is_answered_where_it_is(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]
) -> None:
    a_session.click((1, 1, CENTRE[2]))
    points = a_session.points()
    points.SetNthControlPointPositionWorld(0, *(float(value) for value in a_session.world(CENTRE)))
    points.InvokeEvent(points.PointEndInteractionEvent)
    a_session.catch_up()
    a_slow_model.goes_on.set()
    a_session.wait()
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])


def test_scene_that_is_saved_meanwhile_holds_the_prompt(
    a_session: Panel, masks: list[np.ndarray], tmp_path: Path
) -> None:
    a_session.click(CENTRE)
    a_session.model = ToyModel()
    other = save_and_reload(a_session, tmp_path)
    assert not a_session.logic.isPredicting
    assert other.count_points() == (1, 0) and other.logic.showPlane(other.view)
    np.testing.assert_array_equal(other.logic.mask, masks[0])
    other.logic.close()


def test_stored_prompts_are_answered_beside_the_window(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray], tmp_path: Path
) -> None:
    a_slow_model.goes_on.set()
    a_session.click(CENTRE)
    a_session.wait()
    a_session.model = SlowToy()
    other = save_and_reload(a_session, tmp_path)
    assert other.logic.showPlane(other.view)
    assert (status(other), other.logic.mask) == ("PREDICTING", None)
    other.logic.cancelPrediction()
    assert other.count_points() == (1, 0) and other.logic.mask is None, "what was stored stays"
    other.click(BESIDE, positive=False)
    assert other.logic.isPredicting
    other.model.goes_on.set()
    other.wait()
    np.testing.assert_array_equal(other.logic.mask, masks[1])
    other.logic.undo()
    np.testing.assert_array_equal(other.logic.mask, masks[0])
    other.logic.close()


def test_undo_waits_for_a_plane_that_has_begun_anew(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]
) -> None:
    a_slow_model.goes_on.set()
    for voxel in (CENTRE, FAR):
        a_session.click(voxel)
        a_session.wait()
    a_session.logic.model.setDevice("cpu")
    a_session.wait()
    a_session.logic.undo()
    with halted_answers() as goes_on:
        a_session.logic.undo()
        assert a_session.logic.isPredicting and a_session.count_points() == (1, 0)
        goes_on.set()
        a_session.wait()
    assert a_session.count_points() == (0, 0) and a_session.logic.mask is None
    a_session.logic.redo()
    assert a_session.count_points() == (1, 0)
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])


def test_redo_asks_again_where_the_answer_is_gone(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray]
) -> None:
    a_slow_model.goes_on.set()
    a_session.click(CENTRE)
    a_session.wait()
    a_session.click(BESIDE, positive=False)
    a_session.wait()
    for _ in masks:
        a_session.logic.undo()
    a_session.logic.model.setDevice("cpu")
    a_session.wait()
    for mask in masks:
        with halted_answers() as goes_on:
            a_session.logic.redo()
            assert a_session.logic.isPredicting
            a_session.logic.cancelPrediction()
            assert a_session.logic.canRedo
            goes_on.set()
            a_session.logic.redo()
            a_session.wait()
        np.testing.assert_array_equal(a_session.logic.mask, mask)
    assert a_session.count_points() == (1, 1) and not a_session.logic.canRedo
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])


def test_model_that_is_loaded_meanwhile_answers_afterwards(
    a_session: Panel, a_slow_model: SlowToy, masks: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    a_session.click(CENTRE)
    model = a_session.logic.model
    monkeypatch.setattr(model, "_requireIdle", lambda: None)  # as if it had been chosen just before the click
    model.setDevice("cpu")
    while not model.hasArrived:
        time.sleep(0.001)
    a_session.logic.update()
    assert a_session.logic.isPredicting and a_session.messages == []
    a_slow_model.goes_on.set()
    a_session.wait()
    assert a_session.messages == [f"Now using model {model.answering}."]
    np.testing.assert_array_equal(a_session.logic.mask, masks[0])


def test_task_learns_from_slow_answers_as_from_fast_ones(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from InteractiveAdaptSegLib.ChosenModel import ChosenModel

    found = []
    for is_slow, segment_id in ((False, "organ"), (True, "lesion")):
        monkeypatch.setattr(ChosenModel, "isSlow", is_slow)
        monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / segment_id))
        panel = Panel(a_scene, a_slice_view, LearningToy())
        panel.logic.setTask("tube")
        panel.choose(a_volume, a_segmentation, segment_id)
        panel.logic.editorNode.SetOverwriteMode(panel.logic.editorNode.OverwriteNone)  # both may hold the same voxels
        for voxel, positive in ((CENTRE, True), (BESIDE, False), (NEAR, True)):
            panel.click(voxel, positive)
            panel.wait()
            found.append(panel.logic.mask)
        panel.logic.accept()
        panel.wait()
        found.append(panel.logic.task.history)
        panel.logic.close()
    fast, slow = found[:4], found[4:]
    assert all((before == after).all() for before, after in zip(fast[:3], slow[:3]))
    assert fast[3] == slow[3] and len(slow[3]) == 1


@pytest.fixture
def a_learning_session(
    open_panel: Callable[..., Panel], a_slice_view: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Panel:
    """A panel with a slow model that learns under the task "tube", and a slice that was drawn by hand."""
    import slicer

    from InteractiveAdaptSegLib.ChosenModel import ChosenModel

    class SlowLearner(LearningToy):
        error = False

        def encode(self, image: np.ndarray) -> Embedding:
            if self.error:
                raise ModelError("out of memory")
            self.threads.add(threading.current_thread().name.rstrip("_0123456789"))
            return super().encode(image)

    monkeypatch.setattr(ChosenModel, "isSlow", True)
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    model = SlowLearner()
    model.threads = set()
    panel = open_panel(model)
    panel.logic.setTask("tube")
    drawn = np.zeros(SHAPE, np.uint8)
    drawn[CENTRE[0] - 4 : CENTRE[0] + 5, CENTRE[1] - 4 : CENTRE[1] + 5, CENTRE[2]] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(drawn.T, panel.segmentation, "lesion", panel.volume)
    panel.look_at(CENTRE)
    return panel


def test_slice_that_was_never_looked_at_is_encoded_beside_the_window_before_it_is_learnt(
    a_learning_session: Panel,
) -> None:
    a_learning_session.logic.propagate(a_learning_session.view)
    a_learning_session.wait()
    assert "MainThread" not in a_learning_session.model.threads
    assert len(a_learning_session.logic.task.history) == 1
    assert a_learning_session.logic.canUndo


@pytest.mark.parametrize("offers", [False, True])
def test_slice_whose_embedding_is_gone_is_encoded_beside_the_window(a_learning_session: Panel, offers: bool) -> None:
    panel = a_learning_session
    panel.click(CENTRE)
    panel.wait()
    panel.click(ABOVE)
    panel.wait()
    panel.logic._model.cache.clear()
    panel.model.threads.clear()
    panel.logic.candidates.setWanted(offers)
    panel.look_at(CENTRE)
    panel.logic.showPlane(panel.view)
    panel.wait()
    panel.logic._model.cache.clear()
    panel.logic.accept()
    panel.wait()
    assert panel.model.threads and "MainThread" not in panel.model.threads
    assert len(panel.logic.task.history) == 1


def test_error_in_what_is_learnt_leaves_the_mask_with_its_undo_step(a_learning_session: Panel) -> None:
    panel = a_learning_session
    panel.logic.propagate(panel.view)
    panel.wait()
    before = panel.segment("lesion")
    panel.look_at(ABOVE)
    panel.logic.showUnsurePlane()
    panel.logic._model.cache.clear()
    panel.model.error = True
    panel.messages.clear()
    panel.logic.accept()
    panel.wait()
    assert panel.messages == ["The mask is accepted, but nothing is learnt from it: out of memory."]
    assert panel.logic.isAccepted and not panel.logic.isUnsure
    panel.logic.undo()
    assert panel.logic.isUnsure
    np.testing.assert_array_equal(panel.segment("lesion"), before)
