"""Gradient steps on a copy of the mask decoder; the model they start from stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from AdaptCore.models.base import AdaptableModel

Loss = Callable[[AdaptableModel], Tensor]


def take_steps(
    model: AdaptableModel, losses: Iterable[Loss], rate: float, *, head_only: bool = False
) -> AdaptableModel:
    """A model whose decoder, or only its head, has learnt: one Adam step on each of `losses`, with fresh moments.

    A step whose loss or gradients are not finite is left out, so that no weight is ever lost to it.
    """
    learner = model.with_decoder({})
    learning = learner.head_parameters() if head_only else learner.decoder_parameters()
    parameters = list(learning.values())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=rate, fused=True)
    for loss in losses:
        optimizer.zero_grad()
        loss(learner).backward()
        if all(bool(parameter.grad.isfinite().all()) for parameter in parameters if parameter.grad is not None):
            optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
    return learner
