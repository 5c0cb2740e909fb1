"""What the user has chosen, saved with the scene, and how session and list of segments follow it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import slicer
import vtk

from AdaptCore.errors import AdaptSegError
from InteractiveAdaptSegLib.Measures import Measures, Measuring, measured
from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.SceneNodes import addSegmentation
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegLib.SegmentNames import nameSegment
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock


class Choices:
    """Volume, segment, model, task and user.

    Args:
        scene: the scene to work in.
        session: works on what is chosen.
        segmentList: shows the chosen segmentation and segment, as a `qMRMLSegmentSelectorWidget` does.
        isReady: whether all packages are there; nothing is loaded before.
        reported: within it, errors are shown to the user.
        onChanged: called when something else is chosen.
        onNames: called when task and user of a new scene were taken up.
    """

    def __init__(
        self,
        scene: Any,
        session: SegmentationLogic,
        segmentList: Any,
        isReady: Callable[[], bool],
        reported: Callable[[], AbstractContextManager[None]],
        onChanged: Callable[[], None],
        onNames: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._session = session
        self._segmentList = segmentList
        self._isReady = isReady
        self._reported = reported
        self._onChanged = onChanged
        self._onNames = onNames
        self._isApplying = False
        self._isSceneNew = True
        self._observations = Observations()
        self._measuring = Measuring()
        self.node: Any = None

    def use(self, node: Any) -> None:
        """Work on what a parameter node holds; None for nothing, as while a scene is closed."""
        self._observations.clear()
        self.node = node
        if node is not None:
            self._observations.add(node, vtk.vtkCommand.ModifiedEvent, self._onModified)
            self.apply()

    def noteNewScene(self) -> None:
        """Task and user of this scene are to be taken up."""
        self._isSceneNew = True

    def chooseFirstVolume(self) -> None:
        """Choose the scene's first volume if none is chosen."""
        if not self.node.inputVolume:
            volumeNode = self._scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
            if volumeNode:
                self.node.inputVolume = volumeNode

    def chooseSegment(self, segmentID: str) -> None:
        """The user chose another segment, or Slicer did since one was added or removed."""
        if self.node is not None and not self._isApplying:
            self.node.segmentID = segmentID

    def chooseCase(self, volumeNode: Any, segmentationNode: Any, segmentID: str) -> None:
        """Choose a volume with a segment of it."""
        with self._applying():
            self.node.inputVolume = volumeNode
            self.node.segmentation = segmentationNode
            self._segmentList.setCurrentNode(segmentationNode)
        self.node.segmentID = segmentID
        self.apply()

    def addSegment(self) -> None:
        """Add a segment, and a segmentation to put it in if none is chosen.

        Raises:
            SceneError: no volume is chosen, or it cannot be worked on.
        """
        choice = self.node
        with self._applying():
            if choice.segmentation is None:
                choice.segmentation = addSegmentation(self._scene, choice.inputVolume)
                self._segmentList.setCurrentNode(choice.segmentation)
            segmentID = self._session.addSegment(choice.inputVolume, choice.segmentation)
            if self._session.task.name:
                terminologies = getattr(slicer.modules, "terminologies", None)
                logic = None if terminologies is None else terminologies.logic()
                nameSegment(choice.segmentation, segmentID, self._session.task.name, logic)
        choice.segmentID = segmentID
        self.apply()

    def beginSegment(self) -> None:
        """A prompt is about to be given: the first one makes the segment that it is for.

        Raises:
            SceneError: no volume is chosen, or it cannot be worked on.
        """
        if not self._session.hasTarget:
            self.addSegment()

    def nextSegment(self) -> None:
        """Accept what is shown, and go to the next segment; after the last one, to a new one.

        Raises:
            AdaptSegError: see `SegmentationLogic.accept` and `addSegment`.
        """
        if self._session.mask is not None and not self._session.isAccepted:
            self._session.accept()
        if not self.chooseNeighbour(1):
            self.addSegment()

    def chooseNeighbour(self, step: int) -> bool:
        """Choose the segment that is so many places after the chosen one in the list; whether there is one."""
        if self.node.segmentation is None:
            return False
        segmentation = self.node.segmentation.GetSegmentation()
        place = segmentation.GetSegmentIndex(self.node.segmentID) + step
        if not 0 <= place < segmentation.GetNumberOfSegments():
            return False
        self._segmentList.setCurrentSegmentID(segmentation.GetNthSegmentID(place))
        return True

    def apply(self) -> None:
        """Work on the chosen segment; nothing is loaded before all is chosen and all packages are there."""
        if self._isApplying or self.node is None:
            return
        with self._applying():
            self._applyOnlyPointed(self.node)
            self._applyWholeObject(self.node)
            self._applySegment(self.node)
            if self.node.model not in ("", self._session.model.name) and self._isReady():
                with self._reported():
                    self._session.model.choose(self.node.model)
        self._onChanged()

    def follow(self) -> None:
        """Undo may have gone back to another segment: choose that one."""
        choice, prompts = self.node, self._session.promptNodes
        if self._isApplying or choice is None or prompts is None or prompts.segmentID == choice.segmentID:
            return
        with self._applying():
            choice.segmentID = prompts.segmentID
            self._segmentList.setCurrentSegmentID(prompts.segmentID)

    def takeUpNames(self) -> None:
        """Take up task and user of a new scene once its model is there; one without them takes over what is chosen."""
        choice, session = self.node, self._session
        mayTakeUp = choice is not None and self._isSceneNew and not self._isApplying and self._isReady()
        if not mayTakeUp or session.model.isComing:
            return
        self._isSceneNew = False
        choice.model = choice.model or session.model.name
        task, user = choice.task, choice.user
        if user and user != session.profile.user:
            with self._reported():
                session.profile.choose(user)
        if task and task != session.task.name:
            with self._reported():
                session.setTask(task)
        choice.task, choice.user = task or session.task.name or "", user or session.profile.user or ""
        self._onNames()

    def _applyOnlyPointed(self, choice: Any) -> None:
        if choice.onlyPointed != self._session.onlyPointed:
            with self._reported():
                self._session.setOnlyPointed(choice.onlyPointed)

    def _applyWholeObject(self, choice: Any) -> None:
        if choice.wholeObject != self._session.isObjectWanted:
            with self._reported():
                self._session.setAtObject(choice.wholeObject)

    def _applySegment(self, choice: Any) -> None:
        segments = self._segmentList
        if segments.currentNode() != choice.segmentation:
            segments.setCurrentNode(choice.segmentation)
        if self._segment is None:
            choice.segmentID = segments.currentSegmentID()
        if self._segment is None or not self._isReady():
            self._session.clearTarget()
            return
        segments.setCurrentSegmentID(choice.segmentID)
        with self._reported():
            self._session.setTarget(choice.inputVolume, choice.segmentation, choice.segmentID)

    @property
    def colour(self) -> tuple[float, float, float] | None:
        """The chosen segment's, red, green and blue from 0 to 1."""
        segment = None if self.node is None else self._segment
        return None if segment is None else tuple(segment.GetColor())

    @property
    def measures(self) -> Measures | None:
        """The previewed object's, else the chosen segment's; None where there is none, or it cannot be measured."""
        if self.node is None or self._segment is None or not self._session.hasTarget:
            return None
        mask = self._session.mask
        if isinstance(mask, VoxelBlock) and not self._session.isAccepted and mask.mask.any():
            return measured(mask.mask, ijkToWorld(self.node.inputVolume)[:3, :3])
        with suppress(AdaptSegError):
            return self._measuring.measures(self.node.segmentation, self.node.segmentID)
        return None

    @property
    def _segment(self) -> slicer.vtkSegment | None:
        choice = self.node
        if choice.inputVolume is None or choice.segmentation is None or not choice.segmentID:
            return None
        return choice.segmentation.GetSegmentation().GetSegment(choice.segmentID)

    @contextmanager
    def _applying(self) -> Iterator[None]:
        """What is changed within is not applied again."""
        self._isApplying = True
        try:
            yield
        finally:
            self._isApplying = False

    def _onModified(self, caller: Any, event: str) -> None:
        self.apply()
