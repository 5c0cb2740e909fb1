"""Masks of targets go into their segments; all sessions of the segmentation learn of it, and undo gets a command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from AdaptCore.errors import PromptError
from InteractiveAdaptSegLib.Commands import WriteCommand
from InteractiveAdaptSegLib.Masking import WriteReport
from InteractiveAdaptSegLib.OpenTargets import OpenTargets
from InteractiveAdaptSegLib.PlaneRegion import PlaneRegion
from InteractiveAdaptSegLib.Propagating import Propagating
from InteractiveAdaptSegLib.Region import Mask
from InteractiveAdaptSegLib.SegmentHistory import SegmentHistory
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
from InteractiveAdaptSegLib.Target import StoredMasks, Target, planesThatMeet
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        text: what stood in the way, for the user; empty if nothing.
        lesson: mask of the region that is to be learnt from, None for nothing.
        start: the write that the same action began with.
    """

    command: WriteCommand
    text: str
    lesson: Mask | None = None
    start: WriteCommand | None = None


@dataclass(frozen=True)
class _Before:
    """What undo brings back."""

    stored: StoredMasks
    confidences: Mapping[PlaneGeometry, float]
    steps: int

    @classmethod
    def of(cls, target: Target, steps: int | None = None) -> _Before:
        return cls(target.stored(), target.confidences, target.session.steps if steps is None else steps)


class TargetWriter:
    """Writes into the segments of targets.

    Args:
        targets: all that are worked on.
        history: forgets what the writer cannot undo any more.
    """

    def __init__(self, targets: OpenTargets, writer: SegmentWriter, history: SegmentHistory) -> None:
        self._targets = targets
        self._writer = writer
        self._history = history

    def aim(self, target: Target) -> None:
        """Choose the segment to write into.

        Raises:
            SceneError: it cannot be written into.
        """
        self._writer.setTarget(target.volumeNode, target.segmentationNode, target.segmentID)
        self._history.forgetLost()

    def contents(self, target: Target, geometry: PlaneGeometry) -> np.ndarray:
        """What the segment holds on a plane, whoever has drawn it, bool (H, W), for a propagation to start from.

        Raises:
            SceneError: the segment cannot be written into where it is.
        """
        self.aim(target)
        target.requireInPlace()
        self._targets.bindToImage(target)
        return PlaneRegion(target, geometry).contents(self._writer)

    def accept(self, target: Target, geometry: PlaneGeometry) -> Written:
        """Write the mask of a plane, or of the object, in place of what was accepted there before.

        Raises:
            PromptError: there is nothing to accept.
            SceneError: the mask cannot be written; nothing has changed.
        """
        region = target.region(geometry)
        mask = region.mask
        if mask is None:
            raise PromptError("there is no mask to accept: give it a click, scribble or box first")
        change = region.change(mask)
        if change.add is None and change.remove is None:
            raise PromptError("the mask is empty: nothing to accept")
        report, before = self._write(target, change.add, change.remove), _Before.of(target)
        isNew = region.confirm(mask)
        steps = self._followed(target, change.add, before.steps)
        region.storeAccepted(mask)
        command = self._command(target, geometry, steps, before)
        return Written(command, report.text, region.lesson if isNew else None)

    def writeFound(self, running: Propagating) -> Written | None:
        """Write what a finished propagation has found; None if that changes nothing.

        Raises:
            SceneError: it cannot be written; nothing has changed.
            BaseException: what the propagation raised.
        """
        target, found = running.target, running.found()
        if found is None:
            return None
        report, before = self._write(target, found.add, found.remove), _Before.of(target, running.stepsBefore)
        proposed = planesThatMeet(target.session.labelmap, before.confidences) if target.prompts.areOfProposal else []
        target.confidences = {**{plane: before.confidences[plane] for plane in proposed}, **found.confidences}
        steps = self._followed(target, found.add, before.steps)
        target.storeCarried()
        command = self._command(target, running.geometry, steps, before)
        return Written(command, report.text, start=running.accepted)

    def _write(self, target: Target, add: VoxelBlock | None, remove: VoxelBlock | None) -> WriteReport:
        self.aim(target)
        target.requireInPlace()
        report = self._writer.write(add, remove, sharesLabels=target.prompts.areOfProposal)
        target.notePlacement()
        return report

    def _followed(self, target: Target, added: VoxelBlock | None, stepsBefore: int) -> dict[Target, int]:
        """Let all sessions of the segmentation know what a write has really changed; the steps that each has taken."""
        steps = {other: _lost(other, target, added) for other in self._together(target)}
        for other in steps:
            other.noteWrite()
        return {**{other: lost for other, lost in steps.items() if lost}, target: target.session.steps - stepsBefore}

    def _together(self, target: Target) -> Iterable[Target]:
        """All in the target's segmentation that have a session."""
        return [
            other
            for other in self._targets.values()
            if other.segmentationNode is target.segmentationNode and other.isOpen
        ]

    def _command(
        self, target: Target, geometry: PlaneGeometry, steps: Mapping[Target, int], before: _Before
    ) -> WriteCommand:
        return WriteCommand(
            target,
            geometry,
            self._writer,
            steps,
            before.stored,
            target.stored(),
            before.confidences,
            target.confidences,
        )


def _lost(other: Target, target: Target, added: VoxelBlock | None) -> int:
    """Steps in which a target gives up what a write has taken from it: on the same voxels, no more than was added."""
    if other.volumeNode is not target.volumeNode:
        return other.giveUpLost()
    return 0 if added is None else other.giveUpLost(added)
