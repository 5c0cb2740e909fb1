"""A tiny model that can learn: it finds what is brighter than a threshold, which is its only weight and wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from AdaptCore.models.base import Decoding, Embedding, Question
from AdaptCore.prompts import Prompts
from Testing.toy_model import ToyModel

STEEPNESS = 40.0
FIRST_THRESHOLD = 0.8
CLICK_LOGIT, CLICK_REACH = 20.0, 4.0
RESPONSE = 1e4
"""Logits by which a change of the weight by one moves the answer: one Adam step of 1e-4 is one logit."""


class LearningToy(ToyModel):
    """Grey above the threshold is object; each click is obeyed within a few mask pixels around it."""

    name = "learning toy"

    def __init__(self, bias: torch.Tensor | None = None) -> None:
        super().__init__(input_side=64, mask_side=32)
        start = torch.tensor(STEEPNESS * (0.5 - FIRST_THRESHOLD) / RESPONSE)
        self._bias = torch.nn.Parameter((start if bias is None else bias).detach().clone(), requires_grad=False)

    def decoder_parameters(self) -> dict[str, torch.nn.Parameter]:
        return {"bias": self._bias}

    head_parameters = decoder_parameters

    def with_decoder(self, weights: Mapping[str, torch.Tensor]) -> LearningToy:
        return LearningToy(weights.get("bias", self._bias))

    def decode(self, embedding: Embedding, prompts: Prompts, prior_logits: torch.Tensor | None = None) -> Decoding:
        with torch.no_grad():
            return self.answer(Question(embedding, prompts, prior_logits))

    def answer(self, question: Question) -> Decoding:
        columns, rows = self._mask_coordinates(question.embedding)
        logits = STEEPNESS * (question.embedding.features[0][0, 0] - 0.5) + RESPONSE * self._bias
        for click in question.prompts.clicks:
            near = torch.exp(-((columns - click.x) ** 2 + (rows - click.y) ** 2) / (2 * CLICK_REACH**2))
            logits = logits + (CLICK_LOGIT if click.positive else -CLICK_LOGIT) * near
        return Decoding(logits[None], torch.ones(1))

    def answers(self, questions: Sequence[Question]) -> list[Decoding]:
        return [self.answer(question) for question in questions]


def a_cone(side: int, radius: float) -> np.ndarray:
    """Brightness float32 (S, S) that falls from the centre and is 0.5 at `radius`."""
    places = np.arange(side) - (side - 1) / 2
    away = np.hypot(places[:, None], places[None, :])
    return np.clip(1 - away / (2 * radius), 0, 1).astype(np.float32)
