"""The trainer: resumption, checkpoints, table and picture, export; with a course of four weights."""

from __future__ import annotations

import csv
import io
import itertools
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor, nn

from AdaptCore.errors import CheckpointError, OutputError
from AdaptCore.training import trainer as module
from AdaptCore.training.trainer import Trainer, rate_at, stage_of

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Recipe:
    learning_rate: float = 0.05
    level: int = 50
    weight_decay: float = 0.0
    warmup: int = 2
    ema: float = 0.9
    seed: int = 3


class Course:
    """Learns to sum four numbers; every step has its own."""

    architecture = "sums"

    def __init__(self, recipe: Recipe = Recipe(), width: int = 4) -> None:
        self.recipe, self.width = recipe, width
        self.steps: list[int] = []

    def network(self) -> nn.Module:
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.recipe.seed)
            return nn.Linear(self.width, 1)

    def sizes(self) -> str:
        return f'{{"width": {self.width}}}'

    def side(self, step: int) -> int:
        return 16 if step < 4 else 32

    def loss(self, network: nn.Module, step: int, device: torch.device) -> tuple[Tensor, float]:
        self.steps.append(step)
        x = torch.randn(8, self.width, generator=torch.Generator().manual_seed(step))
        loss = (network(x)[:, 0] - x.sum(1)).square().mean()
        return loss, 1 / (1 + loss.item())

    def validate(self, network: nn.Module, device: torch.device) -> dict[str, float]:
        return {"iou1": 0.25, "iou3": 0.5}


