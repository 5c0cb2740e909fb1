"""A tiny model without weights: it finds what looks like the clicks, so tests need no training and no file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.models.base import Decoding, Embedding, Question
from AdaptCore.prompts import Box, Prompts

TOLERANCES = (0.06, 0.12, 0.24)
PREFERENCES = (0.9, 1.0, 0.95)


class ToyModel:
    """Compares each pixel with the clicked intensities; a box gates, the prior nudges.

    One positive click on a bright disc gives the disc. A negative click removes pixels that are both like it and near
    it. A box without clicks takes the intensity at its centre. The scores grow with the contrast between mask and
    surroundings, so a mask of nothing but background scores close to zero. `encoded` and `decoded` count the calls.
    """

    name = "toy"
    digest = "70"
    follows_prior = False

    def __init__(self, input_side: int = 128, mask_side: int = 64) -> None:
        self.input_side = input_side
        self.mask_side = mask_side
        self.encoded = 0
        self.decoded = 0

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    def encode(self, image: np.ndarray) -> Embedding:
        """Resize the grey value of (H, W) or (H, W, 3) to the mask resolution; features: (1, 1, m, m)."""
        self.encoded += 1
        grey = torch.from_numpy(np.array(image if image.ndim == 2 else image.mean(axis=-1), dtype=np.float32))
        height, width = grey.shape
        scale = self.input_side / max(height, width)
        input_shape = (max(1, round(height * scale)), max(1, round(width * scale)))
        resized = F.interpolate(grey[None, None], input_shape, mode="bilinear", antialias=True)
        padding = (0, self.input_side - input_shape[1], 0, self.input_side - input_shape[0])
        features = F.interpolate(F.pad(resized, padding), (self.mask_side, self.mask_side), mode="area")
        return Embedding((features,), (height, width), input_shape, self.input_side)

    def decode(self, embedding: Embedding, prompts: Prompts, prior_logits: torch.Tensor | None = None) -> Decoding:
        """Three alternatives of growing tolerance: logits 3 x m x m, scores 3."""
        self.decoded += 1
        grey = embedding.features[0][0, 0]
        columns, rows = self._mask_coordinates(embedding)
        plane = (columns < embedding.plane_shape[1] - 0.5) & (rows < embedding.plane_shape[0] - 0.5)
        inside = plane & self._inside(prompts.box, columns, rows)
        positive = [self._value_at(embedding, c.x, c.y) for c in prompts.seen if c.positive]
        if not positive and prompts.box is not None:
            box = prompts.box
            positive = [self._value_at(embedding, (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)]
        logits = torch.stack([self._logits(grey, positive, tolerance) for tolerance in TOLERANCES])
        for click in prompts.seen:
            if not click.positive:
                near = torch.exp(
                    -((columns - click.x) ** 2 + (rows - click.y) ** 2) / (2 * self._reach(embedding) ** 2)
                )
                value = self._value_at(embedding, click.x, click.y)
                logits = logits - 24.0 * near * torch.exp(-(((grey - value) / 0.12) ** 2))
        if prior_logits is not None:
            logits = logits + 0.1 * prior_logits.clamp(-10.0, 10.0)
        logits = torch.where(inside, logits, torch.full_like(logits, -10.0))
        return Decoding(
            logits, torch.stack([self._score(grey[plane], x[plane]) * p for x, p in zip(logits, PREFERENCES)])
        )

    def _mask_coordinates(self, embedding: Embedding) -> tuple[torch.Tensor, torch.Tensor]:
        """Plane x (1, m) and y (m, 1) of each mask pixel's centre."""
        centres = (torch.arange(self.mask_side) + 0.5) * self.input_side / self.mask_side
        scale_x, scale_y = embedding.scale
        return (centres / scale_x - 0.5)[None, :], (centres / scale_y - 0.5)[:, None]

    def _inside(self, box: Box | None, columns: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        if box is None:
            return torch.ones(self.mask_side, self.mask_side, dtype=torch.bool)
        return (columns >= box.x0) & (columns <= box.x1) & (rows >= box.y0) & (rows <= box.y1)

    def _value_at(self, embedding: Embedding, x: float, y: float) -> float:
        scale_x, scale_y = embedding.scale
        column = int((x + 0.5) * scale_x * self.mask_side / self.input_side)
        row = int((y + 0.5) * scale_y * self.mask_side / self.input_side)
        last = self.mask_side - 1
        return float(embedding.features[0][0, 0, min(max(row, 0), last), min(max(column, 0), last)])

    def _logits(self, grey: torch.Tensor, positive: list[float], tolerance: float) -> torch.Tensor:
        likeness = torch.zeros_like(grey)
        for value in positive:
            likeness = torch.maximum(likeness, torch.exp(-(((grey - value) / tolerance) ** 2)))
        return 12.0 * (likeness - 0.4)

    def _reach(self, embedding: Embedding) -> float:
        return 0.1 * max(embedding.plane_shape)

    def _score(self, grey: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        mask = logits > 0
        if not mask.any() or mask.all():
            return torch.zeros(())
        return (2.0 * (grey[mask].mean() - grey[~mask].mean()).abs()).clamp(max=1.0)


class BatchToy(ToyModel):
    """The toy as a model that is asked at several sizes; `batches` holds how many it encoded and decoded at once."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[tuple[str, int]] = []

    def encode_all(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        self.batches.append(("encode", len(images)))
        return [self.encode(image) for image in images]

    def decode_all(self, questions: Sequence[Question]) -> list[Decoding]:
        self.batches.append(("decode", len(questions)))
        return [self.decode(one.embedding, one.prompts, one.prior) for one in questions]
