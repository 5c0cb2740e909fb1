"""Gradient steps: on a copy of the decoder only, with fresh moments, and never into nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from AdaptCore.adapt.steps import Adam, Loss, take_steps
from AdaptCore.models.base import AdaptableModel, Question
from AdaptCore.models.compact import CompactModel
from AdaptCore.prompts import Click, Prompts
from Testing.learning_toy import LearningToy
from Testing.tiny_model import tiny_model

REPOSITORY = Path(__file__).resolve().parents[2]


def bias_of(model: AdaptableModel) -> float:
    return float(model.decoder_parameters()["bias"])


def pulled(by: float) -> Loss:
    """A loss whose gradient is `by` in the toy's only weight."""
    return lambda model: by * model.decoder_parameters()["bias"]


def weights_of(model: CompactModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.network.state_dict().items()}


@pytest.fixture
def a_question() -> Question:
    plane = np.random.default_rng(0).random((48, 60)).astype(np.float32)
    clicks = Click(20, 24), Click(50, 10, positive=False)
    return Question(tiny_model().encode(plane), Prompts(clicks))


def test_only_the_mask_decoder_of_the_copy_moves(a_question: Question) -> None:
    model = tiny_model()
    before = weights_of(model)
    taught = take_steps(model, [lambda changed: changed.answer(a_question).logits.square().mean()] * 3, 1e-3)
    assert isinstance(taught, CompactModel)
    unchanged, after = weights_of(model), weights_of(taught)
    assert all(torch.equal(unchanged[name], before[name]) for name in before)
    moved = {name for name in before if not torch.equal(after[name], before[name])}
    allowed = {f"decoder.{name}" for name in model.decoder_parameters()}
    assert moved and moved <= allowed
    prompt_layers = [name for name in before if name.startswith(("decoder.point_kind", "decoder.dense_"))]
    assert prompt_layers and not moved & set(prompt_layers)
    assert not any(name.startswith("encoder.") for name in moved)


def test_the_taught_model_asks_for_no_gradients(a_question: Question) -> None:
    taught = take_steps(tiny_model(), [lambda changed: changed.answer(a_question).logits.square().mean()], 1e-3)
    assert not any(weight.requires_grad for weight in taught.decoder_parameters().values())
    assert all(weight.grad is None for weight in taught.decoder_parameters().values())
    assert not taught.answer(a_question).logits.requires_grad


def test_moments_are_fresh_for_every_call() -> None:
    start = LearningToy()
    first = take_steps(start, [pulled(1.0)] * 2, 1e-4)
    second = take_steps(first, [pulled(-1e-3)], 1e-4)
    assert bias_of(first) - bias_of(start) == pytest.approx(-2e-4, rel=1e-3)
    assert bias_of(second) - bias_of(first) == pytest.approx(1e-4, rel=1e-3)


def test_each_step_follows_its_loss_with_the_moments_of_those_before() -> None:
    start = LearningToy()
    model = take_steps(start, [pulled(1 / 3), pulled(-3 / 2)], 1e-4)
    mean, square, bias = 0.0, 0.0, bias_of(start)
    for step, gradient in enumerate((1 / 3, -3 / 2), 1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        bias -= 1e-4 * (mean / (1 - 0.9**step)) / ((square / (1 - 0.999**step)) ** 0.5 + 1e-8)
    assert bias_of(model) == pytest.approx(bias, rel=1e-4)


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_loses_no_weights(nothing: float) -> None:
    start = LearningToy()
    assert bias_of(take_steps(start, [pulled(nothing)] * 3, 1e-4)) == bias_of(start)
    beside_another = take_steps(start, [pulled(nothing), pulled(2.0)], 1e-4)
    assert bias_of(beside_another) - bias_of(start) == pytest.approx(-1e-4, rel=1e-3)


def test_a_finite_loss_with_gradients_that_are_not_loses_no_weights() -> None:
    start = LearningToy()

    def cliff(model: AdaptableModel) -> torch.Tensor:
        bias = model.decoder_parameters()["bias"]
        return (bias - bias.detach()).abs().sqrt()

    assert float(cliff(start).detach()) == 0
    assert bias_of(take_steps(start, [cliff], 1e-4)) == bias_of(start)


def test_a_loss_that_fails_leaves_the_model_given_as_it_was(a_question: Question) -> None:
    model = tiny_model()
    before = weights_of(model)

    def failing(changed: AdaptableModel) -> torch.Tensor:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        take_steps(model, [lambda changed: changed.answer(a_question).logits.mean(), failing], 1e-3)
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(model).items())
    assert not any(weight.requires_grad for weight in model.network.parameters())


def test_steps_are_those_of_adam() -> None:
    generator = torch.Generator().manual_seed(0)
    ours = [torch.randn(size, generator=generator) for size in ((3, 4), (5,), (2,))]
    theirs = [each.clone() for each in ours]
    optimizers = Adam(ours, 3e-3), torch.optim.Adam(theirs, lr=3e-3, fused=True)
    for number in range(6):
        for mine, other in zip(ours, theirs):
            gradient = torch.randn(mine.shape, generator=generator) * 10.0**-number
            mine.grad = other.grad = None if number == 2 and mine.numel() == 5 else gradient
        ours[2].grad = theirs[2].grad = None
        for optimizer in optimizers:
            optimizer.step()
    assert ours[2].equal(theirs[2])
    for mine, other in zip(ours, theirs):
        assert mine.equal(other)


def test_a_lesson_loads_no_compiler() -> None:
    code = (
        "import sys, torch\n"
        "from AdaptCore.adapt.steps import take_steps\n"
        "from Testing.learning_toy import LearningToy\n"
        "taught = take_steps(LearningToy(), [lambda model: model.decoder_parameters()['bias'].sum()], 0.1)\n"
        "print(float(taught.decoder_parameters()['bias']), 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    moved, loaded = done.stdout.split()
    assert abs(float(moved)) > 0.05 and loaded == "False"


def test_built_in_models_load_no_compiler_either() -> None:
    code = (
        "import sys\n"
        "from AdaptCore.models.registry import load_model, load_volume_model\n"
        "models = load_model('compact', 'cpu'), load_volume_model(device='cpu')\n"
        "print(*(model.name for model in models), 'torch._dynamo' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.split() == ["compact", "compact3d", "False"]
