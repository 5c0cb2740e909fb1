"""Review of a cohort folder in the scene: list, pictures, opening, correcting, accepting, and what comes between."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.cohort.accepting import accept
from AdaptCore.cohort.beginning import begin
from AdaptCore.cohort.engine import LocalEngine
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.steps import choose_next, propagate
from AdaptCore.errors import AdaptSegError
from Testing.cohort_toy import LABELS, SIZE, ToyMethod, a_case, contents, trained, unwatched, write_cohort
from Testing.slicer.halted import halted_propagation
from Testing.slicer.panel import Panel, save_and_reload
from Testing.slicer.scenes import add_slice_node, rotation
from Testing.toy_model import ToyModel

FIRST, SECOND = LABELS


@pytest.fixture
def a_cohort(tmp_path: Path) -> Cohort:
    """Six cases with proposals of a network; two are asked for."""
    cohort = trained(tmp_path / "data", 6)
    choose_next(cohort, ToyMethod(), "ours", 2, 0)
    return cohort


@pytest.fixture
def a_panel(a_scene: Any) -> Iterator[Panel]:
    panel = Panel(a_scene, add_slice_node(a_scene), ToyModel())
    yield panel
    panel.logic.close()


class Reviewer:
    """Reviews a cohort in front of a panel."""

    def __init__(self, panel: Panel, cohort: Cohort) -> None:
        from InteractiveAdaptSegLib.CohortReview import CohortReview

        self.panel, self.cohort = panel, cohort
        self.review = CohortReview(panel.scene, panel.logic)
        self.review.open(cohort.folder)

    def show(self, name: str) -> None:
        """Open a case and choose its least sure segment, as the panel does."""
        self.panel.choose(*self.review.show(name))

    @property
    def nodes(self) -> set[str]:
        import slicer

        return {node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLNode", self.panel.scene)}

    @property
    def segmentation(self) -> Any:
        return self.panel.segmentation.GetSegmentation()

    def label(self) -> np.ndarray:
        """The segments as one label, read by Slicer itself."""
        label = np.zeros(SIZE, np.uint8)
        for value in LABELS:
            label[self.panel.segment(f"class-{value}")] = value
        return label

    def draw(self, value: int, mask: np.ndarray) -> None:
        """What the Segment Editor does to a segment."""
        import slicer

        slicer.util.updateSegmentBinaryLabelmapFromArray(
            np.ascontiguousarray(mask.T.astype(np.uint8)), self.panel.segmentation, f"class-{value}", self.panel.volume
        )

    def accepted(self, name: str) -> np.ndarray:
        case = self.cohort.case(name)
        assert case.label is not None
        return self.cohort.values(self.cohort.label(case, case.label))

    def proposed(self, name: str) -> np.ndarray:
        return self.cohort.values(self.cohort.proposal(self.cohort.case(name), self.cohort.state.current))


@pytest.fixture
def a_reviewer(a_panel: Panel, a_cohort: Cohort) -> Reviewer:
    return Reviewer(a_panel, a_cohort)


@pytest.fixture
def asked(a_cohort: Cohort) -> list[str]:
    return [query.case for query in a_cohort.state.queries]


def voxel_of(mask: np.ndarray, which: int) -> tuple[int, int, int]:
    """One of the voxels of a mask, bool (i, j, k)."""
    i, j, k = np.argwhere(mask)[which]
    return int(i), int(j), int(k)


def on_plane(k: int) -> np.ndarray:
    """Whether a voxel is on an axial plane, to be combined with bool (i, j, k)."""
    return np.arange(SIZE[2]) == k


def test_list_begins_with_what_is_asked_for_and_tells_why(a_reviewer: Reviewer, asked: list[str]) -> None:
    items = a_reviewer.review.items
    assert [item.case for item in items[:2]] == asked
    assert {item.reason for item in items[:2]} == {"hard at the boundary"}
    assert items[0].score > items[1].score > 0
    assert [item.status for item in items] == ["proposed"] * 5 + ["accepted"]
    assert items[-1].case == "case-000" and items[-1].score is None
    progress = a_reviewer.review.progress
    assert (progress.accepted, progress.waiting, progress.areAskedFor) == (0, 2, True)


def test_case_opens_as_it_is_on_the_disk(a_reviewer: Reviewer, asked: list[str], tmp_path: Path) -> None:
    import slicer

    before = contents(tmp_path, "data")
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(panel.volume).T, a_case(int(asked[0][-3:]))[0])
    assert panel.volume.GetSpacing() == pytest.approx((1.0, 1.5, 2.0))
    assert panel.volume.GetOrigin() == pytest.approx((20.0, -10.0, 5.0))
    assert panel.volume.GetStorageNode() is None, "Slicer has no file to write the volume to"
    np.testing.assert_array_equal(a_reviewer.label(), a_reviewer.proposed(asked[0]))
    names = [a_reviewer.segmentation.GetNthSegment(index).GetName() for index in range(2)]
    assert names == ["Class 2", "Class 5"]
    assert a_reviewer.review.openCase == asked[0]
    assert not a_reviewer.review.hasUnsaved
    assert contents(tmp_path, "data") == before


def test_unchanged_case_is_accepted_as_it_was_proposed(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    assert a_reviewer.review.doubts() == {}
    assert a_reviewer.review.accept() == asked[1]
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]), a_reviewer.proposed(asked[0]))
    assert a_reviewer.review.items[0].status == "accepted"
    assert [item.case for item in a_reviewer.review.items[:2]] == asked
    a_reviewer.show(asked[1])
    assert a_reviewer.review.accept() is None, "no other case is asked for"
    assert a_reviewer.review.progress.waiting == 0


def test_planes_are_visited_from_the_least_sure_one(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    panel, cohort = a_reviewer.panel, a_reviewer.cohort
    case = cohort.case(asked[0])
    classes = cohort.proposal(case, 1) == 1 + LABELS.index(int(panel.logic.promptNodes.segmentID[-1]))
    confidence = cohort.confidence(case, 1)
    planes = {k: confidence[..., k][classes[..., k]].mean() for k in range(SIZE[2]) if classes[..., k].any()}
    visited = []
    while panel.logic.hasUnsurePlane:
        panel.logic.showUnsurePlane()
        assert panel.logic.isUnsure and panel.logic.isAccepted
        visited.append(int(panel.logic.activePlane.plane_to_ijk[2, 2]))
        panel.logic.accept()
    assert visited == sorted(planes, key=planes.__getitem__)
    np.testing.assert_array_equal(a_reviewer.label(), a_reviewer.proposed(asked[0]))


def test_oblique_case_is_looked_at_along_its_own_axes_and_accepted_in_its_geometry(
    a_panel: Panel, tmp_path: Path
) -> None:
    from AdaptCore.io import read_volume
    from InteractiveAdaptSegLib.VolumeGeometry import slicePlane

    cohort = turned_cohort(tmp_path / "data", rotation(2, 25.0) @ rotation(0, 15.0))
    reviewer = Reviewer(a_panel, cohort)
    reviewer.show("case-001")
    np.testing.assert_array_equal(reviewer.label(), reviewer.proposed("case-001"))
    a_panel.logic.showUnsurePlane()
    assert slicePlane(a_panel.view, a_panel.volume) == a_panel.logic.activePlane
    reviewer.review.accept()
    accepted = read_volume(cohort.folder / "accepted" / "case-001-1.nii.gz").geometry
    image = read_volume(cohort.image_path("case-001")).geometry
    for part in ("size", "spacing", "origin", "direction"):
        np.testing.assert_allclose(getattr(accepted, part), getattr(image, part), atol=1e-4)
    assert image.direction[0] != pytest.approx(-1.0, abs=0.05)
    np.testing.assert_array_equal(reviewer.accepted("case-001"), reviewer.proposed("case-001"))


def turned_cohort(folder: Path, direction: np.ndarray) -> Cohort:
    """Three cases with coarse labels, whose axes have a direction (3 x 3)."""
    import SimpleITK as sitk  # noqa: N813

    images, template, label = write_cohort(folder, 3)
    for path in (*images.iterdir(), *(folder / "labels").iterdir()):
        image = sitk.ReadImage(str(path))
        image.SetDirection(direction.ravel().tolist())
        sitk.WriteImage(image, str(path))
    cohort = begin(folder / "cohort", [images], template, label, "toy")
    propagate(cohort, ToyMethod(), LocalEngine(), unwatched)
    return cohort


def test_click_takes_voxels_away_from_the_proposal_and_leaves_the_other_planes(
    a_reviewer: Reviewer, asked: list[str]
) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    before = panel.segment(segmentID)
    voxel = voxel_of(before, -1)
    panel.click(voxel, positive=False)
    panel.logic.accept()
    after = panel.segment(segmentID)
    assert not after[voxel]
    np.testing.assert_array_equal(np.delete(after, voxel[2], axis=2), np.delete(before, voxel[2], axis=2))
    a_reviewer.review.accept()
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]) == int(segmentID[-1]), after)
    panel.logic.undo()
    np.testing.assert_array_equal(panel.segment(segmentID), before)


def test_what_was_erased_by_hand_stays_erased(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    panel.logic.showUnsurePlane()
    kept = panel.segment(segmentID)
    i, j, k = np.argwhere(kept)[0]
    kept[i, j, k] = False
    a_reviewer.draw(int(segmentID[-1]), kept)
    while panel.logic.hasUnsurePlane:
        panel.logic.showUnsurePlane()
        panel.logic.accept()
    np.testing.assert_array_equal(panel.segment(segmentID), kept)


def test_plane_that_was_emptied_by_hand_is_not_visited(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    kept = panel.segment(segmentID)
    emptied = int(np.flatnonzero(kept.any((0, 1)))[0])
    kept[..., emptied] = False
    a_reviewer.draw(int(segmentID[-1]), kept)
    visited = set()
    while panel.logic.hasUnsurePlane:
        panel.logic.showUnsurePlane()
        visited.add(int(panel.logic.activePlane.plane_to_ijk[2, 2]))
        panel.logic.accept()
    assert visited == set(np.flatnonzero(kept.any((0, 1))).tolist())


def test_voxels_that_went_to_the_other_class_stay_there(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    panel, review = a_reviewer.panel, a_reviewer.review
    nodes = panel.volume, panel.segmentation
    panel.choose(*nodes, f"class-{SECOND}")
    panel.logic.showUnsurePlane()
    panel.logic.accept()
    k = int(panel.logic.activePlane.plane_to_ijk[2, 2])
    taken = voxel_of(panel.segment(f"class-{SECOND}") & on_plane(k), 0)
    panel.choose(*nodes, f"class-{FIRST}")
    panel.click(taken)
    panel.logic.accept()
    assert a_reviewer.label()[taken] == FIRST
    after = a_reviewer.label()
    panel.choose(*nodes, f"class-{SECOND}")
    while panel.logic.hasUnsurePlane:
        panel.logic.showUnsurePlane()
        panel.logic.accept()
    np.testing.assert_array_equal(a_reviewer.label(), after)
    assert review.doubts() == {}, "no voxel is of both classes"


def test_click_where_the_proposal_has_nothing_begins_anew(a_reviewer: Reviewer, asked: list[str]) -> None:
    from AdaptCore.errors import PromptError

    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    empty = next(k for k in range(SIZE[2]) if not a_reviewer.label()[..., k].any())
    with pytest.raises(PromptError):
        panel.click((3, 3, empty), positive=False)
    panel.click((3, 3, empty))
    assert panel.logic.mask is not None and panel.logic.mask.any()


def test_propagation_replaces_the_proposal(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    before = panel.segment(segmentID)
    stray = np.zeros(SIZE, bool)
    k = int(np.flatnonzero(before.any((0, 1)))[0])
    stray[0:2, 8:10, k : k + 2] = True
    a_reviewer.draw(int(segmentID[-1]), before | stray)
    inner = voxel_of(before & on_plane(k), 5)
    panel.click(inner)
    panel.logic.accept()
    panel.logic.propagate()
    panel.wait()
    after = panel.segment(segmentID)
    assert after[inner] and not after[0, 8, k]
    assert not after[stray].all(), "what the proposal had on the neighbour is replaced"
    panel.logic.undo()
    assert panel.segment(segmentID)[0, 8, k + 1]


def test_slices_that_a_propagation_reaches_have_its_confidence_the_others_that_of_the_proposal(
    a_reviewer: Reviewer, asked: list[str]
) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    before = panel.segment(segmentID)
    stray = np.zeros(SIZE, bool)
    stray[0, 9, :] = True
    a_reviewer.draw(int(segmentID[-1]), before | stray)
    k = int(np.flatnonzero(before.any((0, 1)))[0])
    panel.click(voxel_of(before & on_plane(k), 5))
    panel.logic.accept()
    with halted_propagation(planes=1):
        panel.logic.propagate()
        while not panel.logic.progress[0]:
            panel.logic.update()
        panel.logic.cancelPropagation()
        panel.wait()
    last = int(np.flatnonzero(before.any((0, 1)))[-1])
    assert visited_planes(panel) == set(range(k + 1, last + 1))
    panel.logic.undo()


def test_slices_that_a_propagation_has_cleared_are_not_visited(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    drawn = panel.segment(segmentID)
    first, last = np.flatnonzero(drawn.any((0, 1)))[[0, -1]].tolist()
    panel.click(voxel_of(drawn & on_plane(first), 5))
    panel.logic.accept()
    with nothing_found_after(planes=1):
        panel.logic.propagate()
        panel.wait()
    assert np.flatnonzero(panel.segment(segmentID).any((0, 1))).tolist() == [first, first + 1]
    assert last > first + 1 and visited_planes(panel) == {first + 1}


def visited_planes(panel: Panel) -> set[int]:
    """Axial slices that wait to be looked at; all are accepted."""
    visited = set()
    while panel.logic.hasUnsurePlane:
        panel.logic.showUnsurePlane()
        visited.add(int(panel.logic.activePlane.plane_to_ijk[2, 2]))
        panel.logic.accept()
    return visited


@contextmanager
def nothing_found_after(planes: int) -> Iterator[None]:
    """Propagations end after so many slices in each direction, as where the object ends."""
    from itertools import islice

    from AdaptCore.predict import volume

    propagate_planes = volume.propagate_planes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(volume, "propagate_planes", lambda *given: islice(propagate_planes(*given), planes))
        yield


def test_overlapping_segments_are_refused(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    both = a_reviewer.label() == SECOND
    add_overlap(a_reviewer, FIRST, both)
    before = contents(a_reviewer.cohort.folder, "accepted", "cases")
    for act in (a_reviewer.review.doubts, a_reviewer.review.accept):
        with pytest.raises(AdaptSegError, match=f"overlap in {both.sum()} voxels"):
            act()
    assert contents(a_reviewer.cohort.folder, "accepted", "cases") == before
    assert a_reviewer.review.hasUnsaved


def add_overlap(reviewer: Reviewer, value: int, mask: np.ndarray) -> None:
    """Add voxels to a segment that other segments keep."""
    import slicer

    from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
    from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

    writer = SegmentWriter(reviewer.panel.scene)
    writer.setTarget(reviewer.panel.volume, reviewer.panel.segmentation, f"class-{value}")
    writer.editorNode.SetOverwriteMode(slicer.vtkMRMLSegmentEditorNode.OverwriteNone)
    writer.write(VoxelBlock.around(mask))
    writer.release()


def test_empty_segment_is_asked_about(a_reviewer: Reviewer, asked: list[str]) -> None:
    from InteractiveAdaptSegLib.CohortReview import Doubt

    a_reviewer.show(asked[0])
    wanted = np.where(a_reviewer.label() == SECOND, 0, a_reviewer.label())
    a_reviewer.draw(SECOND, np.zeros(SIZE, bool))
    assert a_reviewer.review.doubts() == {Doubt.EMPTY: "Class 5"}
    a_reviewer.review.accept()
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]), wanted)


def test_case_with_nothing_in_it_is_refused(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    for value in LABELS:
        a_reviewer.draw(value, np.zeros(SIZE, bool))
    with pytest.raises(AdaptSegError, match="all segments are empty"):
        a_reviewer.review.accept()
    assert a_reviewer.cohort.case(asked[0]).label is None


def test_renamed_segment_is_still_its_class(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    a_reviewer.segmentation.GetSegment(f"class-{FIRST}").SetName("Class 5")
    a_reviewer.segmentation.GetSegment(f"class-{SECOND}").SetName("tail")
    a_reviewer.review.accept()
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]), a_reviewer.proposed(asked[0]))


def test_removed_segment_is_refused_until_one_of_its_name_is_there(a_reviewer: Reviewer, asked: list[str]) -> None:
    from InteractiveAdaptSegLib.CohortReview import Doubt

    a_reviewer.show(asked[0])
    a_reviewer.segmentation.RemoveSegment(f"class-{SECOND}")
    with pytest.raises(AdaptSegError, match="no segment for Class 5: add one of that name"):
        a_reviewer.review.accept()
    assert a_reviewer.review.hasUnsaved
    a_reviewer.segmentation.AddEmptySegment("anew", "Class 5")
    assert a_reviewer.review.doubts() == {Doubt.EMPTY: "Class 5"}
    a_reviewer.review.accept()
    assert set(np.unique(a_reviewer.accepted(asked[0]))) == {0, FIRST}


def test_segment_of_no_class_is_left_out_after_a_question(a_reviewer: Reviewer, asked: list[str]) -> None:
    import slicer

    from InteractiveAdaptSegLib.CohortReview import Doubt

    a_reviewer.show(asked[0])
    a_reviewer.segmentation.AddEmptySegment("other", "vessel")
    assert a_reviewer.review.doubts() == {}, "an empty one is no question"
    corner = np.zeros(SIZE[::-1], np.uint8)
    corner[-1, -1, -1] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        corner, a_reviewer.panel.segmentation, "other", a_reviewer.panel.volume
    )
    assert a_reviewer.review.doubts() == {Doubt.LEFT_OUT: "vessel"}
    a_reviewer.review.accept()
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]), a_reviewer.proposed(asked[0]))


def test_mask_that_waits_for_its_acceptance_is_asked_about(a_reviewer: Reviewer, asked: list[str]) -> None:
    from InteractiveAdaptSegLib.CohortReview import Doubt

    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    segmentID = panel.logic.promptNodes.segmentID
    panel.click(voxel_of(panel.segment(segmentID), 0), positive=False)
    assert a_reviewer.review.hasUnsaved
    assert a_reviewer.review.doubts() == {Doubt.PENDING: f"Class {segmentID[-1]}"}


def test_case_that_was_accepted_meanwhile_is_asked_about_and_nothing_is_overwritten(
    a_reviewer: Reviewer, asked: list[str]
) -> None:
    from InteractiveAdaptSegLib.CohortReview import Doubt

    a_reviewer.show(asked[0])
    other = a_case(int(asked[0][-3:]))[1]
    other[0, 0, 0] = FIRST
    accept(a_reviewer.cohort, asked[0], other)
    file = f"accepted/{asked[0]}-1.nii.gz"
    assert a_reviewer.review.doubts() == {Doubt.AGAIN: file}
    kept = contents(a_reviewer.cohort.folder, "accepted")
    a_reviewer.review.accept()
    after = contents(a_reviewer.cohort.folder, "accepted")
    assert {name: after[name] for name in kept} == kept
    assert set(after) - set(kept) == {f"accepted/{asked[0]}-2.nii.gz"}
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]), a_reviewer.proposed(asked[0]))


def test_accepted_case_opens_with_its_label_and_is_accepted_anew_after_a_question(
    a_reviewer: Reviewer, asked: list[str]
) -> None:
    from InteractiveAdaptSegLib.CohortReview import Doubt

    a_reviewer.show("case-000")
    np.testing.assert_array_equal(a_reviewer.label(), a_case(0)[1])
    assert not a_reviewer.panel.logic.hasUnsurePlane
    assert a_reviewer.review.doubts() == {}
    kept = a_reviewer.label() == FIRST
    kept[tuple(np.argwhere(kept)[0])] = False
    a_reviewer.draw(FIRST, kept)
    assert a_reviewer.review.doubts() == {Doubt.AGAIN: "accepted/case-000-1.nii.gz"}


@pytest.mark.parametrize("change", ["resampled", "moved", "emptied"])
def test_volume_that_is_off_its_grid_is_refused(a_reviewer: Reviewer, asked: list[str], change: str) -> None:
    import slicer

    a_reviewer.show(asked[0])
    volume = a_reviewer.panel.volume
    if change == "resampled":
        slicer.util.updateVolumeFromArray(volume, np.zeros((4, 5, 6), np.int16))
    elif change == "moved":
        volume.SetOrigin(0, 0, 0)
    else:
        volume.SetAndObserveImageData(None)
    with pytest.raises(AdaptSegError, match="is no longer on the grid of its image"):
        a_reviewer.review.accept()
    assert a_reviewer.review.hasUnsaved


def test_volume_and_label_under_a_transform_are_accepted_where_the_image_is(
    a_reviewer: Reviewer, asked: list[str], put_under_transform: Callable[..., Any]
) -> None:
    from Testing.slicer.scenes import matrix_of, rotation

    a_reviewer.show(asked[0])
    put_under_transform(matrix_of(rotation(2, 20.0), (3, 4, 5)), a_reviewer.panel.volume, a_reviewer.panel.segmentation)
    a_reviewer.review.accept()
    np.testing.assert_array_equal(a_reviewer.accepted(asked[0]), a_reviewer.proposed(asked[0]))


@pytest.mark.parametrize("node", ["volume", "segmentation"])
def test_case_that_was_closed_by_hand_is_told(a_reviewer: Reviewer, asked: list[str], node: str) -> None:
    a_reviewer.show(asked[0])
    a_reviewer.panel.scene.RemoveNode(getattr(a_reviewer.panel, node))
    assert a_reviewer.review.openCase is None
    assert not a_reviewer.review.hasUnsaved
    with pytest.raises(AdaptSegError, match=f"case {asked[0]} was removed: open the case again"):
        a_reviewer.review.accept()
    a_reviewer.show(asked[0])
    assert a_reviewer.review.accept() == asked[1]


def test_scene_that_is_closed_leaves_nothing_of_the_case(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    a_reviewer.panel.scene.Clear(False)
    assert a_reviewer.review.openCase is None
    with pytest.raises(AdaptSegError, match="was removed"):
        a_reviewer.review.accept()
    a_reviewer.show(asked[1])
    assert a_reviewer.review.openCase == asked[1]


def test_next_case_takes_the_place_of_the_one_before_and_of_nothing_else(
    a_reviewer: Reviewer, asked: list[str], make_volume: Callable[..., Any]
) -> None:
    import slicer

    make_volume().SetName(asked[0])
    before = a_reviewer.nodes
    count = a_reviewer.panel.scene.GetNumberOfNodes()
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    panel.click(voxel_of(a_reviewer.proposed(asked[0]), 0))
    a_reviewer.show(asked[1])
    volumes = [node.GetName() for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode", panel.scene)]
    assert sorted(volumes) == sorted(asked), "the user's volume of that name, and the new case"
    assert panel.messages == []
    panel.logic.clearTarget()
    a_reviewer.review._removeCase()
    left = a_reviewer.nodes - before
    assert left == {"SegmentEditor"}, left
    assert panel.scene.GetNumberOfNodes() - count == len(left)


def test_case_that_cannot_be_read_leaves_the_open_one(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.show(asked[0])
    nodes = a_reviewer.panel.scene.GetNumberOfNodes()
    a_reviewer.cohort.image_path(asked[1]).write_bytes(b"no image")
    with pytest.raises(AdaptSegError, match="The image has changed"):
        a_reviewer.show(asked[1])
    assert a_reviewer.review.openCase == asked[0]
    assert a_reviewer.panel.scene.GetNumberOfNodes() == nodes


def test_saved_scene_goes_on_with_the_case(a_reviewer: Reviewer, asked: list[str], tmp_path: Path) -> None:
    a_reviewer.show(asked[0])
    panel = a_reviewer.panel
    panel.choose(panel.volume, panel.segmentation, f"class-{FIRST}")
    voxel = voxel_of(panel.segment(f"class-{FIRST}"), -1)
    panel.click(voxel, positive=False)
    panel.logic.accept()
    panel.logic.showUnsurePlane()
    panel.logic.accept()
    done = {voxel[2], int(panel.logic.activePlane.plane_to_ijk[2, 2])}
    corrected = a_reviewer.label()
    other = save_and_reload(panel, tmp_path, f"class-{FIRST}")
    again = Reviewer(other, a_reviewer.cohort)
    assert again.review.openCase == asked[0] and again.review.hasUnsaved
    visited = []
    while other.logic.hasUnsurePlane:
        other.logic.showUnsurePlane()
        visited.append(int(other.logic.activePlane.plane_to_ijk[2, 2]))
        other.logic.accept()
    assert len(done) == 2 and visited and not done & set(visited)
    np.testing.assert_array_equal(again.label(), corrected)
    second = voxel_of(other.segment(f"class-{FIRST}"), 0)
    other.click(second, positive=False)
    other.logic.accept()
    assert not other.segment(f"class-{FIRST}")[second], "the proposal is still one that clicks take away from"
    again.review.accept()
    np.testing.assert_array_equal(again.accepted(asked[0]), again.label())


def test_label_that_was_written_and_not_noted_before_a_kill_is_no_label(
    a_panel: Panel, a_cohort: Cohort, asked: list[str]
) -> None:
    template = a_cohort.folder / "accepted" / "case-000-1.nii.gz"
    shutil.copy(template, a_cohort.folder / "accepted" / f"{asked[0]}-1.nii.gz")
    (a_cohort.folder / "cases" / f".adaptseg-{'0' * 32}.tmp").write_bytes(b"{")
    reviewer = Reviewer(a_panel, a_cohort)
    assert reviewer.review.items[0].status == "proposed"
    reviewer.show(asked[0])
    reviewer.review.accept()
    assert a_cohort.case(asked[0]).accepted[-1].file == f"accepted/{asked[0]}-2.nii.gz"


def test_cases_are_reviewed_while_another_process_works_on_the_cohort(
    a_panel: Panel, a_cohort: Cohort, asked: list[str]
) -> None:
    with a_cohort.working():
        reviewer = Reviewer(a_panel, a_cohort)
        reviewer.show(asked[0])
        assert reviewer.review.accept() == asked[1]
    np.testing.assert_array_equal(reviewer.accepted(asked[0]), reviewer.proposed(asked[0]))


def test_case_opens_whose_round_was_given_up_since_the_list_was_read(a_reviewer: Reviewer, asked: list[str]) -> None:
    from AdaptCore.cohort.steps import train

    for _ in range(3):
        train(a_reviewer.cohort, ToyMethod(), 1, LocalEngine(), unwatched)
    a_reviewer.review.askForPictures(asked)
    assert not wait_for_pictures(a_reviewer.review), "the pictures of a round that is gone are not drawn"
    a_reviewer.show(asked[0])
    np.testing.assert_array_equal(a_reviewer.label(), a_reviewer.proposed(asked[0]))
    a_reviewer.review.refresh()
    a_reviewer.review.askForPictures(asked)
    assert wait_for_pictures(a_reviewer.review)


def test_list_follows_what_other_programs_did(a_reviewer: Reviewer, asked: list[str]) -> None:
    accept(a_reviewer.cohort, asked[0], a_case(int(asked[0][-3:]))[1])
    a_reviewer.review.refresh()
    progress = a_reviewer.review.progress
    assert (progress.accepted, progress.waiting) == (1, 1)
    choose_next(a_reviewer.cohort, ToyMethod(), "random", 3, 0)
    a_reviewer.review.refresh()
    assert [item.reason for item in a_reviewer.review.items[:3]] == ["by chance"] * 3


def test_without_queries_all_cases_are_reviewed_in_turn(a_panel: Panel, tmp_path: Path) -> None:
    reviewer = Reviewer(a_panel, trained(tmp_path / "data", 3))
    progress = reviewer.review.progress
    assert (progress.accepted, progress.waiting, progress.areAskedFor) == (1, 2, False)
    reviewer.show("case-002")
    assert reviewer.review.accept() == "case-001"


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "There is no cohort"), ("{", "got damaged JSON"), ('{"version": 99}', "got version 99 of a newer")],
)
def test_folder_that_is_no_cohort_is_told_and_the_open_one_stays(
    a_reviewer: Reviewer, tmp_path: Path, content: str | None, message: str
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    if content is not None:
        (other / "cohort.json").write_text(content)
    with pytest.raises(AdaptSegError, match=message):
        a_reviewer.review.open(other)
    assert a_reviewer.review.folder == a_reviewer.cohort.folder


def test_pictures_are_drawn_once_and_kept_with_the_round(a_reviewer: Reviewer, asked: list[str]) -> None:
    review = a_reviewer.review
    assert review.picture(asked[0]) is None
    review.askForPictures(asked)
    assert wait_for_pictures(review)
    path = review.picture(asked[0])
    assert path == a_reviewer.cohort.folder / "rounds" / "1" / "pictures" / f"{asked[0]}.png"
    time = path.stat().st_mtime_ns
    review.askForPictures(asked)
    assert not wait_for_pictures(review)
    assert path.stat().st_mtime_ns == time
    assert review.picture("case-003") is None or "case-003" in asked


def test_closing_the_cohort_does_not_wait_for_a_picture(
    a_reviewer: Reviewer, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from AdaptCore.cohort import reviewing

    begun, goes_on = threading.Event(), threading.Event()

    def draw(cohort: Cohort, name: str, number: int) -> np.ndarray:
        begun.set()
        assert goes_on.wait(20.0)
        return np.zeros((4, 4, 3), np.uint8)

    monkeypatch.setattr(reviewing, "case_picture", draw)
    a_reviewer.review.askForPictures(asked)
    assert begun.wait(20.0)
    a_reviewer.review.close()
    a_reviewer.review.open(a_reviewer.cohort.folder)
    goes_on.set()
    assert not wait_for_pictures(a_reviewer.review), "it was asked for before the cohort was closed"
    a_reviewer.review.askForPictures(asked)
    assert wait_for_pictures(a_reviewer.review)
    a_reviewer.review.end()


def test_case_without_a_picture_is_asked_once(a_reviewer: Reviewer, asked: list[str]) -> None:
    a_reviewer.cohort.image_path(asked[0]).unlink()
    a_reviewer.review.askForPictures(asked)
    assert wait_for_pictures(a_reviewer.review)
    assert a_reviewer.review.picture(asked[0]) is None
    assert a_reviewer.review.picture(asked[1]) is not None


def wait_for_pictures(review: Any) -> bool:
    """Whether new ones came."""
    isNew, isBusy = False, True
    while isBusy:
        came, isBusy = review.update()
        isNew |= came
    return isNew


def test_large_list_opens_quickly(a_panel: Panel, tmp_path: Path) -> None:
    import time

    from InteractiveAdaptSegLib.CohortReview import CohortReview

    cohort = trained(tmp_path / "data", 3)
    grow(cohort, 1000)
    review = CohortReview(a_panel.scene, a_panel.logic)
    begun = time.process_time()
    review.open(cohort.folder)
    assert time.process_time() - begun < 1.0
    assert len(review.items) == 1003


def grow(cohort: Cohort, count: int) -> None:
    """Add cases that have the files of case-001."""
    from dataclasses import replace

    from AdaptCore.cohort.records import write_case, write_settings

    case, images = cohort.case("case-001"), dict(cohort.settings.images)
    for number in range(count):
        name = f"more-{number:04}"
        images[name] = images["case-001"]
        write_case(cohort.record_path(name), replace(case, id=name))
        shutil.copy(cohort.proposal_path("case-001", 1), cohort.proposal_path(name, 1))
    write_settings(cohort.folder / "cohort.json", replace(cohort.settings, images=images))
