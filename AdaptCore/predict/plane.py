"""Plane session: prompts on one image become masks, with undo and redo of every prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from scipy.special import expit, softmax

from AdaptCore.errors import ImageError, PromptError
from AdaptCore.models.base import BatchModel, Decoding, Embedding, Model, Question, to_plane, to_prior
from AdaptCore.predict.cache import EmbeddingCache, EmbeddingKey, key
from AdaptCore.predict.held import HeldLook
from AdaptCore.predict.history import History, State
from AdaptCore.predict.learning import Adapter, Example, Preference
from AdaptCore.predict.masks import MASK_LOGIT, binarize, dice, filled, mask_logits
from AdaptCore.predict.obedience import ObediencePolicy, obey
from AdaptCore.predict.pointing import only_pointed, pointed_pixels
from AdaptCore.predict.sizes import (
    Evidence,
    SizePolicy,
    Spacing,
    agreements,
    evidence_of,
    sized_windows,
    support,
    weights_for,
)
from AdaptCore.predict.zoom import (
    OUTSIDE_LOGIT,
    CropWindow,
    ZoomPolicy,
    choose_window,
    clip_box,
    holds_clicks,
    paste,
    prompts_in,
    tell_extent,
    touches_border,
    window_holds,
    zoom_policy,
)
from AdaptCore.prompts import Box, Click, Lasso, Prompts

INSIDE_LASSO_LOGIT = 0.5
"""Logit of the earlier answer inside a lasso, which holds more than the object; outside it is that of a mask."""

STROKE_CLICKS = 8
"""Most clicks that one scribble becomes, spread evenly along the stroke."""

LASSO_CORNERS = 24
"""Most corners of a lasso: enough for its shape, few enough to drag one of them."""

PRIVATE_CACHE_BYTES = 64 * 2**20

MODELS_KEPT = 8
"""So many undone clicks still ask the model that they had taught; each is a copy of the decoder, of some megabytes."""

EmbeddingSource = Callable[[CropWindow | None], Embedding]
"""Gives the embedding of a window of the plane, or of the whole plane for None."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer to a set of prompts, which its plane's history may have packed (see `HeldLook`).

    Attributes:
        score: predicted IoU, or 1.0 for a prior that was taken over as it is.
    """

    held: HeldLook
    score: float

    @property
    def mask(self) -> np.ndarray:
        """bool (H, W), read-only; where the logits are above zero."""
        return self.held.mask

    @property
    def logits(self) -> np.ndarray:
        """float32 (H, W), read-only."""
        return self.held.logits

    @property
    def probability(self) -> np.ndarray:
        """float32 (H, W) in [0, 1]."""
        return expit(self.logits)


@dataclass(frozen=True, eq=False)
class Look:
    """A decoded plane.

    Attributes:
        logits: float32 (H, W) on the CPU.
        score: predicted IoU.
        window: of the plane that was asked last, None for the whole plane.
        question: that was asked there; None for a prior that was taken over as it is.
        likelihood: that its window is of the right size, as far as the answers at several sizes tell.
        others: answers to the same prompts at other sizes, the likeliest first.
    """

    logits: torch.Tensor
    score: float
    window: CropWindow | None = None
    question: Question | None = None
    likelihood: float = 1.0
    others: tuple[Look, ...] = ()

    @property
    def seen(self) -> torch.Tensor:
        """The logits (h, w) on what the question's embedding shows."""
        return self.logits if self.window is None else self.logits[self.window.slices]

    @property
    def sizes(self) -> tuple[Look, ...]:
        """The look and its others, each with all the others beside it."""
        looks = (self, *self.others)
        return tuple(replace(look, others=(*looks[:place], *looks[place + 1 :])) for place, look in enumerate(looks))

    def part_of(self, mask: np.ndarray) -> np.ndarray:
        """What the question's embedding shows of a mask (H, W) of the plane."""
        return _seen(mask, self.window)

    def with_answer(self, logits: torch.Tensor) -> Look:
        """The look with other logits (h, w) of what its question's embedding shows, which obey its clicks."""
        assert self.question is not None
        obeyed = torch.from_numpy(obey(logits.numpy(), self.question.prompts, ObediencePolicy()))
        return replace(self, logits=obeyed if self.window is None else paste(self.logits, self.window, obeyed))


