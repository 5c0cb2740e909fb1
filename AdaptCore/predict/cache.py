"""Embedding cache: what the encoder knows of recently seen planes, bounded in memory, shared between threads."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np

from AdaptCore.models.base import Embedding
from AdaptCore.predict.geometry import PlaneGeometry
from AdaptCore.predict.intensity import Window
from AdaptCore.predict.zoom import CropWindow

DEFAULT_BYTES = 512 * 2**20


@dataclass(frozen=True)
class EmbeddingKey:
    """What an embedding depends on: the model's weights, the voxels, the plane, the intensity window and the crop."""

    model: str
    voxels: str
    plane: PlaneGeometry | None
    window: Window | None
    crop: CropWindow | None = None

    def cropped(self, crop: CropWindow | None) -> EmbeddingKey:
        """The key of a window of the same plane, None for the whole plane."""
        return replace(self, crop=crop)


def key(
    model_digest: str, voxels: np.ndarray, plane: PlaneGeometry | None = None, window: Window | None = None
) -> EmbeddingKey:
    """The key of a plane's embedding; `voxels` are the plane's own, so a volume edited in place is noticed."""
    content = hashlib.blake2b(np.ascontiguousarray(voxels).data, digest_size=16)
    content.update(f"{voxels.shape}{voxels.dtype.str}".encode())
    return EmbeddingKey(model_digest, content.hexdigest(), plane, window)


class EmbeddingCache:
    """Least recently used embeddings go first; any entry may vanish at any time and is then computed again.

    Args:
        max_bytes: memory for all tensors together; an embedding larger than this is never kept.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[EmbeddingKey, Embedding] = OrderedDict()
        self._pending: dict[EmbeddingKey, Future[Embedding]] = {}
        self._nbytes = 0
        self._seconds: float | None = None
        self._lock = Lock()

    @property
    def max_bytes(self) -> int:
        """Memory for all tensors together; less of it makes the oldest go at once."""
        return self._max_bytes

    @max_bytes.setter
    def max_bytes(self, max_bytes: int) -> None:
        with self._lock:
            self._max_bytes = max_bytes
            self._make_room()

    @property
    def nbytes(self) -> int:
        """Memory that the kept tensors take."""
        return self._nbytes

    @property
    def seconds(self) -> float | None:
        """How long the latest embedding has taken to compute; None if there was none since the cache was cleared."""
        return self._seconds

    def clear(self) -> None:
        """Forget all embeddings."""
        with self._lock:
            self._entries.clear()
            self._nbytes = 0
            self._seconds = None

    def get_or_compute(self, key: EmbeddingKey, compute: Callable[[], Embedding]) -> Embedding:
        """The kept embedding, or the computed one; a thread that asks meanwhile waits for the first one's result.

        An error of `compute` is raised to all who wait for it, and nothing is kept.
        """
        return self.get_or_compute_all([key], lambda _: [compute()])[0]

    def get_or_compute_all(
        self, keys: Sequence[EmbeddingKey], compute: Callable[[Sequence[int]], Sequence[Embedding]]
    ) -> list[Embedding]:
        """As `get_or_compute` for each of several keys, no two alike.

        Args:
            compute: called once, with the places in `keys` of those that nobody has or computes yet, if there are any.
        """
        found: dict[int, Embedding] = {}
        pending: dict[int, Future[Embedding]] = {}
        with self._lock:
            for place, key in enumerate(keys):
                if key in self._entries:
                    self._entries.move_to_end(key)
                    found[place] = self._entries[key]
                elif key in self._pending:
                    pending[place] = self._pending[key]
            mine = {place: Future[Embedding]() for place in range(len(keys)) if place not in found | pending}
            self._pending |= {keys[place]: future for place, future in mine.items()}
        if mine:
            found |= self._compute(keys, mine, compute)
        return [found[place] if place in found else pending[place].result() for place in range(len(keys))]

    def _compute(
        self,
        keys: Sequence[EmbeddingKey],
        mine: dict[int, Future[Embedding]],
        compute: Callable[[Sequence[int]], Sequence[Embedding]],
    ) -> dict[int, Embedding]:
        """Embeddings by place, kept and given to all who wait for them."""
        start = time.perf_counter()
        try:
            computed = dict(zip(mine, compute(list(mine)), strict=True))
        except BaseException as error:
            with self._lock:
                for place in mine:
                    del self._pending[keys[place]]
            for future in mine.values():
                future.set_exception(error)
            raise
        with self._lock:
            self._seconds = (time.perf_counter() - start) / len(mine)
            for place, embedding in computed.items():
                self._store(keys[place], embedding)
                del self._pending[keys[place]]
        for place, future in mine.items():
            future.set_result(computed[place])
        return computed

    def _store(self, key: EmbeddingKey, embedding: Embedding) -> None:
        if embedding.nbytes > self._max_bytes:
            return
        self._entries[key] = embedding
        self._nbytes += embedding.nbytes
        self._make_room()

    def _make_room(self) -> None:
        while self._nbytes > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self._nbytes -= oldest.nbytes
