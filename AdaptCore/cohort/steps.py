"""The long steps of a cohort: features, coarse labels, rounds of training, queries. Each goes on where it was stopped.

A result counts once its file is in place, a round once the state says that it has ended; until then nothing that came
before is touched. Cases that cannot be used are set aside, the others go on.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from AdaptCore.atomic import prepare_folder
from AdaptCore.cohort.accepting import mean_dice
from AdaptCore.cohort.arrays import (
    Network,
    StoredFeatures,
    read_features,
    read_network,
    write_features,
    write_network,
    write_probabilities,
)
from AdaptCore.cohort.engine import Engine, Item, Job, Result, Watch
from AdaptCore.cohort.folder import COARSE, FEATURES, Cohort, geometry_of
from AdaptCore.cohort.lazy import Lazy
from AdaptCore.cohort.method import Method
from AdaptCore.cohort.network import Sample
from AdaptCore.cohort.records import Accepted, Case, Query, Round
from AdaptCore.cohort.views import CaseView
from AdaptCore.errors import AdaptSegError, CohortError

FIRST_ROUND = "the first round learns from all coarse labels"

MOST_SAMPLE_BYTES = 1_000_000_000
"""Memory for samples that a training keeps instead of reading them again."""

Watching = Callable[[str], Watch]
"""Gives who watches a stage, by its name, when the stage begins."""


def features_bytes(cohort: Cohort, method: Method) -> tuple[int, int]:
    """Size of the features of all usable cases, and of those that are there already."""
    whole = present = 0
    for case in cohort.cases():
        if case.is_usable:
            size = method.features_bytes(geometry_of(case).size)
            whole += size
            present += size if cohort.features_path(case.id).is_file() else 0
    return whole, present


def propagate(cohort: Cohort, method: Method, engine: Engine, watching: Watching) -> None:
    """Features of each case, and coarse labels from the template; those that are there already stay.

    Raises:
        CohortError: the template cannot be used, or the disk is too small for the features.
        OutputError: the system could not write, or another process works on the cohort.
        CancelledError: the watch says so.
    """
    with cohort.working():
        _check_space(cohort, method)
        _compute_features(cohort, method, engine, watching)
        _propose_coarse(cohort, method, engine, watching)


def train(cohort: Cohort, method: Method, rounds: int, engine: Engine, watching: Watching) -> tuple[Round, ...]:
    """Rounds of training and relabelling; one that was interrupted is ended first and counts. A collapse ends them.

    Returns:
        The rounds that ended, in order.

    Raises:
        CohortError: nothing was propagated yet, or a file of the round is damaged.
        OutputError: the system could not write, or another process works on the cohort.
        CancelledError: the watch says so.
    """
    ended: list[Round] = []
    with cohort.working():
        while len(ended) < rounds and not (ended and ended[-1].collapsed):
            plan = cohort.state.plan or _begin_round(cohort, method)
            ended.append(_run_round(cohort, method, engine, watching, plan))
    return tuple(ended)


def choose_next(cohort: Cohort, method: Method, strategy: str, count: int, seed: int) -> tuple[Query, ...]:
    """Rank what to review next, and store that.

    Raises:
        CohortError: no labels of a round were kept yet, or a file of it is damaged.
        OutputError: the system could not write, or another process works on the cohort.
    """
    with cohort.working():
        current = cohort.state.current
        if current == COARSE:
            raise CohortError(f"{cohort.folder}: No labels of a round were kept yet. Run adaptseg cohort train first.")
        views = [view for view in _views(cohort, current) if cohort.probabilities_path(view.name, current).is_file()]
        labelled, unlabelled = _parted(views)
        ranked = method.rank(strategy, labelled, unlabelled, min(count, len(unlabelled)), seed)
        queries = tuple(Query(unlabelled[index].name, float(score), reason) for index, score, reason in ranked)
        cohort.change_state(lambda state: replace(state, queries=queries))
    return queries


@dataclass(frozen=True)
class FeaturesJob:
    """Features of a case."""

    cohort: Cohort
    method: Method

    def __call__(self, item: str, watch: Watch) -> StoredFeatures:
        case = self.cohort.case(item)
        features = self.method.features(self.cohort.image(case).array, watch)
        return replace(features, source=_source(case, self.method))


@dataclass(frozen=True, eq=False)
class CoarseJob:
    """Coarse label and confidence of a case, from the template's features and classes (I, J, K)."""

    cohort: Cohort
    method: Method
    template: StoredFeatures
    label: np.ndarray

    def __call__(self, item: str, watch: Watch) -> tuple[np.ndarray, np.ndarray]:
        return self.method.coarse(self.template, self.label, read_features(self.cohort.features_path(item)))


