"""The object of a segment: its prompts on planes of any view, its session in AdaptCore, and its mask in the segment."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from AdaptCore.errors import PromptError
from AdaptCore.prompts import Click
from InteractiveAdaptSegLib.CandidateViews import AskedObject
from InteractiveAdaptSegLib.ObjectSession import ObjectSession
from InteractiveAdaptSegLib.PlaneRegion import promptsOf, samePrompts
from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptStep
from InteractiveAdaptSegLib.Region import Change
from InteractiveAdaptSegLib.VolumeGeometry import sliceIndex
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.block import ObjectPrediction
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Example
    from AdaptCore.predict.object_prompts import KnownSlice
    from InteractiveAdaptSegLib.Target import Target


class ObjectRegion:
    """The object of a target; see `Region`.

    Args:
        geometry: the plane of the latest prompt.
    """

    isSlow = True

    def __init__(self, target: Target, geometry: PlaneGeometry) -> None:
        self._target = target
        self._geometry = geometry

    @property
    def session(self) -> ObjectSession:
        """The session of the object, with the prompts that the scene holds for it."""
        session = self._target.object
        if not session.isRestored:
            session.isRestored = True
            for action in self.steps:
                with suppress(PromptError):  # it no longer fits, since it was dragged outside
                    self.give(session, action)
        return session

    @property
    def steps(self) -> list[PromptStep]:
        """The prompts that the scene holds for the object."""
        return self._target.prompts.objectSteps

    @property
    def openSteps(self) -> list[PromptStep]:
        """The prompts that the scene holds for the object and its session was not given yet."""
        return [] if self._isRestored else self.steps

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks that the scene holds for the object on this plane, those of scribbles too."""
        return tuple(click for step in self.steps if step.plane == self._geometry for click in step.clicks)

    @property
    def canRedo(self) -> bool:
        """Whether the session still holds the answer that was undone last."""
        return self._isRestored and self._target.object.can_redo

    @property
    def isChanged(self) -> bool:
        """Whether the object's prompts in the scene are no longer those of its session."""
        given, stored = self.session.given, self.steps
        return len(given) != len(stored) or not all(map(_sameStep, given, stored))

    @property
    def mask(self) -> VoxelBlock | None:
        """The mask that accepting the object would write; None without a prediction."""
        prediction = self.session.prediction
        if prediction is None:
            return None
        return self.correction(prediction)

    @property
    def correction(self) -> Callable[[ObjectPrediction], VoxelBlock]:
        """What makes the mask that accepting would write from an answer; another thread may call it."""
        prompts, session = self._target.prompts, self._target.session
        kept, isCorrected = prompts.objectMask(PlaneMask.KEPT), prompts.hasPlaneMasks(PlaneMask.ACCEPTED)

        def correct(prediction: ObjectPrediction) -> VoxelBlock:
            i, j, k = (part.start for part in prediction.box)
            block = VoxelBlock((i, j, k), prediction.mask)
            block = block if kept is None else block.with_(kept)
            return VoxelBlock(block.origin, session.with_accepted(block.mask, block.origin)) if isCorrected else block

        return correct

    @property
    def labels(self) -> VoxelBlock | None:
        """What the target's session has given the segment; None for nothing."""
        session = self._target.session
        return VoxelBlock.around(session.labelmap > 0) if session.was_written else None

    def noteStart(self) -> None:
        """Before a prompt is given: what the segment was given before the first one is no part of this object."""
        if not self.steps:
            self._target.prompts.setObjectMask(PlaneMask.KEPT, self.labels)

    def give(self, session: ObjectSession, action: PromptStep) -> None:
        """Give a session of the object one action."""
        session.give(action)

    def copied(self) -> ObjectSession:
        """A copy of the session, to be asked and then taken or dropped."""
        copied = copy.copy(self._target.object)
        copied.accepted = self._accepted
        return copied

    def take(self, answered: ObjectSession) -> None:
        """Go on from a copy of the session that was given all prompts of the scene."""
        answered.isRestored = True
        self._target.object = answered

    def rebuild(self) -> None:
        """Let the object answer the prompts that the scene holds for it afresh, when it is looked at.

        Picks among earlier answers no longer count.
        """
        for plane in (plane for plane in self._target.prompts.planes if plane.of_object):
            self._target.prompts.removePicks(plane)
        self._target.closeObject()

    def asked(self) -> AskedObject:
        """The object as it is now, to be asked for candidates."""
        return AskedObject.of(self._target.volumeNode, self.session.block, self.correction, self._target.session.window)

    def pick(self, picked: ObjectPrediction) -> PromptStep:
        """Make a candidate the answer, as one step, which the scene stores."""
        i, j, k = (part.start for part in picked.box)
        packed = VoxelBlock((i, j, k), picked.mask).packed
        action = PromptStep(self._target.prompts.nextStep, picked=packed, plane=self._geometry)
        self.session.take(picked, action)
        self._target.prompts.addStep(self._geometry, action)
        return action

    def clear(self) -> None:
        """Take the prompts out of session and scene; what was accepted is kept with the objects to come."""
        self.session.reset()
        self._target.prompts.setObjectMask(PlaneMask.KEPT, self.labels)
        self.removePrompts()

    def removePrompts(self) -> None:
        """Take the prompts out of the scene."""
        prompts = self._target.prompts
        for plane in (plane for plane in prompts.planes if plane.of_object):
            prompts.removePlane(plane)

    def confirm(self, mask: VoxelBlock) -> bool:
        """The mask is accepted, as one step of the target's session; whether it was not before."""
        self._target.confidences = self.confidences
        return self._target.session.carry(mask.mask, mask.origin)

    def storeAccepted(self, mask: VoxelBlock) -> None:
        """Store the mask as accepted, with what the segment did not take of it."""
        left = mask.mask & ~self._written(mask)
        prompts = self._target.prompts
        prompts.setObjectMask(PlaneMask.ACCEPTED, mask)
        prompts.setObjectMask(PlaneMask.LEFT_OUT, VoxelBlock.around(left, mask.origin))
        self._target.noteWrite()

    def isWritten(self, mask: VoxelBlock) -> bool:
        """Whether the segment holds the mask, but for what it did not take when that was accepted."""
        wanted, left = mask.mask, self._target.prompts.objectMask(PlaneMask.LEFT_OUT)
        if left is not None:
            wanted = wanted & ~left.on(mask.origin, wanted.shape)
        if not np.array_equal(wanted, self._written(mask)):
            return False
        return not self._target.session.beyond(mask.mask, mask.origin).any()

    def change(self, mask: VoxelBlock) -> Change:
        """What writing the mask changes in the segment; what others have drawn there stays."""
        gone = self._target.session.beyond(mask.mask, mask.origin)
        return Change(VoxelBlock.around(mask.mask, mask.origin), VoxelBlock.around(gone) if gone.any() else None)

    @property
    def confidences(self) -> dict[PlaneGeometry, float]:
        """How confident the model is of each slice of the answer that the user has not accepted, 0 to 1."""
        from AdaptCore.predict.geometry import axis_plane, thickest_axis

        target = self._target
        axis = thickest_axis(target.volumeNode.GetSpacing())
        found = self.session.confidences(axis)
        accepted = {known.index for known in self._accepted if known.axis == axis}
        shape = target.session.shape
        return {axis_plane(shape, axis, index): sure for index, sure in found.items() if index not in accepted}

    def middle(self, plane: PlaneGeometry) -> Click:
        """A point in the middle of the mask on a slice along the volume's axes."""
        from AdaptCore.predict.geometry import plane_labels
        from AdaptCore.predict.propagate import innermost

        mask, shape = self.mask, self._target.session.shape
        full = np.zeros(shape, bool)
        if mask is not None:
            full[mask.slices] = mask.mask
        return innermost(plane_labels(full, plane))

    @property
    def lesson(self) -> VoxelBlock | None:
        """What accepting the present answer teaches."""
        prediction = self.session.prediction
        if prediction is None:
            return None
        i, j, k = (part.start for part in prediction.box)
        return VoxelBlock((i, j, k), prediction.mask)

    def examples(self, mask: VoxelBlock) -> list[Example]:
        """What a mask says as the answer to the prompts."""
        return self.session.examples(mask)

    def teach(self, mask: VoxelBlock, examples: Sequence[Example] | None) -> None:
        """Let a mask be learnt, as part of the latest step of the target's session."""
        found = self.examples(mask) if examples is None else examples
        self._target.session.note_taught(self.session.learn(found))

    @property
    def _isRestored(self) -> bool:
        return self._target.hasObject and self._target.object.isRestored

    @property
    def _accepted(self) -> list[KnownSlice]:
        """The slices along the volume's axes that the user has accepted."""
        from AdaptCore.predict.object_prompts import KnownSlice

        found = []
        for plane, _ in self._target.prompts.masks(PlaneMask.ACCEPTED):
            if plane.axis is not None:
                index = sliceIndex(plane)
                labels = self._target.session.labelmap.take([index], plane.axis) > 0
                found.append(KnownSlice(plane.axis, index, labels))
        return found

    def _written(self, mask: VoxelBlock) -> np.ndarray:
        """Which of a mask's voxels the target's session has given the segment, bool (a, b, c)."""
        return self._target.session.labelmap[mask.slices] > 0


def _sameStep(given: PromptStep, stored: PromptStep) -> bool:
    return given.plane == stored.plane and samePrompts(promptsOf([given]), promptsOf([stored]))
