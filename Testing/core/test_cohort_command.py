"""`adaptseg cohort` from the first to the last command, as a user types it."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from AdaptCore import cli
from AdaptCore.cohort import method
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.records import Settings
from AdaptCore.commands.console import interruptible
from AdaptCore.io import read_volume
from Testing.cohort_toy import ToyMethod, a_case, contents, load_toy, trained, write, write_cohort

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def adaptseg(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `adaptseg cohort ...`; its exit status, output and errors."""
    monkeypatch.setattr(method, "load_method", load_toy)

    def run(*words: object) -> tuple[int, str, str]:
        status = cli.main(["cohort", *map(str, words)])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def a_folder(tmp_path: Path) -> Path:
    """The folder of a trained cohort of five cases."""
    return trained(tmp_path).folder


@pytest.mark.parametrize("step", [("propagate",), ("train",), ("next",)], ids=" ".join)
def test_the_device_reaches_the_methods_of_the_cohort(
    a_folder: Path, adaptseg: Command, monkeypatch: pytest.MonkeyPatch, step: tuple[str, ...]
) -> None:
    asked = []

    def load(settings: Settings, device: str | None = None) -> ToyMethod:
        asked.append(device)
        return load_toy(settings)

    monkeypatch.setattr(method, "load_method", load)
    assert adaptseg(*step, a_folder, "--device", "cpu")[0] == 0
    assert adaptseg(*step, a_folder)[0] == 0
    assert asked == ["cpu", None]
    status, _, err = adaptseg(*step, a_folder, "--device", "cuda:99")
    assert status == 2 and err.startswith("adaptseg: PyTorch sees ") and len(asked) == 2


def test_from_one_label_to_a_labelled_cohort(tmp_path: Path, adaptseg: Command) -> None:
    images, template, label = write_cohort(tmp_path, 6)
    (images / "case-005.nii.gz").write_bytes(b"")
    folder = tmp_path / "cohort"
    status, out, err = adaptseg("init", folder, "--images", images, "--template", template, "--label", label)
    assert status == 0 and "1 accepted, 0 proposed, 4 waiting, 1 set aside, 0 not examined" in out
    assert "adaptseg: warning: case-005: set aside: case-005.nii.gz: The file is empty" in err
    status, out, _ = adaptseg("propagate", folder)
    assert status == 0 and "Features: 0.0 MB, of which 0.0 MB are there already" in out and "4 proposed" in out
    status, out, _ = adaptseg("train", folder, "--rounds", 2)
    assert status == 0 and re.search(
        r"Round 2: learnt from 1 accepted and 4 proposed labels \(mean conf.*\); mean", out
    )
    status, out, _ = adaptseg("next", folder, "--count", 2)
    assert (
        status == 0 and len(re.findall(r"case-00\d  0\.\d{3}  hard at the boundary; .*/rounds/2/proposals/", out)) == 2
    )
    assert adaptseg("accept", folder, "case-001", "case-002")[0] == 0
    corrected = write(tmp_path / "corrected.nii.gz", np.roll(a_case(3)[1], 1, axis=1))
    status, out, _ = adaptseg("accept", folder, "case-003", "--label", corrected)
    assert (status, out) == (0, "case-003: accepted as accepted/case-003-1.nii.gz\n")
    status, out, _ = adaptseg("status", folder, "--cases")
    assert "4 accepted, 1 proposed, 0 waiting, 1 set aside" in out and "case-004  proposed" in out
    assert re.search(r"Reviewed  3, mean Dice of the proposals 0\.\d{3}", out)
    status, out, _ = adaptseg("export", folder, tmp_path / "out")
    assert status == 0 and "4 accepted labels, 1 proposed" in out
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *(f"case-00{number}.nii.gz" for number in range(5)),
        "labels.csv",
    ]
    assert np.array_equal(read_volume(tmp_path / "out" / "case-003.nii.gz").array, read_volume(corrected).array)
    assert "case-004.nii.gz,round 2" in (tmp_path / "out" / "labels.csv").read_text("utf-8")


def test_a_folder_of_labels_is_accepted_and_broken_ones_are_named(
    tmp_path: Path, a_folder: Path, adaptseg: Command
) -> None:
    labels = tmp_path / "labels"
    write(labels / "case-002.nii.gz", np.zeros((12, 10, 8), np.uint8))
    write(labels / "case-003.nii.gz", a_case(3)[1], (1.0, 1.0, 1.0))
    write(labels / "stranger.nii.gz", a_case(3)[1])
    (labels / "case-004.nii.gz").write_bytes((labels / "case-004.nii.gz").read_bytes()[:60])
    status, out, err = adaptseg("accept", a_folder, "--labels", labels)
    assert status == 0 and out == "2 of 6 labels accepted\n"
    for reason in ("case-002.nii.gz: The label is empty", "has spacing (1, 1, 1)", "'stranger' is no case", "case-004"):
        assert reason in err
    cohort = Cohort.open(a_folder)
    assert [case.id for case in cohort.cases() if case.label] == ["case-000", "case-001"]
    assert all(cohort.case(f"case-00{number}").refused for number in (2, 3, 4))
    assert "proposed; a label was refused: case-002.nii.gz: The label is empty" in adaptseg("status", a_folder)[1]


