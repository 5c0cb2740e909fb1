"""The adviser of one user and task: what it recommends, what it offers, and what it learns from the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import ProfileError
from AdaptCore.models.base import Readable
from AdaptCore.models.frame import AnyQuestion
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.learning import Example, Taught, telling
from AdaptCore.predict.masks import binarize, mask_logits
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.preference.candidates import Candidate, Proposal, propose
from AdaptCore.preference.latent import Latent
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.present import AnyLook, AnyView, present_of
from AdaptCore.preference.profile import LatentSpace, Pick, Profile
from AdaptCore.preference.profiles import ProfileStore
from AdaptCore.preference.recipe import Recipe
from AdaptCore.preference.samplers import AnyModel, FreeSampler, ReadoutSampler, Sampler, free_prior
from AdaptCore.preference.samples import Samples


@dataclass(frozen=True, eq=False)
class Round:
    """What one round shows beside the recommended mask.

    Attributes:
        present: the recommended answer, a `Look` at a plane or an `ObjectPrediction`.
        samples: that answer its question, logits (N, h, w) at the mask resolution, padding cut off, or (N, d, h, w) at
            half that of a window, with their z.
        prior: the z that were likely for its question before any pick.
        looks: what a pick of each candidate makes the answer, for the session to `take`; of the kind of `present`.
        view: the window that the proposal's maps show, None for the whole plane.
        proposal: what is shown.
    """

    present: AnyLook
    samples: Samples
    prior: Mixture
    looks: tuple[AnyLook, ...]
    view: AnyView
    proposal: Proposal

    def look(self, candidate: Candidate) -> AnyLook:
        """What a pick of a candidate makes the answer."""
        return self.looks[self.proposal.candidates.index(candidate)]

    def z(self, candidate: Candidate) -> np.ndarray:
        """z (n, D) of a candidate's members; an answer in another window is the plain one there, with z = 0."""
        return self.samples.z[candidate.members] if candidate.member >= 0 else np.zeros_like(self.samples.z[:1])


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
        self._latest: tuple[AnyModel, AnyQuestion, Sampler] | None = None
        self._forgotten: dict[str, Pick] = {}

    @property
    def profile(self) -> Profile:
        """With everything learnt until now."""
        return self._profile

    def preferred(self, model: AnyModel, question: AnyQuestion) -> Tensor | None:
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
        return question.embedding.from_grid(both[1]) if preferred <= plain else None

    def ask(
        self, session: PlaneSession | BlockSession, around: np.ndarray | None = None, *, sizes: bool = True
    ) -> Round:
        """Candidates beside a session's present answer, which is the recommended mask.

        Masks that contradict a click are left out where enough others were drawn. Answers in other windows are offered
        where they may well be meant: a first click does not tell a lesion from its organ.

        Args:
            around: z (n, D) of a candidate's members, to get more that are like it.
            sizes: whether answers in other windows are offered too, unless more like a candidate are asked for.

        Raises:
            PromptError: nothing was asked yet.
        """
        present = present_of(session)
        question, recipe = present.question, self._profile.recipe
        sampler = self._sampler(session.model, question)
        mixture = self._profile.belief.on(sampler.prior)
        if around is not None:
            mixture = narrowed(mixture, around, recipe)
        z = varied(mixture, recipe, np.random.default_rng([self._seed, self._profile.picks]))
        drawn = sampler.logits(z)
        agreeing = np.flatnonzero(_contradictions(drawn, question) == 0)
        if len(agreeing) >= recipe.agreeing:
            drawn, z = drawn[agreeing], z[agreeing]
        samples = Samples(present.compared(drawn), z)
        others = present.others(recipe) if sizes and around is None else []
        left = replace(recipe, candidates=recipe.candidates - len(others))
        proposal = propose(samples, present.shown(), self._seed, left)
        looks = [*(present.with_answer(each, drawn) for each in proposal.candidates), *others]
        view, maps = present.maps([present.look, *looks])
        if others:
            proposal = _with_others(proposal, maps, present.chances(others))
        shown = Round(present.look, samples, sampler.prior, tuple(looks), view, proposal)
        return _by_size(shown, [present.size(look) for look in looks])

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

    def learn(self, model: AnyModel, examples: Sequence[Example]) -> Taught | None:
        """Learn from an accepted mask; see `learn_picks`."""
        names = self.learn_picks(model, examples)
        return Taught(lambda: self.forget(names), lambda: self.recall(names)) if names else None

    def learn_picks(self, model: AnyModel, examples: Sequence[Example]) -> tuple[str, ...]:
        """Learn from an accepted mask: the z that would have answered the questions with it.

        The first question counts as one pick, and the later ones together as another: each kind has its own habits.

        Args:
            model: that answered.
            examples: what the mask says about the questions that led to it, in order.

        Returns:
            Names of the picks that the mask counts for, for `forget`.
        """
        # By prompts: a pick answers the same question again, and a history that was packed gives it as another object.
        asked = list({example.question.prompts: example for example in telling(examples)}.values())
        names = []
        for kind in (asked[:1], _evenly(asked[1:], self._profile.recipe.later)):
            fits = [fit for example in kind if (fit := self._fitted(model, example)) is not None]
            if fits:
                self.observe(np.stack([z for z, _ in fits]), fits[-1][1])
                names.append(self._profile.last_pick())
        return tuple(names)

    def _fitted(self, model: AnyModel, example: Example) -> tuple[np.ndarray, Mixture] | None:
        """The z (D,) that answers a question with the mask that was wanted, and the question's prior.

        None where nothing is left of the mask at the mask resolution.
        """
        embedding = example.question.embedding
        target = embedding.gridded(torch.from_numpy(mask_logits(example.mask)), model.mask_side) > 0
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

    def _sampler(self, model: AnyModel, question: AnyQuestion) -> Sampler:
        """The sampler of a question; the latest one is kept, as a round follows its answer. Any thread may ask."""
        latest = self._latest
        if latest is None or latest[0] is not model or latest[1] is not question:
            latest = self._latest = model, question, self._new_sampler(model, question)
        return latest[2]

    def _new_sampler(self, model: AnyModel, question: AnyQuestion) -> Sampler:
        if self._latent is not None and isinstance(model, Readable):
            return ReadoutSampler(model, self._latent, question)
        return FreeSampler(model, question)


