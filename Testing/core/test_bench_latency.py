"""The speed benchmark: what is timed, how it is summed up, and the peer beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from AdaptCore.adapt import learner as learner_module
from AdaptCore.adapt.learner import Knowledge, Learner, learnt
from AdaptCore.cli import main
from AdaptCore.errors import ModelError
from AdaptCore.evaluate import latency
from AdaptCore.models import sam
from AdaptCore.models.compact import CompactConfig, CompactNetwork
from AdaptCore.models.described import config_to_json
from Testing.learning_toy import LearningToy
from Testing.torchvision_for_tests import import_torchvision
from Testing.toy_model import ToyModel

SIDE = 96
PRODUCT_MEASURES = [
    "embed_ms",
    "first_click_ms",
    "candidates_ms",
    "click_ms",
    "zoom_ms",
    "plane_change_ms",
    "warm_click_ms",
]


class SlowToyModel(ToyModel):
    """Takes 20 ms to encode and 5 ms to decode."""

    def encode(self, image: np.ndarray) -> Any:
        time.sleep(0.02)
        return super().encode(image)

    def decode(self, *arguments: Any) -> Any:
        time.sleep(0.005)
        return super().decode(*arguments)


class WitnessedToyModel(ToyModel):
    """Counts the whole planes that the main thread had to encode."""

    whole_planes_here = 0

    def encode(self, image: np.ndarray) -> Any:
        if image.shape == (SIDE, SIDE) and threading.current_thread() is threading.main_thread():
            self.whole_planes_here += 1
        return super().encode(image)


class Recorder:
    """A contender that keeps the images it saw and takes as long as it is told."""

    def __init__(self, *milliseconds: float) -> None:
        self.milliseconds = list(milliseconds)
        self.images: list[np.ndarray] = []

    def round(self, image: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> latency.Timings:
        self.images.append(image)
        return {"embed_ms": [self.milliseconds[len(self.images) - 1]]}


def a_result() -> dict[str, Any]:
    ours = {key: {"median": 10.0, "p95": 20.0} for key in PRODUCT_MEASURES}
    peer = {key: {"median": 25.0, "p95": 30.0} for key in latency.RATIOS}
    models = {"compact": {**ours, "peak_mb": 300.0}, latency.PEER: {**peer, "peak_mb": 2000.0}}
    return {"models": models, "threads": 2, "device": "cpu", "input": [512, 512], "rounds": 3}


def test_each_measure_holds_what_its_name_says() -> None:
    timings = latency.time_rounds({"toy": latency.ProductContender(SlowToyModel())}, rounds=2, side=SIDE)["toy"]
    assert list(timings) == PRODUCT_MEASURES
    assert {key: len(values) for key, values in timings.items()} == dict.fromkeys(PRODUCT_MEASURES, 2) | {
        "click_ms": 2 * latency.LATER_CLICKS
    }
    assert min(timings["embed_ms"]) >= 20
    assert min(timings["first_click_ms"]) >= 25
    assert min(timings["click_ms"]) >= 5
    assert min(timings["zoom_ms"]) >= 25
    assert min(timings["plane_change_ms"]) < 20
    assert min(timings["warm_click_ms"]) >= 5


def test_learning_is_timed_alone_and_a_click_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*arguments: Any) -> Knowledge:
        time.sleep(0.1)
        return learnt(*arguments)

    monkeypatch.setattr(learner_module, "learnt", slowly)
    with Learner(LearningToy()) as learner:
        timings = latency.time_rounds({"toy": latency.LearningContender(learner)}, rounds=1, side=SIDE, warm_up=0)
        assert [outcome.clicks for outcome in learner.knowledge.history] == [1 + latency.LATER_CLICKS] * 2
    (of,) = timings.values()
    assert list(of) == ["mid_ms", "post_ms", "alone_ms", "meanwhile_ms"]
    assert len(of["mid_ms"]) == latency.LATER_CLICKS
    assert len(of["post_ms"]) == 1 and of["post_ms"][0] >= 100
    assert len(of["alone_ms"]) == len(of["meanwhile_ms"]) > 1
    assert 0 < max(of["alone_ms"]) < 100


def test_the_plane_changed_to_was_encoded_in_the_background() -> None:
    model = WitnessedToyModel()
    latency.time_rounds({"toy": latency.ProductContender(model)}, rounds=1, side=SIDE, warm_up=0)
    embedding_and_first_click = 2
    assert model.whole_planes_here == embedding_and_first_click


def test_contenders_see_the_same_images_and_warm_up_is_not_counted() -> None:
    first, second = Recorder(900, 900, 1, 2, 3), Recorder(800, 800, 7, 8, 9)
    timings = latency.time_rounds({"a": first, "b": second}, rounds=3, side=SIDE)
    assert timings == {"a": {"embed_ms": [1, 2, 3]}, "b": {"embed_ms": [7, 8, 9]}}
    assert all(np.array_equal(one, other) for one, other in zip(first.images, second.images))
    assert not np.array_equal(first.images[0], first.images[1])


def test_median_and_95th_percentile() -> None:
    assert latency.summarize({"embed_ms": [float(value) for value in range(101)]}) == {
        "embed_ms": {"median": 50.0, "p95": 95.0}
    }


def test_the_report_prints_the_ratios_to_the_peer() -> None:
    printed = latency.report(a_result())
    for measure in ("embed", "click", "first click"):
        assert f"{measure}: SamPredictor vit_b takes 2.5 x as long as compact" in printed
    assert "2 threads on cpu, input 512 x 512" in printed
    assert "peak memory of SamPredictor vit_b: 2000 MB" in printed


def test_the_report_says_why_the_peer_was_skipped() -> None:
    result = a_result()
    del result["models"][latency.PEER]
    result["skipped"] = {latency.PEER: "segment-anything is missing"}
    printed = latency.report(result)
    assert printed.splitlines()[-1] == "SamPredictor vit_b skipped: segment-anything is missing"
    assert "x as long" not in printed


def test_the_phantom_plane_shows_its_lesion() -> None:
    image, truth = latency.phantom_plane(128, seed=3)
    assert image.shape == truth.shape == (128, 128)
    assert 0.02 < truth.mean() < 0.3
    assert image[truth].mean() > image[~truth].mean() + 0.1


def test_peak_memory_remembers_what_is_no_longer_held(repository: Path) -> None:
    script = (
        "import numpy; from AdaptCore.evaluate.latency import peak_megabytes; print(peak_megabytes());"
        "held = numpy.ones(400 * 2**17); del held; print(peak_megabytes())"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, text=True, check=True
    )
    before, after = (float(line) for line in finished.stdout.split())
    assert 30 < before < 2000
    assert after - before == pytest.approx(400, rel=0.2)


@pytest.fixture
def a_torchvision() -> None:
    """What SAM's predictor imports; skipped where it is not installed."""
    if not (find_spec("segment_anything") and find_spec("torchvision")):
        pytest.skip("segment-anything or torchvision is not installed")
    import_torchvision()


