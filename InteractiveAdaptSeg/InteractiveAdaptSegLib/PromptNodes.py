"""Prompts of one segment as nodes that are saved with the scene: clicks, boxes, lassos, and the planes they are on.

A hidden scripted module node refers to the volume, the segmentation, a point list of positive clicks, one of negative
clicks, a region of interest per box and a closed curve per lasso. Each control point of a list, each box and each lasso
carries its plane and its place in the order of prompts.
The hidden node also holds the masks that belong to a plane beside its prompts.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import slicer
import vtk

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.json_text import parse
from AdaptCore.prompts import Box, Click, Lasso
from InteractiveAdaptSegLib.PackedMask import packMask, unpackMask
from InteractiveAdaptSegLib.SceneNodes import addMarkups, removeNode
from InteractiveAdaptSegLib.VolumeGeometry import ijkToWorld, worldPoint
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry

KIND_ATTRIBUTE = "InteractiveAdaptSeg.Kind"
KIND = "prompts"
OBJECT = "object"
"""Where the number of a plane stands for masks of planes: a mask of the object."""
PLANE_ATTRIBUTE = "InteractiveAdaptSeg.Plane"
STEP_ATTRIBUTE = "InteractiveAdaptSeg.Step"
POSITIVE_COLOR = (0.0, 0.45, 0.70)
NEGATIVE_COLOR = (0.84, 0.37, 0.0)
CORNER_SIZE = 1.0
"""Of the corners of a lasso, in percent of the view."""
LINE_SIZE = 0.6
"""Of a lasso's line, as a share of its corners."""
MATRICES = ("ijkToRAS", "placement")
"""Parameters that hold a 4 x 4 matrix, or nothing."""
DAMAGED = (ImageError, AttributeError, IndexError, KeyError, TypeError, ValueError, zlib.error)
"""What reading a node's parameters raises that were changed outside of this class: no JSON, or another content."""


@dataclass(frozen=True)
class PromptStep:
    """One action of the user on a plane: a click, a stroke of clicks of one sign, a box, a lasso, or a pick.

    Attributes:
        picked: the mask that a pick made of the answer, packed (`PackedMask`); empty for other actions.
        plane: where a prompt on an object was given; None for prompts on the plane that is asked.
    """

    step: int
    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    lasso: Lasso | None = None
    picked: str = ""
    plane: PlaneGeometry | None = None

    @property
    def isOutline(self) -> bool:
        """Whether it goes around the object: a plane has one outline, a box or a lasso."""
        return self.box is not None or self.lasso is not None


class PlaneMask(Enum):
    """What a mask that is stored with a plane or object means; the value is the name of the node's parameter.

    Attributes:
        START: the labels that the plane's first prompt was given on.
        DRAWN: those labels, where others have drawn some of them or they were loaded: prompts correct them.
        KEPT: the labels at the time when earlier prompts were cleared; masks to come are added to them.
        ACCEPTED: the mask that was accepted last.
        LEFT_OUT: what of that mask was not written, such as voxels of another segment.
    """

    START = "start"
    DRAWN = "drawn"
    KEPT = "kept"
    ACCEPTED = "accepted"
    LEFT_OUT = "leftOut"


