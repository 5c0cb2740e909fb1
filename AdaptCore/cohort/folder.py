"""A cohort folder: where everything is, and how its records are read and changed.

What is on disk counts; nothing is kept in memory. Each record is changed under its own lock and written whole or not at
all, so a review may accept labels while another process trains. The long steps come one at a time.
"""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from AdaptCore.atomic import prepare_folder, remove_leftovers
from AdaptCore.cohort import images
from AdaptCore.cohort.records import (
    Accepted,
    Case,
    Settings,
    State,
    read_case,
    read_settings,
    read_state,
    write_case,
    write_state,
)
from AdaptCore.errors import AdaptSegError, CohortError, ImageError
from AdaptCore.io import Geometry, Volume, read_volume, write_mask
from AdaptCore.locks import locked

SETTINGS, STATE, STEP = "cohort.json", "state.json", "step"
CASES, FEATURES, ROUNDS, ACCEPTED = "cases", "features", "rounds", "accepted"
COARSE = 0
"""Number of the round whose labels come from the template alone; they stay, as the frozen reference."""

PROPOSALS, CONFIDENCE, PICTURES = "proposals", "confidence", "pictures"
PROBABILITIES, BELIEVED = "probabilities", "believed"
"""Folders of a round."""

LABEL_END, ARRAY_END, PICTURE_END = ".nii.gz", ".safetensors", ".png"
MOST_LEVEL = 255
"""Confidence from 0 to 1 is kept in steps of 1/255."""

STEP_SECONDS = 2.0
"""How long a long step waits for another one, which may take hours."""


