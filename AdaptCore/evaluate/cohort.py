"""Benchmark of a cohort: from one label to all, which labels to ask for, and what unlabelled cases add.

Test volumes, the same for every seed, are apart from the cohort, and their labels are used for the figures alone. The
seed draws the templates, the order of chance and the networks' beginnings. All networks of a run have the same
settings; only what they learn from differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np
import torch

from AdaptCore.cohort import atlases, deformation, network, one_label, queries, refine, selection
from AdaptCore.cohort.atlases import Atlas, Carried
from AdaptCore.cohort.description import Description, describe
from AdaptCore.cohort.features import Features, features_of
from AdaptCore.cohort.first import typicality
from AdaptCore.cohort.network import NetworkSettings, Sample, Weights
from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate.cohort_figures import (
    CARRIED,
    COARSE,
    DEFORMATION,
    PROTOTYPES,
    REGISTRATION,
    SIMILARITY,
    TYPICAL_FIRST,
    Curve,
    one_label_figures,
    query_figures,
    spread,
)
from AdaptCore.evaluate.datasets import ClassItem, load_classes
from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.registration import registered_label
from AdaptCore.models.base import Model

SPLIT = 0
"""Seed that parts cohort and test volumes."""

REGISTERED = 6
"""Registration of intensities is slow: it is measured on every sixth test volume."""

QUERIED = 3
"""Every third test volume is labelled from what the queries asked for."""

Part = Literal["full", "one-label", "queries", "selection"]
"""Of the benchmark; "full" is the network that knows all labels."""

Done = Callable[[str], object]


@dataclass(frozen=True)
class CohortRules:
    """What is run.

    Attributes:
        unlabelled, test: volumes of each part.
        seed: of templates, chance and networks.
        templates: repetitions of the one-label part, each with its own template.
        rounds: networks trained one after the other from one label; the first gives the result.
        runs: repetitions of the queries, each with its own first case.
        budgets: numbers of labels, besides the first, at which queries are compared, ascending.
        semi_budget: labels at which ways of using the unlabelled cases are compared.
    """

    unlabelled: int = 100
    test: int = 60
    seed: int = 0
    templates: int = 3
    rounds: int = 2
    runs: int = 5
    budgets: tuple[int, ...] = (2, 3, 4, 6, 8)
    semi_budget: int = 2


@dataclass(frozen=True, eq=False)
class Case:
    """A volume in memory: image as stored (I, J, K), classes uint8 (I, J, K), spacing in mm, and its features."""

    id: str
    image: np.ndarray
    label: np.ndarray
    spacing: tuple[float, float, float]
    features: Features


@dataclass(frozen=True)
class Parts:
    """Which parts of the one-label method are on.

    Attributes:
        coarse: name of the labels that the rounds begin with.
        passes: how often volumes are relabelled after a round.
    """

    coarse: str = COARSE
    passes: int = 2


LESS: Mapping[str, Parts] = MappingProxyType(
    {
        "from local similarity alone": Parts(coarse=SIMILARITY),
        "without relabelling": Parts(passes=0),
        "relabelled once": Parts(passes=1),
    }
)
"""Variants of the one-label method, each with one part off."""


@dataclass(frozen=True, eq=False)
class Bench:
    """What every part of the benchmark needs.

    Attributes:
        cohort, test: the volumes.
        settings: of every network; the seed is replaced.
        rules: what is run.
        done: called with a line after each piece of work.
        points: of the deformations that were sought so far, by the ids of the atlas and of the volume.
    """

    cohort: Sequence[Case]
    test: Sequence[Case]
    settings: NetworkSettings
    rules: CohortRules
    done: Done
    points: dict[tuple[str, str], torch.Tensor] = field(default_factory=dict)

    @property
    def kinds(self) -> range:
        return range(1, self.settings.classes)

    def score(self, label_of: Callable[[Case], np.ndarray], cases: Sequence[Case] | None = None) -> float:
        """Mean Dice over classes and volumes, the test volumes if no others are given."""
        chosen = self.test if cases is None else cases
        return float(np.mean([_mean_dice(case.label, label_of(case), self.kinds) for case in chosen]))

    def score_network(self, weights: Weights, settings: NetworkSettings, cases: Sequence[Case] | None = None) -> float:
        return self.score(lambda case: network.predict(weights, settings, case.image).argmax(0), cases)

    @property
    def queried(self) -> Sequence[Case]:
        """The test volumes that are labelled from what the queries asked for."""
        return self.test[::QUERIED]

    def carry(self, known: Case, shares: np.ndarray, case: Case) -> Carried:
        """What a case of which the shares of the classes (classes, I, J, K) are known says of another one."""
        pair = known.id, case.id
        if pair not in self.points:
            self.points[pair] = deformation.moved(known.features, case.features)
        return atlases.carry(Atlas(known.features, shares), case.features, self.points[pair])

    def supervised(self, cases: Sequence[Case], seed: int) -> tuple[Weights, NetworkSettings]:
        settings = replace(self.settings, seed=seed)
        return network.train([Sample(case.image, case.label) for case in cases], settings), settings


def prepare(data_dir: Path, target: str, model: Model, rules: CohortRules, done: Done) -> Bench:
    """Read and part the volumes, and compute their features.

    Raises:
        AdaptSegError: the set cannot be used, or has too few volumes.
    """
    items = load_classes(data_dir, target)
    wanted = rules.unlabelled + rules.test
    if rules.test < 1 or rules.unlabelled < 2 or len(items) < wanted:
        raise AdaptSegError(
            f"{target}: Expected at least 2 volumes of the cohort and 1 to test, {len(items)} at most, got "
            f"{rules.unlabelled} and {rules.test}."
        )
    order = np.random.default_rng(SPLIT).permutation(len(items))
    parts = order[rules.test : wanted], order[: rules.test]
    cohort, test = ([_case(items[index], model, done) for index in sorted(part)] for part in parts)
    classes = 1 + max(int(case.label.max()) for case in cohort)
    spacing = np.median([case.spacing for case in cohort], axis=0)
    settings = network.settings_for([case.label.shape for case in cohort], spacing.tolist(), classes)
    return Bench(cohort, test, settings, rules, done)


def run(bench: Bench, part: Part, number: int) -> Any:
    """One repetition of a part; `figures` puts them together."""
    case = chosen_templates(bench)[number]
    if part == "full":
        return full_supervision(bench)
    if part == "one-label":
        return template_scores(bench, case)
    return query_curves(bench, case) if part == "queries" else semi_supervision(bench, case)


def repetitions(part: Part, rules: CohortRules) -> int:
    """How often a part is repeated, each time from another case."""
    return {"full": 1, "one-label": rules.templates}.get(part, rules.runs)


def figures(part: Part, found: Sequence[Any], full: Mapping[str, float], rules: CohortRules) -> dict[str, Any]:
    """What a part's repetitions say together; see `one_label_figures` and `query_figures`.

    Args:
        full: as from `full_supervision`.
    """
    if part == "full":
        return dict(full)
    variants = {name: [of[name] for of in found] for name in found[0]}
    if part == "queries":
        return query_figures(variants, full["full_queried"], rules.seed)
    if part == "one-label":
        return one_label_figures(variants, rules.rounds, full["full"])
    return {"semi": {name: spread(values) for name, values in variants.items()}}


def template_scores(bench: Bench, template: int) -> dict[str, float]:
    """Dice from one template of labels carried over, of variants with less, and of each round of the whole method."""
    known = bench.cohort[template]
    found = coarse_scores(bench, known)
    found["template alone"] = bench.score_network(*bench.supervised([known], bench.rules.seed))
    carried = [carried_over(bench, known, case) for case in _others(bench, template)]
    found |= {name: round_scores(bench, template, carried, parts, 1)[0] for name, parts in LESS.items()}
    scores = round_scores(bench, template, carried, Parts(), bench.rules.rounds)
    rounds = range(1, bench.rules.rounds + 1)
    return found | {f"round {number}": scores[min(number, len(scores)) - 1] for number in rounds}


def round_scores(
    bench: Bench, template: int, carried: Sequence[Mapping[str, np.ndarray]], parts: Parts, rounds: int
) -> list[float]:
    """Dice of the labels that each round gives the test volumes, as it gives them to the cohort."""
    scores = list(one_label_rounds(bench, template, carried, parts, rounds))
    bench.done(f"{parts} from {bench.cohort[template].id}: {[round(score, 3) for score in scores]}")
    return scores


def chosen_templates(bench: Bench) -> list[int]:
    """Indices of the first cases, one for each repetition of any part."""
    count = max(bench.rules.templates, bench.rules.runs)
    chosen = np.random.default_rng([bench.rules.seed, 0]).permutation(len(bench.cohort))
    return [int(chosen[number % len(chosen)]) for number in range(count)]


def full_supervision(bench: Bench) -> dict[str, float]:
    """Dice of the network that knows all labels of the cohort: "full" of all test volumes, "full_queried" of some."""
    trained = bench.supervised(bench.cohort, bench.rules.seed)
    scores = {
        name: bench.score_network(*trained, cases)
        for name, cases in (("full", bench.test), ("full_queried", bench.queried))
    }
    bench.done(f"full supervision: {scores}")
    return scores


def one_label_rounds(
    bench: Bench, template: int, carried: Sequence[Mapping[str, np.ndarray]], parts: Parts, rounds: int
) -> Iterator[float]:
    """Dice of each round from one label; rounds after a collapse are not begun.

    Args:
        carried: of each other case of the cohort, as `carried_over`.
    """
    known, others = bench.cohort[template], _others(bench, template)
    labels = reference = [of[parts.coarse] for of in carried]
    for number in range(rounds):
        settings = replace(bench.settings, seed=_seed(bench.rules.seed, template, number))
        samples = _pseudo_labelled(others, labels)
        weights = network.train([Sample(known.image, known.label)] * len(samples) + samples, settings)
        label = _labelling(bench, known, others, weights, settings, parts.passes)
        yield bench.score(label)
        if number + 1 == rounds:
            return
        after = [label(case) for case in others]
        reason = refine.collapsed(labels, after, reference)
        if reason is not None:
            bench.done(f"round {number + 1} stopped: {reason}")
            return
        labels = after


def carried_over(bench: Bench, known: Case, case: Case) -> dict[str, np.ndarray]:
    """Classes that the known case's label gives another one, by the way that it is carried."""
    shares = _shares(bench, known)
    voted = one_label.voted(known.features, torch.from_numpy(shares), case.features)
    both = bench.carry(known, shares, case).shares
    prototypes, _ = one_label.prototype_labels(known.features, known.label, case.features)
    # Both ways have the same weight.
    by_way = {SIMILARITY: voted, DEFORMATION: 2 * both - voted, COARSE: both}
    return {PROTOTYPES: prototypes} | {way: one_label.to_labels(each)[0] for way, each in by_way.items()}


