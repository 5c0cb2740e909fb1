"""Simulated users: what they ask for, where they click, and what they tell besides."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from AdaptCore.models.volume_prompts import NEGATIVE, PADDING, POSITIVE, VolumePrompts
from AdaptCore.training.fields import Grid
from AdaptCore.training.interaction import (
    Targets,
    boxes,
    choose_targets,
    click_weights,
    contrast,
    corrected,
    degraded,
    depth,
    emphasis,
    first_prompts,
    pick,
    repeated,
    shares,
    with_click,
    with_slice,
    worth_asking,
)
from AdaptCore.training.scene3d import LABELS, SceneBatch, scenes

CPU = torch.device("cpu")
COUNT, SIDE = 60, 16


def a_draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def a_block(planes: int = SIDE, count: int = COUNT) -> Tensor:
    """bool N x D x H x W; on planes a rectangle."""
    mask = torch.zeros(count, planes, SIDE, SIDE, dtype=torch.bool)
    mask[:, (slice(4, 12) if planes > 1 else slice(None)), 2:10, 6:14] = True
    return mask


def asking(mask: Tensor, valid: Tensor | None = None) -> Targets:
    return Targets(mask.float(), torch.ones(mask.shape) if valid is None else valid.float(), torch.arange(len(mask)))


def at(mask: Tensor, positions: Tensor) -> Tensor:
    """The mask's values at positions N x 3."""
    d, h, w = positions.round().long().unbind(1)
    return mask[torch.arange(len(mask)), d, h, w]


def a_scene(labels: Tensor, parent: dict[int, int] | None = None) -> SceneBatch:
    table = torch.arange(LABELS).expand(len(labels), -1).clone()
    for child, outer in (parent or {}).items():
        table[:, child] = outer
    inside = torch.ones(labels.shape, dtype=torch.bool)
    return SceneBatch(labels.float(), labels, inside, table, torch.ones(3, dtype=torch.long))


def asked_for(scene: SceneBatch, rounds: int = 400) -> Tensor:
    """Targets of many draws, bool rounds x D x H x W."""
    draw = a_draw()
    return torch.cat([choose_targets(draw, scene, 1).truth for _ in range(rounds)])


@pytest.mark.parametrize("planes", [SIDE, 1])
@pytest.mark.parametrize("middle", [True, False])
def test_clicks_lie_in_the_region_and_everywhere_in_it(planes: int, middle: bool) -> None:
    mask = a_block(planes)
    places = pick(a_draw(), click_weights(mask), torch.full((COUNT,), middle))
    assert bool(at(mask, places).all())
    spread = places[:, 1:].std(0)
    assert bool((spread < 0.5).all()) if middle else bool((spread > 1).all())
    assert planes > 1 or not places[:, 0].any()


def test_the_deepest_place_is_the_middle_and_a_face_of_the_window_is_no_border() -> None:
    mask = torch.zeros(2, 8, 8, 8)
    mask[0, 2:7, 1:6, 2:7] = 1
    mask[1, :, :, :3] = 1
    deep = depth(mask)
    assert deep[0].argmax() == (4 * 8 + 3) * 8 + 4 and float(deep[0].max()) == 3
    assert deep[1, 3, 3].tolist() == [3, 2, 1, 0, 0, 0, 0, 0]
    assert torch.equal(deep[1], deep[1, :1, :1].expand(8, 8, 8))


def test_clicks_into_what_is_thinner_than_a_cell_still_hit_it() -> None:
    thin = torch.zeros(COUNT, SIDE, SIDE, SIDE, dtype=torch.bool)
    thin[:, 5, 7, 3:11] = True
    assert float(shares(thin).max()) == 0.25
    places = pick(a_draw(), click_weights(thin), torch.zeros(COUNT, dtype=torch.bool))
    assert bool(((places[:, 0] - 4.5).abs() <= 0.6).all() and ((places[:, 1] - 6.5).abs() <= 0.6).all())
    assert bool((places[:, 2] > 1.8).all() and (places[:, 2] < 11.2).all())


@pytest.mark.parametrize("planes", [SIDE, 1])
def test_correction_goes_to_the_deeper_error(planes: int) -> None:
    truth = a_block(planes)
    both = truth.clone()
    both[:, :, 2:8] = False
    both[:, :, 12:14, 2:4] = True
    answers = {"missed": torch.zeros_like(truth), "added": torch.ones_like(truth), "both": both}
    found = {}
    for name, answer in answers.items():
        prompts, latest = corrected(a_draw(), VolumePrompts.empty(truth.shape, CPU), answer, asking(truth))
        assert torch.equal(prompts.points[:, 0], latest)
        wrong = truth ^ answer
        assert bool(at(wrong, latest).all())
        found[name] = prompts.labels.unique().tolist()
    assert found == {"missed": [POSITIVE], "added": [NEGATIVE], "both": [POSITIVE]}


