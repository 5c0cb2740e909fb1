"""The adviser of one user and task: what it recommends, what it offers, and what it learns from the answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import PromptError
from AdaptCore.models.base import Embedding, Model, Question, ReadoutModel, to_plane, to_prior
from AdaptCore.predict.learning import Example
from AdaptCore.predict.plane import PlaneSession, mask_logits
from AdaptCore.preference.candidates import Candidate, Proposal, propose
from AdaptCore.preference.latent import Latent
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import LatentSpace, Profile
from AdaptCore.preference.samplers import FreeSampler, ReadoutSampler, Sampler, free_prior
from AdaptCore.preference.samples import Samples


@dataclass(frozen=True, eq=False)
class Round:
    """One question's recommended mask and candidates.

    Attributes:
        question: that they answer.
        sampler: that decoded them.
        samples: logits (N, h, w) without padding, with their z.
        proposal: what is shown of them.
    """

    question: Question
    sampler: Sampler
    samples: Samples
    proposal: Proposal

    def logits(self, candidate: Candidate) -> Tensor:
        """The candidate's logits (H, W) on what the question's embedding shows."""
        return on_plane(candidate.logits, self.question.embedding)

    def z(self, candidate: Candidate) -> np.ndarray:
        """z (n, D) of the candidate's members."""
        return np.asarray(self.samples.z[candidate.members])


class Adviser:
    """Recommends, offers candidates and learns; the profile it holds is replaced, never changed."""

    def __init__(self, profile: Profile, latent: Latent | None, seed: int = 0) -> None:
        self.profile = profile
        self._latent = latent
        self._seed = seed

    def sampler(self, model: Model, question: Question) -> Sampler:
        if self._latent is not None and isinstance(model, ReadoutModel):
            return ReadoutSampler(model, self._latent, question)
        return FreeSampler(model, question)

    def preferred(self, model: Model, question: Question) -> Tensor | None:
        """See `AdaptCore.predict.learning.Preference`; a user who has told nothing yet gets the plain answer."""
        if not self.profile.picks:
            return None
        sampler = self.sampler(model, question)
        z = self.profile.belief.on(sampler.prior).heaviest
        return to_plane(sampler.logits(z[None])[0], question.embedding).cpu()

    def ask(self, session: PlaneSession, around: np.ndarray | None = None) -> Round:
        """Candidates beside a session's present answer.

        Args:
            around: z (n, D) of the members of the candidate that was picked for this question; the masks are then like
                it.

        Raises:
            PromptError: nothing was asked yet.
        """
        model, question, present = session.model, session.question, session.present
        if question is None or present is None:
            raise PromptError("nothing to choose for: a click, box or scribble is wanted first")
        sampler = self.sampler(model, question)
        mixture = self.profile.belief.on(sampler.prior)
        if around is not None:
            mixture = narrowed(mixture, around)
        rng = np.random.default_rng([self._seed, self.profile.picks])
        z = varied(mixture, self.profile.recipe, rng)
        rows, columns = trimmed(question.embedding, model.mask_side)
        logits = sampler.logits(z)[:, :rows, :columns].cpu().numpy()
        shown = to_prior(present, question.embedding, model.mask_side)[:rows, :columns].numpy()
        samples = Samples(logits, z)
        return Round(question, sampler, samples, propose(samples, shown, self._seed, self.profile.recipe))

    def picked(self, round: Round, candidate: Candidate) -> None:
        self.profile = self.profile.picked(round.z(candidate), round.sampler.prior)

    def accepted(self, model: Model, examples: list[Example]) -> None:
        for example in examples:
            sampler = self.sampler(model, example.question)
            target = (
                to_prior(torch.from_numpy(mask_logits(example.mask)), example.question.embedding, model.mask_side) > 0
            )
            if target.any():
                z = sampler.fit(target.float(), torch.from_numpy(example.question.embedding.inside(model.mask_side)))
                self.profile = self.profile.picked(z[None], sampler.prior)


def space_of(model: Model, latent: Latent | None) -> LatentSpace:
    """What the z of a model's sampler mean."""
    if latent is not None and isinstance(model, ReadoutModel):
        return LatentSpace(model.name, model.digest, latent.average)
    return LatentSpace(model.name, model.digest, free_prior())


def varied(mixture: Mixture, recipe, rng: np.random.Generator) -> np.ndarray:
    """z (N, D) that differ from their component's mean only where the heaviest varies most."""
    chosen = rng.choice(mixture.components, size=recipe.samples, p=mixture.weights)
    axes = np.argsort(mixture.variances[int(mixture.weights.argmax())])[::-1][: recipe.axes]
    z = mixture.means[chosen].copy()
    z[:, axes] += np.sqrt(mixture.variances[chosen][:, axes]) * rng.standard_normal((recipe.samples, len(axes)))
    return z


def narrowed(mixture: Mixture, around: np.ndarray, share: float = 0.6) -> Mixture:
    """The mixture around the members of a pick, z (n, D): what its user may want within this image."""
    variance = (mixture.weights[:, None] * mixture.variances).sum(0)
    return Mixture(np.ones(1), around.mean(0)[None], share * variance[None])


def trimmed(embedding: Embedding, side: int) -> tuple[int, int]:
    """Rows and columns of the mask resolution that are not padding."""
    inside = embedding.inside(side)
    return int(inside[:, 0].sum()), int(inside[0].sum())


def on_plane(logits: np.ndarray, embedding: Embedding) -> Tensor:
    """Logits (h, w) without padding on the plane of what was embedded, float32 (H, W)."""
    return torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None, None], embedding.plane_shape, mode="bilinear", align_corners=False
    )[0, 0]
