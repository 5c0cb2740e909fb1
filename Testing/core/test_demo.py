"""The demo: an ambiguous phantom, a simulated user, and files that open in Slicer and a browser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore import cli
from AdaptCore.commands.demo import DemoResult, run_demo
from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.object_user import click_and_pick
from AdaptCore.evaluate.phantom import Phantom, PhantomRecipe, make_phantom
from AdaptCore.evaluate.volume_user import Patience, VolumeRun, annotate
from AdaptCore.io import read_volume
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.propagate import Propagation
from AdaptCore.predict.volume import VolumeSession
from Testing.tiny_volume_model import tiny_volume_model
from Testing.toy_model import ToyModel


@pytest.fixture(scope="module")
def a_phantom() -> Phantom:
    return make_phantom(seed=0)


@pytest.fixture(scope="module")
def a_small_phantom() -> Phantom:
    recipe = PhantomRecipe(size=(64, 64, 14), lesion_radii=(12.0, 10.0, 12.0), distractors=0)
    return make_phantom(seed=2, recipe=recipe)


@pytest.fixture(scope="module")
def a_run(a_small_phantom: Phantom) -> VolumeRun:
    return annotate(ToyModel(), a_small_phantom.volume.array, a_small_phantom.truth, 2, seed=0)


@pytest.fixture(scope="module")
def a_demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoResult]:
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(tiny_volume_model(), ToyModel(), folder, seed=0, max_clicks=8)


def test_phantom_is_oblique_and_has_thick_slices(a_phantom: Phantom) -> None:
    geometry = a_phantom.volume.geometry
    assert geometry.spacing == (0.8, 0.8, 3.0)
    turn = geometry.direction_matrix
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.abs(turn).max() < 0.999
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_equal_seeds_give_equal_phantoms(a_phantom: Phantom) -> None:
    again, other = make_phantom(seed=0), make_phantom(seed=1)
    np.testing.assert_array_equal(again.volume.array, a_phantom.volume.array)
    assert (other.truth != a_phantom.truth).any()


def test_halo_is_between_lesion_and_tissue(a_phantom: Phantom) -> None:
    from scipy.ndimage import distance_transform_edt

    recipe = PhantomRecipe()
    image, truth = a_phantom.volume.array, a_phantom.truth
    outside = distance_transform_edt(~truth, sampling=recipe.spacing)
    halo = float(image[(outside > 1.5) & (outside < 2.5)].mean())
    lesion, tissue = float(image[truth].mean()), float(np.median(image[outside > 15]))
    assert lesion - halo > 15
    assert halo - tissue > 15


def test_lesion_lies_inside_the_volume(a_phantom: Phantom) -> None:
    truth = a_phantom.truth
    assert 2000 < truth.sum() < 0.2 * truth.size
    for axis in range(3):
        ends = truth.take([0, -1], axis)
        assert not ends.any()


def test_user_starts_on_the_object(a_run: VolumeRun, a_small_phantom: Phantom) -> None:
    assert a_run.clicks[0].positive
    assert a_small_phantom.truth[a_run.clicks[0].voxel]


def test_every_click_repairs_something(a_run: VolumeRun, a_small_phantom: Phantom) -> None:
    for click in a_run.clicks:
        assert bool(a_small_phantom.truth[click.voxel]) == click.positive


def test_dice_of_the_run_is_that_of_its_mask(a_run: VolumeRun, a_small_phantom: Phantom) -> None:
    assert len(a_run.dice_after_click) == len(a_run.clicks)
    assert a_run.dice_after_click[-1] == pytest.approx(dice(a_small_phantom.truth, a_run.mask > 0))
    assert a_run.dice_after_click[-1] > 0.8


def test_user_stops_when_the_patience_ends(a_small_phantom: Phantom) -> None:
    never = Patience(plane_dice=1.1, volume_dice=1.1, clicks_per_plane=3, max_clicks=7)
    speckled = a_small_phantom.truth.copy()
    speckled[::4, ::4] ^= True  # no plane is ever right, so each gets all of its clicks
    run = annotate(ToyModel(), a_small_phantom.volume.array, speckled, 2, 0, never)
    assert len(run.clicks) == 7
    planes = [click.voxel[2] for click in run.clicks]
    assert planes[:3] == [planes[0]] * 3
    assert planes[3:6] == [planes[3]] * 3
    assert len(run.prompted(2)) == 3


def test_user_stops_when_satisfied(a_small_phantom: Phantom) -> None:
    easy = Patience(plane_dice=0.1, volume_dice=0.1)
    assert len(annotate(ToyModel(), a_small_phantom.volume.array, a_small_phantom.truth, 2, 0, easy).clicks) == 1


def test_equal_seeds_give_equal_runs(a_run: VolumeRun, a_small_phantom: Phantom) -> None:
    again = annotate(ToyModel(), a_small_phantom.volume.array, a_small_phantom.truth, 2, seed=0)
    assert again.clicks == a_run.clicks
    np.testing.assert_array_equal(again.mask, a_run.mask)


def test_user_takes_back_a_propagation_that_makes_it_worse(
    a_small_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill_the_first_plane(session: VolumeSession, axis: int, index: int, **options: object) -> Propagation:
        plane = axis_plane(session.shape, axis, 0)
        session.accept(plane, np.ones(plane.shape, bool))
        return Propagation(axis, index, {0: np.ones(plane.shape, bool)}, {0: 0.9}, False)

    monkeypatch.setattr(VolumeSession, "propagate", fill_the_first_plane)
    patience = Patience(max_clicks=1)
    run = annotate(ToyModel(), a_small_phantom.volume.array, a_small_phantom.truth, 2, 0, patience)
    clicked = run.clicks[0].voxel[2]
    assert np.flatnonzero(run.mask.any(axis=(0, 1))).tolist() == [clicked]
    assert list(run.confidences) == [clicked]


def test_demo_writes_image_masks_report_and_picture(a_demo: tuple[Path, DemoResult], a_phantom: Phantom) -> None:
    folder, result = a_demo
    assert sorted(file.name for file in folder.iterdir()) == [
        "phantom.nrrd",
        "report.html",
        "result.png",
        "segmentation.seg.nrrd",
        "slices.seg.nrrd",
    ]
    image = read_volume(folder / "phantom.nrrd")
    np.testing.assert_array_equal(image.array, a_phantom.volume.array)
    told = {"segmentation": result.whole.dice, "slices": result.slices.dice_after_click[-1]}
    for name, agreement in told.items():
        mask = sitk.ReadImage(str(folder / f"{name}.seg.nrrd"))
        assert mask.GetMetaData("Segment0_Name") == "Lesion"
        np.testing.assert_allclose(mask.GetDirection(), image.geometry.direction)
        np.testing.assert_allclose(mask.GetOrigin(), image.geometry.origin)
        written = sitk.GetArrayFromImage(mask).transpose(2, 1, 0) > 0
        assert agreement == pytest.approx(dice(a_phantom.truth, written))


def test_demo_report_tells_both_results(a_demo: tuple[Path, DemoResult]) -> None:
    folder, result = a_demo
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"Dice {result.whole.first_dice:.3f} against the phantom" in page
    assert f"Dice {result.slices.dice_after_click[-1]:.3f} against the phantom" in page
    assert f"on {len(result.slices.prompted(2))} planes" in page
    assert page.count("data:image/png;base64,") == 4
    assert str(folder) not in page


def test_the_users_click_lies_on_the_lesion_and_a_better_candidate_is_picked(
    a_small_phantom: Phantom, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = a_small_phantom.truth
    run = click_and_pick(tiny_volume_model(), ToyModel(), a_small_phantom.volume, truth, 0)
    assert truth[run.click.voxel] and run.dice == pytest.approx(dice(truth, run.mask))
    assert run.dice >= run.first_dice and (run.picked is None) == (run.dice == run.first_dice)
    assert 0 < run.first_seconds < run.seconds


def test_demo_command_makes_its_folder_and_prints_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    monkeypatch.setattr("AdaptCore.models.registry.load_volume_model", lambda device=None: tiny_volume_model())
    assert cli.main(["demo", "--out", str(tmp_path / "a" / "b"), "--max-clicks", "2"]) == 0
    assert (tmp_path / "a" / "b" / "report.html").exists()
    lines = capsys.readouterr().out.splitlines()
    assert "Dice against the phantom's truth" in lines[0]
    assert any(line.startswith("whole object") and "1 click" in line for line in lines)
    assert any(line.startswith("slice by slice") and "2 clicks on" in line for line in lines)


@pytest.mark.parametrize("option", [("--max-clicks", "0"), ("--seed", "-1"), ("--seed", "1e3")])
def test_numbers_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["demo", "--out", str(tmp_path / "demo"), *option])
    assert stop.value.code == 2
    assert f"argument {option[0]}: Expected a whole number from" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
