"""Pictures for reports: slices of a volume with the outline of its mask and the clicks, and curves, as PNG.

Slices are turned as radiologists see them (the patient's right and front on the left, head up) and keep their true
proportions. Colours are those of Okabe and Ito, told apart by colour-blind readers.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from AdaptCore.evaluate.users import VoxelClick
from AdaptCore.io import Geometry
from AdaptCore.predict.geometry import axis_plane, extract
from AdaptCore.predict.intensity import Window, apply_window

MASK_COLOUR, TRUTH_COLOUR = "#e69f00", "#56b4e9"
POSITIVE_COLOUR, NEGATIVE_COLOUR = "#009e73", "#d55e00"
LINE_COLOUR, NEUTRAL = "#2f8fd0", "#7a7a7a"
DARK = "#101010"
PANEL_INCHES = 3.2
DOTS_PER_INCH = 110
CLOSE_UP_MARGIN = 0.35
TOWARDS, AWAY = "LPS", "RAI"


@dataclass(frozen=True, eq=False)
class Scene:
    """What a slice picture shows.

    Attributes:
        array: (I, J, K) or (I, J, K, 3), intensities as stored.
        geometry: where its voxels lie.
        window: intensities from black to white.
        mask: (I, J, K), the object where it is not zero.
        clicks: drawn on the plane that they lie on.
        truth: (I, J, K), a reference outline, if there is one.
    """

    array: np.ndarray
    geometry: Geometry
    window: Window
    mask: np.ndarray
    clicks: Sequence[VoxelClick] = ()
    truth: np.ndarray | None = None


@dataclass(frozen=True)
class Orientation:
    """How a plane is turned for display, and the letters at its left, right, top and bottom."""

    swapped: bool
    flip_x: bool
    flip_y: bool
    letters: tuple[str, str, str, str]


def display_orientation(geometry: Geometry, axis: int) -> Orientation:
    """Radiological display of the plane across `axis`: right or front to the left, front or head up (ours).

    A 2D picture stays as it is stored and has no letters.
    """
    if geometry.dimensions == 2:
        return Orientation(False, False, False, ("", "", "", ""))
    direction = geometry.direction_matrix
    x_axis, y_axis = (other for other in range(3) if other != axis)
    facing = [int(np.abs(direction[:, a]).argmax()) for a in (x_axis, y_axis)]
    swapped = facing[0] > facing[1]
    if swapped:
        x_axis, y_axis, facing = y_axis, x_axis, facing[::-1]
    x_towards = direction[facing[0], x_axis] > 0
    y_towards = direction[facing[1], y_axis] > 0
    flip_x = not x_towards
    flip_y = y_towards if facing[1] == 2 else not y_towards
    bottom, top = (TOWARDS[facing[1]], AWAY[facing[1]]) if facing[1] != 2 else ("I", "S")
    return Orientation(swapped, flip_x, flip_y, (AWAY[facing[0]], TOWARDS[facing[0]], top, bottom))


def largest_planes(mask: np.ndarray) -> tuple[int, int, int]:
    """For each axis the plane with the largest mask area, or the middle one where the mask is empty."""
    areas = [np.count_nonzero(mask, axis=tuple(other for other in range(3) if other != axis)) for axis in range(3)]
    return tuple(int(a.argmax()) if a.any() else len(a) // 2 for a in areas)  # type: ignore[return-value]


def orthogonal_picture(scene: Scene) -> bytes:
    """PNG of the planes with the largest mask area across each axis; below them close-ups of the mask."""
    flat = scene.geometry.flat_axis
    axes = (2, 1, 0) if flat is None else (flat,)
    indices = largest_planes(scene.mask)
    figure = Figure(figsize=(PANEL_INCHES * len(axes), 2 * PANEL_INCHES), facecolor=DARK, layout="constrained")
    panels = figure.subplots(2, len(axes), squeeze=False)
    for column, axis in enumerate(axes):
        for row in (0, 1):
            _draw_plane(panels[row, column], scene, axis, indices[axis], close_up=row == 1)
    return png(figure)


def plane_strip(scene: Scene, axis: int, indices: Sequence[int]) -> bytes:
    """PNG of some planes across one axis side by side, three in a row."""
    columns = min(3, len(indices))
    rows = -(-len(indices) // columns)
    figure = Figure(figsize=(PANEL_INCHES * columns, PANEL_INCHES * rows), facecolor=DARK, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.set_axis_off()
    for panel, index in zip(panels, indices):
        _draw_plane(panel, scene, axis, index, close_up=True)
    return png(figure)


def curve_picture(values: Mapping[int, float], x_label: str, y_label: str, marked: Sequence[int] = ()) -> bytes:
    """PNG of values in [0, 1] over whole numbers, transparent, so that it reads on light and dark pages.

    Args:
        marked: abscissae with a vertical line, such as the planes with clicks.
    """
    figure = Figure(figsize=(7.5, 2.6), layout="constrained")
    figure.patch.set_alpha(0.0)
    panel = figure.subplots()
    panel.patch.set_alpha(0.0)
    for position in marked:
        panel.axvline(position, color=POSITIVE_COLOUR, linewidth=1.5, linestyle="--")
    places = sorted(values)
    panel.plot(places, [values[place] for place in places], color=LINE_COLOUR, marker="o", markersize=4)
    panel.set_ylim(0.0, 1.03)
    panel.set_xlabel(x_label, color=NEUTRAL)
    panel.set_ylabel(y_label, color=NEUTRAL)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.tick_params(colors=NEUTRAL)
    panel.grid(color=NEUTRAL, alpha=0.3)
    for side in panel.spines.values():
        side.set_color(NEUTRAL)
    return png(figure)


def _draw_plane(panel: Axes, scene: Scene, axis: int, index: int, close_up: bool) -> None:
    orientation = display_orientation(scene.geometry, axis)
    plane = axis_plane(scene.geometry.size, axis, index)
    x_axis, y_axis = (other for other in range(3) if other != axis)
    if orientation.swapped:
        x_axis, y_axis = y_axis, x_axis
    panel.imshow(
        _turned(apply_window(extract(scene.array, plane), scene.window), orientation),
        cmap="gray",
        vmin=0.0,
        vmax=1.0,
        interpolation="nearest",
        aspect=scene.geometry.spacing[y_axis] / scene.geometry.spacing[x_axis],
    )
    mask = _turned(extract(scene.mask, plane) > 0, orientation)
    if scene.truth is not None:
        _outline(panel, _turned(extract(scene.truth, plane) > 0, orientation), TRUTH_COLOUR, "--")
    _outline(panel, mask, MASK_COLOUR, "-")
    for click in scene.clicks:
        if click.voxel[axis] == index:
            _draw_click(panel, click.voxel[x_axis], click.voxel[y_axis], click.positive)
    _frame(panel, mask, orientation, close_up)
    panel.set_title(f"{'IJK'[axis]} = {index}", color="white", fontsize=9)
    panel.set_axis_off()


def _turned(image: np.ndarray, orientation: Orientation) -> np.ndarray:
    return image.swapaxes(0, 1) if orientation.swapped else image


def _outline(panel: Axes, mask: np.ndarray, colour: str, style: str) -> None:
    if mask.any():
        height, width = mask.shape
        padded = np.pad(mask.astype(float), 1)
        panel.contour(
            np.arange(-1, width + 1),
            np.arange(-1, height + 1),
            padded,
            levels=[0.5],
            colors=[colour],
            linewidths=1.4,
            linestyles=style,
        )


def _draw_click(panel: Axes, x: int, y: int, positive: bool) -> None:
    marker, colour = ("P", POSITIVE_COLOUR) if positive else ("X", NEGATIVE_COLOUR)
    panel.scatter([x], [y], s=60, marker=marker, c=colour, edgecolors="white", linewidths=0.8, zorder=5)


def _frame(panel: Axes, mask: np.ndarray, orientation: Orientation, close_up: bool) -> None:
    """Set the visible part, turn the axes and write the letters at the border."""
    height, width = mask.shape
    x0, x1, y0, y1 = -0.5, width - 0.5, -0.5, height - 0.5
    if close_up and mask.any():
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        margin_x = 3 + CLOSE_UP_MARGIN * len(columns)
        margin_y = 3 + CLOSE_UP_MARGIN * len(rows)
        x0, x1 = max(x0, columns[0] - margin_x), min(x1, columns[-1] + margin_x)
        y0, y1 = max(y0, rows[0] - margin_y), min(y1, rows[-1] + margin_y)
    panel.set_xlim((x1, x0) if orientation.flip_x else (x0, x1))
    panel.set_ylim((y0, y1) if orientation.flip_y else (y1, y0))
    for letter, x, y in zip(orientation.letters, (0.02, 0.98, 0.5, 0.5), (0.5, 0.5, 0.97, 0.03)):
        label = panel.text(x, y, letter, transform=panel.transAxes, color="white", fontsize=9, ha="center", va="center")
        label.set_path_effects([withStroke(linewidth=2, foreground=DARK)])


def png(figure: Figure) -> bytes:
    """A figure as PNG, the same bytes each time."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})
    return buffer.getvalue()
