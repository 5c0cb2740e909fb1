"""Sealed files: tensors and facts as safetensors, with a kind, a version and a checksum over all that is in them."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from AdaptCore.atomic import atomic_target
from AdaptCore.errors import AdaptSegError, OutputError
from AdaptCore.models.checkpoint import kind_of

MOST_HEADER_BYTES = 100_000_000
"""As in the safetensors library."""

BUSY_RETRIES, BUSY_SECONDS = 10, 0.05
"""Windows refuses to replace a file that another process reads at this moment, and to read one just being replaced."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Kind:
    """What a sealed file is.

    Attributes:
        name: such as "task".
        error: raised when a file is none of this kind, or cannot be used.
        version: of what is in it; newer ones are refused.
    """

    name: str
    error: type[AdaptSegError]
    version: int = 1


def write_sealed(
    path: Path,
    kind: Kind,
    tensors: Mapping[str, Tensor],
    facts: Mapping[str, str],
    check: Callable[[], None] = lambda: None,
) -> None:
    """Write a file whole or not at all.

    Args:
        tensors: by name, of any device and shape.
        check: called right before the file takes its place; what it raises leaves the place as it was.

    Raises:
        OutputError: the system could not write.
    """
    kept = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
    metadata = {**facts, "kind": f"adaptseg-{kind.name}", "version": str(kind.version)}
    content = save(kept, {**metadata, "sha256": _seal(kept, metadata)})

    def write() -> None:
        with atomic_target(path) as temporary:
            temporary.write_bytes(content)
            check()

    unless_busy(write)


def read_sealed(path: Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and facts of a file of this kind.

    Raises:
        AdaptSegError: the kind's; it cannot be read, is cut short or damaged, of another kind or of a newer version.
    """
    metadata = read_facts(path, kind)
    try:
        tensors = load(unless_busy(path.read_bytes))
    except OSError as error:
        raise kind.error(f"{path}: cannot be read ({error.strerror}); a {kind.name} file is wanted") from error
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise _damaged(path, kind) from error
    if metadata.pop("sha256", None) != _seal(tensors, metadata):
        raise _damaged(path, kind)
    return tensors, metadata


def read_facts(path: Path, kind: Kind) -> dict[str, str]:
    """A file's facts alone, its kind and version checked but not its checksum; quick.

    Raises:
        AdaptSegError: as `read_sealed`.
    """

    def header() -> Any:
        with path.open("rb") as stream:
            return _header(stream, path, kind)

    try:
        content = unless_busy(header)
    except OSError as error:
        raise kind.error(f"{path}: cannot be read ({error.strerror}); a {kind.name} file is wanted") from error
    metadata = content.get("__metadata__") if isinstance(content, dict) else None
    if not isinstance(metadata, dict) or metadata.get("kind") != f"adaptseg-{kind.name}":
        raise kind.error(
            f"{path}: a safetensors file, but no {kind.name} file; a {kind.name} file of AdaptSeg is wanted"
        )
    version = str(metadata.get("version"))
    if not version.isdecimal():
        raise _damaged(path, kind)
    if int(version) > kind.version:
        raise kind.error(
            f"{path}: {kind.name} file of version {version}, written by a newer AdaptSeg; "
            f"version {kind.version} is wanted"
        )
    return metadata


def _header(stream: BinaryIO, path: Path, kind: Kind) -> Any:
    start = stream.read(9)
    if start[8:9] != b"{":
        raise kind.error(f"{path}: {kind_of(start)}; a {kind.name} file of AdaptSeg is wanted")
    length = int.from_bytes(start[:8], "little")
    if length > MOST_HEADER_BYTES:
        raise _damaged(path, kind)
    try:
        return json.loads(start[8:] + stream.read(length - 1))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _damaged(path, kind) from error


def _seal(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA256 (hex) over names, types, shapes and bytes of contiguous CPU tensors, and over the metadata."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _damaged(path: Path, kind: Kind) -> AdaptSegError:
    return kind.error(f"{path}: the file is cut short or damaged; a whole {kind.name} file is wanted")


def unless_busy(action: Callable[[], Result]) -> Result:
    """The action's result; tried again while Windows says that another process has the file open."""
    for _ in range(BUSY_RETRIES):
        try:
            return action()
        except (PermissionError, OutputError) as error:
            if not isinstance(error, PermissionError) and not isinstance(error.__cause__, PermissionError):
                raise
            time.sleep(BUSY_SECONDS)
    return action()
