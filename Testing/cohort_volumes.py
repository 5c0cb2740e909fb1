"""Small synthetic volumes of a cohort: two touching classes at a varying place, and features that know them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.cohort.features import CHANNELS, Features, grid_of

SHAPE = (24, 28, 20)


def a_label(shift: tuple[int, int, int] = (0, 0, 0), shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    """Classes uint8 (I, J, K): 1 below and 2 above the middle of an ellipsoid, moved by `shift` voxels."""
    i, j, k = np.ogrid[: shape[0], : shape[1], : shape[2]]
    middle = [side // 2 + step for side, step in zip(shape, shift)]
    inside = ((i - middle[0]) / 6) ** 2 + ((j - middle[1]) / 8) ** 2 + ((k - middle[2]) / 5) ** 2 <= 1
    return np.where(inside, np.where(j < middle[1], 1, 2), 0).astype(np.uint8)


def an_image(label: np.ndarray, seed: int = 0) -> np.ndarray:
    """float32 (I, J, K): each class with its intensity, and noise."""
    noise = np.random.default_rng(seed).normal(0, 5, label.shape)
    return (np.array([40, 120, 200])[label] + noise).astype(np.float32)


def some_features(label: np.ndarray, noise: float = 0.3, seed: int = 0) -> Features:
    """Features that hold one direction a class, with noise."""
    grid = grid_of(label.shape)
    directions = torch.randn(3, CHANNELS, generator=torch.Generator().manual_seed(0))
    classes = F.one_hot(torch.from_numpy(label.astype(np.int64)), 3).permute(3, 0, 1, 2).float()
    shares = F.adaptive_avg_pool3d(classes, grid)
    values = torch.einsum("nc,nijk->cijk", F.normalize(directions, dim=1), shares)
    values += noise / CHANNELS**0.5 * torch.randn(values.shape, generator=torch.Generator().manual_seed(seed + 1))
    return Features(F.normalize(values, dim=0).half().numpy(), (label.shape[0], label.shape[1], label.shape[2]))


def probabilities_of(label: np.ndarray, sure: float = 0.98) -> np.ndarray:
    """float32 (3, I, J, K): `sure` for the label's class, the rest shared by the others."""
    classes = np.moveaxis(np.eye(3, dtype=np.float32)[label], -1, 0)
    return (classes * sure + (1 - classes) * (1 - sure) / 2).astype(np.float32)
