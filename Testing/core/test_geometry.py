"""Planes read the voxels they pass, and masks go back to exactly those."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.predict.geometry import (
    PlaneGeometry,
    axis_plane,
    check_mask,
    check_volume,
    extract,
    known_spacing,
    oblique_plane,
    plane_labels,
    plane_voxels,
)

SHAPE = (5, 7, 6)


def written(shape: tuple[int, int, int], plane: PlaneGeometry, mask: np.ndarray) -> np.ndarray:
    """A labelmap with a mask on the voxels that its plane passes."""
    labels = np.zeros(shape, np.uint8)
    voxels, rows, columns = plane_voxels(shape, plane)
    labels[voxels] = mask[rows, columns]
    return labels


@pytest.fixture
def a_volume() -> np.ndarray:
    return np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)


def test_axis_planes_are_exact_slices_with_x_as_the_first_remaining_axis(a_volume):
    assert np.array_equal(extract(a_volume, axis_plane(SHAPE, 2, 3)), a_volume[:, :, 3].T)
    assert np.array_equal(extract(a_volume, axis_plane(SHAPE, 1, 4)), a_volume[:, 4, :].T)
    assert np.array_equal(extract(a_volume, axis_plane(SHAPE, 0, 2)), a_volume[2].T)


def test_exact_slice_cannot_be_used_to_change_the_volume(a_volume):
    image = extract(a_volume, axis_plane(SHAPE, 2, 3))
    assert image.dtype == np.int16
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0] = 1
    a_volume[0, 0, 3] = 5


def test_colour_planes_keep_their_channels():
    volume = np.random.default_rng(0).integers(0, 255, (4, 5, 3, 3)).astype(np.uint8)
    image = extract(volume, axis_plane(volume.shape, 1, 2))
    assert image.shape == (3, 4, 3)
    assert image[1, 3].tolist() == volume[3, 2, 1].tolist()


def test_flipped_and_swapped_planes_are_still_exact(a_volume):
    flipped = oblique_plane((4, 0, 3), (-1, 0, 0), (0, 1, 0), (7, 5))
    swapped = oblique_plane((0, 6, 2), (0, -1, 0), (1, 0, 0), (5, 7))
    assert flipped.axis == swapped.axis == 2
    assert np.array_equal(extract(a_volume, flipped), a_volume[::-1, :, 3].T)
    assert np.array_equal(extract(a_volume, swapped), a_volume[:, ::-1, 2])


def test_part_of_a_slice_is_read_exactly_too(a_volume):
    part = oblique_plane((1, 2, 3), (1, 0, 0), (0, 1, 0), (4, 3))
    assert np.array_equal(extract(a_volume, part), a_volume[1:4, 2:6, 3].T)


def test_plane_between_slices_is_interpolated():
    ramp = np.arange(6, dtype=np.float32) * np.ones((*SHAPE[:2], 1), np.float32)
    between = axis_plane(SHAPE, 2, 2).moved((0, 0, 0.25))
    assert not between.is_axis_aligned
    assert extract(ramp, between) == pytest.approx(np.full((7, 5), 2.25))


def test_oblique_plane_reads_a_linear_field_exactly_and_nan_outside():
    i, j, k = np.meshgrid(*(np.arange(n) for n in (20, 20, 20)), indexing="ij")
    field = (2.0 * i - 3.0 * j + 0.5 * k).astype(np.float32)
    step = math.sqrt(0.5)
    plane = oblique_plane((3, 5, 2), (step, step, 0), (0, 0, 1), (10, 30))
    image = extract(field, plane)
    x, y = 8, 7
    voxel = plane.voxel(x, y)
    assert voxel == pytest.approx((3 + 8 * step, 5 + 8 * step, 9))
    assert image[y, x] == pytest.approx(2 * voxel[0] - 3 * voxel[1] + 0.5 * voxel[2], abs=1e-4)
    assert np.isnan(image[:, 25:]).all()


def test_oblique_plane_of_a_colour_volume_interpolates_each_channel():
    volume = np.stack([np.full((4, 4, 4), value, np.uint8) for value in (10, 20, 30)], axis=-1)
    image = extract(volume, axis_plane((4, 4, 4), 2, 1).moved((0, 0, 0.5)))
    assert image[2, 2].tolist() == [10.0, 20.0, 30.0]


def test_plane_beside_the_volume_is_refused(a_volume):
    with pytest.raises(ImageError, match="misses the volume"):
        extract(a_volume, axis_plane(SHAPE, 2, 3).moved((0, 0, 50)))


def test_pixels_of_a_slice_are_its_voxels():
    mask = np.zeros((7, 5), bool)
    mask[6, 1] = mask[0, 4] = True
    labels = written(SHAPE, axis_plane(SHAPE, 2, 3), mask)
    assert sorted(map(tuple, np.argwhere(labels))) == [(1, 6, 3), (4, 0, 3)]


def test_mask_of_another_shape_than_its_plane_is_refused():
    with pytest.raises(ImageError, match=r"Expected a mask of the shape of its plane, \(\d+, \d+\), got \(5, 7\)"):
        check_mask(np.ones((5, 7), bool), axis_plane(SHAPE, 2, 3))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_plane_of_an_axis_passes_each_voxel_of_its_slice_once(axis):
    voxels, rows, columns = plane_voxels(SHAPE, axis_plane(SHAPE, axis, 1))
    height, width = axis_plane(SHAPE, axis, 1).shape
    assert (voxels[axis] == 1).all()
    assert len(set(zip(*(part.tolist() for part in voxels)))) == len(rows) == height * width
    assert set(zip(rows.tolist(), columns.tolist())) == {(y, x) for y in range(height) for x in range(width)}


def test_coarse_oblique_plane_fills_its_layer_without_holes():
    step = 2 * math.sqrt(0.5)
    plane = oblique_plane((0, 0, 0), (step, 0, step), (0, 2, 0), (10, 12))
    labels = written((16, 18, 20), plane, np.ones(plane.shape, bool))
    assert labels.sum() == 16 * 18
    assert all(labels[i, j, i] == 1 for i in range(16) for j in range(18))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2), st.data())
def test_mask_written_to_a_slice_is_read_back(axis, data):
    plane = axis_plane(SHAPE, axis, data.draw(st.integers(0, SHAPE[axis] - 1)))
    mask = np.random.default_rng(data.draw(st.integers(0, 1000))).random(plane.shape) > 0.5
    labels = written(SHAPE, plane, mask)
    assert np.array_equal(extract(labels, plane) > 0, mask)
    assert labels.sum() == mask.sum()


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.tuples(*[st.floats(-1, 1)] * 3),
    st.tuples(*[st.floats(0, 8)] * 3),
    st.floats(0, 9),
    st.floats(0, 9),
)
def test_pixel_and_voxel_are_inverse(x_step, y_step, origin, x, y):
    if np.linalg.norm(np.cross(x_step, y_step)) < 0.05:
        return
    plane = oblique_plane(origin, x_step, y_step, (10, 10))
    voxel = np.array(plane.voxel(x, y)) + 2.5 * plane.normal
    assert plane.pixel(voxel) == pytest.approx((x, y), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.tuples(*[st.floats(-1, 1)] * 3))
def test_every_voxel_an_oblique_plane_passes_lies_within_half_a_voxel_of_it(x_step, y_step):
    if np.linalg.norm(np.cross(x_step, y_step)) < 0.05:
        return
    plane = oblique_plane((4, 4, 4), x_step, y_step, (12, 12))
    voxels, rows, columns = plane_voxels((9, 9, 9), plane)
    centres = np.stack(voxels, axis=1)
    facing = np.abs(plane.normal).argmax()
    distance = np.abs((centres - plane.plane_to_ijk[:, 2]) @ plane.normal) / np.abs(plane.normal[facing])
    assert (distance <= 0.5 + 1e-6).all()
    assert (rows >= 0).all() and (rows < 12).all() and (columns >= 0).all() and (columns < 12).all()


def test_equal_planes_are_one_dictionary_key():
    planes = {axis_plane(SHAPE, 2, 3): "kept"}
    assert planes[axis_plane(SHAPE, 2, 3)] == "kept"
    assert axis_plane(SHAPE, 2, 4) not in planes


def test_matrix_of_a_plane_cannot_be_changed():
    matrix = np.array(axis_plane(SHAPE, 2, 3).plane_to_ijk)
    plane = PlaneGeometry(matrix, (7, 5))
    matrix[0, 2] = 100
    assert plane.plane_to_ijk[0, 2] == 0
    with pytest.raises(ValueError, match="read-only"):
        plane.plane_to_ijk[0, 0] = 2


@pytest.mark.parametrize(("axis", "index"), [(3, 0), (-1, 0), (2, 6), (2, -1)])
def test_plane_outside_the_volume_is_refused(axis, index):
    with pytest.raises(PromptError, match=r"Expected|outside"):
        axis_plane(SHAPE, axis, index)


@pytest.mark.parametrize("matrix", [np.eye(2), np.full((3, 3), np.nan), [[1, 2, 0], [1, 2, 0], [0, 0, 1]]])
def test_matrix_that_spans_no_plane_is_refused(matrix):
    with pytest.raises(ImageError, match="Expected"):
        PlaneGeometry(np.array(matrix), (4, 4))


@pytest.mark.parametrize(
    "volume", [np.zeros(5), np.zeros((5, 5)), np.zeros((4, 4, 4, 2)), np.zeros((4, 0, 4)), np.zeros((2, 2, 2), complex)]
)
def test_array_that_is_no_volume_is_refused(volume):
    with pytest.raises(ImageError, match="Expected"):
        check_volume(volume)


@pytest.mark.parametrize("dtype", [np.float16, np.longdouble, np.float64])
def test_oblique_plane_of_any_float_type_is_interpolated(dtype):
    ramp = (np.arange(6) * np.ones((*SHAPE[:2], 1))).astype(dtype)
    image = extract(ramp, axis_plane(SHAPE, 2, 2).moved((0, 0, 0.25)))
    assert image.dtype == np.float32
    assert image == pytest.approx(np.full((7, 5), 2.25))


def test_plane_finer_than_the_voxels_reads_labels_without_gaps():
    fine = oblique_plane((-0.5, 0, 2), (0.5, 0, 0), (0, 0.5, 0), (13, 14))
    found = plane_labels(np.ones(SHAPE, np.uint8), fine)
    assert found[:, :10].all()
    assert not found[:, 10:].any()
    labels = np.random.default_rng(0).integers(0, 2, SHAPE)
    doubled = np.repeat(np.repeat(labels[:, :, 2].T, 2, axis=0), 2, axis=1) > 0
    assert np.array_equal(plane_labels(labels, fine)[:, :10], doubled[1:])


def test_labels_of_an_axis_plane_are_its_slice():
    labels = np.random.default_rng(0).integers(0, 2, SHAPE)
    assert np.array_equal(plane_labels(labels, axis_plane(SHAPE, 1, 4)), labels[:, 4, :].T > 0)


@pytest.mark.parametrize("pixel", [1.0, 0.5])
def test_tilted_plane_that_was_written_reads_back_without_holes(pixel):
    x_step, y_step = np.array([0.9, 0, 0.43]), np.array([0, 0.96, 0.27])
    plane = oblique_plane((2, 2, 3), x_step * pixel, y_step * pixel, (30, 30))
    labels = written((40, 40, 40), plane, np.ones(plane.shape, bool))
    assert plane_labels(labels, plane)[1:-1, 1:-1].all()


def test_spacing_of_a_plane_follows_its_steps():
    assert axis_plane(SHAPE, 2, 0).spacing((0.5, 0.7, 3.0)) == (0.5, 0.7)
    assert axis_plane(SHAPE, 0, 0).spacing((0.5, 0.7, 3.0)) == (0.7, 3.0)
    tilted = oblique_plane((0, 0, 0), (1, 1, 0), (0, 0, 0.5), (3, 3))
    assert tilted.spacing((3.0, 4.0, 2.0)) == pytest.approx((5.0, 1.0))


@pytest.mark.parametrize(
    ("shape", "spacing", "known"),
    [
        ((4, 5, 6), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
        ((4, 5, 1), (0.5, 0.5, 1.0), (0.5, 0.5, 1.0)),
        ((4, 5, 1), (1.0, 1.0, 1.0), None),
        ((4, 5, 1, 3), (0.5, 0.5, 1.0), None),
        ((4, 5, 6), None, None),
    ],
)
def test_spacing_of_pictures_is_not_known(shape, spacing, known):
    assert known_spacing(np.zeros(shape), spacing) == known
