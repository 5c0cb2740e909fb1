"""The segments that are worked on, by the IDs of the nodes that hold their prompts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.Frames import Frames
from InteractiveAdaptSegLib.ObjectSession import ObjectSession
from InteractiveAdaptSegLib.PromptNodes import PromptNodes
from InteractiveAdaptSegLib.SceneWatch import SceneWatch
from InteractiveAdaptSegLib.Target import Target

if TYPE_CHECKING:
    from AdaptCore.predict.volume import VolumeSession


class OpenTargets(dict[str, Target]):
    """All of them, of any volume; one of them is the current one.

    Args:
        openSession: opens the session of one.
        openObject: opens the session of the object of one.
        onMessage: called with what the user should know.

    Attributes:
        current: the one that prompts are given to.
    """

    def __init__(
        self,
        scene: Any,
        openSession: Callable[[Target], VolumeSession],
        openObject: Callable[[Target], ObjectSession],
        onMessage: Callable[[str], None],
    ) -> None:
        super().__init__()
        self._scene = scene
        self._openSession = openSession
        self._openObject = openObject
        self._onMessage = onMessage
        self._frames = Frames()
        self.current: Target | None = None

    @property
    def hasCurrent(self) -> bool:
        return self.current is not None

    def require(self) -> Target:
        """The current one.

        Raises:
            SceneError: there is none.
        """
        if self.current is None:
            raise SceneError("nothing is chosen to segment: choose a volume and a segment")
        return self.current

    def open(self, volumeNode: Any, segmentationNode: Any, segmentID: str, watch: SceneWatch) -> Target:
        """A segment's target; its prompts are added to the scene where there are none."""
        sought = (self._scene, volumeNode, segmentationNode, segmentID)
        prompts = PromptNodes.find(*sought, self._frames.digest)
        if prompts is None:
            with watch.ownChange():
                prompts = PromptNodes.create(*sought)
            for damaged in PromptNodes.damaged(*sought):
                self._onMessage(
                    f"The prompts in the node '{damaged.node.GetName()}' are damaged and are not used. The segment's "
                    "mask stays; new prompts are kept apart from them."
                )
        key = prompts.node.GetID()
        if key not in self:
            self[key] = Target(prompts, self._openSession, self._openObject)
            watch.add(self[key])
        return self[key]

    def bindToImage(self, target: Target) -> None:
        """Let a target's prompts belong to the image that its volume holds now."""
        target.prompts.setFrame(self._frames.digest(target.volumeNode))

    def of(self, volumeNode: Any) -> list[Target]:
        """Those of a volume."""
        return [target for target in self.values() if target.volumeNode is volumeNode]

    def within(self, segmentationNode: Any) -> list[Target]:
        """Those of a segmentation."""
        return [target for target in self.values() if target.segmentationNode is segmentationNode]

    def needing(self, node: Any) -> list[Target]:
        """Those that cannot be worked on without a node."""
        return [target for target in self.values() if node in _nodesOf(target)]

    def withOutline(self, node: Any) -> bool:
        """Whether a node is a box or lasso of one of them."""
        return any(node in target.prompts.outlineNodes for target in self.values())

    def withPoints(self, pointNode: Any) -> Target | None:
        """The one whose clicks are in a point list."""
        return next((target for target in self.values() if pointNode in target.prompts.pointNodes), None)

    def drop(self, gone: Iterable[Target]) -> None:
        """Close the sessions of some; nothing of the scene is touched."""
        with ExitStack() as closing:
            for key in [key for key, target in self.items() if target in gone]:
                closing.callback(self.pop(key).close)


def _nodesOf(target: Target) -> tuple[Any, ...]:
    return target.volumeNode, target.segmentationNode, target.prompts.node, *target.prompts.pointNodes
