"""Nodes that this module has added to the scene, taken out with what only they use."""

from __future__ import annotations

from typing import Any


def removeNode(node: Any) -> None:
    """Remove a displayable node with its display and storage nodes; does nothing if it is gone already."""
    scene = node.GetScene() if node is not None else None
    if scene is None:
        return
    owned = [node.GetNthDisplayNode(index) for index in range(node.GetNumberOfDisplayNodes())]
    owned.append(node.GetStorageNode())
    scene.RemoveNode(node)
    for one in owned:
        if one is not None:
            scene.RemoveNode(one)
