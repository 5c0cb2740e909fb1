"""The trial: what learning brings, measured on objects of which a seeded share is opened by the other model (ours).

An accepted mask grew out of the first answer of the model that opened it, so it favours that model. Openings that are
drawn by chance make this bias cancel. See docs/adaptation.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from AdaptCore.adapt.history import Opener, Outcome, images_of, since_return

THIN = 8
"""Images compared, below which evidence is thin."""

PERIODS = {"thin": 2, "unknown": 4, "known": 8}
"""One of so many objects is opened by the model that does not answer otherwise."""

LEAST = 3
"""Images that each model must have opened before anything is estimated."""

ERROR_RATE = 0.05
TUNING = 0.44
"""Makes the interval narrowest at about 20 images."""

FINEST = {"iou": 0.003, "clicks": 0.05}
"""Standard errors are taken for no smaller than this: a few equal values would else look certain."""

PRIOR_SLOPE, PRIOR_WEIGHT = 0.3, 0.05
"""How much an accepted mask favours its opener before anything is known; about two objects outweigh that."""


@dataclass(frozen=True)
class Estimate:
    """A mean effect with its 95 % interval, which holds at every look at it, however often one looks."""

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Evidence:
    """What the trial says of a task since its latest return to earlier weights.

    Attributes:
        iou: gain of the adapted model's first answer in IoU with the accepted mask; None while there is too little.
        clicks: prompts that it saves for each object, as far as earlier masks are the reason; None as above.
        compared: outcomes of these objects.
    """

    compared: tuple[Outcome, ...] = ()
    iou: Estimate | None = None
    clicks: Estimate | None = None

    @property
    def images(self) -> int:
        """Images that were compared."""
        return len(images_of(self.compared))

    @property
    def opened_frozen(self) -> int:
        """Objects that the frozen model opened."""
        return sum(outcome.opener is Opener.FROZEN for outcome in self.compared)

    @property
    def is_known(self) -> bool:
        """Whether the gain in IoU may be told."""
        return self.iou is not None and self.iou.is_known

    @property
    def cost(self) -> float | None:
        """Prompts that the frozen model's objects took more than they would have with the adapted one."""
        return None if self.clicks is None else self.opened_frozen * self.clicks.value


def evidence(history: Sequence[Outcome]) -> Evidence:
    """What the trial says about a history."""
    compared = _compared(history)
    images = [len(images_of([each for each in compared if each.opener is opener])) for opener in Opener]
    if min(images) < LEAST:
        return Evidence(tuple(compared))
    return Evidence(tuple(compared), _iou_effect(compared), _clicks_effect(compared))


