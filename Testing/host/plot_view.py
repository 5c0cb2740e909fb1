"""A plot view: draws a chart node with VTK's charts, off screen, as far as this module's charts ask for it."""

from __future__ import annotations

from typing import Any

import numpy as np
import vtk
from vtk.util.numpy_support import vtk_to_numpy

SIZE = (420, 300)


def picture_of(chart_node: Any) -> np.ndarray:
    """What Slicer's plot view shows of a chart node: (height, width, 3) colours from 0 to 255, the first row on top."""
    view = vtk.vtkContextView()
    view.GetRenderWindow().SetOffScreenRendering(True)
    view.GetRenderWindow().SetSize(*SIZE)
    view.GetRenderer().SetBackground(1.0, 1.0, 1.0)
    chart = vtk.vtkChartXY()
    view.GetScene().AddItem(chart)
    chart.SetTitle(chart_node.GetTitle())
    chart.SetShowLegend(chart_node.GetNumberOfPlotSeriesNodes() > 1)
    chart.GetLegend().SetVerticalAlignment(vtk.vtkChartLegend.BOTTOM)
    across, along = chart.GetAxis(vtk.vtkAxis.BOTTOM), chart.GetAxis(vtk.vtkAxis.LEFT)
    across.SetTitle(chart_node.GetXAxisTitle())
    along.SetTitle(chart_node.GetYAxisTitle())
    if not chart_node.GetYAxisRangeAuto():
        along.SetBehavior(vtk.vtkAxis.FIXED)
        along.SetRange(*chart_node.GetYAxisRange())
    for number in range(chart_node.GetNumberOfPlotSeriesNodes()):
        _add(chart, chart_node.GetNthPlotSeriesNode(number))
    view.GetRenderWindow().Render()
    grabber = vtk.vtkWindowToImageFilter()
    grabber.SetInput(view.GetRenderWindow())
    grabber.ReadFrontBufferOff()
    grabber.Update()
    image = grabber.GetOutput()
    width, height, _ = image.GetDimensions()
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(height, width, -1)[::-1, :, :3].copy()


def _add(chart: Any, series: Any) -> None:
    plot = chart.AddPlot(vtk.vtkChart.LINE)
    plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName(), series.GetYColumnName())
    plot.SetColorF(*series.GetColor())
    plot.SetWidth(series.GetLineWidth())
    plot.SetMarkerStyle(series.GetMarkerStyle())
    plot.SetMarkerSize(series.GetMarkerSize())
    plot.SetLabel(series.GetName())
