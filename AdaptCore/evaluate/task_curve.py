"""The picture of one task's history: how well the first answer fitted, with what was learnt and without."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from AdaptCore.adapt.history import Event, Opener, Outcome
from AdaptCore.evaluate.learning_curve import DOTS_PER_INCH, LINES, running_mean

INCHES = (6.4, 3.4)
MARKS = {Event.ROLLED_BACK: "v", Event.CONTRADICTORY: "x", Event.RETURNED: "s"}
"""Markers at the bottom for what was not learnt."""


def task_curve(history: Sequence[Outcome]) -> bytes:
    """PNG of the first answer's IoU over the accepted images, adapted and frozen, as points and running means.

    An accepted mask favours the model that opened the object; a ring shows which one did.
    """
    figure = Figure(figsize=INCHES, layout="constrained")
    panel = figure.subplots()
    places = np.arange(1, len(history) + 1)
    arms = (("with what was learnt", [one.adapted for one in history]), ("frozen", [one.frozen for one in history]))
    for (label, values), (colour, _), dashes in zip(arms, LINES[1:], ("-", "--")):
        panel.plot(places, values, ".", color=colour, alpha=0.35)
        panel.plot(places, running_mean(values), color=colour, linestyle=dashes, label=label)
    for opener, (colour, _) in zip((Opener.ADAPTED, Opener.FROZEN), LINES[1:]):
        opened = [(place, getattr(one, opener.value)) for place, one in zip(places, history) if one.opener is opener]
        if opened:
            panel.plot(*zip(*opened), "o", color=colour, fillstyle="none", label=f"opened by the {opener.value} model")
    for event, marker in MARKS.items():
        marked = [place for place, one in zip(places, history) if one.event is event]
        if marked:
            panel.plot(marked, [0.02] * len(marked), marker, color="black", label=event.value)
    panel.set_xlabel("accepted image")
    panel.set_ylabel("IoU of the first answer with the accepted mask")
    panel.set_ylim(0, 1)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.grid(alpha=0.3)
    panel.legend(loc="best", frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
