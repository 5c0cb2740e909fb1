"""`adaptseg tasks` as a user types it."""

from __future__ import annotations

import io
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from AdaptCore import cli
from AdaptCore.adapt.history import Event, Opener, Outcome
from AdaptCore.adapt.learner import Knowledge
from AdaptCore.adapt.recipe import DEFAULT
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.evaluate.task_curve import task_curve
from Testing.core.test_tasks import rewritten
from Testing.tiny_model import taught, tiny_model


@pytest.fixture(autouse=True)
def a_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TaskStore:
    """The user's tasks: "optic cup" with three accepted images."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    store, model = TaskStore(), tiny_model()
    known = Knowledge.none(model, DEFAULT)
    for clicks in (10, 20, 30):
        known = taught(known, 0.01, clicks)
    store.save(store.load("optic cup", model), known)
    return store


def tasks(*words: object) -> int:
    return cli.main(["tasks", *map(str, words)])


def test_list_shows_each_task_and_what_is_wrong_with_a_file(
    a_store: TaskStore, capsys: pytest.CaptureFixture[str]
) -> None:
    (a_store.folder / "z.task.safetensors").write_bytes(b"")
    assert tasks("list") == 0
    shown = capsys.readouterr()
    (row,), (wrong,) = shown.out.splitlines(), shown.err.splitlines()
    assert row.startswith("optic cup") and "3 images" in row and "tiny" in row
    assert wrong.endswith("z.task.safetensors: Expected a task file of AdaptSeg, got an empty file.")
    assert tasks("list", "--quiet") == 0
    assert capsys.readouterr() == ("", shown.err)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"history": "[[Infinity]]"}, "the number Infinity is not finite"),
        ({"history": '[[1, 1e999, 0.5, "learnt"]]'}, "the number 1e999 is not finite"),
        ({"history": f'[[{"9" * 5000}, 0.5, 0.5, "learnt"]]'}, "a number of 5000 digits"),
        ({"history": "[" * 100_000}, "it is nested too deeply"),
        ({"history": '[[-1, 0.5, 0.5, "learnt"]]'}, "-1 clicks with IoUs of 0.5, 0.5 and 1.0 and a chance of 1.0"),
        ({"history": f'[[1, 0.5, 0.5, "{"x" * 9000}"]]'}, f"'{'x' * 296}..."),
        (
            {"name": "gpj.\u202ecup"},
            r"The character U+202E in the task name 'gpj.\u202ecup' cannot be seen, or changes the order of the "
            "others. Leave it out.",
        ),
    ],
)
def test_a_hostile_file_hides_no_other(
    a_store: TaskStore, facts: dict[str, str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_store.folder / "a.task.safetensors"
    shutil.copy(a_store.path("optic cup"), path)
    rewritten(path, **facts)
    assert tasks("list") == 0
    shown = capsys.readouterr()
    (good,), (wrong,) = shown.out.splitlines(), shown.err.splitlines()
    assert wrong == f"adaptseg: {path}: Expected the facts of a task, got others ({reason})."
    assert good.startswith("optic cup") and "3 images" in good


def test_a_zip_under_the_name_of_a_task_hides_no_other(a_store: TaskStore, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(a_store.folder / "a.task.safetensors", "w") as archive:
        archive.writestr("word/document.xml", "<w/>")
    assert tasks("list") == 0
    shown = capsys.readouterr()
    (good,), (wrong,) = shown.out.splitlines(), shown.err.splitlines()
    assert wrong.endswith("a.task.safetensors: Expected a task file of AdaptSeg, got a PyTorch file.")
    assert good.startswith("optic cup")


def test_list_without_tasks_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "empty"))
    tasks("list")
    assert capsys.readouterr().out == f"No task in {tmp_path / 'empty' / 'tasks'}.\n"


def test_show_tells_what_was_gained(capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks("show", "optic cup") == 0
    out = capsys.readouterr().out
    assert "3 of 3 images (3 learnt)" in out
    assert "not known yet: 0 objects of 0 images compared, 0 opened by the frozen model" in out
    assert "by the adapted model" in out
    assert "nothing of the images" in out


@pytest.mark.parametrize(
    ("history", "told"),
    [
        ((), "by the frozen model"),
        ((Outcome(1, 0.5, 0.5),), "by the adapted model"),
        ((Outcome(1, 0.5, 0.9), Outcome(1, 0.5, 0.51)), "by the frozen model"),
        ((Outcome(1, 0.5, 0.5), Outcome(1, 0.5, 0.496)), "by the frozen model"),
        ((Outcome(1, 0.5, 0.9), Outcome(1, 0.9, 0.4, Event.RETURNED)), "by the frozen model"),
    ],
)
def test_show_tells_which_model_answers_next(
    a_store: TaskStore, history: tuple[Outcome, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model()
    a_store.save(a_store.load("disc", model), replace(Knowledge.none(model, DEFAULT), history=history))
    tasks("show", "disc")
    (line,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("Next answer"))
    assert line.split(maxsplit=2)[2] == told


def test_show_tells_the_gain_that_the_trial_knows_and_what_it_has_cost(
    a_store: TaskStore, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = (
        Outcome(6, 0.5, 0.7, opener=Opener.FROZEN, chance=0.5, alike=0.6, image="a"),
        Outcome(2, 0.5, 0.72, opener=Opener.ADAPTED, chance=0.5, alike=0.6, image="b"),
    )
    history = tuple(replace(outcome, image=f"{outcome.image}{n}") for n in range(12) for outcome in pair)
    model = tiny_model()
    a_store.save(a_store.load("disc", model), replace(Knowledge.none(model, DEFAULT), history=history))
    tasks("show", "disc")
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert re.match(
        r"\+0\.21 IoU, 95 % interval \+0\.\d\d to \+0\.\d\d; 24 objects of 24 images compared, 12", lines["Gain"]
    )
    assert "saved" in lines["Clicks"] and "4.0 for each object" in lines["Clicks"]
    assert "measuring has cost about 48" in lines["Clicks"]


def test_show_draws_the_learning_curve(tmp_path: Path) -> None:
    assert tasks("show", "optic cup", "--picture", tmp_path / "curve.png") == 0
    picture = np.asarray(Image.open(tmp_path / "curve.png").convert("RGB"))
    vermilion, blue = (213, 94, 0), (0, 114, 178)
    for colour in (vermilion, blue):
        assert (np.abs(picture.astype(int) - colour).max(axis=-1) < 12).sum() > 100


def test_curve_of_a_task_without_images_is_an_empty_frame() -> None:
    assert Image.open(io.BytesIO(task_curve(()))).size[0] > 300


def test_curve_marks_what_was_not_learnt() -> None:
    plain = [Outcome(1, 0.4, 0.6)] * 4
    marked = [*plain[:2], Outcome(1, 0.4, 0.6, Event.ROLLED_BACK), plain[3]]
    assert task_curve(plain) != task_curve(marked)


def test_picture_of_another_type_is_refused_before_anything_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tasks("show", "optic cup", "--picture", tmp_path / "curve.gif") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "curve.gif" in captured.err


def test_rename_export_reset_and_import(a_store: TaskStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks("rename", "optic cup", "视杯") == 0
    assert a_store.names() == ("视杯",)
    assert tasks("export", "视杯", tmp_path / "cup.safetensors") == 0
    capsys.readouterr()
    assert tasks("reset", "视杯") == 0
    backup = capsys.readouterr().out.split('"')[1]
    assert a_store.names() == ()
    assert tasks("import", backup) == 0
    assert tasks("import", tmp_path / "cup.safetensors", "--name", "cup of the clinic") == 0
    assert a_store.names() == ("cup of the clinic", "视杯")
    assert {info.accepted for info in a_store.tasks()} == {3}


@pytest.mark.parametrize(
    "words", [("show", "cup"), ("rename", "cup", "x"), ("export", "cup", "x"), ("reset", "cup"), ("import", "cup")]
)
def test_errors_are_one_line(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert tasks(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("adaptseg: ") and captured.err.count("\n") == 1 and "cup" in captured.err


def test_a_terminal_without_the_letters_of_a_name_shows_their_numbers(
    a_store: TaskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_store.rename("optic cup", "视杯")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="cp1252")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert tasks("list") == 0
    terminal.flush()
    assert terminal.buffer.getvalue().startswith(rb"\u89c6\u676f")  # type: ignore[attr-defined]
