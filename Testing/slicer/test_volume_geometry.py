"""Volumes of the scene as arrays, and slice views as planes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from Testing.slicer.scenes import CENTRE, SHAPE, matrix_of, rotation


def look_at(view: Any, volume: Any, voxel: Any) -> None:
    """Move a slice view's plane onto a voxel of a volume."""
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

    view.JumpSliceByCentering(*worldPoint(ijkToWorld(volume), voxel))


def shown_plane(view: Any, volume: Any) -> Any:
    from InteractiveAdaptSegLib.VolumeGeometry import slicePlane

    return slicePlane(view, volume)


def shown_image(view: Any, volume: Any) -> np.ndarray:
    from AdaptCore.predict.geometry import extract
    from InteractiveAdaptSegLib.VolumeGeometry import voxelArray

    return extract(voxelArray(volume), shown_plane(view, volume))


def test_voxels_are_seen_in_ijk_order_without_a_copy(a_volume: Any, voxels: np.ndarray) -> None:
    import slicer

    from InteractiveAdaptSegLib.VolumeGeometry import voxelArray

    seen = voxelArray(a_volume)
    assert seen.dtype == np.int16
    np.testing.assert_array_equal(seen, voxels)
    assert np.shares_memory(seen, slicer.util.arrayFromVolume(a_volume))


def test_source_voxels_cannot_be_written(a_volume: Any) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import voxelArray

    with pytest.raises(ValueError, match="read-only"):
        voxelArray(a_volume)[0, 0, 0] = 1


def test_colour_volumes_give_three_channels(a_scene: Any) -> None:
    import slicer

    from InteractiveAdaptSegLib.VolumeGeometry import voxelArray

    image = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    node = a_scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode")
    slicer.util.updateVolumeFromArray(node, image)
    seen = voxelArray(node)
    assert seen.shape == (4, 3, 2, 3)
    np.testing.assert_array_equal(seen[1, 2, 0], image[0, 2, 1, :3])


