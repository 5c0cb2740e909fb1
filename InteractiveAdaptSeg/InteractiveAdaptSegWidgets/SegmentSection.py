"""The chosen segment in Slicer's own tools: the embedded Segment Editor, statistics, and export as DICOM SEG."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import slicer
import vtk
from slicer.i18n import tr as _

from InteractiveAdaptSegLib.Choices import Choices
from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic


class SegmentSection:
    """Embeds the Segment Editor when its section is opened for the first time, on the node that all masks go through.

    What is painted there belongs to the segment: prompts correct it. Its own buttons undo it.

    Args:
        ui: the panel's widgets.
        choices: what is chosen.
        session: writes into the segment.
        reported: within it, errors are shown to the user.
        onEffect: called when the mouse is given to an effect of the editor.
    """

    def __init__(
        self,
        ui: Any,
        choices: Choices,
        session: SegmentationLogic,
        reported: Callable[[], AbstractContextManager[None]],
        onEffect: Callable[[], None],
    ) -> None:
        self.ui = ui
        self._choices = choices
        self._session = session
        self._reported = reported
        self._onEffect = onEffect
        self._editor: Any = None
        self._node: Any = None
        self._observations = Observations()
        ui.statisticsButton.visible = hasattr(slicer.modules, "segmentstatistics")
        ui.exportDicomButton.visible = hasattr(slicer, "qSlicerDICOMExportDialog")
        ui.editorSection.visible = hasattr(slicer, "qMRMLSegmentEditorWidget")
        ui.editorSection.connect("contentsCollapsed(bool)", lambda isCollapsed: self.follow())
        ui.statisticsButton.connect("clicked()", self.onStatistics)
        ui.exportDicomButton.connect("clicked()", self.onExportDicom)

    def follow(self) -> None:
        """Embed the editor of an open section, and let it edit what is worked on."""
        self.ui.statisticsButton.enabled = self.ui.exportDicomButton.enabled = self._session.hasTarget
        if self.ui.editorSection.collapsed or not self._session.hasTarget:
            self.leave()
        elif self._node is None and hasattr(slicer, "qMRMLSegmentEditorWidget"):
            self._enter()

    def leave(self) -> None:
        """Give the mouse back, and let the node go."""
        self.putDown()
        self._observations.clear()
        if self._node is not None:
            self._node = None
            self._editor.removeViewObservations()
            self._editor.setMRMLSegmentEditorNode(None)

    def putDown(self) -> None:
        """End the editor's effect, such as when a tool of the panel is taken up."""
        if self._node is not None and self._node.GetActiveEffectName():
            self._editor.setActiveEffectByName("")

    def onStatistics(self) -> None:
        """Measure all segments by Slicer's Segment Statistics, in a table of the scene."""
        from SegmentStatistics import SegmentStatisticsLogic

        choice = self._choices.node
        with self._reported():
            logic = SegmentStatisticsLogic()
            parameters = logic.getParameterNode()
            parameters.SetParameter("Segmentation", choice.segmentation.GetID())
            parameters.SetParameter("ScalarVolume", choice.inputVolume.GetID())
            logic.computeStatistics()
            name = _("{segmentation} statistics").format(segmentation=choice.segmentation.GetName())
            table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", slicer.mrmlScene.GenerateUniqueName(name))
            logic.exportToTable(table)
            logic.showTable(table)

    def onExportDicom(self) -> None:
        """Open Slicer's DICOM export for the segmentation, in the study of the volume."""
        choice = self._choices.node
        with self._reported():
            slicer.modules.dicom.widgetRepresentation()  # finds the plugins
            if "DICOMSegmentationPlugin" not in getattr(slicer.modules, "dicomPlugins", {}):
                raise SceneError(_("Slicer cannot write DICOM SEG yet: install its extension Quantitative Reporting"))
            hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
            volume, segmentation = map(hierarchy.GetItemByDataNode, (choice.inputVolume, choice.segmentation))
            hierarchy.SetItemParent(segmentation, hierarchy.GetItemParent(volume))
            dialog = slicer.qSlicerDICOMExportDialog(None)
            dialog.setMRMLScene(slicer.mrmlScene)
            dialog.execDialog(segmentation)

    def _enter(self) -> None:
        if self._editor is None:
            self._editor = slicer.qMRMLSegmentEditorWidget()
            self._editor.setMRMLScene(slicer.mrmlScene)
            self._editor.setSegmentationNodeSelectorVisible(False)
            self._editor.setSourceVolumeNodeSelectorVisible(False)
            self._editor.setSwitchToSegmentationsButtonVisible(False)
            self.ui.editorSection.layout().addWidget(self._editor)
        self._node = self._session.editorNode
        self._editor.setMRMLSegmentEditorNode(self._node)
        self._editor.setupViewObservations()
        self._observations.add(self._node, vtk.vtkCommand.ModifiedEvent, self._onNodeModified)

    def _onNodeModified(self, caller: Any, event: str) -> None:
        if caller.GetActiveEffectName():
            self._onEffect()
