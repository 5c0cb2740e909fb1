"""`adaptseg profiles` as a user types it."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from AdaptCore import cli
from AdaptCore.evaluate.profile_picture import leading_axes, profile_picture
from AdaptCore.preference.mixture import Mixture
from AdaptCore.preference.profile import LatentSpace
from AdaptCore.preference.profiles import ProfileStore
from Testing.core.test_profiles import rewritten

GREY, BLUE = (154, 154, 154), (0, 114, 178)


def a_space() -> LatentSpace:
    """Two components three standard deviations apart along the second of three axes, and a light one."""
    means = np.array([[0.0, 0.0, 0.0], [0.0, 6.0, 0.0], [0.0, -20.0, 0.0]])
    return LatentSpace("tiny", "ab" * 32, Mixture(np.array([0.57, 0.4, 0.03]), means, np.full((3, 3), 4.0)))


@pytest.fixture(autouse=True)
def a_store(a_home: Path) -> ProfileStore:
    """The user's profiles: Anna's eight picks for the cup, two units to the right of the second component."""
    store = ProfileStore()
    profile = store.load("Anna", "cup", a_space())
    for _ in range(8):
        profile = store.pick(profile, np.array([[2.0, 6.0, 0.0]]))
    return store


def profiles(*words: object) -> int:
    return cli.main(["profiles", *map(str, words)])


def count_of(png: bytes, colour: tuple[int, int, int]) -> int:
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    return int((abs(pixels - colour).max(axis=-1) < 12).sum())


def longest_run(png: bytes, colour: tuple[int, int, int]) -> int:
    """Pixels of the longest horizontal line of a colour."""
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    rows = (abs(pixels - colour).max(axis=-1) < 12).astype("u1")
    return max(len(run) for row in rows for run in row.tobytes().split(b"\0"))


def test_list_shows_each_profile_and_what_is_wrong_with_a_file(
    a_store: ProfileStore, capsys: pytest.CaptureFixture[str]
) -> None:
    a_store.pick(a_store.load("Bo", "cup", a_space()), np.zeros((1, 3)))
    (a_store.folder / "z.profile.safetensors").write_bytes(b"")
    assert profiles("list") == 0
    shown = capsys.readouterr()
    (anna, bo), (empty,) = shown.out.splitlines(), shown.err.splitlines()
    assert anna.split() == ["Anna", "cup", "8", "picks", "tiny"] and bo.split() == ["Bo", "cup", "1", "pick", "tiny"]
    assert empty.endswith("z.profile.safetensors: Expected a profile file of AdaptSeg, got an empty file.")
    assert profiles("list", "--quiet") == 0
    assert capsys.readouterr() == ("", shown.err)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"recent": "[Infinity]"}, "the number Infinity is not finite"),
        ({"picks": "9" * 5000}, None),
        ({"recent": "[" * 100_000}, "it is nested too deeply"),
        (
            {"user": "A\u202enna"},
            r"The character U+202E in the user name 'A\u202enna' cannot be seen, or changes the order ",
        ),
    ],
)
def test_a_hostile_file_hides_no_other(
    a_store: ProfileStore, facts: dict[str, str], reason: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_store.folder / "a.profile.safetensors"
    shutil.copy(a_store.path("Anna", "cup"), path)
    rewritten(path, **facts)
    assert profiles("list") == 0
    shown = capsys.readouterr()
    (good,), (wrong,) = shown.out.splitlines(), shown.err.splitlines()
    assert (
        wrong.startswith(f"adaptseg: {path}: Expected the content of a profile, got another one ({reason or ''}")
        and len(wrong) < 600
    )
    assert wrong.endswith(").")
    assert good.split() == ["Anna", "cup", "8", "picks", "tiny"]


def test_list_without_profiles_says_where_it_looked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "empty"))
    assert profiles("list") == 0
    assert capsys.readouterr().out == f"No profile in {tmp_path / 'empty' / 'profiles'}.\n"


def test_show_tells_what_the_picks_have_taught(a_store: ProfileStore, capsys: pytest.CaptureFixture[str]) -> None:
    assert profiles("show", "Anna", "cup") == 0
    out = capsys.readouterr().out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in out[:3]] == ["Anna", "cup", "8 (6 can be taken back)"]
    assert out[3].endswith("tiny (weights abababababab)") and out[4].endswith(str(a_store.path("Anna", "cup")))
    present = a_store.load("Anna", "cup", a_space()).belief.mixture
    moved = present.means[1, 0] / 2
    other = present.means[0] - a_space().prior.means[0]
    axis = int(abs(other).argmax())
    strayed = other[axis] / a_space().prior.variances[0, axis] ** 0.5
    assert moved > 0.5 and abs(other).max() < 0.3
    assert out[6:] == [
        f"  2             weight {present.weights[1]:.2f}, 0.40 before any pick; "
        f"mean moved most along z1, by {moved:+.1f} standard deviations",
        f"  1             weight {present.weights[0]:.2f}, 0.57 before any pick; "
        f"mean moved most along z{axis + 1}, by {strayed:+.1f} standard deviations",
    ]


def test_show_draws_what_has_moved(tmp_path: Path) -> None:
    assert profiles("show", "Anna", "cup", "--picture", tmp_path / "profile.png") == 0
    png = (tmp_path / "profile.png").read_bytes()
    assert min(count_of(png, GREY), count_of(png, BLUE)) > 300


def test_bars_are_as_long_as_the_weights() -> None:
    prior = a_space().prior
    present = Mixture(np.array([0.06, 0.88, 0.06]), prior.means, prior.variances)
    png = profile_picture(prior, present, 0.05)
    assert longest_run(png, BLUE) / longest_run(png, GREY) == pytest.approx(0.88 / 0.57, rel=0.05)


@pytest.mark.parametrize(("heaviest", "rows"), [(0.961, 1), (0.61, 12), (0.03, 1)])
def test_picture_has_a_row_for_each_noticeable_component_up_to_twelve(heaviest: float, rows: int) -> None:
    weights = np.array([heaviest, *[(1 - heaviest) / 39] * 39])
    many = Mixture(weights, np.arange(80.0).reshape(40, 2), np.ones((40, 2)))
    height = Image.open(io.BytesIO(profile_picture(many, many, 0.01 if heaviest > 0.05 else 0.05))).size[1]
    assert height == pytest.approx(110 * (1.6 + 0.5 * rows), abs=2)


def test_leading_axes_are_those_that_spread_or_have_moved_most() -> None:
    variances = np.array([[5.0, 1.0, 4.0, 0.1, 3.0, 2.0]])
    prior = Mixture(np.ones(1), np.zeros((1, 6)), variances)
    assert leading_axes(prior, prior) == [0, 2, 4, 5]
    moved = Mixture(np.ones(1), np.array([[0, 0, 0, -3.0, 0, 0]]), variances)
    assert leading_axes(prior, moved) == [0, 2, 3, 4]


def test_picture_of_another_type_is_refused_before_anything_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert profiles("show", "Anna", "cup", "--picture", tmp_path / "profile.gif") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "profile.gif" in captured.err


def test_undo_takes_back_one_pick_after_the_other(a_store: ProfileStore, capsys: pytest.CaptureFixture[str]) -> None:
    names = [pick.name for pick in a_store.load("Anna", "cup", a_space()).recent]
    assert profiles("undo", "Anna", "cup") == 0
    assert capsys.readouterr().out.endswith("'Anna' for 'cup' is taken back; left: 7 (5 can be taken back)\n")
    assert [pick.name for pick in a_store.load("Anna", "cup", a_space()).recent] == names[:-1]
    for _ in range(5):
        assert profiles("undo", "Anna", "cup") == 0
    capsys.readouterr()
    before = a_store.path("Anna", "cup").read_bytes()
    assert profiles("undo", "Anna", "cup") == 2
    assert "has 2 picks, none of which can be undone" in capsys.readouterr().err
    assert a_store.path("Anna", "cup").read_bytes() == before


def test_export_reset_and_import(a_store: ProfileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = a_store.load("Anna", "cup", a_space()).belief.mixture
    assert profiles("export", "Anna", "cup", tmp_path / "anna.profile") == 0
    capsys.readouterr()
    assert profiles("reset", "Anna", "cup") == 0
    backup = capsys.readouterr().out.split('"')[1]
    assert a_store.profiles() == ()
    assert profiles("import", backup) == 0
    assert profiles("import", tmp_path / "anna.profile", "--user", "视", "--task", "disc") == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["视", "disc", "8", "picks", "tiny"]
    assert [(info.user, info.task) for info in a_store.profiles()] == [("Anna", "cup"), ("视", "disc")]
    for user, task in (("Anna", "cup"), ("视", "disc")):
        np.testing.assert_array_equal(a_store.load(user, task, a_space()).belief.mixture.means, before.means)


def test_neither_export_nor_import_replaces_anything(
    a_store: ProfileStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "old").write_text("old")
    assert profiles("export", "Anna", "cup", tmp_path / "old") == 2
    assert "This file is there already" in capsys.readouterr().err and (tmp_path / "old").read_text() == "old"
    assert profiles("import", a_store.path("Anna", "cup"), "--user", "Anna") == 2
    assert "There is a profile of 'Anna' for 'cup' already" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("show",), ("export",), ("reset",), ("undo",)])
def test_a_profile_that_there_is_not_is_told_with_those_that_there_are(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = (tmp_path / "x",) if words == ("export",) else ()
    assert profiles(*words, "Anna", "cap", *more) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert captured.err.startswith("adaptseg: There is no profile of 'Anna' for 'cap'. Those in ")
    assert captured.err.endswith(": 'Anna' for 'cup'.\n")


@pytest.mark.parametrize("action", ["show", "undo"])
def test_a_damaged_profile_is_refused_and_stays(
    a_store: ProfileStore, action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = a_store.path("Anna", "cup")
    path.write_bytes(path.read_bytes()[:-3])
    before = path.read_bytes()
    assert profiles(action, "Anna", "cup") == 2
    captured = capsys.readouterr()
    assert captured.out == "" and "The profile file is cut short or damaged." in captured.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("show", " ", "cup"), "got ' '."),
        (("undo", "Anna", "a\nb"), r"got 'a\nb'."),
        (("import", "no such file"), "no such file: The profile file cannot be read"),
    ],
)
def test_errors_are_one_line(words: tuple[str, ...], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert profiles(*words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and reason in captured.err
