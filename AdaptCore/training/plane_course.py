"""How the model of planes is trained: on planes cut from synthetic volumes at any angle, and on pictures (ours)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.models.compact import (
    BOX_FIRST,
    BOX_SECOND,
    PADDING,
    CompactConfig,
    CompactNetwork,
    PromptTensors,
    standardize,
)
from AdaptCore.models.described import config_to_json
from AdaptCore.models.volume_prompts import PADDING as VOLUME_PADDING
from AdaptCore.models.volume_prompts import VolumePrompts
from AdaptCore.training.fields import Draw, Grid, chance, log_uniform, random_rotations, uniform, wide
from AdaptCore.training.interaction import (
    Targets,
    choose_targets,
    click_weights,
    corrected,
    degraded,
    emphasis,
    first_prompts,
    pick,
    repeated,
    with_click,
)
from AdaptCore.training.losses import mask_iou, mask_loss
from AdaptCore.training.pictures import picture_grid, pictures
from AdaptCore.training.scene3d import LABELS, SceneBatch, blurred, scenes
from AdaptCore.training.synthetic import TextureBank
from AdaptCore.training.trainer import stage_of

SHOWN, NEIGHBOUR = slice(0, 1), slice(1, 2)
"""Each scene is seen on two parallel planes: the one that is shown, and the one that a mask is carried over from."""


@dataclass(frozen=True)
class PlaneStage:
    """Planes of one side: how many a step, how many targets in each, and for how many steps."""

    side: int
    planes: int
    targets: int
    steps: int


@dataclass(frozen=True)
class PlaneRecipe:
    """Every constant is ours; attributes as in `VolumeRecipe`, and:

    Attributes:
        pictures: share of steps on pictures of objects such as cells, instead of planes cut from volumes. With none the
            model forgets them: on synthetic volumes it becomes better, and on photographs and cells worse.
        colour: share of batches of planes in colour.
        padded: share of batches whose planes are longer than wide, or wider than long.
    """

    stages: tuple[PlaneStage, ...] = (PlaneStage(128, 6, 3, 3000), PlaneStage(256, 3, 3, 10**9))
    cheap: PlaneStage = PlaneStage(128, 6, 3, 1)
    dear: int = 2
    learning_rate: float = 8e-4
    level: int = 2000
    weight_decay: float = 0.02
    warmup: int = 200
    ema: float = 0.998
    rounds: int = 4
    keep_prior: float = 0.85
    pictures: float = 0.5
    colour: float = 0.35
    padded: float = 0.4
    times: int = 1
    seed: int = 0

    def stage(self, step: int) -> PlaneStage:
        """What a step sees."""
        return stage_of(self.stages, self.cheap, self.dear, step)


@dataclass(frozen=True, eq=False)
class Asked:
    """What a step asks: images B x 3 x S x S, (h, w) of each proper, targets, first prompts, which are lone clicks."""

    image: Tensor
    sizes: Tensor
    targets: Targets
    prompts: VolumePrompts
    lone: Tensor


class PlaneCourse:
    """What the trainer asks of an architecture, for planes."""

    architecture = "compact"

    def __init__(self, recipe: PlaneRecipe, config: CompactConfig) -> None:
        self.recipe, self.config = recipe, config

    @cached_property
    def textures(self) -> TextureBank:
        """What pictures are painted with."""
        return TextureBank(self.recipe.seed)

    def network(self) -> CompactNetwork:
        """A network with random weights, seeded."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.recipe.seed)
            return CompactNetwork(self.config)

    def sizes(self) -> str:
        """The network's sizes as they are stored with the weights."""
        return config_to_json(self.config)

    def side(self, step: int) -> int:
        """Side of the planes of a step."""
        return self.recipe.stage(step).side

    def loss(self, network: CompactNetwork, step: int, device: torch.device) -> tuple[Tensor, float]:
        """Loss of one step, always the same for its number; the last IoU besides."""
        stage = self.recipe.stage(step)
        draw = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            is_pictured = float(torch.rand((), generator=draw)) < self.recipe.pictures
            question = (self._pictured if is_pictured else self._cut)(draw, step, stage, device)
        features = repeated(network.encoder(standardize(question.image, question.sizes)), question.targets.row)
        return self._interaction(network, draw, features, question.targets, question.prompts, question.lone)

    def _cut(self, draw: Draw, step: int, stage: PlaneStage, device: torch.device) -> Asked:
        """Planes of volumes, and the mask of the plane beside as a prompt."""
        grid = cut_planes(draw, stage.planes * self.recipe.times, stage.side, device)
        scene = padded(draw, scenes(draw, grid), self.recipe.padded)
        asked = choose_targets(draw, scene, stage.targets, SHOWN)
        carried = choose_targets(draw, scene, 1, NEIGHBOUR)
        prompts, lone = opening(draw, asked, carried, grid)
        return Asked(coloured(draw, scene, self.recipe.colour), sizes_of(scene), shown(asked, carried), prompts, lone)

    def _pictured(self, draw: Draw, step: int, stage: PlaneStage, device: torch.device) -> Asked:
        """Pictures, with as many targets as planes have and none carried over."""
        count, rng = stage.planes * self.recipe.times, np.random.default_rng([self.recipe.seed, step])
        image, sizes, targets = pictures(rng, self.textures, count, stage.targets + 1, stage.side)
        targets = Targets(targets.mask.to(device), targets.valid.to(device), targets.row)
        grid = picture_grid(len(targets.row), stage.side)
        prompts, lone = first_prompts(draw, targets, replace(grid, points=grid.points.to(device)), slice_share=0.0)
        return Asked(image.to(device), sizes.to(device), targets, prompts, lone)

    def _interaction(
        self,
        network: CompactNetwork,
        draw: Draw,
        features: tuple[Tensor, ...],
        targets: Targets,
        prompts: VolumePrompts,
        lone: Tensor,
    ) -> tuple[Tensor, float]:
        latest, losses, iou = None, [], torch.zeros(1)
        mask, valid = halved(targets.mask), halved(targets.valid)
        for _ in range(int(torch.randint(1, self.recipe.rounds + 1, (), generator=draw))):
            logits, quality = network.decoder(features, plane_prompts(prompts))
            weight = valid if latest is None else valid * halved(emphasis(latest, targets.mask.shape))
            each, iou = mask_loss(logits, mask, weight), mask_iou(logits, mask, valid)
            best = torch.where(lone, 0.5 * each[:, 0] + each[:, 1:].amin(1), each[:, 0])
            losses.append((best + ((quality - iou) ** 2).mean(1)).mean())
            with torch.no_grad():
                rated = lone & chance(draw, 0.5, len(lone)).to(lone.device)
                seen = torch.where(rated, 1 + quality[:, 1:].argmax(1), 0)
                full = enlarged(logits.detach()[torch.arange(len(lone), device=lone.device), seen])
                prompts, latest = corrected(draw, prompts, full > 0, targets)
                kept = chance(draw, self.recipe.keep_prior, len(full)).float().to(full.device)
                prompts = replace(prompts, prior=full * kept[:, None, None, None], has_prior=kept)
                lone = torch.zeros_like(lone)
        return torch.stack(losses).mean(), float(iou[:, 0].mean())

    @torch.no_grad()
    def validate(self, network: CompactNetwork, device: torch.device) -> dict[str, float]:
        """Mean IoU on held-out planes of full size after 1, 3 and 5 clicks."""
        sums, rounds = {"iou1": 0.0, "iou3": 0.0, "iou5": 0.0}, 6
        for number in range(rounds):
            draw = torch.Generator().manual_seed(-1 - number - 1000 * self.recipe.seed)
            with torch.autocast(device.type, enabled=False):
                scene = scenes(draw, cut_planes(draw, 4, self.config.input_side, device))
                targets = choose_targets(draw, scene, 2, SHOWN)
                targets = Targets(targets.mask[:, SHOWN], targets.valid[:, SHOWN], targets.row)
            image = scene.image[:, SHOWN].expand(-1, 3, -1, -1)
            features = repeated(network.encoder(standardize(image, sizes_of(scene))), targets.row)
            count = len(targets.row)
            first = pick(draw, click_weights(targets.truth), torch.ones(count, dtype=torch.bool))
            label = torch.zeros(count, dtype=torch.long, device=device)
            prompts = with_click(VolumePrompts.empty(targets.mask.shape, device), first, label, label == 0)
            rows = torch.arange(count, device=device)
            for click in range(1, 6):
                logits, quality = network.decoder(features, plane_prompts(prompts))
                best = quality.argmax(1) if click == 1 else torch.zeros_like(rows)
                if click in (1, 3, 5):
                    iou = mask_iou(logits, halved(targets.mask), halved(targets.valid))
                    sums[f"iou{click}"] += float(iou[rows, best].mean())
                full = enlarged(logits[rows, best])
                prompts, _ = corrected(draw, prompts, full > 0, targets)
                prompts = replace(prompts, prior=full, has_prior=torch.ones(count, device=device))
        return {name: value / rounds for name, value in sums.items()}


