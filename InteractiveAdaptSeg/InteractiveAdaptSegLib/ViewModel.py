"""What the panel shows: computed from the logic, without Qt and without words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial
from typing import TYPE_CHECKING, Any

from InteractiveAdaptSegLib.Candidates import ROUNDS
from InteractiveAdaptSegLib.CandidateViews import CandidateView
from InteractiveAdaptSegLib.ChosenModel import ModelStatus
from InteractiveAdaptSegLib.Commands import (
    ON_PLANE,
    ClearCommand,
    LessonCommand,
    NewSegmentCommand,
    PromptCommand,
    WriteCommand,
)
from InteractiveAdaptSegLib.History import Command
from InteractiveAdaptSegLib.Looking import Hindrance
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic
from InteractiveAdaptSegLib.VolumeGeometry import sliceIndex

if TYPE_CHECKING:
    from AdaptCore.adapt.trial import Estimate


class Status(Enum):
    """What the user can do next."""

    PACKAGES_MISSING = auto()
    NOTHING_CHOSEN = auto()
    READY_FOR_CLICK = auto()
    MASK_TO_ACCEPT = auto()
    ACCEPTED = auto()
    OBJECT_ACCEPTED = auto()
    UNSURE = auto()
    PREDICTING = auto()
    PROPAGATING = auto()


@dataclass(frozen=True)
class PanelState:
    """Which buttons can be pressed, and the status.

    Attributes:
        canPlace: whether prompts can be placed.
        isAtObject: whether a prompt gives the whole object, and not one slice of it.
        hindrance: why it cannot; None where it can.
        canBegin: whether a tool can be taken up whose first prompt makes a segment.
        keepsTool: whether the mouse keeps its tool, though nothing can be placed now.
        isLoading: whether a model is being loaded.
        progress: planes done and planes there can be at most, of a propagation under way; at most 0 while that is not
            known.
    """

    status: Status
    isAtObject: bool = False
    hindrance: Hindrance | None = None
    canPlace: bool = False
    canBegin: bool = False
    keepsTool: bool = False
    canAccept: bool = False
    canPropagate: bool = False
    canGoToUnsure: bool = False
    canClear: bool = False
    canUndo: bool = False
    canRedo: bool = False
    canCancel: bool = False
    canChooseTask: bool = False
    canChooseSegment: bool = True
    isLoading: bool = False
    progress: tuple[int, int] = (0, 0)


def panelState(logic: SegmentationLogic, packagesMissing: bool = False, volumeNode: Any = None) -> PanelState:
    """The panel's state for what the logic is doing now.

    Args:
        volumeNode: the volume that is chosen, None for none.
    """
    if packagesMissing:
        return PanelState(Status.PACKAGES_MISSING)
    hindrance = None if volumeNode is None else logic.hindrance(volumeNode)
    isAtObject = logic.isObjectWanted and hindrance is None
    busy = partial(PanelState, isAtObject=isAtObject, hindrance=hindrance, canCancel=True, canChooseSegment=False)
    if logic.isPropagating:
        return busy(Status.PROPAGATING, progress=logic.progress)
    if logic.isPredicting:
        return busy(Status.PREDICTING, keepsTool=True)
    nothing = PanelState(
        Status.NOTHING_CHOSEN,
        isAtObject=isAtObject,
        hindrance=hindrance,
        canGoToUnsure=logic.hasUnsurePlane,
        canUndo=logic.canUndo,
        canRedo=logic.canRedo,
        canChooseTask=True,
        isLoading=logic.model.isComing,
    )
    if not logic.hasTarget:
        return replace(nothing, status=Status.READY_FOR_CLICK, canBegin=True) if volumeNode is not None else nothing
    if logic.mask is None:
        return replace(nothing, status=Status.READY_FOR_CLICK, canPlace=True)
    return replace(
        nothing,
        status=_statusOfMask(logic),
        canPlace=True,
        canAccept=not logic.isAccepted or logic.isUnsure,
        canPropagate=not isAtObject,
        canClear=True,
    )


def _statusOfMask(logic: SegmentationLogic) -> Status:
    if not logic.isAccepted:
        return Status.MASK_TO_ACCEPT
    if logic.isAtObject:
        return Status.OBJECT_ACCEPTED
    return Status.UNSURE if logic.isUnsure else Status.ACCEPTED


class StepKind(Enum):
    """What one step of undo was."""

    POSITIVE_POINT = auto()
    NEGATIVE_POINT = auto()
    POSITIVE_SCRIBBLE = auto()
    NEGATIVE_SCRIBBLE = auto()
    BOX = auto()
    LASSO = auto()
    PICK = auto()
    CLEAR = auto()
    ACCEPT = auto()
    PROPAGATE = auto()
    NEW_SEGMENT = auto()
    FORGET = auto()


@dataclass(frozen=True)
class Step:
    """One step of undo.

    Attributes:
        slice: index of the slice that it concerns; None for none, or an oblique one.
        isOfObject: whether it concerns a whole object.
    """

    kind: StepKind
    slice: int | None = None
    isOfObject: bool = False


def stepState(command: Command | None) -> Step | None:
    """What is told of the next step of undo or redo; None where there is none."""
    if isinstance(command, LessonCommand):
        return Step(StepKind.FORGET)
    if isinstance(command, NewSegmentCommand):
        return Step(StepKind.NEW_SEGMENT)
    if not isinstance(command, ON_PLANE):
        return None
    geometry = command.geometry
    index = None if geometry.axis is None else sliceIndex(geometry)
    return Step(_kindOf(command), index, geometry.of_object and not isinstance(command, PromptCommand))


def _kindOf(command: PromptCommand | ClearCommand | WriteCommand) -> StepKind:
    if isinstance(command, ClearCommand):
        return StepKind.CLEAR
    if isinstance(command, WriteCommand):
        return StepKind.PROPAGATE if command.isPropagation else StepKind.ACCEPT
    action = command.action
    if action.picked:
        return StepKind.PICK
    if action.isOutline:
        return StepKind.BOX if action.lasso is None else StepKind.LASSO
    points = StepKind.POSITIVE_POINT, StepKind.NEGATIVE_POINT
    scribbles = StepKind.POSITIVE_SCRIBBLE, StepKind.NEGATIVE_SCRIBBLE
    return (points if len(action.clicks) == 1 else scribbles)[not action.clicks[0].positive]


@dataclass(frozen=True)
class GalleryState:
    """What the gallery of candidates shows.

    Attributes:
        views: the candidates, from the smallest to the largest.
        picked: number of the picked one, from 1.
        round: 0 before the first one; at most `rounds`.
    """

    views: tuple[CandidateView, ...] = ()
    picked: int | None = None
    round: int = 0
    rounds: int = ROUNDS
    isAsking: bool = False
    canPick: bool = False
    canAskForMore: bool = False
    canAskForOthers: bool = False


def galleryState(logic: SegmentationLogic) -> GalleryState:
    """The gallery's state for what is offered now."""
    candidates, isIdle = logic.candidates, logic.isIdle
    canAsk = isIdle and candidates.canAskAgain
    return GalleryState(
        candidates.views,
        candidates.picked,
        candidates.round,
        isAsking=candidates.isAsking,
        canPick=isIdle and bool(candidates.views),
        canAskForMore=canAsk and candidates.picked is not None,
        canAskForOthers=canAsk,
    )


