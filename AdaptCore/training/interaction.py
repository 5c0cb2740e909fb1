"""Simulated users: what they ask for, and with which prompts; batched, in torch, on any device.

Arrays are of N samples, N x D x H x W: windows or planes (D = 1) times the targets asked for in each. Depth and clicks
are found at half resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.models.volume_prompts import NEGATIVE, PADDING, POSITIVE, VolumePrompts
from AdaptCore.training.fields import Draw, Grid, chance, uniform, wide
from AdaptCore.training.scene3d import LABELS, NOTHING, SceneBatch, blurred, sliced

BACKGROUND_LABELS = 8
CLICK_WEIGHT, CLICK_SIGMA = 4.0, 0.08
"""Emphasis of the loss around the latest correction, and its deviation as a share of the window's side."""


@dataclass(frozen=True, eq=False)
class Targets:
    """What is asked for.

    Attributes:
        mask: float32 N x D x H x W in [0, 1], soft between thick slices.
        valid: float32, 1 on voxels that count.
        row: int64 N on the CPU, the scene that a sample is of.
    """

    mask: Tensor
    valid: Tensor
    row: Tensor

    @property
    def truth(self) -> Tensor:
        """bool."""
        return self.mask >= 0.5


def choose_targets(draw: Draw, scene: SceneBatch, count: int, sight: slice = slice(None)) -> Targets:
    """`count` targets of each scene, as different ones as there are, likelier the more they are worth learning from.

    Args:
        sight: planes along the first axis on which a target must be seen.
    """
    worth = worth_asking(scene.image[:, sight], scene.labels[:, sight]).cpu()
    chosen = torch.multinomial(worth, count, replacement=False, generator=draw)
    again = worth.gather(1, chosen) < 0.05 * worth.amax(1, keepdim=True)
    label = torch.where(again, chosen[:, :1], chosen).flatten()
    row = torch.arange(len(scene.labels)).repeat_interleave(count)
    members = torch.nn.functional.one_hot(label, LABELS).bool()
    children = scene.parent[row] == label[:, None]
    members |= children & chance(draw, 0.5, len(row), 1)
    labels = scene.labels[row.to(scene.labels.device)]
    mask = members.to(labels.device).gather(1, labels.flatten(1)).view_as(labels).float()
    mask = as_drawn(draw, mask, scene.thickness)
    return Targets(mask, scene.inside[row.to(labels.device)].float(), row)


def worth_asking(image: Tensor, labels: Tensor) -> Tensor:
    """Weight of each label of a scene as a target, float32 B x LABELS, never all zero.

    What fills a twentieth of the window or more, as an object does in the window that is chosen for it; less so what
    the window cuts or what fills nearly all of it. What nobody could see teaches nothing, and regions of the
    background are rarely asked for.
    """
    counts = counted(labels, torch.ones_like(image))
    part = counts / labels[0].numel()
    cut = sum(
        counted(labels.select(axis, place), torch.ones_like(image.select(axis, place)))
        for axis in range(1, 4)
        if labels.shape[axis] > 2
        for place in (0, -1)
    )
    worth = part.clamp(max=0.05) * (contrast(image, labels) * 3 - 0.2).clamp(0.01, 1)
    worth = torch.where(cut > 0.05 * counts ** (2 / 3), 0.25 * worth, worth)
    worth = torch.where(part > 0.4, 0.3 * worth, worth)
    worth = torch.where(part < 1 / 1000, 0.0, worth)
    worth[:, :BACKGROUND_LABELS] *= 0.06
    worth[:, NOTHING] = 0
    return worth + 1e-9 * (1 + (counts > 0))


def contrast(image: Tensor, labels: Tensor, gap: int = 3) -> Tensor:
    """How much each label differs from what lies beside it, in deviations of the image, float32 B x LABELS."""
    smooth = blurred(image, 1.0) / image.flatten(1).std(1).clamp(min=1e-6)[:, None, None, None]
    total, pairs = torch.zeros(2, len(image), LABELS, device=image.device)
    for axis in range(1, 4):
        length = labels.shape[axis] - gap
        if length <= 0:
            continue
        first, second = labels.narrow(axis, 0, length), labels.narrow(axis, gap, length)
        border = (first != second).float()
        step = (smooth.narrow(axis, 0, length) - smooth.narrow(axis, gap, length)).abs() * border
        for side in (first, second):
            total, pairs = total + counted(side, step), pairs + counted(side, border)
    return total / pairs.clamp(min=1)


