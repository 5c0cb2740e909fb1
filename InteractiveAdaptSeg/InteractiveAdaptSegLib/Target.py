"""One segment of one volume that is being worked on: its prompts in the scene and its session in AdaptCore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import PromptError
from AdaptCore.prompts import Prompts
from InteractiveAdaptSegLib.PromptNodes import PromptNodes, PromptStep
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter, VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.plane import PlaneSession
    from AdaptCore.predict.volume import VolumeSession

SAME_PIXEL = 1e-3
"""Prompts closer than this many pixels are the same prompt."""


@dataclass(frozen=True)
class Change:
    """Voxels N x 3 that a plane's new mask adds to the segment, and those of its earlier mask that it gives up."""

    add: VoxelBlock | None
    remove: VoxelBlock | None


@dataclass(eq=False)
class Target:
    """State of one segment.

    Attributes:
        openSession: gives the session, asked at the first prompt: choosing a segment loads no model.
        kept: masks of planes whose prompts were cleared, so that further parts of the object join them.
        restored: planes whose session agrees with the prompts in the scene.
    """

    prompts: PromptNodes
    openSession: Callable[[Target], VolumeSession]
    kept: dict[PlaneGeometry, np.ndarray] = field(default_factory=dict)
    restored: set[PlaneGeometry] = field(default_factory=set)
    _latestVoxels: tuple[PlaneGeometry, Any] | None = None

    @cached_property
    def session(self) -> VolumeSession:
        return self.openSession(self)

    def close(self) -> None:
        """End the session if there is one."""
        if "session" in self.__dict__:
            self.session.close()

    @property
    def volumeNode(self) -> Any:
        return self.prompts.volumeNode

    @property
    def segmentationNode(self) -> Any:
        return self.prompts.segmentationNode

    @property
    def segmentID(self) -> str:
        return self.prompts.segmentID

    def plane(self, geometry: PlaneGeometry) -> PlaneSession:
        """The session of a plane, with the prompts that the scene holds for it."""
        session = self.session.plane(geometry)
        if geometry not in self.restored:
            self.restored.add(geometry)
            replay(session, self.storedSteps(geometry))
        return session

    def storedSteps(self, geometry: PlaneGeometry) -> list[PromptStep]:
        planes = self.prompts.planes
        return self.prompts.steps(planes.index(geometry)) if geometry in planes else []

    def changedPlanes(self) -> list[PlaneGeometry]:
        """Planes whose prompts in the scene are no longer those of their session."""
        return [
            geometry
            for geometry in self.restored
            if not samePrompts(self.session.plane(geometry).prompts, promptsOf(self.storedSteps(geometry)))
        ]

    def rebuild(self, geometry: PlaneGeometry) -> None:
        """Answer the prompts that the scene holds for a plane afresh."""
        session = self.session.plane(geometry)
        session.reset()
        replay(session, self.storedSteps(geometry))

    def mask(self, geometry: PlaneGeometry) -> np.ndarray | None:
        """The mask (H, W) that accepting the plane would write; None without a prediction."""
        prediction = self.plane(geometry).prediction
        if prediction is None:
            return None
        return prediction.mask | self.kept[geometry] if geometry in self.kept else prediction.mask

    def planeLabels(self, geometry: PlaneGeometry) -> np.ndarray:
        """What this session has given the segment on a plane, bool (H, W)."""
        from AdaptCore.predict.geometry import plane_labels

        return plane_labels(self.session.labelmap, geometry)

    def planeContents(self, geometry: PlaneGeometry, writer: SegmentWriter) -> np.ndarray:
        """What the segment holds on a plane, whoever has drawn it, bool (H, W)."""
        voxels, rows, columns = self._voxels(geometry)
        contents = np.zeros(geometry.shape, bool)
        contents[rows, columns] = writer.contents(np.column_stack(voxels))
        return contents

    def change(self, geometry: PlaneGeometry, mask: np.ndarray) -> Change:
        """What writing a plane's mask (H, W) changes in the segment; what others have drawn there stays."""
        voxels, rows, columns = self._voxels(geometry)
        wanted, written = mask[rows, columns], self.session.labelmap[voxels] > 0
        points = np.column_stack(voxels)
        return Change(VoxelBlock.ofVoxels(points[wanted]), VoxelBlock.ofVoxels(points[written & ~wanted]))

    def _voxels(self, geometry: PlaneGeometry) -> tuple[Any, np.ndarray, np.ndarray]:
        """The voxels a plane passes with their rows and columns; those of the latest plane are kept."""
        from AdaptCore.predict.geometry import plane_voxels

        if self._latestVoxels is None or self._latestVoxels[0] != geometry:
            shape = self.volumeNode.GetImageData().GetDimensions()
            self._latestVoxels = geometry, plane_voxels(shape, geometry)
        return self._latestVoxels[1]

    def markAccepted(self, geometry: PlaneGeometry) -> None:
        self.prompts.acceptedPlanes = [*self.prompts.acceptedPlanes, self.prompts.planeNumber(geometry)]

    def acceptedMasks(self, writer: SegmentWriter) -> list[tuple[PlaneGeometry, np.ndarray]]:
        """The planes that were accepted before the scene was saved, as they stand in the segment."""
        planes = [self.prompts.planes[number] for number in self.prompts.acceptedPlanes]
        return [(plane, self.planeContents(plane, writer)) for plane in planes]


def replay(session: PlaneSession, steps: list[PromptStep]) -> None:
    """Give a plane the prompts again; one that no longer fits it, since it was dragged outside, is left out."""
    for action in steps:
        try:
            ask(session, action)
        except PromptError:
            continue


def ask(session: PlaneSession, action: PromptStep) -> None:
    """Give a plane one action."""
    if action.box is not None:
        session.box(action.box.x0, action.box.y0, action.box.x1, action.box.y1)
    if len(action.clicks) == 1:
        session.click(action.clicks[0].x, action.clicks[0].y, action.clicks[0].positive)
    elif action.clicks:
        session.scribble([(click.x, click.y) for click in action.clicks], action.clicks[0].positive)


def promptsOf(steps: list[PromptStep]) -> Prompts:
    """All prompts of a plane's actions."""
    prompts = Prompts()
    for action in steps:
        prompts = prompts.with_scribble(action.clicks)
        prompts = prompts if action.box is None else prompts.with_box(action.box)
    return prompts


def samePrompts(first: Prompts, second: Prompts) -> bool:
    """Whether two sets of prompts agree up to rounding."""
    if len(first.clicks) != len(second.clicks) or (first.box is None) != (second.box is None):
        return False
    if [click.positive for click in first.clicks] != [click.positive for click in second.clicks]:
        return False
    return np.allclose(_coordinates(first), _coordinates(second), atol=SAME_PIXEL)


def _coordinates(prompts: Prompts) -> list[float]:
    box = prompts.box
    corners = [] if box is None else [box.x0, box.y0, box.x1, box.y1]
    return [value for click in prompts.clicks for value in (click.x, click.y)] + corners
