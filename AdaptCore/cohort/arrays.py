"""What is computed of a case, as sealed files: features, probabilities and the weights of a network."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from AdaptCore.errors import CohortError
from AdaptCore.facts import Kind
from AdaptCore.json_text import parse
from AdaptCore.sealed import read_sealed, write_sealed

FEATURES, PROBABILITIES, NETWORK = (
    Kind(f"cohort-{name}", CohortError) for name in ("features", "probabilities", "network")
)
MOST_LEVEL = 255
"""Probabilities are kept in steps of 1/255, and packed: nearly all voxels are sure."""


@dataclass(frozen=True, eq=False)
class StoredFeatures:
    """Dense features of one volume.

    Attributes:
        values: float16 (C, i', j', k') on a coarse grid.
        shape: (I, J, K) of the volume.
        source: what they were computed from, as text.
    """

    values: np.ndarray
    shape: tuple[int, int, int]
    source: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network.

    Attributes:
        weights: tensors by name.
        settings: what else is needed to build it, as text.
    """

    weights: Mapping[str, Tensor]
    settings: Mapping[str, str]


def write_features(path: Path, features: StoredFeatures) -> None:
    """Write features.

    Raises:
        OutputError: the system could not write.
    """
    tensors = {"values": torch.from_numpy(np.ascontiguousarray(features.values, dtype=np.float16))}
    write_sealed(path, FEATURES, tensors, {**features.source, "shape": json.dumps(list(features.shape))})


def read_features(path: Path) -> StoredFeatures:
    """Read features.

    Raises:
        CohortError: see `read_sealed`.
    """
    tensors, facts = read_sealed(path, FEATURES)
    try:
        i, j, k = (int(length) for length in parse(facts.pop("shape")))
        return StoredFeatures(tensors["values"].numpy(), (i, j, k), facts)
    except (KeyError, TypeError, ValueError) as error:
        raise CohortError(f"{path}: Expected features of a volume, got a damaged file ({error}).") from error


def write_probabilities(path: Path, probabilities: np.ndarray) -> None:
    """Write float32 (classes, I, J, K) in 256 steps.

    Raises:
        OutputError: the system could not write.
    """
    levels = np.rint(np.clip(probabilities, 0.0, 1.0) * MOST_LEVEL).astype(np.uint8)
    packed = np.frombuffer(zlib.compress(levels.tobytes(), level=1), np.uint8).copy()
    write_sealed(path, PROBABILITIES, {"packed": torch.from_numpy(packed)}, {"shape": json.dumps(list(levels.shape))})


def read_probabilities(path: Path) -> np.ndarray:
    """Probabilities float32 (classes, I, J, K).

    Raises:
        CohortError: see `read_sealed`.
    """
    tensors, facts = read_sealed(path, PROBABILITIES)
    try:
        shape = tuple(int(length) for length in parse(facts["shape"]))
        packed = tensors["packed"].numpy().tobytes()
        levels = np.frombuffer(zlib.decompressobj().decompress(packed, math.prod(shape) + 1), np.uint8)
        return levels.reshape(shape).astype(np.float32) / MOST_LEVEL
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise CohortError(f"{path}: Expected probabilities of a volume, got a damaged file ({error}).") from error


def write_network(path: Path, network: Network) -> None:
    """Write a network.

    Raises:
        OutputError: the system could not write.
    """
    write_sealed(path, NETWORK, network.weights, {"settings": json.dumps(dict(network.settings))})


def read_network(path: Path) -> Network:
    """Read a network.

    Raises:
        CohortError: see `read_sealed`.
    """
    tensors, facts = read_sealed(path, NETWORK)
    try:
        return Network(tensors, dict(parse(facts["settings"])))
    except (KeyError, TypeError, ValueError) as error:
        raise CohortError(f"{path}: Expected settings of a network, got a damaged file ({error}).") from error
