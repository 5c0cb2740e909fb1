"""Boxes, scribbles and lassos drawn with the mouse in a slice view, in a stand-in for Slicer's window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, RADII
from Testing.slicer.user import MODULE, User

TOOLS = ("box", "lasso", "scribblePositive", "scribbleNegative")
SLICE = CENTRE[2]


def at(x: float, y: float, centre: tuple[int, int, int] = CENTRE) -> tuple[float, float, int]:
    """A voxel beside a centre, on its slice."""
    return centre[0] + x, centre[1] + y, centre[2]


def around(radius: float, count: int = 40) -> list[tuple[float, float, int]]:
    """A circle of voxels around the object's centre."""
    angles = np.linspace(0, 2 * np.pi, count, endpoint=False)
    return [at(radius * np.cos(angle), radius * np.sin(angle)) for angle in angles]


def dice(first: np.ndarray, second: np.ndarray) -> float:
    return 2.0 * float((first & second).sum()) / float(first.sum() + second.sum())


def drawing(user: User) -> list[str]:
    """The buttons that the mouse belongs to."""
    return [name for name in ("positive", "negative", *TOOLS) if getattr(user.ui, f"{name}Button").checked]


def mouse_mode(mode: str) -> None:
    """What Slicer's toolbar does."""
    import slicer

    node = slicer.app.applicationLogic().GetInteractionNode()
    node.SetCurrentInteractionMode(getattr(node, mode))


def mask(user: User) -> np.ndarray:
    """The active plane's mask as voxels of its slice, bool (i, j)."""
    return user.panel.session.mask.T


@pytest.fixture(params=["a_user", "an_oblique_user"])
def a_drawer(request: pytest.FixtureRequest) -> User:
    """A user with an empty segment, in front of a straight volume or an oblique one under a transform."""
    user = request.getfixturevalue(request.param)
    user.press("newSegment")
    return user


@pytest.fixture
def a_simple_drawer(a_user: User) -> User:
    a_user.press("newSegment")
    return a_user


def test_box_gives_a_mask_inside_it(a_drawer: User, an_ellipsoid: np.ndarray) -> None:
    a_drawer.draw("box", at(-11, -10), at(2, 3), at(5, 10))
    a_drawer.press("accept")
    found = a_drawer.segment()
    expected = np.zeros_like(found)
    expected[CENTRE[0] - 11 : CENTRE[0] + 6, CENTRE[1] - 10 : CENTRE[1] + 11, SLICE] = True
    expected &= an_ellipsoid
    assert not (found & ~np.roll(expected, 1, axis=0) & ~expected).any()
    assert dice(found, expected) > 0.9


def test_box_in_a_turned_view_holds_what_was_drawn_around(a_simple_drawer: User) -> None:
    import slicer
    import vtk

    view, centre = a_simple_drawer.view.node, a_simple_drawer.world(CENTRE)
    turn = vtk.vtkTransform()
    turn.SetMatrix(view.GetSliceToRAS())
    turn.RotateZ(45.0)
    view.GetSliceToRAS().DeepCopy(turn.GetMatrix())
    view.UpdateMatrices()
    view.JumpSliceByCentering(*centre)
    axes = slicer.util.arrayFromVTKMatrix(view.GetSliceToRAS())[:3, :2].T
    corners = [centre - 7 * (axes[0] + axes[1]), centre + 7 * (axes[0] + axes[1])]
    a_simple_drawer.press("box")
    a_simple_drawer.view.drag(corners)
    a_simple_drawer.host.process_events()
    box = a_simple_drawer.panel.session.promptNodes.steps(0)[0].box
    sides = ((box.x1 - box.x0) * 0.8, (box.y1 - box.y0) * 0.9)
    np.testing.assert_allclose(sides, 14 * np.sqrt(2), atol=0.3)


def test_scribbles_add_and_take_away(a_drawer: User, an_ellipsoid: np.ndarray) -> None:
    a_drawer.draw("scribblePositive", *(at(x, 0) for x in range(-5, 6)))
    before = mask(a_drawer)
    assert dice(before, an_ellipsoid[:, :, SLICE]) > 0.9
    a_drawer.draw("scribbleNegative", *(at(6, y) for y in range(-4, 5)))
    after = mask(a_drawer)
    assert before[CENTRE[0] + 6, CENTRE[1]] and not after[CENTRE[0] + 6, CENTRE[1]]
    positive, negative = (node.GetNumberOfControlPoints() for node in a_drawer.panel.session.promptNodes.pointNodes)
    assert positive > 1 and negative > 1


