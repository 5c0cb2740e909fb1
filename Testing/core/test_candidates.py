"""Candidates: the recommended mask, distinct masks beside it, what each changes and how likely each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from AdaptCore.preference.candidates import Proposal, propose
from AdaptCore.preference.recipe import DEFAULT, Recipe
from AdaptCore.preference.samples import Samples

SIDE = 64


def discs(radii: Sequence[float], centre: tuple[float, float] = (30, 34), steep: float = 30.0) -> Samples:
    """A disc of each radius, as z too; sure up to the outline."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    apart = np.hypot(rows - centre[0], columns - centre[1])
    logits = np.stack([steep * (radius + 0.01 - apart) for radius in radii]).astype(np.float32)
    return Samples(logits, np.array(radii, float)[:, None])


def mean_logits(samples: Samples) -> np.ndarray:
    """Of the mean probability."""
    mean = expit(samples.logits.clip(-15, 15)).mean(axis=0, dtype=np.float64)
    return np.asarray(logit(mean), dtype=np.float32)


def proposed(samples: Samples, seed: int, recipe: Recipe = DEFAULT) -> Proposal:
    """Beside the mask that the mean probability recommends."""
    return propose(samples, mean_logits(samples), seed, recipe)


def area(logits: np.ndarray) -> int:
    return int((logits > 0).sum())


