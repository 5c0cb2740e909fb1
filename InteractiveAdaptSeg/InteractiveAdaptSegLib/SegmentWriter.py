"""Writes masks into a segment through Slicer's Segment Editor logic, so that its masking, overwriting and undo hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from InteractiveAdaptSegLib.Errors import SceneError
from InteractiveAdaptSegLib.Masking import (
    WriteReport,
    editable,
    heldByOthers,
    heldOn,
    isProtecting,
    maskingApplied,
    protectedSegments,
    reportOf,
    settleMasking,
)
from InteractiveAdaptSegLib.Masking import imageArray as _imageArray
from InteractiveAdaptSegLib.Observations import Observations
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, requireLinearTransforms, toWorldMatrix
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

UNDO_STATES = 10
"""As many as Slicer's Segment Editor keeps."""

EDITOR_TAG = "SegmentEditor"
"""Singleton tag of the Segment Editor module's own node: what the user set there for masking holds here."""

GRID_TOLERANCE = 1e-3
"""Grids whose voxels coincide within this many voxels are the same."""


class SegmentWriter:
    """Writes into one segment at a time; each write is one step of undo.

    Args:
        scene: the scene whose Segment Editor node gives masking and overwriting.
        onOutsideEdit: called after the segmentation was changed by anyone else; undo has then been forgotten, since it
            would take that change back as well.
    """

    def __init__(self, scene: Any, onOutsideEdit: Callable[[], None] = lambda: None) -> None:
        self._scene = scene
        self._onOutsideEdit = onOutsideEdit
        self._volumeNode: Any = None
        self._segmentationNode: Any = None
        self._observed: Any = None
        self._segmentID = ""
        self._observations = Observations()
        self._busy = False
        self._editor = slicer.vtkSlicerSegmentEditorLogic()
        self._editor.SetMRMLScene(scene)
        self._editor.SetMaximumNumberOfUndoStates(UNDO_STATES)

    @property
    def editorNode(self) -> Any:
        """The Segment Editor node, made if the scene has none yet."""
        node = self._scene.GetSingletonNode(EDITOR_TAG, "vtkMRMLSegmentEditorNode")
        if node is None:
            node = slicer.vtkMRMLSegmentEditorNode()
            node.SetSingletonTag(EDITOR_TAG)
            node = self._scene.AddNode(node)
        return node

    @property
    def canUndo(self) -> bool:
        return self._editor.CanUndo()

    @property
    def canRedo(self) -> bool:
        return self._editor.CanRedo()

    def setTarget(self, volumeNode: Any, segmentationNode: Any, segmentID: str) -> None:
        """Choose the segment to write into, and the volume whose voxels masks are given in.

        A segmentation that has no geometry yet takes the volume's, with its transform.

        Raises:
            SceneError: the segment does not exist, the segmentation is not made of voxels, or the volume or the
                segmentation is under a non-linear transform; nothing has been changed then.
        """
        if segmentationNode.GetSegmentation().GetSegment(segmentID) is None:
            raise SceneError(f"segmentation '{segmentationNode.GetName()}' has no segment '{segmentID}': choose one")
        requireWritable(volumeNode, segmentationNode)
        self._prepare(volumeNode, segmentationNode)
        self._volumeNode, self._segmentationNode, self._segmentID = volumeNode, segmentationNode, segmentID
        self._select()
        self._observe(segmentationNode.GetSegmentation())

    def addSegment(self, volumeNode: Any, segmentationNode: Any) -> str:
        """Add an empty segment for masks of a volume and give its ID; one step of undo in the chosen segmentation.

        Raises:
            SceneError: as `setTarget`.
        """
        requireWritable(volumeNode, segmentationNode)
        segmentation = segmentationNode.GetSegmentation()
        with self._ownChange():
            if self.isIn(segmentationNode):
                self._select()
                self._editor.SaveStateForUndo()
            if not segmentation.GetNumberOfSegments():
                segmentation.SetSourceRepresentationName(_voxelRepresentation())
            return segmentation.AddEmptySegment()

    def isIn(self, segmentationNode: Any) -> bool:
        """Whether it is the segmentation whose writes can be undone."""
        return segmentationNode is self._segmentationNode

    def write(
        self, add: VoxelBlock | None, remove: VoxelBlock | None = None, *, sharesLabels: bool = False
    ) -> WriteReport:
        """Take voxels out of the segment and put others in, as one step of undo; gives what stood in the way.

        A segmentation whose grid is too small for the mask is extended.

        Args:
            sharesLabels: the segments are the classes of one label, which take voxels from each other unless the user
                has chosen otherwise.

        Raises:
            SceneError: nothing of the mask falls on the segmentation's voxels, these are too coarse or too much turned
                to hold it, masking lets nothing be written, or the target is gone.
        """
        self._select()
        settleMasking(self.editorNode)
        overwrites = sharesLabels and isProtecting(self.editorNode)
        unwanted, wanted = self._modifier(remove), self._modifier(add)
        if add is not None and wanted is None:
            raise SceneError(
                f"the mask does not meet the voxels of segmentation '{self._segmentationNode.GetName()}': "
                "give it the geometry of the volume, or a finer one"
            )
        for block, modifier in ((remove, unwanted), (add, wanted)):
            if block is not None and modifier is not None:
                self._checkReadBack(block, modifier)
        taken = self._masked(unwanted, removes=True, overwrites=overwrites)
        given = self._masked(wanted, overwrites=overwrites)
        report = self._reporting(wanted, unwanted, overwrites)
        if taken is None and given is None:
            raise SceneError(f"nothing of the mask can be written. {report().text}".rstrip())
        with self._ownChange(), maskingApplied(self.editorNode, overwrites):
            self._extendGrid(given)
            self._editor.SaveStateForUndo()
            if taken is not None:
                self._modify(taken, self._editor.ModificationModeRemove)
            if given is not None:
                self._modify(given, self._editor.ModificationModeAdd)
        return report()

    def _masked(self, modifier: Any, *, removes: bool = False, overwrites: bool = False) -> Any:
        """What masking leaves of a modifier, as an image of the smallest extent; None for nothing."""
        if modifier is None:
            return None
        allowed = editable(
            self.editorNode, self._segmentationNode, self._segmentID, modifier, removes=removes, overwrites=overwrites
        )
        return _imageOf(modifier, (_imageArray(modifier) > 0) & allowed, modifier.GetExtent()[::2])

    def _reporting(self, wanted: Any, unwanted: Any, overwrites: bool) -> Callable[[], WriteReport]:
        """Tells, before and after the write, what of two modifiers the segment does not follow and what others lose."""
        node, segmentID = self._segmentationNode, self._segmentID
        protected = set() if overwrites else protectedSegments(self.editorNode, node)
        others = {} if wanted is None else heldByOthers(node, segmentID, wanted)

        def report() -> WriteReport:
            kept = 0
            if unwanted is not None:
                kept = int(((_imageArray(unwanted) > 0) & heldOn(node, segmentID, unwanted)).sum())
            if wanted is None:
                return WriteReport(notEditable=kept)
            leftOut = (_imageArray(wanted) > 0) & ~heldOn(node, segmentID, wanted)
            found = reportOf(node, others, leftOut, wanted, protected)
            return replace(found, notEditable=found.notEditable + kept)

        return report

    def undo(self) -> None:
        """Take the last write back. Does nothing without one."""
        if self.canUndo:
            with self._ownChange():
                self._editor.Undo()

    def redo(self) -> None:
        """Write again what was taken back last. Does nothing without it."""
        if self.canRedo:
            with self._ownChange():
                self._editor.Redo()

    def contents(self, voxels: np.ndarray) -> np.ndarray:
        """Which of the volume's voxels N x 3 (i, j, k) the segment holds, bool (N)."""
        return segmentContents(self._volumeNode, self._segmentationNode, self._segmentID, voxels)

    def release(self) -> None:
        """Let go of the target, its history and all observers."""
        self._observations.clear()
        self._volumeNode = self._segmentationNode = self._observed = None
        self._segmentID = ""
        self._editor.ClearUndoState()
        self._editor.SetSegmentEditorNode(None)

    def _select(self) -> None:
        """Point the Segment Editor's node at the target; the user may have moved it meanwhile."""
        if self._segmentationNode is None or self._segmentationNode.GetScene() is None:
            raise SceneError("the segmentation is gone: choose another one")
        node = self.editorNode
        self._editor.SetSegmentEditorNode(node)
        if node.GetSegmentationNode() != self._segmentationNode:
            self._editor.SetSegmentationNode(self._segmentationNode)
        if node.GetSourceVolumeNode() != self._volumeNode:
            self._editor.SetSourceVolumeNode(self._volumeNode)
        if node.GetSelectedSegmentID() != self._segmentID:
            self._editor.SetCurrentSegmentID(self._segmentID)

    def _prepare(self, volumeNode: Any, segmentationNode: Any) -> None:
        """Give a new segmentation what Slicer's Segment Editor would: display and geometry."""
        if segmentationNode.GetDisplayNode() is None:
            segmentationNode.CreateDefaultDisplayNodes()
        segmentation = segmentationNode.GetSegmentation()
        if self._editor.GetReferenceImageGeometryStringFromSegmentation(segmentation):
            return
        if segmentationNode.GetParentTransformNode() is None:
            segmentationNode.SetAndObserveTransformNodeID(volumeNode.GetTransformNodeID())
        segmentationNode.SetReferenceImageGeometryParameterFromVolumeNode(volumeNode)

    def _modify(self, modifier: Any, mode: int) -> None:
        self._editor.ModifySegmentByLabelmap(self._segmentationNode, self._segmentID, modifier, mode, True, False)

    def _modifier(self, block: VoxelBlock | None) -> Any:
        """The block on the segmentation's grid, as an image of the smallest extent; None if it falls beside it."""
        if block is None:
            return None
        self._editor.UpdateReferenceGeometryImage()
        reference = self._editor.GetReferenceGeometryImage()
        toGrid, extent = self._volumeToGrid(reference), _extentOf(reference)
        if _isEmpty(_cut(_boxOnGrid((0, 0, 0), self._volumeNode.GetImageData().GetDimensions(), toGrid), extent)):
            return None
        limits = _boxOnGrid(block.origin, block.mask.shape, toGrid)
        return _imageOf(reference, _resampled(block, toGrid, limits), limits[:, 0].tolist())

    def _checkReadBack(self, block: VoxelBlock, modifier: Any) -> None:
        """Refuse a mask that its voxels on the segmentation's grid would not give back.

        Where two of the volume's voxels share one of the grid, a write on one slice would change another one.
        """
        toGrid = self._volumeToGrid(modifier)
        if np.array_equal(toGrid, np.rint(toGrid)):
            return  # each of the volume's voxels has some of the grid for itself
        extent = _extentOf(modifier)
        limits = _boxOnGrid(extent[:, 0].tolist(), extent[:, 1] - extent[:, 0] + 1, np.linalg.inv(toGrid))
        volume = np.array([(0, size - 1) for size in self._volumeNode.GetImageData().GetDimensions()])
        limits = _cut(limits, volume)
        written = VoxelBlock(tuple(extent[:, 0].tolist()), _imageArray(modifier) > 0)
        back = _resampled(written, np.linalg.inv(toGrid), limits)
        given = _resampled(block, np.eye(4), limits)
        differing = int(np.count_nonzero(back != given))
        if differing:
            raise SceneError(
                f"segmentation '{self._segmentationNode.GetName()}' has coarser voxels than the volume, or they are "
                f"turned against it, so that {differing} voxels would be written wrongly: give it the geometry of the "
                "volume in the Segment Editor, or choose a new segmentation"
            )

    def _extendGrid(self, image: Any) -> None:
        """Make the segmentation's grid hold an image on it; None changes nothing."""
        self._editor.UpdateReferenceGeometryImage()
        reference = self._editor.GetReferenceGeometryImage()
        extent = _extentOf(reference)
        wanted = extent if image is None else _joined(extent, _extentOf(image))
        if (wanted != extent).any():
            reference.SetExtent(*(int(value) for value in wanted.ravel()))
            converter = slicer.vtkSegmentationConverter
            self._segmentationNode.GetSegmentation().SetConversionParameter(
                converter.GetReferenceImageGeometryParameterName(), converter.SerializeImageGeometry(reference)
            )

    def _volumeToGrid(self, image: Any) -> np.ndarray:
        return _volumeToGrid(self._volumeNode, self._segmentationNode, image)

    def _observe(self, segmentation: Any) -> None:
        if segmentation is not self._observed:
            self._observations.clear()
            self._observed = segmentation
        for event in (
            segmentation.SourceRepresentationModified,
            segmentation.SegmentAdded,
            segmentation.SegmentRemoved,
        ):
            self._observations.add(segmentation, event, self._onSegmentationModified)

    def _onSegmentationModified(self, caller: Any, event: str) -> None:
        if not self._busy:
            self._editor.ClearUndoState()
            self._onOutsideEdit()

    @contextmanager
    def _ownChange(self) -> Iterator[None]:
        self._busy = True
        try:
            yield
        finally:
            self._busy = False


