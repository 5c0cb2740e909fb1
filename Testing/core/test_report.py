"""Pictures show slices as radiologists see them; the page is whole in itself and keeps secrets."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from AdaptCore.evaluate.pictures import (
    MASK_COLOUR,
    Scene,
    VoxelClick,
    curve_picture,
    display_orientation,
    largest_planes,
    orthogonal_picture,
    plane_strip,
)
from AdaptCore.evaluate.report import Picture, Report, render, result_pictures, write_report
from AdaptCore.io import Geometry
from AdaptCore.predict.intensity import Window

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
FLIPPED = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
SAGITTAL = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


@pytest.fixture
def a_scene() -> Scene:
    mask = np.zeros((40, 30, 9), np.uint8)
    mask[10:20, 8:20, 2:6] = 1
    array = 100 + 100 * mask.astype(np.int16)
    clicks = [VoxelClick((15, 14, 4)), VoxelClick((30, 5, 4), positive=False)]
    return Scene(array, Geometry((40, 30, 9), (1.0, 1.0, 3.0)), Window(0, 250), mask, clicks)


def pixels_of(png: bytes) -> np.ndarray:
    return imread(io.BytesIO(png))


def share_of_colour(png: bytes, colour: str) -> float:
    wanted = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
    return float((np.abs(pixels_of(png)[..., :3] - wanted).max(axis=-1) < 0.08).mean())


@pytest.mark.parametrize(
    ("direction", "axis", "letters", "turned"),
    [
        (AXIAL, 2, "RLAP", (False, False, False)),
        (AXIAL, 1, "RLSI", (False, False, True)),
        (AXIAL, 0, "APSI", (False, False, True)),
        (FLIPPED, 2, "RLAP", (False, True, True)),
        (SAGITTAL, 2, "APSI", (False, False, False)),
        (SAGITTAL, 0, "RLSI", (True, False, False)),
    ],
)
def test_planes_are_turned_as_radiologists_see_them(
    direction: tuple[float, ...], axis: int, letters: str, turned: tuple[bool, bool, bool]
) -> None:
    orientation = display_orientation(Geometry((5, 6, 7), direction=direction), axis)
    assert "".join(orientation.letters) == letters
    assert (orientation.swapped, orientation.flip_x, orientation.flip_y) == turned


def test_picture_of_two_dimensions_has_no_letters() -> None:
    assert display_orientation(Geometry((5, 6, 1), dimensions=2), 2).letters == ("", "", "", "")


def test_planes_with_the_largest_area_are_shown() -> None:
    mask = np.zeros((9, 8, 7), np.uint8)
    mask[2:5, 3, 1] = mask[3, 1:6, 4] = 1
    assert largest_planes(mask) == (3, 3, 4)
    assert largest_planes(np.zeros((9, 8, 7))) == (4, 4, 3)


def test_outline_is_drawn_only_where_there_is_a_mask(a_scene: Scene) -> None:
    assert share_of_colour(plane_strip(a_scene, 2, [4]), MASK_COLOUR) > 0.005
    assert share_of_colour(plane_strip(a_scene, 2, [8]), MASK_COLOUR) < 0.0005


def test_three_axes_with_close_ups_are_drawn(a_scene: Scene) -> None:
    height, width = pixels_of(orthogonal_picture(a_scene)).shape[:2]
    assert width / height == pytest.approx(1.5, abs=0.02)


def test_colour_and_empty_mask_can_be_drawn() -> None:
    array = np.random.default_rng(0).integers(0, 255, (20, 16, 1, 3)).astype(np.uint8)
    mask = np.zeros((20, 16, 1), np.uint8)
    scene = Scene(array, Geometry((20, 16, 1), dimensions=2), Window(0, 255), mask)
    assert np.ptp(pixels_of(orthogonal_picture(scene))[..., 0]) > 0.8


def test_curve_has_a_transparent_ground() -> None:
    pixels = pixels_of(curve_picture({3: 0.9, 4: 0.5}, "plane K", "confidence", [3]))
    assert pixels[0, 0, 3] == 0.0
    assert (pixels[..., 3] == 1.0).any()


def test_volume_has_more_pictures_than_a_plane(a_scene: Scene) -> None:
    headings = [picture.heading for picture in result_pictures(a_scene, 2, [4], {3: 0.8, 4: 0.9, 5: 0.7})]
    assert headings == ["Result", "Planes with prompts", "Confidence of each plane"]
    headings = [picture.heading for picture in result_pictures(a_scene, 2, [4], {4: 0.9})]
    assert headings == ["Result", "Planes with prompts"]


def test_page_is_whole_in_itself_and_escaped() -> None:
    page = render(
        Report("A <b> title", "Sum & more", [("Dice", "< 0.9")], [Picture('A "result"', "a <caption>", b"\x89PNG")])
    )
    assert "A &lt;b&gt; title" in page
    assert "Sum &amp; more" in page
    assert "<td>&lt; 0.9</td>" in page
    assert 'alt="A &quot;result&quot;"' in page
    assert "a &lt;caption&gt;" in page
    assert "data:image/png;base64,iVBORw==" in page
    assert not re.search(r"https?:|<script|src=\"(?!data:)|url\(", page)


def test_page_suits_light_and_dark() -> None:
    page = render(Report("t", "s", [], []))
    assert "color-scheme: light dark" in page
    assert "prefers-color-scheme: dark" in page


def test_reference_is_in_the_legend_only_where_there_is_one() -> None:
    assert "reference" not in render(Report("t", "s", [], []))
    assert "reference (dashed)" in render(Report("t", "s", [], [], has_truth=True))


def test_old_report_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "r.html").write_text("old")
    write_report(Report("new", "s", [], []), tmp_path / "r.html")
    assert "<h1>new</h1>" in (tmp_path / "r.html").read_text(encoding="utf-8")
    assert len(list(tmp_path.iterdir())) == 1


def test_names_on_the_page_hide_nothing() -> None:
    page = render(Report("Title", "Summary", [("Model", "gpj.\u202ecup <b>\x1b")], []))
    assert r"<td>gpj.\u202ecup &lt;b&gt;\x1b</td>" in page
