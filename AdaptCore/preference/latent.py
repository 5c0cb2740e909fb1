"""The latent space of a model: what z does to its readout, and which z are likely before any pick."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.errors import ModelError
from AdaptCore.facts import Kind
from AdaptCore.preference.belief import LEAST_WEIGHT
from AdaptCore.preference.mixture import Mixture
from AdaptCore.resources import resource_path
from AdaptCore.sealed import read_sealed, write_sealed

COMPONENTS = 16
"""M of SPA (section 4.2): one half answers openings, the other all later questions."""

HALF = COMPONENTS // 2
OWN_SHARE = 0.9
"""Prior weight of the first component of each half, which lies around the plain answer (ours)."""

SHIPPED = ("preference.safetensors", "preference3d.safetensors")
"""Latent spaces of the built-in models of planes and of volumes."""

KIND = Kind("latent", ModelError)
TENSORS = ("basis", "gate", "means", "variances")


@dataclass(frozen=True, eq=False)
class Latent:
    """z of D dimensions changes a readout vector by `basis` z, so z = 0 is the plain answer.

    Attributes:
        digest: SHA256 (hex) of the weights it was trained with.
        basis: float32 (C + 1, D).
        gate: float32 (M, T + 1), the preference distribution generator: log weights of the components, but for
            each half's first, from a standardized mask token and 1.
        means, variances: float32 (M, D).
    """

    digest: str
    basis: Tensor
    gate: Tensor
    means: Tensor
    variances: Tensor

    def prior(self, token: Tensor, opening: bool) -> Mixture:
        """Which z are likely for one question, with the question's mask token (T).

        Components of the other half have next to no weight.
        """
        weights = gated(self.gate, token[None], torch.tensor([opening]))[0].double().clamp(min=LEAST_WEIGHT)
        return Mixture((weights / weights.sum()).numpy(), self.means.numpy(), self.variances.numpy())

    @property
    def average(self) -> Mixture:
        """The components, all of one half's others alike: what a profile begins with."""
        weights = np.full(COMPONENTS, (1 - OWN_SHARE) / (HALF - 1) / 2)
        weights[::HALF] = OWN_SHARE / 2
        return Mixture(weights, self.means.numpy(), self.variances.numpy())


def gated(gate: Tensor, tokens: Tensor, opening: Tensor) -> Tensor:
    """Weights N x M of the components for mask tokens N x T; `opening` is bool (N)."""
    known = F.pad(F.layer_norm(tokens, tokens.shape[-1:]), (0, 1), value=1.0)
    raw = (known @ gate.T).unflatten(1, (2, HALF))
    others = (1 - OWN_SHARE) * raw[..., 1:].softmax(2)
    weights = torch.cat([torch.full_like(raw[..., :1], OWN_SHARE), others], 2)
    half = torch.stack([opening, ~opening], 1)[..., None]
    return (weights * half).flatten(1)


def write_latent(path: Path, latent: Latent) -> None:
    """Write a latent file whole or not at all.

    Raises:
        OutputError: the system could not write.
    """
    write_sealed(path, KIND, {name: getattr(latent, name) for name in TENSORS}, {"digest": latent.digest})


def read_latent(path: Path) -> Latent:
    """Read a latent file.

    Raises:
        ModelError: it cannot be read, is damaged, of another kind or of a newer version.
    """
    tensors, facts = read_sealed(path, KIND)
    try:
        return Latent(facts["digest"], *(tensors[name] for name in TENSORS))
    except KeyError as error:
        raise ModelError(f"{path}: Expected a latent file, got one without {error}.") from error


def latent_of(digest: str) -> Latent | None:
    """The shipped latent space of the model with these weights, None where there is none.

    Raises:
        ModelError: a file is missing or cannot be used.
    """
    latents = (read_latent(resource_path(name)) for name in SHIPPED)
    return next((latent for latent in latents if latent.digest == digest), None)