def random_samples(seed: int, count: int = 24) -> Samples:
    """Wobbly blobs."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    z = rng.standard_normal((count, 4))
    angle, apart = np.arctan2(rows - 30, columns - 34), np.hypot(rows - 30, columns - 34)
    logits = [14 + 3 * a + 2 * b * np.cos(angle) + 2 * c * np.sin(2 * angle) - apart for a, b, c, _ in z]
    return Samples(np.stack(logits).astype(np.float32), z)


def groups(proposal: Proposal) -> list[list[int]]:
    return [list(candidate.members) for candidate in proposal.candidates]


def test_sizes_that_differ_become_candidates_from_small_to_large() -> None:
    samples = discs([20] * 4 + [6] * 3 + [12] * 10 + [16] * 5 + [9] * 2)
    proposal = proposed(samples, 0)
    assert area(proposal.logits) == area(samples.logits[7]), "the disc of radius 12"
    assert groups(proposal) == [[4, 5, 6], [22, 23], [17, 18, 19, 20, 21], [0, 1, 2, 3]]
    assert [candidate.probability for candidate in proposal.candidates] == pytest.approx(
        [3 / 24, 2 / 24, 5 / 24, 4 / 24]
    )
    assert list(proposal.members) == list(range(7, 17)) and proposal.probability == pytest.approx(10 / 24)
    assert [candidate.area_change for candidate in proposal.candidates] == [
        area(candidate.logits) - area(proposal.logits) for candidate in proposal.candidates
    ]
    assert proposal.candidates[1].area_change < 0 < proposal.candidates[2].area_change


def test_a_larger_candidate_adds_and_a_smaller_one_removes() -> None:
    proposal = proposed(discs([8] * 3 + [12] * 10 + [16] * 3), 0)
    small, large = proposal.candidates
    recommended = proposal.logits > 0
    assert not small.added.any() and np.array_equal(small.removed, recommended & (small.logits <= 0))
    assert not large.removed.any() and np.array_equal(large.added, (large.logits > 0) & ~recommended)
    assert small.removed.sum() == -small.area_change and large.added.sum() == large.area_change


def test_fewer_are_shown_if_fewer_differ() -> None:
    assert len(proposed(discs([10] * 20), 0).candidates) == 0
    assert groups(proposed(discs([10] * 20 + [14] * 4), 0)) == [[20, 21, 22, 23]]
    assert len(proposed(discs([8, 8, 10, 10, 10, 10, 10, 12, 12]), 0).candidates) == 2


def test_near_duplicates_are_one_candidate_with_all_members() -> None:
    near = [discs([20 + 0.01 * place], steep=steep).logits[0] for place, steep in enumerate((1, 4, 0.5, 30))]
    samples = Samples(np.stack([*discs([10] * 9).logits, *near]), np.zeros((13, 1)))
    proposal = proposed(samples, 0)
    assert groups(proposal) == [[9, 10, 11, 12]]
    assert proposal.candidates[0].probability == pytest.approx(4 / 13)


def test_how_much_differs_is_a_share_of_the_union() -> None:
    samples = discs([12] * 9 + [13])
    share = 1 - area(samples.logits[0]) / area(samples.logits[9])
    assert 0.1 < share < 0.2
    assert len(proposed(samples, 0, replace(DEFAULT, distinct=share - 1e-6)).candidates) == 1
    assert len(proposed(samples, 0, replace(DEFAULT, distinct=share + 1e-6)).candidates) == 0


def test_the_member_shown_is_the_one_nearest_to_the_centre() -> None:
    proposal = proposed(discs([12] * 20 + [20, 22, 24]), 0, replace(DEFAULT, candidates=1))
    (candidate,) = proposal.candidates
    assert list(candidate.members) == [20, 21, 22] and candidate.member == 21


def test_an_empty_mask_is_no_candidate() -> None:
    proposal = proposed(discs([12] * 8 + [-1] * 3 + [16] * 3), 0)
    assert groups(proposal) == [[11, 12, 13]]
    assert list(proposal.members) == list(range(8))
    assert proposed(discs([-1] * 3), 0).candidates == ()


def test_small_objects_keep_their_candidates() -> None:
    proposal = proposed(discs([2.1] * 6 + [3.1] * 3 + [4.1] * 3, centre=(5, 6)), 0)
    assert groups(proposal)[-1] == [9, 10, 11] and len(proposal.candidates) >= 2


def test_there_are_no_more_than_wanted() -> None:
    assert len(proposed(random_samples(2, 48), 0).candidates) == 4
    assert len(proposed(random_samples(2, 48), 0, replace(DEFAULT, candidates=2)).candidates) == 2


def test_the_same_seed_gives_the_same_candidates() -> None:
    samples = random_samples(3, 48)
    one, other = proposed(samples, 5), proposed(samples, 5)
    assert groups(one) == groups(other) and [c.member for c in one.candidates] == [c.member for c in other.candidates]


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (33, 31), (128, 7)])
def test_maps_of_any_shape_have_candidates(shape: tuple[int, int]) -> None:
    logits = np.full((9, *shape), -3.0, np.float32)
    logits[:, : shape[0] // 2 + 1] = 3.0
    logits[6:] = 3.0
    proposal = proposed(Samples(logits, np.zeros((9, 2))), 0)
    assert groups(proposal) == ([] if shape == (1, 1) else [[6, 7, 8]])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 48))
def test_candidates_of_any_samples_hold_together(seed: int, count: int) -> None:
    samples = random_samples(seed, count)
    proposal = proposed(samples, seed)
    recommended = proposal.logits > 0
    shown = [candidate.logits > 0 for candidate in proposal.candidates]
    members = [*proposal.members, *(index for group in groups(proposal) for index in group)]
    assert len(members) == len(set(members))
    left = set(range(count)) - set(members)
    assert all(not (samples.logits[index] > 0).any() for index in left), "only empty masks stand for nothing"
    changes = [candidate.area_change for candidate in proposal.candidates]
    assert changes == sorted(changes) and len(changes) <= 4
    for candidate, mask in zip(proposal.candidates, shown):
        assert candidate.member in candidate.members
        assert np.array_equal(candidate.logits, samples.logits[candidate.member])
        assert np.array_equal((recommended | candidate.added) & ~candidate.removed, mask)
        assert candidate.probability == pytest.approx(len(candidate.members) / count)
    for place, mask in enumerate(shown):
        for other in (recommended, *shown[:place]):
            assert (mask ^ other).sum() >= DEFAULT.distinct * (mask | other).sum()


@pytest.mark.parametrize(
    ("logits", "z"),
    [((3, 4, 4), (2, 5)), ((4, 4), (4, 5)), ((0, 4, 4), (0, 5)), ((3, 0, 4), (3, 5)), ((3, 4, 4), (3,))],
)
def test_samples_that_do_not_fit_are_refused(logits: tuple[int, ...], z: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected logits \(N, h, w\) or \(N, d, h, w\) with z \(N, D\)"):
        Samples(np.zeros(logits, np.float32), np.zeros(z))


def test_what_looks_like_the_object_far_away_is_left_out() -> None:
    near, far = discs([10, 14, 12]), discs([6, 6, 6], centre=(8, 8))
    samples = Samples(np.maximum(near.logits, far.logits), near.z)
    proposal = propose(samples, near.logits[2], 0)
    assert [area(each.logits) for each in proposal.candidates] == [area(near.logits[0]), area(near.logits[1])]
    assert not any(each.added[:16, :16].any() for each in proposal.candidates)


def test_a_mask_that_lies_apart_as_a_whole_is_offered() -> None:
    near, far = discs([10, 10]), discs([6], centre=(8, 8))
    samples = Samples(np.concatenate([near.logits, far.logits]), np.arange(3.0)[:, None])
    proposal = propose(samples, near.logits[0], 0)
    assert [area(each.logits) for each in proposal.candidates] == [area(far.logits[0])]


def test_every_mask_stands_for_what_is_shown_that_differs_least_from_it() -> None:
    samples = discs([10, 10.4, 12, 16, 16.3, 22])
    proposal = propose(samples, samples.logits[2], 0, replace(DEFAULT, candidates=2))
    assert [list(proposal.members), *groups(proposal)] == [[2], [0, 1], [3, 4, 5]]
    assert proposal.probability + sum(each.probability for each in proposal.candidates) == pytest.approx(1)
    wide = propose(samples, samples.logits[2], 0, replace(DEFAULT, candidates=1))
    assert [list(wide.members), *groups(wide)] == [[0, 1, 2], [3, 4, 5]], "small ones look more like the recommended"
