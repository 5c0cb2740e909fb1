"""What the panel shows for each state of the logic, the mouse mode, and the order of undone actions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import CENTRE
from Testing.toy_model import ToyModel


@pytest.fixture
def a_logic(a_scene: Any) -> Iterator[Any]:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    logic = SegmentationLogic(a_scene, loadModel=lambda name, device: ToyModel())
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
    propagating = PanelState(Status.PROPAGATING, canCancel=True, canChooseSegment=False, progress=a_logic.progress)
    assert panelState(a_logic) == propagating
    while a_logic.update(0.05):
        pass
    assert panelState(a_logic).canUndo
    a_logic.undo()
    assert panelState(a_logic).canRedo


def count_slices(segmentation: Any, volume: Any) -> int:
    """Slices that hold a voxel of the segment "lesion"."""
    import slicer

    return int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, "lesion", volume).any(axis=(1, 2)).sum())


def test_slice_of_a_propagation_can_be_accepted_as_it_is(
    a_logic: Any, a_volume: Any, a_segmentation: Any, a_slice_view: Any
) -> None:
    from AdaptCore.errors import PromptError
    from InteractiveAdaptSegLib.ViewModel import Status, panelState

    a_logic.setTarget(a_volume, a_segmentation, "lesion")
    with pytest.raises(PromptError, match="propagate a mask first"):
        a_logic.showUnsurePlane()
    click(a_logic, a_slice_view, a_volume)
    assert not panelState(a_logic).canGoToUnsure
    a_logic.propagate()
    while a_logic.update(0.05):
        pass
    state = panelState(a_logic)
    assert (state.status, state.canAccept, state.canGoToUnsure) == (Status.ACCEPTED, False, True)
    carried = count_slices(a_segmentation, a_volume) - 1
    for _ in range(carried):
        a_logic.showUnsurePlane()
        state = panelState(a_logic)
        assert (state.status, state.canAccept) == (Status.UNSURE, True)
        a_logic.accept()
        assert panelState(a_logic).status is Status.ACCEPTED
    assert not panelState(a_logic).canGoToUnsure and carried > 2


def test_panel_is_told_of_every_change(a_scene: Any, a_volume: Any, a_segmentation: Any, a_slice_view: Any) -> None:
    from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic

    changes: list[int] = []
    logic = SegmentationLogic(a_scene, loadModel=lambda name, device: ToyModel(), onChanged=lambda: changes.append(1))
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


def test_commands_of_one_action_are_undone_and_redone_together() -> None:
    from InteractiveAdaptSegLib.History import History

    log: list[str] = []
    history = History()
    a, b, c = (Counter(log, name) for name in "abc")
    history.push(a)
    history.push(b)
    history.push(c, start=b)
    history.undo()
    assert log == ["undo c", "undo b"]
    assert history.next is a
    assert history.nextUndone is c
    history.redo()
    assert log[2:] == ["redo b", "redo c"]
    assert history.next is c
    history.drop(lambda command: command is b)
    history.push(b)
    history.push(Counter(log, "d"), start=a)
    history.undo()
    assert log[4:] == ["undo d"]


def test_gallery_offers_what_can_be_done_next(
    a_logic: Any, a_volume: Any, a_segmentation: Any, a_slice_view: Any
) -> None:
    from InteractiveAdaptSegLib.ViewModel import GalleryState, galleryState

    def wait() -> None:
        while a_logic.update(0.01):
            pass

    assert galleryState(a_logic) == GalleryState()
    a_logic.candidates.setWanted(True)
    a_logic.setTarget(a_volume, a_segmentation, "lesion")
    click(a_logic, a_slice_view, a_volume)
    assert galleryState(a_logic) == GalleryState(isAsking=True)
    wait()
    views = a_logic.candidates.views
    offered = GalleryState(views, round=1, canPick=True, canAskForOthers=True)
    assert galleryState(a_logic) == offered
    a_logic.pick(2)
    assert galleryState(a_logic) == replace(offered, picked=2, canAskForMore=True)
    a_logic.candidates.askForMore()
    assert galleryState(a_logic) == replace(offered, picked=2, canAskForOthers=False, isAsking=True)
    wait()
    assert galleryState(a_logic) == replace(offered, views=a_logic.candidates.views, round=2)
    for _ in range(4):
        a_logic.candidates.askForOthers()
        wait()
    assert galleryState(a_logic) == replace(offered, views=a_logic.candidates.views, round=6, canAskForOthers=False)
    a_logic.accept()
    assert galleryState(a_logic) == GalleryState()


def test_panel_tells_whose_profile_has_learnt_how_much(
    a_logic: Any, a_volume: Any, a_segmentation: Any, a_slice_view: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from InteractiveAdaptSegLib.ViewModel import ProfileState, profileState

    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path))
    assert profileState(a_logic) is None
    a_logic.profile.choose("Anna")
    assert profileState(a_logic) == ProfileState("Anna", "default", 0)
    a_logic.setTarget(a_volume, a_segmentation, "lesion")
    click(a_logic, a_slice_view, a_volume)
    a_logic.accept()
    while a_logic.update(0.01):
        pass
    assert profileState(a_logic) == ProfileState("Anna", "default", 1)


def test_picture_is_written_as_it_is_seen(tmp_path: Path) -> None:
    from InteractiveAdaptSegLib.PictureFile import writePicture

    picture = np.zeros((4, 6, 3), np.uint8)
    picture[0, 1] = (255, 128, 3)
    writePicture(tmp_path / "picture.png", picture)
    np.testing.assert_array_equal(read_picture(tmp_path / "picture.png"), picture)


def read_picture(path: Path) -> np.ndarray:
    import SimpleITK

    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))