def coarse_scores(bench: Bench, known: Case) -> dict[str, float]:
    """Dice of labels that are carried over without training, by our rule and its rivals."""
    carried = {case.id: carried_over(bench, known, case) for case in bench.test}

    def score(way: str) -> float:
        return bench.score(lambda case: carried[case.id][way])

    scores = {
        REGISTRATION: bench.score(
            lambda case: registered_label(known.image, known.label, case.image), bench.test[::REGISTERED]
        )
    }
    scores |= {way: score(way) for way in CARRIED if way != REGISTRATION}
    bench.done(f"template {known.id}: {scores}")
    return scores


def query_curves(bench: Bench, first: int) -> dict[str, Curve]:
    """(labels, Dice) of the fused labels that each method asks for, after a network has learnt from the first one.

    All methods begin with the same case, and `TYPICAL_FIRST` with the most typical of half of the cohort, which is
    drawn by chance.
    """
    typical = typical_case(bench, first)
    described = {
        index: _descriptions(bench.cohort, *bench.supervised([bench.cohort[index]], _seed(bench.rules.seed, index)))
        for index in {first, typical}
    }
    begun: dict[str, tuple[queries.Method, int]] = {method: (method, first) for method in queries.METHODS}
    begun[TYPICAL_FIRST] = "ours", typical
    budgets = [budget for budget in (1, *bench.rules.budgets) if budget <= len(bench.cohort)]
    curves: dict[str, Curve] = {}
    for name, (method, start) in begun.items():
        asked = _queried(method, start, described[start], budgets[-1] - 1, _seed(bench.rules.seed, start, 2))
        scores = _fused_scores(bench, [bench.cohort[index] for index in (start, *asked)], budgets)
        curves[name] = list(zip(budgets, scores))
        bench.done(f"{name} from {bench.cohort[start].id}: {[round(score, 3) for score in scores]}")
    return curves


