"""Propagation: an accepted plane's mask is carried to its neighbours, plane by plane, until the object ends (ours)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt

from AdaptCore.models.base import Model
from AdaptCore.predict.plane import EmbeddingSource, Look, binarize, predict_plane, predict_window
from AdaptCore.predict.zoom import ZoomPolicy, choose_window, mask_bounds
from AdaptCore.prompts import Box, Click, Prompts

Progress = Callable[[int, int, float], None]
"""Called with (planes done, planes there can be at most, confidence of the latest plane)."""


@dataclass(frozen=True)
class PropagationPolicy:
    """What the next plane is asked and when the object has ended.

    Attributes:
        box_margin: the previous mask's box grows on each side by this share of its longer side.
        min_box_margin: and by at least this many pixels.
        inner_click: give a positive click at the previous mask's innermost point.
        prior_limit: previous logits are held between minus and plus this value.
        min_confidence: a plane less confident than this ends the direction.
        min_area_ratio: so does a mask smaller than this share of the previous one.
        zoom: second look, in a window around the previous mask; None decodes whole planes.
    """

    box_margin: float = 0.1
    min_box_margin: float = 2.0
    inner_click: bool = True
    prior_limit: float = 6.0
    min_confidence: float = 0.35
    min_area_ratio: float = 0.1
    zoom: ZoomPolicy | None = field(default_factory=ZoomPolicy)


@dataclass(frozen=True, eq=False)
class PropagatedPlane:
    """One plane's result: its slice index, mask bool (H, W) read-only, logits float32 (H, W) and confidence 0 to 1."""

    index: int
    mask: np.ndarray
    logits: torch.Tensor
    confidence: float


@dataclass(frozen=True, eq=False)
class Propagation:
    """What one propagation gave.

    Attributes:
        axis, start: the plane it started from.
        masks: slice index -> bool (H, W), read-only; neither the start nor other confirmed planes are among them.
        confidences: slice index -> predicted IoU times agreement with the plane before, 0 to 1.
        cancelled: whether it was stopped from outside; the planes done until then are kept.
    """

    axis: int
    start: int
    masks: Mapping[int, np.ndarray]
    confidences: Mapping[int, float]
    cancelled: bool


def propagate_planes(
    model: Model,
    start_logits: np.ndarray,
    indices: Sequence[int],
    embedding_of: Callable[[int], EmbeddingSource],
    confirmed: Callable[[int], np.ndarray | None],
    policy: PropagationPolicy,
) -> Iterator[PropagatedPlane]:
    """Carry the mask of `start_logits` (H, W) along `indices`, one plane at a time, until the object ends.

    Args:
        embedding_of: embeddings of the plane at an index.
        confirmed: logits (H, W) of a plane that the user has confirmed, else None. Such a plane is not predicted:
            its mask is the new starting point.
    """
    previous = torch.from_numpy(np.array(start_logits, dtype=np.float32))
    for index in indices:
        fixed = confirmed(index)
        if fixed is not None:
            previous = torch.from_numpy(np.array(fixed, dtype=np.float32))
            continue
        plane = next_plane(model, previous, index, embedding_of(index), policy)
        if plane is None:
            return
        yield plane
        previous = plane.logits


def next_plane(
    model: Model, previous: torch.Tensor, index: int, embedding_of: EmbeddingSource, policy: PropagationPolicy
) -> PropagatedPlane | None:
    """The plane beside one with logits `previous` (H, W); None where the object has ended."""
    before = binarize(previous.numpy())
    if not before.any():
        return None
    look = _look(model, before, previous, embedding_of, policy)
    mask = binarize(look.logits.numpy())
    confidence = look.score * dice(before, mask)
    if mask.sum() < policy.min_area_ratio * before.sum() or confidence < policy.min_confidence:
        return None
    mask.flags.writeable = False
    return PropagatedPlane(index, mask, look.logits, confidence)


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
    depth = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(depth.argmax()), mask.shape)
    return Click(float(column), float(row))


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Overlap of two masks, 0 to 1; two empty ones agree."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0


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
    done: list[PropagatedPlane] = []
    total = sum(lengths)
    stopped = False
    for planes, length in zip(directions, lengths):
        before = len(done)
        while not (stopped := cancelled is not None and cancelled()):
            plane = next(planes, None)
            if plane is None:
                break
            done.append(plane)
            if progress is not None:
                progress(len(done), total, plane.confidence)
        if stopped:
            break
        total -= length - (len(done) - before)
    return Propagation(
        axis,
        start,
        MappingProxyType({plane.index: plane.mask for plane in done}),
        MappingProxyType({plane.index: plane.confidence for plane in done}),
        stopped,
    )


def _look(
    model: Model, before: np.ndarray, previous: torch.Tensor, embedding_of: EmbeddingSource, policy: PropagationPolicy
) -> Look:
    prompts = Prompts() if model.follows_prior else prompts_from(before, policy)
    prior = Look(previous.clamp(-policy.prior_limit, policy.prior_limit), 1.0)
    height, width = before.shape
    if policy.zoom is not None:
        window = choose_window(before, prompts, (height, width), policy.zoom)
        if window is not None:
            return predict_window(model, embedding_of, prompts, prior, window, policy.zoom)
    return predict_plane(model, embedding_of, prompts, prior.logits)