def check_image(image01: np.ndarray) -> np.ndarray:
    """A contiguous float32 copy of a plane (H, W) or (H, W, 3).

    Raises:
        ImageError: wrong number of dimensions or channels, no pixel, or values that are not in [0, 1].
    """
    image = np.array(image01, dtype=np.float32, order="C")
    if not image.size or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
        raise ImageError(f"Expected a non-empty plane (H, W) or (H, W, 3), got shape {image.shape}.")
    low, high = float(image.min()), float(image.max())
    if not (low >= 0.0 and high <= 1.0):
        raise ImageError(f"Expected finite values in [0, 1], got {low:g} to {high:g}.")
    return image


def predict_plane(
    model: Model,
    embedding_of: EmbeddingSource,
    prompts: Prompts,
    prior: torch.Tensor | None = None,
    zoom: ZoomPolicy | None = None,
) -> Look:
    """Decode prompts on the whole plane, then look again in a window around the object ("zoom", ours).

    Args:
        embedding_of: embedding of the plane or of a window of it.
        prompts: valid prompts in plane pixels.
        prior: logits (H, W) of the previous answer.
        zoom: None for the whole plane only.
    """
    first = _whole_look(model, embedding_of, prompts, prior)
    if zoom is None or not tell_extent(prompts, zoom):
        return first
    window = choose_window(_mask(first), prompts, _shape(first), zoom)
    return first if window is None else predict_window(model, embedding_of, prompts, first, window, zoom)


def predict_window(
    model: Model,
    embedding_of: EmbeddingSource,
    prompts: Prompts,
    previous: Look,
    window: CropWindow,
    zoom: ZoomPolicy,
) -> Look:
    """Decode prompts in a window only; the pixels outside keep the previous answer, as background.

    An object that reaches the window's border makes the window grow, once; one that outgrows what `zoom` allows is
    decoded on the whole plane.
    """
    look = _window_look(model, embedding_of, prompts, previous, window)
    if not touches_border(_mask(look), window):
        return look
    grown = choose_window(_mask(look), prompts, _shape(look), zoom)
    if grown is None:
        return _whole_look(model, embedding_of, prompts, look.logits)
    return _window_look(model, embedding_of, prompts, previous, grown)


def predict_sizes(
    model: BatchModel, encoder: PlaneEncoder, prompts: Prompts, spacing: Spacing | None, policy: SizePolicy
) -> Look:
    """Decode clicks in windows of several sizes at once; the likeliest answer has the others beside it.

    Args:
        prompts: clicks, at least one of them positive.
        spacing: of the plane's pixels, None where it is not known.
    """
    looks, evidence = looks_at_sizes(model, encoder, prompts, spacing, policy)
    likelihoods = softmax([support(each, weights_for(spacing)) for each in evidence])
    judged = [replace(look, likelihood=float(likelihood)) for look, likelihood in zip(looks, likelihoods)]
    first, *others = sorted(judged, key=lambda look: -look.likelihood)
    return replace(first, others=tuple(others))


def looks_at_sizes(
    model: BatchModel, encoder: PlaneEncoder, prompts: Prompts, spacing: Spacing | None, policy: SizePolicy
) -> tuple[list[Look], list[Evidence]]:
    """The answers on the whole plane and in each window, from the largest to the smallest, and what they tell."""
    windows = [None, *sized_windows(prompts, encoder.shape, spacing, policy)]
    questions = [
        Question(embedding, prompts if window is None else prompts_in(prompts, window))
        for window, embedding in zip(windows, encoder.all(windows))
    ]
    decodings = model.decode_all(questions)
    (logits, score), *closer = (_best(decoding, question) for decoding, question in zip(decodings, questions))
    looks = [Look(logits, score, None, questions[0])]
    for window, question, (logits, score) in zip(windows[1:], questions[1:], closer):
        assert window is not None
        looks.append(Look(paste(looks[0].logits, window, logits), score, window, question))
    return looks, _evidence(looks)


