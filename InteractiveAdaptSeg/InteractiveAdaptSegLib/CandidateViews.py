"""What is shown of candidates: of a plane its picture, of an object the slice that it changes most."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from AdaptCore.prompts import Prompts
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, voxelArray
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.block import BlockSession, ObjectPrediction
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.intensity import Window
    from AdaptCore.predict.plane import PlaneSession
    from AdaptCore.preference.adviser import Round
    from AdaptCore.preference.candidates import Candidate

THUMBNAIL_SIDE = 144


@dataclass(frozen=True, eq=False)
class CandidateView:
    """What is shown of one candidate.

    Attributes:
        mask: bool (H, W), the plane's mask after it is picked; of an object, a `VoxelBlock`.
        added, removed: bool (H, W), where that differs from the mask it is offered beside; of an object, on the slice
            that the picture shows.
        areaChange: mm² that a plane's mask has more, negative where it is smaller; None for an object.
        volumeChange: mL that an object has more; None for a plane.
        probability: share of the masks that the user may want which look like it, 0 to 1.
        thumbnail: uint8 (side, side, 3); added is blue, removed is orange, a white outline is the mask beside it.
    """

    mask: Any
    added: np.ndarray
    removed: np.ndarray
    areaChange: float | None
    volumeChange: float | None
    probability: float
    thumbnail: np.ndarray


class Asked(Protocol):
    """A plane or object and what is needed to show its candidates, as it was when they were asked for."""

    @property
    def session(self) -> Any:
        """A copy of what the adviser is asked about, that nothing else changes."""

    def views(self, shown: Round) -> tuple[CandidateView, ...]:
        """What is shown of a round's candidates."""


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


@dataclass(frozen=True, eq=False)
class AskedPlane:
    """A plane; see `Asked`.

    Attributes:
        voxels: of the volume, (i, j, k) or (i, j, k, 3).
        correction: makes a mask of an answer.
        pixelArea: mm² of the plane.
    """

    session: PlaneSession
    geometry: PlaneGeometry
    voxels: np.ndarray
    window: Window
    correction: Correction
    pixelArea: float

    @classmethod
    def of(
        cls, volumeNode: Any, geometry: PlaneGeometry, session: PlaneSession, correction: Correction, window: Window
    ) -> AskedPlane:
        area = pixelArea(ijkToWorld(volumeNode), geometry)
        return cls(copy.copy(session), geometry, voxelArray(volumeNode), window, correction, area)

    def views(self, shown: Round) -> tuple[CandidateView, ...]:
        from AdaptCore.predict.geometry import extract
        from AdaptCore.predict.intensity import apply_window
        from AdaptCore.preference.thumbnails import thumbnails

        image = apply_window(extract(self.voxels, self.geometry), self.window)
        pictures = thumbnails(image if shown.view is None else image[shown.view.slices], shown.proposal, THUMBNAIL_SIDE)
        return tuple(self._view(shown, *each) for each in zip(shown.proposal.candidates, pictures))

    def _view(self, shown: Round, candidate: Candidate, picture: np.ndarray) -> CandidateView:
        assert self.session.prediction is not None
        answers = self.session.prediction.mask, copy.copy(self.session).take(shown.look(candidate)).mask
        before, mask = map(self.correction.of, answers)
        added, removed = mask & ~before, before & ~mask
        area = (int(added.sum()) - int(removed.sum())) * self.pixelArea
        return CandidateView(mask, added, removed, area, None, candidate.probability, picture)


@dataclass(frozen=True, eq=False)
class AskedObject:
    """An object; see `Asked`.

    Attributes:
        voxels: of the volume, (i, j, k).
        correction: makes what is shown and written of an answer.
        voxelVolume: mL.
        axis: across the slices, one of which is shown.
    """

    session: BlockSession
    voxels: np.ndarray
    window: Window
    correction: Callable[[ObjectPrediction], VoxelBlock]
    voxelVolume: float
    axis: int

    @classmethod
    def of(
        cls,
        volumeNode: Any,
        session: BlockSession,
        correction: Callable[[ObjectPrediction], VoxelBlock],
        window: Window,
    ) -> AskedObject:
        from AdaptCore.predict.geometry import thickest_axis

        axis = thickest_axis(volumeNode.GetSpacing())
        volume = abs(float(np.linalg.det(ijkToWorld(volumeNode)[:3, :3]))) / 1000
        return cls(session, voxelArray(volumeNode), window, correction, volume, axis)

    def views(self, shown: Round) -> tuple[CandidateView, ...]:
        before = self._shown(shown.present)
        return tuple(self._view(shown, before, candidate) for candidate in shown.proposal.candidates)

    def _view(self, shown: Round, before: ObjectPrediction, candidate: Candidate) -> CandidateView:
        from AdaptCore.predict.geometry import axis_plane, extract
        from AdaptCore.predict.intensity import apply_window
        from AdaptCore.preference.object_change import change_of
        from AdaptCore.preference.thumbnails import thumbnail

        after, shape = self._shown(shown.look(candidate)), self.session.shape
        change = change_of(before, after, shape, self.voxelVolume, self.axis)
        image = apply_window(extract(self.voxels, axis_plane(shape, self.axis, change.index)), self.window)
        picture = thumbnail(image, change.before, change.after, THUMBNAIL_SIDE)
        i, j, k = (part.start for part in after.box)
        added, removed = change.after & ~change.before, change.before & ~change.after
        mask = VoxelBlock((i, j, k), after.mask)
        return CandidateView(mask, added, removed, None, change.millilitres, candidate.probability, picture)

    def _shown(self, prediction: ObjectPrediction) -> ObjectPrediction:
        """An answer with what is shown and written of it."""
        block = self.correction(prediction)
        i, j, k = block.slices
        return replace(prediction, box=(i, j, k), mask=block.mask)


def pixelArea(toWorld: np.ndarray, geometry: PlaneGeometry) -> float:
    """mm² of a plane's pixel, with the 4 x 4 matrix from voxels to world."""
    across, along = (toWorld[:3, :3] @ geometry.plane_to_ijk[:, :2]).T
    return float(np.linalg.norm(np.cross(across, along)))