@dataclass(frozen=True)
class TrainJob:
    """The network of a round."""

    cohort: Cohort
    method: Method

    def __call__(self, item: Round, watch: Watch) -> Network:
        labelled, trusted = participants(self.cohort, item)
        samples = [*((case, accepted) for case, accepted in labelled), *((case, None) for case in trusted)]
        lazy = Lazy(
            len(samples),
            lambda index: _sample(self.cohort, item.base, *samples[index]),
            MOST_SAMPLE_BYTES,
            lambda sample: sample.nbytes,
        )
        grids = [geometry_of(case) for case, _ in samples]
        return self.method.train(lazy, len(labelled), grids, self.cohort.classes, _seed(self.cohort, item), watch)


@dataclass(frozen=True, eq=False)
class PredictJob:
    """Probabilities of a case, float32 (classes, I, J, K)."""

    cohort: Cohort
    method: Method
    network: Network

    def __call__(self, item: str, watch: Watch) -> np.ndarray:
        volume = self.cohort.image(self.cohort.case(item))
        return self.method.predict(self.network, volume.array)


@dataclass(frozen=True, eq=False)
class RelabelJob:
    """What is believed of a case after a round, from its own probabilities and from its neighbours.

    Attributes:
        views: of all cases by their ids, with the accepted label that the round began with, if any.
        neighbours: ids of the neighbours of each.
    """

    method: Method
    views: Mapping[str, CaseView]
    neighbours: Mapping[str, Sequence[str]]

    def __call__(self, item: str, watch: Watch) -> np.ndarray:
        return self.method.relabel(self.views[item], [self.views[name] for name in self.neighbours[item]], watch)


def participants(cohort: Cohort, plan: Round) -> tuple[list[tuple[Case, Accepted]], list[Case]]:
    """Cases that take part in a round with an accepted label, and those with the label of the base round.

    What was set aside or taken back since the round was planned is left out.
    """
    usable = {case.id: case for case in cohort.cases() if case.is_usable}
    labelled = [
        (usable[name], accepted)
        for name, file in plan.labelled.items()
        if name in usable
        for accepted in usable[name].accepted
        if accepted.file == file
    ]
    return labelled, [usable[name] for name in plan.trusted if name in usable]


def _check_space(cohort: Cohort, method: Method) -> None:
    whole, present = features_bytes(cohort, method)
    free = shutil.disk_usage(cohort.folder).free
    if whole - present > free:
        raise CohortError(
            f"{cohort.folder}: The features need {(whole - present) / 1e9:.1f} GB, got {free / 1e9:.1f} GB free."
        )


def _compute_features(cohort: Cohort, method: Method, engine: Engine, watching: Watching) -> None:
    prepare_folder(cohort.folder / FEATURES, ("any",))
    missing = [case.id for case in cohort.cases() if case.is_usable and not _has_features(cohort, method, case)]
    for name, features in _results(cohort, engine, FeaturesJob(cohort, method), missing, watching("features")):
        write_features(cohort.features_path(name), features)


