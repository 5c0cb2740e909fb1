"""Names of new segments: the task's, with the entry of Slicer's terminologies that goes by this name."""

from __future__ import annotations

from typing import Any

import slicer
import vtk


def nameSegment(segmentationNode: Any, segmentID: str, wanted: str, terminologies: Any = None) -> None:
    """Give a segment a name that no other one has: "Liver", "Liver 2", ...

    Args:
        terminologies: Slicer's logic of terminologies, where it is there.
    """
    segmentation = segmentationNode.GetSegmentation()
    segments = {each: segmentation.GetSegment(each) for each in segmentation.GetSegmentIDs()}
    taken = {segment.GetName() for each, segment in segments.items() if each != segmentID}
    name, number = wanted, 1
    while name in taken:
        number += 1
        name = f"{wanted} {number}"
    segments[segmentID].SetName(name)
    entry = None if terminologies is None else terminologyEntry(wanted, terminologies)
    if entry is not None:
        segments[segmentID].SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), entry)


def terminologyEntry(name: str, terminologies: Any) -> str | None:
    """The entry with this name as label in a loaded terminology, as segments store it; None without one."""
    contexts = vtk.vtkStringArray()
    terminologies.GetLoadedTerminologyNames(contexts)
    for context in map(contexts.GetValue, range(contexts.GetNumberOfValues())):
        for label in (name, name.lower(), name.lower().replace(" ", "_")):
            entry = slicer.vtkSlicerTerminologyEntry()
            if terminologies.FindTypeInTerminologyBy3dSlicerLabel(context, label, entry):
                return str(terminologies.SerializeTerminologyEntry(entry))
    return None
