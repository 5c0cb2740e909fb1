"""Losses of the mask decoder."""

from __future__ import annotations

import pytest
import torch

from AdaptCore.training.losses import mask_iou, mask_loss


def test_loss_falls_with_agreement_and_ignores_padding() -> None:
    target = torch.zeros(1, 8, 8)
    target[:, 2:5, 2:5] = 1
    valid = torch.ones(1, 8, 8)
    right = (target * 20 - 10)[:, None]
    assert float(mask_loss(right, target, valid)) < 0.01 < 1 < float(mask_loss(-right, target, valid))
    half = valid.clone()
    half[:, 6:] = 0
    spoiled = right.clone()
    spoiled[:, :, 6:] = 10
    torch.testing.assert_close(mask_loss(spoiled, target, half), mask_loss(right, target, half))
    assert float(mask_iou(spoiled, target, half)) == 1
    assert float(mask_iou(spoiled, target, valid)) == pytest.approx(9 / 25)


def test_predicted_iou_is_trained_to_zero_where_nothing_is_there() -> None:
    nothing, valid = torch.zeros(1, 8, 8), torch.ones(1, 8, 8)
    empty, full = torch.full((1, 1, 8, 8), -10.0), torch.full((1, 1, 8, 8), 10.0)
    assert mask_iou(torch.cat([empty, full], 1), nothing, valid).tolist() == [[0, 0]]
