"""k-means with k-means++ starts, seeded, on the squared distances of few points in many dimensions."""

from __future__ import annotations

import numpy as np
import torch


def squared_distances(points: np.ndarray) -> np.ndarray:
    """Squared Euclidean distances float64 (N, N) of points (N, F) to each other.

    The product is torch's: the threads of NumPy's would spin on beside the decoder's for a while.
    """
    known = torch.from_numpy(points)
    products = (known @ known.T).double().numpy()
    squares = products.diagonal()
    apart = np.maximum(squares[:, None] + squares - 2 * products, 0.0)
    np.fill_diagonal(apart, 0.0)
    return apart


def cluster(apart: np.ndarray, most: int, starts: int, iterations: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The tightest of several clusterings by k-means.

    Args:
        apart: squared distances (N, N) of at least one point.
        most: number of clusters; fewer come back where fewer points differ.
        starts: how often to begin.
        iterations: most steps each time.

    Returns:
        Indices of each cluster's points, the one nearest to their mean first, none empty.
    """
    found = [_settled(apart, _spread(apart, most, rng), iterations) for _ in range(starts)]
    labels = min(found, key=lambda each: float(distances_to_means(apart, each).min(axis=1).sum()))
    to_means = distances_to_means(apart, labels)
    order = [np.flatnonzero(labels == place) for place in np.unique(labels)]
    return [rows[np.argsort(to_means[rows, place], kind="stable")] for place, rows in enumerate(order)]


def distances_to_means(apart: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Squared distances (N, K) of points to the mean of each label 0 ... K - 1, from those to each other (N, N)."""
    shares = np.eye(labels.max() + 1)[labels]
    shares /= shares.sum(axis=0)
    crossed = apart @ shares
    return np.asarray(crossed - 0.5 * (shares * crossed).sum(axis=0))


def _spread(apart: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    """First labels (N,): each point's nearest of those drawn far from each other (k-means++)."""
    chosen = [int(rng.integers(len(apart)))]
    while len(chosen) < most:
        far = apart[:, chosen].min(axis=1)
        if not far.any():
            break
        chosen.append(int(rng.choice(len(apart), p=far / far.sum())))
    return np.asarray(apart[:, chosen].argmin(axis=1))


def _settled(apart: np.ndarray, labels: np.ndarray, iterations: int) -> np.ndarray:
    """Labels 0 ... K - 1 after so many of Lloyd's steps, or once they stay; what loses all points is left out."""
    for _ in range(iterations):
        before = np.unique(labels, return_inverse=True)[1]
        labels = distances_to_means(apart, before).argmin(axis=1)
        if np.array_equal(labels, before):
            break
    return np.unique(labels, return_inverse=True)[1]
