"""Samplers: z = 0 is the plain answer, z moves the readout, and a fitted z gives the mask it was fitted to."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from AdaptCore.models.base import Canvas, Decoding, Embedding, Question, ReadoutModel
from AdaptCore.models.compact import CompactModel
from AdaptCore.preference.latent import COMPONENTS, Latent
from AdaptCore.preference.samplers import RIDGE, FreeSampler, ReadoutSampler, balanced, newton
from AdaptCore.prompts import Box, Click, Prompts
from Testing.tiny_model import tiny_model


def a_latent(model: CompactModel, seed: int = 0) -> Latent:
    """Any basis; components at random, the first of each half at the origin."""
    generator = torch.Generator().manual_seed(seed)
    channels, token = model.network.config.decoder[2], model.network.config.dim
    means = torch.randn(COMPONENTS, channels + 1, generator=generator)
    means[:: COMPONENTS // 2] = 0
    return Latent(
        model.digest,
        torch.randn(channels + 1, channels + 1, generator=generator),
        torch.randn(COMPONENTS, token + 1, generator=generator),
        means,
        torch.rand(COMPONENTS, channels + 1, generator=generator) + 0.1,
    )


def a_question(model: CompactModel, clicks: int = 1, shape: tuple[int, int] = (48, 64)) -> Question:
    rng = np.random.default_rng(3)
    embedding = model.encode(rng.random(shape, dtype=np.float32))
    return Question(embedding, Prompts(tuple(Click(10.0 + 7 * n, 20.0, n % 2 == 0) for n in range(clicks))))


@pytest.mark.parametrize("clicks", [1, 2])
def test_the_canvas_holds_the_plain_answer(clicks: int) -> None:
    model = tiny_model()
    assert isinstance(model, ReadoutModel)
    question = a_question(model, clicks)
    decoding, canvas = model.answer(question), model.canvas(question)
    assert torch.allclose(canvas.logits(canvas.vector[None])[0], decoding.logits[decoding.best], atol=1e-5)


def test_logits_are_linear_in_the_readout_vector() -> None:
    features = torch.arange(24.0).reshape(2, 3, 4)
    canvas = Canvas(features, torch.zeros(3), torch.zeros(5))
    logits = canvas.logits(torch.tensor([[1.0, 0.0, 0.5], [2.0, -1.0, 0.0]]))
    assert torch.equal(logits[0], features[0] + 0.5) and torch.equal(logits[1], 2 * features[0] - features[1])


def test_a_question_is_an_opening_with_one_click_alone() -> None:
    embedding = Embedding((), (8, 8), (8, 8), 8)
    one, prior = Prompts((Click(1, 1),)), torch.zeros(4, 4)
    assert Question(embedding, one).is_opening and Question(embedding, one, prior).is_opening
    assert Question(embedding, one).is_ambiguous and not Question(embedding, one, prior).is_ambiguous
    assert not Question(embedding, Prompts((Click(1, 1), Click(2, 2)))).is_opening
    assert not Question(embedding, Prompts((Click(1, 1),), Box(0, 0, 4, 4))).is_opening


def test_no_z_is_the_plain_answer_and_z_moves_along_the_basis() -> None:
    model = tiny_model()
    latent, question = a_latent(model), a_question(model)
    sampler, canvas = ReadoutSampler(model, latent, question), model.canvas(question)
    z = np.zeros((2, latent.basis.shape[1]))
    z[1, 3] = 2.0
    logits = sampler.logits(z)
    assert torch.allclose(logits[0], canvas.logits(canvas.vector[None])[0], atol=1e-5)
    assert torch.allclose(logits[1], canvas.logits((canvas.vector + 2 * latent.basis[:, 3])[None])[0], atol=1e-4)


def test_a_mask_is_fitted_as_sure_as_the_plain_answer_is() -> None:
    own = torch.tensor([2.0, 0.0, 1.0])
    assert torch.allclose(balanced(0.7 * own, own), torch.zeros(3), atol=1e-6), "surer, but the same mask"
    z = torch.tensor([1.0, 0.5, -3.0])
    even, features = balanced(z, own), torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    assert torch.equal((own + z) @ features > 0, (own + even) @ features > 0)
    assert float(own @ even) == pytest.approx(0.0, abs=1e-5)
    assert torch.equal(balanced(-2 * own, own), -2 * own), "the opposite of the answer is no surer answer"


def test_a_fitted_z_finds_the_mask_back() -> None:
    model = tiny_model()
    question, latent = a_question(model), a_latent(model)
    sampler = ReadoutSampler(model, latent, question)
    wanted = 3 * np.random.default_rng(1).normal(size=latent.basis.shape[1])
    inside = torch.from_numpy(question.embedding.inside(model.mask_side))
    target = sampler.logits(wanted[None])[0] > 0
    found = sampler.logits(sampler.fit(target.float(), inside)[None])[0] > 0
    before = sampler.logits(np.zeros((1, len(wanted))))[0] > 0

    def agreement(mask: Tensor) -> float:
        return float(2 * (mask & target & inside).sum() / ((mask & inside).sum() + (target & inside).sum()))

    assert agreement(found) > 0.95 > agreement(before) + 0.03


def test_newton_reaches_the_minimum() -> None:
    generator = torch.Generator().manual_seed(0)
    known, plain = torch.randn(3, 400, generator=generator), torch.randn(400, generator=generator)
    wanted = (torch.rand(400, generator=generator) < 0.4).float()
    z = newton(known, plain, wanted)
    weight = 0.5 / wanted.sum()
    slope = weight * known @ ((plain + z @ known).sigmoid() - wanted) + RIDGE * z
    assert slope.abs().max() < 1e-3


def test_newton_without_an_object_stays_finite() -> None:
    z = newton(
        torch.randn(3, 50, generator=torch.Generator().manual_seed(0)), torch.full((50,), -20.0), torch.zeros(50)
    )
    assert torch.isfinite(z).all() and z.norm() < 1e-3


class Fixed:
    """A model that gives the same alternatives to everything."""

    name, digest, mask_side, follows_prior, device = "fixed", "0" * 64, 32, False, torch.device("cpu")

    def __init__(self, *radii: float) -> None:
        rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
        self.maps = torch.stack([radius - (rows - 16).hypot(columns - 16) for radius in radii])

    def decode(self, embedding: Embedding, prompts: Prompts, prior: Tensor | None = None) -> Decoding:
        return Decoding(self.maps, torch.linspace(0.9, 0.1, len(self.maps)))


def radius(logits: Tensor) -> float:
    return float(((logits > 0).sum() / np.pi) ** 0.5)


def test_without_training_outline_threshold_and_alternative_move() -> None:
    question = Question(Embedding((), (64, 64), (64, 64), 64), Prompts((Click(32, 32),)))
    sampler = FreeSampler(Fixed(8.0, 4.0, 12.0), question)
    plain, wider, lower, other = sampler.logits(
        np.array([[0, 0, 0, 0], [3, 0, 0, 0], [0, 2, 0, 0], [0, 0, *sampler.prior.means[1, 2:]]], float)
    )
    assert torch.equal(plain, Fixed(8.0).maps[0])
    assert radius(wider) == pytest.approx(radius(plain) * 1.21, rel=0.1)
    assert radius(lower) == pytest.approx(11, rel=0.1), "three logits lower on a cone of slope one"
    assert radius(other) == pytest.approx(4, rel=0.1)
    assert radius(sampler.logits(np.array([[-3.0, 0, 0, 0]]))[0]) < radius(plain)


def test_without_training_the_fit_is_the_best_of_its_grid() -> None:
    question = Question(Embedding((), (64, 64), (64, 64), 64), Prompts((Click(32, 32),)))
    sampler = FreeSampler(Fixed(8.0, 4.0, 12.0), question)
    inside = torch.ones(32, 32, dtype=torch.bool)
    z = sampler.fit((Fixed(12.0).maps[0] > 0).float(), inside)
    assert radius(sampler.logits(z[None])[0]) == pytest.approx(radius(Fixed(12.0).maps[0]), rel=0.05)


def test_without_training_an_empty_answer_is_no_error() -> None:
    question = Question(Embedding((), (64, 64), (64, 64), 64), Prompts((Click(32, 32),)))
    sampler = FreeSampler(Fixed(-1.0), question)
    logits = sampler.logits(sampler.prior.means)
    assert torch.isfinite(logits).all() and not (logits > 0).any()
