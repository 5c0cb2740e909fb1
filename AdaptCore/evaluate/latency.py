"""Benchmark of speed and memory: a model as the product runs it, beside SAM's own predictor in the same run."""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import numpy as np
import torch

from AdaptCore.adapt.learner import Learner
from AdaptCore.errors import ModelError
from AdaptCore.evaluate.adapt import TimedAdapter, learn_from
from AdaptCore.evaluate.phantom import PhantomRecipe, make_phantom
from AdaptCore.evaluate.tables import text_table
from AdaptCore.evaluate.users import next_click
from AdaptCore.models.base import AdaptableModel, Model
from AdaptCore.models.devices import choose_device
from AdaptCore.models.registry import load_model
from AdaptCore.models.sam import SamModel, build_network
from AdaptCore.predict.cache import EmbeddingCache
from AdaptCore.predict.geometry import axis_plane
from AdaptCore.predict.intensity import apply_window, auto_window
from AdaptCore.predict.masks import mask_logits
from AdaptCore.predict.plane import Look, PlaneEncoder, PlaneSession, predict_window
from AdaptCore.predict.volume import VolumeSession
from AdaptCore.predict.zoom import CropWindow, ZoomPolicy
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.latent import latent_of
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.thumbnails import thumbnails
from AdaptCore.prompts import Click, Prompts

SIDE = 512
LATER_CLICKS = 5
WARM_UP_ROUNDS = 2
PEER = "SamPredictor vit_b"
LEARNING_SAM = "SAM vit_b, learning"
LEARNING_SAM_ROUNDS = 3
"""It takes so long that fewer do, and that warming up does not matter."""
RATIOS = ("embed_ms", "click_ms", "first_click_ms")

Timings = dict[str, list[float]]
"""Milliseconds by measure."""

Answer = TypeVar("Answer")


