"""Gradient steps on a copy of the mask decoder; the model they start from stays as it is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor

from AdaptCore.models.base import AdaptableModel

BETAS, EPSILON = (0.9, 0.999), 1e-8

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
    optimizer = Adam(parameters, rate)
    for loss in losses:
        loss(learner).backward()
        if all(bool(parameter.grad.isfinite().all()) for parameter in parameters if parameter.grad is not None):
            optimizer.step()
        for parameter in parameters:
            parameter.grad = None
    for parameter in parameters:
        parameter.requires_grad_(False)
    return learner


class Adam:
    """Adam (Kingma and Ba 2015) with the usual constants.

    The same as `torch.optim.Adam`, whose first use loads a compiler for more than a second (`torch._dynamo`): too long
    for a user who waits for an answer.

    Args:
        parameters: those without a gradient stay as they are.
        rate: learning rate.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float) -> None:
        self._rate = rate
        self._moments = [(each, torch.zeros_like(each), torch.zeros_like(each)) for each in parameters]
        self._steps = [0] * len(parameters)

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters by their gradients."""
        for number, (parameter, mean, square) in enumerate(self._moments):
            gradient = parameter.grad
            if gradient is None:
                continue
            self._steps[number] += 1
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            mean_bias, square_bias = (1 - beta ** self._steps[number] for beta in BETAS)
            size = (square.sqrt() / math.sqrt(square_bias)).add_(EPSILON)
            parameter.addcdiv_(mean, size, value=-self._rate / mean_bias)