def counted(labels: Tensor, weight: Tensor) -> Tensor:
    """Sum of weights of each label, float32 B x LABELS."""
    sums = weight.new_zeros(len(labels), LABELS)
    return sums.scatter_add(1, labels.flatten(1), weight.flatten(1))


def as_drawn(draw: Draw, mask: Tensor, thickness: Tensor) -> Tensor:
    """Masks as people draw them: smoothed in some, a little tight or generous, on the device's slices."""
    smooth = blurred(mask, float(uniform(draw, 0.4, 1.6)))
    level = wide(uniform(draw, 0.35, 0.65, len(mask)).to(mask.device))
    drawn = (smooth > level).float()
    kept = drawn.sum((1, 2, 3)) > 0.6 * mask.sum((1, 2, 3))
    taken = wide(kept & chance(draw, 0.3, len(mask)).to(mask.device))
    mask = torch.where(taken, drawn, mask)
    return sliced((sliced(mask, thickness) >= 0.5).float(), thickness) if thickness.max() > 1 else mask


def depth(region: Tensor) -> Tensor:
    """How deep each cell lies in a region, in steps to its border: float32 N x d x h x w of bool or float.

    The window's faces are no border, so that an object that reaches beyond is clicked where it is thick.
    """
    inner = region.float()
    total = inner.clone()
    for _ in range(max(region.shape[1:])):
        padded = F.pad(inner[:, None], (1,) * 6, mode="replicate")[:, 0]
        core = padded[:, 1:-1, 1:-1, 1:-1]
        core = torch.minimum(core, torch.minimum(padded[:, :-2, 1:-1, 1:-1], padded[:, 2:, 1:-1, 1:-1]))
        core = torch.minimum(core, torch.minimum(padded[:, 1:-1, :-2, 1:-1], padded[:, 1:-1, 2:, 1:-1]))
        core = torch.minimum(core, torch.minimum(padded[:, 1:-1, 1:-1, :-2], padded[:, 1:-1, 1:-1, 2:]))
        if not core.any():
            break
        total += core
        inner = core
    return total


def cells_of(size: torch.Size) -> tuple[int, int, int]:
    """Voxels that a cell at half resolution has along each axis of N x D x H x W: 2, or 1 across a single plane."""
    depth_, height, width = (min(2, length) for length in size[1:])
    return depth_, height, width


def shares(mask: Tensor) -> Tensor:
    """Share of each cell at half resolution that a mask fills, N x d x h x w."""
    return F.avg_pool3d(mask.float()[:, None], cells_of(mask.shape))[:, 0]


