"""What the panel shows: computed from the logic, without Qt and without words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto

from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic


class Status(Enum):
    """What the user can do next."""

    PACKAGES_MISSING = auto()
    NOTHING_CHOSEN = auto()
    READY_FOR_CLICK = auto()
    MASK_TO_ACCEPT = auto()
    ACCEPTED = auto()
    PROPAGATING = auto()


LATEST_IMAGES = 8
"""Accepted images over which a task's gain is told; a live figure says nothing of the images long before."""


@dataclass(frozen=True)
class PanelState:
    """Which buttons can be pressed, and the status.

    Attributes:
        progress: planes done and planes there can be at most, of a propagation under way.
    """

    status: Status
    canPlace: bool = False
    canAccept: bool = False
    canPropagate: bool = False
    canClear: bool = False
    canUndo: bool = False
    canRedo: bool = False
    canCancel: bool = False
    canChooseTask: bool = False
    progress: tuple[int, int] = (0, 0)


def panelState(logic: SegmentationLogic, packagesMissing: bool = False) -> PanelState:
    """The panel's state for what the logic is doing now."""
    if packagesMissing:
        return PanelState(Status.PACKAGES_MISSING)
    if logic.isPropagating:
        return PanelState(Status.PROPAGATING, canCancel=True, progress=logic.progress)
    nothing = PanelState(Status.NOTHING_CHOSEN, canUndo=logic.canUndo, canRedo=logic.canRedo, canChooseTask=True)
    if not logic.hasTarget:
        return nothing
    if logic.mask is None:
        return replace(nothing, status=Status.READY_FOR_CLICK, canPlace=True)
    accepted = logic.isAccepted
    return replace(
        nothing,
        status=Status.ACCEPTED if accepted else Status.MASK_TO_ACCEPT,
        canPlace=True,
        canAccept=not accepted,
        canPropagate=logic.activePlane is not None and logic.activePlane.is_axis_aligned,
        canClear=True,
    )


@dataclass(frozen=True)
class TaskState:
    """What is told of the chosen task.

    Attributes:
        accepted: number of accepted images that it was taught.
        gain: IoU of its first answers with the accepted masks minus that of the frozen model's, mean over the latest
            images; None before the first.
    """

    name: str
    isLearning: bool
    accepted: int = 0
    gain: float | None = None


def taskState(logic: SegmentationLogic) -> TaskState | None:
    """What is told of the task now; None while the frozen model answers."""
    if logic.taskName is None:
        return None
    history = logic.taskHistory
    gains = [outcome.gain for outcome in history[-LATEST_IMAGES:]]
    gain = sum(gains) / len(gains) if gains else None
    return TaskState(logic.taskName, logic.isLearning, len(history), gain)
