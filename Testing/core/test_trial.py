"""The trial of openings: who opens, what is told of the gain, and when nothing is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from AdaptCore.adapt.guard import may_answer
from AdaptCore.adapt.history import Event, Opener, Outcome
from AdaptCore.adapt.learner import Knowledge, Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.adapt.trial import evidence, fair_gains, is_other_opened, period_of
from AdaptCore.models.base import Question
from AdaptCore.predict.learning import Example
from AdaptCore.predict.plane import answered_mask
from AdaptCore.prompts import Click, Prompts
from Testing.learning_toy import LearningToy, a_cone

QUICK = Recipe("quick", mid_steps=0, post_steps=1, post_rate=1e-3)


def a_sequence(count: int, gain: float, seed: int, user: str = "exact", period: int = 4) -> list[Outcome]:
    """Objects of drawn quality, as an exact, a lenient or a first user accepts them.

    A first answer is pixels right by chance; the two answers share what is right in both. Who accepts a mask as it is
    makes it agree with its opener wholly, who corrects it makes it agree with the truth.
    """
    rng, history = np.random.default_rng(seed), list[Outcome]()
    for place in range(count):
        frozen = float(np.clip(rng.normal(0.6, 0.12), 0.05, 0.98))
        adapted = float(np.clip(frozen + gain + rng.normal(0, 0.08), 0.05, 0.98))
        alike = float(np.clip(1 - abs(rng.normal(0.25, 0.08)), 0.3, 1))
        opens_frozen = rng.random() < 1 / period
        opened = frozen if opens_frozen else adapted
        kept = {"exact": 0.15, "lenient": 0.9 if opened >= 0.7 else 0.3, "first": 1.0}[user]
        own, other = (1 - kept) * opened + kept, (1 - kept) * (adapted if opens_frozen else frozen) + kept * alike
        history.append(
            Outcome(
                clicks=1 if opened >= 0.7 or user == "first" else 4,
                frozen=own if opens_frozen else other,
                adapted=other if opens_frozen else own,
                opener=Opener.FROZEN if opens_frozen else Opener.ADAPTED,
                chance=1 / period if opens_frozen else 1 - 1 / period,
                alike=alike,
                image=f"image{place}",
            )
        )
    return history


def told(histories: Sequence[Sequence[Outcome]]) -> list[float]:
    found = [evidence(history).iou for history in histories]
    return [of.value for of in found if of is not None]


# What is told


@pytest.mark.parametrize("gain", [0.125, 0.0, -0.1])
def test_the_mean_of_what_is_told_under_an_exact_user_is_the_true_gain(gain: float) -> None:
    values = told([a_sequence(60, gain, seed) for seed in range(40)])
    assert np.mean(values) == pytest.approx(0.85 * gain, abs=0.02)


@pytest.mark.parametrize("gain", [0.125, 0.0, -0.1])
def test_a_lenient_user_flatters_neither_model_and_what_is_told_errs_towards_none(gain: float) -> None:
    histories = [a_sequence(60, gain, seed, "lenient") for seed in range(40)]
    unadjusted = float(np.mean([np.mean([outcome.gain for outcome in history]) for history in histories]))
    assert gain > 0 or unadjusted > gain + 0.04
    assert min(gain, 0) - 0.03 < np.mean(told(histories)) < max(gain, 0) + 0.03
    assert np.mean(told(histories)) * gain >= 0


def test_who_accepts_every_first_answer_gives_no_evidence() -> None:
    for gain in (0.125, -0.1):
        found = evidence(a_sequence(80, gain, 0, "first"))
        assert found.iou is None and not found.is_known
        assert found.clicks is not None and not found.clicks.is_known


def test_a_declining_model_is_never_told_to_gain() -> None:
    for user in ("exact", "lenient", "first"):
        for seed in range(30):
            found = evidence(a_sequence(60, -0.05, seed, user))
            assert not (found.is_known and found.iou is not None and found.iou.value > 0)


def test_without_a_gain_looking_after_every_object_tells_one_in_few_sequences() -> None:
    wrong = 0
    for seed in range(40):
        history = a_sequence(60, 0.0, seed)
        wrong += any(evidence(history[:count]).is_known for count in range(6, 61, 3))
    assert wrong <= 4


def test_a_clear_gain_is_known_after_some_images() -> None:
    history = a_sequence(60, 0.2, 0)
    assert not evidence(history[:5]).is_known and evidence(history[:5]).iou is None
    found = evidence(history)
    assert found.is_known and found.iou is not None and found.iou.low > 0
    assert found.images == 60 and 5 < found.opened_frozen < 30


def test_clicks_are_those_of_the_openers_objects_and_the_cost_is_what_the_frozen_ones_took_more() -> None:
    history = [
        Outcome(6 if frozen else 2, 0.5, 0.6, opener=Opener.FROZEN if frozen else Opener.ADAPTED, image=str(place))
        for place, frozen in enumerate([True, False, False] * 6)
    ]
    found = evidence(history)
    assert found.clicks is not None and found.clicks.value == pytest.approx(4)
    assert found.clicks.is_known and found.cost == pytest.approx(6 * 4)


def test_objects_of_one_image_count_as_one_image() -> None:
    history = a_sequence(40, 0.1, 0)
    doubled = [outcome for outcome in history for _ in range(4)]
    one, four = evidence(history), evidence(doubled)
    assert one.images == four.images == 40
    assert one.iou and four.iou
    assert four.iou.high - four.iou.low == pytest.approx(one.iou.high - one.iou.low, rel=0.15)


def test_what_was_not_compared_or_came_before_a_return_is_no_evidence() -> None:
    history = a_sequence(30, 0.1, 0)
    unopened = [Outcome(1, 0.0, 1.0), *history, Outcome(1, 1.0, 0.0)]
    assert evidence(unopened) == evidence(history)
    returned = [*history, replace(history[-1], event=Event.RETURNED)]
    assert evidence(returned).images == 0


# The guard


def test_gains_without_a_trial_stay_beside_those_of_a_trial() -> None:
    unopened = [Outcome(1, 0.5, 0.6), Outcome(1, 0.5, 0.2)]
    opened = [Outcome(1, 0.8, 1.0, opener=Opener.ADAPTED, alike=0.8), Outcome(1, 0.5, 0.5, opener=Opener.FROZEN)]
    before, after = fair_gains([*unopened, *opened]), fair_gains([*opened, *unopened])
    assert before[:2] == after[2:] == pytest.approx([0.1, -0.3])
    assert before[2:] == after[:2] and before[2] < 0.2


def test_the_guard_is_not_flattered_by_the_opener() -> None:
    lenient = [
        Outcome(1, 0.8, 1.0, opener=Opener.ADAPTED, chance=0.75, alike=0.8),
        Outcome(1, 1.0, 0.8, opener=Opener.FROZEN, chance=0.25, alike=0.8),
    ]
    history = [Outcome(1, 0.5, 0.5), *lenient * 2, *lenient[:1] * 8]
    assert np.mean([outcome.gain for outcome in history[-8:]]) == pytest.approx(0.2)
    assert not may_answer(history)
    assert max(np.abs(fair_gains(history))) < 0.08


def test_a_gain_that_scatters_does_not_silence_the_adapted_model_but_none_does() -> None:
    def history(*gains: float) -> list[Outcome]:
        openers = (Opener.FROZEN, Opener.ADAPTED)
        return [
            Outcome(4, 0.5, 0.5 + gain, opener=openers[place // 2 % 2], chance=0.5)
            for place, gain in enumerate((0.0, *gains))
        ]

    assert may_answer(history(*(0.2, -0.17) * 4))
    assert not may_answer(history(*(0.012, 0.008) * 4))
    assert not may_answer(history(*(0.1, -0.2) * 4))


# Who opens


def test_one_object_of_each_block_is_opened_by_the_other_model() -> None:
    history: list[Outcome] = []
    drawn = []
    for outcome in a_sequence(120, 0.0, 3, "first"):
        is_other, chance = is_other_opened(history, seed=0)
        drawn.append(is_other)
        assert chance == 1 / period_of(history)
        history.append(outcome)
    assert sum(drawn[:8]) == 4
    blocks = np.array(drawn[8:]).reshape(-1, 4).sum(1)
    assert (blocks == 1).all()
    assert len({tuple(block) for block in np.array(drawn[8:]).reshape(-1, 4)}) > 1
    assert [is_other_opened(history[:20], 0) for _ in range(3)] == [is_other_opened(history[:20], 0)] * 3


def test_the_trial_is_more_frequent_while_evidence_is_thin_and_rarer_once_the_gain_is_known() -> None:
    history = a_sequence(60, 0.2, 0)
    assert period_of([]) == period_of(history[:7]) == 2
    assert period_of(a_sequence(60, 0.0, 0, "first")) == 4
    assert period_of(history) == 8


# The learner


def an_example(model: LearningToy, prompts: int = 2, is_opening: bool = True) -> Example:
    click = Click(31, 31)
    question = Question(model.encode(a_cone(64, 12)), Prompts((click,)))
    return Example(question, a_cone(64, 12) > 0.5, (click,), answered_mask, prompts=prompts, is_opening=is_opening)


def a_learner(trial: bool = True) -> Learner:
    frozen = LearningToy()
    known = replace(Knowledge.none(frozen, QUICK), model=frozen.with_decoder({}))
    return Learner(frozen, QUICK, known=known, trial=trial)


def accept(learner: Learner, image: str, example: Example) -> Outcome:
    learner.learn([example], image)
    learner.wait()
    return learner.knowledge.history[-1]


def test_an_object_keeps_its_opener_until_its_first_mask_and_only_that_is_compared() -> None:
    with a_learner() as learner:
        example = an_example(learner.frozen)  # type: ignore[arg-type]
        opener = learner.opening("one")
        accept(learner, "two", example)
        assert learner.opening("one") is opener
        outcome = accept(learner, "one", example)
        assert outcome.opener is not None and outcome.image == "one" and outcome.clicks == 2
        assert (outcome.opener is Opener.FROZEN) == (opener is learner.frozen)
        assert learner.opening("one") is learner.model
        assert accept(learner, "one", example).opener is None


def test_each_opener_is_drawn_and_a_new_task_has_nothing_to_compare() -> None:
    with a_learner() as learner:
        example = an_example(learner.frozen)  # type: ignore[arg-type]
        openers = []
        for place in range(8):
            learner.opening(str(place))
            openers.append(accept(learner, str(place), example).opener)
        assert set(openers) == {Opener.FROZEN, Opener.ADAPTED}
    with Learner(LearningToy(), QUICK, trial=True) as fresh:
        assert fresh.opening("one") is fresh.frozen
        assert accept(fresh, "one", example).opener is None


def test_without_the_trial_the_better_model_answers_and_nothing_is_compared() -> None:
    with a_learner(trial=False) as learner:
        example = an_example(learner.frozen)  # type: ignore[arg-type]
        for place in range(8):
            assert learner.opening(str(place)) is learner.model
            assert accept(learner, str(place), example).opener is None
        assert evidence(learner.knowledge.history).images == 0


def test_a_mask_that_was_drawn_or_began_from_another_is_no_evidence_and_a_made_up_click_counts_none() -> None:
    with a_learner() as learner:
        learner.opening("one")
        drawn = accept(learner, "one", an_example(learner.frozen, 0, is_opening=False))  # type: ignore[arg-type]
        assert drawn.opener is None and drawn.clicks == 0
