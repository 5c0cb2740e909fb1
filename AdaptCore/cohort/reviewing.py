"""What a reviewer sees of a cohort: cases in the order in which they are asked for, their pictures and unsure planes.

Confidence is that of the stored proposal, voxel by voxel; a plane's is the mean over its foreground (ours).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.records import Case
from AdaptCore.cohort.summary import ACCEPTED, ASIDE, NEW, PROPOSED, WAITING, Summary
from AdaptCore.errors import CohortError
from AdaptCore.files.segments import SEGMENT_COLOURS
from AdaptCore.io import Geometry, Volume
from AdaptCore.predict.intensity import apply_window, auto_window

LIST_ORDER = (PROPOSED, WAITING, NEW, ASIDE, ACCEPTED)
"""Cases that were not asked for follow in this order."""

SIDE = 96
MARGIN = 0.5
"""Space around the object in a picture, as a share of the longer side of its box."""

COVER = 0.5
"""How much of the grey picture a class's colour hides."""


@dataclass(frozen=True)
class ReviewItem:
    """A line of the list.

    Attributes:
        case: its id.
        status: one of `AdaptCore.cohort.summary.STATUSES`.
        reason: why it is asked for, or why it is set aside; else empty.
        score: how much its review is worth; None where it was not asked for.
    """

    case: str
    status: str
    reason: str = ""
    score: float | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it can be reviewed and was not."""
        return self.status == PROPOSED

    @property
    def is_accepted(self) -> bool:
        return self.status == ACCEPTED

    @property
    def is_asked_for(self) -> bool:
        return self.score is not None


@dataclass(frozen=True, eq=False)
class Opened:
    """A case to look at.

    Attributes:
        volume: its image, checked to be the one that was examined.
        label: uint8 (I, J, K), values as in label files: the accepted label, else the proposed one.
        confidences: value of a class -> index of a plane with that class -> confidence from 0 to 1; none where the
            label was accepted.
        axis: that the planes lie across.
        accepted: file of the accepted label, None where it is the proposed one.
    """

    volume: Volume
    label: np.ndarray
    confidences: dict[int, dict[int, float]]
    axis: int
    accepted: str | None = None


def review_items(summary: Summary) -> tuple[ReviewItem, ...]:
    """All cases: first those that were asked for, in the order of the queries, then the others."""
    statuses = {case.id: (case, status) for case, status in summary.cases}
    asked = {query.case: query for query in summary.state.queries if query.case in statuses}
    others = (pair for name, pair in statuses.items() if name not in asked)
    return (
        *(_item(*statuses[name], query.reason, query.score) for name, query in asked.items()),
        *(_item(case, status) for case, status in sorted(others, key=lambda pair: LIST_ORDER.index(pair[1]))),
    )


def open_case(cohort: Cohort, name: str) -> Opened:
    """Read what is looked at in a review; nothing is changed.

    Raises:
        CohortError: there is no such case, its record cannot be used, or no label is proposed.
        ImageError: a file cannot be read or has changed.
    """
    case, current = cohort.case(name), cohort.state.current
    volume = cohort.image(case)
    axis = review_axis(volume.geometry)
    if case.label is not None and not case.aside:
        return Opened(volume, cohort.values(cohort.label(case, case.label)), {}, axis, case.label.file)
    if not cohort.has_proposal(name, current):
        raise CohortError(f"{name}: No label is proposed yet. Run adaptseg cohort propagate first.")
    classes, confidence = cohort.proposal(case, current), cohort.confidence(case, current)
    confidences = {
        value: plane_confidences(classes == number, confidence, axis)
        for number, value in enumerate(cohort.settings.labels, start=1)
    }
    return Opened(volume, cohort.values(classes), confidences, axis)


def case_picture(cohort: Cohort, name: str, number: int) -> np.ndarray:
    """A plane of what a round proposes for a case, each class in its colour, uint8 (SIDE, SIDE, 3).

    It is the one with the largest sum of 1 - confidence over its foreground, so that there is something to see; without
    an object in the proposal, the middle one.

    Raises:
        AdaptSegError: as `open_case`.
    """
    case = cohort.case(name)
    volume, classes = cohort.image(case), cohort.proposal(case, number)
    axis = review_axis(volume.geometry)
    others = tuple(other for other in range(3) if other != axis)
    doubts = (1 - cohort.confidence(case, number)).sum(others, where=classes > 0)
    index = int(doubts.argmax()) if doubts.any() else classes.shape[axis] // 2
    window = auto_window(volume.array)
    plane = apply_window(volume.array.take(index, axis), window)
    return _picture(plane, classes.take(index, axis), _in_plane(volume.geometry, axis))


def review_axis(geometry: Geometry) -> int:
    """The axis that planes are looked at across: that of the longest voxels, of equal ones the most axial."""
    spacing = np.round(geometry.spacing, 3)
    return max(range(3), key=lambda axis: (spacing[axis], abs(geometry.direction_matrix[2, axis])))


def plane_confidences(mask: np.ndarray, confidence: np.ndarray, axis: int) -> dict[int, float]:
    """Mean confidence over the mask on each plane that it meets, by the plane's index.

    Args:
        mask: bool (I, J, K).
        confidence: float32 (I, J, K), 0 to 1.
    """
    others = tuple(other for other in range(3) if other != axis)
    counts = mask.sum(others)
    sums = confidence.sum(others, where=mask, dtype=float)
    return {int(index): float(sums[index] / counts[index]) for index in np.flatnonzero(counts)}


def class_colour(number: int) -> tuple[float, ...]:
    """Red, green and blue from 0 to 1 of a class; the first class has the number 1."""
    return tuple(map(float, SEGMENT_COLOURS[(number - 1) % len(SEGMENT_COLOURS)].split()))


def _item(case: Case, status: str, reason: str = "", score: float | None = None) -> ReviewItem:
    return ReviewItem(case.id, status, case.aside if status == ASIDE else reason, score)


@dataclass(frozen=True)
class _Side:
    """One side of a picture: the axis of the plane (0 or 1) along it, mm between its pixels, whether it is turned."""

    axis: int
    spacing: float
    is_turned: bool


def _in_plane(geometry: Geometry, axis: int) -> tuple[_Side, _Side]:
    """The sides to the right and downwards, as in radiology: left or posterior to the right, feet or back down."""
    others = [other for other in range(3) if other != axis]
    sides = []
    for number, other in enumerate(others):
        column = geometry.direction_matrix[:, other]
        patient = int(np.abs(column).argmax())
        is_turned = bool(column[patient] < 0) != (patient == 2)
        sides.append((patient, _Side(number, geometry.spacing[other], is_turned)))
    (_, right), (_, down) = sorted(sides, key=lambda side: side[0])
    return right, down


def _picture(plane: np.ndarray, classes: np.ndarray, sides: tuple[_Side, _Side]) -> np.ndarray:
    """A square around the object of a plane in [0, 1], both of the same shape."""
    columns, rows = (_places(classes, side, _length(classes, sides)) for side in sides)
    if sides[0].axis == 0:
        plane, classes = plane.T, classes.T
    is_inside = (rows >= 0)[:, None] & (columns >= 0)
    grid = np.ix_(rows, columns)
    grey, shown = np.where(is_inside, plane[grid], 0.0), np.where(is_inside, classes[grid], 0)
    picture = np.repeat(grey[..., None], 3, axis=2)
    for number in np.unique(shown[shown > 0]):
        where = shown == number
        picture[where] = (1 - COVER) * picture[where] + COVER * np.array(class_colour(int(number)))
    return np.rint(255 * picture).astype(np.uint8)


def _length(classes: np.ndarray, sides: tuple[_Side, _Side]) -> float:
    """Millimetres along a side of the square: the object with some space around it, at most the whole plane."""
    whole = max(classes.shape[side.axis] * side.spacing for side in sides)
    found = [np.flatnonzero(classes.any(1 - side.axis)) for side in sides]
    if not found[0].size:
        return whole
    length = max((span[-1] - span[0] + 1) * side.spacing for span, side in zip(found, sides))
    return float(min(whole, length * (1 + 2 * MARGIN)))


def _places(classes: np.ndarray, side: _Side, length: float) -> np.ndarray:
    """Pixel of the plane for each of the picture's along one side, around the object's middle; -1 beside the plane."""
    size = classes.shape[side.axis]
    found = np.flatnonzero(classes.any(1 - side.axis))
    middle = (found[0] + found[-1] + 1) / 2 if found.size else size / 2
    steps = (np.arange(SIDE) + 0.5) / SIDE - 0.5
    places = np.floor(middle + (-steps if side.is_turned else steps) * length / side.spacing).astype(int)
    return np.where((places >= 0) & (places < size), places, -1)
