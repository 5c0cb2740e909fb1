"""The built-in networks are described by their own weights: sizes as text in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from AdaptCore.errors import CheckpointError
from AdaptCore.json_text import parse
from AdaptCore.models.checkpoint import check_fit, load_into

Config = TypeVar("Config")
Network = TypeVar("Network", bound=nn.Module)


def config_to_json(config: Any) -> str:
    """The sizes, a dataclass, as they are stored with the weights."""
    return json.dumps(asdict(config))


def config_from_json(kind: type[Config], text: str) -> Config:
    """The sizes of a kind that were stored with weights.

    Raises:
        AttributeError, TypeError, ValueError: the text is no JSON, or does not hold the sizes of a network.
    """
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in parse(text).items()})


def described_network(
    build: Callable[[Config], Network],
    kind: type[Config],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    source: str,
) -> Network:
    """Build the network that weights describe.

    Raises:
        CheckpointError: the sizes are missing or wrong, or a tensor is missing, left over or of another shape.
    """
    try:
        config = config_from_json(kind, metadata["config"])
        with torch.device("meta"):  # sizes that a file only claims to have must not take their memory
            check_fit(build(config), tensors, source)
        network = build(config)
    except CheckpointError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        found = f"{metadata.get('config')!r:.200}"
        raise CheckpointError(f"{source}: The sizes must be those of {kind.__name__}, got {found}.") from error
    load_into(network, {name: tensor.float() for name, tensor in tensors.items()}, source)
    return network