def test_no_click_is_added_to_a_perfect_mask_or_where_nothing_is_valid() -> None:
    truth = a_block()
    padding, valid = truth.clone(), torch.ones(truth.shape)
    padding[:, 14:] = True
    valid[:, 14:] = 0
    for answer, targets in ((truth, asking(truth)), (padding, asking(truth, valid))):
        prompts, latest = corrected(a_draw(), VolumePrompts.empty(truth.shape, CPU), answer, targets)
        assert prompts.labels.unique().tolist() == [PADDING] and bool(latest.isnan().all())


def test_boxes_lie_around_the_target_and_an_absent_one_has_none() -> None:
    mask = a_block()
    mask[0] = False
    found = boxes(a_draw(), mask)
    assert bool(found[0].isnan().all())
    exact = torch.tensor([3.5, 1.5, 5.5, 11.5, 9.5, 13.5])
    assert float((found[1:] - exact).abs().max()) <= 0.08 * 8 and float((found[1:] - exact).abs().mean()) > 0.1


def test_known_slices_hold_the_mask_on_one_plane_through_the_click() -> None:
    truth, grid = a_block(count=120), Grid.cube(1, SIDE, CPU)
    clicked = torch.tensor([[6.3, 5.0, 9.8]]).expand(120, -1)
    asked = torch.arange(120) % 2 == 0
    prompts = with_slice(a_draw(), VolumePrompts.empty(truth.shape, CPU), truth, clicked, grid, asked)
    assert not prompts.known[~asked].any() and not prompts.slices[prompts.known == 0].any()
    known = prompts.known[asked] > 0
    assert bool(known[:, 6, 5, 10].all())
    flat = [i for i, one in enumerate(known) if any(one.sum() == 256 and one.any(a).all() for a in (0, 1, 2))]
    assert 0.7 < len(flat) / 60 < 0.97
    exact = [bool((prompts.slices[asked][i] == truth[asked][i] * known[i]).all()) for i in range(60)]
    assert 0.3 < sum(exact) / 60 < 0.75


def test_earlier_masks_are_near_the_target() -> None:
    truth = a_block()
    guess = degraded(a_draw(), truth, Grid.cube(1, SIDE, CPU)) > 0
    overlap = (guess & truth).sum((1, 2, 3)) / (guess | truth).sum((1, 2, 3))
    assert 0.5 < float(overlap.mean()) < 0.97 and float(overlap.min()) > 0.1


@pytest.mark.parametrize("planes", [SIDE, 1])
def test_every_start_has_something_to_go_by(planes: int) -> None:
    truth = a_block(planes, 400)
    grid = Grid.cube(1, SIDE, CPU)
    grid = replace(grid, points=grid.points[:, :, :planes])
    prompts, lone = first_prompts(a_draw(1), asking(truth), grid, 0.35 if planes > 1 else 0.0)
    positive, negative = ((prompts.labels == label).any(1) for label in (POSITIVE, NEGATIVE))
    boxed, prior = prompts.box.isfinite().all(1), prompts.has_prior > 0
    known = prompts.known.flatten(1).any(1)
    assert bool((positive | boxed | known | prior).all())
    assert bool(known.any()) is (planes > 1)
    assert bool((~negative | positive | known).all())
    assert bool(((prompts.labels != PADDING).sum(1)[lone] == 1).all()) and bool(positive[lone].all())
    assert not (lone & (boxed | known | prior | negative)).any()
    assert 0.25 < float(lone.float().mean()) < 0.75
    for place in range(prompts.points.shape[1]):
        here, label = at(truth, prompts.points[:, place].clamp(0, SIDE - 1)), prompts.labels[:, place]
        assert bool(here[label == POSITIVE].all()) and not here[label == NEGATIVE].any()


def test_nobody_clicks_on_what_is_not_there_or_beside_what_fills_the_window() -> None:
    truth = a_block(count=200)
    truth[:100], truth[100:] = False, True
    prompts, lone = first_prompts(a_draw(), asking(truth), Grid.cube(1, SIDE, CPU))
    assert bool((prompts.labels[:100] == PADDING).all()) and not lone[:100].any()
    assert not (prompts.labels[100:] == NEGATIVE).any()


def test_clicks_for_some_samples_are_padding_for_the_others() -> None:
    prompts = VolumePrompts.empty((2, 4, 4, 4), CPU)
    positions = torch.tensor([[1.0, 2, 3], [3, 2, 1]])
    prompts = with_click(prompts, positions, torch.tensor([POSITIVE, NEGATIVE]), torch.tensor([False, True]))
    prompts = with_click(prompts, positions, torch.tensor([POSITIVE, NEGATIVE]), torch.tensor([True, True]))
    assert prompts.labels.tolist() == [[PADDING, POSITIVE], [NEGATIVE, NEGATIVE]]
    assert torch.equal(prompts.points[:, 1], positions)