def test_lasso_gives_a_mask_inside_it(a_drawer: User, an_ellipsoid: np.ndarray) -> None:
    a_drawer.draw("lasso", *around(6.5))
    a_drawer.press("accept")
    found = a_drawer.segment()
    i, j, _ = np.nonzero(found)
    assert np.hypot(i - CENTRE[0], j - CENTRE[1]).max() <= 6.6
    assert found.sum() > 0.9 * np.pi * 6.5**2
    assert not found[:, :, SLICE + 1].any()
    (lasso,) = a_drawer.panel.session.promptNodes.lassoNodes
    assert lasso.IsA("vtkMRMLMarkupsClosedCurveNode")


def seen(user: User, color: tuple[float, float, float]) -> int:
    """Pixels of a colour in the view."""
    return int((np.abs(user.view.picture() - np.round(255 * np.array(color))).max(axis=2) <= 2).sum())


def test_line_is_seen_while_it_is_drawn_and_gone_after(a_simple_drawer: User) -> None:
    from InteractiveAdaptSegLib.PromptNodes import NEGATIVE_COLOR

    user, ends = a_simple_drawer, [a_simple_drawer.world(at(x, 14)) for x in (-10, 10)]
    user.draw("scribblePositive", at(-2, 0), at(2, 0))
    user.press("scribbleNegative")
    user.view.press(ends[0])
    user.view.move(ends[1])
    assert seen(user, NEGATIVE_COLOR) > 100
    user.view.type_key("Escape")
    assert seen(user, NEGATIVE_COLOR) == 0
    user.view.release(ends[1])
    user.host.process_events()
    assert user.panel.session.promptNodes.pointNodes[1].GetNumberOfControlPoints() == 0


@pytest.mark.parametrize("tool", ["box", "lasso"])
def test_outline_is_seen_until_it_is_undone(a_simple_drawer: User, tool: str) -> None:
    from InteractiveAdaptSegLib.PromptNodes import POSITIVE_COLOR

    a_simple_drawer.draw(tool, *([at(-11, -11), at(11, 11)] if tool == "box" else around(11)))
    assert seen(a_simple_drawer, POSITIVE_COLOR) > 100
    a_simple_drawer.press("undo")
    assert seen(a_simple_drawer, POSITIVE_COLOR) == 0
    a_simple_drawer.press("redo")
    assert seen(a_simple_drawer, POSITIVE_COLOR) > 100


@pytest.mark.parametrize("tool", TOOLS)
def test_tool_is_put_down_by_its_button_its_key_and_escape(a_simple_drawer: User, tool: str) -> None:
    from InteractiveAdaptSegWidgets.Shortcuts import KEYS

    user = a_simple_drawer
    for put_down in (
        lambda: user.press(tool),
        lambda: user.host.press_key(KEYS[tool][0]),
        lambda: user.host.press_key("Esc"),
        lambda: user.view.type_key("Escape"),
    ):
        user.host.press_key(KEYS[tool][0])
        assert drawing(user) == [tool]
        put_down()
        assert drawing(user) == []
    user.view.drag([user.world(voxel) for voxel in around(9)])
    user.host.process_events()
    assert user.panel.session.mask is None


def test_escape_puts_points_down_too(a_simple_drawer: User) -> None:
    a_simple_drawer.press("negative")
    a_simple_drawer.host.press_key("Esc")
    assert drawing(a_simple_drawer) == []


def test_one_button_has_the_mouse(a_simple_drawer: User) -> None:
    for name in ("positive", "box", "lasso", "negative", "scribbleNegative", "scribblePositive", "positive"):
        a_simple_drawer.press(name)
        assert drawing(a_simple_drawer) == [name]
    a_simple_drawer.press("box")
    mouse_mode("AdjustWindowLevel")
    assert drawing(a_simple_drawer) == []
    a_simple_drawer.press("lasso")
    mouse_mode("Place")
    assert drawing(a_simple_drawer) == ["positive"]


def test_click_draws_nothing_and_says_what_to_do(a_simple_drawer: User) -> None:
    for tool in TOOLS:
        a_simple_drawer.press(tool)
        a_simple_drawer.click(CENTRE)
        assert a_simple_drawer.message.startswith("A click draws nothing: hold the left mouse button down")
        assert drawing(a_simple_drawer) == [tool]
    assert a_simple_drawer.panel.session.mask is None
    assert not a_simple_drawer.panel.session.canUndo


