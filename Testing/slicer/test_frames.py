"""Another image in the same volume node: frames of a sequence, and voxels that scripts have changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from AdaptCore.predict.masks import dice
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import CENTRE
from Testing.toy_model import ToyModel

MOVED = (CENTRE[0] - 10, CENTRE[1] + 8, CENTRE[2])
"""Where the object's centre is in the second frame."""

TOLD = (
    "'Volume' holds other voxels now, such as another frame: prompts and accepted masks of the earlier ones are kept "
    "and come back with them. Segment 'lesion' still holds what it held."
)


@pytest.fixture
def a_session(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel where the segment "lesion" is chosen."""
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    yield panel
    panel.logic.close()


@pytest.fixture
def frames(voxels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two images (i, j, k) whose object lies in different places."""
    return voxels, np.roll(voxels, (-10, 8), (0, 1))


def show(panel: Panel, voxels: np.ndarray) -> None:
    """Let the volume's node hold another image."""
    import slicer

    slicer.util.updateVolumeFromArray(panel.volume, np.ascontiguousarray(voxels.T))
    panel.catch_up()


def edit(panel: Panel, voxels: np.ndarray) -> None:
    """Change the voxels in place, as scripts do."""
    import slicer

    slicer.util.arrayFromVolume(panel.volume)[:] = voxels.T
    slicer.util.arrayFromVolumeModified(panel.volume)
    panel.catch_up()


@pytest.mark.parametrize("change", [show, edit])
def test_each_frame_has_its_own_prompts_and_they_come_back(a_session: Panel, frames: Any, change: Any) -> None:
    first, second = frames
    a_session.click(CENTRE)
    mask = a_session.logic.mask
    a_session.logic.accept()
    change(a_session, second)
    assert a_session.messages[-1] == TOLD
    assert a_session.count_points() == (0, 0)
    assert not a_session.logic.canUndo
    a_session.click(MOVED)
    assert dice(a_session.logic.mask, np.roll(mask, (8, -10), (0, 1))) > 0.97
    assert a_session.count_points() == (1, 0)
    change(a_session, first)
    assert a_session.count_points() == (1, 0)
    a_session.look_at(CENTRE)
    assert a_session.logic.showPlane(a_session.view)
    np.testing.assert_array_equal(a_session.logic.mask, mask)
    assert a_session.logic.isAccepted


@pytest.mark.parametrize(
    "change",
    [
        lambda voxels: voxels.__setitem__((17, 200, 9), voxels[17, 200, 9] + 1),
        lambda voxels: voxels.__setitem__((0, 0, 0), 0),
        lambda voxels: voxels.__setitem__(-1, voxels[-1] ^ 1),
        lambda voxels: voxels.__setitem__((slice(0, 2), 5), voxels[1::-1, 5].copy()),
        lambda voxels: voxels.__setitem__(slice(None), np.roll(voxels, 1, 2)),
        lambda voxels: voxels.__setitem__(slice(None), voxels[:, :, ::-1].copy()),
        lambda voxels: voxels.__setitem__(([40, 40, 99, 99], [7, 9, 7, 9], [3, 3, 3, 3]), [8, 9, 9, 8]),
    ],
)
def test_digest_of_a_large_image_tells_every_change(make_volume: Any, change: Any) -> None:
    from InteractiveAdaptSegLib.Frames import Frames

    voxels = np.random.default_rng(0).integers(-1000, 1000, (128, 256, 40), np.int16)
    voxels[[40, 40, 99, 99], [7, 9, 7, 9], 3] = 9, 8, 8, 9
    first = Frames().digest(make_volume(voxels))
    assert first == Frames().digest(make_volume(voxels.copy()))
    change(voxels)
    assert first != Frames().digest(make_volume(voxels))


def test_accepting_on_another_frame_replaces_what_the_segment_holds_there_and_nothing_else(
    a_session: Panel, frames: Any
) -> None:
    above = CENTRE[2] + 1
    a_session.click(CENTRE)
    a_session.logic.accept()
    a_session.click((*CENTRE[:2], above))
    a_session.logic.accept()
    first = a_session.segment("lesion")
    show(a_session, frames[1])
    a_session.click(MOVED)
    target = a_session.logic._target
    np.testing.assert_array_equal(target.session.labelmap > 0, first)
    mask = a_session.logic.mask.T
    assert not mask[CENTRE[:2]]
    a_session.logic.accept()
    expected = first.copy()
    expected[:, :, CENTRE[2]] = mask
    np.testing.assert_array_equal(a_session.segment("lesion"), expected)
    np.testing.assert_array_equal(target.session.labelmap > 0, expected)
    a_session.logic.undo()
    np.testing.assert_array_equal(a_session.segment("lesion"), first)


def test_frames_that_are_only_looked_at_add_no_node(a_session: Panel, frames: Any, a_scene: Any) -> None:
    count = a_scene.GetNumberOfNodes()
    for step in range(6):
        show(a_session, np.roll(frames[0], step + 1, 0))
    assert a_scene.GetNumberOfNodes() == count
    assert a_session.messages == []


def test_only_the_prompts_of_the_present_frame_are_shown(a_session: Panel, frames: Any) -> None:
    a_session.click(CENTRE)
    old = a_session.points()
    show(a_session, frames[1])
    a_session.click(MOVED)
    assert (old.GetDisplayVisibility(), a_session.points().GetDisplayVisibility()) == (0, 1)


def test_frames_are_told_apart_after_loading_the_scene(a_session: Panel, frames: Any, tmp_path: Any) -> None:
    a_session.click(CENTRE)
    show(a_session, frames[1])
    a_session.click(MOVED)
    a_session.click((MOVED[0] + 2, MOVED[1], MOVED[2]))
    loaded = save_and_reload(a_session, tmp_path)
    assert loaded.count_points() == (2, 0)
    show(loaded, frames[0])
    assert loaded.count_points() == (1, 0)
    loaded.logic.close()


def test_sequence_browser_leads_from_frame_to_frame(a_session: Panel, frames: Any, a_scene: Any) -> None:
    import slicer

    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "Beats")
    for time, voxels in enumerate(frames):
        slicer.util.updateVolumeFromArray(a_session.volume, np.ascontiguousarray(voxels.T))
        sequence.SetDataNodeAtValue(a_session.volume, str(time))
    logic = slicer.vtkSlicerSequencesLogic()
    logic.SetMRMLScene(a_scene)
    browser = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.AddProxyNode(a_session.volume, sequence, False)
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    counts = []
    for item, centre in ((0, CENTRE), (1, MOVED), (0, CENTRE), (1, MOVED)):
        browser.SetSelectedItemNumber(item)
        logic.UpdateProxyNodesFromSequences(browser)
        a_session.catch_up()
        a_session.look_at(centre)
        counts.append(a_session.count_points())
        if counts[-1] == (0, 0):
            a_session.click(centre)
            assert a_session.logic.mask[centre[1], centre[0]]
    assert counts == [(0, 0), (0, 0), (1, 0), (1, 0)]
    logic.SetMRMLScene(None)


def test_segmentation_that_changes_with_the_frame_keeps_its_segment_chosen(a_session: Panel) -> None:
    import slicer

    a_session.click(CENTRE)
    a_session.logic.accept()
    mask = a_session.segment("lesion")
    segmentation, other = a_session.segmentation.GetSegmentation(), slicer.vtkSegmentation()
    other.DeepCopy(segmentation)
    segmentation.DeepCopy(other)
    a_session.catch_up()
    assert a_session.logic.hasTarget and a_session.messages == []
    np.testing.assert_array_equal(a_session.segment("lesion"), mask)
    segmentation.RemoveSegment("lesion")
    a_session.catch_up()
    assert not a_session.logic.hasTarget
