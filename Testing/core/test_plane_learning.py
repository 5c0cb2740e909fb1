"""Plane session that learns: which clicks teach, what is asked again, and what an accepted mask says."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.models.base import Model, Question
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.predict.zoom import ZoomPolicy
from AdaptCore.prompts import Box, Click, Prompts
from Testing.learning_toy import LearningToy, a_cone

SIDE = 64
EAGER = ZoomPolicy(margin=0.35, limit=0.75, min_clicks=1)
WIDE = (120, 160)


def bias_of(model: Model) -> float:
    assert isinstance(model, LearningToy)
    return float(model.decoder_parameters()["bias"])


@dataclass
class Teacher:
    """An adapter that raises the toy's weight by 1e-4 with every lesson, and keeps what it was told."""

    told: list[tuple[Model, Question, int, torch.Tensor]] = field(default_factory=list)
    patient: bool = False

    def adapt(self, model: Model, question: Question, added: int, logits: torch.Tensor) -> Model:
        self.told.append((model, question, added, logits))
        return model if self.patient else LearningToy(torch.tensor(bias_of(model) + 1e-4))

    @property
    def added(self) -> list[int]:
        return [added for _, _, added, _ in self.told]


@pytest.fixture
def a_teacher() -> Teacher:
    return Teacher()


@pytest.fixture
def a_session(a_teacher: Teacher) -> PlaneSession:
    return PlaneSession(LearningToy(), a_cone(SIDE, 14), zoom=None, adapter=a_teacher)


def a_wide_image() -> np.ndarray:
    """A disc on the left and a small one on the right."""
    rows, columns = np.mgrid[: WIDE[0], : WIDE[1]]
    discs = ((columns - 40) ** 2 + (rows - 60) ** 2 < 15**2) | ((columns - 140) ** 2 + (rows - 20) ** 2 < 4**2)
    return np.where(discs, np.float32(0.9), np.float32(0.2))


# Which clicks teach


def test_every_click_but_the_first_teaches(a_session: PlaneSession, a_teacher: Teacher) -> None:
    start = a_session.model
    a_session.click(31, 31)
    assert a_teacher.told == [] and a_session.model is start
    a_session.click(40, 31)
    a_session.click(60, 60, positive=False)
    assert a_teacher.added == [1, 1]
    assert [question.prompts for _, question, _, _ in a_teacher.told] == [
        Prompts((Click(31, 31), Click(40, 31))),
        Prompts((Click(31, 31), Click(40, 31), Click(60, 60, positive=False))),
    ]
    assert [bias_of(model) - bias_of(start) for model, *_ in a_teacher.told] == pytest.approx([0, 1e-4])
    assert bias_of(a_session.model) - bias_of(start) == pytest.approx(2e-4)


def test_a_stroke_teaches_once_with_all_its_clicks(a_session: PlaneSession, a_teacher: Teacher) -> None:
    a_session.scribble([(28, 31), (31, 31), (34, 31)])
    assert a_teacher.added == []
    a_session.scribble([(20, 31), (20, 35), (20, 39), (20, 43)])
    assert a_teacher.added == [4]
    assert len(a_teacher.told[0][1].prompts.clicks) == 7


def test_a_box_teaches_nothing_and_the_click_after_it_does(a_session: PlaneSession, a_teacher: Teacher) -> None:
    a_session.box(10, 10, 50, 50)
    a_session.box(12, 12, 50, 50)
    assert a_teacher.added == []
    a_session.click(31, 31)
    assert a_teacher.added == [1]
    assert a_teacher.told[0][1].prompts == Prompts((Click(31, 31),), Box(12, 12, 50, 50))


def test_the_first_click_on_a_mask_that_was_there_teaches(a_teacher: Teacher) -> None:
    prior = a_cone(SIDE, 14) > 0.7
    session = PlaneSession(LearningToy(), a_cone(SIDE, 14), zoom=None, prior=prior, adapter=a_teacher)
    session.click(40, 31)
    assert a_teacher.added == [1]


