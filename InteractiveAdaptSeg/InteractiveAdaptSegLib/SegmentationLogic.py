"""Interactive segmentation in the scene: prompts in, masks out, with undo; survives whatever happens to its nodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from InteractiveAdaptSegLib.Accepting import Accepting
from InteractiveAdaptSegLib.ActivePlane import ActivePlane
from InteractiveAdaptSegLib.Answering import Answering, LoadVolumeModel
from InteractiveAdaptSegLib.Answering import loadVolumeModel as _loadVolumeModel
from InteractiveAdaptSegLib.Asker import Asker
from InteractiveAdaptSegLib.ChosenModel import LoadModel
from InteractiveAdaptSegLib.ChosenTask import ChosenTask
from InteractiveAdaptSegLib.Commands import ClearCommand, PromptCommand
from InteractiveAdaptSegLib.History import Command
from InteractiveAdaptSegLib.Looking import Hindrance, Looking
from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.OpenTargets import OpenTargets
from InteractiveAdaptSegLib.Prompting import Prompting
from InteractiveAdaptSegLib.PromptNodes import PromptNodes, PromptStep
from InteractiveAdaptSegLib.Propagating import Propagating
from InteractiveAdaptSegLib.Region import Mask
from InteractiveAdaptSegLib.SceneWatch import SceneEvents, SceneWatch
from InteractiveAdaptSegLib.SegmentChoice import SegmentChoice
from InteractiveAdaptSegLib.SegmentHistory import SegmentHistory
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.TargetWriter import TargetWriter, Written
from InteractiveAdaptSegLib.Teaching import Teaching
from InteractiveAdaptSegLib.Underway import Underway
from InteractiveAdaptSegLib.Undoing import Undoing
from InteractiveAdaptSegLib.Upkeep import Upkeep
from InteractiveAdaptSegLib.VolumeGeometry import slicePlane
from InteractiveAdaptSegLib.WorldPrompts import WorldPrompts

if TYPE_CHECKING:
    from AdaptCore.models.base import Model
    from AdaptCore.predict.geometry import PlaneGeometry


class SegmentationLogic:
    """All that the panel does, without the panel.

    Points are given in world coordinates (RAS, mm) together with the slice view they were made in. Every method that
    the user calls for raises a subclass of AdaptSegError with a message for the user, and then has changed nothing.

    Args:
        scene: the scene to work in.
        loadModel: gives a model by its name, on a device; called at the first prompt, and when another model is chosen.
            None loads those that `AdaptCore.models.registry` knows.
        loadVolumeModel: gives the model of volumes, on a device; called at the first prompt on a whole object.
        onChanged: called whenever what the panel shows may have changed.
        onMessage: called with what the user should know and did not ask for, such as that a node is gone.
        defer: runs a function when the current event has been dealt with.

    Attributes:
        model: answers; its device, its download and own files.
        profile: of the user whose preference for the task answers all later prompts, and learns from picks and planes.
        candidates: what can be picked in place of the active plane's mask.
    """

    def __init__(
        self,
        scene: Any,
        loadModel: LoadModel | None = None,
        loadVolumeModel: LoadVolumeModel | None = None,
        onChanged: Callable[[], None] = lambda: None,
        onMessage: Callable[[str], None] = lambda text: None,
        defer: Callable[[Callable[[], None]], None] = lambda function: function(),
    ) -> None:
        self._scene, self._onChanged, self._onMessage, self._defer = scene, onChanged, onMessage, defer
        loading = loadModel or _loadModel, loadVolumeModel or _loadVolumeModel
        self._answering = Answering(*loading, self.requireIdle, onMessage, onChanged, self._goOnWithTask)
        self.model = self._model = self._answering.model
        self._task = self._answering.task
        self.profile, self.candidates = self._answering.profile, self._answering.candidates
        self._plane = ActivePlane(scene, self.candidates)
        self._writer = SegmentWriter(scene, self._onOutsideEdit)
        self._history = SegmentHistory(self._writer)
        self._targets = OpenTargets(scene, self._answering.openSession, self._answering.openObject, onMessage)
        self._asker = Asker(lambda: self.model.isSlow, onChanged)
        looking = self._targets, self._plane, self._asker, self._answering
        self._looking = Looking(scene, *looking, self._requireTarget, onChanged)
        self._underway = Underway(self._asker, onMessage, onChanged, self._goOn)
        keeping = self._underway, self._dropTargets, self.setTarget, self._looking.onRebuilt
        self._upkeep = Upkeep(self._targets, self._history, *keeping, onMessage, defer)
        self._observations = Observations()
        self._watch = SceneWatch(scene, self._observations, self._events(), defer)
        self._writes = TargetWriter(self._targets, self._writer, self._history)
        asking = self._asker, self._watch, self._targets, self._writes
        self._prompting = Prompting(*asking, self._onAnswered, onMessage)
        segments = self._targets, self._writer, self._history, self._watch
        self._choice = SegmentChoice(scene, *segments, self._plane.clear)
        teaching = Teaching(self._answering, self._asker, onMessage)
        self._accepting = Accepting(self._writes, teaching, self._underway, self._onWritten, onMessage)
        steps = self._history, self._asker, self._watch, self._prompting, self._choice
        self._undoing = Undoing(*steps, self._looking.activate, self._goOnWithTask, onMessage)

    def _events(self) -> SceneEvents:
        return SceneEvents(
            placed=self._takePlaced,
            promptsChanged=self._upkeep.followPrompts,
            imageReplaced=self._upkeep.noteImage,
            volumeModified=self._upkeep.noteVolume,
            moved=self._upkeep.noteMove,
            leaves=self._onNodeLeaves,
            closes=self._onSceneCloses,
        )

    @property
    def task(self) -> ChosenTask:
        """Answers and learns: what the chosen task knows of slices or, where prompts are about objects, of objects."""
        return self._answering.tasks.objects if self.isAtObject else self._task

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
        return self._plane.geometry

    @property
    def mask(self) -> Mask | None:
        """The mask that `accept` would write: of the active plane (H, W), or of the object."""
        return self._plane.mask

    @property
    def isAccepted(self) -> bool:
        """Whether the active plane's mask is in the segment already."""
        return self._plane.isAccepted

    @property
    def isUnsure(self) -> bool:
        """Whether the active plane's mask is what a propagation has given, and not accepted yet."""
        return self._target is not None and self.activePlane in self._target.confidences

    @property
    def hasUnsurePlane(self) -> bool:
        """Whether `showUnsurePlane` has a plane to go to."""
        return self._target is not None and bool(self._target.unsurePlanes(self.activePlane))

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
        return self._underway.isIdle

    @property
    def isBusy(self) -> bool:
        """Whether `update` has news to wait for: of what is asked, of candidates, or of what is learnt or saved."""
        return not self.isIdle or self._answering.isBusy

    @property
    def needsTime(self) -> bool:
        """Whether threads work beside the window, be it on embeddings that may be of use: see `update`."""
        return self.isBusy or any(target.isPreparing for target in self._targets.values())

    @property
    def progress(self) -> tuple[int, int]:
        """Planes done and planes there can be at most, of the propagation under way."""
        return self._underway.progress

    @property
    def canUndo(self) -> bool:
        return self._history.canUndo and self.isIdle

    @property
    def canRedo(self) -> bool:
        return self._history.canRedo and self.isIdle

    @property
    def onlyPointed(self) -> bool:
        """Whether the parts of masks that were not pointed at are dropped."""
        return self._answering.onlyPointed

    @property
    def isObjectWanted(self) -> bool:
        """Whether prompts are to be about the whole object, where they can be."""
        return self._looking.isObjectWanted

    @property
    def isAtObject(self) -> bool:
        """Whether prompts are about the whole object, and not about the slice they are given on."""
        return self._looking.isAtObject

    def hindrance(self, volumeNode: Any) -> Hindrance | None:
        """Why prompts on a volume cannot be about a whole object; None where they can."""
        return self._looking.hindrance(volumeNode)

    @property
    def nextSteps(self) -> tuple[Command | None, Command | None]:
        """What undo would take back, and what redo would do again."""
        return self._history.next, self._history.nextUndone

    @property
    def editorNode(self) -> Any:
        """Slicer's Segment Editor node: its masking and overwriting hold for what is written."""
        return self._writer.editorNode

    def requireIdle(self) -> None:
        """Refuse what cannot be done now; see `Underway.requireIdle`."""
        self._underway.requireIdle()

    def setTarget(self, volumeNode: Any, segmentationNode: Any, segmentID: str = "") -> None:
        """Choose what to segment, a new segment without an ID; prompts that the scene holds for it are taken up."""
        self.requireIdle()
        self._choice.choose(volumeNode, segmentationNode, segmentID)
        self._looking.turn()
        self._onChanged()

    def takeProposal(
        self, volumeNode: Any, segmentationNode: Any, confidences: Mapping[str, Mapping[PlaneGeometry, float]]
    ) -> None:
        """Let what segments hold count as if propagations had given it: see `SegmentChoice.takeProposal`."""
        self.requireIdle()
        self._choice.takeProposal(volumeNode, segmentationNode, confidences)
        self._onChanged()

    def forget(self, segmentationNode: Any) -> None:
        """Let go of all segments of a segmentation, and take their prompts out of the scene."""
        self.requireIdle()
        self._dropTargets(self._targets.within(segmentationNode))
        for prompts in PromptNodes.all(self._scene, complete=False):
            if prompts.segmentationNode is segmentationNode:
                prompts.remove()

    def addSegment(self, volumeNode: Any, segmentationNode: Any) -> str:
        """Add an empty segment that can be chosen with the volume, and give its ID; see `SegmentChoice.add`."""
        self.requireIdle()
        return self._choice.add(volumeNode, segmentationNode)

    def clearTarget(self) -> None:
        """Stop working on the current segment; what was written and the prompts stay."""
        self.stopPropagation()
        self.cancelPrediction()
        self._targets.current = None
        self._plane.clear()
        self._onChanged()

    def setTask(self, name: str | None) -> None:
        """Let a task answer all later prompts and learn from what is accepted; None for the frozen models."""
        self._answering.chooseTask(name)

    def setLearning(self, mustLearn: bool) -> None:
        """Let accepted planes teach the task, or let it only answer."""
        self._answering.tasks.setOn(mustLearn)

    def setMeasured(self, isMeasured: bool) -> None:
        """Let what tasks gain be measured by trial, or not."""
        self._answering.tasks.setMeasured(isMeasured)

    def resetTask(self) -> None:
        """Begin the chosen task anew; what was answered stays as it is. See `ChosenTask.reset`."""
        self.task.reset()

    def setOnlyPointed(self, isOnly: bool) -> None:
        """Drop the parts of masks that were not pointed at, or keep them; what is not accepted is answered anew."""
        if isOnly != self.onlyPointed:
            self.requireIdle()
            self._answering.onlyPointed = isOnly
            self._answering.renew(self._targets.values())
            self._looking.answerAnew()

    def setAtObject(self, isAtObject: bool) -> None:
        """Let prompts be about the whole object, where `hindrance` knows none, or about the slice they are given on."""
        self.requireIdle()
        self._looking.isObjectWanted = isAtObject
        self._looking.turn()
        self._onChanged()

    def undoLesson(self) -> None:
        """Let the chosen task forget the slice that it has learnt last; it stays accepted. Undo teaches it again."""
        self.requireIdle()
        self._history.push(self._answering.forgetLesson(self.task))
        self._goOnWithTask()

    def addClick(self, sliceNode: Any, world: Sequence[float], positive: bool = True) -> None:
        """A click on the object or, negative, on the background."""
        self.addScribble(sliceNode, [world], positive)

    def addScribble(self, sliceNode: Any, worldPoints: Sequence[Sequence[float]], positive: bool = True) -> None:
        """A stroke on the object or, negative, on the background."""
        seen = self._seen(sliceNode)
        self._prompt(seen, clicks=seen.clicks(worldPoints, positive))

    def addBox(self, sliceNode: Any, *corners: Sequence[float]) -> None:
        """A box, along the volume's axes, around some corners, in place of the plane's earlier box or lasso."""
        seen = self._seen(sliceNode)
        self._prompt(seen, box=seen.box(corners))

    def addLasso(self, sliceNode: Any, worldPoints: Sequence[Sequence[float]]) -> None:
        """A closed outline around the object, in place of the plane's earlier box or lasso."""
        seen = self._seen(sliceNode)
        self._prompt(seen, lasso=seen.lasso(worldPoints))

    def showPlane(self, sliceNode: Any) -> bool:
        """Make the plane that a view shows, or the object, the active one if it has prompts; whether it has."""
        self.requireIdle()
        return self._looking.showPlane(sliceNode)

    def showUnsurePlane(self) -> None:
        """Let the slice views go to the slice that propagation or object are least sure of; from there, to the next."""
        self.requireIdle()
        self._looking.showUnsurePlane()

    def clearPrompts(self) -> None:
        """Clear the active plane's prompts, to point at a further part of the object; accepted masks stay."""
        self.requireIdle()
        target, geometry = self._looking.requirePlane()

        def clear() -> None:
            with self._watch.ownChange():
                self._history.push(ClearCommand.clearing(target, geometry))
            self._looking.activate(geometry)

        self._asker.onceAnswered(target, geometry, clear)

    def preview(self, number: int | None) -> None:
        """Show what a candidate's pick would give, and change nothing; None shows the active plane's mask again."""
        if number is None:
            self._plane.showMask()
        else:
            self._looking.requirePlane()
            self._plane.showCandidate(number)

    def pick(self, number: int) -> None:
        """Take a candidate for the active plane's mask; it takes the place of one of the same round."""
        self.requireIdle()
        self.candidates.view(number)
        if self.candidates.picked == number:
            return
        if self.candidates.picked is not None:
            self.undo()
        command = self.candidates.pick(number, learns=self.task.isOn)
        self._history.push(command)
        self._looking.activate(command.geometry)

    def accept(self) -> None:
        """Write the active plane's mask into the segment, in place of what was accepted there before."""
        self.requireIdle()
        self._accepting.accept(*self._looking.requirePlane())

    def propagate(self, sliceNode: Any = None) -> None:
        """Carry the mask of a slice to its neighbours, in the background; call `update` for news.

        Args:
            sliceNode: starts from what the segment holds on the slice in this view; None starts from the active
                plane, which is accepted first if it is not.
        """
        self.requireIdle()
        target = self._requireTarget()
        geometry = self._looking.requirePlane()[1] if sliceNode is None else slicePlane(sliceNode, target.volumeNode)
        self._accepting.propagate(target, geometry, acceptsFirst=sliceNode is None and not self.isAccepted)

    def cancelPropagation(self) -> None:
        """Stop before the next plane; the planes done until then are written by `update`."""
        self._underway.cancelPropagation()

    def stopPropagation(self) -> None:
        """End the propagation under way and write nothing."""
        self._underway.stopPropagation()

    def cancelPrediction(self) -> None:
        """Drop the answer that is waited for, and take its prompt out of the scene again."""
        self._prompting.dropWaiting()
        self._underway.cancelAnswer()

    def update(self, seconds: float = 0.02) -> bool:
        """Take the news of what is under way; whether something goes on.

        The segment is written here, when the propagation has ended. Slicer's event loop does not give Python's lock
        away while it is idle: threads go on while Python waits, so this is to be called as long as `needsTime`.

        Args:
            seconds: waits so long for the threads, less if there is news of a propagation or of a slow answer.
        """
        waits = not self.isIdle
        self._answering.update()
        self._underway.takeAnswer(seconds)
        if self.isIdle and self._answering.hasModel and self._answering.useModel(self._targets.values()):
            self._looking.answerAnew()
        self._underway.takeFound(seconds)
        if not waits and self.needsTime:
            time.sleep(seconds)
        return self.isBusy

    def undo(self) -> None:
        """Take back the latest prompt, pick, acceptance or propagation."""
        self.requireIdle()
        self._undoing.undo()
        self._onChanged()

    def redo(self) -> None:
        """Do again what was taken back last."""
        self.requireIdle()
        self._undoing.redo()
        self._onChanged()

    def close(self) -> None:
        """Let go of everything; the scene keeps the prompts and the segments, the tasks what they have learnt."""
        with ExitStack() as letGo:
            letGo.callback(self._observations.clear)
            profiles = self.profile, self._answering.objectsProfile
            for part in (self._plane, self.model, self._answering.tasks, *profiles, self._asker):
                letGo.callback(part.close)
            self._dropTargets(list(self._targets.values()))

    @property
    def _target(self) -> Target | None:
        return self._targets.current

    @property
    def _running(self) -> Propagating | None:
        return self._underway.running

    def _requireTarget(self) -> Target:
        target = self._targets.require()
        if self.isIdle:
            target.followSegment()
        return target

    def _seen(self, sliceNode: Any) -> WorldPrompts:
        if not (self.isAtObject and self._asker.target is self._target):  # prompts on the object wait for their turn
            self.requireIdle()
        return WorldPrompts(sliceNode, self._requireTarget().volumeNode, self.isAtObject)

    def _prompt(self, seen: WorldPrompts, **action: Any) -> None:
        target = self._requireTarget()
        self._prompting.give(target, seen.geometry, PromptStep(target.prompts.nextStep, **action))

    def _takePlaced(self, pointNode: Any, sliceNode: Any) -> None:
        """The user has placed points in a view: they become clicks on the plane of the view under the cursor."""
        self._prompting.givePlaced(pointNode, lambda: self._seen(sliceNode))

    def _onAnswered(self, command: PromptCommand) -> None:
        self._history.push(command)
        self._looking.activate(command.geometry)
        self._tell(command.target.toldOfPadding(command.geometry, command.action))

    def _onWritten(self, written: Written) -> None:
        self._history.push(written.command, written.start)
        if written.command.target is self._target:
            self._looking.activate(written.command.geometry)
        self._tell(written.text)

    def _goOnWithTask(self) -> None:
        self._answering.tasks.tellOfProblems()
        for target in self._targets.values():
            target.goOnWith(self._task)
        self._onChanged()

    def _tell(self, text: str) -> None:
        if text:
            self._onMessage(text)

    def _goOn(self) -> None:
        """Something that was under way has ended."""
        self._upkeep.catchUp()
        self._prompting.goOn()
        self._onChanged()

    def _onOutsideEdit(self) -> None:
        """The segmentation was edited elsewhere; a segment that is gone may be back at once, as from frame to frame."""
        self._history.forgetLost()
        self._defer(self._dropRemoved)
        self._onChanged()

    def _dropRemoved(self) -> None:
        self._upkeep.dropRemoved()
        self._onChanged()

    def _onSceneCloses(self) -> None:
        self._plane.forgetScene()
        with ExitStack() as afterwards:
            afterwards.callback(self._answering.tasks.end)
            self._dropTargets(list(self._targets.values()))

    def _onNodeLeaves(self, node: Any) -> None:
        self._plane.noteGone(node)
        self._upkeep.noteLeaving(node)

    def _dropTargets(self, gone: list[Target]) -> None:
        """Close sessions whose nodes are gone or changed; nothing of the scene is touched."""
        with ExitStack() as closing:
            closing.callback(self._onChanged)
            closing.callback(self._targets.drop, gone)
            closing.callback(self._underway.drop, gone)
            self._history.forgetTargets(gone)
            self._watch.follow([target for target in self._targets.values() if target not in gone])
            if self._target in gone:
                self._targets.current = None
                self._writer.release()
                self._plane.clear()


def _loadModel(name: str, device: str | None) -> Model:
    from AdaptCore.models.registry import load_model

    return load_model(name, device)
