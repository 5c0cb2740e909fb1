"""What the panel shows for each state of the logic, the mouse mode, and the order of undone actions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from Testing.slicer.scenes import CENTRE
from Testing.toy_model import ToyModel


@pytest.fixture
def a_logic(a_scene: Any) -> Iterator[Any]:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    logic = SegmentationLogic(a_scene, loadModel=ToyModel)
    yield logic
    logic.close()


def click(logic: Any, view: Any, volume: Any) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

    world = worldPoint(ijkToWorld(volume), CENTRE)
    view.JumpSliceByCentering(*world)
    logic.addClick(view, world)


def test_panel_offers_what_can_be_done_next(
    a_logic: Any, a_volume: Any, a_segmentation: Any, a_slice_view: Any
) -> None:
    from InteractiveAdaptSegLib.ViewModel import PanelState, Status, panelState

    assert panelState(a_logic, packagesMissing=True) == PanelState(Status.PACKAGES_MISSING)
    assert panelState(a_logic) == PanelState(Status.NOTHING_CHOSEN, canChooseTask=True)
    a_logic.setTarget(a_volume, a_segmentation, "lesion")
    assert panelState(a_logic) == PanelState(Status.READY_FOR_CLICK, canPlace=True, canChooseTask=True)
    click(a_logic, a_slice_view, a_volume)
    offered = PanelState(
        Status.MASK_TO_ACCEPT,
        canPlace=True,
        canAccept=True,
        canPropagate=True,
        canClear=True,
        canUndo=True,
        canChooseTask=True,
    )
    assert panelState(a_logic) == offered
    a_logic.accept()
    assert panelState(a_logic).status is Status.ACCEPTED
    assert not panelState(a_logic).canAccept
    a_logic.propagate()
    assert panelState(a_logic) == PanelState(Status.PROPAGATING, canCancel=True, progress=a_logic.progress)
    while a_logic.update(0.05):
        pass
    assert panelState(a_logic).canUndo
    a_logic.undo()
    assert panelState(a_logic).canRedo


def test_panel_is_told_of_every_change(a_scene: Any, a_volume: Any, a_segmentation: Any, a_slice_view: Any) -> None:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    changes: list[int] = []
    logic = SegmentationLogic(a_scene, loadModel=ToyModel, onChanged=lambda: changes.append(1))
    for action in (
        lambda: logic.setTarget(a_volume, a_segmentation, "lesion"),
        lambda: click(logic, a_slice_view, a_volume),
        logic.accept,
        logic.undo,
        logic.redo,
        logic.clearPrompts,
        logic.clearTarget,
    ):
        changes.clear()
        action()
        assert changes
    logic.close()


def test_mouse_mode_places_points_of_the_chosen_kind(a_scene: Any) -> None:
    from InteractiveAdaptSegLib.PlaceMode import isPlacing, startPlacing, stopPlacing

    positive, negative = (a_scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode") for _ in range(2))
    assert not isPlacing(a_scene, positive)
    startPlacing(a_scene, positive)
    assert isPlacing(a_scene, positive)
    assert not isPlacing(a_scene, negative)
    startPlacing(a_scene, negative)
    assert isPlacing(a_scene, negative)
    assert not isPlacing(a_scene, None)
    stopPlacing(a_scene)
    assert not isPlacing(a_scene, negative)


class Counter:
    """A command that counts."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def undo(self) -> None:
        self.log.append(f"undo {self.name}")

    def redo(self) -> None:
        self.log.append(f"redo {self.name}")


def test_actions_are_undone_backwards_and_redone_forwards() -> None:
    from InteractiveAdaptSegLib.History import History

    log: list[str] = []
    history = History()
    for name in "abc":
        history.push(Counter(log, name))
    for step in (history.undo, history.undo, history.redo, history.undo, history.undo, history.undo):
        step()
    assert log == ["undo c", "undo b", "redo b", "undo b", "undo a"]


def test_new_action_ends_redo_and_dropped_actions_are_passed_over() -> None:
    from InteractiveAdaptSegLib.History import History

    log: list[str] = []
    history = History()
    a, b, c = (Counter(log, name) for name in "abc")
    history.push(a)
    history.push(b)
    history.undo()
    assert history.canRedo
    history.push(c)
    assert not history.canRedo
    history.drop(lambda command: command is c)
    history.undo()
    assert log == ["undo b", "undo a"]
    assert not history.canUndo
