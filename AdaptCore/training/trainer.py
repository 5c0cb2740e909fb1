"""The trainer of both built-in models: seeded, resumable at any moment, on any device, within a number of minutes."""

from __future__ import annotations

import copy
import io
import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from tqdm import tqdm

from AdaptCore.atomic import prepare_folder, write_bytes
from AdaptCore.errors import CheckpointError
from AdaptCore.models.checkpoint import load_into, load_tensors
from AdaptCore.models.devices import choose_dtype

CHECKPOINT_NAME, LOG_NAME, PICTURE_NAME = "training.pt", "log.csv", "log.png"
CHECKPOINT_SECONDS = 240.0


class Stage(Protocol):
    """A run of steps of one kind."""

    @property
    def steps(self) -> int: ...

    @property
    def side(self) -> int: ...


AnyStage = TypeVar("AnyStage", bound=Stage)


def stage_of(stages: Sequence[AnyStage], cheap: AnyStage, dear: int, step: int) -> AnyStage:
    """What a step sees: the stage that it belongs to, of which the last one has no end, or a cheaper one.

    Args:
        cheap: seen instead by all steps but every `dear`-th one, where it is smaller than the stage.
    """
    begins = itertools.accumulate((stage.steps for stage in stages[:-1]), initial=0)
    stage = [stage for begin, stage in zip(begins, stages) if begin <= step][-1]
    return cheap if stage.side > cheap.side and step % dear else stage


class Course(Protocol):
    """What is taught: an architecture, its recipe and its synthetic data.

    Attributes:
        architecture: name of the architecture in the weights' metadata.
        recipe: a dataclass with `learning_rate`, `level`, `weight_decay`, `warmup`, `ema` and `seed`.
    """

    architecture: str
    recipe: Any

    def network(self) -> nn.Module: ...

    def sizes(self) -> str: ...

    def side(self, step: int) -> int: ...

    def loss(self, network: Any, step: int, device: torch.device) -> tuple[Tensor, float]: ...

    def validate(self, network: Any, device: torch.device) -> dict[str, float]: ...


def rate_at(recipe: Any, step: int) -> float:
    """Learning rate of a step: warm-up, level, then the inverse square root."""
    return recipe.learning_rate * min(1.0, (step + 1) / recipe.warmup) * min(1.0, math.sqrt(recipe.level / (step + 1)))


