"""`adaptseg segment --task NAME --learn`: the accepted planes teach the task, and the task answers later prompts."""

from __future__ import annotations

import errno
from pathlib import Path

import numpy as np
import pytest
import torch

from AdaptCore import cli
from AdaptCore.adapt.history import Outcome
from AdaptCore.adapt.learner import Knowledge, Learner
from AdaptCore.adapt.tasks import TaskStore
from AdaptCore.errors import FullDiskError
from AdaptCore.io import read_volume
from AdaptCore.models.compact import CompactModel
from AdaptCore.predict.volume import VolumeSession
from Testing.image_files import write_disc_volume
from Testing.tiny_model import moved, tiny_model

CENTRE, BESIDE = "24,20,3", "24,20,4"
BIAS = "hypernetworks.0.2.bias"


@pytest.fixture(autouse=True)
def a_store(a_home: Path, monkeypatch: pytest.MonkeyPatch) -> TaskStore:
    """The user's tasks, none yet; every model's name stands for the tiny one."""
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: tiny_model())
    return TaskStore()


@pytest.fixture
def a_volume(tmp_path: Path) -> Path:
    write_disc_volume(tmp_path / "ball.nrrd")
    return tmp_path / "ball.nrrd"


def run(volume: Path, *words: str, out: str = "mask.nrrd") -> int:
    return cli.main(["segment", str(volume), *words, "--slice", "--out", str(volume.parent / out)])


def everything(model: CompactModel) -> CompactModel:
    """The model that answers everywhere."""
    return moved(model, 50.0, BIAS)


