"""`adaptseg demo`: a simulated user segments an ambiguous phantom volume; image, mask and report are written."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from AdaptCore.commands.console import add_command, positive, progress_bar, say, whole

if TYPE_CHECKING:
    from AdaptCore.evaluate.phantom import Phantom
    from AdaptCore.evaluate.report import Report
    from AdaptCore.evaluate.volume_user import Progress, VolumeRun
    from AdaptCore.models.base import Model

SLICE_AXIS = 2
IMAGE_NAME, MASK_NAME, REPORT_NAME, PICTURE_NAME = "phantom.nrrd", "segmentation.seg.nrrd", "report.html", "result.png"


@dataclass(frozen=True)
class DemoResult:
    """Dice against the phantom's truth, and how many clicks on how many planes it took."""

    dice: float
    clicks: int
    planes: int


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = add_command(
        subparsers, "demo", "let a simulated user segment a phantom; image, mask and report are written", run
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
        "--max-clicks", type=positive, default=20, metavar="N", help="most clicks of the user (default: %(default)s)"
    )
    parser.add_argument("--seed", type=whole, default=0, help="seed of the phantom and the user (default: %(default)s)")


def run(arguments: argparse.Namespace) -> None:
    """Check the folder, then run the demo with a progress bar.

    Raises:
        AdaptSegError: model or folder cannot be used.
    """
    from AdaptCore.atomic import prepare_folder
    from AdaptCore.evaluate.drawing import check_installed
    from AdaptCore.models.registry import load_model

    check_installed()
    prepare_folder(arguments.out, (IMAGE_NAME, MASK_NAME, REPORT_NAME, PICTURE_NAME))
    model = load_model(arguments.model, arguments.device)
    with progress_bar(arguments.max_clicks, "clicking", unit="click") as bar:

        def show(clicks: int, dice: float) -> None:
            bar.set_postfix(dice=f"{dice:.3f}")
            bar.update(clicks - bar.n)

        result = run_demo(model, arguments.out, arguments.seed, arguments.max_clicks, show)
    say(f"Dice {result.dice:.3f} against the phantom's truth, {result.clicks} clicks on {result.planes} planes")
    say(f"Open {arguments.out / REPORT_NAME} in a browser, {IMAGE_NAME} and {MASK_NAME} in 3D Slicer.")


def run_demo(
    model: Model, folder: Path, seed: int = 0, max_clicks: int = 20, progress: Progress | None = None
) -> DemoResult:
    """Draw the phantom, let the user work, write image, mask, report and picture into the folder.

    Raises:
        OutputError: a file cannot be written.
    """
    from AdaptCore.atomic import write_bytes
    from AdaptCore.evaluate.phantom import make_phantom
    from AdaptCore.evaluate.report import write_report
    from AdaptCore.evaluate.volume_user import Patience, annotate
    from AdaptCore.io import write_mask, write_volume

    phantom = make_phantom(seed)
    patience = Patience(max_clicks=max_clicks)
    user_run = annotate(
        model,
        phantom.volume.array,
        phantom.truth,
        SLICE_AXIS,
        seed,
        patience,
        progress,
        phantom.volume.geometry.spacing,
    )
    report = make_report(phantom, user_run, model.name, seed)
    write_volume(phantom.volume, folder / IMAGE_NAME)
    write_mask(user_run.mask, phantom.volume.geometry, folder / MASK_NAME, {1: "Lesion"})
    write_report(report, folder / REPORT_NAME)
    write_bytes(folder / PICTURE_NAME, report.pictures[0].png)
    return DemoResult(user_run.dice_after_click[-1], len(user_run.clicks), len(user_run.prompted(SLICE_AXIS)))


def make_report(phantom: Phantom, user_run: VolumeRun, model_name: str, seed: int) -> Report:
    """The page of the demo, with the truth as a dashed outline and the Dice after each click."""
    from AdaptCore.evaluate.pictures import Scene, curve_picture
    from AdaptCore.evaluate.report import Picture, Report, result_pictures

    geometry = phantom.volume.geometry
    planes = user_run.prompted(SLICE_AXIS)
    scene = Scene(phantom.volume.array, geometry, user_run.window, user_run.mask, user_run.clicks, phantom.truth)
    positive = sum(click.positive for click in user_run.clicks)
    facts = [
        ("Dice", f"{user_run.dice_after_click[-1]:.3f} against the phantom's truth"),
        (
            "Clicks",
            f"{len(user_run.clicks)} ({positive} on the object, {len(user_run.clicks) - positive} on the background) "
            f"on {len(planes)} of {geometry.size[SLICE_AXIS]} planes",
        ),
        ("Model", model_name),
        (
            "Image",
            f"{' x '.join(map(str, geometry.size))} voxels of {' x '.join(f'{s:g}' for s in geometry.spacing)} mm",
        ),
        ("Seed", str(seed)),
    ]
    summary = (
        "A simulated user clicks on the middle plane of a soft lesion with a halo, lets the mask propagate and "
        "repairs the planes that are most wrong."
    )
    curve = curve_picture(dict(enumerate(user_run.dice_after_click, start=1)), "click", "Dice of the volume")
    pictures = [
        *result_pictures(scene, SLICE_AXIS, planes, user_run.confidences),
        Picture("Dice after each click", "Of the whole volume; a plane's last click counts after propagation.", curve),
    ]
    return Report("Demo on a phantom", summary, facts, pictures, has_truth=True)
