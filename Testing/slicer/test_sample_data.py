"""The data set that the module offers in Slicer's Sample Data module: a file of its own, and no network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NAME = "AdaptSegPhantom"


def test_phantom_is_offered_once_the_application_is_there(a_host: Any, a_loaded_module: Any) -> None:
    import SampleData

    sources = SampleData.SampleDataLogic.sources
    assert sources == {}, "nothing happens while modules are discovered"
    a_host.complete_startup()
    [source] = sources["Interactive AdaptSeg"]
    assert source["name"] == NAME and Path(source["thumbnail"]).is_file()
    assert source["uri"].startswith("file:///")


def test_phantom_is_loaded_where_it_lies_in_the_patient(a_host: Any, a_loaded_module: Any) -> None:
    import SampleData
    import slicer

    from AdaptCore.evaluate.phantom import make_phantom
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    a_host.complete_startup()
    node = SampleData.SampleDataLogic().downloadSample(NAME)
    phantom = make_phantom()
    assert node.GetName() == NAME
    assert np.array_equal(slicer.util.arrayFromVolume(node).T, phantom.volume.array)
    geometry = phantom.volume.geometry
    to_lps = np.eye(4)
    to_lps[:3, :3], to_lps[:3, 3] = geometry.direction_matrix * geometry.spacing, geometry.origin
    assert np.allclose(np.diag([-1.0, -1.0, 1.0, 1.0]) @ to_lps, ijkToWorld(node), atol=1e-5)