def test_the_click_is_answered_by_the_model_that_learnt_from_it(a_session: PlaneSession, a_teacher: Teacher) -> None:
    a_session.click(31, 31)
    answer = a_session.click(40, 31)
    told = a_teacher.told[0][3].numpy()
    assert told.shape == (SIDE, SIDE)
    assert np.median(answer.logits - told) == pytest.approx(1.0, abs=0.05)
    patient = Teacher(patient=True)
    session = PlaneSession(LearningToy(), a_cone(SIDE, 14), zoom=None, adapter=patient)
    session.click(31, 31)
    assert np.array_equal(session.click(40, 31).logits, patient.told[0][3].numpy())


def test_an_adapter_that_changes_nothing_costs_no_second_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    count: list[int] = []
    decode = LearningToy.decode
    monkeypatch.setattr(LearningToy, "decode", lambda *arguments: count.append(1) or decode(*arguments))
    for teacher, expected in ((Teacher(patient=True), 2), (Teacher(), 3)):
        count.clear()
        session = PlaneSession(LearningToy(), a_cone(SIDE, 14), zoom=None, adapter=teacher)
        session.click(31, 31)
        session.click(40, 31)
        assert len(count) == expected


def test_what_a_click_taught_is_undone_and_redone_with_it(a_session: PlaneSession) -> None:
    a_session.click(31, 31)
    first = a_session.model
    a_session.click(40, 31)
    second = a_session.model
    a_session.undo()
    assert a_session.model is first
    a_session.redo()
    assert a_session.model is second
    a_session.reset()
    assert a_session.model is first


def test_in_a_window_the_adapter_is_told_of_the_window(a_teacher: Teacher) -> None:
    a_teacher.patient = True
    session = PlaneSession(LearningToy(), a_wide_image(), zoom=EAGER, adapter=a_teacher)
    session.click(40, 60)
    window = session.window
    assert window is not None
    session.click(45, 60)
    _, question, added, logits = a_teacher.told[0]
    assert added == 1 and question.prompts.clicks[-1] == Click(45 - window.x0, 60 - window.y0)
    assert tuple(logits.shape) == question.embedding.plane_shape == (window.y1 - window.y0, window.x1 - window.x0)


def test_a_click_that_the_window_does_not_show_teaches_nothing(a_teacher: Teacher) -> None:
    session = PlaneSession(LearningToy(), a_wide_image(), zoom=EAGER, adapter=a_teacher)
    session.click(40, 60)
    session.click(45, 60)
    a_teacher.told.clear()
    session.click(140, 20, positive=False)
    assert session.window is not None and not session.window.contains(140, 20)
    assert a_teacher.told == []


def test_of_a_stroke_that_leaves_the_window_the_clicks_inside_teach(a_teacher: Teacher) -> None:
    a_teacher.patient = True
    session = PlaneSession(LearningToy(), a_wide_image(), zoom=EAGER, adapter=a_teacher)
    session.click(40, 60)
    session.scribble([(56, 60), (57, 60), (140, 20)], positive=False)
    (_, question, added, _) = a_teacher.told[0]
    assert added == 2 and [click.positive for click in question.prompts.clicks] == [True, False, False]


def test_the_learner_is_an_adapter_whose_steps_follow_the_click() -> None:
    with Learner(LearningToy(), Recipe("toy", mid_steps=2, mid_rate=5e-5)) as learner:
        session = PlaneSession(learner.model, a_cone(SIDE, 14), zoom=None, adapter=learner)
        session.click(31, 31)
        session.click(42, 31)
        assert bias_of(session.model) - bias_of(learner.model) == pytest.approx(1e-4, rel=0.2)
        assert learner.model is learner.frozen


