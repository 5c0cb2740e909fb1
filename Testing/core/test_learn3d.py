"""Learning in volumes: what a window's question tells the learner, what sessions teach, and the benchmark of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from AdaptCore.adapt.clicks import click_weights
from AdaptCore.adapt.learner import Learner, agreement
from AdaptCore.adapt.pseudo_labels import pseudo_label
from AdaptCore.adapt.recipe import VOLUMES, without
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.evaluate.adapt import arms_of
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.evaluate.learn3d import ObjectLearningRules, learn3d_figures, learn3d_report, run_object_target
from AdaptCore.files.geometry import Geometry, Volume
from AdaptCore.models.base import AdaptableModel
from AdaptCore.models.volume_prompts import NEGATIVE, PADDING, POSITIVE, VolumePrompts
from AdaptCore.models.volumetric import VolumeQuestion, VolumetricModel, WindowClick
from AdaptCore.predict.block import BlockSession, WindowPolicy
from Testing.tiny_volume_model import tiny_volume_model

SIDE = 16
SPACING = (1.0, 1.0, 1.0)
POLICY = WindowPolicy(side=SIDE, sizes=(24.0,))
CPU = torch.device("cpu")


def a_question(model: VolumetricModel) -> VolumeQuestion:
    inside = torch.ones(1, SIDE, SIDE, SIDE, dtype=torch.bool)
    inside[:, 12:] = False
    values = torch.randn(1, SIDE, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    (embedding,) = model.encode(values, inside)
    points = torch.tensor([[[3.0, 4, 5], [0, 0, 0], [9.2, 8, 30], [6, 6, 6]]])
    labels = torch.tensor([[POSITIVE, PADDING, NEGATIVE, POSITIVE]])
    prompts = replace(VolumePrompts.empty((1, SIDE, SIDE, SIDE), CPU), points=points, labels=labels)
    return VolumeQuestion(embedding, prompts)


def a_volume(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A bright ball at a varying place, and its mask."""
    rng = np.random.default_rng(seed)
    centre, axes = rng.uniform(10, 14, 3), np.indices((24, 24, 24))
    truth = sum((axis - at) ** 2 for axis, at in zip(axes, centre)) < 5**2
    return (truth + 0.1 * rng.standard_normal(truth.shape)).astype(np.float32), truth


def test_a_window_is_its_own_grid_and_ends_where_the_volume_does() -> None:
    question = a_question(tiny_volume_model())
    frame = question.embedding
    inside = frame.inside(99)
    assert inside.shape == (SIDE,) * 3 and inside[:12].all() and not inside[12:].any()
    assert [click.position for click in question.clicks] == [(3, 4, 5), (pytest.approx(9.2), 8, 30), (6, 6, 6)]
    assert [click.positive for click in question.clicks] == [True, False, True]
    assert frame.cell(question.clicks[1], 99) == (9, 8, 15) and frame.on_grid(question.clicks[0], 99) == (3, 4, 5)


def test_a_question_without_its_latest_clicks_keeps_the_others() -> None:
    question = a_question(tiny_volume_model())
    assert question.without(2).clicks == question.clicks[:1] and len(question.clicks) == 3
    assert question.nbytes == 4 * SIDE**3, "prior, slices and known share what is empty"


def test_clicks_weigh_in_all_three_directions() -> None:
    question, target = a_question(tiny_volume_model()), torch.zeros(SIDE, SIDE, SIDE)
    target[:, :10] = 1
    weights = click_weights([WindowClick((8, 6, 7))], target, question.embedding, VOLUMES)
    assert float(weights[8, 6, 7]) == 1 and float(weights[9, 6, 7]) == float(weights[8, 6, 8]) < 1
    assert not weights[:, 10:].any()


def test_a_pseudo_label_of_a_window_is_sure_away_from_the_outline_and_at_clicks() -> None:
    question = a_question(tiny_volume_model())
    mask = np.zeros((SIDE,) * 3, bool)
    mask[2:10, 4:12, 4:12] = True
    label = pseudo_label(mask, question.embedding, [WindowClick((9, 11, 11), False)], SIDE, VOLUMES)
    assert float(label.target[9, 11, 11]) == 0 and float(label.weight[9, 11, 11]) == 1
    assert float(label.weight[5, 8, 8]) == 1 and float(label.weight[2, 8, 8]) == pytest.approx(VOLUMES.band_weight)
    assert not label.weight[12:].any() and float(label.target.sum()) == mask.sum() - 1


def test_answers_are_those_of_decode_and_gradients_reach_what_learns() -> None:
    model = tiny_volume_model()
    question = a_question(model)
    decoded, scores = model.decode([question.embedding], question.prompts)
    answer = model.answer(question)
    torch.testing.assert_close(answer.logits, decoded[0, :1])
    torch.testing.assert_close(answer.scores, scores[0, :1])
    assert len(model.answer(replace(question, is_ambiguous=True)).scores) == 4
    learner = model.with_decoder({})
    parameters = learner.decoder_parameters()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    learner.answer(question).logits.square().mean().backward()
    unused = [name for name, one in parameters.items() if one.grad is None and "hypernetworks" not in name]
    assert unused == [] and not any(name.startswith(("dense", "quality", "output")) for name in parameters)
    assert set(learner.head_parameters()) < set(parameters)
    assert all(one.grad is None for one in model.decoder_parameters().values())


