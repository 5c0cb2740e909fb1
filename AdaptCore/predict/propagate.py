"""Propagation: an accepted plane's mask is carried to its neighbours, plane by plane, until the object ends (ours)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from scipy.ndimage import label

from AdaptCore.models.base import Embedding, Model, to_plane, to_prior
from AdaptCore.predict.context import AppearanceContext
from AdaptCore.predict.masks import binarize, depth, dice
from AdaptCore.predict.motion import carried
from AdaptCore.predict.packed import PackedMask, PackedMasks
from AdaptCore.predict.plane import PlaneEncoder
from AdaptCore.predict.zoom import (
    OUTSIDE_LOGIT,
    CropWindow,
    ZoomPolicy,
    choose_window,
    mask_bounds,
    paste,
    prompts_in,
)
from AdaptCore.prompts import Box, Click, Prompts

Progress = Callable[[int, int, float], None]
"""Called with (planes done, planes there can be at most, confidence of the latest plane)."""


@dataclass(frozen=True)
class PropagationPolicy:
    """What the next plane is asked, how its evidence is weighed, and when the object has ended.

    The logits of a plane are the moved mask's signed distance, the model's logits and the context's score, each with
    its weight. Distances are in pixels, or in sixteenths of the object's equivalent radius where those are longer.

    Attributes:
        box_margin: the moved mask's box grows on each side by this share of its longer side.
        min_box_margin: and by at least this many pixels.
        inner_click: give a positive click at the moved mask's innermost point.
        prior_gain: logits of the prior for each unit of distance from the moved mask's outline.
        prior_limit: the prior is held between minus and plus this value.
        motion_limit: distances are held between minus and plus this value.
        shrinkage: units that an object gets thinner from plane to plane if nothing else is known.
        model_weight: weight of the model's logits.
        model_limit: they are held between minus and plus this value before.
        context_weight: logits that an appearance score of 1 adds.
        context_ridge: ridge of the appearance regression.
        min_likeness: a plane that looks less like the object than this, 0 to 1, where the moved mask lies ends the
            direction.
        min_area_ratio: so does a mask smaller than this share of the previous one.
        zoom: look at a window around the moved mask; None looks at whole planes.
    """

    box_margin: float = 0.1
    min_box_margin: float = 2.0
    inner_click: bool = True
    prior_gain: float = 2.0
    prior_limit: float = 6.0
    motion_limit: float = 4.0
    shrinkage: float = 0.2
    model_weight: float = 1.0
    model_limit: float = 4.0
    context_weight: float = 1.0
    context_ridge: float = 0.2
    min_likeness: float = 0.45
    min_area_ratio: float = 0.3
    zoom: ZoomPolicy | None = field(default_factory=ZoomPolicy)


@dataclass(frozen=True, eq=False)
class PropagatedPlane:
    """One plane's result: its slice index, mask bool (H, W) read-only, and confidence 0 to 1."""

    index: int
    mask: np.ndarray
    confidence: float


@dataclass(frozen=True, eq=False)
class Propagation:
    """What one propagation gave.

    Attributes:
        axis, start: the plane it started from.
        masks: slice index -> bool (H, W), read-only; neither the start nor other confirmed planes are among them.
        confidences: slice index -> agreement with the moved mask of the plane before times likeness to the start.
        cancelled: whether it was stopped from outside; the planes done until then are kept.
    """

    axis: int
    start: int
    masks: Mapping[int, np.ndarray]
    confidences: Mapping[int, float]
    cancelled: bool


def propagate_planes(
    model: Model,
    start: int,
    start_mask: np.ndarray,
    indices: Sequence[int],
    plane_of: Callable[[int], PlaneEncoder],
    confirmed: Callable[[int], np.ndarray | None],
    policy: PropagationPolicy,
) -> Iterator[PropagatedPlane]:
    """Carry the mask `start_mask`, bool (H, W), along `indices`, one plane at a time, until the object ends.

    Args:
        start: index of the plane that the mask was accepted on; the object's appearance is learnt there.
        plane_of: image and embeddings of the plane at an index.
        confirmed: mask bool (H, W) of a plane that the user has confirmed, else None. Such a plane is not predicted:
            its mask is the new starting point, and the appearance is learnt there anew.
    """
    before, mask = start, start_mask
    context: AppearanceContext | None = None
    for index in indices:
        fixed = confirmed(index)
        if fixed is not None:
            before, mask, context = index, fixed, None
            continue
        if not mask.any():
            return
        context = context or learn_context(model, mask, plane_of(before), policy)
        plane = next_plane(model, context, mask, plane_of(before), index, plane_of(index), policy)
        if plane is None:
            return
        yield plane
        before, mask = index, plane.mask


def learn_context(
    model: Model, mask: np.ndarray, encoder: PlaneEncoder, policy: PropagationPolicy
) -> AppearanceContext:
    """The appearance of an accepted plane's non-empty mask (H, W), in the window that the next plane is seen in."""
    window = _window(mask, _prompts(model, mask, policy), policy)
    return AppearanceContext.fit(encoder(window), mask[_slices(window)], policy.context_ridge)


