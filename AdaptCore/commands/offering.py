"""The folder of `adaptseg segment --candidates`: the candidates of each plane or of the object, and contact sheets."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands.console import counted
from AdaptCore.errors import OutputError

if TYPE_CHECKING:
    import numpy as np

    from AdaptCore.commands.picking import Rounds
    from AdaptCore.io import Volume
    from AdaptCore.predict.block import BlockSession
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.intensity import Window
    from AdaptCore.predict.volume import VolumeSession

SHEET = "contact-sheet.png"

OBJECT = None
"""Stands for the index of a plane where the whole object is offered."""


@dataclass(frozen=True, eq=False)
class Offer:
    """What may be wanted of one plane, or of the object.

    Attributes:
        index: of the plane, or `OBJECT`.
        masks: give uint8 (I, J, K), for each candidate what its pick would make the answer.
        sheet: gives the contact sheet, a PNG.
    """

    index: int | None
    masks: tuple[Callable[[], np.ndarray], ...]
    sheet: Callable[[], bytes]


@dataclass(frozen=True, eq=False)
class CandidateFolder:
    """A folder for the candidates of some planes of a volume, or of an object; what is there is never replaced.

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

    def paths(self, indices: Iterable[int | None]) -> list[Path]:
        """All files that the planes of these indices, or an object, may give."""
        from AdaptCore.preference.recipe import DEFAULT

        numbers = range(1, DEFAULT.candidates + 1)
        return [
            path for index in indices for path in (self._sheet(index), *(self._mask(index, one) for one in numbers))
        ]

    def check(self, indices: Iterable[int | None], results: Sequence[Path]) -> None:
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

    def prepare(self, indices: Iterable[int | None]) -> None:
        """Make the folder.

        Raises:
            OutputError: it cannot be made or written.
        """
        from AdaptCore.atomic import prepare_folder

        prepare_folder(self.folder, [path.name for path in self.paths(indices)])

    def note(self, rounds: Rounds, session: VolumeSession, geometry: PlaneGeometry) -> None:
        """Keep what else may be wanted of a plane that has an answer; its answer and the profile stay as they are."""
        from AdaptCore.evaluate.contact_sheet import contact_sheet
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
        index = int(geometry.plane_to_ijk[self.axis, 2])
        in_volume = tuple(partial(self._in_volume, mask, geometry) for mask in masks)
        self._offers.append(
            Offer(index, in_volume, partial(contact_sheet, image, shown.proposal, recommended, tuple(masks)))
        )

    def note_object(self, rounds: Rounds, session: BlockSession, window: Window) -> None:
        """Keep what else may be wanted of an object that has an answer; its answer and the profile stay as they are."""
        from AdaptCore.evaluate.contact_sheet import object_sheet

        shown = rounds.ask()
        masks = tuple(partial(_labels, look.on, session.shape) for look in shown.looks)
        self._offers.append(Offer(OBJECT, masks, partial(object_sheet, self.volume, window, shown, self.axis)))

    def write(self) -> list[str]:
        """Write masks and contact sheets; lines that tell how many and where.

        Raises:
            OutputError: the system could not write.
        """
        from AdaptCore.atomic import write_bytes
        from AdaptCore.io import write_mask

        for offer in self._offers:
            for number, mask in enumerate(offer.masks, start=1):
                write_mask(mask(), self.volume.geometry, self._mask(offer.index, number))
            write_bytes(self._sheet(offer.index), offer.sheet())
        return [self._line(offer) for offer in self._offers]

    def _mask(self, index: int | None, number: int) -> Path:
        return self.folder / f"{self._plane(index)}candidate-{number}{self.suffix}"

    def _sheet(self, index: int | None) -> Path:
        return self.folder / f"{self._plane(index)}{SHEET}"

    def _plane(self, index: int | None) -> str:
        """What the names of a plane's files begin with; a picture has one plane only."""
        return "" if index is OBJECT or self.volume.geometry.is_flat else f"{'IJK'[self.axis]}{index}-"

    def _in_volume(self, mask: np.ndarray, geometry: PlaneGeometry) -> np.ndarray:
        """The mask (H, W) of a plane as uint8 (I, J, K), empty elsewhere."""
        import numpy as np

        from AdaptCore.predict.geometry import plane_voxels

        size = self.volume.geometry.size
        voxels, rows, columns = plane_voxels(size, geometry)
        labels = np.zeros(size, np.uint8)
        labels[voxels] = mask[rows, columns]
        return labels

    def _line(self, offer: Offer) -> str:
        count = len(offer.masks)
        where = "" if offer.index is OBJECT or self.volume.geometry.is_flat else f"plane {offer.index}: "
        what = counted(count, "candidate") if count else "no candidate differs from the prediction"
        return f"{self._sheet(offer.index)}: {where}{what}"


def _labels(mask_on: Callable[[tuple[int, int, int]], np.ndarray], shape: tuple[int, int, int]) -> np.ndarray:
    return mask_on(shape).astype("uint8")
