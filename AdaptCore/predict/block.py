"""Block session: prompts on one object of a volume become its mask, with undo and redo of every prompt."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.models.volumetric import NEGATIVE, PADDING, POSITIVE, VolumeEmbedding, VolumePrompts, VolumetricModel
from AdaptCore.predict.masks import depth
from AdaptCore.predict.packed import PackedLogits, PackedMask
from AdaptCore.predict.refinement import DEFAULT_REFINEMENT, RefinementPolicy, field_of, pieces, refine
from AdaptCore.predict.windows import Box3, Triple, VolumeWindow, interpolated, paste, resample, sample, weights
from AdaptCore.prompts import SEEN_CLICKS, most_telling

OUTSIDE_LOGIT = -8.0
"""Logit of what no window has shown."""

NEAR = 2
"""So many earlier and later predictions are kept as they were; all others take a few kilobytes each."""


@dataclass(frozen=True)
class WindowPolicy:
    """Which windows are predicted in (ours; first values, not compared with others yet).

    Attributes:
        side: samples along each side of a window.
        sizes: widths in millimetres that a lone click is tried in; none larger than the volume.
        margin: width of a window as a multiple of the object's extent.
        least_fill: an object whose extent is a smaller share of the window is predicted again in a closer one.
        growth: how much a window grows whose faces the object touches.
        touching: taken off the predicted IoU of a window whose faces the object touches, where windows are compared.
        more: most windows predicted in for one prompt after the first one.
        least_voxels: least width of a window in voxels of the finest axis.
        kept: embeddings of windows that a session keeps.
    """

    side: int = 64
    sizes: tuple[float, ...] = (48.0, 96.0, 192.0)
    margin: float = 1.7
    least_fill: float = 0.36
    growth: float = 1.5
    touching: float = 0.15
    more: int = 3
    least_voxels: float = 16.0
    kept: int = 6


@dataclass(frozen=True)
class VolumeClick:
    """A point on the object (positive) or on the background, in voxel coordinates (i, j, k).

    Raises:
        PromptError: a coordinate is not finite.
    """

    position: Triple
    positive: bool = True

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.position):
            raise PromptError(f"A click needs three finite coordinates, got {self.position}.")


@dataclass(frozen=True, eq=False)
class KnownSlice:
    """The mask on the voxels of one slice.

    Attributes:
        axis, index: which slice.
        mask: bool, with a length of one along `axis`.
        is_certain: whether the user told it, so that masks have it voxel by voxel; else it only guides the model.
    """

    axis: int
    index: int
    mask: np.ndarray
    is_certain: bool = True


@dataclass(frozen=True, eq=False)
class ObjectPrompts:
    """All prompts about one object, in the order they were given; the box is its lower and upper voxel corner."""

    clicks: tuple[VolumeClick, ...] = ()
    box: tuple[Triple, Triple] | None = None
    slices: tuple[KnownSlice, ...] = ()

    @property
    def is_lone_click(self) -> bool:
        return len(self.clicks) == 1 and self.box is None and not self.slices


@dataclass(frozen=True, eq=False)
class ObjectPrediction:
    """What the model makes of a set of prompts.

    Attributes:
        box: the voxels around the mask; empty where nothing was found.
        mask: bool, read-only, on these voxels.
        score: predicted IoU.
        window: where it was predicted.
        logits: float32 S x S x S in the window.
    """

    box: Box3
    mask: np.ndarray
    score: float
    window: VolumeWindow
    logits: Tensor

    def on(self, shape: tuple[int, int, int]) -> np.ndarray:
        """The mask as bool (I, J, K)."""
        full = np.zeros(shape, bool)
        full[self.box] = self.mask
        return full


@dataclass(frozen=True, eq=False)
class _PackedPrediction:
    """A prediction as a history keeps it: the mask exactly, logits to 1/16."""

    box: Box3
    mask: PackedMask
    score: float
    window: VolumeWindow
    logits: PackedLogits

    @classmethod
    def of(cls, given: ObjectPrediction) -> _PackedPrediction:
        logits = PackedLogits.of(given.logits.numpy())
        return cls(given.box, PackedMask.of(given.mask), given.score, given.window, logits)

    def prediction(self) -> ObjectPrediction:
        mask = self.mask.mask()
        mask.flags.writeable = False
        return ObjectPrediction(self.box, mask, self.score, self.window, torch.from_numpy(self.logits.logits()))


@dataclass(frozen=True, eq=False)
class _State:
    """One entry of the history; at most one of its two predictions is there."""

    prompts: ObjectPrompts = field(default_factory=ObjectPrompts)
    prediction: ObjectPrediction | None = None
    packed: _PackedPrediction | None = None

    def at_rest(self) -> _State:
        given = self.prediction
        return self if given is None else _State(self.prompts, None, _PackedPrediction.of(given))

    def at_hand(self) -> _State:
        return self if self.packed is None else _State(self.prompts, self.packed.prediction())


@dataclass(frozen=True, eq=False)
class _Prediction:
    """What the model says in one window."""

    window: VolumeWindow
    logits: Tensor
    score: float


Guess = Callable[[Triple], Sequence[KnownSlice]]
"""Gives the masks on slices through a click in voxel coordinates, as far as there are some."""


class BlockSession:
    """One object of a volume: prompts in voxel coordinates, one mask, undo and redo. The volume is only read.

    Args:
        model: predicts from the prompts.
        volume: (I, J, K) of any real type, intensities as stored.
        spacing: of the voxels in millimetres.
        policy: which windows are predicted in.
        guess: masks of slices through a first click, such as a model of planes gives; None for no guess.

    Raises:
        ImageError: the volume has other dimensions or no voxel, or the spacing is not above zero.
    """

    def __init__(
        self,
        model: VolumetricModel,
        volume: np.ndarray,
        spacing: Triple,
        policy: WindowPolicy = WindowPolicy(),
        guess: Guess | None = None,
    ) -> None:
        if volume.ndim != 3 or not volume.size:
            raise ImageError(f"Objects need a volume of three axes and one channel, got an array of {volume.shape}.")
        if not all(math.isfinite(space) and space > 0 for space in spacing):
            raise ImageError(f"Voxel spacing must be above zero along each axis, got {spacing} mm.")
        self._model, self._volume, self._spacing, self._policy = model, volume, spacing, policy
        self._guess = guess
        self._cache: OrderedDict[VolumeWindow, VolumeEmbedding] = OrderedDict()
        self._history = [_State()]
        self._position = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = self._volume.shape
        return i, j, k

    @property
    def prediction(self) -> ObjectPrediction | None:
        return self._state.prediction

    @property
    def prompts(self) -> ObjectPrompts:
        return self._state.prompts

    @property
    def can_undo(self) -> bool:
        return self._position > 0

    @property
    def can_redo(self) -> bool:
        return self._position < len(self._history) - 1

    def click(self, i: float, j: float, k: float, positive: bool = True) -> ObjectPrediction:
        """Add a click at voxel coordinates.

        Raises:
            PromptError: it is outside the volume, or negative with nothing to take away from.
        """
        click = VolumeClick((float(i), float(j), float(k)), bool(positive))
        self._check_inside(click.position)
        if not positive and (self.prediction is None or not self.prediction.mask.any()):
            raise PromptError("There is nothing to remove yet: click on the object first.")
        return self._push(replace(self.prompts, clicks=(*self.prompts.clicks, click)))

    def box(self, first: Triple, second: Triple) -> ObjectPrediction:
        """Set the box around the object, two opposite corners in voxel coordinates, in place of an earlier one.

        Raises:
            PromptError: it has no size or misses the volume.
        """
        low, high = (tuple(float(pick(a, b)) for a, b in zip(first, second)) for pick in (min, max))
        fits = all(b > a and b > -0.5 and a < n - 0.5 for a, b, n in zip(low, high, self.shape))
        if not fits:
            raise PromptError(f"The box from {first} to {second} has no size or lies outside the volume.")
        return self._push(replace(self.prompts, box=((low[0], low[1], low[2]), (high[0], high[1], high[2]))))

    def known_slice(self, axis: int, index: int, mask: np.ndarray) -> ObjectPrediction:
        """Tell the mask on one slice, bool of the volume's other two axes; it replaces an earlier one of that slice.

        Raises:
            PromptError: the slice is not in the volume, has another shape, or is empty while nothing else is known.
        """
        if not 0 <= axis < 3 or not 0 <= index < self.shape[axis]:
            raise PromptError(f"Axis {axis} of a volume of {self.shape} voxels has no slice {index}.")
        expected = tuple(length for place, length in enumerate(self.shape) if place != axis)
        if mask.shape != expected:
            raise PromptError(f"A slice along axis {axis} has {expected} voxels, got {mask.shape}.")
        if not mask.any() and self.prediction is None:
            raise PromptError("The known slice is empty: mark the object on it.")
        known = KnownSlice(axis, index, np.expand_dims(mask.astype(bool), axis))
        others = tuple(
            one for one in self.prompts.slices if one.axis != axis or (one.is_certain and one.index != index)
        )
        return self._push(replace(self.prompts, slices=(*others, known)))

    def refine(self, policy: RefinementPolicy = DEFAULT_REFINEMENT) -> Iterator[ObjectPrediction]:
        """Predict again along the object's border, where the window was coarser than the voxels, piece by piece.

        Each prediction takes the place of the one before, as the same step; none comes where nothing can be gained.
        Another prompt or undo in between ends it.
        """
        state, place = self._state, self._position
        if state.prediction is None or not state.prediction.mask.any():
            return
        coarse, prompts = state.prediction, state.prompts
        field_ = field_of(coarse.logits, coarse.window, self.shape)
        focus = prompts.clicks[-1].position if prompts.clicks else _middle(coarse.box)
        windows = pieces(field_, coarse.window, self._spacing, focus, policy)
        for _ in refine(field_, windows, lambda at, prior: self._predicted([at], prompts, prior)[0].logits, policy):
            if self._state is not state:
                return
            same = _Prediction(coarse.window, coarse.logits, coarse.score)
            finer = self._with_known(field_.box, field_.logits > 0, same, prompts)
            state = _State(prompts, finer)
            self._history[place] = state
            yield finer

    def undo(self) -> ObjectPrediction | None:
        """Go back one step; the earlier mask comes back as it was. Does nothing at the start."""
        return self._go_to(max(0, self._position - 1))

    def redo(self) -> ObjectPrediction | None:
        """Go forward one step that was undone. Does nothing at the end."""
        return self._go_to(min(len(self._history) - 1, self._position + 1))

    @property
    def _state(self) -> _State:
        return self._history[self._position]

    def _check_inside(self, position: Triple) -> None:
        if not all(-0.5 <= at <= length - 0.5 for at, length in zip(position, self.shape)):
            raise PromptError(f"You clicked outside the volume of {self.shape} voxels: nothing has changed.")

    def _push(self, prompts: ObjectPrompts) -> ObjectPrediction:
        found = self._predict(prompts)
        box, logits = paste(found.logits, found.window, self.shape)
        prediction = self._with_known(box, logits > 0, found, prompts)
        self._history = [*self._history[: self._position + 1], _State(prompts, prediction)]
        self._go_to(self._position + 1)
        return prediction

    def _go_to(self, position: int) -> ObjectPrediction | None:
        """Make an entry beside the present one the present one; those further away than `NEAR` rest."""
        self._position = position
        for place, state in enumerate(self._history):
            is_near = abs(place - position) <= NEAR
            self._history[place] = state.at_hand() if is_near else state.at_rest()
        return self.prediction

    def _with_known(self, box: Box3, mask: np.ndarray, found: _Prediction, prompts: ObjectPrompts) -> ObjectPrediction:
        """A mask on a box of voxels, with the slices that are known for certain."""
        for known in (one for one in prompts.slices if one.is_certain):
            box, mask = _with_slice(box, mask, known, self.shape)
        mask.flags.writeable = False
        return ObjectPrediction(box, mask, found.score, found.window, found.logits)

    def _predict(self, prompts: ObjectPrompts) -> _Prediction:
        earlier = self.prediction
        if earlier is None:
            prediction = self._opening(prompts)
        else:
            window = self._holding(earlier.window, prompts)
            prior = resample(earlier.logits, earlier.window, window, OUTSIDE_LOGIT)
            (prediction,) = self._predicted([window], prompts, prior)
        for _ in range(self._policy.more):
            better = self._fitting(prediction, prompts)
            if better is None:
                break
            prior = resample(prediction.logits, prediction.window, better, OUTSIDE_LOGIT)
            (prediction,) = self._predicted([better], prompts, prior)
        return prediction

    def _opening(self, prompts: ObjectPrompts) -> _Prediction:
        """The first prediction: in the window that a box or slice tells, or in the best of several around a click."""
        prompts = self._with_guesses(prompts)
        extent = _told_extent(prompts)
        if extent is not None:
            return self._predicted([self._window(*extent)], prompts)[0]
        centre = prompts.clicks[0].position
        windows = [self._sized(centre, size) for size in self._opening_sizes()]
        return max(self._predicted(windows, prompts), key=self._rating)

    def _with_guesses(self, prompts: ObjectPrompts) -> ObjectPrompts:
        """The first prompts with guesses of the slices through them that the user did not tell."""
        clicks = prompts.clicks or _clicks_in(prompts.slices)
        if self._guess is None or prompts.box is not None or len(clicks) != 1:
            return prompts
        told = {known.axis for known in prompts.slices}
        guessed = [one for one in self._guess(clicks[0].position) if one.axis not in told and one.mask.any()]
        return replace(prompts, slices=(*prompts.slices, *guessed))

    def _rating(self, prediction: _Prediction) -> float:
        """How good a prediction from a lone click is likely to be, to compare windows."""
        return prediction.score - (self._policy.touching if self._touches(prediction) else 0.0)

    def _opening_sizes(self) -> list[float]:
        """Widths in millimetres for a lone click."""
        most = max(length * space for length, space in zip(self.shape, self._spacing))
        least = min(most, self._policy.least_voxels * min(self._spacing))
        sizes = {max(least, min(most, size)) for size in self._policy.sizes}
        return sorted(sizes)

    def _sized(self, centre: Triple, millimetres: float) -> VolumeWindow:
        return VolumeWindow.around(centre, millimetres, self._spacing, self._policy.side)

    def _window(self, low: Triple, high: Triple) -> VolumeWindow:
        """The window around an extent in voxel coordinates."""
        longest = max((b - a) * space for a, b, space in zip(low, high, self._spacing))
        width = max(self._policy.margin * longest, self._policy.least_voxels * min(self._spacing))
        centre = tuple((a + b) / 2 for a, b in zip(low, high))
        return self._sized((centre[0], centre[1], centre[2]), width)

    def _holding(self, window: VolumeWindow, prompts: ObjectPrompts) -> VolumeWindow:
        """The window, or a larger one where a positive click, the box or a slice reaches out of it."""
        places = [click.position for click in prompts.clicks if click.positive]
        places += prompts.box or ()
        for known in (one for one in prompts.slices if one.mask.any()):
            places += [(float(i), float(j), float(k)) for i, j, k in _bounds(known)]
        if all(window.contains(place, 2.0) for place in places):
            return window
        ends = [(a, a + window.side * step) for a, step in zip(window.low, window.step)]
        low = [min(ends[axis][0], *(place[axis] for place in places)) for axis in range(3)]
        high = [max(ends[axis][1], *(place[axis] for place in places)) for axis in range(3)]
        centre = tuple((a + b) / 2 for a, b in zip(low, high))
        width = 1.15 * max((b - a) * space for a, b, space in zip(low, high, self._spacing))
        return self._sized((centre[0], centre[1], centre[2]), width)

    def _touches(self, prediction: _Prediction) -> bool:
        """Whether the object reaches a face of the window that lies inside the volume."""
        positive = prediction.logits > 0
        window = prediction.window
        for axis in range(3):
            ends = window.positions(axis)[[0, -1]]
            faces = positive.movedim(axis, 0)[[0, -1]].flatten(1).sum(1) > 2
            inner = (ends[0] > 0.5, ends[1] < self.shape[axis] - 1.5)
            if any(bool(face) and within for face, within in zip(faces, inner)):
                return True
        return False

    def _fitting(self, prediction: _Prediction, prompts: ObjectPrompts) -> VolumeWindow | None:
        """A window that fits object and prompts better, None where the present one is right."""
        extent = _extent(prediction)
        if extent is None:
            return None
        policy, held = self._policy, prediction.window.millimetres(self._spacing)
        most = policy.margin * max(length * space for length, space in zip(self.shape, self._spacing))
        if self._touches(prediction):
            width = min(most, held * policy.growth)
            if width < held * 1.1:
                return None
            centre = tuple((a + b) / 2 for a, b in zip(*extent))
            return self._holding(self._sized((centre[0], centre[1], centre[2]), width), prompts)
        longest = max((b - a) * space for a, b, space in zip(*extent, self._spacing))
        if longest >= policy.least_fill * held:
            return None
        window = self._holding(self._window(*extent), prompts)
        return window if window.millimetres(self._spacing) < 0.85 * held else None

    def _predicted(
        self, windows: list[VolumeWindow], prompts: ObjectPrompts, prior: Tensor | None = None
    ) -> list[_Prediction]:
        """What the model says in each window; `prior` is of the only one."""
        logits, quality = self._model.decode(self._embeddings(windows), self._batch(windows, prompts, prior))
        has_alternatives = prompts.is_lone_click and prior is None
        best = quality.argmax(1) if has_alternatives else torch.zeros(len(windows), dtype=torch.long)
        return [
            _Prediction(window, _obeyed(logits[row, best[row]], window, prompts), float(quality[row, best[row]]))
            for row, window in enumerate(windows)
        ]

    def _embeddings(self, windows: list[VolumeWindow]) -> list[VolumeEmbedding]:
        missing = [window for window in windows if window not in self._cache]
        if missing:
            samples, inside = zip(*(sample(self._volume, window) for window in missing))
            for window, embedding in zip(missing, self._model.encode(torch.stack(samples), torch.stack(inside))):
                self._cache[window] = embedding
        for window in windows:
            self._cache.move_to_end(window)
        found = [self._cache[window] for window in windows]
        while len(self._cache) > self._policy.kept:
            self._cache.popitem(last=False)
        return found

    def _batch(self, windows: list[VolumeWindow], prompts: ObjectPrompts, prior: Tensor | None) -> VolumePrompts:
        """The prompts as each window has them."""
        side = self._policy.side
        batch = VolumePrompts.empty((len(windows), side, side, side), torch.device("cpu"))
        clicks = self._seen(prompts.clicks, windows) or _clicks_in(prompts.slices)
        points = [[window.to_samples(click.position) for click in clicks] for window in windows]
        labels = [[_label_in(window, click) for click in clicks] for window in windows]
        batch = replace(
            batch,
            points=torch.tensor(points, dtype=torch.float32).reshape(len(windows), -1, 3),
            labels=torch.tensor(labels, dtype=torch.long).reshape(len(windows), -1),
        )
        if prompts.box is not None:
            corners = [[*window.to_samples(prompts.box[0]), *window.to_samples(prompts.box[1])] for window in windows]
            batch = replace(batch, box=torch.tensor(corners, dtype=torch.float32))
        if prompts.slices:
            shown = [_known(window, prompts.slices, self.shape) for window in windows]
            batch = replace(batch, slices=torch.stack([a for a, _ in shown]), known=torch.stack([b for _, b in shown]))
        if prior is not None:
            batch = replace(batch, prior=prior[None], has_prior=torch.ones(1))
        return batch

    def _seen(self, clicks: tuple[VolumeClick, ...], windows: list[VolumeWindow]) -> tuple[VolumeClick, ...]:
        """The clicks that the model sees in windows: all of them, or the most telling of many."""
        if len(clicks) <= SEEN_CLICKS:
            return clicks
        inside = [click for click in clicks if any(window.contains(click.position) for window in windows)]
        millimetres = [tuple(np.multiply(click.position, self._spacing)) for click in inside]
        return tuple(inside[place] for place in most_telling(millimetres, [click.positive for click in inside]))


def _middle(box: Box3) -> Triple:
    i, j, k = ((part.start + part.stop - 1) / 2 for part in box)
    return i, j, k


def _told_extent(prompts: ObjectPrompts) -> tuple[Triple, Triple] | None:
    """The extent in voxels that a box or slices tell; None where there are none.

    Along each axis the slices that the user told count, else what the guesses agree on: one that leaks must not set the
    window.
    """
    if prompts.box is not None:
        return prompts.box
    told = [known for known in prompts.slices if known.mask.any()]
    if not told:
        return None
    bounds = [_bounds(known) for known in told]
    low, high = np.min([low for low, _ in bounds], 0), np.max([high for _, high in bounds], 0)
    for axis in range(3):
        across = [(known, ends) for known, ends in zip(told, bounds) if known.axis != axis]
        certain = [ends for known, ends in across if known.is_certain]
        if certain:
            low[axis], high[axis] = min(low[axis] for low, _ in certain), max(high[axis] for _, high in certain)
        elif across:
            low[axis] = max(ends[0][axis] for _, ends in across)
            high[axis] = min(ends[1][axis] for _, ends in across)
    return (float(low[0]), float(low[1]), float(low[2])), (float(high[0]), float(high[1]), float(high[2]))


def _bounds(known: KnownSlice) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of a slice's mask in voxel coordinates."""
    places = np.argwhere(known.mask).astype(float)
    places[:, known.axis] = known.index
    return places.min(0) - 0.5, places.max(0) + 0.5


