"""The contract between sessions and models: encode a plane once, decode it for every prompt."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.models.frame import AnyQuestion
from AdaptCore.prompts import Click, Prompts

Module = TypeVar("Module", bound=torch.nn.Module)


@dataclass(frozen=True, eq=False)
class Embedding:
    """What the frozen encoder knows of one plane.

    Attributes:
        features: tensors of the model's own shapes (batch of one), on the model's device; a stored one is float16.
        plane_shape: (H, W) of the plane that was encoded.
        input_shape: (h, w) of the plane after resizing its longest side to `input_side`; the rest is padding.
        input_side: side S of the model's square input.
    """

    features: tuple[torch.Tensor, ...]
    plane_shape: tuple[int, int]
    input_shape: tuple[int, int]
    input_side: int

    @property
    def nbytes(self) -> int:
        """Memory of the features in bytes."""
        return sum(t.element_size() * t.nelement() for t in self.features)

    @property
    def scale(self) -> tuple[float, float]:
        """Input pixels per plane pixel, (x, y)."""
        return self.input_shape[1] / self.plane_shape[1], self.input_shape[0] / self.plane_shape[0]

    def free_of_padding(self, mask_side: int) -> tuple[int, int]:
        """Rows and columns of the mask resolution before those that are padding by more than a half."""
        inside = self.inside(mask_side)
        return int(inside[:, 0].sum()), int(inside[0].sum())

    def on_grid(self, click: Click, mask_side: int) -> tuple[float, float]:
        """A click's (row, column) in pixels of the mask resolution."""
        scale_x, scale_y = self.scale
        share = mask_side / self.input_side
        return (click.y + 0.5) * scale_y * share - 0.5, (click.x + 0.5) * scale_x * share - 0.5

    def cell(self, click: Click, mask_side: int) -> tuple[int, int]:
        """(row, column) of the pixel of the mask resolution that holds a click, the nearest one before the padding."""
        row, column = self.on_grid(click, mask_side)
        return Click(column, row).place_in(self.free_of_padding(mask_side))

    def inside(self, mask_side: int) -> np.ndarray:
        """bool (m, m) at the mask resolution, False on pixels that are padding by more than a half."""
        rows, columns = (
            np.arange(mask_side) + 0.5 < length * mask_side / self.input_side for length in self.input_shape
        )
        return np.asarray(rows[:, None] & columns[None, :])

    def gridded(self, logits: torch.Tensor, mask_side: int) -> torch.Tensor:
        """Logits (H, W) on the plane at the mask resolution; see `to_prior`."""
        return to_prior(logits, self, mask_side)

    def from_grid(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits at the mask resolution on the plane (H, W); see `to_plane`."""
        return to_plane(logits, self)


@dataclass(frozen=True, eq=False)
class Decoding:
    """The decoder's answer to one set of prompts.

    Attributes:
        logits: float32, K x h x w alternatives at the model's mask resolution (padding included).
        scores: float32, K predicted IoUs.
    """

    logits: torch.Tensor
    scores: torch.Tensor

    @property
    def best(self) -> int:
        """Index of the alternative with the highest predicted IoU."""
        return int(self.scores.argmax())


@dataclass(frozen=True, eq=False)
class Canvas:
    """What one decode leaves for all masks that differ in their readout only: logits are linear in the readout vector.

    Attributes:
        features: float32 C x m x m of a plane or C x S x S x S of a window, the decoder's last ones.
        vector: float32 (C + 1), the readout of the best alternative; the last entry is a constant.
        token: float32 (T), the mask token that the vector was made from.
    """

    features: torch.Tensor
    vector: torch.Tensor
    token: torch.Tensor

    def logits(self, vectors: torch.Tensor) -> torch.Tensor:
        """Logits N x m x m or N x S x S x S of readout vectors N x (C + 1)."""
        flat = self.features.flatten(1)
        return torch.addmm(vectors[:, -1:], vectors[:, :-1], flat).unflatten(1, self.features.shape[1:])


@dataclass(frozen=True, eq=False)
class Question:
    """What a decoder is asked.

    Attributes:
        embedding: of the plane, or of a window of it.
        prompts: in pixels of what was embedded.
        prior: logits h x w at mask resolution (see `to_prior`), or None.
    """

    embedding: Embedding
    prompts: Prompts
    prior: torch.Tensor | None = None

    @property
    def is_ambiguous(self) -> bool:
        """Whether it is a lone click, which gets alternatives."""
        return self.is_opening and self.prior is None

    @property
    def clicks(self) -> tuple[Click, ...]:
        return self.prompts.clicks

    @property
    def maps(self) -> tuple[torch.Tensor, ...]:
        """What it has on the mask resolution."""
        return () if self.prior is None else (self.prior,)

    @property
    def nbytes(self) -> int:
        """Memory besides the embedding's in bytes."""
        return sum(each.nbytes for each in self.maps)

    def without(self, latest: int) -> Question:
        """The same without its latest clicks, strokes and lassos."""
        return replace(self, prompts=Prompts(self.prompts.clicks[:-latest], self.prompts.box))

    @property
    def is_opening(self) -> bool:
        """Whether it is about the first click on an object, without a box; a second look has the first as prior."""
        return len(self.prompts.clicks) == 1 and self.prompts.box is None

    @property
    def opening(self) -> Question | None:
        """The same about its first click alone; None where that is not on the object."""
        first = self.prompts.clicks[:1]
        return Question(self.embedding, Prompts(first)) if first and first[0].positive else None

    def decoded_by(self, model: Model) -> Decoding:
        """What a model answers."""
        return model.decode(self.embedding, self.prompts, self.prior)


class Model(Protocol):
    """A promptable model of one plane.

    Attributes:
        name: name in the model manifest.
        digest: SHA256 of the weights (hex), part of every cache key.
        mask_side: side of the square mask the decoder gives.
        follows_prior: whether a prior without any prompt is understood as the mask of the plane beside this one.
    """

    name: str
    digest: str
    mask_side: int
    follows_prior: bool

    @property
    def device(self) -> torch.device:
        """Where the model computes; it may move to the CPU when an accelerator's memory is full."""
        ...

    def encode(self, image: np.ndarray) -> Embedding:
        """Encode a plane: float32 (H, W) or (H, W, 3) in [0, 1].

        Raises:
            ImageError: the model cannot take a plane of this shape.
            ModelError: out of memory, on the CPU too.
        """
        ...

    def decode(self, embedding: Embedding, prompts: Prompts, prior_logits: torch.Tensor | None = None) -> Decoding:
        """Answer prompts given in plane pixels; `prior_logits` is h x w at mask resolution (see `to_prior`).

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        ...


@runtime_checkable
class AdaptableModel(Model, Protocol):
    """A model whose mask decoder can learn while encoder and prompt encoder stay as they are."""

    def decoder_parameters(self) -> dict[str, torch.nn.Parameter]:
        """The mask decoder's parameters by name, float32; those of layers that read prompts are not among them."""
        ...

    def head_parameters(self) -> dict[str, torch.nn.Parameter]:
        """Those of the mask decoder's parameters that lie behind its transformer: gradients are cheap to them."""
        ...

    def with_decoder(self, weights: Mapping[str, torch.Tensor]) -> AdaptableModel:
        """A model that shares all but the mask decoder, which is its own and holds copies of these weights."""
        ...

    def answer(self, question: AnyQuestion) -> Decoding:
        """As `decode`; gradients flow to the decoder's parameters where they ask for them."""
        ...

    def answers(self, questions: Sequence[AnyQuestion]) -> list[Decoding]:
        """As `answer` for each of several questions, at once where that is faster."""
        ...


@runtime_checkable
class BatchModel(Model, Protocol):
    """A model so quick that a first click is asked in several windows of the plane at once."""

    def encode_all(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        """As `encode` for each of several planes, at least one, in one batch."""
        ...

    def decode_all(self, questions: Sequence[Question]) -> list[Decoding]:
        """As `decode` for each of several questions, at least one, in one batch."""
        ...


@runtime_checkable
class Readable(Protocol):
    """A model, of planes or of volumes, whose masks are read from features by a vector each."""

    def canvas(self, question: AnyQuestion) -> Canvas:
        """What the answer to a question is read from; on the CPU, without gradients."""
        ...


@runtime_checkable
class ReadoutModel(AdaptableModel, Readable, Protocol):
    """A model of planes whose masks are read from features by a vector each."""


def with_parameters(module: Module, weights: Mapping[str, torch.Tensor], prefix: str = "") -> Module:
    """A copy of a network with frozen parameters of its own: copies of those given by name, of the present ones else.

    All else is shared; this is much faster than a deep copy.

    Args:
        prefix: what the names of `weights` begin with.

    Raises:
        ValueError: a weight has another shape.
    """
    twin = copy.copy(module)
    twin._parameters = {
        name: None if own is None else _own_copy(own, weights.get(prefix + name))
        for name, own in module._parameters.items()
    }
    twin._modules = {
        name: None if part is None else with_parameters(part, weights, f"{prefix}{name}.")
        for name, part in module._modules.items()
    }
    return twin


def _own_copy(own: torch.nn.Parameter, given: torch.Tensor | None) -> torch.nn.Parameter:
    if given is not None and given.shape != own.shape:
        raise ValueError(f"expected a weight of shape {tuple(own.shape)}, got {tuple(given.shape)}")
    copied = own.detach().clone()
    return torch.nn.Parameter(copied if given is None else copied.copy_(given.detach()), requires_grad=False)


def with_parts(module: Module, **parts: torch.nn.Module) -> Module:
    """A shallow copy of a network in which the named parts are others; everything else is shared."""
    twin = copy.copy(module)
    twin._modules = {**module._modules, **parts}
    return twin


def to_plane(logits: torch.Tensor, embedding: Embedding) -> torch.Tensor:
    """Bring logits (h, w) at mask resolution to the plane's float32 (H, W), without the padding."""
    side, (height, width) = embedding.input_side, embedding.input_shape
    full = F.interpolate(logits[None, None].float(), (side, side), mode="bilinear", align_corners=False)
    full = full[..., :height, :width]
    return F.interpolate(full, embedding.plane_shape, mode="bilinear", align_corners=False)[0, 0]


def to_prior(plane_logits: torch.Tensor, embedding: Embedding, mask_side: int) -> torch.Tensor:
    """Bring logits (H, W) on the plane to float32 `mask_side` x `mask_side`; padding gets the lowest, at most -10."""
    side, (height, width) = embedding.input_side, embedding.input_shape
    image = _shrink(plane_logits[None, None].float(), (height, width))
    square = F.pad(image, (0, side - width, 0, side - height), value=min(float(image.min()), -10.0))
    return _shrink(square, (mask_side, mask_side))[0, 0]


def _shrink(image: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(image, shape, mode="bilinear", align_corners=False, antialias=True)
