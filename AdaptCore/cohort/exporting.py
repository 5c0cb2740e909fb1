"""The final labels of a cohort in a folder of their own: the accepted one of each case, else the proposed one."""

from __future__ import annotations

import csv
import io
import shutil
from dataclasses import dataclass
from pathlib import Path

from AdaptCore.atomic import atomic_target, prepare_folder, write_bytes
from AdaptCore.cohort.folder import LABEL_END, Cohort
from AdaptCore.cohort.images import digest
from AdaptCore.cohort.records import Case
from AdaptCore.errors import CohortError, ImageError, OutputError

LIST = "labels.csv"


@dataclass(frozen=True)
class Final:
    """The label of a case.

    Attributes:
        case: its id.
        path: of the label.
        source: "accepted", or "round N" for a proposal that nobody has accepted.
    """

    case: str
    path: Path
    source: str


def final_labels(cohort: Cohort, proposals: bool = True) -> tuple[Final, ...]:
    """The label of each case that has one and is not set aside.

    Args:
        proposals: take the proposal where no label was accepted.
    """
    current = cohort.state.current
    found = (_final(cohort, case, current, proposals) for case in cohort.cases() if case.is_usable)
    return tuple(final for final in found if final is not None)


def export(cohort: Cohort, folder: Path, proposals: bool = True) -> tuple[Final, ...]:
    """Copy the final labels to a folder as NIfTI files, with a list that tells which were accepted.

    Called again, it goes on where it was stopped; a file of another content is never replaced.

    Raises:
        CohortError: there is no label.
        ImageError: an accepted label has changed or is missing.
        OutputError: another file is in the way, or the system could not write.
    """
    finals = final_labels(cohort, proposals)
    if not finals:
        raise CohortError(
            f"{cohort.folder}: There is no label to export. Run adaptseg cohort propagate or accept first."
        )
    for case in cohort.cases():
        if case.is_usable and case.label is not None:
            cohort.check_label(case.label)
    prepare_folder(folder, (LIST,))
    for final in finals:
        _check_free(folder / f"{final.case}{LABEL_END}", final.path)
    for final in finals:
        target = folder / f"{final.case}{LABEL_END}"
        if not target.exists():
            with atomic_target(target) as temporary:
                shutil.copyfile(final.path, temporary)
    write_bytes(folder / LIST, _listed(finals))
    return finals


def _final(cohort: Cohort, case: Case, current: int, proposals: bool) -> Final | None:
    if case.label is not None:
        return Final(case.id, cohort.folder / case.label.file, "accepted")
    if proposals and cohort.has_proposal(case.id, current):
        return Final(case.id, cohort.proposal_path(case.id, current), f"round {current}")
    return None


def _check_free(target: Path, source: Path) -> None:
    try:
        is_other = target.exists() and digest(target) != digest(source)
    except ImageError as error:
        raise OutputError(str(error)) from error
    if is_other:
        raise OutputError(f"{target}: Another file is there already. Choose a folder without it.")


def _listed(finals: tuple[Final, ...]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file", "source"])
    writer.writerows([f"{final.case}{LABEL_END}", final.source] for final in finals)
    return text.getvalue().encode()
