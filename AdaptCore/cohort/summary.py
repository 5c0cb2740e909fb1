"""Where a cohort stands, in numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.records import Case, Query, Round, State

ACCEPTED, PROPOSED, WAITING, ASIDE, NEW = "accepted", "proposed", "waiting", "set aside", "not examined"
STATUSES = (ACCEPTED, PROPOSED, WAITING, ASIDE, NEW)


@dataclass(frozen=True)
class Summary:
    """Where a cohort stands.

    Attributes:
        state: rounds and queries.
        cases: all of them with the status of each, in order.
    """

    state: State
    cases: tuple[tuple[Case, str], ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of cases of each status."""
        counted = Counter(status for _, status in self.cases)
        return {status: counted[status] for status in STATUSES}

    @property
    def queries(self) -> tuple[Query, ...]:
        """What is to be reviewed and was not accepted since."""
        proposed = {case.id for case, status in self.cases if status == PROPOSED}
        return tuple(query for query in self.state.queries if query.case in proposed)

    @property
    def reviewed_dice(self) -> tuple[int, float] | None:
        """How many cases of the current round were reviewed, and the mean Dice of its proposals with their labels.

        None where there is none. Reviewed cases are chosen, so this is no estimate for a random one.
        """
        current = self.state.current
        labels = [case.label for case, _ in self.cases if case.label is not None]
        dices = [label.dice for label in labels if label.round == current and label.dice is not None]
        return (len(dices), float(np.mean(dices))) if dices else None


def summarize(cohort: Cohort) -> Summary:
    """Read where a cohort stands.

    Raises:
        CohortError: its state cannot be used.
    """
    state = cohort.state
    return Summary(state, tuple((case, _status(cohort, case, state.current)) for case in cohort.cases()))


def describe_round(one: Round) -> str:
    """A round in one line."""
    taught = f"{len(one.labelled)} accepted and {len(one.trusted)} proposed labels ({one.why})"
    if one.collapsed:
        return f"learnt from {taught}; its labels were given up: {one.collapsed}"
    agreement = "" if one.agreement is None else f"; mean Dice with the labels before: {one.agreement:.3f}"
    return f"learnt from {taught}{agreement}"


def _status(cohort: Cohort, case: Case, current: int) -> str:
    if case.aside:
        return ASIDE
    if case.image is None:
        return NEW
    if case.label is not None:
        return ACCEPTED
    return PROPOSED if cohort.has_proposal(case.id, current) else WAITING
