"""The preview in a 3D view of Slicer: its real displayable manager, drawn off screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from Testing.bright_model import BrightModel
from Testing.slicer.panel import Panel
from Testing.slicer.scenes import CENTRE
from Testing.toy_model import ToyModel


class View3D:
    """A 3D view from above, with nothing else in it."""

    def __init__(self, scene: Any) -> None:
        import slicer
        import vtk

        node = scene.AddNewNodeByClass("vtkMRMLViewNode")
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetSize(200, 200)
        self._window.AddRenderer(self._renderer)
        interactor = vtk.vtkGenericRenderWindowInteractor()
        interactor.SetRenderWindow(self._window)
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.SetRenderer(self._renderer)
        manager = slicer.vtkMRMLSegmentationsDisplayableManager3D()
        manager.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        self._group.AddDisplayableManager(manager)
        self._group.SetMRMLDisplayableNode(node)

    def bounds(self) -> list[float]:
        """Of all that is visible, in the world."""
        self._window.Render()
        return list(self._renderer.ComputeVisiblePropBounds())

    def close(self) -> None:
        self._group.SetMRMLDisplayableNode(None)
        self._group.SetRenderer(None)
        self._window.Finalize()


@pytest.fixture
def a_session(a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any) -> Iterator[Panel]:
    """A panel where the segment "lesion" is chosen."""
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    yield panel
    panel.logic.close()


def test_preview_lies_on_its_slice_in_3d_views(a_session: Panel) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    view = View3D(a_session.scene)
    a_session.click(CENTRE)
    logic, spacing = a_session.logic, np.diag(ijkToWorld(a_session.volume))[:3]
    rows, columns = np.nonzero(logic.mask)
    wanted = []
    for axis, indices in enumerate((columns, rows, [CENTRE[2]])):
        edges = ijkToWorld(a_session.volume)[axis, 3] + spacing[axis] * np.array(
            [min(indices) - 0.5, max(indices) + 0.5]
        )
        wanted += sorted(edges)
    assert view.bounds() == pytest.approx(wanted, abs=0.6 * np.abs(spacing).max())
    logic.accept()
    assert view.bounds()[0] > view.bounds()[1], "nothing is left to preview"
    view.close()


def test_a_whole_object_is_previewed_in_3d_views_until_it_is_accepted(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any
) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld

    panel = Panel(a_scene, a_slice_view, ToyModel(), volume_model=BrightModel(100.0))
    panel.choose(a_volume, a_segmentation, "lesion")
    panel.logic.setAtObject(True)
    view = View3D(a_scene)
    panel.click(CENTRE)
    panel.wait()
    block, to_world = panel.logic.mask, ijkToWorld(a_volume)
    wanted = []
    for axis, places in enumerate(np.nonzero(block.mask)):
        edges = block.origin[axis] + np.array([places.min() - 0.5, places.max() + 0.5])
        wanted += sorted(to_world[axis, 3] + to_world[axis, axis] * edges)
    assert view.bounds() == pytest.approx(wanted, abs=0.6 * np.abs(to_world[:3, :3]).max())
    panel.logic.accept()
    assert view.bounds()[0] > view.bounds()[1], "nothing is left to preview"
    view.close()
    panel.logic.close()
