"""Nodes that this module has added to the scene, taken out with what only they use."""

from __future__ import annotations

from typing import Any


def removeNode(node: Any) -> None:
    """Remove a node with its display and storage nodes, which views go on to draw otherwise; nothing if it is gone."""
    scene = node.GetScene() if node is not None else None
    if scene is None:
        return
    displays = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    for part in (*displays, node.GetStorageNode(), node):
        if part is not None:
            scene.RemoveNode(part)
