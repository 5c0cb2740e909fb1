"""Calibration of a choice between answers by what they tell of themselves, and how well it chooses."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Sample:
    """One click: what each answer tells of itself (K, F), and its IoU with what was meant (K,)."""

    scene: int
    evidence: np.ndarray
    iou: np.ndarray


@dataclass(frozen=True, eq=False)
class Table:
    """Samples as tensors, padded to the most answers: evidence (N, K, F), IoU and whether there is one (N, K)."""

    evidence: Tensor
    iou: Tensor
    present: Tensor

    @classmethod
    def of(cls, samples: list[Sample]) -> Table:
        sizes = max(len(sample.iou) for sample in samples)
        evidence = torch.zeros(len(samples), sizes, samples[0].evidence.shape[1], dtype=torch.float64)
        iou = torch.zeros(len(samples), sizes, dtype=torch.float64)
        present = torch.zeros(len(samples), sizes, dtype=torch.bool)
        for row, sample in enumerate(samples):
            count = len(sample.iou)
            evidence[row, :count] = torch.from_numpy(sample.evidence)
            iou[row, :count], present[row, :count] = torch.from_numpy(sample.iou), True
        return cls(evidence, iou, present)

    def odds(self, weights: Tensor) -> Tensor:
        """Probability of each answer, (N, K), by weights (F,)."""
        return (self.evidence @ weights).masked_fill(~self.present, -torch.inf).softmax(1)

    def chosen(self, weights: Tensor) -> Tensor:
        """IoU (N,) of the answer that the weights (F,) choose."""
        return self.iou.gather(1, self.odds(weights).argmax(1, keepdim=True))[:, 0]


def calibrated(table: Table, ridge: float) -> Tensor:
    """The weights (F,) with the highest IoU that is to be expected where answers are drawn by their odds."""
    deviation = table.evidence[table.present].std(0) + 1e-6
    scaled = torch.zeros_like(deviation).requires_grad_()
    optimizer = torch.optim.LBFGS([scaled], max_iter=500, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        expected = (table.odds(scaled / deviation) * table.iou).sum(1).mean()
        value = ridge * scaled @ scaled - expected
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return (scaled / deviation).detach()


def held_out(samples: list[Sample], ridge: float, folds: int = 4) -> float:
    """Mean IoU of what weights choose in scenes that they were not calibrated on."""
    chosen = []
    for fold in {sample.scene % folds for sample in samples}:
        kept = [sample for sample in samples if sample.scene % folds != fold]
        out = [sample for sample in samples if sample.scene % folds == fold]
        chosen.append(Table.of(out).chosen(calibrated(Table.of(kept), ridge)))
    return float(torch.cat(chosen).mean())


def report(name: str, samples: list[Sample], present: Any, ridge: float, first: str) -> str:
    """The calibrated weights as code, and how well they and the present ones choose.

    Args:
        present: a dataclass of weights.
        first: what the first answer of each click is.
    """
    table = Table.of(samples)
    weights = calibrated(table, ridge)
    ious = {
        first: table.iou[:, 0],
        "present weights": table.chosen(torch.tensor(astuple(present), dtype=torch.float64)),
        "these weights": table.chosen(weights),
        "best answer": table.iou.masked_fill(~table.present, -1).amax(1),
    }
    found = ", ".join(f"{label} {float(values.mean()):.3f}" for label, values in ious.items())
    code = ", ".join(f"{part.name}={float(weight):.3g}" for part, weight in zip(fields(present), weights))
    return (
        f"{name} = {type(present).__name__}({code})\n"
        f"IoU of {len(samples)} clicks: {found}; on other scenes {held_out(samples, ridge):.3f}"
    )
