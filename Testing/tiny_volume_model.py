"""A model of volumes with a few thousand random weights, quick enough for tests."""

from __future__ import annotations

import torch

from AdaptCore.models.volumetric import VolumetricConfig, VolumetricModel, VolumetricNetwork

TINY_VOLUMETRIC = VolumetricConfig(
    channels=(8, 8, 16, 16), prompts=(4, 4, 8), heads=2, blocks=(1, 1), readout=3, alternatives=3
)


def tiny_volume_model(seed: int = 0) -> VolumetricModel:
    """Always the same for a seed."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = VolumetricNetwork(TINY_VOLUMETRIC)
    return VolumetricModel(network, "tiny3d", f"{seed:064d}", torch.device("cpu"))