def _extent(prediction: _Prediction) -> tuple[Triple, Triple] | None:
    """The extent of what is positive in a window, in voxel coordinates; None where nothing is."""
    places = (prediction.logits > 0).nonzero()
    if not len(places):
        return None
    window = prediction.window
    low, high = places.amin(0).tolist(), places.amax(0).tolist()
    first = tuple(window.low[axis] + low[axis] * window.step[axis] for axis in range(3))
    last = tuple(window.low[axis] + (high[axis] + 1) * window.step[axis] for axis in range(3))
    return (first[0], first[1], first[2]), (last[0], last[1], last[2])


def _label_in(window: VolumeWindow, click: VolumeClick) -> int:
    """A click's label for the model; one outside of the window has nothing to say there."""
    if not window.contains(click.position):
        return PADDING
    return POSITIVE if click.positive else NEGATIVE


def _clicks_in(slices: Iterable[KnownSlice]) -> tuple[VolumeClick, ...]:
    """A click in the middle of each known slice, for those who gave none: the model was taught with both."""
    middles = []
    for known in slices:
        inward = depth(known.mask.squeeze(known.axis))
        if inward.max() > 0:
            place = [int(at) for at in np.unravel_index(int(inward.argmax()), inward.shape)]
            place.insert(known.axis, known.index)
            middles.append(VolumeClick((float(place[0]), float(place[1]), float(place[2]))))
    return tuple(middles)


