"""The built-in model: frames, prompts, alternatives, weights."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest
import torch

from AdaptCore.errors import CheckpointError
from AdaptCore.models.base import Question, to_plane, to_prior
from AdaptCore.models.compact import (
    BOX_FIRST,
    BOX_SECOND,
    NEGATIVE,
    PADDING,
    POSITIVE,
    CompactConfig,
    CompactModel,
    CompactNetwork,
    PromptTensors,
    dense_maps,
    standardize,
)
from AdaptCore.models.described import config_from_json, config_to_json
from AdaptCore.prompts import Box, Click, Prompts

TINY = CompactConfig(input_side=64, stem=(16, 16, 16), dim=48, heads=2, blocks=1, decoder=(16, 16, 16), mlp=32)


@pytest.fixture(scope="module")
def a_model() -> CompactModel:
    return CompactModel.random(seed=3)


@pytest.fixture
def a_plane() -> np.ndarray:
    return np.random.default_rng(0).random((96, 160)).astype(np.float32)


def prompt_tensors(points: list[tuple[float, float]], labels: list[int], side: int = 64) -> PromptTensors:
    half = side // 2
    return PromptTensors(torch.tensor([points]), torch.tensor([labels]), torch.zeros(1, half, half), torch.zeros(1))


def test_longest_side_fills_the_input_and_the_rest_is_padding(a_model: CompactModel, a_plane: np.ndarray) -> None:
    embedding = a_model.encode(a_plane)
    assert embedding.input_shape == (154, 256)
    assert embedding.plane_shape == (96, 160)


def test_first_click_gets_alternatives_and_more_prompts_one_mask(a_model: CompactModel, a_plane: np.ndarray) -> None:
    embedding = a_model.encode(a_plane)
    click, box = Click(50, 40), Box(20, 20, 90, 80)
    assert a_model.decode(embedding, Prompts((click,))).logits.shape == (4, 128, 128)
    assert a_model.decode(embedding, Prompts((click, Click(10, 10, False)))).logits.shape == (1, 128, 128)
    assert a_model.decode(embedding, Prompts((click,), box)).logits.shape == (1, 128, 128)
    assert a_model.decode(embedding, Prompts((click,)), torch.zeros(128, 128)).logits.shape == (1, 128, 128)


def test_colour_of_equal_channels_is_the_same_as_grey(a_model: CompactModel, a_plane: np.ndarray) -> None:
    grey, colour = a_model.encode(a_plane), a_model.encode(np.stack([a_plane] * 3, -1))
    for one, other in zip(grey.features, colour.features):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_brightness_and_contrast_do_not_matter(a_model: CompactModel, a_plane: np.ndarray) -> None:
    plain, dim = a_model.encode(a_plane), a_model.encode(0.2 + 0.3 * a_plane)
    for one, other in zip(plain.features, dim.features):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-3)


def test_constant_plane_gives_finite_logits(a_model: CompactModel) -> None:
    embedding = a_model.encode(np.full((40, 40), 0.7, np.float32))
    assert torch.isfinite(a_model.decode(embedding, Prompts((Click(3, 3),))).logits).all()


def test_padding_content_is_zero_and_image_is_standardized() -> None:
    image = torch.rand(1, 3, 32, 32)
    standard = standardize(image, torch.tensor([[20, 32]]))
    assert standard[..., 20:, :].abs().max() == 0
    assert float(standard[..., :20, :].mean()) == pytest.approx(0, abs=1e-5)
    assert float(standard[..., :20, :].square().mean()) == pytest.approx(1, abs=1e-4)


def test_click_is_drawn_where_it_was_made() -> None:
    maps = dense_maps(prompt_tensors([(20.5, 40.5), (8.5, 8.5)], [POSITIVE, NEGATIVE]), 64, TINY)[0]
    positive, negative = maps[0], maps[2]
    assert np.unravel_index(int(maps[1].argmax()), (32, 32)) == (20, 10)
    assert positive[20, 10] == 1 and positive[20, 10 + 4] == 0
    assert np.unravel_index(int(maps[3].argmax()), (32, 32)) == (4, 4)
    assert negative[20, 10] == 0


def test_box_is_filled_and_nothing_is_drawn_for_padding() -> None:
    box = dense_maps(prompt_tensors([(15.5, 7.5), (47.5, 23.5)], [BOX_FIRST, BOX_SECOND]), 64, TINY)[0, 4]
    rows, columns = np.nonzero(box.numpy() >= 0.5)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 11, 8, 23)
    assert dense_maps(prompt_tensors([(5.0, 5.0)], [PADDING]), 64, TINY).abs().max() == 0


def test_padded_points_do_not_change_the_answer() -> None:
    torch.manual_seed(0)
    network = CompactNetwork(TINY).eval()
    features = network.encoder(torch.rand(1, 3, 64, 64))
    plain, _ = network.decoder(features, prompt_tensors([(20.0, 30.0)], [POSITIVE]))
    padded, _ = network.decoder(features, prompt_tensors([(20.0, 30.0), (0.0, 0.0)], [POSITIVE, PADDING]))
    torch.testing.assert_close(plain, padded, atol=1e-5, rtol=1e-4)


def test_prior_changes_the_answer(a_model: CompactModel, a_plane: np.ndarray) -> None:
    embedding, prompts = a_model.encode(a_plane), Prompts((Click(50, 40),), Box(20, 20, 90, 80))
    without = a_model.decode(embedding, prompts).logits
    prior = torch.full((128, 128), 5.0)
    assert (a_model.decode(embedding, prompts, prior).logits - without).abs().max() > 1e-3


def test_logits_go_to_the_plane_and_back(a_model: CompactModel) -> None:
    embedding = a_model.encode(np.zeros((100, 200), np.float32))
    y, x = torch.meshgrid(torch.arange(100.0), torch.arange(200.0), indexing="ij")
    disk = 30 - ((x - 120) ** 2 + (y - 45) ** 2).sqrt()
    there = to_prior(disk, embedding, 128)
    back = to_plane(there, embedding)
    assert there.shape == (128, 128) and back.shape == (100, 200)
    assert there[66:].max() <= there[:64].min()
    union = ((back > 0) | (disk > 0)).sum()
    assert ((back > 0) & (disk > 0)).sum() / union > 0.97


@pytest.mark.parametrize("width", [342, 338, 512, 301])
def test_a_mask_that_goes_round_and_round_stays_in_place(a_model: CompactModel, width: int) -> None:
    embedding = a_model.encode(np.zeros((512, width), np.float32))
    columns = torch.arange(float(width)).expand(512, width)
    logits = (0.6 * width - columns).clamp(-6, 6)
    for _ in range(10):
        logits = to_plane(to_prior(logits, embedding, 128), embedding)
    edge = int((logits[256] > 0).sum())
    assert edge == pytest.approx(0.6 * width, abs=2)


def test_weights_of_another_size_are_refused() -> None:
    tensors = CompactNetwork(TINY).state_dict()
    wrong = CompactConfig(input_side=64, stem=(16, 16, 32), dim=48, heads=2, blocks=1, decoder=(16, 16, 16), mlp=32)
    with pytest.raises(CheckpointError, match="wrong shape"):
        CompactNetwork.from_tensors(tensors, {"config": config_to_json(wrong)}, "weights.safetensors")


@pytest.mark.parametrize("text", [None, "{", "[]", '{"colour": 3}', '{"stem": [16, 16]}', '{"heads": 5}'])
def test_wrong_sizes_are_refused(text: str | None) -> None:
    metadata = {} if text is None else {"config": text}
    with pytest.raises(CheckpointError, match=r"weights\.safetensors: The sizes must be those of CompactConfig"):
        CompactNetwork.from_tensors({}, metadata, "weights.safetensors")


@pytest.mark.parametrize(
    ("sizes", "reason"),
    [
        ({"dim": 10**6, "heads": 2}, "tensors of wrong shape: encoder"),
        ({"blocks": 10**9}, "The sizes"),
        ({"mlp": 10**9}, "tensors of wrong shape: decoder"),
    ],
)
def test_a_file_that_claims_to_be_huge_takes_no_memory(sizes: dict[str, int], reason: str) -> None:
    tensors = CompactNetwork(TINY).state_dict()
    config = json.dumps({**asdict(TINY), **sizes})
    with pytest.raises(CheckpointError, match=rf"^file: .*{reason}"):
        CompactNetwork.from_tensors(tensors, {"config": config}, "file")


def test_sizes_survive_their_text_form() -> None:
    assert config_from_json(CompactConfig, config_to_json(TINY)) == TINY


def test_only_finite_gradients_reach_the_decoder() -> None:
    torch.manual_seed(0)
    network = CompactNetwork(TINY)
    features = network.encoder(torch.rand(1, 3, 64, 64))
    logits, quality = network.decoder(features, prompt_tensors([(20.0, 30.0)], [POSITIVE]))
    (logits.square().mean() + quality.mean()).backward()
    gradients = [p.grad for p in network.decoder.parameters() if p.grad is not None]
    assert gradients and all(torch.isfinite(gradient).all() for gradient in gradients)


def test_model_with_its_own_decoder_leaves_the_other_one_alone(a_model: CompactModel, a_plane: np.ndarray) -> None:
    question = Question(a_model.encode(a_plane), Prompts((Click(50, 40), Click(10, 12, False))))
    before = a_model.answer(question).logits
    weights = {name: weight.detach().clone() for name, weight in a_model.decoder_parameters().items()}
    weights["mix_half.conv.0.weight"] += 0.1
    other = a_model.with_decoder(weights)
    assert not torch.equal(other.answer(question).logits, before)
    assert other.network.encoder is a_model.network.encoder
    torch.testing.assert_close(a_model.answer(question).logits, before, rtol=0, atol=0)


def test_gradients_reach_the_mask_decoder_and_not_the_prompt_layers(a_model: CompactModel, a_plane: np.ndarray) -> None:
    learner = a_model.with_decoder({})
    parameters = learner.decoder_parameters()
    for parameter in parameters.values():
        parameter.requires_grad_(True)
    learner.answer(Question(a_model.encode(a_plane), Prompts((Click(50, 40),)))).logits.square().mean().backward()
    with_gradient = {name for name, weight in learner.network.named_parameters() if weight.grad is not None}
    assert {name.removeprefix("decoder.") for name in with_gradient} <= set(parameters)
    assert "decoder.mix_half.conv.0.weight" in with_gradient
    assert not any(name.startswith(("dense_", "point_kind")) for name in parameters)
    assert not any(weight.requires_grad for weight in a_model.network.parameters())


def test_questions_asked_at_once_are_answered_as_if_alone(a_model: CompactModel, a_plane: np.ndarray) -> None:
    other = np.random.default_rng(5).random((33, 70)).astype(np.float32)
    prior = torch.linspace(-4, 4, a_model.mask_side**2).reshape(a_model.mask_side, -1)
    questions = [
        Question(a_model.encode(a_plane), Prompts((Click(50, 40),))),
        Question(a_model.encode(other), Prompts((Click(5, 4), Click(60, 30, False)), Box(2, 2, 50, 30)), prior),
        Question(a_model.encode(other), Prompts(box=Box(20, 3, 66, 28))),
    ]
    together = a_model.answers(questions)
    assert [len(decoding.scores) for decoding in together] == [4, 1, 1]
    for decoding, question in zip(together, questions, strict=True):
        alone = a_model.answer(question)
        torch.testing.assert_close(decoding.logits, alone.logits, rtol=0, atol=1e-4)
        torch.testing.assert_close(decoding.scores, alone.scores, rtol=0, atol=1e-5)


def test_planes_encoded_at_once_are_as_if_alone_and_hold_no_memory_of_each_other(
    a_model: CompactModel, a_plane: np.ndarray
) -> None:
    planes = [a_plane, np.ascontiguousarray(a_plane[:40, :30]), np.stack([a_plane] * 3, axis=2)]
    together = a_model.encode_all(planes)
    for plane, embedding in zip(planes, together, strict=True):
        alone = a_model.encode(plane)
        assert (embedding.plane_shape, embedding.input_shape) == (plane.shape[:2], alone.input_shape)
        for one, other in zip(embedding.features, alone.features, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
            assert one.untyped_storage().nbytes() == one.nbytes


def test_questions_decoded_at_once_are_answered_as_if_alone(a_model: CompactModel, a_plane: np.ndarray) -> None:
    embedding = a_model.encode(a_plane)
    questions = [Question(embedding, Prompts((Click(x, 40),))) for x in (30, 90)]
    for decoding, question in zip(a_model.decode_all(questions), questions, strict=True):
        alone = a_model.decode(embedding, question.prompts)
        torch.testing.assert_close(decoding.logits, alone.logits, atol=1e-3, rtol=1e-3)
        torch.testing.assert_close(decoding.scores, alone.scores, atol=1e-4, rtol=1e-4)


def test_a_weight_of_another_shape_is_refused(a_model: CompactModel) -> None:
    with pytest.raises(ValueError, match=r"expected a weight of shape \(\d+, \d+, 3, 3\), got \(1,\)"):
        a_model.with_decoder({"mix_half.conv.0.weight": torch.zeros(1)})


def test_a_models_own_decoder_shares_no_weight_with_the_one_it_came_from(a_model: CompactModel) -> None:
    other = a_model.with_decoder({})
    theirs = dict(other.network.decoder.named_parameters())
    ours = dict(a_model.network.decoder.named_parameters())
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(weight, ours[name]) for name, weight in theirs.items())
    assert not {weight.data_ptr() for weight in theirs.values()} & {weight.data_ptr() for weight in ours.values()}


def test_number_of_clicks_gives_few_shapes_of_tensors(a_model: CompactModel, a_plane: np.ndarray) -> None:
    embedding = a_model.encode(a_plane)
    clicks = tuple(Click(x % 50, x // 3, x % 2 == 0) for x in range(100))
    asked = [Prompts(clicks[:count], box) for count in range(1, 101) for box in (None, Box(1, 1, 30, 30))]
    shapes = {a_model.prompt_tensors(embedding, prompts, None).points.shape[1] for prompts in asked}
    assert shapes == {8, 16, 24, 32, 40, 48, 56}
    few = a_model.prompt_tensors(embedding, Prompts(clicks[:3]), None).labels[0].tolist()
    assert few == [POSITIVE, NEGATIVE, POSITIVE, *[PADDING] * 5]