class PromptNodes:
    """The prompts of one segment of one volume."""

    def __init__(self, node: Any) -> None:
        self.node = node

    @classmethod
    def create(cls, scene: Any, volumeNode: Any, segmentationNode: Any, segmentID: str) -> PromptNodes:
        """Add empty prompts to the scene."""
        segment = segmentationNode.GetSegmentation().GetSegment(segmentID)
        name = scene.GenerateUniqueName(f"{segment.GetName()} prompts")
        node = scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode", name)
        node.SetHideFromEditors(True)
        node.SetAttribute(KIND_ATTRIBUTE, KIND)
        node.SetNodeReferenceID("volume", volumeNode.GetID())
        node.SetNodeReferenceID("segmentation", segmentationNode.GetID())
        node.SetParameter("segmentID", segmentID)
        prompts = cls(node)
        prompts.addMissingPoints()
        prompts._rememberGeometry()
        return prompts

    def addMissingPoints(self) -> None:
        """Add the point lists that are not there; who has removed one has removed its clicks and nothing else."""
        scene, name = self.node.GetScene(), self.node.GetName()
        styles = ("ThickCross2D", POSITIVE_COLOR), ("Dash2D", NEGATIVE_COLOR)
        for role, sign, present, style in zip(("positive", "negative"), "+-", self.pointNodes, styles):
            if present is None:
                self.node.SetNodeReferenceID(role, _addPoints(scene, f"{name} {sign}", *style))

    @classmethod
    def all(cls, scene: Any, complete: bool = True) -> list[PromptNodes]:
        """All prompts of the scene whose nodes are complete, or of which any node is left."""
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode", scene)
        found = [cls(node) for node in nodes if node.GetAttribute(KIND_ATTRIBUTE) == KIND]
        return [prompts for prompts in found if prompts.isComplete or not complete]

    @classmethod
    def find(
        cls,
        scene: Any,
        volumeNode: Any,
        segmentationNode: Any,
        segmentID: str,
        digest: Callable[[Any], str] = lambda volumeNode: "",
    ) -> PromptNodes | None:
        """The prompts of a segment on the image that the volume holds now, or such as belong to no image yet.

        A point list that was removed is there again, without its clicks. Damaged ones are passed over; see `damaged`.

        Args:
            digest: tells images apart, called where there is something to tell apart; see `Frames`.
        """
        found = [each for each in cls._of(scene, volumeNode, segmentationNode, segmentID) if not each.isDamaged]
        if any(prompts.frame for prompts in found):
            present = digest(volumeNode)
            found = [each for each in found if each.frame == present] or [each for each in found if not each.frame]
        if not found:
            return None
        found[0].addMissingPoints()
        return found[0]

    @classmethod
    def damaged(cls, scene: Any, volumeNode: Any, segmentationNode: Any, segmentID: str) -> list[PromptNodes]:
        """Prompts of a segment that cannot be read, such as after another program has edited the scene's file."""
        return [each for each in cls._of(scene, volumeNode, segmentationNode, segmentID) if each.isDamaged]

    @classmethod
    def _of(cls, scene: Any, volumeNode: Any, segmentationNode: Any, segmentID: str) -> list[PromptNodes]:
        sought = (volumeNode, segmentationNode, segmentID)
        found = cls.all(scene, complete=False)
        return [each for each in found if (each.volumeNode, each.segmentationNode, each.segmentID) == sought]

    @property
    def volumeNode(self) -> Any:
        return self.node.GetNodeReference("volume")

    @property
    def segmentationNode(self) -> Any:
        return self.node.GetNodeReference("segmentation")

    @property
    def segmentID(self) -> str:
        return self.node.GetParameter("segmentID")

    @property
    def frame(self) -> str:
        """Digest of the image that they were given on; "" before the first one, and for scenes of earlier versions."""
        return self.node.GetParameter("frame") or ""

    def setFrame(self, digest: str) -> None:
        """Bind them to an image, once: on another one in the same node, they are not those of the segment."""
        if not self.frame:
            self.node.SetParameter("frame", digest)

    @property
    def areOfOneOfManyImages(self) -> bool:
        """Whether masks of another image in the volume, such as another frame, went into the segment too."""
        sought = (self.volumeNode, self.segmentationNode, self.segmentID)
        others = [each for each in self._of(self.node.GetScene(), *sought) if each.node is not self.node]
        return any(each.placement is not None for each in others if not each.isDamaged)

    @property
    def placement(self) -> np.ndarray | None:
        """4 x 4 matrix from the volume's voxels to the segmentation when a mask was written last; None before."""
        stored = self._read("placement")
        return np.array(stored) if stored else None

    def setPlacement(self, matrix: np.ndarray | None) -> None:
        self._write("placement", [] if matrix is None else matrix.tolist())

    @property
    def isComplete(self) -> bool:
        """Whether every node it needs, and the segment, are in the scene."""
        if self.node.GetScene() is None or not all((self.volumeNode, self.segmentationNode, *self.pointNodes)):
            return False
        return self.segmentationNode.GetSegmentation().GetSegment(self.segmentID) is not None

    @property
    def isDamaged(self) -> bool:
        """Whether something that is stored in the node cannot be read."""
        try:
            planes, matrices = self.planes, [stored for name in MATRICES if (stored := self._read(name))]
            sound = [np.shape(matrix) == (4, 4) and np.linalg.det(matrix) != 0 for matrix in matrices]
            sound += [mask.shape == plane.shape for kind in PlaneMask for plane, mask in self.masks(kind)]
            sound += [block is None or block.mask.ndim == 3 for block in map(self.objectMask, PlaneMask)]
            for where, mask in self._picks.values():
                isBlock = planes[where].of_object
                sound.append(
                    VoxelBlock.unpacked(mask).mask.ndim == 3
                    if isBlock
                    else unpackMask(mask, planes[where].shape).ndim == 2
                )
            sound += [int(step) >= 0 for step in self._picks]
            sound += [0 <= sure <= 1 for sure in self.confidences.values()]
            return not all(sound)
        except DAMAGED:
            return True

    @property
    def areOfProposal(self) -> bool:
        """Whether they correct what the segment held before, as if a propagation had given it."""
        return self.node.GetParameter("proposal") == "true"

    def setOfProposal(self) -> None:
        self.node.SetParameter("proposal", "true")

    @property
    def confidences(self) -> dict[PlaneGeometry, float]:
        """How confident a propagation or proposal is, 0 to 1, of each slice that was not accepted since."""
        from AdaptCore.predict.geometry import axis_plane

        shape = self.volumeNode.GetImageData().GetDimensions()
        stored = dict(self._read("confidences"))
        return {
            axis_plane(shape, int(axis), int(index)): sure
            for axis, slices in stored.items()
            for index, sure in slices.items()
            if int(index) < shape[int(axis)]
        }

    def setConfidences(self, confidences: Mapping[PlaneGeometry, float]) -> None:
        """Store them, of slices along the volume's axes."""
        slices: dict[str, dict[str, float]] = {}
        for plane, sure in confidences.items():
            if plane.axis is not None:
                slices.setdefault(str(plane.axis), {})[str(int(plane.plane_to_ijk[plane.axis, 2]))] = sure
        self._write("confidences", slices)

    @property
    def pointNodes(self) -> tuple[Any, Any]:
        """Point lists of the positive and the negative clicks."""
        return self.node.GetNodeReference("positive"), self.node.GetNodeReference("negative")

    @property
    def boxNodes(self) -> list[Any]:
        """Regions of interest, one for each box."""
        return self._references("box")

    @property
    def lassoNodes(self) -> list[Any]:
        """Closed curves, one for each lasso."""
        return self._references("lasso")

    @property
    def outlineNodes(self) -> list[Any]:
        """Boxes and lassos."""
        return [*self.boxNodes, *self.lassoNodes]

    @property
    def planes(self) -> list[PlaneGeometry]:
        """The planes that prompts were given on, in the order of their numbers."""
        return list(_planesOf(self.node.GetParameter("planes")))

    def planeNumber(self, geometry: PlaneGeometry) -> int:
        """The number of a plane; a new plane gets the next one."""
        planes = self.planes
        if geometry in planes:
            return planes.index(geometry)
        added = {"plane_to_ijk": geometry.plane_to_ijk.tolist(), "shape": list(geometry.shape)}
        if geometry.of_object:
            added["object"] = True
        self._write("planes", [*self._read("planes"), added])
        return len(planes)

    def mask(self, kind: PlaneMask, geometry: PlaneGeometry) -> np.ndarray | None:
        """A mask stored with a plane, bool (H, W); None without one."""
        planes = self.planes
        packed = self.packedMasks(kind).get(str(planes.index(geometry))) if geometry in planes else None
        return None if packed is None else unpackMask(packed, geometry.shape)

    def masks(self, kind: PlaneMask) -> Iterator[tuple[PlaneGeometry, np.ndarray]]:
        """All stored masks of a kind, bool (H, W), with their planes, the latest last."""
        planes = self.planes
        for number, packed in self.packedMasks(kind).items():
            if number != OBJECT:
                plane = planes[int(number)]
                yield plane, unpackMask(packed, plane.shape)

    def setMask(self, kind: PlaneMask, geometry: PlaneGeometry, mask: np.ndarray | None) -> None:
        """Store a mask, bool (H, W), with a plane in place of the one before; None takes that out."""
        self._setPacked(kind, str(self.planeNumber(geometry)), None if mask is None else packMask(mask))

    def objectMask(self, kind: PlaneMask) -> VoxelBlock | None:
        """A mask stored with the object; None without one."""
        packed = self.packedMasks(kind).get(OBJECT)
        return None if packed is None else VoxelBlock.unpacked(packed)

    def setObjectMask(self, kind: PlaneMask, block: VoxelBlock | None) -> None:
        """Store a mask with the object in place of the one before; None takes that out."""
        self._setPacked(kind, OBJECT, None if block is None else block.packed)

    def hasMasks(self, kind: PlaneMask) -> bool:
        """Whether a mask of a kind is stored, with any plane."""
        return self.node.GetParameter(kind.value) not in (None, "", json.dumps({}))

    def hasPlaneMasks(self, kind: PlaneMask) -> bool:
        """Whether a mask of a kind is stored with a plane, and not only with the object."""
        return bool(self.packedMasks(kind).keys() - {OBJECT})

    def packedMasks(self, kind: PlaneMask) -> dict[str, str]:
        """All masks of a kind as they are stored, by the number of their plane, the latest last."""
        return self._read(kind.value) or {}

    def setPackedMasks(self, kind: PlaneMask, packed: dict[str, str]) -> None:
        """Bring back masks of a kind as `packedMasks` gave them."""
        self._write(kind.value, packed)

    def _setPacked(self, kind: PlaneMask, key: str, text: str | None) -> None:
        packed = self.packedMasks(kind)
        packed.pop(key, None)
        self.setPackedMasks(kind, packed if text is None else {**packed, key: text})

    @property
    def nextStep(self) -> int:
        """The number of the next action: one more than any stored one."""
        taken = [step for node in self.pointNodes for _, _, step in _markedPoints(node)]
        taken += [step for _, _, step in _markedOutlines(self.outlineNodes)]
        taken += map(int, self._picks)
        return max(taken, default=-1) + 1

    def steps(self, plane: int) -> list[PromptStep]:
        """The actions on a plane in their order, as they stand now: moved points count where they are.

        A box or lasso that has been moved until nothing is left inside counts as deleted.
        """
        self.followVolume()
        geometry = self.planes[plane]
        toVoxels = np.linalg.inv(ijkToWorld(self.volumeNode))
        clicks: dict[int, list[Click]] = {}
        for positive, node in zip((True, False), self.pointNodes):
            for index, markedPlane, step in _markedPoints(node):
                if markedPlane == plane:
                    world = node.GetNthControlPointPositionWorld(index)
                    x, y = geometry.pixel(worldPoint(toVoxels, [world[axis] for axis in range(3)]).tolist())
                    clicks.setdefault(step, []).append(Click(x, y, positive))
        steps = [PromptStep(step, tuple(stroke)) for step, stroke in clicks.items()]
        steps += self._outlines(plane, geometry, toVoxels)
        steps += [PromptStep(int(step), picked=mask) for step, (where, mask) in self._picks.items() if where == plane]
        if geometry.of_object:
            steps = [replace(action, plane=geometry) for action in steps]
        return sorted(steps, key=lambda action: action.step)

    @property
    def objectSteps(self) -> list[PromptStep]:
        """The actions on the object in their order, on whatever planes they were given."""
        numbers = [number for number, plane in enumerate(self.planes) if plane.of_object]
        return sorted((action for number in numbers for action in self.steps(number)), key=lambda action: action.step)

    def addStep(self, geometry: PlaneGeometry, action: PromptStep) -> None:
        """Store an action, where it was given; a box or lasso replaces the plane's earlier one."""
        self.followVolume()
        geometry = action.plane or geometry
        plane = self.planeNumber(geometry)
        toWorld = ijkToWorld(self.volumeNode)
        for click in action.clicks:
            node = self.pointNodes[0 if click.positive else 1]
            position = worldPoint(toWorld, geometry.voxel(click.x, click.y))
            index = node.AddControlPointWorld(*(float(value) for value in position), "+" if click.positive else "-")
            markPoint(node, index, plane, action.step)
        if action.isOutline:
            self._removeOutline(plane)
        if action.box is not None:
            node = self._addOutline("box", "vtkMRMLMarkupsROINode", plane, action.step)
            _placeBox(node, geometry, action.box, self._localMatrix())
        if action.lasso is not None:
            node = self._addOutline("lasso", "vtkMRMLMarkupsClosedCurveNode", plane, action.step)
            _placeLasso(node, geometry, action.lasso, toWorld)
        if action.picked:
            self._write("picks", {**self._picks, str(action.step): (plane, action.picked)})

    def takePlaced(self, node: Any, index: int, world: Sequence[float], geometry: PlaneGeometry, step: int) -> None:
        """Make an action of a point that was placed in a view, at `world`, before the node followed the volume."""
        self.followVolume()
        node.SetNthControlPointPositionWorld(index, *world)
        markPoint(node, index, self.planeNumber(geometry), step)

    def removeStep(self, step: int) -> None:
        """Take an action out of the scene."""
        for node in self.pointNodes:
            for index, _, markedStep in reversed(list(_markedPoints(node))):
                if markedStep == step:
                    node.RemoveNthControlPoint(index)
        for node, _, markedStep in list(_markedOutlines(self.outlineNodes)):
            if markedStep == step:
                removeNode(node)
        if str(step) in self._picks:
            self._write("picks", {known: pick for known, pick in self._picks.items() if known != str(step)})

    def removePicks(self, geometry: PlaneGeometry) -> None:
        """Take the picks on a plane out of the scene."""
        for action in self.steps(self.planeNumber(geometry)):
            if action.picked:
                self.removeStep(action.step)

    def removePlane(self, geometry: PlaneGeometry) -> None:
        """Take all actions on a plane out of the scene, and a box or lasso that no longer counts."""
        plane = self.planeNumber(geometry)
        for action in self.steps(plane):
            self.removeStep(action.step)
        self._removeOutline(plane)

    def followVolume(self) -> None:
        """Keep the prompts on the voxels they were given on, whatever happened to the volume's transforms."""
        current = self._localMatrix()
        stored = self._read("ijkToRAS")
        moved = current @ np.linalg.inv(np.array(stored)) if stored else np.eye(4)
        transformID = self.volumeNode.GetTransformNodeID()
        for node in (*self.pointNodes, *self.outlineNodes):
            if node.GetTransformNodeID() != transformID:
                node.SetAndObserveTransformNodeID(transformID)
            if not np.allclose(moved, np.eye(4), atol=1e-9):
                transform = vtk.vtkTransform()
                transform.SetMatrix(slicer.util.vtkMatrixFromArray(moved))
                node.ApplyTransform(transform)
        if not np.array_equal(current, np.array(stored)):
            self._rememberGeometry()

    def setVisible(self, isVisible: bool) -> None:
        """Show or hide the prompts in the views."""
        for node in (*self.pointNodes, *self.outlineNodes):
            node.SetDisplayVisibility(isVisible)

    def remove(self) -> None:
        """Take the prompts and all their nodes out of the scene."""
        scene = self.node.GetScene()
        for node in (*self.pointNodes, *self.outlineNodes):
            removeNode(node)
        scene.RemoveNode(self.node)

    def _references(self, role: str) -> list[Any]:
        count = self.node.GetNumberOfNodeReferences(role)
        return [node for n in range(count) if (node := self.node.GetNthNodeReference(role, n))]

    def _outlines(self, plane: int, geometry: PlaneGeometry, toVoxels: np.ndarray) -> Iterator[PromptStep]:
        """The box and lasso actions on a plane."""
        for node, step in _onPlane(self.boxNodes, plane):
            with suppress(PromptError):
                yield PromptStep(step, box=_planeBox(node, geometry, toVoxels))
        for node, step in _onPlane(self.lassoNodes, plane):
            with suppress(PromptError):
                yield PromptStep(step, lasso=_planeLasso(node, geometry, toVoxels))

    def _removeOutline(self, plane: int) -> None:
        for node, _ in _onPlane(self.outlineNodes, plane):
            removeNode(node)

    def _addOutline(self, role: str, className: str, plane: int, step: int) -> Any:
        node = addMarkups(self.node.GetScene(), className, f"{self.node.GetName()} {role}")
        node.SetAttribute(PLANE_ATTRIBUTE, str(plane))
        node.SetAttribute(STEP_ATTRIBUTE, str(step))
        node.SetAndObserveTransformNodeID(self.volumeNode.GetTransformNodeID())
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetColor(POSITIVE_COLOR)
        display.SetSelectedColor(POSITIVE_COLOR)
        display.SetFillVisibility(False)
        display.SetPropertiesLabelVisibility(False)
        display.SetPointLabelsVisibility(False)
        self.node.AddNodeReferenceID(role, node.GetID())
        return node

    def _localMatrix(self) -> np.ndarray:
        matrix = vtk.vtkMatrix4x4()
        self.volumeNode.GetIJKToRASMatrix(matrix)
        return slicer.util.arrayFromVTKMatrix(matrix)

    @property
    def _picks(self) -> dict[str, tuple[int, str]]:
        """Plane number and packed mask of each pick, by its step."""
        return self._read("picks") or {}

    def _rememberGeometry(self) -> None:
        self._write("ijkToRAS", self._localMatrix().tolist())

    def _read(self, parameter: str) -> Any:
        return parse(self.node.GetParameter(parameter) or "[]")

    def _write(self, parameter: str, value: Any) -> None:
        self.node.SetParameter(parameter, json.dumps(value))


