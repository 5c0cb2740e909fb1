"""The benchmark of whole volumes: its user, its arms, GrowCut from the same clicks, its figures and its command."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.adapt.history import Event
from AdaptCore.adapt.recipe import Recipe
from AdaptCore.cli import main
from AdaptCore.errors import ImageError, ModelError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.adapt import FROZEN, in_random_order
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.evaluate.rivals import BACKGROUND, OBJECT
from AdaptCore.evaluate.users import VoxelClick, rng_for
from AdaptCore.evaluate.volume_figures import figures, report, summarize_arm
from AdaptCore.evaluate.volume_growcut import grown_from, volume_seeds
from AdaptCore.evaluate.volume_user import Patience, VolumeRun, VolumeUser
from AdaptCore.evaluate.volumes import (
    GROWCUT,
    LEARNING,
    AttentiveLearner,
    LessonTaken,
    VolumeRules,
    VolumeTrial,
    growcut_trial,
    run_target,
    work_on,
)
from AdaptCore.io import Geometry, Volume
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.geometry import PlaneGeometry
from AdaptCore.predict.intensity import apply_window
from AdaptCore.predict.volume import VolumeSession
from Testing.learning_toy import LearningToy

SHAPE = (40, 44, 14)
QUICK = Recipe("quick", mid_steps=0, post_steps=3, post_rate=1e-4)
PLAIN = VolumeRules(max_clicks=12, zoom=False)


def a_fuzzy_ball(radius: float) -> np.ndarray:
    """Brightness float32 (I, J, K) that falls from the centre and is 0.5 at `radius`; slices are thick."""
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    away = np.sqrt((i - 19.5) ** 2 + (j - 21.5) ** 2 + (2.5 * (k - 6.5)) ** 2)
    return np.clip(1 - away / (2 * radius), 0, 1).astype(np.float32)


def an_item(radius: float, item_id: str) -> VolumeItem:
    image = a_fuzzy_ball(radius)
    return VolumeItem(item_id, item_id, lambda: Volume(image, Geometry(SHAPE)), lambda: image > 0.5)


def a_target(count: int) -> VolumeTarget:
    return VolumeTarget("balls", tuple(an_item(9 + index % 4, f"ball{index}") for index in range(count)), 0)


def a_trial(*dice: float, group: str = "a", lessons: Sequence[LessonTaken] = ()) -> VolumeTrial:
    return VolumeTrial(group, group, dice, tuple(lessons))


def a_run(rules: VolumeRules, learner: AttentiveLearner | None = None) -> tuple[VolumeRun, VolumeTrial]:
    item = an_item(11, "ball")
    return work_on(item, item.volume().array, item.truth(), LearningToy(), learner, rules, EmbeddingCache())


def all_planes(run: VolumeRun) -> list[int]:
    return [click.voxel[2] for click in run.clicks]


# The user


def test_a_plane_is_accepted_once_however_many_clicks_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []
    accept = VolumeSession.accept

    def noted(session: VolumeSession, geometry: PlaneGeometry) -> None:
        accepted.append(int(geometry.plane_to_ijk[2, 2]))
        accept(session, geometry)

    monkeypatch.setattr(VolumeSession, "accept", noted)
    run, _ = a_run(VolumeRules(target_dice=1.0, max_clicks=12, zoom=False))
    planes = all_planes(run)
    assert planes == [6] * 5 + [8] * 5 + [7] * 2
    assert accepted == [6, 8, 7]


def test_each_accepted_plane_that_holds_the_object_teaches_once() -> None:
    with AttentiveLearner(LearningToy(), QUICK, 0) as learner:
        run, trial = a_run(VolumeRules(target_dice=0.9, max_clicks=12, zoom=False), learner)
        assert learner.taken() == ()
    holding = [plane for plane in run.prompted(2) if run.mask[:, :, plane].any()]
    assert len(trial.lessons) == len(holding) > 1
    assert {lesson.event for lesson in trial.lessons} <= {event.value for event in Event}
    assert min(lesson.milliseconds for lesson in trial.lessons) > 0


def test_dice_before_the_last_click_on_a_plane_counts_its_present_mask() -> None:
    item = an_item(11, "ball")
    truth = item.truth()
    run, trial = a_run(VolumeRules(target_dice=1.0, max_clicks=1, zoom=False))
    two, longer = a_run(VolumeRules(target_dice=1.0, max_clicks=2, zoom=False))
    assert trial.dice[0] == pytest.approx(metrics.dice(truth, run.mask > 0))
    only_clicked = np.zeros(SHAPE, bool)
    only_clicked[:, :, 6] = run.mask[:, :, 6] > 0
    assert longer.dice[0] == pytest.approx(metrics.dice(truth, only_clicked))
    assert longer.dice[0] < 0.3 < trial.dice[0]
    assert two.clicks[0] == run.clicks[0]


def test_the_user_stops_on_a_plane_as_soon_as_the_volume_is_good_enough() -> None:
    _, patient = a_run(VolumeRules(target_dice=1.0, max_clicks=12, zoom=False))
    place = next(place for place in range(5, 9) if patient.dice[place] > max(patient.dice[:place]))
    patience = Patience(plane_dice=1.0, volume_dice=patient.dice[place], max_clicks=12)
    item = an_item(11, "ball")
    with VolumeSession(LearningToy(), item.volume().array, zoom=False, precompute=0) as session:
        run = VolumeUser(session, item.truth(), 2, rng_for(0, item.id), patience).work()
    assert len(run.clicks) == place + 1
    assert run.dice_after_click[-1] >= patient.dice[place]


def test_the_user_comes_back_to_a_plane_only_when_all_others_were_worked_on() -> None:
    run, trial = a_run(VolumeRules(target_dice=0.97, max_clicks=90, zoom=False))
    planes = all_planes(run)
    visits = [plane for place, plane in enumerate(planes) if [-1, *planes][place] != plane]
    again = next(place for place, plane in enumerate(visits) if plane in visits[:place])
    wrong_ones = set(np.flatnonzero(an_item(11, "ball").truth().any(axis=(0, 1))).tolist())
    assert wrong_ones <= set(visits[:again])
    assert len(visits) > again + 1
    assert trial.dice[-1] > max(trial.dice[:20])


def test_the_user_ends_when_no_plane_wants_a_click() -> None:
    item = an_item(11, "ball")
    patience = Patience(plane_dice=0.5, volume_dice=1.0, max_clicks=60)
    with VolumeSession(LearningToy(), item.volume().array, zoom=False, precompute=0) as session:
        run = VolumeUser(session, item.truth(), 2, rng_for(0, item.id), patience).work()
    assert 0 < len(run.clicks) < 60


# The arms


def test_learning_takes_fewer_clicks_while_the_frozen_arm_takes_as_many_as_alone() -> None:
    trials = run_target(LearningToy(), a_target(4), QUICK, PLAIN, growcut=False)
    assert list(trials) == [FROZEN, LEARNING]
    frozen, learning = ([trial.clicks(PLAIN) for trial in trials[arm]] for arm in (FROZEN, LEARNING))
    assert sum(learning[1:]) < sum(frozen[1:]) - 8
    assert all(trial.lessons for trial in trials[LEARNING])
    assert not any(trial.lessons for trial in trials[FROZEN])
    for item in in_random_order(a_target(4).items, 0, "balls"):
        alone = work_on(item, item.volume().array, item.truth(), LearningToy(), None, PLAIN, EmbeddingCache())[1]
        assert alone.dice == next(trial.dice for trial in trials[FROZEN] if trial.id == item.id)


def test_all_arms_see_the_seeds_order() -> None:
    rules = VolumeRules(max_clicks=1, zoom=False, seed=3)
    trials = run_target(LearningToy(), a_target(5), QUICK, rules, growcut=False)
    wanted = [item.id for item in in_random_order(a_target(5).items, 3, "balls")]
    assert [[trial.id for trial in of] for of in trials.values()] == [wanted] * 2
    assert wanted != [item.id for item in a_target(5).items]


def test_a_volume_that_does_not_get_there_counts_the_maximum() -> None:
    rules = VolumeRules(target_dice=0.85, max_clicks=60)
    assert a_trial(0.2, 0.84).clicks(rules) == 60
    assert a_trial(0.2, 0.85).clicks(rules) == 2
    assert [a_trial(0.2, 0.85).reached(rules), a_trial(0.2, 0.84).reached(rules)] == [True, False]


def test_image_and_labels_of_different_size_are_refused() -> None:
    item = an_item(11, "ball")
    cut = VolumeItem("ball", "ball", item.volume, lambda: item.truth()[:, :, :9])
    with pytest.raises(
        ImageError, match=r"ball: Expected labels of the size of the image, \(40, 44, 14\) voxels, got \(40, 44, 9\)"
    ):
        run_target(LearningToy(), VolumeTarget("balls", (cut,), 0), QUICK, PLAIN, growcut=False)


# GrowCut


def test_a_click_paints_a_disc_on_its_plane_inside_a_rim_of_background() -> None:
    clicks = [VoxelClick((10, 20, 5)), VoxelClick((30, 20, 5), False)]
    seeds = volume_seeds(SHAPE, 2, clicks)
    assert np.argwhere(seeds == OBJECT).tolist() == [[9, 20, 5], [10, 19, 5], [10, 20, 5], [10, 21, 5], [11, 20, 5]]
    assert seeds[30, 20, 5] == BACKGROUND
    assert (seeds[:, :, [0, -1]] == BACKGROUND).all()
    assert (seeds[0] == BACKGROUND).all()
    assert (seeds[:, -1] == BACKGROUND).all()
    assert not seeds[1:-1, 1:-1, [1, 4, 6, 12]].any()


@pytest.mark.parametrize("axis", [0, 1])
def test_seeds_lie_where_the_click_was_on_every_axis(axis: int) -> None:
    assert volume_seeds(SHAPE, axis, [VoxelClick((10, 20, 5))])[10, 20, 5] == OBJECT


def test_a_click_on_the_first_plane_is_not_lost() -> None:
    seeds = volume_seeds(SHAPE, 2, [VoxelClick((10, 20, 0))])
    assert seeds[10, 20, 0] == OBJECT
    assert seeds[20, 20, 0] == 0


@pytest.mark.usefixtures("slicer_core")
def test_growcut_fills_a_ball_from_one_click_also_in_colour() -> None:
    ball = a_fuzzy_ball(11) > 0.5
    image = (0.2 + 0.5 * ball).astype(np.float32)
    for shown in (image, np.repeat(image[..., None], 3, axis=3)):
        assert metrics.dice(ball, grown_from(shown, 2, [VoxelClick((19, 21, 6))])) > 0.9


@pytest.mark.usefixtures("slicer_core")
def test_growcut_gets_the_frozen_arms_clicks_one_after_the_other() -> None:
    item = an_item(11, "ball")
    run, _ = a_run(VolumeRules(max_clicks=3, zoom=False))
    volume, truth = item.volume().array, item.truth()
    trial = growcut_trial(item, volume, truth, run)
    image = apply_window(volume, run.window)
    assert trial.dice == tuple(metrics.dice(truth, grown_from(image, 2, run.clicks[:count])) for count in (1, 2, 3))
    assert len(set(trial.dice)) == 3


# Figures


def test_figures_of_an_arm() -> None:
    lessons = [LessonTaken(10, "learnt"), LessonTaken(40, "rolled back"), LessonTaken(20, "learnt")]
    trials = [
        a_trial(0.1, 0.2, 0.3, 0.9, group="a"),
        a_trial(0.5, 0.86, group="b", lessons=lessons),
        a_trial(0.3, group="c"),
    ]
    of = summarize_arm("balls", trials, VolumeRules())
    assert (of["n"], of["clicks_by_volume"], of["clicks"]) == (3, [4, 2, 60], pytest.approx(22))
    assert of["reached"] == pytest.approx(2 / 3)
    assert [of[f"dice{click}"] for click in (1, 3, 5, 10)] == pytest.approx([0.3, 1.46 / 3, 2.06 / 3, 2.06 / 3])
    assert of["dice_at_stop"] == pytest.approx(2.06 / 3)
    assert of["quarters"] == [4, 2, 60]
    assert of["post_ms"] == 20
    assert of["lessons"] == {"learnt": 2, "rolled back": 1}
    assert of["ci"]["clicks"][0] < 22 < of["ci"]["clicks"][1]


def test_the_interval_is_over_patients() -> None:
    clicks = [a_trial(0.9, group="a"), a_trial(0.1, 0.9, group="a"), a_trial(0.1, 0.1, 0.9, group="a")]
    assert summarize_arm("balls", clicks, VolumeRules())["ci"]["clicks"] == pytest.approx([2, 2])


def test_reduction_is_paired() -> None:
    frozen = [a_trial(*[0.1] * count, 0.9, group=str(count)) for count in (3, 7, 15)]
    learning = [a_trial(*[0.1] * count, 0.9, group=str(place)) for place, count in enumerate((1, 3, 7))]
    result = figures({"balls": {FROZEN: frozen, LEARNING: learning}}, VolumeRules())
    assert result["targets"]["balls"]["reduction"]["clicks"] == pytest.approx({"value": 0.5, "low": 0.5, "high": 0.5})
    table = report(result)
    assert "50.0 %" in table
    assert "balls learning" in table


# The command


@pytest.fixture
def slicer_core() -> None:
    pytest.importorskip("slicer", reason="GrowCut needs slicer-core", exc_type=ImportError)


@pytest.fixture
def a_toy_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: LearningToy())


@pytest.fixture
def a_data_folder(tmp_path: Path) -> Path:
    for item in a_target(2).items:
        for part, array in (("images", item.volume().array), ("labels", item.truth().astype(np.uint8))):
            (tmp_path / "balls" / part).mkdir(parents=True, exist_ok=True)
            image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
            sitk.WriteImage(image, str(tmp_path / "balls" / part / f"{item.id}.nii.gz"))
    return tmp_path


def bench(folder: Path, *options: str) -> int:
    return main(["bench", "volume", "--data", str(folder), "--targets", "balls:any", "--no-zoom", *options])


@pytest.mark.usefixtures("a_toy_registry", "slicer_core")
def test_the_command_writes_the_figures(a_data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_data_folder / "result.json"
    assert bench(a_data_folder, "--max-clicks", "3", "--target-dice", "0.7", "--seed", "1", "--json", str(file)) == 0
    result = json.loads(file.read_text())
    arms = result["targets"]["balls:any"]["arms"]
    assert list(arms) == [FROZEN, LEARNING, GROWCUT]
    assert [of["n"] for of in arms.values()] == [2, 2, 2]
    assert (arms[LEARNING]["post_ms"] > 0, arms[FROZEN]["post_ms"]) == (True, 0)
    assert set(result["targets"]["balls:any"]["reduction"]["clicks"]) == {"value", "low", "high"}
    assert [result[key] for key in ("seed", "recipe", "target_dice", "max_clicks")] == [1, "default", 0.7, 3]
    assert f"{arms[LEARNING]['clicks']:.3f}" in capsys.readouterr().out


@pytest.mark.usefixtures("a_toy_registry")
def test_without_slicer_core_growcut_is_left_out_and_said_so(
    a_data_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing() -> None:
        raise ModelError("GrowCut needs slicer-core")

    monkeypatch.setattr("AdaptCore.evaluate.rivals.slicer_filter", missing)
    file = a_data_folder / "result.json"
    assert bench(a_data_folder, "--max-clicks", "1", "--json", str(file)) == 0
    assert list(json.loads(file.read_text())["targets"]["balls:any"]["arms"]) == [FROZEN, LEARNING]
    assert "without growcut: GrowCut needs slicer-core" in capsys.readouterr().err


@pytest.mark.usefixtures("a_toy_registry")
def test_unknown_recipes_are_refused_before_anything_is_measured(
    a_data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench(a_data_folder, "--recipe", "best") != 0
    assert "Expected one of the recipes default, schoen, oaims, volumes, " in capsys.readouterr().err