def _propose_coarse(cohort: Cohort, method: Method, engine: Engine, watching: Watching) -> None:
    template = cohort.case(cohort.settings.template)
    if not template.is_usable or template.label is None:
        raise CohortError(f"{template.id}: The template cannot be used ({template.aside}). Choose a labelled image.")
    cohort.prepare_round(COARSE)
    label = cohort.label(template, template.label)
    job = CoarseJob(cohort, method, read_features(cohort.features_path(template.id)), label)
    cases = {case.id: case for case in cohort.cases() if case.is_usable}
    missing = [name for name in cases if not cohort.has_proposal(name, COARSE)]
    for name, (classes, confidence) in _results(cohort, engine, job, missing, watching("coarse labels")):
        cohort.write_proposal(cases[name], COARSE, classes, confidence)


def _begin_round(cohort: Cohort, method: Method) -> Round:
    state = cohort.state
    base = state.current
    if not any(cohort.has_proposal(name, COARSE) for name in cohort.settings.images):
        raise CohortError(f"{cohort.folder}: No label is proposed yet. Run adaptseg cohort propagate first.")
    _set_aside_changed(cohort, (case for case in cohort.cases() if case.is_usable and case.label))
    labelled, others = _parted(_views(cohort, base))
    if not labelled:
        raise CohortError(f"{cohort.folder}: No accepted label can be used. Accept at least one.")
    unlabelled = [view for view in others if cohort.has_proposal(view.name, base)]
    chosen, why = (range(len(unlabelled)), FIRST_ROUND) if base == COARSE else method.trusted(labelled, unlabelled)
    plan = Round(
        number=max((one.number for one in state.rounds), default=COARSE) + 1,
        base=base,
        labelled={view.name: view.case.label.file for view in labelled if view.case.label},
        trusted=tuple(unlabelled[index].name for index in chosen),
        why=why,
    )
    cohort.change_state(lambda stored: replace(stored, plan=plan))
    return plan


def _run_round(cohort: Cohort, method: Method, engine: Engine, watching: Watching, plan: Round) -> Round:
    cohort.prepare_round(plan.number)
    network = _network(cohort, method, engine, watching, plan)
    _predict(cohort, method, engine, watching, plan, network)
    _relabel(cohort, method, engine, watching, plan)
    ended = _judged(cohort, method, plan)
    state = cohort.change_state(lambda stored: replace(stored, rounds=(*stored.rounds, ended), plan=None))
    cohort.remove_rounds({COARSE, plan.base, state.current})
    return ended


def _network(cohort: Cohort, method: Method, engine: Engine, watching: Watching, plan: Round) -> Network:
    path = cohort.network_path(plan.number)
    if path.is_file():
        return read_network(path)
    labelled, trusted = participants(cohort, plan)
    _set_aside_changed(cohort, (*(case for case, _ in labelled), *trusted))
    ((_, network),) = engine.map(TrainJob(cohort, method), [plan], watching(f"round {plan.number}: network"))
    if isinstance(network, AdaptSegError):
        raise network
    write_network(path, network)
    return network


def _predict(cohort: Cohort, method: Method, engine: Engine, watching: Watching, plan: Round, network: Network) -> None:
    missing = [
        case.id
        for case in cohort.cases()
        if case.is_usable
        and cohort.features_path(case.id).is_file()
        and not cohort.probabilities_path(case.id, plan.number).is_file()
    ]
    job, watch = PredictJob(cohort, method, network), watching(f"round {plan.number}: probabilities")
    for name, probabilities in _results(cohort, engine, job, missing, watch):
        write_probabilities(cohort.probabilities_path(name, plan.number), probabilities)


