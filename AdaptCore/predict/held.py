"""An answer that a history holds: as it was given while it is worked with, a few kilobytes afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from AdaptCore.models.base import Embedding, Question
from AdaptCore.predict.masks import binarize
from AdaptCore.predict.packed import PackedLogits, PackedMask
from AdaptCore.prompts import Prompts

if TYPE_CHECKING:
    from AdaptCore.predict.plane import Look
    from AdaptCore.predict.zoom import CropWindow

EmbeddingOf = Callable[["CropWindow | None"], Embedding]


@dataclass(frozen=True, eq=False)
class _PackedQuestion:
    """A question without its embedding, which the encoder gives again."""

    prompts: Prompts
    prior: PackedLogits | None
    device: torch.device | None

    @classmethod
    def of(cls, question: Question) -> _PackedQuestion:
        prior = question.prior
        if prior is None:
            return cls(question.prompts, None, None)
        return cls(question.prompts, PackedLogits.of(prior.detach().float().cpu().numpy()), prior.device)

    def question(self, embedding: Embedding) -> Question:
        prior = None if self.prior is None else torch.from_numpy(self.prior.logits()).to(self.device)
        return Question(embedding, self.prompts, prior)


class HeldLook:
    """A look at a plane that can be packed, and is given again when it is asked for.

    The mask comes back as it was, logits to 1/16, and a question with the embedding that the encoder has or computes.

    Args:
        look: whose logits are never changed.
        embedding_of: gives the embedding of a window of the plane, or of the whole plane for None.
    """

    def __init__(self, look: Look, embedding_of: EmbeddingOf) -> None:
        self._look: Look | None = look
        self._embedding_of = embedding_of
        self._bare: Look | None = None
        self._logits: PackedLogits | None = None
        self._mask: PackedMask | None = None
        self._asked: _PackedQuestion | None = None
        self._others: tuple[HeldLook, ...] = ()

    @property
    def look(self) -> Look:
        """The look; unpacked, it stays so until it is packed again."""
        look = self._look
        if look is None:
            assert self._bare is not None
            asked = self._asked
            question = None if asked is None else asked.question(self._embedding_of(self._bare.window))
            others = tuple(held.look for held in self._others)
            look = replace(self._bare, logits=torch.from_numpy(self._packed_logits()), question=question, others=others)
            self._look = look
        return look

    @property
    def window(self) -> CropWindow | None:
        """The look's window; unlike the look, it needs no embedding."""
        known = self._look or self._bare
        return None if known is None else known.window

    @property
    def is_asked(self) -> bool:
        """Whether it answers a question; unlike the look, it needs no embedding."""
        return self._asked is not None if self._look is None else self._look.question is not None

    @property
    def logits(self) -> np.ndarray:
        """float32 (H, W), read-only."""
        look = self._look
        logits = self._packed_logits() if look is None else look.logits.numpy()
        logits.flags.writeable = False
        return logits

    @property
    def mask(self) -> np.ndarray:
        """bool (H, W), read-only."""
        look = self._look
        if look is None:
            assert self._mask is not None
            mask = self._mask.mask()
        else:
            mask = binarize(look.logits.numpy())
        mask.flags.writeable = False
        return mask

    def _packed_logits(self) -> np.ndarray:
        assert self._logits is not None
        return self._logits.logits()

    def forget_question(self) -> None:
        """Drop what was asked, at other sizes too; the answer stays."""
        self._asked, self._others = None, ()
        if self._look is not None:
            self._look = replace(self._look, question=None, others=())

    def pack(self) -> None:
        """Keep little of the look."""
        look = self._look
        if look is None:
            return
        if self._bare is None:
            self._logits, self._mask = PackedLogits.of(look.logits.numpy()), PackedMask.of(self.mask)
            self._asked = None if look.question is None else _PackedQuestion.of(look.question)
            self._others = tuple(HeldLook(other, self._embedding_of) for other in look.others)
            self._bare = replace(look, logits=torch.empty(0), question=None, others=())
        for held in self._others:
            held.pack()
        self._look = None
