"""What the Segment Editor's masking lets a write change; without a choice of the user, others are protected."""

from __future__ import annotations

from collections.abc import Container, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

ATTRIBUTE = "InteractiveAdaptSeg.Masking"
"""On the Segment Editor's node: whether its masking is the one that this module has set there, or the user's."""

OURS, THEIRS = "protects other segments", "chosen by the user"

OVERWRITING = "To overwrite other segments, choose so under Masking in the Segment Editor."


@dataclass(frozen=True)
class WriteReport:
    """What a write has met beside its own segment, in voxels of the segmentation.

    Attributes:
        leftOut: voxels that stay with another segment, by its name.
        taken: voxels that the user's choice has taken from another segment, by its name.
        notEditable: voxels that were left out for another reason, such as a range of intensities.
    """

    leftOut: dict[str, int] = field(default_factory=dict)
    taken: dict[str, int] = field(default_factory=dict)
    notEditable: int = 0

    @property
    def text(self) -> str:
        """What the user should know; empty if nothing."""
        told = [f"{_voxels(count)} belong{_s(count)} to '{name}'" for name, count in self.leftOut.items()]
        texts = [f"Left out: {', '.join(told)}. {OVERWRITING}"] if told else []
        texts += [f"{_voxels(count)} of '{name}' overwritten." for name, count in self.taken.items()]
        if self.notEditable:
            texts.append(
                f"Left out: {_voxels(self.notEditable)} outside of what Masking in the Segment Editor lets change."
            )
        return " ".join(texts)


def settleMasking(node: Any) -> None:
    """Protect other segments, visibly in the Segment Editor, unless the user has chosen a masking there.

    Slicer's own default, everything may be edited and all segments overwritten, counts as no choice when it is met for
    the first time. What the user chooses later holds; whether others are overwritten, once that is chosen.
    """
    outside, everywhere = _mode("OutsideAllSegments"), _mode("Everywhere")
    masking, overwriting = node.GetMaskMode(), node.GetOverwriteMode()
    state = node.GetAttribute(ATTRIBUTE)
    if state is None:
        isDefault = masking == everywhere and overwriting == node.OverwriteAllSegments
        node.SetAttribute(ATTRIBUTE, OURS if isDefault else THEIRS)
        if isDefault:
            node.SetMaskMode(outside)
            # Of no effect beside that mode, and not what anyone chooses: another value is the user's choice.
            node.SetOverwriteMode(node.OverwriteVisibleSegments)
    elif state == OURS and (masking != outside or overwriting != node.OverwriteVisibleSegments):
        node.SetAttribute(ATTRIBUTE, THEIRS)
        if masking == outside:
            node.SetMaskMode(everywhere)


def editable(
    node: Any, segmentationNode: Any, segmentID: str, image: Any, *, removes: bool = False, overwrites: bool = False
) -> np.ndarray:
    """Where the masking lets a segment be changed, bool (i, j, k) on an image of the segmentation's grid.

    Slicer's own masking does so for the whole segmentation at each write, which takes a second on a large one.

    Args:
        overwrites: the masking by segments does not count, only the range of intensities.
    """
    mask = slicer.vtkOrientedImageData()
    mode = _mode("Everywhere") if overwrites else node.GetMaskMode()
    inRange: tuple[Any, ...] = ()
    if node.GetSourceVolumeIntensityMask():
        intensities = _intensitiesOn(image, node.GetSourceVolumeNode(), segmentationNode)
        inRange = (intensities, node.GetSourceVolumeIntensityMaskRange())
    segmentationNode.GenerateEditMask(mask, mode, image, segmentID, node.GetMaskSegmentID() or "", *inRange)
    allowed = imageArray(mask) == 0
    if removes and mode == _mode("InsideSingleSegment"):
        allowed |= heldOn(segmentationNode, segmentID, image)
    return allowed


def _intensitiesOn(image: Any, volumeNode: Any, segmentationNode: Any) -> Any:
    """The volume at the voxels of an image on the segmentation's grid, first channel, as Slicer's masking sees it."""
    channel, matrix = vtk.vtkImageExtractComponents(), vtk.vtkMatrix4x4()
    channel.SetInputData(volumeNode.GetImageData())
    channel.Update()
    volumeNode.GetIJKToRASMatrix(matrix)
    volume, found = slicer.vtkOrientedImageData(), slicer.vtkOrientedImageData()
    volume.ShallowCopy(channel.GetOutput())
    volume.SetGeometryFromImageToWorldMatrix(matrix)
    toSegmentation = vtk.vtkGeneralTransform()
    parents = volumeNode.GetParentTransformNode(), segmentationNode.GetParentTransformNode()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, toSegmentation)
    background = volumeNode.GetImageBackgroundScalarComponentAsDouble(0)
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    resample(volume, image, found, True, False, toSegmentation, background)
    return found


