"""What the user did to a segment, as commands that can be undone: prompts, picks, prompts cleared, masks written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from InteractiveAdaptSegLib.ChosenProfile import ChosenProfile, PickLesson
from InteractiveAdaptSegLib.History import Command
from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptStep
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
from InteractiveAdaptSegLib.Target import StoredMasks, Target, areOfOneRegion

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Taught


@dataclass(eq=False)
class PromptCommand:
    """A prompt on a plane, and the box or lasso that it replaced if it was one."""

    target: Target
    geometry: PlaneGeometry
    action: PromptStep
    replaced: PromptStep | None

    def undo(self) -> None:
        self.target.region(self.geometry).session.undo()
        self.takeOut()

    def takeOut(self) -> None:
        """Take the prompt out of the scene, and put back what it replaced there."""
        self.target.prompts.removeStep(self.action.step)
        if self.replaced is not None:
            self.target.prompts.addStep(self.geometry, self.replaced)

    def redo(self) -> None:
        self.target.region(self.geometry).session.redo()
        self.target.prompts.addStep(self.geometry, self.action)


@dataclass(eq=False)
class PickCommand(PromptCommand):
    """A candidate was picked in place of a plane's answer.

    Attributes:
        lesson: what the profile learns from it, None where it is not to learn.
    """

    profile: ChosenProfile
    lesson: PickLesson | None

    def undo(self) -> None:
        super().undo()
        if self.lesson is not None:
            self.profile.forgetSoon(self.lesson)

    def redo(self) -> None:
        super().redo()
        if self.lesson is not None:
            self.profile.learnPick(self.lesson)


@dataclass(eq=False)
class ClearCommand:
    """The prompts of a plane were cleared; its mask is kept for the parts of the object to come.

    Attributes:
        keptBefore, keptAfter: the masks that are kept, as the scene stores them.
    """

    target: Target
    geometry: PlaneGeometry
    actions: list[PromptStep]
    keptBefore: dict[str, str]
    keptAfter: dict[str, str]

    @classmethod
    def clearing(cls, target: Target, geometry: PlaneGeometry) -> ClearCommand:
        """Clear the prompts of a plane; its labels are kept."""
        region, before = target.region(geometry), target.prompts.packedMasks(PlaneMask.KEPT)
        actions = region.steps
        region.clear()
        return cls(target, geometry, actions, before, target.prompts.packedMasks(PlaneMask.KEPT))

    def undo(self) -> None:
        self.target.region(self.geometry).session.undo()
        for action in self.actions:
            self.target.prompts.addStep(self.geometry, action)
        self.target.prompts.setPackedMasks(PlaneMask.KEPT, self.keptBefore)

    def redo(self) -> None:
        region = self.target.region(self.geometry)
        region.session.redo()
        region.removePrompts()
        self.target.prompts.setPackedMasks(PlaneMask.KEPT, self.keptAfter)


@dataclass(eq=False)
class WriteCommand:
    """Masks were written into the segment, as one step of Slicer's undo and some steps of sessions.

    Attributes:
        steps: of the session of each segment that the write has changed.
        storedBefore, storedAfter: the masks that the scene holds beside the prompts, by their kind.
    """

    target: Target
    geometry: PlaneGeometry
    writer: SegmentWriter
    steps: Mapping[Target, int]
    storedBefore: StoredMasks
    storedAfter: StoredMasks
    confidencesBefore: Mapping[PlaneGeometry, float]
    confidencesAfter: Mapping[PlaneGeometry, float]

    @property
    def isPropagation(self) -> bool:
        """Whether slices were written that nobody has accepted yet."""
        if self.geometry.of_object:
            return False
        return any(self.confidencesBefore.get(plane) != sure for plane, sure in self.confidencesAfter.items())

    def undo(self) -> None:
        self.writer.undo()
        for target, steps in self.steps.items():
            for _ in range(steps):
                target.session.undo()
        self._store(self.storedBefore, self.confidencesBefore)

    def redo(self) -> None:
        self.writer.redo()
        for target, steps in self.steps.items():
            for _ in range(steps):
                target.session.redo()
        self._store(self.storedAfter, self.confidencesAfter)

    def _store(self, stored: StoredMasks, confidences: Mapping[PlaneGeometry, float]) -> None:
        for kind, packed in stored.items():
            self.target.prompts.setPackedMasks(kind, packed)
        self.target.confidences = confidences
        for target in self.steps:
            target.noteWrite()


@dataclass(eq=False)
class NewSegmentCommand:
    """An empty segment was added, as one step of Slicer's undo.

    Attributes:
        before: what was worked on.
        target: the new segment, once it was chosen.
    """

    writer: SegmentWriter
    segmentID: str
    before: Target
    target: Target | None = None

    def undo(self) -> None:
        self.writer.undo()

    def redo(self) -> None:
        self.writer.redo()


@dataclass(eq=False)
class LessonCommand:
    """A task has forgotten the image that it had learnt last."""

    taught: Taught
    onMessage: Callable[[str], None]

    def undo(self) -> None:
        if not self.taught.redo():
            self.onMessage("The task cannot learn this image again: it has learnt another one, or begun anew, since.")

    def redo(self) -> None:
        self.taught.undo()


ON_PLANE = (PromptCommand, ClearCommand, WriteCommand)
"""Commands that concern a plane of a segment."""


def targetsOf(command: Command) -> tuple[Target, ...]:
    """The segments that a command needs to be undone and redone."""
    if isinstance(command, WriteCommand):
        return (command.target, *command.steps)
    if isinstance(command, NewSegmentCommand):
        return (command.before, *filter(None, [command.target]))
    return (command.target,) if isinstance(command, ON_PLANE) else ()


def isStepOfSlicer(command: Command) -> bool:
    """Whether a command is undone and redone by Slicer's own undo of the segmentation."""
    return isinstance(command, (WriteCommand, NewSegmentCommand))


def isPromptOn(command: Command, target: Target, geometry: PlaneGeometry) -> bool:
    """Whether a command gave or cleared prompts on one plane, or on the object, of one segment."""
    if not isinstance(command, (PromptCommand, ClearCommand)):
        return False
    return command.target is target and areOfOneRegion(command.geometry, geometry)
