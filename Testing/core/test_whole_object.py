"""`adaptseg segment`: clicks anywhere in a volume become the mask of the whole object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore import cli
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.commands.whole_object import typed_clicks
from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.object_model import ObjectModel
from AdaptCore.files.geometry import Geometry, Volume
from AdaptCore.io import read_volume
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.guess import SliceGuess
from Testing.bright_model import BrightModel
from Testing.tiny_volume_model import tiny_volume_model
from Testing.toy_model import ToyModel

SPACING = (1.0, 1.0, 2.0)
CENTRE = (14, 20, 9)


def a_ball() -> np.ndarray:
    """A bright ball of 8 mm in a volume whose slices are twice as far apart as its pixels."""
    places = np.indices((36, 40, 20)).astype(float)
    away = np.sqrt(sum(((axis - at) * step) ** 2 for axis, at, step in zip(places, CENTRE, SPACING)))
    return np.clip(8.5 - away, 0, 1).astype(np.float32)


@pytest.fixture
def a_file(tmp_path: Path) -> Path:
    image = sitk.GetImageFromArray(a_ball().transpose(2, 1, 0))
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(tmp_path / "ball.nrrd"))
    return tmp_path / "ball.nrrd"


@pytest.fixture(autouse=True)
def toy_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    monkeypatch.setattr("AdaptCore.models.registry.load_volume_model", lambda device=None: BrightModel())


def run(*arguments: object) -> int:
    return cli.main(["segment", *map(str, arguments)])


def test_one_click_gives_the_object_on_all_slices(tmp_path: Path, a_file: Path) -> None:
    out = tmp_path / "m.seg.nrrd"
    assert run(a_file, "--click", "16,22,11", "--out", out) == 0
    mask = read_volume(out).array > 0
    assert dice(a_ball() > 0.5, mask) > 0.93
    assert [k for k in range(20) if mask[:, :, k].any()] == list(range(6, 13))


def test_a_task_learns_from_objects_and_answers_the_next_one(
    a_home: Path, tmp_path: Path, a_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_volume_model", lambda device=None: tiny_volume_model())
    asked = (a_file, "--click", "16,22,11", "--task", "balls", "--out", tmp_path / "mask.nii.gz")
    assert run(*asked) == 2 and "no task 'balls'" in capsys.readouterr().err
    assert run(*asked, "--learn") == 0
    assert "Task 'balls': accepted objects: 1 learnt; it knows 1 accepted object; " in capsys.readouterr().out
    (info,) = TaskStore().tasks()
    assert info.recipe == "volumes" and info.replay is not None
    assert run(*asked) == 0
    assert TaskStore().info("balls").accepted == 1, "nothing is learnt without --learn"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--axis", 0), "--axis 0 is about planes, and clicks give the whole object. Add --slice to segment planes."),
        (("--box", "10,16,18,24,9"), "--box: Expected I0,J0,K0,I1,J1,K1 in whole numbers, got '10,16,18,24,9'."),
        (("--box", "1,1,1,40,4,4"), "--box 1,1,1,40,4,4 is outside the volume. Choose corners from 0,0,0 to 35,39,19."),
        (("--box", "1,1,1,4,4,4") * 2, "Expected one box around the whole object, got 2."),
        (("--pick", "1,9"), "--pick: Expected the number of a candidate, got '1,9'."),
        (("--pick", "5"), "--pick 5: Expected a candidate from 1 to 4, got 5."),
        (("--click", "14,20,9,-"), "--click 14,20,9 and --click 14,20,9,-: One voxel cannot be on the object and on"),
        (("--window", "900,1000"), "--window 900,1000: No voxel lies in this window"),
    ],
)
def test_what_makes_no_sense_for_an_object_is_refused(
    tmp_path: Path, a_file: Path, capsys: pytest.CaptureFixture[str], words: tuple[object, ...], told: str
) -> None:
    assert run(a_file, "--click", "14,20,9", *words, "--out", tmp_path / "m.nrrd") == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "m.nrrd").exists()


def test_something_must_be_on_the_object(tmp_path: Path, a_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in ((), ("--click", "1,1,1,-")):
        assert run(a_file, *words, "--out", tmp_path / "m.nrrd") == 2
        told = "Expected at least one click on the object (--click) or a box (--box), got none."
        assert told in capsys.readouterr().err


def test_planes_are_segmented_where_they_are_asked_for(tmp_path: Path, a_file: Path) -> None:
    def slices(*words: object) -> list[int]:
        assert run(a_file, "--click", "14,20,9", *words, "--out", tmp_path / "m.nrrd") == 0
        mask = read_volume(tmp_path / "m.nrrd").array > 0
        return [k for k in range(20) if mask[:, :, k].any()]

    assert slices("--slice") == [9] and len(slices("--propagate")) > 3
    flat = sitk.GetImageFromArray(a_ball()[:, :, 9:10].transpose(2, 1, 0))
    sitk.WriteImage(flat, str(tmp_path / "flat.nrrd"))
    assert run(tmp_path / "flat.nrrd", "--click", "14,20,0", "--out", tmp_path / "f.nrrd") == 0, "a picture is a plane"


def test_a_box_around_the_object_is_enough(tmp_path: Path, a_file: Path) -> None:
    out = tmp_path / "m.nrrd"
    assert run(a_file, "--box", "22,12,13,6,28,5", "--out", out) == 0
    assert dice(a_ball() > 0.5, read_volume(out).array > 0) > 0.93


def test_candidates_and_a_report_are_written_and_a_pick_is_learnt(
    a_home: Path, tmp_path: Path, a_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_volume_model", lambda device=None: tiny_volume_model())
    folder, asked = tmp_path / "others", (a_file, "--click", "14,20,9", "--user", "Anna", "--task", "balls")
    options = ("--candidates", folder, "--report", tmp_path / "r.html")
    assert run(*asked, "--out", tmp_path / "m.nrrd", *options) == 0
    told = capsys.readouterr().out
    count = len(list(folder.glob("candidate-*.nrrd")))
    assert f"{folder / 'contact-sheet.png'}: {count} candidate" in told and count >= 2
    plain = read_volume(tmp_path / "m.nrrd").array
    masks = [read_volume(path).array for path in sorted(folder.glob("candidate-*.nrrd"))]
    sizes = [int((mask > 0).sum()) for mask in masks]
    assert sizes == sorted(sizes) and all((mask != plain).any() for mask in masks)
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and "<h2>Surface</h2>" in page and "36 x 40 x 20 voxels of 1 x 1 x 2 mm" in page
    assert run(*asked, "--out", tmp_path / "m.nrrd", *options) == 2, "what is in the folder is never replaced"
    assert run(*asked, "--out", tmp_path / "p.nrrd", "--pick", count, "--learn", "--task", "balls") == 0
    assert "the accepted objects are learnt; it holds 3 picks" in capsys.readouterr().out, "the pick, and its mask"
    assert np.array_equal(read_volume(tmp_path / "p.nrrd").array, masks[-1])


def test_a_profile_of_slices_is_refused_for_objects(
    a_home: Path, tmp_path: Path, a_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_volume_model", lambda device=None: tiny_volume_model())
    asked = (a_file, "--click", "14,20,9", "--user", "Anna", "--learn", "--out", tmp_path / "m.nrrd")
    assert run(*asked, "--slice") == 0
    assert run(*asked) == 2
    told = capsys.readouterr().err
    assert "was learnt with model toy" in told and "slices and objects have profiles of their own" in told


def test_parts_that_were_not_pointed_at_are_kept_where_that_is_asked_for(tmp_path: Path) -> None:
    volume = np.maximum(a_ball(), np.roll(a_ball(), 17, 1))
    image = sitk.GetImageFromArray(volume.transpose(2, 1, 0))
    image.SetSpacing(SPACING)
    sitk.WriteImage(image, str(tmp_path / "two.nrrd"))
    sizes = []
    for words in ((), ("--all-parts",)):
        assert run(tmp_path / "two.nrrd", "--click", "14,20,9", *words, "--out", tmp_path / "m.nrrd") == 0
        sizes.append((read_volume(tmp_path / "m.nrrd").array > 0).sum())
    assert sizes[1] > 1.5 * sizes[0]


def test_a_volume_in_colour_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    colours = np.random.default_rng(0).integers(0, 255, (12, 12, 12, 3), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(tmp_path / "c.nrrd"))
    assert run(tmp_path / "c.nrrd", "--click", "6,6,6", "--out", tmp_path / "m.nrrd") == 2
    assert "this one is in colour. Add --slice to segment planes." in capsys.readouterr().err


def test_voxels_whose_distance_is_not_known_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    header = "NRRD0004\ntype: uchar\ndimension: 3\nsizes: 12 12 12\nencoding: raw\n\n"
    voxels = np.random.default_rng(0).integers(0, 255, 12**3, dtype=np.uint8)
    (tmp_path / "bare.nrrd").write_bytes(header.encode() + voxels.tobytes())
    assert run(tmp_path / "bare.nrrd", "--click", "6,6,6", "--out", tmp_path / "m.nrrd") == 2
    assert "Whole objects need to know how far the voxels are apart in mm" in capsys.readouterr().err


def test_a_click_in_padding_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.full((24, 24, 12), -3024, np.int16)
    array[4:20, 4:20, 2:10] = np.random.default_rng(0).integers(-50, 50, (16, 16, 8))
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
    sitk.WriteImage(image, str(tmp_path / "ct.nrrd"))
    run(tmp_path / "ct.nrrd", "--click", "1,1,1", "--out", tmp_path / "m.nrrd")
    assert "--click 1,1,1: This voxel is padding (-3024)" in capsys.readouterr().err


def test_clicks_on_the_object_come_first_and_none_twice() -> None:
    clicks = typed_clicks(["1,2,3,-", "4,5,6", "4,5,6"], (9, 9, 9))
    assert [(click.position, click.positive) for click in clicks] == [((4, 5, 6), True), ((1, 2, 3), False)]


def test_a_guess_lies_on_the_three_slices_through_the_click() -> None:
    guess = SliceGuess(ToyModel(), a_ball(), SPACING)
    slices = guess((14.0, 20.0, 9.0))
    assert [(one.axis, one.index, one.is_certain) for one in slices] == [(0, 14, False), (1, 20, False), (2, 9, False)]
    truth = a_ball() > 0.5
    for one in slices:
        assert one.mask.shape == tuple(1 if axis == one.axis else side for axis, side in enumerate(truth.shape))
        assert dice(np.take(truth, one.index, one.axis), one.mask.squeeze(one.axis)) > 0.85


def test_slices_that_are_too_flat_or_small_are_not_guessed() -> None:
    assert [one.axis for one in SliceGuess(ToyModel(), a_ball(), (1.0, 1.0, 4.0))((14, 20, 9))] == [2]
    assert [one.axis for one in SliceGuess(ToyModel(), a_ball()[:, :, 6:12], (1.0, 1.0, 1.0))((14, 20, 3))] == [2]


def test_guesses_open_the_session_and_the_told_slice_is_not_guessed() -> None:
    model = BrightModel()
    session = BlockSession(model, a_ball(), SPACING, guess=SliceGuess(ToyModel(), a_ball(), SPACING))  # type: ignore[arg-type]
    session.known_slice(2, 9, a_ball()[:, :, 9] > 0.5)
    shown = [
        [axis for axis in range(3) if known.movedim(axis, 0).flatten(1).all(1).any()] for known in model.asked[0].known
    ]
    assert shown == [[2], [0, 1, 2], [0, 2], [1, 2]]
    assert session.prompts.slices[0].is_certain and len(session.prompts.slices) == 1


def test_the_benchmark_hands_slices_over_as_they_lie() -> None:
    volume = Volume(a_ball()[:, :, :], Geometry((36, 40, 20), spacing=SPACING))
    answers = ObjectModel(BrightModel(), None).start(volume, 1)  # type: ignore[arg-type]
    told = a_ball()[:, :, 9].T > 0.5
    told[5, 2] = True
    mask = answers.slice_mask(2, 9, told)
    assert (mask[:, :, 9] == told.T).all()