@pytest.mark.parametrize(
    ("tool", "why"),
    [
        ("box", "The box lies outside the volume"),
        ("lasso", "The lasso goes around nothing of the volume"),
        ("scribblePositive", "The scribble leaves the volume"),
    ],
)
def test_drag_outside_the_volume_changes_nothing_and_says_why(a_simple_drawer: User, tool: str, why: str) -> None:
    a_simple_drawer.draw(tool, at(-30, 0), at(-26, 8), at(-40, 8))
    assert a_simple_drawer.message == f"{why}: nothing has changed. Point at the object within the image."
    assert a_simple_drawer.panel.session.mask is None
    assert not a_simple_drawer.panel.session.promptNodes.outlineNodes


def test_drag_in_a_view_beside_the_volume_says_why(a_simple_drawer: User) -> None:
    a_simple_drawer.draw("lasso", *[(x, y, 40) for x, y, _ in around(9)])
    assert "does not pass through volume 'Volume'" in a_simple_drawer.message
    assert a_simple_drawer.panel.session.mask is None


def test_box_and_lasso_may_begin_outside_the_volume(a_simple_drawer: User, an_ellipsoid: np.ndarray) -> None:
    a_simple_drawer.draw("box", at(-30, -20), at(14, 12))
    assert dice(mask(a_simple_drawer), an_ellipsoid[:, :, SLICE]) > 0.9
    a_simple_drawer.draw("lasso", at(-30, -20), at(14, -20), at(14, 12), at(-30, 12))
    assert dice(mask(a_simple_drawer), an_ellipsoid[:, :, SLICE]) > 0.9
    assert a_simple_drawer.message == ""


def test_wheel_and_other_buttons_stay_with_slicer(a_simple_drawer: User) -> None:
    user, node = a_simple_drawer, a_simple_drawer.view.node
    user.press("lasso")
    user.view.node.JumpSliceByCentering(*user.world(CENTRE))
    offset = node.GetSliceOffset()
    user.view.scroll()
    assert node.GetSliceOffset() != offset
    size = node.GetFieldOfView()[0]
    user.view.drag([user.world(voxel) for voxel in (at(0, -5), at(0, 0), at(0, 5))], "Right")
    assert node.GetFieldOfView()[0] != pytest.approx(size)
    origin = node.GetXYZOrigin()
    user.view.drag([user.world(voxel) for voxel in around(6)], shift=True)
    assert node.GetXYZOrigin() != pytest.approx(origin)
    user.host.process_events()
    assert user.panel.session.mask is None
    assert drawing(user) == ["lasso"]


def test_left_button_draws_and_moves_no_marker(a_simple_drawer: User) -> None:
    a_simple_drawer.press("positive")
    a_simple_drawer.click(CENTRE)
    points = a_simple_drawer.panel.session.promptNodes.pointNodes[0]
    before = np.array(points.GetNthControlPointPositionWorld(0))
    a_simple_drawer.draw("scribblePositive", CENTRE, at(3, 0), at(5, 0))
    np.testing.assert_array_equal(np.array(points.GetNthControlPointPositionWorld(0)), before)
    assert points.GetNumberOfControlPoints() > 1


def test_view_that_is_scrolled_under_the_stroke_draws_nothing(a_simple_drawer: User) -> None:
    user, (first, second) = a_simple_drawer, [a_simple_drawer.world(at(x, x)) for x in (-9, 9)]
    user.press("box")
    user.view.node.JumpSliceByCentering(*first)
    user.view.press(first)
    user.view.move(second)
    user.view.scroll()
    user.view.release(second)
    user.host.process_events()
    assert user.message.startswith("The view went to another slice")
    assert user.panel.session.mask is None


def test_view_that_is_zoomed_under_the_stroke_keeps_it_on_its_voxels(a_simple_drawer: User) -> None:
    user, (first, second) = a_simple_drawer, [a_simple_drawer.world(at(x, x)) for x in (-9, 9)]
    user.press("box")
    user.view.node.JumpSliceByCentering(*first)
    user.view.press(first)
    wide = user.view.node.GetFieldOfView()
    user.view.node.SetFieldOfView(2 * wide[0], 2 * wide[1], wide[2])
    user.view.move(second)
    user.view.release(second)
    user.host.process_events()
    box = user.panel.session.promptNodes.steps(0)[0].box
    assert (box.x0, box.y0, box.x1, box.y1) == pytest.approx(
        (CENTRE[0] - 9, CENTRE[1] - 9, CENTRE[0] + 9, CENTRE[1] + 9), abs=0.3
    )