@lru_cache(maxsize=8)
def _planesOf(stored: str) -> tuple[PlaneGeometry, ...]:
    """Planes as they are stored; a click asks for them several times, and each takes a while to make."""
    from AdaptCore.predict.geometry import PlaneGeometry

    return tuple(
        PlaneGeometry(np.array(plane["plane_to_ijk"]), tuple(plane["shape"]), plane.get("object") is True)
        for plane in parse(stored or "[]")
    )


def markPoint(node: Any, index: int, plane: int, step: int) -> None:
    """Note on a control point which plane it belongs to and which action it is part of."""
    node.SetNthControlPointDescription(index, json.dumps({"plane": plane, "step": step}))


def unmarkedPoints(node: Any) -> list[int]:
    """Control points that are placed and not part of any action, such as those the user has just placed."""
    marked = {index for index, _, _ in _markedPoints(node)}
    return [index for index in _placedPoints(node) if index not in marked]


def _placedPoints(node: Any) -> list[int]:
    count = node.GetNumberOfControlPoints()
    return [index for index in range(count) if node.GetNthControlPointPositionStatus(index) == node.PositionDefined]


def _markedPoints(node: Any) -> Iterator[tuple[int, int, int]]:
    """Index, plane and step of each placed control point that carries them."""
    for index in _placedPoints(node):
        try:
            mark = parse(node.GetNthControlPointDescription(index))
            yield index, int(mark["plane"]), int(mark["step"])
        except (ValueError, TypeError, KeyError):
            continue


