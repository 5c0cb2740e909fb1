"""Which image to label first."""

from __future__ import annotations

from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.cli import main
from AdaptCore.cohort import first
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.first import candidates, typicality
from AdaptCore.errors import CohortError
from Testing.cohort_volumes import SHAPE, a_label, an_image, some_features
from Testing.toy_model import ToyModel

SHIFTS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, -1, 1))


@pytest.fixture
def some_images(tmp_path: Path) -> Path:
    """Four alike volumes and, as `c_odd`, one whose object is another one."""
    folder = tmp_path / "scans"
    folder.mkdir()
    for name, shift in zip("abde", SHIFTS):
        write(folder / f"{name}.nii.gz", an_image(a_label(shift), seed=ord(name)))
    write(folder / "c_odd.nii.gz", np.random.default_rng(0).normal(100, 40, SHAPE).astype(np.float32))
    return folder


def write(path: Path, image: np.ndarray) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(image.T), str(path))


def test_noise_and_an_absent_object_are_least_typical_and_another_place_is_nothing_odd() -> None:
    alike = [some_features(a_label(shift), seed=seed) for seed, shift in enumerate(SHIFTS, 1)]
    noisy, empty = some_features(a_label(), noise=2.0, seed=9), some_features(np.zeros(SHAPE, np.uint8), seed=8)
    scores = typicality([*alike[:2], noisy, *alike[2:], empty])
    assert scores.shape == (6,) and np.abs(scores).max() <= 1
    assert np.argsort(scores)[:2].tolist() == [2, 5]
    same = scores[[0, 1, 3, 4]]
    assert np.ptp(same) < 0.018 < same.min() - scores[5] and scores[2] < 0.9


def test_the_same_volumes_are_wholly_typical_and_so_is_one_alone() -> None:
    assert typicality([some_features(a_label())] * 3) == pytest.approx(1, abs=2e-3)
    assert typicality([some_features(a_label())]) == pytest.approx(1, abs=2e-3)


def test_images_come_typical_ones_first_and_those_that_cannot_be_read_are_told(some_images: Path) -> None:
    (some_images / "broken.nii.gz").write_bytes(b"")
    stages: list[str] = []

    def watching(stage: str) -> Watch:
        stages.append(stage)
        return Watch()

    with pytest.warns(UserWarning, match="left out: .*broken.nii.gz"):
        found = candidates([some_images], ToyModel(), watching)
    assert {one.path.name for one in found} == {f"{name}.nii.gz" for name in ("a", "b", "c_odd", "d", "e")}
    assert found[-1].path.name == "c_odd.nii.gz"
    assert [one.typicality for one in found] == sorted((one.typicality for one in found), reverse=True)
    assert stages == ["features", "comparison"]


def test_of_many_images_some_are_drawn_by_the_seed(some_images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first, "MOST", 3)
    drawn = [{one.path for one in candidates([some_images], ToyModel(), seed=seed)} for seed in (0, 0, 1, 2)]
    assert all(len(paths) == 3 for paths in drawn)
    assert drawn[0] == drawn[1] and len(set(map(frozenset, drawn))) > 1


def test_one_image_cannot_be_compared(some_images: Path) -> None:
    with pytest.raises(CohortError, match="Expected at least 2 images to compare, got 1 of 1"):
        candidates([some_images / "a.nii.gz"], ToyModel())


@pytest.mark.parametrize("stage", ["features", "comparison"])
def test_it_stops_when_it_is_told_to(some_images: Path, stage: str) -> None:
    with pytest.raises(CancelledError):
        candidates([some_images], ToyModel(), lambda name: Watch(cancelled=lambda: name == stage))


def test_the_command_shows_so_many_and_changes_nothing(
    some_images: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    before = {path: path.read_bytes() for path in some_images.iterdir()}
    assert main(["cohort", "first", "--images", str(some_images), "--count", "2"]) == 0
    heading, *lines = capsys.readouterr().out.strip().splitlines()
    assert heading == "To label first, the most typical of 5 images"
    expected = candidates([some_images], ToyModel())[:2]
    assert [line.split() for line in lines] == [[str(one.path), f"{one.typicality:.3f}"] for one in expected]
    assert {path: path.read_bytes() for path in some_images.iterdir()} == before
