"""The device and number format that a model gets, and what happens when an accelerator's memory is full."""

from __future__ import annotations

import warnings

import pytest
import torch

from AdaptCore.errors import ModelError
from AdaptCore.models.devices import available_devices, choose_device, choose_dtype, run_with_fallback

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def machine_with(monkeypatch: pytest.MonkeyPatch, *, cuda: int = 0, mps: bool = False) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted"), [(1, True, "cuda"), (0, True, "mps"), (0, False, "cpu"), (2, False, "cuda")]
)
def test_the_fastest_device_is_chosen(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, wanted: str) -> None:
    machine_with(monkeypatch, cuda=cuda, mps=mps)
    assert choose_device() == torch.device(wanted)


def test_the_requested_device_wins_over_a_faster_one(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, cuda=2, mps=True)
    assert [str(choose_device(name)) for name in ("cpu", "mps", "cuda", "cuda:1")] == ["cpu", "mps", "cuda", "cuda:1"]


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "CPU", "", "cpu:0 ", "meta"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(ModelError, match=f"Expected the device cpu, cuda, cuda:N or mps, got '{name}'"):
        choose_device(name)


def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    machine_with(monkeypatch, cuda=2)
    with pytest.raises(ModelError, match="PyTorch sees 2 CUDA devices here, got 'cuda:2'"):
        choose_device("cuda:2")


@pytest.mark.parametrize("name", ["cuda", "mps"])
def test_an_accelerator_is_refused_on_a_machine_without(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    machine_with(monkeypatch)
    with pytest.raises(ModelError, match=rf"{name}.*\. Choose cpu\."):
        choose_device(name)


@pytest.mark.parametrize(
    ("flags", "wanted"),
    [
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, torch.float32),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({}, torch.float32),
    ],
)
def test_a_processor_gets_bfloat16_only_with_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, flags: dict[str, bool], wanted: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: flags, raising=False)
    assert choose_dtype(CPU) == wanted


def test_a_pytorch_that_cannot_tell_gets_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    assert choose_dtype(CPU) == torch.float32


@pytest.mark.parametrize(("native", "wanted"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_that_emulates_bfloat16_gets_float32(
    monkeypatch: pytest.MonkeyPatch, native: bool, wanted: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native)
    assert choose_dtype(CUDA) == wanted


class FullAccelerator:
    """Work that fails with `error` until it is moved to the CPU."""

    def __init__(self, error: Exception) -> None:
        self.error, self.moved, self.calls = error, 0, 0

    def compute(self) -> str:
        self.calls += 1
        if not self.moved:
            raise self.error
        return "done"

    def move_to_cpu(self) -> None:
        self.moved += 1


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")],
    ids=["cuda", "mps"],
)
def test_work_goes_on_with_the_cpu_when_the_accelerator_is_full(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    work = FullAccelerator(error)
    with pytest.warns(UserWarning, match=r"cuda is out of memory\. Going on with the CPU"):
        assert run_with_fallback(work.compute, device=CUDA, move_to_cpu=work.move_to_cpu) == "done"
    assert (work.moved, work.calls) == (1, 2)


def test_work_that_fits_stays_where_it_is() -> None:
    work = FullAccelerator(ValueError("unused"))
    work.moved = 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert run_with_fallback(work.compute, device=CUDA, move_to_cpu=work.move_to_cpu) == "done"
    assert (work.moved, work.calls) == (1, 1)


def test_another_failure_is_not_taken_for_full_memory() -> None:
    work = FullAccelerator(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="mat1"):
        run_with_fallback(work.compute, device=CUDA, move_to_cpu=work.move_to_cpu)
    assert work.moved == 0


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_full_memory_on_the_cpu_is_an_error_that_says_so(error: Exception) -> None:
    work = FullAccelerator(error)
    with pytest.raises(ModelError, match="Out of memory on the CPU"):
        run_with_fallback(work.compute, device=CPU, move_to_cpu=work.move_to_cpu)
    assert work.calls == 1


def test_when_both_memories_are_full_it_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)
    work = FullAccelerator(torch.OutOfMemoryError("out of memory"))
    with pytest.warns(UserWarning), pytest.raises(ModelError, match="Out of memory on the CPU"):
        run_with_fallback(work.compute, device=CUDA, move_to_cpu=lambda: None)
    assert work.calls == 2


@pytest.mark.parametrize(
    ("cuda", "mps", "wanted"),
    [
        (0, False, ("cpu",)),
        (1, False, ("cpu", "cuda")),
        (2, False, ("cpu", "cuda:0", "cuda:1")),
        (0, True, ("cpu", "mps")),
    ],
)
def test_available_devices_can_be_chosen(
    monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool, wanted: tuple[str, ...]
) -> None:
    machine_with(monkeypatch, cuda=cuda, mps=mps)
    assert available_devices() == wanted
    assert tuple(str(choose_device(name)) for name in wanted) == wanted