def a_trainer(folder: Path, course: Course | None = None) -> Trainer:
    return Trainer(course or Course(), folder, CPU)


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@contextmanager
def a_full_disk(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes."""
    resource = pytest.importorskip("resource", reason="file size limits are a matter of POSIX systems")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.fixture
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr("AdaptCore.training.table_picture.draw_table", lambda lines, path: None)


without_picture = pytest.mark.usefixtures("no_picture")


def test_stages_follow_each_other_and_the_last_goes_on() -> None:
    @dataclass
    class Some:
        steps: int
        side: int = 8

    stages, cheap = (Some(3), Some(2), Some(1)), Some(1)
    seen = [stage_of(stages, cheap, 2, step) for step in (0, 2, 3, 4, 5, 6, 900)]
    assert [stages.index(stage) for stage in seen] == [0, 0, 1, 1, 2, 2, 2]
    assert stage_of((Some(9, side=16),), cheap, 2, 1) is cheap


def test_learning_rate_warms_up_stays_and_falls_with_the_square_root() -> None:
    recipe = Recipe(learning_rate=0.8, warmup=100, level=400)
    assert [rate_at(recipe, step) for step in (0, 49, 99, 399)] == pytest.approx([0.008, 0.4, 0.8, 0.8])
    assert [rate_at(recipe, step) for step in (1599, 6399)] == pytest.approx([0.4, 0.2])


def test_steps_lower_the_loss_and_the_average_follows(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    first = trainer.average.weight.clone()
    losses = [trainer.advance()[0] for _ in range(60)]
    assert np.mean(losses[-10:]) < 0.2 * np.mean(losses[:10])
    assert trainer.step == 60 and trainer.course.steps == list(range(60))  # type: ignore[attr-defined]
    away = [(weight - 1).abs().mean() for weight in (first, trainer.average.weight, trainer.network.weight)]
    assert away[2] < away[1] < away[0]


def test_average_begins_with_what_is_learnt_and_not_with_the_first_weights(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    start = trainer.network.weight.detach().clone()
    trainer.advance()
    expected = start + (trainer.network.weight.detach() - start) * (1 - 1 / 11)
    torch.testing.assert_close(trainer.average.weight, expected)


def test_a_step_without_a_finite_gradient_changes_no_weight(tmp_path: Path) -> None:
    class Broken(Course):
        def loss(self, network: nn.Module, step: int, device: torch.device) -> tuple[Tensor, float]:
            return super().loss(network, step, device)[0] * float("nan"), 0.0

    trainer = a_trainer(tmp_path, Broken())
    before = trainer.network.weight.clone()
    trainer.advance()
    assert torch.equal(trainer.network.weight, before) and trainer.step == 1


@without_picture
@pytest.mark.parametrize("parts", [(3, 8), (1, 2, 8), (8, 8)])
def test_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, parts: tuple[int, ...]) -> None:
    whole = a_trainer(tmp_path / "whole")
    whole.run(steps=8)
    for number, steps in enumerate(parts):
        part = a_trainer(tmp_path / "parts")
        if number:
            part.resume()
        part.run(steps=steps)
    assert part.step == whole.step == 8
    for one, other in ((part.network, whole.network), (part.average, whole.average)):
        assert torch.equal(one.weight, other.weight) and torch.equal(one.bias, other.bias)


@without_picture
def test_an_interrupted_training_keeps_what_was_learnt(tmp_path: Path) -> None:
    class Interrupted(Course):
        def loss(self, network: nn.Module, step: int, device: torch.device) -> tuple[Tensor, float]:
            if step == 5:
                raise KeyboardInterrupt
            return super().loss(network, step, device)

    with pytest.raises(KeyboardInterrupt):
        a_trainer(tmp_path / "a", Interrupted()).run(steps=8)
    resumed, whole = a_trainer(tmp_path / "a"), a_trainer(tmp_path / "b")
    resumed.resume()
    assert resumed.step == 5
    resumed.run(steps=8)
    whole.run(steps=8)
    assert torch.equal(resumed.network.weight, whole.network.weight)


@without_picture
def test_checkpoints_are_written_during_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    seen = []

    class Watching(Course):
        def loss(self, network: nn.Module, step: int, device: torch.device) -> tuple[Tensor, float]:
            if trainer.checkpoint.exists():
                seen.append(torch.load(trainer.checkpoint, weights_only=True)["step"])
            return super().loss(network, step, device)

    trainer = a_trainer(tmp_path, Watching())
    trainer.run(steps=4)
    assert seen == [1, 2, 3] and module.CHECKPOINT_SECONDS < 300


@without_picture
def test_minutes_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(0.0, 30.0)
    monkeypatch.setattr(module.time, "monotonic", lambda: next(now))
    trainer = a_trainer(tmp_path)
    trainer.run(minutes=10)
    assert 2 <= trainer.step <= 20 and trainer.checkpoint.exists()
    assert 5 <= trainer.seconds / 60 <= 10.5
    spent, step = trainer.seconds, trainer.step
    again = a_trainer(tmp_path)
    again.resume()
    again.run(minutes=10)
    assert again.step >= 2 * step - 1 and again.seconds > 1.8 * spent


@pytest.mark.parametrize("kind", ["text", "empty", "cut", "number", "part", "other weights"])
def test_a_damaged_training_state_is_refused(tmp_path: Path, kind: str) -> None:
    trainer = a_trainer(tmp_path)
    trainer.advance()
    trainer.save()
    state = torch.load(trainer.checkpoint, weights_only=True)
    whole = trainer.checkpoint.read_bytes()
    content: dict[str, bytes] = {"text": b"not a checkpoint", "empty": b"", "cut": whole[: len(whole) // 2]}
    objects = {
        "number": 7,
        "part": {name: value for name, value in state.items() if name != "optimizer"},
        "other weights": {**state, "network": {"weight": torch.zeros(2, 2)}},
    }
    if kind in objects:
        stream = io.BytesIO()
        torch.save(objects[kind], stream)
        content[kind] = stream.getvalue()
    trainer.checkpoint.write_bytes(content[kind])
    with pytest.raises(CheckpointError, match="is no whole training state\\. Start again in another folder"):
        trainer.resume()


def test_a_training_that_is_not_there_cannot_go_on(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"training\.pt"):
        a_trainer(tmp_path).resume()


def test_a_training_of_another_model_or_of_other_sizes_is_not_continued(tmp_path: Path) -> None:
    a_trainer(tmp_path).save()
    with pytest.raises(CheckpointError, match=r'a training of sums {"width": 4}, not of sums {"width": 5}'):
        a_trainer(tmp_path, Course(width=5)).resume()
    other = Course()
    other.architecture = "products"
    with pytest.raises(CheckpointError, match="Choose another folder, or the model that this one belongs to"):
        a_trainer(tmp_path, other).resume()


@without_picture
def test_exported_weights_are_the_average_in_half_precision_with_sizes_and_recipe(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    trainer.run(steps=5)
    trainer.seconds = 200.0
    trainer.export(tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        metadata, weight = file.metadata(), file.get_tensor("weight")
    assert torch.equal(weight, trainer.average.weight.half())
    assert metadata["architecture"] == "sums" and metadata["config"] == '{"width": 4}'
    assert '"step": 5' in metadata["training"] and '"minutes": 3' in metadata["training"]
    assert '"learning_rate": 0.05' in metadata["training"]


@without_picture
def test_a_training_starts_from_exported_weights_at_their_step(tmp_path: Path) -> None:
    first = a_trainer(tmp_path / "a")
    first.run(steps=5)
    first.seconds = 120.0
    first.export(tmp_path / "w.safetensors")
    second = a_trainer(tmp_path / "b", Course(replace(Recipe(), seed=9)))
    second.start_from(tmp_path / "w.safetensors")
    assert second.step == 5 and second.seconds == 120
    for network in (second.network, second.average):
        torch.testing.assert_close(network.weight, first.average.weight.half().float())
    second.advance()
    assert second.course.steps == [5]  # type: ignore[attr-defined]


def test_weights_of_another_model_or_size_are_no_start(tmp_path: Path) -> None:
    a_trainer(tmp_path / "a").export(tmp_path / "w.safetensors")
    other = Course()
    other.architecture = "products"
    with pytest.raises(CheckpointError, match="holds weights of sums: choose some of products"):
        a_trainer(tmp_path / "b", other).start_from(tmp_path / "w.safetensors")
    with pytest.raises(CheckpointError):
        a_trainer(tmp_path / "b", Course(width=5)).start_from(tmp_path / "w.safetensors")

    class Renamed(Course):
        def sizes(self) -> str:
            return '{"width": 4, "heads": 2}'

    with pytest.raises(CheckpointError, match=r'sizes {"width": 4}: choose some of {"width": 4, "heads": 2}'):
        a_trainer(tmp_path / "b", Renamed()).start_from(tmp_path / "w.safetensors")


@without_picture
@pytest.mark.parametrize("full", ["training.pt", "log.csv", "w.safetensors"])
def test_full_disk_leaves_the_old_file_whole(tmp_path: Path, full: str) -> None:
    trainer = a_trainer(tmp_path)
    write: Callable[[], None] = {
        "training.pt": trainer.save,
        "log.csv": lambda: trainer.log(0.5, 0.5),
        "w.safetensors": lambda: trainer.export(tmp_path / "w.safetensors"),
    }[full]
    write()
    old = (tmp_path / full).read_bytes()
    present = sorted(file.name for file in tmp_path.iterdir())
    with a_full_disk(10), pytest.raises(OutputError, match=rf"{full}: The file cannot be written \(File too large\)"):
        write()
    assert sorted(file.name for file in tmp_path.iterdir()) == present
    assert (tmp_path / full).read_bytes() == old


def test_the_table_goes_on_after_its_last_row_and_has_a_picture(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    trainer.run(steps=4, log_every=2)
    again = a_trainer(tmp_path)
    again.resume()
    again.run(steps=7, log_every=2)
    rows = rows_of(tmp_path)
    assert list(rows[0]) == ["step", "side", "minutes", "lr", "loss", "iou_train", "iou1", "iou3"]
    assert [row["step"] for row in rows] == ["2", "4", "6", "7"]
    assert [row["side"] for row in rows] == ["16", "16", "32", "32"]
    assert all(row["iou1"] == "0.25" and row["iou3"] == "0.5" for row in rows)
    with Image.open(tmp_path / "log.png") as picture:
        assert picture.size == (990, 385)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20


@without_picture
def test_a_rows_loss_is_the_mean_since_the_row_before(tmp_path: Path) -> None:
    a_trainer(tmp_path / "a").run(steps=4, log_every=2)
    other = a_trainer(tmp_path / "b")
    losses = [other.advance()[0] for _ in range(4)]
    rows = rows_of(tmp_path / "a")
    assert [float(row["loss"]) for row in rows] == pytest.approx([np.mean(losses[:2]), np.mean(losses[2:])], rel=1e-4)
