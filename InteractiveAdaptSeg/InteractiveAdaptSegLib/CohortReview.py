"""Review of a cohort folder: cases in the order in which they are asked for, opened, corrected, and accepted."""

from __future__ import annotations

import queue
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from AdaptCore.errors import AdaptSegError
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.PictureFile import writePicture
from InteractiveAdaptSegLib.SceneNodes import addVolume, ijkToRas, removeNode
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegLib.SegmentWriter import segmentBlock

if TYPE_CHECKING:
    from AdaptCore.cohort.folder import Cohort
    from AdaptCore.cohort.reviewing import Opened, ReviewItem
    from AdaptCore.io import Geometry
    from AdaptCore.predict.background import BackgroundWorker
    from AdaptCore.predict.geometry import PlaneGeometry

PATIENCE = 0.01
"""Seconds in which pictures are drawn at each `update`."""

COHORT_ATTRIBUTE = "InteractiveAdaptSeg.Cohort"
CASE_ATTRIBUTE = "InteractiveAdaptSeg.Case"
"""On volume and segmentation of an open case: folder of its cohort, and its id."""

SAME_PLACE = 1e-3
"""Voxels of two grids coincide if their corners are within so many voxels."""


class Doubt(Enum):
    """What the user is asked before a case is accepted.

    Attributes:
        EMPTY: some segments have no voxel, as those of others do.
        LEFT_OUT: segments that are no class of the cohort.
        PENDING: the mask that is shown was not accepted into its segment.
        AGAIN: another label was accepted for the case before; it is kept, and no longer counts.
    """

    EMPTY = auto()
    LEFT_OUT = auto()
    PENDING = auto()
    AGAIN = auto()


@dataclass(frozen=True)
class Progress:
    """How far the review is.

    Attributes:
        accepted, waiting: of the cases that were asked for, or of all where none was.
        areAskedFor: whether the cohort was asked which cases are to be reviewed.
    """

    accepted: int
    waiting: int
    areAskedFor: bool


@dataclass(eq=False)
class _OpenCase:
    """The nodes of a case.

    Attributes:
        label: that they were made of or that was accepted since, uint8 (i, j, k); None if it cannot be read.
        accepted: file of that label, None for a proposal.
    """

    name: str
    volumeNode: Any
    segmentationNode: Any
    label: np.ndarray | None = None
    accepted: str | None = None

    @property
    def isThere(self) -> bool:
        """Whether the user has removed none of the nodes."""
        return all(node.GetScene() is not None for node in (self.volumeNode, self.segmentationNode))

    def beganWith(self, label: np.ndarray) -> bool:
        return self.label is not None and np.array_equal(self.label, label)


