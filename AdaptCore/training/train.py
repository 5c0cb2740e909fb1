"""Training of the built-in model on synthetic scenes: seeded, resumable, on CPU or GPU (recipe: ours)."""

from __future__ import annotations

import copy
import io
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from AdaptCore.atomic import prepare_folder, write_bytes
from AdaptCore.errors import CheckpointError
from AdaptCore.models.compact import (
    POSITIVE,
    CompactConfig,
    CompactNetwork,
    PromptTensors,
    config_to_json,
    standardize,
)
from AdaptCore.models.devices import choose_dtype
from AdaptCore.training.clicks import PromptState, add_click_in, add_correction, collate, first_prompts
from AdaptCore.training.losses import click_emphasis, mask_iou, mask_loss
from AdaptCore.training.raters import random_style
from AdaptCore.training.synthetic import SceneGenerator, TextureBank

CHECKPOINT_NAME, LOG_NAME = "training.pt", "log.csv"
LOG_COLUMNS = ("step", "side", "minutes", "lr", "loss", "iou_train", "iou1", "iou3", "iou5")


@dataclass(frozen=True)
class Stage:
    """A run of steps at one image side and batch size."""

    side: int
    batch: int
    steps: int


@dataclass(frozen=True)
class TrainingConfig:
    """The recipe; every constant is ours, chosen on synthetic validation scenes.

    Attributes:
        stages: small images first, full size last.
        learning_rate, weight_decay: AdamW, cosine schedule over all stages after `warmup` steps.
        ema: decay of the averaged weights, which are the ones that are shipped.
        max_rounds: an interaction has 1 to this many rounds of prompts.
        true_share: share of samples with the true outline; the others are drawn by a random rater.
        keep_prior: share of rounds that see the previous logits.
        seed: of data, initialisation and prompts.
    """

    stages: tuple[Stage, ...] = (Stage(128, 16, 3500), Stage(256, 8, 3000))
    learning_rate: float = 8e-4
    weight_decay: float = 0.02
    warmup: int = 200
    ema: float = 0.998
    max_rounds: int = 4
    true_share: float = 0.6
    keep_prior: float = 0.85
    seed: int = 0

    @property
    def total_steps(self) -> int:
        return sum(stage.steps for stage in self.stages)

    def learning_rate_at(self, step: int) -> float:
        progress = step / max(1, self.total_steps)
        return self.learning_rate * min(1, (step + 1) / self.warmup) * max(0.01, (1 + math.cos(math.pi * progress)) / 2)


@dataclass(frozen=True, eq=False)
class Batch:
    """Images B x 3 x S x S in [0, 1]; target and valid B x S/2 x S/2, soft at the outline; sizes B x 2 (h, w)."""

    image: Tensor
    target: Tensor
    valid: Tensor
    sizes: Tensor


