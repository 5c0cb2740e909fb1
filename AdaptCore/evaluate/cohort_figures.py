"""Figures, tables and picture of the cohort benchmark."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from AdaptCore.evaluate import metrics
from AdaptCore.evaluate.learning_curve import DOTS_PER_INCH, LINES
from AdaptCore.evaluate.tables import text_table

WANTED_SHARES = (0.95, 0.98)
"""Of full supervision's Dice, at which labels are counted."""

PROTOTYPES = "class prototypes"
REGISTRATION = "registration of intensities"
SIMILARITY = "local similarity"
DEFORMATION = "deformation"
COARSE = "local similarity and deformation"
CARRIED = (PROTOTYPES, REGISTRATION, SIMILARITY, DEFORMATION, COARSE)
"""Ways to carry a label over; with the last one the rounds begin."""

TYPICAL_FIRST = "ours, first case too"
"""Queries of ours that begin with a typical case, not with one drawn by chance."""

Curve = Sequence[tuple[int, float]]
"""Pairs of a number of labels and a Dice."""


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Mean, lowest and highest of repetitions, and the values."""
    return {
        "mean": float(np.mean(values)),
        "low": float(min(values)),
        "high": float(max(values)),
        "values": [float(value) for value in values],
    }


def gap_closed(coarse: float, final: float, full: float) -> float | None:
    """Share of the way from coarse labels to full supervision; None where there is no way to go."""
    return (final - coarse) / (full - coarse) if full > coarse else None


def labels_needed(curve: Curve, wanted: float) -> float | None:
    """Labels at which a curve first reaches a Dice, along straight lines between its points; None if never."""
    before: tuple[int, float] | None = None
    for labels, dice in curve:
        if dice >= wanted:
            if before is None:
                return float(labels)
            return float(before[0] + (labels - before[0]) * (wanted - before[1]) / (dice - before[1]))
        before = (labels, dice)
    return None


def one_label_figures(variants: Mapping[str, Sequence[float]], rounds: int, full: float) -> dict[str, Any]:
    """Figures of the one-label part.

    Args:
        variants: Dice of every variant for each template; `COARSE`, and "round 1" to the last of all parts, among them.
            The first round gives the result: later ones, without new labels, are measured beside it.

    Returns:
        {"coarse", "rounds": [...], "one_label", "gap_closed": means over the templates, "gap_closed_from": {way of
        `CARRIED`: share of its gap}, "spread": {"coarse", "one_label", "gap_closed": as `spread`}, "ablation":
        {variant: as `spread`}}.
    """
    ablation = {name: spread(values) for name, values in variants.items()}
    final = ablation["round 1"]
    coarse = ablation[COARSE]
    closed = [gap_closed(low, high, full) for low, high in zip(coarse["values"], final["values"])]
    known = [value for value in closed if value is not None]
    return {
        "coarse": coarse["mean"],
        "rounds": [ablation[f"round {number}"]["mean"] for number in range(1, rounds + 1)],
        "one_label": final["mean"],
        "gap_closed": gap_closed(coarse["mean"], final["mean"], full),
        "gap_closed_from": {
            way: gap_closed(ablation[way]["mean"], final["mean"], full) for way in CARRIED if way in ablation
        },
        "spread": {"coarse": coarse, "one_label": final, "gap_closed": spread(known) if known else None},
        "ablation": ablation,
    }


def query_figures(curves: Mapping[Any, Sequence[Curve]], full: float, seed: int) -> dict[str, Any]:
    """Mean curves of all methods and the labels they need for `WANTED_SHARES` of full supervision's Dice.

    Args:
        curves: one for each run, in the same order for every method.
        full: on the volumes that the curves are measured on.

    Returns:
        {"queries": {method: [[labels, mean Dice], ...]}, "needed": {share: {method: labels of each run or None where
        the last budget is not enough}}, "share": {share: {method: {"value", "low", "high"} of the labels that chance
        needs, over runs in which both arrive, or None}}}.
    """
    needed = {
        f"{wanted:.2f}": {
            method: [labels_needed(curve, wanted * full) for curve in runs] for method, runs in curves.items()
        }
        for wanted in WANTED_SHARES
    }
    return {
        "queries": {method: np.mean(np.asarray(runs, float), axis=0).tolist() for method, runs in curves.items()},
        "needed": needed,
        "share": {
            wanted: {method: _share(of[method], of["random"], seed) for method in curves if method != "random"}
            for wanted, of in needed.items()
        },
    }


def report(result: Mapping[str, Any]) -> str:
    """Tables for people."""
    tables = [f"full supervision: {result['full']:.3f}, on what queries are measured on {result['full_queried']:.3f}"]
    if "ablation" in result:
        rows = [[name, of["mean"], of["low"], of["high"]] for name, of in result["ablation"].items()]
        tables.append(text_table(["from one label", "Dice", "lowest", "highest"], rows))
        closed = {
            way: "-" if share is None else f"{100 * share:.0f} %" for way, share in result["gap_closed_from"].items()
        }
        tables.append(
            "gap to full supervision closed, from " + "; ".join(f"{way} {share}" for way, share in closed.items())
        )
    if "queries" in result:
        budgets = [str(int(labels)) for labels, _ in next(iter(result["queries"].values()))]
        rows = [[method, *(dice for _, dice in curve)] for method, curve in result["queries"].items()]
        tables.append(text_table(["Dice with labels", *budgets], rows))
        for wanted, of in result["share"].items():
            arrived = {name: share for name, share in of.items() if share is not None}
            tables.append(
                f"labels for {100 * float(wanted):.0f} % of full supervision, as a share of those that chance needs: "
                + "; ".join(
                    f"{name} {share['value']:.2f} [{share['low']:.2f}, {share['high']:.2f}]"
                    for name, share in arrived.items()
                )
            )
    if "semi" in result:
        rows = [[name, of["mean"], of["low"], of["high"]] for name, of in result["semi"].items()]
        tables.append(text_table(["unlabelled cases used", "Dice", "lowest", "highest"], rows))
    return "\n\n".join(tables)


def picture(result: Mapping[str, Any]) -> bytes:
    """PNG of Dice against the number of labels, on the volumes that queries are measured on."""
    figure = Figure(figsize=(6.0, 4.0), layout="constrained")
    axes = figure.subplots()
    for (colour, dashes), (method, curve) in zip(LINES, result.get("queries", {}).items()):
        labels, dice = zip(*curve)
        axes.plot(labels, dice, color=colour, linestyle=dashes, marker="o", markersize=3, label=method)
    full = result["full_queried"]
    axes.axhline(full, color="#777777", linewidth=1, label="network with all labels")
    for share in WANTED_SHARES:
        axes.axhline(share * full, color="#777777", linewidth=1, linestyle=":")
        axes.annotate(f"{100 * share:.0f} %", (1.0, share * full), xycoords=("axes fraction", "data"), fontsize=7)
    axes.set_xlabel("labelled volumes")
    axes.set_ylabel("mean Dice of the classes, each third test volume")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()


def _share(needed: Sequence[float | None], chance: Sequence[float | None], seed: int) -> dict[str, float] | None:
    """Ratio of the labels needed by two methods in the same runs, with a 95 % bootstrap interval over the runs."""
    pairs = [(own, other) for own, other in zip(needed, chance) if own is not None and other is not None]
    if not pairs:
        return None
    own, other = (metrics.bootstrap_means(values, seed=seed) for values in zip(*pairs))
    low, high = metrics.percentile_interval(own / other)
    return {"value": sum(one for one, _ in pairs) / sum(one for _, one in pairs), "low": low, "high": high}