def _known(window: VolumeWindow, slices: Iterable[KnownSlice], shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Masks of slices as a window shows them, float32 S x S x S, and where they are known."""
    side = window.side
    mask, known = torch.zeros(side, side, side), torch.zeros(side, side, side)
    for one in slices:
        place = int(np.rint(window.samples(np.array(float(one.index)), one.axis)))
        if not 0 <= place < side:
            continue
        values = torch.from_numpy(one.mask.astype(np.float32)).squeeze(one.axis)
        for axis in (axis for axis in range(3) if axis != one.axis):
            operator = weights(window.positions(axis), shape[axis], window.step[axis])
            values = torch.tensordot(values, torch.from_numpy(operator), dims=([0], [1]))
        mask.select(one.axis, place).copy_((values >= 0.5).float())
        known.select(one.axis, place).fill_(1.0)
    return mask, known


def _with_slice(box: Box3, mask: np.ndarray, known: KnownSlice, shape: tuple[int, int, int]) -> tuple[Box3, np.ndarray]:
    """A mask with the voxels of a known slice as they were told; its box grows where it must."""
    places = np.argwhere(known.mask)
    spans = []
    for axis, part in enumerate(box):
        low, high = (part.start, part.stop) if mask.size else (shape[axis], 0)
        if len(places):
            first, last = (known.index,) * 2 if axis == known.axis else (places[:, axis].min(), places[:, axis].max())
            low, high = min(low, int(first)), max(high, int(last) + 1)
        spans.append(slice(low, max(low, high)))
    grown = np.zeros([part.stop - part.start for part in spans], bool)
    if mask.size:
        grown[tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, spans))] = mask
    if spans[known.axis].start <= known.index < spans[known.axis].stop:
        at = [slice(None)] * 3
        at[known.axis] = slice(known.index - spans[known.axis].start, known.index - spans[known.axis].start + 1)
        told = [slice(0, 1) if axis == known.axis else part for axis, part in enumerate(spans)]
        grown[tuple(at)] = known.mask[tuple(told)]
    return (spans[0], spans[1], spans[2]), grown


def _obeyed(logits: Tensor, window: VolumeWindow, prompts: ObjectPrompts, sigma: float = 1.5) -> Tensor:
    """Logits that agree with every click in the window, changed around the clicks alone."""
    axis = torch.arange(window.side, dtype=torch.float32)
    for click in prompts.clicks:
        # The mask is read at the centres of voxels, so that is where a click must hold.
        i, j, k = (round(value) for value in click.position)
        at = window.to_samples((i, j, k))
        if not all(-0.5 <= value <= window.side - 0.5 for value in at):
            continue
        value, sign = _at(logits, at), 1.0 if click.positive else -1.0
        if value * sign > 0:
            continue
        lines = [(-((axis - centre) ** 2) / (2 * sigma**2)).exp() for centre in at]
        bump = lines[0][:, None, None] * lines[1][None, :, None] * lines[2][None, None, :]
        logits = logits + sign * (abs(value) + 1) / _at(bump, at) * bump
    return logits


def _at(values: Tensor, position: Triple) -> float:
    """Values S x S x S read linearly at sample coordinates."""
    for axis, place in enumerate(position):
        values = interpolated(values, np.array([place]), axis)
    return float(values)


def predict_object(
    model: VolumetricModel,
    volume: np.ndarray,
    spacing: Triple,
    clicks: Iterable[VolumeClick],
    guess: Guess | None = None,
) -> np.ndarray:
    """The mask bool (I, J, K) of the object that clicks point at.

    Raises:
        ImageError, PromptError: as `BlockSession`.
    """
    session = BlockSession(model, volume, spacing, guess=guess)
    for click in clicks:
        session.click(*click.position, positive=click.positive)
    if session.prediction is None:
        raise PromptError("An object needs at least one click.")
    return session.prediction.on(session.shape)
