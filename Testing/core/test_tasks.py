"""Tasks outlive the program: names, files, refusals, two writers at once, and replay."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from AdaptCore import sealed
from AdaptCore.adapt.history import Event, Outcome
from AdaptCore.adapt.learner import Knowledge, Learner
from AdaptCore.adapt.recipe import DEFAULT, OAIMS
from AdaptCore.adapt.task_file import deltas
from AdaptCore.adapt.tasks import REPLAY_KIND, Task, TaskStore, clean_name, file_stem
from AdaptCore.errors import OutputError, TaskError
from AdaptCore.facts import TASKS, Kind
from AdaptCore.models.base import AdaptableModel, Question
from AdaptCore.models.compact import CompactModel
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.prompts import Click, Prompts
from Testing.tiny_model import moved, taught, tiny_model

WEIGHT = "mix_half.conv.0.weight"

WRITER = """
import sys, time
from pathlib import Path
from AdaptCore.adapt.tasks import REPLAY_KIND, TaskStore
from Testing.tiny_model import taught, tiny_model

folder, first, count, by = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
store = TaskStore(folder / "tasks")
task = store.load("cup", tiny_model())
(folder / f"ready{first}").touch()
while not (folder / "go").exists():
    time.sleep(0.01)
known = task.known
for number in range(first, first + count):
    known = taught(known, by, number)
    task = store.save(task, known)
