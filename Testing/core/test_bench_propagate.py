"""The propagation benchmark: from one accepted plane to the volume."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.cli import main
from AdaptCore.errors import ImageError
from AdaptCore.evaluate.datasets import VolumeItem
from AdaptCore.evaluate.propagate import VolumeScore, middle_plane, summarize, volume_score
from AdaptCore.io import Geometry, Volume
from Testing.toy_model import ToyModel

SHAPE = (40, 44, 16)


def a_ball() -> np.ndarray:
    i, j, k = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    return ((i - 18) / 12) ** 2 + ((j - 24) / 10) ** 2 + ((k - 7) / 5) ** 2 <= 1


def an_item(truth: np.ndarray) -> VolumeItem:
    image = (40 + 120 * a_ball()).astype(np.uint8)
    return VolumeItem("ball", "ball", lambda: Volume(image, Geometry(SHAPE)), lambda: truth)


def test_the_middle_plane_is_the_middle_of_those_with_object() -> None:
    truth = np.zeros(SHAPE, dtype=bool)
    truth[3, 3, [2, 3, 4, 9, 11]] = True
    assert middle_plane(truth) == 4


def test_a_bright_ball_is_found_from_its_middle_plane() -> None:
    score = volume_score(ToyModel(), an_item(a_ball()))
    assert score.dice > 0.85
    assert 0.8 < score.dice_others <= score.dice


def test_the_accepted_plane_itself_is_no_merit() -> None:
    truth = np.zeros(SHAPE, dtype=bool)
    truth[:, :, 7] = a_ball()[:, :, 7]
    score = volume_score(ToyModel(), an_item(truth))
    assert score.dice_others == 0
    assert 0.1 < score.dice < 0.5


def test_image_and_labels_of_different_size_are_refused() -> None:
    with pytest.raises(
        ImageError, match=r"ball: Expected labels of the size of the image, \(40, 44, 16\) voxels, got \(40, 44, 9\)"
    ):
        volume_score(ToyModel(), an_item(a_ball()[:, :, :9]))


def test_figures_are_means_over_volumes_and_over_targets() -> None:
    scores = {
        "first": [VolumeScore("a", "a", 0.9, 0.8), VolumeScore("b", "b", 0.5, 0.4)],
        "second": [VolumeScore("c", "c", 0.8, 0.6)],
    }
    summary = summarize(scores, seed=0)
    assert summary["targets"]["first"]["dice"] == pytest.approx(0.7)
    assert summary["targets"]["first"]["ci"]["dice"] == pytest.approx([0.5, 0.9])
    assert summary["mean"] == pytest.approx({"dice": 0.75, "dice_others": 0.6})


@pytest.fixture
def a_toy_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())


@pytest.mark.usefixtures("a_toy_registry")
def test_the_command_writes_the_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    item = an_item(a_ball())
    for part, array in (("images", item.volume().array), ("labels", item.truth().astype(np.uint8))):
        (tmp_path / "balls" / part).mkdir(parents=True)
        image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        sitk.WriteImage(image, str(tmp_path / "balls" / part / "ball.nii.gz"))
    file = tmp_path / "result.json"
    options = ["--targets", "balls:any", "--limit", "30", "--json", str(file)]
    assert main(["bench", "propagate", "--data", str(tmp_path), *options]) == 0
    result = json.loads(file.read_text())
    assert result["targets"]["balls:any"]["n"] == 1
    assert result["targets"]["balls:any"]["dice"] == pytest.approx(volume_score(ToyModel(), item).dice)
    assert (result["seed"], result["model"]) == (0, "compact")
    assert f"{result['mean']['dice']:.3f}" in capsys.readouterr().out


@pytest.mark.data
@pytest.mark.usefixtures("a_toy_registry")
def test_real_volumes_run_through(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    options = ["--targets", "msd_hippocampus:any,msd_hippocampus:label=1", "--limit", "2", "--json", str(file)]
    assert main(["bench", "propagate", "--data", str(data_dir), *options]) == 0
    result = json.loads(file.read_text())
    assert [part["n"] for part in result["targets"].values()] == [2, 2]
    assert 0 <= result["mean"]["dice_others"] < result["mean"]["dice"] < 1