def _markedOutlines(outlineNodes: list[Any]) -> Iterator[tuple[Any, int, int]]:
    """Plane and step of each box or lasso that carries them."""
    for node in outlineNodes:
        with suppress(ValueError, TypeError):
            yield node, int(node.GetAttribute(PLANE_ATTRIBUTE)), int(node.GetAttribute(STEP_ATTRIBUTE))


def _onPlane(outlineNodes: list[Any], plane: int) -> Iterator[tuple[Any, int]]:
    """The boxes or lassos on a plane, with the number of their action."""
    return ((node, step) for node, markedPlane, step in _markedOutlines(outlineNodes) if markedPlane == plane)


def _addPoints(scene: Any, name: str, glyph: str, color: tuple[float, float, float]) -> str:
    node = addMarkups(scene, "vtkMRMLMarkupsFiducialNode", name)
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetGlyphTypeFromString(glyph)
    display.SetColor(color)
    display.SetSelectedColor(color)
    display.SetPointLabelsVisibility(False)
    return node.GetID()


def _placeBox(node: Any, geometry: PlaneGeometry, box: Box, ijkToLocal: np.ndarray) -> None:
    """Lay a region of interest over the box, one pixel thick, in the volume's own coordinates."""
    steps = ijkToLocal[:3, :3] @ geometry.plane_to_ijk[:, :2]
    lengths = np.linalg.norm(steps, axis=0)
    across, along = (steps / lengths).T
    matrix = np.eye(4)
    matrix[:3, :3] = np.column_stack((across, along, np.cross(across, along)))
    matrix[:3, 3] = worldPoint(ijkToLocal, geometry.voxel((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2))
    node.SetAndObserveObjectToNodeMatrix(slicer.util.vtkMatrixFromArray(matrix))
    node.SetSize((box.x1 - box.x0) * lengths[0], (box.y1 - box.y0) * lengths[1], lengths.min())


def _placeLasso(node: Any, geometry: PlaneGeometry, lasso: Lasso, toWorld: np.ndarray) -> None:
    """Lay a closed curve of straight lines over the outline."""
    node.SetCurveTypeToLinear()
    node.GetDisplayNode().SetGlyphScale(CORNER_SIZE)
    node.GetDisplayNode().SetLineThickness(LINE_SIZE)
    for x, y in lasso.points:
        node.AddControlPointWorld(*(float(value) for value in worldPoint(toWorld, geometry.voxel(x, y))))


def _planeLasso(node: Any, geometry: PlaneGeometry, worldToVoxels: np.ndarray) -> Lasso:
    """The outline that a curve's control points make on a plane, in its pixels."""
    positions = [node.GetNthControlPointPositionWorld(index) for index in _placedPoints(node)]
    worlds = [[position[axis] for axis in range(3)] for position in positions]
    return Lasso(tuple(geometry.pixel(worldPoint(worldToVoxels, world).tolist()) for world in worlds))


def _planeBox(node: Any, geometry: PlaneGeometry, worldToVoxels: np.ndarray) -> Box:
    """The box that a region of interest covers on a plane, in its pixels; what lies outside the plane is cut off."""
    axes = slicer.util.arrayFromVTKMatrix(node.GetObjectToNodeMatrix())
    half = np.array(node.GetSize()) / 2
    pixels = []
    for across, along in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        world = np.zeros(3)
        node.TransformPointToWorld(worldPoint(axes, half * (across, along, 0)), world)
        pixels.append(geometry.pixel(worldPoint(worldToVoxels, world).tolist()))
    height, width = geometry.shape
    inside = np.clip(pixels, -0.5, (width - 0.5, height - 0.5))
    (x0, y0), (x1, y1) = inside.min(axis=0), inside.max(axis=0)
    return Box(float(x0), float(y0), float(x1), float(y1))
