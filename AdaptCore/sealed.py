"""Sealed files: tensors and facts as safetensors, with a kind, a version and a checksum over all that is in them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from AdaptCore.atomic import unless_busy, write_bytes
from AdaptCore.facts import Kind, damaged, read_facts


def write_sealed(path: Path, kind: Kind, tensors: Mapping[str, Tensor], facts: Mapping[str, str]) -> None:
    """Write a file whole or not at all.

    Args:
        tensors: by name, of any device and shape.

    Raises:
        OutputError: the system could not write.
    """
    kept = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    metadata = {**facts, "kind": f"adaptseg-{kind.name}", "version": str(kind.version)}
    content = save(kept, {**metadata, "sha256": _seal(kept, metadata)})
    unless_busy(lambda: write_bytes(path, content, private=kind.is_private))


def read_sealed(path: Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and facts of a file of this kind.

    Raises:
        AdaptSegError: the kind's; it cannot be read, is cut short or damaged, of another kind or of a newer version.
    """
    metadata = read_facts(path, kind)
    try:
        tensors = load(unless_busy(path.read_bytes))
    except OSError as error:
        raise kind.error(f"{path}: The {kind.name} file cannot be read ({error.strerror}).") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, kind) from error
    if metadata.pop("sha256", None) != _seal(tensors, metadata):
        raise damaged(path, kind)
    return tensors, metadata


def _seal(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA256 (hex) over names, types, shapes and bytes of contiguous CPU tensors, and over the metadata."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
