"""Gradient steps on a copy of the mask decoder; the model they start from stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from AdaptCore.models.base import AdaptableModel

Loss = Callable[[AdaptableModel], Tensor]


def take_steps(model: AdaptableModel, steps: Iterable[Sequence[Loss]], rate: float) -> AdaptableModel:
    """A model whose decoder has learnt: one Adam step on the mean of each of `steps`' losses, with fresh moments.

    A loss that is not finite is left out of its step, so that no weight is ever lost to it.
    """
    learner = model.with_decoder({})
    parameters = list(learner.decoder_parameters().values())
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.Adam(parameters, lr=rate)
    for losses in steps:
        optimizer.zero_grad()
        if sum([_descend(loss(learner) / len(losses)) for loss in losses]):
            optimizer.step()
    for parameter in parameters:
        parameter.requires_grad_(False)
        parameter.grad = None
    return learner


def _descend(loss: Tensor) -> bool:
    """Add a loss's gradients to the parameters'; False if there are none to add."""
    if not math.isfinite(float(loss.detach())):
        return False
    loss.backward()
    return True
