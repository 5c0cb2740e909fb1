"""The simulated user: clicks where the prediction is most wrong."""

from __future__ import annotations

import zlib

import numpy as np

from AdaptCore.predict.masks import depth
from AdaptCore.prompts import Click


def next_click(truth: np.ndarray, prediction: np.ndarray, rng: np.random.Generator) -> Click | None:
    """Click in the middle of the thickest error, as a user does who repairs the worst place first.

    The Euclidean distance transforms of the false-negative and of the false-positive region are compared; the click
    goes to the maximum of the larger one, positive on missed object and negative on false object. What lies beyond the
    image border counts as outside. Pixels that tie (of either region) are drawn from `rng`.

    Args:
        truth: bool (H, W), the wanted mask.
        prediction: bool (H, W), the present mask; an empty one gives the first click, which lies on the object.
        rng: the only source of chance.

    Returns:
        The click at integer (x, y) pixel coordinates, or None when the masks are equal.

    Source: the usual simulation of interactive segmentation (RITM, Sofiiuk et al. 2022, section 4), ties ours.
    """
    missed, wrong = depth(truth & ~prediction), depth(prediction & ~truth)
    deepest = max(missed.max(), wrong.max())
    if deepest == 0:
        return None
    rows, columns = np.nonzero(np.maximum(missed, wrong) == deepest)
    chosen = rng.integers(len(rows)) if len(rows) > 1 else 0
    row, column = int(rows[chosen]), int(columns[chosen])
    return Click(float(column), float(row), positive=bool(truth[row, column]))


def rng_for(seed: int, item_id: str) -> np.random.Generator:
    """The user's chance on one item: the same whatever other items are run, and for every model."""
    return np.random.default_rng([seed, zlib.crc32(item_id.encode())])
