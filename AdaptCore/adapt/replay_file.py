"""The replay memory as tensors and facts: embeddings, prompts and labels, but no image.

An embedding that several lessons share is written once. Numbers are kept in half precision, features in memory too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple
from typing import Any

import torch
from torch import Tensor

from AdaptCore.adapt.lessons import Lesson, Memory
from AdaptCore.adapt.pseudo_labels import PseudoLabel
from AdaptCore.json_text import parse
from AdaptCore.models.base import Embedding, Question
from AdaptCore.prompts import Box, Click, Prompts

PARTS = ("target", "weight", "prior", "around")
"""Maps of a lesson; not every lesson has the last two."""


def pack_memory(memory: Memory) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and facts that `unpack_memory` makes a memory of; the fact "count" is its number of images."""
    asked = [lesson.question.embedding for lessons in memory.images for lesson in lessons]
    embeddings = list({id(embedding): embedding for embedding in asked}.values())
    places = {id(embedding): place for place, embedding in enumerate(embeddings)}
    tensors: dict[str, Tensor] = {}
    for place, embedding in enumerate(embeddings):
        tensors |= {f"embedding.{place}.{layer}": tensor.half() for layer, tensor in enumerate(embedding.features)}
    images = []
    for image, lessons in enumerate(memory.images):
        for place, lesson in enumerate(lessons):
            tensors |= {f"lesson.{image}.{place}.{part}": tensor.half() for part, tensor in _parts(lesson).items()}
        images.append([_described(lesson, places[id(lesson.question.embedding)]) for lesson in lessons])
    shapes = [[len(one.features), one.plane_shape, one.input_shape, one.input_side] for one in embeddings]
    return tensors, {
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
    placed = {name: tensor.to(device) for name, tensor in tensors.items()}
    embeddings = [
        Embedding(
            tuple(placed[f"embedding.{place}.{layer}"] for layer in range(layers)),
            (int(plane[0]), int(plane[1])),
            (int(fitted[0]), int(fitted[1])),
            int(side),
        )
        for place, (layers, plane, fitted, side) in enumerate(parse(facts["embeddings"]))
    ]
    images = [
        tuple(
            _lesson(described, embeddings, placed, f"lesson.{image}.{place}") for place, described in enumerate(lessons)
        )
        for image, lessons in enumerate(parse(facts["images"]))
    ]
    if not all(images):
        raise ValueError("an image without an adaptation step")
    return Memory.of(max_bytes, zip(images, map(str, parse(facts["names"])), strict=True))


def _parts(lesson: Lesson) -> dict[str, Tensor]:
    parts = (lesson.label.target, lesson.label.weight, lesson.question.prior, lesson.around)
    return {name: tensor for name, tensor in zip(PARTS, parts, strict=True) if tensor is not None}


def _described(lesson: Lesson, embedding: int) -> dict[str, Any]:
    prompts = lesson.question.prompts
    return {
        "embedding": embedding,
        "clicks": [astuple(click) for click in prompts.clicks],
        "box": astuple(prompts.box) if prompts.box else None,
    }


def _lesson(
    described: Mapping[str, Any], embeddings: Sequence[Embedding], tensors: Mapping[str, Tensor], place: str
) -> Lesson:
    clicks = tuple(Click(float(x), float(y), bool(positive)) for x, y, positive in described["clicks"])
    prompts = Prompts(clicks, Box(*described["box"]) if described["box"] else None)
    maps = {part: tensors[f"{place}.{part}"].float() for part in PARTS if f"{place}.{part}" in tensors}
    question = Question(embeddings[described["embedding"]], prompts, maps.get("prior"))
    return Lesson(question, PseudoLabel(maps["target"], maps["weight"]), maps.get("around"))
