"""Descriptions of cases, which to review next, and which unlabelled ones to trust."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.cohort.description import LENGTH, Description, describe
from AdaptCore.cohort.queries import LIKE_HARD, LIKE_NEW, METHODS, UNLIKE, Method, rank
from AdaptCore.cohort.selection import trusted
from AdaptCore.errors import AdaptSegError
from Testing.cohort_volumes import a_label, probabilities_of, some_features


def a_case(name: str, angle: float, difficulty: float = 0.2, entropy: float = 0.1) -> Description:
    """A case whose vector points in a direction, in degrees."""
    radians = np.deg2rad(angle)
    return Description(name, np.array([np.cos(radians), np.sin(radians)], np.float32), difficulty, entropy)


def test_difficulty_is_uncertainty_inside_the_predicted_foreground_only() -> None:
    label = a_label()
    probabilities = probabilities_of(label, sure=1.0)
    probabilities[:, 0] = np.array([0.5, 0.25, 0.25], np.float32)[:, None, None]
    outside = describe("outside", some_features(label), probabilities)
    assert outside.difficulty == pytest.approx(0, abs=1e-3)
    assert outside.entropy > 0.03
    inside = describe("inside", some_features(label), probabilities_of(label, sure=0.6))
    assert inside.difficulty > 0.7


def test_a_case_without_foreground_is_the_hardest() -> None:
    empty = np.zeros_like(a_label())
    assert describe("empty", some_features(empty), probabilities_of(empty)).difficulty == 1


def test_the_vector_follows_the_object_and_tells_another_one_apart() -> None:
    label, moved = a_label(), a_label((3, 2, -2))
    swapped = np.array([0, 2, 1], np.uint8)[label]
    known, same, other = (
        describe("", some_features(shown, seed=seed), probabilities_of(label if shown is swapped else shown)).vector
        for seed, shown in enumerate((label, moved, swapped))
    )
    assert known.shape == (LENGTH,) and np.linalg.norm(known) == pytest.approx(1, abs=1e-5)
    assert known @ same > 0.85 > 0.5 > known @ other


def test_farthest_goes_to_the_far_end_and_then_between() -> None:
    cases = [a_case("near", 5), a_case("far", 80), a_case("beside far", 79), a_case("middle", 40)]
    chosen = rank("farthest", [a_case("known", 0)], cases, 2)
    assert [query.id for query in chosen] == ["far", "middle"]
    assert {query.reason for query in chosen} == {UNLIKE}


def a_crowd(name: str, angle: float, difficulty: float = 0.2) -> list[Description]:
    """Thirty cases that are nearly alike."""
    return [a_case(f"{name} {n}", angle + n / 10, difficulty) for n in range(30)]


def test_ours_takes_from_a_crowd_before_the_odd_one() -> None:
    cases = [*a_crowd("many", 60), a_case("odd", 170)]
    known = [a_case("known", 0)]
    (first,) = rank("ours", known, cases, 1)
    assert first.id.startswith("many") and first.reason == LIKE_NEW
    assert rank("farthest", known, cases, 1)[0].id == "odd"


def test_ours_takes_the_harder_of_two_crowds_first_and_then_the_other() -> None:
    cases = [*a_crowd("easy", 60, 0.2), *a_crowd("hard", -60, 0.4)]
    chosen = rank("ours", [a_case("known", 0)], cases, 2)
    assert [query.id.split()[0] for query in chosen] == ["hard", "easy"]
    assert chosen[0].reason == LIKE_HARD
    assert [query.score for query in chosen] == pytest.approx([0.1, 0.1], abs=0.02)  # 0.2 are left, then 0.1, then none


def test_cases_in_which_nothing_was_found_do_not_hide_what_a_case_gains() -> None:
    lost = [Description(f"lost {n}", np.zeros(2, np.float32), 1.0, 0.1) for n in range(8)]
    cases = [*(a_case(f"twin {n}", 1 + n / 10, 0.1) for n in range(6)), *lost, *a_crowd("new", 60)]
    assert rank("ours", [a_case("known", 0)], cases, 1)[0].id.startswith("new")


def test_comparing_in_blocks_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    cases = [a_case(str(n), generator.uniform(0, 360), generator.uniform(0.1, 1)) for n in range(30)]
    whole = [query.id for query in rank("ours", cases[:1], cases[1:], 8)]
    monkeypatch.setattr("AdaptCore.cohort.queries.BLOCK", 4)
    assert [query.id for query in rank("ours", cases[:1], cases[1:], 8)] == whole


def test_entropy_takes_the_most_uncertain() -> None:
    cases = [a_case("low", 0, entropy=0.1), a_case("high", 0, entropy=0.5), a_case("mid", 0, entropy=0.3)]
    assert [query.id for query in rank("entropy", [], cases, 2)] == ["high", "mid"]


def test_chance_depends_on_the_seed_only() -> None:
    cases = [a_case(str(n), n) for n in range(20)]
    orders = [[query.id for query in rank("random", [], cases, 20, seed)] for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0], key=int) == [str(n) for n in range(20)]


@pytest.mark.parametrize("method", METHODS)
def test_no_case_is_asked_for_twice_and_none_is_left_out(method: Method) -> None:
    cases = [a_case(str(n), 7 * n, difficulty=n / 9) for n in range(6)]
    assert sorted(query.id for query in rank(method, [], cases, 99)) == [str(n) for n in range(6)]
    assert rank(method, [], [], 3) == []


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(
        AdaptSegError, match="Expected one of the query methods ours, random, entropy, farthest, got 'best'"
    ):
        rank("best", [], [a_case("a", 0)], 1)  # type: ignore[arg-type]


def test_the_confident_and_near_are_trusted_and_the_reason_counts_the_others() -> None:
    near = [a_case(f"near {n}", n, 0.1 + n / 100) for n in range(8)]
    unlike, hard = a_case("unlike", 90, 0.05), a_case("hard", 0, 0.9)
    kept, reason = trusted([a_case("known", 0)], [*near, unlike, hard])
    assert kept == [0, 1, 2, 3, 4, 5]
    assert reason.startswith("6 of 10 cases are confident and near a labelled one; 3 are not confident, 1 more")


def test_without_a_label_nothing_is_trusted() -> None:
    assert trusted([], [a_case("a", 0)])[0] == []
    assert trusted([a_case("a", 0)], [])[0] == []
