"""`adaptseg segment --user NAME --candidates FOLDER`: a preference answers and learns, and tells what else it knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import torch
from PIL import Image

from AdaptCore import cli
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.evaluate.contact_sheet import area_change
from AdaptCore.io import read_volume
from AdaptCore.models.base import Model
from AdaptCore.models.compact import CompactModel
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.preference.adviser import Adviser, Round, space_of
from AdaptCore.preference.latent import COMPONENTS, Latent
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.profiles import ProfileStore
from Testing.image_files import write_dicom_series, write_disc_volume
from Testing.tiny_model import tiny_model
from Testing.toy_model import ToyModel

CENTRE, BESIDE = "24,20,3", "24,20,4"
SHEET = "K3-contact-sheet.png"


@pytest.fixture(autouse=True)
def a_store(a_home: Path, monkeypatch: pytest.MonkeyPatch) -> ProfileStore:
    """The user's profiles, none yet; every model's name stands for the toy, which needs no latent space."""
    use(monkeypatch, ToyModel())
    return ProfileStore()


@pytest.fixture
def a_volume(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    write_disc_volume(tmp_path / "in" / "ball.nrrd")
    return tmp_path / "in" / "ball.nrrd"


@pytest.fixture
def a_picture(tmp_path: Path) -> Path:
    """A bright disc with a soft edge, 60 x 50."""
    away = np.hypot(*(np.mgrid[:50, :60] - np.array([25, 30])[:, None, None]))
    sitk.WriteImage(
        sitk.GetImageFromArray((200 * np.clip(2 - away / 8, 0, 1)).astype(np.uint8)), str(tmp_path / "p.png")
    )
    return tmp_path / "p.png"


def use(monkeypatch: pytest.MonkeyPatch, model: Model) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: model)


def run(image: Path, *words: object, out: str = "mask.nrrd") -> int:
    folder = image.parent.parent if image.parent.name == "in" else image.parent
    return cli.main(["segment", str(image), *map(str, words), "--slice", "--out", str(folder / out)])


def mask_of(path: Path) -> np.ndarray:
    return read_volume(path).array > 0


def larger_by(store: ProfileStore, user: str, task: str, units: float) -> Profile:
    """Let a user pick masks whose outlines are moved outwards, of the model's own answer."""
    profile = store.load(user, task, space_of(ToyModel(), None))
    for _ in range(6):
        profile = store.pick(profile, np.array([[units, 0.0, 0.0, 0.0]]))
    return profile


def a_latent(model: CompactModel) -> Latent:
    """A made-up latent space of two dimensions: the first shifts all logits."""
    channels, token = model.network.config.decoder[-1], model.network.config.dim
    basis = torch.zeros(channels + 1, 2)
    basis[-1, 0], basis[0, 1] = 1.0, 1.0
    means = torch.zeros(COMPONENTS, 2)
    means[:, 0] = torch.linspace(-2, 2, COMPONENTS)
    return Latent(model.digest, basis, torch.zeros(COMPONENTS, token + 1), means, torch.full((COMPONENTS, 2), 0.5))


# --user


