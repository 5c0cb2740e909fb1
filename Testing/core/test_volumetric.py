"""The model of volumes: what it sees of a window and of prompts, its contract, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from AdaptCore.errors import CheckpointError
from AdaptCore.models.described import config_from_json, config_to_json
from AdaptCore.models.volume_prompts import (
    FAR,
    GUIDES,
    NEGATIVE,
    PADDING,
    POSITIVE,
    PROMPT_CHANNELS,
    VolumePrompts,
    filled_box,
    fold,
    guides,
    likelihood,
    paths,
    prompt_maps,
)
from AdaptCore.models.volumetric import (
    IMAGE_CHANNELS,
    VolumetricConfig,
    VolumetricModel,
    VolumetricNetwork,
    prepare,
    ranked,
    read,
    unfold,
)
from Testing.tiny_volume_model import TINY_VOLUMETRIC, tiny_volume_model

CPU = torch.device("cpu")
NARROW, WIDE = 0, 1
DIFFERENCE = 4
BOX = DIFFERENCE + 2 * GUIDES
PRIOR, SLICES = BOX + 1, BOX + 10


def prompts_of(
    side: int, points: Sequence[tuple[float, float, float]] = (), labels: Sequence[int] = ()
) -> VolumePrompts:
    empty = VolumePrompts.empty((1, side, side, side), CPU)
    places = torch.tensor(list(points), dtype=torch.float32).reshape(1, -1, 3)
    return replace(empty, points=places, labels=torch.tensor([list(labels)], dtype=torch.long))


def maps_of(prompts: VolumePrompts, guide: Tensor | None = None) -> Tensor:
    half = prompts.prior.shape[-1] // 2
    guide = torch.zeros(len(prompts.prior), GUIDES, half, half, half) if guide is None else guide
    share = torch.ones(len(guide), 1, half, half, half)
    return prompt_maps(prompts, torch.cat([guide, share], 1), radius=2.0, reach=0.125)


def a_window(side: int = 32, batch: int = 1) -> tuple[Tensor, Tensor]:
    values = torch.randn(batch, side, side, side, generator=torch.Generator().manual_seed(2))
    return values, torch.ones(values.shape, dtype=torch.bool)


def test_eight_voxels_become_channels_in_order_and_return() -> None:
    x = torch.arange(2 * 3 * 4**3, dtype=torch.float32).view(2, 3, 4, 4, 4)
    folded = fold(x)
    assert folded.shape == (2, 24, 2, 2, 2)
    torch.testing.assert_close(folded[1, 8:16, 1, 0, 1], x[1, 1, 2:4, 0:2, 2:4].flatten())
    assert torch.equal(unfold(folded), x)


def test_ranks_are_even_whatever_the_intensities() -> None:
    values = torch.randperm(16**3, generator=torch.Generator().manual_seed(0)).float().view(16, 16, 16)
    everywhere = torch.ones(values.shape, dtype=torch.bool)
    even = values / (16**3 - 1) * 2 - 1
    torch.testing.assert_close(ranked(values, everywhere), even, atol=1e-3, rtol=0)
    torch.testing.assert_close(ranked((values / 400).exp(), everywhere), even, atol=0.02, rtol=0)


def test_ranks_ignore_what_lies_outside_of_the_volume() -> None:
    values, inside = (part[0] for part in a_window(16))
    inside[:4] = False
    spoiled = values.clone()
    spoiled[:4] = 1e6
    assert torch.equal(ranked(values, inside)[4:], ranked(spoiled, inside)[4:])
    assert torch.equal(ranked(values, torch.zeros_like(inside)), torch.zeros_like(values))


def test_intensities_are_standardized_over_the_volume_alone() -> None:
    window, inside = a_window(16)
    inside[:, :, :, 8:] = False
    seen = prepare(torch.where(inside, 30 * window.clamp(-1.5, 1.5) + 900, -5000.0), inside)
    assert seen.shape == (1, IMAGE_CHANNELS, 8, 8, 8)
    standard = unfold(seen[:, :8])[:, 0]
    assert float(standard[inside].mean()) == pytest.approx(0, abs=1e-4)
    assert float(standard[inside].std(correction=0)) == pytest.approx(1, abs=1e-3)
    assert not standard[~inside].any() and not unfold(seen[:, 8:16])[:, 0][~inside].any()
    assert torch.equal(seen[0, 16], inside[0, ::2, ::2, ::2].float())
    torch.testing.assert_close(seen, prepare(window.clamp(-1.5, 1.5), inside), atol=2e-3, rtol=0)


@pytest.mark.parametrize("inside", [True, False])
def test_a_constant_window_and_one_outside_of_the_volume_stay_finite(inside: bool) -> None:
    seen = prepare(torch.full((1, 16, 16, 16), 7.0), torch.full((1, 16, 16, 16), inside))
    assert seen.isfinite().all() and not seen[:, :8].any()


def test_points_are_compared_with_ranks_and_intensities_of_their_cell_and_its_surroundings() -> None:
    window = prepare(*a_window(16))
    guide = guides(window)
    ranks, standard = unfold(window[:, 8:16])[0, 0], unfold(window[:, :8])[0, 0]
    assert guide.shape == (1, GUIDES + 1, 8, 8, 8)
    assert torch.equal(guide[:, GUIDES:], window[:, 16:])
    assert float(guide[0, 0, 3, 4, 5]) == pytest.approx(float(ranks[6:8, 8:10, 10:12].mean()), abs=1e-5)
    assert float(guide[0, 1, 3, 4, 5]) == pytest.approx(float(standard[6:8, 8:10, 10:12].mean()), abs=1e-5)
    assert float(guide[0, 2, 3, 4, 5]) == pytest.approx(float(ranks[4:10, 6:12, 8:14].mean()), abs=1e-5)


def test_maps_have_as_many_channels_as_the_decoder_takes() -> None:
    assert maps_of(prompts_of(16)).shape == (1, PROMPT_CHANNELS, 8, 8, 8)


@pytest.mark.parametrize(("label", "first", "other"), [(POSITIVE, 0, 2), (NEGATIVE, 2, 0)])
def test_a_point_is_drawn_at_its_cell_on_the_maps_of_its_label(label: int, first: int, other: int) -> None:
    maps = maps_of(prompts_of(32, [(8.5, 20.5, 14.5)], [label]))[0]
    assert float(maps[first + NARROW, 4, 10, 7]) == 1 and float(maps[first + WIDE, 4, 10, 7]) == 1
    assert float(maps[first + NARROW, 5, 10, 7]) == pytest.approx(0.5)
    assert float(maps[first + NARROW, 6, 10, 7]) == 0
    assert float(maps[first + WIDE, 6, 10, 7]) == pytest.approx(2.718281828**-1, rel=1e-5)
    assert not maps[other : other + 2].any()


def test_padding_points_draw_nothing() -> None:
    guide = torch.rand(1, GUIDES, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(maps_of(prompts_of(16, [(3, 4, 5)], [PADDING]), guide), maps_of(prompts_of(16), guide))


def test_difference_is_none_at_the_point_and_that_to_the_nearest_elsewhere() -> None:
    guide = torch.zeros(1, GUIDES, 8, 8, 8)
    guide[:, :, 2, 3, 4], guide[:, :, 5, 5, 5] = 0.7, -0.4
    one = maps_of(prompts_of(16, [(4.2, 7.4, 8.9)], [POSITIVE]), guide)[0, DIFFERENCE : DIFFERENCE + 2 * GUIDES]
    assert float(one[0, 2, 3, 4]) == 0
    assert float(one[0, 0, 0, 0]) == pytest.approx(0.7) and float(one[0, 5, 5, 5]) == pytest.approx(1.1)
    assert torch.equal(one[GUIDES:], torch.full((GUIDES, 8, 8, 8), FAR))
    both = maps_of(prompts_of(16, [(4.2, 7.4, 8.9), (10, 10, 10)], [POSITIVE] * 2), guide)[0, DIFFERENCE]
    assert float(both[5, 5, 5]) == 0 and float(both[0, 0, 0]) == pytest.approx(0.4)


def test_points_outside_of_the_window_are_compared_with_the_nearest_cell() -> None:
    guide = torch.zeros(1, GUIDES, 8, 8, 8)
    guide[:, :, 0, 3, 7] = 0.7
    maps = maps_of(prompts_of(16, [(-9, 6, 40)], [POSITIVE]), guide)[0]
    assert float(maps[DIFFERENCE, 0, 3, 7]) == 0


def test_box_is_filled_with_soft_faces_and_absent_without_one() -> None:
    grid = torch.arange(0, 16, 2) + 0.5
    boxes = torch.tensor([[2.5, 4.5, -0.5, 10.5, 8.5, 15.5], [torch.nan] * 6])
    filled, none = filled_box(boxes, grid)
    assert float(filled[3, 3, 3]) == 1 and float(filled[1, 3, 3]) == 0.5 and float(filled[5, 3, 3]) == 0.5
    assert not filled[0].any() and not filled[:, 1].any() and not none.any()
    drawn = maps_of(replace(prompts_of(16), box=boxes[:1]))
    assert torch.equal(drawn[0, BOX], filled)


def test_earlier_logits_and_known_slices_are_folded_and_flagged() -> None:
    blank, prompts = prompts_of(16), prompts_of(16)
    prior, known, mask = (torch.zeros(1, 16, 16, 16) for _ in range(3))
    prior[0, 4, 6, 9], known[0, 5], mask[0, 5, :8] = 4.0, 1, 1
    unused = maps_of(replace(prompts, prior=prior))
    assert torch.equal(unused, maps_of(blank))
    told = maps_of(replace(prompts, prior=prior, has_prior=torch.ones(1), known=known, slices=mask))[0]
    earlier = unfold(told[None, PRIOR : PRIOR + 8])[0, 0]
    assert float(earlier[4, 6, 9]) == pytest.approx(torch.tensor(1.0).tanh().item()) and int((earlier != 0).sum()) == 1
    assert bool((told[PRIOR + 8] == 1).all())
    slices = unfold(told[None, SLICES : SLICES + 8])[0, 0]
    assert bool((slices[5, :8] == 1).all()) and bool((slices[5, 8:] == -1).all()) and int((slices != 0).sum()) == 256
    assert torch.equal(told[SLICES + 8].flatten(1).amax(1), torch.tensor([0.0, 0, 1, 0, 0, 0, 0, 0]))


def test_likelihood_tells_inside_from_outside_of_what_is_known_and_nothing_without() -> None:
    ranks = torch.full((1, 1, 8, 8, 8), -0.5)
    ranks[:, :, :, 4:] = 0.5
    inner, outer = torch.zeros(2, 1, 8, 8, 8)
    assert float(likelihood(ranks, inner, outer).abs().max()) == 0
    inner[:, 3, 4:], outer[:, 3, :4] = 1, 1
    told = likelihood(ranks, inner, outer)[0, 0]
    assert bool((told[:, 4:] > 0.5).all()) and bool((told[:, :4] < -0.5).all())
    torch.testing.assert_close(likelihood(ranks, outer, inner)[0, 0], -told)


def test_paths_go_around_edges_and_none_begins_without_seeds() -> None:
    guide = torch.zeros(2, 8, 8, 8)
    guide[:, :, 4] = 1
    guide[:, :, 4, 7] = 0
    seeds = torch.zeros(2, 8, 8, 8, dtype=torch.bool)
    seeds[0, 3, 0, 0] = True
    away = paths(seeds, guide)
    assert bool(away[1].isinf().all())
    assert float(away[0, 3, 0, 5]) == pytest.approx(5 / 8)
    assert float(away[0, 5, 3, 0]) == pytest.approx(5 / 8)
    assert float(away[0, 3, 7, 0]) == pytest.approx((7 + 14) / 8)
    assert float(away[0, 3, 4, 0]) == pytest.approx(3 / 8 + (16 + 1 / 64) ** 0.5)


def test_points_and_known_slices_are_where_paths_begin() -> None:
    prompts = prompts_of(16, [(4, 4, 4), (12, 12, 12)], [POSITIVE, NEGATIVE])
    known, mask = torch.zeros(2, 1, 16, 16, 16)
    known[0, 8], mask[0, 8, :8] = 1, 1
    maps = maps_of(replace(prompts, known=known, slices=mask))[0, -4:]
    assert (maps[[0, 2], 2, 2, 2] == torch.tensor([1.0, maps[2, 2, 2, 2]])).all() and float(maps[2, 2, 2, 2]) < 1
    assert float(maps[2, 6, 6, 6]) == 1 and float(maps[0, 4, 2, 5]) == 1 and float(maps[2, 4, 6, 5]) == 1


def test_a_mask_is_the_product_of_features_and_its_vector_and_a_constant() -> None:
    drawn = torch.randn(1, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    answer = read(drawn, torch.tensor([[[2.0, -1.0, 0.5], [0.0, 0.0, 3.0]]]))
    torch.testing.assert_close(answer[0, 0], 2 * drawn[0, 0] - drawn[0, 1] + 0.5)
    assert torch.equal(answer[0, 1], torch.full((4, 4, 4), 3.0))


@pytest.mark.parametrize("side", [16, 32, 48])
def test_windows_of_any_side_are_encoded_once_and_answered(side: int) -> None:
    model = tiny_volume_model()
    (embedding,) = model.encode(*a_window(side))
    assert [part.shape[2] for part in embedding.features] == [side // 2, *(side // n for n in (2, 4, 8, 16))]
    assert embedding.nbytes == sum(part.numel() * 4 for part in embedding.features)
    logits, quality = model.decode([embedding], prompts_of(side, [(5, 5, 5)], [POSITIVE]))
    assert logits.shape == (1, 4, side, side, side) and quality.shape == (1, 4)
    assert logits.isfinite().all() and bool(((quality > 0) & (quality < 1)).all())


def test_a_batch_is_answered_as_its_windows_one_by_one() -> None:
    model, (windows, inside) = tiny_volume_model(), a_window(32, 2)
    together = model.encode(windows, inside)
    apart = [model.encode(windows[row : row + 1], inside[row : row + 1])[0] for row in range(2)]
    points = torch.tensor([[[3.0, 4, 5], [9, 9, 9]], [[20, 20, 20], [0, 0, 0]]])
    labels = torch.tensor([[POSITIVE, NEGATIVE], [POSITIVE, PADDING]])
    prompts = replace(VolumePrompts.empty(windows.shape, CPU), points=points, labels=labels)
    logits, _ = model.decode(together, prompts)
    alone = prompts_of(32, [(20, 20, 20)], [POSITIVE])
    torch.testing.assert_close(logits[1:], model.decode(apart[1:], alone)[0], atol=1e-4, rtol=1e-3)


def test_each_prompt_changes_the_answer() -> None:
    model, (windows, inside) = tiny_volume_model(), a_window(16)
    embedding, plain = model.encode(windows, inside), prompts_of(16, [(5, 5, 5)], [POSITIVE])
    one = torch.ones(1, 16, 16, 16)
    asked = {
        "nothing": prompts_of(16),
        "negative": prompts_of(16, [(5, 5, 5)], [NEGATIVE]),
        "box": replace(plain, box=torch.tensor([[2.0, 2, 2, 9, 9, 9]])),
        "prior": replace(plain, prior=one, has_prior=torch.ones(1)),
        "slice": replace(plain, slices=one, known=one),
    }
    first = model.decode(embedding, plain)[0]
    same = [name for name, prompts in asked.items() if torch.allclose(model.decode(embedding, prompts)[0], first)]
    assert same == []


def test_weights_are_loaded_with_their_sizes() -> None:
    model = tiny_volume_model()
    metadata = {"config": config_to_json(TINY_VOLUMETRIC)}
    tensors = model.network.state_dict()
    loaded = VolumetricModel.from_tensors(tensors, metadata, name="again", digest="0", device=CPU)
    assert config_from_json(VolumetricConfig, metadata["config"]) == TINY_VOLUMETRIC == loaded.network.config
    prompts, (windows, inside) = prompts_of(16, [(5, 5, 5)], [POSITIVE]), a_window(16)
    answers = [m.decode(m.encode(windows, inside), prompts)[0] for m in (model, loaded)]
    assert torch.equal(*answers)


@pytest.mark.parametrize("config", [None, "{", "[]", '{"channels": 3}', '{"sizes": 4}', "null"])
def test_weights_without_their_sizes_are_refused(config: str | None) -> None:
    metadata = {} if config is None else {"config": config}
    with pytest.raises(CheckpointError, match="w: The sizes must be those of VolumetricConfig, got"):
        VolumetricNetwork.from_tensors(tiny_volume_model().network.state_dict(), metadata, "w")


def test_weights_of_another_configuration_are_refused() -> None:
    other = replace(TINY_VOLUMETRIC, channels=(8, 8, 16, 32))
    with pytest.raises(CheckpointError):
        VolumetricNetwork.from_tensors(tiny_volume_model().network.state_dict(), {"config": config_to_json(other)}, "w")


def test_a_file_that_claims_to_be_huge_takes_no_memory() -> None:
    huge = replace(TINY_VOLUMETRIC, channels=(10**5, 10**5, 10**5, 10**5))
    with pytest.raises(CheckpointError, match="wrong shape"):
        VolumetricNetwork.from_tensors(tiny_volume_model().network.state_dict(), {"config": config_to_json(huge)}, "w")


def test_a_copy_with_another_decoder_shares_the_encoder() -> None:
    model = tiny_volume_model()
    weights = {name: torch.zeros_like(value) for name, value in model.network.decoder.state_dict().items()}
    twin = model.with_decoder(weights)
    assert twin.network.encoder is model.network.encoder
    prompts, (windows, inside) = prompts_of(16, [(5, 5, 5)], [POSITIVE]), a_window(16)
    assert not twin.decode(twin.encode(windows, inside), prompts)[0].any()
    assert model.decode(model.encode(windows, inside), prompts)[0].any()


def test_heads_must_divide_the_channels() -> None:
    with pytest.raises(ValueError, match="160 channels at 1/16 must be a multiple of the 7 heads"):
        VolumetricConfig(heads=7)


def test_built_in_weights_take_at_most_12_megabytes_in_half_precision() -> None:
    network = VolumetricNetwork(VolumetricConfig())
    assert 2 * sum(tensor.numel() for tensor in network.state_dict().values()) <= 12_000_000
