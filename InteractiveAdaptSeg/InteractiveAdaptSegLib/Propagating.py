"""A propagation from its start, in a thread of its own, to the voxels that it gives; the scene is never touched."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from InteractiveAdaptSegLib.Target import Target
from InteractiveAdaptSegLib.VolumeGeometry import sliceIndex
from InteractiveAdaptSegLib.VoxelBlock import VoxelBlock

if TYPE_CHECKING:
    from AdaptCore.predict.geometry import PlaneGeometry
    from AdaptCore.predict.propagate import Propagation
    from InteractiveAdaptSegLib.Commands import WriteCommand


@dataclass(frozen=True)
class Found:
    """What a propagation gives a segment.

    Attributes:
        add, remove: voxels that it fills, and those that an earlier one had filled; None for none.
        confidences: 0 to 1, of each slice that it has given.
    """

    add: VoxelBlock | None
    remove: VoxelBlock | None
    confidences: dict[PlaneGeometry, float]


class Propagating:
    """A propagation of one target from a slice; it starts at once.

    Args:
        geometry: a slice along the volume's axes, which the target's session has accepted.
        stepsBefore: of the session, to be brought back if nothing is written.
        accepted: how the slice's mask was written, where that was the start of the same action.

    Attributes:
        done, total: planes done and planes there can be at most.
        isFinished: whether the end has been seen by `follow`.
    """

    def __init__(
        self, target: Target, geometry: PlaneGeometry, stepsBefore: int, accepted: WriteCommand | None = None
    ) -> None:
        self.target, self.geometry, self.stepsBefore, self.accepted = target, geometry, stepsBefore, accepted
        self.done = self.total = 0
        self.isFinished = False
        self._news: queue.SimpleQueue[tuple[int, int] | None] = queue.SimpleQueue()
        self._cancelled = threading.Event()
        self._result: Propagation | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="InteractiveAdaptSeg-propagation", daemon=True)
        self._thread.start()

    def follow(self, seconds: float = 0.02) -> None:
        """Take what happened since the last call; waits up to `seconds` for it, which lets the thread work."""
        patience = seconds
        while not self.isFinished:
            try:
                news = self._news.get(timeout=patience) if patience else self._news.get_nowait()
            except queue.Empty:
                break
            patience = 0
            if news is None:
                self.isFinished = True
                self._thread.join()
            else:
                self.done, self.total = news

    def cancel(self) -> None:
        """Stop before the next plane; what is done until then is kept."""
        self._cancelled.set()

    def stop(self) -> None:
        """Cancel, and wait for the thread to end."""
        self.cancel()
        self._thread.join()
        self.isFinished = True

    def takeBack(self) -> None:
        """Bring the session back to where it was; the segment was not written."""
        self.target.undoSteps(self.stepsBefore)

    def found(self) -> Found | None:
        """What the finished propagation gives the segment; None if it changes nothing.

        Raises:
            BaseException: what the propagation raised.
        """
        if self._error is not None:
            raise self._error
        assert self._result is not None
        session, result = self.target.session, self._result
        lost = session.lost_since(self.stepsBefore)
        add, remove = propagationBlocks(session.labelmap, lost, result.axis, result.masks)
        if add is None and remove is None:
            return None
        return Found(add, remove, confidencesOf(result, session.shape))

    def _run(self) -> None:
        axis = self.geometry.axis
        assert axis is not None
        try:
            self._result = self.target.session.propagate(
                axis, sliceIndex(self.geometry), progress=self._report, cancelled=self._cancelled.is_set
            )
        except BaseException as error:  # handed over to the thread that asks for what was found
            self._error = error
        self._news.put(None)

    def _report(self, done: int, total: int, confidence: float) -> None:
        self._news.put((done, total))


def confidencesOf(result: Propagation, shape: tuple[int, int, int]) -> dict[PlaneGeometry, float]:
    """How confident a propagation in a volume (I, J, K) is of each plane that it has given."""
    from AdaptCore.predict.geometry import axis_plane

    return {axis_plane(shape, result.axis, index): sure for index, sure in result.confidences.items()}


def propagationBlocks(
    labels: np.ndarray, lost: np.ndarray, axis: int, reached: Iterable[int]
) -> tuple[VoxelBlock | None, VoxelBlock | None]:
    """Voxels that a propagation gives the slices it has reached, and those that an earlier one had written there.

    Args:
        labels: the session's, uint8 (i, j, k).
        lost: voxels N x 3 that it has taken out of them.
    """
    filled = [np.flatnonzero(labels.any(axis=tuple({0, 1, 2} - {along}))) for along in range(3)]
    if not filled[axis].size:
        return None, VoxelBlock.ofVoxels(lost)
    box = tuple(slice(int(found[0]), int(found[-1]) + 1) for found in filled)
    isReached = np.isin(np.arange(box[axis].start, box[axis].stop), list(reached))
    inside = labels[box] * isReached.reshape([-1 if along == axis else 1 for along in range(3)])
    return VoxelBlock.around(inside > 0, [part.start for part in box]), VoxelBlock.ofVoxels(lost)