def _evidence(looks: Sequence[Look]) -> list[Evidence]:
    alike = agreements([_mask(look) for look in looks])
    return [
        evidence_of(look.seen.numpy(), look.score, look.window, look.question.prompts, _shape(look), agreement)
        for look, agreement in zip(looks, alike)
        if look.question
    ]


def answer(model: Model, question: Question) -> tuple[torch.Tensor, float]:
    """The best alternative's logits on what was embedded, float32 (H, W) on the CPU, and its predicted IoU."""
    with torch.no_grad():
        return _best(model.decode(question.embedding, question.prompts, question.prior), question)


def answered_mask(model: Model, question: Question) -> np.ndarray:
    """As `answer`, the mask alone: bool (H, W)."""
    return binarize(answer(model, question)[0].numpy())


def _best(decoding: Decoding, question: Question) -> tuple[torch.Tensor, float]:
    best = decoding.best
    logits = to_plane(decoding.logits[best], question.embedding).float().cpu()
    obeyed = torch.from_numpy(obey(logits.numpy(), question.prompts, ObediencePolicy()))
    return obeyed, float(decoding.scores[best])


def _whole_look(model: Model, embedding_of: EmbeddingSource, prompts: Prompts, prior: torch.Tensor | None) -> Look:
    question = _question(model, embedding_of(None), prompts, prior)
    return Look(*answer(model, question), None, question)


def _window_look(
    model: Model, embedding_of: EmbeddingSource, prompts: Prompts, previous: Look, window: CropWindow
) -> Look:
    question = _question(model, embedding_of(window), prompts_in(prompts, window), previous.logits[window.slices])
    logits, score = answer(model, question)
    return Look(paste(previous.logits, window, logits), score, window, question)


def _question(model: Model, embedding: Embedding, prompts: Prompts, prior: torch.Tensor | None) -> Question:
    small = None if prior is None else to_prior(prior.to(model.device), embedding, model.mask_side)
    return Question(embedding, prompts, small)


def _mask(look: Look) -> np.ndarray:
    return binarize(look.logits.numpy())


def _shape(look: Look) -> tuple[int, int]:
    height, width = look.logits.shape
    return height, width


class PlaneEncoder:
    """Embeddings of one plane and of its windows, computed when first asked for and shared through a cache.

    Args:
        model: encodes.
        image01: float32 (H, W) or (H, W, 3) in [0, 1].
        source: key of the whole plane's embedding; without one the image itself is the key.
    """

    def __init__(
        self,
        model: Model,
        image01: np.ndarray,
        cache: EmbeddingCache,
        source: EmbeddingKey | None = None,
        whole: Embedding | None = None,
    ) -> None:
        self._model = model
        self._image: np.ndarray | None = check_image(image01)
        self._image_again: Callable[[], np.ndarray] | None = None
        self._shape = self._image.shape[0], self._image.shape[1]
        self.cache = cache
        self._source = source
        self._whole = whole
        if whole is not None and whole.plane_shape != self.shape:
            raise ImageError(f"Expected the embedding of a plane of {self.shape}, got one of {whole.plane_shape}.")

    @property
    def shape(self) -> tuple[int, int]:
        return self._shape

    @property
    def image(self) -> np.ndarray:
        """float32 (H, W) or (H, W, 3) in [0, 1]."""
        image = self._image
        if image is None:
            assert self._image_again is not None
            image = self._image = check_image(self._image_again())
        return image

    def rest(self, image_again: Callable[[], np.ndarray]) -> None:
        """Let go of the image, as `image` gives it, until it is needed again."""
        self._image, self._image_again = None, image_again

    def __call__(self, window: CropWindow | None = None) -> Embedding:
        if window is None and self._whole is not None:
            return self._whole
        return self.cache.get_or_compute(self._key.cropped(window), lambda: self._encode(window))

    def all(self, windows: Sequence[CropWindow | None]) -> list[Embedding]:
        """Embeddings of different windows, None for the whole plane; those that nobody has are computed in one batch.

        The model must be a `BatchModel`.
        """
        model = cast(BatchModel, self._model)
        if self._whole is not None and None in windows:
            rest = iter(self.all([window for window in windows if window is not None]))
            return [self._whole if window is None else next(rest) for window in windows]
        keys = [self._key.cropped(window) for window in windows]

        def encode(places: Sequence[int]) -> list[Embedding]:
            with torch.no_grad():
                return model.encode_all([self._seen(windows[place]) for place in places])

        return self.cache.get_or_compute_all(keys, encode)

    @property
    def _key(self) -> EmbeddingKey:
        if self._source is None:
            self._source = key(self._model.digest, self.image)
        return self._source

    def _encode(self, window: CropWindow | None) -> Embedding:
        with torch.no_grad():
            return self._model.encode(self._seen(window))

    def _seen(self, window: CropWindow | None) -> np.ndarray:
        return self.image if window is None else np.ascontiguousarray(self.image[window.slices])


