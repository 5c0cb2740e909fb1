"""Beginning a cohort, going on after an interruption, and adding images to one."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from AdaptCore.aside import keep_aside
from AdaptCore.atomic import prepare_folder
from AdaptCore.cohort.accepting import accept, found_again
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.folder import ACCEPTED, CASES, SETTINGS, STATE, STEP, STEP_SECONDS, Cohort, geometry_of, path_from
from AdaptCore.cohort.images import examine, find_images, named, read_grey, read_template_label
from AdaptCore.cohort.records import Case, Settings, read_settings, read_state, write_case, write_settings
from AdaptCore.errors import AdaptSegError, CohortError, ImageError
from AdaptCore.io import Geometry
from AdaptCore.locks import locked

UNLIKE_SPACING = 1.5
"""Factor between a case's voxel spacing and the template's along an axis, from which the user is told (ours)."""


def begin(
    folder: Path,
    places: Iterable[Path],
    template: Path,
    label: Path,
    model: str,
    seed: int = 0,
    watch: Watch | None = None,
) -> Cohort:
    """Make a cohort from one labelled image, or go on where an interruption stopped this.

    Called again, it adds images that are new, and takes back those that were set aside and can be read now. Images stay
    where they are and are never changed.

    Args:
        places: image files and folders with images; see `find_images`.
        template: the labelled image; it may be among them.
        label: its label, at least one class.
        model: name or file of the frozen model.

    Raises:
        AdaptSegError: the template or its label cannot be used, no image is there, the folder cannot be written, or it
            holds another cohort.
        CancelledError: the watch says so.
    """
    geometry = read_grey(template).geometry
    first = read_template_label(label, geometry)
    given = first.array
    labels = tuple(value for value in np.unique(given).tolist() if value)
    if not labels:
        raise ImageError(f"{label}: The label is empty. Choose one with at least one voxel of an object.")
    template = template.resolve()
    found = find_images((template, *places))
    prepare_folder(folder, (SETTINGS, STATE))
    folder = folder.resolve()
    for part in (CASES, ACCEPTED):
        prepare_folder(folder / part, (f"any-{SETTINGS}",))
    with locked(folder / STEP, shared=True, patience=STEP_SECONDS):
        cohort = _with_settings(folder, found, template, Settings(model, "", labels, seed, {}, first.names))
        _check_state(folder / STATE)
        _examine_all(cohort, watch or Watch(), given, geometry)
    return cohort


def _with_settings(folder: Path, found: tuple[Path, ...], template: Path, asked: Settings) -> Cohort:
    path, known = folder / SETTINGS, {}
    stored = read_settings(path) if path.exists() else None
    if stored is not None:
        known = {name: Cohort(folder, stored).image_path(name) for name in stored.images}
    names = named(found, known)
    name = next(name for name, image in names.items() if image == template)
    images = {one: path_from(folder, image) for one, image in names.items()}
    settings = replace(asked, template=name, images=images)
    if stored is not None:
        _check_same(folder, stored, settings)
    if settings != stored:
        write_settings(path, settings)
    return Cohort(folder, settings)


def _check_same(folder: Path, stored: Settings, asked: Settings) -> None:
    for what in ("template", "model", "labels", "seed", *(("names",) if stored.names else ())):
        there, wanted = getattr(stored, what), getattr(asked, what)
        if there != wanted:
            raise CohortError(
                f"{folder}: The folder holds a cohort with {what} {there!r}. Choose another one for {wanted!r}."
            )


def _check_state(path: Path) -> None:
    """Keep aside a state that cannot be used; labels are proposed anew then, and what was accepted stays."""
    try:
        read_state(path)
    except CohortError as error:
        keep_aside(path, error)


def _examine_all(cohort: Cohort, watch: Watch, given: np.ndarray, geometry: Geometry) -> None:
    settings = cohort.settings
    template = settings.template
    names = [template, *(name for name in settings.images if name != template)]
    for number, name in enumerate(names):
        watch.check()
        watch.progress(number, len(names))
        case = _record(cohort, name)
        if not case.is_usable:
            _examine(cohort, case, geometry)
        if name == template and not cohort.case(name).accepted:
            accept(cohort, name, given)
    watch.progress(len(names), len(names))


def _record(cohort: Cohort, name: str) -> Case:
    """A case's record; one that cannot be used is kept aside and made again from the files that are there."""
    try:
        return cohort.case(name)
    except CohortError as error:
        keep_aside(cohort.record_path(name), error)
        return Case(name, accepted=found_again(cohort, name))


def _examine(cohort: Cohort, case: Case, template: Geometry) -> None:
    """Examine an image that is new or set aside; write its record only once it is known."""
    try:
        if case.image is None:
            case = replace(case, image=examine(cohort.image_path(case.id)))
            _warn_of_spacing(case, template)
        cohort.check_image(case)
        if case.label is not None:
            cohort.check_label(case.label)
    except AdaptSegError as error:
        write_case(cohort.record_path(case.id), case)
        cohort.set_aside(case.id, error)
    else:
        write_case(cohort.record_path(case.id), replace(case, aside=""))


def _warn_of_spacing(case: Case, template: Geometry) -> None:
    """Tell where voxels are so much larger or smaller than the template's that labels carried over may be poor."""
    got, wanted = geometry_of(case).spacing, template.spacing
    factors = np.array(got) / wanted
    if max(factors.max(), 1 / factors.min()) > UNLIKE_SPACING:
        told = " x ".join(f"{side:.3g}" for side in got)
        about = " x ".join(f"{side:.3g}" for side in wanted)
        warnings.warn(
            f"{case.id}: Expected voxels of about {about} mm as in the template, got {told} mm.", stacklevel=2
        )