@contextmanager
def maskingApplied(node: Any, overwrites: bool) -> Iterator[None]:
    """For a while Slicer applies no masking, since that has been done; overwriting is still its own.

    Args:
        overwrites: take voxels from all segments for now.
    """
    masking, overwriting, hasRange = node.GetMaskMode(), node.GetOverwriteMode(), node.GetSourceVolumeIntensityMask()
    wasModifying = node.StartModify()
    node.SetMaskMode(_mode("Everywhere"))
    node.SetSourceVolumeIntensityMask(False)
    if overwrites:
        node.SetOverwriteMode(node.OverwriteAllSegments)
    try:
        yield
    finally:
        node.SetMaskMode(masking)
        node.SetSourceVolumeIntensityMask(hasRange)
        node.SetOverwriteMode(overwriting)
        node.EndModify(wasModifying)


def isProtecting(node: Any) -> bool:
    """Whether other segments are protected since the user has chosen nothing."""
    return node.GetAttribute(ATTRIBUTE) == OURS


def protectedSegments(node: Any, segmentationNode: Any) -> set[str]:
    """IDs of the segments that the masking keeps others out of."""
    segmentIDs, display = segmentationNode.GetSegmentation().GetSegmentIDs(), segmentationNode.GetDisplayNode()
    if node.GetMaskMode() == _mode("OutsideAllSegments"):
        return set(segmentIDs)
    if node.GetMaskMode() == _mode("OutsideVisibleSegments"):
        return {segmentID for segmentID in segmentIDs if display.GetSegmentVisibility(segmentID)}
    return set()


def heldByOthers(segmentationNode: Any, segmentID: str, image: Any) -> dict[str, np.ndarray]:
    """What the other segments hold within an image's extent on its grid, bool (i, j, k), by their IDs."""
    others = [other for other in segmentationNode.GetSegmentation().GetSegmentIDs() if other != segmentID]
    held = {other: heldOn(segmentationNode, other, image) for other in others}
    return {other: mask for other, mask in held.items() if mask.any()}


def reportOf(
    segmentationNode: Any, others: dict[str, np.ndarray], leftOut: np.ndarray, image: Any, protected: Container[str]
) -> WriteReport:
    """What a write has left out, bool (i, j, k) on an image, and what it has taken from others.

    Args:
        others: `heldByOthers` before the write.
        protected: IDs of those that were not to be written over.
    """
    segmentation = segmentationNode.GetSegmentation()
    stayed: dict[str, int] = {}
    taken: dict[str, int] = {}
    owned = np.zeros_like(leftOut)
    for other, before in others.items():
        name = segmentation.GetSegment(other).GetName()
        if other in protected:
            owned |= before
            stayed[name] = stayed.get(name, 0) + int((leftOut & before).sum())
        taken[name] = taken.get(name, 0) + int((before & ~heldOn(segmentationNode, other, image)).sum())
    kept, lost = ({name: count for name, count in counts.items() if count} for counts in (stayed, taken))
    return WriteReport(kept, lost, int((leftOut & ~owned).sum()))


def heldOn(segmentationNode: Any, segmentID: str, image: Any) -> np.ndarray:
    """What a segment holds within the extent of an image on its grid, bool (i, j, k)."""
    limits = _limits(image)
    held = np.zeros(limits[:, 1] - limits[:, 0], bool)
    layer = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if layer is None or layer.IsEmpty():
        return held
    there = _limits(layer)
    low, high = np.maximum(limits[:, 0], there[:, 0]), np.minimum(limits[:, 1], there[:, 1])
    if (low < high).all():
        inner = tuple(slice(*pair) for pair in zip(low - there[:, 0], high - there[:, 0]))
        outer = tuple(slice(*pair) for pair in zip(low - limits[:, 0], high - limits[:, 0]))
        held[outer] = (
            imageArray(layer)[inner] == segmentationNode.GetSegmentation().GetSegment(segmentID).GetLabelValue()
        )
    return held


def _limits(image: Any) -> np.ndarray:
    """First index and one past the last (3 x 2) of an image."""
    return np.array(image.GetExtent()).reshape(3, 2) + np.array((0, 1))


def imageArray(image: Any) -> np.ndarray:
    """The image's scalars, (i, j, k)."""
    limits = _limits(image)
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(limits[:, 1] - limits[:, 0], order="F")


def _mode(name: str) -> int:
    return getattr(slicer.vtkMRMLSegmentationNode, f"EditAllowed{name}")


def _voxels(count: int) -> str:
    return f"{count} voxel" if count == 1 else f"{count} voxels"


def _s(count: int) -> str:
    """The ending of a verb."""
    return "s" if count == 1 else ""
