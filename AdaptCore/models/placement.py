"""Where a model is: its copies share the frozen network, and go to the CPU together when the device cannot go on."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn

from AdaptCore.models.base import with_parameters, with_parts
from AdaptCore.models.devices import computes_bfloat16, run_with_fallback

Result = TypeVar("Result")
Self = TypeVar("Self", bound="PlacedModel")


class Placement:
    """A frozen network that several models share.

    Attributes:
        network: with the decoder as it was trained; replaced as a whole when it moves, so that another thread may go
            on with the one that it holds.
        dtype: number format of the heavy layers.
    """

    def __init__(self, network: Any, dtype: torch.dtype) -> None:
        self.network = network
        self.dtype = dtype
        self._lock = threading.Lock()

    def move_to(self, device: torch.device) -> None:
        """Go on with a copy on another device, in float32 where that has no bfloat16; nothing where it is there."""
        with self._lock:
            if device_of(self.network).type != device.type:
                if not computes_bfloat16(device):
                    self.dtype = torch.float32
                self.network = on_device(self.network, device)


class PlacedModel:
    """A model with a decoder of its own, and all else shared with its copies.

    Args:
        network: becomes frozen, and moves to the device; to the CPU where that cannot hold it.
        dtype: number format of the heavy layers.
    """

    decoder_name: ClassVar[str]

    def __init__(self, network: Any, device: torch.device, dtype: torch.dtype) -> None:
        frozen = network.eval().requires_grad_(False)
        run_with_fallback(lambda: frozen.to(device), device=device, move_to_cpu=lambda: frozen.to("cpu"))
        self._placement = Placement(frozen, dtype)
        self._seen = frozen, frozen

    @property
    def network(self) -> Any:
        """The shared network with the decoder of this model, where they are at this moment."""
        return self._current()[1]

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return device_of(self.network)

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the heavy layers."""
        return self._placement.dtype

    def move_to(self, device: torch.device) -> None:
        """Go on with copies on another device, in this model and all that share its network."""
        self._placement.move_to(device)

    def with_decoder(self: Self, weights: Mapping[str, Tensor]) -> Self:
        """A model that shares all but the mask decoder, which is its own and holds copies of these weights."""
        shared, network = self._current()
        twin = copy.copy(self)
        decoder = with_parameters(getattr(network, self.decoder_name), weights)
        twin._seen = shared, with_parts(network, **{self.decoder_name: decoder})
        return twin

    def _current(self) -> tuple[Any, Any]:
        """The shared network, and the same with the decoder of this model, which follows it to its device."""
        seen, network = self._seen
        shared = self._placement.network
        if shared is not seen:
            decoder = on_device(getattr(network, self.decoder_name), device_of(shared))
            network = with_parts(shared, **{self.decoder_name: decoder})
            self._seen = shared, network
        return shared, network

    def _run(self, compute: Callable[[], Result]) -> Result:
        """Compute without gradients where the model is, or on the CPU where that device cannot.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        with torch.no_grad():
            return run_with_fallback(compute, device=self.device, move_to_cpu=lambda: self.move_to(torch.device("cpu")))


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters are."""
    return next(module.parameters()).device


def on_device(module: nn.Module, device: torch.device) -> nn.Module:
    """A frozen copy of a module on a device; nothing is allocated where it is now, which may have no room left."""
    twin = copy.copy(module)
    twin._parameters = {
        name: None if own is None else nn.Parameter(own.detach().to(device), requires_grad=False)
        for name, own in module._parameters.items()
    }
    twin._buffers = {name: None if own is None else own.to(device) for name, own in module._buffers.items()}
    twin._modules = {name: None if part is None else on_device(part, device) for name, part in module._modules.items()}
    return twin
