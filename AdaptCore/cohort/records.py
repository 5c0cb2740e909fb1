"""What the plain files of a cohort folder say: settings, cases and state, as JSON that follows cohort.schema.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from AdaptCore.atomic import unless_busy, write_bytes
from AdaptCore.errors import CohortError
from AdaptCore.files.geometry import Geometry, NiftiPlace
from AdaptCore.json_text import parse, problem_with

VERSION = 1
SCHEMA = "cohort.schema.json"
PLACES = ("size", "spacing", "origin", "direction")
"""What is kept of any geometry; besides, a NIfTI header's place, and whether the file does not tell the spacing."""


@dataclass(frozen=True)
class Settings:
    """What is fixed when a cohort begins; only its list of images may grow.

    Attributes:
        model: name or file of the frozen model.
        template: id of the case that was labelled first.
        labels: values of the classes in label files, ascending; class c of a network is `labels[c - 1]`.
        seed: of everything random.
        images: id of a case -> its image, a POSIX path from the cohort folder or an absolute one.
        names: of segments, by value, where the first label has them.
    """

    model: str
    template: str
    labels: tuple[int, ...]
    seed: int
    images: Mapping[str, str]
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """What was found in an image: SHA256 of its bytes (hex) and where its voxels lie."""

    sha256: str
    geometry: Geometry


@dataclass(frozen=True)
class Accepted:
    """An accepted label.

    Attributes:
        file: POSIX path from the cohort folder; it is never written again.
        sha256: of its bytes (hex).
        round: of the proposal at that time, None if there was none.
        dice: mean Dice of that proposal over the classes.
    """

    file: str
    sha256: str
    round: int | None = None
    dice: float | None = None


@dataclass(frozen=True)
class Case:
    """One image of the cohort and what became of it.

    Attributes:
        id: the file's stem where that tells it apart.
        image: None as long as it cannot be read.
        accepted: every accepted label that was not taken back, in order; the last one counts.
        aside: why the case is set aside, empty where it is not.
        refused: why the latest label given for it was not taken, else empty.
    """

    id: str
    image: Image | None = None
    accepted: tuple[Accepted, ...] = ()
    aside: str = ""
    refused: str = ""

    @property
    def label(self) -> Accepted | None:
        """The accepted label that counts."""
        return self.accepted[-1] if self.accepted else None

    @property
    def is_usable(self) -> bool:
        """Whether it takes part: its image could be read, and nothing is wrong with it."""
        return self.image is not None and not self.aside


@dataclass(frozen=True)
class Round:
    """One training from scratch and the labels that came of it.

    Attributes:
        number: from 1; 0 stands for the coarse labels.
        base: the round whose labels it learnt from.
        labelled: id of each case that took part with an accepted label -> its file.
        trusted: ids of those that took part with the label of the base round.
        why: why these.
        agreement: mean Dice with the labels of the base round; None before its end.
        collapsed: why its labels were given up, empty where they were kept.
    """

    number: int
    base: int
    labelled: Mapping[str, str]
    trusted: tuple[str, ...]
    why: str
    agreement: float | None = None
    collapsed: str = ""


@dataclass(frozen=True)
class Query:
    """A case to review, how much that is worth, and the reason in words."""

    case: str
    score: float
    reason: str


@dataclass(frozen=True)
class State:
    """Where the cohort stands.

    Attributes:
        rounds: those that ended, in order.
        plan: the round that has begun and not ended.
        queries: what to review next, in order.
    """

    rounds: tuple[Round, ...] = ()
    plan: Round | None = None
    queries: tuple[Query, ...] = ()

    @property
    def current(self) -> int:
        """Number of the latest round whose labels were kept, 0 for the coarse ones."""
        return max((one.number for one in self.rounds if not one.collapsed), default=0)


def read_settings(path: Path) -> Settings:
    """Read cohort.json.

    Raises:
        CohortError: it cannot be read, is no JSON, of a newer version or not as the schema says.
    """
    content = _read(path, "settings")
    names = {int(value): name for value, name in content.get("names", {}).items()}
    fixed = (content["model"], content["template"], tuple(content["labels"]), content["seed"], content["images"])
    return Settings(*fixed, names)


def write_settings(path: Path, settings: Settings) -> None:
    """Write cohort.json whole or not at all.

    Raises:
        OutputError: the system could not write.
    """
    _write(path, "settings", asdict(settings))


def read_case(path: Path) -> Case:
    """Read one of cases/*.json.

    Raises:
        CohortError: as `read_settings`.
    """
    content = _read(path, "case")
    found = content["image"]
    image = None
    if found is not None:
        places: dict[str, Any] = {key: tuple(found[key]) for key in PLACES}
        has_millimetres = found.get("has_millimetres", True)
        geometry = Geometry(**places, nifti=_nifti(found.get("nifti")), has_millimetres=has_millimetres)
        image = Image(found["sha256"], geometry)
    accepted = tuple(Accepted(**one) for one in content["accepted"])
    return Case(content["id"], image, accepted, content["aside"], content["refused"])


def write_case(path: Path, case: Case) -> None:
    """Write one of cases/*.json whole or not at all.

    Raises:
        OutputError: the system could not write.
    """
    content = asdict(case)
    if case.image is not None:
        geometry = content["image"].pop("geometry")
        kept = [*PLACES, *(["nifti"] if geometry["nifti"] else [])]
        kept += [] if geometry["has_millimetres"] else ["has_millimetres"]
        content["image"] |= {key: geometry[key] for key in kept}
    _write(path, "case", content)


def read_state(path: Path) -> State:
    """Read state.json; where there is none, nothing has been done yet.

    Raises:
        CohortError: as `read_settings`.
    """
    if not path.exists():
        return State()
    content = _read(path, "state")
    return State(
        tuple(_round(one) for one in content["rounds"]),
        None if content["plan"] is None else _round(content["plan"]),
        tuple(Query(**one) for one in content["queries"]),
    )


def write_state(path: Path, state: State) -> None:
    """Write state.json whole or not at all.

    Raises:
        OutputError: the system could not write.
    """
    _write(path, "state", asdict(state))


def _nifti(content: dict[str, Any] | None) -> NiftiPlace | None:
    """The place in a NIfTI header; None for other files, and in cohorts that were begun without it."""
    if content is None:
        return None
    places: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in content.items()}
    return NiftiPlace(**places)


def _round(content: dict[str, Any]) -> Round:
    return Round(**{**content, "trusted": tuple(content["trusted"])})


def _read(path: Path, what: str) -> dict[str, Any]:
    try:
        content = parse(unless_busy(path.read_bytes))
    except OSError as error:
        raise CohortError(f"{path}: The {what} of the cohort cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise CohortError(f"{path}: Expected the {what} of a cohort, got damaged JSON ({error}).") from error
    version = content.get("version") if isinstance(content, dict) else None
    if isinstance(version, int) and version > VERSION:
        raise CohortError(
            f"{path}: Expected version {VERSION}, got version {version} of a newer AdaptSeg. Install that one."
        )
    _check(path, what, content)
    del content["version"]
    return dict(content)


def _write(path: Path, what: str, content: dict[str, Any]) -> None:
    text = json.dumps({"version": VERSION, **content}, indent=1, ensure_ascii=False, allow_nan=False)
    _check(path, what, json.loads(text))
    unless_busy(lambda: write_bytes(path, f"{text}\n".encode()))


def _check(path: Path, what: str, content: object) -> None:
    problem = problem_with(content, SCHEMA, what)
    if problem is not None:
        raise CohortError(f"{path}: Expected the {what} of a cohort as in {SCHEMA}, got {problem}.")
