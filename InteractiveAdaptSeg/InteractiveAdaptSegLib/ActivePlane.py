"""The plane or object that is worked on: its mask, and what the views and the panel show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from InteractiveAdaptSegLib.Candidates import Candidates
from InteractiveAdaptSegLib.PreviewNode import PreviewNode, blockImage, planeImage
from InteractiveAdaptSegLib.Region import Mask
from InteractiveAdaptSegLib.Target import Target, areOfOneRegion
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class ActivePlane:
    """The plane of the latest prompt, or the object that this was about, with its preview and candidates.

    Attributes:
        geometry: None while there is none.
        mask: bool (H, W), or a block of an object, that accepting would write; None without an answer.
        isAccepted: whether the segment holds the mask already.
    """

    def __init__(self, scene: Any, candidates: Candidates) -> None:
        self._preview = PreviewNode(scene)
        self._candidates = candidates
        self._target: Target | None = None
        self.geometry: PlaneGeometry | None = None
        self.mask: Mask | None = None
        self.isAccepted = False

    def show(self, target: Target, geometry: PlaneGeometry) -> None:
        """Show a plane that has answered."""
        region = target.region(geometry)
        self._target, self.geometry, self.mask = target, geometry, region.mask
        self.isAccepted = self.mask is not None and region.isWritten(self.mask)
        self.showMask()
        if self.mask is None or self.isAccepted:
            self._candidates.drop()
        else:
            self._candidates.follow(target, geometry)

    def await_(self, geometry: PlaneGeometry) -> None:
        """Show nothing until a plane has answered; of an object, the answer before."""
        if not (geometry.of_object and areOfOneRegion(geometry, self.geometry)):
            self.clear()
        self.geometry = geometry

    def clear(self) -> None:
        """Look at no plane."""
        self._target = self.geometry = self.mask = None
        self.isAccepted = False
        self._preview.hide()
        self._candidates.drop()

    def showMask(self) -> None:
        """Show the mask, unless the segment shows it already."""
        if self.geometry is None or self.mask is None or self.isAccepted:
            self._preview.hide()
        else:
            self._showInViews(self.mask)

    def showCandidate(self, number: int) -> None:
        """Show what a candidate's pick would give, and change nothing.

        Raises:
            PromptError: there is none of this number.
        """
        self._showInViews(self._candidates.view(number).mask)

    def noteGone(self, node: Any) -> None:
        """Let go of the preview's node if that is being removed."""
        if node is self._preview.node:
            self._preview.forget()

    def forgetScene(self) -> None:
        """Let go of the preview without touching the scene, which is being closed."""
        self._preview.forget()

    def close(self) -> None:
        """Take the preview out of the scene."""
        self._preview.remove()

    def _showInViews(self, mask: Mask) -> None:
        target, geometry = self._target, self.geometry
        if target is None or geometry is None:
            return
        if isinstance(mask, VoxelBlock):
            image = blockImage(target.volumeNode, mask)
        else:
            image = planeImage(target.volumeNode, geometry, mask)
        self._preview.show(image, target.color)
