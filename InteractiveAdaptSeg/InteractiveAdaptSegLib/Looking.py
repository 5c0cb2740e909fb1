"""What is looked at: a plane or the object, as chosen, shown once it has answered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import slicer

from AdaptCore.errors import PromptError
from InteractiveAdaptSegLib.ActivePlane import ActivePlane
from InteractiveAdaptSegLib.Answering import Answering
from InteractiveAdaptSegLib.Asker import Asker
from InteractiveAdaptSegLib.OpenTargets import OpenTargets
from InteractiveAdaptSegLib.Target import Target, areOfOneRegion
from InteractiveAdaptSegLib.VolumeGeometry import slicePlane

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class Hindrance(Enum):
    """Why prompts cannot be about a whole object.

    Attributes:
        ONE_SLICE: the volume is a picture.
        COLOUR: the volume has several components.
        NO_MODEL: the model of volumes is not there.
        PROPOSAL: what is corrected is what a cohort proposes, slice by slice.
    """

    ONE_SLICE = auto()
    COLOUR = auto()
    NO_MODEL = auto()
    PROPOSAL = auto()


class Looking:
    """Turns the views and the panel to a plane or the object.

    Args:
        plane: is turned.
        requireTarget: gives what is worked on; raises a SceneError where that is nothing.
        onChanged: called when something else is shown.

    Attributes:
        isObjectWanted: whether prompts are to be about the whole object, where that can be.
    """

    def __init__(
        self,
        scene: Any,
        targets: OpenTargets,
        plane: ActivePlane,
        asker: Asker,
        answering: Answering,
        requireTarget: Callable[[], Target],
        onChanged: Callable[[], None],
    ) -> None:
        self._scene = scene
        self._targets = targets
        self._plane = plane
        self._asker = asker
        self._answering = answering
        self._requireTarget = requireTarget
        self._onChanged = onChanged
        self.isObjectWanted = False
        self._shownUnsure: PlaneGeometry | None = None

    @property
    def isAtObject(self) -> bool:
        """Whether prompts are about the whole object now."""
        target = self._targets.current
        return self.isObjectWanted and target is not None and self.hindrance(target.volumeNode) is None

    def hindrance(self, volumeNode: Any) -> Hindrance | None:
        """Why prompts on a volume cannot be about a whole object; None where they can."""
        target = self._targets.current
        image = volumeNode.GetImageData()
        if image is None or min(image.GetDimensions()) < 2:
            return Hindrance.ONE_SLICE
        if image.GetNumberOfScalarComponents() > 1:
            return Hindrance.COLOUR
        if not self._answering.hasVolumeModel:
            return Hindrance.NO_MODEL
        isProposal = target is not None and target.volumeNode is volumeNode and target.prompts.areOfProposal
        return Hindrance.PROPOSAL if isProposal else None

    def turn(self) -> None:
        """Turn to the object that has prompts, if prompts are about the object; from one, if they no longer are."""
        target, geometry = self._targets.current, self._plane.geometry
        isAtObject = self.isAtObject
        if geometry is not None and geometry.of_object != isAtObject:
            self._plane.clear()
        steps = target.prompts.objectSteps if target is not None and isAtObject else []
        if steps and self._plane.geometry is None and steps[-1].plane is not None:
            self.activate(steps[-1].plane)

    def activate(self, geometry: PlaneGeometry) -> None:
        """Turn to a plane, or to the object, and show mask and candidates when it has answered."""
        target = self._requireTarget()

        def show() -> None:
            self._plane.show(target, geometry)
            self._answering.tellOfProblems()
            self._onChanged()

        self._asker.onceAnswered(target, geometry, show)
        if self._asker.isAsking:
            self._plane.await_(geometry)
            self._onChanged()

    def showPlane(self, sliceNode: Any) -> bool:
        """Turn to the plane that a view shows, or to the object, if it has prompts; whether it has."""
        target = self._requireTarget()
        geometry = replace(slicePlane(sliceNode, target.volumeNode), of_object=self.isAtObject)
        if not target.region(geometry).steps:
            return False
        self.activate(geometry)
        return True

    def showUnsurePlane(self) -> None:
        """Let the slice views go to the slice that is least sure; from there, to the next.

        Raises:
            PromptError: there is none.
        """
        target, geometry, views = self._requireTarget(), self._plane.geometry, slicer.vtkMRMLSliceNode
        isFirst = geometry is not None and geometry.of_object and geometry != self._shownUnsure
        geometry = self._shownUnsure = target.unsurePlaneAfter(geometry, isFirst)
        views.JumpAllSlices(self._scene, *target.middle(geometry).tolist(), views.OffsetJumpSlice)
        self.activate(geometry)

    def requirePlane(self) -> tuple[Target, PlaneGeometry]:
        """What is looked at.

        Raises:
            PromptError: nothing has a prompt.
        """
        target, geometry = self._requireTarget(), self._plane.geometry
        if geometry is None:
            raise PromptError("no plane has a prompt yet: click on the object in a slice view first")
        return target, geometry

    def answerAnew(self) -> None:
        """Sessions have begun anew, and so does the mask that is not accepted."""
        if self._plane.geometry is not None and not self._plane.isAccepted:
            self.activate(self._plane.geometry)
        self._onChanged()

    def onRebuilt(self, target: Target, geometry: PlaneGeometry) -> None:
        """A plane or object answers its prompts afresh."""
        if target is self._targets.current and areOfOneRegion(geometry, self._plane.geometry):
            self.activate(geometry)
        self._onChanged()