class Trainer:
    """Holds network, averaged network, optimizer and step; writes checkpoints and a table into `folder`.

    Raises:
        OutputError: the folder cannot be made or written.
    """

    def __init__(self, course: Course, folder: Path, device: torch.device) -> None:
        prepare_folder(folder, (CHECKPOINT_NAME, LOG_NAME))
        self.course, self.folder, self.device = course, folder, device
        self.network = course.network().to(device)
        self.average = copy.deepcopy(self.network).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=course.recipe.learning_rate, weight_decay=course.recipe.weight_decay
        )
        self.step, self.seconds = 0, 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / CHECKPOINT_NAME

    def start_from(self, path: Path) -> None:
        """Begin with weights that were exported, at the step they were exported at; the optimizer begins anew.

        Raises:
            CheckpointError: they cannot be read, or are of another network.
        """
        tensors, metadata = load_tensors(path)
        if metadata.get("architecture") != self.course.architecture:
            found = metadata.get("architecture", "no architecture")
            raise CheckpointError(f"{path} holds weights of {found}: choose some of {self.course.architecture}.")
        if metadata.get("config") != self.course.sizes():
            sizes, own = metadata.get("config"), self.course.sizes()
            raise CheckpointError(f"{path} holds weights of the sizes {sizes}: choose some of {own}.")
        for network in (self.network, self.average):
            load_into(network, {name: value.float() for name, value in tensors.items()}, str(path))
        training = json.loads(metadata.get("training", "{}"))
        self.step, self.seconds = int(training.get("step", 0)), 60.0 * float(training.get("minutes", 0))

    def save(self) -> None:
        """Write the checkpoint.

        Raises:
            OutputError: it cannot be written; an older one stays whole.
        """
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "architecture": self.course.architecture,
            "sizes": self.course.sizes(),
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
            CheckpointError: it cannot be read, or belongs to another architecture or another version of it.
        """
        own = (self.course.architecture, self.course.sizes())
        try:
            state = torch.load(self.checkpoint, weights_only=True, map_location=self.device)
            found = (state["architecture"], state["sizes"])
            if found != own:
                raise CheckpointError(
                    f"{self.checkpoint} holds a training of {' '.join(found)}, not of {' '.join(own)}. "
                    "Choose another folder, or the model that this one belongs to."
                )
            self.network.load_state_dict(state["network"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.step, self.seconds = state["step"], state["seconds"]
        except CheckpointError:
            raise
        except (OSError, EOFError, RuntimeError, LookupError, TypeError, ValueError, UnpicklingError) as error:
            raise CheckpointError(
                f"{self.checkpoint} is no whole training state. Start again in another folder."
            ) from error

    def run(
        self,
        minutes: float | None = None,
        steps: int | None = None,
        log_every: int = 250,
        cool: float = 0.0,
        progress: tqdm | None = None,
    ) -> None:
        """Train for some minutes, or up to a step, or until interrupted; always ends with a checkpoint.

        Args:
            cool: over this many minutes at the end the learning rate falls to a twentieth, which is when weights get
                good; a training that goes on later begins with the full rate again.
            progress: a bar that is moved on by each step; the caller closes it.

        Raises:
            OutputError: checkpoint or table cannot be written.
        """
        began, spent, saved = time.monotonic(), self.seconds, time.monotonic()
        losses: list[float] = []
        ious: list[float] = []
        try:
            while not self._is_over(began, minutes, steps):
                left = math.inf if minutes is None else minutes - (time.monotonic() - began) / 60
                loss, iou = self.advance(max(0.05, min(1.0, left / cool)) if cool else 1.0)
                losses.append(loss)
                ious.append(iou)
                self.seconds = spent + time.monotonic() - began
                if progress is not None:
                    progress.update()
                    progress.set_postfix(loss=f"{np.mean(losses[-50:]):.3f}", iou=f"{np.mean(ious[-50:]):.3f}")
                if self.step % log_every == 0:
                    self.log(float(np.mean(losses)), float(np.mean(ious)))
                    losses, ious = [], []
                if time.monotonic() - saved > CHECKPOINT_SECONDS:
                    self.save()
                    saved = time.monotonic()
            if losses:
                self.log(float(np.mean(losses)), float(np.mean(ious)))
        finally:
            self.save()

    def _is_over(self, began: float, minutes: float | None, steps: int | None) -> bool:
        late = minutes is not None and time.monotonic() - began > 60 * minutes
        return late or (steps is not None and self.step >= steps)

    def precision(self) -> torch.autocast:
        dtype = choose_dtype(self.device)
        return torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32)

    def advance(self, warmth: float = 1.0) -> tuple[float, float]:
        """One optimizer step at this share of the learning rate; returns loss and IoU."""
        recipe = self.course.recipe
        for group in self.optimizer.param_groups:
            group["lr"] = warmth * rate_at(recipe, self.step)
        with self.precision():
            loss, iou = self.course.loss(self.network, self.step, self.device)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        if bool(norm.isfinite()):
            self.optimizer.step()
        self.step += 1
        decay = min(recipe.ema, self.step / (self.step + 10))
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
        training = {**asdict(self.course.recipe), "step": self.step, "minutes": round(self.seconds / 60)}
        metadata = {
            "architecture": self.course.architecture,
            "config": self.course.sizes(),
            "training": json.dumps(training),
        }
        write_bytes(path, save(tensors, metadata))

    def log(self, loss: float, iou: float) -> None:
        """Add a row to the table: the step, what training saw, and the averaged weights on held-out scenes.

        Raises:
            OutputError: the table cannot be written; the rows before stay whole.
        """
        with self.precision():
            scores = self.course.validate(self.average, self.device)
        rate = rate_at(self.course.recipe, self.step)
        values = {"minutes": self.seconds / 60, "lr": rate, "loss": loss, "iou_train": iou, **scores}
        row = [str(self.step), str(self.course.side(self.step - 1)), *(f"{value:.5g}" for value in values.values())]
        table = self.folder / LOG_NAME
        head = ",".join(("step", "side", *values))
        lines = table.read_text(encoding="utf-8").splitlines() if table.exists() else [head]
        lines.append(",".join(row))
        write_bytes(table, "".join(f"{line}\n" for line in lines).encode())
        from AdaptCore.training.table_picture import draw_table

        draw_table(lines, self.folder / PICTURE_NAME)