class CohortReview:
    """A cohort folder beside the scene: one case at a time is in the scene, as a volume and a segmentation.

    Every method that the user calls for raises a subclass of AdaptSegError with a message for the user, and then has
    changed nothing.

    Args:
        scene: that cases are opened in.
        session: corrects their segments.
    """

    def __init__(self, scene: Any, session: SegmentationLogic) -> None:
        self._scene = scene
        self._session = session
        self._cohort: Cohort | None = None
        self._items: tuple[ReviewItem, ...] = ()
        self._round = 0
        self._case: _OpenCase | None = None
        self._worker: BackgroundWorker | None = None
        self._drawn: queue.SimpleQueue[tuple[Path, np.ndarray | None]] = queue.SimpleQueue()
        self._asked: set[Path] = set()

    @property
    def folder(self) -> Path | None:
        return self._cohort.folder if self._cohort else None

    @property
    def items(self) -> tuple[ReviewItem, ...]:
        """The list; another object after each change."""
        return self._items

    @property
    def openCase(self) -> str | None:
        """Id of the case whose nodes are in the scene; None where there is none, or the user has removed one."""
        return self._case.name if self._case and self._case.isThere else None

    @property
    def progress(self) -> Progress:
        asked = [item for item in self._items if item.is_asked_for]
        counted = asked or self._items
        waiting = sum(item.is_waiting for item in counted)
        return Progress(sum(item.is_accepted for item in counted), waiting, bool(asked))

    @property
    def hasUnsaved(self) -> bool:
        """Whether closing the open case would lose corrections."""
        case = self._case
        if case is None or not case.isThere:
            return False
        try:
            return bool(self._pending(case)) or not case.beganWith(self._label(case))
        except AdaptSegError:
            return True

    def open(self, folder: Path) -> None:
        """Open a cohort, and take up the case of it that the scene holds; the nodes of another cohort stay.

        Raises:
            AdaptSegError: there is none, its files are damaged or of a newer version, or a propagation is under way.
                If only the scene's case cannot be read, the list is open all the same.
        """
        from AdaptCore.cohort.folder import Cohort

        self._session.requireIdle()
        cohort = Cohort.open(folder)
        listed = _listOf(cohort)
        self.close()
        self._cohort, (self._items, self._round) = cohort, listed
        self._takeUpScene(cohort)

    def refresh(self) -> None:
        """Read the list anew: other programs may have asked for other cases.

        Raises:
            CohortError: as `open`.
        """
        self._items, self._round = _listOf(self._requireCohort())

    def close(self) -> None:
        """Let go of the cohort; the scene stays as it is. A picture that is being drawn is dropped, without a wait."""
        if self._worker is not None:
            self._worker.cancel()
        self._cohort = self._case = None
        self._items, self._asked, self._drawn = (), set(), queue.SimpleQueue()

    def end(self) -> None:
        """Let go of the cohort, and wait for the background to end."""
        self.close()
        if self._worker is not None:
            self._worker.close()
            self._worker = None

    def show(self, name: str) -> tuple[Any, Any, str]:
        """Open a case in place of the one before, whose corrections are lost if they were not accepted.

        The slice views turn to the volume. Returns its volume, its segmentation and the ID of the segment that is the
        least sure on some plane.

        Raises:
            AdaptSegError: the case cannot be read, or a propagation is under way.
        """
        from AdaptCore.cohort.reviewing import open_case

        cohort = self._requireCohort()
        self._session.requireIdle()
        opened = open_case(cohort, name)
        with ExitStack() as onError:
            case = self._added(cohort, name, opened)
            onError.callback(self._removeNodes, case)
            confidences = self._takeProposal(case, opened)
            onError.pop_all()
        self._removeCase()
        self._case = case
        self._showInViews(case.volumeNode)
        sure = {segmentID: min(planes.values(), default=2.0) for segmentID, planes in confidences.items()}
        return case.volumeNode, case.segmentationNode, min(sure, key=sure.__getitem__)

    def doubts(self) -> dict[Doubt, str]:
        """What is to be asked before the open case is accepted, with the names of the segments concerned.

        Raises:
            SceneError: it cannot be accepted as it is.
        """
        case, cohort = self._requireCase(), self._requireCohort()
        label = self._label(case)
        stored = cohort.case(case.name)
        isKnown = stored.label is not None and stored.label.file == case.accepted and case.beganWith(label)
        filled = set(np.unique(label).tolist())
        segmentation = case.segmentationNode.GetSegmentation()
        classes = _segmentsOf(case, cohort.settings.labels)
        others = [ID for ID in segmentation.GetSegmentIDs() if ID not in classes.values()]
        doubts = {
            Doubt.EMPTY: [segmentation.GetSegment(ID).GetName() for n, ID in classes.items() if n not in filled],
            Doubt.LEFT_OUT: [
                segmentation.GetSegment(ID).GetName()
                for ID in others
                if segmentBlock(case.volumeNode, case.segmentationNode, ID) is not None
            ],
            Doubt.PENDING: self._pending(case),
            Doubt.AGAIN: [stored.label.file] if stored.label and not isKnown else [],
        }
        return {doubt: ", ".join(names) for doubt, names in doubts.items() if names}

    def accept(self) -> str | None:
        """Write the open case's label into the cohort folder; the case that is to be opened next, None at the end.

        Raises:
            AdaptSegError: it cannot be accepted as it is, or could not be written.
        """
        from AdaptCore.cohort.accepting import accept
        from AdaptCore.cohort.summary import ACCEPTED

        case, cohort = self._requireCase(), self._requireCohort()
        label = self._label(case)
        stored = accept(cohort, case.name, label)
        case.label, case.accepted = label, stored.accepted[-1].file
        self._items = tuple(replace(item, status=ACCEPTED) if item.case == case.name else item for item in self._items)
        hasQueries = any(item.is_asked_for for item in self._items)
        waiting = (item.case for item in self._items if item.is_waiting and (item.is_asked_for or not hasQueries))
        return next(waiting, None)

    def picture(self, name: str) -> Path | None:
        """The picture of a case as a PNG file, None where it was not drawn yet."""
        path = self._picturePath(name)
        return path if path.is_file() else None

    def askForPictures(self, names: Iterable[str]) -> None:
        """Draw the pictures of cases in the background, those named last only; call `update` until it has no news."""
        from AdaptCore.cohort.reviewing import case_picture
        from AdaptCore.predict.background import BackgroundWorker

        cohort, number = self._requireCohort(), self._round
        asked, drawn = self._asked, self._drawn
        if self._worker is None:
            self._worker = BackgroundWorker()

        def draw(name: str, path: Path) -> None:
            if path not in asked:
                asked.add(path)
                try:
                    drawn.put((path, case_picture(cohort, name, number)))
                except AdaptSegError:
                    drawn.put((path, None))

        paths = {name: self._picturePath(name) for name in names}
        self._worker.request([partial(draw, *pair) for pair in paths.items() if not pair[1].is_file()])

    def update(self) -> tuple[bool, bool]:
        """Store pictures that were drawn: whether there are new ones, and whether more may come.

        Waits a little for them, as `SegmentationLogic.update` does.
        """
        isBusy, isNew = self._worker is not None and not self._worker.wait(PATIENCE), False
        while not self._drawn.empty():
            path, picture = self._drawn.get()
            isNew |= picture is not None and _stored(path, picture)
        return isNew, isBusy

    def _takeUpScene(self, cohort: Cohort) -> None:
        """Go on with the case of a scene that was loaded."""
        from AdaptCore.cohort.reviewing import open_case

        found = {}
        for kind in ("vtkMRMLScalarVolumeNode", "vtkMRMLSegmentationNode"):
            for node in slicer.util.getNodesByClass(kind, self._scene):
                if node.GetAttribute(COHORT_ATTRIBUTE) == str(cohort.folder):
                    found[kind] = node
        if len(found) < 2 or len({node.GetAttribute(CASE_ATTRIBUTE) for node in found.values()}) > 1:
            return
        volumeNode, segmentationNode = found["vtkMRMLScalarVolumeNode"], found["vtkMRMLSegmentationNode"]
        self._case = _OpenCase(volumeNode.GetAttribute(CASE_ATTRIBUTE), volumeNode, segmentationNode)
        opened = open_case(cohort, self._case.name)
        self._case.label, self._case.accepted = opened.label, opened.accepted
        self._takeProposal(self._case, opened)

    def _takeProposal(self, case: _OpenCase, opened: Opened) -> dict[str, dict[PlaneGeometry, float]]:
        """Let the session correct a case's segments; their planes with confidence, by the segments' IDs."""
        from AdaptCore.predict.geometry import axis_plane

        segments = _segmentsOf(case, self._requireCohort().settings.labels)
        confidences = {
            segmentID: {
                axis_plane(opened.volume.geometry.size, opened.axis, index): sure
                for index, sure in opened.confidences.get(value, {}).items()
            }
            for value, segmentID in segments.items()
        }
        self._session.takeProposal(case.volumeNode, case.segmentationNode, confidences)
        return confidences

    def _label(self, case: _OpenCase) -> np.ndarray:
        """The segments as one label, uint8 (i, j, k) of the values in label files.

        Raises:
            SceneError: the volume is no longer on the grid of its image, a class has no segment, or two overlap.
        """
        from AdaptCore.cohort.folder import geometry_of

        cohort = self._requireCohort()
        geometry = geometry_of(cohort.case(case.name))
        _requireGrid(case.volumeNode, geometry)
        segments = _segmentsOf(case, cohort.settings.labels)
        missing = [_className(value) for value in cohort.settings.labels if value not in segments]
        if missing:
            raise SceneError(
                f"case {case.name}: no segment for {', '.join(missing)}: add one of that name, or open the case again"
            )
        label = np.zeros(geometry.size, np.uint8)
        overlapping = 0
        for value, segmentID in segments.items():
            block = segmentBlock(case.volumeNode, case.segmentationNode, segmentID)
            if block is not None:
                part = label[block.slices]
                overlapping += int(np.count_nonzero(part[block.mask]))
                part[block.mask] = value
        if overlapping:
            raise SceneError(
                f"case {case.name}: segments overlap in {overlapping} voxels, each may be of one class only: take them "
                "out of one of the segments"
            )
        if not label.any():
            raise SceneError(f"case {case.name}: all segments are empty: a label has at least one voxel")
        return label

    def _pending(self, case: _OpenCase) -> list[str]:
        """Name of the case's segment whose mask is shown and was not accepted; none if there is no such mask."""
        prompts = self._session.promptNodes
        if prompts is None or self._session.mask is None or self._session.isAccepted:
            return []
        if prompts.segmentationNode is not case.segmentationNode:
            return []
        return [case.segmentationNode.GetSegmentation().GetSegment(prompts.segmentID).GetName()]

    def _added(self, cohort: Cohort, name: str, opened: Opened) -> _OpenCase:
        """The nodes of a case."""
        volumeNode = addVolume(self._scene, name, opened.volume)
        segmentationNode = self._scene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{name} label")
        case = _OpenCase(name, volumeNode, segmentationNode, opened.label, opened.accepted)
        with ExitStack() as onError:
            for node in (volumeNode, segmentationNode):
                onError.callback(removeNode, node)
                node.SetAttribute(COHORT_ATTRIBUTE, str(cohort.folder))
                node.SetAttribute(CASE_ATTRIBUTE, name)
            segmentationNode.CreateDefaultDisplayNodes()
            _fill(case, opened.label, cohort.settings.labels)
            onError.pop_all()
        return case

    def _removeCase(self) -> None:
        case, self._case = self._case, None
        if case is not None:
            self._removeNodes(case)

    def _removeNodes(self, case: _OpenCase) -> None:
        if case.segmentationNode.GetScene() is not None:
            self._session.forget(case.segmentationNode)
        removeNode(case.segmentationNode)
        removeNode(case.volumeNode)

    def _showInViews(self, volumeNode: Any) -> None:
        for sliceNode in slicer.util.getNodesByClass("vtkMRMLSliceNode", self._scene):
            sliceNode.RotateToVolumePlane(volumeNode)
        application = slicer.app.applicationLogic()
        application.GetSelectionNode().SetActiveVolumeID(volumeNode.GetID())
        application.PropagateVolumeSelection()

    def _picturePath(self, name: str) -> Path:
        cohort = self._requireCohort()
        return cohort.picture_path(name, self._round)

    def _requireCohort(self) -> Cohort:
        if self._cohort is None:
            raise SceneError("no cohort is open: open one first")
        return self._cohort

    def _requireCase(self) -> _OpenCase:
        self._session.requireIdle()
        if self._case is None:
            raise SceneError("no case is open: open one of the list first")
        if not self._case.isThere:
            raise SceneError(f"volume or segmentation of case {self._case.name} was removed: open the case again")
        return self._case


