"""Rounds of `adaptseg segment --pick`: candidates of one plane or object are asked for and chosen by number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from AdaptCore.errors import PromptError

if TYPE_CHECKING:
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.plane import PlaneSession
    from AdaptCore.preference.adviser import Adviser, Round
    from AdaptCore.preference.candidates import Candidate


@dataclass(frozen=True, eq=False)
class Rounds:
    """The picks on one plane or object.

    Attributes:
        session: with an answer; it takes what is picked.
        plane: its index, for messages; None for an object.
        adviser: learns each pick, so that the next round knows it.
        picked: a round and the candidate that was taken, for each pick.
    """

    session: PlaneSession | BlockSession
    plane: int | None
    adviser: Adviser
    picked: list[tuple[Round, Candidate]] = field(default_factory=list)

    def ask(self) -> Round:
        """The candidates beside the present answer, like the last pick if there is one."""
        around = None
        if self.picked:
            shown, candidate = self.picked[-1]
            around = shown.z(candidate)
        return self.adviser.ask(self.session, around)

    def pick(self, number: int) -> None:
        """Make a candidate, counted from 1, the answer.

        Raises:
            PromptError: this round has fewer candidates.
        """
        shown = self.ask()
        candidates = shown.proposal.candidates
        if number > len(candidates):
            choice = f"Choose one from 1 to {len(candidates)}." if candidates else "Leave out --pick for this round."
            typed, where = ("", "") if self.plane is None else (f",{self.plane}", f" of plane {self.plane}")
            raise PromptError(
                f"--pick {number}{typed}: Round {len(self.picked) + 1}{where} has {len(candidates)} candidates. "
                f"{choice}"
            )
        candidate = candidates[number - 1]
        self.session.take(shown.look(candidate))
        self.adviser.picked(shown, candidate)
        self.picked.append((shown, candidate))
