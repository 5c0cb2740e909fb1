"""Cohort review in the panel, in a stand-in for Slicer's window: real mouse, real keys, real dialogs, real files."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.steps import choose_next
from Testing.cohort_toy import LABELS, SIZE, ToyMethod, trained
from Testing.slicer.user import User


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """Five cases with proposals of a network; two are asked for."""
    cohort = trained(tmp_path / "data", 5)
    choose_next(cohort, ToyMethod(), "ours", 2, 0)
    return cohort


@pytest.fixture
def a_reviewer(a_user: User, a_cohort: Cohort) -> Iterator[User]:
    """A user who has opened the cohort."""
    a_user.ui.cohortSection.collapsed = False
    open_cohort(a_user, a_cohort.folder)
    yield a_user


def open_cohort(user: User, folder: Path) -> None:
    user.host.name_file_in_next_dialog(folder)
    user.press("openCohort")


def asked(cohort: Cohort) -> list[str]:
    return [query.case for query in cohort.state.queries]


def rows(user: User) -> list[list[str]]:
    table = user.ui.cohortTable
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]


def open_row(user: User, row: int) -> None:
    """Double click on a case; the user looks at its volume then."""
    from Testing.host.user import double_click_row

    double_click_row(user.ui.cohortTable, row)
    user.volume = user.panel.choices.node.inputVolume


def segments(user: User) -> np.ndarray:
    label = np.zeros(SIZE, np.uint8)
    for value in LABELS:
        label[user.segment(f"class-{value}")] = value
    return label


def proposed(cohort: Cohort, name: str) -> np.ndarray:
    return cohort.values(cohort.proposal(cohort.case(name), cohort.state.current))


def accepted(cohort: Cohort, name: str) -> np.ndarray:
    label = cohort.case(name).label
    assert label is not None
    return cohort.values(cohort.label(cohort.case(name), label))


def status_of(cohort: Cohort, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """What `adaptseg cohort status` prints."""
    from AdaptCore import cli

    monkeypatch.setattr(sys, "argv", ["adaptseg"])
    assert cli.main(["cohort", "status", str(cohort.folder), "--cases"]) == 0
    return capsys.readouterr().out


def test_cohort_is_opened_corrected_accepted_and_goes_on(
    a_reviewer: User, a_cohort: Cohort, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    user, (first, second) = a_reviewer, asked(a_cohort)
    assert rows(user)[:2] == [[name, "hard at the boundary", "waiting"] for name in (first, second)]
    assert rows(user)[-1] == ["case-000", "", "accepted"]
    assert user.ui.cohortLabel.text == "cohort: 0 of 2 cases that were asked for are accepted."
    images = {path.name: path.read_bytes() for path in (a_cohort.folder.parent / "images").iterdir()}

    open_row(user, 0)
    assert user.message == ""
    assert rows(user)[0][2] == "open"
    assert user.status == "The model is not confident of this slice: accept it as it is, or correct it."
    np.testing.assert_array_equal(segments(user), proposed(a_cohort, first))
    segmentID = user.panel.choices.node.segmentID
    least = int(user.panel.session.activePlane.plane_to_ijk[2, 2])
    confidence = a_cohort.confidence(a_cohort.case(first), 1)
    means = {
        (value, k): confidence[..., k][proposed(a_cohort, first)[..., k] == value].mean()
        for value in LABELS
        for k in range(SIZE[2])
        if (proposed(a_cohort, first)[..., k] == value).any()
    }
    assert (int(segmentID[-1]), least) == min(means, key=means.__getitem__)

    user.host.press_key("N")
    k = int(user.panel.session.activePlane.plane_to_ijk[2, 2])
    assert k != least
    before = user.segment(segmentID)
    i, j = np.argwhere(before[..., k])[-1]
    user.press("negative")
    user.click((i, j, k))
    user.wait()
    user.press("accept")
    corrected = user.segment(segmentID)
    assert not corrected[i, j, k]
    np.testing.assert_array_equal(np.delete(corrected, k, axis=2), np.delete(before, k, axis=2))
    wanted = segments(user)

    user.press("acceptCase")
    assert user.message == ""
    np.testing.assert_array_equal(accepted(a_cohort, first), wanted)
    assert (accepted(a_cohort, first)[i, j, k], proposed(a_cohort, first)[i, j, k]) == (0, int(segmentID[-1]))
    assert [row[2] for row in rows(user)[:2]] == ["accepted", "open"]
    user.volume = user.panel.choices.node.inputVolume
    assert user.volume.GetName() == second
    np.testing.assert_array_equal(segments(user), proposed(a_cohort, second))
    told = status_of(a_cohort, capsys, monkeypatch)
    assert "2 accepted" in told and f"{first}  accepted" in told and f"{second}  proposed" in told

    user.press("acceptCase")
    np.testing.assert_array_equal(accepted(a_cohort, second), proposed(a_cohort, second))
    assert user.ui.cohortLabel.text.endswith("Next, in a terminal: adaptseg cohort train, then adaptseg cohort next")
    assert {path.name: path.read_bytes() for path in (a_cohort.folder.parent / "images").iterdir()} == images


def test_chosen_case_is_opened_with_the_button(a_reviewer: User, a_cohort: Cohort) -> None:
    from Testing.host.user import select_row

    assert not a_reviewer.ui.openCaseButton.enabled
    assert not a_reviewer.ui.acceptCaseButton.enabled
    select_row(a_reviewer.ui.cohortTable, 1)
    a_reviewer.press("openCase")
    assert rows(a_reviewer)[1][2] == "open"
    assert a_reviewer.ui.acceptCaseButton.enabled


def test_pictures_appear_by_themselves(a_reviewer: User, a_cohort: Cohort) -> None:
    table = a_reviewer.ui.cohortTable
    a_reviewer.host.wait_until(lambda: all(not table.item(row, 0).icon().isNull() for row in range(3)))
    assert (a_cohort.folder / "rounds" / "1" / "pictures" / f"{asked(a_cohort)[0]}.png").is_file()
    a_reviewer.host.wait_until(lambda: not a_reviewer.panel.reviewList._timer.active)


def test_corrections_are_lost_only_after_a_yes(a_reviewer: User, a_cohort: Cohort) -> None:
    import slicer

    user = a_reviewer
    open_row(user, 0)
    user.press("negative")
    user.click(np.argwhere(user.segment(user.panel.choices.node.segmentID))[0])
    user.wait()
    slicer.app.setTestingEnabled(False)
    user.host.answer_next_dialog("Cancel")
    open_row(user, 1)
    assert rows(user)[0][2] == "open"
    user.host.answer_next_dialog("OK")
    open_row(user, 1)
    assert [row[2] for row in rows(user)[:2]] == ["waiting", "open"]


def test_slip_is_asked_about_before_it_is_written(a_reviewer: User, a_cohort: Cohort) -> None:
    import slicer

    user, first = a_reviewer, asked(a_cohort)[0]
    open_row(user, 0)
    user.segmentation.GetSegmentation().RemoveSegment("class-5")
    user.press("acceptCase")
    assert "no segment for Class 5" in user.message
    user.segmentation.GetSegmentation().AddEmptySegment("again", "Class 5")
    slicer.app.setTestingEnabled(False)
    user.host.answer_next_dialog("Cancel")
    user.press("acceptCase")
    assert a_cohort.case(first).label is None
    user.host.answer_next_dialog("OK")
    user.press("acceptCase")
    assert set(np.unique(accepted(a_cohort, first))) == {0, 2}


def test_removed_volume_closes_the_case(a_reviewer: User, a_cohort: Cohort, a_scene: Any) -> None:
    open_row(a_reviewer, 0)
    a_scene.RemoveNode(a_reviewer.volume)
    a_reviewer.host.process_events()
    assert rows(a_reviewer)[0][2] == "waiting"
    assert not a_reviewer.ui.acceptCaseButton.enabled


def test_saved_scene_opens_its_cohort_and_goes_on(
    a_reviewer: User, a_cohort: Cohort, a_scene: Any, tmp_path: Path
) -> None:
    user, first = a_reviewer, asked(a_cohort)[0]
    open_row(user, 0)
    segmentID = user.panel.choices.node.segmentID
    k = int(user.panel.session.activePlane.plane_to_ijk[2, 2])
    i, j = np.argwhere(user.segment(segmentID)[..., k])[-1]
    user.press("negative")
    user.click((i, j, k))
    user.wait()
    user.press("accept")
    wanted = segments(user)
    user.wait()
    path = str(tmp_path / "review.mrb")
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    user.host.process_events()
    assert rows(user) == [] and not user.ui.refreshCohortButton.enabled
    assert a_scene.ReadFromMRB(path, True, None)
    user.host.process_events()
    assert user.message == ""
    assert rows(user)[0] == [first, "hard at the boundary", "open"]
    user.volume = user.panel.choices.node.inputVolume
    np.testing.assert_array_equal(segments(user), wanted)
    user.press("acceptCase")
    np.testing.assert_array_equal(accepted(a_cohort, first), wanted)
    assert rows(user)[1][2] == "open"


def test_scene_that_was_loaded_beside_the_panel_goes_on_with_its_own_case(
    a_reviewer: User, a_cohort: Cohort, a_scene: Any, tmp_path: Path
) -> None:
    open_row(a_reviewer, 0)
    path = str(tmp_path / "review.mrb")
    assert a_scene.WriteToMRB(path, None)
    open_row(a_reviewer, 1)
    a_reviewer.host.leave()
    a_scene.Clear(False)
    assert a_scene.ReadFromMRB(path, True, None)
    a_reviewer.widget = a_reviewer.host.open("InteractiveAdaptSeg")
    assert [row[2] for row in rows(a_reviewer)[:2]] == ["open", "waiting"]


def test_other_cohort_leaves_the_open_case_in_the_scene_and_finds_it_again(
    a_reviewer: User, a_cohort: Cohort, tmp_path: Path
) -> None:
    open_row(a_reviewer, 0)
    volume, first = a_reviewer.volume, rows(a_reviewer)[0][0]
    other = trained(tmp_path / "other", 3)
    open_cohort(a_reviewer, other.folder)
    assert [row[2] for row in rows(a_reviewer)] == ["waiting", "waiting", "accepted"]
    open_row(a_reviewer, 0)
    assert volume.GetScene() is not None
    open_cohort(a_reviewer, a_cohort.folder)
    assert rows(a_reviewer)[0] == [first, "hard at the boundary", "open"]
    a_reviewer.press("acceptCase")
    np.testing.assert_array_equal(accepted(a_cohort, first), proposed(a_cohort, first))


def test_scene_whose_cohort_is_gone_is_told(a_reviewer: User, a_cohort: Cohort, a_scene: Any, tmp_path: Path) -> None:
    path = str(tmp_path / "review.mrb")
    assert a_scene.WriteToMRB(path, None)
    a_scene.Clear(False)
    a_cohort.folder.rename(tmp_path / "moved")
    assert a_scene.ReadFromMRB(path, True, None)
    a_reviewer.host.process_events()
    assert "There is no cohort" in a_reviewer.message
    assert rows(a_reviewer) == []
    assert a_reviewer.ui.openCohortButton.enabled


def test_folder_without_a_cohort_is_told_and_the_open_one_stays(a_reviewer: User, tmp_path: Path) -> None:
    before = rows(a_reviewer)
    (tmp_path / "empty").mkdir()
    open_cohort(a_reviewer, tmp_path / "empty")
    assert "There is no cohort. Begin one with: adaptseg cohort init" in a_reviewer.message
    assert rows(a_reviewer) == before


def test_thousand_cases_are_listed_within_a_second(a_user: User, a_cohort: Cohort) -> None:
    from Testing.slicer.test_cohort_review import grow

    grow(a_cohort, 1000)
    a_user.ui.cohortSection.collapsed = False
    begun = time.process_time()
    with a_user.panel.messages.reported():
        a_user.panel.reviewList._review.open(a_cohort.folder)
    seconds = time.process_time() - begun
    assert a_user.ui.cohortTable.rowCount == 1005
    assert seconds < 1.0
    print(f"{seconds:.2f} s")
    a_user.host.wait_until(lambda: not a_user.panel.reviewList._timer.active)
    pictures = a_cohort.folder / "rounds" / "1" / "pictures"
    assert 0 < len(list(pictures.iterdir())) < 20, "only those that can be seen"
