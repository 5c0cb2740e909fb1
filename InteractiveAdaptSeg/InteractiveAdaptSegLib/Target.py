"""One segment of one volume that is being worked on: its prompts in the scene and its session in AdaptCore."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.prompts import Click, Prompts
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.PackedMask import unpackMask
from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptNodes, PromptStep
from InteractiveAdaptSegLib.SegmentWriter import (
    SegmentWriter,
    VoxelBlock,
    segmentBlock,
    segmentContents,
    segmentTime,
)
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, placement, voxelArray, voxelTime, worldPoint

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Learning
    from AdaptCore.predict.plane import PlaneSession
    from AdaptCore.predict.volume import VolumeSession

StoredMasks = Mapping[PlaneMask, "dict[str, str]"]
"""Packed masks that the scene holds beside the prompts, by their kind and the number of their plane."""

SAME_PLACE = 1e-3
"""A volume that has moved by less than this many mm has not moved."""

SAME_PIXEL = 1e-3
"""Prompts closer than this many pixels are the same prompt."""


@dataclass(frozen=True)
class Change:
    """Voxels N x 3 that a plane's new mask adds to the segment, and those of its earlier mask that it gives up."""

    add: VoxelBlock | None
    remove: VoxelBlock | None


@dataclass(frozen=True, eq=False)
class Correction:
    """What is shown and written of an answer.

    Attributes:
        drawn: bool (H, W), what the segment held before the first prompt, which the prompts correct; None for nothing.
        kept: bool (H, W), what any mask is added to; None for nothing.
    """

    drawn: np.ndarray | None
    kept: np.ndarray | None
    prompts: Prompts

    def of(self, answer: np.ndarray) -> np.ndarray:
        """The mask (H, W) for an answer (H, W)."""
        from AdaptCore.predict.pointing import corrected

        mask = answer if self.drawn is None else corrected(self.drawn, answer, self.prompts)
        return mask if self.kept is None else mask | self.kept


