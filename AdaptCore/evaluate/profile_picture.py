"""The picture of one profile: each component's weight, and where it lies along the leading axes, against the prior."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from AdaptCore.evaluate.learning_curve import DOTS_PER_INCH
from AdaptCore.preference.mixture import Mixture

BEFORE, NOW = "#9a9a9a", "#0072b2"
AXES = 4
MOST_ROWS = 12
APART = 0.17
"""Rows between a component's prior and its present state, to either side of its place."""


def profile_picture(prior: Mixture, present: Mixture, noticeable: float) -> bytes:
    """PNG with a row for each component that weighs at least `noticeable` before or now, the heaviest on top.

    The first panel shows weights, the others mean and standard deviation along one axis of z each: grey before any
    pick, blue now.
    """
    weights = np.maximum(prior.weights, present.weights)
    heaviest_first = np.argsort(-present.weights, kind="stable")
    least = min(noticeable, weights.max())
    shown = heaviest_first[weights[heaviest_first] >= least][:MOST_ROWS]
    axes = leading_axes(prior, present)
    figure = Figure(figsize=(3.0 + 1.9 * len(axes), 1.6 + 0.5 * len(shown)), layout="constrained")
    panels = figure.subplots(1, 1 + len(axes), sharey=True, width_ratios=[1.2] + [1.0] * len(axes))
    rows = np.arange(len(shown))
    _draw_weights(panels[0], rows, prior.weights[shown], present.weights[shown])
    panels[0].set_yticks(rows, [f"component {component + 1}" for component in shown])
    panels[0].set_ylim(len(shown) - 0.45, -0.55)
    for panel, axis in zip(panels[1:], axes):
        for mixture, colour, place in ((prior, BEFORE, -APART), (present, NOW, APART)):
            _draw_means(panel, rows + place, mixture, shown, axis, colour)
        panel.set_xlabel(f"z{axis + 1}")
        panel.grid(axis="x", alpha=0.3)
        panel.tick_params(axis="y", length=0)
        panel.set_xlim(*_limits(prior, present, shown, axes))
    for panel in panels:
        for between in rows[1:] - 0.5:
            panel.axhline(between, color="black", alpha=0.25, linewidth=0.8)
    left_out = 1 - present.weights[shown].sum()
    others = present.components - len(shown)
    figure.suptitle(
        f"mean ± standard deviation of z; {others} lighter components with a weight of {left_out:.2f} are left out"
        if others
        else "mean ± standard deviation of z",
        fontsize=9,
    )
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def leading_axes(prior: Mixture, present: Mixture) -> list[int]:
    """Those along which the prior spreads most or the present mixture has moved most, in order of z."""
    centre = prior.weights @ prior.means
    spread = prior.weights @ (prior.variances + (prior.means - centre) ** 2)
    moved = present.weights @ (present.means - prior.means) ** 2
    return sorted(np.argsort(-(spread + moved), kind="stable")[:AXES].tolist())


def _draw_weights(panel: Axes, rows: np.ndarray, before: np.ndarray, now: np.ndarray) -> None:
    panel.barh(rows - APART, before, height=2 * APART, color=BEFORE, label="before any pick")
    panel.barh(rows + APART, now, height=2 * APART, color=NOW, label="now")
    panel.set_xlim(0, 1)
    panel.set_xlabel("weight")
    panel.grid(axis="x", alpha=0.3)
    panel.set_axisbelow(True)


def _limits(prior: Mixture, present: Mixture, shown: np.ndarray, axes: list[int]) -> tuple[float, float]:
    """Of all panels alike, so that moves along different axes can be compared."""
    means = np.stack([mixture.means[shown][:, axes] for mixture in (prior, present)])
    deviations = np.sqrt([mixture.variances[shown][:, axes] for mixture in (prior, present)])
    low, high = float((means - deviations).min()), float((means + deviations).max())
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def _draw_means(panel: Axes, places: np.ndarray, mixture: Mixture, shown: np.ndarray, axis: int, colour: str) -> None:
    panel.errorbar(
        mixture.means[shown, axis],
        places,
        xerr=np.sqrt(mixture.variances[shown, axis]),
        fmt="o",
        color=colour,
        markersize=4,
        elinewidth=2,
    )
