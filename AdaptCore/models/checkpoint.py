"""Weight files: read without running code, checked against checksum and architecture."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from AdaptCore.errors import CheckpointError
from AdaptCore.facts import ZIP_START, kind_of

EXPECTED = "Expected a safetensors file or a PyTorch (zip) file of weights"
MEDSAM = "sam_vit_b_medsam"
"""SAM vit_b as MedSAM has trained it: of the same tensors, for planes that are prepared in another way."""

SAM_WIDTHS = {768: "sam_vit_b", 1024: "sam_vit_l", 1280: "sam_vit_h"}
BUILT_IN = ("compact", "compact3d")
"""Architectures that weights name in their metadata."""

SAM_PATCH_WEIGHT = "image_encoder.patch_embed.proj.weight"


def sha256_of(path: Path) -> str:
    """SHA256 of a file's content (lower-case hex).

    Raises:
        CheckpointError: the file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise CheckpointError(f"{path}: The file cannot be read ({error.strerror}). {EXPECTED}.") from error
    return digest.hexdigest()


def check_sha256(path: Path, expected: str) -> None:
    """Compare a file with its known checksum.

    Raises:
        CheckpointError: the file cannot be read or its SHA256 differs.
    """
    found = sha256_of(path)
    if found != expected.lower():
        raise CheckpointError(f"{path}: Expected SHA256 {expected.lower()}, got {found} ({path.stat().st_size} bytes).")


