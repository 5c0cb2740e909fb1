"""Prompts as nodes of the scene: stored and read back exactly, on any plane, in their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from Testing.slicer.panel import Panel
from Testing.slicer.scenes import CENTRE, SHAPE
from Testing.toy_model import ToyModel


@pytest.fixture
def some_prompts(a_scene: Any, a_volume: Any, a_segmentation: Any) -> Any:
    """Empty prompts of the segment "lesion"."""
    from InteractiveAdaptSegLib.PromptNodes import PromptNodes

    return PromptNodes.create(a_scene, a_volume, a_segmentation, "lesion")


def slice_of(volume_axis: int, index: int) -> Any:
    from AdaptCore.predict.geometry import axis_plane

    return axis_plane(SHAPE, volume_axis, index)


def click(number: int, x: float, y: float, positive: bool = True) -> Any:
    from AdaptCore.prompts import Click
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    return PromptStep(number, (Click(x, y, positive),))


def test_actions_come_back_in_order_and_in_place(some_prompts: Any) -> None:
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    plane = slice_of(2, 5)
    actions = [
        click(0, 3.25, 4.5),
        click(1, 7, 8, positive=False),
        PromptStep(2, box=Box(1.5, 2.5, 9.5, 11.5)),
        click(3, 5, 6),
    ]
    for action in actions:
        some_prompts.addStep(plane, action)
    read = some_prompts.steps(0)
    assert [action.step for action in read] == [0, 1, 2, 3]
    assert [[one.positive for one in action.clicks] for action in read] == [[True], [False], [], [True]]
    assert (read[0].clicks[0].x, read[0].clicks[0].y) == pytest.approx((3.25, 4.5))
    box = read[2].box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((1.5, 2.5, 9.5, 11.5))
    assert some_prompts.nextStep == 4


def test_oblique_plane_comes_back_exactly(a_scene: Any, an_oblique_volume: Any, a_segmentation: Any) -> None:
    from AdaptCore.predict.geometry import oblique_plane
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PromptNodes, PromptStep

    prompts = PromptNodes.create(a_scene, an_oblique_volume, a_segmentation, "lesion")
    plane = oblique_plane((2.125, 1.0 / 3.0, 4.0), (0.9, 0.1, 0.05), (-0.1, 0.8, 0.2), (30, 20))
    prompts.addStep(plane, click(0, 11.5, 12.25))
    prompts.addStep(plane, PromptStep(1, box=Box(4.5, 5.5, 12.5, 13.5)))
    assert prompts.planes == [plane]
    read = prompts.steps(0)
    assert (read[0].clicks[0].x, read[0].clicks[0].y) == pytest.approx((11.5, 12.25))


def test_planes_keep_their_prompts_apart(some_prompts: Any) -> None:
    some_prompts.addStep(slice_of(2, 5), click(0, 3, 4))
    some_prompts.addStep(slice_of(0, 5), click(1, 7, 8))
    assert [action.step for action in some_prompts.steps(0)] == [0]
    assert [action.step for action in some_prompts.steps(1)] == [1]
    some_prompts.removePlane(slice_of(2, 5))
    assert some_prompts.steps(0) == []
    assert len(some_prompts.steps(1)) == 1


def test_new_box_replaces_the_one_on_the_same_plane_only(some_prompts: Any) -> None:
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    for number, index in enumerate((5, 6, 5)):
        some_prompts.addStep(slice_of(2, index), PromptStep(number, box=Box(1, 1, 5.0 + number, 6)))
    assert [action.step for action in some_prompts.steps(0)] == [2]
    assert [action.step for action in some_prompts.steps(1)] == [1]
    assert len(some_prompts.boxNodes) == 2


def test_point_being_placed_does_not_count_yet(some_prompts: Any) -> None:
    from InteractiveAdaptSegLib.PromptNodes import unmarkedPoints

    some_prompts.addStep(slice_of(2, 5), click(0, 3, 4))
    node = some_prompts.pointNodes[0]
    node.AddControlPointWorld(1.0, 2.0, 3.0)
    node.ResetNthControlPointPosition(1)
    assert len(some_prompts.steps(0)) == 1
    assert unmarkedPoints(node) == []


def test_prompts_are_found_by_what_they_refer_to_and_not_by_name(
    a_scene: Any, a_volume: Any, a_segmentation: Any, some_prompts: Any
) -> None:
    from InteractiveAdaptSegLib.PromptNodes import PromptNodes

    PromptNodes.create(a_scene, a_volume, a_segmentation, "organ")
    some_prompts.node.SetName("renamed by the user")
    found = PromptNodes.find(a_scene, a_volume, a_segmentation, "lesion")
    assert found.node is some_prompts.node
    assert PromptNodes.find(a_scene, a_volume, a_segmentation, "nothing") is None


def test_point_list_that_was_removed_is_there_again_without_its_clicks(
    a_scene: Any, a_volume: Any, a_segmentation: Any, some_prompts: Any
) -> None:
    from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptNodes

    plane = slice_of(2, 5)
    some_prompts.addStep(plane, click(0, 3, 4))
    some_prompts.addStep(plane, click(1, 7, 8, positive=False))
    some_prompts.setMask(PlaneMask.ACCEPTED, plane, np.eye(*plane.shape, dtype=bool))
    a_scene.RemoveNode(some_prompts.pointNodes[0])
    assert not some_prompts.isComplete
    found = PromptNodes.find(a_scene, a_volume, a_segmentation, "lesion")
    assert found.node is some_prompts.node and found.isComplete
    ((left,),) = (step.clicks for step in found.steps(0))
    assert (left.x, left.y, left.positive) == (pytest.approx(7), pytest.approx(8), False)
    np.testing.assert_array_equal(found.mask(PlaneMask.ACCEPTED, plane), np.eye(*plane.shape))
    found.addStep(plane, click(2, 5, 5))
    assert found.pointNodes[0].GetNumberOfControlPoints() == 1


def test_prompts_without_their_segment_or_points_are_left_out(
    a_scene: Any, a_volume: Any, a_segmentation: Any, some_prompts: Any
) -> None:
    from InteractiveAdaptSegLib.PromptNodes import PromptNodes

    a_scene.RemoveNode(some_prompts.pointNodes[1])
    assert PromptNodes.all(a_scene) == []
    PromptNodes.create(a_scene, a_volume, a_segmentation, "organ")
    assert len(PromptNodes.all(a_scene)) == 1
    a_segmentation.GetSegmentation().RemoveSegment("organ")
    assert PromptNodes.all(a_scene) == []


def test_prompts_lie_on_their_voxels_in_the_views(some_prompts: Any, a_volume: Any) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

    some_prompts.addStep(slice_of(2, CENTRE[2]), click(0, CENTRE[0], CENTRE[1]))
    position = some_prompts.pointNodes[0].GetNthControlPointPositionWorld(0)
    np.testing.assert_allclose([position[axis] for axis in range(3)], worldPoint(ijkToWorld(a_volume), CENTRE))


def test_moved_box_counts_where_it_is(some_prompts: Any, a_volume: Any) -> None:
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    some_prompts.addStep(slice_of(2, 5), PromptStep(0, box=Box(2, 2, 8, 8)))
    node = some_prompts.boxNodes[0]
    node.SetCenterWorld(*np.add(node.GetCenterWorld(), (-0.8 * 3, 0.0, 0.0)))
    box = some_prompts.steps(0)[0].box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx((5, 2, 11, 8))


def test_masks_are_stored_with_their_planes_the_latest_last(some_prompts: Any) -> None:
    from AdaptCore.predict.geometry import oblique_plane
    from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptNodes

    oblique = oblique_plane((2.125, 1.0 / 3.0, 4.0), (0.9, 0.1, 0.05), (-0.1, 0.8, 0.2), (13, 7))
    masks = {plane: np.random.default_rng(0).random(plane.shape) < 0.5 for plane in (slice_of(2, 5), oblique)}
    for plane, mask in masks.items():
        some_prompts.setMask(PlaneMask.ACCEPTED, plane, mask)
    some_prompts.setMask(PlaneMask.ACCEPTED, slice_of(2, 5), ~masks[slice_of(2, 5)])
    read = list(PromptNodes(some_prompts.node).masks(PlaneMask.ACCEPTED))
    assert [plane for plane, _ in read] == [oblique, slice_of(2, 5)]
    np.testing.assert_array_equal(read[0][1], masks[oblique])
    np.testing.assert_array_equal(read[1][1], ~masks[slice_of(2, 5)])
    assert some_prompts.mask(PlaneMask.KEPT, oblique) is None


def test_masks_come_and_go_one_by_one_and_all_at_once(some_prompts: Any) -> None:
    from InteractiveAdaptSegLib.PromptNodes import PlaneMask

    first, second = slice_of(2, 5), slice_of(2, 6)
    full = np.ones(first.shape, bool)
    some_prompts.setMask(PlaneMask.KEPT, first, full)
    stored = some_prompts.packedMasks(PlaneMask.KEPT)
    some_prompts.setMask(PlaneMask.KEPT, second, full)
    some_prompts.setMask(PlaneMask.KEPT, first, None)
    assert [plane for plane, _ in some_prompts.masks(PlaneMask.KEPT)] == [second]
    some_prompts.setPackedMasks(PlaneMask.KEPT, stored)
    assert some_prompts.mask(PlaneMask.KEPT, second) is None
    np.testing.assert_array_equal(some_prompts.mask(PlaneMask.KEPT, first), full)


def test_mask_of_a_whole_slice_is_stored_in_little_space() -> None:
    from InteractiveAdaptSegLib.PackedMask import packMask, unpackMask

    rows, columns = np.indices((512, 511))
    disc = (rows - 200) ** 2 + (columns - 300) ** 2 < 120**2
    text = packMask(disc)
    assert len(text) < 4000
    np.testing.assert_array_equal(unpackMask(text, disc.shape), disc)


OUTLINE = ((2.5, 3.0), (9.0, 2.0), (11.0, 9.5), (4.0, 8.0))


def lasso_step(number: int) -> Any:
    from AdaptCore.prompts import Lasso
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    return PromptStep(number, lasso=Lasso(OUTLINE))


def points_of(step: Any) -> np.ndarray:
    return np.array(step.lasso.points)


def test_lasso_comes_back_exactly_on_any_plane(a_scene: Any, an_oblique_volume: Any, a_segmentation: Any) -> None:
    from AdaptCore.predict.geometry import oblique_plane
    from InteractiveAdaptSegLib.PromptNodes import PromptNodes

    prompts = PromptNodes.create(a_scene, an_oblique_volume, a_segmentation, "lesion")
    oblique = oblique_plane((2.125, 1.0 / 3.0, 4.0), (0.9, 0.1, 0.05), (-0.1, 0.8, 0.2), (30, 20))
    for number, plane in enumerate((oblique, slice_of(2, 5))):
        prompts.addStep(plane, lasso_step(number))
        (read,) = prompts.steps(number)
        assert read.step == number
        np.testing.assert_allclose(points_of(read), OUTLINE, atol=1e-9)
    assert prompts.nextStep == 2


def test_lasso_lies_on_its_slice_and_is_seen(some_prompts: Any, a_volume: Any) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

    some_prompts.addStep(slice_of(2, 5), lasso_step(0))
    (node,) = some_prompts.lassoNodes
    position = np.array(node.GetNthControlPointPositionWorld(1))
    np.testing.assert_allclose(position, worldPoint(ijkToWorld(a_volume), (9.0, 2.0, 5.0)))
    assert (node.GetClassName(), node.GetDisplayVisibility()) == ("vtkMRMLMarkupsClosedCurveNode", 1)
    assert node.GetAttribute("InteractiveAdaptSeg.Plane") == node.GetAttribute("InteractiveAdaptSeg.Step") == "0"
    some_prompts.setVisible(False)
    assert not node.GetDisplayVisibility()
    some_prompts.remove()
    assert node.GetScene() is None


def test_box_and_lasso_replace_each_other_on_the_same_plane_only(some_prompts: Any) -> None:
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    some_prompts.addStep(slice_of(2, 5), PromptStep(0, box=Box(1, 1, 5, 6)))
    some_prompts.addStep(slice_of(2, 6), lasso_step(1))
    some_prompts.addStep(slice_of(2, 5), lasso_step(2))
    assert (len(some_prompts.boxNodes), len(some_prompts.lassoNodes)) == (0, 2)
    some_prompts.addStep(slice_of(2, 6), PromptStep(3, box=Box(1, 1, 5, 6)))
    assert [action.step for action in (*some_prompts.steps(0), *some_prompts.steps(1))] == [2, 3]
    assert (len(some_prompts.boxNodes), len(some_prompts.lassoNodes)) == (1, 1)
    some_prompts.removeStep(2)
    assert some_prompts.lassoNodes == []


def test_lasso_follows_its_volume(some_prompts: Any, a_volume: Any, put_under_transform: Any) -> None:
    from Testing.slicer.scenes import matrix_of, rotation

    some_prompts.addStep(slice_of(2, 5), lasso_step(0))
    put_under_transform(matrix_of(rotation(1, 40.0), (5.0, 6.0, 7.0)), a_volume)
    np.testing.assert_allclose(points_of(some_prompts.steps(0)[0]), OUTLINE, atol=1e-6)
    a_volume.SetOrigin(100.0, -20.0, 3.0)
    np.testing.assert_allclose(points_of(some_prompts.steps(0)[0]), OUTLINE, atol=1e-6)
    assert some_prompts.lassoNodes[0].GetTransformNodeID() == a_volume.GetTransformNodeID()


def test_lasso_counts_with_the_corners_that_it_has_now(some_prompts: Any) -> None:
    some_prompts.addStep(slice_of(2, 5), lasso_step(0))
    (node,) = some_prompts.lassoNodes
    node.SetNthControlPointPositionWorld(0, *np.add(node.GetNthControlPointPositionWorld(0), (-0.8, 0.9, 0.0)))
    np.testing.assert_allclose(points_of(some_prompts.steps(0)[0])[0], (3.5, 2.0), atol=1e-6)
    node.RemoveNthControlPoint(3)
    assert len(points_of(some_prompts.steps(0)[0])) == 3
    node.RemoveNthControlPoint(2)
    assert some_prompts.steps(0) == []
    some_prompts.removePlane(slice_of(2, 5))
    assert some_prompts.lassoNodes == []


def test_box_that_is_moved_over_the_edge_is_cut_off_and_one_beside_the_plane_is_gone(some_prompts: Any) -> None:
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PromptStep

    some_prompts.addStep(slice_of(2, 5), PromptStep(0, box=Box(2, 2, 8, 8)))
    (node,) = some_prompts.boxNodes
    node.SetCenterWorld(*np.add(node.GetCenterWorld(), (0.8 * 5, 0.0, 0.0)))
    assert some_prompts.steps(0)[0].box.x0 == -0.5
    node.SetCenterWorld(*np.add(node.GetCenterWorld(), (0.8 * 5, 0.0, 0.0)))
    assert some_prompts.steps(0) == []


PLANES = '[{"plane_to_ijk": [[1, 0, 0], [0, 1, 0], [0, 0, 5]], "shape": [20, 24]}]'


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("planes", "[{"),
        ("planes", "[" * 100_000),
        ("planes", "7"),
        ("planes", '[{"shape": [20, 24]}]'),
        ("planes", PLANES.replace("[0, 0, 5]", "[0, 0, Infinity]")),
        ("planes", PLANES.replace("[0, 1, 0], ", "")),
        ("ijkToRAS", "[[1, 0], [0, 1]]"),
        ("ijkToRAS", '["a", "b"]'),
        ("placement", "[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]"),
        ("accepted", '{"0": "no base64!"}'),
        ("accepted", '{"0": "YWFhYQ=="}'),
        ("accepted", '{"9": "eJxjYGBgAAAABAAB"}'),
        ("start", "[1, 2]"),
        ("picks", '{"0": 3}'),
        ("picks", '{"first": [0, ""]}'),
        ("confidences", '{"7": {"0": 0.5}}'),
        ("confidences", '{"2": {"5": "sure"}}'),
    ],
)
def test_prompts_that_cannot_be_read_are_told_from_those_that_can(
    a_scene: Any, a_volume: Any, a_segmentation: Any, some_prompts: Any, parameter: str, value: str
) -> None:
    from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptNodes

    plane = slice_of(2, 5)
    some_prompts.addStep(plane, click(0, 3, 4))
    some_prompts.setMask(PlaneMask.ACCEPTED, plane, np.ones(plane.shape, bool))
    some_prompts.setConfidences({plane: 0.5})
    some_prompts.setPlacement(np.eye(4))
    sought = (a_scene, a_volume, a_segmentation, "lesion")
    assert PromptNodes.find(*sought).node is some_prompts.node and not PromptNodes.damaged(*sought)
    some_prompts.node.SetParameter(parameter, value)
    assert PromptNodes.find(*sought) is None
    assert [each.node for each in PromptNodes.damaged(*sought)] == [some_prompts.node]


@pytest.mark.parametrize("mark", [None, "", "second"])
def test_a_box_without_its_marks_is_no_prompt(some_prompts: Any, mark: str | None) -> None:
    from AdaptCore.prompts import Box
    from InteractiveAdaptSegLib.PromptNodes import PLANE_ATTRIBUTE, STEP_ATTRIBUTE, PromptStep

    for number, index in enumerate((5, 6)):
        some_prompts.addStep(slice_of(2, index), PromptStep(number, box=Box(2, 2, 8, 8)))
    some_prompts.boxNodes[1].SetAttribute(STEP_ATTRIBUTE if mark else PLANE_ATTRIBUTE, mark)
    assert [action.step for action in some_prompts.steps(0)] == [0] and some_prompts.steps(1) == []
    assert some_prompts.nextStep == 1
    some_prompts.removeStep(0)
    assert len(some_prompts.boxNodes) == 1


def test_a_segment_whose_prompts_are_damaged_begins_without_any_and_says_so_once(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any
) -> None:
    panels = [Panel(a_scene, a_slice_view, ToyModel()) for _ in range(3)]
    first, second, third = panels
    first.choose(a_volume, a_segmentation, "lesion")
    first.click(CENTRE)
    first.logic.accept()
    accepted = first.segment("lesion")
    assert accepted.any()
    damaged = first.logic.promptNodes.node
    first.logic.close()
    damaged.SetParameter("planes", "[{")
    for panel in (second, third):
        panel.choose(a_volume, a_segmentation, "lesion")
        assert panel.logic.promptNodes.node is not damaged
        np.testing.assert_array_equal(panel.segment("lesion"), accepted)
    assert third.messages == []
    (message,) = second.messages
    assert message.startswith(f"The prompts in the node '{damaged.GetName()}' are damaged and are not used.")
    assert damaged.GetParameter("planes") == "[{"
    third.click((CENTRE[0], CENTRE[1], CENTRE[2] + 1))
    assert third.logic.mask is not None and third.logic.mask.any()
    second.logic.close()
    third.logic.close()
