"""`adaptseg segment`: clicks on planes become a mask file with the image's geometry, and a report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore import cli
from AdaptCore.commands.segment import segment
from AdaptCore.commands.typed_prompts import PlanePrompts, choose_axis, collect_prompts, parse_box, voxel_clicks
from AdaptCore.errors import PromptError
from AdaptCore.evaluate.metrics import dice
from AdaptCore.io import Geometry, read_volume
from AdaptCore.prompts import Box
from Testing.image_files import write_dicom_series, write_disc_volume
from Testing.toy_model import ToyModel

CENTRE = "24,20,3"
NOTHING_FOUND = "propagation found the object on no other plane"


@pytest.fixture(autouse=True)
def a_toy_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())


@pytest.fixture
def a_volume(tmp_path: Path) -> Path:
    write_disc_volume(tmp_path / "ball.nrrd")
    return tmp_path / "ball.nrrd"


@pytest.fixture
def a_truth(tmp_path: Path) -> np.ndarray:
    return write_disc_volume(tmp_path / "ball.nrrd")


def run(*arguments: object) -> int:
    return cli.main(["segment", *map(str, arguments), "--slice"])


def mask_of(path: Path) -> np.ndarray:
    return read_volume(path).array > 0


def test_one_click_gives_the_object_of_its_plane(tmp_path: Path, a_volume: Path, a_truth: np.ndarray) -> None:
    assert run(a_volume, "--click", CENTRE, "--out", tmp_path / "m.nrrd") == 0
    mask = mask_of(tmp_path / "m.nrrd")
    assert dice(a_truth[:, :, 3], mask[:, :, 3]) > 0.9
    assert not mask[:, :, [0, 1, 2, 4, 5, 6]].any()


@pytest.mark.parametrize("name", ["m.seg.nrrd", "m.nii.gz"])
def test_propagation_gives_the_whole_object(tmp_path: Path, a_volume: Path, a_truth: np.ndarray, name: str) -> None:
    assert run(a_volume, "--click", CENTRE, "--propagate", "--out", tmp_path / name) == 0
    assert dice(a_truth, mask_of(tmp_path / name)) > 0.85
    mask, image = sitk.ReadImage(str(tmp_path / name)), sitk.ReadImage(str(a_volume))
    assert mask.GetSize() == image.GetSize()
    for part in ("GetSpacing", "GetOrigin", "GetDirection"):
        np.testing.assert_allclose(getattr(mask, part)(), getattr(image, part)(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("axis", "click"), [(0, CENTRE), (1, CENTRE), (2, CENTRE)])
def test_each_axis_can_be_segmented(tmp_path: Path, a_volume: Path, a_truth: np.ndarray, axis: int, click: str) -> None:
    assert run(a_volume, "--click", click, "--axis", axis, "--out", tmp_path / "m.nrrd") == 0
    mask, index = mask_of(tmp_path / "m.nrrd"), int(click.split(",")[axis])
    assert dice(a_truth.take(index, axis), mask.take(index, axis)) > 0.85
    assert not np.delete(mask, index, axis).any()


def test_clicks_on_several_planes_give_several_planes(tmp_path: Path, a_volume: Path) -> None:
    assert run(a_volume, "--click", "24,20,2", "--click", "24,20,4", "--out", tmp_path / "m.nrrd") == 0
    assert np.flatnonzero(mask_of(tmp_path / "m.nrrd").any(axis=(0, 1))).tolist() == [2, 4]


def test_negative_click_takes_its_surroundings_away(tmp_path: Path, a_volume: Path) -> None:
    run(a_volume, "--click", CENTRE, "--out", tmp_path / "whole.nrrd")
    run(a_volume, "--click", "28,20,3,-", "--click", CENTRE, "--out", tmp_path / "less.nrrd")
    assert mask_of(tmp_path / "whole.nrrd")[28, 20, 3]
    assert not mask_of(tmp_path / "less.nrrd")[28, 20, 3]


@pytest.mark.parametrize(("axis", "box"), [(2, "10,8,24,30,3"), (1, "10,0,24,6,20"), (0, "8,0,30,6,20")])
def test_box_lies_in_the_plane_of_its_axis(tmp_path: Path, a_volume: Path, axis: int, box: str) -> None:
    assert run(a_volume, "--box", box, "--axis", axis, "--out", tmp_path / "m.nrrd") == 0
    mask = mask_of(tmp_path / "m.nrrd")
    a0, b0, a1, b1, index = map(int, box.split(","))
    plane = mask.take(index, axis)
    assert plane.sum() > 20
    assert plane[a0 : a1 + 1, b0 : b1 + 1].sum() == mask.sum()


def test_picture_needs_two_coordinates(tmp_path: Path) -> None:
    pixels = np.full((40, 50), 30, np.uint8)
    pixels[10:20, 30:44] = 220
    sitk.WriteImage(sitk.GetImageFromArray(pixels), str(tmp_path / "p.png"))
    assert (
        run(tmp_path / "p.png", "--click", "36,15", "--out", tmp_path / "m.png", "--report", tmp_path / "r.html") == 0
    )
    mask = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "m.png")))
    assert dice(pixels > 100, mask == 255) > 0.9
    assert "data:image/png" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_colour_picture_and_negative_window_are_taken(tmp_path: Path) -> None:
    pixels = np.full((40, 50, 3), 30, np.uint8)
    pixels[10:20, 30:44] = (220, 180, 160)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / "p.jpg"))
    assert run(tmp_path / "p.jpg", "--click", "36,15,+", "--window", "-20,240", "--out", tmp_path / "m.nii.gz") == 0
    assert dice(pixels[:, :, 0] > 100, mask_of(tmp_path / "m.nii.gz")[:, :, 0].T) > 0.85


def test_result_is_told_in_one_line(tmp_path: Path, a_volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(a_volume, "--click", CENTRE, "--out", tmp_path / "m.nrrd")
    voxels = int(mask_of(tmp_path / "m.nrrd").sum())
    assert capsys.readouterr().out == f"{tmp_path / 'm.nrrd'}: {voxels} voxels, {voxels * 0.0014:.3g} mL\n"


@pytest.mark.parametrize(("found", "told"), [(True, "carried to 4 planes"), (False, NOTHING_FOUND)])
def test_propagation_says_what_it_found(
    tmp_path: Path,
    a_volume: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    found: bool,
    told: str,
) -> None:
    if not found:
        monkeypatch.setattr("AdaptCore.predict.propagate.next_plane", lambda *_: None)
    report = tmp_path / "r.html"
    run(a_volume, "--click", CENTRE, "--propagate", "--out", tmp_path / "m.nrrd", "--report", report)
    assert np.count_nonzero(mask_of(tmp_path / "m.nrrd").any(axis=(0, 1))) == (5 if found else 1)
    assert capsys.readouterr().out.endswith(f" mL; {told}\n")
    assert f"<tr><th>Propagation</th><td>{told}</td></tr>" in report.read_text(encoding="utf-8")


def test_report_shows_pictures_and_no_path(tmp_path: Path, a_volume: Path) -> None:
    run(a_volume, "--click", CENTRE, "--propagate", "--out", tmp_path / "m.nrrd", "--report", tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    assert "Confidence of each plane" in page
    assert "48 x 40 x 7 voxels of 0.7 x 0.8 x 2.5 mm" in page
    assert "1 click, 0 boxes" in page
    assert "ball" not in page
    assert str(tmp_path) not in page


def test_nan_voxels_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = write_disc_volume(tmp_path / "ball.nrrd")
    image = sitk.Cast(sitk.ReadImage(str(tmp_path / "ball.nrrd")), sitk.sitkFloat32)
    image[0, 0, 0] = float("nan")
    sitk.WriteImage(image, str(tmp_path / "nan.nrrd"))
    assert run(tmp_path / "nan.nrrd", "--click", CENTRE, "--out", tmp_path / "m.nrrd") == 0
    lowest = sitk.GetArrayViewFromImage(image)[~np.isnan(sitk.GetArrayViewFromImage(image))].min()
    told = f"adaptseg: warning: {tmp_path / 'nan.nrrd'}: 1 NaN or infinite voxels are replaced by {lowest:g}.\n"
    assert capsys.readouterr().err == told
    assert dice(truth[:, :, 3], mask_of(tmp_path / "m.nrrd")[:, :, 3]) > 0.9


def test_progress_reaches_every_plane(tmp_path: Path, a_volume: Path) -> None:
    seen: list[tuple[int, int]] = []
    prompts = {3: PlanePrompts(positive=[(24, 20)])}
    result = segment(
        ToyModel(), read_volume(a_volume), prompts, 2, propagate=True, progress=lambda d, t: seen.append((d, t))
    )
    assert [done for done, _ in seen] == list(range(1, len(result.confidences) + 1))
    assert {total for _, total in seen} == {7}


def test_mask_is_carried_half_way_between_prompted_planes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from AdaptCore.predict.volume import VolumeSession

    write_disc_volume(tmp_path / "long.nrrd", (48, 40, 20))
    carried: list[tuple[int, tuple[int, int] | None]] = []
    propagate = VolumeSession.propagate

    def spy(session: VolumeSession, axis: int, index: int, **options):
        carried.append((index, options["extent"]))
        return propagate(session, axis, index, **options)

    monkeypatch.setattr(VolumeSession, "propagate", spy)
    prompts = {index: PlanePrompts(positive=[(24, 20)]) for index in (9, 12, 10)}
    segment(ToyModel(), read_volume(tmp_path / "long.nrrd"), prompts, 2, propagate=True)
    assert carried == [(9, (0, 9)), (10, (10, 11)), (12, (12, 19))]


@pytest.mark.parametrize(
    ("spacing", "size", "wanted", "axis"),
    [
        ((1.0, 1.0, 5.0), (9, 9, 9), None, 2),
        ((3.0, 0.5, 0.5), (9, 9, 9), None, 0),
        ((1.0, 1.0, 1.0), (9, 9, 9), None, 2),
        ((1.0, 1.001, 1.0), (9, 9, 9), None, 2),
        ((3.0, 0.5, 0.5), (9, 9, 9), 1, 1),
        ((3.0, 0.5, 0.5), (9, 9, 1), None, 2),
    ],
)
def test_slices_lie_across_the_thickest_axis(
    spacing: tuple[float, float, float], size: tuple[int, int, int], wanted: int | None, axis: int
) -> None:
    assert choose_axis(Geometry(size, spacing), wanted) == axis


def test_picture_has_no_other_axis() -> None:
    with pytest.raises(PromptError, match="--axis 0: The picture has one plane"):
        choose_axis(Geometry((9, 9, 1)), 0)


@pytest.mark.parametrize(
    ("size", "axis", "text"), [((1, 9, 9), 0, "J,K"), ((9, 1, 9), 1, "I,K"), ((9, 9, 1), 2, "I,J")]
)
def test_one_slice_along_any_axis_is_a_picture(size: tuple[int, int, int], axis: int, text: str) -> None:
    assert choose_axis(Geometry(size, (1.0, 1.0, 9.0)), None) == axis
    prompts = collect_prompts(["4,7", "2,3,-"], ["1,1,5,5"], size, axis)
    assert (prompts[0].positive, prompts[0].negative) == ([(4, 7)], [(2, 3)])
    with pytest.raises(PromptError, match=f"{text} or {text},- in whole numbers"):
        collect_prompts(["4"], [], size, axis)


def test_one_voxel_is_not_on_object_and_background() -> None:
    with pytest.raises(
        PromptError, match="--click 1,2,3 and --click 1,2,3,-: One voxel cannot be on the object and on"
    ):
        collect_prompts(["1,2,3", "4,4,3", "1,2,3,-"], [], (9, 9, 9), 2)
    assert len(collect_prompts(["1,2,3", "1,2,3"], [], (9, 9, 9), 2)[3].positive) == 2


def test_prompts_are_sorted_by_plane() -> None:
    prompts = collect_prompts(["1,2,3", "4,2,5,-", "6,7,1"], ["0,1,5,6,2"], (9, 9, 9), axis=1)
    assert sorted(prompts) == [2, 7]
    assert prompts[7].positive == [(6, 1)]
    assert (prompts[2].positive, prompts[2].negative) == ([(1, 3)], [(4, 5)])
    assert prompts[2].box == Box(-0.5, 0.5, 5.5, 6.5)
    clicks = {(click.voxel, click.positive) for click in voxel_clicks(prompts, axis=1)}
    assert clicks == {((1, 2, 3), True), ((4, 2, 5), False), ((6, 7, 1), True)}


def test_corner_voxels_lie_in_the_box_whole() -> None:
    whole_plane, index = parse_box("0,0,8,6,3", (9, 7, 5), axis=2)
    assert (whole_plane, index) == (Box(-0.5, -0.5, 8.5, 6.5), 3)


@pytest.mark.parametrize("box", ["4,2,4,5,3", "4,2,6,2,3", "4,2,4,2,3", "6,2,5,5,3", "4,5,6,4,3"])
def test_box_without_width_or_height_is_refused(box: str) -> None:
    with pytest.raises(PromptError, match="Expected a box with a width and height above zero"):
        parse_box(box, (9, 7, 5), axis=2)


@pytest.mark.parametrize("axis", [0, 1])
def test_one_slice_of_a_volume_gives_its_plane(
    tmp_path: Path, a_volume: Path, a_truth: np.ndarray, axis: int, capfd: pytest.CaptureFixture[str]
) -> None:
    image = sitk.ReadImage(str(a_volume))
    index = (24, 20)[axis]
    part = image[index : index + 1, :, :] if axis == 0 else image[:, index : index + 1, :]
    sitk.WriteImage(part, str(tmp_path / "plane.nrrd"))
    click = "20,3" if axis == 0 else "24,3"
    for name in ("m.png", "m.nrrd"):
        assert (
            run(tmp_path / "plane.nrrd", "--click", click, "--out", tmp_path / name, "--report", tmp_path / "r.html")
            == 0
        )
    truth = a_truth.take(index, axis)
    assert dice(truth, mask_of(tmp_path / "m.nrrd").take(0, axis)) > 0.85
    assert dice(truth, mask_of(tmp_path / "m.png")[:, :, 0]) > 0.85
    assert "pixels" in capfd.readouterr().out


def test_a_window_without_a_voxel_is_refused(tmp_path: Path, a_volume: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(a_volume, "--click", CENTRE, "--window", "5000,6000", "--out", tmp_path / "m.nrrd") == 2
    assert "--window 5000,6000: No voxel lies in this window; the image holds " in capfd.readouterr().err
    assert not (tmp_path / "m.nrrd").exists()


def test_a_click_in_padding_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write_disc_volume(tmp_path / "v.nrrd")
    image = sitk.ReadImage(str(tmp_path / "v.nrrd"))
    image[:6, :, :] = -3024
    sitk.WriteImage(image, str(tmp_path / "v.nrrd"))
    for click, told in (("2,20,3", True), (CENTRE, False)):
        assert run(tmp_path / "v.nrrd", "--click", click, "--out", tmp_path / "m.nrrd") == 0
        message = f"--click {click}: This voxel is padding (-3024), outside of what was measured."
        assert (message in capfd.readouterr().err) == told


def test_candidates_of_a_dicom_folder_go_to_a_new_one(tmp_path: Path) -> None:
    write_dicom_series(tmp_path / "scan")
    arguments = ("--click", "6,6,2", "--out", tmp_path / "m.nrrd", "--candidates", tmp_path / "new" / "deep")
    assert run(tmp_path / "scan", *arguments) == 0
    assert (tmp_path / "new" / "deep").is_dir()
