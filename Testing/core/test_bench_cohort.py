"""The cohort benchmark: its figures, its parts, and the command."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.cli import main
from AdaptCore.cohort import atlases, network
from AdaptCore.cohort.features import Features
from AdaptCore.cohort.network import NetworkSettings
from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate import cohort
from AdaptCore.evaluate.cohort import Bench, CohortRules, chosen_templates, prepare
from AdaptCore.evaluate.cohort_figures import (
    gap_closed,
    labels_needed,
    one_label_figures,
    picture,
    query_figures,
    report,
)
from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.registration import registered_label
from AdaptCore.models.base import Model
from Testing.cohort_volumes import a_label, an_image
from Testing.toy_model import ToyModel

SHIFTS = [(0, 0, 0), (1, 0, 0), (-1, 1, 0), (0, -1, 1), (1, 1, -1), (0, 2, 0), (2, 0, 0)]


@pytest.fixture
def some_data(tmp_path: Path) -> Path:
    """A set of seven volumes."""
    for number, shift in enumerate(SHIFTS):
        label = a_label(shift)
        for part, array in (("images", an_image(label, number)), ("labels", label)):
            (tmp_path / "blobs" / part).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(sitk.GetImageFromArray(array.T), str(tmp_path / "blobs" / part / f"blob_{number}.nii.gz"))
    return tmp_path


def prepare_little(data: Path, target: str, model: Model, rules: CohortRules, done: Any) -> Bench:
    return prepare(data, target, model, replace(rules, templates=1, runs=2, budgets=(2, 3)), done)


@pytest.fixture
def little_training(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("monai")
    sized = network.settings_for

    def little(*arguments: Any) -> NetworkSettings:
        return replace(sized(*arguments), channels=(4, 8), steps=2)

    monkeypatch.setattr(network, "settings_for", little)
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    monkeypatch.setattr(cohort, "prepare", prepare_little)


def prepare_and_learn(data: Path) -> float:
    """Dice of full supervision, in this process."""
    bench = prepare_little(data, "blobs", ToyModel(), CohortRules(5, 2, 0), lambda line: None)
    return cohort.full_supervision(bench)["full"]


def test_cohort_and_test_volumes_are_apart_and_the_same_for_every_seed(some_data: Path, little_training: None) -> None:
    parts = []
    for seed in (0, 1):
        bench = prepare(some_data, "blobs", ToyModel(), CohortRules(4, 3, seed), lambda line: None)
        parts.append(([case.id for case in bench.cohort], [case.id for case in bench.test], chosen_templates(bench)))
    assert parts[0][:2] == parts[1][:2]
    assert parts[0][2] != parts[1][2]
    assert len(set(parts[0][0]) | set(parts[0][1])) == 7


def test_more_volumes_than_there_are_cannot_be_used(some_data: Path) -> None:
    with pytest.raises(
        AdaptSegError, match="blobs: Expected at least 2 volumes of the cohort and 1 to test, 7 at most, got 5 and 3"
    ):
        prepare(some_data, "blobs", ToyModel(), CohortRules(5, 3), lambda line: None)


@pytest.mark.usefixtures("little_training")
def test_look_alikes_of_a_case_are_the_template_first_and_never_the_case_itself(
    some_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = prepare_little(some_data, "blobs", ToyModel(), CohortRules(5, 2, 0), lambda line: None)
    known, *others = bench.cohort
    pairs: list[tuple[str, str]] = []
    carry = Bench.carry
    monkeypatch.setattr(
        Bench,
        "carry",
        lambda bench, atlas, shares, case: pairs.append((atlas.id, case.id)) or carry(bench, atlas, shares, case),
    )
    label = cohort._labelling(bench, known, others, *bench.supervised([known], 0), passes=1)
    label(others[1])
    label(bench.test[0])
    ids = [case.id for case in bench.cohort]
    within, outside = ([atlas for atlas, case in pairs if case == asked.id] for asked in (others[1], bench.test[0]))
    assert within[0] == outside[0] == known.id
    assert sorted(within) == sorted(set(ids) - {others[1].id}) and sorted(outside) == sorted(ids)


@pytest.mark.usefixtures("little_training")
def test_fused_labels_are_those_of_the_first_so_many_cases(some_data: Path) -> None:
    bench = prepare_little(some_data, "blobs", ToyModel(), CohortRules(5, 2, 0), lambda line: None)
    scores = cohort._fused_scores(bench, bench.cohort, (1, 2))

    def label_from(count: int, case: cohort.Case) -> np.ndarray:
        labelled = bench.cohort[:count]
        return atlases.fused([bench.carry(known, cohort._shares(bench, known), case) for known in labelled]).argmax(0)

    asked = bench.test[:: cohort.QUERIED]
    expected = [bench.score(lambda case, n=n: label_from(n, case), asked) for n in (1, 2)]  # type: ignore[misc]
    assert scores == pytest.approx(expected)
    assert scores[0] != scores[1]


@pytest.mark.usefixtures("little_training")
def test_labels_are_counted_against_full_supervision_of_the_same_volumes(some_data: Path) -> None:
    bench = prepare_little(some_data, "blobs", ToyModel(), CohortRules(3, 4, 0), lambda line: None)
    full = cohort.full_supervision(bench)
    weights, settings = bench.supervised(bench.cohort, bench.rules.seed)
    each = [bench.score_network(weights, settings, [case]) for case in bench.test]
    assert full == pytest.approx({"full": np.mean(each), "full_queried": np.mean([each[0], each[3]])})
    curve = [(1, 0.0), (2, 1.0)]
    found = cohort.figures("queries", [{"random": curve}], {"full": 0.9, "full_queried": 0.5}, bench.rules)
    assert found["needed"]["0.95"]["random"] == [pytest.approx(1.475)]


@pytest.mark.usefixtures("little_training")
def test_a_typical_first_case_is_drawn_from_half_of_the_cohort(
    some_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = prepare_little(some_data, "blobs", ToyModel(), CohortRules(6, 1, 0), lambda line: None)
    asked: list[list[str]] = []

    def second_is_best(features: list[Features]) -> np.ndarray:
        asked.append([next(case.id for case in bench.cohort if case.features is one) for one in features])
        return np.array([0.1, 0.9, 0.2])

    monkeypatch.setattr(cohort, "typicality", second_is_best)
    chosen = [bench.cohort[cohort.typical_case(bench, number)].id for number in range(4)]
    assert chosen == [half[1] for half in asked]
    assert all(len(set(half)) == 3 for half in asked) and len({tuple(sorted(half)) for half in asked}) > 1


@pytest.mark.usefixtures("little_training")
@pytest.mark.slow
def test_the_command_writes_all_figures_and_the_picture(some_data: Path, tmp_path: Path) -> None:
    file, drawn = tmp_path / "cohort.json", tmp_path / "cohort.png"
    options = ["--targets", "blobs", "--unlabelled", "5", "--test", "2", "--json", str(file), "--picture", str(drawn)]
    assert main(["bench", "cohort", "--data", str(some_data), *options]) == 0
    result = json.loads(file.read_text())
    assert {"full", "coarse", "rounds", "one_label", "gap_closed", "queries", "minutes", "semi"} <= set(result)
    assert len(result["rounds"]) == 2 and result["one_label"] == result["rounds"][0]
    assert result["coarse"] > 0.5
    assert set(result["queries"]) == {"ours", "random", "entropy", "farthest", "ours, first case too"}
    assert [labels for labels, _ in result["queries"]["ours"]] == [1, 2, 3]
    assert set(result["semi"]) == {"none", "all", "selected"}
    assert len(result["ablation"]["template alone"]["values"]) == 1
    assert drawn.read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("little_training")
@pytest.mark.slow
def test_what_was_measured_before_a_run_was_cut_off_is_kept(
    some_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*arguments: Any) -> None:
        raise AdaptSegError("cut off")

    monkeypatch.setattr(cohort, "query_figures", cut_off)
    file = tmp_path / "cohort.json"
    options = ["--targets", "blobs", "--unlabelled", "5", "--test", "2", "--json", str(file), "--parts", "queries"]
    assert main(["bench", "cohort", "--data", str(some_data), *options]) == 2
    result = json.loads(file.read_text())
    assert result["full"] == prepare_and_learn(some_data) and result["seed"] == 0
    assert result["minutes"] > 0 and "queries" not in result


@pytest.mark.parametrize("options", [["--targets", "a,b"], ["--targets", "a", "--parts", "everything"]])
def test_unknown_parts_and_several_targets_are_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cohort", "--data", ".", *options]) == 2
    assert "Expected parts among one-label, queries, selection and one target, got" in capsys.readouterr().err


def test_labels_needed_lie_on_the_lines_between_points() -> None:
    curve = [(1, 0.6), (2, 0.7), (4, 0.8)]
    assert labels_needed(curve, 0.5) == 1
    assert labels_needed(curve, 0.75) == pytest.approx(3)
    assert labels_needed(curve, 0.9) is None


def test_the_gap_is_what_was_gained_of_what_could_be() -> None:
    assert gap_closed(0.6, 0.8, 0.85) == pytest.approx(0.8)
    assert gap_closed(0.9, 0.8, 0.85) is None


def test_query_figures_compare_with_chance_where_both_arrive() -> None:
    curves = {
        "ours": [[(1, 0.5), (2, 0.95)], [(1, 0.5), (2, 0.95)], [(1, 0.5), (2, 0.6)]],
        "random": [[(1, 0.5), (3, 0.95)], [(1, 0.5), (3, 0.95)], [(1, 0.5), (3, 0.95)]],
    }
    figures = query_figures(curves, 1.0, seed=0)
    assert figures["needed"]["0.95"] == {"ours": [2, 2, None], "random": [3, 3, 3]}
    assert figures["share"]["0.95"]["ours"] == pytest.approx({"value": 2 / 3, "low": 2 / 3, "high": 2 / 3})
    assert figures["needed"]["0.98"] == {"ours": [None] * 3, "random": [None] * 3}
    assert figures["share"]["0.98"]["ours"] is None
    assert "labels for 95 % of full supervision, as a share of those that chance needs: ours 0.67" in report(
        {"full": 1.0, "full_queried": 1.0} | figures
    )
    assert figures["queries"]["random"] == [[1, pytest.approx(0.5)], [3, pytest.approx(0.95)]]


def test_figures_of_one_label_are_means_over_templates() -> None:
    variants = {
        "local similarity and deformation": [0.5, 0.7],
        "round 1": [0.8, 0.9],
        "round 2": [0.7, 0.7],
        "template alone": [0.4, 0.6],
        "class prototypes": [0.1, 0.3],
    }
    figures = one_label_figures(variants, 2, full=0.9)
    assert figures["rounds"] == pytest.approx([0.85, 0.7])
    assert (figures["coarse"], figures["one_label"]) == pytest.approx((0.6, 0.85))
    assert figures["gap_closed"] == pytest.approx(0.25 / 0.3)
    assert figures["gap_closed_from"] == pytest.approx(
        {"class prototypes": 0.65 / 0.7, "local similarity and deformation": 0.25 / 0.3}
    )
    assert figures["spread"]["gap_closed"]["values"] == pytest.approx([0.75, 1.0])
    text = report({"full": 0.9, "full_queried": 0.8} | figures)
    assert text.startswith("full supervision: 0.900, on what queries are measured on 0.800")
    assert "template alone" in text
    assert "from class prototypes 93 %; local similarity and deformation 83 %" in text
    assert picture({"full": 0.9, "full_queried": 0.8} | figures).startswith(b"\x89PNG")


def test_registration_follows_a_moved_object() -> None:
    template, moved = a_label(), a_label((2, -1, 1))
    carried = registered_label(an_image(template), template, an_image(moved, 1))
    assert carried.dtype == np.uint8
    agreement = [np.mean([dice(moved == kind, found == kind) for kind in (1, 2)]) for found in (carried, template)]
    assert agreement[0] > 0.85 > agreement[1]
