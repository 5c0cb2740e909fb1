"""How the model of volumes is trained: windows of synthetic volumes, several targets each (ours)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from AdaptCore.models.described import config_to_json
from AdaptCore.models.volume_prompts import VolumePrompts
from AdaptCore.models.volumetric import VolumetricConfig, VolumetricNetwork, prepare, read
from AdaptCore.training.fields import Draw, Grid, chance
from AdaptCore.training.interaction import (
    Targets,
    choose_targets,
    click_weights,
    corrected,
    emphasis,
    first_prompts,
    pick,
    repeated,
    with_click,
    with_slice,
)
from AdaptCore.training.losses import mask_iou, mask_loss
from AdaptCore.training.scene3d import SceneBatch, scenes
from AdaptCore.training.trainer import stage_of


@dataclass(frozen=True)
class VolumeStage:
    """Windows of one side: how many a step, how many targets in each, and for how many steps."""

    side: int
    windows: int
    targets: int
    steps: int


@dataclass(frozen=True)
class VolumeRecipe:
    """Every constant is ours: first values, not compared with others yet.

    Attributes:
        stages: small windows first; the last one goes on for as long as the training does.
        cheap: seen instead by all steps but every `dear`-th one, once windows are larger than these: most of what is to
            be learnt shows in small windows too, in far less time.
        learning_rate: peak of AdamW's; after `level` steps it falls with the square root of the step, so that a
            training can end at any time. The averaged weights are the ones that are kept.
        weight_decay, warmup, ema: as usual.
        rounds: most rounds of prompts of an interaction that are learnt from.
        late, late_rounds: share of interactions with rounds before these, and most of them.
        known_slices: share of interactions that begin with known slices.
        keep_prior: share of rounds that see the logits of the round before.
        times: multiplies the windows of a step, for devices that have room.
        seed: of scenes, weights and prompts.
    """

    stages: tuple[VolumeStage, ...] = (
        VolumeStage(32, 4, 4, 1000),
        VolumeStage(48, 4, 2, 6000),
        VolumeStage(64, 3, 2, 10**9),
    )
    cheap: VolumeStage = VolumeStage(32, 6, 2, 1)
    dear: int = 3
    learning_rate: float = 1e-3
    level: int = 2000
    weight_decay: float = 0.02
    warmup: int = 100
    ema: float = 0.998
    rounds: int = 2
    late: float = 0.4
    late_rounds: int = 5
    known_slices: float = 0.5
    keep_prior: float = 0.85
    times: int = 1
    seed: int = 0

    def stage(self, step: int) -> VolumeStage:
        """What a step sees."""
        return stage_of(self.stages, self.cheap, self.dear, step)


class VolumeCourse:
    """What the trainer asks of an architecture, for volumes."""

    architecture = "compact3d"

    def __init__(self, recipe: VolumeRecipe, config: VolumetricConfig) -> None:
        self.recipe, self.config = recipe, config

    def network(self) -> VolumetricNetwork:
        """A network with random weights, seeded."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.recipe.seed)
            return VolumetricNetwork(self.config)

    def sizes(self) -> str:
        """The network's sizes as they are stored with the weights."""
        return config_to_json(self.config)

    def side(self, step: int) -> int:
        """Side of the windows of a step."""
        return self.recipe.stage(step).side

    def loss(self, network: VolumetricNetwork, step: int, device: torch.device) -> tuple[Tensor, float]:
        """Loss of one step, always the same for its number; the last IoU besides."""
        stage = self.recipe.stage(step)
        draw = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        grid = Grid.cube(stage.windows * self.recipe.times, stage.side, device)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            scene = scenes(draw, grid)
            targets = choose_targets(draw, scene, stage.targets)
        return self._interaction(network, draw, grid, scene, targets)

    def _interaction(
        self, network: VolumetricNetwork, draw: Draw, grid: Grid, scene: SceneBatch, targets: Targets
    ) -> tuple[Tensor, float]:
        features = repeated(network.encoder(prepare(scene.image, scene.inside)), targets.row)
        with torch.no_grad():
            prompts, lone = first_prompts(draw, targets, grid, self.recipe.known_slices)
        latest, losses = None, []
        iou = torch.zeros(1)
        silent = self._rounds_before(draw)
        for number in range(silent + int(torch.randint(1, self.recipe.rounds + 1, (), generator=draw))):
            with torch.set_grad_enabled(number >= silent):
                logits, quality = answer(network, features, prompts, bool(lone.any()))
            if number >= silent:
                weights = targets.valid if latest is None else targets.valid * emphasis(latest, targets.mask.shape)
                each, iou = flat_loss(logits, targets.mask, weights), flat_iou(logits, targets)
                losses.append((choice_loss(each, lone) + ((quality - iou) ** 2).mean(1)).mean())
            with torch.no_grad():
                prompts, latest = self._answered(draw, prompts, logits.detach(), quality, lone, targets)
            lone = torch.zeros_like(lone)
        return torch.stack(losses).mean(), float(iou[:, 0].mean())

    def _rounds_before(self, draw: Draw) -> int:
        """Rounds that are only asked: what a user corrects late is learnt from without the cost of all before."""
        if torch.rand((), generator=draw) >= self.recipe.late:
            return 0
        return int(torch.randint(1, self.recipe.late_rounds + 1, (), generator=draw))

    def _answered(
        self,
        draw: Draw,
        prompts: VolumePrompts,
        logits: Tensor,
        quality: Tensor,
        lone: Tensor,
        targets: Targets,
    ) -> tuple[VolumePrompts, Tensor]:
        """The prompts once the user has seen an answer: with it as the earlier mask, and with a correction."""
        shown = chosen(draw, logits, quality, lone)
        prompts, latest = corrected(draw, prompts, shown > 0, targets)
        kept = chance(draw, self.recipe.keep_prior, len(shown)).float().to(shown.device)
        return replace(prompts, prior=shown * kept[:, None, None, None], has_prior=kept), latest

    @torch.no_grad()
    def validate(self, network: VolumetricNetwork, device: torch.device) -> dict[str, float]:
        """Mean IoU on held-out scenes after 1, 3 and 5 clicks, and with one known slice through the first click."""
        sums = {"iou1": 0.0, "iou3": 0.0, "iou5": 0.0, "iou_slice": 0.0}
        rounds = list(held_out(self.recipe.seed, device))
        for draw, grid, scene, targets in rounds:
            features = repeated(network.encoder(prepare(scene.image, scene.inside)), targets.row)
            count = len(targets.row)
            first = pick(draw, click_weights(targets.truth), torch.ones(count, dtype=torch.bool))
            label = torch.zeros(count, dtype=torch.long, device=device)
            clicked = with_click(VolumePrompts.empty(targets.mask.shape, device), first, label, label == 0)
            known = with_slice(draw, clicked, targets.truth, first, grid, torch.ones(count, dtype=torch.bool))
            sums["iou_slice"] += float(flat_iou(answer(network, features, known, False)[0], targets)[:, 0].mean())
            prompts, rows = clicked, torch.arange(count, device=device)
            for click in range(1, 6):
                logits, quality = answer(network, features, prompts, click == 1)
                best = quality.argmax(1) if click == 1 else torch.zeros_like(rows)
                if click in (1, 3, 5):
                    sums[f"iou{click}"] += float(flat_iou(logits, targets)[rows, best].mean())
                shown = logits[rows, best]
                prompts, _ = corrected(draw, prompts, shown > 0, targets)
                prompts = replace(prompts, prior=shown, has_prior=torch.ones(count, device=device))
        return {name: value / len(rounds) for name, value in sums.items()}


