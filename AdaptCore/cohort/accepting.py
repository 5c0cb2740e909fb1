"""Accepted labels: each is a file of its own that is never written again, and a line in its case's record.

The record is the point of no return: a process killed before it is written has accepted nothing, one killed after has.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from AdaptCore.atomic import prepare_folder
from AdaptCore.cohort.folder import ACCEPTED, LABEL_END, Cohort, geometry_of
from AdaptCore.cohort.images import digest, read_label
from AdaptCore.cohort.records import Accepted, Case, write_case
from AdaptCore.errors import AdaptSegError, CohortError, ImageError
from AdaptCore.io import write_mask
from AdaptCore.locks import locked


def accept(cohort: Cohort, name: str, label: np.ndarray) -> Case:
    """Take a label for a case; one accepted earlier is kept and can come back with `undo`.

    The same label again changes nothing. A case that was set aside takes part again, if its image is as it was.

    Args:
        label: uint8 (I, J, K), values as in the cohort's label files.

    Raises:
        CohortError: there is no such case, or its record cannot be used.
        ImageError: the label is empty or of another size, or the image cannot be read or has changed.
        OutputError: the system could not write; what was accepted before stays.
    """
    case = cohort.case(name)
    cohort.check_image(case)
    geometry, current = geometry_of(case), cohort.state.current
    odd = np.setdiff1d(label, (0, *cohort.settings.labels))
    if label.shape != geometry.size or odd.size or not label.any():
        raise ImageError(
            f"{name}: Expected a label of {geometry.size} voxels with some of the values "
            f"{list(cohort.settings.labels)} besides 0, got {label.shape} with {np.unique(label)[:5].tolist()}."
        )
    proposed = cohort.proposal(case, current) if cohort.has_proposal(name, current) else None
    dice = None if proposed is None else mean_dice(cohort.values(proposed), label)
    prepare_folder(cohort.folder / ACCEPTED, (f"{name}{LABEL_END}",))
    with locked(cohort.record_path(name), shared=True):
        stored = cohort.case(name)
        if _counts_already(cohort, stored, label):
            return stored
        path = cohort.folder / ACCEPTED / f"{name}-{_latest(cohort, name) + 1}{LABEL_END}"
        write_mask(label, geometry, path)
        entry = Accepted(f"{ACCEPTED}/{path.name}", digest(path), None if dice is None else current, dice)
        after = replace(stored, accepted=(*stored.accepted, entry), aside="", refused="")
        write_case(cohort.record_path(name), after)
    return after


def accept_file(cohort: Cohort, name: str, path: Path) -> Case:
    """Take the label in a file; one that cannot be taken is noted with the case, which stays as it was.

    Raises:
        AdaptSegError: as `accept`, or the file cannot be read, lies elsewhere than the image or holds other values.
    """
    geometry = geometry_of(cohort.case(name))
    try:
        label = read_label(path, geometry, cohort.settings.labels, cohort.settings.names)
        if not label.any():
            raise ImageError(f"{path}: The label is empty. Choose one with at least one voxel of an object.")
    except AdaptSegError as error:
        told = str(error).replace(str(path), path.name)
        cohort.change(name, lambda case: replace(case, refused=told))
        raise
    return accept(cohort, name, label)


def accept_proposal(cohort: Cohort, name: str) -> Case:
    """Take the current proposal as it is.

    Raises:
        AdaptSegError: as `accept`, or there is no proposal.
    """
    case, current = cohort.case(name), cohort.state.current
    if not cohort.has_proposal(name, current):
        raise CohortError(f"{name}: No label is proposed. Choose a label file, or run adaptseg cohort propagate first.")
    return accept(cohort, name, cohort.values(cohort.proposal(case, current)))


def undo(cohort: Cohort, name: str) -> Case:
    """Take back the label that was accepted last; the one before it counts again. Its file stays.

    Raises:
        CohortError: there is no such case, its record cannot be used, or it has no accepted label, or it is the
            template with its only one.
        OutputError: the system could not write; nothing has changed.
    """

    def without_last(case: Case) -> Case:
        least = 1 if name == cohort.settings.template else 0
        if len(case.accepted) <= least:
            needed = "2, because the template keeps one" if least else "1"
            raise CohortError(
                f"{name}: Expected at least {needed}, of accepted labels to take back from, got {len(case.accepted)}."
            )
        return replace(case, accepted=case.accepted[:-1])

    return cohort.change(name, without_last)


def found_again(cohort: Cohort, name: str) -> tuple[Accepted, ...]:
    """The accepted labels of a case whose record is lost, in order; among them those that were taken back."""
    numbers = _numbers(cohort, name)
    paths = [cohort.folder / ACCEPTED / f"{name}-{number}{LABEL_END}" for number in sorted(numbers)]
    return tuple(Accepted(f"{ACCEPTED}/{path.name}", digest(path)) for path in paths)


def mean_dice(one: np.ndarray, other: np.ndarray) -> float:
    """Mean Dice over the labels that are in either array, 1 where there is none."""
    labels = np.union1d(one, other)
    shares = [
        2
        * np.count_nonzero((one == label) & (other == label))
        / (np.count_nonzero(one == label) + np.count_nonzero(other == label))
        for label in labels[labels > 0]
    ]
    return float(np.mean(shares)) if shares else 1.0


def _counts_already(cohort: Cohort, case: Case, label: np.ndarray) -> bool:
    if case.label is None or case.aside or case.refused:
        return False
    try:
        return np.array_equal(cohort.values(cohort.label(case, case.label)), label)
    except ImageError:
        return False


def _latest(cohort: Cohort, name: str) -> int:
    return max(_numbers(cohort, name), default=0)


def _numbers(cohort: Cohort, name: str) -> list[int]:
    pattern = re.compile(re.escape(name) + r"-([0-9]+)" + re.escape(LABEL_END))
    files = (cohort.folder / ACCEPTED).iterdir() if (cohort.folder / ACCEPTED).is_dir() else ()
    return [int(match[1]) for file in files if (match := pattern.fullmatch(file.name))]
