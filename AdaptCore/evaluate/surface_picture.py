"""Picture of a mask's surface in the patient's directions, from the front and from the left, as PNG."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d import Axes3D
from mpl_toolkits.mplot3d.art3d import Poly3DCollection
from scipy.ndimage import gaussian_filter, label, maximum, zoom
from skimage.measure import block_reduce, marching_cubes

from AdaptCore.evaluate.pictures import DARK, MASK_COLOUR, PANEL_INCHES, png
from AdaptCore.io import Geometry

CELLS = 56
"""Longest side of what is drawn, in cells: finer surfaces take long and look alike at this size."""

SMOOTH = 0.7
"""Standard deviation in cells that voxels' steps are smoothed by."""

VIEWS = (("from the front", -90, ("R", "L")), ("from the left", 0, ("A", "P")))
"""Title, azimuth in LPS, and the letters at the left and right border."""

LIGHT = np.array([0.45, -0.65, 0.6])
AMBIENT = 0.35


def surface_picture(mask: np.ndarray, geometry: Geometry) -> bytes:
    """PNG of the surface of a mask (I, J, K) that is not empty, where it is not zero."""
    triangles = _surface(mask, geometry)
    middle, reach = (triangles.min((0, 1)) + triangles.max((0, 1))) / 2, np.ptp(triangles, axis=(0, 1)).max() / 2
    figure = Figure(figsize=(2 * PANEL_INCHES * 1.3, PANEL_INCHES * 1.3), facecolor=DARK, layout="constrained")
    for place, (title, azimuth, letters) in enumerate(VIEWS, start=1):
        panel = figure.add_subplot(1, 2, place, projection="3d", facecolor=DARK)
        shades = _shades(triangles)
        surface = Poly3DCollection(triangles, facecolors=shades, edgecolors=shades, linewidths=0.3, antialiased=False)
        panel.add_collection3d(surface)
        panel.set(**{f"{axis}lim": (at - reach, at + reach) for axis, at in zip("xyz", middle)})
        panel.set_proj_type("ortho")
        panel.view_init(elev=0, azim=azimuth)
        panel.set_box_aspect((1, 1, 1), zoom=1.25)
        panel.set_axis_off()
        panel.set_title(title, color="white", fontsize=9)
        _write_letters(panel, (*letters, "S", "I"))
    return png(figure)


def _surface(mask: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Triangles float64 (T, 3, 3) in millimetres to the left, back and top (LPS)."""
    places = np.nonzero(mask)
    low, high = np.min(places, axis=1), np.max(places, axis=1) + 1
    cut = (mask[tuple(slice(a, b) for a, b in zip(low, high))] > 0).astype(np.float32)
    extent = (high - low) * geometry.spacing
    cell = extent.max() / CELLS
    # Blocks keep what is smaller than a cell.
    blocks = np.array([max(1, math.ceil(cell / space)) for space in geometry.spacing])
    coarse = np.pad(block_reduce(cut, tuple(blocks), np.max), 2)
    # Cells as long along all axes, so that thick slices are no stairs; never finer than half the blocks.
    factors = [min(2.0, space / cell) for space in blocks * geometry.spacing]
    cells = zoom(coarse, factors, order=1, grid_mode=True, mode="nearest")
    smooth = np.pad(gaussian_filter(cells, SMOOTH), 1)
    parts, count = label(np.pad(cells, 1) > 0)
    weakest = min(maximum(smooth, parts, range(1, count + 1)))
    points, faces, _, _ = marching_cubes(smooth, min(0.5, weakest / 2))
    scale = np.array(coarse.shape) / (np.array(smooth.shape) - 2)
    voxels = ((points - 1 + 0.5) * scale - 2) * blocks - 0.5 + low
    millimetres = voxels @ geometry.affine[:3, :3].T + geometry.origin
    triangles: np.ndarray = millimetres[faces]
    # Corners are to run counter-clockwise as seen from outside.
    return triangles[:, ::-1] if np.linalg.det(geometry.affine[:3, :3]) > 0 else triangles


def _shades(triangles: np.ndarray) -> np.ndarray:
    """Colours (T, 3) of triangles in the light."""
    normals = np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    bright = AMBIENT + (1 - AMBIENT) * np.clip(normals @ (LIGHT / math.sqrt(LIGHT @ LIGHT)), 0, 1)
    return np.asarray(bright[:, None] * np.array(to_rgb(MASK_COLOUR)))


def _write_letters(panel: Axes3D, letters: tuple[str, str, str, str]) -> None:
    for letter, x, y in zip(letters, (0.04, 0.96, 0.5, 0.5), (0.5, 0.5, 0.96, 0.04)):
        panel.text2D(x, y, letter, transform=panel.transAxes, color="white", fontsize=9, ha="center", va="center")