@dataclass(eq=False)
class Target:
    """State of one segment.

    Attributes:
        openSession: gives the session, asked at the first prompt: choosing a segment loads no model.
        restored: planes whose session agrees with the prompts in the scene.
    """

    prompts: PromptNodes
    openSession: Callable[[Target], VolumeSession]
    restored: set[PlaneGeometry] = field(default_factory=set)
    _isToldMoved: bool = False
    _latestVoxels: tuple[PlaneGeometry, Any] | None = None
    _voxelTime: int = 0
    _segmentTime: int | None = None
    _former: VolumeSession | None = None
    _confidences: Mapping[PlaneGeometry, float] | None = None

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
        for geometry in filter(self.storedSteps, self.prompts.planes):
            with suppress(ImageError):
                self._begin(session.plane(geometry), geometry)
        if self._former is not None:
            session.take_over(self._former)
            self._former = None
            return
        for geometry, mask in self.prompts.masks(PlaneMask.ACCEPTED):
            session.accept(geometry, mask, teach=False)
        if self.prompts.areOfProposal:
            self._follow(session)
        elif planes := [*self.confidences, *(plane for plane, _ in self.prompts.masks(PlaneMask.DRAWN))]:
            session.follow(self._contents(session.shape), planes)
        self._giveUpLost(session, isStep=False)
        self.noteWrite()

    def followSegment(self) -> None:
        """Let the session know what others have taken from the segment, and drawn where a proposal is corrected."""
        if self.prompts.areOfProposal:
            self._follow(self.session)
        elif self.isOpen and self._segmentTime != segmentTime(self.segmentationNode, self.segmentID):
            self._giveUpLost(self.session, isStep=False)
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

    def storeAccepted(self, geometry: PlaneGeometry, mask: np.ndarray) -> None:
        """Store a plane's mask (H, W) as accepted, with what the segment did not take of it."""
        left = mask & ~self._onPixels(geometry, self._written(geometry))
        self.prompts.setMask(PlaneMask.ACCEPTED, geometry, mask)
        self.prompts.setMask(PlaneMask.LEFT_OUT, geometry, left if left.any() else None)

    def isWritten(self, geometry: PlaneGeometry, mask: np.ndarray) -> bool:
        """Whether the segment holds a plane's mask (H, W), but for what it did not take when that was accepted.

        Compared voxel by voxel: an oblique plane's pixels are not all nearest to a voxel.
        """
        left = self.prompts.mask(PlaneMask.LEFT_OUT, geometry)
        _, rows, columns = self._voxels(geometry)
        wanted = mask if left is None else mask & ~left
        return np.array_equal(wanted[rows, columns], self._written(geometry))

    def beginAnew(self) -> None:
        """Another session in place of this one, if there is one: prompts are answered anew, labels stay."""
        if not self.isOpen:
            return
        self.close()
        self._former = self.session
        self.restored.clear()
        del self.session
        self.session = self.openSession(self)

    def goOnWith(self, learning: Learning) -> None:
        """Let later prompts ask what answers now; answers stay as they are."""
        for geometry in self.restored:
            self.session.plane(geometry).go_on_with(learning.model)

    @property
    def unsurePlanes(self) -> list[PlaneGeometry]:
        """The planes of `confidences`, the least sure one first."""
        return sorted(self.confidences, key=self.confidences.__getitem__)

    def takeProposal(self, confidences: Mapping[PlaneGeometry, float]) -> None:
        """Let what the segment holds count as if propagations had given it, with planes and their confidences."""
        if not self.prompts.areOfProposal:
            self.prompts.setOfProposal()
            self.notePlacement()
        accepted = {plane for plane, _ in self.prompts.masks(PlaneMask.ACCEPTED)}
        self.confidences = {plane: sure for plane, sure in confidences.items() if plane not in accepted}

    def unsurePlaneAfter(self, geometry: PlaneGeometry | None) -> PlaneGeometry:
        """The plane of `unsurePlanes` after one of them, the first one after any other and after the last.

        Raises:
            PromptError: there is none.
        """
        planes = self.unsurePlanes
        if not planes:
            raise PromptError("no slice is waiting to be looked at: propagate a mask first")
        following = planes.index(geometry) + 1 if geometry in planes else 0
        return planes[following % len(planes)]

    def middle(self, geometry: PlaneGeometry) -> np.ndarray:
        """A point in the middle of what this session has given the segment on a plane, in world (3), mm."""
        from AdaptCore.predict.propagate import innermost

        click = innermost(self.planeLabels(geometry))
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

    def plane(self, geometry: PlaneGeometry) -> PlaneSession:
        """The session of a plane, with the prompts that the scene holds for it."""
        plane = self.session.plane(geometry)
        if geometry not in self.restored:
            self.restored.add(geometry)
            self._replay(plane, geometry)
        return plane

    def openSteps(self, geometry: PlaneGeometry) -> list[PromptStep]:
        """The prompts that the scene holds for a plane and its session was not given yet."""
        return [] if geometry in self.restored else self.storedSteps(geometry)

    def canRedo(self, geometry: PlaneGeometry) -> bool:
        """Whether a plane's session still holds the answer that was undone last."""
        return geometry in self.restored and self.session.plane(geometry).can_redo

    def noteStart(self, geometry: PlaneGeometry) -> None:
        """Before a prompt is given: what the plane's first one is given on is stored with the scene."""
        if self.session.plane(geometry).prompts == Prompts() and not self.openSteps(geometry):
            before = self.prompts.mask(PlaneMask.DRAWN, geometry)
            isDrawn = self._isDrawn(geometry)
            if isDrawn:
                if self._placed is None:
                    self.notePlacement()
                self.session.follow(self._contents(self.session.shape), [geometry])
            prediction = self.session.plane(geometry).prediction
            start = prediction.mask if prediction else None
            isDrawn = isDrawn or (before is not None and start is not None and np.array_equal(before, start))
            self.prompts.setMask(PlaneMask.START, geometry, start)
            self.prompts.setMask(PlaneMask.DRAWN, geometry, start if isDrawn else None)

    def copied(self, geometry: PlaneGeometry) -> PlaneSession:
        """A copy of a plane's session, to be asked and then taken or dropped."""
        return copy.copy(self.session.plane(geometry))

    def take(self, geometry: PlaneGeometry, answered: PlaneSession) -> None:
        """Go on from a copy of a plane's session that was given all prompts of the scene."""
        self.restored.add(geometry)
        self.session.plane(geometry).take_over(answered)

    def storedSteps(self, geometry: PlaneGeometry) -> list[PromptStep]:
        planes = self.prompts.planes
        return self.prompts.steps(planes.index(geometry)) if geometry in planes else []

    def storedClicks(self, geometry: PlaneGeometry) -> tuple[Click, ...]:
        """The clicks that the scene holds for a plane, those of scribbles too."""
        return tuple(click for step in self.storedSteps(geometry) for click in step.clicks)

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
        return [geometry for geometry in self.restored if self.isChanged(geometry)]

    def isChanged(self, geometry: PlaneGeometry) -> bool:
        """Whether a plane's prompts in the scene are no longer those of its session."""
        return not samePrompts(self.plane(geometry).prompts, promptsOf(self.storedSteps(geometry)))

    def rebuild(self, geometry: PlaneGeometry) -> None:
        """Let a plane answer the prompts that the scene holds for it afresh, when it is looked at.

        Picks among earlier answers no longer count.
        """
        self.prompts.removePicks(geometry)
        self._begin(self.session.plane(geometry), geometry)
        self.restored.discard(geometry)

    def mask(self, geometry: PlaneGeometry) -> np.ndarray | None:
        """The mask (H, W) that accepting the plane would write; None without a prediction."""
        prediction = self.plane(geometry).prediction
        if prediction is None:
            return None
        return self.correction(geometry).of(prediction.mask)

    def correction(self, geometry: PlaneGeometry) -> Correction:
        """What makes the mask of a plane from what its session answers."""
        drawn, kept = (self.prompts.mask(kind, geometry) for kind in (PlaneMask.DRAWN, PlaneMask.KEPT))
        return Correction(drawn, kept, self.plane(geometry).prompts)

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

    def _written(self, geometry: PlaneGeometry) -> np.ndarray:
        """Which of the voxels that a plane passes this session has given the segment, bool (N)."""
        return self.session.labelmap[self._voxels(geometry)[0]] > 0

    def _isDrawn(self, geometry: PlaneGeometry) -> bool:
        """Whether the segment holds voxels on a plane that this session has not given it, nor another frame's."""
        if self.prompts.areOfOneOfManyImages:
            return False
        voxels = np.column_stack(self._voxels(geometry)[0])
        held = segmentContents(*self._place, voxels, self._placed)
        return bool((held & ~self._written(geometry)).any())

    def _onPixels(self, geometry: PlaneGeometry, values: np.ndarray) -> np.ndarray:
        """Values (N) of the voxels that a plane passes, bool (H, W); pixels that are nearest to none count as held."""
        _, rows, columns = self._voxels(geometry)
        pixels = np.ones(geometry.shape, bool)
        pixels[rows, columns] = values
        return pixels

    def _giveUpLost(self, session: VolumeSession, block: VoxelBlock | None = None, isStep: bool = True) -> None:
        if block is None:
            given = np.argwhere(session.labelmap)
        else:
            given = np.argwhere((session.labelmap[block.slices] > 0) & block.mask) + block.origin
        lost = given[~segmentContents(*self._place, given, self._placed)]
        if len(lost):
            session.give_up(lost, is_step=isStep)

    def change(self, geometry: PlaneGeometry, mask: np.ndarray) -> Change:
        """What writing a plane's mask (H, W) changes in the segment.

        What others have drawn there stays, unless a - click on it has taken it out of the preview.
        """
        voxels, rows, columns = self._voxels(geometry)
        wanted, written = mask[rows, columns], self._written(geometry)
        gone = (written | self._clickedAway(geometry, mask)[rows, columns]) & ~wanted
        add, remove = (np.column_stack([axis[where] for axis in voxels]) for where in (wanted, gone))
        return Change(VoxelBlock.ofVoxels(add), VoxelBlock.ofVoxels(remove))

    def _clickedAway(self, geometry: PlaneGeometry, mask: np.ndarray) -> np.ndarray:
        """Parts of the segment that an earlier answer held, the mask (H, W) does not hold, and a - click lies on."""
        from AdaptCore.predict.masks import parts_at

        plane = self.plane(geometry)
        clicks = [click for click in plane.prompts.clicks if not click.positive]
        if not clicks:
            return np.zeros(geometry.shape, bool)
        voxels, rows, columns = self._voxels(geometry)
        held = np.zeros(geometry.shape, bool)
        held[rows, columns] = segmentContents(*self._place, np.column_stack(voxels), self._placed)
        return parts_at(plane.was_inside & ~mask & held, clicks)

    @property
    def _place(self) -> tuple[Any, Any, str]:
        return self.volumeNode, self.segmentationNode, self.segmentID

    def _voxels(self, geometry: PlaneGeometry) -> tuple[Any, np.ndarray, np.ndarray]:
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

    def _begin(self, plane: PlaneSession, geometry: PlaneGeometry) -> None:
        """Bring a plane to where its first prompt was given."""
        plane.reset()
        start = self.prompts.mask(PlaneMask.START, geometry)
        if start is not None:
            plane.set_prior(start)

    def _replay(self, plane: PlaneSession, geometry: PlaneGeometry) -> None:
        """Give a plane its prompts again; one that no longer fits it, since it was dragged outside, is left out."""
        for action in self.storedSteps(geometry):
            with suppress(PromptError):
                giveStep(plane, action)


