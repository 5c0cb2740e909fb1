"""Training of a model's latent space on scenes that several synthetic raters draw; the model stays as it is (ours)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AdaptCore.models.base import Canvas, ReadoutModel, to_prior
from AdaptCore.predict.masks import depth, mask_logits
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.predict.zoom import CropWindow
from AdaptCore.preference.latent import COMPONENTS, HALF, Latent, gated
from AdaptCore.preference.samplers import balanced, newton
from AdaptCore.training.raters import random_style
from AdaptCore.training.synthetic import SceneGenerator, TextureBank


@dataclass(frozen=True)
class LatentTraining:
    """The recipe (ours).

    Attributes:
        scenes: number of synthetic images; one object of each is asked for.
        side: of the images in pixels; volumes have the side of the model's windows.
        raters: who draw each object.
        clicks: on each object, by the first rater.
        near: pixels with logits nearer to 0 than this tell how features vary.
        steps, batch, learning_rate: of AdamW on the likelihood of the fitted z.
        least_variance: of a component in each dimension.
    """

    scenes: int = 600
    side: int = 256
    raters: int = 4
    clicks: int = 3
    near: float = 8.0
    steps: int = 3000
    batch: int = 256
    learning_rate: float = 5e-3
    least_variance: float = 5e-3
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Asked:
    """One question on the pixels of the image proper: features C x P, logits P, masks R x P of all raters.

    `vector` (C + 1) is the plain readout.
    """

    features: Tensor
    vector: Tensor
    plain: Tensor
    masks: Tensor
    token: Tensor
    opening: bool


def train_latent(digest: str, asked: Sequence[Asked], config: LatentTraining) -> Latent:
    """Fit z to what the raters drew, and fit the mixture and its gate to those z.

    Args:
        digest: SHA256 of the weights of the model that was asked (hex).
        asked: see `ask`, and `AdaptCore.training.object_preference` for objects.
    """
    white = whitening(asked, config.near)
    tokens, opening, z = fitted(asked, white)
    axes = principal_axes(z)
    gate, means, variances = fit_mixture(tokens, opening, z @ axes, config)
    return Latent(digest, white @ axes, gate, means, variances)


def ask(model: ReadoutModel, config: LatentTraining, advanced: Callable[[], object]) -> Iterator[Asked]:
    """Questions of a user who clicks as the first rater of each scene would draw.

    Args:
        advanced: called after each of `config.scenes` images.
    """
    generator = SceneGenerator(config.side, TextureBank(config.seed))
    for index in range(config.scenes):
        rng = np.random.default_rng([config.seed, config.side, index])
        scene = generator.scene(rng)
        areas = np.array([target.mask.sum() for target in scene.targets], float) ** 0.5
        target = scene.targets[int(rng.choice(len(areas), p=areas / areas.sum()))]
        height, width = scene.valid_shape
        masks = [target.drawn_by(random_style(rng))[:height, :width] for _ in range(config.raters)]
        if masks[0].any():
            yield from _questions(model, scene.image[:height, :width], masks, config.clicks)
        advanced()


def _questions(model: ReadoutModel, image: np.ndarray, masks: Sequence[np.ndarray], clicks: int) -> Iterator[Asked]:
    session = PlaneSession(model, image)
    present = np.zeros_like(masks[0])
    for _ in range(clicks):
        missed, wrong = depth(masks[0] & ~present), depth(present & ~masks[0])
        worst = np.maximum(missed, wrong)
        if not worst.any():
            return
        row, column = np.unravel_index(int(worst.argmax()), worst.shape)
        present = session.click(float(column), float(row), bool(masks[0][row, column])).mask
        question = session.question
        if question is None:
            return
        canvas, embedding = model.canvas(question), question.embedding
        inside = embedding.inside(model.mask_side)
        wanted = [
            to_prior(torch.from_numpy(mask_logits(_seen(mask, session.window))), embedding, model.mask_side)
            for mask in masks
        ]
        yield from asked_of(canvas, torch.stack(wanted) > 0, torch.from_numpy(inside), question.is_opening)


def asked_of(canvas: Canvas, wanted: Tensor, inside: Tensor, opening: bool) -> Iterator[Asked]:
    """One question, unless nothing is left of the masks.

    Args:
        wanted: masks of all raters, bool R x *grid.
        inside: bool of the grid.
    """
    drawn = wanted[:, inside]
    drawn = drawn[drawn.any(1)]
    if len(drawn):
        features = canvas.features[:, inside]
        plain = canvas.vector[:-1] @ features + canvas.vector[-1]
        yield Asked(features.half(), canvas.vector, plain, drawn, canvas.token, opening)


def _seen(mask: np.ndarray, window: CropWindow | None) -> np.ndarray:
    return mask if window is None else mask[window.slices]


def whitening(asked: Sequence[Asked], near: float) -> Tensor:
    """Basis (C + 1, C + 1): one unit of each z changes the logits near the object by one on the average."""
    second = torch.zeros(len(asked[0].features) + 1, len(asked[0].features) + 1, dtype=torch.float64)
    for one in asked:
        known = _with_constant(one.features[:, one.plain.abs() < near].float())
        second = second + (known @ known.T).double() / max(1, known.shape[1])
    values, vectors = torch.linalg.eigh(second / len(asked))
    return (vectors * values.clamp(min=1e-4) ** -0.5).float()


def fitted(asked: Sequence[Asked], basis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Tokens N x T, whether each is of an opening (N), and the z N x D of each question and rater."""
    tokens, opening, z = [], [], []
    for one in asked:
        known = basis.T @ _with_constant(one.features.float())
        own = torch.linalg.solve(basis, one.vector)
        for mask in one.masks:
            z.append(balanced(newton(known, one.plain, mask.float()), own))
            tokens.append(one.token)
            opening.append(one.opening)
    return torch.stack(tokens), torch.tensor(opening), torch.stack(z)