@pytest.mark.usefixtures("a_torchvision")
def test_sams_predictor_is_asked_as_in_its_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one encoder block, which is fast."""

    def a_shallow_network(architecture: str) -> Any:
        network = sam.build_network(architecture)
        network.image_encoder.blocks = network.image_encoder.blocks[:1]
        return network

    monkeypatch.setattr(latency, "build_network", a_shallow_network)
    contender = latency.PeerContender(torch.device("cpu"))
    timings = contender.round(*latency.phantom_plane(SIDE, seed=0), np.random.default_rng(0))
    assert {key: len(values) for key, values in timings.items()} == {
        "embed_ms": 1,
        "first_click_ms": 1,
        "click_ms": latency.LATER_CLICKS,
    }
    assert timings["first_click_ms"][0] > timings["embed_ms"][0] > 0


def test_the_command_writes_the_figures_also_without_the_peer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def no_peer(device: str | None) -> latency.PeerContender:
        raise ModelError("segment-anything is missing")

    monkeypatch.setattr(latency, "load_model", lambda name, device=None: LearningToy())
    monkeypatch.setattr(latency, "_peer", no_peer)
    monkeypatch.setattr(latency, "_in_own_process", lambda peak, name, device: 123.0)
    file = tmp_path / "result.json"
    assert main(["bench", "latency", "--rounds", "1", "--json", str(file)]) == 0
    result = json.loads(file.read_text())
    assert result["models"]["compact"]["peak_mb"] == 123.0
    assert list(result["models"]["compact"]["click_ms"]) == ["median", "p95"]
    assert result["threads"] == torch.get_num_threads()
    assert list(result["models"]) == ["compact", "compact, learning"]
    learning = result["models"]["compact, learning"]
    ratio = learning["meanwhile_ms"]["median"] / learning["alone_ms"]["median"]
    assert result["skipped"] == {latency.PEER: "segment-anything is missing"}
    printed = capsys.readouterr().out
    assert f"compact, learning: a click while a lesson is learnt takes {ratio:.2f} x its usual time" in printed
    assert printed.endswith("SamPredictor vit_b skipped: segment-anything is missing\n")


SHALLOW_RUN = """
import Testing.bench_latency
from AdaptCore.evaluate import latency
from AdaptCore.models import sam

def a_shallow_network(architecture):
    network = build_network(architecture)
    network.image_encoder.blocks = network.image_encoder.blocks[:3]
    return network

build_network = sam.build_network
sam.build_network = latency.build_network = a_shallow_network

if __name__ == "__main__":
    import sys
    from AdaptCore.cli import main

    sys.exit(main(["bench", "latency", *sys.argv[1:]]))
"""


@pytest.mark.slow
@pytest.mark.usefixtures("a_torchvision")
def test_model_and_peer_are_measured_in_one_run(repository: Path, tmp_path: Path) -> None:
    """With three of the peer's twelve encoder blocks, one of them with global attention: a floor of its cost."""
    torch.manual_seed(0)
    network = CompactNetwork(CompactConfig())
    weights, file = tmp_path / "untrained.safetensors", tmp_path / "result.json"
    tensors = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    save_file(tensors, weights, {"architecture": "compact", "config": config_to_json(network.config)})
    script = tmp_path / "shallow_run.py"
    script.write_text(SHALLOW_RUN)
    finished = subprocess.run(
        [sys.executable, str(script), "--model", str(weights), "--rounds", "1", "--device", "cpu", "--json", str(file)],
        env={**os.environ, "PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    result = json.loads(file.read_text())
    assert result["threads"] == 1
    models = result["models"]
    ours, peer = models[str(weights)], models[latency.PEER]
    assert peer["embed_ms"]["median"] > 3 * ours["embed_ms"]["median"]
    assert peer["peak_mb"] > ours["peak_mb"] > 100
    learning, learning_sam = models[f"{weights}, learning"], models[latency.LEARNING_SAM]
    assert learning_sam["mid_ms"]["median"] > learning["mid_ms"]["median"] > ours["click_ms"]["median"]
    assert learning_sam["post_ms"]["median"] > learning["post_ms"]["median"] > learning["mid_ms"]["median"]
