"""Prompts as typed on the command line: clicks, boxes, picks and windows are read, checked and sorted by plane."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING

from AdaptCore.errors import PromptError
from AdaptCore.prompts import CONTRADICTION, Box

if TYPE_CHECKING:
    from AdaptCore.evaluate.users import VoxelClick
    from AdaptCore.io import Geometry
    from AdaptCore.predict.intensity import Window


@dataclass
class PlanePrompts:
    """What the user says about one plane, in its pixels (x, y), and the candidates picked after that.

    Attributes:
        picks: number of a candidate for each round, from 1.
    """

    positive: list[tuple[int, int]] = field(default_factory=list)
    negative: list[tuple[int, int]] = field(default_factory=list)
    box: Box | None = None
    picks: list[int] = field(default_factory=list)


def choose_axis(geometry: Geometry, wanted: int | None) -> int:
    """The wanted axis, else the one with the thickest slices; K where all are alike (ours), that of a single plane.

    Raises:
        PromptError: a picture has planes across one axis only.
    """
    from AdaptCore.predict.geometry import thickest_axis

    flat = geometry.flat_axis
    if flat is not None:
        if wanted not in (None, flat):
            raise PromptError(f"--axis {wanted}: The picture has one plane, across axis {flat}. Leave --axis out.")
        return flat
    if wanted is not None:
        return wanted
    return thickest_axis(geometry.spacing)


def collect_prompts(
    clicks: Sequence[str],
    boxes: Sequence[str],
    size: tuple[int, int, int],
    axis: int,
    picks: Sequence[str] = (),
) -> dict[int, PlanePrompts]:
    """Read clicks, boxes and picks as typed and sort them by plane across `axis`.

    Raises:
        PromptError: one cannot be read or lies outside, two contradict each other, a box has no size, or a plane has
            nothing positive.
    """
    planes: dict[int, PlanePrompts] = {}
    for voxel, positive in read_clicks(clicks, size):
        x, y = (voxel[other] for other in range(3) if other != axis)
        plane = planes.setdefault(voxel[axis], PlanePrompts())
        (plane.positive if positive else plane.negative).append((x, y))
    for text in boxes:
        box, index = parse_box(text, size, axis)
        plane = planes.setdefault(index, PlanePrompts())
        if plane.box:
            raise PromptError(f"--box {text}: Plane {index} has a box already. Give each plane one at most.")
        plane.box = box
    if not planes:
        raise PromptError("Expected at least one click on the object (--click) or a box (--box), got none.")
    for index, plane in planes.items():
        if not plane.positive and not plane.box:
            raise PromptError(
                f"Plane {index} of axis {axis} has only clicks on the background. Add a click on the object or a box."
            )
    for text in picks:
        number, index = parse_pick(text, planes)
        planes[index].picks.append(number)
    return planes


def read_clicks(clicks: Sequence[str], size: tuple[int, int, int]) -> list[tuple[tuple[int, int, int], bool]]:
    """Read clicks as typed: voxels, and whether each is on the object.

    Raises:
        PromptError: one cannot be read or lies outside, or two contradict each other.
    """
    typed: dict[tuple[int, int, int], tuple[str, bool]] = {}
    read = [parse_click(text, size) for text in clicks]
    for text, (voxel, positive) in zip(clicks, read):
        other, sign = typed.setdefault(voxel, (text, positive))
        if sign != positive:
            raise PromptError(f"--click {other} and --click {text}: {CONTRADICTION}")
    return read


def parse_click(text: str, size: tuple[int, int, int]) -> tuple[tuple[int, int, int], bool]:
    """Read `I,J,K`, with `,-` for the background; the two axes of the plane are enough where there is one.

    Raises:
        PromptError: it cannot be read or lies outside the volume.
    """
    from AdaptCore.files.geometry import Geometry

    parts = [part.strip() for part in text.split(",")]
    positive = parts[-1] != "-"
    if parts[-1] in ("-", "+"):
        parts.pop()
    flat = Geometry(size).flat_axis
    numbers = _whole_numbers(parts)
    if numbers is not None and len(numbers) == 2 and flat is not None:
        numbers.insert(flat, 0)
    if numbers is None or len(numbers) != 3:
        letters = ",".join(letter for axis, letter in enumerate("IJK") if axis != flat)
        raise PromptError(f"--click: Expected {letters} or {letters},- in whole numbers, got {text!r}.")
    if not all(0 <= number < length for number, length in zip(numbers, size)):
        shape, last = " x ".join(map(str, size)), ",".join(str(length - 1) for length in size)
        raise PromptError(f"--click {text} is outside the volume of {shape} voxels. Choose one from 0,0,0 to {last}.")
    return (numbers[0], numbers[1], numbers[2]), positive


def parse_box(text: str, size: tuple[int, int, int], axis: int) -> tuple[Box, int]:
    """Read `A0,B0,A1,B1,N`: two corner voxels on plane N across `axis`; N may be left out where there is one plane.

    The box reaches to the outer edges of its corner voxels, so they lie in it whole.

    Raises:
        PromptError: it cannot be read, has no size or lies outside the volume.
    """
    numbers = _whole_numbers([part.strip() for part in text.split(",")])
    if numbers is not None and len(numbers) == 4 and size[axis] == 1:
        numbers.append(0)
    if numbers is None or len(numbers) != 5:
        raise PromptError(f"--box: Expected A0,B0,A1,B1,N in whole numbers, got {text!r}.")
    *corners, index = numbers
    width, height = (length for other, length in enumerate(size) if other != axis)
    limits = (width, height, width, height)
    if not 0 <= index < size[axis] or not all(0 <= c < limit for c, limit in zip(corners, limits)):
        raise PromptError(
            f"--box {text} is outside the volume. Choose corners from 0,0 to {width - 1},{height - 1} and a plane from "
            f"0 to {size[axis] - 1}."
        )
    a0, b0, a1, b1 = astuple(Box(*corners))
    return Box(a0 - 0.5, b0 - 0.5, a1 + 0.5, b1 + 0.5), index


def parse_object_box(text: str, size: tuple[int, int, int]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Read `I0,J0,K0,I1,J1,K1`, two opposite corner voxels, which lie in the box whole: its lower and upper corner.

    Raises:
        PromptError: it cannot be read or lies outside the volume.
    """
    numbers = _whole_numbers([part.strip() for part in text.split(",")])
    if numbers is None or len(numbers) != 6:
        raise PromptError(
            f"--box: Expected I0,J0,K0,I1,J1,K1 in whole numbers, got {text!r}. With --slice or --propagate, a box on "
            "one plane is A0,B0,A1,B1,N."
        )
    ends = list(zip(numbers[:3], numbers[3:]))
    if not all(0 <= end < length for pair, length in zip(ends, size) for end in pair):
        last = ",".join(str(length - 1) for length in size)
        raise PromptError(f"--box {text} is outside the volume. Choose corners from 0,0,0 to {last}.")
    return tuple(min(pair) - 0.5 for pair in ends), tuple(max(pair) + 0.5 for pair in ends)


