"""Samplers: masks of one question for any z, by a readout that was trained for it or without any training."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from AdaptCore.models.base import Model, Readable
from AdaptCore.models.frame import AnyQuestion, equivalent_radius
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.preference.belief import LEAST_WEIGHT
from AdaptCore.preference.latent import Latent
from AdaptCore.preference.mixture import Mixture

RIDGE = 0.03
"""Weight of a fitted z's squared length against the cross-entropy in units of the object's area (ours)."""

NEWTON_STEPS = 12
LEAST_STEP = 0.05
LEAST_GAIN = 1e-5

LEAST_SCALE = 0.2
"""A readout with a smaller share of the plain one is another one, and stays as it is."""


AnyModel = Model | VolumetricModel


class Sampler(Protocol):
    """Answers one question for any z, on the CPU.

    Attributes:
        prior: the z that are likely for this question before any pick.
    """

    @property
    def prior(self) -> Mixture: ...

    def logits(self, z: np.ndarray) -> Tensor:
        """float32 (N, *grid) on the model's grid, (m, m) of a plane or (S, S, S) of a window, for z (N, D)."""
        ...

    def fit(self, target: Tensor, inside: Tensor) -> np.ndarray:
        """The z (D,) whose mask is the target, float32 0 to 1 on the grid, where `inside`, bool of the same shape."""
        ...


class ReadoutSampler:
    """Late conditioning (SPA, section 3.2): one decode, then z moves the readout vector."""

    def __init__(self, model: Readable, latent: Latent, question: AnyQuestion) -> None:
        self._canvas = model.canvas(question)
        self._basis = latent.basis
        self.prior = latent.prior(self._canvas.token, question.is_opening)

    def logits(self, z: np.ndarray) -> Tensor:
        """See `Sampler`."""
        moved = torch.tensor(z, dtype=torch.float32) @ self._basis.T
        return self._canvas.logits(self._canvas.vector + moved)

    def fit(self, target: Tensor, inside: Tensor) -> np.ndarray:
        """See `Sampler`: logistic regression with a ridge, by Newton's method."""
        canvas = self._canvas
        wanted = target[inside]
        seen = canvas.features[:, inside]
        plain = canvas.vector[:-1] @ seen + canvas.vector[-1]
        known = self._basis[:-1].T @ seen + self._basis[-1][:, None]
        own = torch.linalg.pinv(self._basis) @ canvas.vector
        return balanced(newton(known, plain, wanted), own).double().numpy()


def newton(known: Tensor, plain: Tensor, wanted: Tensor) -> Tensor:
    """The z (D,) that minimizes the cross-entropy of logits `plain` + z `known`, with a ridge.

    Args:
        known: (D, P). plain, wanted: (P,).
    """
    weight = 0.5 / wanted.sum().clamp(min=1)
    ridge = RIDGE * torch.eye(len(known), dtype=known.dtype, device=known.device)

    def loss(z: Tensor) -> float:
        entropy = torch.nn.functional.binary_cross_entropy_with_logits(plain + z @ known, wanted, reduction="sum")
        return float(weight * entropy + RIDGE / 2 * z @ z)

    z = known.new_zeros(len(known))
    best = loss(z)
    for _ in range(NEWTON_STEPS):
        p = (plain + z @ known).sigmoid()
        slope = weight * known @ (p - wanted) + RIDGE * z
        direction = torch.linalg.solve(weight * (known * (p * (1 - p))) @ known.T + ridge, slope)
        step = 1.0
        while (after := loss(z - step * direction)) > best and step > LEAST_STEP:
            step /= 2
        if best - after < LEAST_GAIN:
            break
        z, best = z - step * direction, after
    return z


def balanced(z: Tensor, own: Tensor) -> Tensor:
    """The z (D,) that gives the same mask, but is as sure of it as the plain answer (ours).

    A readout times any positive number has the same mask. Of these the one is taken whose projection on the plain
    readout is the plain readout, so a mask that the plain answer gives has z = 0 however sure the fit was. That is so
    where z can move the readout anywhere, as in the shipped latent space.

    Args:
        own: (D,), the plain readout in the coordinates of z.
    """
    scale = (own @ (own + z)) / (own @ own)
    return z if scale < LEAST_SCALE else (own + z) / scale - own


OFFSET_UNIT, THRESHOLD_UNIT = 0.07, 1.5
"""One unit of z: an outline moved by this share of the object's equivalent radius, a threshold by so many logits."""

