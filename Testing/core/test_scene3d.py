"""Synthetic volumes: seeded, finite, with every kind of object, and the faults of devices."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from AdaptCore.training.fields import Grid, random_rotations
from AdaptCore.training.scene3d import (
    KINDS,
    LABELS,
    NOTHING,
    Painting,
    SceneBatch,
    background,
    blurred,
    field_of_view,
    scenes,
    sliced,
    thick_slices,
    through_device,
)

CPU = torch.device("cpu")
BACKGROUND = 8
"""The first label of an object."""


def a_draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def scene_of(seed: int, batch: int = 2, side: int = 16) -> SceneBatch:
    return scenes(a_draw(seed), Grid.cube(batch, side, CPU))


def test_scenes_depend_on_their_seed_alone() -> None:
    one, again, other = scene_of(3), scene_of(3), scene_of(4)
    for name in ("image", "labels", "inside", "parent", "thickness"):
        assert torch.equal(getattr(one, name), getattr(again, name)), name
    assert not torch.equal(one.image, other.image) and not torch.equal(one.labels, other.labels)
    assert not torch.equal(one.image[0], one.image[1]) and not torch.equal(one.labels[0], one.labels[1])


def test_scenes_are_finite_with_labels_within_their_range() -> None:
    for seed in range(15):
        scene = scene_of(seed)
        assert scene.image.isfinite().all() and scene.image.dtype == torch.float32
        assert scene.labels.dtype == torch.int64 and 0 <= int(scene.labels.min()) <= int(scene.labels.max()) < LABELS
        assert scene.image.shape == scene.labels.shape == scene.inside.shape == (2, 16, 16, 16)
        assert scene.inside.flatten(1).any(1).all()
        assert int(scene.parent.min()) >= 0 and int(scene.parent.max()) < LABELS


@pytest.mark.parametrize("paint", [paint for _, paint in KINDS], ids=lambda paint: paint.__name__)
def test_every_kind_paints_objects_that_can_be_seen(paint: Callable[[Painting], None]) -> None:
    seen, changed = 0, 0
    for seed in range(4):
        painting = background(a_draw(seed), Grid.cube(4, 16, CPU))
        before = painting.image.clone()
        paint(painting)
        objects = painting.labels >= BACKGROUND
        assert int(painting.labels.max()) < painting.last
        seen += int(objects.flatten(1).any(1).sum())
        changed += int(((painting.image - before).abs() > 1e-3).flatten(1).any(1).sum())
    assert seen >= 4 and changed >= 4


def test_lesions_lie_in_the_object_that_is_their_parent() -> None:
    paint = next(paint for _, paint in KINDS if paint.__name__ == "paint_lesion")
    shared, lesions = 0, 0
    for seed in range(4):
        painting = background(a_draw(seed), Grid.cube(4, 16, CPU))
        paint(painting)
        assert bool((painting.parent[:, BACKGROUND + 1] == BACKGROUND).all())
        for labels in painting.labels:
            if bool((labels == BACKGROUND).any()) and bool((labels == BACKGROUND + 1).any()):
                middle, host = ((labels == n).nonzero().float() for n in (BACKGROUND + 1, BACKGROUND))
                reach = (host - host.mean(0)).norm(dim=1).max() + 4
                shared += bool((middle.mean(0) - host.mean(0)).norm() < reach)
                lesions += 1
    assert shared == lesions >= 4


def test_a_plane_shows_the_same_objects_as_the_volume_that_it_cuts() -> None:
    for seed in range(4):
        cube = Grid.cube(2, 16, CPU)
        volume = scenes(a_draw(seed), Grid(cube.points, cube.step, False))
        plane = scenes(a_draw(seed), Grid(cube.points[:, :, 6:7], cube.step, False))
        assert torch.equal(plane.labels, volume.labels[:, 6:7])
        assert plane.image.shape == (2, 1, 16, 16)


def test_an_oblique_plane_is_drawn_too() -> None:
    points = torch.einsum("bij,bjdhw->bidhw", random_rotations(a_draw(), 2), Grid.cube(2, 16, CPU).points[:, :, 7:9])
    scene = scenes(a_draw(), Grid(points, 2 / 16, False))
    assert scene.image.shape == (2, 2, 16, 16) and scene.image.isfinite().all()


def test_thick_slices_average_their_voxels_and_are_read_between_their_centres() -> None:
    ramp = torch.arange(16.0)[None, :, None, None].expand(1, 16, 16, 16)
    thick = sliced(ramp, torch.tensor([4, 1, 1]))
    torch.testing.assert_close(thick[0, 2:14, 5, 5], torch.arange(2.0, 14.0))
    assert thick[0, :2, 0, 0].tolist() == [1.5, 1.5] and thick[0, 14:, 0, 0].tolist() == [13.5, 13.5]
    assert torch.equal(sliced(ramp, torch.tensor([1, 4, 4])), ramp)
    spike = torch.zeros(1, 16, 16, 16)
    spike[0, 4:8, 8:10, 8] = 1
    assert float(sliced(spike, torch.tensor([4, 2, 1]))[0, :, :, 8].amax()) == pytest.approx(0.875 * 0.75)


def test_slices_are_thick_along_one_axis_or_all_and_never_thicker_than_a_quarter() -> None:
    drawn = [tuple(thick_slices(a_draw(seed), torch.Size((2, 16, 32, 1))).tolist()) for seed in range(300)]
    assert {max(one) for one in drawn} == set(range(1, 9))
    assert {one[0] for one in drawn} == {1, 2, 3, 4} and {one[2] for one in drawn} == {1}
    assert 0.35 < sum(one == (1, 1, 1) for one in drawn) / 300 < 0.75
    assert (2, 2, 1) in drawn


def test_a_field_of_view_ends_at_planes_and_always_holds_the_middle() -> None:
    points = Grid.cube(400, 8, CPU).points
    inside = field_of_view(a_draw(), points)
    cut = ~inside.flatten(1).all(1)
    assert 0.15 < float(cut.float().mean()) < 0.5
    assert inside[:, 3:5, 3:5, 3:5].float().mean() > 0.97
    lines = inside.any(3).any(2)
    assert bool((lines.long().diff(dim=1).abs().sum(1) <= 2).all())
    boxes = lines[:, :, None, None] & inside.any(3).any(1)[:, None, :, None] & inside.any(2).any(1)[:, None, None]
    assert torch.equal(boxes, inside)


def test_what_the_volume_does_not_hold_is_marked_or_shown_as_padding() -> None:
    marked = padded = hidden = 0
    for seed in range(20):
        painting = background(a_draw(seed), Grid.cube(4, 16, CPU))
        scene = through_device(painting)
        marked += int((~scene.inside).flatten(1).any(1).sum())
        for image, inside in zip(scene.image, scene.inside):
            assert bool((image[~inside] == image.min()).all())
        assert bool((scene.labels[~scene.inside] == NOTHING).all())
        unseen = scene.labels != painting.labels
        hidden += int((unseen & scene.inside).sum())
        assert bool((scene.labels[unseen] == NOTHING).all())
        assert bool((scene.image == scene.image.amin((1, 2, 3), keepdim=True))[unseen].all())
        padded += int(((scene.image == scene.image.amin((1, 2, 3), keepdim=True)).flatten(1).sum(1) > 64).sum())
    assert 0 < marked < padded and hidden > 0


def test_blur_keeps_the_sum_and_has_the_deviation_that_is_asked_for() -> None:
    spike = torch.zeros(1, 21, 21, 21)
    spike[0, 10, 10, 10] = 1
    soft = blurred(spike, 1.5)
    places = torch.arange(21.0) - 10
    assert float(soft.sum()) == pytest.approx(1, abs=1e-5)
    assert float((soft.sum((2, 3))[0] * places**2).sum()) ** 0.5 == pytest.approx(1.5, rel=0.05)
    assert torch.equal(blurred(spike, 0.1), spike)
    plane = spike[:, 10:11]
    assert torch.equal(blurred(plane, 1.5).argmax(), plane.argmax()) and blurred(plane, 1.5).shape == plane.shape
