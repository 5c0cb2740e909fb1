"""`slicer.parameterNodeWrapper`: the user's choices as typed attributes, kept in a node of the scene.

Of Slicer's types, those here are nodes, str, bool, int and float; of its widgets, lists of nodes. As in Slicer, values
are read from the node when it reports a change, and not each time they are asked for.
"""

from __future__ import annotations

import typing
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import slicer
import vtk

from Testing.host.instances import class_of
from Testing.host.mrml_widgets import qMRMLNodeComboBox

DEFAULTS: dict[type, Any] = {str: "", bool: False, int: 0, float: 0.0}


class Parameter:
    """One value in one node, read again whenever the node reports a change."""

    def __init__(self, node: Any, name: str, kind: type, default: Any) -> None:
        self.node, self.name, self.kind = node, name, kind
        self._is_writing = False
        if not node.HasParameter(name):
            self._store(default)
        self.value = self._stored()
        reference = weakref.ref(self)
        tag = node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: reference()._on_modified())
        weakref.finalize(self, node.RemoveObserver, tag)

    def write(self, value: Any) -> None:
        """Raises TypeError for a value of another type; only a node may be None."""
        accepted = (int, float) if self.kind is float else self.kind
        if not (isinstance(value, accepted) or (value is None and self.kind not in DEFAULTS)):
            raise TypeError(f"{self.name} must be of type {self.kind.__name__}, got {value!r}")
        self._is_writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self._store(value)
                self.value = self._stored()
        finally:
            self._is_writing = False

    def _on_modified(self) -> None:
        if not self._is_writing:
            self.value = self._stored()

    def _store(self, value: Any) -> None:
        if self.kind in DEFAULTS:
            self.node.SetParameter(self.name, str(value))
        else:
            self.node.SetParameter(self.name, "")
            self.node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)

    def _stored(self) -> Any:
        if self.kind not in DEFAULTS:
            return self.node.GetNodeReference(self.name)
        text = self.node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)


class NodeListBinding:
    """A list of nodes that shows a parameter and changes it."""

    def __init__(self, widget: Any, kind: type) -> None:
        if type(widget) is not class_of(qMRMLNodeComboBox) or not issubclass(kind, slicer.vtkMRMLNode):
            raise RuntimeError(f"no widget of type {type(widget).__name__} can be bound to {kind.__name__} here")
        self._widget = widget
        self._slot: Callable[[], None] | None = None
        widget.nodeTypes = [kind.__name__]

    def show(self, value: Any) -> None:
        self._widget.setCurrentNode(value)

    def connect(self, on_changed: Callable[[Any], None]) -> None:
        self._slot = lambda: on_changed(self._widget.currentNode())
        self._widget.currentNodeChanged.connect(self._slot)

    def disconnect(self) -> None:
        self._widget.currentNodeChanged.disconnect(self._slot)


class ParameterNode:
    """What every wrapped node can do."""

    kinds: Mapping[str, type]
    defaults: Mapping[str, Any]

    def __init__(self, parameterNode: Any) -> None:
        self.parameterNode = parameterNode
        self._parameters = {
            name: Parameter(parameterNode, name, kind, self.defaults[name]) for name, kind in self.kinds.items()
        }
        self._bindings: dict[int, dict[str, NodeListBinding]] = {}
        self._is_showing = False

    def getValue(self, name: str) -> Any:
        return self._parameters[name].value

    def setValue(self, name: str, value: Any) -> None:
        self._parameters[name].write(value)

    def connectGui(self, gui: Any) -> int:
        """Bind the widgets of a `ui` object that carry the property SlicerParameterName."""
        named = ((widget.property("SlicerParameterName"), widget) for widget in vars(gui).values())
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: Mapping[str, Any]) -> int:
        """Bind widgets to the parameters they are given for; the tag that `disconnectGui` takes."""
        bindings = {name: NodeListBinding(widget, self.kinds[name]) for name, widget in mapping.items()}
        for name, binding in bindings.items():
            binding.show(self.getValue(name))
            binding.connect(lambda value, name=name: self._on_widget_changed(name, value))
        tag = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._show())
        self._bindings[tag] = bindings
        return tag

    def disconnectGui(self, guiTag: int | None) -> None:
        for binding in self._bindings.pop(guiTag, {}).values():
            binding.disconnect()
            self.RemoveObserver(guiTag)

    def StartModify(self) -> int:
        return self.parameterNode.StartModify()

    def EndModify(self, wasModified: int) -> int:
        return self.parameterNode.EndModify(wasModified)

    def AddObserver(self, event: int, callback: Callable[..., None], priority: float = 0.0) -> int:
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag: int) -> None:
        self.parameterNode.RemoveObserver(tag)

    def _on_widget_changed(self, name: str, value: Any) -> None:
        if not self._is_showing:
            self.setValue(name, value)

    def _show(self) -> None:
        """Show all values in the widgets, once however many changes that brings about."""
        if self._is_showing:
            return
        self._is_showing = True
        try:
            with slicer.util.NodeModify(self):
                for bindings in self._bindings.values():
                    for name, binding in bindings.items():
                        binding.show(self.getValue(name))
        finally:
            self._is_showing = False


def parameterNodeWrapper(described: type) -> type:
    """Make of a class with annotations one whose instances keep these values in a vtkMRMLScriptedModuleNode."""
    kinds = typing.get_type_hints(described)
    for name, kind in kinds.items():
        if kind not in DEFAULTS and not issubclass(kind, slicer.vtkMRMLNode):
            raise TypeError(f"{described.__name__}.{name}: the host has no parameters of type {kind}")
    defaults = {name: getattr(described, name, DEFAULTS.get(kind)) for name, kind in kinds.items()}
    attributes = {name: _attribute(name) for name in kinds}
    return type(described.__name__, (ParameterNode,), {"kinds": kinds, "defaults": defaults, **attributes})


def _attribute(name: str) -> property:
    return property(lambda node: node.getValue(name), lambda node, value: node.setValue(name, value))
