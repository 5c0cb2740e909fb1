"""An answer that a history holds: as it was given while it is worked with, a few kilobytes afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch

from AdaptCore.models.base import Embedding, Question
from AdaptCore.predict.masks import binarize
from AdaptCore.predict.packed import PackedLogits, PackedMask, PackedPrompts
from AdaptCore.predict.zoom import CropWindow, prompts_in
from AdaptCore.prompts import Prompts

if TYPE_CHECKING:
    from AdaptCore.predict.plane import Look

EmbeddingOf = Callable[[CropWindow | None], Embedding]
"""Gives the embedding of a window of the plane, or of the whole plane for None."""


class AskedBefore(Question):
    """A question of a history: what was embedded is looked up, or computed, when it is first needed."""

    def __init__(self, embedding_of: Callable[[], Embedding], prompts: Prompts, prior: torch.Tensor | None) -> None:
        # The embedding of a question is a field, which nothing is assigned to here.
        self.__dict__.update(_embedding_of=embedding_of, prompts=prompts, prior=prior)

    @cached_property
    def embedding(self) -> Embedding:  # type: ignore[override]
        return self.__dict__["_embedding_of"]()

    __repr__ = object.__repr__  # which embeds nothing


@dataclass(frozen=True, eq=False)
class _PackedLook:
    """A look without the prompts, which its state has, and without the embedding, which the encoder gives again."""

    logits: PackedLogits
    mask: PackedMask
    score: float
    window: CropWindow | None
    is_asked: bool
    prior: PackedLogits | None
    device: torch.device | None
    likelihood: float
    others: tuple[_PackedLook, ...]

    @classmethod
    def of(cls, look: Look) -> _PackedLook:
        logits = look.logits.numpy()
        prior = look.question.prior if look.question else None
        return cls(
            PackedLogits.of(logits),
            PackedMask.of(binarize(logits)),
            look.score,
            look.window,
            look.question is not None,
            None if prior is None else PackedLogits.of(prior.detach().float().cpu().numpy()),
            None if prior is None else prior.device,
            look.likelihood,
            tuple(map(cls.of, look.others)),
        )

    def question(self, prompts: Prompts, embedding_of: EmbeddingOf) -> Question | None:
        """What was asked with these prompts of the plane."""
        if not self.is_asked:
            return None
        seen = prompts if self.window is None else prompts_in(prompts, self.window)
        prior = None if self.prior is None else torch.from_numpy(self.prior.logits()).to(self.device)
        return AskedBefore(lambda: embedding_of(self.window), seen, prior)

    def look(self, prompts: Prompts, embedding_of: EmbeddingOf) -> Look:
        from AdaptCore.predict.plane import Look

        return Look(
            torch.from_numpy(self.logits.logits()),
            self.score,
            self.window,
            self.question(prompts, embedding_of),
            self.likelihood,
            tuple(other.look(prompts, embedding_of) for other in self.others),
        )


class HeldLook:
    """A look at a plane that can be packed, and is given again when it is asked for.

    The mask comes back as it was, logits to 1/16, and a question with the embedding that the encoder has or computes.

    Args:
        look: whose logits are never changed.
        prompts: of the plane, that the look and those at other sizes answer.
        embedding_of: gives the embedding of a window of the plane, or of the whole plane for None.
    """

    def __init__(self, look: Look, prompts: Prompts, embedding_of: EmbeddingOf) -> None:
        self._look: Look | None = look
        self._prompts: Prompts | None = prompts
        self._embedding_of = embedding_of
        self._packed: tuple[_PackedLook, PackedPrompts] | None = None
        self.is_opening = prompts == Prompts()

    @property
    def prompts(self) -> Prompts:
        """The prompts that it answers; unpacked, they stay so until they are packed again."""
        if self._prompts is None:
            self._prompts = self._unpacked[1].prompts()
        return self._prompts

    @property
    def look(self) -> Look:
        """The look; unpacked, it stays so until it is packed again."""
        if self._look is None:
            self._look = self._unpacked[0].look(self.prompts, self._embedding_of)
        return self._look

    @property
    def window(self) -> CropWindow | None:
        """The look's window."""
        return (self._look or self._unpacked[0]).window

    @property
    def question(self) -> Question | None:
        """The look's question."""
        look = self._look
        return look.question if look else self._unpacked[0].question(self.prompts, self._embedding_of)

    @property
    def is_asked(self) -> bool:
        """Whether it answers a question."""
        look = self._look
        return look.question is not None if look else self._unpacked[0].is_asked

    @property
    def logits(self) -> np.ndarray:
        """float32 (H, W), read-only."""
        look = self._look
        logits = look.logits.numpy() if look else self._unpacked[0].logits.logits()
        logits.flags.writeable = False
        return logits

    @property
    def mask(self) -> np.ndarray:
        """bool (H, W), read-only."""
        look = self._look
        mask = binarize(look.logits.numpy()) if look else self._unpacked[0].mask.mask()
        mask.flags.writeable = False
        return mask

    @property
    def _unpacked(self) -> tuple[_PackedLook, PackedPrompts]:
        assert self._packed is not None
        return self._packed

    def forget_question(self) -> None:
        """Drop what was asked, at other sizes too; the answer stays."""
        if self._packed is not None:
            look, prompts = self._packed
            self._packed = replace(look, is_asked=False, prior=None, others=()), prompts
        if self._look is not None:
            self._look = replace(self._look, question=None, others=())

    def pack(self) -> None:
        """Keep little of the look and its prompts."""
        if self._packed is None:
            self._packed = _PackedLook.of(self.look), PackedPrompts.of(self.prompts)
        self._look, self._prompts = None, None