@dataclass(frozen=True, eq=False)
class _State(State):
    """One entry of the history."""

    prediction: Prediction | None = None

    @property
    def prompts(self) -> Prompts:
        return Prompts() if self.prediction is None else self.prediction.held.prompts

    @property
    def is_opening(self) -> bool:
        """Whether there are no prompts."""
        return self.prediction is None or self.prediction.held.is_opening

    @property
    def look(self) -> Look | None:
        return None if self.prediction is None else self.prediction.held.look

    def pack(self) -> None:
        """Keep little of the look; see `HeldLook`."""
        if self.prediction is not None:
            self.prediction.held.pack()


class PlaneSession(History[_State, Prediction]):
    """One plane's prompts, its current answer, and every earlier one.

    Args:
        model: answers the prompts.
        image01: float32 (H, W) or (H, W, 3) in [0, 1]; copied.
        embedding: of the whole plane, where the caller has it already; else computed at the first prompt.
        cache: shared embeddings; else the session keeps a small one of its own.
        zoom: policy of the second look, True for the default one; False or None to look at the whole plane only.
        spacing: millimetres from pixel to pixel along x and y, None where they are not known, as in photographs.
        source: key of the plane in `cache`; without one the image itself is the key.
        prior: mask or logits (H, W) that the session starts from.
        adapter: changes the model after every click but the first, as part of the click's answer.
        preference: changes every answer to what the user prefers.
        only_pointed: drop the parts of every answer that were not pointed at, see `AdaptCore.predict.pointing`.

    Raises:
        ImageError: the image, embedding or prior does not fit.
    """

    def __init__(
        self,
        model: Model,
        image01: np.ndarray,
        *,
        embedding: Embedding | None = None,
        cache: EmbeddingCache | None = None,
        zoom: ZoomPolicy | bool | None = True,
        spacing: Spacing | None = None,
        source: EmbeddingKey | None = None,
        prior: np.ndarray | None = None,
        adapter: Adapter | None = None,
        preference: Preference | None = None,
        only_pointed: bool = False,
    ) -> None:
        self._adapter = adapter
        self._preference = preference
        self._only_pointed = only_pointed
        cache = EmbeddingCache(PRIVATE_CACHE_BYTES) if cache is None else cache
        self._encoder = PlaneEncoder(model, image01, cache, source, embedding)
        self.zoom = zoom_policy(zoom)
        self._spacing = spacing
        start = None if prior is None else self._held(self._look_of(prior), Prompts())
        super().__init__(_State(model, start), MODELS_KEPT)

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) in pixels."""
        return self._encoder.shape

    @property
    def prompts(self) -> Prompts:
        return self._state.prompts

    @property
    def model(self) -> Model:
        """The model that the next prompt asks, with what it has learnt from the clicks on this plane."""
        return self._state.model

    @property
    def window(self) -> CropWindow | None:
        """Where the current answer was refined, None if it comes from the whole plane."""
        prediction = self._state.prediction
        return None if prediction is None else prediction.held.window

    @property
    def question(self) -> Question | None:
        """What led to the current answer; None for a prior that was taken over as it is."""
        prediction = self._state.prediction
        return None if prediction is None else prediction.held.question

    @property
    def has_question(self) -> bool:
        """Whether something led to the current answer; unlike `question`, it needs no embedding."""
        prediction = self._state.prediction
        return prediction is not None and prediction.held.is_asked

    @property
    def look(self) -> Look | None:
        """The current answer as it was asked for, with the answers at other sizes; None at the start."""
        return self._state.look

    @property
    def pointed_at(self) -> np.ndarray | None:
        """Pixels, bool (H, W), that each part of an answer must hold one of; None where all parts are kept."""
        return self._pointed_at(self.prompts) if self._only_pointed else None

    @property
    def was_inside(self) -> np.ndarray:
        """Pixels in any answer since the start or the latest reset, the present one included, bool (H, W)."""
        inside = np.zeros(self.shape, bool)
        for state in self._asked():
            if state.prediction is not None:
                inside |= state.prediction.mask
        return inside

    @property
    def is_untouched(self) -> bool:
        """Whether nothing that was asked of this session is in effect: it is new, or all of it was undone."""
        return self._position == 0

    def click(self, x: float, y: float, positive: bool = True) -> Prediction:
        """Add a click at pixel (x, y).

        Raises:
            PromptError: it is outside the plane, or negative with nothing to take away from.
        """
        return self.add_clicks((Click(float(x), float(y), bool(positive)),))

    def add_clicks(self, clicks: Iterable[Click]) -> Prediction:
        """Add clicks as one step, such as those that `stroke_clicks` gives.

        Raises:
            PromptError: one is outside the plane, or all are negative with nothing to take away from.
        """
        return self._add(Prompts(tuple(clicks)))

    def scribble(self, points: Iterable[tuple[float, float]], positive: bool = True) -> Prediction:
        """Add a stroke through pixels (x, y) as one step; a long one becomes a few clicks along it.

        Raises:
            PromptError: it has no point, leaves the plane, or is negative with nothing to take away from.
        """
        return self.add_clicks(stroke_clicks(points, positive, self.shape))

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Prediction:
        """Set the box around the object, in place of an earlier one; what lies outside the plane is cut off.

        Raises:
            PromptError: it has no size or misses the plane.
        """
        return self._add(Prompts(box=plane_box(x0, y0, x1, y1, self.shape)))

    def lasso(self, points: Iterable[tuple[float, float]]) -> Prediction:
        """Set a closed outline around the object, in place of an earlier one or of a box; a long one is simplified.

        The model is asked for the box around it, with its inside as the earlier answer. No answer leaves the outline
        until a positive click lies outside of it (ours; docs/prediction.md).

        Raises:
            PromptError: it has too few points, goes around no pixel, or one of its points is not finite.
        """
        lasso = plane_lasso(points, self.shape)
        inside = filled(lasso.points, self.shape)
        prompts = replace(self.prompts.with_lasso(lasso), box=clip_box(lasso.box, _whole_window(self.shape)))
        prior = torch.where(torch.from_numpy(inside), INSIDE_LASSO_LOGIT, -MASK_LOGIT)
        look = predict_plane(self.model, self._encoder, prompts, prior, self.zoom)
        return self._push(self.model, prompts, self._preferred(self.model, look))

    def set_prior(self, prior: np.ndarray) -> Prediction:
        """Take a bool mask or float logits (H, W) as the previous answer; without prompts it is the answer itself.

        Raises:
            ImageError: it is not of the plane's shape or not finite.
        """
        look = self._look_of(prior)
        if self.prompts != Prompts():
            look = predict_plane(self.model, self._encoder, self.prompts, look.logits, self.zoom)
        return self._push(self.model, self.prompts, look)

    def take(self, look: Look) -> Prediction:
        """Take another answer to the present prompts as one step, such as one at another size."""
        return self._push(self.model, self.prompts, look)

    def take_mask(self, mask: np.ndarray) -> Prediction:
        """Take a mask, bool (H, W), as the answer to the present prompts, as one step.

        It is taken at the size whose answer it is most like, of those that show all of it.

        Raises:
            PromptError: nothing was asked yet.
        """
        look = self._state.look
        if look is None or look.question is None:
            raise PromptError("There is nothing to choose for yet. Give a click, box or scribble first.")
        sizes = look.sizes
        nearest = max(sizes, key=lambda each: (int(each.part_of(mask).sum()), dice(mask, _mask(each))))
        return self.take(nearest.with_answer(torch.from_numpy(mask_logits(nearest.part_of(mask)))))

    def seen_as(self, image01: np.ndarray, source: EmbeddingKey | None = None) -> PlaneSession:
        """A session with the same history on another rendering of the plane, such as another intensity window.

        Raises:
            ImageError: the image is not of the plane's shape.
        """
        other = PlaneSession(
            self.model,
            image01,
            cache=self._encoder.cache,
            zoom=self.zoom,
            spacing=self._spacing,
            source=source,
            adapter=self._adapter,
            preference=self._preference,
            only_pointed=self._only_pointed,
        )
        if other.shape != self.shape:
            raise ImageError(f"Expected a plane of {self.shape} in its place, got {other.shape}.")
        other.take_over(self)
        return other

    def take_over(self, other: PlaneSession) -> None:
        """Go on from where another session of the plane is, such as a copy that was asked on another thread."""
        self._history, self._position = list(other._history), other._position

    def rest(self, image_again: Callable[[], np.ndarray]) -> None:
        """Keep little while other planes are worked on; `image_again` gives the image when it is needed."""
        for state in self._history:
            state.pack()
        self._encoder.rest(image_again)

    def forget_questions(self) -> None:
        """Drop what was asked until now, with the memory it takes; answers and prompts stay."""
        for state in self._history:
            if state.prediction is not None:
                state.prediction.held.forget_question()

    def examples(self, mask: np.ndarray) -> list[Example]:
        """What an accepted mask, bool (H, W), says about the questions that led to the present answer, in order.

        What was asked before a reset led nowhere.
        """
        states = self._asked()
        began_from_mask = states[0].prediction is not None
        held = [state.prediction.held for state in states if state.prediction]
        asked = [(each.window, question) for each in held if (question := each.question)]
        return [
            replace(
                _example(window, question, mask, self.prompts),
                prompts=len(states) - 1,
                is_opening=place == 0 and not began_from_mask,
            )
            for place, (window, question) in enumerate(asked)
        ]

    def _add(self, added: Prompts) -> Prediction:
        prompts = self.prompts.with_scribble(added.clicks)
        prompts = prompts.with_box(added.box) if added.box else prompts
        self._validate(prompts)
        look = self._pointed(self._answer(self.model, prompts, added), prompts)
        model = self._adapted(look, added.clicks)
        if model is not self.model:
            look = self._pointed(self._answer(model, prompts, added), prompts)
        return self._push(model, prompts, self._preferred(model, look))

    def _preferred(self, model: Model, look: Look) -> Look:
        """The look with the mask that the user prefers, at the next larger size where the window would cut that off."""
        if self._preference is None or look.question is None:
            return look
        logits = self._preference.preferred(model, look.question)
        if logits is None:
            return look
        preferred = look.with_answer(logits)
        if look.window is None or not touches_border(_mask(preferred), look.window):
            return preferred
        larger = [other for other in look.sizes[1:] if other.seen.numel() > look.seen.numel()]
        return self._preferred(model, min(larger, key=lambda other: other.seen.numel())) if larger else preferred

    def _adapted(self, look: Look, added: tuple[Click, ...]) -> Model:
        """The model after the new clicks of a look; the first prompt on a plane without a mask teaches nothing yet.

        Nor do clicks outside the look's window, which its question does not hold.
        """
        window = look.window
        asked = [click for click in added if window is None or window.contains(click.x, click.y)]
        if self._adapter is None or not asked or self._state.look is None or look.question is None:
            return self.model
        return self._adapter.adapt(self.model, look.question, len(asked), look.seen)

    def _validate(self, prompts: Prompts) -> None:
        something_to_take_away = self.prediction is not None and self.prediction.mask.any()
        checked = prompts.with_box(_whole_box(self.shape)) if something_to_take_away and not prompts.box else prompts
        checked.validate(self.shape)

    def _answer(self, model: Model, prompts: Prompts, added: Prompts) -> Look:
        look = self._state.look
        if self.zoom and isinstance(model, BatchModel) and self._size_is_open(prompts, added, self.zoom):
            return predict_sizes(model, self._encoder, prompts, self._spacing, SizePolicy())
        if self.zoom and look:
            window = self._window_for(look, prompts, added, self.zoom)
            if window is not None:
                return predict_window(model, self._encoder, prompts, look, window, self.zoom)
        return predict_plane(model, self._encoder, prompts, look.logits if look else None, self.zoom)

    def _size_is_open(self, prompts: Prompts, added: Prompts, zoom: ZoomPolicy) -> bool:
        """Whether nothing tells yet how large the object is: the first clicks, and those that show a window too small.

        Not so where a box, a mask that the plane began with or many clicks tell the extent: windows are predicted in
        from the clicks alone, which would lose that mask.
        """
        look = self._state.look
        if look is None or tell_extent(prompts, zoom):
            return look is None and prompts.box is None
        began_from_mask = self._asked()[0].prediction is not None
        return not began_from_mask and look.window is not None and not holds_clicks(look.window, added)

    def _window_for(self, look: Look, prompts: Prompts, added: Prompts, zoom: ZoomPolicy) -> CropWindow | None:
        """Where the added prompts can be answered without another look at the whole plane; None if nowhere.

        A window stays as long as it suffices, grows where it does not, and gives way to a closer one once the prompts,
        or a mask that was taken over as it is, tell the object's extent.
        """
        mask, window = _mask(look), look.window
        told = look.question is None or tell_extent(prompts, zoom)
        suffices = window is not None and window_holds(window, added, mask)
        if told or not (window is None or suffices):
            around = choose_window(mask, prompts, self.shape, zoom, window if suffices else None)
            if around is not None and window_holds(around, added, mask):
                return around
        return window if suffices else None

    def _pointed(self, look: Look, prompts: Prompts) -> Look:
        """The look and its others without what was not pointed at; one that was taken over as it is stays so."""
        if not self._only_pointed or look.question is None:
            return look
        pixels = self._pointed_at(prompts)
        first, *others = (
            replace(each, logits=torch.from_numpy(only_pointed(each.logits.numpy(), pixels)), others=())
            for each in (look, *look.others)
        )
        return replace(first, others=tuple(others))

    def _pointed_at(self, prompts: Prompts) -> np.ndarray:
        start = self._asked()[0].prediction
        return pointed_pixels(prompts, self.shape, None if start is None else start.mask)

    def _push(self, model: Model, prompts: Prompts, look: Look) -> Prediction:
        prediction = self._held(self._pointed(_in_lasso(look, prompts), prompts), prompts)
        self._append(_State(model, prediction))
        return prediction

    def _held(self, look: Look, prompts: Prompts) -> Prediction:
        return Prediction(HeldLook(look, prompts, self._encoder), look.score)

    def _pack(self) -> None:
        """Pack entries that are not next to the present one.

        Those are not: a copy of the session that is asked once leaves this one's answer as it was.
        """
        for place in (self._position - 2, self._position + 2):
            if 0 <= place < len(self._history):
                self._history[place].pack()

    def _look_of(self, prior: np.ndarray) -> Look:
        values = np.asarray(prior)
        if values.shape != self.shape or not np.isfinite(values).all():
            raise ImageError(f"Expected finite prior values of shape {self.shape}, got shape {values.shape}.")
        logits = mask_logits(values) if values.dtype.kind in "bui" else values.astype(np.float32)
        return Look(torch.from_numpy(logits), 1.0)


def _in_lasso(look: Look, prompts: Prompts) -> Look:
    """The look without what lies outside the lasso, unless a positive click says that the object reaches there."""
    if prompts.lasso is None:
        return look
    inside = filled(prompts.lasso.points, _shape(look))
    if any(click.positive and not inside[click.place_in(_shape(look))] for click in prompts.clicks):
        return look
    return replace(
        look, logits=torch.where(torch.from_numpy(inside), look.logits, look.logits.clamp(max=OUTSIDE_LOGIT))
    )


def _example(window: CropWindow | None, question: Question, mask: np.ndarray, prompts: Prompts) -> Example:
    clicks = prompts.clicks if window is None else prompts_in(prompts, window).clicks
    seen = _seen(mask, window)
    return Example(question, seen, clicks, answered_mask, is_whole=bool(seen.sum() == mask.sum()))


def _seen(plane: np.ndarray, window: CropWindow | None) -> np.ndarray:
    """What a window shows of a plane (H, W), all of it for None."""
    return plane if window is None else plane[window.slices]


def stroke_clicks(points: Iterable[tuple[float, float]], positive: bool, shape: tuple[int, int]) -> tuple[Click, ...]:
    """The clicks that a scribble through pixels (x, y) becomes on a plane of (H, W).

    Raises:
        PromptError: it has no point or leaves the plane.
    """
    stroke = tuple(Click(float(x), float(y), bool(positive)) for x, y in points)
    if not stroke:
        raise PromptError("Expected a scribble of at least 1 point, got none.")
    Prompts(stroke).with_box(_whole_box(shape)).validate(shape)
    return thin_stroke(stroke, STROKE_CLICKS)


def plane_box(x0: float, y0: float, x1: float, y1: float, shape: tuple[int, int]) -> Box | None:
    """The part of a box that lies on a plane of (H, W).

    Raises:
        PromptError: it has no size or misses the plane.
    """
    box = Box(float(x0), float(y0), float(x1), float(y1))
    Prompts(box=box).validate(shape)
    return clip_box(box, _whole_window(shape))


def plane_lasso(points: Iterable[tuple[float, float]], shape: tuple[int, int]) -> Lasso:
    """A closed outline on a plane of (H, W), simplified if it is long.

    Raises:
        PromptError: it has too few points, goes around no pixel, or one of its points is not finite.
    """
    whole = Lasso(tuple((float(x), float(y)) for x, y in points))
    lasso = Lasso(tuple(whole.points[place] for place in evenly(whole.points, LASSO_CORNERS)))
    if not filled(lasso.points, shape).any():
        height, width = shape
        raise PromptError(
            f"The lasso is around no pixel of the plane of {width} x {height} pixels. Draw around the object."
        )
    return lasso


def _whole_window(shape: tuple[int, int]) -> CropWindow:
    height, width = shape
    return CropWindow(0, 0, width, height)


def _whole_box(shape: tuple[int, int]) -> Box:
    height, width = shape
    return Box(-0.5, -0.5, width - 0.5, height - 0.5)


def thin_stroke(stroke: tuple[Click, ...], most: int) -> tuple[Click, ...]:
    """At most `most` clicks of a stroke, its ends included, at even distances along its length."""
    return tuple(stroke[place] for place in evenly([(click.x, click.y) for click in stroke], most))


def evenly(points: Sequence[tuple[float, float]], most: int) -> list[int]:
    """Places of at most `most` points (x, y) of a path, its ends included, at even distances along its length."""
    if len(points) <= most:
        return list(range(len(points)))
    steps = np.linalg.norm(np.diff(np.array(points), axis=0), axis=1)
    travelled = np.concatenate(([0.0], steps.cumsum()))
    wanted = np.linspace(0.0, travelled[-1], most)
    nearest = np.abs(travelled[None, :] - wanted[:, None]).argmin(axis=1)
    return list(dict.fromkeys(nearest.tolist()))
