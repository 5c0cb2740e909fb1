"""What a session of a plane or of an object tells of its present answer, so that others can be offered beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from AdaptCore.errors import PromptError
from AdaptCore.models.base import Question
from AdaptCore.models.frame import AnyQuestion
from AdaptCore.models.volumetric import VolumeQuestion
from AdaptCore.predict.block import OUTSIDE_LOGIT, BlockSession, ObjectPrediction
from AdaptCore.predict.masks import binarize, iou
from AdaptCore.predict.openings import Answer, Opening, overlap
from AdaptCore.predict.plane import Look, PlaneSession
from AdaptCore.predict.pointing import only_pointed
from AdaptCore.predict.windows import VolumeWindow, resample
from AdaptCore.predict.zoom import CropWindow
from AdaptCore.preference.candidates import Candidate
from AdaptCore.preference.recipe import Recipe

AnyLook = Any
"""An answer that a session can `take`: a `Look` at a plane, or an `ObjectPrediction`."""

AnyView = Any
"""Where maps of one round lie: a `CropWindow` of a plane, None for the whole plane, or a `VolumeWindow`."""

NOTHING = "There is nothing to choose from yet. Click, or draw a box or scribble, first."


class Present(Protocol):
    """A session's present answer."""

    @property
    def look(self) -> AnyLook:
        """The answer."""
        ...

    @property
    def question(self) -> AnyQuestion:
        """What it answers."""
        ...

    def shown(self) -> np.ndarray:
        """Its logits on the maps that `compared` gives."""
        ...

    def compared(self, drawn: Tensor) -> np.ndarray:
        """Logits (N, *grid) that answer the question, on the maps that candidates are chosen by, float32 (N, ...).

        Padding is cut off, and so are parts that were not pointed at.
        """
        ...

    def with_answer(self, candidate: Candidate, drawn: Tensor) -> AnyLook:
        """What a pick of a candidate makes the answer; `drawn` are the logits that were compared."""
        ...

    def others(self, recipe: Recipe) -> list[AnyLook]:
        """Answers in other windows that may well be meant and that differ from the present one and from each other."""
        ...

    def chances(self, others: Sequence[AnyLook]) -> list[float]:
        """How likely each of the others is meant; what is drawn in the present window shares the rest."""
        ...

    def maps(self, looks: Sequence[AnyLook]) -> tuple[AnyView, list[np.ndarray]]:
        """A view that shows all of some looks, and the logits of each in it."""
        ...

    def size(self, look: AnyLook) -> int:
        """Pixels or voxels of a look's mask."""
        ...


def present_of(session: PlaneSession | BlockSession) -> Present:
    """The present answer of a session.

    Raises:
        PromptError: nothing was asked yet.
    """
    if isinstance(session, BlockSession):
        prediction, asked = session.prediction, session.question
        if prediction is None or asked is None:
            raise PromptError(NOTHING)
        return PresentObject(session, prediction, asked)
    look = session.look
    if look is None or look.question is None:
        raise PromptError(NOTHING)
    return PresentPlane(session, look, look.question)


