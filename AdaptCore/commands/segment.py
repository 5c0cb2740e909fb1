"""`adaptseg segment`: clicks and boxes on planes of a volume become a mask file."""

from __future__ import annotations

import argparse
import os
import re
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands import advising, teaching, whole_object
from AdaptCore.commands.console import all_of, counted, progress_bar, say
from AdaptCore.commands.offering import OBJECT, CandidateFolder
from AdaptCore.commands.placed_clicks import placed_clicks
from AdaptCore.commands.typed_prompts import PlanePrompts, choose_axis, collect_prompts, parse_window, voxel_clicks
from AdaptCore.errors import OutputError, PromptError

if TYPE_CHECKING:
    import numpy as np

    from AdaptCore.evaluate.report import Report
    from AdaptCore.io import Geometry, Volume
    from AdaptCore.models.base import Model
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.intensity import Window
    from AdaptCore.predict.learning import Learning, Preference
    from AdaptCore.predict.volume import VolumeSession

DESCRIPTION = """\
Segment one object of a volume or picture.

Voxels are counted from 0 along I, J, K as in 3D Slicer. In a volume, clicks anywhere on the object and beside it give
the whole object. With --slice, every plane across --axis that has a click or a box is segmented; --propagate carries
these masks to the other planes. A picture is one plane."""

BOX_HELP = """\
box around the object, two opposite corner voxels, which lie in it: I0,J0,K0,I1,J1,K1. With --slice or --propagate,
and in a picture, a box on plane N: A0,B0,A1,B1,N, where A and B are the plane's two axes in increasing order
(--axis 2: I0,J0,I1,J1,K; --axis 1: I0,K0,I1,K1,J; --axis 0: J0,K0,J1,K1,I); N may be left out for a picture"""

NEGATIVE_NUMBERS = re.compile(r"^-\d[\d.,+-]*$")
"""Values such as -160,240, which argparse would take for an option."""


Progress = Callable[[int, int], None]
"""Called with (planes done, planes there can be at most)."""