def test_each_user_gets_the_mask_that_they_prefer(
    a_store: ProfileStore, a_volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    larger_by(a_store, "Anna", "ball", 3.0)
    larger_by(a_store, "Bo", "ball", -3.0)
    sizes = {}
    for name, words in {
        "plain": (),
        "fresh": ("--user", "Eve", "--task", "ball"),
        "Anna": ("--user", "Anna", "--task", "ball"),
        "Anna elsewhere": ("--user", "Anna"),
        "Bo": ("--user", "Bo", "--task", "ball"),
    }.items():
        assert run(a_volume, "--click", CENTRE, *words, out=f"{name}.nrrd") == 0
        sizes[name] = int(mask_of(a_volume.parent.parent / f"{name}.nrrd").sum())
    assert sizes["Bo"] < 0.97 * sizes["plain"] and sizes["Anna"] > 1.03 * sizes["plain"]
    assert sizes["plain"] == sizes["fresh"] == sizes["Anna elsewhere"]
    told = capsys.readouterr().out.splitlines()
    assert told[2] == (
        f"Profile of 'Eve' for 'ball': no pick yet, so the model itself has answered; {a_store.path('Eve', 'ball')}"
    )
    assert told[4] == f"Profile of 'Anna' for 'ball': 6 picks; {a_store.path('Anna', 'ball')}"


def test_without_learn_the_profile_stays_as_it_is(a_store: ProfileStore, a_volume: Path) -> None:
    assert run(a_volume, "--click", CENTRE, "--user", "Eve") == 0
    assert not a_store.path("Eve", "default").exists()
    larger_by(a_store, "Anna", "default", 3.0)
    before = a_store.path("Anna", "default").read_bytes()
    assert run(a_volume, "--click", CENTRE, "--click", BESIDE, "--user", "Anna") == 0
    assert a_store.path("Anna", "default").read_bytes() == before


def test_accepted_planes_teach_the_profile(
    a_store: ProfileStore, a_volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--click", CENTRE, "--click", "28,20,3", "--click", BESIDE)
    assert run(a_volume, *words, "--user", "Anna", "--learn") == 0
    profile = a_store.load("Anna", "default", space_of(ToyModel(), None))
    assert profile.picks == 3, "the first question of each plane, and the last where that is another one"
    told = capsys.readouterr().out.splitlines()[-1]
    path = a_store.path("Anna", "default")
    assert told == f"Profile of 'Anna' for 'default': the accepted planes are learnt; it holds 3 picks; {path}"
    assert run(a_volume, "--click", CENTRE, "--user", "Anna", "--learn") == 0
    assert a_store.load("Anna", "default", profile.space).picks == 4
    assert TaskStore().names() == (), "no task was named, so its weights learn nothing"


def test_task_and_profile_learn_together(
    a_store: ProfileStore, a_volume: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny_model()
    use(monkeypatch, model)
    words = ("--user", "Anna", "--task", "ball", "--learn")
    assert run(a_volume, "--box", "10,8,36,32,3", "--box", "10,8,36,32,4", *words) == 0
    task, _, profile = capsys.readouterr().out.splitlines()[-3:]
    assert task.startswith("Task 'ball': accepted slices: 2 ") and profile.startswith("Profile of 'Anna' for 'ball': ")
    assert TaskStore().info("ball").accepted == 2
    (info,) = a_store.profiles()
    assert (info.user, info.task, info.digest, info.picks) == ("Anna", "ball", model.digest, 2)
    assert run(a_volume, "--box", "10,8,36,32,3", "--user", "Anna", "--task", "ball") == 0


def test_a_model_with_a_latent_space_answers_learns_and_offers_in_it(
    a_store: ProfileStore, a_volume: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model()
    latent = a_latent(model)
    use(monkeypatch, model)
    monkeypatch.setattr("AdaptCore.preference.latent.latent_of", lambda digest: latent)
    box, anna = ("--box", "10,8,36,32,3"), ("--user", "Anna", "--candidates", tmp_path / "c")
    profile = a_store.load("Anna", "default", space_of(model, latent))
    for _ in range(12):
        profile = a_store.pick(profile, np.array([[9.0, 0.0]]))
    assert run(a_volume, *box, out="plain.nrrd") == 0
    assert run(a_volume, *box, *anna, "--learn") == 0
    assert mask_of(tmp_path / "mask.nrrd").sum() > mask_of(tmp_path / "plain.nrrd").sum()
    (info,) = a_store.profiles()
    assert (info.picks, info.digest) == (13, model.digest)
    assert a_store.load("Anna", "default", space_of(model, latent)).belief.mixture.means.shape == (COMPONENTS, 2)


def test_report_names_the_user(a_volume: Path, tmp_path: Path) -> None:
    run(a_volume, "--click", CENTRE, "--user", "Anna", "--report", tmp_path / "r.html")
    assert "<td>toy, user Anna</td>" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--user", " "), "Expected a user name of 1 to 200 characters on one line, got ' '."),
        (("--user", "Anna", "--task", "a\nb"), "Expected a task name of 1 to 200 characters on one line, got 'a\\nb'."),
        (
            ("--user", "Anna", "--learn", "--keep-replay"),
            "--keep-replay needs --task NAME --learn.",
        ),
        (("--user", "Anna", "--recipe", "oaims"), "--recipe needs --task NAME --learn."),
        (("--learn",), "or --user NAME for a preference"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    a_volume: Path, tmp_path: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(a_volume, "--click", CENTRE, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "mask.nrrd").exists()


@pytest.mark.parametrize("learn", [(), ("--learn",)])
def test_a_damaged_profile_stops_the_command_before_the_image_is_read(
    a_store: ProfileStore, a_volume: Path, learn: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    a_store.folder.mkdir(parents=True)
    a_store.path("Anna", "default").write_bytes(b"rubbish")
    assert run(a_volume.parent / "no image", "--click", CENTRE, "--user", "Anna", *learn) == 2
    assert "Expected a profile file of AdaptSeg, got" in capsys.readouterr().err
    assert a_store.path("Anna", "default").read_bytes() == b"rubbish"


def test_a_profile_of_another_model_is_refused_and_stays(
    a_store: ProfileStore,
    a_volume: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    larger_by(a_store, "Anna", "default", 3.0)
    before = a_store.path("Anna", "default").read_bytes()
    use(monkeypatch, tiny_model())
    assert run(a_volume, "--click", CENTRE, "--user", "Anna", "--learn", "--candidates", tmp_path / "c") == 2
    assert "was learnt with model toy" in capsys.readouterr().err
    assert a_store.path("Anna", "default").read_bytes() == before
    assert not (tmp_path / "mask.nrrd").exists() and not (tmp_path / "c").exists()


# --candidates


@pytest.mark.parametrize("user", [(), ("--user", "Anna")])
def test_candidates_of_each_prompted_plane_are_written(
    a_store: ProfileStore, a_volume: Path, tmp_path: Path, user: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "candidates"
    words = ("--click", CENTRE, "--click", BESIDE, "--propagate", "--candidates", folder, *user)
    assert run(a_volume, *words, out="m.seg.nrrd") == 0
    image, answer = sitk.ReadImage(str(a_volume)), mask_of(tmp_path / "m.seg.nrrd")
    told = capsys.readouterr().out.splitlines()
    written = {path.name for path in folder.iterdir()}
    for index in (3, 4):
        names = sorted(name for name in written if name.startswith(f"K{index}-candidate-"))
        assert names == [f"K{index}-candidate-{number}.seg.nrrd" for number in range(1, len(names) + 1)]
        assert (
            len(names) >= 2
            and f"{folder / f'K{index}-contact-sheet.png'}: plane {index}: {len(names)} candidates" in told
        )
        areas = []
        for name in names:
            file, mask = sitk.ReadImage(str(folder / name)), mask_of(folder / name)
            for part in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
                np.testing.assert_allclose(getattr(file, part)(), getattr(image, part)(), rtol=1e-6, atol=1e-6)
            assert mask[24, 20, index] and not np.delete(mask, index, 2).any()
            assert (mask[:, :, index] != answer[:, :, index]).any()
            areas.append(int(mask.sum()))
        assert areas == sorted(areas), "from the smallest to the largest"
    assert written == {name for name in written if "-candidate-" in name} | {SHEET, "K4-contact-sheet.png"}
    assert a_store.profiles() == ()


def test_candidates_do_not_change_the_answer(a_volume: Path, tmp_path: Path) -> None:
    run(a_volume, "--click", CENTRE, "--click", BESIDE, out="plain.nrrd")
    run(a_volume, "--click", CENTRE, "--click", BESIDE, "--candidates", tmp_path / "c", out="with.nrrd")
    np.testing.assert_array_equal(mask_of(tmp_path / "plain.nrrd"), mask_of(tmp_path / "with.nrrd"))


def test_candidates_come_from_the_profile(a_store: ProfileStore, a_volume: Path, tmp_path: Path) -> None:
    larger_by(a_store, "Anna", "default", 3.0)
    larger_by(a_store, "Bo", "default", -3.0)
    sizes = {}
    for user in ("Anna", "Bo"):
        run(a_volume, "--click", CENTRE, "--user", user, "--candidates", tmp_path / user)
        files = [path for path in (tmp_path / user).iterdir() if path.suffix == ".nrrd"]
        sizes[user] = np.mean([mask_of(path).sum() for path in files])
    assert sizes["Bo"] < sizes["Anna"]


def test_picture_gets_pictures(a_picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(a_picture, "--click", "30,25", "--candidates", tmp_path / "c", out="m.png") == 0
    files = {path.name for path in (tmp_path / "c").iterdir()}
    masks = sorted(files - {"contact-sheet.png"})
    assert masks == [f"candidate-{number}.png" for number in range(1, len(masks) + 1)] and len(masks) >= 2
    assert f"{tmp_path / 'c' / 'contact-sheet.png'}: {len(masks)} candidates\n" in capsys.readouterr().out
    for name in masks:
        pixels = sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "c" / name)))
        assert pixels.shape == (50, 60) and set(np.unique(pixels)) == {0, 255} and pixels[25, 30] == 255


def test_contact_sheet_has_a_picture_for_each(a_picture: Path, tmp_path: Path) -> None:
    run(a_picture, "--click", "30,25", "--candidates", tmp_path / "c", out="m.png")
    sheet = np.asarray(Image.open(tmp_path / "c" / "contact-sheet.png").convert("RGB")).astype(int)
    count = len(list((tmp_path / "c").glob("candidate-*.png")))
    assert sheet.shape[1] == pytest.approx(231 * (1 + count), abs=2)
    red, blue = sheet[..., 0], sheet[..., 2]
    tinted = (abs(red - blue) > 60)[: int(0.85 * len(sheet))]
    shares = [part.mean() for part in np.array_split(tinted, 1 + count, axis=1)]
    assert shares[0] == 0 and min(shares[1:]) > 0.001


def test_titles_tell_how_the_area_changes() -> None:
    small, large = np.zeros((2, 10, 10), bool)
    small[:2], large[:5] = True, True
    assert area_change(large, small) == "+30 pixels (+150%)"
    assert area_change(small, large) == "-30 pixels (-60%)"
    assert area_change(small, np.zeros((10, 10), bool)) == "+20 pixels"


@pytest.mark.parametrize("name", [SHEET, "K3-candidate-1.nrrd", "K3-candidate-4.nrrd"])
def test_nothing_that_is_there_is_replaced(
    a_volume: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / name).write_text("old")
    assert run(a_volume, "--click", CENTRE, "--candidates", tmp_path / "c") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == f"adaptseg: {tmp_path / 'c' / name}: This file is there already. Choose another folder.\n"
    assert [(file.name, file.read_text()) for file in (tmp_path / "c").iterdir()] == [(name, "old")]
    assert not (tmp_path / "mask.nrrd").exists()
    assert run(a_volume, "--click", BESIDE, "--candidates", tmp_path / "c") == 0, "other planes may join them"


def test_a_mask_among_the_candidates_keeps_its_name(
    a_picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c").mkdir()
    assert run(a_picture, "--click", "30,25", "--candidates", tmp_path / "c", out="c/candidate-2.png") == 2
    assert "candidate-2.png: This is another result of the command" in capsys.readouterr().err
    assert not list((tmp_path / "c").iterdir())


def test_candidates_do_not_join_the_slices_of_the_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_dicom_series(tmp_path / "in" / "series")
    before = sorted((tmp_path / "in" / "series").iterdir())
    words = ("--click", "6,6,2", "--candidates", tmp_path / "in" / "series")
    assert (
        cli.main(
            ["segment", str(tmp_path / "in" / "series"), *map(str, words), "--slice", "--out", str(tmp_path / "m.nrrd")]
        )
        == 2
    )
    assert "This is in the folder of the image itself" in capsys.readouterr().err
    assert sorted((tmp_path / "in" / "series").iterdir()) == before


def test_a_file_is_no_folder_for_candidates(a_volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c").write_text("old")
    assert run(a_volume, "--click", CENTRE, "--candidates", tmp_path / "c") == 2
    error = capsys.readouterr().err
    assert "The folder cannot be made" in error and error.count("\n") == 1
    assert (tmp_path / "c").read_text() == "old" and not (tmp_path / "mask.nrrd").exists()


# --pick


def candidate_of(folder: Path, number: int, index: int = 3) -> np.ndarray:
    return mask_of(folder / f"K{index}-candidate-{number}.nrrd")


def test_a_picked_candidate_is_the_answer_and_is_learnt(
    a_store: ProfileStore, a_volume: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    anna, space = ("--click", CENTRE, "--user", "Anna"), space_of(ToyModel(), None)
    assert run(a_volume, *anna, "--candidates", tmp_path / "c", out="plain.nrrd") == 0
    assert run(a_volume, *anna, "--learn", "--pick", "2", out="picked.nrrd") == 0
    np.testing.assert_array_equal(mask_of(tmp_path / "picked.nrrd"), candidate_of(tmp_path / "c", 2))
    assert (mask_of(tmp_path / "picked.nrrd") != mask_of(tmp_path / "plain.nrrd")).any()
    profile = a_store.load("Anna", "default", space)
    assert profile.picks == 2, "the pick, and the accepted mask"
    assert "it holds 2 picks" in capsys.readouterr().out
    fresh = Profile.fresh("Anna", "default", space)
    for left in (1, 0):
        assert cli.main(["profiles", "undo", "Anna", "default"]) == 0
        assert a_store.load("Anna", "default", space).picks == left
    undone = a_store.load("Anna", "default", space).belief.mixture
    np.testing.assert_array_equal(undone.means, fresh.belief.mixture.means)


@pytest.mark.parametrize("words", [(), ("--user", "Anna"), ("--user", "Anna", "--learn")])
def test_each_pick_is_of_the_round_after_the_one_before(a_volume: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    first = ("--click", CENTRE, "--pick", "1")
    assert run(a_volume, *first, "--candidates", tmp_path / "second", out="once.nrrd") == 0
    assert run(a_volume, *first, "--pick", "2", *words, out="picked.nrrd") == 0
    np.testing.assert_array_equal(mask_of(tmp_path / "picked.nrrd"), candidate_of(tmp_path / "second", 2))
    run(a_volume, "--click", CENTRE, "--candidates", tmp_path / "first")
    np.testing.assert_array_equal(mask_of(tmp_path / "once.nrrd"), candidate_of(tmp_path / "first", 1))


def test_without_learn_a_pick_is_not_kept(a_store: ProfileStore, a_volume: Path) -> None:
    assert run(a_volume, "--click", CENTRE, "--user", "Anna", "--pick", "1") == 0
    assert a_store.profiles() == ()


def test_picks_go_to_their_planes(a_volume: Path, tmp_path: Path) -> None:
    words = ("--click", CENTRE, "--click", BESIDE)
    run(a_volume, *words, "--candidates", tmp_path / "c", out="plain.nrrd")
    assert run(a_volume, *words, "--pick", "1,4", "--report", tmp_path / "r.html") == 0
    plain, mask = mask_of(tmp_path / "plain.nrrd"), mask_of(tmp_path / "mask.nrrd")
    np.testing.assert_array_equal(mask[:, :, 3], plain[:, :, 3])
    np.testing.assert_array_equal(mask[:, :, 4], candidate_of(tmp_path / "c", 1, 4)[:, :, 4])
    assert "<td>2 clicks, 0 boxes, 1 pick</td>" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_picture_has_one_plane_to_pick_for(a_picture: Path, tmp_path: Path) -> None:
    run(a_picture, "--click", "30,25", "--candidates", tmp_path / "c", out="plain.png")
    assert run(a_picture, "--click", "30,25", "--pick", "2,0", out="m.png") == 0
    assert (tmp_path / "m.png").read_bytes() == (tmp_path / "c" / "candidate-2.png").read_bytes()


def test_a_larger_pick_is_carried_to_the_other_planes(a_volume: Path, tmp_path: Path) -> None:
    words = ("--click", CENTRE, "--propagate")
    run(a_volume, *words, "--candidates", tmp_path / "c", out="plain.nrrd")
    last = len(list((tmp_path / "c").glob("*-candidate-*")))
    assert run(a_volume, *words, "--pick", last, out="larger.nrrd") == 0
    plain, larger = (mask_of(tmp_path / name).sum(axis=(0, 1)) for name in ("plain.nrrd", "larger.nrrd"))
    assert larger[3] > 1.1 * plain[3]
    assert (larger[[2, 4]] > plain[[2, 4]]).all()


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        (("x",), "--pick: Expected C or C,N in whole numbers, got 'x'."),
        (("1,3,1",), "--pick: Expected C or C,N in whole numbers, got '1,3,1'."),
        (("5",), "--pick 5: Expected a candidate from 1 to 4, got 5."),
        (("0,3",), "--pick 0,3: Expected a candidate from 1 to 4, got 0."),
        (("1,4",), "--pick 1,4: Plane 4 has no click and no box. Choose one that has: 3."),
        (("1", "--click", BESIDE), "--pick: Expected C,N in whole numbers, got '1'."),
    ],
)
def test_picks_that_do_not_fit_are_refused(
    a_volume: Path, tmp_path: Path, picks: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(a_volume, "--click", CENTRE, "--pick", *picks) == 2
    assert capsys.readouterr().err == f"adaptseg: {message}\n"
    assert not (tmp_path / "mask.nrrd").exists()


@pytest.mark.parametrize(("left", "choice"), [(2, "Choose one from 1 to 2"), (0, "Leave out --pick for this round")])
def test_a_round_with_fewer_candidates_teaches_nothing(
    a_store: ProfileStore,
    a_volume: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: int,
    choice: str,
) -> None:
    ask = Adviser.ask

    def fewer_after_a_pick(adviser: Adviser, session: PlaneSession, around: np.ndarray | None = None) -> Round:
        shown = ask(adviser, session, around)
        candidates = shown.proposal.candidates
        return replace(shown, proposal=replace(shown.proposal, candidates=candidates[: 4 if around is None else left]))

    monkeypatch.setattr(Adviser, "ask", fewer_after_a_pick)
    words = ("--user", "Anna", "--learn", "--pick", "1", "--pick", "3")
    assert run(a_volume, "--click", CENTRE, *words) == 2
    told = f"--pick 3,3: Round 2 of plane 3 has {left} candidates. {choice}."
    assert capsys.readouterr().err == f"adaptseg: {told}\n"
    assert a_store.profiles() == () and not (tmp_path / "mask.nrrd").exists()