"""


@pytest.fixture(scope="module")
def a_model() -> CompactModel:
    return tiny_model()


@pytest.fixture(scope="module")
def two_discs(a_model: CompactModel) -> Knowledge:
    """What is known after two real lessons."""
    return learnt_from_discs(a_model, 2)


@pytest.fixture
def a_store(tmp_path: Path) -> TaskStore:
    return TaskStore(tmp_path / "tasks")


@pytest.fixture
def a_task(a_store: TaskStore, a_model: CompactModel) -> Task:
    """The task "cup" with three accepted images."""
    task = a_store.load("cup", a_model)
    known = task.known
    for clicks in (3, 2, 1):
        known = taught(known, 0.01, clicks)
    return a_store.save(task, known)


def move_of(model: AdaptableModel, frozen: CompactModel) -> float:
    return float(deltas(model, frozen).get(WEIGHT, torch.zeros(1)).mean())


def learnt_from_discs(model: CompactModel, count: int, known: Knowledge | None = None) -> Knowledge:
    """What is known after real lessons from discs, two clicks each."""
    rows, columns = np.mgrid[:48, :60]
    with Learner(model, known=known) as learner:
        for place in range(count):
            mask = (columns - 20 - 5 * place) ** 2 + (rows - 24) ** 2 < 100
            session = PlaneSession(learner.model, np.where(mask, 0.8, 0.2).astype(np.float32), zoom=None)
            session.click(20 + 5 * place, 24)
            session.click(24 + 5 * place, 26)
            learner.learn(session.examples(mask))
        learner.wait()
        return learner.knowledge


def answers(model: AdaptableModel) -> torch.Tensor:
    plane = np.random.default_rng(0).random((48, 60)).astype(np.float32)
    return model.answer(Question(model.encode(plane), Prompts((Click(20, 24),)))).logits.detach()


def rewritten(
    path: Path, kind: Kind = TASKS.kind, more: Mapping[str, torch.Tensor] | None = None, **facts: str
) -> None:
    """Change facts of a file and add tensors, with a checksum that fits."""
    tensors, old = sealed.read_sealed(path, kind)
    kept = {name: fact for name, fact in {**old, **facts}.items() if name not in ("kind", "version")}
    sealed.write_sealed(path, kind, {**tensors, **(more or {})}, kept)


def test_new_task_knows_nothing_and_writes_nothing(a_store: TaskStore, a_model: CompactModel) -> None:
    task = a_store.load("optic cup", a_model, DEFAULT)
    assert task.known.model is a_model and task.known.good is a_model
    assert task.known.history == () and not a_store.folder.exists()
    assert a_store.tasks() == ()


def test_what_was_learnt_comes_back(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    a_store.save(a_store.load("cup", a_model, OAIMS), two_discs)
    task = a_store.load("cup", a_model)
    assert task.recipe is OAIMS
    assert task.known.history == two_discs.history and len(two_discs.history) == 2
    assert (answers(two_discs.model) - answers(a_model)).abs().max() > 1e-2
    torch.testing.assert_close(answers(task.known.model), answers(two_discs.model), atol=1e-3, rtol=0)


def test_the_last_good_weights_come_back(a_store: TaskStore, a_model: CompactModel) -> None:
    known = Knowledge(moved(a_model, 0.02), moved(a_model, 0.01), Knowledge.none(a_model, DEFAULT).memory)
    a_store.save(a_store.load("cup", a_model), known)
    task = a_store.load("cup", a_model)
    assert move_of(task.known.model, a_model) == pytest.approx(0.02, rel=1e-3)
    assert move_of(task.known.good, a_model) == pytest.approx(0.01, rel=1e-3)


def test_each_outcome_comes_back_as_it_was(a_store: TaskStore, a_model: CompactModel) -> None:
    history = tuple(Outcome(n, 0.1 * n, 1 / 3, event) for n, event in enumerate(Event))
    known = Knowledge(a_model, a_model, Knowledge.none(a_model, DEFAULT).memory, history)
    a_store.save(a_store.load("cup", a_model), known)
    assert a_store.load("cup", a_model).known.history == history


def test_list_tells_what_each_task_is(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    a_store.save(a_store.load("Aorta", a_model), learnt_from_discs(a_model, 1))
    aorta, cup = a_store.tasks()
    assert (aorta.name, aorta.accepted, aorta.model, aorta.recipe) == ("Aorta", 1, "tiny", "default")
    assert (cup.name, cup.accepted, cup.digest) == ("cup", 3, a_model.digest)
    assert cup.size == cup.path.stat().st_size > 0
    assert cup.replay is None and aorta.replay is not None and aorta.replay.exists()
    assert a_store.names() == ("Aorta", "cup")


@pytest.mark.parametrize("name", ["Papilla n. optici, li.", "视杯", "عصب", "con", "a/b\\c:d*?", "x" * 200, "..", "🫀"])
def test_any_name_gives_a_file_name_for_every_system(a_store: TaskStore, a_model: CompactModel, name: str) -> None:
    stem = file_stem(name)
    assert stem.isascii() and set(stem) <= set("abcdefghijklmnopqrstuvwxyz0123456789-") and len(stem) <= 60
    a_store.save(a_store.load(name, a_model), taught(Knowledge.none(a_model, DEFAULT), 0.1, 1))
    assert a_store.names() == (clean_name(name),)
    assert a_store.load(name, a_model).known.history


def test_names_that_differ_have_files_that_differ() -> None:
    stems = [file_stem(name) for name in ("cup", "Cup", "cup!", "c\u00fap", "视杯", "视盘")]
    assert len({stem.casefold() for stem in stems}) == len(stems)


def test_composed_and_decomposed_letters_are_one_name() -> None:
    assert file_stem("Pupille e\u0301") == file_stem(" Pupille \u00e9 ")


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00", "\ud800", "x" * 201])
def test_names_that_cannot_be_shown_are_refused(a_store: TaskStore, a_model: CompactModel, name: str) -> None:
    with pytest.raises(TaskError, match=r"1 to 200 characters on one line, got"):
        a_store.load(name, a_model)


@pytest.mark.parametrize(
    ("name", "number"), [("cup\u202e", "U+202E"), ("\u2066a\u2069", "U+2066"), ("a\u200bb", "U+200B")]
)
def test_names_that_hide_something_are_refused(
    a_store: TaskStore, a_model: CompactModel, name: str, number: str
) -> None:
    with pytest.raises(TaskError) as refused:
        a_store.load(name, a_model)
    assert str(refused.value) == (
        f"The character {number} in the task name {name!r} cannot be seen, or changes the order of the others. "
        "Leave it out."
    )


@pytest.mark.parametrize("left", [0, 4, 9, 60, 0.3, 0.9, 0.999])
def test_truncated_file_is_refused_and_stays(
    a_store: TaskStore, a_task: Task, a_model: CompactModel, left: float
) -> None:
    path = a_store.path("cup")
    content = path.read_bytes()
    content = content[: int(left if left >= 1 else left * len(content))]
    path.write_bytes(content)
    with pytest.raises(TaskError, match=r"cup-\w+\.task\.safetensors: (Expected|The task file) "):
        a_store.load("cup", a_model)
    assert path.read_bytes() == content
    (info,) = a_store.tasks()
    assert info.problem.startswith(str(path)) and a_store.names() == ()


@pytest.mark.parametrize("place", [8, 40, 200, 0.5, 0.9])
def test_flipped_bit_is_noticed(a_store: TaskStore, a_task: Task, a_model: CompactModel, place: float) -> None:
    path = a_store.path("cup")
    content = bytearray(path.read_bytes())
    content[int(place if place >= 1 else place * len(content))] ^= 4
    path.write_bytes(content)
    with pytest.raises(TaskError):
        a_store.load("cup", a_model)


def test_task_of_another_model_is_refused(a_store: TaskStore, a_task: Task) -> None:
    before = a_store.path("cup").read_bytes()
    with pytest.raises(TaskError, match=r"'cup' was learnt with model tiny \(weights 000000000000\)"):
        a_store.load("cup", tiny_model(seed=7))
    assert a_store.path("cup").read_bytes() == before


def test_task_of_a_newer_version_is_refused(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    rewritten(a_store.path("cup"), replace(TASKS.kind, version=3))
    with pytest.raises(TaskError, match="Expected a task file of version 2, got version 3 of a newer AdaptSeg"):
        a_store.load("cup", a_model)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"history": "[[1, 2]]"}, "Expected the facts of a task, got others"),
        ({"history": '[[1, 0.5, 0.5, "slept"]]'}, "Expected the facts of a task, got others"),
        ({"history": "{"}, "Expected the facts of a task, got others"),
    ],
)
def test_odd_facts_are_refused(
    a_store: TaskStore, a_task: Task, a_model: CompactModel, facts: dict[str, str], message: str
) -> None:
    rewritten(a_store.path("cup"), **facts)
    with pytest.raises(TaskError, match=message):
        a_store.load("cup", a_model)


@pytest.mark.parametrize(
    "tensors", [{"learnt.colour": torch.ones(3)}, {f"learnt.{WEIGHT}": torch.ones(3)}, {"good.x": torch.ones(1)}]
)
def test_weights_of_another_shape_are_refused(
    a_store: TaskStore, a_task: Task, a_model: CompactModel, tensors: dict[str, torch.Tensor]
) -> None:
    _, facts = sealed.read_sealed(a_store.path("cup"), TASKS.kind)
    sealed.write_sealed(a_store.path("cup"), TASKS.kind, tensors, {k: v for k, v in facts.items() if k != "version"})
    with pytest.raises(TaskError, match="Expected finite weights of the decoder of tiny, got"):
        a_store.load("cup", a_model)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: path.write_text("<html>"), "got a web page"),
        (lambda path: path.write_bytes(b""), "got an empty file"),
        (lambda path: torch.save({"a": torch.ones(2)}, path), "Expected a task file of AdaptSeg, got a PyTorch file"),
        (
            lambda path: save_file({"a": torch.ones(2)}, path),
            "Expected a task file of AdaptSeg, got another safetensors file",
        ),
        (lambda path: path.mkdir(), "cannot be read"),
    ],
)
def test_a_file_of_another_kind_is_no_task(
    a_store: TaskStore, tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    write(tmp_path / "other")
    with pytest.raises(TaskError, match=message):
        a_store.import_(tmp_path / "other")
    assert a_store.names() == ()


def test_two_programs_that_learn_one_task_lose_nothing(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    theirs = a_store.load("cup", a_model)
    ours = a_store.load("cup", a_model)
    a_store.save(theirs, taught(taught(theirs.known, 0.002, 11), 0.002, 12))
    saved = a_store.save(ours, taught(ours.known, -0.001, 21))
    known = a_store.load("cup", a_model).known
    assert [outcome.clicks for outcome in known.history] == [3, 2, 1, 11, 12, 21]
    assert move_of(known.model, a_model) == pytest.approx(0.03 + 0.004 - 0.001, rel=1e-3)
    a_store.save(saved, taught(saved.known, -0.001, 22))
    known = a_store.load("cup", a_model).known
    assert [outcome.clicks for outcome in known.history] == [3, 2, 1, 11, 12, 21, 22]
    assert move_of(known.model, a_model) == pytest.approx(0.03 + 0.004 - 0.002, rel=1e-3)


def test_what_we_take_back_is_taken_back_after_others_wrote(
    a_store: TaskStore, a_task: Task, a_model: CompactModel
) -> None:
    before = a_task.known
    ours = a_store.save(a_task, taught(before, 0.005, 21))
    theirs = a_store.load("cup", a_model)
    a_store.save(theirs, taught(theirs.known, 0.002, 11))
    a_store.save(ours, before)
    known = a_store.load("cup", a_model).known
    assert [outcome.clicks for outcome in known.history] == [3, 2, 1, 11]
    assert move_of(known.model, a_model) == pytest.approx(0.03 + 0.002, rel=1e-3)


def test_alone_a_save_replaces_what_was_there(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    task = a_store.save(a_task, Knowledge.none(a_model, DEFAULT))
    assert a_store.load("cup", a_model).known.history == ()
    a_store.save(task, taught(task.known, 0.25, 9))
    known = a_store.load("cup", a_model).known
    assert [outcome.clicks for outcome in known.history] == [9]
    assert move_of(known.model, a_model) == pytest.approx(0.25, rel=1e-3)


def test_a_task_that_another_program_has_reset_begins_with_what_is_new(
    a_store: TaskStore, a_task: Task, a_model: CompactModel
) -> None:
    a_store.reset("cup")
    a_store.save(a_task, taught(a_task.known, 0.004, 7))
    known = a_store.load("cup", a_model).known
    assert [outcome.clicks for outcome in known.history] == [7]
    assert move_of(known.model, a_model) == pytest.approx(0.004, rel=1e-3)


@pytest.mark.parametrize("foreign", [b"damaged", None])
def test_a_file_that_cannot_be_merged_is_kept_aside(
    a_store: TaskStore, a_task: Task, a_model: CompactModel, foreign: bytes | None
) -> None:
    path, known = a_store.path("cup"), taught(a_task.known, 0.01, 4)
    if foreign is None:
        rewritten(path, digest="f" * 64)
        foreign = path.read_bytes()
    path.write_bytes(foreign)
    saved = a_store.save(a_task, known)
    assert re.search(r"cup-\w+\.task\.safetensors: .*\. It is kept as .*\.bak\.$", saved.problem)
    (backup,) = a_store.folder.glob("*.bak")
    assert backup.read_bytes() == foreign
    assert a_store.load("cup", a_model).known.history == known.history


def test_two_processes_that_write_at_once_lose_nothing(
    a_store: TaskStore, a_model: CompactModel, tmp_path: Path, repository: Path
) -> None:
    count = 12
    environment = {**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(first), str(count), by],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for first, by in ((100, "0.001"), (200, "0.002"))
    ]
    while not all((tmp_path / f"ready{first}").exists() for first in (100, 200)):
        assert all(writer.poll() is None for writer in writers), [writer.communicate() for writer in writers]
    (tmp_path / "go").touch()
    for writer in writers:
        assert writer.wait(60) == 0, writer.communicate()
    known = a_store.load("cup", a_model).known
    noted = [outcome.clicks for outcome in known.history]
    assert [clicks for clicks in noted if clicks < 200] == list(range(100, 100 + count))
    assert [clicks for clicks in noted if clicks >= 200] == list(range(200, 200 + count))
    moved = count * 0.003
    rounding = 2 * count * float(np.spacing(np.float16(moved))) / 2
    assert rounding < 0.001 / 2, "half of the smallest lesson"
    assert move_of(known.model, a_model) == pytest.approx(moved, abs=rounding)
    assert sorted(path.name for path in a_store.folder.iterdir()) == [a_store.path("cup").name]


def test_renamed_task_keeps_what_it_knows(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs)
    a_store.rename("cup", "Cup")
    assert a_store.names() == ("Cup",)
    back = a_store.load("Cup", a_model)
    assert back.known.history == two_discs.history and len(back.known.memory.images) == 2
    assert a_store.load("cup", a_model).known.history == ()


def test_a_taken_name_is_refused(a_store: TaskStore, a_task: Task, a_model: CompactModel, tmp_path: Path) -> None:
    a_store.save(a_store.load("disc", a_model), taught(Knowledge.none(a_model, DEFAULT), 0.1, 4))
    a_store.export("cup", tmp_path / "cup.safetensors")
    for action in (lambda: a_store.rename("disc", "cup"), lambda: a_store.import_(tmp_path / "cup.safetensors")):
        with pytest.raises(TaskError, match=r"There is a task 'cup' already\. Choose another name"):
            action()
    assert a_store.info("cup").accepted == 3 and a_store.info("disc").accepted == 1


def test_unknown_name_is_told_with_a_near_one(a_store: TaskStore, a_task: Task) -> None:
    with pytest.raises(TaskError, match=r"no task 'Cub' \(did you mean 'cup'\?\)\. Those in .*: cup\."):
        a_store.info("Cub")


def test_exported_task_can_be_imported_elsewhere(
    a_store: TaskStore, a_task: Task, a_model: CompactModel, tmp_path: Path
) -> None:
    a_store.export("cup", tmp_path / "cup.safetensors")
    elsewhere = TaskStore(tmp_path / "elsewhere")
    assert elsewhere.import_(tmp_path / "cup.safetensors", "from the clinic").accepted == 3
    known = elsewhere.load("from the clinic", a_model).known
    assert known.history == a_task.known.history
    assert move_of(known.model, a_model) == pytest.approx(0.03, rel=1e-3)
    with pytest.raises(OutputError, match="This file is there already"):
        a_store.export("cup", tmp_path / "cup.safetensors")


def test_reset_can_be_undone(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    backup = a_store.reset("cup")
    assert a_store.names() == () and a_store.load("cup", a_model).known.history == ()
    assert a_store.import_(backup).name == "cup"
    assert a_store.load("cup", a_model).known.history == a_task.known.history


def test_a_damaged_task_can_be_reset(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    a_store.path("cup").write_bytes(b"rubbish")
    assert a_store.reset("cup").read_bytes() == b"rubbish"
    assert a_store.load("cup", a_model).known.history == ()


def test_two_resets_in_one_second_keep_both(a_store: TaskStore, a_task: Task, a_model: CompactModel) -> None:
    first = a_store.reset("cup")
    a_store.save(a_store.load("cup", a_model), a_task.known)
    second = a_store.reset("cup")
    assert first != second and first.exists() and second.exists()


def test_nothing_of_the_images_is_stored_where_the_user_says_so(
    a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge
) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs, keep_replay=False)
    assert [path.name for path in a_store.folder.iterdir()] == [a_store.path("cup").name]
    tensors, facts = sealed.read_sealed(a_store.path("cup"), TASKS.kind)
    assert {name.split(".", 1)[1] for name in tensors} <= set(a_model.decoder_parameters())
    wanted = {"name", "model", "digest", "recipe", "history", "revision", "parent", "kind", "version"}
    assert set(facts) == wanted
    assert all(outcome[4:] == [None, 1.0, 1.0, ""] for outcome in json.loads(facts["history"]))
    assert a_store.kept("cup") == "nothing of the images"


@pytest.mark.parametrize("changed", [False, True])
def test_replay_memory_that_is_not_kept_is_not_read(
    a_store: TaskStore,
    a_model: CompactModel,
    two_discs: Knowledge,
    monkeypatch: pytest.MonkeyPatch,
    changed: bool,
) -> None:
    task = a_store.save(a_store.load("cup", a_model), two_discs)
    if changed:
        a_store.save(a_store.load("cup", a_model), learnt_from_discs(a_model, 1, two_discs))
    a_store.replay_path("cup").write_bytes(b"damaged")
    saved = a_store.save(task, learnt_from_discs(a_model, 2, two_discs), keep_replay=False)
    assert saved.problem == "" and saved.revision != ("" if changed else None)
    assert [path.name for path in a_store.folder.iterdir()] == [a_store.path("cup").name]


def test_replay_memory_comes_back(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    task = a_store.save(a_store.load("cup", a_model), two_discs)
    assert "derived image features of 2 accepted slices, which may show anatomy, in " in a_store.kept("cup")
    assert str(a_store.replay_path("cup")) in a_store.kept("cup")
    memory = a_store.load("cup", a_model).known.memory
    assert memory.nbytes < two_discs.memory.nbytes and memory.max_bytes == two_discs.memory.max_bytes
    for images, others in zip(memory.images, two_discs.memory.images, strict=True):
        for lesson, other in zip(images, others, strict=True):
            assert lesson.question.prompts == other.question.prompts
            assert lesson.question.embedding.plane_shape == other.question.embedding.plane_shape
            close = {"atol": 1e-3, "rtol": 1e-3}
            stored = [feature.float() for feature in lesson.question.embedding.features]
            torch.testing.assert_close(stored, list(other.question.embedding.features), **close)
            torch.testing.assert_close(lesson.label.target, other.label.target)
            torch.testing.assert_close(lesson.label.weight, other.label.weight, **close)
            assert (lesson.question.prior is None) == (other.question.prior is None)
    assert memory.names == two_discs.memory.names
    assert a_store.replay_path("cup").stat().st_size < 0.6 * two_discs.memory.nbytes
    a_store.save(task, two_discs, keep_replay=False)
    assert not a_store.replay_path("cup").exists()


@pytest.mark.parametrize(("keep", "event"), [(True, Event.ROLLED_BACK), (False, Event.LEARNT)])
def test_a_lesson_that_loses_on_stored_images_is_rolled_back_in_the_next_process(
    a_store: TaskStore,
    a_model: CompactModel,
    two_discs: Knowledge,
    monkeypatch: pytest.MonkeyPatch,
    keep: bool,
    event: Event,
) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs, keep_replay=keep)
    monkeypatch.setattr("AdaptCore.adapt.guard.REPLAY_MARGIN", -10.0)
    known = a_store.load("cup", tiny_model()).known
    assert learnt_from_discs(a_model, 1, known).history[-1].event is event


def test_an_image_that_is_taken_back_is_forgotten_after_others_wrote(
    a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge
) -> None:
    before = a_store.save(a_store.load("cup", a_model), two_discs)
    ours = a_store.save(before, learnt_from_discs(a_model, 1, two_discs))
    (taken_back,) = {*ours.known.memory.names} - {*two_discs.memory.names}
    theirs = a_store.load("cup", a_model)
    a_store.save(theirs, learnt_from_discs(a_model, 1, theirs.known))
    a_store.save(ours, two_discs)
    names = a_store.load("cup", a_model).known.memory.names
    assert len(names) == 3 and {*two_discs.memory.names} < {*names} and taken_back not in names


def test_a_replay_memory_without_room_costs_no_task(
    a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(path: Path, *rest: object) -> None:
        raise OutputError(f"{path}: The file cannot be written (No space left on device).")

    monkeypatch.setattr("AdaptCore.adapt.tasks.write_sealed", no_room)
    told = (
        r"replay\.safetensors: The file cannot be written \(No space left on device\)\. The task itself is saved, but "
    )
    saved = a_store.save(a_store.load("cup", a_model), two_discs)
    assert re.search(told, saved.problem)
    assert a_store.load("cup", a_model).known.history == two_discs.history
    assert re.search(told, a_store.save(saved, learnt_from_discs(a_model, 1, two_discs)).problem)
    assert len(a_store.load("cup", a_model).known.history) == 3, "no lesson is counted twice"


@pytest.mark.parametrize(
    ("name", "tensor", "reason"),
    [
        ("lesson.1.0.target", torch.zeros(7, 7), "maps that are not 32 x 32"),
        ("lesson.1.0.weight", torch.full((32, 32), torch.nan), "numbers that are not finite"),
        ("embedding.0.0", torch.zeros(3), "embeddings of several shapes"),
        ("embedding.1.0", torch.full((1, 16, 32, 32), torch.inf), "numbers that are not finite"),
    ],
)
def test_a_replay_memory_that_the_model_cannot_learn_from_is_kept_aside(
    a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge, name: str, tensor: torch.Tensor, reason: str
) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs)
    rewritten(a_store.replay_path("cup"), REPLAY_KIND, {name: tensor})
    task = a_store.load("cup", a_model)
    assert f"Expected the facts of a replay memory, got others ({reason}). It is kept as " in task.problem
    known = task.known
    assert known.memory.images == () and known.history == two_discs.history
    again = learnt_from_discs(a_model, 1, known)
    assert len(again.history) == 3


def test_tensors_in_a_replay_file_that_are_no_part_of_a_lesson_are_left_out(
    a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge
) -> None:
    task = a_store.save(a_store.load("cup", a_model), two_discs)
    before = a_store.load("cup", a_model).known.memory.nbytes
    rewritten(a_store.replay_path("cup"), REPLAY_KIND, {"lesson.0.1.frozen": torch.zeros(32, 32)})
    memory = a_store.load("cup", a_model).known.memory
    assert len(memory.images) == 2 and memory.nbytes == before
    a_store.save(task, learnt_from_discs(a_model, 1, a_store.load("cup", a_model).known))
    tensors, _ = sealed.read_sealed(a_store.replay_path("cup"), REPLAY_KIND)
    assert "lesson.0.1.target" in tensors and "lesson.0.1.frozen" not in tensors


def test_learning_goes_on_from_a_stored_memory(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs)
    known = learnt_from_discs(a_model, 1, a_store.load("cup", a_model).known)
    assert len(known.history) == len(known.memory.images) == 3


def test_replay_memories_of_two_programs_join(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs)
    ours, theirs = a_store.load("cup", a_model), a_store.load("cup", a_model)
    a_store.save(theirs, learnt_from_discs(a_model, 1, theirs.known))
    a_store.save(ours, learnt_from_discs(a_model, 2, ours.known))
    known = a_store.load("cup", a_model).known
    assert len(known.history) == len(known.memory.images) == 5


def test_damaged_replay_memory_is_kept_aside(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs)
    content = a_store.replay_path("cup").read_bytes()[:-1]
    a_store.replay_path("cup").write_bytes(content)
    task = a_store.load("cup", a_model)
    assert "cut short or damaged" in task.problem
    assert task.known.history == two_discs.history and task.known.memory.images == ()
    (backup,) = a_store.folder.glob("*.bak")
    assert backup.read_bytes() == content


def test_reset_removes_the_replay_memory(a_store: TaskStore, a_model: CompactModel, two_discs: Knowledge) -> None:
    a_store.save(a_store.load("cup", a_model), two_discs)
    a_store.reset("cup")
    assert len(list(a_store.folder.iterdir())) == 1


def test_a_file_under_another_tasks_name_is_told(a_store: TaskStore, a_task: Task) -> None:
    path = a_store.path("cup")
    path.rename(path.with_name("copy.task.safetensors"))
    (info,) = a_store.tasks()
    assert info.problem.endswith("The file holds task 'cup' under the file name of another one. Import it instead.")


def test_tasks_are_kept_in_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path))
    assert TaskStore().folder == tmp_path / "tasks"


def test_folder_that_cannot_be_made_is_told(tmp_path: Path, a_model: CompactModel) -> None:
    (tmp_path / "tasks").write_text("a file", encoding="utf-8")
    store = TaskStore(tmp_path / "tasks")
    with pytest.raises(OutputError, match="cannot be made"):
        store.save(store.load("cup", a_model), taught(Knowledge.none(a_model, DEFAULT), 0.1, 1))