def requireWritable(volumeNode: Any, segmentationNode: Any) -> None:
    """Refuse what masks of a volume cannot be written into, before anything is changed.

    Raises:
        SceneError: the segmentation is made of surfaces, or one of the nodes is under a non-linear transform.
    """
    requireLinearTransforms(volumeNode, segmentationNode)
    segmentation = segmentationNode.GetSegmentation()
    if segmentation.GetNumberOfSegments() and segmentation.GetSourceRepresentationName() != _voxelRepresentation():
        raise SceneError(
            f"segmentation '{segmentationNode.GetName()}' is made of surfaces: "
            "make binary labelmaps its source representation in the Segmentations module"
        )


def segmentBlock(
    volumeNode: Any, segmentationNode: Any, segmentID: str, placed: np.ndarray | None = None
) -> VoxelBlock | None:
    """What a segment holds, on the volume's voxels; None if that is nothing.

    Args:
        placed: where the volume lay, 4 x 4 from its voxels to the segmentation; None for where it lies now.

    Raises:
        SceneError: one of the nodes is under a non-linear transform, and `placed` is not given.
    """
    segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
    image = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if image is None or image.IsEmpty():
        return None
    first = _extentOf(image)[:, 0]
    block = VoxelBlock(tuple(first.tolist()), _imageArray(image) == segment.GetLabelValue())
    toVolume = np.linalg.inv(_volumeToGrid(volumeNode, segmentationNode, image, placed))
    volume = np.array([(0, size - 1) for size in volumeNode.GetImageData().GetDimensions()])
    limits = _cut(_boxOnGrid(block.origin, block.mask.shape, toVolume), volume)
    if _isEmpty(limits):
        return None
    mask = _resampled(block, toVolume, limits)
    return VoxelBlock(tuple(limits[:, 0].tolist()), mask) if mask.any() else None


