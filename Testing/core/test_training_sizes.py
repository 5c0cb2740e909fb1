"""Calibration of the sizes: seeded clicks, and weights that choose what agrees best with what was meant."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch

from AdaptCore.predict.sizes import SCAN, Evidence
from AdaptCore.training.calibration import Sample, Table, calibrated, held_out, report
from AdaptCore.training.sizes import Recipe, calibrate, samples
from Testing.tiny_model import tiny_model

FEATURES = [part.name for part in fields(Evidence)]
SMALL = Recipe(
    wide_scenes=2,
    filled_scenes=2,
    textures=3,
    wide_sides=(96,),
    filled_side=64,
    least_side=16,
    wide_targets=2,
)


def made_up(count: int, seed: int = 0) -> list[Sample]:
    """Clicks whose IoU grows with the score and falls with the fill; the other evidence is chance."""
    rng = np.random.default_rng(seed)
    clicks = []
    for number in range(count):
        evidence = rng.standard_normal((2 + number % 3, len(FEATURES)))
        merit = 2 * evidence[:, FEATURES.index("score")] - evidence[:, FEATURES.index("fill")]
        clicks.append(Sample(number, evidence, 1 / (1 + np.exp(-merit))))
    return clicks


@pytest.mark.parametrize("wide", [True, False])
def test_clicks_are_seeded_and_each_size_has_its_evidence(wide: bool) -> None:
    one, other = (list(samples(tiny_model(), wide, 5, SMALL)) for _ in range(2))
    assert len(one) >= 2
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first.evidence, second.evidence)
        assert first.evidence.shape == (len(first.iou), len(FEATURES)) and len(first.iou) >= 2
        assert list(first.evidence[:, FEATURES.index("whole")]) == [1.0] + [0.0] * (len(first.iou) - 1)
        steps = np.diff(first.evidence[:, FEATURES.index("share")])
        assert np.allclose(steps[1:], np.log(0.5), atol=0.15), "each window is half as large as the one before"


def test_calibrated_weights_choose_what_agrees_best() -> None:
    table = Table.of(made_up(400))
    weights = calibrated(table, 1e-3)
    score, fill = (float(weights[FEATURES.index(name)]) for name in ("score", "fill"))
    assert score > 2 and fill < -1 and score / -fill == pytest.approx(2, rel=0.25)
    best = table.iou.masked_fill(~table.present, -1).amax(1)
    assert float(table.chosen(weights).mean()) > 0.98 * float(best.mean())
    assert held_out(made_up(400), 1e-3) > 0.97 * float(best.mean())


def test_sizes_that_a_click_does_not_have_are_never_chosen() -> None:
    table = Table.of(made_up(30))
    odds = table.odds(torch.ones(len(FEATURES), dtype=torch.float64))
    assert not odds[~table.present].any() and torch.allclose(odds.sum(1), torch.ones(30, dtype=torch.float64))


def test_report_is_code_that_can_be_pasted() -> None:
    first, second = report("SCAN", made_up(60), SCAN, 1e-3, "whole plane").splitlines()
    name, _, code = first.partition(" = ")
    pasted = eval(code, {"Evidence": Evidence})
    assert name == "SCAN" and isinstance(pasted, Evidence) and pasted.score > 1
    assert second.startswith("IoU of 60 clicks: whole plane 0.")


def test_both_sets_of_weights_are_calibrated_scene_by_scene() -> None:
    done: list[int] = []
    found = calibrate(tiny_model(), SMALL, 5, lambda: done.append(1))
    assert len(done) == 4
    assert [line.split(" ")[0] for line in found.splitlines()] == ["SCAN", "IoU", "PICTURE", "IoU"]