def typical_case(bench: Bench, number: int) -> int:
    """Index of the most typical case of half of the cohort, drawn by chance; `number` tells draws apart."""
    drawn = np.random.default_rng([bench.rules.seed, number, 3]).permutation(len(bench.cohort))
    half = drawn[: max(1, len(drawn) // 2)].tolist()
    return int(half[typicality([bench.cohort[index].features for index in half]).argmax()])


def semi_supervision(bench: Bench, first: int) -> dict[str, float]:
    """Dice from a few labels with no unlabelled case, with all of them, and with those that can be trusted.

    An unlabelled case gets the label that the labelled ones give it together.
    """
    drawn = np.random.default_rng([bench.rules.seed, first, 1]).permutation(len(bench.cohort))
    indices = [first, *(int(index) for index in drawn if index != first)]
    labelled = [bench.cohort[index] for index in indices[: bench.rules.semi_budget]]
    unlabelled = [bench.cohort[index] for index in indices[bench.rules.semi_budget :]]
    weights, settings = bench.supervised(labelled, _seed(bench.rules.seed, first, 2))
    found = [network.predict(weights, settings, case.image) for case in unlabelled]
    kept, reason = selection.trusted(
        _descriptions(labelled, weights, settings),
        [describe(case.id, case.features, probabilities) for case, probabilities in zip(unlabelled, found)],
    )
    scores = {"none": bench.score_network(weights, settings)}
    shares = [_shares(bench, case) for case in labelled]
    fused = [atlases.fused(bench.carry(*known, case) for known in zip(labelled, shares)) for case in unlabelled]
    samples_of_all = _pseudo_labelled(unlabelled, [one_label.to_labels(each)[0] for each in fused])
    for name, chosen in (("all", range(len(unlabelled))), ("selected", kept)):
        samples = [samples_of_all[n] for n in chosen]
        again = [Sample(case.image, case.label) for case in labelled]
        again *= max(1, len(samples) // len(again))
        trained = network.train(again + samples, replace(settings, seed=settings.seed + 1))
        scores[name] = bench.score_network(trained, settings)
    bench.done(f"semi-supervision: {reason}: {scores}")
    return scores


def _case(item: ClassItem, model: Model, done: Done) -> Case:
    volume, label = item.volume(), item.label()
    features = features_of(model, volume.array)
    done(f"features of {item.id}")
    return Case(item.id, volume.array, label, volume.geometry.spacing, features)


def _pseudo_labelled(cases: Sequence[Case], labels: Sequence[np.ndarray]) -> list[Sample]:
    return [Sample(case.image, label) for case, label in zip(cases, labels)]


def _others(bench: Bench, template: int) -> list[Case]:
    return [case for index, case in enumerate(bench.cohort) if index != template]


def _labelling(
    bench: Bench, known: Case, others: Sequence[Case], weights: Weights, settings: NetworkSettings, passes: int
) -> Callable[[Case], np.ndarray]:
    """Gives the classes of a case after a round; look-alikes are sought among the cohort's cases alone."""

    def found(case: Case) -> np.ndarray:
        return network.predict(weights, settings, case.image)

    if not passes:
        return lambda case: one_label.to_labels(found(case))[0]
    cases = [known, *others]
    probabilities = [found(case) for case in cases]
    described = [describe(case.id, case.features, each) for case, each in zip(cases, probabilities)]
    own_label = _shares(bench, known)

    def believed(case: Case, own: np.ndarray, described_case: Description, shares: Sequence[np.ndarray]) -> np.ndarray:
        apart = [n for n, other in enumerate(cases) if other.id != case.id]
        compared = [described_case, *(described[n] for n in apart)]
        chosen = atlases.nearest(compared, [False, *(n == 0 for n in apart)])[0]
        said = (bench.carry(cases[apart[index - 1]], shares[apart[index - 1]], case) for index in chosen)
        return refine.believed(own, atlases.fused(said))

    stages = [[own_label, *probabilities[1:]]]
    for _ in range(passes - 1):
        before = stages[-1]
        each = (believed(*given, before) for given in zip(others, probabilities[1:], described[1:]))
        stages.append([own_label, *each])

    def label(case: Case) -> np.ndarray:
        own = found(case)
        return one_label.to_labels(believed(case, own, describe(case.id, case.features, own), stages[-1]))[0]

    return label


def _shares(bench: Bench, case: Case) -> np.ndarray:
    """Its label as shares of the classes, float32 (classes, I, J, K)."""
    return np.stack([case.label == index for index in range(bench.settings.classes)]).astype(np.float32)


def _fused_scores(bench: Bench, labelled: Sequence[Case], budgets: Sequence[int]) -> list[float]:
    """Dice of what the first so many of the labelled cases say together of every third test volume."""
    shares = [_shares(bench, case) for case in labelled[: budgets[-1]]]
    scores: list[list[float]] = []
    for case in bench.queried:
        said = [bench.carry(known, each, case) for known, each in zip(labelled, shares)]
        labels = [atlases.fused(said[:count]).argmax(0) for count in budgets]
        scores.append([_mean_dice(case.label, label, bench.kinds) for label in labels])
    return [float(value) for value in np.mean(scores, axis=0)]


def _mean_dice(truth: np.ndarray, label: np.ndarray, kinds: range) -> float:
    return float(np.mean([dice(truth == kind, label == kind) for kind in kinds]))


def _descriptions(cases: Sequence[Case], weights: Weights, settings: NetworkSettings) -> list[Description]:
    return [describe(case.id, case.features, network.predict(weights, settings, case.image)) for case in cases]


def _queried(method: queries.Method, first: int, described: Sequence[Description], count: int, seed: int) -> list[int]:
    """Indices of the cases that a method asks for; `described` is the cohort."""
    places = {one.id: index for index, one in enumerate(described)}
    pool = [one for index, one in enumerate(described) if index != first]
    return [places[query.id] for query in queries.rank(method, [described[first]], pool, count, seed)]


def _seed(*numbers: int) -> int:
    return int(np.random.default_rng(numbers).integers(2**31))
