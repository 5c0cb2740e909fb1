"""Which segment is worked on: chosen, added, or taken over with what it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from InteractiveAdaptSegLib.Commands import NewSegmentCommand
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.OpenTargets import OpenTargets
from InteractiveAdaptSegLib.PlaceMode import placedSign, startPlacing
from InteractiveAdaptSegLib.PromptNodes import PromptNodes
from InteractiveAdaptSegLib.SceneWatch import SceneWatch
from InteractiveAdaptSegLib.SegmentHistory import SegmentHistory
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.VolumeGeometry import voxelArray

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class SegmentChoice:
    """Chooses the current target.

    Args:
        onSelected: called when another one is chosen.
    """

    def __init__(
        self,
        scene: Any,
        targets: OpenTargets,
        writer: SegmentWriter,
        history: SegmentHistory,
        watch: SceneWatch,
        onSelected: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._targets = targets
        self._writer = writer
        self._history = history
        self._watch = watch
        self._onSelected = onSelected

    def choose(self, volumeNode: Any, segmentationNode: Any, segmentID: str = "") -> None:
        """Work on a segment, a new one without an ID.

        Raises:
            SceneError: something is missing, or the segmentation cannot be written into.
        """
        _requireNodes(volumeNode, segmentationNode)
        segmentID = segmentID or self.add(volumeNode, segmentationNode)
        self._writer.setTarget(volumeNode, segmentationNode, segmentID)
        self._history.forgetLost()
        target = self._targets.open(volumeNode, segmentationNode, segmentID, self._watch)
        added = self._history.next
        if isinstance(added, NewSegmentCommand) and added.segmentID == segmentID:
            added.target = target
        self.select(target)

    def add(self, volumeNode: Any, segmentationNode: Any) -> str:
        """Add an empty segment and give its ID.

        Undo takes it away again where something was worked on in the same segmentation before.

        Raises:
            SceneError: as `choose`.
        """
        _requireNodes(volumeNode, segmentationNode)
        segmentID = self._writer.addSegment(volumeNode, segmentationNode)
        before = self._targets.current
        if before is not None and self._writer.isIn(segmentationNode):
            self._history.push(NewSegmentCommand(self._writer, segmentID, before))
        return segmentID

    def takeProposal(
        self, volumeNode: Any, segmentationNode: Any, confidences: Mapping[str, Mapping[PlaneGeometry, float]]
    ) -> None:
        """Let what segments hold count as if propagations had given it: clicks correct it, also by taking away.

        What others change in these segments later is followed, and their planes wait to be looked at until they are
        accepted.

        Args:
            confidences: segment ID -> planes that it has, with their confidence from 0 to 1.

        Raises:
            SceneError: a node is missing.
        """
        _requireNodes(volumeNode, segmentationNode)
        for segmentID, planes in confidences.items():
            target = self._targets.open(volumeNode, segmentationNode, segmentID, self._watch)
            target.takeProposal(planes)
            target.prompts.setVisible(target is self._targets.current)

    def isCurrent(self, target: Target) -> bool:
        return target is self._targets.current

    def select(self, target: Target) -> None:
        """Make a target the current one: its prompts are shown, and the mouse goes on to place points of their sign."""
        if target is self._targets.current:
            return
        sign = placedSign(self._scene)
        if sign is not None:
            startPlacing(self._scene, target.prompts.pointNodes[sign])
        self._targets.current = target
        self._onSelected()
        for prompts in PromptNodes.all(self._scene):
            prompts.setVisible(prompts.node is target.prompts.node)


def _requireNodes(volumeNode: Any, segmentationNode: Any) -> None:
    if volumeNode is None:
        raise SceneError("no volume is chosen: choose one")
    if segmentationNode is None:
        raise SceneError("no segmentation is chosen: choose one or make a new one")
    voxelArray(volumeNode)