def _listOf(cohort: Cohort) -> tuple[tuple[ReviewItem, ...], int]:
    """All cases, and the round that their proposals are of."""
    from AdaptCore.cohort.reviewing import review_items
    from AdaptCore.cohort.summary import summarize

    summary = summarize(cohort)
    return review_items(summary), summary.state.current


def _segmentsOf(case: _OpenCase, labels: Iterable[int]) -> dict[int, str]:
    """IDs of the segments of the classes that have one; a segment that is added again is known by its name."""
    segmentation = case.segmentationNode.GetSegmentation()
    found = {}
    for value in labels:
        known = segmentation.GetSegment(_classID(value)) is not None
        segmentID = _classID(value) if known else segmentation.GetSegmentIdBySegmentName(_className(value))
        if segmentID:
            found[value] = segmentID
    return found


def _classID(value: int) -> str:
    return f"class-{value}"


def _className(value: int) -> str:
    return f"Class {value}"


def _fill(case: _OpenCase, label: np.ndarray, labels: tuple[int, ...]) -> None:
    """Give a new segmentation one segment a class, with its voxels, through Slicer's import of labelmaps."""
    from AdaptCore.cohort.reviewing import class_colour

    node, scene = case.segmentationNode, case.segmentationNode.GetScene()
    node.SetReferenceImageGeometryParameterFromVolumeNode(case.volumeNode)
    segmentIDs, numbers = vtk.vtkStringArray(), np.zeros(256, np.uint8)
    for number, value in enumerate(labels, start=1):
        node.GetSegmentation().AddEmptySegment(_classID(value), _className(value), class_colour(number))
        segmentIDs.InsertNextValue(_classID(value))
        numbers[value] = number
    labelmapNode = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    try:
        slicer.util.updateVolumeFromArray(labelmapNode, np.ascontiguousarray(numbers[label].T))
        labelmapNode.CopyOrientation(case.volumeNode)
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ImportLabelmapToSegmentationNode(labelmapNode, node, segmentIDs):
            raise SceneError(f"case {case.name}: Slicer could not take over the label")
    finally:
        removeNode(labelmapNode)


def _requireGrid(volumeNode: Any, geometry: Geometry) -> None:
    """Refuse a volume that was resampled or moved for good.

    Raises:
        SceneError: its voxels are not those of its image.
    """
    image, matrix = volumeNode.GetImageData(), vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(matrix)
    size = tuple(image.GetDimensions()) if image else (0, 0, 0)
    drift = np.linalg.inv(ijkToRas(geometry)) @ slicer.util.arrayFromVTKMatrix(matrix) - np.eye(4)
    if size != tuple(geometry.size) or np.abs(drift @ np.array([*size, 1.0])).max() > SAME_PLACE:
        raise SceneError(
            f"Volume '{volumeNode.GetName()}' is no longer on the grid of its image: it has {size} voxels, its image "
            f"{geometry.size}, or was moved. Undo that, or open the case again."
        )


def _stored(path: Path, picture: np.ndarray) -> bool:
    """Keep a picture in the cohort folder; False where that cannot be written."""
    from AdaptCore.atomic import atomic_target, prepare_folder
    from AdaptCore.errors import OutputError

    try:
        prepare_folder(path.parent, ())
        with atomic_target(path, suffix=".png") as temporary:
            writePicture(temporary, picture)
    except OutputError:
        return False
    return True
