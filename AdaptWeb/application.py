"""Slicer's core as the module expects it: scene, application logic and four views, without Slicer's windows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import slicer
from trame_server import Server
from trame_slicer.core import LayoutManager, SlicerApp
from trame_slicer.rca_view import register_rca_factories
from trame_slicer.views import Layout, LayoutDirection
from trame_slicer.views import ViewLayoutDefinition as View
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

from AdaptWeb.painter import Painter

LAYOUT = Layout(
    LayoutDirection.Vertical,
    [
        Layout(LayoutDirection.Horizontal, [View.axial_view(), View.threed_view()]),
        Layout(LayoutDirection.Horizontal, [View.coronal_view(), View.sagittal_view()]),
    ],
)
"""Four views, each where Slicer's *Four-Up* has it."""


class Application:
    """The running core; `slicer.app`, `slicer.modules` and `slicer.mrmlScene` are its parts from now on.

    Attributes:
        core: trame-slicer's application.
        layout: puts the views into the page.
    """

    def __init__(self, server: Server) -> None:
        self.core = SlicerApp()
        _silence_vtk()
        self.scene = self.core.scene
        slicer.mrmlScene = self.scene
        slicer.app = SimpleNamespace(applicationLogic=lambda: self.core.app_logic, mrmlScene=lambda: self.scene)
        slicer.modules = SimpleNamespace(segmentations=SimpleNamespace(logic=lambda: self.core.segmentations_logic))
        register_rca_factories(self.core.view_manager, server)
        self.layout = LayoutManager(self.scene, self.core.view_manager, server)
        self.layout.register_layout("Four-Up", LAYOUT)
        self.layout.set_layout("Four-Up")
        views = self.core.view_manager.get_views()
        for view in views:
            view.render_window().SetMultiSamples(0)  # smooth edges double the time of each picture without a GPU
        self._painter = Painter(server, views)

    def close(self) -> None:
        """Let go of everything when the server ends."""
        self._painter.close()

    def show(self, volume_node: Any) -> None:
        """Show a volume in all slice views, along its own axes; None for nothing."""
        self.core.display_manager.show_volume_in_slice_background(volume_node)
        if volume_node is None:
            return
        for view in self.core.view_manager.get_slice_views():
            view.get_view_node().RotateToVolumePlane(volume_node)
            view.fit_view_to_content()
        bounds = [0.0] * 6
        volume_node.GetRASBounds(bounds)
        for view in self.core.view_manager.get_threed_views():
            view.renderer().ResetCamera(bounds)
            view.schedule_render()


def _silence_vtk() -> None:
    """VTK's warnings name files, nodes and addresses in memory, and nothing that the user can act on."""
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    vtkOutputWindow.GetInstance().SetDisplayModeToNever()