def test_a_session_gives_examples_in_the_windows_that_show_the_whole_mask() -> None:
    volume, truth = a_volume()
    session = BlockSession(tiny_volume_model(), volume, SPACING, POLICY)
    session.click(12, 12, 12)
    session.click(3, 3, 3, positive=True)
    session.click(20, 20, 20, positive=True)
    examples = session.examples(truth)
    assert examples and all(example.mask.shape == (SIDE,) * 3 for example in examples)
    for example in examples:
        window_voxels = example.mask.sum() * np.prod(24 / SIDE) ** 3
        assert window_voxels > 0 and example.answered(session_model(session)).shape == (SIDE,) * 3
        assert [click.positive for click in example.clicks] == [True] * len(example.clicks)
    assert session.examples(np.zeros_like(truth)) == []


def session_model(session: BlockSession) -> AdaptableModel:
    return cast(AdaptableModel, session._state.model)


def test_accepted_masks_make_the_next_first_answer_better_and_can_be_forgotten() -> None:
    frozen = cast(AdaptableModel, tiny_volume_model())
    recipe = replace(VOLUMES, post_rate=5e-3, post_steps=20)
    volumes = [a_volume(seed) for seed in range(4)]
    with Learner(frozen, recipe) as learner:
        for volume, truth in volumes[:3]:
            session = BlockSession(cast(VolumetricModel, learner.model), volume, SPACING, POLICY)
            session.click(12, 12, 12)
            taught = learner.learn(session.examples(truth))
            learner.wait()
        assert learner.problem == "" and learner.knowledge.memory.images
        session = BlockSession(cast(VolumetricModel, frozen), volumes[3][0], SPACING, POLICY)
        session.click(12, 12, 12)
        (example, *_) = session.examples(volumes[3][1])
        assert agreement(learner.knowledge.model, example) > agreement(frozen, example) + 0.1
        known = learner.knowledge
        assert taught.undo() and learner.knowledge is not known
        assert taught.redo() and learner.knowledge is known


def test_a_click_changes_the_model_of_its_object_and_undo_brings_the_earlier_one_back() -> None:
    frozen = cast(AdaptableModel, tiny_volume_model())
    volume, _ = a_volume()
    with Learner(frozen, replace(VOLUMES, mid_rate=1e-2)) as learner:
        session = BlockSession(cast(VolumetricModel, frozen), volume, SPACING, POLICY, adapter=learner)
        session.click(12, 12, 12)
        assert session_model(session) is frozen, "a first click teaches nothing"
        session.click(15, 12, 12)
        changed = session_model(session)
        assert changed is not frozen and learner.click_problem == ""
        session.undo()
        assert session_model(session) is frozen
        session.redo()
        assert session_model(session) is changed and learner.knowledge.model is frozen


def test_a_task_keeps_what_objects_have_taught(tmp_path: Path) -> None:
    frozen = cast(AdaptableModel, tiny_volume_model())
    store = TaskStore(tmp_path)
    task = store.load("balls", frozen, replace(VOLUMES, post_rate=5e-3))
    with Learner(frozen, task.recipe, known=task.known) as learner:
        for seed in range(2):
            volume, truth = a_volume(seed)
            session = BlockSession(cast(VolumetricModel, learner.model), volume, SPACING, POLICY)
            session.click(12, 12, 12)
            learner.learn(session.examples(truth))
            learner.wait()
        known = learner.knowledge
    assert store.save(task, known).problem == ""
    again = store.load("balls", frozen)
    assert again.problem == "" and again.recipe.name == "volumes" and again.known.history == known.history
    kept, before = (of.memory.images[-1][0] for of in (again.known, known))
    answers = [of.model.answer(lesson.question).logits for of, lesson in ((again.known, kept), (known, before))]
    torch.testing.assert_close(*answers, atol=0.05, rtol=0.05)
    np.testing.assert_allclose(kept.question.clicks[0].position, before.question.clicks[0].position, atol=0.01)
    assert torch.equal(kept.label.target, before.label.target)


def test_the_benchmark_compares_the_same_objects_in_all_arms() -> None:
    def item(seed: int) -> VolumeItem:
        volume, truth = a_volume(seed)
        geometry = Geometry(volume.shape, spacing=SPACING)
        return VolumeItem(f"v{seed}", f"g{seed}", lambda: Volume(volume, geometry), lambda: truth)

    target = VolumeTarget("balls", tuple(item(seed) for seed in range(3)), 0)
    rules = ObjectLearningRules(max_clicks=3, stop_dice=0.99)
    recipe = replace(VOLUMES, post_rate=5e-3)
    done: list[int] = []
    trials = {
        "balls": run_object_target(
            tiny_volume_model(),
            None,
            target,
            arms_of([recipe], ("frozen", "post", "mid")),
            rules,
            lambda: done.append(1),
        )
    }
    assert len(done) == 3 and {arm: [len(one.dice) for one in of] for arm, of in trials["balls"].items()} == {
        "frozen": [3, 3, 3],
        "post": [3, 3, 3],
        "mid": [3, 3, 3],
    }
    assert [one.id for one in trials["balls"]["post"]] == [one.id for one in trials["balls"]["frozen"]]
    assert trials["balls"]["post"][0].dice[0] == trials["balls"]["frozen"][0].dice[0]
    assert all(one.lesson for one in trials["balls"]["post"]) and trials["balls"]["mid"][0].mid_ms
    figures = learn3d_figures(trials, rules)
    assert figures["targets"]["balls"]["arms"]["frozen"]["clicks"] == 3 and figures["mean"]["frozen"]["reached"] == 0
    assert figures["reduction"]["post"]["value"] == 0 and set(figures["reduction"]) == {"post", "mid"}
    assert "post: 0 % fewer clicks than frozen" in learn3d_report(figures)
    assert without(recipe, mid=True).name == "volumes"