def pick(draw: Draw, weights: Tensor, middle: Tensor) -> Tensor:
    """A position in voxels for each sample, N x 3: the heaviest cell where `middle`, else by weight."""
    count, depth_, height, width = weights.shape
    flat = weights.flatten(1)
    sums = flat.cumsum(1)
    level = torch.rand(count, 1, generator=draw).to(flat.device) * sums[:, -1:]
    drawn = torch.searchsorted(sums, level).clamp(max=flat.shape[1] - 1)[:, 0]
    at = torch.where(middle.to(flat.device), flat.argmax(1), drawn)
    cell = torch.stack([at // (height * width), at // width % height, at % width], 1)
    position = 2 * cell + 0.5 + uniform(draw, -0.6, 0.6, count, 3).to(flat.device)
    if depth_ == 1:
        position[:, 0] = 0
    return position


def click_weights(region: Tensor) -> Tensor:
    """Where a click into a region goes: its depth, or its share of a cell where it fills no cell by half."""
    part = shares(region)
    whole = part >= 0.5
    return torch.where(wide(whole.flatten(1).any(1)), depth(whole), part)


def with_click(prompts: VolumePrompts, position: Tensor, label: Tensor, asked: Tensor) -> VolumePrompts:
    """Prompts with one more point N x 3 each, padding where not `asked`."""
    label = torch.where(asked, label, PADDING)
    return replace(
        prompts,
        points=torch.cat([prompts.points, position[:, None]], 1),
        labels=torch.cat([prompts.labels, label[:, None]], 1),
    )


def first_prompts(draw: Draw, targets: Targets, grid: Grid, slice_share: float = 0.35) -> tuple[VolumePrompts, Tensor]:
    """How interactions begin; returns which of them are a lone click, bool N, besides.

    A click for most; for some several points, a box, an earlier mask; for a share one to three slices that are known,
    often not exactly, with a click or without one.
    """
    truth, device = targets.truth & (targets.valid > 0), targets.mask.device
    count = len(truth)
    prompts = VolumePrompts.empty(truth.shape, device)
    weights = click_weights(truth)
    clicked = pick(draw, weights, chance(draw, 0.5, count))
    kind = torch.rand(count, generator=draw)
    boxed, several, earlier = (kind < 0.12), (kind >= 0.12) & (kind < 0.27), (kind >= 0.27) & (kind < 0.42)
    sliced_too = chance(draw, slice_share, count)
    pointed = ~boxed | chance(draw, 0.4, count)
    pointed &= ~sliced_too | chance(draw, 0.75, count)
    pointed &= ~earlier | chance(draw, 0.7, count)
    # What a rater has left nothing of, or what lies outside of the volume, cannot be clicked on.
    there = truth.flatten(1).any(1).cpu()
    pointed, several = pointed & there, several & there
    positive = torch.full((count,), POSITIVE, device=device)
    prompts = with_click(prompts, clicked, positive, pointed.to(device))
    if several.any():
        around = click_weights(near(truth) & ~truth & (targets.valid > 0))
        filled = ~(around > 0).flatten(1).any(1)
        for _ in range(int(torch.randint(1, 6, (), generator=draw))):
            inward = chance(draw, 0.5, count).to(device) | filled
            positions = pick(draw, torch.where(wide(inward), weights, around), chance(draw, 0.2, count))
            prompts = with_click(prompts, positions, torch.where(inward, POSITIVE, NEGATIVE), several.to(device))
    if boxed.any():
        prompts = replace(prompts, box=torch.where(boxed[:, None].to(device), boxes(draw, truth), torch.nan))
    if sliced_too.any():
        prompts = with_slice(draw, prompts, truth, clicked, grid, sliced_too)
        for _ in range(2):
            more = sliced_too & chance(draw, 0.4, count)
            elsewhere = pick(draw, weights, chance(draw, 0.2, count))
            through = torch.where(chance(draw, 0.6, count)[:, None].to(device), clicked, elsewhere)
            prompts = with_slice(draw, prompts, truth, through, grid, more)
    if earlier.any():
        prior = degraded(draw, truth, grid) * wide(earlier.to(device).float())
        prompts = replace(prompts, prior=prior, has_prior=earlier.float().to(device))
    return prompts, (pointed & ~(boxed | several | earlier | sliced_too)).to(device)


def near(mask: Tensor) -> Tensor:
    """Within a tenth of the window of a mask."""
    reach = max(1, mask.shape[-1] // 20)
    return F.max_pool3d(mask.float()[:, None], 2 * reach + 1, 1, reach)[:, 0] > 0


def boxes(draw: Draw, truth: Tensor) -> Tensor:
    """Bounding boxes N x 6 with an error of up to 8 % of their size at each face."""
    low, high = [], []
    for axis in range(3):
        line = truth.movedim(1 + axis, 1).flatten(2).any(2)
        places = torch.arange(truth.shape[1 + axis], device=truth.device).float()
        low.append(torch.where(line, places, torch.inf).amin(1) - 0.5)
        high.append(torch.where(line, places, -torch.inf).amax(1) + 0.5)
    first, second = torch.stack(low, 1), torch.stack(high, 1)
    error = (second - first) * uniform(draw, -0.08, 0.08, 2, len(truth), 3).to(truth.device)
    box = torch.cat([first + error[0], torch.maximum(second + error[1], first + error[0] + 2)], 1)
    return torch.where(box.isfinite().all(1, keepdim=True), box, torch.nan)


def with_slice(
    draw: Draw, prompts: VolumePrompts, truth: Tensor, position: Tensor, grid: Grid, asked: Tensor
) -> VolumePrompts:
    """Prompts with the mask on one more plane through positions N x 3, along an axis for most, oblique for some."""
    count, side, device = len(truth), truth.shape[-1], truth.device
    axes = F.one_hot(torch.randint(0, 3, (count,), generator=draw), 3).float()
    oblique = F.normalize(torch.randn(count, 3, generator=draw), dim=1)
    normal = torch.where(chance(draw, 0.15, count)[:, None], oblique, axes).to(device)
    centre = (position.round() + 0.5) * 2 / side - 1
    away = torch.einsum("nidhw,ni->ndhw", grid.points[:1].expand(count, -1, -1, -1, -1), normal)
    away = away - wide((centre * normal).sum(1))
    known = (away.abs() < 1.01 / side) & wide(asked.to(device))
    loose = degraded(draw, truth, grid) > 0
    exact = wide(chance(draw, 0.5, count).to(device))
    told = torch.where(exact, truth, loose).float()
    return replace(
        prompts,
        slices=torch.where(known, told, prompts.slices),
        known=torch.maximum(prompts.known, known.float()),
    )


def degraded(draw: Draw, truth: Tensor, grid: Grid) -> Tensor:
    """Logits of an imperfect mask: moved, grown or shrunk, with an uneven outline, in some batches a coarse one."""
    count, side, device = len(truth), truth.shape[-1], truth.device
    whole = truth.float()
    if torch.rand((), generator=draw) < 0.3:
        coarse = torch.full((3,), int(torch.randint(2, 5, (), generator=draw)))
        whole = sliced(whole, torch.minimum(coarse, torch.tensor([max(1, n // 4) for n in truth.shape[1:]])))
    soft = blurred(whole, side / 20 * float(uniform(draw, 0.1, 1.5)))
    shift = tuple(int(torch.randint(-side // 16, side // 16 + 1, (), generator=draw)) for _ in range(3))
    moved = torch.where(wide(chance(draw, 0.5, count).to(device)), torch.roll(soft, shift, (1, 2, 3)), soft)
    cube = replace(grid, points=grid.points[:1].expand(count, -1, -1, -1, -1))
    uneven = cube.noise(draw, int(torch.randint(2, 9, (), generator=draw)))[:, 0]
    level, rough = (wide(uniform(draw, *span, count).to(device)) for span in ((0.3, 0.7), (0.0, 0.35)))
    return ((moved - level + rough * uneven) * 12).clamp(-8, 8)


def corrected(draw: Draw, prompts: VolumePrompts, answer: Tensor, targets: Targets) -> tuple[VolumePrompts, Tensor]:
    """Prompts with a click into the deeper of the missed and of the wrongly added region.

    Args:
        answer: bool N x D x H x W.

    Returns:
        The prompts, and the click's position N x 3 (NaN where nothing is wrong).
    """
    inside = targets.valid > 0
    missed, added = click_weights(targets.truth & ~answer & inside), click_weights(answer & ~targets.truth & inside)
    deep_missed, deep_added = missed.flatten(1).amax(1), added.flatten(1).amax(1)
    positive = deep_missed >= deep_added
    wrong = torch.maximum(deep_missed, deep_added) > 0
    position = pick(draw, torch.where(wide(positive), missed, added), chance(draw, 0.5, len(answer)))
    label = torch.where(positive, POSITIVE, NEGATIVE)
    return with_click(prompts, position, label, wrong), torch.where(wrong[:, None], position, torch.nan)


def emphasis(latest: Tensor, size: torch.Size) -> Tensor:
    """Weights of the loss, N x D x H x W: 1, and more around the latest correction (after OAIMS), NaN for none."""
    sigma, lines = CLICK_SIGMA * max(size[1:]), []
    for axis, length in enumerate(size[1:]):
        away = torch.arange(length, device=latest.device) - latest[:, axis, None]
        lines.append((-(away**2) / (2 * sigma**2)).exp())
    peak = lines[0][:, :, None, None] * lines[1][:, None, :, None] * lines[2][:, None, None, :]
    return 1 + CLICK_WEIGHT * peak.nan_to_num(0.0)


def repeated(features: tuple[Tensor, ...], row: Tensor) -> tuple[Tensor, ...]:
    """Features of scenes for each of the targets in them."""
    return tuple(feature[row.to(feature.device)] for feature in features)
