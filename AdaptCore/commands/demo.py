"""`adaptseg demo`: a simulated user segments an ambiguous phantom, as an object and slice by slice, with a report."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from AdaptCore.commands.console import add_command, counted, positive, progress_bar, say, whole

if TYPE_CHECKING:
    import numpy as np

    from AdaptCore.evaluate.object_user import ObjectRun
    from AdaptCore.evaluate.phantom import Phantom
    from AdaptCore.evaluate.report import Report
    from AdaptCore.evaluate.users import VoxelClick
    from AdaptCore.evaluate.volume_user import Progress, VolumeRun
    from AdaptCore.models.base import Model
    from AdaptCore.models.volumetric import VolumetricModel

SLICE_AXIS = 2
IMAGE_NAME, REPORT_NAME, PICTURE_NAME = "phantom.nrrd", "report.html", "result.png"
MASK_NAME, SLICES_NAME = "segmentation.seg.nrrd", "slices.seg.nrrd"


@dataclass(frozen=True, eq=False)
class DemoResult:
    """What the two ways of working gave.

    Attributes:
        whole: a click on the object, and a candidate.
        slices: clicks on planes, and propagation.
        seconds: that the clicks on planes took, with propagation.
    """

    whole: ObjectRun
    slices: VolumeRun
    seconds: float

    def rows(self) -> list[tuple[str, str, str, str]]:
        """How, with what, Dice and seconds."""
        whole, slices = self.whole, self.slices
        planes = f"{counted(len(slices.clicks), 'click')} on {len(slices.prompted(SLICE_AXIS))} planes"
        picked = [("whole object", "1 click, a candidate picked", whole.dice, whole.seconds)] if whole.picked else []
        rows = [
            ("whole object", "1 click", whole.first_dice, whole.first_seconds),
            *picked,
            ("slice by slice", planes, slices.dice_after_click[-1], self.seconds),
        ]
        return [(how, what, f"{dice:.3f}", f"{seconds:.1f}") for how, what, dice, seconds in rows]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "demo", "let a simulated user segment a phantom; image, masks and report are written", run
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out/demo"),
        metavar="FOLDER",
        help="where the files go; made where it is missing (default: %(default)s)",
    )
    parser.add_argument(
        "--model", default="compact", metavar="NAME", help="model name or checkpoint (default: %(default)s)"
    )
    parser.add_argument("--device", help="cpu, cuda or mps (default: the best there is)")
    parser.add_argument(
        "--max-clicks", type=positive, default=20, metavar="N", help="most clicks on planes (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole, default=0, help="seed of the phantom and the user (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Check the folder, then run the demo with a progress bar.

    Raises:
        AdaptSegError: model or folder cannot be used.
    """
    from AdaptCore.atomic import prepare_folder
    from AdaptCore.evaluate.drawing import check_installed
    from AdaptCore.evaluate.tables import text_table
    from AdaptCore.models.registry import load_model, load_volume_model

    check_installed()
    prepare_folder(arguments.out, (IMAGE_NAME, MASK_NAME, SLICES_NAME, REPORT_NAME, PICTURE_NAME))
    model, volumes = load_model(arguments.model, arguments.device), load_volume_model(device=arguments.device)
    with progress_bar(arguments.max_clicks, "clicking", unit="click") as bar:

        def show(clicks: int, dice: float) -> None:
            bar.set_postfix(dice=f"{dice:.3f}")
            bar.update(clicks - bar.n)

        result = run_demo(volumes, model, arguments.out, arguments.seed, arguments.max_clicks, show)
    table = text_table(["", "", "Dice against the phantom's truth", "seconds"], [list(row) for row in result.rows()])
    say(*table.splitlines())
    say(f"Open {arguments.out / REPORT_NAME} in a browser, {IMAGE_NAME} and {MASK_NAME} in 3D Slicer.")


def run_demo(
    volumes: VolumetricModel,
    model: Model,
    folder: Path,
    seed: int = 0,
    max_clicks: int = 20,
    progress: Progress | None = None,
) -> DemoResult:
    """Draw the phantom, let the user work in both ways, write image, masks, report and picture into the folder.

    Args:
        volumes: answers for the whole object.
        model: answers on planes, and guesses slices of the object.
        max_clicks: most clicks on planes.

    Raises:
        OutputError: a file cannot be written.
    """
    from AdaptCore.atomic import write_bytes
    from AdaptCore.evaluate.object_user import click_and_pick
    from AdaptCore.evaluate.phantom import make_phantom
    from AdaptCore.evaluate.report import write_report
    from AdaptCore.evaluate.volume_user import Patience, annotate
    from AdaptCore.io import write_mask, write_volume

    phantom = make_phantom(seed)
    volume = phantom.volume
    whole = click_and_pick(volumes, model, volume, phantom.truth, seed)
    started = perf_counter()
    patience = Patience(max_clicks=max_clicks)
    slices = annotate(model, volume.array, phantom.truth, SLICE_AXIS, seed, patience, progress, volume.geometry.spacing)
    result = DemoResult(whole, slices, perf_counter() - started)
    report = make_report(phantom, result, f"{volumes.name}, {model.name}", seed)
    write_volume(volume, folder / IMAGE_NAME)
    write_mask(whole.mask.astype("uint8"), volume.geometry, folder / MASK_NAME, {1: "Lesion"})
    write_mask(slices.mask, volume.geometry, folder / SLICES_NAME, {1: "Lesion"})
    write_report(report, folder / REPORT_NAME)
    write_bytes(folder / PICTURE_NAME, report.pictures[0].png)
    return result


def make_report(phantom: Phantom, result: DemoResult, model_name: str, seed: int) -> Report:
    """The page of the demo, with the truth as a dashed outline and, of the planes, the Dice after each click."""
    from AdaptCore.evaluate.pictures import Scene, curve_picture, orthogonal_picture
    from AdaptCore.evaluate.report import Picture, Report, object_pictures

    geometry, slices, whole = phantom.volume.geometry, result.slices, result.whole

    def scene(mask: np.ndarray, clicks: tuple[VoxelClick, ...]) -> Scene:
        return Scene(phantom.volume.array, geometry, slices.window, mask, clicks, phantom.truth)

    facts = [
        *(
            (f"{how}, {what}".capitalize(), f"Dice {dice} against the phantom's truth, {seconds} s")
            for how, what, dice, seconds in result.rows()
        ),
        ("Models", model_name),
        (
            "Image",
            f"{' x '.join(map(str, geometry.size))} voxels of {' x '.join(f'{s:g}' for s in geometry.spacing)} mm",
        ),
        ("Seed", str(seed)),
    ]
    summary = (
        "A simulated user clicks once in the middle of a soft lesion with a halo, and picks the candidate that is what "
        "they mean. Beside it, the same lesion slice by slice: the user clicks on the middle plane, lets the mask "
        "propagate and repairs the planes that are most wrong."
    )
    curve = curve_picture(dict(enumerate(slices.dice_after_click, start=1)), "click", "Dice of the volume")
    planes = orthogonal_picture(scene(slices.mask, slices.clicks))
    pictures = [
        *object_pictures(scene(whole.mask, (whole.click,))),
        Picture("Slice by slice", "Planes with the largest area of the mask; whole above, close below.", planes),
        Picture("Dice after each click", "Slice by slice; a plane's last click counts after propagation.", curve),
    ]
    return Report("Demo on a phantom", summary, facts, pictures, has_truth=True)