def load_tensors(path: Path, expected_sha256: str | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read all tensors of a checkpoint into CPU memory; no code in the file is ever run.

    Args:
        path: safetensors, or PyTorch's zip format read with `weights_only` (told apart by content, not by suffix).
        expected_sha256: checksum to insist on, where it is known.

    Returns:
        Tensors by name, and the file's metadata (safetensors only, else empty).

    Raises:
        CheckpointError: missing, empty, truncated, of another format or checksum, or with anything but tensors in it.
    """
    path = Path(path)
    start = first_bytes(path)
    if expected_sha256 is not None:
        check_sha256(path, expected_sha256)
    if start.startswith(ZIP_START):
        return load_pytorch(path), {}
    if start[8:9] == b"{":
        tensors, metadata = load_safetensors(path)
        return only_tensors(unwrapped(tensors), path), metadata
    raise CheckpointError(f"{path}: {EXPECTED}, got {kind_of(start)}.")


def first_bytes(path: Path) -> bytes:
    """The first 16 bytes of a file.

    Raises:
        CheckpointError: the file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return stream.read(16)
    except OSError as error:
        raise CheckpointError(f"{path}: The file cannot be read ({error.strerror}). {EXPECTED}.") from error


def load_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors by name and metadata of a safetensors file.

    Raises:
        CheckpointError: the file is truncated, damaged or cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as stream:
            # Clones, because the file stays mapped (on Windows: locked) as long as a tensor of it lives.
            tensors = {name: stream.get_tensor(name).clone() for name in stream.keys()}  # noqa: SIM118
            return tensors, dict(stream.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: The safetensors file is cut short or damaged ({one_line(error)}). {EXPECTED}."
        ) from error


def load_pytorch(path: Path) -> dict[str, Tensor]:
    """Tensors by name of a PyTorch file.

    Raises:
        CheckpointError: the file is truncated, damaged, would run code, or holds anything but named tensors.
    """
    try:
        with path.open("rb") as stream:  # given a name that ends in .safetensors, torch would take it at its word
            content = torch.load(stream, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: The file is refused: it is damaged, or holds Python objects that would run code on loading. "
            f"{EXPECTED}."
        ) from error
    except (
        RuntimeError,
        OSError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        ValueError,
        AssertionError,
    ) as error:
        raise CheckpointError(
            f"{path}: The PyTorch file is cut short or damaged ({one_line(error)}). {EXPECTED}."
        ) from error
    return only_tensors(unwrapped(content), path)


WRAPPERS = ("model", "state_dict", "model_state_dict")
"""Where training programs put the weights, beside epoch, optimizer and the like."""

PREFIXES = ("module.", "_orig_mod.", "model.", "sam.", "sam_model.")
"""What DataParallel, torch.compile, Lightning and fine-tuning programs put before all names."""


def unwrapped(content: object) -> object:
    """The weights in what a training program has saved, by the names that they have in the network itself."""
    while isinstance(content, Mapping):
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    while isinstance(content, Mapping) and content and all(isinstance(name, str) for name in content):
        prefix = next((one for one in PREFIXES if all(name.startswith(one) for name in content)), None)
        if prefix is None:
            break
        content = {name.removeprefix(prefix): value for name, value in content.items()}
    return content


def only_tensors(content: object, path: Path) -> dict[str, Tensor]:
    """Insist on a flat, non-empty dictionary of tensors.

    Raises:
        CheckpointError: the content of the file `path` is something else.
    """
    if not isinstance(content, Mapping) or not content:
        raise CheckpointError(f"{path}: Expected a dictionary of named tensors, got {type(content).__name__}.")
    odd = [str(name) for name, value in content.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if odd:
        raise CheckpointError(
            f"{path}: Expected a flat dictionary of named tensors, got something else under {few(odd)}."
        )
    return dict(content)


FOREIGN = {
    "image_encoder.patch_embed.seq.": "MobileSAM or LiteMedSAM",
    "image_encoder.trunk.": "SAM 2",
    "vision_encoder.": "a SAM of Hugging Face",
    "mask_decoder.hf_token": "HQ-SAM",
    ".Adapter.": "SAM-Med2D or another SAM with adapters",
    ".adapter": "a SAM with adapters",
    "linear_a_q": "a SAM with LoRA layers",
}
"""What names of tensors tell of models like SAM that are none of ours."""


def detect_architecture(tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: Path | str) -> str:
    """Name of the architecture that tensors belong to.

    Raises:
        CheckpointError: neither a built-in model nor SAM vit_b, vit_l or vit_h.
    """
    if metadata.get("architecture") in BUILT_IN:
        return metadata["architecture"]
    patches = tensors.get(SAM_PATCH_WEIGHT)
    foreign = next((what for sign, what in FOREIGN.items() if any(sign in name for name in tensors)), None)
    if foreign is not None:
        raise CheckpointError(
            f"{source}: Weights of {foreign} cannot be used. Choose those of compact, "
            f"{', '.join(SAM_WIDTHS.values())} or MedSAM."
        )
    if patches is None:
        raise CheckpointError(
            f"{source}: Expected weights of {', '.join((*BUILT_IN, *SAM_WIDTHS.values()))}, got {len(tensors)} tensors "
            f"({few(tensors)}) of no known architecture."
        )
    width = next(iter(patches.shape), 0)
    if width not in SAM_WIDTHS:
        raise CheckpointError(
            f"{source}: Expected a SAM encoder of width {', '.join(map(str, SAM_WIDTHS))}, got {width}."
        )
    return SAM_WIDTHS[width]


def load_into(
    module: nn.Module, tensors: Mapping[str, Tensor], source: Path | str, architecture: str | None = None
) -> None:
    """Copy tensors into a module (cast to its dtype), all of them or none; see `check_fit`."""
    check_fit(module, tensors, source, architecture)
    module.load_state_dict(tensors)


def check_fit(
    module: nn.Module, tensors: Mapping[str, Tensor], source: Path | str, architecture: str | None = None
) -> None:
    """Check that tensors are those of a module, by name and shape.

    Args:
        module: network of the wanted architecture; its own tensors may be on the meta device.
        tensors: weights by the names of the module's state dict.
        source: where the tensors come from, for the message.
        architecture: what is expected, for the message; the module's class by default.

    Raises:
        CheckpointError: tensors that are missing, left over or of another shape.
    """
    wanted = module.state_dict()
    missing = [name for name in wanted if name not in tensors]
    unexpected = [name for name in tensors if name not in wanted]
    reshaped = [
        f"{name} {tuple(tensors[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in tensors and tensors[name].shape != tensor.shape
    ]
    problems = [
        f"{len(names)} tensors {kind}: {few(names)}"
        for kind, names in (("missing", missing), ("unexpected", unexpected), ("of wrong shape", reshaped))
        if names
    ]
    if problems:
        architecture = architecture or type(module).__name__
        raise CheckpointError(f"{source}: Expected weights of {architecture}, got {'; '.join(problems)}.")


def few(names: Mapping[str, object] | list[str], count: int = 3) -> str:
    """The first names and how many more there are."""
    shown = ", ".join(list(names)[:count])
    return shown if len(names) <= count else f"{shown} and {len(names) - count} more"


def one_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