Look = Callable[["VolumeSession", int], None]
"""Called with the index of a plane that has an answer, before that is accepted."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What was segmented.

    Attributes:
        mask: uint8 (I, J, K).
        window: the intensities that the model saw.
        confidences: plane index across the axis -> confidence, 0 to 1.
        carried: number of planes that propagation gave a mask; None where it was not asked for.
    """

    mask: np.ndarray
    window: Window
    confidences: Mapping[int, float]
    carried: int | None = None


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = subparsers.add_parser(
        "segment",
        help="segment one object from clicks",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser._negative_number_matcher = NEGATIVE_NUMBERS
    parser.add_argument("volume", type=Path, help="NRRD, NIfTI, MHA, MHD, PNG or JPG file, or a DICOM folder")
    parser.add_argument(
        "--click",
        action="append",
        default=[],
        metavar="I,J,K[,-]",
        help="voxel on the object, or with ',-' on the background; I,J[,-] for a picture; may be repeated",
    )
    parser.add_argument(
        "--click-mm",
        action="append",
        default=[],
        metavar="R,A,S[,-]",
        help="the same in millimetres to the right, front and top, as 3D Slicer shows positions (RAS); may be repeated",
    )
    parser.add_argument(
        "--points",
        action="append",
        default=[],
        metavar="FILE[,-]",
        help="points of a file of 3D Slicer's Markups module (.mrk.json); a point whose label ends in '-' lies on the "
        "background, and so do all with ',-' after the file's name; may be repeated",
    )
    parser.add_argument("--box", action="append", default=[], metavar="I0,J0,K0,I1,J1,K1", help=BOX_HELP)
    parser.add_argument("--slice", action="store_true", help="segment the planes with prompts alone")
    parser.add_argument(
        "--propagate", action="store_true", help="segment the planes with prompts and carry the masks to the others"
    )
    parser.add_argument(
        "--axis",
        type=int,
        choices=(0, 1, 2),
        help="axis across the planes (default: the one with the thickest slices, K where all are alike)",
    )
    parser.add_argument(
        "--all-parts",
        action="store_true",
        help="keep the parts of a mask that were not pointed at (default: those that hold no click on the object and "
        "lie outside of the box are dropped)",
    )
    parser.add_argument(
        "--window",
        metavar="LOW,HIGH",
        help="intensities that the model of planes sees, which guesses slices of whole objects too (default: 0.5 to "
        "99.5 percent of the voxels)",
    )
    parser.add_argument(
        "--model",
        default="compact",
        metavar="NAME",
        help="name or checkpoint of the model of planes, which guesses slices of whole objects (default: %(default)s)",
    )
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="mask: .seg.nrrd, .nii.gz, .nii, .nrrd, .mha, or .png (2D)",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="page with pictures of the result (.html)")
    teaching.add_arguments(parser)
    advising.add_arguments(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Check everything that can be checked without the model first, so that bad input costs no time and no file.

    Raises:
        AdaptSegError: image, prompts, model or result files cannot be used.
    """
    from AdaptCore.evaluate.drawing import check_installed
    from AdaptCore.io import check_contrast, check_output, read_volume, write_mask
    from AdaptCore.models.registry import load_model
    from AdaptCore.predict.geometry import axis_plane

    teaching.check_arguments(arguments)
    advising.check_arguments(arguments)
    window = parse_window(arguments.window)
    check_output(arguments.out)
    check_apart(arguments.out, arguments.volume)
    if arguments.report or arguments.candidates:
        check_installed()
    if arguments.report:
        from AdaptCore.evaluate.report import REPORT_SUFFIXES

        check_output(arguments.report, suffixes=REPORT_SUFFIXES)
        check_apart(arguments.report, arguments.volume)
    volume = read_volume(arguments.volume)
    check_contrast(volume, str(arguments.volume))
    check_output(arguments.out, volume.geometry)
    axis = choose_axis(volume.geometry, arguments.axis)
    clicks = [*arguments.click, *placed_clicks(arguments.click_mm, arguments.points, volume.geometry)]
    if whole_object.is_asked_for(arguments, volume.geometry):
        _segment_object(volume, clicks, window, axis, arguments)
        return
    prompts = collect_prompts(clicks, arguments.box, volume.geometry.size, axis, arguments.pick)
    check_intensities(volume.array, window, [each.voxel for each in voxel_clicks(prompts, axis) if each.positive])
    folder = _candidate_folder(arguments, volume, axis, prompts)
    model = load_model(arguments.model, arguments.device)
    use = teaching.begin(arguments, model)
    advice = advising.begin(arguments, model)
    if folder:
        folder.prepare(prompts)
    with use, progress_bar(len(prompts), "segmenting") as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        def look(session: VolumeSession, index: int) -> None:
            geometry = axis_plane(session.shape, axis, index)
            rounds = advice.picked(session.plane(geometry), index, prompts[index].picks)
            if folder:
                folder.note(rounds, session, geometry)

        result = segment(
            use.model,
            volume,
            prompts,
            axis,
            propagate=arguments.propagate,
            window=window,
            progress=show,
            learner=use.learner,
            preference=advice.preference,
            teach=arguments.learn,
            look=look if advice.adviser else None,
            only_pointed=not arguments.all_parts,
            image_name=use.image_name,
        )

    def report() -> None:
        from AdaptCore.evaluate.report import write_report

        write_report(make_report(volume, result, prompts, axis, use.model_label + advice.label), arguments.report)

    write_mask(result.mask, volume.geometry, arguments.out)
    found = "" if result.carried is None else f"; {describe_propagation(result.carried)}"
    say(f"{arguments.out}: {describe(result.mask, volume.geometry)}{found}")
    others = (use.saved, advice.saved, folder and folder.write, report if arguments.report else None)
    all_of(partial(_tell, step) for step in others if step)


def _segment_object(
    volume: Volume, clicks: Sequence[str], window: Window | None, axis: int, arguments: argparse.Namespace
) -> None:
    """The command in three dimensions; the image is read, and the results' names are checked."""
    from AdaptCore.io import write_mask

    typed = whole_object.TypedObject.of(arguments, clicks, volume)
    check_intensities(volume.array, window, [whole_object.voxel_of(each) for each in typed.clicks if each.positive])
    folder = _candidate_folder(arguments, volume, axis, [OBJECT])
    found = whole_object.segment_object(volume, typed, arguments, window, folder)
    size = describe(found.mask, volume.geometry)

    def report() -> None:
        from AdaptCore.evaluate.report import write_report

        write_report(whole_object.make_report(volume, found, typed, window, size), arguments.report)

    write_mask(found.mask, volume.geometry, arguments.out)
    say(f"{arguments.out}: {size}")
    others = (found.use.saved, found.advice.saved, folder and folder.write, report if arguments.report else None)
    all_of(partial(_tell, step) for step in others if step)


def _candidate_folder(
    arguments: argparse.Namespace, volume: Volume, axis: int, indices: Collection[int | None]
) -> CandidateFolder | None:
    """The checked folder for candidates of planes of these indices, or of an object; None without `--candidates`."""
    from AdaptCore.io import mask_suffix

    if not arguments.candidates:
        return None
    folder = CandidateFolder(arguments.candidates, volume, axis, mask_suffix(arguments.out))
    folder.check(indices, [path for path in (arguments.out, arguments.report) if path])
    for path in folder.paths(indices):
        check_apart(path, arguments.volume)
    return folder


def _tell(step: Callable[[], Sequence[str] | None]) -> None:
    say(*(step() or ()))


def check_apart(path: Path, image: Path) -> None:
    """Check that a result neither replaces the image nor joins the slices in its DICOM folder.

    Raises:
        OutputError: it would, under this name or another one (a link).
    """
    if not os.path.exists(image):  # noqa: PTH110 (False also for what cannot be a name)
        return
    if path.exists() and path.samefile(image):
        raise OutputError(f"{path}: This is the image itself. Choose another file.")
    if image.is_dir() and any(folder.samefile(image) for folder in path.resolve().parents if folder.exists()):
        raise OutputError(f"{path}: This is in the folder of the image itself. Choose another one.")


def check_intensities(array: np.ndarray, window: Window | None, voxels: Sequence[tuple[int, int, int]]) -> None:
    """Check that the window shows something, and tell of clicked voxels where nothing was measured.

    Raises:
        PromptError: no voxel lies in the window.
    """
    low, high = array.min(), array.max()
    if window and not ((array >= window.low) & (array <= window.high)).any():
        raise PromptError(
            f"--window {window.low:g},{window.high:g}: No voxel lies in this window; the image holds {low:g} to "
            f"{high:g}. Choose a window that shows the object."
        )
    tell_of_padding(array, voxels)


def tell_of_padding(array: np.ndarray, voxels: Sequence[tuple[int, int, int]]) -> None:
    """Warn of clicked voxels where nothing was measured."""
    from AdaptCore.predict.intensity import padding_values, told_of_padding

    padding = padding_values(array)
    for voxel in voxels:
        told = told_of_padding(array, voxel, padding)
        if told:
            warnings.warn(f"--click {','.join(map(str, voxel))}: {told}", stacklevel=2)


def segment(
    model: Model,
    volume: Volume,
    prompts: Mapping[int, PlanePrompts],
    axis: int,
    *,
    propagate: bool = False,
    window: Window | None = None,
    progress: Progress | None = None,
    learner: Learning | None = None,
    preference: Preference | None = None,
    teach: bool = True,
    look: Look | None = None,
    only_pointed: bool = False,
    image_name: str = "",
) -> Segmentation:
    """Predict and accept each plane with prompts; carry the masks on where asked.

    A learner learns from each plane before the next one is predicted, so that the same prompts always give the same
    masks. Between two planes with prompts each mask is carried half the way.

    Args:
        prompts: plane index across `axis` -> its prompts.
        preference: changes the answers to what a user prefers.
        teach: whether the accepted planes teach learner and preference.
        only_pointed: whether parts of a mask that were not pointed at are dropped.
        image_name: random name of the volume, under which the learner knows it.

    Raises:
        PromptError: a prompt does not fit its plane.
    """
    from AdaptCore.predict.geometry import axis_plane
    from AdaptCore.predict.volume import VolumeSession

    indices = sorted(prompts)
    size = volume.geometry.size[axis]
    confidences: dict[int, float] = {}
    with VolumeSession(
        model,
        volume.array,
        spacing=volume.geometry.spacing,
        window=window,
        precompute=0,
        learner=learner,
        preference=preference,
        only_pointed=only_pointed,
        image_name=image_name,
    ) as session:
        for done, index in enumerate(indices, start=1):
            geometry = axis_plane(session.shape, axis, index)
            confidences[index] = _predict_plane(session, geometry, prompts[index])
            if look:
                look(session, index)
            session.accept(geometry, teach=teach)
            if learner:
                learner.wait()
            if progress:
                progress(done, size if propagate else len(indices))
        for index, extent in zip(indices, _carried(indices, size)) if propagate else ():
            before = len(confidences)

            def tell(done: int, _most: int, _confidence: float, before: int = before) -> None:
                if progress:
                    progress(before + done, size)

            confidences.update(session.propagate(axis, index, extent=extent, progress=tell).confidences)
        carried = len(confidences) - len(indices) if propagate else None
        return Segmentation(session.labelmap.copy(), session.window, dict(sorted(confidences.items())), carried)


def _predict_plane(session: VolumeSession, geometry: PlaneGeometry, prompts: PlanePrompts) -> float:
    """Give a plane its prompts, positive ones first; gives the predicted IoU of the answer."""
    plane = session.plane(geometry)
    if prompts.box:
        plane.box(prompts.box.x0, prompts.box.y0, prompts.box.x1, prompts.box.y1)
    for positive, clicks in ((True, prompts.positive), (False, prompts.negative)):
        for x, y in clicks:
            plane.click(x, y, positive)
    return plane.prediction.score if plane.prediction else 0.0


def _carried(indices: Sequence[int], size: int) -> list[tuple[int, int]]:
    """First and last plane that each of the sorted indices is carried to."""
    limits = [-1, *((a + b) // 2 for a, b in pairwise(indices)), size - 1]
    return [(first + 1, last) for first, last in pairwise(limits)]


def describe(mask: np.ndarray, geometry: Geometry) -> str:
    voxels = int((mask > 0).sum())
    if not voxels:
        return "the mask is empty"
    if geometry.is_flat:
        return f"{voxels} pixels"
    if not geometry.has_millimetres:
        return f"{voxels} voxels"
    return f"{voxels} voxels, {voxels * geometry.voxel_millilitres:.3g} mL"


def describe_propagation(carried: int) -> str:
    return f"carried to {counted(carried, 'plane')}" if carried else "propagation found the object on no other plane"


def make_report(
    volume: Volume, result: Segmentation, prompts: Mapping[int, PlanePrompts], axis: int, model_name: str
) -> Report:
    """The page for one segmented volume."""
    from AdaptCore.evaluate.pictures import Scene
    from AdaptCore.evaluate.report import Report, result_pictures

    clicks = voxel_clicks(prompts, axis)
    scene = Scene(volume.array, volume.geometry, result.window, result.mask, clicks)
    sides = " x ".join(f"{side:.3g}" for side in volume.geometry.spacing)
    spacing = f" of {sides} mm" if volume.geometry.has_millimetres else ""
    boxes = sum(plane.box is not None for plane in prompts.values())
    picks = sum(len(plane.picks) for plane in prompts.values())
    picked = f", {counted(picks, 'pick')}" if picks else ""
    facts = [
        ("Image", f"{volume.geometry.shape_text} voxels{spacing}"),
        ("Intensities", f"{result.window.low:g} to {result.window.high:g}"),
        ("Model", model_name),
        ("Prompts", f"{counted(len(clicks), 'click')}, {counted(boxes, 'box')}{picked}"),
        ("Mask", describe(result.mask, volume.geometry)),
    ]
    if result.carried is not None:
        facts.append(("Propagation", describe_propagation(result.carried)))
    summary = f"One object, segmented on planes across axis {'IJK'[axis]}."
    pictures = result_pictures(scene, axis, sorted(prompts), result.confidences)
    return Report("Segmentation", summary, facts, pictures)