def principal_axes(z: Tensor) -> Tensor:
    """Orthonormal columns (D, D) along which the z (N, D) vary, most first."""
    return torch.linalg.eigh(torch.cov(z.T)).eigenvectors.flip(1).contiguous()


def _with_constant(features: Tensor) -> Tensor:
    return torch.cat([features, torch.ones(1, features.shape[1])])


def fit_mixture(tokens: Tensor, opening: Tensor, z: Tensor, config: LatentTraining) -> tuple[Tensor, Tensor, Tensor]:
    """Gate, means and variances of the greatest likelihood; each half's first component stays around z = 0."""
    generator = torch.Generator().manual_seed(config.seed)
    own = torch.stack([z[opening].var(0), z[~opening].var(0)])
    gate = torch.zeros(COMPONENTS, tokens.shape[1] + 1, requires_grad=True)
    begin = torch.cat([_drawn(z[opening], generator), _drawn(z[~opening], generator)])
    moving = begin.clone().requires_grad_()
    spread = own.repeat_interleave(HALF, 0).log().requires_grad_()
    optimizer = torch.optim.AdamW([gate, moving, spread], lr=config.learning_rate)
    free = torch.ones(COMPONENTS, 1)
    free[::HALF] = 0.0

    def parts() -> tuple[Tensor, Tensor]:
        variances = spread.exp() + config.least_variance
        return moving * free, variances * free + own.repeat_interleave(HALF, 0) * (1 - free)

    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.learning_rate * (1 + np.cos(np.pi * step / config.steps)) / 2
        rows = torch.randint(len(z), (config.batch,), generator=generator)
        weights = gated(gate, tokens[rows], opening[rows])
        loss = -log_density(weights, *parts(), z[rows]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        means, variances = parts()
    return gate.detach(), means, variances


def _drawn(z: Tensor, generator: torch.Generator) -> Tensor:
    return z[torch.randint(len(z), (HALF,), generator=generator)]


def log_density(weights: Tensor, means: Tensor, variances: Tensor, z: Tensor) -> Tensor:
    """log p (N) of z N x D under mixtures of weights N x M and shared means and variances M x D."""
    away = (z[:, None] - means) ** 2 / variances + variances.log() + np.log(2 * np.pi)
    return torch.logsumexp(weights.clamp(min=1e-12).log() - away.sum(2) / 2, 1)
