"""Block session: prompts on one object of a volume become its mask, with undo and redo of every prompt."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.models.base import Model
from AdaptCore.models.volumetric import WINDOW_SIDE, VolumeEmbedding, VolumeQuestion, VolumetricModel, WindowClick
from AdaptCore.predict.history import History, State
from AdaptCore.predict.intensity import limits_beside_padding
from AdaptCore.predict.learning import Adapter, Example, Preference
from AdaptCore.predict.masks import mask_logits
from AdaptCore.predict.object_prompts import (
    Ask,
    KnownSlice,
    ObjectPrompts,
    VolumeClick,
    bounds_of,
    clicks_in,
    known_in,
    prompted_extent,
    shown,
)
from AdaptCore.predict.openings import Answer, Asked, Opening, ranked
from AdaptCore.predict.packed import PackedLogits, PackedMask
from AdaptCore.predict.pointing import only_pointed
from AdaptCore.predict.refinement import DEFAULT_REFINEMENT, RefinementPolicy, field_of, pieces, refine
from AdaptCore.predict.windows import Box3, Triple, VolumeWindow, interpolated, paste, resample, sample

MODELS_KEPT = 3
"""So many latest entries of the history keep a decoder which clicks have changed."""

OUTSIDE_LOGIT = -8.0
"""Logit of what no window has shown."""

NEAR = 2
"""So many earlier and later predictions are kept as they were, all others packed."""


NOTHING_YET = "There is nothing to remove yet: click on the object first."


@dataclass(frozen=True)
class WindowPolicy:
    """Which windows are predicted in (ours; first values, not compared with others yet).

    Attributes:
        side: samples along each side of a window.
        sizes: widths in millimetres that a lone click is tried in; none larger than the volume.
        margin: width of a window as a multiple of the object's extent.
        least_fill: an object whose extent is a smaller share of the window is predicted again in a closer one.
        growth: how much a window grows whose faces the object touches.
        local: how far a click reaches once there is a mask, as a share of the window's side.
        more: most windows predicted in for one prompt after the first one.
        others: so many other answers to first prompts are kept.
        least_voxels: least width of a window in voxels of the finest axis.
        kept: embeddings of windows that a session keeps.
    """

    side: int = WINDOW_SIDE
    sizes: tuple[float, ...] = (64.0, 128.0, 256.0)
    margin: float = 1.7
    least_fill: float = 0.36
    growth: float = 1.5
    local: float = 0.2
    more: int = 3
    others: int = 8
    least_voxels: float = 16.0
    kept: int = 8


@dataclass(frozen=True, eq=False)
class ObjectPrediction:
    """What the model makes of a set of prompts.

    Attributes:
        box: the voxels around the mask; empty where nothing was found.
        mask: bool, read-only, on these voxels.
        score: predicted IoU.
        window: where it was predicted.
        logits: float32 S x S x S in the window.
        asked: what it answers.
        likelihood: that it is meant, as far as the answers to the same first prompts tell; 1 for later prompts.
        others: answers to the same first prompts, the likeliest first; their logits are float16.
    """

    box: Box3
    mask: np.ndarray
    score: float
    window: VolumeWindow
    logits: Tensor
    asked: Asked
    likelihood: float = 1.0
    others: tuple[Opening, ...] = ()

    def confidences(self, axis: int) -> dict[int, float]:
        """How confident the model is of each slice across an axis that the mask meets, 0 to 1.

        It is the overlap that it expects: soft IoU of mask and probabilities on the slice of the window (ours).
        """
        probability = self.logits.movedim(axis, 0).flatten(1).float().sigmoid()
        inside = probability.where(probability > 0.5, 0).sum(1)
        union = (probability > 0.5).sum(1) + probability.where(probability <= 0.5, 0).sum(1)
        overlaps = (inside / union.clamp(min=1e-6)).tolist()
        others = tuple(other for other in range(3) if other != axis)
        indices = self.box[axis].start + np.flatnonzero(self.mask.any(axis=others))
        places = np.rint(self.window.samples(indices, axis)).astype(int).clip(0, self.window.side - 1)
        return {int(index): overlaps[place] for index, place in zip(indices, places)}

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
    asked: Asked
    likelihood: float
    others: tuple[Opening, ...]

    @classmethod
    def of(cls, given: ObjectPrediction) -> _PackedPrediction:
        given.asked.rest()
        logits, mask = PackedLogits.of(given.logits.numpy()), PackedMask.of(given.mask)
        return cls(given.box, mask, given.score, given.window, logits, given.asked, given.likelihood, given.others)

    def prediction(self) -> ObjectPrediction:
        mask, logits = self.mask.mask(), torch.from_numpy(self.logits.logits())
        mask.flags.writeable = False
        return ObjectPrediction(
            self.box, mask, self.score, self.window, logits, self.asked, self.likelihood, self.others
        )


@dataclass(frozen=True, eq=False)
class _State(State):
    """One entry of the history; at most one of its two predictions is there."""

    prediction: ObjectPrediction | None = None
    prompts: ObjectPrompts = field(default_factory=ObjectPrompts)
    packed: _PackedPrediction | None = None

    @property
    def asked(self) -> Asked | None:
        """What the prediction answers."""
        held = self.prediction or self.packed
        return held.asked if held else None

    @property
    def is_opening(self) -> bool:
        return self.asked is None

    def at_rest(self) -> _State:
        given = self.prediction
        return self if given is None else replace(self, prediction=None, packed=_PackedPrediction.of(given))

    def at_hand(self) -> _State:
        return self if self.packed is None else replace(self, prediction=self.packed.prediction(), packed=None)


Guess = Callable[[Triple], Sequence[KnownSlice]]
"""Gives the masks on slices through a click in voxel coordinates, as far as there are some."""


class BlockSession(History[_State, ObjectPrediction]):
    """One object of a volume: prompts in voxel coordinates, one mask, undo and redo. The volume is only read.

    Args:
        model: predicts from the prompts.
        volume: (I, J, K) of any real type, intensities as stored.
        spacing: of the voxels in millimetres.
        policy: which windows are predicted in.
        guess: masks of slices through a first click, such as a model of planes gives; None for no guess.
        adapter: changes the model from click to click; None for one that stays as it is.
        preference: changes every answer to what the user prefers; None for plain answers.
        only_pointed: drop the parts of every answer that were not pointed at, see `AdaptCore.predict.pointing`.

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
        adapter: Adapter | None = None,
        only_pointed: bool = True,
        preference: Preference | None = None,
    ) -> None:
        if volume.ndim != 3 or not volume.size:
            raise ImageError(f"Objects need a volume of three axes and one channel, got an array of {volume.shape}.")
        if not all(math.isfinite(space) and space > 0 for space in spacing):
            raise ImageError(f"Voxel spacing must be above zero along each axis, got {spacing} mm.")
        self._volume, self._spacing, self._policy = volume, spacing, policy
        self._guess, self._adapter, self._only_pointed = guess, adapter, only_pointed
        self._preference = preference
        self._limits = limits_beside_padding(volume)
        self._latest: tuple[Asked, VolumeQuestion] | None = None
        self._cache: OrderedDict[VolumeWindow, VolumeEmbedding] = OrderedDict()
        super().__init__(_State(model), MODELS_KEPT)

    def __copy__(self) -> BlockSession:
        # With lists of its own: threads ask copies at the same time.
        other = object.__new__(BlockSession)
        other.__dict__.update(self.__dict__)
        other._cache, other._history = OrderedDict(self._cache), [*self._history]
        return other

    @property
    def shape(self) -> tuple[int, int, int]:
        i, j, k = self._volume.shape
        return i, j, k

    @property
    def prompts(self) -> ObjectPrompts:
        return self._state.prompts

    @property
    def model(self) -> VolumetricModel:
        """The model that the next prompt asks, with what it has learnt from the clicks on this object."""
        return self._state.model

    @property
    def question(self) -> VolumeQuestion | None:
        """What the present answer answers."""
        return self._question(self.prediction.asked) if self.prediction else None

    @property
    def pointed_at(self) -> np.ndarray | None:
        """Samples of the present window, bool S x S x S, that parts of answers must hold; None where all are kept.

        Raises:
            PromptError: there is no prediction yet.
        """
        return pointed_samples(self._required().window, self.prompts, self.shape) if self._only_pointed else None

    def click(self, i: float, j: float, k: float, positive: bool = True) -> ObjectPrediction:
        """Add a click at voxel coordinates.

        Raises:
            PromptError: it is outside the volume, or negative with nothing to take away from.
        """
        return self.add(ObjectPrompts((VolumeClick((float(i), float(j), float(k)), bool(positive)),)))

    def add(self, added: ObjectPrompts) -> ObjectPrediction:
        """Add several prompts as one step, such as the clicks of a scribble.

        A box takes the place of an earlier one, and slices that of those of the same place.

        Raises:
            PromptError: a prompt is outside the volume or of another shape, or none shows where the object is and there
                is nothing to take away from.
        """
        for click in added.clicks:
            self._check_inside(click.position)
        for known in added.slices:
            across = tuple(length for place, length in enumerate(known.mask.shape) if place != known.axis)
            self._check_slice(known.axis, known.index, across)
        if added.box is not None:
            self._check_box(*added.box)
        if not added.shows_object and (self.prediction is None or not self.prediction.mask.any()):
            raise PromptError(NOTHING_YET if added.clicks else "The known slice is empty: mark the object on it.")
        return self._push(self.prompts.with_more(added))

    def box(self, first: Triple, second: Triple) -> ObjectPrediction:
        """Set the box around the object, two opposite corners in voxel coordinates, in place of an earlier one.

        Raises:
            PromptError: it has no size or misses the volume.
        """
        low, high = (tuple(float(pick(a, b)) for a, b in zip(first, second)) for pick in (min, max))
        return self.add(ObjectPrompts(box=((low[0], low[1], low[2]), (high[0], high[1], high[2]))))

    def known_slice(self, axis: int, index: int, mask: np.ndarray) -> ObjectPrediction:
        """Tell the mask on one slice, bool of the volume's other two axes; it replaces an earlier one of that slice.

        Raises:
            PromptError: the slice is not in the volume, has another shape, or is empty while nothing else is known.
        """
        self._check_slice(axis, index, mask.shape)
        return self.add(ObjectPrompts(slices=(KnownSlice(axis, index, np.expand_dims(mask.astype(bool), axis)),)))

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
        for _ in refine(field_, windows, lambda at, prior: self._answers([Ask(at, prompts)], prior)[0].logits, policy):
            if self._state is not state:
                return
            box, mask = self._with_known(field_.box, field_.logits > 0, prompts)
            finer = replace(coarse, box=box, mask=mask)
            state = replace(state, prediction=finer)
            self._history[place] = state
            yield finer

    def take(self, prediction: ObjectPrediction) -> ObjectPrediction:
        """Make another answer to the present prompts the present one, as one step; the next prompt goes on from it."""
        self._append(_State(self.model, prediction, self.prompts))
        return prediction

    def take_mask(self, box: Box3, mask: np.ndarray) -> ObjectPrediction:
        """Make a mask, bool on a box of voxels, the answer to the present prompts, as one step.

        Raises:
            PromptError: there is no prediction yet.
        """
        held, whole = self._required(), np.zeros(self.shape, bool)
        whole[box] = mask
        corners = [tuple(float(end) for end in ends) for ends in zip(*((part.start, part.stop - 1) for part in box))]
        (a, b, c), (d, e, f) = corners
        is_within = all(held.window.contains(corner) for corner in ((a, b, c), (d, e, f)))
        window = held.window if is_within or not mask.any() else self._window((a, b, c), (d + 1, e + 1, f + 1))
        logits = torch.from_numpy(mask_logits(sample(whole, window)[0].numpy() >= 0.5))
        asked = held.asked if window is held.window else Asked(Ask(window, self.prompts), logits)
        taken = replace(held, box=box, mask=mask, window=window, logits=logits, asked=asked, others=())
        return self.take(taken)

    def with_answer(self, logits: Tensor) -> ObjectPrediction:
        """The present prediction with other logits S x S x S in its window, which obey its clicks; nothing changes.

        Raises:
            PromptError: there is no prediction yet.
        """
        held = self._required()
        obeyed = Answer(held.window, _obeyed(logits, held.window, self.prompts), held.score)
        return self._shown(replace(held, logits=obeyed.logits), self.prompts)

    def opened(self, opening: Opening) -> ObjectPrediction:
        """What another answer to the present prompts makes of the object, one of `prediction.others`; nothing changes.

        Raises:
            PromptError: there is no prediction yet.
        """
        held = self._required()
        own = Opening(Answer(held.window, held.logits, held.score).halved(), held.asked, held.likelihood)
        others = tuple(other for other in (own, *held.others) if other is not opening)
        return self._shown(_prediction(opening, others), self.prompts)

    def _check_inside(self, position: Triple) -> None:
        if not all(-0.5 <= at <= length - 0.5 for at, length in zip(position, self.shape)):
            raise PromptError(f"You clicked outside the volume of {self.shape} voxels: nothing has changed.")

    def _check_box(self, low: Triple, high: Triple) -> None:
        if not all(b > a and b > -0.5 and a < n - 0.5 for a, b, n in zip(low, high, self.shape)):
            raise PromptError(f"The box from {low} to {high} has no size or lies outside the volume.")

    def _check_slice(self, axis: int, index: int, shape: tuple[int, ...]) -> None:
        if not 0 <= axis < 3 or not 0 <= index < self.shape[axis]:
            raise PromptError(f"Axis {axis} of a volume of {self.shape} voxels has no slice {index}.")
        expected = (*self.shape[:axis], *self.shape[axis + 1 :])
        if shape != expected:
            raise PromptError(f"A slice along axis {axis} has {expected} voxels, got {shape}.")

    def _required(self) -> ObjectPrediction:
        if self.prediction is None:
            raise PromptError("There is nothing to choose from yet: click on the object first.")
        return self.prediction

    def _push(self, prompts: ObjectPrompts) -> ObjectPrediction:
        found, others = self._predict(prompts)
        model = self._adapted(found.answer, found.asked)
        if model is not self._state.model:
            (answer,) = self._answers([found.asked.ask], found.asked.prior, model)
            found = replace(found, answer=self._changed(answer, found.asked))
        prediction = self._shown(_prediction(self._preferred(model, found), others), prompts)
        self._append(_State(model, prediction, prompts))
        return prediction

    def _shown(self, found: ObjectPrediction, prompts: ObjectPrompts) -> ObjectPrediction:
        """A prediction with its mask, of its logits without the parts that were not pointed at."""
        if self._only_pointed:
            found = replace(found, logits=_pointed(found.logits, found.window, prompts, self.shape))
        box, logits = paste(found.logits, found.window, self.shape)
        box, mask = self._with_known(box, logits > 0, prompts)
        return replace(found, box=box, mask=mask)

    def _preferred(self, model: VolumetricModel, found: Opening) -> Opening:
        """An answer with the mask that the user prefers."""
        if self._preference is None:
            return found
        logits = self._preference.preferred(cast(Model, model), self._question(found.asked))
        if logits is None:
            return found
        window, asked = found.answer.window, found.asked
        answer = replace(found.answer, logits=_obeyed(logits, window, asked.ask.prompts))
        return replace(found, answer=self._changed(answer, asked))

    def examples(self, mask: np.ndarray) -> list[Example]:
        """What an accepted mask, bool (I, J, K), says about the questions that led to the present answer, in order.

        What was asked before a reset led nowhere.
        """
        states = self._asked()
        # A candidate that was picked answers the same again.
        asked = list(dict.fromkeys(state.asked for state in states if state.asked))
        places = np.argwhere(mask)
        if not len(places):
            return []
        corners = [tuple(map(float, place)) for place in (places.min(0), places.max(0))]
        return [
            replace(
                self._example(each, mask),
                prompts=len(states) - 1,
                is_opening=place == 0,
                is_whole=all(each.ask.window.contains((i, j, k)) for i, j, k in corners),
            )
            for place, each in enumerate(asked)
        ]

    def _example(self, asked: Asked, mask: np.ndarray) -> Example:
        window = asked.ask.window
        clicks = [click for click in self.prompts.clicks if window.contains(click.position)]
        inside = tuple(WindowClick(window.to_samples(click.position), click.positive) for click in clicks)
        return Example(self._question(asked), sample(mask, window)[0].numpy() >= 0.5, inside, window_mask)

    def _question(self, asked: Asked) -> VolumeQuestion:
        """What was asked; the latest one is the same object each time."""
        if self._latest is None or self._latest[0] is not asked:
            (embedding,) = self._embeddings([asked.ask.window])
            is_lone = asked.prior is None and asked.ask.prompts.is_lone_click
            self._latest = asked, VolumeQuestion(embedding, shown([asked.ask], self.shape, asked.prior), is_lone)
        return self._latest[1]

    def _adapted(self, found: Answer, asked: Asked) -> VolumetricModel:
        """The model after the new clicks of an answer; first prompts teach nothing, nor does what is no click."""
        model, new = self._state.model, self._new_clicks(asked.ask.prompts)
        if self._adapter is None or not new or not all(found.window.contains(click.position) for click in new):
            return model
        question = self._question(asked)
        return cast(VolumetricModel, self._adapter.adapt(cast(Model, model), question, len(new), found.logits))

    def _new_clicks(self, prompts: ObjectPrompts) -> tuple[VolumeClick, ...]:
        """The clicks of prompts that are the present ones with some more clicks on an object that has a mask."""
        before = self.prompts
        if self.prediction is None or prompts.box != before.box or len(prompts.slices) != len(before.slices):
            return ()
        return prompts.clicks[len(before.clicks) :]

    def _pack(self) -> None:
        """Let entries further away than `NEAR` rest."""
        for place, state in enumerate(self._history):
            is_near = abs(place - self._position) <= NEAR
            self._history[place] = state.at_hand() if is_near else state.at_rest()

    def _with_known(self, box: Box3, mask: np.ndarray, prompts: ObjectPrompts) -> tuple[Box3, np.ndarray]:
        """A mask on a box of voxels, with the slices that are known for certain; read-only."""
        for known in (one for one in prompts.slices if one.is_certain):
            box, mask = _with_slice(box, mask, known, self.shape)
        mask.flags.writeable = False
        return box, mask

    def _predict(self, prompts: ObjectPrompts) -> tuple[Opening, tuple[Opening, ...]]:
        """The answer in a window that fits, and the other answers to first prompts."""
        earlier, others = self.prediction, list[Opening]()
        if earlier is None:
            found, *others = self._opening(prompts)
        else:
            held = Answer(earlier.window, earlier.logits, earlier.score)
            found = Opening(*self._corrected(held, self._holding(earlier.window, prompts), prompts), 1.0)
        for _ in range(self._policy.more):
            better = self._fitting(found.answer, prompts)
            if better is None:
                break
            found = Opening(*self._corrected(found.answer, better, prompts), found.likelihood)
        return found, tuple(others)

    def _corrected(self, held: Answer, window: VolumeWindow, prompts: ObjectPrompts) -> tuple[Answer, Asked]:
        """The answer in a window with an earlier one as prompt."""
        prior = resample(held.logits, held.window, window, OUTSIDE_LOGIT)
        asked = Asked(Ask(window, prompts), prior)
        (answer,) = self._answers([asked.ask], asked.prior)
        return self._changed(answer, asked), asked

    def _changed(self, answer: Answer, asked: Asked) -> Answer:
        """An answer that changes little of the earlier one far away from a new click."""
        prompts, prior = asked.ask.prompts, asked.prior
        new = self._new_clicks(prompts)
        if prior is None or not new:
            return answer
        reach = self._policy.local * answer.window.side
        near = torch.stack([bump(answer.window, click.position, reach) for click in new]).amax(0)
        return replace(answer, logits=torch.lerp(prior, answer.logits, near))

    def _opening(self, prompts: ObjectPrompts) -> list[Opening]:
        """The answers to first prompts: the one to show, then the likeliest others."""
        asks = self._openings(prompts)
        return ranked(asks, self._alternatives(asks), self.shape, self._policy.others)

    def _openings(self, prompts: ObjectPrompts) -> list[Ask]:
        """First prompts in several windows, some with guesses of the slices through them."""
        extent = prompted_extent(prompts)
        clicks = prompts.clicks or clicks_in(prompts.slices)
        on_object = [click for click in clicks if click.positive]
        is_lone = prompts.box is None and len(clicks) == len(on_object) == 1
        guesses = self._guessed(on_object[0], prompts) if is_lone else []
        asks = [Ask(self._window(*extent), prompts)] if extent else self._around(on_object[0], prompts)
        return [*asks, *self._by_guesses(prompts, guesses)]

    def _guessed(self, click: VolumeClick, prompts: ObjectPrompts) -> list[KnownSlice]:
        """Guesses of the slices through a click that the user did not tell."""
        told = {known.axis for known in prompts.slices}
        guesses = self._guess(click.position) if self._guess else ()
        return [guess for guess in guesses if guess.axis not in told and guess.mask.any()]

    def _by_guesses(self, prompts: ObjectPrompts, guesses: Sequence[KnownSlice]) -> list[Ask]:
        """Windows that guesses tell: all of them together, and each alone, since they often contradict each other."""
        together = [tuple(guesses)] + [(guess,) for guess in guesses if len(guesses) > 1]
        asks = [replace(prompts, slices=(*prompts.slices, *some)) for some in together if some]
        return [Ask(self._window(*extent), asked) for asked in asks if (extent := prompted_extent(asked))]

    def _around(self, click: VolumeClick, prompts: ObjectPrompts) -> list[Ask]:
        """Windows of several sizes around a lone click, none larger than the volume."""
        most = max(length * space for length, space in zip(self.shape, self._spacing))
        least = min(most, self._policy.least_voxels * min(self._spacing))
        sizes = {max(least, min(most, size)) for size in self._policy.sizes}
        return [Ask(self._sized(click.position, size), prompts) for size in sorted(sizes)]

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
            places += [(float(i), float(j), float(k)) for i, j, k in bounds_of(known)]
        if all(window.contains(place, 2.0) for place in places):
            return window
        ends = [(a, a + window.side * step) for a, step in zip(window.low, window.step)]
        low = [min(ends[axis][0], *(place[axis] for place in places)) for axis in range(3)]
        high = [max(ends[axis][1], *(place[axis] for place in places)) for axis in range(3)]
        centre = tuple((a + b) / 2 for a, b in zip(low, high))
        width = 1.15 * max((b - a) * space for a, b, space in zip(low, high, self._spacing))
        return self._sized((centre[0], centre[1], centre[2]), width)

    def _fitting(self, prediction: Answer, prompts: ObjectPrompts) -> VolumeWindow | None:
        """A window that fits object and prompts better, None where the present one is right."""
        extent = prediction.extent()
        if extent is None:
            return None
        policy, held = self._policy, prediction.window.millimetres(self._spacing)
        most = policy.margin * max(length * space for length, space in zip(self.shape, self._spacing))
        if prediction.touched(self.shape):
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

    def _answers(
        self, asks: Sequence[Ask], prior: Tensor | None = None, model: VolumetricModel | None = None
    ) -> list[Answer]:
        """What a model, the present one by default, says in windows of one side; `prior` is of the only one."""
        return [answers[0] for answers in self._alternatives(asks, prior, model, most=1)]

    def _alternatives(
        self, asks: Sequence[Ask], prior: Tensor | None = None, model: VolumetricModel | None = None, most: int = 4
    ) -> list[list[Answer]]:
        """As `_answers`, with the alternatives for a lone click after the best one."""
        model = model or self._state.model
        embeddings = self._embeddings([ask.window for ask in asks])
        logits, quality = model.decode(embeddings, shown(asks, self.shape, prior))
        best = quality.argsort(dim=1, descending=True, stable=True).tolist()
        return [
            [
                Answer(ask.window, _obeyed(logits[row, place], ask.window, ask.prompts), float(quality[row, place]))
                for place in (best[row][:most] if ask.prompts.is_lone_click and prior is None else [0])
            ]
            for row, ask in enumerate(asks)
        ]

    def _embeddings(self, windows: list[VolumeWindow]) -> list[VolumeEmbedding]:
        missing = [window for window in windows if window not in self._cache]
        if missing:
            samples, inside = zip(*(sample(self._volume, window, self._limits) for window in missing))
            for window, embedding in zip(missing, self._state.model.encode(torch.stack(samples), torch.stack(inside))):
                self._cache[window] = embedding
        for window in windows:
            self._cache.move_to_end(window)
        found = [self._cache[window] for window in windows]
        while len(self._cache) > self._policy.kept:
            self._cache.popitem(last=False)
        return found