def test_accepted_planes_teach_the_task(a_store: TaskStore, a_volume: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(a_volume, "--click", CENTRE, "--click", BESIDE, "--task", "ball", "--learn") == 0
    line = capsys.readouterr().out.splitlines()[-2]
    assert line.startswith("Task 'ball': accepted slices: 2 learnt; it knows 2 accepted slices; ")
    assert line.endswith(str(a_store.path("ball")))
    model = tiny_model()
    known = a_store.load("ball", model).known
    before, after = (one.decoder_parameters()["mix_half.conv.0.weight"] for one in (model, known.model))
    assert len(known.history) == 2 and not torch.equal(before, after)
    assert run(a_volume, "--click", CENTRE, "--task", "ball", "--learn") == 0
    assert "1 learnt; it knows 3 accepted slices" in capsys.readouterr().out


def test_the_task_answers_the_prompts(a_store: TaskStore, a_volume: Path) -> None:
    model = tiny_model()
    task = a_store.load("all of it", model)
    a_store.save(task, type(task.known)(everything(model), model, task.known.memory, ()))
    run(a_volume, "--box", "0,0,47,39,3", out="frozen.nrrd")
    run(a_volume, "--box", "0,0,47,39,3", "--task", "all of it", out="learnt.nrrd")
    frozen, learnt = (read_volume(a_volume.parent / name).array[:, :, 3] for name in ("frozen.nrrd", "learnt.nrrd"))
    assert learnt.mean() > 0.95 > frozen.mean()


def test_without_learn_the_task_stays_as_it_is(
    a_store: TaskStore, a_volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn")
    before = a_store.path("ball").read_bytes()
    capsys.readouterr()
    assert run(a_volume, "--click", CENTRE, "--task", "ball") == 0
    assert a_store.path("ball").read_bytes() == before
    assert "Task" not in capsys.readouterr().out


def test_a_plane_has_taught_before_another_one_is_predicted(a_volume: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[int] = []
    accept, propagate = VolumeSession.accept, VolumeSession.propagate
    learners: list[Learner] = []
    begin = Learner.__init__

    def spy_begin(learner: Learner, *args: object, **options: object) -> None:
        begin(learner, *args, **options)  # type: ignore[arg-type]
        learners.append(learner)

    def spy_accept(session: VolumeSession, *args, **options) -> None:
        known.append(len(learners[0].knowledge.history))
        accept(session, *args, **options)

    def spy_propagate(session: VolumeSession, *args, **options):
        known.append(len(learners[0].knowledge.history))
        return propagate(session, *args, **options)

    monkeypatch.setattr(Learner, "__init__", spy_begin)
    monkeypatch.setattr(VolumeSession, "accept", spy_accept)
    monkeypatch.setattr(VolumeSession, "propagate", spy_propagate)
    run(a_volume, "--click", CENTRE, "--click", BESIDE, "--propagate", "--task", "ball", "--learn")
    assert known == [0, 1, 2, 2]


def test_same_prompts_teach_the_same(a_store: TaskStore, a_volume: Path) -> None:
    prompts = ("--click", CENTRE, "--click", "8,30,3,-", "--click", BESIDE)
    run(a_volume, *prompts, "--task", "one", "--learn", out="one.nrrd")
    run(a_volume, *prompts, "--task", "two", "--learn", out="two.nrrd")
    model = tiny_model()
    one, two = (a_store.load(name, model).known for name in ("one", "two"))
    assert one.history == two.history
    for weight, other in zip(one.model.decoder_parameters().values(), two.model.decoder_parameters().values()):
        torch.testing.assert_close(weight, other, rtol=0, atol=0)
    masks = [read_volume(a_volume.parent / f"{name}.nrrd").array for name in ("one", "two")]
    np.testing.assert_array_equal(*masks)


def test_features_of_images_are_kept_unless_the_user_says_no(
    a_store: TaskStore, a_volume: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn")
    told = capsys.readouterr().out.splitlines()[-1]
    assert told.startswith(
        "Kept with the task: derived image features of 1 accepted slice, which may show anatomy, in "
    )
    assert str(a_store.replay_path("ball")) in told and a_store.replay_path("ball").exists()
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn", "--no-keep-replay")
    assert (
        "have been removed (--no-keep-replay)" in capsys.readouterr().out and not a_store.replay_path("ball").exists()
    )


def test_a_recipe_is_kept_with_the_task(a_store: TaskStore, a_volume: Path) -> None:
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn", "--recipe", "schoen")
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn")
    assert a_store.info("ball").recipe == "schoen" and a_store.info("ball").accepted == 2


def test_report_names_the_task(a_volume: Path) -> None:
    report = a_volume.parent / "report.html"
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn", "--report", str(report))
    assert "tiny, task ball<" in report.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("adapted", "label"),
    [(0.53, "tiny, task ball<"), (0.51, "tiny, task ball (which leaves the answers to the frozen model)<")],
)
def test_report_tells_when_the_frozen_model_answered(
    a_store: TaskStore, a_volume: Path, adapted: float, label: str
) -> None:
    model, report = tiny_model(), a_volume.parent / "report.html"
    task = a_store.load("ball", model)
    history = (Outcome(1, 0.5, 0.5), Outcome(1, 0.5, adapted))
    a_store.save(task, Knowledge(everything(model), model, task.known.memory, history))
    run(a_volume, "--box", "0,0,47,39,3", "--task", "ball", "--report", str(report))
    assert label in report.read_text(encoding="utf-8")
    assert (read_volume(a_volume.parent / "mask.nrrd").array[:, :, 3].mean() > 0.95) == (adapted == 0.53)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--learn",), "--learn needs --task NAME"),
        (("--keep-replay", "--task", "ball"), "--keep-replay needs --task NAME --learn."),
        (("--no-keep-replay", "--task", "ball"), "--no-keep-replay needs --task NAME --learn."),
        (("--recipe", "oaims"), "--recipe needs --task NAME --learn."),
        (("--task", "bal"), "There is no task 'bal'. Those in "),
        (("--task", " ", "--learn"), "characters on one line, got"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    a_volume: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(a_volume, "--click", CENTRE, *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (a_volume.parent / "mask.nrrd").exists()


@pytest.mark.parametrize("learn", [(), ("--learn",)])
def test_a_damaged_task_stops_the_command_before_the_image_is_read(
    a_store: TaskStore, a_volume: Path, learn: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    a_store.prepare("ball")
    a_store.path("ball").write_bytes(b"rubbish")
    assert run(a_volume.parent / "no image", "--click", CENTRE, "--task", "ball", *learn) == 2
    assert "Expected a task file of AdaptSeg, got" in capsys.readouterr().err
    assert a_store.path("ball").read_bytes() == b"rubbish"


def test_a_task_of_another_model_is_refused_and_stays(
    a_store: TaskStore, a_volume: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(a_volume, "--click", CENTRE, "--task", "ball", "--learn")
    before = a_store.path("ball").read_bytes()
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: tiny_model(seed=5))
    assert run(a_volume, "--click", CENTRE, "--task", "ball", "--learn", out="other.nrrd") == 2
    assert "Choose that model, or another task name" in capsys.readouterr().err
    assert a_store.path("ball").read_bytes() == before
    assert not (a_volume.parent / "other.nrrd").exists()


# Full disks


@pytest.fixture
def a_full_home(a_home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder on a disk without room; all other disks have some."""

    def no_room(path: Path) -> None:
        if a_home in path.parents:
            raise OSError(errno.ENOSPC, "No space left on device")

    touch = Path.touch
    monkeypatch.setattr("AdaptCore.atomic._flush_to_disk", no_room)
    monkeypatch.setattr(Path, "touch", lambda path, *rest: (no_room(path), touch(path, *rest)))
    return a_home


@pytest.mark.parametrize("report", [(), ("--report",)])
def test_a_full_home_disk_does_not_cost_the_mask(
    a_full_home: Path, a_volume: Path, report: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [a_volume.parent / "page.html" for _ in report]
    words = (*report, *map(str, pages))
    assert run(a_volume, "--click", CENTRE, "--task", "ball", "--user", "Anna", "--learn", *words) == 2
    printed = capsys.readouterr()
    assert printed.out.startswith(f"{a_volume.parent / 'mask.nrrd'}: ") and printed.out.count("\n") == 1
    task, profile = printed.err.splitlines()
    assert task.startswith(f"adaptseg: Task 'ball': What it has learnt is not saved. {a_full_home / 'tasks'}")
    assert profile.startswith(
        f"adaptseg: Profile of 'Anna' for 'ball': What it has learnt is not saved. {a_full_home / 'profiles'}"
    )
    assert "(No space left on device)" in task and "(No space left on device)" in profile
    assert read_volume(a_volume.parent / "mask.nrrd").array.any()
    assert all(page.exists() for page in pages)
    assert not [path for path in a_full_home.rglob("*") if path.is_file()]


def test_a_report_without_room_does_not_cost_what_was_learnt(
    a_store: TaskStore, a_volume: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_room(path: Path, content: bytes) -> None:
        raise FullDiskError(f"{path}: The file cannot be written (No space left on device).")

    monkeypatch.setattr("AdaptCore.evaluate.report.write_bytes", no_room)
    page = a_volume.parent / "page.html"
    assert run(a_volume, "--click", CENTRE, "--task", "ball", "--learn", "--report", str(page)) == 2
    printed = capsys.readouterr()
    assert printed.err == f"adaptseg: {page}: The file cannot be written (No space left on device).\n"
    assert "it knows 1 accepted slice; " in printed.out and a_store.info("ball").accepted == 1
