"""Origins of voxels: two bits each, written and read by flat index."""

from __future__ import annotations

import numpy as np
import pytest

from AdaptCore.predict.origins import Origin, Origins


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_origins_come_back_as_they_were_put(dtype: type) -> None:
    rng = np.random.default_rng(0)
    wanted, origins = np.zeros(1003, np.uint8), Origins(1003)
    for _ in range(30):
        voxels = rng.permutation(1003)[: rng.integers(0, 400)].astype(dtype)
        given = rng.integers(0, 3, len(voxels)).astype(np.uint8)
        wanted[voxels] = given
        origins.put(voxels, given)
        np.testing.assert_array_equal(origins.at(np.arange(1003, dtype=dtype)), wanted)
    origins.put(np.array([1002], dtype), Origin.CONFIRMED)
    assert origins.at(np.array([1002, 1001], dtype)).tolist() == [Origin.CONFIRMED, wanted[1001]]


def test_what_is_carried_leaves_what_is_confirmed() -> None:
    origins = Origins(10)
    origins.put(np.array([2, 3, 7]), Origin.CONFIRMED)
    origins.carry(np.array([1, 2]))
    assert origins.at(np.arange(10)).tolist() == [0, 1, 2, 2, 0, 0, 0, 2, 0, 0]
    origins.carry(None)
    assert origins.at(np.arange(10)).tolist() == [1, 1, 2, 2, 1, 1, 1, 2, 1, 1]
