"""Interactive segmentation in the scene: prompts in, masks out, with undo; survives whatever happens to its nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from AdaptCore.errors import AdaptSegError, PromptError, TaskError
from AdaptCore.prompts import CONTRADICTION, contradict
from InteractiveAdaptSegLib.Candidates import Candidates
from InteractiveAdaptSegLib.ChosenModel import ChosenModel, LoadModel
from InteractiveAdaptSegLib.ChosenProfile import ChosenProfile
from InteractiveAdaptSegLib.ChosenTask import ChosenTask
from InteractiveAdaptSegLib.Commands import (
    ON_PLANE,
    ClearCommand,
    LessonCommand,
    NewSegmentCommand,
    PromptCommand,
    WriteCommand,
    isPromptOn,
    isStepOfSlicer,
    targetsOf,
)
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.Frames import Frames
from InteractiveAdaptSegLib.History import Command, History
from InteractiveAdaptSegLib.Masking import WriteReport
from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.PlaceMode import placedSign, startPlacing
from InteractiveAdaptSegLib.PlaneQuestion import Asker, PlaneQuestion
from InteractiveAdaptSegLib.PreviewNode import PreviewNode
from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptNodes, PromptStep, unmarkedPoints
from InteractiveAdaptSegLib.PropagationTask import PropagationTask
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter, VoxelBlock
from InteractiveAdaptSegLib.Target import StoredMasks, Target, planesThatMeet, sliceIndex
from InteractiveAdaptSegLib.VolumeGeometry import displayWindow, ijkToWorld, slicePlane, voxelArray, worldPoint

if TYPE_CHECKING:
    from AdaptCore.adapt.guard import Outcome
    from AdaptCore.models.base import Model
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Example
    from AdaptCore.predict.propagate import Propagation
    from AdaptCore.predict.volume import VolumeSession


@dataclass(eq=False)
class _RunningPropagation:
    target: Target
    geometry: PlaneGeometry
    task: PropagationTask
    stepsBefore: int
    done: int = 0
    total: int = 0


class SegmentationLogic:
    """All that the panel does, without the panel.

    Points are given in world coordinates (RAS, mm) together with the slice view they were made in. Every method that
    the user calls for raises a subclass of AdaptSegError with a message for the user, and then has changed nothing.

    Args:
        scene: the scene to work in.
        loadModel: gives a model by its name, on a device; called at the first prompt, and when another model is chosen.
            None loads those that `AdaptCore.models.registry` knows.
        onChanged: called whenever what the panel shows may have changed.
        onMessage: called with what the user should know and did not ask for, such as that a node is gone.
        defer: runs a function when the current event has been dealt with; Slicer's markups do not like to be changed
            while they report a change.
    """

    def __init__(
        self,
        scene: Any,
        loadModel: LoadModel | None = None,
        onChanged: Callable[[], None] = lambda: None,
        onMessage: Callable[[str], None] = lambda text: None,
        defer: Callable[[Callable[[], None]], None] = lambda function: function(),
    ) -> None:
        self._scene = scene
        self._model = ChosenModel(loadModel or _loadModel, onMessage)
        self._task = ChosenTask(self._model.load, onMessage)
        self._profile = ChosenProfile(onMessage, self._onProfileChanged)
        self._candidates = Candidates(self._profile, onMessage)
        self._onChanged = onChanged
        self._onMessage = onMessage
        self._defer = defer
        self._targets: dict[str, Target] = {}
        self._target: Target | None = None
        self._active: PlaneGeometry | None = None
        self._mask: np.ndarray | None = None
        self._isAccepted = False
        self._running: _RunningPropagation | None = None
        self._asker = Asker()
        self._frames = Frames()
        self._history = History()
        self._changingPrompts = False
        self._mustFollowPrompts = False
        self._onlyPointed = True
        self._writer = SegmentWriter(scene, self._onOutsideEdit)
        self._preview = PreviewNode(scene)
        self._observations = Observations()
        self._observeScene()

    @property
    def hasTarget(self) -> bool:
        return self._target is not None

    @property
    def promptNodes(self) -> PromptNodes | None:
        """The nodes of the current segment's prompts."""
        return self._target.prompts if self._target else None

    @property
    def activePlane(self) -> PlaneGeometry | None:
        """The plane of the latest prompt; `accept` and `propagate` act on it."""
        return self._active

    @property
    def mask(self) -> np.ndarray | None:
        """The active plane's mask (H, W) that `accept` would write."""
        return self._mask

    @property
    def isAccepted(self) -> bool:
        """Whether the active plane's mask is in the segment already."""
        return self._isAccepted

    @property
    def isUnsure(self) -> bool:
        """Whether the active plane's mask is what a propagation has given, and not accepted yet."""
        return self._target is not None and self._active in self._target.unsurePlanes

    @property
    def hasUnsurePlane(self) -> bool:
        """Whether `showUnsurePlane` has a plane to go to."""
        return self._target is not None and bool(self._target.unsurePlanes)

    @property
    def isPropagating(self) -> bool:
        return self._running is not None

    @property
    def isPredicting(self) -> bool:
        """Whether the answer of a slow model is waited for."""
        return self._asker.isAsking

    @property
    def isIdle(self) -> bool:
        """Whether something can be asked for: neither a propagation nor a slow answer is under way."""
        return not (self.isPropagating or self.isPredicting)

    @property
    def isBusy(self) -> bool:
        """Whether `update` has news to wait for: of what is asked, of candidates, or of what is learnt or saved."""
        waits = (self._task, self._profile, self._model)
        return not self.isIdle or self._candidates.isAsking or any(chosen.isBusy for chosen in waits)

    @property
    def needsTime(self) -> bool:
        """Whether threads work beside the window, be it on embeddings that may be of use: see `update`."""
        return self.isBusy or any(target.isPreparing for target in self._targets.values())

    @property
    def taskName(self) -> str | None:
        """The task that answers and learns; None while the frozen model answers."""
        return self._task.name

    @property
    def isLearning(self) -> bool:
        """Whether accepted planes teach the chosen task."""
        return self._task.isLearning

    @property
    def mustLearn(self) -> bool:
        """Whether accepted planes teach the task, if one is chosen."""
        return self._task.isOn

    @property
    def taskHistory(self) -> tuple[Outcome, ...]:
        """Outcome of every image that the chosen task was taught, in order."""
        return self._task.history

    @property
    def model(self) -> ChosenModel:
        """The model that answers: download and own files; see `setModel` and `setDevice`."""
        return self._model

    @property
    def canResetTask(self) -> bool:
        return self._task.canReset and self.isIdle

    @property
    def canUndoLesson(self) -> bool:
        return self._task.latestLesson is not None and self.isIdle

    @property
    def profile(self) -> ChosenProfile:
        """The user whose preference for the chosen task answers all later prompts, and learns from picks and planes."""
        return self._profile

    @property
    def candidates(self) -> Candidates:
        """What can be picked in place of the active plane's mask."""
        return self._candidates

    @property
    def progress(self) -> tuple[int, int]:
        """Planes done and planes there can be at most, of the propagation under way."""
        return (self._running.done, self._running.total) if self._running else (0, 0)

    @property
    def canUndo(self) -> bool:
        self._forgetLostWrites()
        return self._history.canUndo and self.isIdle

    @property
    def canRedo(self) -> bool:
        self._forgetLostWrites()
        return self._history.canRedo and self.isIdle

    @property
    def onlyPointed(self) -> bool:
        """Whether the parts of masks that were not pointed at are dropped."""
        return self._onlyPointed

    @property
    def nextSteps(self) -> tuple[Command | None, Command | None]:
        """What undo would take back, and what redo would do again."""
        return self._history.next, self._history.nextUndone

    @property
    def editorNode(self) -> Any:
        """Slicer's Segment Editor node: its masking and overwriting hold for what is written."""
        return self._writer.editorNode

    def setTarget(self, volumeNode: Any, segmentationNode: Any, segmentID: str = "") -> None:
        """Choose what to segment; without a segment ID, a new segment is added.

        Prompts that the scene holds for the segment are taken up again.
        """
        self.requireIdle()
        _requireNodes(volumeNode, segmentationNode)
        segmentID = segmentID or self.addSegment(volumeNode, segmentationNode)
        self._writer.setTarget(volumeNode, segmentationNode, segmentID)
        self._forgetLostWrites()
        target = self._targetOf(volumeNode, segmentationNode, segmentID)
        added = self._history.next
        if isinstance(added, NewSegmentCommand) and added.segmentID == segmentID:
            added.target = target
        self._select(target)

    def takeProposal(
        self, volumeNode: Any, segmentationNode: Any, confidences: Mapping[str, Mapping[PlaneGeometry, float]]
    ) -> None:
        """Let what segments hold count as if propagations had given it: clicks correct it, also by taking away.

        What others change in these segments later is followed, and `showUnsurePlane` leads to their planes that were
        not accepted yet.

        Args:
            confidences: segment ID -> planes that it has, with their confidence from 0 to 1.
        """
        self.requireIdle()
        _requireNodes(volumeNode, segmentationNode)
        for segmentID, planes in confidences.items():
            target = self._targetOf(volumeNode, segmentationNode, segmentID)
            if not target.prompts.areOfProposal:
                target.prompts.setOfProposal()
                target.notePlacement()
            target.prompts.setVisible(target is self._target)
            accepted = {plane for plane, _ in target.prompts.masks(PlaneMask.ACCEPTED)}
            target.confidences = {plane: sure for plane, sure in planes.items() if plane not in accepted}
        self._onChanged()

    def forget(self, segmentationNode: Any) -> None:
        """Let go of all segments of a segmentation, and take their prompts out of the scene."""
        self.requireIdle()
        self._dropTargets([target for target in self._targets.values() if target.segmentationNode is segmentationNode])
        for prompts in PromptNodes.all(self._scene, complete=False):
            if prompts.segmentationNode is segmentationNode:
                prompts.remove()

    def addSegment(self, volumeNode: Any, segmentationNode: Any) -> str:
        """Add an empty segment that can be chosen with the volume, and give its ID.

        Undo takes it away again where something was worked on in the same segmentation before.
        """
        self.requireIdle()
        _requireNodes(volumeNode, segmentationNode)
        segmentID = self._writer.addSegment(volumeNode, segmentationNode)
        if self._target is not None and self._writer.isIn(segmentationNode):
            self._history.push(NewSegmentCommand(self._writer, segmentID, self._target))
        return segmentID

    def taskNames(self) -> tuple[str, ...]:
        """Names of the user's tasks."""
        return self._task.names()

    def setTask(self, name: str | None) -> None:
        """Let a task answer all later prompts and learn from accepted planes; None for the frozen model.

        What was answered stays as it is, and undo takes lessons back from the task that has learnt them. What is
        learnt is saved in the background. A task holds for all segments and scenes until another one is chosen.
        """
        self.requireIdle()
        choice = self._profile.prepared(self._profile.user, name)
        self._task.choose(name)
        self._askChosenTask()
        self._profile.use(choice)

    def setLearning(self, mustLearn: bool) -> None:
        """Let accepted planes teach the task, or let it only answer."""
        self.requireIdle()
        self._task.setOn(mustLearn)
        self._askChosenTask()

    def resetTask(self) -> None:
        """Begin the chosen task anew; what was answered stays as it is. See `ChosenTask.reset`."""
        self.requireIdle()
        self._task.reset()
        self._askChosenTask()

    def undoLesson(self) -> None:
        """Let the chosen task forget the image that it has learnt last; what was accepted stays. Undo teaches it again.

        Raises:
            TaskError: there is none that can be taken back.
        """
        self.requireIdle()
        ticket = self._task.latestLesson
        if ticket is None:
            raise TaskError("nothing was learnt since the panel was opened, or it was taken back already")
        command = LessonCommand(self._task, ticket, self._onMessage)
        command.redo()
        self._history.push(command)
        self._askChosenTask()

    def setModel(self, name: str) -> None:
        """Let another model answer, as soon as it is loaded in the background; `update` tells of it.

        Open sessions then begin anew from their prompts and labels: nothing that was accepted changes. A model that is
        not on this computer gives way to the built-in one.
        """
        if name != self._model.name:
            self.requireIdle()
            self._model.choose(name)
            self._onChanged()

    def setDevice(self, device: str | None) -> None:
        """Let the model compute on "cpu", "cuda", "cuda:N" or "mps"; None for the fastest. As `setModel`."""
        self.requireIdle()
        self._model.setDevice(device)
        self._onChanged()

    def setOnlyPointed(self, isOnly: bool) -> None:
        """Drop the parts of masks that were not pointed at, or keep them; what is not accepted is answered anew."""
        if isOnly != self._onlyPointed:
            self.requireIdle()
            self._onlyPointed = isOnly
            self._renewSessions()

    def clearTarget(self) -> None:
        """Stop working on the current segment; what was written and the prompts stay."""
        self.stopPropagation()
        self.cancelPrediction()
        self._target = None
        self._deactivate()
        self._onChanged()

    def addClick(self, sliceNode: Any, world: Sequence[float], positive: bool = True) -> None:
        """A click on the object or, negative, on the background."""
        self.addScribble(sliceNode, [world], positive)

    def addScribble(self, sliceNode: Any, worldPoints: Sequence[Sequence[float]], positive: bool = True) -> None:
        """A stroke on the object or, negative, on the background."""
        from AdaptCore.predict.plane import stroke_clicks

        geometry, toPixel = self._planeOf(sliceNode)
        clicks = stroke_clicks(map(toPixel, worldPoints), positive, geometry.shape)
        self._prompt(geometry, PromptStep(self._nextStep, clicks))

    def addBox(self, sliceNode: Any, *corners: Sequence[float]) -> None:
        """A box around the object, in place of the plane's earlier box or lasso.

        Args:
            corners: two opposite ones; all four where the view is turned against the volume, whose axes a box follows.
        """
        from AdaptCore.predict.plane import plane_box

        geometry, toPixel = self._planeOf(sliceNode)
        columns, rows = zip(*map(toPixel, corners))
        box = plane_box(min(columns), min(rows), max(columns), max(rows), geometry.shape)
        self._prompt(geometry, PromptStep(self._nextStep, box=box))

    def addLasso(self, sliceNode: Any, worldPoints: Sequence[Sequence[float]]) -> None:
        """A closed outline around the object, in place of the plane's earlier box or lasso."""
        from AdaptCore.predict.plane import plane_lasso

        geometry, toPixel = self._planeOf(sliceNode)
        lasso = plane_lasso(map(toPixel, worldPoints), geometry.shape)
        self._prompt(geometry, PromptStep(self._nextStep, lasso=lasso))

    def showPlane(self, sliceNode: Any) -> bool:
        """Make the plane that a view shows the active one if it has prompts; whether it has."""
        self.requireIdle()
        target = self._requireTarget()
        geometry = slicePlane(sliceNode, target.volumeNode)
        if geometry not in target.prompts.planes or not target.storedSteps(geometry):
            return False
        self._activate(geometry)
        return True

    def showUnsurePlane(self) -> None:
        """Let the slice views go to the plane that the latest propagation is least sure of; from there, to the next.

        Raises:
            PromptError: there is no such plane, or the user has accepted them all.
        """
        self.requireIdle()
        target = self._requireTarget()
        planes = target.unsurePlanes
        if not planes:
            raise PromptError("no slice is waiting to be looked at: propagate a mask first")
        from AdaptCore.predict.propagate import innermost

        following = planes.index(self._active) + 1 if self._active in planes else 0
        geometry = planes[following % len(planes)]
        click = innermost(target.planeLabels(geometry))
        world = worldPoint(ijkToWorld(target.volumeNode), geometry.voxel(click.x, click.y))
        sliceNodes = slicer.vtkMRMLSliceNode
        sliceNodes.JumpAllSlices(self._scene, *(float(value) for value in world), sliceNodes.OffsetJumpSlice)
        self._activate(geometry)

    def clearPrompts(self) -> None:
        """Clear the active plane's prompts, to point at a further part of the object; accepted masks stay."""
        self.requireIdle()
        target, geometry = self._requirePlane()
        self._onceAnswered(target, geometry, lambda: self._clearPrompts(target, geometry))

    def _clearPrompts(self, target: Target, geometry: PlaneGeometry) -> None:
        actions = target.storedSteps(geometry)
        before = target.prompts.packedMasks(PlaneMask.KEPT)
        target.plane(geometry).reset()
        target.prompts.setMask(PlaneMask.KEPT, geometry, target.planeLabels(geometry))
        after = target.prompts.packedMasks(PlaneMask.KEPT)
        with self._ownPrompts():
            target.prompts.removePlane(geometry)
        self._history.push(ClearCommand(target, geometry, actions, before, after))
        self._activate(geometry)

    def preview(self, number: int | None) -> None:
        """Show what a candidate's pick would give, and change nothing; None shows the active plane's mask again."""
        if number is None:
            self._showMask()
        else:
            target, geometry = self._requirePlane()
            self._preview.show(target.volumeNode, geometry, self._candidates.view(number).mask, target.color)

    def pick(self, number: int) -> None:
        """Take a candidate for the active plane's mask; it takes the place of one of the same round."""
        self.requireIdle()
        self._candidates.view(number)
        if self._candidates.picked == number:
            return
        if self._candidates.picked is not None:
            self.undo()
        command = self._candidates.pick(number, learns=self._task.isOn)
        self._history.push(command)
        self._activate(command.geometry)

    def accept(self) -> None:
        """Write the active plane's mask into the segment, in place of what was accepted there before."""
        self.requireIdle()
        self._accept(*self._requirePlane())

    def _accept(self, target: Target, geometry: PlaneGeometry, goOn: Callable[[], None] = lambda: None) -> None:
        """Write a plane's mask, let it be learnt, and go on."""
        mask = target.mask(geometry)
        if mask is None:
            raise PromptError("this plane has no mask to accept: give it a click, scribble or box first")
        change = target.change(geometry, mask)
        if change.add is None and change.remove is None:
            raise PromptError("the mask is empty: nothing to accept")
        report = self._write(target, change.add, change.remove)
        before, carried, stepsBefore = target.stored(), target.confidences, target.session.steps
        isNew = target.session.accept(geometry, mask, teach=False)
        target.confidences = {plane: sure for plane, sure in carried.items() if plane != geometry}
        self._pushWrite(target, geometry, change.add, stepsBefore, before, carried, accepted=mask)
        self._activate(geometry)
        self._tell(report.text)
        prediction = target.plane(geometry).prediction
        self._teach(target, geometry, prediction.mask if isNew and prediction else None, goOn)

    def _write(self, target: Target, add: VoxelBlock | None, remove: VoxelBlock | None) -> WriteReport:
        self._aim(target)
        target.requireInPlace()
        report = self._writer.write(add, remove, sharesLabels=target.prompts.areOfProposal)
        target.notePlacement()
        return report

    def _pushWrite(
        self,
        target: Target,
        geometry: PlaneGeometry,
        added: VoxelBlock | None,
        stepsBefore: int,
        storedBefore: StoredMasks,
        confidencesBefore: Mapping[PlaneGeometry, float],
        accepted: np.ndarray | None = None,
    ) -> None:
        """Note a write for undo, after all sessions of the segmentation have learnt what it has really changed.

        Args:
            added: what was to be written.
            accepted: the mask (H, W) of the plane, where one was accepted.
        """
        steps = {}
        for other in self._targets.values():
            if other.segmentationNode is target.segmentationNode and other.isOpen:
                lost = 0
                if added is not None or other.volumeNode is not target.volumeNode:
                    lost = other.giveUpLost(added if other.volumeNode is target.volumeNode else None)
                if lost:
                    steps[other] = lost
                other.noteWrite()
        steps[target] = target.session.steps - stepsBefore
        if accepted is not None:
            target.storeAccepted(geometry, accepted)
        self._history.push(
            WriteCommand(
                target,
                geometry,
                self._writer,
                steps,
                storedBefore,
                target.stored(),
                confidencesBefore,
                target.confidences,
            )
        )

    def _teach(
        self,
        target: Target,
        geometry: PlaneGeometry,
        mask: np.ndarray | None,
        goOn: Callable[[], None],
        takeBack: Callable[[], None] = lambda: None,
    ) -> None:
        """Let a mask that is written already be learnt, None for nothing, and go on; an error takes nothing back.

        What is not embedded yet, or no longer, is embedded first, beside the window if that is slow; `takeBack` is
        called if the user does not wait for that.
        """
        if mask is None or not self._teaches:
            goOn()
            return
        found: list[Example] = []

        def prepare() -> None:
            with suppress(AdaptSegError):  # it comes again where it is told
                found.extend(target.session.examples(geometry, mask))

        def teach() -> None:
            with self._told("The mask is accepted, but nothing is learnt from it"):
                target.session.teach(geometry, mask, found or None)
            goOn()

        copied = target.copied(geometry)
        self._ask(PlaneQuestion(target, geometry, copied, [], None, teach, takeBack, prepare))

    def _tell(self, *texts: str) -> None:
        """Tell of what there is to tell, if anything."""
        text = " ".join(filter(None, texts))
        if text:
            self._onMessage(text)

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """Tell of an error, which is no reason to stop."""
        try:
            yield
        except AdaptSegError as error:
            self._onMessage(f"{what}: {error}.")

    def propagate(self, sliceNode: Any = None) -> None:
        """Carry the mask of a slice to its neighbours, in the background; call `update` for news.

        Args:
            sliceNode: starts from what the segment holds on the slice in this view; None starts from the active
                plane, which is accepted first if it is not.
        """
        self.requireIdle()
        target = self._requireTarget()
        geometry = self._requirePlane()[1] if sliceNode is None else slicePlane(sliceNode, target.volumeNode)
        if geometry.axis is None:
            raise SceneError(
                "propagation needs a slice along the volume's axes, and this one is oblique: "
                "turn the view to the volume plane, accept a mask there, and propagate that"
            )
        if sliceNode is None and not self.isAccepted:
            self._accept(target, geometry, lambda: self._propagate(target, geometry))
        else:
            self._propagate(target, geometry)

    def _propagate(self, target: Target, geometry: PlaneGeometry) -> None:
        self._aim(target)
        target.requireInPlace()
        target.prompts.setFrame(self._frames.digest(target.volumeNode))
        contents = target.planeContents(geometry, self._writer)
        if not contents.any():
            raise PromptError(f"the segment is empty on slice {sliceIndex(geometry)}: accept a mask there first")
        stepsBefore = target.session.steps
        isNew = target.session.accept(geometry, contents, teach=False)
        self._teach(
            target,
            geometry,
            contents if isNew else None,
            lambda: self._startPropagation(target, geometry, stepsBefore),
            lambda: target.undoSteps(stepsBefore),
        )

    def _startPropagation(self, target: Target, geometry: PlaneGeometry, stepsBefore: int) -> None:
        axis, index = geometry.axis, sliceIndex(geometry)
        assert axis is not None
        task = PropagationTask(
            lambda progress, cancelled: target.session.propagate(axis, index, progress=progress, cancelled=cancelled)
        )
        self._running = _RunningPropagation(target, geometry, task, stepsBefore)
        self._onChanged()

    def update(self, seconds: float = 0.02) -> bool:
        """Take the news of what is under way; whether something goes on.

        The segment is written here, when the propagation has ended. Slicer's event loop does not give Python's lock
        away while it is idle: threads go on while Python waits, so this is to be called as long as `needsTime`.

        Args:
            seconds: waits so long for the threads, less if there is news of a propagation or of a slow answer.
        """
        waits = self.isPredicting or self.isPropagating
        if any([chosen.update() for chosen in (self._task, self._profile, self._candidates, self._model)]):
            self._onChanged()
        if self.isPredicting:
            self._updatePrediction(seconds)
        if self.isIdle and not (self._task.isBusy or self._profile.isBusy):
            self._takeModel()
        if self._running is not None:
            self._updatePropagation(self._running, seconds)
        if not waits and self.needsTime:
            time.sleep(seconds)
        return self.isBusy

    def _updatePrediction(self, seconds: float) -> None:
        if self._asker.isAnswered(seconds):
            with ExitStack() as afterwards:
                afterwards.callback(self._goOn)
                try:
                    self._asker.take()
                except AdaptSegError as error:
                    self._onMessage(str(error))

    def _goOn(self) -> None:
        """A slow answer is no longer waited for."""
        if self._mustFollowPrompts:
            self._followPrompts()
        self._onChanged()

    def _updatePropagation(self, running: _RunningPropagation, seconds: float) -> None:
        for news in running.task.news(seconds):
            running.done, running.total = news.done, news.total
        with ExitStack() as afterwards:
            afterwards.callback(self._onChanged)
            if running.task.isFinished:
                self._running = None
                if self._mustFollowPrompts:
                    afterwards.callback(self._followPrompts)
                self._writePropagation(running)

    def cancelPropagation(self) -> None:
        """Stop before the next plane; the planes done until then are written by `update`."""
        if self._running is not None:
            self._running.task.cancel()

    def stopPropagation(self) -> None:
        """End the propagation under way and write nothing."""
        if self._running is None:
            return
        running, self._running = self._running, None
        running.task.stop()
        self._undoSession(running)

    def cancelPrediction(self) -> None:
        """Drop the answer that is waited for, and take its prompt out of the scene again."""
        question = self._asker.drop()
        if question is not None:
            question.takeBack()
            self._goOn()

    def undo(self) -> None:
        """Take back the latest prompt, pick, acceptance or propagation."""
        self.requireIdle()
        self._forgetLostWrites()
        self._step(self._history.next, self._history.undo)

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.requireIdle()
        self._forgetLostWrites()
        command = self._history.nextUndone
        if isinstance(command, PromptCommand) and not command.target.canRedo(command.geometry):
            self._askAgain(command)
        else:
            self._step(command, self._history.redo)

    def _askAgain(self, command: PromptCommand) -> None:
        """Redo a prompt whose plane has begun anew since, so that there is no answer to bring back."""
        target, geometry = command.target, command.geometry

        def finish() -> None:
            target.plane(geometry).undo()
            self._step(command, self._history.redo)

        target.noteStart(geometry)
        stored = target.openSteps(geometry)
        self._ask(PlaneQuestion(target, geometry, target.copied(geometry), stored, command.action, finish))

    def _step(self, command: Command | None, step: Callable[[], object]) -> None:
        """Undo or redo a command, and show what it concerns."""

        def goOn() -> None:
            with self._ownPrompts():
                step()
            self._show(command)

        if isinstance(command, ON_PLANE):
            self._onceAnswered(command.target, command.geometry, goOn)
        else:
            goOn()

    def close(self) -> None:
        """Let go of everything; the scene keeps the prompts and the segments, the tasks what they have learnt."""
        with ExitStack() as letGo:
            letGo.callback(self._observations.clear)
            letGo.callback(self._preview.remove)
            letGo.callback(self._model.close)
            letGo.callback(self._task.close)
            letGo.callback(self._profile.close)
            letGo.callback(self._asker.close)
            self._dropTargets(list(self._targets.values()))

    def _planeOf(self, sliceNode: Any) -> tuple[PlaneGeometry, Callable[[Sequence[float]], tuple[float, float]]]:
        """The plane a view shows, and the way from world points to its pixels."""
        self.requireIdle()
        volumeNode = self._requireTarget().volumeNode
        if sliceNode is None:
            raise SceneError("prompts are given in slice views: click in one of them")
        geometry = slicePlane(sliceNode, volumeNode)
        toVoxels = np.linalg.inv(ijkToWorld(volumeNode))
        return geometry, lambda world: geometry.pixel(worldPoint(toVoxels, world).tolist())

    @property
    def _nextStep(self) -> int:
        return self._requireTarget().prompts.nextStep

    def _prompt(self, geometry: PlaneGeometry, action: PromptStep, store: Callable[[], None] | None = None) -> None:
        """Store a prompt and ask its plane; a prompt without an answer is taken out of the scene again.

        Args:
            store: puts the prompt into the scene where it is not to be added as nodes and points of its own.
        """
        target = self._requireTarget()
        if contradict(action.clicks, target.storedClicks(geometry)):
            raise PromptError(CONTRADICTION)
        self._aim(target)
        window = displayWindow(target.volumeNode)
        if window is not None and window != target.session.window:
            target.session.set_window(window)
        stored = target.openSteps(geometry)
        outlines = [step for step in target.storedSteps(geometry) if step.isOutline] if action.isOutline else []
        command = PromptCommand(target, geometry, action, outlines[-1] if outlines else None)

        def finish() -> None:
            self._history.push(command)
            self._activate(geometry)
            self._tell(*target.toldOfPadding(geometry, action))

        def takeBack() -> None:
            with self._ownPrompts():
                command.takeOut()
            self._observe(target)

        target.prompts.setFrame(self._frames.digest(target.volumeNode))
        target.noteStart(geometry)
        with self._ownPrompts():
            if store is None:
                target.prompts.addStep(geometry, action)
            else:
                store()
        self._observe(target)
        self._ask(PlaneQuestion(target, geometry, target.copied(geometry), stored, action, finish, takeBack))

    def _onceAnswered(self, target: Target, geometry: PlaneGeometry, goOn: Callable[[], None]) -> None:
        """Go on when a plane has answered what the scene holds for it."""
        stored = target.openSteps(geometry)
        if stored:
            self._ask(PlaneQuestion(target, geometry, target.copied(geometry), stored, None, goOn))
        else:
            goOn()

    def _ask(self, question: PlaneQuestion) -> None:
        self._asker.ask(question, self._model.isSlow)
        if self.isPredicting:
            self._onChanged()

    def _aim(self, target: Target) -> None:
        self._writer.setTarget(target.volumeNode, target.segmentationNode, target.segmentID)
        self._forgetLostWrites()

    def _writePropagation(self, running: _RunningPropagation) -> None:
        """Write what a propagation has found; nothing of one that has failed or found nothing is left behind."""
        try:
            isWritten = self._writeFound(running)
        except AdaptSegError as error:
            self._undoSession(running)
            self._onMessage(str(error))
            return
        except BaseException:
            self._undoSession(running)
            raise
        if not isWritten:
            self._undoSession(running)
            self._onMessage("The propagation found the object on no further slice.")

    def _writeFound(self, running: _RunningPropagation) -> bool:
        """Write the planes of a propagation into the segment; False if they change nothing."""
        target, result = running.target, running.task.result()
        lost = target.session.lost_since(running.stepsBefore)
        add, remove = propagationBlocks(target.session.labelmap, lost, result.axis, result.masks)
        if add is None and remove is None:
            return False
        report = self._write(target, add, remove)
        stored, before = target.stored(), target.confidences
        proposed = planesThatMeet(target.session.labelmap, before) if target.prompts.areOfProposal else []
        target.confidences = {**{plane: before[plane] for plane in proposed}, **_confidencesOf(target, result)}
        self._pushWrite(target, running.geometry, add, running.stepsBefore, stored, before)
        if target is self._target:
            self._activate(running.geometry)
        self._tell(report.text)
        return True

    def _undoSession(self, running: _RunningPropagation) -> None:
        """Bring a session back to where it was before a propagation whose result is not written."""
        running.target.undoSteps(running.stepsBefore)

    def _targetOf(self, volumeNode: Any, segmentationNode: Any, segmentID: str) -> Target:
        """A segment's target; its prompts are added to the scene where there are none."""
        prompts = PromptNodes.find(self._scene, volumeNode, segmentationNode, segmentID, self._frames.digest)
        if prompts is None:
            with self._ownPrompts():
                prompts = PromptNodes.create(self._scene, volumeNode, segmentationNode, segmentID)
            for damaged in PromptNodes.damaged(self._scene, volumeNode, segmentationNode, segmentID):
                self._onMessage(
                    f"The prompts in the node '{damaged.node.GetName()}' are damaged and are not used. The segment's "
                    "mask stays; new prompts are kept apart from them."
                )
        return self._targets.get(prompts.node.GetID()) or self._newTarget(prompts)

    def _newTarget(self, prompts: PromptNodes) -> Target:
        target = Target(prompts, self._openSession)
        self._targets[prompts.node.GetID()] = target
        self._observe(target)
        return target

    def _openSession(self, target: Target) -> VolumeSession:
        from AdaptCore.predict.volume import VolumeSession

        model = self._task.open()
        self._profile.open(model)
        voxels, window = voxelArray(target.volumeNode), displayWindow(target.volumeNode)
        session = VolumeSession(
            model,
            voxels,
            window=window,
            spacing=target.volumeNode.GetSpacing(),
            cache=self._model.cache,
            learner=self._task,
            preference=self._profile,
            only_pointed=self._onlyPointed,
        )
        target.takeUp(session)
        return session

    @property
    def _teaches(self) -> bool:
        """Whether accepted planes teach anyone."""
        return self._task.isOn and not (self._task.name is None and self._profile.user is None)

    def _takeModel(self) -> None:
        """Let a model answer that was loaded since; the mask that is not accepted is answered anew."""
        if not self._model.hasArrived:
            return
        model = self._model.arrived()
        if model is not None:
            texts = [f"Model {self._model.answering} answers from now on.", self._task.useModel(model)]
            texts.append(self._profile.useModel(model, self._task.name))
            self._tell(*texts)
            self._model.cache.clear()
            self._renewSessions()
        self._onChanged()

    def _renewSessions(self) -> None:
        """Other sessions in place of the open ones, which answer the prompts anew; labels stay."""
        self._candidates.drop()
        for target in self._targets.values():
            try:
                target.beginAnew()
            except AdaptSegError as error:
                self._onMessage(str(error))
        if self._active is not None and not self._isAccepted:
            self._activate(self._active)

    def _onProfileChanged(self) -> None:
        self._candidates.askAnew()
        self._onChanged()

    def _askChosenTask(self) -> None:
        self._task.tellOfProblems()
        for target in self._targets.values():
            target.goOnWith(self._task)
        self._onChanged()

    def _select(self, target: Target) -> None:
        if target is not self._target:
            sign = placedSign(self._scene)
            if sign is not None:
                startPlacing(self._scene, target.prompts.pointNodes[sign])
            self._target = target
            self._deactivate()
            for prompts in PromptNodes.all(self._scene):
                prompts.setVisible(prompts.node is target.prompts.node)
        self._onChanged()

    def _activate(self, geometry: PlaneGeometry) -> None:
        """Make a plane the active one, and show its mask and candidates when it has answered."""
        target = self._requireTarget()
        self._onceAnswered(target, geometry, lambda: self._showAnswer(target, geometry))
        if self.isPredicting:
            self._deactivate()
            self._active = geometry
            self._onChanged()

    def _showAnswer(self, target: Target, geometry: PlaneGeometry) -> None:
        self._active, self._mask = geometry, target.mask(geometry)
        self._model.tellOfLeftDevice()
        self._task.tellOfProblems()
        self._isAccepted = self._mask is not None and target.isWritten(geometry, self._mask)
        self._showMask()
        if self._mask is None or self._isAccepted:
            self._candidates.drop()
        else:
            self._candidates.follow(target, geometry)
        self._onChanged()

    def _showMask(self) -> None:
        """Show the active plane's mask, unless the segment shows it already."""
        if self._active is None or self._mask is None or self._isAccepted:
            self._preview.hide()
        else:
            target = self._requireTarget()
            self._preview.show(target.volumeNode, self._active, self._mask, target.color)

    def _deactivate(self) -> None:
        self._active = self._mask = None
        self._isAccepted = False
        self._preview.hide()
        self._candidates.drop()

    def _show(self, command: Command | None) -> None:
        """Make the plane active that an undone or redone command concerns."""
        if isinstance(command, NewSegmentCommand):
            added = command.target
            self._turnTo(added if added is not None and added.prompts.isComplete else command.before, isNews=True)
        if isinstance(command, ON_PLANE):
            self._turnTo(command.target)
            if command.target.isChanged(command.geometry):  # the command was given to a session before this one
                command.target.rebuild(command.geometry)
            self._activate(command.geometry)
        elif isinstance(command, LessonCommand):
            self._askChosenTask()
        self._onChanged()

    def _turnTo(self, target: Target, isNews: bool = False) -> None:
        """Go to the segment that an undone or redone command concerns, which is told if it is news or another one."""
        if isNews or target is not self._target:
            self._select(target)
            self._onMessage(f"Now working on segment '{target.name}'.")
        self._observe(target)

    def requireIdle(self) -> None:
        """Refuse what cannot be done now.

        Raises:
            SceneError: a propagation or a slow answer is under way.
        """
        if self._running is not None:
            raise SceneError("a propagation is under way: wait for its end or cancel it")
        if self.isPredicting:
            raise SceneError("the model is looking at a slice: wait for its answer or cancel it")

    def _requireTarget(self) -> Target:
        if self._target is None:
            raise SceneError("nothing is chosen to segment: choose a volume and a segment")
        if self.isIdle:
            self._target.followSegment()
        return self._target

    def _requirePlane(self) -> tuple[Target, PlaneGeometry]:
        target = self._requireTarget()
        if self._active is None:
            raise PromptError("no plane has a prompt yet: click on the object in a slice view first")
        return target, self._active

    @contextmanager
    def _ownPrompts(self) -> Iterator[None]:
        self._changingPrompts = True
        try:
            yield
        finally:
            self._changingPrompts = False

    def _observe(self, target: Target) -> None:
        volumeNode = target.volumeNode
        self._observations.add(volumeNode, volumeNode.ImageDataModifiedEvent, self._onImageModified)
        self._observations.add(volumeNode, vtk.vtkCommand.ModifiedEvent, self._onVolumeModified)
        for node in (volumeNode, target.segmentationNode):
            self._observations.add(node, node.TransformModifiedEvent, self._onMoved)
        for node in target.prompts.pointNodes:
            for event, method in (
                (node.PointPositionDefinedEvent, self._onPointPlaced),
                (node.PointEndInteractionEvent, self._onPromptsChanged),
                (node.PointRemovedEvent, self._onPromptsChanged),
            ):
                self._observations.add(node, event, method)
        for node in target.prompts.boxNodes:
            self._observations.add(node, node.PointEndInteractionEvent, self._onPromptsChanged)
        for node in target.prompts.lassoNodes:
            for event in (node.PointEndInteractionEvent, node.PointPositionDefinedEvent, node.PointRemovedEvent):
                self._observations.add(node, event, self._onPromptsChanged)

    def _onPointPlaced(self, caller: Any, event: str) -> None:
        """The user has placed a point in a view: it becomes a click on the plane of the view under the cursor."""
        if not self._changingPrompts:
            sliceNode = self._viewUnderCursor()
            self._defer(lambda: self._takePlacedPoints(caller, sliceNode))

    def _takePlacedPoints(self, pointNode: Any, sliceNode: Any) -> None:
        target = next((known for known in self._targets.values() if pointNode in known.prompts.pointNodes), None)
        if target is None or pointNode.GetScene() is None:
            return
        for index in reversed(unmarkedPoints(pointNode)):
            try:
                self._takePlacedPoint(target, pointNode, index, sliceNode)
            except AdaptSegError as error:
                if index in unmarkedPoints(pointNode):
                    with self._ownPrompts():
                        pointNode.RemoveNthControlPoint(index)
                self._onMessage(str(error))

    def _takePlacedPoint(self, target: Target, pointNode: Any, index: int, sliceNode: Any) -> None:
        from AdaptCore.predict.plane import stroke_clicks

        if target is not self._target:
            raise SceneError("the point belongs to another segment than the chosen one: choose its segment first")
        world = tuple(pointNode.GetNthControlPointPositionWorld(index))
        geometry, toPixel = self._planeOf(sliceNode)
        clicks = stroke_clicks([toPixel(world)], pointNode is target.prompts.pointNodes[0], geometry.shape)
        action = PromptStep(self._nextStep, clicks)
        place = partial(target.prompts.takePlaced, pointNode, index, world, geometry, action.step)
        self._prompt(geometry, action, place)

    def _viewUnderCursor(self) -> Any:
        """The slice view that the mouse is in; None outside of slice views."""
        crosshair = self._scene.GetSingletonNode("default", "vtkMRMLCrosshairNode")
        return crosshair.GetCursorPositionXYZ([0.0, 0.0, 0.0]) if crosshair else None

    def _onPromptsChanged(self, caller: Any, event: str) -> None:
        """The user has moved or deleted prompts in a view or in the Markups module."""
        if not self._changingPrompts:
            self._defer(self._followPrompts)

    def _followPrompts(self) -> None:
        """Answer the prompts of changed planes afresh; after what is under way, if something is."""
        self._mustFollowPrompts = not self.isIdle
        if not self.isIdle:
            return
        for target in [known for known in self._targets.values() if known.prompts.isComplete]:
            for geometry in target.changedPlanes():
                self._rebuild(target, geometry)
                if contradict(target.storedClicks(geometry), target.storedClicks(geometry)):
                    self._onMessage(CONTRADICTION)

    def _rebuild(self, target: Target, geometry: PlaneGeometry) -> None:
        target.rebuild(geometry)
        self._history.drop(lambda command: isPromptOn(command, target, geometry))
        if target is self._target and geometry == self._active:
            self._activate(geometry)
        self._onChanged()

    def _onOutsideEdit(self) -> None:
        """The segmentation was edited elsewhere; a segment that is gone may be back at once, as from frame to frame."""
        self._defer(self._dropRemoved)
        self._onChanged()

    def _dropRemoved(self) -> None:
        """Let go of segments that others have removed; one that undo has taken away can come back."""
        takenAway = [command.target for command in self._history.undone if isinstance(command, NewSegmentCommand)]
        gone = [target for target in self._targets.values() if not target.prompts.isComplete]
        removed = [target for target in gone if target not in takenAway]
        if removed:
            self._dropTargets(removed)
            self._onMessage("A segment that was worked on was removed: choose another one to go on.")
        self._onChanged()

    def _forgetLostWrites(self) -> None:
        """Slicer's undo keeps some states of one segmentation, and none from before an edit made elsewhere.

        Not asked in the middle of a step, where the panel may choose another segment since one has come or gone.
        """
        if self._changingPrompts:
            return
        if not self._writer.canUndo:
            self._history.cutDone(isStepOfSlicer)
        if not self._writer.canRedo:
            self._history.cutUndone(isStepOfSlicer)

    def _onImageModified(self, caller: Any, event: str) -> None:
        self._beginAnew([target for target in self._targets.values() if target.volumeNode is caller])

    def _onVolumeModified(self, caller: Any, event: str) -> None:
        """Slicer reports nothing else than this when a script has changed the voxels in place."""
        old = [target for target in self._targets.values() if target.volumeNode is caller and target.hasOldVoxels]
        if old:
            self._beginAnew(old)
        self._onMoved(caller, event)

    def _onMoved(self, caller: Any, event: str) -> None:
        """A volume or a segmentation has been moved, perhaps against the other one."""
        for target in self._targets.values():
            if caller not in (target.volumeNode, target.segmentationNode):
                continue
            if target.isNewlyMoved():
                self._onMessage(
                    f"'{target.volumeNode.GetName()}' and '{target.segmentationNode.GetName()}' were moved against "
                    f"each other: what was accepted in '{target.name}' no longer lies on what it outlines. "
                    "Take the move back, or put both under the same transform."
                )

    def _beginAnew(self, old: list[Target]) -> None:
        """Sessions on old voxels end; work goes on with the prompts that the scene holds for the new ones."""
        current = self._target
        self._dropTargets(old)
        if current is not None and self._target is None:
            self._defer(lambda: self._takeUpAgain(current))

    def _takeUpAgain(self, former: Target) -> None:
        if self._target is not None or not former.prompts.isComplete:
            return
        try:
            self.setTarget(former.volumeNode, former.segmentationNode, former.segmentID)
        except AdaptSegError as error:
            self._onMessage(str(error))
            return
        present = self.promptNodes
        if present is not None and former.prompts.frame and present.node is not former.prompts.node:
            self._onMessage(
                f"'{former.volumeNode.GetName()}' holds other voxels now, such as another frame: prompts and accepted "
                "masks of the earlier ones are kept and come back with them. "
                f"Segment '{former.name}' still holds what it held."
            )

    def _onSceneStartClose(self, caller: Any, event: str) -> None:
        self._preview.forget()
        with ExitStack() as afterwards:
            afterwards.callback(self._task.end)
            self._dropTargets(list(self._targets.values()))

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, caller: Any, event: str, node: Any) -> None:
        if node is self._preview.node:
            self._preview.forget()
        if self._changingPrompts:
            return
        needed = [target for target in self._targets.values() if node in _nodesOf(target)]
        if needed:
            self._dropTargets(needed)
            self._onMessage(f"'{node.GetName()}' was removed: choose a volume and a segment to go on.")
        elif any(node in target.prompts.outlineNodes for target in self._targets.values()):
            self._defer(self._followPrompts)

    def _dropTargets(self, gone: list[Target]) -> None:
        """Close sessions whose nodes are gone or changed; nothing of the scene is touched."""
        with ExitStack() as closing:
            closing.callback(self._onChanged)
            for target in gone:
                closing.callback(target.close)
            if self._asker.target in gone:
                self._asker.drop()
            if self._running is not None and self._running.target in gone:
                closing.callback(self._running.task.stop)
                self._running = None
            self._targets = {key: target for key, target in self._targets.items() if target not in gone}
            self._forgetCommandsOf(gone)
            self._observeScene()
            if self._target in gone:
                self._target = None
                self._writer.release()
                self._deactivate()

    def _forgetCommandsOf(self, gone: list[Target]) -> None:
        """Steps of Slicer's undo go with all that they hide: Slicer takes back its latest step, whosever it is."""

        def isLost(command: Command) -> bool:
            return any(target in gone for target in targetsOf(command))

        self._history.cutDone(lambda command: isStepOfSlicer(command) and isLost(command))
        self._history.cutUndone(lambda command: isStepOfSlicer(command) and isLost(command))
        self._history.drop(isLost)

    def _observeScene(self) -> None:
        """Observe the scene and what is being worked on, and nothing else."""
        self._observations.clear()
        self._observations.add(self._scene, self._scene.StartCloseEvent, self._onSceneStartClose)
        self._observations.add(self._scene, self._scene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved)
        for target in self._targets.values():
            self._observe(target)


