"""One plane of a segment: its prompts in the scene, its session in AdaptCore, and its mask in the segment."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import PromptError
from AdaptCore.prompts import Click, Prompts
from InteractiveAdaptSegLib.CandidateViews import AskedPlane, Correction
from InteractiveAdaptSegLib.PackedMask import packMask, unpackMask
from InteractiveAdaptSegLib.PromptNodes import PlaneMask, PromptStep
from InteractiveAdaptSegLib.Region import Change
from InteractiveAdaptSegLib.SegmentWriter import SegmentWriter
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.learning import Example
    from AdaptCore.predict.plane import Look, PlaneSession
    from InteractiveAdaptSegLib.Target import Target

SAME_PIXEL = 1e-3
"""Prompts closer than this many pixels are the same prompt."""


class PlaneRegion:
    """A plane of a target; see `Region`."""

    isSlow = False

    def __init__(self, target: Target, geometry: PlaneGeometry) -> None:
        self._target = target
        self._geometry = geometry

    @property
    def session(self) -> PlaneSession:
        """The session of the plane, with the prompts that the scene holds for it."""
        plane = self._target.session.plane(self._geometry)
        if self._geometry not in self._target.restored:
            self._target.restored.add(self._geometry)
            for action in self.steps:
                with suppress(PromptError):  # it no longer fits, since it was dragged outside
                    self.give(plane, action)
        return plane

    @property
    def steps(self) -> list[PromptStep]:
        """The prompts that the scene holds for the plane."""
        prompts = self._target.prompts
        planes = prompts.planes
        return prompts.steps(planes.index(self._geometry)) if self._geometry in planes else []

    @property
    def openSteps(self) -> list[PromptStep]:
        """The prompts that the scene holds for the plane and its session was not given yet."""
        return [] if self._geometry in self._target.restored else self.steps

    @property
    def clicks(self) -> tuple[Click, ...]:
        """The clicks that the scene holds for the plane, those of scribbles too."""
        return tuple(click for step in self.steps for click in step.clicks)

    @property
    def canRedo(self) -> bool:
        """Whether the plane's session still holds the answer that was undone last."""
        return self._geometry in self._target.restored and self._target.session.plane(self._geometry).can_redo

    @property
    def isChanged(self) -> bool:
        """Whether the plane's prompts in the scene are no longer those of its session."""
        return not samePrompts(self.session.prompts, promptsOf(self.steps))

    @property
    def mask(self) -> np.ndarray | None:
        """The mask (H, W) that accepting the plane would write; None without a prediction."""
        prediction = self.session.prediction
        return None if prediction is None else self.correction.of(prediction.mask)

    @property
    def correction(self) -> Correction:
        """What makes the mask of the plane from what its session answers."""
        drawn, kept = (self._target.prompts.mask(kind, self._geometry) for kind in (PlaneMask.DRAWN, PlaneMask.KEPT))
        return Correction(drawn, kept, self.session.prompts)

    def asked(self) -> AskedPlane:
        """The plane as it is now, to be asked for candidates."""
        target, session = self._target, self._target.session
        return AskedPlane.of(target.volumeNode, self._geometry, self.session, self.correction, session.window)

    def pick(self, look: Look) -> PromptStep:
        """Make a candidate the answer, as one step, which the scene stores."""
        answer = self.session.take(look)
        action = PromptStep(self._target.prompts.nextStep, picked=packMask(answer.mask))
        self._target.prompts.addStep(self._geometry, action)
        return action

    @property
    def labels(self) -> np.ndarray:
        """What the target's session has given the segment on the plane, bool (H, W)."""
        from AdaptCore.predict.geometry import plane_labels

        return plane_labels(self._target.session.labelmap, self._geometry)

    @property
    def confidences(self) -> Mapping[PlaneGeometry, float]:
        """How confident a propagation or proposal is, 0 to 1, of the slices that wait to be looked at."""
        return self._target.confidences

    def middle(self, plane: PlaneGeometry) -> Click:
        """A point in the middle of what the target's session has given the segment on a plane."""
        from AdaptCore.predict.propagate import innermost

        return innermost(PlaneRegion(self._target, plane).labels)

    def contents(self, writer: SegmentWriter) -> np.ndarray:
        """What the segment holds on the plane, whoever has drawn it, bool (H, W)."""
        voxels, rows, columns = self._voxels
        contents = np.zeros(self._geometry.shape, bool)
        contents[rows, columns] = writer.contents(np.column_stack(voxels))
        return contents

    def noteStart(self) -> None:
        """Before a prompt is given: what the plane's first one is given on is stored with the scene."""
        target, geometry = self._target, self._geometry
        if target.session.plane(geometry).prompts != Prompts() or self.openSteps:
            return
        before = target.prompts.mask(PlaneMask.DRAWN, geometry)
        isDrawn = self._isDrawn
        if isDrawn:
            target.followDrawn(geometry)
        prediction = target.session.plane(geometry).prediction
        start = prediction.mask if prediction else None
        isDrawn = isDrawn or (before is not None and start is not None and np.array_equal(before, start))
        target.prompts.setMask(PlaneMask.START, geometry, start)
        target.prompts.setMask(PlaneMask.DRAWN, geometry, start if isDrawn else None)

    def give(self, plane: PlaneSession, action: PromptStep) -> None:
        """Give a session of the plane one action."""
        if action.picked:
            plane.take_mask(unpackMask(action.picked, plane.shape))
        if action.box is not None:
            plane.box(action.box.x0, action.box.y0, action.box.x1, action.box.y1)
        if action.lasso is not None:
            plane.lasso(action.lasso.points)
        if action.clicks:
            plane.add_clicks(action.clicks)

    def copied(self) -> PlaneSession:
        """A copy of the plane's session, to be asked and then taken or dropped."""
        return copy.copy(self._target.session.plane(self._geometry))

    def take(self, answered: PlaneSession) -> None:
        """Go on from a copy of the plane's session that was given all prompts of the scene."""
        self._target.restored.add(self._geometry)
        self._target.session.plane(self._geometry).take_over(answered)

    def rebuild(self) -> None:
        """Let the plane answer the prompts that the scene holds for it afresh, when it is looked at.

        Picks among earlier answers no longer count.
        """
        self._target.prompts.removePicks(self._geometry)
        self.begin(self._target.session.plane(self._geometry))
        self._target.restored.discard(self._geometry)

    def begin(self, plane: PlaneSession) -> None:
        """Bring a session to where the plane's first prompt was given."""
        plane.reset()
        start = self._target.prompts.mask(PlaneMask.START, self._geometry)
        if start is not None:
            plane.set_prior(start)

    def clear(self) -> None:
        """Take the prompts out of session and scene; what was accepted is kept with the masks to come."""
        self.session.reset()
        self._target.prompts.setMask(PlaneMask.KEPT, self._geometry, self.labels)
        self.removePrompts()

    def removePrompts(self) -> None:
        """Take the prompts out of the scene."""
        self._target.prompts.removePlane(self._geometry)

    def confirm(self, mask: np.ndarray) -> bool:
        """The mask (H, W) is accepted, as one step of the target's session; whether it was not before."""
        target = self._target
        target.confidences = {plane: sure for plane, sure in target.confidences.items() if plane != self._geometry}
        return target.session.accept(self._geometry, mask, teach=False)

    def storeAccepted(self, mask: np.ndarray) -> None:
        """Store the mask (H, W) as accepted, with what the segment did not take of it."""
        left = mask & ~self._onPixels(self._written)
        self._target.prompts.setMask(PlaneMask.ACCEPTED, self._geometry, mask)
        self._target.prompts.setMask(PlaneMask.LEFT_OUT, self._geometry, left if left.any() else None)

    def isWritten(self, mask: np.ndarray) -> bool:
        """Whether the segment holds the mask (H, W), but for what it did not take when that was accepted.

        Compared voxel by voxel: an oblique plane's pixels are not all nearest to a voxel.
        """
        left = self._target.prompts.mask(PlaneMask.LEFT_OUT, self._geometry)
        _, rows, columns = self._voxels
        wanted = mask if left is None else mask & ~left
        return np.array_equal(wanted[rows, columns], self._written)

    def change(self, mask: np.ndarray) -> Change:
        """What writing the mask (H, W) changes in the segment.

        What others have drawn there stays, unless a - click on it has taken it out of the preview.
        """
        voxels, rows, columns = self._voxels
        wanted, written = mask[rows, columns], self._written
        gone = (written | self._clickedAway(mask)[rows, columns]) & ~wanted
        add, remove = (np.column_stack([axis[where] for axis in voxels]) for where in (wanted, gone))
        return Change(VoxelBlock.ofVoxels(add), VoxelBlock.ofVoxels(remove))

    @property
    def lesson(self) -> np.ndarray | None:
        """What accepting the present answer teaches, bool (H, W)."""
        prediction = self.session.prediction
        return None if prediction is None else prediction.mask

    def examples(self, mask: np.ndarray) -> list[Example]:
        """What a mask (H, W) says as the answer to the prompts."""
        return self._target.session.examples(self._geometry, mask)

    def teach(self, mask: np.ndarray, examples: Sequence[Example] | None) -> None:
        """Let a mask (H, W) be learnt, as part of the latest step of the target's session."""
        self._target.session.teach(self._geometry, mask, examples)

    @property
    def _voxels(self) -> Any:
        return self._target.voxelsOn(self._geometry)

    @property
    def _written(self) -> np.ndarray:
        """Which of the voxels that the plane passes the target's session has given the segment, bool (N)."""
        return self._target.session.labelmap[self._voxels[0]] > 0

    @property
    def _held(self) -> np.ndarray:
        """Which of the voxels that the plane passes the segment holds, bool (N)."""
        return self._target.holds(np.column_stack(self._voxels[0]))

    @property
    def _isDrawn(self) -> bool:
        """Whether the segment holds voxels on the plane that this session has not given it, nor another frame's."""
        if self._target.prompts.areOfOneOfManyImages:
            return False
        return bool((self._held & ~self._written).any())

    def _onPixels(self, values: np.ndarray) -> np.ndarray:
        """Values (N) of the voxels that the plane passes, bool (H, W); pixels nearest to none count as held."""
        _, rows, columns = self._voxels
        pixels = np.ones(self._geometry.shape, bool)
        pixels[rows, columns] = values
        return pixels

    def _clickedAway(self, mask: np.ndarray) -> np.ndarray:
        """Parts of the segment that an earlier answer held, the mask (H, W) does not hold, and a - click lies on."""
        from AdaptCore.predict.masks import parts_at

        plane = self.session
        clicks = [click for click in plane.prompts.clicks if not click.positive]
        held = np.zeros(self._geometry.shape, bool)
        if not clicks:
            return held
        _, rows, columns = self._voxels
        held[rows, columns] = self._held
        return parts_at(plane.was_inside & ~mask & held, clicks)


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
