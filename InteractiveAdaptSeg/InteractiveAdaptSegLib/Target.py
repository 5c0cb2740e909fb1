"""One segment of one volume that is being worked on: its prompts in the scene and its session in AdaptCore."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import ImageError, PromptError
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.ObjectRegion import ObjectRegion
from InteractiveAdaptSegLib.ObjectSession import ObjectSession
from InteractiveAdaptSegLib.PlaneRegion import PlaneRegion
from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptNodes, PromptStep
from InteractiveAdaptSegLib.Region import Region
from InteractiveAdaptSegLib.SegmentWriter import segmentBlock, segmentContents, segmentTime
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, placement, sliceIndex, voxelArray, voxelTime, worldPoint
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Learning
    from AdaptCore.predict.volume import VolumeSession

StoredMasks = Mapping[PlaneMask, "dict[str, str]"]
"""Packed masks that the scene holds beside the prompts, by their kind and the number of their plane."""

SAME_PLACE = 1e-3
"""A volume that has moved by less than this many mm has not moved."""


@dataclass(eq=False)
class Target:
    """State of one segment.

    Attributes:
        openSession: gives the session, asked at the first prompt: choosing a segment loads no model.
        openObject: gives the session of its object, asked at the first prompt on that.
        restored: planes whose session agrees with the prompts in the scene.
    """

    prompts: PromptNodes
    openSession: Callable[[Target], VolumeSession]
    openObject: Callable[[Target], ObjectSession]
    restored: set[PlaneGeometry] = field(default_factory=set)
    _isToldMoved: bool = False
    _latestVoxels: tuple[PlaneGeometry, Any] | None = None
    _voxelTime: int = 0
    _segmentTime: int | None = None
    _former: VolumeSession | None = None
    _confidences: Mapping[PlaneGeometry, float] | None = None
    _known: VoxelBlock | None = None

    @property
    def confidences(self) -> Mapping[PlaneGeometry, float]:
        """0 to 1, of the slices that the latest propagation has given and the user has not accepted since."""
        if self._confidences is None:
            self._confidences = self.prompts.confidences
        return self._confidences

    @confidences.setter
    def confidences(self, confidences: Mapping[PlaneGeometry, float]) -> None:
        self._confidences = confidences
        self.prompts.setConfidences(confidences)

    def __post_init__(self) -> None:
        self._voxelTime = voxelTime(self.volumeNode)

    @cached_property
    def session(self) -> VolumeSession:
        return self.openSession(self)

    @cached_property
    def object(self) -> ObjectSession:
        """The session of the object that prompts in all views are about."""
        return self.openObject(self)

    @property
    def hasObject(self) -> bool:
        """Whether there is a session of the object, which the first prompt on it opens."""
        return "object" in self.__dict__

    def closeObject(self) -> None:
        """Let the object begin anew from what the scene holds, if there is a session of it."""
        self.__dict__.pop("object", None)

    @property
    def hasOldVoxels(self) -> bool:
        """Whether the volume holds other voxels, or was changed in place, since work on it was begun."""
        return voxelTime(self.volumeNode) != self._voxelTime

    @property
    def isPreparing(self) -> bool:
        """Whether embeddings are computed that later prompts may need."""
        return self.isOpen and not self.session.wait(0)

    def takeUp(self, session: VolumeSession) -> None:
        """Bring a new session to where the scene left off.

        Planes with prompts begin before anything is accepted, since a plane begins from the labels that it meets.
        Their prompts are answered when they are looked at. Planes that the volume no longer reaches are left out.
        Nothing is learnt a second time. Labels are those of the session before, where there was one.
        """
        for geometry in (plane for plane in self.prompts.planes if not plane.of_object):
            region = PlaneRegion(self, geometry)
            with suppress(ImageError):
                if region.steps:
                    region.begin(session.plane(geometry))
        if self._former is not None:
            session.take_over(self._former)
            self._former = None
            return
        for geometry, mask in self.prompts.masks(PlaneMask.ACCEPTED):
            session.accept(geometry, mask, teach=False)
        carried = self.prompts.objectMask(PlaneMask.ACCEPTED)
        if carried is not None:
            session.carry(carried.mask, carried.origin)
        if self.prompts.areOfProposal:
            self._follow(session)
        else:
            self._followDrawn(session, [] if carried else [*self.confidences])
        self._giveUpLost(session, isStep=False)
        self.noteWrite()

    def _followDrawn(self, session: VolumeSession, planes: list[PlaneGeometry]) -> None:
        """Let a new session know what the segment holds of other images, and drafts on planes and on drawn ones."""
        if self.prompts.areOfOneOfManyImages:
            session.follow(self._contents(session.shape), are_drafts=False)
        planes += [plane for plane, _ in self.prompts.masks(PlaneMask.DRAWN)]
        if planes:
            session.follow(self._contents(session.shape), planes)

    def followSegment(self) -> None:
        """Let the session know what others have taken from the segment, and drawn where a proposal is corrected."""
        if self.prompts.areOfProposal:
            self._follow(self.session)
        elif self.isOpen and self._segmentTime != segmentTime(self.segmentationNode, self.segmentID):
            self._giveUpLost(self.session, isStep=False)
            self._acceptPainted()
            self.noteWrite()

    def giveUpLost(self, block: VoxelBlock | None = None) -> int:
        """After a write: let go of voxels of a block, None for all, that the segment does not hold; gives the steps."""
        steps = self.session.steps
        self._giveUpLost(self.session, block)
        return self.session.steps - steps

    def undoSteps(self, stepsBefore: int) -> None:
        """Bring the session back to where it was; the segment was not written."""
        while self.session.steps > stepsBefore:
            self.session.undo()

    def noteWrite(self) -> None:
        """The session knows what the segment holds now."""
        if not self.prompts.areOfProposal:
            self._segmentTime = segmentTime(self.segmentationNode, self.segmentID)
        isOfObject = self.prompts.objectMask(PlaneMask.ACCEPTED) is not None
        self._known = segmentBlock(*self._place, self._placed) if isOfObject else None

    @property
    def isOpen(self) -> bool:
        """Whether there is a session, which the first prompt opens."""
        return "session" in self.__dict__

    def notePlacement(self) -> None:
        """Masks are written where the volume lies now."""
        self.prompts.setPlacement(placement(self.volumeNode, self.segmentationNode))

    @property
    def isMoved(self) -> bool:
        """Whether volume and segmentation were moved against each other since masks were written that are there."""
        written, now = self._placed, placement(self.volumeNode, self.segmentationNode)
        return written is not None and (now is None or not np.allclose(written, now, rtol=0, atol=SAME_PLACE))

    def isNewlyMoved(self) -> bool:
        """Whether they were moved since this was asked last."""
        wasTold, self._isToldMoved = self._isToldMoved, self.isMoved
        return self._isToldMoved and not wasTold

    def requireInPlace(self) -> None:
        """Refuse to write beside what was written.

        Raises:
            SceneError: volume and segmentation were moved against each other.
        """
        if self.isMoved:
            raise SceneError(
                f"'{self.volumeNode.GetName()}' and '{self.segmentationNode.GetName()}' were moved against each other "
                f"since masks were written into '{self.name}': take the move back, or put both under the same transform"
            )

    @property
    def _placed(self) -> np.ndarray | None:
        """Where the volume lay in the segmentation when masks were written or taken over that are there; else None."""
        prompts = self.prompts
        stored = any(prompts.hasMasks(kind) for kind in (PlaneMask.ACCEPTED, PlaneMask.DRAWN))
        return prompts.placement if stored or prompts.areOfProposal or self.confidences else None

    def stored(self) -> StoredMasks:
        """The masks that say what was accepted."""
        return {kind: self.prompts.packedMasks(kind) for kind in (PlaneMask.ACCEPTED, PlaneMask.LEFT_OUT)}

    def beginAnew(self) -> None:
        """Another session in place of this one, if there is one: prompts are answered anew, labels stay."""
        if not self.isOpen:
            return
        self.close()
        self.closeObject()
        self._former = self.session
        self.restored.clear()
        del self.session
        self.session = self.openSession(self)

    def goOnWith(self, learning: Learning) -> None:
        """Let later prompts ask what answers now; answers stay as they are."""
        for geometry in self.restored:
            self.session.plane(geometry).go_on_with(learning.model)

    def unsurePlanes(self, geometry: PlaneGeometry | None) -> list[PlaneGeometry]:
        """The slices that wait to be looked at in what a plane stands for, the least sure one first."""
        confidences = self.confidences if geometry is None else self.region(geometry).confidences
        return sorted(confidences, key=confidences.__getitem__)

    def takeProposal(self, confidences: Mapping[PlaneGeometry, float]) -> None:
        """Let what the segment holds count as if propagations had given it, with planes and their confidences."""
        if not self.prompts.areOfProposal:
            self.prompts.setOfProposal()
            self.notePlacement()
        accepted = {plane for plane, _ in self.prompts.masks(PlaneMask.ACCEPTED)}
        self.confidences = {plane: sure for plane, sure in confidences.items() if plane not in accepted}

    def unsurePlaneAfter(self, geometry: PlaneGeometry | None, isFirst: bool = False) -> PlaneGeometry:
        """The plane of `unsurePlanes` after one of them, the first one after any other and after the last.

        It stands for the object where the one before does.

        Args:
            isFirst: whether the first one is meant, wherever that plane lies.

        Raises:
            PromptError: there is none.
        """
        ofObject = geometry is not None and geometry.of_object
        planes = [replace(plane, of_object=ofObject) for plane in self.unsurePlanes(geometry)]
        if not planes:
            raise PromptError("no slice is waiting to be looked at: propagate a mask first")
        following = planes.index(geometry) + 1 if geometry in planes and not isFirst else 0
        return planes[following % len(planes)]

    def middle(self, geometry: PlaneGeometry) -> np.ndarray:
        """A point in the middle of what is shown or was written on a plane, in world (3), mm."""
        click = self.region(geometry).middle(geometry)
        return worldPoint(ijkToWorld(self.volumeNode), geometry.voxel(click.x, click.y))

    def close(self) -> None:
        """End the session if there is one."""
        if self.isOpen:
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

    @property
    def name(self) -> str:
        """The segment's, as the user sees it."""
        return self.segmentationNode.GetSegmentation().GetSegment(self.segmentID).GetName()

    @property
    def color(self) -> tuple[float, float, float]:
        """The segment's, red, green and blue from 0 to 1."""
        red, green, blue = self.segmentationNode.GetSegmentation().GetSegment(self.segmentID).GetColor()
        return red, green, blue

    def region(self, geometry: PlaneGeometry) -> Region:
        """What prompts on a plane are about."""
        return ObjectRegion(self, geometry) if geometry.of_object else PlaneRegion(self, geometry)

    def toldOfPadding(self, geometry: PlaneGeometry, action: PromptStep) -> str:
        """What to tell of clicks on the object where nothing was measured, each once."""
        from AdaptCore.predict.intensity import told_of_padding

        voxels, shape = voxelArray(self.volumeNode), self.session.shape
        told: dict[str, None] = {}
        for click in action.clicks:
            i, j, k = (min(max(0, round(at)), size - 1) for at, size in zip(geometry.voxel(click.x, click.y), shape))
            if click.positive:
                told[told_of_padding(voxels, (i, j, k), self._padding)] = None
        return " ".join(filter(None, told))

    @cached_property
    def _padding(self) -> tuple[float, ...]:
        from AdaptCore.predict.intensity import padding_values

        return padding_values(voxelArray(self.volumeNode))

    def changedPlanes(self) -> list[PlaneGeometry]:
        """Planes whose prompts in the scene are no longer those of their session."""
        planes = [*self.restored]
        if self.hasObject and self.object.isRestored:
            planes += [plane for plane in self.prompts.planes if plane.of_object][-1:]
        return [geometry for geometry in planes if self.region(geometry).isChanged]

    def storeCarried(self) -> None:
        """Store anew what the session has given the segment, if an object was accepted: a propagation changes it."""
        if self.prompts.objectMask(PlaneMask.ACCEPTED) is not None:
            self.prompts.setObjectMask(PlaneMask.ACCEPTED, VoxelBlock.around(self.session.labelmap > 0))

    def followDrawn(self, geometry: PlaneGeometry) -> None:
        """Take over what the segment holds on a plane, whoever has drawn it: prompts there correct it."""
        if self._placed is None:
            self.notePlacement()
        self.session.follow(self._contents(self.session.shape), [geometry])

    def holds(self, voxels: np.ndarray) -> np.ndarray:
        """Which of the volume's voxels N x 3 the segment holds, whoever has drawn them, bool (N)."""
        return segmentContents(*self._place, voxels, self._placed)

    def _giveUpLost(self, session: VolumeSession, block: VoxelBlock | None = None, isStep: bool = True) -> None:
        if not session.was_written:
            return
        if block is None:
            given = np.argwhere(session.labelmap)
        else:
            given = np.argwhere((session.labelmap[block.slices] > 0) & block.mask) + block.origin
        lost = given[~self.holds(given)]
        if len(lost):
            session.give_up(lost, is_step=isStep)

    def _acceptPainted(self) -> None:
        """Slices of an accepted object that others have painted count as accepted: no later answer changes them."""
        from AdaptCore.predict.geometry import plane_labels

        now = segmentBlock(*self._place, self._placed)
        if self._known is None or now is None:
            return
        contents = self._contents(self.session.shape)
        for geometry in changedSlices(self._known, now, self.session.shape):
            mask = np.asarray(plane_labels(contents, geometry), bool)
            self.session.accept(geometry, mask, teach=False)
            self.prompts.setMask(PlaneMask.ACCEPTED, geometry, mask)

    @property
    def _place(self) -> tuple[Any, Any, str]:
        return self.volumeNode, self.segmentationNode, self.segmentID

    def voxelsOn(self, geometry: PlaneGeometry) -> tuple[Any, np.ndarray, np.ndarray]:
        """The voxels a plane passes with their rows and columns; those of the latest plane are kept."""
        from AdaptCore.predict.geometry import plane_voxels

        if self._latestVoxels is None or self._latestVoxels[0] != geometry:
            shape = self.volumeNode.GetImageData().GetDimensions()
            self._latestVoxels = geometry, plane_voxels(shape, geometry)
        return self._latestVoxels[1]

    def _follow(self, session: VolumeSession) -> None:
        """Take over what the segment holds; planes that others have emptied are no longer waiting to be looked at."""
        before, self._segmentTime = self._segmentTime, segmentTime(self.segmentationNode, self.segmentID)
        if before == self._segmentTime:
            return
        contents = self._contents(session.shape)
        if before is None or not np.array_equal(contents, session.labelmap):
            session.follow(contents)
            met = planesThatMeet(contents, self.confidences)
            self.confidences = {plane: self.confidences[plane] for plane in met}

    def _contents(self, shape: tuple[int, int, int]) -> np.ndarray:
        """What the segment holds, whoever has drawn it, bool (i, j, k)."""
        contents = np.zeros(shape, bool, order="F")
        block = segmentBlock(*self._place, self._placed)
        if block is not None:
            contents[block.slices] = block.mask
        return contents


def changedSlices(before: VoxelBlock, now: VoxelBlock, shape: tuple[int, int, int]) -> list[PlaneGeometry]:
    """The slices that two masks differ on, across the axis where these are fewest."""
    from AdaptCore.predict.geometry import axis_plane

    both = before.with_(now)
    differs = before.on(both.origin, both.mask.shape) ^ now.on(both.origin, both.mask.shape)
    met = [np.flatnonzero(differs.any(tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    axis = min((2, 1, 0), key=lambda axis: len(met[axis]))
    return [axis_plane(shape, axis, both.origin[axis] + int(index)) for index in met[axis]]


def areOfOneRegion(first: PlaneGeometry | None, second: PlaneGeometry | None) -> bool:
    """Whether prompts on two planes are about the same: that plane, or the object."""
    return first == second or (first is not None and second is not None and first.of_object and second.of_object)


def planesThatMeet(mask: np.ndarray, planes: Iterable[PlaneGeometry]) -> list[PlaneGeometry]:
    """Those of some slices along the axes that hold a voxel of a mask (i, j, k)."""
    filled = [np.asarray(mask.any(tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return [plane for plane in planes if plane.axis is not None and filled[plane.axis][sliceIndex(plane)]]
