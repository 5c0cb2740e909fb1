"""One session from the first click to the reloaded scene, in a stand-in for Slicer's window: real mouse, real keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from Testing.slicer.halted import halted_propagation
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import User

SLICE = CENTRE[2]


def slices(segment: np.ndarray) -> list[int]:
    """Slices that hold a voxel of the segment."""
    return [int(k) for k in np.flatnonzero(segment.any(axis=(0, 1)))]


def last_voxel(mask: np.ndarray) -> tuple[int, int, int]:
    """The voxel of a slice of a segment, bool (i, j), that lies farthest along i, on the slice beside the first."""
    i, j = np.argwhere(mask)[-1]
    return int(i), int(j), SLICE + 1


def test_click_pick_accept_propagate_cancel_correct_save_reload_and_go_on(
    an_oblique_user: User, a_scene: Any, an_ellipsoid: np.ndarray, voxels: np.ndarray, tmp_path: Path
) -> None:
    import slicer

    user, keys = an_oblique_user, an_oblique_user.host.press_key
    user.press("newSegment")
    keys("+")
    user.click(CENTRE)
    user.wait()
    answer = user.panel.session.mask
    picked = user.panel.session.candidates.views[1].mask
    keys("2")
    np.testing.assert_array_equal(user.panel.session.mask, picked)
    assert not np.array_equal(picked, answer)
    assert not user.segment().any()

    keys("Return")
    accepted = user.segment()
    np.testing.assert_array_equal(accepted[:, :, SLICE].T, picked)
    assert slices(accepted) == [SLICE]
    keys("Ctrl+Z")
    assert not user.segment().any()
    keys("Ctrl+Y")
    np.testing.assert_array_equal(user.segment(), accepted)

    with halted_propagation(planes=2):
        keys("P")
        user.host.wait_until(lambda: user.ui.progressBar.value == 2)
        assert user.enabled() == {"cancel"}
        np.testing.assert_array_equal(user.segment(), accepted)
        keys("Esc")
        user.wait()
    carried = user.segment()
    assert slices(carried) == [SLICE, SLICE + 1, SLICE + 2]
    np.testing.assert_array_equal(carried[:, :, SLICE], accepted[:, :, SLICE])
    truth = an_ellipsoid[:, :, SLICE + 1 : SLICE + 3]
    found = carried[:, :, SLICE + 1 : SLICE + 3]
    assert 2 * (found & truth).sum() > 0.8 * (found.sum() + truth.sum())
    keys("Ctrl+Z")
    np.testing.assert_array_equal(user.segment(), accepted)
    keys("Ctrl+Y")
    np.testing.assert_array_equal(user.segment(), carried)

    wrong = last_voxel(carried[:, :, SLICE + 1])
    keys("+")
    user.click((*CENTRE[:2], SLICE + 1))
    keys("-")
    user.click(wrong)
    user.wait()
    mask = user.panel.session.mask
    keys("Return")
    corrected = user.segment()
    assert slices(corrected) == slices(carried)
    np.testing.assert_array_equal(corrected[:, :, SLICE + 1].T, mask)
    assert not corrected[wrong]
    np.testing.assert_array_equal(np.delete(corrected, SLICE + 1, axis=2), np.delete(carried, SLICE + 1, axis=2))

    path = str(tmp_path / "session.mrb")
    user.wait()
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    user.host.process_events()
    assert a_scene.ReadFromMRB(path, True, None)
    user.host.process_events()
    user.volume = user.ui.volumeSelector.currentNode()
    np.testing.assert_array_equal(user.segment(), corrected)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(user.volume).T, voxels)

    keys("+")
    user.click((CENTRE[0] + 3, CENTRE[1], SLICE))
    user.wait()
    begun = user.panel.session.mask
    keys("P")
    user.wait()
    whole = user.segment()
    np.testing.assert_array_equal(whole[:, :, SLICE].T, begun)
    np.testing.assert_array_equal(whole[:, :, SLICE + 1], corrected[:, :, SLICE + 1])
    assert set(slices(whole)) > set(slices(corrected))
    assert 2 * (whole & an_ellipsoid).sum() > 0.8 * (whole.sum() + an_ellipsoid.sum())
    keys("Ctrl+Z")
    assert slices(user.segment()) == slices(corrected)


def test_undo_after_new_goes_back_to_the_first_segment_and_the_panel_follows(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.press("accept")
    accepted = a_user.segment()
    first = a_user.panel.choices.node.segmentID
    a_user.press("newSegment")
    second = a_user.panel.choices.node.segmentID
    assert second != first
    a_user.press("undo")
    assert a_user.panel.choices.node.segmentID == a_user.ui.segmentSelector.currentSegmentID() == first
    assert a_user.message.startswith("Now working on segment '")
    np.testing.assert_array_equal(a_user.segment(first), accepted)
    a_user.press("undo")
    assert not a_user.segment(first).any()
    a_user.press("redo", "redo")
    assert a_user.panel.choices.node.segmentID == a_user.ui.segmentSelector.currentSegmentID() == second
    np.testing.assert_array_equal(a_user.segment(first), accepted)
