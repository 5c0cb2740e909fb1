"""What a reviewer sees of a cohort: the order of cases, the unsure planes, and the pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cohort.accepting import accept
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.records import Case, Query, State
from AdaptCore.cohort.reviewing import (
    SIDE,
    case_picture,
    class_colour,
    open_case,
    plane_confidences,
    review_axis,
    review_items,
)
from AdaptCore.cohort.summary import Summary, summarize
from AdaptCore.errors import AdaptSegError
from AdaptCore.io import Geometry
from Testing.cohort_toy import LABELS, a_case, begun, trained

SAGITTAL_FIRST = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
"""Directions of axes that run to the back, to the head and to the left."""


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    return trained(tmp_path, 4)


def test_queries_come_first_in_their_order_also_after_they_were_accepted() -> None:
    cases = ((Case("a"), "proposed"), (Case("b"), "accepted"), (Case("c", aside="cut short"), "set aside"))
    more = ((Case("d"), "accepted"), (Case("e"), "waiting"), (Case("f"), "proposed"))
    queries = (Query("b", 0.9, "why b"), Query("gone", 0.8, "why"), Query("f", 0.7, "why f"))
    items = review_items(Summary(State(queries=queries), (*cases, *more)))
    assert [(item.case, item.reason, item.score) for item in items] == [
        ("b", "why b", 0.9),
        ("f", "why f", 0.7),
        ("a", "", None),
        ("e", "", None),
        ("c", "cut short", None),
        ("d", "", None),
    ]
    assert [item.case for item in items if item.is_waiting] == ["f", "a"]


@pytest.mark.parametrize(
    ("spacing", "direction", "axis"),
    [
        ((1.0, 1.5, 2.0), (), 2),
        ((3.0, 0.5, 0.5), (), 0),
        ((1.0, 1.0, 1.0), (), 2),
        ((1.0, 1.00001, 1.0), SAGITTAL_FIRST, 1),
    ],
)
def test_planes_lie_across_the_longest_voxels_and_else_axially(
    spacing: tuple[float, float, float], direction: tuple[float, ...], axis: int
) -> None:
    geometry = Geometry((4, 5, 6), spacing)
    assert review_axis(replace(geometry, direction=direction) if direction else geometry) == axis


def test_plane_is_as_sure_as_its_foreground_is_on_average() -> None:
    mask, confidence = np.zeros((3, 4, 5), bool), np.full((3, 4, 5), 0.1, np.float32)
    mask[0, :2, 1] = mask[2, 3, 4] = True
    confidence[0, 0, 1], confidence[0, 1, 1], confidence[2, 3, 4] = 0.5, 1.0, 0.25
    assert plane_confidences(mask, confidence, 2) == {1: 0.75, 4: 0.25}
    assert plane_confidences(mask, confidence, 0) == {0: 0.75, 2: 0.25}


def test_case_is_opened_with_its_proposal_and_the_confidence_of_each_plane(a_cohort: Cohort) -> None:
    opened = open_case(a_cohort, "case-002")
    case = a_cohort.case("case-002")
    np.testing.assert_array_equal(opened.volume.array, a_case(2)[0])
    np.testing.assert_array_equal(opened.label, a_cohort.values(a_cohort.proposal(case, 1)))
    assert (opened.axis, opened.accepted) == (2, None)
    confidence = a_cohort.confidence(case, 1)
    for value in LABELS:
        planes = opened.confidences[value]
        assert set(planes) == set(np.flatnonzero((opened.label == value).any((0, 1))).tolist())
        for k, sure in planes.items():
            assert sure == pytest.approx(float(confidence[..., k][opened.label[..., k] == value].mean()), rel=1e-5)


def test_accepted_case_is_opened_with_its_label(a_cohort: Cohort) -> None:
    label = a_case(1)[1]
    label[0, 0, 0] = LABELS[1]
    accept(a_cohort, "case-001", label)
    opened = open_case(a_cohort, "case-001")
    np.testing.assert_array_equal(opened.label, label)
    assert (opened.confidences, opened.accepted) == ({}, "accepted/case-001-1.nii.gz")


def test_case_whose_accepted_label_is_damaged_is_opened_with_the_proposal(a_cohort: Cohort) -> None:
    accept(a_cohort, "case-001", a_case(1)[1])
    a_cohort.change("case-001", lambda case: replace(case, aside="the accepted label has changed"))
    assert open_case(a_cohort, "case-001").accepted is None


def test_case_without_a_proposal_is_told(tmp_path: Path) -> None:
    with pytest.raises(AdaptSegError, match=r"case-001: No label is proposed yet\. Run adaptseg cohort propagate"):
        open_case(begun(tmp_path, 2), "case-001")


def test_picture_shows_the_object_of_the_least_sure_plane_in_the_colours_of_its_classes(a_cohort: Cohort) -> None:
    picture = case_picture(a_cohort, "case-001", 1).astype(int)
    assert picture.shape == (SIDE, SIDE, 3)
    label = open_case(a_cohort, "case-001").label
    columns = []
    for number, value in enumerate(LABELS, start=1):
        assert (label == value).any()
        red, _, blue = (255 * np.array(class_colour(number))).round()
        is_class = (picture[..., 0] - picture[..., 2]) * np.sign(red - blue) > 40
        assert 0.05 < is_class.mean() < 0.5
        columns.append(np.argwhere(is_class)[:, 1].mean())
    i = [np.argwhere(label == value)[:, 0].mean() for value in LABELS]
    assert (columns[0] < columns[1]) == (i[0] > i[1]), "the first axis runs to the patient's right, shown on the left"


def test_picture_of_a_case_that_cannot_be_read_is_an_error(a_cohort: Cohort) -> None:
    a_cohort.image_path("case-001").unlink()
    with pytest.raises(AdaptSegError):
        case_picture(a_cohort, "case-001", 1)


def test_list_is_read_from_the_folder(a_cohort: Cohort) -> None:
    items = review_items(summarize(a_cohort))
    assert [(item.case, item.status) for item in items] == [
        *((f"case-00{number}", "proposed") for number in (1, 2, 3)),
        ("case-000", "accepted"),
    ]
