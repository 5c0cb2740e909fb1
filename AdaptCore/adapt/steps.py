"""Gradient steps on a copy of the mask decoder; the model they start from stays as it is."""

from __future__ import annotations

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
        if _all_finite([parameter.grad for parameter in parameters if parameter.grad is not None]):
            optimizer.step()
        for parameter in parameters:
            parameter.grad = None
    for parameter in parameters:
        parameter.requires_grad_(False)
    return learner


def _all_finite(gradients: Sequence[Tensor]) -> bool:
    """Whether no gradient has lost its way; an accelerator is waited for once, not for each of them."""
    return not gradients or bool(torch.stack([gradient.isfinite().all() for gradient in gradients]).all())


class Adam:
    """Adam (Kingma and Ba 2015) with the usual constants.

    Calls what `torch.optim.Adam` calls with `fused=True`. That class itself loads a compiler at its first use
    (`torch._dynamo`), for more than a second: too long for a user who waits for an answer.

    Args:
        parameters: those without a gradient stay as they are.
        rate: learning rate.
    """

    def __init__(self, parameters: Sequence[Tensor], rate: float) -> None:
        self._rate = rate
        self._moving = [
            (each, torch.zeros_like(each), torch.zeros_like(each), torch.zeros((), device=each.device))
            for each in parameters
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Change all parameters by their gradients."""
        moving = [(*state, gradient) for state in self._moving if (gradient := state[0].grad) is not None]
        if not moving:
            return
        parameters, means, squares, steps, gradients = (list(of) for of in zip(*moving))
        torch._foreach_add_(steps, 1)
        torch._fused_adam_(
            parameters,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=self._rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0.0,
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
