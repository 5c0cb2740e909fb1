"""Propagation follows an object through its planes and stops where it ends."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.masks import dice, mask_logits
from AdaptCore.predict.motion import carried
from AdaptCore.predict.plane import PlaneEncoder
from AdaptCore.predict.propagate import (
    PropagationPolicy,
    drop_strays,
    gather,
    innermost,
    learn_context,
    next_plane,
    prompts_from,
    propagate_planes,
)
from AdaptCore.predict.zoom import choose_window
from AdaptCore.prompts import Box, Click
from Testing.toy_model import ToyModel

SIDE = 96
START = -1


def a_disc(radius: float, x: float = 40, y: float = 50) -> np.ndarray:
    rows, columns = np.mgrid[:SIDE, :SIDE]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def an_image(mask: np.ndarray) -> np.ndarray:
    return (0.2 + 0.6 * mask).astype(np.float32)


class Planes:
    """Images by index, with their embeddings."""

    def __init__(self, masks: list[np.ndarray], start: np.ndarray) -> None:
        self.masks = {**dict(enumerate(masks)), START: start}
        self.indices = range(len(masks))
        self.start = start
        self.model = ToyModel()
        self.cache = EmbeddingCache()

    def plane_of(self, index: int) -> PlaneEncoder:
        return PlaneEncoder(self.model, an_image(self.masks[index]), self.cache)

    def run(self, confirmed: dict[int, np.ndarray] | None = None, **policy) -> dict:
        fixed = confirmed or {}
        steps = propagate_planes(
            self.model,
            START,
            self.start,
            self.indices,
            self.plane_of,
            fixed.get,
            PropagationPolicy(**policy),
        )
        return {plane.index: plane for plane in steps}


def test_box_grows_by_the_margin_and_is_cut_to_the_plane():
    mask = np.zeros((60, 80), bool)
    mask[10:30, 0:40] = True
    prompts = prompts_from(mask, PropagationPolicy(box_margin=0.1, min_box_margin=2, inner_click=False))
    assert prompts.box == Box(-0.5, 5.5, 43.5, 33.5)
    assert prompts.clicks == ()


def test_small_objects_box_grows_by_the_least_margin():
    mask = np.zeros((60, 80), bool)
    mask[30, 40] = True
    assert prompts_from(mask, PropagationPolicy(min_box_margin=2)).box == Box(37.5, 27.5, 42.5, 32.5)


def test_innermost_point_is_farthest_from_outside_and_from_the_image_border():
    mask = np.zeros((40, 60), bool)
    mask[10:21, 20:31] = True
    mask[15, 31:50] = True
    assert innermost(mask) == Click(25, 15)
    at_border = np.zeros((40, 60), bool)
    at_border[0:21, 0:21] = True
    assert innermost(at_border) == Click(10, 10)


def test_dice_of_masks():
    assert dice(a_disc(10), a_disc(10)) == 1.0
    assert dice(a_disc(5, 10, 10), a_disc(5, 60, 60)) == 0.0
    assert dice(a_disc(0), a_disc(0)) == 1.0
    half = a_disc(10) & (np.arange(SIDE) < 40)
    assert dice(a_disc(10), half) == pytest.approx(2 * half.sum() / (half.sum() + a_disc(10).sum()))


@pytest.mark.parametrize("zoomed", [True, False])
def test_growing_and_moving_object_is_followed(zoomed):
    truth = [a_disc(12 + index, 40 + index, 50) for index in range(6)]
    found = Planes(truth, a_disc(12)).run(**({} if zoomed else {"zoom": None}))
    assert list(found) == list(range(6))
    assert min(dice(found[index].mask, truth[index]) for index in found) > 0.93
    assert all(0.8 < plane.confidence <= 1.0 for plane in found.values())


def test_masks_are_read_only():
    with pytest.raises(ValueError, match="read-only"):
        Planes([a_disc(12)], a_disc(12)).run()[0].mask[0, 0] = True


def test_propagation_stops_where_the_object_ends():
    truth = [a_disc(14), a_disc(13), a_disc(12), a_disc(0), a_disc(0), a_disc(12)]
    assert list(Planes(truth, a_disc(14)).run()) == [0, 1, 2]


def test_propagation_stops_where_the_object_looks_otherwise():
    planes = Planes([a_disc(14)] * 3, a_disc(14))
    grey = PlaneEncoder(planes.model, 0.2 + 0.12 * a_disc(14).astype(np.float32), planes.cache)
    planes.plane_of = lambda index: grey if index == 1 else Planes.plane_of(planes, index)
    assert list(planes.run()) == [0]
    assert list(planes.run(min_likeness=0.0, context_weight=0.0)) == [0, 1, 2]


def test_collapse_in_area_ends_the_object():
    truth = [a_disc(20), a_disc(5)]
    assert list(Planes(truth, a_disc(20)).run(min_likeness=0.0, min_area_ratio=0.1)) == [0]
    assert list(Planes(truth, a_disc(20)).run(min_likeness=0.0, min_area_ratio=0.01)) == [0, 1]


def test_confidence_is_likeness_times_agreement_with_the_moved_mask():
    planes = Planes([a_disc(10)], a_disc(14))
    policy = PropagationPolicy()
    plane = planes.run()[0]
    context = learn_context(planes.model, a_disc(14), planes.plane_of(START), policy)
    moved = carried(a_disc(14), an_image(a_disc(14)), an_image(a_disc(10))) > 0
    window = choose_window(moved, prompts_from(moved, policy), (SIDE, SIDE), policy.zoom)
    score = context.score(planes.plane_of(0)(window)).numpy()
    likeness = (1 + score[moved[window.slices]].mean()) / 2
    assert 0.35 < likeness < 0.98
    assert plane.confidence == pytest.approx(likeness * dice(moved, plane.mask), abs=1e-6)


def test_parts_apart_from_the_mask_before_are_dropped():
    logits = torch.from_numpy(mask_logits(a_disc(8, 30, 40) | a_disc(5, 70, 40)))
    kept = drop_strays(logits, a_disc(8, 34, 40))
    assert np.array_equal(kept.numpy() > 0, a_disc(8, 30, 40))
    assert logits[40, 70] > 0 > kept[40, 70]


def test_second_object_nearby_is_not_taken_up():
    truth = [a_disc(10) | a_disc(4, 58, 50)]
    assert dice(Planes(truth, a_disc(10)).run(inner_click=False, min_box_margin=20)[0].mask, a_disc(10)) > 0.9


def test_confirmed_plane_is_left_out_and_is_the_new_start():
    truth = [a_disc(12), a_disc(12), a_disc(12, 60, 20), a_disc(12, 60, 20)]
    assert list(Planes(truth, a_disc(12)).run()) == [0, 1]
    found = Planes(truth, a_disc(12)).run(confirmed={2: a_disc(12, 60, 20)})
    assert list(found) == [0, 1, 3]
    assert dice(found[3].mask, a_disc(12, 60, 20)) > 0.93


def test_empty_confirmed_plane_ends_the_object():
    truth = [a_disc(12), a_disc(12), a_disc(12)]
    assert list(Planes(truth, a_disc(12)).run(confirmed={1: a_disc(0)})) == [0]


def test_prior_is_the_moved_masks_distance_within_its_limit():
    class Remembering(ToyModel):
        def decode(self, embedding, prompts, prior_logits=None):
            self.prior = prior_logits
            return super().decode(embedding, prompts, prior_logits)

    model = Remembering()
    encoder = PlaneEncoder(model, an_image(a_disc(40)), EmbeddingCache())
    policy = PropagationPolicy(prior_limit=6.0, prior_gain=2.0)
    next_plane(model, learn_context(model, a_disc(40), encoder, policy), a_disc(40), encoder, 0, encoder, policy)
    assert float(model.prior.max()) == pytest.approx(6.0, abs=1e-3)
    assert float(model.prior[:, :10].min()) == pytest.approx(-6.0, abs=1e-3)
    between = model.prior[(model.prior > -5) & (model.prior < 5)]
    assert between.numel() > 100


def test_zoomed_propagation_encodes_one_window_per_plane_and_decodes_once():
    planes = Planes([a_disc(10), a_disc(11)], a_disc(12))
    planes.run()
    assert planes.model.decoded == 2
    assert planes.model.encoded == 3


def test_appearance_is_learnt_anew_on_a_confirmed_plane():
    class Fading(Planes):
        def plane_of(self, index: int) -> PlaneEncoder:
            image = (0.2 if index < 1 else 0.9) + (0.6 if index < 1 else -0.6) * self.masks[index]
            return PlaneEncoder(self.model, image.astype(np.float32), self.cache)

    planes = Fading([a_disc(12)] * 4, a_disc(12))
    assert list(planes.run()) == [0]
    assert list(planes.run(confirmed={1: a_disc(12)})) == [0, 2, 3]


def some_steps(planes: Planes, indices: range):
    return propagate_planes(
        planes.model,
        START,
        planes.start,
        indices,
        planes.plane_of,
        lambda index: None,
        PropagationPolicy(),
    )


def test_progress_counts_planes_and_the_total_shrinks_when_a_direction_ends():
    planes = Planes([a_disc(12), a_disc(12), a_disc(0), a_disc(0), a_disc(12), a_disc(12)], a_disc(12))
    directions = [some_steps(planes, range(4)), some_steps(planes, range(5, 3, -1))]
    heard: list[tuple[int, int, float]] = []
    result = gather(2, 9, directions, [4, 2], lambda *told: heard.append(told), None)
    assert [told[:2] for told in heard] == [(1, 6), (2, 6), (3, 4), (4, 4)]
    assert [told[2] for told in heard] == list(result.confidences.values())
    assert list(result.masks) == [0, 1, 5, 4]
    assert (result.axis, result.start, result.cancelled) == (2, 9, False)


@pytest.mark.parametrize("planes_before_cancelling", range(5))
def test_cancellation_at_any_plane_keeps_what_was_done(planes_before_cancelling):
    planes = Planes([a_disc(12)] * 4, a_disc(12))
    directions = [some_steps(planes, range(2)), some_steps(planes, range(2, 4))]
    done: list[int] = []
    result = gather(0, 0, directions, [2, 2], lambda *_: done.append(1), lambda: len(done) == planes_before_cancelling)
    assert list(result.masks) == list(range(planes_before_cancelling))
    assert result.cancelled
