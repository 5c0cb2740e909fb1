"""A model of volumes without weights: it finds what is bright."""

from __future__ import annotations

import torch
from torch import Tensor

from AdaptCore.models.base import Decoding
from AdaptCore.models.volume_prompts import VolumePrompts
from AdaptCore.models.volumetric import VolumeEmbedding, VolumeQuestion


class BrightModel:
    """Finds whatever is brighter than a threshold, whichever the prompts; keeps what it was asked."""

    name = "bright"
    digest = "0" * 64
    score = 0.8

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold
        self.encoded = 0
        self.asked: list[VolumePrompts] = []

    def encode(self, windows: Tensor, inside: Tensor) -> list[VolumeEmbedding]:
        self.encoded += len(windows)
        logits = torch.where(inside, 8 * windows / self.threshold - 8, -8.0)
        return [VolumeEmbedding((each,), len(each)) for each in logits]

    def decode(self, embeddings: list[VolumeEmbedding], prompts: VolumePrompts) -> tuple[Tensor, Tensor]:
        self.asked.append(prompts)
        logits = torch.stack([embedding.features[0] for embedding in embeddings])[:, None].expand(-1, 2, -1, -1, -1)
        return logits, torch.full((len(embeddings), 2), self.score)

    def answer(self, question: VolumeQuestion) -> Decoding:
        logits = question.embedding.features[0][None].expand(2, -1, -1, -1)
        return Decoding(logits, torch.full((2,), self.score))
