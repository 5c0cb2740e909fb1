"""Mid-interaction adaptation: what a click teaches, how far it reaches, and what stays as it was."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from AdaptCore.adapt import clicks as clicks_module
from AdaptCore.adapt.clicks import ClickAdapter, click_weights, clicked_cells
from AdaptCore.adapt.losses import click_loss
from AdaptCore.adapt.recipe import DEFAULT, OAIMS, SCHOEN, Recipe, without
from AdaptCore.models.base import Decoding, Embedding, Model, Question, to_plane
from AdaptCore.models.compact import CompactModel
from AdaptCore.prompts import Box, Click, Prompts
from Testing.learning_toy import LearningToy
from Testing.tiny_model import tiny_model

SIDE = 128
WHOLE = Embedding((), (SIDE, SIDE), (SIDE, SIDE), SIDE)
FIRST, SECOND = Click(20, 24), Click(40, 30)
STRONG = replace(DEFAULT, mid_rate=1e-3)


def a_disc(radius: float, side: int = SIDE) -> torch.Tensor:
    """In the middle, float32 (S, S)."""
    places = torch.arange(side) - side // 2
    return (places[:, None] ** 2 + places[None, :] ** 2 < radius**2).float()


def reach(weights: torch.Tensor, click: Click) -> float:
    """Largest distance from a click that still counts."""
    rows, columns = torch.nonzero(weights, as_tuple=True)
    return float(((rows - click.y) ** 2 + (columns - click.x) ** 2).float().sqrt().max())


@pytest.fixture
def a_model() -> CompactModel:
    return tiny_model()


@pytest.fixture
def a_question(a_model: CompactModel) -> Question:
    """With two clicks, on a plane without padding on the right and with it below."""
    plane = np.random.default_rng(0).random((48, 64)).astype(np.float32)
    return Question(a_model.encode(plane), Prompts((FIRST, SECOND)))


def a_wish(question: Question, around: Click) -> torch.Tensor:
    """Logits on the plane: a disc around a click."""
    rows, columns = np.mgrid[: question.embedding.plane_shape[0], : question.embedding.plane_shape[1]]
    inside = (columns - around.x) ** 2 + (rows - around.y) ** 2 < 10**2
    return torch.from_numpy(np.where(inside, np.float32(5), np.float32(-5)))


def output(model: Model, question: Question, clicks: int) -> torch.Tensor:
    """Logits (m, m) of the best answer to the first clicks of a question."""
    decoding = model.decode(question.embedding, Prompts(question.prompts.clicks[:clicks]), question.prior)
    return decoding.logits[decoding.best]


@pytest.mark.parametrize(("radius", "sigma"), [(3, 2.0), (20, 6.0), (30, 9.0)])
def test_gaussian_is_scaled_to_the_object_and_ends_at_three_sigma(radius: float, sigma: float) -> None:
    click = Click(SIDE // 2, SIDE // 2, positive=False)
    target = a_disc(radius)
    positive = click_weights([replace(click, positive=True)], target, WHOLE, DEFAULT)
    assert float(positive[click.y, click.x + 2]) == pytest.approx(math.exp(-((2 / sigma) ** 2) / 2), rel=0.02)
    outside = Click(SIDE // 2, 10, positive=False)
    weights = click_weights([outside], target, WHOLE, DEFAULT)
    assert reach(weights, outside) == pytest.approx(3 * sigma, abs=1)
    assert reach(weights, outside) < 3 * sigma + 0.1


def test_only_pixels_of_the_clicks_class_count() -> None:
    target = a_disc(20)
    border = Click(SIDE // 2 + 20, SIDE // 2)
    inside = click_weights([border], target, WHOLE, DEFAULT)
    outside = click_weights([replace(border, positive=False)], target, WHOLE, DEFAULT)
    assert inside.any() and not inside[target == 0].any()
    assert outside.any() and not outside[target == 1].any()
    assert float((inside + outside).max()) == 1


def test_of_several_clicks_the_nearest_counts() -> None:
    target = a_disc(40)
    clicks = Click(60, 60), Click(70, 60), Click(64, 110, positive=False)
    alone = [click_weights([click], target, WHOLE, DEFAULT) for click in clicks]
    together = click_weights(clicks, target, WHOLE, DEFAULT)
    assert torch.equal(together, torch.stack(alone).amax(0))
    assert all(weights.any() for weights in alone)


@pytest.mark.parametrize(("x", "y", "place"), [(64.3, 30.4, (30, 64)), (SIDE - 0.5, -0.5, (0, SIDE - 1))])
def test_a_clicked_cell_is_one_pixel_and_has_its_latest_clicks_class(
    x: float, y: float, place: tuple[int, int]
) -> None:
    target, around = clicked_cells([Click(x, y), Click(20, 20), Click(x, y, positive=False)], WHOLE, SIDE)
    assert sorted(torch.nonzero(around).tolist()) == sorted([list(place), [20, 20]])
    assert target[place] == 0 and target[20, 20] == 1 and target.sum() == 1


def clicked_loss(model: Model, question: Question) -> float:
    """Cross-entropy of the answer to all clicks, where they are."""
    target, around = clicked_cells(question.clicks, question.embedding, 32)
    return float(click_loss(output(model, question, len(question.clicks)), around, target))


def test_schoens_recipe_draws_the_answer_to_all_clicks_to_the_class_of_each(
    a_model: CompactModel, a_question: Question
) -> None:
    question = replace(a_question, prompts=Prompts((FIRST, SECOND, Click(5, 40, positive=False))))
    moved = {}
    for recipe in (replace(SCHOEN, mid_rate=1e-3), replace(SCHOEN, mid_rate=1e-3, clicks_teach="latest")):
        adapted = ClickAdapter(recipe).adapt(a_model, question, 1, a_wish(question, SECOND))
        moved[recipe.clicks_teach] = clicked_loss(a_model, question) - clicked_loss(adapted, question)
    assert moved["all"] > 0.01 and moved["all"] > moved["latest"]


def test_oaims_teaches_the_whole_prediction(a_model: CompactModel, a_question: Question) -> None:
    wish = a_wish(a_question, SECOND)
    target = (a_question.embedding.gridded(wish, 32) > 0).float()
    inside = torch.from_numpy(a_question.embedding.inside(32)).float()
    left = {}
    for weight in (0.0, 1.0):
        adapted = ClickAdapter(replace(OAIMS, mid_rate=1e-3, mid_whole=weight)).adapt(a_model, a_question, 1, wish)
        left[weight] = float(click_loss(output(adapted, a_question, 1), inside, target))
    assert OAIMS.mid_whole == 1 and OAIMS.tether == 0
    assert left[1.0] < left[0.0] - 0.001


def test_nothing_counts_where_the_answer_has_not_the_clicks_class() -> None:
    assert not click_weights([Click(5, 5)], torch.zeros(SIDE, SIDE), WHOLE, DEFAULT).any()


def test_a_step_brings_the_answer_without_the_click_towards_the_one_with_it(
    a_model: CompactModel, a_question: Question
) -> None:
    wish = a_wish(a_question, SECOND)
    before = {name: weight.clone() for name, weight in a_model.network.state_dict().items()}
    adapted = ClickAdapter(STRONG).adapt(a_model, a_question, 1, wish)
    target = torch.zeros(32, 32)
    target[11:20, 16:25] = 1
    around = click_weights([SECOND], target, a_question.embedding, STRONG)
    old, new = (float(click_loss(output(model, a_question, 1), around, target)) for model in (a_model, adapted))
    assert new < old - 0.001
    assert all(torch.equal(weight, before[name]) for name, weight in a_model.network.state_dict().items())
    assert isinstance(adapted, CompactModel) and adapted is not a_model


def test_only_mask_decoder_parameters_change(a_model: CompactModel, a_question: Question) -> None:
    adapted = ClickAdapter(STRONG).adapt(a_model, a_question, 1, a_wish(a_question, SECOND))
    assert isinstance(adapted, CompactModel)
    old, new = a_model.network.state_dict(), adapted.network.state_dict()
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert moved and moved <= {f"decoder.{name}" for name in a_model.decoder_parameters()}


def test_the_head_learns_alone_where_the_recipe_says_so(a_model: CompactModel, a_question: Question) -> None:
    old, head = a_model.decoder_parameters(), a_model.head_parameters()
    wish = a_wish(a_question, SECOND)
    moved = {}
    for recipe in (DEFAULT, OAIMS):
        adapted = ClickAdapter(recipe).adapt(a_model, a_question, 1, wish)
        assert isinstance(adapted, CompactModel)
        new = adapted.decoder_parameters()
        moved[recipe.name] = {name for name in old if not torch.equal(old[name], new[name])}
    assert "mix_half.conv.0.weight" in moved["default"] and moved["default"] <= set(head)
    assert "blocks.0.mlp.0.weight" in moved["oaims"] - set(head)


def test_the_tether_keeps_the_far_field(a_model: CompactModel, a_question: Question) -> None:
    wish = a_wish(a_question, SECOND)
    moved = {}
    for tether in (0.0, 10.0):
        recipe = replace(STRONG, mid_steps=4, tether=tether)
        adapted = ClickAdapter(recipe).adapt(a_model, a_question, 1, wish)
        change = (output(adapted, a_question, 1) - output(a_model, a_question, 1)).abs()
        moved[tether] = float(change[:24, :8].mean())
    assert moved[10.0] < 0.5 * moved[0.0]


@pytest.mark.parametrize(("positive", "sign"), [(True, 1), (False, -1)])
def test_the_recipe_says_how_many_steps_how_far(positive: bool, sign: int) -> None:
    model = LearningToy()
    plane = np.full((64, 64), 0.75, np.float32)
    question = Question(model.encode(plane), Prompts((Click(5, 5), Click(50, 50, positive))))
    wish = torch.full((64, 64), 9.0 if positive else -9.0)
    adapted = ClickAdapter(Recipe("toy", mid_steps=2, mid_rate=3e-5)).adapt(model, question, 1, wish)
    moved = (adapted.decoder_parameters()["bias"] - model.decoder_parameters()["bias"]).item()  # type: ignore[attr-defined]
    assert moved == pytest.approx(sign * 6e-5, rel=0.05)


def test_a_stroke_is_compared_with_the_answer_before_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    model = LearningToy()
    embedding, prior, box = model.encode(np.full((64, 64), 0.4, np.float32)), torch.zeros(32, 32), Box(2, 2, 60, 60)
    clicks = tuple(Click(8.0 + 6 * place, 30) for place in range(5))
    asked: list[Question] = []
    answer = LearningToy.answer

    def spying(toy: LearningToy, question: Question) -> Decoding:
        asked.append(question)
        return answer(toy, question)

    monkeypatch.setattr(LearningToy, "answer", spying)
    counted: list[torch.Tensor] = []
    monkeypatch.setattr(
        clicks_module, "click_loss", lambda *tensors: counted.append(tensors[1]) or click_loss(*tensors)
    )
    ClickAdapter(DEFAULT).adapt(model, Question(embedding, Prompts(clicks, box), prior), 3, torch.ones(64, 64))
    assert asked and {question.prompts for question in asked} == {Prompts(clicks[:2], box)}
    assert all(question.prior is prior for question in asked)
    assert [float(counted[0][15, round(click.x / 2 - 0.25)]) > 0.9 for click in clicks] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_neither_click_nor_tether_counts_padding(
    a_model: CompactModel, a_question: Question, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, torch.Tensor] = {}

    def spy(name: str) -> None:
        loss = getattr(clicks_module, name)
        place = {"click_loss": 1, "tether_loss": 2}[name]
        monkeypatch.setattr(clicks_module, name, lambda *t: found.setdefault(name, t[place]).sum() * 0 + loss(*t))

    spy("click_loss")
    spy("tether_loss")
    low = Click(40, 46, positive=False)
    question = replace(a_question, prompts=Prompts((FIRST, low)))
    ClickAdapter(DEFAULT).adapt(a_model, question, 1, a_wish(question, FIRST))
    around, away = found["click_loss"], found["tether_loss"]
    assert around[:24].any() and not around[24:].any()
    assert away[:24].any() and not away[24:].any()
    torch.testing.assert_close((around + away)[:24], torch.ones(24, 32))


def test_a_recipe_without_mid_steps_gives_the_model_itself(a_model: CompactModel, a_question: Question) -> None:
    recipe = without(DEFAULT, mid=True)
    assert ClickAdapter(recipe).adapt(a_model, a_question, 1, a_wish(a_question, SECOND)) is a_model


def test_the_same_click_teaches_the_same_twice(a_model: CompactModel, a_question: Question) -> None:
    one, two = (ClickAdapter(DEFAULT).adapt(a_model, a_question, 1, a_wish(a_question, SECOND)) for _ in range(2))
    assert torch.equal(output(one, a_question, 2), output(two, a_question, 2))
    assert to_plane(output(one, a_question, 2), a_question.embedding).shape == (48, 64)
