"""The folder of `adaptseg segment --candidates`: the candidates of each plane, and contact sheets."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.errors import OutputError

if TYPE_CHECKING:
    import numpy as np

    from AdaptCore.commands.picking import Rounds
    from AdaptCore.io import Volume
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.volume import VolumeSession
    from AdaptCore.preference.candidates import Proposal

SHEET = "contact-sheet.png"


@dataclass(frozen=True, eq=False)
class Offer:
    """What may be wanted of one plane.

    Attributes:
        geometry: of the plane.
        image: float32 (h, w) or (h, w, 3) in [0, 1], of just what the proposal's maps show.
        proposal: the plane's answer and the candidates beside it.
        recommended: bool (H, W), the answer.
        masks: bool (H, W), for each candidate what its pick would make the answer.
    """

    geometry: PlaneGeometry
    image: np.ndarray
    proposal: Proposal
    recommended: np.ndarray
    masks: tuple[np.ndarray, ...]


@dataclass(frozen=True, eq=False)
class CandidateFolder:
    """A folder for the candidates of some planes of a volume; what is there already is never replaced.

    Attributes:
        folder: made when the first offer is written.
        axis: across the planes.
        suffix: of the masks, with the dot.
    """

    folder: Path
    volume: Volume
    axis: int
    suffix: str
    _offers: list[Offer] = field(default_factory=list)

    def paths(self, indices: Iterable[int]) -> list[Path]:
        """All files that the planes of these indices may give."""
        from AdaptCore.preference.recipe import DEFAULT

        numbers = range(1, DEFAULT.candidates + 1)
        return [
            path for index in indices for path in (self._sheet(index), *(self._mask(index, one) for one in numbers))
        ]

    def check(self, indices: Iterable[int], results: Sequence[Path]) -> None:
        """Check that none of the files is there, nor is one of the command's other results.

        Raises:
            OutputError: one is.
        """
        taken = {path.resolve() for path in results}
        for path in self.paths(indices):
            if os.path.lexists(path):
                raise OutputError(f"{path}: This file is there already. Choose another folder.")
            if path.resolve() in taken:
                raise OutputError(f"{path}: This is another result of the command. Choose another folder.")

    def prepare(self, indices: Iterable[int]) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made or written.
        """
        from AdaptCore.atomic import prepare_folder

        prepare_folder(self.folder, [path.name for path in self.paths(indices)])

    def note(self, rounds: Rounds, session: VolumeSession, geometry: PlaneGeometry) -> None:
        """Keep what else may be wanted of a plane that has an answer; its answer and the profile stay as they are."""
        from AdaptCore.predict.geometry import extract
        from AdaptCore.predict.intensity import apply_window

        plane = session.plane(geometry)
        if plane.prediction is None:
            return
        shown, recommended = rounds.ask(), plane.prediction.mask
        image = apply_window(extract(self.volume.array, geometry), session.window)
        if shown.view:
            image = image[shown.view.slices]
        masks = []
        for look in shown.looks:
            masks.append(plane.take(look).mask)
            plane.undo()
        self._offers.append(Offer(geometry, image, shown.proposal, recommended, tuple(masks)))

    def write(self) -> list[str]:
        """Write masks and contact sheets; lines that tell how many and where.

        Raises:
            OutputError: the system could not write.
        """
        from AdaptCore.atomic import write_bytes
        from AdaptCore.evaluate.contact_sheet import contact_sheet
        from AdaptCore.io import write_mask

        for offer in self._offers:
            index = self._index(offer)
            for number, mask in enumerate(offer.masks, start=1):
                write_mask(self._in_volume(mask, offer.geometry), self.volume.geometry, self._mask(index, number))
            sheet = contact_sheet(offer.image, offer.proposal, offer.recommended, offer.masks)
            write_bytes(self._sheet(index), sheet)
        return [self._told(offer) for offer in self._offers]

    def _mask(self, index: int, number: int) -> Path:
        return self.folder / f"{self._plane(index)}candidate-{number}{self.suffix}"

    def _sheet(self, index: int) -> Path:
        return self.folder / f"{self._plane(index)}{SHEET}"

    def _plane(self, index: int) -> str:
        """What the names of a plane's files begin with; a picture has one plane only."""
        return "" if self.volume.geometry.is_flat else f"{'IJK'[self.axis]}{index}-"

    def _index(self, offer: Offer) -> int:
        return int(offer.geometry.plane_to_ijk[self.axis, 2])

    def _in_volume(self, mask: np.ndarray, geometry: PlaneGeometry) -> np.ndarray:
        """The mask (H, W) of a plane as uint8 (I, J, K), empty elsewhere."""
        import numpy as np

        from AdaptCore.predict.geometry import plane_voxels

        size = self.volume.geometry.size
        voxels, rows, columns = plane_voxels(size, geometry)
        labels = np.zeros(size, np.uint8)
        labels[voxels] = mask[rows, columns]
        return labels

    def _told(self, offer: Offer) -> str:
        count = len(offer.masks)
        where = "" if self.volume.geometry.is_flat else f"plane {self._index(offer)}: "
        what = f"{count} candidate{'s' if count > 1 else ''}" if count else "no candidate differs from the prediction"
        return f"{self._sheet(self._index(offer))}: {where}{what}"
