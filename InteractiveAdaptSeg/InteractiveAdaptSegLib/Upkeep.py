"""Keeps what is worked on in step with a scene that others change."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from AdaptCore.errors import AdaptSegError
from AdaptCore.prompts import CONTRADICTION, contradict
from InteractiveAdaptSegLib.Commands import NewSegmentCommand
from InteractiveAdaptSegLib.Errors import Refusal
from InteractiveAdaptSegLib.OpenTargets import OpenTargets
from InteractiveAdaptSegLib.SegmentHistory import SegmentHistory
from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.Underway import Underway

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class Upkeep:
    """Hears what has happened, decides which targets it concerns, and tells the user.

    Args:
        underway: what cannot be done before its end is done when `catchUp` is called.
        drop: lets go of targets.
        choose: works on a segment of a segmentation with a volume.
        onRebuilt: called with a plane whose prompts are to be answered afresh.
        onMessage: called with what the user should know.
        defer: runs a function when the current event has been dealt with.
    """

    def __init__(
        self,
        targets: OpenTargets,
        history: SegmentHistory,
        underway: Underway,
        drop: Callable[[list[Target]], None],
        choose: Callable[[Any, Any, str], None],
        onRebuilt: Callable[[Target, PlaneGeometry], None],
        onMessage: Callable[[str], None],
        defer: Callable[[Callable[[], None]], None],
    ) -> None:
        self._targets = targets
        self._history = history
        self._drop = drop
        self._choose = choose
        self._underway = underway
        self._mustFollowPrompts = False
        self._onRebuilt = onRebuilt
        self._onMessage = onMessage
        self._defer = defer

    def followPrompts(self) -> None:
        """Let what has prompts that were moved or deleted answer afresh; after what is under way, if something is."""
        self._mustFollowPrompts = not self._underway.isIdle
        if self._mustFollowPrompts:
            return
        for target in [known for known in self._targets.values() if known.prompts.isComplete]:
            for geometry in target.changedPlanes():
                target.region(geometry).rebuild()
                self._history.forgetPrompts(target, geometry)
                self._onRebuilt(target, geometry)
                clicks = target.region(geometry).clicks
                if contradict(clicks, clicks):
                    self._onMessage(CONTRADICTION)

    def catchUp(self) -> None:
        """Do what had to wait for what was under way."""
        if self._mustFollowPrompts:
            self.followPrompts()

    def dropRemoved(self) -> None:
        """Let go of segments that others have removed; one that undo has taken away can come back."""
        takenAway = [command.target for command in self._history.undone if isinstance(command, NewSegmentCommand)]
        gone = [target for target in self._targets.values() if not target.prompts.isComplete]
        removed = [target for target in gone if target not in takenAway]
        if removed:
            self._drop(removed)
            self._onMessage("A segment that was worked on was removed: choose another one to go on.")

    def noteLeaving(self, node: Any) -> None:
        """Let go of what cannot be worked on without a node that is about to be removed."""
        needed = self._targets.needing(node)
        if needed:
            self._drop(needed)
            self._onMessage(f"'{node.GetName()}' was removed: choose a volume and a segment to go on.")
        elif self._targets.withOutline(node):
            self._defer(self.followPrompts)

    def noteImage(self, volumeNode: Any) -> None:
        """A volume holds another image."""
        self._beginAnew(self._targets.of(volumeNode))

    def noteVolume(self, volumeNode: Any) -> None:
        """A volume was modified, perhaps its voxels in place."""
        old = [target for target in self._targets.of(volumeNode) if target.hasOldVoxels]
        if old:
            self._beginAnew(old)

    def noteMove(self, node: Any) -> None:
        """A volume or a segmentation has been moved, perhaps against the other one."""
        for target in self._targets.values():
            if node in (target.volumeNode, target.segmentationNode) and target.isNewlyMoved():
                self._onMessage(
                    f"'{target.volumeNode.GetName()}' and '{target.segmentationNode.GetName()}' were moved against "
                    f"each other: what was accepted in '{target.name}' no longer lies on what it outlines. "
                    "Take the move back, or put both under the same transform."
                )

    def _beginAnew(self, old: list[Target]) -> None:
        """Sessions on old voxels end; work goes on with the prompts that the scene holds for the new ones."""
        current = self._targets.current
        self._drop(old)
        if current is not None and not self._targets.hasCurrent:
            self._defer(lambda: self._takeUpAgain(current))

    def _takeUpAgain(self, former: Target) -> None:
        if self._targets.hasCurrent or not former.prompts.isComplete:
            return
        try:
            self._choose(former.volumeNode, former.segmentationNode, former.segmentID)
        except AdaptSegError as error:
            self._onMessage(Refusal(error))
            return
        present = self._targets.current
        if present is not None and former.prompts.frame and present.prompts.node is not former.prompts.node:
            self._onMessage(
                f"'{former.volumeNode.GetName()}' holds other voxels now, such as another frame: prompts and accepted "
                "masks of the earlier ones are kept and come back with them. "
                f"Segment '{former.name}' still holds what it held."
            )
