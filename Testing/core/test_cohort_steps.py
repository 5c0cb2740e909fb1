"""The long steps of a cohort: they go on where they stopped, set aside what is broken, give up what fails."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cohort.accepting import accept, accept_proposal, mean_dice
from AdaptCore.cohort.arrays import (
    Network,
    StoredFeatures,
    read_features,
    read_network,
    read_probabilities,
    write_features,
    write_probabilities,
)
from AdaptCore.cohort.engine import LocalEngine, Watch
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.lazy import Lazy
from AdaptCore.cohort.network import Sample
from AdaptCore.cohort.steps import choose_next, features_bytes, propagate, train
from AdaptCore.cohort.views import CaseView
from AdaptCore.errors import AdaptSegError, CohortError, OutputError
from AdaptCore.io import Geometry
from Testing.cohort_toy import SIZE, ToyMethod, a_case, begun, contents, results, trained, unwatched, write

LOCAL = LocalEngine()


@dataclass(frozen=True)
class Counting(ToyMethod):
    """Notes what is asked of it."""

    asked: tuple[list[str], ...] = ([],)

    def features(self, image: np.ndarray, watch: Watch) -> StoredFeatures:
        self.asked[0].append("features")
        return super().features(image, watch)

    def coarse(
        self, template: StoredFeatures, label: np.ndarray, features: StoredFeatures
    ) -> tuple[np.ndarray, np.ndarray]:
        self.asked[0].append("coarse")
        return super().coarse(template, label, features)

    def train(
        self,
        samples: Sequence[Sample],
        labelled: int,
        grids: Sequence[Geometry],
        classes: int,
        seed: int,
        watch: Watch,
    ) -> Network:
        assert [grid.size for grid in grids] == [sample.image.shape for sample in samples]
        self.asked[0].append(f"train {labelled}: " + ",".join(_digest(sample) for sample in samples))
        return super().train(samples, labelled, grids, classes, seed, watch)

    def predict(self, network: Network, image: np.ndarray) -> np.ndarray:
        self.asked[0].append("predict")
        return super().predict(network, image)

    def neighbours(self, views: Sequence[CaseView], watch: Watch) -> Sequence[Sequence[int]]:
        self.asked[0].append("labelled " + ",".join(view.name for view in views if view.is_labelled))
        return super().neighbours(views, watch)


@dataclass(frozen=True)
class Emptying(ToyMethod):
    """Its networks see nothing."""

    def predict(self, network: Network, image: np.ndarray) -> np.ndarray:
        probabilities = np.zeros((3, *image.shape), np.float32)
        probabilities[0] = 1
        return probabilities


def _digest(sample: Sample) -> str:
    return hashlib.sha256(sample.image.tobytes() + sample.label.tobytes()).hexdigest()[:12]


def counting() -> Counting:
    return Counting(asked=([],))


def cancelled_after(count: int) -> Callable[[str], Watch]:
    """Who asks to stop when asked for the `count`-th time."""
    left = iter([False] * count)
    return lambda stage: Watch(cancelled=lambda: next(left, True))


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    return begun(tmp_path)


@pytest.fixture
def a_trained_cohort(tmp_path: Path) -> Cohort:
    return trained(tmp_path)


def test_one_label_becomes_a_label_of_every_case(a_cohort: Cohort) -> None:
    propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    for number, case in enumerate(a_cohort.cases()):
        label = a_cohort.values(a_cohort.proposal(case, 0))
        assert mean_dice(label, a_case(number)[1]) > 0.95
        confidence = a_cohort.confidence(case, 0)
        assert confidence.shape == SIZE and confidence.min() > 0.3 and confidence.mean() > 0.9


def test_features_are_computed_once(a_cohort: Cohort) -> None:
    method = counting()
    assert features_bytes(a_cohort, method) == (5 * 2 * 960, 0)
    propagate(a_cohort, method, LOCAL, unwatched)
    assert method.asked[0] == ["features"] * 5 + ["coarse"] * 5
    assert features_bytes(a_cohort, method) == (5 * 2 * 960, 5 * 2 * 960)
    before = results(a_cohort)
    propagate(a_cohort, method, LOCAL, unwatched)
    assert len(method.asked[0]) == 10 and results(a_cohort) == before


def test_features_of_another_method_or_damaged_ones_are_computed_anew(a_cohort: Cohort) -> None:
    propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    path = a_cohort.features_path("case-002")
    path.write_bytes(path.read_bytes()[:-7])
    method = counting()
    propagate(a_cohort, method, LOCAL, unwatched)
    assert method.asked[0] == ["features"] and read_features(path).shape == SIZE
    newer = replace(counting(), version="2")
    propagate(a_cohort, newer, LOCAL, unwatched)
    assert newer.asked[0] == ["features"] * 5


def test_features_that_do_not_fit_the_disk_are_told_before(a_cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    def almost_full(path: Path) -> object:
        return shutil._ntuple_diskusage(10**9, 10**9 - 5000, 5000)  # type: ignore[attr-defined]

    monkeypatch.setattr(shutil, "disk_usage", almost_full)
    with pytest.raises(CohortError, match=r"cohort: The features need 0\.0 GB, got 0\.0 GB free"):
        propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    assert not list(a_cohort.folder.glob("features/*"))


def test_a_step_that_was_cancelled_goes_on_and_ends_as_if_it_was_not(tmp_path: Path) -> None:
    whole, stopped = trained(tmp_path / "whole", rounds=2), begun(tmp_path / "stopped")
    shutil.copytree(tmp_path / "whole" / "images", tmp_path / "stopped" / "images", dirs_exist_ok=True)
    for moment in (1, 4, 9, 14, 100):
        method = counting()
        try:
            propagate(stopped, method, LOCAL, cancelled_after(moment))
        except CancelledError:
            assert len(method.asked[0]) < 10
    moments = iter(range(1, 100, 3))
    while stopped.state.current < 2:
        try:
            train(stopped, ToyMethod(), 1, LOCAL, cancelled_after(next(moments)))
        except CancelledError:
            stopped = Cohort.open(stopped.folder)
    assert results(stopped) == results(whole) and stopped.state == whole.state


def test_an_interrupted_round_keeps_its_plan_when_labels_are_accepted_meanwhile(a_cohort: Cohort) -> None:
    propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    with pytest.raises(CancelledError):
        train(a_cohort, ToyMethod(), 1, LOCAL, cancelled_after(12))
    plan = a_cohort.state.plan
    assert plan is not None and a_cohort.network_path(1).is_file()
    accept(a_cohort, "case-003", a_case(3)[1])
    method = counting()
    first, second = train(a_cohort, method, 2, LOCAL, unwatched)
    assert set(first.labelled) == set(plan.labelled) == {"case-000"} and set(second.labelled) == {
        "case-000",
        "case-003",
    }
    assert sum(asked.startswith("train") for asked in method.asked[0]) == 1
    labelled = [asked for asked in method.asked[0] if asked.startswith("labelled")]
    assert labelled == ["labelled case-000", "labelled case-000,case-003"]


def test_a_network_learns_accepted_labels_first_and_the_others_as_they_are_proposed(a_cohort: Cohort) -> None:
    propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    accept(a_cohort, "case-002", a_case(2)[1])
    method = counting()
    (ended,) = train(a_cohort, method, 1, LOCAL, unwatched)
    learnt = next(asked for asked in method.asked[0] if asked.startswith("train")).removeprefix("train 2: ").split(",")
    cases = {case.id: case for case in a_cohort.cases()}
    labels = {
        name: a_cohort.label(case, case.label) if case.label else a_cohort.proposal(case, 0)
        for name, case in cases.items()
    }
    order = ["case-000", "case-002", "case-001", "case-003", "case-004"]
    assert learnt == [_digest(Sample(a_cohort.image(cases[name]).array, labels[name])) for name in order]
    assert ended.labelled == {
        "case-000": "accepted/case-000-1.nii.gz",
        "case-002": "accepted/case-002-1.nii.gz",
    }
    assert ended.trusted == ("case-001", "case-003", "case-004") and 0.9 < (ended.agreement or 0) <= 1


def test_all_cases_are_relabelled_twice_the_second_time_from_what_was_believed_first(a_cohort: Cohort) -> None:
    class Following(ToyMethod):
        """Believes what the first neighbour says, turned over along the first axis."""

        def relabel(self, view: CaseView, neighbours: Sequence[CaseView], watch: Watch) -> np.ndarray:
            return np.ascontiguousarray(neighbours[0].shares()[:, ::-1])

    propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    train(a_cohort, Following(), 1, LOCAL, unwatched)
    probabilities = {
        name: CaseView(a_cohort, a_cohort.case(name), 1).probabilities() for name in a_cohort.settings.images
    }
    once = CaseView(a_cohort, a_cohort.case("case-001"), 1, once_relabelled=True).shares()
    assert np.array_equal(once, probabilities["case-002"][:, ::-1])
    # case-001 follows case-002, which followed case-003: turned over twice.
    proposal = a_cohort.proposal(a_cohort.case("case-001"), 1)
    assert np.array_equal(proposal, probabilities["case-003"].argmax(0))
    assert not a_cohort.believed_path("case-000", 1).exists() and a_cohort.has_proposal("case-000", 1)
    accepted = a_cohort.values(a_cohort.proposal(a_cohort.case("case-004"), 1))
    assert np.array_equal(accepted, a_case(0)[1][::-1])


def test_what_is_known_of_a_case_is_its_accepted_label_or_else_the_probabilities(a_trained_cohort: Cohort) -> None:
    labelled, other = (CaseView(a_trained_cohort, a_trained_cohort.case(name), 1) for name in ("case-000", "case-001"))
    shares = labelled.shares()
    assert shares.dtype == np.float32 and np.array_equal(np.unique(shares), [0, 1])
    assert np.array_equal(a_trained_cohort.values(shares.argmax(0)), a_case(0)[1])
    assert np.array_equal(other.shares(), other.probabilities())


def test_later_rounds_learn_from_those_that_the_method_trusts(a_trained_cohort: Cohort) -> None:
    class Choosy(ToyMethod):
        def trusted(self, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView]) -> tuple[Sequence[int], str]:
            assert all(view.probabilities().shape == (3, *SIZE) for view in unlabelled)
            return [1], "one alone"

    (ended,) = train(a_trained_cohort, Choosy(), 1, LOCAL, unwatched)
    assert (ended.trusted, ended.why, ended.base) == (("case-002",), "one alone", 1)


def test_each_round_has_a_seed_of_its_own(tmp_path: Path) -> None:
    cohort = trained(tmp_path, rounds=2)
    seeds = {read_network(cohort.network_path(number)).settings["seed"] for number in (1, 2)}
    assert len(seeds) == 2


def test_a_round_that_collapses_is_given_up(a_trained_cohort: Cohort) -> None:
    before = contents(a_trained_cohort.folder, "rounds/1", "rounds/0")
    ended = train(a_trained_cohort, Emptying(), 3, LOCAL, unwatched)
    assert [one.collapsed for one in ended] == ["4 of 4 labels are empty"]
    assert a_trained_cohort.state.current == 1
    assert contents(a_trained_cohort.folder, "rounds") == before
    (following,) = train(a_trained_cohort, ToyMethod(), 1, LOCAL, unwatched)
    assert (following.number, following.base, following.collapsed) == (3, 1, "")


def test_old_rounds_are_removed_and_the_reference_stays(tmp_path: Path) -> None:
    cohort = trained(tmp_path, rounds=4)
    assert sorted(path.name for path in (cohort.folder / "rounds").iterdir()) == ["0", "3", "4"]


def test_broken_cases_are_set_aside_on_the_way_and_the_others_go_on(tmp_path: Path, a_cohort: Cohort) -> None:
    (tmp_path / "images" / "case-001.nii.gz").unlink()
    with pytest.warns(UserWarning, match=r"case-001: set aside: case-001\.nii\.gz: The image cannot be read"):
        propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    accept(a_cohort, "case-002", a_case(2)[1])
    (a_cohort.folder / "accepted/case-002-1.nii.gz").write_bytes(b"overwritten by a sync program")
    write(tmp_path / "images" / "case-003.nii.gz", a_case(77)[0])
    with pytest.warns(UserWarning) as warned:
        (ended,) = train(a_cohort, ToyMethod(), 1, LOCAL, unwatched)
    told = sorted(str(warning.message) for warning in warned)
    assert len(told) == 2
    assert told[0].startswith("case-002: set aside: accepted/case-002-1.nii.gz: The accepted label has changed")
    assert told[1].startswith("case-003: set aside: case-003.nii.gz: The image has changed")
    assert [case.id for case in a_cohort.cases() if case.is_usable] == ["case-000", "case-004"]
    assert set(ended.labelled) == {"case-000"} and a_cohort.has_proposal("case-004", 1)


def test_a_template_that_cannot_be_used_is_told(tmp_path: Path, a_cohort: Cohort) -> None:
    (tmp_path / "images" / "case-000.nii.gz").unlink()
    with (
        pytest.warns(UserWarning, match="case-000: set aside"),
        pytest.raises(
            CohortError, match=r"case-000: The template cannot be used \(case-000\.nii\.gz: The image cannot be read"
        ),
    ):
        propagate(a_cohort, ToyMethod(), LOCAL, unwatched)


def test_training_without_proposals_and_choosing_without_training_are_refused(a_cohort: Cohort) -> None:
    with pytest.raises(CohortError, match=r"No label is proposed yet\. Run adaptseg cohort propagate first"):
        train(a_cohort, ToyMethod(), 1, LOCAL, unwatched)
    propagate(a_cohort, ToyMethod(), LOCAL, unwatched)
    with pytest.raises(CohortError, match=r"No labels of a round were kept yet\. Run adaptseg cohort train first"):
        choose_next(a_cohort, ToyMethod(), "ours", 2, 0)


def test_added_images_join_in_the_next_round(tmp_path: Path, a_trained_cohort: Cohort) -> None:
    from AdaptCore.cohort.beginning import begin

    write(tmp_path / "images" / "new.nii.gz", a_case(50)[0])
    names = tmp_path / "images" / "case-000.nii.gz", tmp_path / "labels" / "case-000.nii.gz"
    cohort = begin(tmp_path / "cohort", [tmp_path / "images"], *names, "toy")
    method = counting()
    propagate(cohort, method, LOCAL, unwatched)
    assert method.asked[0] == ["features", "coarse"]
    (ended,) = train(cohort, ToyMethod(), 1, LOCAL, unwatched)
    assert "new" not in ended.trusted and cohort.has_proposal("new", 2)


def test_what_to_review_is_ranked_and_kept(a_trained_cohort: Cohort) -> None:
    accept_proposal(a_trained_cohort, "case-003")
    queries = choose_next(a_trained_cohort, ToyMethod(), "ours", 10, 0)
    assert len(queries) == 3 and "case-003" not in [query.case for query in queries]
    assert [query.score for query in queries] == sorted((query.score for query in queries), reverse=True)
    assert a_trained_cohort.state.queries == queries
    by_chance = [choose_next(a_trained_cohort, ToyMethod(), "random", 3, seed) for seed in (0, 0, 1, 2, 3)]
    assert by_chance[0] == by_chance[1] and len(set(by_chance)) > 1


def test_probabilities_and_features_come_back_small_and_nearly_as_they_were(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet((1, 1, 1), SIZE).transpose(3, 0, 1, 2).astype(np.float32)
    write_probabilities(tmp_path / "p.safetensors", probabilities)
    np.testing.assert_allclose(read_probabilities(tmp_path / "p.safetensors"), probabilities, atol=0.5 / 255 + 1e-6)
    sure = np.zeros((3, 40, 40, 40), np.float32)
    sure[0] = 1
    write_probabilities(tmp_path / "p.safetensors", sure)
    assert (tmp_path / "p.safetensors").stat().st_size < 3000
    features = StoredFeatures(rng.normal(size=(4, 3, 3, 2)).astype(np.float16), SIZE, {"image": "a", "method": "b"})
    write_features(tmp_path / "f.safetensors", features)
    back = read_features(tmp_path / "f.safetensors")
    assert back.shape == SIZE and back.source.items() >= features.source.items()
    assert back.values.dtype == np.float16 and np.array_equal(back.values, features.values)


@pytest.mark.parametrize("read", [read_features, read_probabilities, read_network])
@pytest.mark.parametrize("left", [0, 9, 0.5, 0.99])
def test_a_truncated_file_is_refused(a_trained_cohort: Cohort, read: Callable[[Path], object], left: float) -> None:
    paths = {
        read_features: a_trained_cohort.features_path("case-001"),
        read_probabilities: a_trained_cohort.probabilities_path("case-001", 1),
        read_network: a_trained_cohort.network_path(1),
    }
    content = paths[read].read_bytes()
    paths[read].write_bytes(content[: int(left if left >= 1 else left * len(content))])
    with pytest.raises(CohortError, match=r"\.safetensors: (Expected|The .* file) "):
        read(paths[read])


def test_a_lazy_sequence_keeps_nothing() -> None:
    made: list[int] = []
    lazy = Lazy(5, lambda index: made.append(index) or index * 10)  # type: ignore[func-returns-value]
    assert (len(lazy), lazy[2], lazy[-1], lazy[1:3], list(lazy)) == (5, 20, 40, [10, 20], [0, 10, 20, 30, 40])
    assert made == [2, 4, 1, 2, 0, 1, 2, 3, 4]
    with pytest.raises(IndexError, match="index 5 of 5 members"):
        lazy[5]


def test_a_lazy_sequence_keeps_what_fits_its_memory_and_was_asked_for_last() -> None:
    made: list[int] = []
    lazy = Lazy(4, lambda index: made.append(index) or index, 25, lambda member: 10)  # type: ignore[func-returns-value]
    for index in (0, 1, 0, 2, 0, 1, 2, 3):
        assert lazy[index] == index
    assert made == [0, 1, 2, 1, 2, 3]


def test_the_local_engine_tells_progress_and_passes_errors_on() -> None:
    def job(item: int, watch: Watch) -> int:
        watch.progress(1, 4)
        if item == 2:
            raise OutputError("no room")
        return item * 10

    told: list[tuple[float, int]] = []
    watch = Watch(lambda done, total: told.append((done, total)))
    answers = dict(LOCAL.map(job, [1, 2, 3], watch))
    assert (answers[1], answers[3]) == (10, 30) and isinstance(answers[2], AdaptSegError)
    assert told == [(0, 3), (0.25, 3), (1, 3), (1.25, 3), (2, 3), (2.25, 3), (3, 3)]


def test_work_that_ends_while_it_is_cancelled_does_not_count() -> None:
    asked = [False]

    def job(item: int, watch: Watch) -> int:
        asked[0] = True
        return item

    with pytest.raises(CancelledError):
        list(LOCAL.map(job, [1, 2], Watch(cancelled=lambda: asked[0])))