RING = 2.0
"""Distance from the answer itself, at the origin, to the places of the other masks in the plane of z[2] and z[3]."""

MAPS = 4
"""The answer and three others."""


class FreeSampler:
    """Without training (ours): the model's masks, their thresholds and outlines moved.

    z is (outward shift, threshold, and the place of a mask in a plane): the nearest place has its mask taken. The
    answer to the question lies in the middle, around it the alternatives that the model gives for the first click.
    """

    def __init__(self, model: AnyModel, question: AnyQuestion) -> None:
        maps = _masks_of(model, question)
        self._opening = question.is_opening
        self._maps = torch.stack(maps)
        self._distances = torch.stack([_signed_distance(logits > 0) for logits in maps])
        radius = equivalent_radius(float((maps[0] > 0).sum()), maps[0].ndim)
        self._shift = OFFSET_UNIT * max(1.0, radius)

    @property
    def prior(self) -> Mixture:
        """A component for each place, of the half for this kind of question."""
        return free_prior(self._opening)

    def logits(self, z: np.ndarray) -> Tensor:
        """See `Sampler`; z is (N, 4)."""
        which = ((z[:, None, 2:] - PLACES[: len(self._maps)]) ** 2).sum(2).argmin(1)
        moves = torch.tensor(z[:, :2], dtype=torch.float32)
        outward, threshold = moves.view(len(z), 2, *[1] * (self._maps.ndim - 1)).unbind(1)
        moved = self._maps[which] + THRESHOLD_UNIT * threshold
        shift = self._shift * outward
        outline = self._distances[which] + shift
        narrower = torch.where(shift < 0, torch.minimum(moved, outline), moved)
        return torch.where(shift > 0, torch.maximum(moved, outline), narrower)

    def fit(self, target: Tensor, inside: Tensor) -> np.ndarray:
        """See `Sampler`: the best of a grid of places and outward shifts."""
        wanted = (target > 0.5) & inside
        agreement = []
        for z in FREE_GRID:  # one by one: all masks of a window at once are hundreds of megabytes
            mask = (self.logits(z[None])[0] > 0) & inside
            agreement.append(float(2 * (mask & wanted).sum() / (mask.sum() + wanted.sum()).clamp(min=1)))
        return np.asarray(FREE_GRID[int(np.argmax(agreement))])


_ANGLES = 2 * np.pi * np.arange(MAPS - 1) / (MAPS - 1)
PLACES = np.vstack([[0.0, 0.0], RING * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1)])
FREE_GRID = np.array([[shift, 0.0, *place] for shift in sorted(np.arange(-4, 4.5, 0.5), key=abs) for place in PLACES])
"""z that a fit chooses from, the smallest shifts first: they win a tie."""


def free_prior(opening: bool | None = None) -> Mixture:
    """Of `FreeSampler`: the answer itself is as likely as all others together.

    Args:
        opening: weights of openings or of later questions, each kind with a half of the components; None for both.
    """
    one = np.array([0.5, *[0.5 / (MAPS - 1)] * (MAPS - 1)])
    shares = (0.5, 0.5) if opening is None else (1.0, LEAST_WEIGHT) if opening else (LEAST_WEIGHT, 1.0)
    weights = np.concatenate([share * one for share in shares])
    means = np.hstack([np.zeros((MAPS, 2)), PLACES])
    return Mixture(weights, np.tile(means, (2, 1)), np.tile([1.0, 1.0, 0.1, 0.1], (2 * MAPS, 1)))


def _masks_of(model: AnyModel, question: AnyQuestion) -> list[Tensor]:
    """Logits on the grid: the answer, then other alternatives for the first click; none empty but the first."""
    with torch.no_grad():
        answer, opening = question.decoded_by(model), question.opening
        maps = [answer.logits[answer.best].float().cpu()]
        if opening is not None:
            alternatives = opening.decoded_by(model).logits.float().cpu()
            maps += [each for each in alternatives if (each > 0).any() and not torch.equal(each > 0, maps[0] > 0)]
    return maps[:MAPS]


def _signed_distance(mask: Tensor) -> Tensor:
    """Cells to the outline between cells, float32, positive inside; far where there is no outline."""
    inside = mask.numpy()
    if inside.all() or not inside.any():
        return torch.full(mask.shape, float(max(mask.shape)) * (1 if inside.all() else -1))
    away = distance_transform_edt(inside) - distance_transform_edt(~inside)
    return torch.from_numpy((away - 0.5 * np.sign(away)).astype(np.float32))
