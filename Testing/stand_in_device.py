"""A device that every machine has: PyTorch takes it for an accelerator, and its tensors are held by the CPU.

As on a real one, tensors of two devices cannot be mixed, gradients work, and it can fail; as on MPS, it has no float64.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils import _pytree, backend_registration

CPU = torch.device("cpu")
COPYING = ("aten::_copy_from", "aten::copy_")
HOLDING = (*COPYING, "aten::_to_copy", "aten::detach", "aten::alias", "aten::view", "aten::t", "aten::select")
"""What a device still does whose memory is full: it gives back what it holds."""


class Module:
    """What `torch.standin` gives."""

    def is_initialized(self) -> bool:
        return True

    def is_available(self) -> bool:
        return True

    def current_device(self) -> int:
        return 0

    def device_count(self) -> int:
        return 1

    def _is_in_bad_fork(self) -> bool:
        return False

    def manual_seed_all(self, seed: int) -> None: ...

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


class Held(torch.Tensor):
    """A tensor on the stand-in device."""

    held: torch.Tensor

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(operation, *args, **(kwargs or {}))

    def __repr__(self) -> str:
        return f"Held({self.held!r})"


class Accelerator:
    """The one device; `error` is raised by all that it computes.

    `log` counts what it did, by the names of operations; `to_device` and `to_host` count tensors that were copied, and
    `waits` single numbers that the program read, for each of which it waits until the device has come so far.
    """

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.log: Counter[str] = Counter()
        self.to_device = self.to_host = 0

    @property
    def waits(self) -> int:
        return self.log["aten::_local_scalar_dense"]

    def begin_anew(self) -> None:
        """Count from nothing."""
        self.log.clear()
        self.to_device = self.to_host = 0

    def note_copy(self, from_device: bool, to_device: bool) -> None:
        self.to_device += to_device and not from_device
        self.to_host += from_device and not to_device

    @contextmanager
    def failing(self, error: Exception) -> Iterator[None]:
        self.error = error
        try:
            yield
        finally:
            self.error = None


def computed(operation: Any, *args: Any, **kwargs: Any) -> Any:
    """What any operation gives that has to do with the device."""
    name = operation._schema.name
    flat, spec = _pytree.tree_flatten((args, kwargs))
    ours = {id(each.held): each for each in flat if isinstance(each, Held)}
    target = kwargs.get("device") or ACCELERATOR_DEVICE
    ACCELERATOR.log[name] += 1
    if ACCELERATOR.error is not None and name not in HOLDING:
        raise ACCELERATOR.error
    if name in COPYING:
        source, place = args[:2] if name == COPYING[0] else args[1::-1]
        ACCELERATOR.note_copy(isinstance(source, Held), isinstance(place, Held))
        _inner(place).copy_(_inner(source))
        return place
    if name == "aten::_to_copy":
        ACCELERATOR.note_copy(bool(ours), torch.device(target).type != "cpu")
    hosts = [each for each in flat if isinstance(each, torch.Tensor) and not isinstance(each, Held) and each.dim()]
    if ours and hosts:
        raise RuntimeError(f"Expected all tensors to be on the same device, but found standin:0 and cpu ({name})")
    plain = [each.held if isinstance(each, Held) else CPU if isinstance(each, torch.device) else each for each in flat]
    args, kwargs = _pytree.tree_unflatten(plain, spec)
    result = operation(*args, **kwargs)
    return _pytree.tree_map(lambda each: ours[id(each)] if id(each) in ours else _placed(each, target), result)


def _inner(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.held if isinstance(tensor, Held) else tensor


def _placed(result: Any, device: torch.device) -> Any:
    if not isinstance(result, torch.Tensor) or device.type == "cpu":
        return result
    if result.dtype == torch.float64:
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.")
    layout = {"strides": result.stride(), "storage_offset": result.storage_offset(), "dtype": result.dtype}
    tensor = torch.Tensor._make_wrapper_subclass(Held, result.shape, device=ACCELERATOR_DEVICE, **layout)
    tensor.held = result
    return tensor


backend_registration._setup_privateuseone_for_python_backend("standin", Module())
ACCELERATOR = Accelerator()
ACCELERATOR_DEVICE = torch.device("standin:0")
LIBRARY = torch.library.Library("_", "IMPL")
LIBRARY.fallback(computed, "PrivateUse1")