def test_an_accepted_label_can_be_taken_back(a_folder: Path, adaptseg: Command) -> None:
    adaptseg("accept", a_folder, "case-001")
    assert adaptseg("accept", a_folder, "case-001", "--undo")[:2] == (
        0,
        "case-001: the latest accepted label is taken back; 0 left\n",
    )
    status, _, err = adaptseg("accept", a_folder, "case-001", "--undo")
    assert (status, err) == (
        2,
        "adaptseg: case-001: Expected at least 1, of accepted labels to take back from, got 0.\n",
    )


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["accept", "{}", "case-001", "case-002", "--label", "x.nii.gz"],
            "got 2 cases with 1 of --label, --labels and",
        ),
        (["accept", "{}"], "got 0 cases with 0 of --label, --labels and --undo."),
        (["accept", "{}", "case-001", "--labels", "."], "1 cases with 1 of --label, --labels and --undo"),
        (["accept", "{}", "case-9"], "'case-9' is no case of "),
        (["train", "{}", "--workers", "2"], "--address and --workers need --engine ray."),
        (["status", "nowhere"], "nowhere: There is no cohort. Begin one with: adaptseg cohort init nowhere"),
        (
            ["report", "{}", "report.txt"],
            "report.txt: Unknown file type. Choose a name that ends in one of .html, .htm",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(a_folder: Path, adaptseg: Command, words: list[str], reason: str) -> None:
    status, _, err = adaptseg(*(word.format(a_folder) for word in words))
    assert status == 2 and reason in err and err.count("\n") == 1


def test_the_real_methods_are_asked_for(a_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["cohort", "propagate", str(a_folder)]) == 2
    assert "Unknown model 'toy'" in capsys.readouterr().err


def test_an_export_goes_on_and_replaces_nothing(tmp_path: Path, a_folder: Path, adaptseg: Command) -> None:
    out = tmp_path / "out"
    assert adaptseg("export", a_folder, out, "--accepted")[0] == 0
    assert sorted(path.name for path in out.iterdir()) == ["case-000.nii.gz", "labels.csv"]
    assert adaptseg("export", a_folder, out)[0] == 0
    assert len(list(out.iterdir())) == 6
    write(tmp_path / "corrected.nii.gz", np.roll(a_case(1)[1], 1, axis=1))
    adaptseg("accept", a_folder, "case-001", "--label", tmp_path / "corrected.nii.gz")
    before = contents(out, ".")
    status, _, err = adaptseg("export", a_folder, out)
    assert status == 2 and "case-001.nii.gz: Another file is there already. Choose a folder without it." in err
    assert contents(out, ".") == before


def test_the_report_is_one_page_without_paths(tmp_path: Path, a_folder: Path, adaptseg: Command) -> None:
    (tmp_path / "images" / "case-004.nii.gz").write_bytes(b"")
    adaptseg("train", a_folder, "--rounds", 1)
    adaptseg("accept", a_folder, "case-001")
    adaptseg("next", a_folder, "--count", 1)
    status, _, _ = adaptseg("report", a_folder, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert status == 0 and "pictures of 4 of 5 images with their labels" in page and "Treat it like the images" in page
    assert page.count("data:image/png;base64,") == 5 and "http" not in page and "click" not in page
    assert str(tmp_path) not in page and "/images/" not in page
    assert "<th>Round 2</th><td>learnt from 1 accepted" in page and "To review: case-00" in page
    assert "<th>Set aside: case-004</th><td>case-004.nii.gz: The image has changed" in page


@pytest.fixture
def ctrl_c_interrupts() -> Iterator[None]:
    """As in a terminal; a process that was started in the background may ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c_interrupts")
def test_the_first_ctrl_c_asks_and_the_second_stops() -> None:
    with interruptible() as asked:
        assert not asked()
        signal.raise_signal(signal.SIGINT)
        assert asked()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_ctrl_c_ends_a_step_at_a_safe_point(tmp_path: Path, adaptseg: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from Testing import cohort_toy

    images, template, label = write_cohort(tmp_path, 4)
    adaptseg("init", tmp_path / "cohort", "--images", images, "--template", template, "--label", label)
    coarse = cohort_toy.ToyMethod.coarse

    def interrupted(*arguments: object) -> object:
        signal.raise_signal(signal.SIGINT)
        return coarse(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(cohort_toy.ToyMethod, "coarse", interrupted)
    status, _, err = adaptseg("propagate", tmp_path / "cohort")
    assert status == 130 and "adaptseg: cancelled" in err
    assert not (tmp_path / "cohort" / "step.lock").exists()
    assert len(list((tmp_path / "cohort" / "features").iterdir())) == 4
    monkeypatch.undo()
