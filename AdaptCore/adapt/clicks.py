"""Mid-interaction adaptation: each click but the first moves the decoder towards the answer it got (OAIMS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from AdaptCore.adapt.losses import click_gaussian, click_loss, tether_loss
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.adapt.steps import Loss, take_steps
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
        if recipe.clicks_teach == "all":
            loss = _all_clicks_loss(learner, question, recipe)
        else:
            loss = _latest_clicks_loss(learner, question, added, logits, recipe)
        return take_steps(learner, [loss] * recipe.mid_steps, recipe.mid_rate, head_only=recipe.mid_head_only)


def _latest_clicks_loss(
    learner: AdaptableModel, question: AnyQuestion, added: int, logits: Tensor, recipe: Recipe
) -> Loss:
    """Draws the answer without the latest clicks to the one with them, around these; elsewhere as the recipe says."""
    before, device = question.without(added), learner.device
    target = (question.embedding.gridded(logits, learner.mask_side) > 0).float().to(device)
    around = click_weights(question.clicks[-added:], target, question.embedding, recipe)
    free = torch.from_numpy(question.embedding.inside(learner.mask_side)).to(device)
    around, away = around * free, (1 - around) * free
    anchors: list[Tensor] = []

    def loss(changed: AdaptableModel) -> Tensor:
        output = _best(changed, before)
        if not anchors:
            anchors.append(output.detach())
        total = click_loss(output, around, target) + recipe.tether * tether_loss(output, anchors[0], away)
        return total + recipe.mid_whole * click_loss(output, free, target) if recipe.mid_whole else total

    return loss


def _all_clicks_loss(learner: AdaptableModel, question: AnyQuestion, recipe: Recipe) -> Loss:
    """Cross-entropy of the present answer where clicks are, towards their classes, and a tether elsewhere."""
    target, around = clicked_cells(question.clicks, question.embedding, learner.mask_side)
    free = torch.from_numpy(question.embedding.inside(learner.mask_side))
    target, around, away = (each.to(learner.device) for each in (target, around, (1 - around) * free))
    anchors: list[Tensor] = []

    def loss(changed: AdaptableModel) -> Tensor:
        output = _best(changed, question)
        if not anchors:
            anchors.append(output.detach())
        return click_loss(output, around, target) + recipe.tether * tether_loss(output, anchors[0], away)

    return loss


def click_weights(clicks: Sequence[AnyClick], target: Tensor, embedding: Frame, recipe: Recipe) -> Tensor:
    """How much each cell of `target` on the model's grid tells of the clicks, from 0 to 1.

    A cell counts for a click whose class it has, as far as the recipe's Gaussian reaches.
    """
    side = target.shape[-1]
    radius = equivalent_radius(max(1.0, float(target.sum())), target.ndim)
    sigma = max(recipe.min_click_sigma, recipe.click_sigma * radius)
    weights = torch.zeros_like(target)
    for click in clicks:
        around = click_gaussian(embedding.on_grid(click, side), sigma, recipe.click_cut, target.shape, target.device)
        weights = torch.maximum(weights, around * (target == float(click.positive)))
    return weights


def clicked_cells(clicks: Sequence[AnyClick], embedding: Frame, mask_side: int) -> tuple[Tensor, Tensor]:
    """Classes of the clicked cells of the model's grid, of the latest click in each, and which cells these are."""
    target = torch.zeros(embedding.inside(mask_side).shape)
    around = torch.zeros_like(target)
    for click in clicks:
        cell = embedding.cell(click, mask_side)
        target[cell], around[cell] = float(click.positive), 1.0
    return target, around


def _best(model: AdaptableModel, question: AnyQuestion) -> Tensor:
    """Logits on the grid of the alternative with the best score."""
    decoding = model.answer(question)
    return decoding.logits[decoding.best]