def planesThatMeet(mask: np.ndarray, planes: Iterable[PlaneGeometry]) -> list[PlaneGeometry]:
    """Those of some slices along the axes that hold a voxel of a mask (i, j, k)."""
    filled = [np.asarray(mask.any(tuple(other for other in range(3) if other != axis))) for axis in range(3)]
    return [plane for plane in planes if plane.axis is not None and filled[plane.axis][sliceIndex(plane)]]


def sliceIndex(geometry: PlaneGeometry) -> int:
    """The index of a slice along one of the volume's axes."""
    assert geometry.axis is not None
    return int(geometry.plane_to_ijk[geometry.axis, 2])


def giveStep(plane: PlaneSession, action: PromptStep) -> None:
    """Give a plane one action."""
    if action.picked:
        plane.take_mask(unpackMask(action.picked, plane.shape))
    if action.box is not None:
        plane.box(action.box.x0, action.box.y0, action.box.x1, action.box.y1)
    if action.lasso is not None:
        plane.lasso(action.lasso.points)
    if len(action.clicks) == 1:
        plane.click(action.clicks[0].x, action.clicks[0].y, action.clicks[0].positive)
    elif action.clicks:
        plane.scribble([(click.x, click.y) for click in action.clicks], action.clicks[0].positive)


def promptsOf(steps: list[PromptStep]) -> Prompts:
    """All prompts of a plane's actions."""
    prompts = Prompts()
    for action in steps:
        prompts = prompts.with_scribble(action.clicks)
        prompts = prompts if action.box is None else prompts.with_box(action.box)
        prompts = prompts if action.lasso is None else prompts.with_lasso(action.lasso)
    return prompts


def samePrompts(first: Prompts, second: Prompts) -> bool:
    """Whether two sets of prompts agree up to rounding."""
    if [click.positive for click in first.clicks] != [click.positive for click in second.clicks]:
        return False
    places, others = _places(first), _places(second)
    return list(map(len, places)) == list(map(len, others)) and all(
        np.allclose(place, other, atol=SAME_PIXEL) for place, other in zip(places, others)
    )


def _places(prompts: Prompts) -> tuple[list[float], list[float], list[float]]:
    """Coordinates of the clicks, of the box, and of the lasso, which says more than the box around it."""
    clicks = [value for click in prompts.clicks for value in (click.x, click.y)]
    if prompts.lasso is not None:
        return clicks, [], [value for point in prompts.lasso.points for value in point]
    box = prompts.box
    return clicks, [] if box is None else [box.x0, box.y0, box.x1, box.y1], []
