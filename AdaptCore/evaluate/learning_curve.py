"""The picture of learning: clicks an image over the sequence, one panel a target and one line an arm."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

LINES = (
    ("#000000", "-"),
    ("#d55e00", "-"),
    ("#0072b2", "--"),
    ("#009e73", "-."),
    ("#cc79a7", ":"),
    ("#56b4e9", (0, (5, 1))),
    ("#e69f00", (0, (1, 1))),
)
"""Colours of Okabe and Ito, told apart by colour-blind readers, each with a dash pattern of its own."""

PANEL_INCHES = (3.6, 2.6)
MOST_COLUMNS = 3
DOTS_PER_INCH = 110


def running_mean(values: Sequence[float]) -> np.ndarray:
    """Mean of the values around each, a fifth of the sequence wide and narrower at its ends; float64 (N,)."""
    reach = max(1, len(values) // 10)
    sums = np.concatenate(([0.0], np.cumsum(values)))
    ends = np.minimum(np.arange(len(values)) + reach + 1, len(values))
    starts = np.maximum(np.arange(len(values)) - reach, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def learning_curves(clicks: Mapping[str, Mapping[str, Sequence[float]]]) -> bytes:
    """PNG of clicks an image over the sequence, smoothed.

    Args:
        clicks: by panel (target) and line (arm), in the order of the sequence.
    """
    columns = min(MOST_COLUMNS, len(clicks))
    rows = -(-len(clicks) // columns)
    figure = Figure(figsize=(PANEL_INCHES[0] * columns, PANEL_INCHES[1] * rows + 0.4), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels[len(clicks) :]:
        panel.set_axis_off()
    for panel, (title, lines) in zip(panels, clicks.items()):
        _draw(panel, title, lines)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 2 * columns), frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _draw(panel: Axes, title: str, lines: Mapping[str, Sequence[float]]) -> None:
    for (colour, dashes), (label, values) in zip(LINES, lines.items()):
        panel.plot(np.arange(1, len(values) + 1), running_mean(values), color=colour, linestyle=dashes, label=label)
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("image")
    panel.set_ylabel("clicks")
    panel.set_ylim(bottom=0)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
