"""Volume session: planes of a volume are segmented, accepted and propagated into one labelmap."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import TracebackType

import numpy as np

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.models.base import Embedding, Model, Question
from AdaptCore.predict.background import BackgroundWorker
from AdaptCore.predict.cache import EmbeddingCache, EmbeddingKey, key
from AdaptCore.predict.geometry import (
    PlaneGeometry,
    axis_plane,
    check_mask,
    check_volume,
    extract,
    known_spacing,
    plane_labels,
    plane_voxels,
)
from AdaptCore.predict.intensity import Window, apply_window, auto_window
from AdaptCore.predict.learning import Example, Learning, Preference, Taught
from AdaptCore.predict.origins import Origin, Origins
from AdaptCore.predict.packed import PackedArray, own_memory
from AdaptCore.predict.plane import PlaneEncoder, PlaneSession, answered_mask
from AdaptCore.predict.propagate import (
    Progress,
    PropagatedPlane,
    Propagation,
    PropagationPolicy,
    gather,
    innermost,
    propagate_planes,
)
from AdaptCore.predict.zoom import ZoomPolicy, zoom_policy
from AdaptCore.prompts import Prompts


@dataclass(frozen=True, eq=False)
class _Part:
    """Voxels (flat indices) with the labels and the origin that a step gives them."""

    voxels: np.ndarray
    labels: np.ndarray
    origin: Origin


@dataclass(frozen=True, eq=False)
class _PackedPart:
    """Voxels (flat indices) that a step changes, with their labels and origins before and after it."""

    voxels: PackedArray
    labels: tuple[PackedArray, PackedArray]
    origins: tuple[PackedArray, PackedArray]

    @classmethod
    def of(cls, part: _Part, labels: np.ndarray, origins: np.ndarray) -> _PackedPart:
        """Pack a part whose voxels have these labels and origins before."""
        after = np.full(part.voxels.size, part.origin, np.uint8)
        pack = PackedArray.of
        return cls(pack(part.voxels), (pack(labels), pack(part.labels)), (pack(origins), pack(after)))


@dataclass(frozen=True, eq=False)
class _Change:
    """What one step changes, and what it taught."""

    revision: int
    parts: tuple[_PackedPart, ...]
    taught: tuple[Taught, ...] = ()


class VolumeSession:
    """One volume, its labelmap, and a plane session for each plane that was looked at.

    The volume is read, never written. Accepted planes are confirmed: propagation neither changes their voxels nor
    passes them by, it starts afresh from them.

    Args:
        model: answers the prompts.
        volume: (i, j, k) or (i, j, k, 3) of any real type, intensities as stored.
        window: intensities shown to the model; None takes robust percentiles of the volume.
        cache: shared embeddings; None gives the session its own.
        spacing: millimetres along i, j and k, None where they are not known.
        zoom: policy of the second look, True for the default one; False or None to look at whole planes only.
        precompute: planes on each side of the current one whose embeddings are computed in the background. An error
            there is logged as a warning, and raised when such a plane is prompted.
        learner: learns from the planes that are accepted, and its model then answers in the place of `model`.
        preference: changes every answer to what the user prefers, and learns from the planes that are accepted.
        only_pointed: drop the parts of every answer that were not pointed at, see `AdaptCore.predict.pointing`; a
            propagation always drops what does not touch the plane before.
        image_name: random name of the volume, which its sessions share; None for one of its own.

    Raises:
        ImageError: the volume has other dimensions, is empty, or has no finite voxel.
    """

    def __init__(
        self,
        model: Model,
        volume: np.ndarray,
        *,
        window: Window | None = None,
        spacing: Sequence[float] | None = None,
        cache: EmbeddingCache | None = None,
        zoom: ZoomPolicy | bool | None = True,
        precompute: int = 2,
        learner: Learning | None = None,
        preference: Preference | None = None,
        only_pointed: bool = False,
        image_name: str | None = None,
    ) -> None:
        self.shape = check_volume(volume)
        self._image_name = image_name or new_image_name()
        self._model = model
        self._volume = volume
        self._window = auto_window(volume) if window is None else window
        self._cache = EmbeddingCache() if cache is None else cache
        self._zoom = zoom_policy(zoom)
        self._spacing = known_spacing(volume, spacing)
        self._precompute = precompute
        self._learner = learner
        self._preference = preference
        self._only_pointed = only_pointed
        self._current: PlaneGeometry | None = None
        self._worker = BackgroundWorker()
        self._sessions: dict[PlaneGeometry, PlaneSession] = {}
        self._started: dict[PlaneGeometry, tuple[int, int]] = {}
        self._last_revision = 0
        self._embedded_around: PlaneGeometry | None = None
        # Arrays of numpy's own take memory in pages of 2 MB, each of several slices.
        self._labels = np.ndarray(self.shape, np.uint8, own_memory(math.prod(self.shape)), order="F")
        self._origins = Origins(self._labels.size)
        self._times_followed = 0
        self._changes: list[_Change] = []
        self._position = 0

    def __enter__(self) -> VolumeSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def window(self) -> Window:
        """The intensities that the model sees."""
        return self._window

    @property
    def labelmap(self) -> np.ndarray:
        """uint8 (i, j, k), 1 inside the object; a read-only view that follows every change."""
        view = self._labels[:]
        view.flags.writeable = False
        return view

    @property
    def was_written(self) -> bool:
        """Whether there was ever a label."""
        return bool(self._changes or self._times_followed)

    @property
    def steps(self) -> int:
        """How many steps can be undone; accepting or propagating what is there already adds none."""
        return self._position

    @property
    def can_undo(self) -> bool:
        """Whether a plane was accepted or propagated that can be taken back."""
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        """Whether a step that was taken back can be applied again."""
        return self._position < len(self._changes)

    def plane(self, geometry: PlaneGeometry) -> PlaneSession:
        """The session of a plane; once it was prompted, it is kept for as long as this volume session lives.

        A plane that was accepted or propagated as a whole starts from its labels, so that clicks correct what
        propagation has given. A session at its start begins anew, without redo, once the labels have changed; one that
        was never prompted is forgotten as soon as another plane is asked for. The embeddings of the planes beside it
        are then computed in the background.

        Raises:
            ImageError: the plane misses the volume.
            RuntimeError: this volume session is closed.
        """
        self._forget_unused(geometry)
        self._turn_to(geometry)
        session = self._sessions.get(geometry)
        if session is None or (session.is_untouched and self._started.get(geometry) != self._revision):
            session = self._new_session(geometry)
            self._sessions[geometry] = session
            self._started[geometry] = self._revision
        self._precompute_around(geometry)
        return session

    def set_window(self, window: Window) -> None:
        """Show other intensities to the model; prompts, answers and history stay, new prompts see the new window."""
        self._drop_precomputing()
        self._window = window
        for geometry, session in self._sessions.items():
            image, source = self._image(geometry)
            self._sessions[geometry] = session.seen_as(image, source)
            if geometry != self._current:
                self._let_rest(geometry)

    def is_confirmed(self, axis: int, index: int) -> bool:
        """Whether every voxel of a slice was accepted.

        Raises:
            PromptError: there is no such slice.
        """
        voxels, _, _ = plane_voxels(self.shape, axis_plane(self.shape, axis, index))
        return bool((self._origins.at(self._flat(voxels)) == Origin.CONFIRMED).all())

    def accept(self, geometry: PlaneGeometry, mask: np.ndarray | None = None, *, teach: bool = True) -> bool:
        """Confirm a plane: its prediction, or `mask` (H, W), becomes the labels of the voxels it passes.

        Args:
            teach: False for a plane that is to teach nothing, such as one of a session that is taken up again, or
                something else than the mask: see `teach`.

        Returns:
            Whether that has changed anything; what was accepted before teaches nothing.

        Raises:
            PromptError: there is neither a mask nor a prediction.
            ImageError: the mask is not of the plane's shape.
        """
        accepted = self._prediction_mask(geometry) if mask is None else np.asarray(mask).astype(bool)
        check_mask(accepted, geometry)
        voxels, rows, columns = plane_voxels(self.shape, geometry)
        flat = self._flat(voxels)
        is_changed = self._apply([_Part(flat, accepted[rows, columns], Origin.CONFIRMED)])
        if is_changed and teach:
            self.teach(geometry, accepted)
        return is_changed

    def examples(self, geometry: PlaneGeometry, mask: np.ndarray) -> list[Example]:
        """What a mask (H, W) says as the answer to a plane's prompts; nothing if it is empty.

        Without prompts a click in the mask's middle stands for them. What has no embedding any more is embedded now, on
        the thread that asks.
        """
        session = self._sessions.get(geometry)
        examples = session.examples(mask) if session and mask.any() else []
        if not examples and mask.any():
            click = innermost(mask)
            question = Question(self._embed(geometry), Prompts((click,)))
            examples = [Example(question, mask, (click,), answered_mask, prompts=0, is_opening=False)]
        return examples

    def teach(self, geometry: PlaneGeometry, mask: np.ndarray, examples: Sequence[Example] | None = None) -> None:
        """Let a mask (H, W) be learnt as the answer to a plane's prompts, as part of the latest step.

        A learner learns from it in the background; undo takes its lesson back, unless another one came after it. A
        preference learns from it at once; undo takes that back as long as the preference can.

        Args:
            examples: what the mask says; None asks `examples`.
        """
        if self._learner is None and self._preference is None:
            return
        session = self._sessions.get(geometry)
        examples = self.examples(geometry, mask) if examples is None else examples
        if examples:
            preferred = self._preference.learn(self._answering, examples) if self._preference else None
            self.note_taught(self._learner.learn(examples, self._image_name) if self._learner else None, preferred)
        if session:
            session.go_on_with(self._answering)
            session.forget_questions()

    def note_taught(self, *taught: Taught | None) -> None:
        """What the latest step has taught goes and comes back with it."""
        latest = self._changes[self._position - 1]
        self._changes[self._position - 1] = replace(latest, taught=tuple(each for each in taught if each))

    def give_up(self, voxels: np.ndarray, *, is_step: bool = True) -> None:
        """Let voxels N x 3 (i, j, k) not be the object's; accepted planes stay accepted.

        Args:
            is_step: whether undo brings them back.
        """
        if not is_step:
            self._labels[tuple(voxels.T)] = 0
            self._times_followed += 1
            return
        flat = self._flat((voxels[:, 0], voxels[:, 1], voxels[:, 2]))
        origins = self._origins.at(flat)
        parts = [(flat[origins == origin], origin) for origin in Origin]
        self._apply(_Part(part, np.zeros(len(part), np.uint8), origin) for part, origin in parts)

    def carry(self, mask: np.ndarray, origin: Sequence[int]) -> bool:
        """Let an object's mask be the labels of all voxels that were not accepted, as one step.

        Args:
            mask: bool (a, b, c), of the voxels from `origin` (i, j, k) on; nothing is inside beyond them.

        Returns:
            Whether that has changed anything.
        """
        gone, given = np.flatnonzero(_linear(self.beyond(mask, origin))), self._flat_in(mask, origin)
        given = given[self._origins.at(given) != Origin.CONFIRMED]
        ended = _Part(gone, np.zeros(len(gone), np.uint8), Origin.NONE)
        return self._apply([_Part(given, np.ones(len(given), np.uint8), Origin.CARRIED), ended])

    def beyond(self, mask: np.ndarray, origin: Sequence[int]) -> np.ndarray:
        """Which voxels were carried and are not in a mask on the voxels from `origin` on, bool (i, j, k)."""
        labels = self._labels > 0
        labels[_box(mask, origin)] &= ~mask
        found = np.flatnonzero(_linear(labels))
        _linear(labels)[found[self._origins.at(found) == Origin.CONFIRMED]] = False
        return labels

    def with_accepted(self, mask: np.ndarray, origin: Sequence[int]) -> np.ndarray:
        """What `carry` would leave on the voxels of a mask: accepted ones are as they were accepted."""
        labels = self._labels[_box(mask, origin)] > 0
        voxels = self._flat_in(mask | labels, origin)
        held = np.zeros(mask.shape, bool)
        held[mask | labels] = self._origins.at(voxels) == Origin.CONFIRMED
        return np.where(held, labels, mask)

    def propagate(
        self,
        axis: int,
        index: int,
        *,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
        extent: tuple[int, int] | None = None,
        policy: PropagationPolicy | None = None,
    ) -> Propagation:
        """Carry an accepted slice to its neighbours, first towards higher and then towards lower indices.

        The labels of all planes it gives are written as one step of the history, also after cancellation. Where the
        object ends, what was carried to the slices from there to the next confirmed one or the extent's end is cleared.
        What was accepted is learnt first.

        Args:
            progress: called after each plane with (done, at most to do, confidence).
            cancelled: asked before each plane.
            extent: first and last slice to touch, inclusive; None for the whole volume.
            policy: None for the default one, with this session's zoom.

        Raises:
            PromptError: the slice is not accepted or outside the volume, or the extent is.
        """
        start = axis_plane(self.shape, axis, index)
        if not self.is_confirmed(axis, index):
            raise PromptError(
                f"plane {index} of axis {axis} is not accepted: propagation starts from an accepted plane"
            )
        first, last = self._check_extent(axis, index, extent)
        self._drop_precomputing()
        if self._learner:
            self._learner.wait()
        onwards = (range(index + 1, last + 1), range(index - 1, first - 1, -1))
        ended: list[range] = []
        directions = [
            propagate_planes(
                self._answering,
                index,
                self._mask(start),
                indices,
                lambda i: self._encoder(axis_plane(self.shape, axis, i)),
                lambda i: self._confirmed_mask(axis, i),
                policy or PropagationPolicy(zoom=self._zoom),
            )
            for indices in onwards
        ]
        noted = [_note_end(planes, indices, ended) for planes, indices in zip(directions, onwards)]
        result = gather(axis, index, noted, [len(indices) for indices in onwards], progress, cancelled)
        self._write(result, self._passed_by(result, ended))
        return result

    def follow(
        self, labels: np.ndarray, planes: Iterable[PlaneGeometry] | None = None, *, are_drafts: bool = True
    ) -> None:
        """Take over labels, bool (i, j, k), that others have drawn: clicks correct them as those of a propagation.

        Accepted planes stay accepted. This is no step of the history, whose steps bring back what they have changed.

        Args:
            planes: take over nothing beyond these; None for the whole volume.
            are_drafts: False for labels that say nothing about this image: planes begin without them, and lose them
                when something else is accepted there.

        Raises:
            ImageError: the labels are not of the volume's shape.
        """
        if labels.shape != self.shape:
            raise ImageError(f"Expected a label for each of {self.shape} voxels, got shape {labels.shape}.")
        if planes is None:
            self._labels[...] = labels
            if are_drafts:
                self._origins.carry(None)
        for plane in planes or ():
            voxels, _, _ = plane_voxels(self.shape, plane)
            self._labels[voxels] = labels[voxels]
            if are_drafts:
                self._origins.carry(self._flat(voxels))
        self._times_followed += 1

    def undo(self) -> None:
        """Take back the last accepted plane or propagation. Does nothing at the start."""
        if self.can_undo:
            self._position -= 1
            change = self._changes[self._position]
            for part in reversed(change.parts):
                self._restore(part, 0)
            for taught in change.taught:
                taught.undo()

    def redo(self) -> None:
        """Apply again what was taken back last, with what it had taught. Does nothing at the end."""
        if self.can_redo:
            change = self._changes[self._position]
            for part in change.parts:
                self._restore(part, 1)
            self._position += 1
            for taught in change.taught:
                taught.redo()

    def take_over(self, other: VolumeSession) -> None:
        """Go on from the labels of another session of the same volume, which is done; undo reaches what it did.

        Planes that were begun here stay as they are.

        Raises:
            ValueError: it is of a volume of another shape.
        """
        if other.shape != self.shape:
            raise ValueError(f"expected a session of a volume of {self.shape}, got {other.shape}")
        self._labels, self._origins, self._times_followed = other._labels, other._origins, other._times_followed
        self._changes, self._position, self._last_revision = other._changes, other._position, other._last_revision

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep until the background work is done; False if `timeout` seconds passed before."""
        return self._worker.wait(timeout)

    def close(self) -> None:
        """End the background thread; planes can then no longer be asked for."""
        self._worker.close()

    @property
    def _answering(self) -> Model:
        return self._learner.opening(self._image_name) if self._learner else self._model

    @property
    def _revision(self) -> tuple[int, int]:
        """Numbers of the present labels; undo and redo bring the second one back."""
        return self._times_followed, self._changes[self._position - 1].revision if self._position else 0

    def _image(self, geometry: PlaneGeometry) -> tuple[np.ndarray, EmbeddingKey]:
        window = self._window
        voxels = extract(self._volume, geometry)
        return apply_window(voxels, window), key(self._model.digest, voxels, geometry, window)

    def _encoder(self, geometry: PlaneGeometry) -> PlaneEncoder:
        image, source = self._image(geometry)
        return PlaneEncoder(self._model, image, self._cache, source)

    def _new_session(self, geometry: PlaneGeometry) -> PlaneSession:
        image, source = self._image(geometry)
        prior = plane_labels(self._labels, geometry) if self._is_written(geometry) else None
        return PlaneSession(
            self._answering,
            image,
            cache=self._cache,
            zoom=self._zoom,
            spacing=geometry.spacing(self._spacing) if self._spacing else None,
            source=source,
            prior=prior,
            adapter=self._learner,
            preference=self._preference,
            only_pointed=self._only_pointed,
        )

    def _turn_to(self, geometry: PlaneGeometry) -> None:
        """The work on the plane before this one ends: what its clicks had taught is dropped."""
        if self._learner and geometry != self._current:
            for plane in (self._current, geometry):
                if plane in self._sessions:
                    self._sessions[plane].go_on_with(self._answering)
        if self._current is not None and geometry != self._current:
            self._let_rest(self._current)
        self._current = geometry

    def _let_rest(self, geometry: PlaneGeometry) -> None:
        session, window = self._sessions.get(geometry), self._window
        if session is not None:
            session.rest(lambda: apply_window(extract(self._volume, geometry), window))

    def _forget_unused(self, wanted: PlaneGeometry) -> None:
        """Drop the sessions of other planes that were never prompted: each holds an image, and is soon made again."""
        used = {plane for plane, session in self._sessions.items() if session.can_undo or session.can_redo}
        for plane in self._sessions.keys() - used - {wanted}:
            del self._sessions[plane], self._started[plane]

    def _is_written(self, geometry: PlaneGeometry) -> bool:
        """Whether a plane was accepted, or carries labels, as a whole."""
        if not self.was_written:
            return False
        voxels, _, _ = plane_voxels(self.shape, geometry)
        lowest = self._origins.at(self._flat(voxels)).min()
        return bool(lowest == Origin.CONFIRMED or (lowest == Origin.CARRIED and self._labels[voxels].any()))

    def _precompute_around(self, geometry: PlaneGeometry) -> None:
        axis = geometry.axis
        if axis is None or not self._precompute or geometry == self._embedded_around:
            return
        self._embedded_around = geometry
        here = int(geometry.plane_to_ijk[axis, 2])
        near = [here + sign * step for step in range(1, self._precompute + 1) for sign in (1, -1)]
        planes = [
            geometry.moved([index - here if other == axis else 0 for other in range(3)])
            for index in near
            if 0 <= index < self.shape[axis]
        ]
        self._worker.request([partial(self._embed, plane) for plane in planes])

    def _embed(self, geometry: PlaneGeometry) -> Embedding:
        return self._encoder(geometry)(None)

    def _drop_precomputing(self) -> None:
        self._worker.cancel()
        self._embedded_around = None

    def _prediction_mask(self, geometry: PlaneGeometry) -> np.ndarray:
        session = self._sessions.get(geometry)
        if session is None or session.prediction is None:
            raise PromptError("This plane has no prediction to accept. Give it a click, box or scribble first.")
        return session.prediction.mask

    def _check_extent(self, axis: int, index: int, extent: tuple[int, int] | None) -> tuple[int, int]:
        first, last = (0, self.shape[axis] - 1) if extent is None else extent
        if not 0 <= first <= index <= last < self.shape[axis]:
            raise PromptError(
                f"Expected slices from 0 to {self.shape[axis] - 1} around slice {index}, got {first} to {last}."
            )
        return first, last

    def _confirmed_mask(self, axis: int, index: int) -> np.ndarray | None:
        return self._mask(axis_plane(self.shape, axis, index)) if self.is_confirmed(axis, index) else None

    def _mask(self, geometry: PlaneGeometry) -> np.ndarray:
        return plane_labels(self._labels, geometry) > 0

    def _passed_by(self, result: Propagation, ended: Iterable[Sequence[int]]) -> list[int]:
        """Slices without a mask in the directions that ended, up to the next confirmed plane after the last mask."""
        passed: list[int] = []
        for indices in ended:
            last = max((place for place, index in enumerate(indices) if index in result.masks), default=-1)
            beyond = False
            for place, index in enumerate(indices):
                if self.is_confirmed(result.axis, index):
                    if beyond:
                        break
                elif index not in result.masks:
                    passed.append(index)
                    beyond = place > last
        return passed

    def _write(self, result: Propagation, passed: Iterable[int]) -> None:
        self._apply(self._carried(result.axis, index, result.masks.get(index)) for index in (*passed, *result.masks))

    def _carried(self, axis: int, index: int, mask: np.ndarray | None) -> _Part:
        """What a propagation gives a slice, None for nothing; confirmed voxels stay."""
        voxels, rows, columns = plane_voxels(self.shape, axis_plane(self.shape, axis, index))
        flat = self._flat(voxels)
        origins = self._origins.at(flat)
        if mask is None:
            carried = flat[origins == Origin.CARRIED]
            return _Part(carried, np.zeros(len(carried), np.uint8), Origin.NONE)
        free = origins != Origin.CONFIRMED
        return _Part(flat[free], mask[rows, columns][free], Origin.CARRIED)

    def _apply(self, parts: Iterable[_Part]) -> bool:
        """Write parts one after the other, as one step of the history; False and none if nothing changes."""
        packed = [each for each in map(self._written, parts) if each is not None]
        if not packed:
            return False
        self._last_revision += 1
        self._changes = [*self._changes[: self._position], _Change(self._last_revision, tuple(packed))]
        self._position += 1
        return True

    def _written(self, part: _Part) -> _PackedPart | None:
        """Write what of a part differs from the present labels and origins; None if nothing does."""
        labels, origins = _linear(self._labels)[part.voxels], self._origins.at(part.voxels)
        differs = (labels != part.labels) | (origins != part.origin)
        if not differs.any():
            return None
        changed = _Part(part.voxels[differs], part.labels[differs].astype(np.uint8), part.origin)
        self._set(changed.voxels, changed.labels, labels[differs], changed.origin)
        return _PackedPart.of(changed, labels[differs], origins[differs])

    def _restore(self, part: _PackedPart, side: int) -> None:
        """Bring back the state before (0) or after (1) a step."""
        labels, present = part.labels[side].values(), part.labels[1 - side].values()
        self._set(part.voxels.values(), labels, present, part.origins[side].values())

    def _set(self, voxels: np.ndarray, labels: np.ndarray, present: np.ndarray, origins: np.ndarray | Origin) -> None:
        """Give voxels (flat indices) labels and origins; memory of a slice without a label stays untouched."""
        differs = labels != present
        _linear(self._labels)[voxels[differs]] = labels[differs]
        self._origins.put(voxels, origins)

    def lost_since(self, step: int) -> np.ndarray:
        """Voxels N x 3 (i, j, k) that the steps from `step` on (see `steps`) have taken from the object."""
        lost = [np.zeros(0, np.int64)]
        for change in self._changes[step : self._position]:
            for part in change.parts:
                before, after = (labels.values() for labels in part.labels)
                lost.append(part.voxels.values()[(before > 0) & (after == 0)])
        gone = np.concatenate(lost)
        gone = np.unique(gone[_linear(self._labels)[gone] == 0])
        return np.column_stack(np.unravel_index(gone, self.shape, order="F"))

    def _flat_in(self, mask: np.ndarray, origin: Sequence[int]) -> np.ndarray:
        """Flat indices of a mask on the voxels from `origin` on, in the order of the mask."""
        i, j, k = (axis + first for axis, first in zip(np.nonzero(mask), origin))
        return self._flat((i, j, k))

    def _flat(self, voxels: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
        """Indices of voxels (i, j, k) in `_linear` labels and in origins, int32 where that is enough."""
        flat = np.ravel_multi_index(voxels, self.shape, order="F")
        return flat.astype(np.int32 if self._labels.size < 2**31 else np.int64)


def _box(mask: np.ndarray, origin: Sequence[int]) -> tuple[slice, ...]:
    """Where a mask on the voxels from `origin` on lies in the volume."""
    return tuple(slice(first, first + size) for first, size in zip(origin, mask.shape))


def new_image_name() -> str:
    """A random name under which an image is known while its masks teach."""
    return uuid.uuid4().hex[:12]


def _linear(array: np.ndarray) -> np.ndarray:
    """A view of an array (i, j, k) in Fortran order, slice after slice: an axial slice lies in one piece."""
    return array.reshape(-1, order="F")


def _note_end(planes: Iterator[PropagatedPlane], indices: range, ended: list[range]) -> Iterator[PropagatedPlane]:
    """The planes of a direction; once they have run out, its indices are put into `ended`."""
    yield from planes
    ended.append(indices)
