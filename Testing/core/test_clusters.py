"""k-means on distances: the same clusters as by hand, fewer where fewer points differ, and the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from AdaptCore.preference.clusters import cluster, distances_to_means, squared_distances


def clusters_of(points: np.ndarray, most: int, seed: int = 0) -> list[list[int]]:
    return [list(each) for each in cluster(squared_distances(points), most, 4, 20, np.random.default_rng(seed))]


def scatter(points: np.ndarray, clusters: list[list[int]]) -> float:
    return float(sum(((points[rows] - points[rows].mean(axis=0)) ** 2).sum() for rows in clusters))


def test_distances_are_euclidean() -> None:
    points = np.random.default_rng(0).normal(size=(7, 40))
    np.testing.assert_allclose(squared_distances(points), cdist(points, points, "sqeuclidean"), atol=1e-10)


def test_distances_to_means_need_no_points() -> None:
    rng = np.random.default_rng(1)
    points, labels = rng.normal(size=(12, 5)) * rng.uniform(0.1, 9, (12, 1)), np.array([0, 1, 2, 2] * 3)
    means = np.stack([points[labels == label].mean(axis=0) for label in range(3)])
    found = distances_to_means(squared_distances(points), labels)
    np.testing.assert_allclose(found, cdist(points, means, "sqeuclidean"), atol=1e-9)


def test_blobs_are_found_with_the_point_nearest_to_their_mean_first() -> None:
    points = np.array([[0.0], [9.0], [1.0], [10.4], [2.0], [10.0], [50.0]])
    assert sorted(clusters_of(points, 3)) == [[2, 0, 4], [5, 3, 1], [6]]


def test_fewer_clusters_where_fewer_points_differ() -> None:
    points = np.array([[1.0, 1.0], [5.0, 5.0], [1.0, 1.0], [5.0, 5.0]])
    assert sorted(clusters_of(points, 4)) == [[0, 2], [1, 3]]
    assert clusters_of(np.zeros((3, 2)), 4) == [[0, 1, 2]]
    assert clusters_of(np.zeros((1, 2)), 4) == [[0]]


@pytest.mark.parametrize("seed", range(5))
def test_every_point_is_in_one_cluster_whose_mean_is_nearest(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(48, 2)) * np.repeat([[0.1], [1.0], [4.0]], 16, axis=0)
    clusters = clusters_of(points, 4, seed)
    assert sorted(place for rows in clusters for place in rows) == list(range(48)) and len(clusters) == 4
    means = np.stack([points[rows].mean(axis=0) for rows in clusters])
    nearest = cdist(points, means).argmin(axis=1)
    assert all((nearest[rows] == place).all() for place, rows in enumerate(clusters))


def test_several_starts_are_no_looser_than_one() -> None:
    points = np.random.default_rng(1).normal(size=(48, 6))
    apart = squared_distances(points)
    once = [
        scatter(points, [list(rows) for rows in cluster(apart, 4, 1, 20, np.random.default_rng(seed))])
        for seed in range(20)
    ]
    often = [
        scatter(points, [list(rows) for rows in cluster(apart, 4, 8, 20, np.random.default_rng(seed))])
        for seed in range(20)
    ]
    assert np.mean(often) < np.mean(once) and max(often) < max(once)


def test_the_same_seed_gives_the_same_clusters() -> None:
    points = np.random.default_rng(2).normal(size=(48, 6))
    assert clusters_of(points, 4, 3) == clusters_of(points, 4, 3)
