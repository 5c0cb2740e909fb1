"""Slicer's mouse mode for placing points, for the point lists of prompts."""

from __future__ import annotations

from typing import Any

from InteractiveAdaptSegLib.PromptNodes import PromptNodes


def startPlacing(scene: Any, pointNode: Any) -> None:
    """Let each click in a view add a point to the list, until placing is stopped."""
    selection = scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    selection.SetReferenceActivePlaceNodeClassName("vtkMRMLMarkupsFiducialNode")
    selection.SetActivePlaceNodeID(pointNode.GetID())
    interaction = interactionNode(scene)
    interaction.SetPlaceModePersistence(1)
    interaction.SetCurrentInteractionMode(interaction.Place)


def stopPlacing(scene: Any) -> None:
    """Give the mouse back to the views."""
    interaction = interactionNode(scene)
    if interaction.GetCurrentInteractionMode() == interaction.Place:
        interaction.SetCurrentInteractionMode(interaction.ViewTransform)


def isPlacing(scene: Any, pointNode: Any) -> bool:
    """Whether clicks add points to this list now."""
    interaction, selection = interactionNode(scene), scene.GetNodeByID("vtkMRMLSelectionNodeSingleton")
    if interaction is None or selection is None or pointNode is None:
        return False
    placing = interaction.GetCurrentInteractionMode() == interaction.Place
    return placing and selection.GetActivePlaceNodeID() == pointNode.GetID()


def placedSign(scene: Any) -> int | None:
    """Whether clicks add points to a list of positive (0) or negative (1) prompts now; None for neither."""
    for prompts in PromptNodes.all(scene):
        for sign, node in enumerate(prompts.pointNodes):
            if isPlacing(scene, node):
                return sign
    return None


def interactionNode(scene: Any) -> Any:
    return scene.GetNodeByID("vtkMRMLInteractionNodeSingleton")
