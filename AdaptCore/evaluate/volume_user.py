"""The simulated user of a volume: clicks on one plane, lets it propagate, then repairs the worst planes (ours)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from AdaptCore.evaluate.metrics import dice
from AdaptCore.evaluate.users import VoxelClick, next_click
from AdaptCore.models.base import Model
from AdaptCore.predict.geometry import PlaneGeometry, axis_plane, extract, plane_voxels
from AdaptCore.predict.intensity import Window
from AdaptCore.predict.volume import VolumeSession

Progress = Callable[[int, float], None]
"""Called after each click with (clicks so far, Dice of the volume)."""


@dataclass(frozen=True)
class Patience:
    """When the user is satisfied.

    Attributes:
        plane_dice: a plane that agrees so well gets no further click.
        volume_dice: a volume that agrees so well is finished, at whichever click.
        clicks_per_plane: most clicks on one plane before the user turns to another; the user may come back.
        max_clicks: most clicks in all.
    """

    plane_dice: float = 0.94
    volume_dice: float = 0.95
    clicks_per_plane: int = 5
    max_clicks: int = 20


@dataclass(frozen=True, eq=False)
class VolumeRun:
    """What the user did and got.

    Attributes:
        mask: uint8 (I, J, K).
        window: intensities that the model saw.
        clicks: in order.
        dice_after_click: Dice of the volume with the clicked plane's mask; the last click on a plane counts after its
            propagation.
        confidences: plane index -> confidence of the last prediction there.
    """

    mask: np.ndarray
    window: Window
    clicks: tuple[VoxelClick, ...]
    dice_after_click: tuple[float, ...]
    confidences: dict[int, float]

    def prompted(self, axis: int) -> list[int]:
        """Indices of the planes that were clicked on."""
        return sorted({click.voxel[axis] for click in self.clicks})


class VolumeUser:
    """A user who knows the truth, bool (I, J, K), and works on planes across one axis.

    Args:
        rng: the only source of chance.
    """

    def __init__(
        self,
        session: VolumeSession,
        truth: np.ndarray,
        axis: int,
        rng: np.random.Generator,
        patience: Patience = Patience(),
        progress: Progress | None = None,
    ) -> None:
        self._session = session
        self._truth = truth
        self._axis = axis
        self._rng = rng
        self._patience = patience
        self._progress = progress
        self._clicks: list[VoxelClick] = []
        self._dice: list[float] = []
        self._confidences: dict[int, float] = {}
        self._finished: set[int] = set()
        self._visited: set[int] = set()
        self._productive = False

    def work(self) -> VolumeRun:
        """Start on the plane in the middle of the object; repair the plane with most wrong voxels until satisfied.

        A plane is returned to only when all other wrong planes were worked on as often.
        """
        index: int | None = self._middle()
        while index is not None and len(self._clicks) < self._patience.max_clicks:
            self._work_on(index)
            index = self._worst()
        return VolumeRun(
            self._session.labelmap.copy(),
            self._session.window,
            tuple(self._clicks),
            tuple(self._dice),
            dict(sorted(self._confidences.items())),
        )

    def _work_on(self, index: int) -> None:
        geometry = axis_plane(self._session.shape, self._axis, index)
        before = len(self._clicks)
        self._visited.add(index)
        self._finished.add(index)
        self._click_on(geometry, index)
        if len(self._clicks) > before:
            self._productive = True
            self._session.accept(geometry)
            self._carry_on(index)

    def _click_on(self, geometry: PlaneGeometry, index: int) -> None:
        """Click until the plane or the volume is good enough or the patience ends."""
        plane, truth = self._session.plane(geometry), extract(self._truth, geometry)
        for _ in range(min(self._patience.clicks_per_plane, self._patience.max_clicks - len(self._clicks))):
            present = plane.prediction.mask if plane.prediction else np.zeros(geometry.shape, bool)
            click = next_click(truth, present, self._rng)
            if click is None or dice(truth, present) >= self._patience.plane_dice:
                break
            answer = plane.click(click.x, click.y, click.positive)
            self._confidences[index] = answer.score
            i, j, k = geometry.voxel(click.x, click.y)
            self._clicks.append(VoxelClick((round(i), round(j), round(k)), click.positive))
            self._tell(self._agreement_with(geometry, answer.mask))
            if self._dice[-1] >= self._patience.volume_dice:
                break

    def _carry_on(self, index: int) -> None:
        """Propagate half the way to the next plane clicked on; a user who sees it get worse takes that back."""
        before = self._agreement()
        extent = stretch(self._visited, index, self._session.shape[self._axis])
        result = self._session.propagate(self._axis, index, extent=extent)
        if self._agreement() < before:
            self._session.undo()
        else:
            self._confidences.update(result.confidences)
        self._dice[-1] = self._agreement()

    def _middle(self) -> int:
        return int(np.median(np.nonzero(self._area(self._truth))[0]))

    def _worst(self) -> int | None:
        """The plane with most wrong voxels among those not worked on in this round; None if the user is satisfied.

        A round ends when all wrong planes were worked on, and one without a click is the last.
        """
        if self._agreement() >= self._patience.volume_dice:
            return None
        wrong = self._area(self._truth != (self._session.labelmap > 0))
        others = wrong.copy()
        others[list(self._finished)] = 0
        if not others.any() and self._productive:
            self._finished, self._productive, others = set(), False, wrong
        return int(others.argmax()) if others.any() else None

    def _area(self, voxels: np.ndarray) -> np.ndarray:
        return np.count_nonzero(voxels, axis=tuple(other for other in range(3) if other != self._axis))

    def _agreement(self) -> float:
        return dice(self._truth, self._session.labelmap > 0)

    def _agreement_with(self, geometry: PlaneGeometry, mask: np.ndarray) -> float:
        """Dice of the volume if the mask (H, W) were accepted on the plane."""
        labels = self._session.labelmap > 0
        voxels, rows, columns = plane_voxels(self._session.shape, geometry)
        labels[voxels] = mask[rows, columns]
        return dice(self._truth, labels)

    def _tell(self, agreement: float) -> None:
        self._dice.append(agreement)
        if self._progress:
            self._progress(len(self._clicks), agreement)


def annotate(
    model: Model,
    array: np.ndarray,
    truth: np.ndarray,
    axis: int,
    seed: int,
    patience: Patience = Patience(),
    progress: Progress | None = None,
    spacing: Sequence[float] | None = None,
) -> VolumeRun:
    """Let a simulated user segment the object `truth` of a volume (I, J, K) with the model."""
    with VolumeSession(model, array, spacing=spacing, precompute=0) as session:
        return VolumeUser(session, truth, axis, np.random.default_rng(seed), patience, progress).work()


def stretch(worked_on: Iterable[int], index: int, count: int) -> tuple[int, int]:
    """First and last of `count` planes to carry plane `index` to: up to halfway to the nearest ones worked on."""
    below = [other for other in worked_on if other < index]
    above = [other for other in worked_on if other > index]
    first = (max(below) + index) // 2 + 1 if below else 0
    last = (min(above) + index) // 2 if above else count - 1
    return first, last
