"""Masks are accepted: written, learnt, and carried to further slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from AdaptCore.errors import PromptError
from InteractiveAdaptSegLib.Commands import WriteCommand
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.Propagating import Propagating
from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.TargetWriter import TargetWriter, Written
from InteractiveAdaptSegLib.Teaching import Teaching
from InteractiveAdaptSegLib.Underway import Underway
from InteractiveAdaptSegLib.VolumeGeometry import sliceIndex

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry


class Accepting:
    """Accepts planes and propagations.

    Args:
        onWritten: called with what was written.
        onMessage: called with what the user should know.
    """

    def __init__(
        self,
        writes: TargetWriter,
        teaching: Teaching,
        underway: Underway,
        onWritten: Callable[[Written], None],
        onMessage: Callable[[str], None],
    ) -> None:
        self._writes = writes
        self._teaching = teaching
        self._onWritten = onWritten
        self._underway = underway
        self._onMessage = onMessage

    def accept(self, target: Target, geometry: PlaneGeometry) -> None:
        """Write a plane's mask and let it be learnt.

        Raises:
            AdaptSegError: it cannot be written.
        """
        self._accept(target, geometry, lambda accepted: None)

    def propagate(self, target: Target, geometry: PlaneGeometry, acceptsFirst: bool) -> None:
        """Carry what the segment holds on a slice to its neighbours, in the background.

        Args:
            acceptsFirst: write the slice's mask before.

        Raises:
            AdaptSegError: the plane is oblique or empty, or cannot be written.
        """
        if geometry.of_object:
            raise SceneError("an object has its slices already: choose Slice to propagate a mask")
        if geometry.axis is None:
            raise SceneError(
                "propagation needs a slice along the volume's axes, and this one is oblique: "
                "turn the view to the volume plane, accept a mask there, and propagate that"
            )
        if acceptsFirst:
            self._accept(target, geometry, lambda accepted: self._start(target, geometry, accepted))
        else:
            self._start(target, geometry)

    def _accept(self, target: Target, geometry: PlaneGeometry, goOn: Callable[[WriteCommand], None]) -> None:
        written = self._writes.accept(target, geometry)
        self._onWritten(written)
        self._teaching.teach(target, geometry, written.lesson, lambda: goOn(written.command))

    def _start(self, target: Target, geometry: PlaneGeometry, accepted: WriteCommand | None = None) -> None:
        contents = self._writes.contents(target, geometry)
        if not contents.any():
            raise PromptError(f"the segment is empty on slice {sliceIndex(geometry)}: accept a mask there first")
        stepsBefore = target.session.steps
        lesson = contents if target.session.accept(geometry, contents, teach=False) else None
        self._teaching.teach(
            target,
            geometry,
            lesson,
            lambda: self._underway.begin(Propagating(target, geometry, stepsBefore, accepted), self._writeFound),
            lambda: target.undoSteps(stepsBefore),
        )

    def _writeFound(self, running: Propagating) -> None:
        """Write what a propagation has found; nothing of one that has failed or found nothing is left behind.

        Raises:
            AdaptSegError: it has failed, or cannot be written.
        """
        try:
            written = self._writes.writeFound(running)
        except BaseException:
            running.takeBack()
            raise
        if written is None:
            running.takeBack()
            self._onMessage("The propagation found the object on no further slice.")
        else:
            self._onWritten(written)
