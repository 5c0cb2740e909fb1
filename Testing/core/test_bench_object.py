"""The benchmark of objects in volumes: its loop, its rivals, its figures and its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.cli import build_parser, main
from AdaptCore.errors import AdaptSegError, ImageError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.clicks import Curve
from AdaptCore.evaluate.datasets import VolumeItem, VolumeTarget
from AdaptCore.evaluate.object_clicks import (
    ObjectRules,
    object_curve,
    object_rows,
    run_objects,
    summarize_objects,
    warm_up,
)
from AdaptCore.evaluate.object_rivals import Ball, GrowCut, Planes, RandomWalker, SeededSession, walked
from AdaptCore.evaluate.rivals import BACKGROUND, OBJECT
from AdaptCore.evaluate.volume_user import stretch
from AdaptCore.io import Geometry, Volume
from Testing.toy_model import ToyModel

SHAPE = (30, 32, 12)
SPACING = (1.0, 1.0, 2.5)


def a_ball(radius: float, centre: tuple[int, int, int] = (14, 15, 5)) -> np.ndarray:
    """bool (I, J, K), the radius in millimetres."""
    places = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return sum(((at - to) * step) ** 2 for at, to, step in zip(places, centre, SPACING)) <= radius**2


def a_volume(truth: np.ndarray) -> Volume:
    return Volume((0.2 + 0.6 * truth).astype(np.float32), Geometry(SHAPE, SPACING))


def an_item(truth: np.ndarray, item_id: str = "one") -> VolumeItem:
    return VolumeItem(item_id, item_id, lambda: a_volume(truth), lambda: truth)


class ToyAnswerer:
    """Answers with prepared masks; keeps what it was started with and told."""

    def __init__(self, *answers: np.ndarray) -> None:
        self.answers = answers
        self.told: list[object] = []
        self.started: list[tuple[Volume, int]] = []

    def start(self, volume: Volume, voxels: int) -> ToyAnswerer:
        self.told = []
        self.started.append((volume, voxels))
        return self

    def click(self, i: int, j: int, k: int, positive: bool) -> np.ndarray:
        self.told.append((i, j, k, positive))
        return self.answers[len(self.told) - 1]

    def slice_mask(self, axis: int, index: int, mask: np.ndarray) -> np.ndarray:
        self.told.append((axis, index, mask))
        return self.answers[len(self.told) - 1]


def a_curve(group: str, *dices: float, seconds: tuple[float, ...] = (1.0,)) -> Curve:
    nsd = {click: dices[click - 1] / 2 for click in (1, 3, 5, 10)}
    return Curve(group, group, dices, tuple(dice / (2 - dice) for dice in dices), nsd, seconds)


# The loop


def test_agreement_is_noted_after_each_click_and_an_exact_mask_gets_no_more() -> None:
    truth, half = a_ball(9), a_ball(9)
    half[:14] = False
    larger = a_ball(11)
    answerer = ToyAnswerer(half, larger, truth)
    curve = object_curve(answerer, an_item(truth), ObjectRules(max_clicks=5))
    (volume, voxels), *_ = answerer.started
    assert (volume.geometry.spacing, voxels) == (SPACING, truth.sum())
    assert curve.dice == tuple(metrics.dice(truth, mask) for mask in (half, larger, truth, truth, truth))
    assert curve.nsd == {
        1: metrics.surface_dice(truth, half, SPACING),
        3: 1.0,
        5: 1.0,
    }
    assert len(curve.seconds) == len(answerer.told) == 3
    first, second, third = answerer.told
    assert first == (14, 15, 5, True)
    assert second[3] and not half[second[:3]] and truth[second[:3]]  # type: ignore[index]
    assert not third[3] and larger[third[:3]] and not truth[third[:3]]  # type: ignore[index]


def test_a_known_slice_takes_the_place_of_the_first_click() -> None:
    truth = a_ball(9)
    answerer = ToyAnswerer(a_ball(7), truth)
    object_curve(answerer, an_item(truth), ObjectRules(max_clicks=2, known_slice=True))
    (axis, index, mask), second = answerer.told  # type: ignore[misc]
    assert (axis, index) == (2, 5)
    assert np.array_equal(mask, truth[:, :, 5].T)
    assert len(second) == 4


def test_a_method_without_slices_refuses_a_known_one() -> None:
    with pytest.raises(AdaptSegError, match="BallSession cannot begin with a known slice: leave its method out"):
        object_curve(Ball(), an_item(a_ball(9)), ObjectRules(known_slice=True))


def test_an_unsteady_user_clicks_elsewhere() -> None:
    truth = a_ball(9)
    told = []
    for jitter in (False, True, True):
        answerer = ToyAnswerer(a_ball(5))
        object_curve(answerer, an_item(truth), ObjectRules(max_clicks=1, jitter=jitter))
        told.append(answerer.told)
    assert told[0] != told[1] == told[2]


def test_image_and_labels_of_different_size_are_refused() -> None:
    truth = a_ball(9)
    cut = VolumeItem("odd", "odd", lambda: a_volume(truth), lambda: truth[:, :, :9])
    with pytest.raises(
        ImageError, match=r"odd: Expected labels of the size of the image, \(30, 32, 12\) voxels, got \(30, 32, 9\)"
    ):
        object_curve(ToyAnswerer(), cut, ObjectRules())


def test_each_object_is_announced_and_the_first_one_warms_up() -> None:
    truth = a_ball(9)
    target = VolumeTarget("balls", (an_item(truth, "a"), an_item(truth, "b")), 0)
    answerer, calls = ToyAnswerer(truth), []
    warm_up(answerer, [target], ObjectRules(2))
    assert len(answerer.started) == len(answerer.told) == 1
    curves = run_objects(answerer, [target], ObjectRules(2), lambda: calls.append(1))
    assert (len(answerer.started), len(calls)) == (3, 2)
    assert [curve.id for curve in curves["balls"]] == ["a", "b"]


# The rivals


def test_a_ball_has_the_objects_volume_in_millimetres_and_stays() -> None:
    truth = a_ball(9)
    session = Ball().start(a_volume(truth), int(truth.sum()))
    first = session.click(14, 15, 5, True)
    assert metrics.dice(truth, first) > 0.97
    assert session.click(2, 2, 2, False) is first
    assert (
        metrics.dice(a_ball(9, (10, 15, 5)), Ball().start(a_volume(truth), int(truth.sum())).click(10, 15, 5, True))
        > 0.97
    )


@pytest.mark.usefixtures("slicer_core")
def test_growcut_fills_a_ball_from_one_click() -> None:
    truth = a_ball(9)
    curve = object_curve(GrowCut(), an_item(truth), ObjectRules(1))
    assert curve.dice[0] > 0.95


def test_the_random_walker_gets_there_with_a_known_slice() -> None:
    truth = a_ball(9)
    curve = object_curve(RandomWalker(), an_item(truth), ObjectRules(1, known_slice=True))
    assert curve.dice[0] > 0.9


def test_seeds_hold_all_clicks_and_known_slices_and_clicks_win() -> None:
    truth = a_ball(9)
    seen: list[np.ndarray] = []

    def grow(grey: np.ndarray, seeds: np.ndarray) -> np.ndarray:
        seen.append(seeds)
        return seeds == OBJECT

    session = SeededSession(a_volume(truth), grow)
    session.click(14, 15, 3, True)
    session.slice_mask(2, 5, truth[:, :, 5].T)
    session.click(14, 15, 5, False)
    seeds = seen[-1]
    assert seeds[14, 15, 3] == OBJECT
    assert seeds[14, 15, 5] == BACKGROUND
    known = np.where(truth[:, :, 5], OBJECT, BACKGROUND)
    known[14, 15] = BACKGROUND
    assert np.array_equal(seeds[:, :, 5], known)
    assert (seeds[0] == BACKGROUND).all()


def test_the_walkers_window_has_a_rim_of_background_only_where_it_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[np.ndarray] = []

    def walker(grey: np.ndarray, seeds: np.ndarray, **options: object) -> np.ndarray:
        labels.append(seeds)
        return np.stack([seeds != OBJECT, seeds == OBJECT]).astype(float)

    monkeypatch.setattr("skimage.segmentation.random_walker", walker)
    seeds = np.zeros(SHAPE, np.uint8)
    seeds[4, 16, 5] = OBJECT
    found = walked(a_volume(a_ball(9)).array, seeds, SPACING, side=10)
    (seen,) = labels
    assert seen.shape == (10, 10, 10)
    assert np.argwhere(found).tolist() == [[4, 16, 5]]
    assert (seen[-1] == BACKGROUND).all()
    assert (seen[:, [0, -1]] == BACKGROUND).all()
    assert (seen[:, :, -1] == BACKGROUND).all()
    assert not seen[0, 1:-1, 0:-1].any()


def test_the_walker_keeps_the_seeds_where_nothing_is_left_to_find_or_all_is_grey() -> None:
    truth = a_ball(9)
    known = np.where(truth, OBJECT, BACKGROUND).astype(np.uint8)
    assert np.array_equal(walked(a_volume(truth).array, known, SPACING), truth)
    known[:, :, 4:] = 0
    assert np.array_equal(walked(np.zeros(SHAPE, np.float32), known, SPACING), known == OBJECT)


def test_planes_carry_a_click_through_the_volume_and_corrections_halfway() -> None:
    truth = a_ball(9)
    session = Planes(ToyModel(), zoom=False).start(a_volume(truth), 0)
    first = session.click(14, 15, 5, True)
    assert first[:, :, 5].sum() == pytest.approx(truth[:, :, 5].sum(), rel=0.1)
    assert len(np.flatnonzero(first.any(axis=(0, 1)))) > 3
    second = session.click(14, 15, 9, True)
    assert np.array_equal(first[:, :, :8], second[:, :, :8])
    assert second[:, :, 9].any()


def test_planes_refuse_what_the_product_refuses_and_take_slices_across_any_axis() -> None:
    truth = a_ball(9)
    session = Planes(ToyModel(), zoom=False).start(a_volume(truth), 0)
    assert not session.click(3, 3, 3, False).any()
    found = session.slice_mask(0, 14, truth[14].T)
    assert np.array_equal(found[14], truth[14])
    assert found[13].any()


@pytest.mark.parametrize(
    ("worked_on", "index", "wanted"),
    [((), 5, (0, 11)), ((2, 5, 10), 5, (4, 7)), ((5, 6), 5, (0, 5)), ((1, 4), 9, (7, 11))],
)
def test_a_plane_is_carried_halfway_to_its_neighbours(
    worked_on: tuple[int, ...], index: int, wanted: tuple[int, int]
) -> None:
    assert stretch(worked_on, index, 12) == wanted


# Figures


def test_figures_of_objects() -> None:
    rising = (0.2, 0.4, 0.6, 0.8, 0.9, 0.92, 0.95, 0.95, 0.95, 0.95)
    falling = (0.6, 0.5, 0.5, 0.49, 0.6, 0.6, 0.6, 0.6, 0.6, 0.5)
    curves = {
        "first": [a_curve("a", *rising, seconds=(1.0, 2.0, 3.0)), a_curve("b", *falling, seconds=(3.0,) + (5.0,) * 9)],
        "second": [a_curve("c", *[1.0] * 10, seconds=(2.0,))],
    }
    summary = summarize_objects(curves, ObjectRules())
    first, second, mean = summary["targets"]["first"], summary["targets"]["second"], summary["mean"]
    assert first["dice"] == pytest.approx({"1": 0.4, "3": 0.55, "5": 0.75, "10": 0.725})
    assert first["nsd"]["5"] == pytest.approx(0.375)
    assert first["auc5"] == pytest.approx(((0.3 + 0.5 + 0.7 + 0.85) + (0.55 + 0.5 + 0.495 + 0.545)) / 2)
    assert first["noc85"] == pytest.approx((6 + 10) / 2)
    assert first["worse"] == pytest.approx((0 + 2 / 9) / 2)
    assert first["seconds"]["first"] == pytest.approx({"median": 2.0, "p95": 2.9})
    assert first["seconds"]["later"] == pytest.approx({"median": 5.0, "p95": 5.0})
    assert second["seconds"]["later"] == {"median": None, "p95": None}
    assert second["auc5"] == 4
    assert mean["dice"]["1"] == pytest.approx((0.4 + 1) / 2)
    assert mean["noc85"] == pytest.approx((8 + 1) / 2)
    assert mean["seconds"]["first"]["median"] == 2
    assert list(first["ci"]) == ["dice", "nsd", "auc5", "noc85", "worse"]
    assert first["ci"]["dice"]["1"] == pytest.approx([0.2, 0.6])
    header, rows = object_rows(summary)
    assert header[-8:] == ["NSD@10", "AUC5", "NoC85", "worse", "first s", "p95", "later s", "p95"]
    assert rows[1][-4:] == [2.0, 2.0, "-", "-"]
    assert len({len(row) for row in [header, *rows]}) == 1


# The command


@pytest.fixture
def slicer_core() -> None:
    pytest.importorskip("slicer", reason="GrowCut needs slicer-core", exc_type=ImportError)


@pytest.fixture
def a_data_folder(tmp_path: Path) -> Path:
    for name, radius in (("a", 8), ("b", 9)):
        for part, array in (("images", a_volume(a_ball(radius)).array), ("labels", a_ball(radius).astype(np.uint8))):
            (tmp_path / "balls" / part).mkdir(parents=True, exist_ok=True)
            image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
            image.SetSpacing(SPACING)
            sitk.WriteImage(image, str(tmp_path / "balls" / part / f"{name}.nii.gz"))
    return tmp_path


def bench(folder: Path, *options: str) -> int:
    return main(["bench", "object", "--data", str(folder), "--targets", "balls", "--no-zoom", *options])


@pytest.fixture
def a_toy_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    monkeypatch.setattr("AdaptCore.models.registry.answers_planes", lambda name: True)


@pytest.mark.usefixtures("a_toy_registry")
def test_the_command_writes_figures_of_each_model(a_data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_data_folder / "result.json"
    options = ("--model", "planes,toy,ball", "--max-clicks", "3", "--seed", "2", "--json", str(file))
    assert bench(a_data_folder, *options) == 0
    models = json.loads(file.read_text())["models"]
    assert list(models) == ["planes", "toy", "ball"]
    for name, result in models.items():
        assert [result[key] for key in ("model", "seed", "max_clicks", "jitter", "known_slice")] == [
            name,
            2,
            3,
            False,
            False,
        ]
        part = result["targets"]["balls"]
        assert list(part) == ["n", "dice", "nsd", "auc5", "noc85", "worse", "ci", "seconds"]
        assert list(result["mean"]) == list(part)
        assert (part["n"], list(part["dice"])) == (2, ["1", "3"])
        assert set(part["seconds"]) == {"first", "later"}
    assert models["planes"]["targets"]["balls"]["dice"] == models["toy"]["targets"]["balls"]["dice"]
    assert models["ball"]["mean"]["dice"]["1"] > 0.95
    *_, header, _, planes, toy, ball = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header == ["method", "Dice@1", "Dice@3", "NSD@1", "NSD@3", "AUC5", "NoC85", "worse"]
    assert [row[0] for row in (planes, toy, ball)] == ["planes", "toy", "ball"]
    assert float(ball[1]) == pytest.approx(models["ball"]["mean"]["dice"]["1"], abs=5e-4)


@pytest.mark.usefixtures("a_toy_registry")
def test_options_reach_the_user(a_data_folder: Path) -> None:
    file = a_data_folder / "result.json"
    dice = []
    for options in ((), ("--known-slice",), ("--jitter",)):
        assert bench(a_data_folder, "--model", "planes", "--max-clicks", "2", "--json", str(file), *options) == 0
        result = json.loads(file.read_text())["models"]["planes"]
        dice.append(result["mean"]["dice"]["1"])
        assert [result["known_slice"], result["jitter"]] == [
            option in options for option in ("--known-slice", "--jitter")
        ]
    assert len(set(dice)) == 3


def test_the_model_of_volumes_is_measured_unless_another_one_is_named() -> None:
    arguments = build_parser().parse_args(["bench", "object", "--data", "folder", "--targets", "balls"])
    assert arguments.model == ["compact3d"]


@pytest.mark.usefixtures("a_toy_registry")
def test_ball_and_known_slice_do_not_go_together(a_data_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = a_data_folder / "result.json"
    assert bench(a_data_folder, "--model", "planes,ball", "--known-slice", "--json", str(file)) == 2
    assert "cannot begin with a known slice" in capsys.readouterr().err
    assert not file.exists()