class Contender(Protocol):
    """Something whose answers are timed."""

    def round(self, image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Timings:
        """Time everything once on a new image, float32 (S, S) in [0, 1], with the mask the user wants, bool (S, S)."""
        ...


class ProductContender:
    """A model behind plane and volume sessions.

    Measures: `embed_ms` of a whole plane; `first_click_ms` on a plane never seen (embedding, decoding); `click_ms` of
    the simulated user's later clicks there; `zoom_ms` of those that need a window never seen (embedding, decoding),
    besides one second look as such; `plane_change_ms` to a plane of a volume whose embedding is cached;
    `warm_click_ms`, the first click on it; `candidates_ms`, a round of candidates for the first click with their
    thumbnails.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        latent = latent_of(model.digest)
        self._adviser = Adviser(Profile.fresh("user", "task", space_of(model, latent)), latent)

    def round(self, image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Timings:
        first = _wanted_click(truth, np.zeros_like(truth), rng)
        embed_ms, _ = timed(self._model.encode, image, device=self._model.device)
        timings: Timings = {"embed_ms": [embed_ms]}
        started, session = timed(PlaneSession, self._model, image)
        answered, prediction = timed(session.click, first.x, first.y)
        timings["first_click_ms"] = [started + answered]
        timings["candidates_ms"] = [timed(self._candidates, image, session)[0]]
        timings |= {"click_ms": [], "zoom_ms": [self._zoom(image, truth, first)]}
        for _ in range(LATER_CLICKS):
            click, seen = _wanted_click(truth, prediction.mask, rng), session.window
            answered, prediction = timed(session.click, click.x, click.y, click.positive)
            timings["click_ms" if session.window in (None, seen) else "zoom_ms"].append(answered)
        change, warm = self._change_plane(image, first)
        return timings | {"plane_change_ms": [change], "warm_click_ms": [warm]}

    def _candidates(self, image: np.ndarray, session: PlaneSession) -> None:
        shown = self._adviser.ask(session)
        thumbnails(image if shown.view is None else image[shown.view.slices], shown.proposal)

    def _zoom(self, image: np.ndarray, truth: np.ndarray, click: Click) -> float:
        height, width = truth.shape
        window = CropWindow(width // 4, height // 4, 3 * width // 4, 3 * height // 4)
        encoder = PlaneEncoder(self._model, image, EmbeddingCache())
        before = Look(torch.from_numpy(mask_logits(truth)), 1.0)
        return timed(predict_window, self._model, encoder, Prompts((click,)), before, window, ZoomPolicy())[0]

    def _change_plane(self, image: np.ndarray, click: Click) -> tuple[float, float]:
        volume = np.stack([image.T, image.T[::-1]], axis=2)
        away, there = (axis_plane(volume.shape, 2, index) for index in (1, 0))
        with VolumeSession(self._model, volume, precompute=1) as session:
            session.plane(away)
            session.wait()
            change, plane_session = timed(session.plane, there)
            session.wait()
            warm, _ = timed(plane_session.click, click.x, click.y)
        return change, warm


class PeerContender:
    """`segment_anything.SamPredictor` with vit_b and random weights: the time does not depend on them.

    `embed_ms` is `set_image`, `first_click_ms` that and `predict` with three masks, `click_ms` is `predict` with one
    mask and the earlier logits, as in SAM's notebook.
    """

    def __init__(self, device: torch.device) -> None:
        """Raises ModelError when segment-anything or a fitting torchvision is missing."""
        torch.manual_seed(0)
        network = build_network("sam_vit_b").to(device)
        from segment_anything import SamPredictor

        self._predictor = SamPredictor(network)
        self._device = device

    def round(self, image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Timings:
        colour = np.repeat((255 * image).astype(np.uint8)[..., None], 3, axis=2)
        clicks = [_wanted_click(truth, np.zeros_like(truth), rng)]
        embed, _ = timed(self._predictor.set_image, colour, device=self._device)
        first, (masks, scores, logits) = timed(self._predict, clicks, None)
        best = int(scores.argmax())
        mask, prior = masks[best], logits[best]
        later: list[float] = []
        for _ in range(LATER_CLICKS):
            clicks.append(_wanted_click(truth, mask, rng))
            elapsed, (masks, _scores, logits) = timed(self._predict, clicks, prior)
            later.append(elapsed)
            mask, prior = masks[0], logits[0]
        return {"embed_ms": [embed], "first_click_ms": [embed + first], "click_ms": later}

    def _predict(self, clicks: list[Click], prior: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return self._predictor.predict(
            point_coords=np.array([(click.x, click.y) for click in clicks]),
            point_labels=np.array([int(click.positive) for click in clicks]),
            mask_input=None if prior is None else prior[None],
            multimask_output=prior is None,
        )


class LearningContender:
    """A learner behind plane sessions without second look.

    Measures: `mid_ms`, what learning from a click adds to its answer; `post_ms` of a lesson when nothing else runs;
    `alone_ms` of a click without mid step when nothing else runs; `meanwhile_ms` of the same click while a lesson is
    learnt in the background.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner

    def round(self, image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> Timings:
        """See `Contender`."""
        learner, adapter = self._learner, TimedAdapter(self._learner)
        embedding = learner.frozen.encode(image)
        learning = PlaneSession(learner.model, image, embedding=embedding, zoom=False, adapter=adapter)
        plain = PlaneSession(learner.frozen, image, embedding=embedding, zoom=False)
        mask, mid = np.zeros_like(truth), list[float]()
        for _ in range(1 + LATER_CLICKS):
            click = _wanted_click(truth, mask, rng)
            mask = learning.click(click.x, click.y, click.positive).mask
            mid += adapter.taken()
            plain.click(click.x, click.y)

        def again() -> float:
            plain.undo()
            return timed(plain.click, click.x, click.y)[0]

        examples = learning.examples(truth)
        post, _ = learn_from(learner, examples)
        learner.learn(examples)
        meanwhile = [again()]
        while not learner.wait(0):
            meanwhile.append(again())
        return {"mid_ms": mid, "post_ms": [post], "alone_ms": [again() for _ in meanwhile], "meanwhile_ms": meanwhile}


def measure(model_name: str, device: str | None, rounds: int) -> dict[str, Any]:
    """Time a model, SAM's predictor, and both models learning, one after the other on the same images.

    Peak memory comes from processes of their own.

    Returns:
        {"models": {name: {measure: {"median", "p95"}, "peak_mb"}}, "threads", "device", "input": [H, W], "rounds"} and,
        where SAM's predictor cannot run here, "skipped": {name: reason}.

    Raises:
        AdaptSegError: the model cannot be loaded.
    """
    contenders: dict[str, Contender] = {model_name: _product(model_name, device)}
    skipped: dict[str, str] = {}
    try:
        contenders[PEER] = _peer(device)
    except ModelError as error:
        skipped[PEER] = str(error)
    timings = time_rounds(contenders, rounds)
    timings |= _learning(f"{model_name}, learning", load_model(model_name, device), rounds, WARM_UP_ROUNDS)
    if not skipped:
        sam = SamModel.random(device=choose_device(device))
        timings |= _learning(LEARNING_SAM, sam, min(rounds, LEARNING_SAM_ROUNDS), warm_up=0)
    models = {name: summarize(of) for name, of in timings.items()}
    for name in contenders:
        models[name]["peak_mb"] = _in_own_process(_peak_of_peer if name == PEER else _peak_of_product, name, device)
    result = {
        "models": models,
        "threads": torch.get_num_threads(),
        "device": choose_device(device).type,
        "input": [SIDE, SIDE],
        "rounds": rounds,
    }
    return result | ({"skipped": skipped} if skipped else {})


def time_rounds(
    contenders: Mapping[str, Contender], rounds: int, side: int = SIDE, warm_up: int = WARM_UP_ROUNDS
) -> dict[str, Timings]:
    """Let each contender work through the same images and kinds of clicks; the first rounds only warm up.

    One after the other, as a user runs one model: in turns, the larger one's memory would slow the smaller one.
    """
    timings: dict[str, Timings] = {name: {} for name in contenders}
    for name, contender in contenders.items():
        for seed in range(warm_up + rounds):
            image, truth = phantom_plane(side, seed)
            measured = contender.round(image, truth, np.random.default_rng(seed))
            if seed >= warm_up:
                for key, values in measured.items():
                    timings[name].setdefault(key, []).extend(values)
    return timings


def summarize(timings: Timings) -> dict[str, Any]:
    """Median and 95th percentile of each measure."""
    return {
        key: {"median": float(np.median(values)), "p95": float(np.percentile(values, 95))}
        for key, values in timings.items()
    }


def report(result: dict[str, Any]) -> str:
    """The result as text: one row a measure and model, then the ratios to the peer or, last, why there is none."""
    rows: list[list[object]] = []
    for name, measures in result["models"].items():
        for key, value in measures.items():
            if key != "peak_mb":
                rows.append([name, key.removesuffix("_ms").replace("_", " "), value["median"], value["p95"]])
    lines = [text_table(["model", "measure", "median ms", "95th percentile ms"], rows), ""]
    lines += [
        f"peak memory of {name}: {measures['peak_mb']:.0f} MB"
        for name, measures in result["models"].items()
        if "peak_mb" in measures
    ]
    lines.append(
        f"{result['threads']} threads on {result['device']}, input {result['input'][0]} x {result['input'][1]}"
    )
    lines += _ratios(result["models"])
    lines += [f"{name} skipped: {reason}" for name, reason in result.get("skipped", {}).items()]
    return "\n".join(lines)


def phantom_plane(side: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A phantom of one plane, its lesion about a third as wide: float32 (S, S) in [0, 1] and bool (S, S)."""
    third = side * 0.8 / 6
    phantom = make_phantom(seed, PhantomRecipe(size=(side, side, 1), lesion_radii=(third, third, third)))
    stored = phantom.volume.array[:, :, 0].T
    return apply_window(stored, auto_window(stored)), np.ascontiguousarray(phantom.truth[:, :, 0].T)


def peak_megabytes() -> float:
    """Most memory that this process ever held, in MB."""
    if sys.platform == "win32":
        return _windows_peak_bytes() / 2**20
    elif sys.platform == "darwin":
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    else:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0]) / 2**10


def timed(work: Callable[..., Answer], *arguments: object, device: torch.device | None = None) -> tuple[float, Answer]:
    """Milliseconds and answer of work(*arguments); waits for what a GPU still computes."""
    started = time.perf_counter()
    answer = work(*arguments)
    if device is not None and device.type == "cuda":
        torch.cuda.synchronize(device)
    if device is not None and device.type == "mps":
        torch.mps.synchronize()
    return 1000 * (time.perf_counter() - started), answer


def _wanted_click(truth: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> Click:
    """The simulated user's click; a user who has nothing left to correct confirms the object."""
    return next_click(truth, mask, rng) or _wanted_click(truth, np.zeros_like(truth), rng)


def _product(name: str, device: str | None) -> ProductContender:
    return ProductContender(load_model(name, device))


def _peer(device: str | None) -> PeerContender:
    return PeerContender(choose_device(device))


def _learning(name: str, model: Model, rounds: int, warm_up: int) -> dict[str, Timings]:
    with Learner(cast(AdaptableModel, model)) as learner:
        return time_rounds({name: LearningContender(learner)}, rounds, warm_up=warm_up)


def _in_own_process(peak: Callable[[str, str | None], float], name: str, device: str | None) -> float:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(peak, name, device).result()


def _peak_of_product(name: str, device: str | None) -> float:
    time_rounds({name: _product(name, device)}, rounds=1, warm_up=0)
    return peak_megabytes()


def _peak_of_peer(name: str, device: str | None) -> float:
    time_rounds({name: _peer(device)}, rounds=1, warm_up=0)
    return peak_megabytes()


def _windows_peak_bytes() -> int:
    import ctypes
    from ctypes import wintypes

    class Counters(ctypes.Structure):
        _fields_ = (
            ("size", wintypes.DWORD),
            ("page_faults", wintypes.DWORD),
            ("peak_working_set", ctypes.c_size_t),
            ("others", ctypes.c_size_t * 7),
        )

    counters = Counters(size=ctypes.sizeof(Counters))
    kernel32 = ctypes.WinDLL("kernel32", use_last_error=True)  # type: ignore[attr-defined,unused-ignore]
    kernel32.GetCurrentProcess.restype = wintypes.HANDLE
    kernel32.K32GetProcessMemoryInfo.argtypes = (wintypes.HANDLE, ctypes.POINTER(Counters), wintypes.DWORD)
    if not kernel32.K32GetProcessMemoryInfo(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.size):
        raise ctypes.WinError(ctypes.get_last_error())  # type: ignore[attr-defined,unused-ignore]
    return int(counters.peak_working_set)


def _ratios(models: dict[str, Any]) -> list[str]:
    """How many times longer the peer takes, and a click while something is learnt, by median."""
    peer = models.get(PEER, {})
    lines = [
        f"{key.removesuffix('_ms').replace('_', ' ')}: {PEER} takes {peer[key]['median'] / of[key]['median']:.1f} x "
        f"as long as {name}"
        for name, of in models.items()
        if name != PEER
        for key in RATIOS
        if key in peer and key in of
    ]
    return lines + [
        f"{name}: a click while a lesson is learnt takes {of['meanwhile_ms']['median'] / of['alone_ms']['median']:.2f} "
        "x its usual time"
        for name, of in models.items()
        if "meanwhile_ms" in of
    ]
