"""The 3D convolution: both of its forms give torch's numbers, and each device gets its faster one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from AdaptCore.models import conv3d
from AdaptCore.models.conv3d import Conv3d, prefers_stacked, stacked_conv3d

SIZES = [(8, 8, 8), (1, 1, 1), (7, 5, 3), (1, 6, 9), (2, 1, 4)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("biased", [True, False])
def test_stacked_form_equals_torch_forward_and_backward(size: tuple[int, int, int], stride: int, biased: bool) -> None:
    torch.manual_seed(0)
    tensors = [torch.randn(2, 3, *size), torch.randn(4, 3, 3, 3, 3), torch.randn(4)][: 3 if biased else 2]
    ours, theirs = ([tensor.clone().requires_grad_() for tensor in tensors] for _ in range(2))
    answer = stacked_conv3d(ours[0], ours[1], ours[2] if biased else None, stride)
    expected = F.conv3d(theirs[0], theirs[1], theirs[2] if biased else None, stride, padding=1)
    assert answer.shape == expected.shape == (2, 4, *((length + stride - 1) // stride for length in size))
    torch.testing.assert_close(answer, expected, atol=1e-4, rtol=1e-4)
    slope = torch.randn(answer.shape)
    for output in (answer, expected):
        output.backward(slope)
    for one, other in zip(ours, theirs):
        torch.testing.assert_close(one.grad, other.grad, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("device", "flags", "stacked"),
    [
        ("cpu", {}, True),
        ("cpu", {"avx2": True, "avx512_f": False}, True),
        ("cpu", {"avx2": True, "avx512_f": True}, False),
        ("cuda", {}, False),
        ("mps", {}, False),
    ],
)
def test_each_device_gets_its_faster_form(
    monkeypatch: pytest.MonkeyPatch, device: str, flags: dict[str, bool], stacked: bool
) -> None:
    monkeypatch.setattr(conv3d, "cpu_capabilities", lambda: flags)
    assert prefers_stacked(torch.device(device)) is stacked


@pytest.mark.parametrize("stride", [1, 2])
def test_weights_give_the_same_whichever_form_is_chosen(monkeypatch: pytest.MonkeyPatch, stride: int) -> None:
    torch.manual_seed(1)
    layer, x = Conv3d(3, 5, stride, bias=True), torch.randn(2, 3, 6, 6, 6)
    used: list[bool] = []
    monkeypatch.setattr(conv3d, "stacked_conv3d", lambda *a: used.append(True) or stacked_conv3d(*a))
    answers = []
    for choice in (True, False):
        monkeypatch.setattr(conv3d, "prefers_stacked", lambda device, choice=choice: choice)
        answers.append(layer(x))
    assert used == [True]
    torch.testing.assert_close(answers[0], answers[1], atol=1e-4, rtol=1e-4)
    plain = torch.nn.Conv3d(3, 5, 3, stride, 1)
    plain.load_state_dict(layer.state_dict())
    torch.testing.assert_close(answers[0], plain(x), atol=1e-4, rtol=1e-4)
