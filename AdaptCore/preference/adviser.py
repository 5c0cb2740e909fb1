"""The adviser of one user and task: what it recommends, what it offers, and what it learns from the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.errors import ProfileError, PromptError
from AdaptCore.models.base import Embedding, Model, Question, ReadoutModel, to_plane, to_prior
from AdaptCore.predict.learning import Example
from AdaptCore.predict.plane import PlaneSession, mask_logits
from AdaptCore.preference.candidates import Candidate, Proposal, propose
from AdaptCore.preference.latent import Latent
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import LatentSpace, Pick, Profile
from AdaptCore.preference.profiles import ProfileStore
from AdaptCore.preference.recipe import Recipe
from AdaptCore.preference.samplers import FreeSampler, ReadoutSampler, Sampler, free_prior
from AdaptCore.preference.samples import Samples


@dataclass(frozen=True, eq=False)
class Round:
    """What one round shows beside the recommended mask.

    Attributes:
        question: that the masks answer.
        samples: logits (N, h, w) at the mask resolution, padding cut off, with their z.
        prior: the z that were likely for this question before any pick.
        proposal: what is shown of the samples.
    """

    question: Question
    samples: Samples
    prior: Mixture
    proposal: Proposal

    def logits(self, candidate: Candidate) -> Tensor:
        """A candidate's logits float32 (H, W) on what the question's embedding shows."""
        plane = self.question.embedding.plane_shape
        small = torch.from_numpy(candidate.logits)[None, None]
        return F.interpolate(small, plane, mode="bilinear", align_corners=False)[0, 0]

    def z(self, candidate: Candidate) -> np.ndarray:
        """z (n, D) of a candidate's members."""
        return np.asarray(self.samples.z[candidate.members])


class Adviser:
    """Recommends masks, offers candidates, and learns from picks and accepted masks.

    Args:
        profile: of the user and task; followed by another one with everything learnt.
        latent: the model's latent space, None for one that was not trained for preference.
        store: where the profile is kept, None to keep it nowhere.
        seed: of the masks that are drawn.
    """

    def __init__(
        self, profile: Profile, latent: Latent | None, store: ProfileStore | None = None, seed: int = 0
    ) -> None:
        self._profile = profile
        self._latent = latent
        self._store = store
        self._seed = seed
        self._latest: tuple[Model, Question, Sampler] | None = None
        self._forgotten: dict[str, Pick] = {}

    @property
    def profile(self) -> Profile:
        """With everything learnt until now."""
        return self._profile

    def preferred(self, model: Model, question: Question) -> Tensor | None:
        """The answer at the mean of the profile's heaviest component.

        None, for the plain answer, before anything was learnt, and where the plain one contradicts fewer clicks: what
        the user says of this image counts more than habit.

        See `AdaptCore.predict.learning.Preference`.
        """
        if not self._profile.picks:
            return None
        sampler = self._sampler(model, question)
        z = self._profile.belief.on(sampler.prior).heaviest
        both = sampler.logits(np.stack([0 * z, z]))
        plain, preferred = _contradictions(both, question)
        return to_plane(both[1], question.embedding) if preferred <= plain else None

    def ask(self, session: PlaneSession, around: np.ndarray | None = None) -> Round:
        """Candidates beside a session's present answer, which is the recommended mask.

        Masks that contradict a click are left out where enough others were drawn.

        Args:
            around: z (n, D) of a candidate's members, to get more that are like it.

        Raises:
            PromptError: nothing was asked yet.
        """
        question, present = session.question, session.present
        if question is None or present is None:
            raise PromptError("nothing to choose from: a click, box or scribble is wanted first")
        recipe, side = self._profile.recipe, session.model.mask_side
        sampler = self._sampler(session.model, question)
        mixture = self._profile.belief.on(sampler.prior)
        if around is not None:
            mixture = narrowed(mixture, around, recipe)
        z = varied(mixture, recipe, np.random.default_rng([self._seed, self._profile.picks]))
        drawn = sampler.logits(z)
        agreeing = np.flatnonzero(_contradictions(drawn, question) == 0)
        if len(agreeing) >= recipe.agreeing:
            drawn, z = drawn[agreeing], z[agreeing]
        rows, columns = _free_of_padding(question.embedding, side)
        samples = Samples(drawn[:, :rows, :columns].numpy(), z)
        shown = to_prior(present, question.embedding, side)[:rows, :columns].numpy()
        return _by_size(Round(question, samples, sampler.prior, propose(samples, shown, self._seed, recipe)))

    def picked(self, shown: Round, candidate: Candidate) -> None:
        """Learn that the user prefers a candidate of a round."""
        self.observe(shown.z(candidate), shown.prior)

    def observe(self, z: np.ndarray, prior: Mixture) -> None:
        """Learn one pick.

        Args:
            z: (n, D) of the picked candidate's members.
            prior: of the question that they answer.
        """
        if self._store:
            self._profile = self._store.pick(self._profile, z, prior)
        else:
            self._profile = self._profile.picked(z, prior)

    def learn(self, model: Model, examples: Sequence[Example]) -> tuple[str, ...]:
        """Learn from an accepted mask: the z that would have answered the questions with it.

        The first question counts as one pick, and the later ones together as another: each kind has its own habits.

        Args:
            model: that answered.
            examples: what the mask says about the questions that led to it, in order.

        Returns:
            Names of the picks that the mask counts for, for `forget`.
        """
        asked = list({id(example.question): example for example in examples}.values())
        names = []
        for kind in (asked[:1], _evenly(asked[1:], self._profile.recipe.later)):
            fits = [fit for example in kind if (fit := self._fitted(model, example)) is not None]
            if fits:
                self.observe(np.stack([z for z, _ in fits]), fits[-1][1])
                names.append(self._profile.last_pick())
        return tuple(names)

    def _fitted(self, model: Model, example: Example) -> tuple[np.ndarray, Mixture] | None:
        """The z (D,) that answers a question with the mask that was wanted, and the question's prior.

        None where nothing is left of the mask at the mask resolution.
        """
        embedding = example.question.embedding
        target = to_prior(torch.from_numpy(mask_logits(example.mask)), embedding, model.mask_side) > 0
        if not target.any():
            return None
        sampler = self._sampler(model, example.question)
        return sampler.fit(target.float(), torch.from_numpy(embedding.inside(model.mask_side))), sampler.prior

    def forget(self, names: Sequence[str]) -> bool:
        """Take back picks by name, all of them or none; False if one is too old for that, or was taken back before."""
        picks = [pick for pick in self._profile.recent if pick.name in names]
        if len(picks) < len(names):
            return False
        for pick in picks:
            try:
                self._profile = (
                    self._store.undo(replace(self._profile, recent=(pick,)))
                    if self._store
                    else self._profile.without(pick.name)
                )
            except ProfileError:
                return False
            self._forgotten[pick.name] = pick
        return True

    def recall(self, names: Sequence[str]) -> bool:
        """Learn again, just as they were, the picks that `forget` took back by these names; False if some were not."""
        picks = [self._forgotten[name] for name in names if name in self._forgotten]
        for pick in picks:
            self._profile = self._store.join(self._profile, [pick]) if self._store else self._profile.joined(pick)
            del self._forgotten[pick.name]
        return len(picks) == len(names)

    def undo(self) -> None:
        """Take back what was learnt last.

        Raises:
            ProfileError: there is nothing that can be taken back.
        """
        if self._store:
            self._profile = self._store.undo(self._profile)
        else:
            self._profile = self._profile.without(self._profile.last_pick())

    def _sampler(self, model: Model, question: Question) -> Sampler:
        """The sampler of a question; the latest one is kept, as a round follows its answer. Any thread may ask."""
        latest = self._latest
        if latest is None or latest[0] is not model or latest[1] is not question:
            latest = self._latest = model, question, self._new_sampler(model, question)
        return latest[2]

    def _new_sampler(self, model: Model, question: Question) -> Sampler:
        if self._latent is not None and isinstance(model, ReadoutModel):
            return ReadoutSampler(model, self._latent, question)
        return FreeSampler(model, question)