@dataclass(frozen=True)
class ProfileState:
    """What is told of the chosen user's profile for the chosen task.

    Attributes:
        picks: number of picks and accepted masks that it has learnt from.
    """

    user: str
    task: str
    picks: int


def profileState(logic: SegmentationLogic) -> ProfileState | None:
    """What is told of the profile now; None without a user."""
    profile = logic.profile
    return None if profile.user is None else ProfileState(profile.user, profile.task, profile.picks)


@dataclass(frozen=True)
class TaskState:
    """What is told of the chosen task.

    Attributes:
        accepted: number of accepted slices, or objects, that it was taught.
        images: number of volumes that they are of.
        isAdapted: whether the adapted model mostly answers, else the frozen one.
        isMeasured: whether a trial measures the gain.
        gain: of the first mask in IoU, as far as the trial knows; None while there is too little evidence.
        clicksSaved: for each object; None as above.
        cost: clicks that the trial has cost.
        isOfObjects: whether whole objects were accepted, and not slices.
    """

    name: str
    isLearning: bool
    accepted: int = 0
    images: int = 0
    isAdapted: bool = False
    isMeasured: bool = True
    gain: Estimate | None = None
    clicksSaved: Estimate | None = None
    cost: float | None = None
    isOfObjects: bool = False


def taskState(logic: SegmentationLogic) -> TaskState | None:
    """What is told of the task now; None without one."""
    if logic.task.name is None:
        return None
    from AdaptCore.adapt.guard import adapted_answers
    from AdaptCore.adapt.history import images_of
    from AdaptCore.adapt.trial import evidence

    history = logic.task.history
    found = evidence(history)
    return TaskState(
        logic.task.name,
        logic.task.isLearning,
        len(history),
        len(images_of(history)),
        isAdapted=adapted_answers(history),
        isMeasured=logic.task.isMeasured,
        gain=found.iou,
        clicksSaved=found.clicks,
        cost=found.cost,
        isOfObjects=logic.isAtObject,
    )