class SyntheticSamples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Sample i is always the same for the same seed: (image 3 x S x S, mask S x S, (h, w))."""

    def __init__(self, side: int, seed: int, true_share: float, count: int) -> None:
        self.side, self.seed, self.true_share, self.count = side, seed, true_share, count
        self._generator: SceneGenerator | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        if index >= self.count:
            raise IndexError(index)
        if self._generator is None:
            self._generator = SceneGenerator(self.side, TextureBank(self.seed))
        rng = np.random.default_rng([self.seed, self.side, index])
        scene = self._generator.scene(rng)
        areas = np.array([target.mask.sum() for target in scene.targets], float) ** 0.5
        target = scene.targets[int(rng.choice(len(areas), p=areas / areas.sum()))]
        mask = target.mask if rng.random() < self.true_share else target.drawn_by(random_style(rng))
        height, width = scene.valid_shape
        inside = np.zeros_like(mask)
        inside[:height, :width] = mask[:height, :width]
        image = torch.from_numpy(np.ascontiguousarray(scene.image.transpose(2, 0, 1)))
        return image, torch.from_numpy(inside), torch.tensor([height, width])


def to_batch(samples: list[tuple[Tensor, Tensor, Tensor]]) -> Batch:
    image, mask, sizes = (torch.stack(parts) for parts in zip(*samples, strict=True))
    target = torch.nn.functional.avg_pool2d(mask[:, None].float(), 2)[:, 0]
    half = image.shape[-1] // 2
    axis = torch.arange(half) * 2
    valid = ((axis[None, :, None] < sizes[:, :1, None]) & (axis[None, None, :] < sizes[:, 1:, None])).float()
    return Batch(image, target, valid, sizes)


def interact(
    network: CompactNetwork, batch: Batch, rounds: int, rng: np.random.Generator, keep_prior: float
) -> tuple[Tensor, float]:
    """One simulated interaction on a batch; returns the mean loss of its rounds and the last IoU."""
    device = next(network.parameters()).device
    image, target, valid = batch.image.to(device), batch.target.to(device), batch.valid.to(device)
    features = network.encoder(standardize(image, batch.sizes.to(device)))
    truth = (batch.target >= 0.5).numpy()
    truth[~truth.any((1, 2))] = (batch.target.numpy() > 0)[~truth.any((1, 2))]
    inside = (batch.valid > 0).numpy()
    states = [first_prompts(rng, mask) for mask in truth]
    present = np.array([not state.absent for state in states])
    truth &= present[:, None, None]
    target = target * torch.from_numpy(present).to(device)[:, None, None]
    losses, iou = [], torch.zeros(1)
    for _ in range(rounds):
        logits, quality = network.decoder(features, to_device(states, batch.image.shape[-1], device))
        latest = torch.tensor([state.latest_correction for state in states], device=device)
        each = mask_loss(logits, target, valid * click_emphasis(latest, image.shape[-1]))
        iou = mask_iou(logits, target, valid)
        ambiguous = torch.tensor([state.ambiguous for state in states], device=device)
        best = each[:, 1:].amin(1)
        losses.append((torch.where(ambiguous, 0.5 * each[:, 0] + best, each[:, 0]) + quality_loss(quality, iou)).mean())
        chosen = torch.where(ambiguous & (torch.rand(len(states)) < 0.5).to(device), 1 + quality[:, 1:].argmax(1), 0)
        picked = logits.detach()[torch.arange(len(states), device=device), chosen].cpu()
        for state, answer, mask, area in zip(states, picked.numpy(), truth, inside, strict=True):
            state.prior = answer if rng.random() < keep_prior else None
            add_correction(rng, state, answer > 0, mask, area)
    return torch.stack(losses).mean(), float(iou[:, 0].mean())


def quality_loss(quality: Tensor, iou: Tensor) -> Tensor:
    return ((quality - iou) ** 2).mean(1)


def to_device(states: list[PromptState], side: int, device: torch.device) -> PromptTensors:
    return collate(states, side).to(device)


@torch.no_grad()
def validate(network: CompactNetwork, batches: list[Batch], clicks: int = 5) -> list[float]:
    """Mean IoU after 1 to `clicks` simulated clicks on fixed scenes, single mask after the first."""
    sums = np.zeros(clicks)
    for number, batch in enumerate(batches):
        rng = np.random.default_rng(number)
        device = next(network.parameters()).device
        features = network.encoder(standardize(batch.image.to(device), batch.sizes.to(device)))
        truth, inside = (batch.target >= 0.5).numpy(), (batch.valid > 0).numpy()
        states = [PromptState() for _ in truth]
        for state, mask in zip(states, truth, strict=True):
            add_click_in(rng, state, mask, POSITIVE)
        for click in range(clicks):
            logits, quality = network.decoder(features, to_device(states, batch.image.shape[-1], device))
            chosen = quality.argmax(1) if click == 0 else torch.zeros(len(states), dtype=torch.long, device=device)
            rows = torch.arange(len(states), device=device)
            iou = mask_iou(logits, batch.target.to(device), batch.valid.to(device))[rows, chosen]
            sums[click] += float(iou.mean())
            answers = logits[rows, chosen].cpu().numpy()
            for state, answer, mask, area in zip(states, answers, truth, inside, strict=True):
                state.prior = answer
                add_correction(rng, state, answer > 0, mask, area)
    return [float(value) for value in sums / max(1, len(batches))]


class Trainer:
    """Holds network, averaged network, optimiser and step; writes checkpoints and a CSV log into `folder`.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(self, config: TrainingConfig, model: CompactConfig, folder: Path, device: torch.device) -> None:
        prepare_folder(folder, (CHECKPOINT_NAME, LOG_NAME))
        torch.manual_seed(config.seed)
        self.config, self.folder, self.device = config, folder, device
        self.network = CompactNetwork(model).to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self.step, self.seconds = 0, 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT_NAME

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            OutputError: it cannot be written; an older one stays whole.
        """
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "config": json.dumps(asdict(self.config)),
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        content = io.BytesIO()
        torch.save(state, content)
        write_bytes(self.checkpoint, content.getvalue())

    def resume(self) -> None:
        """Continue from the folder's checkpoint.

        Raises:
            CheckpointError: it cannot be read, or belongs to another recipe or network.
        """
        recipe = json.dumps(asdict(self.config))
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
            if state["config"] != recipe:
                raise CheckpointError(f"{self.checkpoint}: trained as {state['config']}; {recipe} is wanted")
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        except CheckpointError:
            raise
        except (OSError, RuntimeError, KeyError, TypeError, ValueError, UnpicklingError) as error:
            raise CheckpointError(f"{self.checkpoint}: a training state of this network is wanted") from error

    def batches(self) -> Iterator[tuple[Stage, Batch]]:
        """The batches still to come, each always the same for its step."""
        start = 0
        for stage in self.config.stages:
            done = min(stage.steps, max(0, self.step - start))
            start += stage.steps
            if done == stage.steps:
                continue
            samples = SyntheticSamples(stage.side, self.config.seed, self.config.true_share, stage.steps * stage.batch)
            loader = DataLoader(
                samples,
                sampler=range(done * stage.batch, stage.steps * stage.batch),
                batch_size=stage.batch,
                collate_fn=to_batch,
                num_workers=1,
                prefetch_factor=6,
                multiprocessing_context="spawn",
            )
            for batch in loader:
                yield stage, batch

    def run(self, log_every: int = 250) -> None:
        """Train to the last step; a table row and a checkpoint every `log_every` steps.

        Raises:
            OutputError: one of them cannot be written.
        """
        held_out = SyntheticSamples(256, self.config.seed + 1, 1.0, 64)
        validation = [to_batch([held_out[i + j] for j in range(8)]) for i in range(0, 64, 8)]
        started, losses, ious = time.monotonic() - self.seconds, [], []
        progress = tqdm(total=self.config.total_steps, initial=self.step, unit="step")
        for stage, batch in self.batches():
            loss, iou = self.advance(batch)
            losses.append(loss)
            ious.append(iou)
            self.seconds = time.monotonic() - started
            progress.update()
            progress.set_postfix(loss=f"{np.mean(losses):.3f}", iou=f"{np.mean(ious):.3f}")
            if self.step % log_every == 0 or self.step == self.config.total_steps:
                with self.precision():
                    scores = validate(self.average, validation)
                self.log(stage.side, float(np.mean(losses)), float(np.mean(ious)), scores)
                self.save()
                losses, ious = [], []
        progress.close()

    def precision(self) -> torch.autocast:
        dtype = choose_dtype(self.device)
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def advance(self, batch: Batch) -> tuple[float, float]:
        """One optimiser step; returns loss and IoU."""
        rng = np.random.default_rng([self.config.seed, 1, self.step])
        torch.manual_seed(self.config.seed * 1_000_003 + self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(self.step)
        rounds = int(rng.integers(1, self.config.max_rounds + 1))
        with self.precision(), sdpa_kernel(SDPBackend.MATH):
            loss, iou = interact(self.network, batch, rounds, rng, self.config.keep_prior)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        decay = min(self.config.ema, self.step / (self.step + 10))
        with torch.no_grad():
            averaged, current = self.average.state_dict(), self.network.state_dict()
            for name, value in averaged.items():
                value.lerp_(current[name], 1 - decay)
        return loss.item(), iou

    def export(self, path: Path) -> None:
        """Write the averaged weights as fp16 safetensors with their sizes as metadata.

        Raises:
            OutputError: they cannot be written.
        """
        tensors = {name: value.half().contiguous().cpu() for name, value in self.average.state_dict().items()}
        metadata = {
            "architecture": "compact",
            "config": config_to_json(self.average.config),
            "training": json.dumps({**asdict(self.config), "step": self.step, "minutes": round(self.seconds / 60)}),
        }
        write_bytes(path, save(tensors, metadata))

    def log(self, side: int, loss: float, iou: float, scores: list[float]) -> None:
        """Add a row to the table.

        Raises:
            OutputError: the table cannot be written; the rows before stay whole.
        """
        table = self.folder / LOG_NAME
        rate = self.config.learning_rate_at(self.step)
        values = (self.seconds / 60, rate, loss, iou, scores[0], scores[2], scores[4])
        row = [str(self.step), str(side), *(f"{value:.5g}" for value in values)]
        lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else [",".join(LOG_COLUMNS)]
        write_bytes(table, "".join(f"{line}\n" for line in [*lines, ",".join(row)]).encode())
