"""Losses of adaptation: each value by hand, and what must not count."""

from __future__ import annotations

import math

import pytest
import torch

from AdaptCore.adapt.losses import click_gaussian, click_loss, label_loss, tether_loss
from AdaptCore.adapt.pseudo_labels import PseudoLabel

CPU = torch.device("cpu")


def softplus(value: float) -> float:
    return math.log1p(math.exp(value))


def a_label(target: list[float], weight: list[float]) -> PseudoLabel:
    """Of one row."""
    return PseudoLabel(torch.tensor([target]).float(), torch.tensor([weight]).float())


def test_label_loss_is_balanced_cross_entropy_and_dice() -> None:
    label = a_label([1, 0, 0, 0], [1, 1, 1, 1])
    logits = torch.tensor([[1.0, -2.0, 0.5, 0.0]])
    inside, outside = softplus(-1.0), (softplus(-2.0) + softplus(0.5) + softplus(0.0)) / 3
    chances = logits.sigmoid()[0].tolist()
    dice = 1 - (2 * chances[0] + 1) / (sum(chances) + 1 + 1)
    assert float(label_loss(logits, label)) == pytest.approx((inside + outside) / 2 + dice, rel=1e-6)


def test_label_loss_weighs_the_band_and_leaves_out_what_is_ignored() -> None:
    label = a_label([1, 1, 0, 0, 1], [1, 0.3, 1, 0.3, 0])
    logits = torch.tensor([[1.0, -1.0, -2.0, 2.0, -3.0]])
    inside = (softplus(-1.0) + 0.3 * softplus(1.0)) / 1.3
    outside = (softplus(-2.0) + 0.3 * softplus(2.0)) / 1.3
    chances = logits.sigmoid()[0].tolist()
    overlap = chances[0] + 0.3 * chances[1]
    total = chances[0] + 0.3 * chances[1] + chances[2] + 0.3 * chances[3] + 1.3
    expected = (inside + outside) / 2 + 1 - (2 * overlap + 1) / (total + 1)
    assert float(label_loss(logits, label)) == pytest.approx(expected, rel=1e-6)


def test_a_small_object_weighs_as_much_as_its_surroundings() -> None:
    target = torch.zeros(20, 20)
    target[3, 3] = 1
    label = PseudoLabel(target, torch.ones(20, 20))
    right = torch.where(target > 0, 9.0, -9.0)
    missed = right.clone()
    missed[3, 3] = -9.0
    assert float(label_loss(right, label)) < 0.1
    assert float(label_loss(missed, label)) > 9 / 2


def test_a_label_without_object_has_a_finite_loss_that_falls_with_the_mask() -> None:
    label = a_label([0, 0], [1, 1])
    sure, unsure = (float(label_loss(torch.full((1, 2), value), label)) for value in (-9.0, 0.0))
    assert sure == pytest.approx(0, abs=1e-3)
    assert unsure == pytest.approx(math.log(2) / 2 + 0.5, rel=1e-6)


def test_click_loss_is_a_mean_over_the_weights_around_the_click() -> None:
    around, target = torch.tensor([[1.0, 0.5, 0.0]]), torch.tensor([[1.0, 0.0, 1.0]])
    logits = torch.tensor([[-1.0, 2.0, -50.0]])
    assert float(click_loss(logits, around, target)) == pytest.approx((softplus(1) + 0.5 * softplus(2)) / 1.5)
    assert float(click_loss(logits, 0 * around, target)) == 0


def test_tether_pulls_to_the_anchor_only_where_it_has_weight() -> None:
    anchor = torch.tensor([[-1.0, 2.0, 0.5, 0.5]])
    logits = torch.tensor([[-1.0, 1.0, 1.5, 9.0]], requires_grad=True)
    tether_loss(logits, anchor, torch.tensor([[1.0, 1.0, 1.0, 0.0]])).backward()
    assert logits.grad is not None
    pull = (logits.detach().sigmoid() - anchor.sigmoid()) / 3
    torch.testing.assert_close(logits.grad[0, :3], pull[0, :3], atol=1e-6, rtol=1e-5)
    assert logits.grad[0, 0] == pytest.approx(0, abs=1e-7)
    assert logits.grad[0, 1] < 0 < logits.grad[0, 2]
    assert logits.grad[0, 3] == 0


def test_gaussian_falls_with_the_distance_and_ends_at_three_sigma() -> None:
    weights = click_gaussian((12.0, 30.0), 4.0, 3.0, (40, 60), CPU)
    assert weights.shape == (40, 60)
    assert weights[12, 30] == 1
    assert float(weights[12, 34]) == pytest.approx(math.exp(-0.5))
    assert float(weights[16, 34]) == pytest.approx(math.exp(-1.0))
    assert float(weights[12, 41]) == pytest.approx(math.exp(-((11 / 4) ** 2) / 2))
    assert weights[12, 42] == weights[24, 30] == 0
    away = ((torch.arange(40)[:, None] - 12) ** 2 + (torch.arange(60)[None, :] - 30) ** 2).sqrt()
    assert torch.equal(weights > 0, away < 12)


def test_gaussian_is_centred_between_pixels() -> None:
    weights = click_gaussian((2.25, 3.5), 1.0, 3.0, (6, 8), CPU)
    assert float(weights[2, 3]) == float(weights[2, 4]) == pytest.approx(math.exp(-(0.25 + 0.0625) / 2))
    assert weights[2, 3] > weights[3, 3] > weights[1, 3]
