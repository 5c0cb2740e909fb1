"""The tables that the benchmark of learning prints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from AdaptCore.evaluate.adapt import BOTH, FROZEN
from AdaptCore.evaluate.adapt_figures import POOLED, REDUCED, TITLES
from AdaptCore.evaluate.tables import text_table


def report(figures: Mapping[str, Any]) -> str:
    """Tables of `adapt_figures.figures`: arms of each target, arms over all images, reductions, noise."""
    parts = [_targets_table(figures["targets"]), _pooled_tables("all images", figures["pooled"])]
    if "pooled_not_tuned" in figures:
        parts.append(_pooled_tables(f"without {', '.join(figures['tuned'])}", figures["pooled_not_tuned"]))
    if "noise" in figures:
        parts.append(_noise_table(figures["noise"]))
    return "\n\n".join(parts)


def comparison(recipes: Mapping[str, Mapping[str, Any]]) -> str:
    """One row of pooled figures a recipe, with both steps where they were run, and how much less than frozen it is."""
    rows: list[list[object]] = []
    for name, figures in recipes.items():
        arms, reduction = figures["pooled"]["arms"], figures["pooled"]["reduction"]
        arm = BOTH if BOTH in arms else list(arms)[-1]
        rows.append(
            [f"{name} {arm}", *(arms[arm][key] for key in POOLED), *(_percent(reduction.get(key)) for key in REDUCED)]
        )
    return text_table(
        ["recipe", *(TITLES[key] for key in POOLED), *(f"less {TITLES[key]}" for key in REDUCED)],
        rows,
    )


def sequence_report(figures: Mapping[str, Any]) -> str:
    """Tables of `adapt_long.sequence_figures`: clicks of each block and of all, lessons of each arm."""
    arms = figures["arms"]
    rows: list[list[object]] = [
        [f"{number}. {block['target']}", block["n"], *block["clicks"].values()]
        for number, block in enumerate(figures["blocks"], start=1)
    ]
    rows.append(["all", sum(block["n"] for block in figures["blocks"]), *(of["clicks"] for of in arms.values())])
    table = text_table(["clicks in block", "n", *arms], rows)
    return f"{table}\n{figures['images']} different images"


def soak_report(figures: Mapping[str, Any]) -> str:
    """Table of `adapt_long.soak`."""
    rows = [
        [f"quarter {number}", *(f"{value:.0f}" for value in values)]
        for number, values in enumerate(zip(*(figures[key] for key in ("post_ms", "post_cpu_ms", "peak_mb"))), start=1)
    ]
    return text_table([f"{figures['images']} accepted images", "post ms", "post CPU ms", "peak MB"], rows)


def _targets_table(targets: Mapping[str, Any]) -> str:
    rows: list[list[object]] = []
    for name, part in targets.items():
        for arm, of in part["arms"].items():
            change = _change(of["clicks"], part["arms"].get(FROZEN, {}).get("clicks"))
            spread = " ".join(f"{value:.1f}" for value in of["quarters"])
            times = (f"{of[key]:.0f}" for key in ("mid_ms", "post_ms"))
            rows.append([f"{name} {arm}", of["n"], *(of[key] for key in TITLES), change, spread, *times])
    header = ["target and arm", "n", *TITLES.values(), "change", "clicks by quarter", "mid ms", "post ms"]
    return text_table(header, rows)


def _pooled_tables(title: str, part: Mapping[str, Any]) -> str:
    arms = [[arm, *(of[key] for key in POOLED)] for arm, of in part["arms"].items()]
    tables = [text_table([title, *(TITLES[key] for key in POOLED)], arms)]
    if part["reduction"]:
        rows = [
            [TITLES[key], *(_percent(of, bound) for bound in ("value", "low", "high"))]
            for key, of in part["reduction"].items()
        ]
        tables.append(text_table(["less than frozen", "value", "95 % from", "to"], rows))
    return "\n\n".join(tables)


def _noise_table(noise: Mapping[str, Any]) -> str:
    rows = [
        [f"{name} {arm}", f"{of['all']:+.3f}", f"{of['last_quarter']:+.3f}", "passed" if of["passed"] else "FAILED"]
        for name, arms in noise["targets"].items()
        for arm, of in arms.items()
    ]
    return text_table([f"Dice@1 over frozen, {noise['kind']}", "all", "last quarter", ""], rows)


def _change(clicks: float, frozen: float | None) -> str:
    return "" if frozen is None else f"{100 * (clicks / frozen - 1):+.1f} %"


def _percent(reduction: Mapping[str, float | None] | None, bound: str = "value") -> str:
    share = reduction[bound] if reduction else None
    return "-" if share is None else f"{100 * share:.1f} %"
