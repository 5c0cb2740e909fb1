"""Implicit shapes of synthetic scenes: distances, frames, and noise, on cubes and on planes through them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from AdaptCore.training.fields import (
    Grid,
    along,
    chain,
    chance,
    ellipsoid,
    grain,
    length,
    lobed,
    local,
    log_uniform,
    network,
    path,
    random_rotations,
    solid,
    tree,
    uniform,
)

CPU = torch.device("cpu")


def a_draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def at(*positions: tuple[float, float, float]) -> Tensor:
    """Points 1 x 3 x 1 x 1 x N."""
    return torch.tensor(positions).T[None, :, None, None]


def test_voxels_of_a_window_lie_evenly_between_its_faces() -> None:
    grid = Grid.cube(2, 4, CPU)
    assert grid.shape == (2, 4, 4, 4) and grid.batch == 2 and grid.step == 0.5 and grid.is_cube
    assert grid.points[1, 0, :, 2, 3].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert grid.points[0, :, 0, 1, 3].tolist() == [-0.75, -0.25, 0.75]


def test_random_numbers_keep_to_their_span_and_share() -> None:
    draw = a_draw()
    even, log = uniform(draw, -2, 3, 20_000), log_uniform(draw, 0.01, 1.0, 20_000)
    assert -2 <= float(even.min()) < -1.99 and 2.99 < float(even.max()) < 3
    assert float(log.median()) == pytest.approx(0.1, rel=0.05) and 0.01 <= float(log.min()) < 0.0101
    assert float(chance(draw, 0.3, 20_000).float().mean()) == pytest.approx(0.3, abs=0.02)
    voxels = grain(draw, (2, 20, 20, 20), CPU)
    assert float(voxels.std()) == pytest.approx(1, abs=0.03)
    assert torch.equal(grain(a_draw(5), (1, 2, 2, 2), CPU), grain(a_draw(5), (1, 2, 2, 2), CPU))


def test_rotations_keep_lengths_and_handedness_and_reach_everywhere() -> None:
    turns = random_rotations(a_draw(), 4000)
    torch.testing.assert_close(turns @ turns.mT, torch.eye(3).expand(4000, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(torch.linalg.det(turns), torch.ones(4000))
    assert float(turns.mean(0).abs().max()) < 0.05


def test_local_points_are_turned_around_the_objects_centre() -> None:
    turn = torch.tensor([[[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]])
    points = local(at((0.5, 0.2, 0.1)), torch.tensor([[0.5, 0.0, 0.0]]), turn)
    torch.testing.assert_close(points.flatten(), torch.tensor([0.2, 0.0, 0.1]))
    assert float(length(at((0.3, 0.4, 1.2)))) == pytest.approx(1.3)


def test_ellipsoid_is_positive_up_to_its_half_axes() -> None:
    field = ellipsoid(at((0, 0, 0), (0.5, 0, 0), (0, 0.25, 0), (0, 0, 0.4)), torch.tensor([[0.5, 0.25, 0.2]]))
    torch.testing.assert_close(field.flatten(), torch.tensor([0.2, 0.0, 0.0, -0.2]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("power", [1.0, 2.0, 8.0])
def test_superellipsoid_reaches_its_half_axes_and_its_power_fills_the_corners(power: float) -> None:
    radii = torch.tensor([[0.5, 0.25, 0.2]])
    corner = 3 ** (-1 / power)
    edge = [(0.5, 0.0, 0.0), (0.0, -0.25, 0.0), (0.5 * corner, 0.25 * corner, -0.2 * corner)]
    field = solid(at(*edge), radii, torch.tensor([power])).flatten()
    torch.testing.assert_close(field, torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(
        solid(at((0.1, 0.1, 0.1)), radii, torch.tensor([2.0])), ellipsoid(at((0.1, 0.1, 0.1)), radii)
    )


def test_lobes_hang_together_around_the_centre_within_their_reach() -> None:
    points = Grid.cube(3, 24, CPU).points
    for seed in range(5):
        field = lobed(a_draw(seed), points, torch.tensor([0.3, 0.4, 0.5]), 4)
        assert (field > 0).flatten(1).any(1).all()
        reach = (length(points) * (field > 0)).flatten(1).amax(1)
        assert bool((reach <= torch.tensor([0.45, 0.6, 0.75])).all())


def test_tube_is_as_wide_as_its_knots_say() -> None:
    knots = torch.tensor([[[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0], [0.5, 0.5, 0.0]]])
    widths = torch.tensor([[0.1, 0.2, 0.2]])
    places = [(-0.5, 0, 0), (0.0, 0.15, 0), (0.0, 0, 0), (0.5, 0.3, 0.2), (-0.8, 0, 0)]
    field = along(at(*places), knots, widths).flatten()
    torch.testing.assert_close(field, torch.tensor([0.1, 0.0, 0.15, 0.0, -0.2]), atol=1e-6, rtol=0)


def test_path_has_the_length_that_is_asked_for() -> None:
    start, heading = torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[0.0, 0.0, 1.0]])
    knots = path(a_draw(), start, heading, torch.tensor([2.0]), 0.3, 8)
    assert knots.shape == (1, 9, 3) and torch.equal(knots[:, 0], start)
    torch.testing.assert_close(knots.diff(dim=1).norm(dim=2), torch.full((1, 8), 0.25))
    straight = path(a_draw(), start, heading, torch.tensor([2.0]), 0.0, 8)
    torch.testing.assert_close(straight[:, -1], torch.tensor([[0.1, 0.2, 2.3]]))


def test_tree_gets_more_branches_with_each_generation() -> None:
    points = Grid.cube(2, 24, CPU).points
    volumes = [float((tree(a_draw(3), points, torch.tensor([0.1, 0.1]), n) > 0).sum()) for n in (1, 2, 3)]
    assert 0 < volumes[0] < volumes[1] < volumes[2]


def test_vessels_of_a_plane_hang_together_and_are_as_thick_as_asked_for() -> None:
    axis = torch.linspace(-3, 3, 384)
    flat = torch.stack([torch.zeros(384, 384), *torch.meshgrid(axis, axis, indexing="ij")])[None, :, None]
    shape = network(a_draw(1), flat, torch.tensor([0.05]), 3)
    assert shape.shape == (1, 1, 384, 384)
    assert 0.03 < float(shape.max()) < 0.052
    vessels = shape[0, 0].numpy() > 0
    _, parts = ndimage.label(vessels, np.ones((3, 3)))
    assert parts == 1 and 0.01 < vessels.mean() < 0.1


def test_neighbours_in_a_chain_are_alike_and_numbered_in_order() -> None:
    size, pitch = torch.tensor([[0.1, 0.2, 0.2]]), torch.tensor([0.3])
    places = [(0.3 * n, 0.0, 0.0) for n in (-5, -3, -1, 0, 1, 2, 4)]
    field, number = chain(at(*places), size, pitch, torch.tensor([2.0]), 6, torch.tensor([0.0]))
    assert number.flatten().tolist() == [0, 0, 2, 3, 4, 5, 5]
    torch.testing.assert_close(field.flatten()[1:6], torch.full((5,), 0.1), atol=1e-4, rtol=0)
    assert bool((field.flatten()[[0, 6]] < 0).all())
    bent, _ = chain(at((0.6, 0.5 * 0.36, 0.0)), size, pitch, torch.tensor([2.0]), 6, torch.tensor([0.5]))
    assert float(bent) == pytest.approx(0.1, abs=1e-4)


@pytest.mark.parametrize("cells", [2, 5, 9])
def test_noise_has_about_unit_deviation_and_is_smooth(cells: int) -> None:
    noise = Grid.cube(8, 32, CPU).noise(a_draw(), cells, 2)
    assert noise.shape == (8, 2, 32, 32, 32)
    assert 0.4 < float(noise.std()) < 1.3 and abs(float(noise.mean())) < 0.25
    step = noise.diff(dim=4).abs().mean()
    assert float(step) < 1.5 * cells / 32


def test_noise_shows_the_same_on_a_plane_through_a_cube() -> None:
    cube = Grid.cube(2, 32, CPU)
    plane = Grid(cube.points[:, :, 11:12], cube.step, False)
    exact = Grid(cube.points, cube.step, False).noise(a_draw(), 5)
    torch.testing.assert_close(plane.noise(a_draw(), 5), exact[:, :, 11:12])
    # The quick form for cubes is stretched by half a voxel at its faces.
    quick = cube.noise(a_draw(), 5)
    assert float((quick - exact).abs().max()) < 0.5
    torch.testing.assert_close(quick[..., 14:18, 14:18, 14:18], exact[..., 14:18, 14:18, 14:18], atol=0.05, rtol=0)
