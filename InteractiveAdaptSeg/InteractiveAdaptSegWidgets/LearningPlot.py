"""Charts of what a task has learnt, in Slicer's own plot nodes: one set for each scene, never saved with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
from slicer.i18n import tr as _

ROLE = "InteractiveAdaptSeg.LearningPlot"
"""Attribute that tells which part of the set a node is."""

ORIGINAL_COLOR = (0.84, 0.37, 0.0)
ADAPTED_COLOR = (0.0, 0.45, 0.70)
CLICKS_COLOR = (0.35, 0.35, 0.35)


class LearningPlot:
    """A table with a row for each accepted slice, and two charts of it: first masks, and clicks."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._drawn: tuple[str, Sequence[Any]] | None = None

    def show(self, task: str, history: Sequence[Any]) -> None:
        """Show a task's history (`AdaptCore.adapt.guard.Outcome`) in the plot view, in a layout that has one."""
        slicer.modules.plots.logic().ShowChartInLayout(self._draw(task, history))

    def follow(self, task: str | None, history: Sequence[Any]) -> None:
        """Bring charts that are in the scene up to date; none are added."""
        if task is not None and self._drawn != (task, history) and self._find("table", "vtkMRMLTableNode"):
            self._draw(task, history)

    def _draw(self, task: str, history: Sequence[Any]) -> Any:
        """Draw all charts; the one of the first masks."""
        self._drawn = task, history
        columns = {
            _("Slice"): list(range(1, len(history) + 1)),
            _("Frozen model"): [outcome.frozen for outcome in history],
            _("Adapted model"): [outcome.adapted for outcome in history],
            _("Clicks"): [outcome.clicks for outcome in history],
        }
        self._fill(columns)
        image, original, adapted, clicks = columns
        agreement = [
            self._series("original", image, original, ORIGINAL_COLOR),
            self._series("adapted", image, adapted, ADAPTED_COLOR),
        ]
        title = _("{task}: agreement of the first mask (IoU)").format(task=task)
        chart = self._chart("agreement", title, image, _("IoU"), agreement)
        chart.SetYAxisRangeAuto(False)
        chart.SetYAxisRange(0.0, 1.0)
        series = [self._series("clicks", image, clicks, CLICKS_COLOR)]
        self._chart("effort", _("{task}: clicks for each slice").format(task=task), image, clicks, series)
        return chart

    def _fill(self, columns: dict[str, list[Any]]) -> None:
        import numpy as np

        table = self._node("table", "vtkMRMLTableNode", _("Learning"))
        with slicer.util.NodeModify(table):
            slicer.util.updateTableFromArray(table, [np.array(values) for values in columns.values()], list(columns))
            table.SetLocked(True)

    def _series(self, role: str, x: str, y: str, color: tuple[float, float, float]) -> Any:
        node = self._node(role, "vtkMRMLPlotSeriesNode", y)
        node.SetHideFromEditors(True)
        node.SetAndObserveTableNodeID(self._find("table", "vtkMRMLTableNode").GetID())
        node.SetXColumnName(x)
        node.SetYColumnName(y)
        node.SetPlotType(node.PlotTypeScatter)
        node.SetMarkerStyle(node.MarkerStyleCircle)
        node.SetLineStyle(node.LineStyleSolid)
        node.SetColor(color)
        return node

    def _chart(self, role: str, title: str, x: str, y: str, series: Sequence[Any]) -> Any:
        node = self._node(role, "vtkMRMLPlotChartNode", title)
        node.SetName(title)
        node.SetTitle(title)
        node.SetXAxisTitle(x)
        node.SetYAxisTitle(y)
        for one in series:
            if not node.HasPlotSeriesNodeID(one.GetID()):
                node.AddAndObservePlotSeriesNodeID(one.GetID())
        return node

    def _node(self, role: str, className: str, name: str) -> Any:
        node = self._find(role, className)
        if node is None:
            node = self._scene.AddNewNodeByClass(className, name)
            node.SetAttribute(ROLE, role)
            node.SetSaveWithScene(False)
        return node

    def _find(self, role: str, className: str) -> Any:
        nodes = slicer.util.getNodesByClass(className, self._scene)
        return next((node for node in nodes if node.GetAttribute(ROLE) == role), None)
