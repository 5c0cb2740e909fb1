"""What histories keep of answers and labels: compressed arrays, a few kilobytes for a plane."""

from __future__ import annotations

import mmap
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from AdaptCore.prompts import Box, Click, Lasso, Prompts

STEPS = 16
"""Packed logits are whole multiples of one in this many; a finer step keeps noise."""

LARGEST = 32767 // STEPS
"""Largest packed logit."""

LEVEL = 1
"""Of zlib: the fastest; runs and smooth maps become small at any."""

OWN_MEMORY = 512
"""Packed data of more bytes than this lies outside of the heap, as long as the system has places; see `_packed`."""


def _packed(values: np.ndarray) -> bytes | mmap.mmap:
    """Compressed values.

    What stays on the heap between large arrays that come and go makes their places too small for the next ones:
    measured, a click then took 0.75 MB for ever instead of 0.07.
    """
    data = zlib.compress(values.tobytes(), LEVEL)
    if len(data) <= OWN_MEMORY:
        return data
    try:
        memory = own_memory(len(data))
    except OSError:
        return data
    memory.write(data)
    return memory


def own_memory(size: int) -> mmap.mmap:
    """Zeros outside of the heap, of which only the pages that are written to take memory.

    Private where the system tells that from shared: it joins private places, of which it has about 65,000.
    """
    return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE) if hasattr(mmap, "MAP_PRIVATE") else mmap.mmap(-1, size)


@dataclass(frozen=True, eq=False)
class PackedArray:
    """An array of integers of which neighbours are alike, such as flat indices or labels."""

    dtype: np.dtype
    data: bytes | mmap.mmap

    @classmethod
    def of(cls, values: np.ndarray) -> PackedArray:
        """Pack values (N) as the differences between them, which wrap around."""
        differences = np.diff(values, prepend=values.dtype.type(0))
        return cls(values.dtype, _packed(differences))

    def values(self) -> np.ndarray:
        """The values (N) as they were."""
        return np.frombuffer(zlib.decompress(self.data), self.dtype).cumsum(dtype=self.dtype)


@dataclass(frozen=True, eq=False)
class PackedLogits:
    """Logits (H, W) to the nearest 1/16 on the same side of zero: the mask is exact."""

    shape: tuple[int, ...]
    data: bytes | mmap.mmap

    @classmethod
    def of(cls, logits: np.ndarray) -> PackedLogits:
        """Pack logits (H, W), float32."""
        scaled = logits.clip(-LARGEST, LARGEST) * np.float32(STEPS)
        nearest = np.rint(scaled)
        whole = np.where(logits > 0, np.maximum(nearest, 1), np.minimum(nearest, 0)).astype(np.int16)
        low_and_high = np.ascontiguousarray(whole).view(np.uint8).reshape(-1, 2).T
        return cls(logits.shape, _packed(low_and_high))

    def logits(self) -> np.ndarray:
        """float32 (H, W)."""
        low_and_high = np.frombuffer(zlib.decompress(self.data), np.uint8).reshape(2, -1)
        whole = np.ascontiguousarray(low_and_high.T).view(np.int16).reshape(self.shape)
        return whole.astype(np.float32) / np.float32(STEPS)


@dataclass(frozen=True, eq=False)
class PackedMask:
    """A mask (H, W)."""

    shape: tuple[int, ...]
    data: bytes | mmap.mmap

    @classmethod
    def of(cls, mask: np.ndarray) -> PackedMask:
        """Pack a mask, bool (H, W)."""
        return cls(mask.shape, _packed(np.packbits(mask)))

    def mask(self) -> np.ndarray:
        """bool (H, W)."""
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        return np.unpackbits(bits, count=int(np.prod(self.shape))).reshape(self.shape).view(bool)


class PackedMasks(Mapping[int, np.ndarray]):
    """Masks by slice index, bool (H, W) and read-only, each unpacked when it is asked for."""

    def __init__(self, packed: Mapping[int, PackedMask]) -> None:
        self._packed = packed

    def __getitem__(self, index: int) -> np.ndarray:
        mask = self._packed[index].mask()
        mask.flags.writeable = False
        return mask

    def __iter__(self) -> Iterator[int]:
        return iter(self._packed)

    def __len__(self) -> int:
        return len(self._packed)


@dataclass(frozen=True, eq=False)
class PackedPrompts:
    """Prompts of a plane, as exact as they were given."""

    data: bytes | mmap.mmap
    box: Box | None
    lasso: Lasso | None

    @classmethod
    def of(cls, prompts: Prompts) -> PackedPrompts:
        rows = [(click.x, click.y, click.positive) for click in prompts.clicks]
        return cls(_packed(np.array(rows, np.float64)), prompts.box, prompts.lasso)

    def prompts(self) -> Prompts:
        rows = np.frombuffer(zlib.decompress(self.data), np.float64).reshape(-1, 3).tolist()
        return Prompts(tuple(Click(x, y, bool(positive)) for x, y, positive in rows), self.box, self.lasso)