def is_other_opened(history: Sequence[Outcome], seed: int) -> tuple[bool, float]:
    """Whether the model that does not answer otherwise opens the next object, and the chance that it would.

    One object of each block is drawn, so that its number alone decides: an object that is given up and begun again
    has the same opener.
    """
    number, period = len(_compared(history)), period_of(history)
    drawn = np.random.default_rng([seed, number // period, period]).integers(period)
    return bool(drawn == number % period), 1 / period


def period_of(history: Sequence[Outcome]) -> int:
    """One of so many objects is opened by the other model."""
    found = evidence(history)
    if found.images < THIN:
        return PERIODS["thin"]
    return PERIODS["known" if found.is_known else "unknown"]


def fair_gains(history: Sequence[Outcome]) -> list[float]:
    """Gain in IoU of each object since the latest return; those of the trial without what favours their opener."""
    compared = _compared(history)
    if not compared:
        return [outcome.gain for outcome in since_return(history)]
    gains, favours, weights = _columns(compared)
    fair = iter((gains - _slope(gains, favours, weights) * favours).tolist())
    return [outcome.gain if outcome.opener is None else next(fair) for outcome in since_return(history)]


def _compared(history: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in since_return(history) if outcome.opener is not None]


def _columns(compared: Sequence[Outcome]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gain of each object, how far its opener may be favoured, and the inverse of the chance of its opening."""
    gains = np.array([outcome.gain for outcome in compared])
    signs = np.array([1.0 if outcome.opener is Opener.ADAPTED else -1.0 for outcome in compared])
    apart = np.array([1 - outcome.alike for outcome in compared])
    return gains, signs * apart, np.array([1 / outcome.chance for outcome in compared])


def _slope(gains: np.ndarray, favours: np.ndarray, weights: np.ndarray) -> float:
    """Share of the difference of both first answers by which an accepted mask favours its opener, 0 to 1."""
    weights = weights / weights.mean()
    centred = favours - np.average(favours, weights=weights)
    evidence_ = float((weights * centred**2).sum())
    slope = float((weights * centred * gains).sum()) + PRIOR_WEIGHT * PRIOR_SLOPE
    return min(1.0, max(0.0, slope / (evidence_ + PRIOR_WEIGHT)))


def _iou_effect(compared: Sequence[Outcome]) -> Estimate | None:
    """Gain over both openers, each counting by the share of its objects whose first answer was corrected.

    An object that was accepted as it was opened agrees wholly with its opener, which tells nothing; None where nearly
    all are such.
    """
    gains, favours, weights = _columns(compared)
    apart = np.abs(favours)
    gains = gains - _slope(gains, favours, weights) * np.sign(favours) * (apart - np.average(apart, weights=weights))
    corrected = np.array([float(outcome.clicks > 1) for outcome in compared])
    if len(images_of([each for each in compared if each.clicks > 1])) < LEAST:
        return None
    groups = [_group(opener, compared, weights) for opener in Opener]
    shares, means = ([float(group @ of) for group in groups] for of in (corrected, gains))
    value = float(np.dot(shares, means) / sum(shares))
    scores = np.zeros(len(gains))
    for group, share, mean in zip(groups, shares, means):
        members = group > 0
        added = share * (gains - mean) + (mean - value) * (corrected - share)
        scores += group * added / sum(shares) * _small(members.sum())
    return _interval(value, _error(scores, compared), len(images_of(compared)), FINEST["iou"])


def _clicks_effect(compared: Sequence[Outcome]) -> Estimate:
    """Mean prompts where the frozen model opened less those where the adapted one did."""
    clicks = np.array([float(outcome.clicks) for outcome in compared])
    _, _, weights = _columns(compared)
    value, scores = 0.0, np.zeros(len(clicks))
    for opener, sign in ((Opener.FROZEN, 1.0), (Opener.ADAPTED, -1.0)):
        group = _group(opener, compared, weights)
        mean = float(group @ clicks)
        value += sign * mean
        scores += sign * group * (clicks - mean) * _small(int((group > 0).sum()))
    return _interval(value, _error(scores, compared), len(images_of(compared)), FINEST["clicks"])


def _group(opener: Opener, compared: Sequence[Outcome], weights: np.ndarray) -> np.ndarray:
    """What each object counts in a mean over those that a model opened; 0 for the others, 1 in all."""
    is_opened = np.array([outcome.opener is opener for outcome in compared])
    return weights * is_opened / (weights * is_opened).sum()


def _small(count: int) -> float:
    """Makes up for the mean being of the same few values."""
    return math.sqrt(count / max(count - 1, 1))


def _error(scores: np.ndarray, compared: Sequence[Outcome]) -> float:
    """Standard error from what each object adds to an estimate; objects of one image count as one."""
    return math.sqrt(sum(float(scores[places].sum()) ** 2 for places in images_of(compared).values()))


def _interval(value: float, error: float, images: int, finest: float) -> Estimate:
    """A 95 % confidence sequence (Waudby-Smith et al. 2024, asymptotic): it may be looked at after every object."""
    spread = images * TUNING + 1
    width = math.sqrt(2 * spread / (spread - 1) * math.log(math.sqrt(spread) / ERROR_RATE))
    half = max(error, finest) * width
    return Estimate(value, value - half, value + half)