def parse_object_pick(text: str) -> int:
    """Read `C`, the number of a candidate from 1.

    Raises:
        PromptError: it cannot be read, or there can be no such candidate.
    """
    from AdaptCore.preference.recipe import DEFAULT

    numbers = _whole_numbers([text.strip()])
    if numbers is None:
        raise PromptError(
            f"--pick: Expected the number of a candidate, got {text!r}. Candidates of planes need --slice or "
            "--propagate."
        )
    if not 1 <= numbers[0] <= DEFAULT.candidates:
        raise PromptError(f"--pick {text}: Expected a candidate from 1 to {DEFAULT.candidates}, got {numbers[0]}.")
    return numbers[0]


def parse_pick(text: str, planes: Collection[int]) -> tuple[int, int]:
    """Read `C,N`: candidate C, from 1, of plane N; N may be left out where one plane has prompts.

    Args:
        planes: indices of those with prompts.

    Raises:
        PromptError: it cannot be read, there can be no such candidate, or the plane has no prompts.
    """
    from AdaptCore.preference.recipe import DEFAULT

    numbers = _whole_numbers([part.strip() for part in text.split(",")])
    if numbers is not None and len(numbers) == 1 and len(planes) == 1:
        numbers.extend(planes)
    if numbers is None or len(numbers) != 2:
        form = "C or C,N" if len(planes) == 1 else "C,N"
        raise PromptError(f"--pick: Expected {form} in whole numbers, got {text!r}.")
    number, index = numbers
    if not 1 <= number <= DEFAULT.candidates:
        raise PromptError(f"--pick {text}: Expected a candidate from 1 to {DEFAULT.candidates}, got {number}.")
    if index not in planes:
        known = ", ".join(map(str, sorted(planes)))
        raise PromptError(f"--pick {text}: Plane {index} has no click and no box. Choose one that has: {known}.")
    return number, index


def parse_window(text: str | None) -> Window | None:
    """Read `LOW,HIGH` in stored intensities.

    Raises:
        PromptError: it cannot be read.
        ImageError: the limits are not finite or not increasing.
    """
    from AdaptCore.predict.intensity import Window

    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise PromptError(f"--window: Expected LOW,HIGH in numbers, got {text!r}.") from error
    return Window(low, high)


def _whole_numbers(parts: Sequence[str]) -> list[int] | None:
    return [int(part) for part in parts] if all(re.fullmatch(r"[+-]?\d{1,9}", part) for part in parts) else None


def voxel_clicks(prompts: Mapping[int, PlanePrompts], axis: int) -> list[VoxelClick]:
    """The clicks of all planes in voxels (i, j, k)."""
    from AdaptCore.evaluate.users import VoxelClick

    clicks: list[VoxelClick] = []
    for index, plane in prompts.items():
        for positive, pixels in ((True, plane.positive), (False, plane.negative)):
            for pixel in pixels:
                voxel = [*pixel]
                voxel.insert(axis, index)
                clicks.append(VoxelClick((voxel[0], voxel[1], voxel[2]), positive))
    return clicks
