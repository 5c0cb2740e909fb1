"""A compact model of a few thousand weights that can learn, for tests of learning."""

from __future__ import annotations

import torch

from AdaptCore.adapt.history import Event, Outcome
from AdaptCore.adapt.learner import Knowledge
from AdaptCore.adapt.lessons import Memory
from AdaptCore.models.compact import CompactConfig, CompactModel, CompactNetwork

TINY = CompactConfig(input_side=64, stem=(16, 16, 16), dim=32, heads=2, blocks=1, decoder=(16, 16, 16), mlp=32)


def tiny_model(seed: int = 0) -> CompactModel:
    """Random weights; the digest tells the seeds apart."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        network = CompactNetwork(TINY)
    return CompactModel(network, "tiny", f"{seed:064d}", torch.device("cpu"))


def moved(model: CompactModel, by: float, name: str = "mix_half.conv.0.weight") -> CompactModel:
    """The model with one of its decoder's tensors moved by a constant."""
    return model.with_decoder({name: model.decoder_parameters()[name] + by})


def taught(known: Knowledge, by: float, clicks: int) -> Knowledge:
    """What is known after a made-up lesson: the decoder is moved and an outcome of so many clicks is noted."""
    outcome = Outcome(clicks, frozen=0.5, adapted=min(1.0, 0.5 + clicks / 100), event=Event.LEARNT)
    return Knowledge(moved(known.model, by), known.good, Memory(known.memory.max_bytes), (*known.history, outcome))
