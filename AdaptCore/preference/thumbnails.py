"""Candidates as small pictures: what each adds to the recommended mask and what it removes.

Blue is added, orange is removed (colours of Okabe and Ito, told apart by colour-blind readers, here in lightness too),
the recommended mask has a white outline.
"""

from __future__ import annotations

import numpy as np
import torch

from AdaptCore.predict.masks import binarize
from AdaptCore.preference.candidates import Proposal

ADDED_COLOUR, REMOVED_COLOUR, OUTLINE_COLOUR = (0, 114, 178), (230, 159, 0), (255, 255, 255)
COVER = 0.7
"""How much of the grey picture a colour hides."""

SIDE = 96
MARGIN = 0.25
"""Space around all masks, as a share of the longer side of their box."""


def thumbnails(image: np.ndarray, proposal: Proposal, side: int = SIDE) -> tuple[np.ndarray, ...]:
    """A picture of each candidate, uint8 (side, side, 3), all of the same square of the image.

    Args:
        image: (H, W) or (H, W, 3) in [0, 1], of just what the maps (h, w) show, at any resolution.

    Raises:
        ValueError: an image of another shape.
    """
    if image.ndim not in (2, 3) or not image.size:
        raise ValueError(f"expected an image (H, W) or (H, W, 3), got shape {image.shape}")
    shown = binarize(proposal.logits)
    for candidate in proposal.candidates:
        shown = shown | candidate.added
    pictures = []
    for candidate in proposal.candidates:
        pictures.append(_picture(image, shown, proposal.logits, candidate.logits, side))
    return tuple(pictures)


def thumbnail(image: np.ndarray, before: np.ndarray, after: np.ndarray, side: int = SIDE) -> np.ndarray:
    """A picture of what a mask would change on one slice, uint8 (side, side, 3).

    Args:
        image: (H, W) or (H, W, 3) in [0, 1].
        before, after: bool (H, W), the recommended mask and the other one.
    """
    return _picture(image, before | after, before - 0.5, after - 0.5, side)


def _picture(image: np.ndarray, shown: np.ndarray, before: np.ndarray, after: np.ndarray, side: int) -> np.ndarray:
    """One picture of the square around `shown`; masks are where `before` and `after` are above zero."""
    grey, frame = image if image.ndim == 2 else image.mean(axis=2), _frame(shown)
    picture = np.repeat(_resampled(grey, frame, side)[..., None], 3, axis=2).clip(0, 1) * 255
    recommended, mask = (binarize(_resampled(logits, frame, side)) for logits in (before, after))
    _tint(picture, mask & ~recommended, ADDED_COLOUR)
    _tint(picture, recommended & ~mask, REMOVED_COLOUR)
    picture[recommended & ~_eroded(recommended)] = OUTLINE_COLOUR
    return np.rint(picture).astype(np.uint8)


def _frame(shown: np.ndarray) -> tuple[float, float, float, float]:
    """Centre (row, column) and size (rows, columns) of the square around all masks, in shares of the maps."""
    height, width = shown.shape
    if not shown.any():
        return 0.5, 0.5, 1.0, 1.0
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    pixels = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    pixels = min(pixels * (1 + 2 * MARGIN), max(height, width))
    row, column = (
        _inside((line[0] + line[-1] + 1) / 2, pixels, length) for line, length in ((rows, height), (columns, width))
    )
    return row / height, column / width, pixels / height, pixels / width


def _inside(centre: float, pixels: float, length: int) -> float:
    """The centre moved so far that `pixels` around it stay within the length, in its middle where they cannot."""
    return length / 2 if pixels >= length else float(min(max(centre, pixels / 2), length - pixels / 2))


def _resampled(array: np.ndarray, frame: tuple[float, float, float, float], side: int) -> np.ndarray:
    """The square of an array (H, W) at side x side points, bilinear; 0 outside of the array."""
    row, column, rows, columns = frame
    height, width = array.shape
    down, across = _tents(row, rows, height, side), _tents(column, columns, width, side)
    return np.asarray((down @ torch.from_numpy(array.astype(np.float32, copy=False)) @ across.T).numpy())


def _tents(centre: float, size: float, length: int, side: int) -> torch.Tensor:
    """Weights float32 (side, length) of linear interpolation along one axis of an array; none outside of it."""
    places = (centre + size * ((np.arange(side) + 0.5) / side - 0.5)) * length - 0.5
    apart = places.clip(0, length - 1)[:, None] - np.arange(length)
    within = (places > -0.5) & (places < length - 0.5)
    return torch.from_numpy((np.maximum(1 - abs(apart), 0) * within[:, None]).astype(np.float32))


def _eroded(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask whose four neighbours are in it too; outside of the picture counts as in it."""
    padded = np.pad(mask, 1, mode="edge")
    return padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:] & mask


def _tint(picture: np.ndarray, where: np.ndarray, colour: tuple[int, int, int]) -> None:
    picture[where] = (1 - COVER) * picture[where] + COVER * np.array(colour)
