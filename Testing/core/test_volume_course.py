"""How the model of volumes is trained: windows by their step, losses of a lone click, validation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from AdaptCore.models.registry import load_volume_model
from AdaptCore.training import volume_course as module
from AdaptCore.training.trainer import Trainer
from AdaptCore.training.volume_course import VolumeCourse, VolumeRecipe, VolumeStage, choice_loss, chosen
from Testing.tiny_volume_model import TINY_VOLUMETRIC

CPU = torch.device("cpu")
QUICK = VolumeRecipe(stages=(VolumeStage(16, 2, 2, 10), VolumeStage(32, 1, 1, 10)), seed=5)


def a_course(recipe: VolumeRecipe = QUICK) -> VolumeCourse:
    return VolumeCourse(recipe, TINY_VOLUMETRIC)


def test_a_step_depends_on_its_number_and_the_seed_alone() -> None:
    course, network = a_course(), a_course().network()
    one, again, other = (course.loss(network, step, CPU)[0].item() for step in (3, 3, 4))
    assert one == again != other
    assert a_course(replace(QUICK, seed=6)).loss(network, 3, CPU)[0].item() != one
    weights = [a_course(replace(QUICK, seed=seed)).network().decoder.full.weight for seed in (5, 5, 6)]
    assert torch.equal(weights[0], weights[1]) and not torch.equal(weights[0], weights[2])


def test_windows_grow_with_the_stages() -> None:
    course = a_course()
    assert [course.side(step) for step in (0, 9, 10, 5000)] == [16, 16, 32, 32]


def test_most_steps_see_small_windows_once_there_are_larger_ones() -> None:
    recipe = replace(QUICK, cheap=VolumeStage(16, 3, 1, 1), dear=3)
    course = a_course(recipe)
    assert [course.side(step) for step in range(9, 16)] == [16, 16, 16, 32, 16, 16, 32]
    assert recipe.stage(9) == recipe.stages[0] and recipe.stage(10) == recipe.cheap


def test_a_few_steps_on_one_batch_lower_the_loss() -> None:
    course = a_course(replace(QUICK, rounds=1))
    network = course.network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for _ in range(12):
        loss, iou = course.loss(network, 1, CPU)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        assert 0 <= iou <= 1
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])


def test_every_weight_is_taught() -> None:
    course = a_course()
    network = course.network()
    for step in range(10, 14):  # one cell at 1/16, as in the first windows, would leave attention nothing to choose
        course.loss(network, step, CPU)[0].backward()
    untaught = [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]
    # Of the alternatives only the best one learns at each step.
    assert [name for name in untaught if not name.startswith("decoder.hypernetworks")] == []


def test_the_best_alternative_of_a_lone_click_counts_and_the_single_answer_of_others() -> None:
    each = torch.tensor([[1.0, 0.2, 0.6, 0.9], [0.4, 0.1, 0.1, 0.1]])
    assert choice_loss(each, torch.tensor([True, False])).tolist() == pytest.approx([0.5 + 0.2, 0.4])
    assert choice_loss(each[:, :1], torch.tensor([False, False])).tolist() == pytest.approx([1.0, 0.4])


def test_users_see_the_best_rated_alternative_of_half_of_the_lone_clicks() -> None:
    logits = torch.arange(4.0).view(1, 4, 1, 1, 1).expand(400, -1, -1, -1, -1)
    quality = torch.tensor([[0.9, 0.1, 0.5, 0.3]]).expand(400, -1)
    lone = torch.arange(400) < 200
    seen = chosen(torch.Generator().manual_seed(0), logits, quality, lone).flatten()
    assert set(seen[:200].tolist()) == {0, 2} and 70 < int((seen == 2).sum()) < 130
    assert not seen[200:].any()


def test_validation_is_the_same_each_time_and_apart_from_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    sides = []
    cube = module.Grid.cube
    monkeypatch.setattr(module.Grid, "cube", lambda batch, side, device: sides.append(side) or cube(1, 16, device))
    course, network = a_course(), a_course().network()
    one, again = (course.validate(network, CPU) for _ in range(2))
    assert one == again and list(one) == ["iou1", "iou3", "iou5", "iou_slice"] and set(sides) == {48}
    assert all(0 <= value <= 1 for value in one.values())
    other = a_course(replace(QUICK, seed=6)).validate(network, CPU)
    assert other != one


def test_exported_weights_are_a_model_that_loads(tmp_path: Path) -> None:
    trainer = Trainer(a_course(), tmp_path, CPU)
    trainer.advance()
    trainer.export(tmp_path / "w.safetensors")
    model = load_volume_model(tmp_path / "w.safetensors", "cpu")
    expected = trainer.average.decoder.full.weight.half().float()
    assert torch.equal(model.network.decoder.full.weight, expected) and model.network.config == TINY_VOLUMETRIC


def test_the_shipped_recipe_trains_windows_that_the_network_takes() -> None:
    recipe = VolumeRecipe()
    assert all(stage.side % 16 == 0 for stage in recipe.stages)
    assert [stage.side for stage in recipe.stages] == sorted(stage.side for stage in recipe.stages)
