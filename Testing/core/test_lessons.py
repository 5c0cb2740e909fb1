"""Lessons of accepted masks and the memory that they are repeated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from AdaptCore.adapt.learner import Knowledge, learnt
from AdaptCore.adapt.lessons import Lesson, Memory, contradicts, lesson_losses, lessons_from
from AdaptCore.adapt.losses import click_loss
from AdaptCore.adapt.pseudo_labels import PseudoLabel
from AdaptCore.adapt.recipe import DEFAULT, OAIMS, SCHOEN
from AdaptCore.models.base import AdaptableModel, Decoding, Embedding, Question
from AdaptCore.predict.learning import Example
from AdaptCore.predict.plane import answered_mask
from AdaptCore.prompts import Click, Prompts
from Testing.learning_toy import LearningToy
from Testing.tiny_model import tiny_model

SHAPE = (48, 64)
CLICKS = Click(30, 24), Click(36, 20), Click(5, 5, positive=False)


def a_disc(x: float = 32, y: float = 24) -> np.ndarray:
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (columns - x) ** 2 + (rows - y) ** 2 < 12**2


def an_image(seed: int = 0) -> np.ndarray:
    return np.clip(a_disc() * 0.5 + 0.4 * np.random.default_rng(seed).random(SHAPE), 0, 1).astype(np.float32)


def examples_of(model: AdaptableModel, seed: int = 0) -> list[Example]:
    """One, two and three clicks on an image."""
    embedding = model.encode(an_image(seed))
    prior = torch.zeros(model.mask_side, model.mask_side)
    questions = [
        Question(embedding, Prompts(CLICKS[:count]), None if count == 1 else prior)
        for count in range(1, len(CLICKS) + 1)
    ]
    return [Example(question, a_disc(), CLICKS, answered_mask) for question in questions]


def a_lesson(number: int = 0, size: int = 4) -> Lesson:
    """A lesson that can be told by its click."""
    question = Question(Embedding((torch.zeros(size, size),), (4, 4), (4, 4), 4), Prompts((Click(number, 0),)))
    return Lesson(question, PseudoLabel(torch.zeros(4, 4), torch.zeros(4, 4)))


def number_of(lessons: Sequence[Lesson]) -> int:
    return int(lessons[0].question.prompts.clicks[0].x)


def a_rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


# What is learnt from an accepted mask


def test_first_question_and_one_random_later_one_are_learnt() -> None:
    model = tiny_model()
    examples = examples_of(model)
    later = set()
    for seed in range(20):
        lessons = lessons_from(examples, model, DEFAULT, a_rng(seed))
        assert [lesson.question for lesson in lessons[:1]] == [examples[0].question]
        assert len(lessons) == 2
        later.add(len(lessons[1].question.prompts.clicks))
    assert later == {2, 3}
    one, two = (lessons_from(examples, model, DEFAULT, a_rng(7))[1].question for _ in range(2))
    assert one is two


def test_recipes_of_the_papers_learn_the_first_question_only() -> None:
    model = tiny_model()
    examples = examples_of(model)
    for recipe in (SCHOEN, OAIMS):
        (lesson,) = lessons_from(examples, model, recipe, a_rng())
        assert lesson.question is examples[0].question
    assert len(lessons_from(examples[:1], model, DEFAULT, a_rng())) == 1


def test_clicks_weigh_in_the_accepted_mask_but_not_for_schoen() -> None:
    model = tiny_model()
    examples = [replace(example, clicks=(*CLICKS, Click(5, 46, positive=False))) for example in examples_of(model)]
    for recipe in (DEFAULT, OAIMS):
        around = lessons_from(examples, model, recipe, a_rng())[0].around
        assert around is not None
        assert around[12, 15] > 0.9 and around[2, 2] > 0.9 and around[23, 2] > 0.9
        assert not around[24:].any()
    assert lessons_from(examples_of(model), model, SCHOEN, a_rng())[0].around is None


def test_all_clicks_of_the_mask_are_in_the_label_of_the_first_question() -> None:
    model = tiny_model()
    examples = [replace(example, clicks=(*CLICKS, Click(30, 24, positive=False))) for example in examples_of(model)]
    lesson = lessons_from(examples, model, SCHOEN, a_rng())[0]
    assert lesson.label.target[10, 18] == 1
    assert lesson.label.target[12, 15] == 0 and lesson.label.weight[12, 15] == 1


# Loss


def test_clicks_are_taught_by_their_weight_in_oaims() -> None:
    model = tiny_model()
    (lesson,) = lessons_from(examples_of(model), model, OAIMS, a_rng())
    assert lesson.around is not None
    with torch.no_grad():
        once, twice = (
            float(lesson_losses(model, [lesson], replace(OAIMS, post_click_weight=weight))) for weight in (1.0, 2.0)
        )
        decoding = model.answer(lesson.question)
        expected = float(click_loss(decoding.logits[decoding.best], lesson.around, lesson.label.target))
    assert expected > 1e-3
    assert twice - once == pytest.approx(expected, rel=1e-3)


def test_the_mask_with_the_best_score_is_taught() -> None:
    class Chooser(LearningToy):
        def answer(self, question: Question) -> Decoding:
            good, bad = torch.full((32, 32), 9.0), torch.full((32, 32), -9.0)
            return Decoding(torch.stack([bad, good, bad]), torch.tensor([0.1, 0.9, 0.2]))

    lesson = replace(a_lesson(), label=PseudoLabel(torch.ones(32, 32), torch.ones(32, 32)))
    assert float(lesson_losses(Chooser(), [lesson], SCHOEN)) == pytest.approx(0, abs=0.01)


# Contradictions


@pytest.mark.parametrize(
    ("clicks", "wrong"),
    [
        ((Click(32, 24),), False),
        ((Click(2, 2),), True),
        ((Click(32, 24), Click(2, 2)), False),
        ((Click(32, 24, positive=False), Click(2, 2), Click(30, 24)), True),
        ((Click(2, 2, positive=False), Click(2, 40, positive=False), Click(4, 4)), False),
        ((), False),
    ],
)
def test_more_than_half_of_the_clicks_on_the_wrong_side_contradict(clicks: tuple[Click, ...], wrong: bool) -> None:
    (example, *_) = examples_of(tiny_model())
    assert contradicts(replace(example, clicks=clicks)) is wrong


def test_a_click_on_the_very_border_is_judged_by_its_pixel() -> None:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[-1, -1] = True
    (example, *_) = examples_of(tiny_model())
    assert not contradicts(replace(example, mask=mask, clicks=(Click(63.5, 47.5),)))
    assert contradicts(replace(example, mask=mask, clicks=(Click(62.4, 47.5),)))


# Memory


def test_replay_asks_each_question_with_its_own_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    frozen = LearningToy()
    asked: list[Question] = []
    answer = LearningToy.answer

    def spying(toy: LearningToy, question: Question) -> Decoding:
        if torch.is_grad_enabled():
            asked.append(question)
        return answer(toy, question)

    monkeypatch.setattr(LearningToy, "answer", spying)
    known = Knowledge.none(frozen, DEFAULT)
    pairs: dict[tuple[Click, ...], Embedding] = {}
    for place in range(3):
        (example, *_) = examples_of(frozen, seed=place)
        own = (Click(30 + place, 24),)
        example = replace(example, question=replace(example.question, prompts=Prompts(own)), clicks=own)
        pairs[own] = example.question.embedding
        asked.clear()
        known = learnt(known, [example], frozen, replace(DEFAULT, post_steps=6), seed=0)
        assert all(question.embedding is pairs[question.prompts.clicks] for question in asked)
    assert {question.prompts.clicks for question in asked} == set(pairs)
    assert len(asked) == 6 * 3


def test_a_lesson_is_drawn_as_it_was_learnt() -> None:
    model = tiny_model()
    memory, lessons = Memory(2**30), []
    for seed in range(3):
        lessons.append(lessons_from(examples_of(model, seed), model, DEFAULT, a_rng(seed)))
        memory = memory.with_image(lessons[-1], a_rng())
    drawn = memory.drawn(3, a_rng())
    assert {next(place for place, of in enumerate(lessons) if lesson in of) for lesson in drawn} == {0, 1, 2}


def test_memory_is_bounded_in_bytes() -> None:
    one = a_lesson(size=64).nbytes
    memory = Memory(5 * one + 1)
    for number in range(30):
        memory = memory.with_image([a_lesson(number, size=64)], a_rng(number))
        assert memory.nbytes <= memory.max_bytes
        assert number_of(memory.images[-1]) == number
    assert len(memory.images) == 5
    kept = [number_of(lessons) for lessons in memory.images]
    assert kept == sorted(kept) and kept != [25, 26, 27, 28, 29]


def test_all_tensors_of_a_lesson_count() -> None:
    model = tiny_model()
    lesson = lessons_from(examples_of(model), model, DEFAULT, a_rng())[1]
    maps = 4
    features = sum(feature.nbytes for feature in lesson.question.embedding.features)
    assert lesson.nbytes == features + maps * 4 * 32 * 32


def test_an_embedding_that_lessons_share_counts_once() -> None:
    first, second = a_lesson(1, size=64), a_lesson(2, size=64)
    shared = replace(second, question=replace(second.question, embedding=first.question.embedding))
    bytes_of = [Memory(2**20).with_image([first, other], a_rng()).nbytes for other in (second, shared)]
    assert bytes_of == [2 * first.nbytes, 2 * first.nbytes - 64 * 64 * 4]


def test_the_newest_image_stays_even_if_it_is_too_large_alone() -> None:
    memory = Memory(1000).with_image([a_lesson(1)], a_rng()).with_image([a_lesson(2, size=100)], a_rng())
    assert [number_of(lessons) for lessons in memory.images] == [2]
    assert memory.nbytes > memory.max_bytes
    assert [number_of(lessons) for lessons in memory.with_image([a_lesson(3)], a_rng()).images] == [3]


def test_an_image_goes_with_all_its_lessons() -> None:
    memory = Memory(4 * a_lesson().nbytes)
    for number in range(6):
        memory = memory.with_image([a_lesson(number), a_lesson(number)], a_rng(number))
    assert [len(lessons) for lessons in memory.images] == [2, 2]


def test_adding_leaves_the_memory_before_as_it_was() -> None:
    before = Memory(2 * a_lesson().nbytes).with_image([a_lesson(1)], a_rng()).with_image([a_lesson(2)], a_rng())
    after = before.with_image([a_lesson(3)], a_rng())
    assert [number_of(lessons) for lessons in before.images] == [1, 2]
    assert len(after.images) == 2 and number_of(after.images[-1]) == 3


def test_the_same_seed_forgets_and_draws_the_same() -> None:
    def run(seed: int) -> tuple[list[int], list[int]]:
        memory, rng = Memory(6 * a_lesson().nbytes), a_rng(seed)
        for number in range(20):
            memory = memory.with_image([a_lesson(number)], rng)
        return [number_of(of) for of in memory.images], [number_of([lesson]) for lesson in memory.drawn(3, rng)]

    assert run(4) == run(4)
    assert run(4) != run(5)


def test_lessons_of_different_images_are_drawn() -> None:
    memory = Memory(2**20)
    for number in range(4):
        memory = memory.with_image([a_lesson(number), a_lesson(100 + number)], a_rng())
    seen = set()
    for seed in range(40):
        drawn = [number_of([lesson]) for lesson in memory.drawn(3, a_rng(seed))]
        assert len({number % 100 for number in drawn}) == 3
        seen |= set(drawn)
    assert seen == {0, 1, 2, 3, 100, 101, 102, 103}
    assert len(memory.drawn(9, a_rng())) == 4
    assert Memory(10).drawn(2, a_rng()) == []
