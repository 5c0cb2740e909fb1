"""Rounds of `adaptseg segment --pick`: candidates of one plane are asked for and chosen by number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from AdaptCore.errors import PromptError

if TYPE_CHECKING:
    from AdaptCore.predict.plane import PlaneSession
    from AdaptCore.preference.adviser import Adviser, Round
    from AdaptCore.preference.candidates import Candidate


@dataclass(frozen=True, eq=False)
class Rounds:
    """The picks on one plane.

    Attributes:
        plane: with an answer; it takes what is picked.
        index: of the plane, for messages.
        adviser: learns each pick, so that the next round knows it.
        picked: a round and the candidate that was taken, for each pick.
    """

    plane: PlaneSession
    index: int
    adviser: Adviser
    picked: list[tuple[Round, Candidate]] = field(default_factory=list)

    def ask(self) -> Round:
        """The candidates beside the plane's present answer, like the last pick if there is one."""
        around = None
        if self.picked:
            shown, candidate = self.picked[-1]
            around = shown.z(candidate)
        return self.adviser.ask(self.plane, around)

    def pick(self, number: int) -> None:
        """Make a candidate, counted from 1, the plane's answer.

        Raises:
            PromptError: this round has fewer candidates.
        """
        shown = self.ask()
        candidates = shown.proposal.candidates
        if number > len(candidates):
            choice = f"Choose one from 1 to {len(candidates)}." if candidates else "Leave out --pick for this round."
            raise PromptError(
                f"--pick {number},{self.index}: Round {len(self.picked) + 1} of plane {self.index} has "
                f"{len(candidates)} candidates. {choice}"
            )
        candidate = candidates[number - 1]
        self.plane.take(shown.look(candidate))
        self.adviser.picked(shown, candidate)
        self.picked.append((shown, candidate))
