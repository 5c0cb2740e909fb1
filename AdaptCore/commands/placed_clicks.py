"""Clicks in millimetres of the patient, typed or from a file of Slicer's Markups module, as clicks on voxels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from AdaptCore.errors import PromptError

if TYPE_CHECKING:
    from AdaptCore.io import Geometry

BACKGROUND = ",-"
"""Ends what lies on the background, as in `--click I,J,K,-`."""

SCHEMA = "points.schema.json"
LPS_TO_RAS = (-1.0, -1.0, 1.0)
MILLIMETRES = {"mm": 1.0, "um": 0.001}


@dataclass(frozen=True)
class PlacedClick:
    """A click at a position of the patient.

    Attributes:
        position: millimetres to the right, to the front and upwards (RAS), as Slicer shows them.
        name: how messages call it.
    """

    position: tuple[float, float, float]
    is_positive: bool
    name: str


def placed_clicks(millimetres: Sequence[str], files: Sequence[str], geometry: Geometry) -> list[str]:
    """The clicks of `--click-mm` and `--points` as `--click` takes them.

    Raises:
        PromptError: one cannot be read or lies outside the image, a file holds no points, or the image tells no
            positions.
    """
    clicks = [*map(parse_millimetres, millimetres), *(point for file in files for point in read_points(file))]
    if clicks and not geometry.has_millimetres:
        raise PromptError(f"{clicks[0].name}: The image's file gives no place in mm. Click on voxels with --click.")
    return [_typed(click, geometry) for click in clicks]


def parse_millimetres(text: str) -> PlacedClick:
    """Read `R,A,S`, with `,-` for the background.

    Raises:
        PromptError: it cannot be read.
    """
    numbers = text.removesuffix(BACKGROUND).removesuffix(",+")
    try:
        position = [float(part) for part in numbers.split(",")]
    except ValueError:
        position = []
    if len(position) != 3 or not all(map(math.isfinite, position)):
        raise PromptError(f"--click-mm {text}: Expected 3 numbers R,A,S in millimetres, got {numbers!r}.")
    r, a, s = position
    return PlacedClick((r, a, s), not text.endswith(BACKGROUND), f"--click-mm {text}")


def read_points(text: str) -> list[PlacedClick]:
    """The points of a file of Slicer's Markups module; those that were not placed are left out.

    All lie on the background if `,-` follows the file's name, else those whose label ends in `-`.

    Raises:
        PromptError: the file cannot be read, holds something else than point lists, or no point.
    """
    from AdaptCore.json_text import parse, problem_with

    path = Path(text.removesuffix(BACKGROUND))
    hint = "Choose a file of points that 3D Slicer's Markups module has saved (.mrk.json)."
    try:
        content = parse(path.read_bytes())
    except OSError as error:
        raise PromptError(f"--points {path}: The file cannot be read ({error.strerror}). {hint}") from error
    except ValueError as error:
        raise PromptError(f"--points {path}: The file holds no JSON ({error}). {hint}") from error
    problem = problem_with(content, SCHEMA)
    if problem:
        raise PromptError(f"--points {path}: {problem}. {hint}")
    points = [point for markup in content["markups"] for point in _points(markup, path, text.endswith(BACKGROUND))]
    if not points:
        raise PromptError(f"--points {path}: The file holds no placed point. {hint}")
    return points


def _points(markup: dict[str, Any], path: Path, is_background: bool) -> Iterator[PlacedClick]:
    """The placed points of one point list; Slicer's own defaults hold where it says nothing."""
    unit = markup.get("coordinateUnits", "mm")
    scale = MILLIMETRES[unit if isinstance(unit, str) else unit[0]]
    signs = LPS_TO_RAS if markup.get("coordinateSystem", "LPS") == "LPS" else (1.0, 1.0, 1.0)
    for number, point in enumerate(markup.get("controlPoints", ()), start=1):
        label = point.get("label", "")
        if "position" in point and point.get("positionStatus", "defined") == "defined":
            r, a, s = (sign * scale * value for sign, value in zip(signs, point["position"]))
            is_positive = not is_background and not label.rstrip().endswith("-")
            yield PlacedClick((r, a, s), is_positive, f"--points {path}: Point {label or number!r}")


def _typed(click: PlacedClick, geometry: Geometry) -> str:
    """The click on the voxel that the position lies in.

    Raises:
        PromptError: it lies outside the image.
    """
    import numpy as np

    matrix = geometry.affine[:3, :3]
    centre = np.linalg.solve(matrix, np.multiply(click.position, LPS_TO_RAS) - geometry.origin)
    voxel = np.rint(centre)
    if not all(0 <= index < length for index, length in zip(voxel, geometry.size)):
        corners = np.indices((2, 2, 2)).reshape(3, 8).T * (np.array(geometry.size) - 1)
        reach = (corners @ matrix.T + geometry.origin) * LPS_TO_RAS
        place, low, high = (_told(position) for position in (click.position, reach.min(axis=0), reach.max(axis=0)))
        raise PromptError(f"{click.name} is outside the image: {place} mm. The image reaches from {low} to {high} mm.")
    return ",".join(f"{int(index)}" for index in voxel) + ("" if click.is_positive else BACKGROUND)


def _told(position: Sequence[float]) -> str:
    return ",".join(f"{value:.1f}" for value in position)
