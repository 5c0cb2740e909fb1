"""The benchmark of the panel measures what it says, on a small volume."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.slow
def test_everything_is_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("PySide6.QtWidgets", reason="PySide6 cannot be loaded", exc_type=ImportError)
    from Testing import bench_panel

    monkeypatch.setattr(bench_panel, "SHAPE", (64, 64, 40))
    monkeypatch.setattr(bench_panel, "BALLS", ((20, 22, 14, 9), (42, 40, 26, 9)))
    monkeypatch.setattr(bench_panel, "ROUNDS", 2)
    monkeypatch.setattr(bench_panel, "PROPAGATED", 1)
    found = bench_panel.figures(bench_panel.measure())
    counts = {name: of["n"] for name, of in found.items()}
    assert (counts["opening"], counts["click"], counts["further_click"], counts["plane_change"]) == (1, 2, 2, 2)
    assert (counts["click_task"], counts["accept"]) == (3, 3), "two balls twice, the first one is a warm-up"
    assert (counts["object_click"], counts["object_further_click"], counts["object_accept"]) == (2, 2, 2)
    assert counts["beats_object_click"] > 1 and counts["beats_object_further_click"] > 1
    assert counts["beats_propagation"] > 1 and counts["beats_learning"] > 10
    assert all(0 < of["median"] <= of["p95"] <= of["longest"] for of in found.values())


def test_first_of_several_times_is_a_warm_up(slicer_libraries: None) -> None:
    from Testing.bench_panel import figures

    assert figures({"a": [9.0, 1.0, 3.0], "b": [5.0]}) == {
        "a": {"median": 2.0, "p95": 2.9, "longest": 3.0, "n": 2},
        "b": {"median": 5.0, "p95": 5.0, "longest": 5.0, "n": 1},
    }