def test_view_of_a_new_layout_is_drawn_in(a_simple_drawer: User, a_scene: Any) -> None:
    from Testing.host.slice_view import SliceView

    user = a_simple_drawer
    user.press("scribblePositive")
    node = a_scene.CreateNodeByClass("vtkMRMLSliceNode")
    node.UnRegister(None)
    node.SetName("Green")
    node.SetLayoutName("Green")
    node = a_scene.AddNode(node)
    node.SetOrientation("Coronal")
    user.view = SliceView(node, user.volume)
    user.draw("scribblePositive", *[(x, CENTRE[1], SLICE) for x in range(CENTRE[0] - 4, CENTRE[0] + 5)])
    assert user.panel.session.activePlane.axis == 1
    assert user.panel.session.mask is not None


@pytest.mark.parametrize(
    "how", ["left", "scene closed", "module reloaded", "Slicer ended", "propagation", "segment deleted"]
)
def test_drawing_ends_with_what_it_is_for(a_simple_drawer: User, a_scene: Any, how: str) -> None:
    import slicer

    user, worlds = a_simple_drawer, [a_simple_drawer.world(voxel) for voxel in around(8)]
    user.draw("box", at(-9, -8), at(9, 8))
    user.press("lasso")
    panel = user.panel
    user.view.press(worlds[0])
    user.view.move(worlds[10])
    if how == "left":
        user.host.leave()
    elif how == "scene closed":
        a_scene.Clear(False)
    elif how == "module reloaded":
        slicer.util.reloadScriptedModule(MODULE)
        user.widget = slicer.modules.InteractiveAdaptSegWidget
    elif how == "Slicer ended":
        user.host.close()
    elif how == "propagation":
        panel.session.propagate()
    else:
        user.segmentation.GetSegmentation().RemoveSegment(user.segmentation.GetSegmentation().GetNthSegmentID(0))
        user.host.process_events()
    assert panel.tools.name == ""
    assert panel.tools._drawMode._observations._known == []
    for world in worlds[20:]:
        user.view.move(world)
    user.view.release(worlds[-1])
    user.host.process_events()
    nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsClosedCurveNode", a_scene)
    assert len(nodes) == 0
    if how == "propagation":
        user.wait()


def test_panel_that_is_entered_again_draws_again(a_simple_drawer: User) -> None:
    a_simple_drawer.press("box")
    a_simple_drawer.host.open(MODULE)
    assert drawing(a_simple_drawer) == []
    a_simple_drawer.draw("lasso", *around(8))
    assert a_simple_drawer.panel.session.mask is not None


def test_drawn_prompts_are_undone_and_redone_with_keys(a_simple_drawer: User) -> None:
    user, keys = a_simple_drawer, a_simple_drawer.host.press_key
    user.draw("box", at(-9, -8), at(9, 8))
    boxed = user.panel.session.mask
    user.draw("lasso", *around(5))
    inside = user.panel.session.mask
    assert inside.sum() < boxed.sum()
    prompts = user.panel.session.promptNodes
    assert (len(prompts.boxNodes), len(prompts.lassoNodes)) == (0, 1)
    keys("Ctrl+Z")
    np.testing.assert_array_equal(user.panel.session.mask, boxed)
    assert (len(prompts.boxNodes), len(prompts.lassoNodes)) == (1, 0)
    keys("Ctrl+Y")
    np.testing.assert_array_equal(user.panel.session.mask, inside)
    assert (len(prompts.boxNodes), len(prompts.lassoNodes)) == (0, 1)


def test_corner_of_a_lasso_is_dragged_in_the_view(a_drawer: User) -> None:
    import slicer

    user = a_drawer
    user.draw("lasso", *around(8))
    user.press("lasso")
    inside = mask(user)
    (node,) = user.panel.session.promptNodes.lassoNodes
    corner = np.array(node.GetNthControlPointPositionWorld(0))
    user.view.drag([corner, user.world(at(5, 0)), user.world(at(1, 0)), user.world(at(1, 0))])
    user.host.process_events()
    moved = np.array(node.GetNthControlPointPositionWorld(0))
    np.testing.assert_allclose(moved, user.world(at(1, 0)), atol=0.2)
    assert inside[CENTRE[0] + 5, CENTRE[1]] and not mask(user)[CENTRE[0] + 5, CENTRE[1]]
    slicer.mrmlScene.RemoveNode(node)
    user.host.process_events()
    assert user.panel.session.mask is None