@dataclass(frozen=True, eq=False)
class PresentPlane:
    """The answer of a plane's session; see `Present`."""

    session: PlaneSession
    look: Look
    question: Question

    def shown(self) -> np.ndarray:
        return self._cut(self.question.embedding.gridded(self.look.seen, self.session.model.mask_side)[None])[0]

    def compared(self, drawn: Tensor) -> np.ndarray:
        pixels = self.session.pointed_at
        return without_unpointed(self._cut(drawn), None if pixels is None else self.look.part_of(pixels))

    def with_answer(self, candidate: Candidate, drawn: Tensor) -> Look:
        small = torch.from_numpy(candidate.logits)[None, None]
        shape = self.question.embedding.plane_shape
        return self.look.with_answer(F.interpolate(small, shape, mode="bilinear", align_corners=False)[0, 0])

    def others(self, recipe: Recipe) -> list[Look]:
        offered: list[Look] = []
        for look in self.look.sizes[1:]:
            masks = [binarize(other.logits.numpy()) for other in (self.look, *offered)]
            mask = binarize(look.logits.numpy())
            differs = mask.any() and all(iou(mask, other) <= 1 - recipe.size_distinct for other in masks)
            if differs and look.likelihood >= recipe.size_likelihood and len(offered) < recipe.sizes:
                offered.append(look)
        return offered

    def chances(self, others: Sequence[Look]) -> list[float]:
        return [look.likelihood for look in others]

    def maps(self, looks: Sequence[Look]) -> tuple[CropWindow | None, list[np.ndarray]]:
        view = max((look.window for look in (self.look, *looks)), key=_extent)
        here = (slice(None), slice(None)) if view is None else view.slices
        return view, [look.logits.numpy()[here] for look in looks]

    def size(self, look: Look) -> int:
        return int((look.logits > 0).sum())

    def _cut(self, maps: Tensor) -> np.ndarray:
        rows, columns = self.question.embedding.free_of_padding(self.session.model.mask_side)
        return maps[:, :rows, :columns].numpy()


@dataclass(frozen=True, eq=False)
class PresentObject:
    """The answer of an object's session; see `Present`.

    Candidates are chosen at half the window's resolution, where 48 masks are compared in tens of milliseconds.
    """

    session: BlockSession
    look: ObjectPrediction
    question: VolumeQuestion

    def shown(self) -> np.ndarray:
        return _halved(self.look.logits[None])[0]

    def compared(self, drawn: Tensor) -> np.ndarray:
        return without_unpointed(_halved(drawn), self.session.pointed_at)

    def with_answer(self, candidate: Candidate, drawn: Tensor) -> ObjectPrediction:
        return self.session.with_answer(drawn[candidate.member])

    def others(self, recipe: Recipe) -> list[ObjectPrediction]:
        """See `Present`: one after the other that which is most unlike all that is shown."""
        held = self.look
        shown = Answer(held.window, held.logits, held.score)
        left = {each: 0.0 for each in held.others if each.likelihood >= recipe.opening_likelihood}
        offered: list[Opening] = []
        while left and len(offered) < recipe.openings:
            left = {each: max(alike, overlap(each.answer, shown)) for each, alike in left.items()}
            opening = min(left, key=lambda each: left[each])
            if left.pop(opening) > 1 - recipe.size_distinct:
                break
            offered.append(opening)
            shown = opening.answer
        return [self.session.opened(opening) for opening in offered]

    def chances(self, others: Sequence[ObjectPrediction]) -> list[float]:
        """See `Present`: answers that are not shown are like one that is, so these share their likelihood too."""
        shown = self.look.likelihood + sum(look.likelihood for look in others)
        return [look.likelihood / shown for look in others]

    def maps(self, looks: Sequence[ObjectPrediction]) -> tuple[VolumeWindow, list[np.ndarray]]:
        view = max((look.window for look in (self.look, *looks)), key=lambda window: window.step[0])
        return view, [resample(look.logits, look.window, view, OUTSIDE_LOGIT).numpy() for look in looks]

    def size(self, look: ObjectPrediction) -> int:
        return int(np.count_nonzero(look.mask))


def without_unpointed(maps: np.ndarray, pointed: np.ndarray | None) -> np.ndarray:
    """Logits (N, ...), each without the parts that were not pointed at.

    Args:
        pointed: bool, where was pointed at, of what the maps show at any resolution; None to keep all parts.
    """
    if pointed is None:
        return maps
    pool = F.adaptive_max_pool2d if pointed.ndim == 2 else F.adaptive_max_pool3d
    near = pool(torch.from_numpy(pointed).float()[None], maps.shape[1:])[0].numpy() > 0
    return np.stack([only_pointed(each, near) for each in maps])


def _halved(logits: Tensor) -> np.ndarray:
    """Logits (N, S, S, S) at half the resolution."""
    return F.avg_pool3d(logits, 2).numpy()


def _extent(window: CropWindow | None) -> float:
    return math.inf if window is None else math.prod(window.shape)
