"""Learner of one task: it learns in the background, answers from consistent weights, and can take back and close."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from AdaptCore.adapt import learner as learner_module
from AdaptCore.adapt.history import Event, Outcome
from AdaptCore.adapt.learner import Knowledge, Learner, agreement, learnt
from AdaptCore.adapt.recipe import DEFAULT, SCHOEN, Recipe, without
from AdaptCore.errors import ModelError
from AdaptCore.models.base import AdaptableModel, Question
from AdaptCore.models.compact import CompactModel
from AdaptCore.predict.learning import Example
from AdaptCore.predict.plane import PlaneSession, answered_mask
from AdaptCore.prompts import Click, Prompts
from Testing.learning_toy import LearningToy, a_cone
from Testing.tiny_model import tiny_model
from Testing.torchvision_for_tests import import_torchvision

QUICK = Recipe("quick", post_steps=3, post_rate=1e-4, post_click_weight=0.0)
SIDE, TIMEOUT = 64, 20.0
MIDDLE = Click(31.5, 31.5)


def an_example(model: AdaptableModel, radius: float = 12, *clicks: Click) -> Example:
    """A cone, clicked in its middle, and the accepted mask of a radius."""
    question = Question(model.encode(a_cone(SIDE, radius)), Prompts((MIDDLE,)))
    return Example(question, a_cone(SIDE, radius) > 0.5, clicks or (MIDDLE,), answered_mask)


def many_examples(model: AdaptableModel, seed: int) -> list[Example]:
    """Four questions on a noisy disc."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:48, :60]
    mask = (columns - 25) ** 2 + (rows - 24) ** 2 < 100
    embedding = model.encode(np.clip(0.3 + 0.4 * mask + 0.2 * rng.random(mask.shape), 0, 1).astype(np.float32))
    clicks = tuple(Click(float(x), float(y)) for x, y in rng.integers(20, 29, (4, 2)))
    return [
        Example(Question(embedding, Prompts(clicks[: count + 1])), mask, clicks, answered_mask) for count in range(4)
    ]


def bias_of(model: AdaptableModel) -> float:
    return float(model.decoder_parameters()["bias"])


def weights_of(model: CompactModel) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.network.state_dict().items()}


def same_weights(one: AdaptableModel, other: AdaptableModel) -> bool:
    pairs = zip(one.decoder_parameters().values(), other.decoder_parameters().values(), strict=True)
    return all(torch.equal(weight, twin) for weight, twin in pairs)


