"""Many objects in one volume: the first prompt makes a segment, and one key goes on with the next one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import SHAPE
from Testing.slicer.user import User

CELLS = [(5 + 7 * column, 8 + 14 * row, 5) for row in range(2) for column in range(5)]
"""Middles (i, j, k) of ten alike objects."""


@pytest.fixture
def voxels() -> np.ndarray:
    """Ten bright cubes of 5 x 5 x 5 voxels on dark, slightly noisy ground, int16 (i, j, k)."""
    image = np.random.default_rng(0).normal(0, 3, SHAPE)
    for cell in CELLS:
        image[tuple(slice(middle - 2, middle + 3) for middle in cell)] += 400
    return image.astype(np.int16)


def segments(user: User) -> list[np.ndarray]:
    segmentation = user.segmentation.GetSegmentation()
    return [user.segment(segmentation.GetNthSegmentID(place)) for place in range(segmentation.GetNumberOfSegments())]


@pytest.mark.parametrize("tool", ["positive", "box"])
def test_first_prompt_makes_segmentation_and_segment(a_user: User, tool: str) -> None:
    i, j, k = CELLS[0]
    a_user.press(tool)
    a_user.host.process_events()
    assert a_user.segmentation is None and not a_user.panel.session.hasTarget
    assert getattr(a_user.ui, f"{tool}Button").checked
    if tool == "positive":
        a_user.click(CELLS[0])
        assert a_user.ui.positiveButton.checked and a_user.panel.session.promptNodes.pointNodes[0] is not None
    else:
        a_user.draw("box", (i - 4, j - 4, k), (i + 4, j + 4, k))
    a_user.press("accept")
    (segment,) = segments(a_user)
    assert segment[CELLS[0]] and segment.sum() >= 9
    a_user.press("undo", "undo")
    assert a_user.panel.session.mask is None


def test_tool_that_is_put_down_before_the_first_prompt_leaves_nothing(a_user: User, a_scene: Any) -> None:
    before = a_scene.GetNumberOfNodes()
    for tool in ("positive", "negative", "box", "scribblePositive", "positive"):
        a_user.press(tool)
    a_user.press("positive")
    assert not a_user.ui.positiveButton.checked
    assert a_user.segmentation is None
    assert a_scene.GetNumberOfNodes() == before


def test_first_point_outside_of_the_volume_is_refused_in_words_of_the_view(a_user: User) -> None:
    a_user.press("positive")
    a_user.click((CELLS[0][0], -6, CELLS[0][2]))
    assert a_user.ui.messageLabel.text == (
        "You clicked outside the volume: nothing has changed. Point at the object within the image."
    )
    assert not a_user.ui.messageIcon.pixmap.isNull()
    a_user.click(CELLS[0])
    assert a_user.panel.session.mask is not None


def test_ten_objects_take_one_key_each_beside_the_clicks(a_user: User) -> None:
    a_user.host.press_key("+")
    for cell in CELLS:
        a_user.click(cell)
        a_user.wait()
        a_user.host.press_key("W")
        a_user.wait()
        assert a_user.ui.positiveButton.checked, "the tool stays in the hand"
    *found, empty = segments(a_user)
    assert len(found) == len(CELLS) and not empty.any()
    for segment, cell in zip(found, CELLS):
        i, j, k = cell
        near = np.zeros(SHAPE, bool)
        near[i - 3 : i + 4, j - 3 : j + 4, k] = True
        assert segment[cell] and not segment[~near].any()


def test_a_tool_that_draws_stays_for_the_next_segment_too(a_user: User) -> None:
    for i, j, k in CELLS[:3]:
        a_user.draw("box", (i - 4, j - 4, k), (i + 4, j + 4, k))
        a_user.wait()
        a_user.press("nextSegment")
        assert a_user.ui.boxButton.checked
    assert [segment.any() for segment in segments(a_user)] == [True, True, True, False]


def test_q_and_w_go_through_the_segments_and_add_none_between_them(a_user: User) -> None:
    a_user.press("positive")
    for cell in CELLS[:3]:
        a_user.click(cell)
        a_user.wait()
        a_user.host.press_key("W")
    names = [a_user.panel.choices.node.segmentID]
    for key in "QQQQWW":
        a_user.host.press_key(key)
        names.append(a_user.panel.choices.node.segmentID)
    order = list(a_user.segmentation.GetSegmentation().GetSegmentIDs())
    assert [order.index(name) for name in names] == [3, 2, 1, 0, 0, 1, 2]
    assert len(order) == 4


def test_undo_goes_back_through_the_segments(a_user: User) -> None:
    a_user.press("positive")
    for cell in CELLS[:2]:
        a_user.click(cell)
        a_user.wait()
        a_user.press("nextSegment")
    assert [segment.any() for segment in segments(a_user)] == [True, True, False]
    a_user.press("undo", "undo", "undo")
    assert [segment.any() for segment in segments(a_user)] == [True, False]
    a_user.press("redo", "redo")
    assert [segment.any() for segment in segments(a_user)] == [True, True]


def test_masks_hold_only_what_was_pointed_at_until_it_is_switched_off(a_user: User) -> None:
    from Testing.host.user import press

    def covered() -> list[bool]:
        mask = a_user.panel.session.mask.T
        return [bool(mask[i, j]) for i, j, _ in CELLS]

    a_user.press("positive")
    a_user.click(CELLS[0])
    a_user.wait()
    assert covered() == [True] + 9 * [False]
    press(a_user.ui.onlyPointedCheckBox)
    assert sum(covered()) > 1, "the toy model finds all that looks alike"
    assert a_user.panel.choices.node.onlyPointed is False
    press(a_user.ui.onlyPointedCheckBox)
    assert covered() == [True] + 9 * [False]
    a_user.click(CELLS[7])
    a_user.press("accept")
    assert [bool(segments(a_user)[0][cell]) for cell in CELLS] == [place in (0, 7) for place in range(10)]


def test_measures_of_the_segment_are_told(a_user: User) -> None:
    a_user.press("positive")
    assert a_user.ui.resultLabel.text == ""
    a_user.click(CELLS[0])
    a_user.press("accept")
    count = int(segments(a_user)[0].sum())
    a_user.host.wait_until(lambda: a_user.ui.resultLabel.text != "")
    text = a_user.ui.resultLabel.text
    assert float(text.split(" mL")[0]) == pytest.approx(count * 0.8 * 0.9 * 2.5 / 1000, rel=0.01)
    assert text.endswith("1 slice")
    a_user.press("undo")
    a_user.host.wait_until(lambda: a_user.ui.resultLabel.text == "")


def test_longest_diameter_is_that_between_the_farthest_voxels() -> None:
    from InteractiveAdaptSegLib.Measures import measured

    mask = np.random.default_rng(3).random((9, 14, 6)) < 0.05
    scale = np.diag([0.7, 0.7, 3.0])
    points = np.argwhere(mask) * [0.7, 0.7, 3.0]
    longest = np.linalg.norm(points[:, None] - points[None], axis=2).max()
    found = measured(mask, scale)
    assert found.diameter == pytest.approx(longest, rel=1e-3)
    assert found.volume == pytest.approx(mask.sum() * 0.7 * 0.7 * 3.0 / 1000)
    assert found.slices == 6


def test_mask_and_segment_have_one_colour_and_look_different(a_user: User) -> None:
    def pixels(value: Any) -> int:
        return int((np.abs(a_user.view.picture().astype(int) - value).max(axis=2) < 25).sum())

    a_user.press("newSegment", "positive")
    a_user.segmentation.GetSegmentation().GetNthSegment(0).SetColor(1.0, 0.0, 0.0)
    a_user.click(CELLS[0])
    before, line = a_user.view.picture(), pixels((255, 0, 0))
    assert line > 20, "a line in the segment's colour"
    assert "rgb(255, 0, 0)" in a_user.ui.segmentColour.styleSheet
    a_user.press("accept")
    assert (a_user.view.picture() != before).any()
    assert pixels((255, 0, 0)) < line