@dataclass(frozen=True)
class TaskActions:
    """What can be done to all that the chosen task has learnt.

    Attributes:
        canUndoLesson: only the latest image can be taken back, and only in the session that has taught it.
    """

    canReset: bool = False
    canUndoLesson: bool = False


def taskActions(logic: SegmentationLogic) -> TaskActions:
    """What can be done to the task now."""
    task, isIdle = logic.task, logic.isIdle
    return TaskActions(isIdle and task.canReset, isIdle and task.latestLesson is not None)


@dataclass(frozen=True)
class ModelState:
    """What is told of the model that the scene asks for, and what can be done.

    Attributes:
        names: of all models that can be asked for, also of one that is not on this computer.
        answering: the model that answers meanwhile.
        computesOn: the device where that does; empty before the first prompt.
        size: bytes of its file, None where that is not known.
        problem: why it could not be loaded.
        downloading: the model that is being downloaded, empty if none is.
        received: bytes of it that are there, of `total`.
    """

    name: str
    status: ModelStatus
    names: tuple[str, ...]
    answering: str
    computesOn: str = ""
    licence: str = ""
    size: int | None = None
    problem: str = ""
    downloading: str = ""
    received: int = 0
    total: int = 0
    canChoose: bool = False
    canDownload: bool = False
    canCancelDownload: bool = False
    canRemove: bool = False
    canAdd: bool = False
    canInstall: bool = False


def modelState(logic: SegmentationLogic) -> ModelState | None:
    """What is told of the model now; None before the models are listed."""
    model = logic.model
    if not model.entries:
        return None
    entry, status, download = model.entry, model.status, model.download
    state = ModelState(
        model.name,
        status,
        names=tuple(dict.fromkeys((*model.entries, model.name))),
        answering=model.answering,
        computesOn=model.computesOn,
        problem=model.problem,
        canChoose=logic.isIdle,
        canAdd=not model.isAdding,
        canInstall=bool(model.missingPackages()),
    )
    if entry is not None:
        canDownload = entry.url is not None and status in (ModelStatus.NOT_DOWNLOADED, ModelStatus.DAMAGED)
        canRemove = logic.isIdle and model.isDownloaded and status is not ModelStatus.LOADING
        state = replace(state, licence=entry.licence, size=entry.size)
        state = replace(state, canDownload=canDownload and download is None, canRemove=canRemove)
    if download is not None:
        name, received, total = download.entry.name, download.received, download.entry.size or 0
        state = replace(state, downloading=name, received=received, total=total)
        state = replace(state, canCancelDownload=not download.isCancelled)
    return state