def segmentContents(
    volumeNode: Any, segmentationNode: Any, segmentID: str, voxels: np.ndarray, placed: np.ndarray | None = None
) -> np.ndarray:
    """Which of the volume's voxels N x 3 (i, j, k) a segment holds, bool (N); `placed` as for `segmentBlock`."""
    inside = np.zeros(len(voxels), bool)
    image = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    if image is None or image.IsEmpty():
        return inside
    extent = _extentOf(image)
    indices = _rounded(_moved(_volumeToGrid(volumeNode, segmentationNode, image, placed), voxels)) - extent[:, 0]
    met = ((indices >= 0) & (indices <= extent[:, 1] - extent[:, 0])).all(axis=1)
    value = segmentationNode.GetSegmentation().GetSegment(segmentID).GetLabelValue()
    inside[met] = _imageArray(image)[tuple(indices[met].T)] == value
    return inside


def segmentTime(segmentationNode: Any, segmentID: str) -> int:
    """A number that changes whenever the voxels of a segment are changed; 0 while it is empty."""
    image = segmentationNode.GetBinaryLabelmapInternalRepresentation(segmentID)
    return image.GetMTime() if image else 0


def _volumeToGrid(volumeNode: Any, segmentationNode: Any, image: Any, placed: np.ndarray | None = None) -> np.ndarray:
    """4 x 4 matrix from the volume's voxels to those of an image of the segmentation.

    Grids that coincide get whole numbers. All others are moved a little, so that no voxel lies halfway between two:
    it and its inverse then round to the same pairs, and a mask is read back from where it was written.
    """
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    if placed is None:
        placed = np.linalg.inv(toWorldMatrix(segmentationNode)) @ ijkToWorld(volumeNode)
    toGrid = np.linalg.inv(slicer.util.arrayFromVTKMatrix(matrix)) @ placed
    whole = np.rint(toGrid)
    sizes = volumeNode.GetImageData().GetDimensions()
    if np.allclose(toGrid, whole, rtol=0, atol=GRID_TOLERANCE / max(sizes)):
        return whole
    return _moving(np.full(3, GRID_TOLERANCE)) @ toGrid