def next_plane(
    model: Model,
    context: AppearanceContext,
    before: np.ndarray,
    encoder_before: PlaneEncoder,
    index: int,
    encoder: PlaneEncoder,
    policy: PropagationPolicy,
) -> PropagatedPlane | None:
    """The plane beside one with the non-empty mask `before`, bool (H, W); None where the object has ended."""
    distance = torch.from_numpy(carried(before, encoder_before.image, encoder.image)) / _unit(before)
    moved = binarize(distance.numpy())
    if not moved.any():
        return None
    prompts = _prompts(model, moved, policy)
    window = _window(moved, prompts, policy)
    here = _slices(window)
    embedding = encoder(window)
    score = context.score(embedding)
    likeness = min(max((1.0 + float(score[torch.from_numpy(moved[here])].mean())) / 2.0, 0.0), 1.0)
    if likeness < policy.min_likeness:
        return None
    told = prompts if window is None else prompts_in(prompts, window)
    prior = (policy.prior_gain * distance[here]).clamp(-policy.prior_limit, policy.prior_limit)
    seen = policy.model_weight * _decode(model, embedding, told, prior, policy) + policy.context_weight * score
    logits = distance.clamp(-policy.motion_limit, policy.motion_limit)[here] - policy.shrinkage + seen
    whole = logits if window is None else paste(distance, window, logits)
    mask = binarize(drop_strays(whole, moved).numpy())
    if not mask.any() or mask.sum() < policy.min_area_ratio * before.sum():
        return None
    mask.flags.writeable = False
    return PropagatedPlane(index, mask, dice(moved, mask) * likeness)


def drop_strays(logits: torch.Tensor, before: np.ndarray) -> torch.Tensor:
    """Logits (H, W) without the parts of their mask that share no pixel with the moved mask of the plane before."""
    parts, _ = label(binarize(logits.numpy()))
    strays = (parts > 0) & ~np.isin(parts, parts[before])
    return torch.where(torch.from_numpy(strays), OUTSIDE_LOGIT, logits)


def prompts_from(mask: np.ndarray, policy: PropagationPolicy) -> Prompts:
    """The prompts that a non-empty mask (H, W) gives for the plane beside it."""
    x0, y0, x1, y1 = mask_bounds(mask) or (0, 0, mask.shape[1] - 1, mask.shape[0] - 1)
    margin = 0.5 + max(policy.min_box_margin, policy.box_margin * (max(x1 - x0, y1 - y0) + 1))
    height, width = mask.shape
    box = Box(
        max(-0.5, x0 - margin), max(-0.5, y0 - margin), min(width - 0.5, x1 + margin), min(height - 0.5, y1 + margin)
    )
    return Prompts((innermost(mask),) if policy.inner_click else (), box)


def innermost(mask: np.ndarray) -> Click:
    """A positive click at the pixel of a mask (H, W) that is farthest from its outside; the image border is outside."""
    row, column = np.unravel_index(int(depth(mask).argmax()), mask.shape)
    return Click(float(column), float(row))


def gather(
    axis: int,
    start: int,
    directions: Sequence[Iterator[PropagatedPlane]],
    lengths: Sequence[int],
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> Propagation:
    """Run the directions one after the other, report each plane and stop at any plane when `cancelled` says so.

    Args:
        lengths: most planes each direction can give; when one ends early, its rest leaves the total.
    """
    masks: dict[int, PackedMask] = {}
    confidences: dict[int, float] = {}
    total = sum(lengths)
    stopped = False
    for planes, length in zip(directions, lengths):
        before = len(masks)
        while not (stopped := cancelled is not None and cancelled()):
            plane = next(planes, None)
            if plane is None:
                break
            masks[plane.index], confidences[plane.index] = PackedMask.of(plane.mask), plane.confidence
            if progress is not None:
                progress(len(masks), total, plane.confidence)
        if stopped:
            break
        total -= length - (len(masks) - before)
    return Propagation(axis, start, PackedMasks(masks), MappingProxyType(confidences), stopped)


def _prompts(model: Model, before: np.ndarray, policy: PropagationPolicy) -> Prompts:
    return Prompts() if model.follows_prior else prompts_from(before, policy)


def _window(before: np.ndarray, prompts: Prompts, policy: PropagationPolicy) -> CropWindow | None:
    height, width = before.shape
    return None if policy.zoom is None else choose_window(before, prompts, (height, width), policy.zoom)


def _slices(window: CropWindow | None) -> tuple[slice, slice]:
    return (slice(None), slice(None)) if window is None else window.slices


def _unit(mask: np.ndarray) -> float:
    """Pixels in one unit of distance: one, or a sixteenth of the equivalent radius of a mask (H, W)."""
    return max(1.0, math.sqrt(int(mask.sum()) / math.pi) / 16)


def _decode(
    model: Model, embedding: Embedding, prompts: Prompts, prior: torch.Tensor, policy: PropagationPolicy
) -> torch.Tensor:
    """The model's best logits on the embedding's plane, held within the limit, float32 (h, w) on the CPU."""
    with torch.no_grad():
        decoding = model.decode(embedding, prompts, to_prior(prior.to(model.device), embedding, model.mask_side))
        logits = to_plane(decoding.logits[decoding.best], embedding).float().cpu()
    return logits.clamp(-policy.model_limit, policy.model_limit)
