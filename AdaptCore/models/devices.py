"""Where a model computes: device, number format, and the way out when an accelerator cannot go on."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import torch

from AdaptCore.errors import ModelError

Result = TypeVar("Result")

FULL = ("out of memory", "can't allocate memory", "not enough memory", "ALLOC_FAILED")
UNABLE = (
    "no kernel image",
    "invalid device function",
    "CUBLAS_STATUS",
    "CUDNN_STATUS",
    "not currently implemented for the MPS device",
    "MPS framework doesn't support",
)
"""What accelerators say that this PyTorch has no code for, or whose libraries do not start."""

CPU_BFLOAT16_FLAGS = ("amx_bf16", "avx512_bf16")


def choose_device(requested: str | None = None) -> torch.device:
    """The requested device, or the fastest one there is: CUDA, then MPS, then CPU.

    Args:
        requested: "cpu", "cuda", "cuda:N" or "mps".

    Raises:
        ModelError: another name, or a device that this machine does not have.
    """
    if requested is None:
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps() else "cpu")
    match = re.fullmatch(r"cpu|mps|cuda(?::(\d+))?", requested)
    if match is None:
        raise ModelError(f"Expected the device cpu, cuda, cuda:N or mps, got {requested!r}.")
    if requested == "mps" and not has_mps():
        raise ModelError("This computer or this PyTorch has no device mps. Choose cpu.")
    if requested.startswith("cuda"):
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if int(match[1] or 0) >= count:
            raise ModelError(f"PyTorch sees {count} CUDA devices here, got {requested!r}. Choose cpu.")
    return torch.device(requested)


def available_devices() -> tuple[str, ...]:
    """Names of the devices that PyTorch has here, the CPU first; several CUDA devices by their numbers."""
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    cuda = ("cuda",) if count == 1 else tuple(f"cuda:{index}" for index in range(count))
    return ("cpu", *cuda, *(("mps",) if has_mps() else ()))


def has_mps() -> bool:
    """Whether there is an Apple GPU that this PyTorch can use."""
    return torch.backends.mps.is_available()


def choose_dtype(device: torch.device) -> torch.dtype:
    """Number format for the heavy layers: bfloat16 only where the device computes in it, not where it is emulated."""
    return torch.bfloat16 if computes_bfloat16(device) else torch.float32


def computes_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = cpu_capabilities()
        return any(capabilities.get(flag) for flag in CPU_BFLOAT16_FLAGS)
    return False


def cpu_capabilities() -> Mapping[str, Any]:
    """Processor flags as PyTorch knows them; empty before PyTorch 2.11."""
    query: Callable[[], Mapping[str, Any]] | None = getattr(torch.cpu, "get_capabilities", None)
    return query() if query else {}


def run_with_fallback(
    compute: Callable[[], Result], *, device: torch.device, move_to_cpu: Callable[[], None]
) -> Result:
    """Compute; when the accelerator cannot, warn, move the model to the CPU and compute again.

    Args:
        compute: does the work wherever the model is at that moment.
        device: where the model is now.
        move_to_cpu: brings the model to the CPU.

    Raises:
        ModelError: memory is full on the CPU too.
    """
    try:
        return compute()
    except (RuntimeError, TypeError, MemoryError) as error:
        reason = why_device_fails(error)
        if reason is None or (device.type == "cpu" and not is_out_of_memory(error)):
            raise
        if device.type == "cpu":
            raise ModelError("Out of memory on the CPU. Choose a smaller model, or close other programs.") from error
    # Outside the handler, because the traceback keeps the accelerator's tensors alive.
    warnings.warn(f"{device} {reason}. Going on with the CPU, more slowly.", stacklevel=3)
    move_to_cpu()
    free_memory(device)
    return run_with_fallback(compute, device=torch.device("cpu"), move_to_cpu=move_to_cpu)


def on_device_or_cpu(work: Callable[[torch.device], Result], device: torch.device) -> Result:
    """What the work gives on a device, or from its beginning on the CPU where that device cannot go on.

    Raises:
        ModelError: memory is full on the CPU too.
    """
    places = [device]
    return run_with_fallback(
        lambda: work(places[-1]), device=device, move_to_cpu=lambda: places.append(torch.device("cpu"))
    )


def free_memory(device: torch.device) -> None:
    """Give back what PyTorch keeps of an accelerator's memory without using it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def why_device_fails(error: Exception) -> str | None:
    """Why a device cannot compute what another one may, for the user; None if the error is of another kind."""
    if is_out_of_memory(error):
        return "is out of memory"
    if any(sign in str(error) for sign in UNABLE):
        return f"cannot compute this ({str(error).splitlines()[0]:.120})"
    return None


def is_out_of_memory(error: Exception) -> bool:
    """CUDA raises a type of its own; MPS and the CPU raise RuntimeError and say it in the message."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or any(sign in str(error) for sign in FULL)