class Gate:
    """Stops the learner's thread wherever `pass_through` is called, until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        self.reached.set()
        assert self.opened.wait(TIMEOUT)

    def wait_until_reached(self) -> None:
        assert self.reached.wait(TIMEOUT)


@pytest.fixture
def a_gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def a_learner() -> Iterator[Learner]:
    with Learner(LearningToy(), QUICK) as learner:
        yield learner


@pytest.fixture
def a_slow_learner(a_learner: Learner, a_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> Learner:
    """Its lessons wait at the gate before they begin."""

    def slowly(*arguments: object) -> Knowledge:
        a_gate.pass_through()
        return learnt(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(learner_module, "learnt", slowly)
    return a_learner


def learn_and_wait(learner: Learner, *examples: Example) -> int:
    ticket = learner.learn(examples)
    assert learner.wait(TIMEOUT)
    return ticket


# What one lesson does


def test_lessons_bring_the_first_answer_to_the_accepted_mask(a_learner: Learner) -> None:
    example = an_example(a_learner.frozen)
    for _ in range(6):
        learn_and_wait(a_learner, example)
    history = a_learner.knowledge.history
    assert [outcome.event for outcome in history] == [Event.LEARNT] * 6
    assert history[0].adapted == history[0].frozen == history[5].frozen < 0.5
    assert [outcome.adapted for outcome in history] == sorted(outcome.adapted for outcome in history)
    assert history[-1].adapted > 0.75
    assert agreement(a_learner.model, example) > history[-1].adapted - 0.01


def test_the_outcome_tells_clicks_and_both_arms_before_the_lesson() -> None:
    frozen = LearningToy()
    better = frozen.with_decoder({"bias": torch.tensor(0.0)})
    known = replace(Knowledge.none(frozen, QUICK), model=better)
    example = replace(an_example(frozen, 12, MIDDLE, Click(35, 31), Click(2, 2, positive=False)), prompts=3)
    (outcome,) = learnt(known, [example], frozen, QUICK, 0).history
    assert outcome.clicks == 3
    assert outcome.frozen == agreement(frozen, example) < 0.5
    assert outcome.adapted == agreement(better, example) > 0.9


def test_agreement_is_iou_and_two_empty_masks_agree() -> None:
    model = LearningToy()
    example = an_example(model)
    answered = PlaneSession(model, a_cone(SIDE, 12), zoom=None).click(MIDDLE.x, MIDDLE.y).mask
    union, overlap = int((answered | example.mask).sum()), int((answered & example.mask).sum())
    assert agreement(model, example) == pytest.approx(overlap / union)
    nothing = LearningToy(torch.tensor(-0.1))
    away = Question(model.encode(np.zeros((SIDE, SIDE), np.float32)), Prompts((Click(5, 5, positive=False),)))
    assert agreement(nothing, Example(away, np.zeros((SIDE, SIDE), bool), (), answered_mask)) == 1.0
    assert agreement(model, replace(example, mask=~answered)) == 0.0


def test_a_recipe_without_post_steps_only_keeps_the_history() -> None:
    frozen = LearningToy()
    known = learnt(Knowledge.none(frozen, QUICK), [an_example(frozen)], frozen, without(QUICK, post=True), 0)
    assert known.model is frozen and known.memory.images == () and len(known.history) == 1


def test_a_recipe_without_replay_keeps_no_image() -> None:
    frozen = LearningToy()
    known = learnt(Knowledge.none(frozen, SCHOEN), [an_example(frozen)], frozen, SCHOEN, 0)
    assert known.model is not frozen and known.memory.images == ()


def test_only_mask_decoder_parameters_learn() -> None:
    frozen = tiny_model()
    before = weights_of(frozen)
    known = Knowledge.none(frozen, DEFAULT)
    for seed in range(2):
        known = learnt(known, many_examples(frozen, seed), frozen, DEFAULT, 0)
    assert isinstance(known.model, CompactModel)
    after = weights_of(known.model)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved and moved <= {f"decoder.{name}" for name in frozen.decoder_parameters()}
    assert all(torch.equal(weight, before[name]) for name, weight in weights_of(frozen).items())


# Guard


def test_a_step_that_loses_on_the_memory_is_rolled_back() -> None:
    frozen = LearningToy(torch.tensor(0.0))
    strong = replace(QUICK, post_rate=5e-4)
    known = Knowledge.none(frozen, strong)
    remembered = learnt(known, [an_example(frozen, 12)], frozen, replace(strong, post_rate=1e-9), 0)
    everywhere = replace(an_example(frozen), mask=np.ones((SIDE, SIDE), bool))
    followed = learnt(known, [everywhere], frozen, strong, 0)
    assert followed.history[-1].event is Event.LEARNT and bias_of(followed.model) > 1e-3
    refused = learnt(remembered, [everywhere], frozen, replace(strong, replayed=1), 0)
    assert refused.history[-1].event is Event.ROLLED_BACK
    assert refused.model is remembered.model
    assert len(refused.memory.images) == 2


def test_an_arm_that_stays_behind_returns_to_the_good_weights() -> None:
    frozen = LearningToy(torch.tensor(0.0))
    good, bad = frozen.with_decoder({"bias": torch.tensor(1e-5)}), frozen.with_decoder({"bias": torch.tensor(-1e-3)})
    past = tuple(Outcome(1, 0.9, 0.6) for _ in range(3))
    memory = learnt(Knowledge.none(frozen, QUICK), [an_example(frozen)], frozen, QUICK, 0).memory
    behind = learnt(Knowledge(bad, good, memory, past), [an_example(frozen)], frozen, QUICK, 0)
    assert [outcome.event for outcome in behind.history] == [Event.LEARNT] * 3 + [Event.RETURNED]
    assert behind.model is good and behind.good is frozen
    assert behind.memory.images == ()
    assert learnt(behind, [an_example(frozen)], frozen, QUICK, 0).history[-1].event is Event.LEARNT


def test_the_frozen_model_answers_while_the_adapted_one_is_behind_and_is_compared_meanwhile() -> None:
    frozen = LearningToy()
    better = frozen.with_decoder({"bias": torch.tensor(0.0)})
    behind = replace(
        Knowledge.none(frozen, QUICK), model=better, history=tuple(Outcome(1, 0.5, 0.45) for _ in range(2))
    )
    with Learner(frozen, QUICK, known=behind) as learner:
        assert learner.model is frozen
        learn_and_wait(learner, an_example(frozen))
        latest = learner.knowledge.history[-1]
        assert latest.adapted > latest.frozen + 0.2
        assert learner.model is learner.knowledge.model is not frozen


def test_the_weights_that_were_good_are_remembered() -> None:
    frozen = LearningToy(torch.tensor(0.0))
    model, older = (frozen.with_decoder({"bias": torch.tensor(value)}) for value in (1e-5, 2e-5))
    known = Knowledge(model, older, Knowledge.none(frozen, QUICK).memory, tuple(Outcome(1, 0.5, 0.9) for _ in range(3)))
    after = learnt(known, [an_example(frozen)], frozen, QUICK, 0)
    assert after.good is model and after.model is not model
    worse = replace(known, history=tuple(Outcome(1, 0.5, 0.49) for _ in range(3)))
    assert learnt(worse, [an_example(frozen)], frozen, QUICK, 0).good is older


def test_a_mask_with_the_clicks_on_the_wrong_side_is_not_learnt() -> None:
    frozen = LearningToy()
    known = learnt(Knowledge.none(frozen, QUICK), [an_example(frozen)], frozen, QUICK, 0)
    example = an_example(frozen)
    after = learnt(known, [replace(example, mask=~example.mask)], frozen, QUICK, 0)
    assert after.history[-1].event is Event.CONTRADICTORY
    assert after.model is known.model and after.memory is known.memory and after.good is known.good


# Reproducible


def test_every_image_of_a_task_draws_afresh() -> None:
    frozen = tiny_model()
    known, drawn = Knowledge.none(frozen, DEFAULT), set()
    for place in range(12):
        history = tuple(Outcome(1, 0.5, 0.5) for _ in range(place))
        after = learnt(replace(known, history=history), many_examples(frozen, 0), frozen, DEFAULT, 0)
        drawn.add(len(after.memory.images[-1][1].question.prompts.clicks))
    assert drawn == {2, 3, 4}


def log_of(model: CompactModel, seed: int) -> Knowledge:
    """What is known after three masks."""
    with Learner(model, replace(DEFAULT, post_steps=2), seed=seed) as learner:
        for place in range(3):
            learner.learn(many_examples(model, place))
            learner.wait()
        return learner.knowledge


def test_the_same_seed_and_log_give_bitwise_the_same_weights() -> None:
    model = tiny_model()
    one, two, other = log_of(model, 3), log_of(model, 3), log_of(model, 4)
    assert one.model is not two.model and same_weights(one.model, two.model)
    assert one.history == two.history
    assert not same_weights(one.model, other.model)


def test_taking_back_and_learning_again_gives_the_same(a_learner: Learner) -> None:
    learn_and_wait(a_learner, an_example(a_learner.frozen, 10))
    ticket = learn_and_wait(a_learner, an_example(a_learner.frozen, 14))
    first = bias_of(a_learner.model)
    assert ticket.undo()
    learn_and_wait(a_learner, an_example(a_learner.frozen, 14))
    assert bias_of(a_learner.model) == first


# Threads


def test_the_model_stays_the_same_object_while_a_lesson_runs(a_slow_learner: Learner, a_gate: Gate) -> None:
    before = a_slow_learner.model
    a_slow_learner.learn([an_example(a_slow_learner.frozen)])
    a_gate.wait_until_reached()
    assert a_slow_learner.model is before and not a_slow_learner.wait(0.01)
    a_gate.opened.set()
    assert a_slow_learner.wait(TIMEOUT)
    assert a_slow_learner.model is not before and bias_of(a_slow_learner.model) > bias_of(before)


def test_a_prediction_amid_the_steps_is_the_one_before_them(a_gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model()
    examples = many_examples(model, 0)
    calls: list[int] = []
    lesson_losses = learner_module.lesson_losses

    def halfway(*arguments: object) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            a_gate.pass_through()
        return lesson_losses(*arguments)  # type: ignore[arg-type]

    def predicted(learner: Learner) -> torch.Tensor:
        question = examples[0].question
        return learner.model.decode(question.embedding, question.prompts).logits

    monkeypatch.setattr(learner_module, "lesson_losses", halfway)
    with Learner(model, replace(DEFAULT, post_rate=1e-2)) as learner:
        before, held = predicted(learner), learner.model
        learner.learn(examples)
        a_gate.wait_until_reached()
        assert torch.equal(predicted(learner), before)
        a_gate.opened.set()
        assert learner.wait(TIMEOUT)
        assert not torch.equal(predicted(learner), before)
        question = examples[0].question
        assert torch.equal(held.decode(question.embedding, question.prompts).logits, before)


def test_every_prediction_during_learning_comes_from_one_set_of_weights() -> None:
    model = tiny_model()
    question = many_examples(model, 0)[0].question
    with Learner(model, replace(DEFAULT, post_rate=1e-2)) as learner:
        steps = [learner.model]
        seen: list[torch.Tensor] = []
        for seed in range(3):
            learner.learn(many_examples(model, seed))
            while not learner.wait(0):
                seen.append(learner.model.decode(question.embedding, question.prompts).logits)
            steps.append(learner.model)
    allowed = [step.decode(question.embedding, question.prompts).logits for step in steps]
    assert seen and all(any(torch.equal(logits, one) for one in allowed) for logits in seen)
    assert not torch.equal(allowed[0], allowed[-1])


def test_learning_does_not_keep_the_caller_waiting(a_slow_learner: Learner, a_gate: Gate) -> None:
    tickets = [a_slow_learner.learn([an_example(a_slow_learner.frozen)]) for _ in range(3)]
    assert len(set(tickets)) == 3
    assert a_slow_learner.knowledge.history == ()
    a_gate.opened.set()
    assert a_slow_learner.wait(TIMEOUT) and len(a_slow_learner.knowledge.history) == 3


def test_the_learner_keeps_the_examples_as_they_were_told(a_slow_learner: Learner, a_gate: Gate) -> None:
    examples = [an_example(a_slow_learner.frozen)]
    a_slow_learner.learn(examples)
    examples.clear()
    a_gate.opened.set()
    assert a_slow_learner.wait(TIMEOUT) and len(a_slow_learner.knowledge.history) == 1


# Taking back


def test_a_lesson_is_taken_back_and_learnt_again(a_learner: Learner) -> None:
    learn_and_wait(a_learner, an_example(a_learner.frozen, 10))
    before = a_learner.knowledge
    ticket = a_learner.learn([an_example(a_learner.frozen, 14)])
    assert ticket.undo()
    assert a_learner.knowledge is before
    assert ticket.redo()
    assert len(a_learner.knowledge.history) == 2 and len(a_learner.knowledge.memory.images) == 2
    assert bias_of(a_learner.model) > bias_of(before.model)


def test_only_the_last_lesson_is_taken_back(a_learner: Learner) -> None:
    first = learn_and_wait(a_learner, an_example(a_learner.frozen, 10))
    second = learn_and_wait(a_learner, an_example(a_learner.frozen, 14))
    after = a_learner.knowledge
    assert not first.undo() and not first.redo()
    assert a_learner.knowledge is after
    assert second.undo()
    third = learn_and_wait(a_learner, an_example(a_learner.frozen, 12))
    assert not second.redo()
    assert third.undo() and len(a_learner.knowledge.history) == 1


def test_lesson_that_can_be_taken_back_is_told(a_learner: Learner) -> None:
    assert a_learner.latest is None
    first = learn_and_wait(a_learner, an_example(a_learner.frozen, 10))
    assert a_learner.latest is first
    second = learn_and_wait(a_learner, an_example(a_learner.frozen, 14))
    assert a_learner.latest is second is not first
    second.undo()
    assert a_learner.latest is None
    second.redo()
    assert a_learner.latest is second
    a_learner.reset()
    assert a_learner.latest is None


def test_nothing_is_taken_back_before_it_was_learnt_or_twice(a_slow_learner: Learner, a_gate: Gate) -> None:
    taught = a_slow_learner.learn([an_example(a_slow_learner.frozen)])
    assert a_slow_learner.latest is None
    a_gate.opened.set()
    assert taught.undo() and a_slow_learner.knowledge.history == () and a_slow_learner.latest is None
    assert taught.redo() and a_slow_learner.latest is taught


def test_reset_forgets_all_and_cannot_be_taken_back(a_learner: Learner) -> None:
    ticket = a_learner.learn([an_example(a_learner.frozen)])
    a_learner.reset()
    known = a_learner.knowledge
    assert known.model is a_learner.frozen and known.good is a_learner.frozen
    assert known.history == () and known.memory.images == ()
    assert known.memory.max_bytes == QUICK.memory_bytes
    assert not ticket.redo()


def test_a_learner_goes_on_from_what_was_known(a_learner: Learner) -> None:
    learn_and_wait(a_learner, an_example(a_learner.frozen))
    with Learner(a_learner.frozen, QUICK, known=a_learner.knowledge) as other:
        assert other.model is a_learner.model
        learn_and_wait(other, an_example(a_learner.frozen))
        assert len(other.knowledge.history) == 2
    assert len(a_learner.knowledge.history) == 1


# Ends and failures


def ends_in_time(action: Callable[[], object]) -> bool:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return not thread.is_alive()


def test_close_finishes_the_running_lesson_and_drops_those_that_wait(a_slow_learner: Learner, a_gate: Gate) -> None:
    tickets = [a_slow_learner.learn([an_example(a_slow_learner.frozen, radius)]) for radius in (10, 12, 14)]
    a_gate.wait_until_reached()
    closing = threading.Thread(target=a_slow_learner.close, daemon=True)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    a_gate.opened.set()
    closing.join(TIMEOUT)
    assert not closing.is_alive()
    assert len(a_slow_learner.knowledge.history) == 1
    assert ends_in_time(a_slow_learner.wait)
    assert not tickets[2].undo() and tickets[0].undo()


def test_who_waits_for_dropped_lessons_is_let_go(a_slow_learner: Learner, a_gate: Gate) -> None:
    for _ in range(3):
        a_slow_learner.learn([an_example(a_slow_learner.frozen)])
    a_gate.wait_until_reached()
    waiting = threading.Thread(target=a_slow_learner.wait, daemon=True)
    waiting.start()
    closing = threading.Thread(target=a_slow_learner.close, daemon=True)
    closing.start()
    closing.join(0.1)
    a_gate.opened.set()
    closing.join(TIMEOUT)
    waiting.join(TIMEOUT)
    assert not closing.is_alive() and not waiting.is_alive()


def test_closing_twice_is_harmless_and_learning_afterwards_is_refused(a_learner: Learner) -> None:
    learn_and_wait(a_learner, an_example(a_learner.frozen))
    a_learner.close()
    a_learner.close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        a_learner.learn([an_example(a_learner.frozen)])
    assert len(a_learner.knowledge.history) == 1
    assert not any(thread.name.startswith("AdaptCore-learner") for thread in threading.enumerate())


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ModelError("out of memory, on the CPU too")])
def test_a_lesson_that_fails_leaves_what_was_known(
    a_learner: Learner, error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = learn_and_wait(a_learner, an_example(a_learner.frozen))
    before = a_learner.knowledge

    def failing(*arguments: object) -> AdaptableModel:
        raise error

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(learner_module, "take_steps", failing)
        failed = learn_and_wait(a_learner, an_example(a_learner.frozen))
    assert a_learner.knowledge is before
    assert "an accepted mask could not be learnt from" in caplog.text
    assert a_learner.problem == str(error)
    assert not failed.undo()
    learn_and_wait(a_learner, an_example(a_learner.frozen))
    assert a_learner.problem == ""
    assert len(a_learner.knowledge.history) == 2 and not first.undo()


# Official SAM


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("segment_anything") and find_spec("torchvision")), reason="segment-anything is not installed"
)
def test_sam_learns_during_and_after_the_interaction_with_its_mask_decoder_only() -> None:
    """With one encoder block, which is fast."""
    import_torchvision()
    from AdaptCore.models.sam import SamModel

    sam = SamModel.random("sam_vit_b", seed=0)
    sam.network.image_encoder.blocks = sam.network.image_encoder.blocks[:1]
    before = {name: weight.clone() for name, weight in sam.network.state_dict().items()}
    mask = a_cone(SIDE, 12) > 0.5

    def moved(model: AdaptableModel) -> set[str]:
        assert isinstance(model, SamModel)
        return {name for name, weight in model.network.state_dict().items() if not torch.equal(weight, before[name])}

    with Learner(sam) as learner:
        session = PlaneSession(learner.model, a_cone(SIDE, 12), zoom=None, adapter=learner)
        session.click(31, 31)
        assert session.model is sam
        session.click(36, 31)
        amid = moved(session.model)  # type: ignore[arg-type]
        learner.learn(session.examples(mask))
        assert learner.wait(TIMEOUT * 10)
        (outcome,) = learner.knowledge.history
        after = moved(learner.model)
    assert outcome.event is Event.LEARNT and outcome.clicks == 2
    assert amid and after
    assert all(name.startswith("mask_decoder.") for name in amid | after)
    assert moved(sam) == set()
