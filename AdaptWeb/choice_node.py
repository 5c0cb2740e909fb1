"""What the user has chosen, kept in the scene under the names that the Slicer module uses."""

from __future__ import annotations

from typing import Any

MODULE = "InteractiveAdaptSeg"
NODES = ("inputVolume", "segmentation")
FLAGS = ("onlyPointed", "wholeObject")
TEXTS = ("segmentID", "cohortFolder", "model", "task", "user")


class ChoiceNode:
    """The module's parameter node: a scene that is saved here opens in Slicer with the same choices, and back.

    Attributes are those of `InteractiveAdaptSegParameterNode`.
    """

    inputVolume: Any  # noqa: N815
    segmentation: Any
    segmentID: str  # noqa: N815
    cohortFolder: str  # noqa: N815
    model: str
    task: str
    user: str
    onlyPointed: bool  # noqa: N815
    wholeObject: bool  # noqa: N815

    def __init__(self, scene: Any) -> None:
        node = scene.GetSingletonNode(MODULE, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = scene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(MODULE)
            node.SetModuleName(MODULE)
            node.SetName(MODULE)
            node = scene.AddNode(node)
        object.__setattr__(self, "_node", node)

    def __getattr__(self, name: str) -> Any:
        node = object.__getattribute__(self, "_node")
        if name in NODES:
            return node.GetNodeReference(name)
        if name in TEXTS:
            return node.GetParameter(name)
        if name in FLAGS:
            return node.GetParameter(name) != "False"
        raise AttributeError(name)

    def __setattr__(self, name: str, value: Any) -> None:
        node = object.__getattribute__(self, "_node")
        if name in NODES:
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        elif name in (*TEXTS, *FLAGS):
            node.SetParameter(name, str(value))
        else:
            raise AttributeError(name)

    def AddObserver(self, event: Any, method: Any, priority: float = 0.0) -> int:  # noqa: N802
        return int(self._node.AddObserver(event, method, priority))

    def RemoveObserver(self, tag: int) -> None:  # noqa: N802
        self._node.RemoveObserver(tag)
