"""Correct what is there: a segment that was loaded or painted is what the prompts on a slice start from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import CENTRE, SHAPE
from Testing.slicer.user import User

SLICE = CENTRE[2]
OBJECT = (slice(6, 14), slice(8, 16))
MISSING = (slice(22, 30), slice(8, 16))
ISLAND = (slice(8, 13), slice(24, 29))
ON_MISSING, ON_ISLAND = (26, 12, SLICE), (10, 26, SLICE)


@pytest.fixture
def voxels() -> np.ndarray:
    """Two alike bright blocks through all slices on dark, slightly noisy ground, int16 (i, j, k)."""
    image = np.random.default_rng(0).normal(0, 3, SHAPE)
    image[OBJECT] += 400
    image[MISSING] += 400
    return image.astype(np.int16)


@pytest.fixture
def a_loaded_mask() -> np.ndarray:
    """One block with a ragged edge that no model gives, and a false island, bool (i, j, k)."""
    mask = np.zeros(SHAPE, bool)
    mask[(*OBJECT, slice(3, 8))] = True
    mask[6, 8:16:2, 3:8] = False
    mask[(*ISLAND, slice(3, 8))] = True
    return mask


@pytest.fixture
def a_corrector(a_user: User, a_segmentation: Any, a_volume: Any, a_loaded_mask: np.ndarray) -> User:
    """A user who has chosen a segment that holds the mask."""
    import slicer

    from Testing.host.user import choose

    labels = np.ascontiguousarray(a_loaded_mask.T.astype(np.uint8))
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, a_segmentation, "lesion", a_volume)
    choose(a_user.ui.segmentationSelector, "Segmentation")
    np.testing.assert_array_equal(a_user.segment("lesion"), a_loaded_mask)
    return a_user


def changed(user: User, before: np.ndarray) -> np.ndarray:
    """Voxels N x 3 that the segment holds now and did not, or no longer does."""
    return np.argwhere(user.segment("lesion") != before)


def test_a_negative_click_takes_a_false_island_away_and_nothing_else(
    a_corrector: User, a_loaded_mask: np.ndarray
) -> None:
    a_corrector.press("negative")
    a_corrector.click(ON_ISLAND)
    a_corrector.press("accept")
    expected = a_loaded_mask.copy()
    expected[(*ISLAND, SLICE)] = False
    np.testing.assert_array_equal(a_corrector.segment("lesion"), expected)


def test_a_positive_click_adds_a_missing_part_and_changes_nothing_else(
    a_corrector: User, a_loaded_mask: np.ndarray
) -> None:
    a_corrector.press("positive")
    a_corrector.click(ON_MISSING)
    a_corrector.press("accept")
    different = changed(a_corrector, a_loaded_mask)
    assert a_corrector.segment("lesion")[ON_MISSING]
    assert (different[:, 2] == SLICE).all()
    low, high = different.min(axis=0), different.max(axis=0)
    assert (low[:2] >= (20, 6)).all() and (high[:2] <= (31, 17)).all(), "only around what was clicked"


def test_corrections_are_undone_one_by_one(a_corrector: User, a_loaded_mask: np.ndarray) -> None:
    a_corrector.press("negative")
    a_corrector.click(ON_ISLAND)
    a_corrector.press("positive")
    a_corrector.click(ON_MISSING)
    mask = a_corrector.panel.session.mask.T
    assert mask[ON_MISSING[:2]] and not mask[ON_ISLAND[:2]]
    a_corrector.press("accept", "undo")
    np.testing.assert_array_equal(a_corrector.segment("lesion"), a_loaded_mask)
    a_corrector.press("undo", "undo")
    np.testing.assert_array_equal(a_corrector.panel.session.mask.T, a_loaded_mask[:, :, SLICE])
    a_corrector.click(ON_MISSING)
    a_corrector.press("accept")
    assert a_corrector.segment("lesion")[ON_ISLAND], "it begins from the loaded mask again"


def test_correction_goes_on_in_a_saved_scene(
    a_corrector: User, a_scene: Any, a_loaded_mask: np.ndarray, tmp_path: Path
) -> None:
    a_corrector.press("negative")
    a_corrector.click(ON_ISLAND)
    mask = a_corrector.panel.session.mask
    path = str(tmp_path / "scene.mrb")
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    assert a_scene.ReadFromMRB(path, True, None)
    a_corrector.host.process_events()
    a_corrector.volume = a_corrector.ui.volumeSelector.currentNode()
    assert a_corrector.panel.session.showPlane(a_scene.GetFirstNodeByClass("vtkMRMLSliceNode"))
    np.testing.assert_array_equal(a_corrector.panel.session.mask, mask)
    a_corrector.press("accept")
    expected = a_loaded_mask.copy()
    expected[(*ISLAND, SLICE)] = False
    np.testing.assert_array_equal(a_corrector.segment("lesion"), expected)


def test_what_is_painted_between_clicks_is_part_of_the_segment(
    a_corrector: User, a_segmentation: Any, a_volume: Any, a_loaded_mask: np.ndarray
) -> None:
    import slicer

    a_corrector.press("negative")
    a_corrector.click(ON_ISLAND)
    a_corrector.press("accept")
    painted = a_corrector.segment("lesion")
    painted[30:34, 30:33, SLICE + 1] = True
    labels = np.ascontiguousarray(painted.T.astype(np.uint8))
    slicer.util.updateSegmentBinaryLabelmapFromArray(labels, a_segmentation, "lesion", a_volume)
    a_corrector.host.process_events()
    a_corrector.click((10, 26, SLICE + 1))
    a_corrector.press("accept")
    expected = painted.copy()
    expected[(*ISLAND, SLICE + 1)] = False
    np.testing.assert_array_equal(a_corrector.segment("lesion"), expected)