def held_out(seed: int, device: torch.device) -> Iterator[tuple[Draw, Grid, SceneBatch, Targets]]:
    """Scenes that are not trained on: 16 windows of 48 voxels a side, two targets each."""
    for number in range(4):
        draw = torch.Generator().manual_seed(-1 - number - 1000 * seed)
        grid = Grid.cube(4, 48, device)
        with torch.autocast(device.type, enabled=False):
            scene = scenes(draw, grid)
            yield draw, grid, scene, choose_targets(draw, scene, 2)


def answer(
    network: VolumetricNetwork, features: tuple[Tensor, ...], prompts: VolumePrompts, alternatives: bool
) -> tuple[Tensor, Tensor]:
    """Logits float32 N x K x S x S x S and predicted IoUs N x K: all masks, or the single one alone."""
    decoder, (guide, *rest) = network.decoder, features
    drawn, tokens = decoder.drawn(rest, decoder.maps(prompts, guide))
    masks = decoder.masks if alternatives else 1
    return read(drawn, decoder.vectors(tokens)[:, :masks]), decoder.qualities(tokens)[:, :masks]


def choice_loss(each: Tensor, lone: Tensor) -> Tensor:
    """Loss of each sample N from those of its masks N x K: a lone click's alternatives count by their best one."""
    if each.shape[1] == 1:
        return each[:, 0]
    return torch.where(lone, 0.5 * each[:, 0] + each[:, 1:].amin(1), each[:, 0])


def chosen(draw: Draw, logits: Tensor, quality: Tensor, lone: Tensor) -> Tensor:
    """The mask that the user sees, N x S x S x S: for half of the lone clicks the best-rated alternative."""
    if logits.shape[1] == 1:
        return logits[:, 0]
    rated = lone & chance(draw, 0.5, len(lone)).to(lone.device)
    best = torch.where(rated, 1 + quality[:, 1:].argmax(1), 0)
    return logits[torch.arange(len(logits), device=logits.device), best]


def flat_loss(logits: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """`mask_loss` of volumes: N x K."""
    return mask_loss(logits.flatten(3), mask.flatten(2), weight.flatten(2))


def flat_iou(logits: Tensor, targets: Targets) -> Tensor:
    """`mask_iou` of volumes: N x K."""
    return mask_iou(logits.flatten(3), targets.mask.flatten(2), targets.valid.flatten(2))