def test_volume_without_image_is_refused(a_scene: Any) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.VolumeGeometry import voxelArray

    with pytest.raises(SceneError, match="holds no image"):
        voxelArray(a_scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Empty"))


def test_view_along_the_volume_axes_gives_the_exact_slice(a_volume: Any, a_slice_view: Any) -> None:
    for orientation, axis in (("Axial", 2), ("Sagittal", 0), ("Coronal", 1)):
        a_slice_view.SetOrientation(orientation)
        look_at(a_slice_view, a_volume, CENTRE)
        plane = shown_plane(a_slice_view, a_volume)
        assert (plane.axis, plane.plane_to_ijk[axis, 2]) == (axis, CENTRE[axis])


def test_view_between_two_slices_gives_the_nearer_one(a_volume: Any, a_slice_view: Any) -> None:
    look_at(a_slice_view, a_volume, (0, 0, 4.4))
    assert shown_plane(a_slice_view, a_volume).plane_to_ijk[2, 2] == 4
    look_at(a_slice_view, a_volume, (0, 0, 4.6))
    assert shown_plane(a_slice_view, a_volume).plane_to_ijk[2, 2] == 5


def test_view_turned_to_an_oblique_volume_gives_its_slice(an_oblique_volume: Any, a_slice_view: Any) -> None:
    a_slice_view.RotateToVolumePlane(an_oblique_volume)
    look_at(a_slice_view, an_oblique_volume, CENTRE)
    plane = shown_plane(a_slice_view, an_oblique_volume)
    assert plane.axis == 2
    assert plane.plane_to_ijk[2, 2] == CENTRE[2]


def test_parent_transform_moves_the_slice(
    a_volume: Any, a_slice_view: Any, put_under_transform: Callable[..., Any]
) -> None:
    look_at(a_slice_view, a_volume, CENTRE)
    put_under_transform(matrix_of(np.eye(3), (0.0, 0.0, 5.0)), a_volume)
    assert shown_plane(a_slice_view, a_volume).plane_to_ijk[2, 2] == CENTRE[2] - 2


def test_axial_view_of_an_oblique_volume_is_a_resampled_plane_of_square_pixels(
    an_oblique_volume: Any, a_slice_view: Any
) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint

    look_at(a_slice_view, an_oblique_volume, CENTRE)
    plane = shown_plane(a_slice_view, an_oblique_volume)
    assert plane.axis is None
    matrix = ijkToWorld(an_oblique_volume)
    origin, right, down = (worldPoint(matrix, plane.voxel(x, y)) for x, y in ((0, 0), (1, 0), (0, 1)))
    np.testing.assert_allclose(right - origin, (-0.8, 0, 0), atol=1e-4)
    np.testing.assert_allclose(down - origin, (0, -0.8, 0), atol=1e-4)
    assert origin[2] == pytest.approx(worldPoint(matrix, CENTRE)[2], abs=1e-4)


def test_oblique_plane_shows_the_object_where_it_is(an_oblique_volume: Any, a_slice_view: Any) -> None:
    look_at(a_slice_view, an_oblique_volume, CENTRE)
    plane = shown_plane(a_slice_view, an_oblique_volume)
    image = shown_image(a_slice_view, an_oblique_volume)
    x, y = plane.pixel(CENTRE)
    assert image.shape == plane.shape
    assert image[round(y), round(x)] > 450
    bright = np.argwhere(image > 250)
    np.testing.assert_allclose(bright.mean(axis=0), (y, x), atol=1.0)


def test_oblique_plane_covers_all_of_the_volume_it_passes(an_oblique_volume: Any, a_slice_view: Any) -> None:
    look_at(a_slice_view, an_oblique_volume, CENTRE)
    plane = shown_plane(a_slice_view, an_oblique_volume)
    height, width = plane.shape
    rng = np.random.default_rng(1)
    outside = 0
    for _ in range(2000):
        x, y = rng.uniform(-30, width + 30), rng.uniform(-30, height + 30)
        voxel = np.array(plane.voxel(x, y))
        in_volume = (voxel >= -0.5).all() and (voxel <= np.array(SHAPE) - 0.5).all()
        in_plane = -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5
        assert in_plane or not in_volume
        outside += not in_volume
    assert outside > 0


def test_scrolling_away_and_back_meets_the_same_plane(an_oblique_volume: Any, a_slice_view: Any) -> None:
    look_at(a_slice_view, an_oblique_volume, CENTRE)
    first = shown_plane(a_slice_view, an_oblique_volume)
    look_at(a_slice_view, an_oblique_volume, (CENTRE[0], CENTRE[1], CENTRE[2] + 1))
    assert shown_plane(a_slice_view, an_oblique_volume) != first
    look_at(a_slice_view, an_oblique_volume, CENTRE)
    assert shown_plane(a_slice_view, an_oblique_volume) == first


@pytest.mark.parametrize("turned", [False, True])
def test_view_beside_the_volume_is_refused(
    a_volume: Any, an_oblique_volume: Any, a_slice_view: Any, turned: bool
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    a_slice_view.JumpSliceByCentering(0, 0, 900)
    with pytest.raises(SceneError, match="'Red' does not pass through volume 'Volume'"):
        shown_plane(a_slice_view, an_oblique_volume if turned else a_volume)


def test_nonlinear_parent_transform_is_refused(a_volume: Any, a_slice_view: Any, bend: Callable[..., None]) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError

    bend(a_volume)
    with pytest.raises(SceneError, match="'Volume' is under the non-linear transform 'Bend': harden"):
        shown_plane(a_slice_view, a_volume)


def test_window_comes_from_the_display_only_if_the_user_has_set_it(a_volume: Any) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import displayWindow

    display = a_volume.GetScalarVolumeDisplayNode()
    assert displayWindow(a_volume) is None
    display.AutoWindowLevelOff()
    display.SetWindowLevel(400, 40)
    window = displayWindow(a_volume)
    assert (window.low, window.high) == (-160, 240)


def test_rotation_helper_turns_the_right_way() -> None:
    np.testing.assert_allclose(rotation(2, 90.0) @ (1, 0, 0), (0, 1, 0), atol=1e-12)
