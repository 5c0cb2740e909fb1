"""The embedding cache forgets the oldest first, computes once, and the background thread ends when told."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch

from AdaptCore.models.base import Embedding
from AdaptCore.predict.background import BackgroundWorker
from AdaptCore.predict.cache import EmbeddingCache, EmbeddingKey, key
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.intensity import Window
from AdaptCore.predict.zoom import CropWindow

TIMEOUT = 10.0


def an_embedding(floats: int) -> Embedding:
    return Embedding((torch.zeros(floats),), (8, 8), (8, 8), 8)


def a_key(name: str) -> EmbeddingKey:
    return EmbeddingKey("model", name, None, None)


def computed(cache: EmbeddingCache, names: str, floats: int = 10) -> str:
    """Ask for an embedding of each name; gives the names of those that had to be computed."""
    done: list[str] = []

    def compute(name: str) -> Embedding:
        done.append(name)
        return an_embedding(floats)

    for name in names:
        cache.get_or_compute(a_key(name), partial(compute, name))
    return "".join(done)


def test_least_recently_used_embedding_goes_first():
    cache = EmbeddingCache(max_bytes=3 * 40)
    assert computed(cache, "abcad") == "abcd"
    assert computed(cache, "acdb") == "b"


def test_embeddings_make_room_for_a_larger_one_and_are_kept_beside_one_that_is_too_large():
    cache = EmbeddingCache(max_bytes=100)
    computed(cache, "ab")
    assert computed(cache, "x", floats=26) == computed(cache, "x", floats=26) == "x"
    assert computed(cache, "ab") == ""
    assert computed(cache, "y", floats=25) == "y"
    assert computed(cache, "y", floats=25) == ""
    assert computed(cache, "ab") == "ab"


def test_cache_tells_how_long_the_latest_embedding_took():
    cache = EmbeddingCache()
    assert cache.seconds is None

    def compute(seconds: float) -> Embedding:
        time.sleep(seconds)
        return an_embedding(10)

    cache.get_or_compute(a_key("a"), partial(compute, 0.05))
    assert 0.05 <= cache.seconds < TIMEOUT
    cache.get_or_compute(a_key("b"), partial(compute, 0.0))
    latest = cache.seconds
    assert latest < 0.05
    computed(cache, "a")
    assert cache.seconds == latest, "what is kept takes no time"
    cache.clear()
    assert cache.seconds is None


def test_key_depends_on_voxels_plane_window_model_and_crop():
    voxels = np.arange(12, dtype=np.int16).reshape(3, 4)
    plane, window = axis_plane((4, 3, 2), 2, 0), Window(0, 10)
    changed = voxels.copy()
    changed[2, 3] += 1
    base = key("m", voxels, plane, window)
    assert base == key("m", voxels.copy(), axis_plane((4, 3, 2), 2, 0), Window(0, 10))
    others = [
        key("n", voxels, plane, window),
        key("m", changed, plane, window),
        key("m", voxels.reshape(4, 3), plane, window),
        key("m", voxels.view(np.uint16), plane, window),
        key("m", voxels, axis_plane((4, 3, 2), 2, 1), window),
        key("m", voxels, plane, Window(0, 11)),
        base.cropped(CropWindow(0, 0, 2, 2)),
    ]
    assert len({base, *others}) == 1 + len(others)


def test_key_of_a_view_is_the_key_of_its_values():
    voxels = np.arange(24).reshape(4, 6)
    assert key("m", voxels[:, ::-1].T) == key("m", np.ascontiguousarray(voxels[:, ::-1].T))


def test_two_threads_compute_one_embedding_once():
    cache, started, go, calls, results = EmbeddingCache(), threading.Event(), threading.Event(), [], []

    def compute() -> Embedding:
        calls.append(1)
        started.set()
        assert go.wait(TIMEOUT)
        return an_embedding(4)

    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_compute(a_key("a"), compute))) for _ in range(2)
    ]
    threads[0].start()
    assert started.wait(TIMEOUT)
    threads[1].start()
    go.set()
    for thread in threads:
        thread.join(TIMEOUT)
    assert len(calls) == 1
    assert results[0] is results[1]


def test_several_embeddings_are_computed_in_one_call_but_for_those_that_are_kept():
    cache, asked = EmbeddingCache(), []

    def compute(places: Sequence[int]) -> list[Embedding]:
        asked.append(list(places))
        return [an_embedding(10 + place) for place in places]

    computed(cache, "b")
    found = cache.get_or_compute_all([a_key(name) for name in "abc"], compute)
    assert asked == [[0, 2]]
    assert [embedding.nbytes for embedding in found] == [40, 40, 48]
    again = cache.get_or_compute_all([a_key(name) for name in "cab"], compute)
    assert len(asked) == 1 and [id(embedding) for embedding in again] == [id(found[place]) for place in (2, 0, 1)]


def test_several_embeddings_wait_for_one_that_another_thread_computes():
    cache, started, go, results = EmbeddingCache(), threading.Event(), threading.Event(), []

    def slow() -> Embedding:
        started.set()
        assert go.wait(TIMEOUT)
        return an_embedding(7)

    def rest(places: Sequence[int]) -> list[Embedding]:
        go.set()
        return [an_embedding(1) for _ in places]

    threads = [
        threading.Thread(target=lambda: results.append(cache.get_or_compute(a_key("a"), slow))),
        threading.Thread(target=lambda: results.append(cache.get_or_compute_all([a_key("a"), a_key("b")], rest))),
    ]
    threads[0].start()
    assert started.wait(TIMEOUT)
    threads[1].start()
    for thread in threads:
        thread.join(TIMEOUT)
    (one,) = [result for result in results if isinstance(result, Embedding)]
    (both,) = [result for result in results if isinstance(result, list)]
    assert both[0] is one and both[1].nbytes == 4


def test_none_of_several_is_kept_where_one_cannot_be_computed():
    cache = EmbeddingCache()

    def fail(places: Sequence[int]) -> list[Embedding]:
        raise MemoryError

    with pytest.raises(MemoryError):
        cache.get_or_compute_all([a_key("a"), a_key("b")], fail)
    assert computed(cache, "ab") == "ab"


def test_failed_computation_is_raised_and_tried_again():
    cache = EmbeddingCache()

    def fail() -> Embedding:
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        cache.get_or_compute(a_key("a"), fail)
    embedding = an_embedding(4)
    assert cache.get_or_compute(a_key("a"), lambda: embedding) is embedding


def test_background_jobs_run_in_order():
    worker, done = BackgroundWorker(), []
    worker.request([lambda: done.append(1), lambda: done.append(2)])
    assert worker.wait(TIMEOUT)
    worker.request([lambda: done.append(3)])
    assert worker.wait(TIMEOUT)
    worker.close()
    assert done == [1, 2, 3]


@pytest.fixture
def a_blocked_worker():
    """A worker whose first job waits for `go`."""
    worker, started, go = BackgroundWorker(), threading.Event(), threading.Event()

    def block() -> None:
        started.set()
        assert go.wait(TIMEOUT)

    worker.request([block])
    assert started.wait(TIMEOUT)
    yield worker, go
    go.set()
    worker.close()


def test_new_request_and_cancel_drop_what_waits(a_blocked_worker):
    worker, go = a_blocked_worker
    done = []
    worker.request([lambda: done.append("dropped")])
    worker.request([lambda: done.append("kept")])
    assert not worker.wait(0.01)
    go.set()
    assert worker.wait(TIMEOUT)
    assert done == ["kept"]


def test_cancel_drops_what_waits(a_blocked_worker):
    worker, go = a_blocked_worker
    done = []
    worker.request([lambda: done.append("dropped")])
    worker.cancel()
    go.set()
    assert worker.wait(TIMEOUT)
    assert done == []


def test_error_in_the_background_is_logged_as_a_warning_and_the_next_job_runs(caplog):
    worker, done = BackgroundWorker(), []

    def fail() -> None:
        raise RuntimeError("boom")

    worker.request([fail, lambda: done.append(1)])
    assert worker.wait(TIMEOUT)
    worker.close()
    assert done == [1]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "RuntimeError: boom" in caplog.text


def background_threads() -> int:
    return sum(thread.name == "AdaptCore-background" for thread in threading.enumerate())


def test_close_ends_the_thread_and_refuses_more_work():
    before = background_threads()
    worker = BackgroundWorker()
    assert background_threads() == before
    worker.request([lambda: None])
    assert background_threads() == before + 1
    worker.close()
    worker.close()
    assert background_threads() == before
    with pytest.raises(RuntimeError, match="closed"):
        worker.request([lambda: None])


def test_forgotten_worker_ends_its_thread():
    before = background_threads()
    worker = BackgroundWorker()
    worker.request([lambda: None])
    assert worker.wait(TIMEOUT)
    del worker
    gc.collect()
    assert background_threads() == before


def test_forgotten_owner_of_a_job_is_freed_and_the_thread_ends():
    class Owner:
        def __init__(self) -> None:
            self.worker = BackgroundWorker()

        def work(self) -> None:
            pass

    before = background_threads()
    owner = Owner()
    owner.worker.request([owner.work])
    assert owner.worker.wait(TIMEOUT)
    freed = weakref.ref(owner)
    del owner
    gc.collect()
    end = time.monotonic() + TIMEOUT
    while background_threads() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert freed() is None
    assert background_threads() == before


def test_lower_limit_drops_the_oldest_at_once_and_clear_drops_all():
    cache = EmbeddingCache(max_bytes=3 * 40)
    computed(cache, "abc")
    cache.max_bytes = 2 * 40
    assert cache.max_bytes == 80
    assert computed(cache, "bca") == "a"
    cache.clear()
    assert computed(cache, "ca") == "ca"
    assert computed(cache, "ca") == "", "what was cleared takes no room any more"