def test_targets_are_labels_of_the_scene_with_or_without_what_lies_in_them() -> None:
    labels = torch.zeros(1, SIDE, SIDE, SIDE, dtype=torch.long)
    labels[:, 2:12, 1:15, 1:15], labels[:, 4:8, 4:8, 4:8] = 8, 9
    outer, inner = labels[0] == 8, labels[0] == 9
    wanted = {"outer": outer, "both": outer | inner, "inner": inner, "rest": ~(outer | inner)}
    targets = choose_targets(a_draw(), a_scene(labels, {9: 8}), 2)
    assert targets.row.tolist() == [0] * 2 and bool((targets.valid == 1).all())
    counts = dict.fromkeys([*wanted, "drawn"], 0)
    for mask in asked_for(a_scene(labels, {9: 8})):
        same = [name for name, one in wanted.items() if torch.equal(one, mask)]
        overlap = max(float((one & mask).sum() / (one | mask).sum()) for one in wanted.values())
        assert same or overlap > 0.5
        counts[same[0] if same else "drawn"] += 1
    assert counts["outer"] > 40 and counts["both"] > 40 and counts["inner"] > 10
    assert 0 < counts["rest"] < 25 and 20 < counts["drawn"] < 160


def test_what_cannot_be_seen_or_is_cut_or_tiny_is_seldom_asked_for() -> None:
    labels = torch.zeros(1, 32, 32, 32, dtype=torch.long)
    corners = {8: (slice(4, 12),) * 3, 9: (slice(20, 28),) * 3, 10: (slice(4, 12), slice(20, 28), slice(24, 32))}
    for number, corner in corners.items():
        labels[0][corner] = number
    labels[0, 20:22, 4:6, 4:6] = 11
    scene = a_scene(labels)
    scene.image[labels == 9] = 0
    worth = worth_asking(scene.image, scene.labels)[0]
    assert contrast(scene.image, scene.labels)[0, 9] < 0.1 < 1 < contrast(scene.image, scene.labels)[0, 8]
    assert float(worth[9] / worth[8]) == pytest.approx(0.01, rel=0.01)
    assert float(worth[10] / worth[8]) == pytest.approx(0.25, rel=0.01)
    assert float(worth[11]) < 1e-6 * float(worth[8]) and float(worth.min()) > 0


def test_targets_of_a_scene_differ_while_there_are_others() -> None:
    labels = torch.zeros(1, SIDE, SIDE, SIDE, dtype=torch.long)
    labels[:, 1:7, 1:7, 1:7], labels[:, 9:15, 9:15, 9:15] = 8, 9
    draw = a_draw()
    for _ in range(20):
        asked = choose_targets(draw, a_scene(labels), 3).truth
        assert {(bool(mask[3, 3, 3]), bool(mask[11, 11, 11])) for mask in asked} >= {(True, False), (False, True)}


def test_targets_of_planes_are_seen_on_the_plane_that_is_shown() -> None:
    labels = torch.zeros(1, 2, SIDE, SIDE, dtype=torch.long)
    labels[:, 1, 4:12, 4:12] = 9
    labels[:, 0, 2:8, 2:8] = 10
    on_first, on_second = (choose_targets(a_draw(), a_scene(labels), 50, slice(n, n + 1)) for n in (0, 1))
    assert not any(bool(mask[1, 5:11, 5:11].all() & ~mask[1, 0].any()) for mask in on_first.truth)
    assert any(bool(mask[0, 3:7, 3:7].all()) for mask in on_first.truth)
    assert any(bool(mask[1, 5:11, 5:11].all()) for mask in on_second.truth)


def test_what_lies_outside_of_the_volume_does_not_count() -> None:
    scene = a_scene(torch.full((2, 8, 8, 8), 9))
    scene.inside[1, :3] = False
    targets = choose_targets(a_draw(), scene, 3)
    assert targets.row.tolist() == [0, 0, 0, 1, 1, 1]
    assert bool((targets.valid[:3] == 1).all()) and not targets.valid[3:, :3].any()
    assert bool((targets.valid[3:, 3:] == 1).all())


def test_the_same_seed_asks_for_the_same() -> None:
    def asked(seed: int) -> Tensor:
        scene = scenes(a_draw(2), Grid.cube(1, SIDE, CPU))
        return choose_targets(a_draw(seed), scene, 4).mask

    assert torch.equal(asked(5), asked(5)) and not torch.equal(asked(5), asked(6))


def test_surroundings_of_a_correction_count_more() -> None:
    weights = emphasis(torch.tensor([[4.0, 10, 12], [torch.nan] * 3]), torch.Size((2, 16, 16, 16)))
    assert int(weights[0].argmax()) == (4 * 16 + 10) * 16 + 12 and float(weights[0].max()) == pytest.approx(5)
    expected = 1 + 4 * float(torch.tensor(-0.5 * (2 / 1.28) ** 2).exp())
    assert float(weights[0, 4, 8, 12]) == pytest.approx(expected, rel=1e-5)
    assert torch.equal(weights[1], torch.ones(16, 16, 16))


def test_features_are_repeated_for_each_target_of_a_scene() -> None:
    (features,) = repeated((torch.tensor([[1.0], [2.0]]),), torch.tensor([0, 0, 1]))
    assert features.tolist() == [[1], [1], [2]]
