"""Weights of a small compact model, random, quick to write and to load."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

from AdaptCore.models.compact import CompactConfig, CompactNetwork
from AdaptCore.models.described import config_to_json

SMALL = CompactConfig(input_side=64, stem=(16, 16, 16), dim=32, heads=2, blocks=1, decoder=(16, 16, 16), mlp=32)


def small_network() -> CompactNetwork:
    """Always the same."""
    torch.manual_seed(0)
    return CompactNetwork(SMALL)


def write_small_model(path: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in small_network().state_dict().items()}
    save_file(tensors, path, {"architecture": "compact", "config": config_to_json(SMALL)})
