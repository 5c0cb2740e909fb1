"""Self test: a phantom is segmented by clicks through the logic, in a scene that is then saved and loaded."""

from __future__ import annotations

import os
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk

from InteractiveAdaptSegLib.SceneNodes import addSegmentation
from InteractiveAdaptSegLib.SegmentationLogic import SegmentationLogic


class SelfTest:
    """Tests that run one after the other, each in an empty scene.

    Args:
        case: asserts.
    """

    def __init__(self, case: unittest.TestCase) -> None:
        self._case = case

    def run(self) -> None:
        for test in (
            self.test_clickGivesMaskInSegment,
            self.test_pick,
            self.test_undoAndRedo,
            self.test_learning,
            self.test_propagation,
            self.test_savedScene,
        ):
            with self._emptyScene():
                test()

    @contextmanager
    def _emptyScene(self) -> Iterator[None]:
        """A user who has no tasks and profiles; those of the real one stay untouched."""
        slicer.mrmlScene.Clear()
        home = os.environ.get("ADAPTSEG_HOME")
        os.environ["ADAPTSEG_HOME"] = slicer.util.tempDirectory()
        try:
            yield
        finally:
            del os.environ["ADAPTSEG_HOME"]
            if home is not None:
                os.environ["ADAPTSEG_HOME"] = home

    def test_clickGivesMaskInSegment(self) -> None:
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        self._case.assertEqual(self._countVoxels(segmentationNode, volumeNode), 0)
        logic.accept()
        count = self._countVoxels(segmentationNode, volumeNode)
        self._case.assertGreater(count, 0.7 * self._discSize())
        self._case.assertLess(count, 1.3 * self._discSize())
        logic.close()

    def test_pick(self) -> None:
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.candidates.setWanted(True)
        logic.addClick(sliceNode, self._centre(volumeNode))
        self._wait(logic)
        answer, candidate = self._mask(logic), logic.candidates.view(1)
        logic.pick(1)
        logic.accept()
        added, removed = int(candidate.added.sum()), int(candidate.removed.sum())
        self._case.assertGreater(added + removed, 0)
        self._case.assertEqual(self._countVoxels(segmentationNode, volumeNode), int(answer.sum()) + added - removed)
        logic.close()

    def test_undoAndRedo(self) -> None:
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        logic.accept()
        count = self._countVoxels(segmentationNode, volumeNode)
        logic.undo()
        self._case.assertEqual(self._countVoxels(segmentationNode, volumeNode), 0)
        logic.redo()
        self._case.assertEqual(self._countVoxels(segmentationNode, volumeNode), count)
        logic.close()

    def test_learning(self) -> None:
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.setTask("Self test")
        logic.addClick(sliceNode, self._centre(volumeNode))
        logic.accept()
        self._wait(logic)
        self._case.assertEqual(len(logic.task.history), 1)
        logic.close()
        logic, volumeNode, segmentationNode, sliceNode = self._start(volumeNode, segmentationNode)
        logic.setTask("Self test")
        self._case.assertEqual(len(logic.task.history), 1)
        logic.close()

    def test_propagation(self) -> None:
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        logic.accept()
        count = self._countVoxels(segmentationNode, volumeNode)
        logic.propagate()
        self._wait(logic)
        self._case.assertGreater(self._countVoxels(segmentationNode, volumeNode), 2 * count)
        logic.close()

    def test_savedScene(self) -> None:
        logic, volumeNode, segmentationNode, sliceNode = self._start()
        logic.addClick(sliceNode, self._centre(volumeNode))
        mask = self._mask(logic)
        logic.close()
        path = str(Path(slicer.util.tempDirectory()) / "InteractiveAdaptSegTest.mrb")
        slicer.util.saveScene(path)
        slicer.mrmlScene.Clear()
        slicer.util.loadScene(path)
        logic, volumeNode, segmentationNode, sliceNode = self._start(
            slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode"),
            slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode"),
        )
        self._case.assertTrue(logic.showPlane(sliceNode))
        self._case.assertTrue((self._mask(logic) == mask).all())
        logic.accept()
        self._case.assertEqual(self._countVoxels(segmentationNode, volumeNode), int(mask.sum()))
        logic.close()

    def _mask(self, logic: SegmentationLogic) -> np.ndarray:
        assert logic.mask is not None
        return logic.mask

    def _wait(self, logic: SegmentationLogic) -> None:
        """Wait until nothing is under way any more."""
        while logic.update():
            slicer.app.processEvents()

    def _start(self, volumeNode: Any = None, segmentationNode: Any = None) -> tuple[SegmentationLogic, Any, Any, Any]:
        """A session on the phantom, and a slice view through its centre."""
        volumeNode = volumeNode or self._addPhantom()
        if segmentationNode is None:
            segmentationNode = addSegmentation(slicer.mrmlScene, volumeNode)
            segmentationNode.GetSegmentation().AddEmptySegment("Segment_1")
        logic = SegmentationLogic(slicer.mrmlScene)
        logic.setTarget(volumeNode, segmentationNode, "Segment_1")
        return logic, volumeNode, segmentationNode, self._sliceNode(volumeNode)

    def _addPhantom(self) -> Any:
        """A bright ball of 24 voxels' diameter in a volume of 64 x 64 x 32, with unequal spacing."""
        k, j, i = np.mgrid[0:32, 0:64, 0:64]
        ball = (i - 34) ** 2 + (j - 30) ** 2 + (2 * (k - 16)) ** 2 <= 12**2
        image = np.where(ball, 400, 100) + np.random.default_rng(0).normal(0, 10, ball.shape)
        volumeNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Phantom")
        slicer.util.updateVolumeFromArray(volumeNode, image.astype(np.int16))
        volumeNode.SetSpacing(0.8, 0.8, 1.6)
        volumeNode.CreateDefaultDisplayNodes()
        return volumeNode

    def _discSize(self) -> float:
        return 3.1416 * 12**2

    def _centre(self, volumeNode: Any) -> tuple[float, ...]:
        matrix = vtk.vtkMatrix4x4()
        volumeNode.GetIJKToRASMatrix(matrix)
        return matrix.MultiplyPoint((34, 30, 16, 1))[:3]

    def _sliceNode(self, volumeNode: Any) -> Any:
        """The red slice view, or one of our own where Slicer runs without a window."""
        node = slicer.mrmlScene.GetNodeByID("vtkMRMLSliceNodeRed")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLSliceNode")
            node.UnRegister(None)
            node.SetLayoutName("Red")
            node.SetName("Red")
            node = slicer.mrmlScene.AddNode(node)
        node.SetOrientation("Axial")
        node.JumpSliceByCentering(*self._centre(volumeNode))
        return node

    def _countVoxels(self, segmentationNode: Any, volumeNode: Any) -> int:
        segmentID = segmentationNode.GetSegmentation().GetNthSegmentID(0)
        return int(slicer.util.arrayFromSegmentBinaryLabelmap(segmentationNode, segmentID, volumeNode).sum())