def _prediction(found: Opening, others: tuple[Opening, ...]) -> ObjectPrediction:
    """A prediction whose mask is still to be made."""
    answer = found.answer
    return ObjectPrediction(
        (slice(0, 0),) * 3,
        np.zeros((0, 0, 0), bool),
        answer.score,
        answer.window,
        answer.logits.float(),
        found.asked,
        found.likelihood,
        others,
    )


def _middle(box: Box3) -> Triple:
    i, j, k = ((part.start + part.stop - 1) / 2 for part in box)
    return i, j, k


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
    for click in prompts.clicks:
        # The mask is read at the centres of voxels, so that is where a click must hold.
        i, j, k = (round(value) for value in click.position)
        at = window.to_samples((i, j, k))
        if not all(-0.5 <= value <= window.side - 0.5 for value in at):
            continue
        value, sign = _at(logits, at), 1.0 if click.positive else -1.0
        if value * sign > 0:
            continue
        change = bump(window, (i, j, k), sigma)
        logits = logits + sign * (abs(value) + 1) / _at(change, at) * change
    return logits


def _pointed(logits: Tensor, window: VolumeWindow, prompts: ObjectPrompts, shape: tuple[int, int, int]) -> Tensor:
    """Logits without the parts that hold no + click, and nothing of the box or of a known slice."""
    return torch.from_numpy(only_pointed(logits.numpy(), pointed_samples(window, prompts, shape)))


