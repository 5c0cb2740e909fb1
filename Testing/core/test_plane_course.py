"""How the model of planes is trained: planes cut from volumes, colours, padding, masks carried over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from AdaptCore.models.compact import BOX_FIRST, BOX_SECOND, NEGATIVE, PADDING, POSITIVE, CompactConfig
from AdaptCore.models.registry import load_model
from AdaptCore.models.volume_prompts import PADDING as VOLUME_PADDING
from AdaptCore.models.volume_prompts import VolumePrompts
from AdaptCore.training.interaction import Targets
from AdaptCore.training.plane_course import (
    PlaneCourse,
    PlaneRecipe,
    PlaneStage,
    coloured,
    cut_planes,
    enlarged,
    halved,
    opening,
    padded,
    plane_prompts,
    shown,
    sizes_of,
)
from AdaptCore.training.scene3d import SceneBatch, scenes
from AdaptCore.training.trainer import Trainer

CPU = torch.device("cpu")
TINY = CompactConfig(input_side=64, stem=(16, 16, 16), dim=48, heads=2, blocks=1, decoder=(16, 16, 16), mlp=32)
QUICK = PlaneRecipe(stages=(PlaneStage(64, 2, 2, 10),), seed=4)


def a_draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_scene(side: int = 32, batch: int = 2) -> SceneBatch:
    return scenes(a_draw(), cut_planes(a_draw(1), batch, side, CPU))


def asking(mask: Tensor) -> Targets:
    return Targets(mask.float(), torch.ones(mask.shape), torch.arange(len(mask)))


def test_planes_come_in_parallel_pairs_with_even_pixels() -> None:
    straight = 0
    for seed in range(12):
        grid = cut_planes(a_draw(seed), 3, 16, CPU)
        assert grid.shape == (3, 2, 16, 16) and not grid.is_cube
        down, right = grid.points.diff(dim=3)[:, :, 0, 0, 0], grid.points.diff(dim=4)[:, :, 0, 0, 0]
        across = (grid.points[:, :, 1] - grid.points[:, :, 0])[:, :, 3, 5]
        size = down.norm(dim=1)
        torch.testing.assert_close(right.norm(dim=1), size)
        for one, other in ((down, right), (down, across), (right, across)):
            torch.testing.assert_close((one * other).sum(1), torch.zeros(3), atol=1e-5, rtol=0)
        assert grid.flat is not None and grid.flat.shape == (3, 3, 1, 16, 16)
        torch.testing.assert_close(grid.flat[:, 2, 0, 0], torch.linspace(-15 / 16, 15 / 16, 16).expand(3, -1))
        assert not grid.flat[:, 0].any()
        gap = across.norm(dim=1) / size
        assert bool(((gap > 0.49) & (gap < 5.01)).all())
        assert bool(((size * 8 > 0.32) & (size * 8 < 1.31)).all())
        assert grid.step == pytest.approx(float(size.mean()), rel=1e-4)
        straight += int(bool((down.abs() > 1e-6).sum(1).eq(1).all()))
    assert 2 <= straight <= 10


def test_every_other_step_sees_cheap_planes_once_planes_are_larger() -> None:
    recipe = PlaneRecipe(stages=(PlaneStage(16, 1, 1, 2), PlaneStage(32, 1, 1, 10)), cheap=PlaneStage(16, 4, 1, 1))
    assert [recipe.stage(step).side for step in range(6)] == [16, 16, 32, 16, 32, 16]
    assert [recipe.stage(step).planes for step in range(4)] == [1, 1, 1, 4]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_steps_learn_from_pictures_or_from_planes_of_volumes(share: float) -> None:
    course = PlaneCourse(replace(QUICK, pictures=share), TINY)
    network = course.network()
    losses = [course.loss(network, step, CPU)[0] for step in (0, 0, 1)]
    assert losses[0].item() == losses[1].item() != losses[2].item()
    assert ("textures" in vars(course)) is (share > 0)
    losses[0].backward()
    assert all(value.grad is not None for value in network.encoder.parameters())


def test_planes_that_are_no_squares_are_padded_with_nothing() -> None:
    scene = a_scene()
    assert torch.equal(sizes_of(scene), torch.tensor([[32, 32], [32, 32]]))
    assert padded(a_draw(), scene, 0.0) is scene
    axes = set()
    for seed in range(8):
        cut = padded(a_draw(seed), scene, 1.0)
        assert cut.extent is not None
        axis, length = cut.extent
        axes.add(axis)
        assert 32 // 3 <= length < 32
        rest = cut.inside.narrow(axis, length, 32 - length), cut.labels.narrow(axis, length, 32 - length)
        assert not rest[0].any() and not rest[1].any()
        assert torch.equal(cut.labels.narrow(axis, 0, length), scene.labels.narrow(axis, 0, length))
        assert sizes_of(cut)[0].tolist() == ([length, 32] if axis == 2 else [32, length])
    assert axes == {2, 3}


def test_grey_planes_are_repeated_and_colours_follow_the_materials() -> None:
    scene = a_scene()
    grey = coloured(a_draw(), scene, 0.0)
    assert grey.shape == (2, 3, 32, 32) and torch.equal(grey[:, 0], grey[:, 2])
    assert float(grey.amin()) == 0 and float(grey.amax()) == pytest.approx(1)
    colour = coloured(a_draw(), scene, 1.0)
    assert (
        float((colour[:, 0] - colour[:, 2]).abs().max()) > 0.05 and 0 <= float(colour.min()) <= float(colour.max()) <= 1
    )
    flat = replace(scene, image=torch.zeros_like(scene.image))
    assert bool(coloured(a_draw(), flat, 1.0).isfinite().all())


def test_prompts_on_planes_are_x_and_y_and_a_box_is_its_corners() -> None:
    prompts = replace(
        VolumePrompts.empty((2, 1, 8, 8), CPU),
        points=torch.tensor([[[0.0, 2, 5], [0, 0, 0]], [[0, 1, 6], [0, 7, 3]]]),
        labels=torch.tensor([[0, VOLUME_PADDING], [1, 0]]),
        box=torch.tensor([[-0.5, 1, 2, 0.5, 6, 7], [torch.nan] * 6]),
        has_prior=torch.tensor([1.0, 0.0]),
    )
    prompts.prior[0, 0, :2, 2:4] = 4
    taken = plane_prompts(prompts)
    assert taken.labels.tolist() == [[POSITIVE, PADDING, BOX_FIRST, BOX_SECOND], [NEGATIVE, POSITIVE, PADDING, PADDING]]
    assert taken.points[0].tolist() == [[5, 2], [0, 0], [2, 1], [7, 6]]
    assert taken.points[1, :2].tolist() == [[6, 1], [3, 7]]
    assert taken.prior.shape == (2, 4, 4) and float(taken.prior[0, 0, 1]) == 4
    assert float(taken.prior.sum()) == 4 and taken.has_prior.tolist() == [1, 0]


def test_masks_are_halved_and_logits_enlarged() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert halved(x).tolist() == [[[2.5, 4.5], [10.5, 12.5]]]
    big = enlarged(torch.tensor([[[0.0, 8.0], [0.0, 8.0]]]))
    assert big.shape == (1, 1, 4, 4) and big[0, 0, 1].tolist() == [0, 2, 6, 8]


def test_a_mask_is_carried_over_from_the_plane_beside_and_nothing_else_is_told_of_it() -> None:
    asked, carried = (torch.zeros(4, 2, 32, 32) for _ in range(2))
    asked[:, :, 4:20, 4:20], carried[:2, :, 8:24, 8:24], carried[2:, 1, 8:24, 8:24] = 1, 1, 1
    here = shown(asking(asked), asking(carried))
    assert here.mask.shape == (8, 1, 32, 32) and here.row.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert here.mask[4:6].any() and not here.mask[6:].any()
    prompts, lone = opening(a_draw(), asking(asked), asking(carried), cut_planes(a_draw(), 4, 32, CPU))
    assert len(prompts.points) == len(lone) == 8 and not lone[4:].any()
    assert bool((prompts.labels[4:] == VOLUME_PADDING).all()) and bool(prompts.box[4:].isnan().all())
    assert bool((prompts.has_prior[4:] == 1).all()) and not prompts.known.any()
    beside, guess = carried[:, 1] > 0, prompts.prior[4:, 0] > 0
    overlap = (beside & guess).sum((1, 2)) / (beside | guess).sum((1, 2))
    assert float(overlap.mean()) > 0.5


def test_a_step_depends_on_its_number_and_the_seed_alone() -> None:
    course = PlaneCourse(QUICK, TINY)
    network = course.network()
    one, again, other = (course.loss(network, step, CPU)[0].item() for step in (3, 3, 4))
    assert one == again != other
    assert PlaneCourse(replace(QUICK, seed=5), TINY).loss(network, 3, CPU)[0].item() != one


def test_a_few_steps_on_one_batch_lower_the_loss() -> None:
    course = PlaneCourse(replace(QUICK, rounds=1), TINY)
    network = course.network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    losses = []
    for _ in range(12):
        loss, iou = course.loss(network, 0, CPU)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert 0 <= iou <= 1
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_exported_weights_are_a_model_that_loads(tmp_path: Path) -> None:
    trainer = Trainer(PlaneCourse(QUICK, TINY), tmp_path, CPU)
    trainer.advance()
    trainer.export(tmp_path / "w.safetensors")
    model = load_model(tmp_path / "w.safetensors", "cpu")
    assert torch.equal(model.network.decoder.up_half.weight, trainer.average.decoder.up_half.weight.half().float())


@pytest.mark.slow
def test_validation_is_the_same_each_time() -> None:
    course = PlaneCourse(QUICK, TINY)
    network = course.network()
    one, again = (course.validate(network, CPU) for _ in range(2))
    assert one == again and list(one) == ["iou1", "iou3", "iou5"] and all(0 <= value <= 1 for value in one.values())
