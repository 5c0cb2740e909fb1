"""Candidates to pick from beside the answer of a plane or object: rounds of them, asked for in the background."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import AdaptSegError, PromptError
from InteractiveAdaptSegLib.CandidateViews import Asked, CandidateView
from InteractiveAdaptSegLib.ChosenProfile import ChosenProfile
from InteractiveAdaptSegLib.Commands import PickCommand
from InteractiveAdaptSegLib.Errors import Refusal
from InteractiveAdaptSegLib.Region import Session
from InteractiveAdaptSegLib.Target import Target

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.preference.adviser import Adviser, Round

Answer = Any
"""Of a plane, a `Prediction`; of an object, an `ObjectPrediction`."""

ROUNDS = 6
"""Most rounds for one answer (SPA, section 4.2)."""


@dataclass(eq=False)
class Offer:
    """One round.

    Attributes:
        number: of the round, from 1.
        answer: of the plane, that the candidates are offered beside.
        picks: number of the candidate that gave each answer that was picked.
    """

    number: int
    answer: Answer
    round: Round
    views: tuple[CandidateView, ...]
    picks: dict[Answer, int] = field(default_factory=dict)


class Candidates:
    """The round that belongs to the active plane's answer; a round of any earlier answer is dropped.

    Candidates have the numbers 1 to 4. An answer that was picked keeps its round, so that another candidate of it can
    be picked instead.

    Args:
        profile: asked for candidates of planes.
        objectsProfile: asked for candidates of objects.
        onMessage: called, by the thread that calls `update`, with what the user should know.
        requireIdle: raises an AdaptSegError while the plane is asked.
    """

    def __init__(
        self,
        profile: ChosenProfile,
        objectsProfile: ChosenProfile,
        onMessage: Callable[[str], None],
        requireIdle: Callable[[], None] = lambda: None,
    ) -> None:
        self._requireIdle = requireIdle
        self._isWanted = False
        self._slicesProfile, self._objectsProfile = profile, objectsProfile
        self._onMessage = onMessage
        self._place: tuple[Target, PlaneGeometry] | None = None
        self._answer: Answer | None = None
        self._asked: Future[Offer] | None = None
        self._offer: Offer | None = None
        self._origins: weakref.WeakKeyDictionary[Answer, np.ndarray] = weakref.WeakKeyDictionary()

    @property
    def views(self) -> tuple[CandidateView, ...]:
        """What can be picked, from the smallest to the largest."""
        return self._offer.views if self._offer else ()

    @property
    def round(self) -> int:
        """Which round is offered, of at most `ROUNDS`; 0 for none. A round may have no candidate."""
        return self._offer.number if self._offer else 0

    @property
    def isWanted(self) -> bool:
        """Whether candidates are asked for with every answer."""
        return self._isWanted

    @property
    def isAsking(self) -> bool:
        return self._asked is not None

    @property
    def picked(self) -> int | None:
        """Number of the candidate that gave the plane's present answer."""
        return self._offer.picks.get(self._answer) if self._offer and self._answer else None

    @property
    def canAskAgain(self) -> bool:
        return not self.isAsking and 0 < self.round < ROUNDS

    def setWanted(self, isWanted: bool) -> None:
        """Ask about every answer from now on, the present one included, or about none."""
        self._isWanted = isWanted
        self.askAnew()

    def follow(self, target: Target, geometry: PlaneGeometry) -> None:
        """Offer candidates of a plane's present answer; those of an earlier one are dropped."""
        session, offer = target.region(geometry).session, self._offer
        self._place, self._answer = (target, geometry), session.prediction
        self._cancel()
        if offer is None or (self._answer is not offer.answer and self._answer not in offer.picks):
            self._askAnew(session)

    def askAnew(self) -> None:
        """Begin the rounds of the present answer anew, around it if it was picked."""
        if self._place:
            self._askAnew(self._session)

    def askForMore(self) -> None:
        """Ask for candidates that are like the picked one.

        Raises:
            PromptError: none is picked, or there were enough rounds.
        """
        self._requireRound()
        if self.picked is None or self._answer is None:
            raise PromptError("more like which one? Pick a candidate first")
        self._ask(self.round + 1, self._origins[self._answer])

    def askForOthers(self) -> None:
        """Ask for other candidates, since the user wants none of these.

        Raises:
            PromptError: there are none, or there were enough rounds.
        """
        self._requireRound()
        self._ask(self.round + 1, None)

    def drop(self) -> None:
        """Offer nothing; what is still being asked is not waited for."""
        self._cancel()
        self._place = self._answer = self._offer = None

    def update(self) -> bool:
        """Take the round that was asked for if it is there; whether it is."""
        if self._asked is None or not self._asked.done():
            return False
        asked, self._asked = self._asked, None
        try:
            self._offer = asked.result()
        except AdaptSegError as error:
            self._onMessage(Refusal(error))
        return True

    def view(self, number: int) -> CandidateView:
        """What is shown of a candidate.

        Raises:
            PromptError: there is none of this number.
        """
        if not 1 <= number <= len(self.views):
            raise PromptError(f"no candidate {number}: {len(self.views)} are offered")
        return self.views[number - 1]

    def pick(self, number: int, learns: bool) -> PickCommand:
        """Make a candidate the plane's answer, and let the profile learn it in the background.

        Raises:
            PromptError: there is none of this number.
        """
        self._requireIdle()
        self.view(number)
        assert self._offer and self._place
        target, geometry = self._place
        shown, candidate = self._offer.round, self._offer.round.proposal.candidates[number - 1]
        z = shown.z(candidate)
        action = target.region(geometry).pick(shown.look(candidate))
        answer, profile = self._session.prediction, self._profile
        self._offer.picks[answer], self._origins[answer] = number, z
        lesson = profile.lesson(z, shown.prior) if learns else None
        if lesson is not None:
            profile.learnPick(lesson)
        return PickCommand(target, geometry, action, None, profile, lesson)

    @property
    def _session(self) -> Session:
        assert self._place
        target, geometry = self._place
        return target.region(geometry).session

    @property
    def _profile(self) -> ChosenProfile:
        return self._objectsProfile if self._place and self._place[1].of_object else self._slicesProfile

    def _requireRound(self) -> None:
        self._requireIdle()
        if not self.canAskAgain:
            raise PromptError(f"nothing was offered yet, or {ROUNDS} rounds were: a click says more")

    def _cancel(self) -> None:
        if self._asked is not None:
            self._asked.cancel()
            self._asked = None

    def _askAnew(self, session: Session) -> None:
        self._cancel()
        self._offer = None
        if self._isWanted and self._answer and session.has_question:
            self._ask(1, self._origins.get(self._answer))

    def _ask(self, number: int, around: np.ndarray | None) -> None:
        assert self._place
        target, geometry = self._place
        asked = target.region(geometry).asked()
        self._asked = self._profile.ask(number - 1, lambda adviser: offerOf(adviser, asked, around, number))


def offerOf(adviser: Adviser, asked: Asked, around: np.ndarray | None, number: int) -> Offer:
    """Ask an adviser for a round, and make what is shown of it.

    Args:
        around: z (n, D) of the members of a candidate, to offer more that are like it; None for no such one.
    """
    shown = adviser.ask(asked.session, around, sizes=number == 1)
    assert asked.session.prediction is not None
    return Offer(number, asked.session.prediction, shown, asked.views(shown))