def test_another_rendering_goes_on_learning(a_session: PlaneSession, a_teacher: Teacher) -> None:
    a_session.click(31, 31)
    a_session.click(40, 31)
    other = a_session.seen_as(a_cone(SIDE, 14) * 0.9)
    assert other.model is a_session.model
    other.click(20, 31)
    assert a_teacher.added == [1, 1]


# Going on with another model


def test_later_prompts_ask_the_new_model_and_answers_stay(a_session: PlaneSession, a_teacher: Teacher) -> None:
    a_session.click(31, 31)
    answer = a_session.click(40, 31)
    model = LearningToy(torch.tensor(-5e-3))
    a_session.go_on_with(model)
    assert a_session.model is model and a_session.prediction is answer
    a_session.undo()
    assert a_session.model is model
    a_session.redo()
    assert a_session.prediction is answer
    a_session.click(20, 31)
    assert a_teacher.told[-1][0] is model


# What an accepted mask says


def test_examples_are_the_questions_in_order_with_all_clicks(a_session: PlaneSession) -> None:
    clicks = Click(31, 31), Click(40, 31), Click(60, 60, positive=False)
    for click in clicks:
        a_session.click(click.x, click.y, click.positive)
    mask = a_cone(SIDE, 14) > 0.5
    examples = a_session.examples(mask)
    assert [example.question.prompts.clicks for example in examples] == [clicks[:1], clicks[:2], clicks]
    assert [example.question.prior is None for example in examples] == [True, False, False]
    assert all(example.clicks == clicks and example.mask is mask for example in examples)


def test_what_was_undone_is_no_example(a_session: PlaneSession) -> None:
    a_session.click(31, 31)
    a_session.click(50, 50)
    a_session.undo()
    (example,) = a_session.examples(np.ones((SIDE, SIDE), bool))
    assert example.clicks == example.question.prompts.clicks == (Click(31, 31),)


def test_what_was_asked_before_a_reset_is_no_example(a_session: PlaneSession) -> None:
    a_session.click(5, 5)
    a_session.click(10, 5)
    a_session.reset()
    a_session.click(31, 31)
    (example,) = a_session.examples(np.ones((SIDE, SIDE), bool))
    assert example.clicks == example.question.prompts.clicks == (Click(31, 31),)
    a_session.undo()
    assert a_session.examples(np.ones((SIDE, SIDE), bool)) == []
    a_session.undo()
    assert len(a_session.examples(np.ones((SIDE, SIDE), bool))) == 2


def test_a_prior_is_no_question(a_teacher: Teacher) -> None:
    prior = a_cone(SIDE, 14) > 0.7
    session = PlaneSession(LearningToy(), a_cone(SIDE, 14), zoom=None, prior=prior, adapter=a_teacher)
    assert session.examples(prior) == []
    session.click(40, 31)
    (example,) = session.examples(prior)
    assert example.question.prior is not None and not example.question.is_ambiguous


def test_examples_of_a_window_show_the_window() -> None:
    session = PlaneSession(LearningToy(), a_wide_image(), zoom=EAGER)
    session.click(40, 60)
    session.click(140, 20, positive=False)
    window = session.window
    assert window is not None
    mask = a_wide_image() > 0.5
    example = session.examples(mask)[-1]
    assert np.array_equal(example.mask, mask[window.slices])
    assert example.mask.shape == example.question.embedding.plane_shape
    assert example.clicks == (Click(40 - window.x0, 60 - window.y0),)


def test_forgotten_questions_are_no_examples_and_answers_stay(a_session: PlaneSession) -> None:
    first = a_session.click(31, 31)
    second = a_session.click(40, 31)
    a_session.forget_questions()
    mask = np.ones((SIDE, SIDE), bool)
    assert a_session.examples(mask) == []
    assert a_session.prediction is second and len(a_session.prompts.clicks) == 2
    assert a_session.undo() is first and a_session.redo() is second
    a_session.click(20, 31)
    (example,) = a_session.examples(mask)
    assert len(example.question.prompts.clicks) == 3
