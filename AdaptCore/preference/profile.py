"""A profile: what one user's picks on one task have taught, with the latest picks apart so that they can be undone."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from AdaptCore.errors import ProfileError
from AdaptCore.preference.belief import Belief, Statistics
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.recipe import DEFAULT, Recipe


@dataclass(frozen=True, eq=False)
class LatentSpace:
    """What z mean: a profile of one space says nothing in another.

    Attributes:
        model: name of the model whose sampler decodes z.
        digest: SHA256 of its weights (hex).
        prior: the mixture that a fresh user starts from.
    """

    model: str
    digest: str
    prior: Mixture


@dataclass(frozen=True, eq=False)
class Pick:
    """One pick: its statistics when it was made, and a random name."""

    statistics: Statistics
    name: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True, eq=False)
class Profile:
    """One user's preference on one task; never changed, only followed by another.

    Attributes:
        user: name of the user.
        task: name of the task.
        space: what its z mean.
        settled: statistics of the picks before the recent ones.
        recent: the latest picks in order, those that can still be taken back.
        picks: number of all picks.
        recipe: how much the prior counts, the half-life of picks, and how many of them stay recent.
    """

    user: str
    task: str
    space: LatentSpace
    settled: Statistics
    recent: tuple[Pick, ...] = ()
    picks: int = 0
    recipe: Recipe = DEFAULT

    @classmethod
    def fresh(cls, user: str, task: str, space: LatentSpace, recipe: Recipe = DEFAULT) -> Profile:
        """That of a user who has not picked yet: the shipped prior."""
        return cls(user, task, space, Statistics.none(space.prior), recipe=recipe)

    @cached_property
    def belief(self) -> Belief:
        """What all picks together have taught."""
        belief = self._settled_belief
        for pick in self.recent:
            belief = belief.joined(pick.statistics)
        return belief

    def picked(self, z: np.ndarray, prior: Mixture | None = None) -> Profile:
        """The profile after one more pick.

        Args:
            z: (n, D) of the picked candidate's members.
            prior: of the question that they answer, None for the common one.

        Raises:
            ValueError: as `Belief.expected`.
        """
        return self.joined(Pick(self.belief.expected(z, None if prior is None else self.belief.on(prior))))

    def joined(self, pick: Pick) -> Profile:
        """The profile with one more pick as its latest, a new one or one that was taken back."""
        recent = (*self.recent, pick)
        settled = self.settled
        if len(recent) > self.recipe.undoable:
            settled = self._settled_belief.joined(recent[0].statistics).statistics
            recent = recent[1:]
        return replace(self, settled=settled, recent=recent, picks=self.picks + 1)

    def last_pick(self) -> str:
        """Name of the latest pick.

        Raises:
            ProfileError: none can be taken back.
        """
        if not self.recent:
            raise ProfileError(
                f"The profile of {self.user!r} for {self.task!r} has {self.picks} picks, none of which can be undone: "
                f"only the latest {self.recipe.undoable} can."
            )
        return self.recent[-1].name

    def without(self, name: str) -> Profile:
        """The profile without a pick, as if that had never been made.

        Raises:
            ProfileError: it is not among those that can be taken back.
        """
        recent = tuple(pick for pick in self.recent if pick.name != name)
        if len(recent) == len(self.recent):
            raise ProfileError(
                f"This pick in the profile of {self.user!r} for {self.task!r} cannot be undone: only the latest "
                f"{len(self.recent)} can."
            )
        return replace(self, recent=recent, picks=self.picks - 1)

    @property
    def _settled_belief(self) -> Belief:
        return Belief(self.space.prior, self.settled, self.recipe)


def counted_picks(count: int) -> str:
    """A number of picks in words."""
    return "1 pick" if count == 1 else f"{count} picks"
