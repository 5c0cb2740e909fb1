"""Slicer's own tools for the chosen segment, where they are there: Segment Editor, statistics, DICOM SEG; and names."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slicer
import vtk
from PySide6.QtWidgets import QWidget

from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE
from Testing.slicer.user import User

LIVER = {
    "CodeMeaning": "Liver",
    "CodingSchemeDesignator": "SCT",
    "CodeValue": "10200004",
    "3dSlicerLabel": "liver",
    "recommendedDisplayRGBValue": [221, 130, 101],
}
ANATOMY = {"CodeMeaning": "Anatomical Structure", "CodingSchemeDesignator": "SCT", "CodeValue": "123037004"}


class SegmentEditorWidget(QWidget):
    """Stands for Slicer's: gives a node's effect to the mouse."""

    def __init__(self) -> None:
        super().__init__()
        self.node: Any = None
        self.calls: list[str] = []

    def setMRMLScene(self, scene: Any) -> None:
        self.calls.append("scene")

    def setMRMLSegmentEditorNode(self, node: Any) -> None:
        self.node = node

    def setActiveEffectByName(self, name: str) -> None:
        self.node.SetActiveEffectName(name)

    def setupViewObservations(self) -> None:
        self.calls.append("observed")

    def removeViewObservations(self) -> None:
        self.calls.append("left")

    def setSegmentationNodeSelectorVisible(self, isVisible: bool) -> None:
        self.calls.append(f"segmentations {isVisible}")

    def setSourceVolumeNodeSelectorVisible(self, isVisible: bool) -> None:
        self.calls.append(f"volumes {isVisible}")

    def setSwitchToSegmentationsButtonVisible(self, isVisible: bool) -> None:
        self.calls.append(f"module {isVisible}")


@pytest.fixture
def an_editor(monkeypatch: pytest.MonkeyPatch) -> list[SegmentEditorWidget]:
    """Editors that were embedded."""
    embedded: list[SegmentEditorWidget] = []

    def make() -> SegmentEditorWidget:
        embedded.append(SegmentEditorWidget())
        return embedded[-1]

    monkeypatch.setattr(slicer, "qMRMLSegmentEditorWidget", make, raising=False)
    return embedded


def test_nothing_is_offered_that_is_not_there(a_user: User) -> None:
    assert not a_user.ui.editorSection.visible
    a_user.begin()
    assert a_user.panel.session.hasTarget


def test_editor_is_embedded_once_on_the_node_that_masks_go_through(an_editor: list[Any], a_user: User) -> None:
    assert a_user.ui.editorSection.visible and not an_editor
    a_user.begin()
    assert not an_editor, "nothing is made before the section is opened"
    a_user.ui.editorSection.collapsed = False
    (editor,) = an_editor
    node = a_user.panel.session.editorNode
    assert editor.node is node
    assert (node.GetSegmentationNode(), node.GetSelectedSegmentID()) == (
        a_user.segmentation,
        a_user.panel.choices.node.segmentID,
    )
    a_user.press("newSegment")
    assert node.GetSelectedSegmentID() == a_user.panel.choices.node.segmentID
    assert a_user.segmentation.GetSegmentation().GetNumberOfSegments() == 2
    a_user.ui.editorSection.collapsed = True
    assert editor.node is None and editor.calls[-1] == "left"
    a_user.ui.editorSection.collapsed = False
    assert len(an_editor) == 1 and editor.node is node


def test_mouse_belongs_to_an_effect_or_to_a_tool(an_editor: list[Any], a_user: User) -> None:
    a_user.begin()
    a_user.ui.editorSection.collapsed = False
    node = a_user.panel.session.editorNode
    node.SetActiveEffectName("Paint")
    assert not a_user.ui.positiveButton.checked
    a_user.press("box")
    assert node.GetActiveEffectName() == "" and a_user.ui.boxButton.checked
    node.SetActiveEffectName("Erase")
    assert not a_user.ui.boxButton.checked
    a_user.host.leave()
    assert node.GetActiveEffectName() == "" and an_editor[0].node is None


def test_painting_between_clicks_is_part_of_the_segment(an_editor: list[Any], a_user: User) -> None:
    a_user.begin()
    a_user.ui.editorSection.collapsed = False
    a_user.click(CENTRE)
    a_user.press("accept")
    accepted = a_user.segment()
    painted = np.zeros(SHAPE, bool)
    painted[tuple(slice(middle - 1, middle + 2) for middle in OTHER_CENTRE)] = True
    segmentID = a_user.panel.choices.node.segmentID
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        (accepted | painted).T.astype(np.uint8), a_user.segmentation, segmentID, a_user.volume
    )
    above = (*CENTRE[:2], CENTRE[2] + 2)
    a_user.click(above)
    mask = a_user.panel.session.mask.T
    a_user.press("accept")
    expected = accepted | painted
    expected[:, :, above[2]] |= mask
    np.testing.assert_array_equal(a_user.segment(), expected)
    a_user.press("undo")
    np.testing.assert_array_equal(a_user.segment(), accepted | painted)


def test_segments_are_measured_by_segment_statistics(
    an_editor: list[Any], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    told: dict[str, Any] = {}

    class SegmentStatisticsLogic:
        def getParameterNode(self) -> Any:
            return SimpleNamespace(SetParameter=told.__setitem__)

        def computeStatistics(self) -> None:
            told["computed"] = True

        def exportToTable(self, table: Any) -> None:
            told["table"] = table

        def showTable(self, table: Any) -> None:
            assert table is told["table"]

    monkeypatch.setitem(
        sys.modules, "SegmentStatistics", SimpleNamespace(SegmentStatisticsLogic=SegmentStatisticsLogic)
    )
    user = request.getfixturevalue("a_user")
    user.begin()
    user.panel._segmentSection.onStatistics()
    assert (told["Segmentation"], told["ScalarVolume"]) == (user.segmentation.GetID(), user.volume.GetID())
    assert told["computed"] and told["table"].IsA("vtkMRMLTableNode")


@pytest.mark.parametrize("hasPlugin", [False, True])
def test_segmentation_is_exported_in_the_study_of_its_volume(
    an_editor: list[Any], a_user: User, monkeypatch: pytest.MonkeyPatch, hasPlugin: bool
) -> None:
    exported: list[int] = []
    dialog = SimpleNamespace(setMRMLScene=lambda scene: None, execDialog=exported.append)
    monkeypatch.setattr(slicer, "qSlicerDICOMExportDialog", lambda parent: dialog, raising=False)
    dicom = SimpleNamespace(widgetRepresentation=lambda: None)
    monkeypatch.setattr(slicer.modules, "dicom", dicom, raising=False)
    plugins = {"DICOMSegmentationPlugin": object} if hasPlugin else {}
    monkeypatch.setattr(slicer.modules, "dicomPlugins", plugins, raising=False)
    a_user.begin()
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    for node, parent in ((a_user.volume, study), (a_user.segmentation, hierarchy.GetSceneItemID())):
        hierarchy.CreateItem(parent, node)
    a_user.panel._segmentSection.onExportDicom()
    item = hierarchy.GetItemByDataNode(a_user.segmentation)
    if hasPlugin:
        assert exported == [item] and hierarchy.GetItemParent(item) == study
    else:
        assert not exported
        assert a_user.message == "Slicer cannot write DICOM SEG yet: install its extension Quantitative Reporting."


def test_new_segments_are_named_after_the_task_and_found_in_terminologies(a_segmentation: Any, tmp_path: Path) -> None:
    from InteractiveAdaptSegLib.SegmentNames import nameSegment

    file = tmp_path / "terminology.json"
    codes = {"Category": [{**ANATOMY, "showAnatomy": True, "Type": [LIVER]}]}
    schema = "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/segment-context-schema.json#"
    file.write_text(
        json.dumps({"@schema": schema, "SegmentationCategoryTypeContextName": "Ours", "SegmentationCodes": codes})
    )
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    assert logic.LoadTerminologyFromFile(str(file)) == "Ours"
    segmentation = a_segmentation.GetSegmentation()
    for segmentID in ("lesion", "organ"):
        nameSegment(a_segmentation, segmentID, "Liver", logic)
    assert [segmentation.GetNthSegment(place).GetName() for place in range(2)] == ["Liver", "Liver 2"]
    assert "Ours" in entry_of(segmentation, "lesion") and "SCT^10200004^Liver" in entry_of(segmentation, "lesion")
    before = entry_of(segmentation, "organ")
    nameSegment(a_segmentation, "organ", "Strange thing", logic)
    assert segmentation.GetSegment("organ").GetName() == "Strange thing"
    assert entry_of(segmentation, "organ") == before


def entry_of(segmentation: Any, segment_id: str) -> str:
    """The terminology entry that a segment stores."""
    entry = vtk.reference("")
    segmentation.GetSegment(segment_id).GetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry)
    return str(entry)
