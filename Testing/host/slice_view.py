"""A slice view of Slicer, drawn off screen: its real displayable managers, which take the mouse as they do there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
)
SIDE = 300


class SliceView:
    """A view and the user's mouse in it. Points are given in world coordinates (RAS, mm).

    Args:
        node: the vtkMRMLSliceNode that is shown.
        volume: the volume in the background; the view is fitted to it.
    """

    def __init__(self, node: Any, volume: Any) -> None:
        self.node = node
        application_logic = slicer.app.applicationLogic()
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(application_logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetSliceNode(node)
        application_logic.GetSliceLogics().AddItem(self._logic)
        self._open_window()
        self._managers = slicer.vtkMRMLDisplayableManagerGroup()
        self._managers.SetRenderer(self._renderer)
        for name in MANAGERS:
            manager = getattr(slicer, name)()
            manager.SetMRMLApplicationLogic(application_logic)
            self._managers.AddDisplayableManager(manager)
        self._managers.SetMRMLDisplayableNode(node)
        self._style = slicer.vtkMRMLSliceViewInteractorStyle()
        self._style.SetSliceLogic(self._logic)
        self._style.SetDisplayableManagers(self._managers)
        self._style.SetInteractor(self._interactor)
        node.SetDimensions(SIDE, SIDE, 1)
        self.show(volume)
        self._show_image()
        slicer.app.add_slice_view(node, self._interactor)

    def show(self, volume: Any) -> None:
        """Put a volume into the background, and fit the view to it."""
        self._logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
        self._logic.FitSliceToBackground()

    def close(self) -> None:
        self._style.SetInteractor(None)
        self._managers.SetMRMLDisplayableNode(None)
        self._managers.SetRenderer(None)
        self._window.Finalize()

    def click(self, world: Sequence[float], button: str = "Left") -> None:
        """Move the mouse to a point of the slice that is shown, and click."""
        self._send(world, "EnterEvent", "MouseMoveEvent", f"{button}ButtonPressEvent", f"{button}ButtonReleaseEvent")

    def drag(self, worlds: Sequence[Sequence[float]], button: str = "Left", shift: bool = False) -> None:
        """Press the button at the first point, move to the others, and let go at the last."""
        self.press(worlds[0], button, shift)
        for world in worlds[1:]:
            self.move(world)
        self._send(worlds[-1], f"{button}ButtonReleaseEvent")

    def press(self, world: Sequence[float], button: str = "Left", shift: bool = False) -> None:
        self._send(world, "EnterEvent", "MouseMoveEvent", f"{button}ButtonPressEvent", shift=shift)

    def press_again(self, world: Sequence[float]) -> None:
        """Press the left button right after a click: Qt makes a double click of it, and no press."""
        self._send(world, "MouseMoveEvent", "LeftButtonDoubleClickEvent")

    def move(self, world: Sequence[float]) -> None:
        self._send(world, "MouseMoveEvent")

    def release(self, world: Sequence[float]) -> None:
        self._send(world, "LeftButtonReleaseEvent")

    def scroll(self) -> None:
        """Turn the wheel by a step, where the mouse is."""
        self._interactor.InvokeEvent("MouseWheelForwardEvent")

    def type_key(self, symbol: str) -> None:
        """Press a key while the view has the keyboard."""
        self._interactor.SetKeySym(symbol)
        self._interactor.InvokeEvent("KeyPressEvent")

    def _send(self, world: Sequence[float], *events: str, shift: bool = False) -> None:
        matrix = vtk.vtkMatrix4x4()
        vtk.vtkMatrix4x4.Invert(self.node.GetXYToRAS(), matrix)
        x, y = matrix.MultiplyPoint((*world, 1.0))[:2]
        self._interactor.SetEventInformation(round(x), round(y), 0, int(shift))
        for event in events:
            self._interactor.InvokeEvent(event)

    def paint(self) -> None:
        """Draw what the view shows."""
        self._window.Render()

    def picture(self) -> np.ndarray:
        """What the view shows, as (height, width, 3) colours from 0 to 255, the first row on top."""
        self.paint()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self._window)
        grabber.ReadFrontBufferOff()
        grabber.Update()
        image = grabber.GetOutput()
        width, height, _ = image.GetDimensions()
        return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, 3)[::-1]

    def _show_image(self) -> None:
        """Put the slice's image, which Slicer's view widget draws and no displayable manager, behind all else."""
        mapper, actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
        mapper.SetInputConnection(self._logic.GetImageDataConnection())
        mapper.SetColorWindow(255)
        mapper.SetColorLevel(127.5)
        actor.SetMapper(mapper)
        actor.SetLayerNumber(0)
        self._renderer.AddViewProp(actor)

    def _open_window(self) -> None:
        self._renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetSize(SIDE, SIDE)
        self._window.AddRenderer(self._renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
