"""The picture of a training's table: loss and IoUs over the minutes."""

from __future__ import annotations

import io
from pathlib import Path

from matplotlib.figure import Figure

from AdaptCore.atomic import write_bytes


def draw_table(lines: list[str], path: Path) -> None:
    """Draw the table's loss and IoUs over the minutes.

    Raises:
        OutputError: the picture cannot be written.
    """
    head, *rows = (line.split(",") for line in lines)
    columns = {name: [float(row[place]) for row in rows] for place, name in enumerate(head)}
    figure = Figure(figsize=(9, 3.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(columns["minutes"], columns["loss"])
    for name in (name for name in head if name.startswith("iou")):
        right.plot(columns["minutes"], columns[name], label=name)
    right.legend()
    for axes, title in ((left, "loss of training prompts"), (right, "IoU")):
        axes.set(xlabel="minutes", title=title)
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    write_bytes(path, content.getvalue())
