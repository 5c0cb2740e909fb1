"""The widgets of Slicer that show and choose nodes of the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from PySide6.QtCore import Property, QObject, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLabel, QSizePolicy, QWidget


class Observers:
    """Observers of VTK objects that end with the Qt object they belong to."""

    def __init__(self, owner: QObject) -> None:
        self._tags: list[tuple[Any, int]] = []
        owner.destroyed.connect(self.clear)

    def add(self, observed: Any, event: int, function: Callable[[], None]) -> None:
        self._tags.append((observed, observed.AddObserver(event, lambda caller, name: function())))

    def clear(self) -> None:
        for observed, tag in self._tags:
            observed.RemoveObserver(tag)
        self._tags.clear()


class qMRMLWidget(QWidget):
    """A widget that passes its scene on to those in it."""

    VTK_ARGUMENTS = {"mrmlSceneChanged": "vtkMRMLScene*"}
    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


def _setting(kind: type | str, name: str) -> Property:
    """A property of a node list that changes what it offers."""

    def change(box: qMRMLNodeComboBox, value: Any) -> None:
        box.settings[name] = value
        box.update_rows()

    return Property(kind, lambda box: box.settings[name], change)


class qMRMLNodeComboBox(QWidget):
    """A list of the scene's nodes of some types, of which one is current.

    As in Slicer, the first node of a list that has no other row becomes current by itself, and when the current node
    is removed, the next one does.
    """

    VTK_ARGUMENTS = {
        name: "vtkMRMLNode*" for name in ("currentNodeChanged", "nodeAdded", "nodeAddedByUser", "nodeActivated")
    }
    currentNodeChanged = Signal((object,), (bool,))
    currentNodeIDChanged = Signal(str)
    nodeAddedByUser = Signal(object)
    nodeActivated = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.settings: dict[str, Any] = {
            "nodeTypes": [],
            "showChildNodeTypes": True,
            "showHidden": False,
            "noneEnabled": False,
            "addEnabled": True,
            "removeEnabled": True,
            "renameEnabled": False,
        }
        self._scene: Any = None
        self._shown: Any = None
        self._scene_observers, self._node_observers = Observers(self), Observers(self)
        self._box = QComboBox()
        self._box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._box.currentIndexChanged.connect(self._on_index_changed)
        self._box.activated.connect(self._on_activated)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._box)
        self.setEnabled(False)

    nodeTypes = _setting("QStringList", "nodeTypes")
    showChildNodeTypes = _setting(bool, "showChildNodeTypes")
    showHidden = _setting(bool, "showHidden")
    noneEnabled = _setting(bool, "noneEnabled")
    addEnabled = _setting(bool, "addEnabled")
    removeEnabled = _setting(bool, "removeEnabled")
    renameEnabled = _setting(bool, "renameEnabled")

    @Property(str)
    def currentNodeID(self) -> str:
        return self._box.currentData() or ""

    @currentNodeID.setter
    def currentNodeID(self, node_id: str) -> None:
        self.setCurrentNodeID(node_id)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._scene:
            return
        self._scene_observers.clear()
        self._scene = scene
        if scene is not None:
            for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent):
                self._scene_observers.add(scene, event, self.update_rows)
        self.setEnabled(scene is not None)
        self.update_rows()

    def nodeCount(self) -> int:
        return len(self._nodes())

    def currentNode(self) -> Any:
        return self._scene.GetNodeByID(self.currentNodeID) if self._scene and self.currentNodeID else None

    def setCurrentNode(self, node: Any) -> None:
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def setCurrentNodeID(self, nodeID: str) -> None:
        index = self._box.findData(nodeID) if nodeID else -1
        self._box.setCurrentIndex(0 if index < 0 and self.noneEnabled else index)

    def addNode(self) -> Any:
        node = self._scene.AddNewNodeByClass(self.nodeTypes[0])
        self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def update_rows(self) -> None:
        """List the nodes that there are now; the current one stays current if it can."""
        before, row, was_empty = self.currentNodeID, self._box.currentIndex(), self._box.count() == 0
        nodes = self._nodes()
        self._node_observers.clear()
        self._box.blockSignals(True)
        self._box.clear()
        if self.noneEnabled:
            self._box.addItem("None", "")
        for node in nodes:
            self._box.addItem(node.GetName(), node.GetID())
            self._node_observers.add(node, vtk.vtkCommand.ModifiedEvent, self._update_names)
        last = self._box.count() - 1
        if self.addEnabled and self.nodeTypes and self._scene:
            self._box.addItem(f"Create new {self._scene.GetTypeDisplayNameByClassName(self.nodeTypes[0])}", "")
        index = self._box.findData(before) if before else -1
        if index < 0 and (before or was_empty):
            index = min(max(row, 0), last) if before or self._box.count() == last + 1 else -1
        self._box.setCurrentIndex(0 if index < 0 and self.noneEnabled else index)
        self._box.blockSignals(False)
        self._on_index_changed()

    def _nodes(self) -> list[Any]:
        scene = self._scene
        nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())] if scene else []
        return [node for node in nodes if self._offers(node)]

    def _offers(self, node: Any) -> bool:
        if node.GetHideFromEditors() and not self.showHidden:
            return False
        if self.showChildNodeTypes:
            return any(node.IsA(kind) for kind in self.nodeTypes)
        return node.GetClassName() in self.nodeTypes

    def _update_names(self) -> None:
        for row in range(self._box.count()):
            node = self._scene.GetNodeByID(self._box.itemData(row)) if self._box.itemData(row) else None
            if node is not None:
                self._box.setItemText(row, node.GetName())

    def _on_index_changed(self) -> None:
        node = self.currentNode()
        if node is not self._shown:
            self._shown = node
            self.currentNodeChanged[object].emit(node)
            self.currentNodeChanged[bool].emit(node is not None)
            self.currentNodeIDChanged.emit(self.currentNodeID)

    def _on_activated(self, row: int) -> None:
        if self._box.itemData(row) or (self.noneEnabled and row == 0):
            self.nodeActivated.emit(self.currentNode())
        else:
            self.addNode()


class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """Chooses a segmentation and a segment of it.

    As in Slicer, the segment's ID stays what it was while there is no segment to choose.
    """

    VTK_ARGUMENTS = {**qMRMLWidget.VTK_ARGUMENTS, "currentNodeChanged": "vtkMRMLNode*"}
    currentNodeChanged = Signal((object,), (bool,))
    currentSegmentChanged = Signal("QString")

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._segmentation: Any = None
        self._segment_id = ""
        self._observers = Observers(self)
        self._node_box = qMRMLNodeComboBox()
        self._node_box.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._node_box.addEnabled = False
        self._segment_box = QComboBox()
        self._message = QLabel()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        for widget in (self._node_box, self._segment_box, self._message):
            layout.addWidget(widget)
        self.mrmlSceneChanged.connect(self._node_box.setMRMLScene)
        self._node_box.currentNodeChanged[object].connect(self._on_node_changed)
        self._segment_box.currentIndexChanged.connect(self._on_segment_changed)
        self._list_segments()

    @Property(bool)
    def noneEnabled(self) -> bool:
        return self._node_box.noneEnabled

    @noneEnabled.setter
    def noneEnabled(self, is_enabled: bool) -> None:
        self._node_box.noneEnabled = is_enabled
        self._list_segments()

    @Property(bool)
    def segmentationNodeSelectorVisible(self) -> bool:
        return self._node_box.isVisible()

    @segmentationNodeSelectorVisible.setter
    def segmentationNodeSelectorVisible(self, is_visible: bool) -> None:
        self._node_box.setVisible(is_visible)

    def currentNode(self) -> Any:
        return self._node_box.currentNode()

    def setCurrentNode(self, node: Any) -> None:
        self._node_box.setCurrentNode(node)

    def currentSegmentID(self) -> str:
        return self._segment_id

    def setCurrentSegmentID(self, segmentID: str) -> None:
        if not segmentID and self.noneEnabled:
            self._segment_box.setCurrentIndex(0)
            return
        index = self._segment_box.findData(segmentID)
        if index >= 0:
            self._segment_box.setCurrentIndex(index)

    def _on_node_changed(self, node: Any) -> None:
        if node is not self._segmentation:
            self._observers.clear()
            self._segmentation = node
            if node is not None:
                segmentation = slicer.vtkSegmentation
                for event in (segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified):
                    self._observers.add(node, event, self._list_segments)
            self._list_segments()
        self.currentNodeChanged[object].emit(node)
        self.currentNodeChanged[bool].emit(node is not None)

    def _list_segments(self) -> None:
        segmentation = self._segmentation.GetSegmentation() if self._segmentation is not None else None
        segment_ids = list(segmentation.GetSegmentIDs()) if segmentation is not None else []
        box = self._segment_box
        box.blockSignals(True)
        box.clear()
        if segment_ids and self.noneEnabled:
            box.addItem("None", "")
        for segment_id in segment_ids:
            box.addItem(segmentation.GetSegment(segment_id).GetName(), segment_id)
        is_current_there = self._segment_id in segment_ids or (self.noneEnabled and not self._segment_id)
        box.setCurrentIndex(box.findData(self._segment_id) if is_current_there else -1)
        box.blockSignals(False)
        box.setVisible(bool(segment_ids))
        self._message.setVisible(not segment_ids)
        self._message.setText("No node is selected" if segmentation is None else "No segments in segmentation")
        if segment_ids and not is_current_there:
            box.setCurrentIndex(1 if self.noneEnabled else 0)

    def _on_segment_changed(self, row: int) -> None:
        self._segment_id = self._segment_box.itemData(row) or ""
        self.currentSegmentChanged.emit(self._segment_id)
