"""Guard: when the adapted arm is behind, when it is good, and when a step loses on the memory."""

from __future__ import annotations

from dataclasses import replace

import pytest

from AdaptCore.adapt.guard import (
    LEAST,
    MARGIN,
    REPLAY_MARGIN,
    WINDOW,
    Event,
    Outcome,
    adapted_answers,
    is_behind,
    is_good,
    loses,
    may_answer,
)
from AdaptCore.adapt.history import Opener
from AdaptCore.adapt.history import since_return as outcomes_since_return


def outcomes(*gains: float, event: Event = Event.LEARNT) -> list[Outcome]:
    return [Outcome(1, 0.5, 0.5 + gain, event) for gain in gains]


def test_gain_is_adapted_less_frozen() -> None:
    assert Outcome(3, frozen=0.4, adapted=0.65).gain == pytest.approx(0.25)


def test_an_arm_is_behind_when_it_loses_more_than_the_margin_on_average() -> None:
    assert is_behind(outcomes(-0.1, 0.05, -0.03, -0.01))
    assert not is_behind(outcomes(-0.1, 0.05, -0.01, -0.01))
    assert is_behind(outcomes(*[-MARGIN - 0.001] * LEAST))
    assert not is_behind(outcomes(*[-MARGIN + 0.001] * LEAST))


def test_nothing_is_judged_before_the_fourth_image() -> None:
    assert LEAST == 4
    assert not is_behind(outcomes(-0.5, -0.5, -0.5)) and is_behind(outcomes(-0.5, -0.5, -0.5, -0.5))
    assert not is_good(outcomes(0.5, 0.5, 0.5)) and is_good(outcomes(0.5, 0.5, 0.5, 0.5))
    assert not is_behind([]) and not is_good([])


def test_only_the_latest_window_counts() -> None:
    assert WINDOW == 8
    assert is_behind(outcomes(*[0.9] * 20, *[-0.05] * 8))
    assert not is_behind(outcomes(0.9, *[-0.05] * 7))
    assert is_good(outcomes(*[-0.9] * 20, *[0.05] * 8))


def test_good_is_not_behind_at_all() -> None:
    assert is_good(outcomes(0.0, 0.0, 0.0, 0.0))
    assert not is_good(outcomes(0.0, 0.0, 0.0, -0.001))
    assert not is_behind(outcomes(0.0, 0.0, 0.0, -0.001))


def test_judgement_begins_afresh_after_a_return() -> None:
    past = [*outcomes(*[-0.5] * 8), *outcomes(-0.5, event=Event.RETURNED)]
    assert not is_behind([*past, *outcomes(-0.5, -0.5, -0.5)])
    assert is_behind([*past, *outcomes(-0.5, -0.5, -0.5, -0.5)])
    assert outcomes_since_return([*past, *past]) == []
    later = outcomes(0.1, 0.2)
    assert list(outcomes_since_return([*past, *later])) == later


def test_the_adapted_arm_answers_while_it_is_ahead_over_the_window() -> None:
    assert may_answer([]) and may_answer(outcomes(0.0)) and may_answer(outcomes(0.0, -0.1, 0.2))
    assert not may_answer(outcomes(0.0, 0.01)) and not may_answer(outcomes(0.0, 0.2, -0.3))
    assert may_answer(outcomes(*[0.0] * 20, *[0.03] * 8)) and not may_answer(outcomes(*[0.9] * 20, *[0.01] * 8))


def test_the_first_image_tells_nothing_of_the_adapted_arm() -> None:
    assert may_answer(outcomes(-0.5)) and may_answer(outcomes(0.0, 0.03))
    assert not may_answer(outcomes(0.9, -0.1)), "the first gain does not count"


def test_eight_images_that_are_not_contradictory_decide() -> None:
    contradictory = outcomes(0.9, event=Event.CONTRADICTORY)
    past = outcomes(0.0, -0.9, *[0.01] * 7)
    assert may_answer([*past, *contradictory, *outcomes(0.11)])
    assert not may_answer([*past, *contradictory, *outcomes(0.05)])
    assert not may_answer([*past, *outcomes(-0.9, event=Event.RETURNED), *contradictory])


def test_objects_before_the_trial_was_switched_on_go_on_counting() -> None:
    before = outcomes(0.0, *[-0.3] * 6)
    first = outcomes(0.3)[0]
    begun = [*before, replace(first, opener=Opener.ADAPTED, alike=1.0)]
    assert is_behind(begun), "one object of a trial does not end what the six before have shown"


def test_the_adapted_arm_does_not_answer_before_it_has_learnt_something() -> None:
    contradictory = outcomes(0.0, event=Event.CONTRADICTORY)
    assert not adapted_answers([]) and not adapted_answers(contradictory)
    assert adapted_answers(outcomes(0.0)) and adapted_answers(outcomes(0.0, 0.03))
    assert not adapted_answers(outcomes(0.0, 0.01))


def test_after_a_return_the_adapted_arm_shows_first_that_it_is_ahead() -> None:
    returned = outcomes(0.3, event=Event.RETURNED)
    contradictory = outcomes(0.3, event=Event.CONTRADICTORY)
    assert not may_answer(returned) and not may_answer([*returned, *contradictory])
    assert may_answer([*returned, *outcomes(0.03)]) and not may_answer([*returned, *outcomes(0.01)])


def test_contradictory_masks_are_not_evidence() -> None:
    contradictory = outcomes(*[-0.9] * 8, event=Event.CONTRADICTORY)
    assert not is_behind([*outcomes(0.1, 0.1, 0.1, 0.1), *contradictory])
    assert not is_good([*outcomes(0.1, 0.1, 0.1), *contradictory])


def test_rolled_back_steps_are_evidence() -> None:
    assert is_behind(outcomes(-0.1, -0.1, -0.1, -0.1, event=Event.ROLLED_BACK))


def test_a_step_loses_when_the_mean_loss_grows_by_more_than_the_margin() -> None:
    assert loses([1.0, 3.0], [1.2, 3.0])
    assert not loses([1.0, 3.0], [1.5, 2.5])
    assert loses([1.0], [1.0 + 1.01 * REPLAY_MARGIN]) and not loses([1.0], [1.0 + 0.99 * REPLAY_MARGIN])
    assert not loses([], [])
