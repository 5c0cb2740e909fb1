"""Whole objects at the panel, in a stand-in for Slicer's window: real mouse, real keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE
from Testing.slicer.user import User

BESIDE = (CENTRE[0] + 4, CENTRE[1] + 1, CENTRE[2] + 2)


def shown(user: User) -> np.ndarray:
    """The mask that is previewed, bool (i, j, k)."""
    full, block = np.zeros(SHAPE, bool), user.panel.session.mask
    full[block.slices] = block.mask
    return full


def dice(mask: np.ndarray, truth: np.ndarray) -> float:
    return float(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))


def turn_across(user: User) -> None:
    """Turn the view to another plane of the volume."""
    user.view.node.SetOrientation("Sagittal")
    user.view.node.RotateToVolumePlane(user.volume)


def test_one_click_correct_in_another_view_accept_undo_redo_next_segment_save_reload_and_go_on(
    an_object_user: User, a_scene: Any, an_ellipsoid: np.ndarray, tmp_path: Path
) -> None:
    user, keys = an_object_user, an_object_user.host.press_key
    user.press("newSegment")
    keys("+")
    user.click(CENTRE)
    user.wait()
    whole = shown(user)
    assert dice(whole, an_ellipsoid) > 0.9
    user.host.wait_until(lambda: user.ui.resultLabel.text != "")
    assert user.ui.resultLabel.text.startswith(f"{whole.sum() * 0.8 * 0.9 * 2.5 / 1000:.3g} mL, ")
    assert user.ui.resultLabel.text.endswith(f", {int(whole.any(axis=(0, 1)).sum())} slices")
    assert not user.segment().any() and "propagate" not in user.enabled()

    turn_across(user)
    keys("-")
    user.click(BESIDE)
    user.wait()
    corrected = shown(user)
    assert user.panel.session.activePlane.axis not in (2, None)
    assert whole[BESIDE] and not corrected[BESIDE]
    np.testing.assert_array_equal(corrected & ~whole, False)

    user.host.wait_until(lambda: len(user.panel.session.candidates.views) >= 2)
    view, block = user.panel.session.candidates.view(2), np.zeros_like(corrected)
    block[view.mask.slices] = view.mask.mask
    assert user.ui.candidateButton2.text.endswith(f"{view.volumeChange:+.3g} mL")
    keys("2")
    assert user.ui.candidateButton2.checked and user.ui.undoButton.toolTip.startswith("Undo: ")
    np.testing.assert_array_equal(shown(user), block)
    assert (block != corrected).any() and not block[BESIDE]
    keys("Ctrl+Z")
    np.testing.assert_array_equal(shown(user), corrected)
    keys("Ctrl+Y")
    np.testing.assert_array_equal(shown(user), block)
    corrected = block

    keys("Return")
    np.testing.assert_array_equal(user.segment(), corrected)
    assert user.status == "Accepted. Correct it with + and - prompts, or go on with the next segment."
    assert user.ui.undoButton.toolTip == "Undo: accepted object"
    keys("Ctrl+Z")
    assert not user.segment().any()
    keys("Ctrl+Y")
    np.testing.assert_array_equal(user.segment(), corrected)

    keys("W")
    keys("+")
    user.click(OTHER_CENTRE)
    user.wait()
    second = user.panel.choices.node.segmentID
    other = shown(user)
    assert other[OTHER_CENTRE] and not (other & corrected).any()
    keys("Return")
    np.testing.assert_array_equal(user.segment(second), other)
    np.testing.assert_array_equal(user.segment(), corrected)

    path = str(tmp_path / "scene.mrb")
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    assert a_scene.ReadFromMRB(path, True, None)
    user.host.process_events()
    user.volume = user.ui.volumeSelector.currentNode()
    user.wait()
    np.testing.assert_array_equal(user.segment(second), other)
    np.testing.assert_array_equal(shown(user), other)
    user.view.node = a_scene.GetFirstNodeByClass("vtkMRMLSliceNode")
    keys("Q")
    user.wait()
    np.testing.assert_array_equal(shown(user), corrected)
    user.panel.session.addClick(user.view.node, user.world(CENTRE))
    user.wait()
    assert shown(user)[CENTRE]
    keys("Return")
    np.testing.assert_array_equal(user.segment(), shown(user))
    np.testing.assert_array_equal(user.segment(second), other)


def test_object_is_chosen_by_default_and_slice_for_a_picture(an_object_user: User, make_volume: Any) -> None:
    user = an_object_user
    assert user.ui.objectButton.checked and not user.ui.sliceButton.checked
    user.panel.choices.node.inputVolume = make_volume(np.zeros((30, 20, 1), np.int16))
    assert user.ui.sliceButton.checked and not user.ui.objectButton.enabled
    assert user.ui.objectButton.toolTip == "This volume is one slice: a prompt gives its mask."
    user.panel.choices.node.inputVolume = user.volume
    assert user.ui.objectButton.checked and user.panel.choices.node.wholeObject


def test_the_choice_is_saved_with_the_scene_and_propagate_tells_why_it_is_grey(an_object_user: User) -> None:
    user = an_object_user
    user.begin()
    user.click(CENTRE)
    user.wait()
    assert not user.ui.propagateButton.enabled and "Choose Slice" in user.ui.propagateButton.toolTip
    user.press("slice")
    assert not user.panel.choices.node.wholeObject and not user.panel.session.isAtObject
    user.click(CENTRE)
    assert user.ui.propagateButton.enabled and "neighbours" in user.ui.propagateButton.toolTip