def _with_others(proposal: Proposal, maps: Sequence[np.ndarray], chances: Sequence[float]) -> Proposal:
    """The proposal with answers in other windows behind its candidates, and all maps in one view.

    What is drawn shares the likelihood that the others leave.

    Args:
        maps: logits of the present answer, of the candidates, then of the others, in one view.
        chances: of the others.
    """
    recommended = binarize(maps[0])
    left, drawn_ones = 1 - sum(chances), len(proposal.candidates)
    nothing = np.array([], int)
    candidates = []
    for place, logits in enumerate(maps[1:]):
        drawn = proposal.candidates[place] if place < drawn_ones else None
        mask = binarize(logits)
        candidates.append(
            Candidate(
                member=drawn.member if drawn else -1,
                members=drawn.members if drawn else nothing,
                logits=logits,
                added=mask & ~recommended,
                removed=recommended & ~mask,
                probability=left * drawn.probability if drawn else chances[place - drawn_ones],
            )
        )
    return Proposal(maps[0], proposal.members, left * proposal.probability, tuple(candidates))


def _by_size(shown: Round, sizes: Sequence[int]) -> Round:
    """The same round with its candidates from the smallest to the largest."""
    order = sorted(range(len(shown.looks)), key=lambda place: sizes[place])
    candidates = tuple(shown.proposal.candidates[place] for place in order)
    return replace(
        shown,
        looks=tuple(shown.looks[place] for place in order),
        proposal=replace(shown.proposal, candidates=candidates),
    )


def _evenly(examples: Sequence[Example], most: int) -> list[Example]:
    """At most so many of the examples, the first and the last among them."""
    places = np.linspace(0, len(examples) - 1, min(most, len(examples))).round().astype(int)
    return [examples[place] for place in places]


def space_of(model: AnyModel, latent: Latent | None) -> LatentSpace:
    """What the z of a model's masks mean."""
    if latent is not None and isinstance(model, Readable):
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


def _contradictions(logits: Tensor, question: AnyQuestion) -> np.ndarray:
    """How many clicks of a question lie on the wrong side of each mask (N,), logits (N, *grid)."""
    embedding, clicks = question.embedding, question.clicks
    cells = np.array([embedding.cell(click, logits.shape[-1]) for click in clicks], int).reshape(-1, logits.ndim - 1)
    where = (slice(None), *cells.T)
    at = logits[where].numpy()
    return np.asarray(((at > 0) != [click.positive for click in clicks]).sum(axis=1))
