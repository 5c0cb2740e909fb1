"""The built-in networks are described by their own weights: sizes as text in the file's metadata."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from AdaptCore.errors import CheckpointError
from AdaptCore.json_text import parse
from AdaptCore.models.checkpoint import check_fit, load_into
from AdaptCore.models.placement import PlacedModel

Config = TypeVar("Config")
Network = TypeVar("Network", bound="DescribedNetwork")
AnyModel = TypeVar("AnyModel", bound="DescribedModel")


def config_to_json(config: Any) -> str:
    """The sizes, a dataclass, as they are stored with the weights."""
    return json.dumps(asdict(config))


def config_from_json(kind: type[Config], text: str) -> Config:
    """The sizes of a kind that were stored with weights.

    Raises:
        AttributeError, TypeError, ValueError: the text is no JSON, or does not hold the sizes of a network.
    """
    return kind(**{k: tuple(v) if isinstance(v, list) else v for k, v in parse(text).items()})


class DescribedNetwork(nn.Module):
    """Encoder and decoder with their sizes.

    Attributes:
        sizes: kind of `config`, a dataclass.
        parts: kinds of encoder and decoder, each made from the sizes.
    """

    sizes: ClassVar[type[Any]]
    parts: ClassVar[tuple[type[nn.Module], type[nn.Module]]]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.encoder, self.decoder = (part(config) for part in self.parts)

    @classmethod
    def from_tensors(
        cls: type[Network], tensors: Mapping[str, Tensor], metadata: Mapping[str, str], source: str
    ) -> Network:
        """Build the network that weights describe.

        Raises:
            CheckpointError: the sizes are missing or wrong, or a tensor is missing, left over or of another shape.
        """
        try:
            config = config_from_json(cls.sizes, metadata["config"])
            with torch.device("meta"), _Unfilled():  # sizes that a file only claims to have must not take their memory
                check_fit(cls(config), tensors, source)
            network = cls(config)
        except CheckpointError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            found = f"{metadata.get('config')!r:.200}"
            raise CheckpointError(f"{source}: The sizes must be those of {cls.sizes.__name__}, got {found}.") from error
        load_into(network, {name: tensor.float() for name, tensor in tensors.items()}, source)
        return network


class _Unfilled(TorchFunctionMode):
    """Leaves tensors without normal numbers.

    To draw them for a tensor without memory, PyTorch loads its compiler (`torch._dynamo`), for more than a second; with
    Triton beside it, as PyTorch for CUDA brings it, that ends a process in which Mesa draws without a graphics card.
    """

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if function in (Tensor.normal_, nn.init.normal_):
            return args[0] if args else kwargs["tensor"]
        return function(*args, **kwargs)


class DescribedModel(PlacedModel):
    """Such a network behind a name and a digest.

    Args:
        network: becomes frozen, and moves to the device.
        name: in the list of models.
        digest: SHA256 of the weights (hex), part of every cache key.
        device: where to compute.
        dtype: number format of the heavy layers; prompts and answers are always float32.
    """

    network_kind: ClassVar[type[DescribedNetwork]]
    decoder_name = "decoder"

    def __init__(
        self, network: Any, name: str, digest: str, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(network, device, dtype)
        self.name, self.digest = name, digest

    @classmethod
    def from_tensors(
        cls: type[AnyModel],
        tensors: Mapping[str, Tensor],
        metadata: Mapping[str, str],
        *,
        name: str,
        digest: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> AnyModel:
        """Build the model from checked weights.

        Raises:
            CheckpointError: as `DescribedNetwork.from_tensors`.
        """
        return cls(cls.network_kind.from_tensors(tensors, metadata, name), name, digest, device, dtype)

    @classmethod
    def random(cls: type[AnyModel], seed: int) -> AnyModel:
        """An untrained model for tests."""
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(seed)
            network = cls.network_kind(cls.network_kind.sizes())
        return cls(network, "random", f"{seed:064d}", torch.device("cpu"))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)
