"""What happens to the scene around the segments that are worked on: observed here, told by callbacks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import vtk

from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.SceneNodes import viewUnderCursor
from InteractiveAdaptSegLib.Target import Target


@dataclass(frozen=True)
class SceneEvents:
    """Whom to call.

    Attributes:
        placed: the user has placed a point: the point list, and the slice view under the cursor, None outside of all.
        promptsChanged: the user has moved or deleted prompts in a view or in the Markups module.
        imageReplaced: a volume node holds another image.
        volumeModified: a volume node has changed somehow; a script that changes voxels in place tells nothing else.
        moved: a volume or a segmentation has got another place, or its transform has.
        leaves: a node is about to be removed.
        closes: the scene is about to be closed.
    """

    placed: Callable[[Any, Any], None]
    promptsChanged: Callable[[], None]
    imageReplaced: Callable[[Any], None]
    volumeModified: Callable[[Any], None]
    moved: Callable[[Any], None]
    leaves: Callable[[Any], None]
    closes: Callable[[], None]


class SceneWatch:
    """Observes the scene and what is being worked on, and nothing else.

    Args:
        observations: hold the observers.
        defer: runs a function when the current event has been dealt with; Slicer's markups do not like to be changed
            while they report a change.
    """

    def __init__(
        self, scene: Any, observations: Observations, events: SceneEvents, defer: Callable[[Callable[[], None]], None]
    ) -> None:
        self._scene = scene
        self._observations = observations
        self._events = events
        self._defer = defer
        self._isOwnChange = False
        self.follow(())

    @contextmanager
    def ownChange(self) -> Iterator[None]:
        """Within it, changes of prompts are no news."""
        self._isOwnChange = True
        try:
            yield
        finally:
            self._isOwnChange = False

    def follow(self, targets: Iterable[Target]) -> None:
        """Observe these segments and no others."""
        observe = self._observations.add
        self._observations.clear()
        observe(self._scene, self._scene.StartCloseEvent, self._onSceneCloses)
        observe(self._scene, self._scene.NodeAboutToBeRemovedEvent, self._onNodeLeaves)
        for target in targets:
            self.add(target)

    def add(self, target: Target) -> None:
        """Observe a segment too, with the prompts that it has now."""
        observe, volumeNode = self._observations.add, target.volumeNode
        observe(volumeNode, volumeNode.ImageDataModifiedEvent, self._onImageReplaced)
        observe(volumeNode, vtk.vtkCommand.ModifiedEvent, self._onVolumeModified)
        for node in (volumeNode, target.segmentationNode):
            observe(node, node.TransformModifiedEvent, self._onMoved)
        for node in target.prompts.pointNodes:
            observe(node, node.PointPositionDefinedEvent, self._onPlaced)
        for node in target.prompts.lassoNodes:
            observe(node, node.PointPositionDefinedEvent, self._onPromptsChanged)
        for node in (*target.prompts.pointNodes, *target.prompts.lassoNodes):
            observe(node, node.PointRemovedEvent, self._onPromptsChanged)
        for node in (*target.prompts.pointNodes, *target.prompts.outlineNodes):
            observe(node, node.PointEndInteractionEvent, self._onPromptsChanged)

    def _onPlaced(self, caller: Any, event: str) -> None:
        if not self._isOwnChange:
            sliceNode = viewUnderCursor(self._scene)
            self._defer(lambda: self._events.placed(caller, sliceNode))

    def _onPromptsChanged(self, caller: Any, event: str) -> None:
        if not self._isOwnChange:
            self._defer(self._events.promptsChanged)

    def _onImageReplaced(self, caller: Any, event: str) -> None:
        self._events.imageReplaced(caller)

    def _onVolumeModified(self, caller: Any, event: str) -> None:
        self._events.volumeModified(caller)
        self._events.moved(caller)

    def _onMoved(self, caller: Any, event: str) -> None:
        self._events.moved(caller)

    def _onSceneCloses(self, caller: Any, event: str) -> None:
        self._events.closes()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeLeaves(self, caller: Any, event: str, node: Any) -> None:
        if not self._isOwnChange:
            self._events.leaves(node)
