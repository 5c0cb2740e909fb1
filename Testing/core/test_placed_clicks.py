"""Clicks in millimetres and points of Slicer's Markups files hit the voxels that they lie in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore import cli
from AdaptCore.commands.placed_clicks import placed_clicks
from AdaptCore.errors import PromptError
from AdaptCore.io import Geometry, read_volume
from Testing.image_files import write_disc_volume
from Testing.toy_model import ToyModel

TURNED = Geometry((10, 20, 30), (0.5, 1.0, 2.0), (5.0, -7.0, 11.0), (0.0, -1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0))
"""Axis i runs to the back, axis j to the right."""


def ras_of(voxel: tuple[float, float, float], geometry: Geometry) -> list[float]:
    x, y, z = np.array(geometry.origin) + geometry.direction_matrix @ (np.array(geometry.spacing) * voxel)
    return [-x, -y, z]


def points_file(path: Path, *points: dict[str, Any], **markup: Any) -> Path:
    content = {"markups": [{"type": "Fiducial", "controlPoints": list(points), **markup}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_millimetres_to_the_right_and_front_are_not_those_of_the_file() -> None:
    geometry = Geometry((50, 40, 30), (1.0, 1.0, 1.0), (-20.0, -10.0, 0.0))
    assert placed_clicks(["20,10,0"], [], geometry) == ["0,0,0"]
    assert placed_clicks(["-20,10,0", "20,-15,7,-", "19,9,1,+"], [], geometry) == ["40,0,0", "0,25,7,-", "1,1,1"]


def test_a_turned_volume_is_hit_where_the_position_lies() -> None:
    voxels = [(0, 0, 0), (9, 19, 29), (3, 12, 7)]
    texts = [",".join(map(str, ras_of(voxel, TURNED))) for voxel in voxels]
    assert placed_clicks(texts, [], TURNED) == ["0,0,0", "9,19,29", "3,12,7"]


def test_a_voxel_reaches_half_way_to_its_neighbours() -> None:
    def click(i: float) -> list[str]:
        return placed_clicks([",".join(map(str, ras_of((i, 5, 5), TURNED)))], [], TURNED)

    assert (click(-0.4), click(2.4), click(2.6), click(9.4)) == (["0,5,5"], ["2,5,5"], ["3,5,5"], ["9,5,5"])
    with pytest.raises(PromptError, match="is outside the image"):
        click(9.6)


def test_a_position_outside_is_told_with_what_the_image_reaches() -> None:
    geometry = Geometry((50, 40, 30), (1.0, 1.0, 1.0), (-20.0, -10.0, 0.0))
    with pytest.raises(PromptError) as refused:
        placed_clicks(["21,0,5"], [], geometry)
    assert str(refused.value) == (
        "--click-mm 21,0,5 is outside the image: 21.0,0.0,5.0 mm. "
        "The image reaches from -29.0,-29.0,0.0 to 20.0,10.0,29.0 mm."
    )


@pytest.mark.parametrize("text", ["1,2", "1,2,3,4", "a,b,c", "1,2,nan", "1,2,inf", "", ",-", "1;2;3"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(PromptError, match="Expected 3 numbers R,A,S in millimetres, got"):
        placed_clicks([text], [], TURNED)


@pytest.mark.parametrize(
    ("markup", "position"),
    [
        ({}, [-4.0, 7.0, 15.0]),
        ({"coordinateSystem": "LPS", "coordinateUnits": "mm"}, [-4.0, 7.0, 15.0]),
        ({"coordinateSystem": "RAS"}, [4.0, -7.0, 15.0]),
        ({"coordinateSystem": "RAS", "coordinateUnits": "um"}, [4000, -7000, 15000]),
        ({"coordinateUnits": ["mm", "UCUM", "millimeter"]}, [-4.0, 7.0, 15.0]),
    ],
)
def test_a_file_says_how_its_positions_are_meant(tmp_path: Path, markup: dict[str, Any], position: list[float]) -> None:
    geometry = Geometry((20, 20, 20), (1.0, 1.0, 1.0), (-10.0, 0.0, 0.0))
    file = points_file(tmp_path / "F.mrk.json", {"label": "F-1", "position": position}, **markup)
    assert placed_clicks([], [str(file)], geometry) == ["6,7,15"]


def test_a_label_or_the_file_puts_points_on_the_background(tmp_path: Path) -> None:
    points = [
        {"label": label, "position": [number, 0, 0], "positionStatus": status}
        for number, (label, status) in enumerate(
            [("F-1", "defined"), ("vessel -", "defined"), ("F-3", "undefined"), ("-", "defined"), ("F-5", "preview")]
        )
    ]
    file = points_file(tmp_path / "a,b.mrk.json", *points, {"label": "F-6", "positionStatus": "undefined"})
    geometry = Geometry((9, 9, 9))
    assert placed_clicks([], [str(file)], geometry) == ["0,0,0", "1,0,0,-", "3,0,0,-"]
    assert placed_clicks([], [f"{file},-"], geometry) == ["0,0,0,-", "1,0,0,-", "3,0,0,-"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "The file holds no JSON"),
        ("[]", r"\$: \[\] is not of type 'object'"),
        ("{}", "'markups' is a required property"),
        ('{"markups": []}', "The file holds no placed point"),
        ('{"markups": [{"type": "Fiducial"}]}', "The file holds no placed point"),
        ('{"markups": [{"type": "Line"}]}', r"\$\.markups\[0\]\.type: 'Fiducial' was expected"),
        ('{"markups": [{"type": "Fiducial", "coordinateUnits": "inch"}]}', "'inch' is not one of 'mm', 'um'"),
        ('{"markups": [{"type": "Fiducial", "coordinateSystem": "IJK"}]}', "'IJK' is not one of 'LPS', 'RAS'"),
        ('{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1, 2]}]}]}', r"\[1, 2\] is too short"),
        ('{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1, 2, NaN]}]}]}', "NaN is not finite"),
        ('{"markups": [{"type": "Fiducial", "controlPoints": [{"position": [1, 2, 99]}]}]}', "Point 1 is outside"),
    ],
)
def test_an_unknown_file_is_refused_with_what_to_do(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "F.mrk.json").write_text(content, encoding="utf-8")
    with pytest.raises(PromptError, match=reason) as refused:
        placed_clicks([], [str(tmp_path / "F.mrk.json")], Geometry((9, 9, 9)))
    assert "F.mrk.json" in str(refused.value) and str(refused.value).endswith(".")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptError, match=r"gone\.mrk\.json: The file cannot be read \(No such file"):
        placed_clicks([], [f"{tmp_path / 'gone.mrk.json'},-"], Geometry((9, 9, 9)))


def test_the_command_takes_both_beside_clicks_on_voxels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptCore.models.registry.load_model", lambda name, device=None: ToyModel())
    write_disc_volume(tmp_path / "ball.nrrd")
    geometry = read_volume(tmp_path / "ball.nrrd").geometry
    middle = ras_of((24, 20, 3), geometry)
    file = points_file(tmp_path / "F.mrk.json", {"label": "F-1", "position": middle}, coordinateSystem="RAS")

    def mask(name: str, *words: str) -> np.ndarray:
        assert cli.main(["segment", str(tmp_path / "ball.nrrd"), *words, "--slice", "--out", str(tmp_path / name)]) == 0
        return read_volume(tmp_path / name).array

    by_voxel = mask("a.nrrd", "--click", "24,20,3")
    assert by_voxel.any()
    np.testing.assert_array_equal(mask("b.nrrd", "--click-mm", ",".join(map(str, middle))), by_voxel)
    np.testing.assert_array_equal(mask("c.nrrd", "--points", str(file)), by_voxel)


def test_an_image_without_millimetres_takes_clicks_on_voxels_only(tmp_path: Path) -> None:
    file = points_file(tmp_path / "F.mrk.json", {"label": "F-1", "position": [0, 0, 0]})
    for typed, files in ((["0,0,0"], []), ([], [str(file)])):
        with pytest.raises(PromptError, match=r"gives no place in mm\. Click on voxels with --click"):
            placed_clicks(typed, files, Geometry((9, 9, 9), has_millimetres=False))
    assert placed_clicks([], [], Geometry((9, 9, 9), has_millimetres=False)) == []
