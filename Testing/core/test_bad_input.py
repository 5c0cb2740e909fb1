"""Input that cannot be used: one line that says what was expected, exit status 2, no traceback, no file left behind."""

from __future__ import annotations

import errno
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore import cli
from Testing.image_files import make_image, write_disc_volume, write_one_dimensional
from Testing.toy_model import ToyModel

CENTRE = ("--click", "24,20,3")


@pytest.fixture
def a_toy_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())


@pytest.fixture
def a_volume(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    write_disc_volume(tmp_path / "in" / "ball.nrrd")
    return tmp_path / "in" / "ball.nrrd"


@pytest.fixture
def an_old_mask(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "m.nii.gz").write_text("old")
    return tmp_path / "out" / "m.nii.gz"


def refusal(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Run the command, check that it refuses in one line, and give that line."""
    assert cli.main(["segment", *map(str, arguments), "--slice"]) == 2
    printed = capfd.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("adaptseg: ")
    assert printed.err.count("\n") == 1
    return printed.err


def assert_untouched(mask: Path) -> None:
    assert [(file.name, file.read_text()) for file in mask.parent.iterdir()] == [("m.nii.gz", "old")]


@pytest.mark.parametrize(
    ("prompts", "wanted"),
    [
        (
            ("--click", "48,20,3"),
            "--click 48,20,3 is outside the volume of 48 x 40 x 7 voxels. Choose one from 0,0,0 to 47,39,6.",
        ),
        (("--click", "-1,20,3"), "--click -1,20,3 is outside the volume"),
        (("--click", "24,20,-3,-"), "--click 24,20,-3,- is outside the volume"),
        (("--click", "24,20"), "--click: Expected I,J,K or I,J,K,- in whole numbers, got '24,20'."),
        (("--click", "24,20,3.5"), "Expected I,J,K or I,J,K,- in whole numbers, got"),
        (("--click", "a,b,c"), "Expected I,J,K or I,J,K,- in whole numbers, got"),
        (("--click", ""), "Expected I,J,K or I,J,K,- in whole numbers, got"),
        (
            ("--click", "24,20,3,-"),
            "Plane 3 of axis 2 has only clicks on the background. Add a click on the object or a box.",
        ),
        ((*CENTRE, "--click", "24,20,4,-"), "Plane 4 of axis 2 has only clicks on the background"),
        ((), "Expected at least one click on the object (--click) or a box (--box), got none."),
        (("--box", "5,5,5,9,3"), "a width and height above zero (x0 < x1, y0 < y1), got"),
        (("--box", "9,5,5,9,3"), "a width and height above zero (x0 < x1, y0 < y1), got"),
        (("--box", "5,5,9,9,7"), "--box 5,5,9,9,7 is outside the volume"),
        (("--box", "5,5,60,9,3"), "Choose corners from 0,0 to 47,39 and a plane from 0 to 6."),
        (("--box", "5,5,9,9"), "--box: Expected A0,B0,A1,B1,N in whole numbers, got '5,5,9,9'."),
        (("--box", "5,5,9,9,3", "--box", "6,6,9,9,3"), "Plane 3 has a box already"),
        ((*CENTRE, "--window", "300,100"), "Expected an intensity window with low < high, got 300.0 to 100.0."),
        ((*CENTRE, "--window", "nan,100"), "Expected finite limits of the intensity window, got nan to 100.0."),
        ((*CENTRE, "--window", "wide"), "--window: Expected LOW,HIGH in numbers, got 'wide'."),
    ],
)
@pytest.mark.usefixtures("a_toy_model")
def test_prompt_that_cannot_be_used(
    capfd: pytest.CaptureFixture[str], a_volume: Path, an_old_mask: Path, prompts: tuple[str, ...], wanted: str
) -> None:
    assert wanted in refusal(capfd, a_volume, *prompts, "--out", an_old_mask)
    assert_untouched(an_old_mask)


@pytest.fixture
def bad_images(tmp_path: Path) -> dict[str, Path]:
    folder = tmp_path / "bad"
    folder.mkdir()
    paths = {
        name: folder / f"{name}.nrrd" for name in ("empty", "text", "truncated", "four", "constant", "nan", "missing")
    }
    paths["line"] = write_one_dimensional(folder)[0]
    paths["note"] = folder / "note.txt"
    paths["folder"] = folder / "no_dicom"
    paths["folder"].mkdir()
    paths["empty"].touch()
    paths["text"].write_text("hello")
    paths["note"].write_text("hello")
    write_disc_volume(paths["truncated"])
    content = paths["truncated"].read_bytes()
    paths["truncated"].write_bytes(content[: len(content) // 2])
    sitk.WriteImage(sitk.Image([4, 5, 6, 7], sitk.sitkInt16), str(paths["four"]))
    sitk.WriteImage(make_image(np.full((7, 40, 48), 12, np.int16)), str(paths["constant"]))
    sitk.WriteImage(make_image(np.full((7, 40, 48), np.nan, np.float32)), str(paths["nan"]))
    return paths


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("empty", "The file is empty. Choose a NRRD"),
        ("text", "The file has no NRRD header. Choose a NRRD"),
        ("note", "no image of a known type. Choose a NRRD"),
        ("truncated", "truncated.nrrd: The file is cut short (13"),
        ("four", "4 dimensions (4 x 5 x 6 x 7). Choose one of 2 or 3"),
        ("line", "1 dimensions (5). Choose one of 2 or 3"),
        ("constant", "The image is constant (every voxel is 12). Choose an image with contrast"),
        ("nan", "Every voxel is NaN or infinite. Choose an image"),
        ("missing", "No such file or folder"),
        ("folder", "The folder holds no DICOM image"),
    ],
)
@pytest.mark.usefixtures("a_toy_model")
def test_image_that_cannot_be_used(
    capfd: pytest.CaptureFixture[str], bad_images: dict[str, Path], an_old_mask: Path, name: str, wanted: str
) -> None:
    line = refusal(capfd, bad_images[name], *CENTRE, "--out", an_old_mask)
    assert str(bad_images[name]) in line
    assert wanted in line
    assert_untouched(an_old_mask)


@pytest.mark.parametrize(
    ("out", "wanted"),
    [
        ("absent/m.nii.gz", "does not exist. Choose one that does."),
        ("m.doc", "Unknown file type. Choose a name that ends in one of .seg.nrrd"),
        ("m.png", "m.png: A PNG holds one plane and the image has 7"),
        ("in", "Unknown file type"),
        ("m" * 300 + ".nii.gz", "(File name too long). Choose another file name."),
    ],
)
@pytest.mark.parametrize("option", ["--out", "--report"])
def test_output_is_checked_before_the_model_is_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    a_volume: Path,
    out: str,
    wanted: str,
    option: str,
) -> None:
    def too_late(name: str, device: str | None = None) -> None:
        pytest.fail("the model was loaded")

    monkeypatch.setattr("AdaptCore.models.registry.load_model", too_late)
    if option == "--report":
        other = ("--out", tmp_path / "m.nrrd")
        wanted = wanted if "does not exist" in wanted or "too long" in wanted else "Unknown file type"
        out = out.replace(".nii.gz", ".html")
    else:
        other = ()
    assert wanted in refusal(capfd, a_volume, *CENTRE, option, tmp_path / out, *other)
    assert [file.name for file in tmp_path.iterdir()] == ["in"]


def test_output_is_checked_before_the_image_is_read(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    line = refusal(capfd, tmp_path / "missing.nrrd", *CENTRE, "--out", tmp_path / "absent" / "m.nrrd")
    assert "absent does not exist" in line


@pytest.fixture
def an_unreadable_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_early(path: Path) -> None:
        pytest.fail("the image was read")

    monkeypatch.setattr("AdaptCore.io.read_volume", too_early)


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize("name", ["ball", "in/../ball", "link"])
@pytest.mark.usefixtures("an_unreadable_image")
def test_image_is_never_overwritten(tmp_path: Path, capfd: pytest.CaptureFixture[str], option: str, name: str) -> None:
    suffix, other = (".nrrd", ()) if option == "--out" else (".html", ("--out", tmp_path / "m.nrrd"))
    image = tmp_path / f"ball{suffix}"
    image.write_text("the patient")
    (tmp_path / "in").mkdir()
    (tmp_path / f"link{suffix}").symlink_to(image)
    path = tmp_path / f"{name}{suffix}"
    line = refusal(capfd, image, *CENTRE, option, path, *other)
    reason = f"This is a link to {image}, which would be replaced. Choose another file."
    assert (
        line == f"adaptseg: {path}: {reason if name == 'link' else 'This is the image itself. Choose another file.'}\n"
    )
    assert image.read_text() == "the patient"


@pytest.mark.parametrize("option", ["--out", "--report"])
@pytest.mark.parametrize("place", ["scan", "scan/masks", "link"])
@pytest.mark.usefixtures("an_unreadable_image")
def test_nothing_is_written_among_the_slices(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], option: str, place: str
) -> None:
    name, other = ("m.nrrd", ()) if option == "--out" else ("r.html", ("--out", tmp_path / "m.nrrd"))
    (tmp_path / "scan" / "masks").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "scan")
    path = tmp_path / place / name
    line = refusal(capfd, tmp_path / "scan", *CENTRE, option, path, *other)
    assert line == f"adaptseg: {path}: This is in the folder of the image itself. Choose another one.\n"


@pytest.mark.usefixtures("a_toy_model")
def test_mask_may_lie_beside_its_image(a_volume: Path) -> None:
    assert cli.main(["segment", str(a_volume), *CENTRE, "--slice", "--out", str(a_volume.with_name("m.nrrd"))]) == 0


@pytest.mark.usefixtures("a_toy_model")
def test_full_disk_leaves_the_old_file_whole(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], a_volume: Path, an_old_mask: Path
) -> None:
    def no_space(path: Path, content: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", no_space)
    line = refusal(capfd, a_volume, *CENTRE, "--out", an_old_mask)
    assert "m.nii.gz: The file cannot be written (No space left on device)" in line
    assert_untouched(an_old_mask)


def test_unknown_model_is_named(capfd: pytest.CaptureFixture[str], a_volume: Path, an_old_mask: Path) -> None:
    line = refusal(capfd, a_volume, *CENTRE, "--model", "huge", "--out", an_old_mask)
    assert "Unknown model 'huge'" in line
    assert_untouched(an_old_mask)


def test_unknown_device_is_named(capfd: pytest.CaptureFixture[str], a_volume: Path, an_old_mask: Path) -> None:
    assert "abacus" in refusal(capfd, a_volume, *CENTRE, "--device", "abacus", "--out", an_old_mask)


class Trap:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["pickle", "noise", "empty", "missing"])
def test_corrupt_checkpoint_is_refused_and_never_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], a_volume: Path, an_old_mask: Path, kind: str
) -> None:
    weights = tmp_path / "weights.pth"
    contents = {"pickle": pickle.dumps(Trap(tmp_path / "sprung")), "noise": bytes(range(256)) * 20, "empty": b""}
    if kind in contents:
        weights.write_bytes(contents[kind])
    line = refusal(capfd, a_volume, *CENTRE, "--model", weights, "--out", an_old_mask)
    assert "weights.pth" in line
    assert not (tmp_path / "sprung").exists()
    assert_untouched(an_old_mask)


def test_image_whose_name_is_impossible_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("v\0.nrrd", "v" * 300 + ".nrrd"):
        assert "v" in refusal(capfd, tmp_path / name, *CENTRE, "--out", tmp_path / "m.nrrd")


def test_what_the_system_refuses_is_told_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["bench", "clicks", "--data", "d" * 300, "--targets", "busi"]) == 2
    error = capfd.readouterr().err
    assert error.startswith("adaptseg: ")
    assert "File name too long" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [("demo",), ("train", "--steps", "1")])
@pytest.mark.parametrize(
    ("folder", "wanted"),
    [
        ("file", "file: The folder cannot be made (File exists). Choose another one."),
        ("file/results", "file/results: The folder cannot be made (Not a directory). Choose another one."),
        ("f" * 300, "The folder cannot be made (File name too long). Choose another one."),
        ("f\0", "The folder cannot be made (embedded null byte). Choose another one."),
    ],
)
def test_folder_that_cannot_be_made_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], command: tuple[str, ...], folder: str, wanted: str
) -> None:
    (tmp_path / "file").touch()
    assert cli.main([*command, "--out", str(tmp_path / folder)]) == 2
    error = capfd.readouterr().err
    assert wanted in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("command", [("demo",), ("train", "--steps", "1")])
def test_folder_that_cannot_be_written_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    assert cli.main([*command, "--out", str(tmp_path)]) == 2
    assert f"The folder {tmp_path} cannot be written (Permission denied)" in capfd.readouterr().err


def test_no_traceback_from_a_fresh_process(tmp_path: Path, repository: Path, an_old_mask: Path) -> None:
    (tmp_path / "v.nii").write_bytes(b"\x00" * 100)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "AdaptCore.cli",
            "segment",
            str(tmp_path / "v.nii"),
            *CENTRE,
            "--slice",
            "--out",
            str(an_old_mask),
        ],
        capture_output=True,
        text=True,
        cwd=repository,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    reason = "The file is cut short (100 bytes of image data of 348). Choose a whole one."
    assert done.stderr == f"adaptseg: {tmp_path / 'v.nii'}: {reason}\n"