def test_buttons_are_grey_while_nothing_can_be_drawn(a_user: User, a_scene: Any) -> None:
    assert all(getattr(a_user.ui, f"{name}Button").enabled for name in TOOLS), "the first prompt makes a segment"
    a_scene.RemoveNode(a_user.volume)
    a_user.host.process_events()
    assert not any(getattr(a_user.ui, f"{name}Button").enabled for name in TOOLS)


def test_object_elsewhere_is_drawn_around_after_clearing(a_simple_drawer: User, voxels: np.ndarray) -> None:
    a_simple_drawer.draw("box", at(-RADII[0] - 1, -RADII[1] - 1), at(RADII[0] + 1, RADII[1] + 1))
    a_simple_drawer.press("accept", "clear")
    a_simple_drawer.draw("lasso", *(at(x, y, OTHER_CENTRE) for x, y in ((-4, -4), (4, -4), (4, 4), (-4, 4))))
    a_simple_drawer.press("accept")
    found = a_simple_drawer.segment()
    assert found[CENTRE] and found[OTHER_CENTRE]
    assert not found[OTHER_CENTRE[0] + 5, OTHER_CENTRE[1], SLICE]


def test_side_of_a_box_is_dragged_in_the_view(a_drawer: User) -> None:
    user = a_drawer
    user.draw("box", at(-8, -8), at(8, 8))
    user.press("box")
    whole = mask(user)
    user.view.drag([user.world(voxel) for voxel in (at(8, 0), at(6, 0), at(2, 0), at(2, 0))])
    user.host.process_events()
    box = user.panel.session.promptNodes.steps(0)[0].box
    assert (box.x0, box.x1) == pytest.approx((CENTRE[0] - 8, CENTRE[0] + 2), abs=0.5)
    assert whole[CENTRE[0] + 5, CENTRE[1]] and not mask(user)[CENTRE[0] + 5, CENTRE[1]]


def test_redone_outline_leaves_the_mouse_to_the_points(a_simple_drawer: User) -> None:
    user, keys = a_simple_drawer, a_simple_drawer.host.press_key
    user.draw("lasso", *around(8))
    user.press("positive")
    keys("Ctrl+Z")
    keys("Ctrl+Y")
    (lasso,) = user.panel.session.promptNodes.lassoNodes
    corners = lasso.GetNumberOfControlPoints()
    user.click(CENTRE)
    assert user.ui.positiveButton.checked and lasso.GetNumberOfControlPoints() == corners
    positive, negative = user.panel.session.promptNodes.pointNodes
    assert (positive.GetNumberOfControlPoints(), negative.GetNumberOfControlPoints()) == (1, 0)


def test_points_go_on_in_the_segment_that_is_chosen_next(a_simple_drawer: User) -> None:
    user = a_simple_drawer
    user.press("positive", "newSegment")
    assert user.ui.positiveButton.checked and not user.ui.negativeButton.checked
    user.click(CENTRE)
    assert user.message == "" and user.panel.session.mask[CENTRE[1], CENTRE[0]]
    segmentation = user.segmentation.GetSegmentation()
    user.panel.choices.node.segmentID = segmentation.GetNthSegmentID(0)
    user.host.process_events()
    assert user.ui.positiveButton.checked
    user.host.leave()
    interaction = user.panel.session._scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
    assert interaction.GetCurrentInteractionMode() == interaction.ViewTransform


def test_stroke_right_after_another_is_drawn(a_simple_drawer: User) -> None:
    user = a_simple_drawer
    user.draw("scribblePositive", at(-4, 0), at(4, 0))
    world = user.world(at(-4, 2))
    user.view.press_again(world)
    for x in (-2, 0, 2, 4):
        user.view.move(user.world(at(x, 2)))
    user.view.release(user.world(at(4, 2)))
    user.host.process_events()
    steps = user.panel.session.promptNodes.steps(0)
    assert len(steps) == 2 and all(len(step.clicks) > 1 for step in steps)
