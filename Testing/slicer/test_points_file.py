"""A point list that Slicer itself has saved gives the clicks where its points lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("system", ["LPS", "RAS"])
def test_points_that_slicer_has_saved_are_clicks(a_scene: Any, tmp_path: Path, system: str) -> None:
    import slicer

    from AdaptCore.commands.placed_clicks import placed_clicks
    from AdaptCore.io import Geometry

    points = a_scene.AddNewNodeByClass("vtkMRMLMarkupsFiducialNode", "Clicks")
    points.AddControlPoint(-6.0, -7.0, 8.0, "F-1")
    points.AddControlPoint(-1.0, -2.0, 3.0, "vessel -")
    storage = slicer.vtkMRMLMarkupsJsonStorageNode()
    a_scene.AddNode(storage)
    storage.SetCoordinateSystem(getattr(slicer.vtkMRMLMarkupsStorageNode, f"{system}"))
    storage.SetFileName(str(tmp_path / "Clicks.mrk.json"))
    assert storage.WriteData(points)
    assert f'"coordinateSystem": "{system}"' in (tmp_path / "Clicks.mrk.json").read_text(encoding="utf-8")
    assert placed_clicks([], [str(tmp_path / "Clicks.mrk.json")], Geometry((9, 9, 9))) == ["6,7,8", "1,2,3,-"]
