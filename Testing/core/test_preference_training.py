"""Training of the latent space: questions of synthetic raters, z that answer them, and a mixture that fits the z."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from AdaptCore.preference.latent import COMPONENTS, HALF, OWN_SHARE, gated
from AdaptCore.training.object_preference import ask_objects
from AdaptCore.training.preference import (
    LatentTraining,
    ask,
    fit_mixture,
    fitted,
    log_density,
    principal_axes,
    train_latent,
    whitening,
)
from Testing.tiny_model import tiny_model
from Testing.tiny_volume_model import tiny_volume_model

SMALL = LatentTraining(scenes=4, side=64, raters=2, clicks=2, steps=40, batch=32)


def test_training_gives_the_same_space_twice_and_tells_its_progress() -> None:
    model, calls = tiny_model(), []
    one = train_latent(model.digest, list(ask(model, SMALL, lambda: calls.append(1))), SMALL)
    other = train_latent(model.digest, list(ask(model, SMALL, lambda: None)), SMALL)
    assert len(calls) == SMALL.scenes and one.digest == model.digest
    assert torch.equal(one.basis, other.basis) and torch.equal(one.means, other.means)
    assert one.basis.shape == (17, 17) and one.means.shape == (COMPONENTS, 17)
    assert (one.means[::HALF] == 0).all() and (one.variances > 0).all()


def test_questions_begin_with_an_opening_and_hold_the_raters_masks() -> None:
    asked = list(ask(tiny_model(), SMALL, lambda: None))
    assert asked[0].opening and any(not one.opening for one in asked)
    for one in asked:
        assert one.features.shape[1] == one.plain.shape[0] == one.masks.shape[1]
        assert 1 <= len(one.masks) <= SMALL.raters and one.masks.any(1).all()


def test_in_the_whitened_space_features_near_the_object_are_unrelated() -> None:
    asked = list(ask(tiny_model(), SMALL, lambda: None))
    basis = whitening(asked, near=1e9)
    second = torch.zeros(17, 17)
    for one in asked:
        known = basis.T @ torch.cat([one.features.float(), torch.ones(1, one.features.shape[1])])
        second += known @ known.T / known.shape[1] / len(asked)
    assert second.diagonal().max() < 1.01 and (second - torch.diag(second.diagonal())).abs().max() < 0.05


def test_fitted_z_answer_better_than_none() -> None:
    asked = list(ask(tiny_model(), SMALL, lambda: None))
    basis = whitening(asked, near=8.0)
    tokens, opening, z = fitted(asked, basis)
    assert len(tokens) == len(opening) == len(z) == sum(len(one.masks) for one in asked)
    known = basis.T @ torch.cat([asked[0].features.float(), torch.ones(1, asked[0].features.shape[1])])

    def agreement(logits: torch.Tensor) -> float:
        return float(((logits > 0) == asked[0].masks[0]).float().mean())

    assert agreement(asked[0].plain + z[0] @ known) > agreement(asked[0].plain)


def test_the_first_axis_is_that_of_the_greatest_spread() -> None:
    z = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 5.0, 2.0, 0.1])
    axes = principal_axes(z)
    assert axes[:, 0].abs()[1] > 0.99 and axes[:, 3].abs()[3] > 0.99
    assert torch.allclose(axes.T @ axes, torch.eye(4), atol=1e-5)


def test_the_mixture_finds_clusters_and_the_gate_tells_by_the_token_which() -> None:
    generator = torch.Generator().manual_seed(0)
    opening = torch.arange(600) % 2 == 0
    kind = torch.arange(600) // 2 % 2
    centres = torch.tensor([[4.0, 0.0], [0.0, -4.0]])
    z = centres[kind] + 0.3 * torch.randn(600, 2, generator=generator)
    tokens = torch.nn.functional.one_hot(kind, 8).float() * 3
    config = replace(SMALL, steps=800, batch=128, learning_rate=2e-2)
    gate, means, variances = fit_mixture(tokens, opening, z, config)
    assert (means[::HALF] == 0).all()
    with torch.no_grad():
        weights = gated(gate, tokens, opening)
        told = log_density(weights, means, variances, z).mean()
        wrong = log_density(gated(gate, tokens.roll(2, 0), opening), means, variances, z).mean()
    assert weights[:, ::HALF].sum(1).numpy() == pytest.approx(np.full(600, OWN_SHARE))
    assert told > wrong + 1
    others = weights.clone()
    others[:, ::HALF] = 0
    nearest = (others @ means / others.sum(1, keepdim=True) - centres[kind]).norm(dim=1)
    assert nearest.mean() < 0.5


def test_objects_are_asked_as_planes_are_at_half_the_windows_resolution() -> None:
    model, calls = tiny_volume_model(), []
    config = replace(SMALL, scenes=2, steps=3)
    asked = list(ask_objects(model, config, lambda: calls.append(1)))
    assert len(calls) == 2 and asked[0].opening and any(not one.opening for one in asked)
    for one in asked:
        assert one.features.shape[1] == one.plain.shape[0] == one.masks.shape[1] <= 24**3
        plain = one.vector[:-1] @ one.features.float() + one.vector[-1]
        assert torch.allclose(plain, one.plain, atol=0.05)
        sizes = one.masks.sum(1)
        assert len(sizes) == 2 and sizes.min() > 0
    latent = train_latent(model.digest, asked, config)
    assert latent.basis.shape == (4, 4) and latent.means.shape == (COMPONENTS, 4) and latent.gate.shape[1] == 17
