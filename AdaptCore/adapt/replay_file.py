"""The replay memory as tensors and facts: embeddings, prompts and labels, but no image.

An embedding that several lessons share is written once. Numbers are kept in half precision, features in memory too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any, Protocol

import torch
from torch import Tensor

from AdaptCore.adapt.lessons import Lesson, Memory
from AdaptCore.adapt.pseudo_labels import PseudoLabel
from AdaptCore.json_text import parse
from AdaptCore.models.base import Embedding, Question
from AdaptCore.models.frame import AnyQuestion, Frame
from AdaptCore.models.volume_prompts import VolumePrompts
from AdaptCore.models.volumetric import VolumeEmbedding, VolumeQuestion
from AdaptCore.prompts import Box, Click, Prompts

LABELS = ("target", "weight", "around")
"""Maps of a lesson beside those of its question; not every lesson has the last one."""


class Form(Protocol):
    """How embeddings and questions of one kind are written.

    Attributes:
        unit: what a lesson was accepted on, for people.
    """

    unit: str

    def shape(self, embedding: Any) -> list[Any]:
        """What an embedding is beside its features."""
        ...

    def embedding(self, features: tuple[Tensor, ...], shape: Sequence[Any]) -> Frame: ...

    def described(self, question: Any) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors and facts of a question beside its embedding."""
        ...

    def question(self, embedding: Any, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> AnyQuestion: ...


class PlaneForm:
    """Questions on planes."""

    unit = "slice"

    def shape(self, embedding: Embedding) -> list[Any]:
        return [embedding.plane_shape, embedding.input_shape, embedding.input_side]

    def embedding(self, features: tuple[Tensor, ...], shape: Sequence[Any]) -> Embedding:
        plane, fitted, side = shape
        return Embedding(features, (int(plane[0]), int(plane[1])), (int(fitted[0]), int(fitted[1])), int(side))

    def described(self, question: Question) -> tuple[dict[str, Tensor], dict[str, Any]]:
        prompts = question.prompts
        box = astuple(prompts.box) if prompts.box else None
        tensors = {} if question.prior is None else {"prior": question.prior}
        return tensors, {"clicks": [astuple(click) for click in prompts.clicks], "box": box}

    def question(self, embedding: Embedding, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> Question:
        clicks = tuple(Click(float(x), float(y), bool(positive)) for x, y, positive in facts["clicks"])
        prompts = Prompts(clicks, Box(*facts["box"]) if facts["box"] else None)
        return Question(embedding, prompts, tensors.get("prior"))


class WindowForm:
    """Questions about windows of volumes."""

    unit = "object"

    def shape(self, embedding: VolumeEmbedding) -> list[Any]:
        return [embedding.side]

    def embedding(self, features: tuple[Tensor, ...], shape: Sequence[Any]) -> VolumeEmbedding:
        return VolumeEmbedding(features, int(shape[0]))

    def described(self, question: VolumeQuestion) -> tuple[dict[str, Tensor], dict[str, Any]]:
        tensors = {part.name: getattr(question.prompts, part.name) for part in fields(VolumePrompts)}
        return tensors, {"is_ambiguous": question.is_ambiguous}

    def question(
        self, embedding: VolumeEmbedding, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]
    ) -> VolumeQuestion:
        parts = {part.name: tensors[part.name] for part in fields(VolumePrompts)}
        prompts = VolumePrompts(**parts | {"labels": parts["labels"].long()})
        return VolumeQuestion(embedding, prompts, bool(facts["is_ambiguous"]))


FORMS: dict[str, Form] = {"planes": PlaneForm(), "windows": WindowForm()}


def unit_of(facts: Mapping[str, str]) -> str:
    """What a written memory's lessons were accepted on, for people."""
    form = FORMS.get(facts.get("form", "planes"))
    return form.unit if form else "image"


def pack_memory(memory: Memory) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and facts that `unpack_memory` makes a memory of; the fact "count" is its number of images."""
    asked = [lesson.question.embedding for lessons in memory.images for lesson in lessons]
    embeddings = list({id(embedding): embedding for embedding in asked}.values())
    places = {id(embedding): place for place, embedding in enumerate(embeddings)}
    kind = "windows" if any(isinstance(embedding, VolumeEmbedding) for embedding in embeddings) else "planes"
    form = FORMS[kind]
    tensors: dict[str, Tensor] = {}
    for place, embedding in enumerate(embeddings):
        tensors |= {f"embedding.{place}.{layer}": tensor.half() for layer, tensor in enumerate(embedding.features)}
    images = []
    for image, lessons in enumerate(memory.images):
        described = []
        for place, lesson in enumerate(lessons):
            maps, facts = form.described(lesson.question)
            maps = maps | _labels(lesson)
            tensors |= {f"lesson.{image}.{place}.{part}": tensor.half() for part, tensor in maps.items()}
            described.append(facts | {"embedding": places[id(lesson.question.embedding)]})
        images.append(described)
    shapes = [[len(one.features), *form.shape(one)] for one in embeddings]
    return tensors, {
        "form": kind,
        "count": str(len(images)),
        "embeddings": json.dumps(shapes),
        "images": json.dumps(images),
        "names": json.dumps(memory.names),
    }


def unpack_memory(
    tensors: Mapping[str, Tensor], facts: Mapping[str, str], max_bytes: int, device: torch.device
) -> Memory:
    """The memory, its tensors on a device.

    Raises:
        LookupError, TypeError, ValueError: tensors or facts are not those of `pack_memory`.
    """
    form = FORMS[facts.get("form", "planes")]
    placed = {name: tensor.to(device) for name, tensor in tensors.items()}
    embeddings = [
        form.embedding(tuple(placed[f"embedding.{place}.{layer}"] for layer in range(layers)), shape)
        for place, (layers, *shape) in enumerate(parse(facts["embeddings"]))
    ]
    images = [
        tuple(
            _lesson(form, described, embeddings, _under(placed, f"lesson.{image}.{place}."))
            for place, described in enumerate(lessons)
        )
        for image, lessons in enumerate(parse(facts["images"]))
    ]
    if not all(images):
        raise ValueError("an image without an adaptation step")
    return Memory.of(max_bytes, zip(images, map(str, parse(facts["names"])), strict=True))


def _under(tensors: Mapping[str, Tensor], begin: str) -> dict[str, Tensor]:
    """Those whose names begin so, without that, in single precision."""
    return {name.removeprefix(begin): tensor.float() for name, tensor in tensors.items() if name.startswith(begin)}


def _labels(lesson: Lesson) -> dict[str, Tensor]:
    maps = (lesson.label.target, lesson.label.weight, lesson.around)
    return {name: tensor for name, tensor in zip(LABELS, maps, strict=True) if tensor is not None}


def _lesson(
    form: Form, described: Mapping[str, Any], embeddings: Sequence[Frame], tensors: Mapping[str, Tensor]
) -> Lesson:
    question = form.question(embeddings[described["embedding"]], tensors, described)
    return Lesson(question, PseudoLabel(tensors["target"], tensors["weight"]), tensors.get("around"))
