"""Training of the built-in model: prompts, loss, schedule, resumption, export."""

from __future__ import annotations

import csv
import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from AdaptCore import cli
from AdaptCore.errors import CheckpointError, OutputError
from AdaptCore.models.compact import BOX_FIRST, NEGATIVE, PADDING, POSITIVE, CompactConfig, CompactModel
from AdaptCore.training.clicks import (
    PromptState,
    add_box,
    add_correction,
    collate,
    continue_from_neighbour,
    degraded,
    first_prompts,
)
from AdaptCore.training.losses import click_emphasis, mask_iou, mask_loss
from AdaptCore.training.train import Stage, SyntheticSamples, Trainer, TrainingConfig, to_batch

TINY = CompactConfig(input_side=64, stem=(16, 16, 16), dim=48, heads=2, blocks=1, decoder=(16, 16, 16), mlp=32)
CPU = torch.device("cpu")


@pytest.fixture
def a_square() -> np.ndarray:
    mask = np.zeros((32, 32), bool)
    mask[8:20, 4:16] = True
    return mask


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


def a_batch(seed: int = 0) -> object:
    samples = SyntheticSamples(64, seed, 1.0, 4)
    return to_batch([samples[i] for i in range(4)])


def a_trainer(folder: Path, steps: int = 6) -> Trainer:
    return Trainer(TrainingConfig(stages=(Stage(64, 2, steps),), seed=4), TINY, folder, CPU)


def test_correction_goes_to_the_deeper_error(a_square: np.ndarray) -> None:
    everywhere, rng = np.ones_like(a_square), np.random.default_rng(0)
    missed = PromptState()
    add_correction(rng, missed, np.zeros_like(a_square), a_square, everywhere)
    assert missed.labels == [POSITIVE]
    x, y = missed.points[0]
    assert a_square[round((y - 0.5) / 2), round((x - 0.5) / 2)]
    too_much = PromptState()
    add_correction(rng, too_much, everywhere, a_square, everywhere)
    assert too_much.labels == [NEGATIVE]
    x, y = too_much.points[0]
    assert not a_square[round((y - 0.5) / 2), round((x - 0.5) / 2)]


def test_no_click_is_added_to_a_perfect_mask_or_in_the_padding(a_square: np.ndarray) -> None:
    state, rng = PromptState(), np.random.default_rng(0)
    add_correction(rng, state, a_square, a_square, np.ones_like(a_square))
    padding = a_square.copy()
    padding[25:] = True
    add_correction(rng, state, padding, a_square, np.arange(32)[:, None] < 25)
    assert state.points == []


def test_box_lies_around_the_target(a_square: np.ndarray) -> None:
    state = PromptState()
    add_box(np.random.default_rng(0), state, a_square)
    assert state.labels[0] == BOX_FIRST
    np.testing.assert_allclose(state.points, [(7.5, 15.5), (31.5, 39.5)], atol=0.08 * 24)


def test_every_start_has_something_to_go_by(a_square: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    states = [first_prompts(rng, a_square) for _ in range(200)]
    assert all(state.points or state.prior is not None for state in states)
    assert any(state.absent for state in states) and all(not state.points for state in states if state.absent)
    assert {state.ambiguous for state in states} == {True, False}
    assert all(NEGATIVE not in state.labels or POSITIVE in state.labels for state in states)


def test_earlier_mask_is_near_the_target(a_square: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    overlaps = []
    for _ in range(50):
        guess = degraded(rng, a_square) > 0
        overlaps.append((guess & a_square).sum() / (guess | a_square).sum())
    assert 0.6 < np.mean(overlaps) < 0.97


def test_mask_of_an_absent_object_lies_elsewhere(a_square: np.ndarray) -> None:
    rng, shared = np.random.default_rng(0), {True: [], False: []}
    for _ in range(100):
        state = PromptState()
        continue_from_neighbour(rng, state, a_square)
        assert state.prior is not None
        shared[state.absent].append(((state.prior > 0) & a_square).sum() / a_square.sum())
    assert max(shared[True]) < 0.6 and np.mean(shared[True]) < 0.15
    assert np.mean(shared[False]) > 0.7


def test_missing_points_are_padding(a_square: np.ndarray) -> None:
    one, two = PromptState(), PromptState()
    one.add(3, 4, POSITIVE)
    for x in range(3):
        two.add(x, 0, NEGATIVE)
    tensors = collate([one, two], 64)
    assert tensors.labels.tolist() == [[POSITIVE, PADDING, PADDING], [NEGATIVE] * 3]
    assert tensors.has_prior.tolist() == [0, 0]


def test_loss_falls_with_agreement_and_ignores_padding() -> None:
    target = torch.zeros(1, 8, 8)
    target[:, 2:5, 2:5] = 1
    valid = torch.ones(1, 8, 8)
    right = (target * 20 - 10)[:, None]
    assert float(mask_loss(right, target, valid)) < 0.01 < 1 < float(mask_loss(-right, target, valid))
    half = valid.clone()
    half[:, 6:] = 0
    spoiled = right.clone()
    spoiled[:, :, 6:] = 10
    torch.testing.assert_close(mask_loss(spoiled, target, half), mask_loss(right, target, half))
    assert float(mask_iou(spoiled, target, half)) == 1
    assert float(mask_iou(spoiled, target, valid)) == pytest.approx(9 / 25)


def test_predicted_iou_is_trained_to_zero_where_nothing_is_there() -> None:
    nothing, valid = torch.zeros(1, 8, 8), torch.ones(1, 8, 8)
    empty, full = torch.full((1, 1, 8, 8), -10.0), torch.full((1, 1, 8, 8), 10.0)
    assert mask_iou(torch.cat([empty, full], 1), nothing, valid).tolist() == [[0, 0]]


def test_surroundings_of_a_correction_count_more() -> None:
    weights = click_emphasis(torch.tensor([[40.5, 20.5], [math.nan, math.nan]]), 64)
    assert np.unravel_index(int(weights[0].argmax()), (32, 32)) == (10, 20)
    assert float(weights[0].max()) == pytest.approx(5)
    assert float(weights[0, 10, 20 - 8]) == pytest.approx(1 + 4 * math.exp(-0.5), rel=1e-5)
    assert torch.equal(weights[1], torch.ones(32, 32))


def test_learning_rate_warms_up_and_decays() -> None:
    config = TrainingConfig(stages=(Stage(64, 2, 1000),), warmup=100)
    rates = [config.learning_rate_at(step) for step in (0, 99, 500, 999)]
    assert rates[0] < rates[2] < rates[1] <= config.learning_rate
    assert rates[3] == pytest.approx(0.01 * config.learning_rate)


def test_sample_depends_on_seed_and_index_alone() -> None:
    one, other = SyntheticSamples(64, 7, 0.5, 3), SyntheticSamples(64, 7, 0.5, 9)
    assert torch.equal(one[2][0], other[2][0]) and torch.equal(one[2][1], other[2][1])
    assert not torch.equal(one[1][0], one[2][0])


def test_a_few_steps_on_one_batch_lower_the_loss(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path, steps=400)
    batch = a_batch()
    losses = [trainer.advance(batch)[0] for _ in range(15)]
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])


