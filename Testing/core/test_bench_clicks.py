"""The click benchmark: its loop, its figures and its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.cli import main
from AdaptCore.errors import ImageError
from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.clicks import Curve, ModelSegmenter, click_curve, reported_clicks, run_targets, summarize
from AdaptCore.evaluate.datasets import Item, Target
from AdaptCore.prompts import Click
from Testing.toy_model import ToyModel

SHAPE = (40, 50)


def a_square(side: int) -> np.ndarray:
    mask = np.zeros(SHAPE, dtype=bool)
    mask[4 : 4 + side, 4 : 4 + side] = True
    return mask


def an_item(truth: np.ndarray, item_id: str = "one") -> Item:
    return Item(item_id, item_id, lambda: (0.2 + 0.6 * truth).astype(np.float32), lambda: truth)


class ScriptedSegmenter:
    """Answers with prepared masks, whatever is clicked; `clicks` keeps what it was told."""

    def __init__(self, *answers: np.ndarray) -> None:
        self.answers = answers
        self.clicks: list[Click] = []

    def start(self, image: np.ndarray, spacing: tuple[float, float] | None = None) -> ScriptedSegmenter:
        self.clicks, self.spacing = [], spacing
        return self

    def click(self, click: Click) -> np.ndarray:
        self.clicks.append(click)
        return self.answers[len(self.clicks) - 1]


def a_curve(group: str, *ious: float) -> Curve:
    nsd = {click: ious[click - 1] ** 2 for click in reported_clicks(len(ious))}
    return Curve(group, group, tuple(2 * iou / (1 + iou) for iou in ious), ious, nsd)


def test_agreement_is_noted_after_each_click() -> None:
    segmenter = ScriptedSegmenter(a_square(5), a_square(15), a_square(8))
    curve = click_curve(segmenter, an_item(a_square(10)), max_clicks=3, seed=0)
    assert curve.iou == pytest.approx((25 / 100, 100 / 225, 64 / 100))
    assert curve.dice == pytest.approx((50 / 125, 200 / 325, 128 / 164))
    assert [click.positive for click in segmenter.clicks] == [True, True, False]


def test_an_exact_mask_gets_no_more_clicks_and_its_value_stands() -> None:
    segmenter = ScriptedSegmenter(a_square(5), a_square(10))
    curve = click_curve(segmenter, an_item(a_square(10)), max_clicks=5, seed=0)
    assert len(segmenter.clicks) == 2
    assert curve.iou == pytest.approx((0.25, 1, 1, 1, 1))


def test_surfaces_are_compared_in_the_items_millimetres() -> None:
    truth, found = a_square(12), np.roll(a_square(12), 2, axis=1)
    apart = [None, (0.5, 3.0), (1.5, 0.5)]
    curves = []
    for spacing in apart:
        segmenter = ScriptedSegmenter(found)
        item = Item("one", "one", lambda: np.zeros(SHAPE, np.float32), lambda: truth, lambda spacing=spacing: spacing)
        curves.append(click_curve(segmenter, item, max_clicks=1, seed=0))
        assert segmenter.spacing == spacing
    assert [curve.nsd[1] for curve in curves] == [1, 1, metrics.surface_dice(truth, found, (0.5, 1.5))]
    assert curves[2].nsd[1] < 0.8


def test_an_unsteady_user_clicks_elsewhere_and_is_replayed_by_the_seed() -> None:
    clicked = []
    for seed, jitter in ((0, False), (0, True), (0, True), (1, True)):
        segmenter = ScriptedSegmenter(a_square(5), a_square(15))
        click_curve(segmenter, an_item(a_square(11)), 2, seed, jitter)
        clicked.append(tuple(segmenter.clicks))
    steady, first, again, other = clicked
    assert steady[0] == Click(9.0, 9.0)
    assert first == again
    assert len({steady, first, other}) == 3


def test_image_and_mask_of_different_size_are_refused() -> None:
    item = Item("odd", "odd", lambda: np.zeros((10, 10), np.float32), lambda: a_square(5))
    with pytest.raises(
        ImageError, match=r"odd: Expected a mask of the size of the image, \(10, 10\) pixels, got \(40, 50\)"
    ):
        click_curve(ScriptedSegmenter(), item, max_clicks=1, seed=0)


def test_a_model_is_asked_with_all_clicks_so_far() -> None:
    curve = click_curve(ModelSegmenter(ToyModel()), an_item(a_square(20)), max_clicks=2, seed=0)
    assert curve.dice[0] > 0.9


def test_figures_are_means_over_items_and_over_targets() -> None:
    curves = {
        "first": [a_curve("a", 0.5, 0.85, 0.9), a_curve("b", 0.1, 0.2, 0.3)],
        "second": [a_curve("c", 0.95, 0.95, 0.95)],
    }
    summary = summarize(curves, max_clicks=3, seed=0)
    first, second, mean = summary["targets"]["first"], summary["targets"]["second"], summary["mean"]
    assert first["n"] == 2
    assert first["noc85"] == pytest.approx((2 + 3) / 2)
    assert first["noc90"] == pytest.approx((3 + 3) / 2)
    assert first["fr85"] == first["fr90"] == pytest.approx(0.5)
    assert first["dice"]["1"] == pytest.approx((1 / 1.5 + 0.2 / 1.1) / 2)
    assert first["dice"]["3"] == pytest.approx((1.8 / 1.9 + 0.6 / 1.3) / 2)
    assert first["nsd"] == {"1": pytest.approx((0.25 + 0.01) / 2), "3": pytest.approx((0.81 + 0.09) / 2)}
    assert (second["noc85"], second["fr90"]) == (1, 0)
    assert mean["noc85"] == pytest.approx((2.5 + 1) / 2)
    assert mean["fr85"] == pytest.approx(0.25)
    assert mean["n"] == pytest.approx(1.5)


def test_intervals_enclose_their_means_and_that_of_the_mean_is_narrower() -> None:
    rng = np.random.default_rng(0)
    items = [a_curve(str(index), *rng.uniform(0.4, 1, 3)) for index in range(40)]
    summary = summarize({"s": items, "t": items, "u": items}, max_clicks=3, seed=0)
    widths = {}
    for name, part in {**summary["targets"], "mean": summary["mean"]}.items():
        low, high = part["ci"]["dice"]["3"]
        assert low < part["dice"]["3"] < high
        widths[name] = high - low
    assert widths["mean"] == pytest.approx(np.mean([widths[name] for name in "stu"]) / np.sqrt(3), rel=0.1)


def test_images_of_one_patient_count_as_one_in_the_interval() -> None:
    eyes = [a_curve("child", 0.2), a_curve("child", 0.9)]
    part = summarize({"t": eyes}, max_clicks=1, seed=0)["targets"]["t"]
    assert part["ci"]["dice"]["1"] == pytest.approx([part["dice"]["1"]] * 2)


def test_every_reported_measure_has_its_interval() -> None:
    part = summarize({"t": [a_curve("a", *[0.5] * 20)]}, max_clicks=20, seed=0)["targets"]["t"]
    assert list(part) == ["n", "dice", "nsd", "noc85", "noc90", "fr85", "fr90", "ci"]
    for measure in ("dice", "nsd"):
        assert list(part[measure]) == list(part["ci"][measure]) == ["1", "3", "5", "10", "20"]
    assert list(part["ci"]) == ["dice", "nsd", "noc85", "noc90", "fr85", "fr90"]


@pytest.mark.parametrize(("most", "reported"), [(20, [1, 3, 5, 10, 20]), (10, [1, 3, 5, 10]), (4, [1, 3, 4])])
def test_agreement_is_reported_at_fixed_clicks_and_the_last(most: int, reported: list[int]) -> None:
    assert reported_clicks(most) == reported


def test_every_item_is_announced() -> None:
    target = Target("t", tuple(an_item(a_square(10), str(index)) for index in range(3)), 0)
    calls: list[int] = []
    curves = run_targets(ScriptedSegmenter(a_square(10)), [target], 2, 0, lambda: calls.append(1))
    assert len(calls) == 3
    assert [curve.id for curve in curves["t"]] == ["0", "1", "2"]


@pytest.fixture
def a_data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for part, high in (("images", 180), ("masks", 255)):
        (folder / "squares" / part).mkdir(parents=True)
        for side in (18, 22, 26):
            stored = np.where(a_square(side), high, 40 if part == "images" else 0).astype(np.uint8)
            sitk.WriteImage(sitk.GetImageFromArray(stored), str(folder / "squares" / part / f"s{side}.png"))
    return folder


@pytest.fixture
def a_toy_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())


@pytest.mark.usefixtures("a_toy_registry")
def test_the_command_writes_the_figures_and_prints_a_table(
    a_data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    options = ["--targets", "squares,squares:instances", "--max-clicks", "3", "--limit", "2", "--seed", "4"]
    assert main(["bench", "clicks", "--data", str(a_data_folder), *options, "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert list(result) == ["targets", "mean", "seed", "model", "max_clicks", "jitter"]
    assert [result[key] for key in ("seed", "model", "max_clicks", "jitter")] == [4, "compact", 3, False]
    assert {name: part["n"] for name, part in result["targets"].items()} == {"squares": 2, "squares:instances": 2}
    assert result["targets"]["squares"]["dice"]["1"] > 0.9
    printed = capsys.readouterr().out.splitlines()
    header = next(line for line in printed if line.startswith("target")).split()
    assert header == ["target", "n", "Dice@1", "Dice@3", "NSD@1", "NSD@3", "NoC85", "NoC90", "FR85", "FR90"]
    row = next(line for line in printed if line.startswith("mean")).split()
    assert float(row[1]) == pytest.approx(result["mean"]["dice"]["1"], abs=5e-4)


@pytest.mark.usefixtures("a_toy_registry")
def test_equal_seeds_give_equal_files(a_data_folder: Path, tmp_path: Path) -> None:
    files = [tmp_path / "first.json", tmp_path / "second.json"]
    for file in files:
        arguments = ["--data", str(a_data_folder), "--targets", "squares", "--max-clicks", "4", "--limit", "2"]
        assert main(["bench", "clicks", *arguments, "--json", str(file)]) == 0
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.usefixtures("a_toy_registry")
def test_the_command_lets_an_unsteady_user_click(a_data_folder: Path, tmp_path: Path) -> None:
    results = []
    for option in ([], ["--jitter"]):
        file = tmp_path / "result.json"
        arguments = ["--data", str(a_data_folder), "--targets", "squares", "--max-clicks", "3", "--json", str(file)]
        assert main(["bench", "clicks", *arguments, *option]) == 0
        results.append(json.loads(file.read_text()))
    assert [result["jitter"] for result in results] == [False, True]
    assert results[0]["targets"] != results[1]["targets"]


@pytest.mark.usefixtures("a_toy_registry")
def test_several_methods_are_run_on_the_same_items_and_shown_side_by_side(
    a_data_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    options = ["--targets", "squares", "--max-clicks", "2", "--model", "toy,random-walker"]
    assert main(["bench", "clicks", "--data", str(a_data_folder), *options, "--json", str(file)]) == 0
    models = json.loads(file.read_text())["models"]
    *_, header, _, toy, walker = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert header == ["method", "Dice@1", "Dice@2", "NoC85", "NoC90", "FR85", "FR90"]
    for row, name in ((toy, "toy"), (walker, "random-walker")):
        mean = models[name]["mean"]
        figures = [*mean["dice"].values(), *(mean[key] for key in ("noc85", "noc90", "fr85", "fr90"))]
        assert row == [name, *(f"{figure:.3f}" for figure in figures)]
    assert toy[1:] != walker[1:]
    assert {name: part["model"] for name, part in models.items()} == {"toy": "toy", "random-walker": "random-walker"}
    assert models["toy"]["targets"]["squares"]["n"] == models["random-walker"]["targets"]["squares"]["n"] == 3


@pytest.mark.usefixtures("a_toy_registry")
@pytest.mark.parametrize(
    ("targets", "json_name", "message"),
    [("cubes", "result.json", "got 'cubes'"), ("squares", "missing/result.json", "does not exist")],
)
def test_bad_input_gets_one_line_and_status_2(
    a_data_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    targets: str,
    json_name: str,
    message: str,
) -> None:
    arguments = ["--data", str(a_data_folder), "--targets", targets, "--json", str(tmp_path / json_name)]
    assert main(["bench", "clicks", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / json_name).exists()


@pytest.mark.usefixtures("a_toy_registry")
def test_image_with_voxels_that_are_not_finite_is_told_in_one_line(
    a_data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = a_data_folder / "squares" / "images" / "s18.png"
    pixels = np.float32(sitk.GetArrayFromImage(sitk.ReadImage(str(image))))
    pixels[0, 0] = np.nan
    image.unlink()
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(image.with_suffix(".nrrd")))
    assert main(["bench", "clicks", "--data", str(a_data_folder), "--targets", "squares", "--max-clicks", "1"]) == 0
    told = f"adaptseg: warning: {image.with_suffix('.nrrd')}: 1 NaN or infinite voxels are replaced by 40."
    assert told in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    "option", [["--limit", "0"], ["--max-clicks", "-3"], ["--seed", "x"], ["--seed", "1" * 10], ["--targets", ","]]
)
def test_numbers_that_make_no_sense_are_refused(option: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["bench", "clicks", "--data", ".", "--targets", "squares", *option])
    assert stop.value.code == 2
    assert "Expected" in capsys.readouterr().err


@pytest.mark.data
@pytest.mark.usefixtures("a_toy_registry")
def test_the_real_sets_run_through(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    targets = "bu_bil_3,drishti_gs:cup_min2of4,busi,cxr_lungs:instances,lung_ct_2d,polyp_mini,msd_hippocampus:any"
    options = ["--targets", targets, "--limit", "2", "--max-clicks", "2", "--json", str(file)]
    assert main(["bench", "clicks", "--data", str(data_dir), *options]) == 0
    result = json.loads(file.read_text())
    assert [part["n"] for part in result["targets"].values()] == [2] * 7
    assert 0.1 < result["mean"]["dice"]["1"] < 1
