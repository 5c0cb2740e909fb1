"""The benchmark of preference: its users, arms, figures and command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.cli import main
from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate.datasets import users_of
from AdaptCore.evaluate.preference import (
    ARMS,
    CLICKS,
    PROFILE,
    SLIDER,
    SLIDER_LOGITS,
    Rules,
    Trial,
    User,
    opposites,
    run_target,
)
from AdaptCore.evaluate.preference_figures import figures, report
from Testing.learning_toy import LearningToy, a_cone

SIDE = 48
RADII = {"generous": 1.25, "middle": 1.0, "tight": 0.75}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of cones that three raters outline at different heights."""
    folder = tmp_path_factory.mktemp("data")
    for name in ("images", "masks"):
        (folder / "cones" / name).mkdir(parents=True)
    rows, columns = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    for number in range(12):
        radius = 9 + number % 4
        image = (255 * a_cone(SIDE, radius)).astype(np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(image), folder / "cones" / "images" / f"i{number:02}.png")
        for rater, factor in RADII.items():
            mask = (np.hypot(rows, columns) < factor * radius).astype(np.uint8) * 255
            sitk.WriteImage(sitk.GetImageFromArray(mask), folder / "cones" / "masks" / f"i{number:02}__{rater}.png")
    return folder


@pytest.fixture(scope="module")
def users(data: Path) -> dict[str, User]:
    return run_target(LearningToy(), None, data, "cones", tuple(RADII), Rules())


def a_trial(*dice: float, group: str = "a") -> Trial:
    return Trial(group, group, dice=list(dice), offered=list(dice), opposite=list(dice))


def test_interactions_count_until_the_target_and_ten_for_a_miss() -> None:
    rules = Rules(rounds=3)
    trial = a_trial(0.7, 0.86, 0.88, 0.95)
    assert [trial.interactions(goal, rules) for goal in (0.7, 0.85, 0.87, 0.9)] == [1, 2, 3, 10]


def test_accepting_an_offered_mask_counts_one_and_the_present_one_none() -> None:
    trial, rules = Trial("a", "a", dice=[0.7, 0.86], offered=[0.83, 0.91]), Rules()
    assert [trial.interactions(goal, rules) for goal in (0.8, 0.85, 0.9)] == [2, 2, 3]
    assert trial.interactions(0.9, Rules(rounds=2)) == 10, "no interaction is left for the pick"


def test_users_are_the_raters_of_a_set_or_the_levels_of_a_part(data: Path) -> None:
    assert users_of(data, "cones") == ("generous", "middle", "tight")
    assert users_of(data, "cones", ["tight"]) == ("tight",)
    with pytest.raises(AdaptSegError, match="Expected raters among generous, middle, tight, got nobody"):
        users_of(data, "cones", ["nobody"])


def test_the_opposite_user_is_the_one_whose_masks_differ_most_in_size() -> None:
    def square(side: int) -> np.ndarray:
        return np.pad(np.ones((side, side), bool), (0, 20 - side))

    truths = {"a": {"1": square(4), "2": square(5)}, "b": {"1": square(6), "2": square(7)}, "c": {"2": square(19)}}
    assert opposites(truths) == {"a": "c", "b": "c", "c": "a"}


def test_all_arms_see_the_same_first_click_and_a_profile_learns_its_user(users: dict[str, User]) -> None:
    for user in users.values():
        assert {len(user.trials[arm]) for arm in ARMS} == {12}
        for clicks, slider in zip(user.trials[CLICKS], user.trials[SLIDER], strict=True):
            assert clicks.dice[0] == slider.dice[0] and clicks.id == slider.id
            assert clicks.picks == 0
        assert np.mean(user.first["own"][4:]) > np.mean(user.first["fresh"][4:]) - 0.005, "less than half a pixel"
    generous = users["generous"].first
    assert np.mean(generous["own"][4:]) > np.mean(generous["fresh"][4:]) + 0.1, "the model itself is tight"
    assert np.mean(generous["own"][4:]) > np.mean(generous["other"][4:]) + 0.08, "picks count as what they give"
    assert users["tight"].adviser.profile.picks > 0 and users["tight"].fresh.profile.picks == 0


def test_figures_tell_effort_misses_and_first_answers(users: dict[str, User]) -> None:
    result = figures({"cones": users}, Rules())
    target = result["targets"]["cones"]
    assert set(target["arms"]) == set(ARMS) and target["arms"][CLICKS]["n"] == 36
    for arm in ARMS:
        trials = [trial for user in users.values() for trial in user.trials[arm]]
        expected = np.mean([trial.interactions(0.9, Rules()) for trial in trials])
        assert target["arms"][arm]["interactions"]["0.90"] == pytest.approx(expected)
        assert target["arms"][arm]["failures"]["0.90"] == pytest.approx(
            np.mean([max([*trial.offered[:5], trial.dice[-1]]) < 0.9 for trial in trials])
        )
        assert len(target["arms"][arm]["first_dice"]) == 12
    own = [value for user in users.values() for value in user.first["own"][10:]]
    assert target["first_dice_after_10"]["own"] == pytest.approx(np.mean(own))
    assert target["asked"] in {"0.80", "0.85", "0.90"}
    clicks, profile = (target["arms"][arm]["interactions"][target["asked"]] for arm in (CLICKS, PROFILE))
    assert target["fewer"][PROFILE]["value"] == pytest.approx(1 - profile / clicks)
    assert result["round_ms"]["median"] <= result["round_ms"]["p95"]
    told = report(result, Rules())
    assert "own - fresh" in told and "cones profile, opposite mask" in told
    assert f" {profile:.2f} " in told and "cones stranger" in told


def test_the_target_asked_for_is_the_highest_that_clicks_reach_on_half_of_the_images() -> None:
    def user_of(*trials: Trial) -> User:
        user = object.__new__(User)
        user.trials = {arm: list(trials) if arm == CLICKS else [] for arm in ARMS}
        user.first = {"own": [], "fresh": [], "other": []}
        return user

    good, fair, bad = a_trial(0.95), a_trial(0.86), a_trial(0.5)
    asked = [
        figures({"t": {"u": user_of(*trials)}}, Rules())["targets"]["t"]["asked"]
        for trials in ((good, bad), (good, fair, bad), (bad, bad, good))
    ]
    assert asked == ["0.90", "0.85", "0.80"]


def test_the_slider_offers_the_plain_threshold_too() -> None:
    assert 0.0 in SLIDER_LOGITS and len(SLIDER_LOGITS) == 5


def test_the_command_writes_figures_with_their_circumstances(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "figures.json"
    arguments = ["bench", "preference", "--data", str(data), "--targets", "cones", "--users", "tight,generous"]
    assert main([*arguments, "--limit", "2", "--device", "cpu", "--json", str(path)]) == 0
    written = json.loads(path.read_text())
    assert written["model"] == "compact" and written["targets"]["cones"]["users"] == ["tight", "generous"]
    assert "cones profile+adapt" in capsys.readouterr().out


def test_the_command_refuses_what_is_no_user(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "preference", "--data", str(data), "--targets", "cones", "--users", "nobody"]
    assert main([*arguments, "--device", "cpu"]) != 0
    assert "nobody" in capsys.readouterr().err
