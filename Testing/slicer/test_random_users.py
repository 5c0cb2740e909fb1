"""Random users of the panel's logic in a real scene: after every action, nothing is lost that was not asked for."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from AdaptCore.errors import AdaptSegError
from AdaptCore.predict.geometry import plane_voxels
from Testing.slicer.panel import Panel
from Testing.slicer.scenes import CENTRE, OTHER_CENTRE, SHAPE
from Testing.toy_model import ToyModel

ACTIONS = 40
WEIGHTS = {
    "click": 24,
    "accept": 16,
    "undo": 12,
    "redo": 8,
    "propagate": 5,
    "choose": 9,
    "new": 3,
    "clear": 3,
    "paint": 3,
    "frame": 2,
    "overwrite": 2,
}


class RandomUser:
    """Chooses actions by a seed, and knows what each may change."""

    def __init__(self, panel: Panel, images: list[np.ndarray], seed: int) -> None:
        self.panel, self.images, self.rng = panel, images, random.Random(seed)
        self.shown = 0

    @property
    def logic(self) -> Any:
        return self.panel.logic

    @property
    def segments(self) -> dict[str, np.ndarray]:
        ids = self.panel.segmentation.GetSegmentation().GetSegmentIDs()
        return {segment: self.panel.segment(segment) for segment in ids}

    def act(self) -> None:
        """Do something, and look whether more has changed than was asked for."""
        name = self.rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        before, points = self.segments, self.count_points()
        chosen = self.logic.promptNodes.segmentID if self.logic.promptNodes else ""
        plane, mask = self.logic.activePlane, self.logic.mask
        try:
            getattr(self, name)()
        except AdaptSegError:
            assert same(before, self.segments), f"{name} was refused and has changed a segment"
            if name in ("click", "accept", "undo", "redo", "clear"):
                assert points == self.count_points(), f"{name} was refused and has changed the prompts"
            return
        self.panel.catch_up()
        self.panel.wait()
        self.check(name, before, chosen, plane, mask)

    def check(self, name: str, before: dict[str, np.ndarray], chosen: str, plane: Any, mask: Any) -> None:
        after = self.segments
        changed = [key for key in before if key in after and not np.array_equal(before[key], after[key])]
        if name in ("click", "choose", "new", "clear", "frame", "overwrite"):
            assert not changed, f"{name} has changed {changed}"
        if name in ("accept", "propagate") and not self.overwrites:
            assert set(changed) <= {chosen}, f"{name} for {chosen} has changed {changed}"
        if name == "accept" and mask is not None:
            voxels, rows, columns = plane_voxels(SHAPE, plane)
            off = before[chosen] ^ after[chosen]
            off[voxels] = False
            assert not off.any(), "accept has changed another slice"
            free = ~np.any([held for key, held in before.items() if key != chosen] or [np.zeros(SHAPE, bool)], axis=0)
            assert after[chosen][voxels][mask[rows, columns] & free[voxels]].all(), "accept has left voxels out"
        assert np.array_equal(self.voxels, self.images[self.shown]), "the source has changed"
        for target in self.logic._targets.values():
            if target.isOpen and target.prompts.isComplete:
                target.followSegment()
                missing = (target.session.labelmap > 0) & ~after[target.segmentID]
                assert not missing.any(), f"{name}: the session of {target.segmentID} has what the segment has not"

    @property
    def overwrites(self) -> bool:
        node = self.logic.editorNode
        return node.GetMaskMode() == 0 and node.GetOverwriteMode() != node.OverwriteNone

    @property
    def voxels(self) -> np.ndarray:
        import slicer

        return slicer.util.arrayFromVolume(self.panel.volume).T

    def count_points(self) -> int:
        nodes = [self.panel.scene.GetNthNodeByClass(n, "vtkMRMLMarkupsFiducialNode") for n in range(20)]
        return sum(node.GetNumberOfControlPoints() for node in nodes if node is not None)

    def voxel(self) -> tuple[int, int, int]:
        centre = self.rng.choice((CENTRE, CENTRE, OTHER_CENTRE))
        near = (round(self.rng.gauss(middle, spread)) for middle, spread in zip(centre, (4, 4, 2)))
        i, j, k = (min(max(place, 0), size - 1) for place, size in zip(near, SHAPE))
        return i, j, k

    def click(self) -> None:
        self.panel.click(self.voxel(), positive=self.rng.random() < 0.75)

    def accept(self) -> None:
        self.logic.accept()

    def undo(self) -> None:
        self.logic.undo()

    def redo(self) -> None:
        self.logic.redo()

    def clear(self) -> None:
        self.logic.clearPrompts()

    def propagate(self) -> None:
        self.logic.propagate()

    def choose(self) -> None:
        self.panel.choose(self.panel.volume, self.panel.segmentation, self.rng.choice(sorted(self.segments)))

    def new(self) -> None:
        if len(self.segments) < 4:
            self.panel.choose(self.panel.volume, self.panel.segmentation, "")

    def paint(self) -> None:
        import slicer

        segment = self.rng.choice(sorted(self.segments))
        mask = self.panel.segment(segment)
        low, high = sorted((self.voxel(), self.voxel()))
        mask[tuple(slice(min(pair), max(pair) + 1) for pair in zip(low, high))] = self.rng.random() < 0.6
        slicer.util.updateSegmentBinaryLabelmapFromArray(
            mask.T.astype(np.uint8), self.panel.segmentation, segment, self.panel.volume
        )

    def frame(self) -> None:
        import slicer

        self.shown = 1 - self.shown
        slicer.util.updateVolumeFromArray(self.panel.volume, np.ascontiguousarray(self.images[self.shown].T))

    def overwrite(self) -> None:
        self.logic.editorNode.SetOverwriteMode(self.rng.randrange(3))


def same(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> bool:
    return first.keys() == second.keys() and all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("seed", range(6))
def test_random_user_loses_nothing_that_was_not_asked_for(
    a_scene: Any, a_slice_view: Any, a_volume: Any, a_segmentation: Any, voxels: np.ndarray, seed: int
) -> None:
    panel = Panel(a_scene, a_slice_view, ToyModel())
    panel.choose(a_volume, a_segmentation, "lesion")
    user = RandomUser(panel, [voxels, np.roll(voxels, (-5, 4), (0, 1))], seed)
    for _ in range(ACTIONS):
        user.act()
    while panel.logic.canUndo:
        before = user.segments
        panel.logic.undo()
        user.check("undo", before, "", None, None)
    panel.logic.close()