def cut_planes(draw: Draw, batch: int, side: int, device: torch.device) -> Grid:
    """Pairs of parallel planes through scenes: along the axes for half of the batches, else at any angle.

    They show a whole scene or a part of it, at most nine times as fine.
    """
    zoom = log_uniform(draw, 0.33, 1.3, batch)
    axis = (torch.arange(side) + 0.5) * 2 / side - 1
    gap = uniform(draw, 0.5, 5.0, batch) * 2 / side
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    flat = torch.stack([torch.zeros_like(rows), rows, columns]).expand(batch, -1, -1, -1)
    second = flat.clone()
    second[:, 0] += gap[:, None, None]
    planes = torch.stack([flat, second], 2) * zoom[:, None, None, None, None]
    turn = random_rotations(draw, batch)
    if torch.rand((), generator=draw) < 0.5:
        turn = torch.eye(3)[torch.randperm(3, generator=draw)].expand(batch, -1, -1)
    centre = uniform(draw, -0.6, 0.6, batch, 3)
    points = torch.bmm(turn, planes.flatten(2)).view_as(planes) + centre[:, :, None, None, None]
    return Grid(points.to(device), 2 / side * float(zoom.mean()), False, flat[:, :, None].to(device))


def padded(draw: Draw, scene: SceneBatch, share: float) -> SceneBatch:
    """Scenes cut to a part of their height or width, the rest padding, as planes that are no squares are."""
    if torch.rand((), generator=draw) >= share:
        return scene
    side = scene.image.shape[-1]
    length = int(torch.randint(side // 3, side, (), generator=draw))
    axis = 2 + int(torch.randint(0, 2, (), generator=draw))
    there = torch.arange(side, device=scene.image.device) < length
    there = there[:, None] if axis == 2 else there[None]
    return replace(scene, inside=scene.inside & there, labels=scene.labels * there, extent=(axis, length))


def sizes_of(scene: SceneBatch) -> Tensor:
    """(h, w) of each plane proper, int64 B x 2."""
    size = [scene.image.shape[2], scene.image.shape[3]]
    if scene.extent is not None:
        size[scene.extent[0] - 2] = scene.extent[1]
    return torch.tensor([size] * len(scene.image), device=scene.image.device)


def coloured(draw: Draw, scene: SceneBatch, share: float) -> Tensor:
    """The shown planes as B x 3 x S x S; in some batches each material has a colour of its own."""
    grey = scene.image[:, SHOWN].expand(-1, 3, -1, -1)
    low, high = grey.amin((1, 2, 3), keepdim=True), grey.amax((1, 2, 3), keepdim=True)
    grey = (grey - low) / (high - low).clamp(min=1e-4)
    if torch.rand((), generator=draw) >= share:
        return grey
    batch, device = len(grey), grey.device
    table = 0.25 * torch.randn(batch, LABELS, 3, generator=draw).to(device)
    colours = table.gather(1, scene.labels[:, 0].flatten(1)[..., None].expand(-1, -1, 3))
    colours = colours.transpose(1, 2).reshape(grey.shape)
    gains = uniform(draw, 0.4, 1.0, batch, 3).to(device)[:, :, None, None]
    return (grey * gains + blurred(colours, 1.0) * wide(uniform(draw, 0, 1, batch).to(device))).clamp(0, 1)


def shown(asked: Targets, carried: Targets) -> Targets:
    """What is to be found on the shown planes: the targets asked for, then those that a mask is carried over of."""
    return Targets(
        torch.cat([asked.mask, carried.mask])[:, SHOWN],
        torch.cat([asked.valid, carried.valid])[:, SHOWN],
        torch.cat([asked.row, carried.row]),
    )


def opening(draw: Draw, asked: Targets, carried: Targets, grid: Grid) -> tuple[VolumePrompts, Tensor]:
    """First prompts of the targets asked for, and of the others the mask of the plane beside alone; lone clicks."""
    here = Targets(asked.mask[:, SHOWN], asked.valid[:, SHOWN], asked.row)
    plane = replace(grid, points=grid.points[:, :, SHOWN])
    prompts, lone = first_prompts(draw, here, plane, slice_share=0.0)
    neighbour = carried.mask[:, NEIGHBOUR] >= 0.5
    count, points = len(neighbour), prompts.points.shape[1]
    beside = VolumePrompts.empty(neighbour.shape, neighbour.device)
    beside = replace(
        beside,
        points=beside.points.new_zeros(count, points, 3),
        labels=beside.labels.new_full((count, points), VOLUME_PADDING),
        prior=degraded(draw, neighbour, plane),
        has_prior=torch.ones(count, device=neighbour.device),
    )
    joined = (torch.cat([getattr(prompts, name), getattr(beside, name)]) for name in VolumePrompts.__annotations__)
    return VolumePrompts(*joined), torch.cat([lone, torch.zeros(count, dtype=torch.bool, device=lone.device)])


def plane_prompts(prompts: VolumePrompts) -> PromptTensors:
    """Prompts on planes N x 1 x S x S as the model of planes takes them."""
    points = prompts.points[..., [2, 1]]
    labels = torch.where(prompts.labels == VOLUME_PADDING, PADDING, prompts.labels)
    corners = torch.stack([prompts.box[:, [2, 1]], prompts.box[:, [5, 4]]], 1)
    boxed = corners.isfinite().all(2).all(1)
    kinds = torch.tensor([BOX_FIRST, BOX_SECOND], device=labels.device)
    kinds = torch.where(boxed[:, None], kinds, PADDING)
    return PromptTensors(
        torch.cat([points, corners.nan_to_num(0.0)], 1),
        torch.cat([labels, kinds], 1),
        halved(prompts.prior),
        prompts.has_prior,
    )


def halved(x: Tensor) -> Tensor:
    """N x 1 x S x S at the masks' resolution, N x S/2 x S/2."""
    return F.avg_pool2d(x, 2)[:, 0]


def enlarged(logits: Tensor) -> Tensor:
    """Logits N x S/2 x S/2 on the plane's pixels, N x 1 x S x S."""
    return F.interpolate(logits[:, None], scale_factor=2, mode="bilinear", align_corners=False)
