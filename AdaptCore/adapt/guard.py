"""Guard: what the frozen model would have answered, and when to stop following the adapted one (ours)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev

from AdaptCore.adapt.history import Event, Outcome, since_return
from AdaptCore.adapt.trial import fair_gains

WINDOW = 8
"""Latest accepted images over which the arms are compared."""

LEAST = 4
"""No judgement before so many."""

MARGIN = 0.02
"""An adapted arm is behind when its mean IoU is lower by more than this, and ahead when it is higher by as much."""

REPLAY_MARGIN = 0.05
"""A step loses on the replay memory when its mean loss there grows by more than this."""


def is_behind(history: Sequence[Outcome]) -> bool:
    """Whether the adapted arm has lost to the frozen one over the latest window.

    Gains of a trial scatter more, since each object has another opener: they must be behind by a standard error more.
    """
    gains = _gains(history)
    return len(gains) >= LEAST and fmean(gains) + _scatter(history, gains) < -MARGIN


def is_good(history: Sequence[Outcome]) -> bool:
    """Whether the adapted arm is not behind at all over the latest window."""
    gains = _gains(history)
    return len(gains) >= LEAST and sum(gains) / len(gains) >= 0


def may_answer(history: Sequence[Outcome]) -> bool:
    """Whether the adapted arm answers the next image, or only watches while the frozen one does.

    It watches while it is not ahead over the latest window, by a standard error less where there was a trial, and after
    a return until it has shown that it is. The first image says nothing: nothing was known when it was asked.
    """
    gains = _gains(history[1:])
    if not gains:
        return all(outcome.event is not Event.RETURNED for outcome in history)
    return fmean(gains) + _scatter(history, gains) >= MARGIN


def adapted_answers(history: Sequence[Outcome]) -> bool:
    """For the user: whether the adapted arm answers the next image, having learnt something and being allowed to."""
    return may_answer(history) and any(outcome.event is Event.LEARNT for outcome in history)


def loses(before: Sequence[float], after: Sequence[float]) -> bool:
    """Whether the losses on replayed lessons grew too much by a step; never without replayed lessons."""
    return bool(before) and sum(after) / len(after) > sum(before) / len(before) + REPLAY_MARGIN


def _scatter(history: Sequence[Outcome], gains: Sequence[float]) -> float:
    """Standard error of the mean gain of a trial, 0 without one."""
    is_trial = any(outcome.opener for outcome in since_return(history))
    return stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 and is_trial else 0.0


def _gains(history: Sequence[Outcome]) -> list[float]:
    return fair_gains(history)[-WINDOW:]