def _voxelRepresentation() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _moved(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points N x 3 moved by a 4 x 4 matrix."""
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _moving(shift: np.ndarray) -> np.ndarray:
    """4 x 4 matrix that moves points by `shift` (3)."""
    matrix = np.eye(4)
    matrix[:3, 3] = shift
    return matrix


def _rounded(points: np.ndarray) -> np.ndarray:
    return np.floor(points + 0.5).astype(np.intp)


def _boxOnGrid(origin: Sequence[int], shape: Sequence[int], toGrid: np.ndarray) -> np.ndarray:
    """First and last index (3 x 2) on the grid of a box of voxels."""
    corners = np.array(list(np.ndindex(2, 2, 2))) * shape + origin - 0.5
    onGrid = _moved(toGrid, corners)
    first = np.ceil(onGrid.min(axis=0) - GRID_TOLERANCE).astype(int)
    last = np.floor(onGrid.max(axis=0) + GRID_TOLERANCE).astype(int)
    return np.column_stack((first, last))


def _cut(limits: np.ndarray, extent: np.ndarray) -> np.ndarray:
    """The part of limits (3 x 2) within an extent (3 x 2)."""
    return np.column_stack((np.maximum(limits[:, 0], extent[:, 0]), np.minimum(limits[:, 1], extent[:, 1])))


def _joined(limits: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The smallest limits (3 x 2) that hold two."""
    return np.column_stack((np.minimum(limits[:, 0], others[:, 0]), np.maximum(limits[:, 1], others[:, 1])))


def _isEmpty(limits: np.ndarray) -> bool:
    return bool((limits[:, 0] > limits[:, 1]).any())


def _resampled(block: VoxelBlock, toGrid: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """The block's mask at each voxel of the grid within `limits`: that of the volume's voxel nearest to it."""
    sizes = limits[:, 1] - limits[:, 0] + 1
    shift = np.rint(toGrid[:3, 3]).astype(int)
    toVolume = np.linalg.inv(toGrid)
    mask = np.zeros(sizes, bool)
    if np.array_equal(toGrid, _moving(shift)):
        first = np.array(block.origin) + shift
        common = _cut(limits, np.column_stack((first, first + block.mask.shape - np.array((1, 1, 1)))))
        there, here = (
            tuple(slice(start, end + 1) for start, end in common - origin[:, None]) for origin in (first, limits[:, 0])
        )
        mask[here] = block.mask[there]
        return mask
    plane = np.indices((sizes[1], sizes[2])).reshape(2, -1).T + limits[1:, 0]
    for offset in range(sizes[0]):
        points = np.column_stack((np.full(len(plane), limits[0, 0] + offset), plane))
        voxels = _rounded(_moved(toVolume, points)) - block.origin
        met = ((voxels >= 0) & (voxels < block.mask.shape)).all(axis=1)
        mask[offset].reshape(-1)[met] = block.mask[tuple(voxels[met].T)]
    return mask


def _imageOf(reference: Any, mask: np.ndarray, first: Sequence[int]) -> Any:
    """The smallest image on the reference's grid that holds `mask` (i, j, k) from `first` on; None if that is empty."""
    block = VoxelBlock.around(mask, first)
    if block is None:
        return None
    matrix = vtk.vtkMatrix4x4()
    reference.GetImageToWorldMatrix(matrix)
    image = slicer.vtkOrientedImageData()
    image.SetExtent(*(value for part in block.slices for value in (part.start, part.stop - 1)))
    image.SetGeometryFromImageToWorldMatrix(matrix)
    scalars = numpy_to_vtk(block.mask.ravel(order="F").astype(np.uint8), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def _extentOf(image: Any) -> np.ndarray:
    """First and last index (3 x 2) of an image."""
    return np.array(image.GetExtent()).reshape(3, 2)