def _relabel(cohort: Cohort, method: Method, engine: Engine, watching: Watching, plan: Round) -> None:
    number = plan.number
    _set_aside_changed(cohort, [case for case, _ in participants(cohort, plan)[0]])
    known = {case.id: (accepted,) for case, accepted in participants(cohort, plan)[0]}
    views = {
        view.name: replace(view, case=replace(view.case, accepted=known.get(view.name, ())))
        for view in _views(cohort, number)
        if cohort.probabilities_path(view.name, number).is_file()
    }
    missing = [name for name in views if not cohort.has_proposal(name, number)]
    if not missing:
        return
    cases = list(views.values())
    indices = method.neighbours(cases, watching(f"round {number}: look-alikes"))
    neighbours = {name: [cases[index].name for index in these] for name, these in zip(views, indices)}
    job = RelabelJob(method, views, neighbours)
    first = [name for name in views if not (views[name].is_labelled or cohort.believed_path(name, number).is_file())]
    for name, believed in _results(cohort, engine, job, first, watching(f"round {number}: labels")):
        write_probabilities(cohort.believed_path(name, number), believed)
    job = replace(job, views={name: replace(view, once_relabelled=True) for name, view in views.items()})
    second = [name for name in missing if views[name].is_labelled or cohort.believed_path(name, number).is_file()]
    for name, believed in _results(cohort, engine, job, second, watching(f"round {number}: labels again")):
        cohort.write_proposal(views[name].case, number, *method.settled(believed))


def _judged(cohort: Cohort, method: Method, plan: Round) -> Round:
    """The round with its agreement and, where its labels are worse than before, the reason to give them up."""
    numbers = (plan.base, plan.number, COARSE)
    cases = [
        view.case
        for view in _views(cohort, plan.number)
        if not view.is_labelled and all(cohort.has_proposal(view.name, number) for number in numbers)
    ]
    if not cases:
        return plan
    before, after, reference = (_proposals(cohort, cases, number) for number in numbers)
    agreement = float(np.mean([mean_dice(before[index], after[index]) for index in range(len(cases))]))
    return replace(plan, agreement=agreement, collapsed=method.collapsed(before, after, reference) or "")


def _proposals(cohort: Cohort, cases: Sequence[Case], number: int) -> Lazy[np.ndarray]:
    return Lazy(len(cases), lambda index: cohort.proposal(cases[index], number))


def _sample(cohort: Cohort, base: int, case: Case, accepted: Accepted | None) -> Sample:
    label = cohort.proposal(case, base) if accepted is None else cohort.label(case, accepted)
    return Sample(cohort.image(case).array, label)


def _set_aside_changed(cohort: Cohort, cases: Iterable[Case]) -> None:
    """Set aside the cases whose image or accepted label is missing or has changed."""
    for case in cases:
        try:
            cohort.check_image(case)
            if case.label is not None:
                cohort.check_label(case.label)
        except AdaptSegError as error:
            cohort.set_aside(case.id, error)


def _results(
    cohort: Cohort, engine: Engine, job: Job[Item, Result], names: Sequence[Item], watch: Watch
) -> Iterator[tuple[Item, Result]]:
    """The results of those cases that have one; the others are set aside."""
    for name, result in engine.map(job, names, watch):
        if isinstance(result, AdaptSegError):
            cohort.set_aside(str(name), result)
        else:
            yield name, result


def _views(cohort: Cohort, number: int) -> list[CaseView]:
    return [CaseView(cohort, case, number) for case in cohort.cases() if case.is_usable]


def _parted(views: Sequence[CaseView]) -> tuple[list[CaseView], list[CaseView]]:
    return [view for view in views if view.is_labelled], [view for view in views if not view.is_labelled]


def _has_features(cohort: Cohort, method: Method, case: Case) -> bool:
    path = cohort.features_path(case.id)
    try:
        return path.is_file() and read_features(path).source.items() >= _source(case, method).items()
    except CohortError:
        return False


def _seed(cohort: Cohort, plan: Round) -> int:
    return int(np.random.SeedSequence((cohort.settings.seed, plan.number)).generate_state(1)[0])


def _source(case: Case, method: Method) -> dict[str, str]:
    return {"image": case.image.sha256 if case.image else "", "method": method.digest}