@dataclass(frozen=True)
class Cohort:
    """A cohort that is there.

    Attributes:
        folder: absolute.
        settings: as they were when it was opened.
    """

    folder: Path
    settings: Settings

    @classmethod
    def open(cls, folder: Path) -> Cohort:
        """Open a cohort.

        Raises:
            CohortError: there is none, or its settings cannot be used.
        """
        path = folder.resolve() / SETTINGS
        if not path.is_file():
            raise CohortError(f"{folder}: There is no cohort. Begin one with: adaptseg cohort init {folder} ...")
        return cls(folder.resolve(), read_settings(path))

    @property
    def classes(self) -> int:
        """Number of classes, the background among them."""
        return len(self.settings.labels) + 1

    @property
    def state(self) -> State:
        """Where the cohort stands.

        Raises:
            CohortError: the file cannot be used.
        """
        return read_state(self.folder / STATE)

    def cases(self) -> Iterator[Case]:
        """All cases, in order; one whose record cannot be used is set aside with the reason."""
        for name in self.settings.images:
            try:
                yield self.case(name)
            except CohortError as error:
                yield Case(name, aside=self.without_folders(error))

    def case(self, name: str) -> Case:
        """One case; one that was not examined yet has no image.

        Raises:
            CohortError: there is none of that id, or its record cannot be used.
        """
        if name not in self.settings.images:
            raise CohortError(f"{name!r} is no case of {self.folder}. Choose one that adaptseg cohort status lists.")
        path = self.record_path(name)
        return read_case(path) if path.exists() else Case(name)

    def change(self, name: str, change: Callable[[Case], Case]) -> Case:
        """Change a record from what is stored at that moment.

        Raises:
            CohortError: as `case`.
            OutputError: the system could not write; nothing has changed.
        """
        path = self.record_path(name)
        with locked(path, shared=True):
            after = change(self.case(name))
            write_case(path, after)
        return after

    def change_state(self, change: Callable[[State], State]) -> State:
        """Change the state from what is stored at that moment.

        Raises:
            CohortError: the file cannot be used.
            OutputError: the system could not write; nothing has changed.
        """
        with locked(self.folder / STATE, shared=True):
            after = change(self.state)
            write_state(self.folder / STATE, after)
        return after

    def set_aside(self, name: str, reason: AdaptSegError) -> None:
        """Take a case out, with a warning that says why; the others go on.

        Raises:
            OutputError: the system could not write.
        """
        told = self.without_folders(reason)
        warnings.warn(f"{name}: set aside: {told}", stacklevel=2)
        try:
            self.change(name, lambda case: replace(case, aside=told))
        except CohortError as error:
            warnings.warn(str(error), stacklevel=2)

    def without_folders(self, error: AdaptSegError) -> str:
        """An error's message without the folders of files, which may tell whose they are."""
        parents = {str(self.image_path(name).parent) for name in self.settings.images} | {str(self.folder)}
        message = str(error)
        for parent in sorted(parents, key=len, reverse=True):
            message = message.replace(f"{parent}{os.sep}", "")
        return message

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the cohort for a long step; begins with the removal of what a killed one has left unfinished.

        Raises:
            OutputError: the folder cannot be written, or another process works on it.
        """
        with locked(self.folder / STEP, shared=True, patience=STEP_SECONDS):
            for pattern in (FEATURES, f"{ROUNDS}/*", f"{ROUNDS}/*/*"):
                for folder in self.folder.glob(pattern):
                    remove_leftovers(folder)
            yield

    def image_path(self, name: str) -> Path:
        """Where a case's image is."""
        return Path(os.path.normpath(self.folder / self.settings.images[name]))

    def record_path(self, name: str) -> Path:
        """Where a case's record is or would be."""
        return self.folder / CASES / f"{name}.json"

    def features_path(self, name: str) -> Path:
        """Where a case's features are or would be."""
        return self.folder / FEATURES / f"{name}{ARRAY_END}"

    def round_folder(self, number: int) -> Path:
        """Where the results of a round are or would be."""
        return self.folder / ROUNDS / str(number)

    def network_path(self, number: int) -> Path:
        """Where the network of a round is or would be."""
        return self.round_folder(number) / f"network{ARRAY_END}"

    def probabilities_path(self, name: str, number: int) -> Path:
        """Where a case's probabilities are or would be."""
        return self.round_folder(number) / PROBABILITIES / f"{name}{ARRAY_END}"

    def believed_path(self, name: str, number: int) -> Path:
        """Where what was believed of a case in the first pass of relabelling is or would be."""
        return self.round_folder(number) / BELIEVED / f"{name}{ARRAY_END}"

    def proposal_path(self, name: str, number: int) -> Path:
        """Where a case's proposed label is or would be."""
        return self.round_folder(number) / PROPOSALS / f"{name}{LABEL_END}"

    def confidence_path(self, name: str, number: int) -> Path:
        """Where the confidence of a proposed label is or would be."""
        return self.round_folder(number) / CONFIDENCE / f"{name}{LABEL_END}"

    def picture_path(self, name: str, number: int) -> Path:
        """Where a picture of a proposed label is or would be; it is made when it is looked at."""
        return self.round_folder(number) / PICTURES / f"{name}{PICTURE_END}"

    def image(self, case: Case) -> Volume:
        """A case's image, checked to be the one that was examined.

        Raises:
            ImageError: it cannot be read, or has changed.
        """
        self.check_image(case)
        return images.read_grey(self.image_path(case.id))

    def check_image(self, case: Case) -> None:
        """Check that a case's image is the one that was examined.

        Raises:
            ImageError: it is not, cannot be read, or was not examined yet.
        """
        path = self.image_path(case.id)
        if case.image is None:
            raise ImageError(f"{path}: The image is not examined yet. Run adaptseg cohort init again.")
        found = images.digest(path)
        if found != case.image.sha256:
            raise ImageError(
                f"{path}: The image has changed since it was added: expected SHA256 {case.image.sha256[:12]}, got "
                f"{found[:12]}. Put the old one back, or add this one under another name."
            )

    def label(self, case: Case, accepted: Accepted) -> np.ndarray:
        """An accepted label as classes, uint8 (I, J, K), checked to be as it was accepted.

        Raises:
            ImageError: it cannot be read or has changed.
        """
        self.check_label(accepted)
        return self._classes(self.folder / accepted.file, geometry_of(case))

    def check_label(self, accepted: Accepted) -> None:
        """Check that an accepted label is as it was accepted.

        Raises:
            ImageError: it is not, or cannot be read.
        """
        path = self.folder / accepted.file
        found = images.digest(path)
        if found != accepted.sha256:
            raise ImageError(
                f"{path}: The accepted label has changed: expected SHA256 {accepted.sha256[:12]}, got {found[:12]}. "
                "Put the old file back, or accept a label again."
            )

    def has_proposal(self, name: str, number: int) -> bool:
        """Whether a round has proposed a label for a case; it is the last file that a round writes for it."""
        return self.proposal_path(name, number).is_file()

    def proposal(self, case: Case, number: int) -> np.ndarray:
        """The label that a round proposed, as classes uint8 (I, J, K); all may be background.

        Raises:
            ImageError: it cannot be read.
        """
        return self._classes(self.proposal_path(case.id, number), geometry_of(case))

    def confidence(self, case: Case, number: int) -> np.ndarray:
        """Confidence of a proposed label, float32 (I, J, K) from 0 to 1.

        Raises:
            ImageError: it cannot be read.
        """
        levels = read_volume(self.confidence_path(case.id, number)).array
        return levels.astype(np.float32) / MOST_LEVEL

    def write_proposal(self, case: Case, number: int, classes: np.ndarray, confidence: np.ndarray) -> None:
        """Store what a round proposes.

        Args:
            classes: uint8 (I, J, K).
            confidence: float32 (I, J, K), 0 to 1.

        Raises:
            OutputError: the system could not write.
        """
        levels = np.rint(np.clip(confidence, 0.0, 1.0) * MOST_LEVEL).astype(np.uint8)
        write_mask(levels, geometry_of(case), self.confidence_path(case.id, number))
        write_mask(self.values(classes), geometry_of(case), self.proposal_path(case.id, number))

    def values(self, classes: np.ndarray) -> np.ndarray:
        """Values of label files, uint8, for classes of the same shape."""
        table = np.array((0, *self.settings.labels), np.uint8)
        return np.asarray(table[classes])

    def prepare_round(self, number: int) -> None:
        """Make the folders of a round.

        Raises:
            OutputError: they cannot be made or written.
        """
        for part in (PROPOSALS, CONFIDENCE, PROBABILITIES, BELIEVED):
            prepare_folder(self.round_folder(number) / part, (f"any{ARRAY_END}",))

    def remove_rounds(self, kept: set[int]) -> None:
        """Remove the results of all rounds but these; what another program has open stays until the next time."""
        for folder in (self.folder / ROUNDS).iterdir():
            if folder.name.isdecimal() and int(folder.name) not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _classes(self, path: Path, geometry: Geometry) -> np.ndarray:
        table = np.zeros(MOST_LEVEL + 1, np.uint8)
        table[list(self.settings.labels)] = np.arange(1, self.classes)
        return np.asarray(table[images.read_label(path, geometry, self.settings.labels)])


def geometry_of(case: Case) -> Geometry:
    """Where the voxels of an examined case lie.

    Raises:
        ImageError: it was not examined yet, or could not be read.
    """
    if case.image is None:
        raise ImageError(f"{case.id}: {case.aside or 'The image is not examined yet. Run adaptseg cohort init again.'}")
    return case.image.geometry


def path_from(folder: Path, path: Path) -> str:
    """A path from a folder in POSIX form, an absolute one where there is no way from the folder (another drive)."""
    try:
        return Path(os.path.relpath(path, folder)).as_posix()
    except ValueError:
        return path.as_posix()
