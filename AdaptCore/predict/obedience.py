"""Obedience: a click is followed even where the model does not follow it (ours).

A model may leave a correction unanswered when many were given before. The logits around such a click are then moved
just so far that its pixel gets the wanted sign, less and less with the distance. The reach is the distance from the
click to the nearest pixel that already has its class: a simulated or careful user clicks the middle of an error, so
this is about the error's size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from AdaptCore.prompts import Prompts


@dataclass(frozen=True)
class ObediencePolicy:
    """How a disobeyed click is enforced (ours; tried on synthetic scenes, see docs/prediction.md).

    Attributes:
        logit: what the clicked pixel gets at least, with the click's sign.
        min_reach: shortest reach in pixels.
        max_reach: longest reach, as a share of the object's equivalent radius.
    """

    logit: float = 1.0
    min_reach: float = 1.5
    max_reach: float = 0.15


def obey(logits: np.ndarray, prompts: Prompts, policy: ObediencePolicy) -> np.ndarray:
    """Logits float32 (H, W) that have the wanted sign at every click; the given array is not changed."""
    obeyed = logits.copy()
    height, width = logits.shape
    rows, columns = np.array([click.place_in((height, width)) for click in prompts.clicks], np.intp).reshape(-1, 2).T
    signs = np.array([1.0 if click.positive else -1.0 for click in prompts.clicks])
    radius = math.sqrt(max(1, int(np.count_nonzero(logits > 0))) / math.pi)
    longest = max(policy.min_reach, policy.max_reach * radius)
    place = 0
    while (disobeyed := np.flatnonzero(policy.logit - signs[place:] * obeyed[rows[place:], columns[place:]] > 0)).size:
        place += int(disobeyed[0])
        _enforce(obeyed, int(rows[place]), int(columns[place]), float(signs[place]), longest, policy)
        place += 1
    return obeyed


def _enforce(logits: np.ndarray, row: int, column: int, sign: float, longest: float, policy: ObediencePolicy) -> None:
    """Give a pixel the wanted sign, as far as `policy.logit`, and move the logits around it, up to `longest` pixels."""
    lacking = policy.logit - sign * float(logits[row, column])
    margin = math.ceil(4 * longest)
    top, left = max(0, row - margin), max(0, column - margin)
    part = logits[top : row + margin + 1, left : column + margin + 1]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    away = (rows - row) ** 2 + (columns - column) ** 2
    nearest = away[sign * part > 0].min(initial=longest**2)
    reach = max(math.sqrt(nearest), policy.min_reach)
    part += (sign * lacking * np.exp(-away / (2 * reach**2))).astype(np.float32)