def _by_size(shown: Round) -> Round:
    """The same round with its candidates from the smallest to the largest on the plane itself."""
    candidates = sorted(shown.proposal.candidates, key=lambda each: int((shown.logits(each) > 0).sum()))
    return replace(shown, proposal=replace(shown.proposal, candidates=tuple(candidates)))


def _evenly(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many of the examples, the first and the last among them."""
    places = np.linspace(0, len(examples) - 1, min(most, len(examples))).round().astype(int)
    return [examples[place] for place in places]


def space_of(model: Model, latent: Latent | None) -> LatentSpace:
    """What the z of a model's masks mean."""
    if latent is not None and isinstance(model, ReadoutModel):
        return LatentSpace(model.name, model.digest, latent.average)
    return LatentSpace(model.name, model.digest, free_prior())


def varied(mixture: Mixture, recipe: Recipe, rng: np.random.Generator) -> np.ndarray:
    """z (N, D) drawn from a mixture, but only along the axes that vary most and along what the user is used to.

    Along many axes at once a mask differs everywhere a little, and no candidate is clearly another. Along the
    component's mean, more or less of the habit is offered, down to the plain answer.
    """
    chosen = rng.choice(mixture.components, size=recipe.samples, p=mixture.weights)
    axes = np.argsort(-mixture.variances[int(mixture.weights.argmax())])[: recipe.axes]
    z = mixture.means[chosen] * (1 + recipe.habit * rng.standard_normal((recipe.samples, 1)))
    deviations = recipe.spread * np.sqrt(mixture.variances[chosen][:, axes])
    z[:, axes] += deviations * rng.standard_normal((recipe.samples, len(axes)))
    return z


def narrowed(mixture: Mixture, around: np.ndarray, recipe: Recipe) -> Mixture:
    """What a user may want of one image who has picked masks with z (n, D) there."""
    variance = recipe.narrowing * mixture.weights @ mixture.variances
    return Mixture(np.ones(1), around.mean(axis=0)[None], variance[None])


def _contradictions(logits: Tensor, question: Question) -> np.ndarray:
    """How many clicks of a question lie on the wrong side of each mask (N,), logits (N, m, m)."""
    embedding, clicks = question.embedding, question.prompts.clicks
    side = logits.shape[-1]
    rows, columns = _free_of_padding(embedding, side)
    x, y = (np.array([getattr(click, name) for click in clicks]) + 0.5 for name in ("x", "y"))
    x, y = (values * by * side / embedding.input_side for values, by in zip((x, y), embedding.scale))
    at = logits[:, np.clip(y.astype(int), 0, rows - 1), np.clip(x.astype(int), 0, columns - 1)].numpy()
    return np.asarray(((at > 0) != [click.positive for click in clicks]).sum(axis=1))


def _free_of_padding(embedding: Embedding, side: int) -> tuple[int, int]:
    """Rows and columns of the mask resolution before the padding."""
    inside = embedding.inside(side)
    return int(inside[:, 0].sum()), int(inside[0].sum())
