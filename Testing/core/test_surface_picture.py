"""The surface of a mask lies where its voxels lie, faces outwards, and is drawn in the patient's directions."""

from __future__ import annotations

import io

import numpy as np
import pytest
from matplotlib.image import imread

from AdaptCore.evaluate.surface_picture import CELLS, _surface, surface_picture
from AdaptCore.files.geometry import Geometry

OBLIQUE = Geometry((30, 24, 12), (0.8, 1.0, 4.0), (5.0, -7.0, 20.0), (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
MIRRORED = Geometry((30, 24, 12), (0.8, 1.0, 4.0), (5.0, -7.0, 20.0), (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def a_ball(geometry: Geometry) -> np.ndarray:
    places = np.moveaxis(np.indices(geometry.size), 0, -1) * geometry.spacing
    away = np.linalg.norm(places - np.array([14, 11, 5]) * geometry.spacing, axis=-1)
    return away < 9


@pytest.mark.parametrize("geometry", [OBLIQUE, MIRRORED], ids=["turned", "mirrored"])
def test_the_surface_lies_around_the_voxels_and_faces_outwards(geometry: Geometry) -> None:
    mask = a_ball(geometry)
    triangles = _surface(mask, geometry)
    middle = np.array([14, 11, 5]) @ geometry.affine[:3, :3].T + geometry.origin
    corners = np.linalg.norm(triangles - middle, axis=2)
    assert corners.min() > 7 and corners.max() < 11.5 and np.median(corners) == pytest.approx(9, abs=0.6)
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    assert ((normals * (triangles.mean(1) - middle)).sum(1) > 0).mean() > 0.99


@pytest.mark.parametrize("voxels", [(slice(3, 4),) * 3, (slice(0, 30), slice(0, 24), slice(5, 6)), (slice(None),) * 3])
def test_masks_of_any_size_are_drawn(voxels: tuple[slice, ...]) -> None:
    mask = np.zeros(OBLIQUE.size, np.uint8)
    mask[voxels] = 1
    picture = imread(io.BytesIO(surface_picture(mask, OBLIQUE)))[..., :3]
    orange = (picture[..., 0] > 2 * picture[..., 2] + 0.1).mean()
    assert picture.ndim == 3 and orange > 0.001


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.5, 0.5, 5.0)])
def test_small_parts_far_apart_are_all_there(spacing: tuple[float, float, float]) -> None:
    geometry = Geometry((200, 180, 60), spacing)
    mask = np.zeros(geometry.size, np.uint8)
    places = [(10, 12, 7), (189, 30, 11), (95, 171, 50)]
    for place in places:
        mask[place] = 1
    triangles = _surface(mask, geometry)
    reach = 2 * np.ptp(np.array(places) * spacing, axis=0).max() / CELLS + max(spacing)
    for place in places:
        middle = np.array(place) @ geometry.affine[:3, :3].T + geometry.origin
        near = np.linalg.norm(triangles.mean(1) - middle, axis=1) < reach
        assert near.sum() >= 8 and np.abs(triangles[near].mean((0, 1)) - middle).max() < reach / 2


def test_right_is_on_the_left_from_the_front_and_front_is_on_the_left_from_the_left() -> None:
    geometry = Geometry((20, 20, 20), (1.0, 1.0, 1.0))
    mask = np.zeros((20, 20, 20), bool)
    mask[2:8, 2:18, 2:18] = mask[2:18, 2:18, 2:6] = True
    picture = imread(io.BytesIO(surface_picture(mask, geometry)))[..., :3]
    drawn = picture[..., 0] > 2 * picture[..., 2] + 0.1
    front, left = drawn[:, : drawn.shape[1] // 2], drawn[:, drawn.shape[1] // 2 :]
    rows, columns = np.nonzero(front)
    upper = columns[rows < np.median(rows)]
    assert upper.max() < columns.max() - 0.3 * np.ptp(columns), "above, only the patient's right side is there"
    rows, columns = np.nonzero(left)
    assert np.ptp(columns[rows < np.median(rows)]) > 0.9 * np.ptp(columns)
