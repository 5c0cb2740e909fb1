"""Mid-interaction adaptation: each click but the first moves the decoder towards the answer it got (OAIMS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from AdaptCore.adapt.losses import click_gaussian, click_loss, tether_loss
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.adapt.steps import take_steps
from AdaptCore.models.base import AdaptableModel, Model
from AdaptCore.models.devices import free_memory, why_device_fails
from AdaptCore.models.frame import AnyClick, AnyQuestion, Frame, equivalent_radius


class ClickAdapter:
    """The adapter of a session.

    The target is the answer with the new clicks, the trained output the answer without them. Around a new click the
    output is drawn to the target, where that has the click's class; elsewhere it is tethered to what it was.

    Attributes:
        problem: why nothing was learnt from the latest click that should have taught something, for the user; empty if
            each did.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.problem = ""

    def adapt(self, model: Model, question: AnyQuestion, added: int, logits: Tensor) -> Model:
        """See `AdaptCore.predict.plane.Adapter`; the model must be an `AdaptableModel`.

        A step needs more memory than an answer. Where the device cannot take it, the click counts all the same.
        """
        if not self._recipe.learns_mid:
            return model
        learner = cast(AdaptableModel, model)
        try:
            return self._stepped(learner, question, added, logits)
        except (RuntimeError, TypeError, MemoryError) as error:
            reason = why_device_fails(error)
            if reason is None:
                raise
        free_memory(learner.device)
        self.problem = f"{learner.device} {reason}. The click is answered, but nothing is learnt from it."
        return model

    def _stepped(self, learner: AdaptableModel, question: AnyQuestion, added: int, logits: Tensor) -> AdaptableModel:
        recipe = self._recipe
        clicks = question.clicks
        before = question.without(added)
        device = learner.device
        target = (question.embedding.gridded(logits, learner.mask_side) > 0).float().to(device)
        around = click_weights(clicks[-added:], target, question.embedding, recipe)
        free = torch.from_numpy(question.embedding.inside(learner.mask_side)).to(device)
        around, away = around * free, (1 - around) * free
        anchors: list[Tensor] = []

        def loss(changed: AdaptableModel) -> Tensor:
            output = _best(changed, before)
            if not anchors:
                anchors.append(output.detach())
            return click_loss(output, around, target) + recipe.tether * tether_loss(output, anchors[0], away)

        return take_steps(learner, [loss] * recipe.mid_steps, recipe.mid_rate, head_only=recipe.mid_head_only)


def click_weights(clicks: Sequence[AnyClick], target: Tensor, embedding: Frame, recipe: Recipe) -> Tensor:
    """How much each cell of `target` on the model's grid tells of the clicks, from 0 to 1.

    A cell counts for a click whose class it has, as far as the recipe's Gaussian or single pixel reaches.
    """
    side = target.shape[-1]
    radius = equivalent_radius(max(1.0, float(target.sum())), target.ndim)
    sigma = max(recipe.min_click_sigma, recipe.click_sigma * radius)
    weights = torch.zeros_like(target)
    for click in clicks:
        place: tuple[float, ...] = embedding.on_grid(click, side)
        if recipe.click_target == "pixels":
            place, sigma = embedding.cell(click, side), 1 / (2 * recipe.click_cut)
        around = click_gaussian(place, sigma, recipe.click_cut, target.shape, target.device)
        weights = torch.maximum(weights, around * (target == float(click.positive)))
    return weights


def _best(model: AdaptableModel, question: AnyQuestion) -> Tensor:
    """Logits on the grid of the alternative with the best score."""
    decoding = model.answer(question)
    return decoding.logits[decoding.best]
