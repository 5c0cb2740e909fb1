"""`adaptseg train`: its options, what it writes, and what it refuses."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch

from AdaptCore import cli
from AdaptCore.commands import train
from AdaptCore.models.registry import load_model, load_volume_model
from AdaptCore.training.plane_course import PlaneCourse, PlaneRecipe, PlaneStage
from AdaptCore.training.trainer import Course
from AdaptCore.training.volume_course import VolumeCourse, VolumeRecipe, VolumeStage
from Testing.small_model import SMALL
from Testing.tiny_volume_model import TINY_VOLUMETRIC


@pytest.fixture
def quick_courses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny networks, small images, and no validation."""

    def course(arguments: object) -> Course:
        seed = arguments.seed  # type: ignore[attr-defined]
        if arguments.model == "compact":  # type: ignore[attr-defined]
            return PlaneCourse(PlaneRecipe(stages=(PlaneStage(64, 1, 1, 9),), seed=seed), SMALL)
        return VolumeCourse(VolumeRecipe(stages=(VolumeStage(16, 1, 1, 9),), seed=seed), TINY_VOLUMETRIC)

    monkeypatch.setattr(train, "_course", course)
    for one in (PlaneCourse, VolumeCourse):
        monkeypatch.setattr(one, "validate", lambda self, network, device: {"iou1": 0.5})


def arguments(folder: Path, *more: str) -> list[str]:
    return ["train", "--out", str(folder), "--device", "cpu", "--log-every", "1", *more]


@pytest.mark.usefixtures("quick_courses")
@pytest.mark.parametrize(("model", "load"), [("compact", load_model), ("compact3d", load_volume_model)])
def test_a_training_writes_weights_table_and_picture_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], model: str, load: object
) -> None:
    assert cli.main(arguments(tmp_path, "--model", model, "--steps", "1")) == 0
    assert cli.main(arguments(tmp_path, "--model", model, "--steps", "2")) == 2
    assert f"{tmp_path} holds a training already: add --resume, or choose another folder" in capsys.readouterr().err
    assert cli.main(arguments(tmp_path, "--model", model, "--steps", "2", "--resume")) == 0
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
    assert "trained to step 2 in 0 minutes" in capsys.readouterr().out
    weights = tmp_path / f"{model}.safetensors"
    assert (tmp_path / "log.png").stat().st_size > 1000
    load(weights, "cpu")  # type: ignore[operator]
    started = arguments(tmp_path / "next", "--model", model, "--steps", "3", "--start", str(weights))
    assert cli.main(started) == 0
    with (tmp_path / "next" / "log.csv").open(encoding="utf-8") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["3"]


@pytest.mark.usefixtures("quick_courses")
def test_the_folder_of_another_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments(tmp_path, "--model", "compact3d", "--steps", "1")) == 0
    old = (tmp_path / "training.pt").read_bytes()
    assert cli.main(arguments(tmp_path, "--model", "compact", "--steps", "2", "--resume")) == 2
    assert "holds a training of compact3d" in capsys.readouterr().err
    weights = str(tmp_path / "compact3d.safetensors")
    assert cli.main(arguments(tmp_path / "b", "--model", "compact", "--steps", "2", "--start", weights)) == 2
    assert "holds weights of compact3d: choose some of compact" in capsys.readouterr().err
    assert (tmp_path / "training.pt").read_bytes() == old


def test_each_model_has_its_course_with_seed_and_batch() -> None:
    parser = cli.build_parser()
    for name, course in (("compact", PlaneCourse), ("compact3d", VolumeCourse)):
        given = parser.parse_args(["train", "--out", "x", "--model", name, "--seed", "7", "--batch", "3"])
        found = train._course(given)
        assert isinstance(found, course) and found.architecture == name
        assert (found.recipe.seed, found.recipe.times) == (7, 3)


def test_it_must_be_said_how_long_to_train(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "--out", str(tmp_path / "new")]) == 2
    assert "Say how long to train: --minutes 60, or --steps 10000." in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "option",
    [
        ("--log-every", "0"),
        ("--seed", "-1"),
        ("--seed", "9" * 20),
        ("--threads", "0"),
        ("--threads", "-1"),
        ("--steps", "0"),
        ("--batch", "0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--out", str(tmp_path / "new"), *option])
    assert stop.value.code == 2
    assert f"argument {option[0]}: Expected a whole number from" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf", "ten"])
def test_minutes_must_be_a_number_above_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str], minutes: str) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--out", str(tmp_path / "new"), "--minutes", minutes])
    assert stop.value.code == 2
    assert f"'{minutes}'" in capsys.readouterr().err and not (tmp_path / "new").exists()


@pytest.mark.slow
def test_the_shipped_recipe_trains_a_step_and_its_weights_load(tmp_path: Path) -> None:
    assert cli.main(["train", "--out", str(tmp_path), "--steps", "1", "--device", "cpu"]) == 0
    assert (tmp_path / "compact.safetensors").stat().st_size > 5_000_000
    assert load_model(tmp_path / "compact.safetensors", "cpu").device == torch.device("cpu")