def _requireNodes(volumeNode: Any, segmentationNode: Any) -> None:
    if volumeNode is None:
        raise SceneError("no volume is chosen: choose one")
    if segmentationNode is None:
        raise SceneError("no segmentation is chosen: choose one or make a new one")
    voxelArray(volumeNode)


def propagationBlocks(
    labels: np.ndarray, lost: np.ndarray, axis: int, reached: Iterable[int]
) -> tuple[VoxelBlock | None, VoxelBlock | None]:
    """Voxels that a propagation gives the slices it has reached, and those that an earlier one had written there.

    Args:
        labels: the session's, uint8 (i, j, k).
        lost: voxels N x 3 that it has taken out of them.
    """
    filled = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {along}))) for along in range(3)]
    if not filled[axis].size:
        return None, VoxelBlock.ofVoxels(lost)
    box = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in filled)
    isReached = np.isin(np.arange(box[axis].start, box[axis].stop), list(reached))
    inside = labels[box] * isReached.reshape([-1 if along == axis else 1 for along in range(3)])
    return VoxelBlock.around(inside > 0, [part.start for part in box]), VoxelBlock.ofVoxels(lost)


def _confidencesOf(target: Target, result: Propagation) -> dict[PlaneGeometry, float]:
    """How confident a propagation is of each plane that it has given."""
    from AdaptCore.predict.geometry import axis_plane

    shape = target.session.shape
    return {axis_plane(shape, result.axis, index): sure for index, sure in result.confidences.items()}


def _nodesOf(target: Target) -> tuple[Any, ...]:
    return target.volumeNode, target.segmentationNode, target.prompts.node, *target.prompts.pointNodes


def _loadModel(name: str, device: str | None) -> Model:
    from AdaptCore.models.registry import load_model

    return load_model(name, device)