@pytest.mark.slow
def test_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = a_trainer(tmp_path / "whole")
    for _, batch in whole.batches():
        whole.advance(batch)
    first = a_trainer(tmp_path / "parts")
    for number, (_, batch) in enumerate(first.batches()):
        first.advance(batch)
        if number == 2:
            break
    first.save()
    second = a_trainer(tmp_path / "parts")
    second.resume()
    assert second.step == 3
    for _, batch in second.batches():
        second.advance(batch)
    for one, other in zip(whole.average.parameters(), second.average.parameters()):
        torch.testing.assert_close(one, other)


def test_damaged_training_state_is_refused(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    trainer.checkpoint.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="training state"):
        trainer.resume()


def test_training_of_another_recipe_is_not_continued(tmp_path: Path) -> None:
    a_trainer(tmp_path, steps=6).save()
    with pytest.raises(CheckpointError, match="is wanted"):
        a_trainer(tmp_path, steps=7).resume()


def test_exported_weights_are_half_precision_and_load_again(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    trainer.export(tmp_path / "w.safetensors")
    with safe_open(tmp_path / "w.safetensors", "pt") as file:
        metadata = file.metadata()
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    model = CompactModel.from_tensors(tensors, metadata, name="w", digest="0" * 64, device=CPU)
    weight = trainer.average.decoder.up_half.weight
    torch.testing.assert_close(model.network.decoder.up_half.weight, weight.half().float())


@pytest.mark.slow
def test_train_command_writes_table_and_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["train", "--out", str(tmp_path), "--stages", "64:2:2", "--log-every", "1", "--device", "cpu"]
    assert cli.main(arguments) == 0
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2"]
    assert all(0 <= float(row["iou5"]) <= 1 for row in rows)
    assert (tmp_path / "compact.safetensors").stat().st_size > 5_000_000
    assert cli.main(arguments) == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("full", ["training.pt", "log.csv", "w.safetensors"])
def test_full_disk_leaves_the_old_file_whole(tmp_path: Path, full: str) -> None:
    trainer = a_trainer(tmp_path)
    write = {
        "training.pt": trainer.save,
        "log.csv": lambda: trainer.log(64, 0.5, 0.5, [0.1] * 5),
        "w.safetensors": lambda: trainer.export(tmp_path / "w.safetensors"),
    }[full]
    write()
    old = (tmp_path / full).read_bytes()
    with a_full_disk(10), pytest.raises(OutputError, match=rf"{full}: cannot be written \(File too large\)"):
        write()
    assert [file.name for file in tmp_path.iterdir()] == [full]
    assert (tmp_path / full).read_bytes() == old


def test_table_goes_on_after_its_last_row(tmp_path: Path) -> None:
    trainer = a_trainer(tmp_path)
    for trainer.step in (3, 6):
        trainer.log(64, 1 / 3, 0.5, [0.1, 0.2, 0.3, 0.4, 0.5])
    header, first, second = (tmp_path / "log.csv").read_text(encoding="utf-8").splitlines()
    assert header == "step,side,minutes,lr,loss,iou_train,iou1,iou3,iou5"
    assert first.split(",")[:3] + first.split(",")[4:] == ["3", "64", "0", "0.33333", "0.5", "0.1", "0.3", "0.5"]
    assert second.startswith("6,64,")


@pytest.mark.parametrize(
    "option", [("--log-every", "0"), ("--seed", "-1"), ("--seed", "9" * 20), ("--threads", "0"), ("--threads", "-1")]
)
def test_numbers_that_make_no_sense_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--out", str(tmp_path / "new"), *option])
    assert stop.value.code == 2
    assert f"argument {option[0]}: '{option[1]}': a whole number from" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_bad_stages_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["train", "--out", "x", "--stages", "100:2:5"])
    assert stopped.value.code == 2
    assert "multiple of 16" in capsys.readouterr().err