def pointed_samples(window: VolumeWindow, prompts: ObjectPrompts, shape: tuple[int, int, int]) -> np.ndarray:
    """Where a window was pointed at, bool S x S x S: + clicks, the inside of the box, and known slices."""
    cells = np.zeros((window.side,) * 3, bool)
    for click in prompts.clicks:
        if click.positive:
            cells[WindowClick(window.to_samples(click.position)).place_in(cells.shape)] = True
    if prompts.box is not None:
        ends = [[round(at) for at in window.to_samples(corner)] for corner in prompts.box]
        cells[tuple(slice(max(0, low), max(0, high) + 1) for low, high in zip(*ends))] = True
    return np.asarray(cells | (known_in(window, prompts.slices, shape)[0].numpy() > 0))


def window_mask(model: Model, question: VolumeQuestion) -> np.ndarray:
    """A model's mask for a question about a window, bool S x S x S."""
    with torch.no_grad():
        decoding = cast(VolumetricModel, model).answer(question)
    return (decoding.logits[decoding.best] > 0).cpu().numpy()


def bump(window: VolumeWindow, position: Triple, sigma: float) -> Tensor:
    """1 at a voxel, falling to 0 around it with a deviation in samples, float32 S x S x S."""
    axis = torch.arange(window.side, dtype=torch.float32)
    lines = [(-((axis - centre) ** 2) / (2 * sigma**2)).exp() for centre in window.to_samples(position)]
    return lines[0][:, None, None] * lines[1][None, :, None] * lines[2][None, None, :]


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
