"""The benchmark of learning: its arms, its figures, its bad users, its long sequences and its command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.adapt.learner import Learner
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.cli import main
from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import (
    ARMS,
    Arm,
    Rules,
    Shown,
    Trial,
    arms_of,
    by_recipe,
    in_random_order,
    run_seeds,
    run_target,
    show,
    work_on,
)
from AdaptCore.evaluate.adapt_figures import (
    figures,
    measures,
    noise_figures,
    pooled,
    quarters,
    relative_reduction,
    summarize_arm,
)
from AdaptCore.evaluate.adapt_long import ONE_TASK, OWN_TASKS, blocks, run_sequence, sequence_figures, soak
from AdaptCore.evaluate.adapt_noise import Noise, another, dilated, eroded, shifted
from AdaptCore.evaluate.adapt_report import comparison
from AdaptCore.evaluate.clicks import ModelSegmenter, click_curve
from AdaptCore.evaluate.datasets import Item, Target
from AdaptCore.evaluate.learning_curve import running_mean
from AdaptCore.predict.learning import Example, Taught
from Testing.learning_toy import LearningToy, a_cone

QUICK = Recipe("quick", mid_steps=1, mid_rate=1e-4, post_steps=3, post_rate=1e-4)
PLAIN = Rules(zoom=False)
SIDE = 48


def an_item(radius: float, item_id: str) -> Item:
    image = a_cone(SIDE, radius)
    return Item(item_id, item_id, lambda: image, lambda: image > 0.5)


def a_target(count: int, name: str = "cones") -> Target:
    return Target(name, tuple(an_item(10 + index % 5, f"{name}{index}") for index in range(count)), 0)


def a_trial(*ious: float, group: str = "a") -> Trial:
    return Trial(group, group, dice=[2 * iou / (1 + iou) for iou in ious], iou=list(ious))


def a_shown(rules: Rules = PLAIN) -> Shown:
    return next(show(LearningToy(), [("cones", an_item(12, "one"))], rules))


def a_disc(radius: float, side: int = 101) -> np.ndarray:
    return a_cone(side, radius) >= 0.5


class Attentive(Learner):
    """Keeps what it is told."""

    def __init__(self) -> None:
        super().__init__(LearningToy(), QUICK)
        self.told: list[Example] = []

    def learn(self, examples: Sequence[Example], image: str = "") -> Taught:
        self.told = list(examples)
        return super().learn(examples, image)


# Arms and acceptance


def test_the_frozen_arm_has_the_click_benchmarks_figures() -> None:
    target = a_target(6)
    (trials,) = run_target(LearningToy(), target, [Arm("frozen")], PLAIN).values()
    of = summarize_arm(trials, PLAIN)
    curves = [click_curve(ModelSegmenter(LearningToy(), zoom=False), item, 30, 0) for item in target.items]
    assert of["n"] == 6
    assert of["clicks"] == pytest.approx(np.mean([metrics.noc(curve.iou, 0.85, 20) for curve in curves]))
    assert of["noc90"] == pytest.approx(np.mean([metrics.noc(curve.iou, 0.90, 20) for curve in curves]))
    assert of["fr30_90"] == pytest.approx(metrics.failure_rate([curve.iou for curve in curves], 0.90, 30))
    assert of["dice1"] == pytest.approx(np.mean([curve.dice[0] for curve in curves]))
    assert of["dice5"] == pytest.approx(np.mean([curve.dice[4] for curve in curves]))
    assert of["clicks"] > 3


def test_seeds_have_their_own_orders_and_stand_side_by_side() -> None:
    arms = arms_of([QUICK], ("frozen",))
    (together,) = run_seeds(LearningToy(), a_target(5), arms, PLAIN, range(2)).values()
    (alone,) = run_target(LearningToy(), a_target(5), arms, replace(PLAIN, seed=1)).values()
    assert [trial.id for trial in together[1::2]] == [trial.id for trial in alone]
    assert [trial.id for trial in together[::2]] != [trial.id for trial in together[1::2]]
    assert len(together) == 10


def test_learning_takes_fewer_clicks_and_the_frozen_arm_takes_as_many_as_ever() -> None:
    arms = arms_of([QUICK], ARMS)
    trials = run_target(LearningToy(), a_target(8), arms, PLAIN)
    of = {arm.name: summarize_arm(found, PLAIN) for arm, found in trials.items()}
    for learning in ("post", "both"):
        assert of[learning]["quarters"][-1] < of["frozen"]["quarters"][-1] - 2
        assert of[learning]["dice1"] > of["frozen"]["dice1"] + 0.1
        assert of[learning]["post_ms"] > 0
        assert sum(of[learning]["lessons"].values()) == 8
    for steady in ("frozen", "mid"):
        assert of[steady]["post_ms"] == 0
        assert of[steady]["lessons"] == {}
    assert of["mid"]["dice1"] == of["frozen"]["dice1"]
    assert of["mid"]["clicks_by_image"] != of["frozen"]["clicks_by_image"]
    assert [of[arm]["mid_ms"] > 0 for arm in ("frozen", "post", "mid", "both")] == [False, False, True, True]


def test_every_arm_sees_the_same_images_in_the_same_order() -> None:
    trials = run_target(LearningToy(), a_target(5), arms_of([QUICK], ARMS), PLAIN)
    orders = [[trial.id for trial in of] for of in trials.values()]
    assert orders == [[item.id for item in in_random_order(a_target(5).items, 0, "cones")]] * 4


def test_the_order_is_drawn_by_seed_and_target() -> None:
    items = a_target(12).items
    orders = [[item.id for item in in_random_order(items, seed, name)] for seed, name in ((0, "a"), (0, "b"), (1, "a"))]
    assert orders[0] == [item.id for item in in_random_order(items, 0, "a")]
    assert len({tuple(order) for order in orders}) == 3
    assert all(sorted(order) == sorted(item.id for item in items) for order in orders)


def test_a_mask_is_accepted_at_the_first_click_that_is_good_enough() -> None:
    with Attentive() as learner:
        trial = work_on(a_shown(), LearningToy(), learner, PLAIN)
    assert trial.iou[trial.accepted - 1] >= 0.85
    assert max(trial.iou[: trial.accepted - 1]) < 0.85
    assert len(trial.iou) > trial.accepted > 1
    assert len(learner.told) == trial.accepted
    assert len(learner.told[-1].clicks) == trial.accepted


def test_the_learner_is_told_the_mask_that_was_accepted() -> None:
    with Attentive() as learner:
        trial = work_on(a_shown(), LearningToy(), learner, PLAIN)
    truth = an_item(12, "one").truth()
    assert metrics.iou(truth, learner.told[0].mask) == pytest.approx(trial.iou[trial.accepted - 1])


def test_a_mask_is_accepted_at_the_last_click_and_measuring_goes_on() -> None:
    rules = Rules(max_clicks=3, stop_iou=1.0, zoom=False)
    with Attentive() as learner:
        trial = work_on(a_shown(), LearningToy(), learner, rules)
    assert trial.accepted == len(learner.told) == 3
    assert len(trial.iou) == 30
    assert measures([trial], rules)["clicks"] == [3]


def test_each_click_but_the_first_has_a_mid_step() -> None:
    with Attentive() as learner:
        trial = work_on(a_shown(), LearningToy(), learner, PLAIN)
    assert len(trial.mid_ms) == len(trial.iou) - 1
    assert min(trial.mid_ms) > 0


@pytest.mark.parametrize(
    ("ious", "ends"),
    [
        ([0.95] * 4, False),
        ([0.95] * 5, True),
        ([0.95, 0.1, 0.1, 0.1, 0.1], True),
        ([0.89] * 29, False),
        ([0.89] * 30, True),
    ],
)
def test_measuring_ends_when_both_thresholds_and_five_clicks_are_behind(ious: list[float], ends: bool) -> None:
    assert Rules().ends(ious) is ends


def test_frozen_is_run_once_for_all_recipes() -> None:
    other = Recipe("other")
    arms = arms_of([QUICK, other], ["frozen", "post", "both"])
    assert [(arm.name, arm.recipe.name if arm.recipe else "") for arm in arms] == [
        ("frozen", ""),
        ("post", "quick"),
        ("both", "quick"),
        ("post", "other"),
        ("both", "other"),
    ]
    trials = {arm: [a_trial(0.1 * place)] for place, arm in enumerate(arms)}
    found = by_recipe(trials, other)
    assert {name: of[0].iou[0] for name, of in found.items()} == pytest.approx(
        {"frozen": 0.0, "post": 0.3, "both": 0.4}
    )


@pytest.mark.parametrize(("arm", "mid", "post"), [("post", 0, 3), ("mid", 1, 0), ("both", 1, 3)])
def test_an_arm_does_its_part_of_the_recipe(arm: str, mid: int, post: int) -> None:
    (found,) = arms_of([QUICK], [arm])
    assert found.recipe is not None
    assert (found.recipe.mid_steps, found.recipe.post_steps) == (mid, post)


# Figures


def test_success_on_the_last_click_counts_and_one_click_later_does_not() -> None:
    late, too_late = a_trial(*[0.5] * 19, 0.85), a_trial(*[0.5] * 20, 0.85)
    very_late, never = a_trial(*[0.5] * 29, 0.9), a_trial(*[0.5] * 30, 0.9)
    of = measures([late, too_late, very_late, never], Rules())
    assert of["clicks"] == [20, 20, 20, 20]
    assert of["fr20_85"] == [0, 1, 1, 1]
    assert of["fr30_90"] == [1, 1, 0, 1]


def test_thresholds_of_failure_do_not_follow_when_the_user_is_content_with_less() -> None:
    of = measures([a_trial(0.2, 0.6, 0.84, 0.86, 0.91)], Rules(max_clicks=4, stop_iou=0.5))
    assert {key: value for key, (value,) in of.items()} == pytest.approx(
        {"clicks": 2, "fr20_85": 0, "fr30_90": 0, "noc90": 4, "dice1": 0.4 / 1.2, "dice5": 1.82 / 1.91}
    )


def test_the_last_value_stands_for_later_clicks() -> None:
    assert measures([a_trial(0.5, 1.0)], Rules())["dice5"] == [1.0]


@pytest.mark.parametrize(
    ("values", "means"),
    [([4, 2, 8, 6, 1, 1, 0, 2], [3, 7, 1, 1]), ([5, 5, 5, 1, 9], [5, 5, 1, 9]), ([3, 4], [3, 4])],
)
def test_quarters_are_means_in_order(values: list[float], means: list[float]) -> None:
    assert quarters(values) == means


def test_an_arm_is_summed_up() -> None:
    trials = [a_trial(0.9), a_trial(0.1, 0.9)]
    trials[1].mid_ms, trials[1].post_ms, trials[1].lesson = [10.0, 30.0, 80.0], 50.0, "learnt"
    of = summarize_arm(trials, Rules())
    assert of["mid_ms"] == 30
    assert of["post_ms"] == 25
    assert of["lessons"] == {"learnt": 1}
    assert of["clicks_by_image"] == [1, 2]
    assert of["quarters"] == [1, 2]


def test_pooled_means_weigh_images_and_not_targets() -> None:
    trials = {
        "large": {"frozen": [a_trial(0.1, 0.1, 0.1, 0.9)] * 3, "both": [a_trial(0.1, 0.9)] * 3},
        "small": {"frozen": [a_trial(0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.9)], "both": [a_trial(0.9)]},
    }
    part = pooled(trials, Rules())
    assert part["arms"]["frozen"]["clicks"] == pytest.approx(5)
    assert part["arms"]["both"]["clicks"] == pytest.approx(7 / 4)
    assert part["reduction"]["clicks"] == pytest.approx({"value": 0.65, "low": 0.65, "high": 0.65})
    assert list(part["reduction"]) == ["fr20_85", "fr30_90", "clicks"]
    assert list(part["arms"]["both"]) == ["clicks", "fr20_85", "fr30_90", "dice1", "dice5"]


def test_nothing_is_reduced_where_nothing_failed() -> None:
    trials = {"t": {"frozen": [a_trial(0.95)], "both": [a_trial(0.95)]}}
    assert pooled(trials, Rules())["reduction"]["fr20_85"] == {"value": None, "low": None, "high": None}


def test_the_interval_of_a_reduction_is_paired() -> None:
    before = {"t": list(range(1, 21))}
    groups = {"t": [str(place) for place in range(20)]}
    halved = relative_reduction(before, {"t": [value / 2 for value in before["t"]]}, groups, seed=0)
    assert halved == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})
    uneven = relative_reduction(before, {"t": [10.0] * 20}, groups, seed=0)
    assert uneven["value"] == pytest.approx(1 - 10 / 10.5)
    assert uneven["low"] < uneven["value"] < uneven["high"]


def test_a_reduction_draws_patients_within_each_target() -> None:
    before, after = {"t": [1, 2], "u": [4, 4]}, {"t": [1, 1], "u": [1, 3]}
    one_patient_each = relative_reduction(before, after, {"t": ["p", "p"], "u": ["q", "q"]}, seed=0)
    assert one_patient_each == pytest.approx({"value": 5 / 11, "low": 5 / 11, "high": 5 / 11})
    images = relative_reduction(before, after, {"t": ["p", "q"], "u": ["r", "s"]}, seed=0)
    assert images["low"] == pytest.approx(1 - 8 / 10)
    assert images["high"] == pytest.approx(1 - 4 / 12)


def test_pooled_figures_are_repeated_without_the_tuned_targets() -> None:
    trials = {
        "seen": {"frozen": [a_trial(0.1, 0.9)], "both": [a_trial(0.9)]},
        "unseen": {"frozen": [a_trial(0.9)], "both": [a_trial(0.9)]},
    }
    result = figures(trials, Rules(), tuned=["seen"])
    assert result["tuned"] == ["seen"]
    assert result["pooled"]["reduction"]["clicks"]["value"] == pytest.approx(1 / 3)
    assert result["pooled_not_tuned"]["reduction"]["clicks"]["value"] == 0
    assert "pooled_not_tuned" not in figures(trials, Rules())


def test_curves_are_smoothed_over_a_fifth_of_the_sequence() -> None:
    values = [0.0] * 10 + [10.0] * 10
    smooth = running_mean(values)
    assert smooth[[0, 7, 8, 9, 10, 11, 12, 19]] == pytest.approx([0, 0, 2, 4, 6, 8, 10, 10])


# Bad users


def test_dilation_and_erosion_change_the_radius_by_a_tenth() -> None:
    disc = a_disc(20)
    assert dilated(disc).sum() / disc.sum() == pytest.approx(1.1**2, rel=0.02)
    assert eroded(disc).sum() / disc.sum() == pytest.approx(0.9**2, rel=0.02)
    assert (dilated(disc) & disc).sum() == disc.sum()
    assert (eroded(disc) & ~disc).sum() == 0


def test_small_objects_change_by_a_pixel_and_never_vanish() -> None:
    dot = np.zeros((9, 9), dtype=bool)
    dot[4, 4] = True
    assert dilated(dot).sum() == 5
    assert np.array_equal(eroded(dot), dot)
    assert eroded(dilated(dot)).sum() == 1
    nothing = np.zeros((9, 9), dtype=bool)
    assert not any(work(nothing).any() for work in (dilated, eroded, lambda mask: shifted(mask, 1.0)))


@pytest.mark.parametrize(("angle", "moved"), [(0.0, (0, 4)), (np.pi / 2, (4, 0)), (5 * np.pi / 4, (-3, -3))])
def test_a_shift_is_a_tenth_of_the_extent(angle: float, moved: tuple[int, int]) -> None:
    disc = a_disc(20)
    expected = np.roll(disc, moved, (0, 1))
    assert np.array_equal(shifted(disc, angle), expected)


def test_the_direction_of_a_shift_is_drawn_for_each_image() -> None:
    noise, disc = Noise("shifted"), a_disc(20)
    spoilt = [noise.accepted(disc, item_id, 0, None) for item_id in ("a", "a", "b")]
    assert np.array_equal(spoilt[0], spoilt[1])
    assert not np.array_equal(spoilt[0], spoilt[2])


def test_one_mask_in_five_is_another_objects() -> None:
    noise, mask = Noise("wrong", seed=7), a_disc(10)
    spoilt = [not np.array_equal(noise.accepted(mask, str(place), place, None), mask) for place in range(10)]
    assert spoilt == [False, False, True, False, False] * 2


def test_another_object_lies_elsewhere_and_has_the_images_size() -> None:
    left = np.zeros((40, 60), dtype=bool)
    left[10:20, 5:20] = True
    middle = a_disc(8, side=31)
    for before in (middle, left, None, np.zeros((5, 5), dtype=bool)):
        found = another(left, before)
        assert found.shape == left.shape
        assert found.any()
        assert metrics.iou(left, found) < 0.1


def test_a_generous_user_clicks_for_larger_masks_and_teaches_what_was_accepted() -> None:
    rules = Rules(zoom=False, noise=Noise("large"))
    shown, truth = a_shown(rules), an_item(12, "one").truth()
    assert np.array_equal(shown.wanted, dilated(truth))
    assert shown.wanted.sum() / truth.sum() == pytest.approx(1.21, rel=0.05)
    with Attentive() as learner:
        trial = work_on(shown, LearningToy(), learner, rules)
    assert metrics.iou(shown.wanted, learner.told[0].mask) == pytest.approx(trial.iou[trial.accepted - 1])


def test_noise_spoils_the_lesson_and_not_the_measurement() -> None:
    rules = Rules(zoom=False, noise=Noise("eroded"))
    with Attentive() as learner:
        noisy = work_on(a_shown(rules), LearningToy(), learner, rules)
    with Attentive() as clean_learner:
        clean = work_on(a_shown(), LearningToy(), clean_learner, PLAIN)
    assert noisy.iou == clean.iou
    assert np.array_equal(learner.told[0].mask, eroded(clean_learner.told[0].mask))


def test_learning_from_bad_masks_passes_down_to_two_points() -> None:
    frozen = [a_trial(0.5)] * 8
    slightly, much = 0.65, 0.63  # Dice 0.667 - 0.017 and - 0.037 at the end

    def ending(dice: float) -> list[Trial]:
        return [Trial("a", "a", dice=[2 / 3], iou=[0.5])] * 6 + [Trial("a", "a", dice=[dice], iou=[0.5])] * 2

    trials = {"t": {"frozen": frozen, "post": ending(slightly), "both": ending(much)}}
    of = noise_figures(trials, "eroded")["targets"]["t"]
    assert of["post"] == pytest.approx({"all": -1 / 240, "last_quarter": -1 / 60, "passed": True})
    assert of["both"] == pytest.approx({"all": -11 / 1200, "last_quarter": -11 / 300, "passed": False})


# Long sequences


def test_targets_have_their_turns_in_blocks_and_again() -> None:
    sequence = blocks([a_target(4, "a"), a_target(3, "b"), a_target(1, "c")], 13, seed=0)
    assert [[name for name, _ in block] for block in sequence] == [[name] * 2 for name in "abcabc"]
    ids = [[item.id for _, item in block] for block in sequence]
    assert sorted(ids[0] + ids[3]) == ["a0", "a1", "a2", "a3"]
    assert len({*ids[1], *ids[4]}) == 3
    assert ids[2] == ids[5] == ["c0", "c0"]


def test_a_sequence_shorter_than_its_blocks_is_refused() -> None:
    with pytest.raises(AdaptSegError, match="Expected a sequence of at least 4 images, got 3"):
        blocks([a_target(4, "a"), a_target(3, "b")], 3, seed=0)


def test_a_sequence_is_worked_through_frozen_under_one_task_and_under_one_each() -> None:
    sequence = blocks([a_target(4, "a"), a_target(4, "b")], 16, seed=0)
    trials = run_sequence(LearningToy(), sequence, QUICK, PLAIN)
    result = sequence_figures(sequence, trials, PLAIN)
    assert result["images"] == 8
    assert [(block["target"], block["n"]) for block in result["blocks"]] == [("a", 4), ("b", 4), ("a", 4), ("b", 4)]
    clicks = [block["clicks"] for block in result["blocks"]]
    assert clicks[0][ONE_TASK] == clicks[0][OWN_TASKS]
    assert clicks[1][ONE_TASK] < clicks[1][OWN_TASKS]
    assert clicks[3][OWN_TASKS] < clicks[1][OWN_TASKS]
    assert clicks[0]["frozen"] == clicks[2]["frozen"]


def test_blocks_are_reported_with_their_own_means() -> None:
    sequence = blocks([a_target(2, "a"), a_target(2, "b")], 8, seed=0)
    trials = {"frozen": [a_trial(*[0.1] * place, 0.9) for place in range(8)]}
    result = sequence_figures(sequence, trials, Rules())
    assert [block["clicks"]["frozen"] for block in result["blocks"]] == [1.5, 3.5, 5.5, 7.5]
    assert result["arms"]["frozen"]["clicks"] == 4.5


def test_a_soak_teaches_each_image_and_reports_quarters() -> None:
    seen: list[int] = []
    result = soak(LearningToy(), [a_target(3)], QUICK, 8, PLAIN, lambda: seen.append(1))
    assert len(seen) == result["images"] == 8
    assert len(result["post_ms"]) == len(result["post_cpu_ms"]) == len(result["peak_mb"]) == 4
    assert min(result["post_ms"]) > 0
    assert min(result["post_cpu_ms"]) > 0
    assert result["peak_mb"] == sorted(result["peak_mb"])
    assert result["peak_mb"][0] > 10


# The command


@pytest.fixture
def a_data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for set_name in ("cones", "hats"):
        for part in ("images", "masks"):
            (folder / set_name / part).mkdir(parents=True)
        for number, radius in enumerate((9, 11, 13)):
            cone = a_cone(SIDE, radius)
            for part, stored in (("images", 255 * cone), ("masks", 255.0 * (cone > 0.5))):
                picture = sitk.GetImageFromArray(stored.astype(np.uint8))
                sitk.WriteImage(picture, str(folder / set_name / part / f"c{number}.png"))
    return folder


@pytest.fixture(autouse=True)
def a_learning_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: LearningToy())


def bench(folder: Path, *options: str) -> int:
    return main(["bench", "adapt", "--data", str(folder), "--no-zoom", *options])


def test_the_command_writes_the_figures_prints_tables_and_draws_the_curves(
    a_data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "result.json", tmp_path / "curves.png"
    options = ["--targets", "cones,hats", "--seed", "4", "--tuned", "hats", "--picture", str(picture)]
    assert bench(a_data_folder, *options, "--json", str(file)) == 0
    result = json.loads(file.read_text())
    assert list(result["targets"]) == ["cones", "hats"]
    assert list(result["targets"]["cones"]["arms"]) == list(result["pooled"]["arms"]) == list(ARMS)
    wanted = {"n", "clicks", "fr20_85", "fr30_90", "noc90", "dice1", "dice5", "quarters", "mid_ms", "post_ms"}
    for arm in result["targets"]["cones"]["arms"].values():
        assert wanted < set(arm)
        assert arm["n"] == 3
    assert set(result["pooled"]["reduction"]["clicks"]) == {"value", "low", "high"}
    assert result["tuned"] == ["hats"]
    assert (result["seed"], result["model"], result["recipe"]) == (4, "compact", "default")
    assert (result["max_clicks"], result["stop_iou"]) == (20, 0.85)
    assert picture.read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    row = next(line for line in printed.splitlines() if line.startswith("cones both")).split()
    assert float(row[3]) == pytest.approx(result["targets"]["cones"]["arms"]["both"]["clicks"], abs=5e-4)
    assert "without hats" in printed


def test_recipes_are_compared_in_one_run(
    a_data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, picture = tmp_path / "result.json", tmp_path / "curves.png"
    options = ["--targets", "cones", "--recipe", "default,schoen,oaims", "--arms", "frozen,both", "--limit", "2"]
    assert bench(a_data_folder, *options, "--json", str(file), "--picture", str(picture)) == 0
    recipes = json.loads(file.read_text())["recipes"]
    assert {name: of["recipe"] for name, of in recipes.items()} == {name: name for name in recipes}
    assert list(recipes) == ["default", "schoen", "oaims"]
    frozen = [of["targets"]["cones"]["arms"]["frozen"] for of in recipes.values()]
    assert frozen[0] == frozen[1] == frozen[2]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().out.rstrip().endswith(comparison(recipes))


def test_noise_is_reported_for_each_target(a_data_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    options = ["--targets", "cones,hats", "--noise", "dilated", "--arms", "frozen,both"]
    assert bench(a_data_folder, *options, "--json", str(file)) == 0
    noise = json.loads(file.read_text())["noise"]
    assert noise["kind"] == "dilated"
    assert set(noise["targets"]["hats"]["both"]) == {"all", "last_quarter", "passed"}


def test_sequences_and_soaks_have_their_own_figures(a_data_folder: Path, tmp_path: Path) -> None:
    file, picture = tmp_path / "result.json", tmp_path / "curves.png"
    options = ["--targets", "cones,hats", "--json", str(file)]
    assert bench(a_data_folder, *options, "--sequence", "8", "--picture", str(picture)) == 0
    assert [block["target"] for block in json.loads(file.read_text())["sequence"]["blocks"]] == ["cones", "hats"] * 2
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert bench(a_data_folder, *options, "--soak", "5") == 0
    assert json.loads(file.read_text())["soak"]["images"] == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--recipe", "secret"], "all-clicks, got 'secret'."),
        (["--arms", "frozen,most"], "Expected one of the arms frozen, post, mid, both, got 'most'."),
        (["--tuned", "hats"], "Expected tuned targets among cones, got 'hats'."),
        (["--noise", "wrong", "--arms", "both"], "--noise needs the arm frozen to compare with, got both."),
        (["--soak", "4", "--picture", "curves.png"], "--soak draws no learning curve"),
        (["--picture", "missing/curves.png"], "does not exist"),
    ],
)
def test_what_cannot_be_run_is_told_in_one_line(
    a_data_folder: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert bench(a_data_folder, "--targets", "cones", *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("share", ["0", "1.5", "much", "nan"])
def test_an_iou_to_stop_at_must_be_one(a_data_folder: Path, share: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        bench(a_data_folder, "--targets", "cones", "--stop-iou", share)
    assert stop.value.code == 2
    assert "Expected a number above 0 and up to 1, got" in capsys.readouterr().err
