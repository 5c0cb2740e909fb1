"""A small cohort on disk and methods for it that need no network: classes differ by their intensity."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813
import torch

from AdaptCore.cohort.arrays import Network, StoredFeatures
from AdaptCore.cohort.beginning import begin
from AdaptCore.cohort.engine import LocalEngine, Watch
from AdaptCore.cohort.folder import Cohort
from AdaptCore.cohort.network import Sample
from AdaptCore.cohort.records import Settings
from AdaptCore.cohort.steps import propagate, train
from AdaptCore.cohort.views import CaseView
from AdaptCore.io import Geometry

SIZE = (12, 10, 8)
LABELS = (2, 5)
INTENSITIES = (0.0, 100.0, 200.0)
SHARPNESS = 3e-4


@dataclass(frozen=True)
class ToyMethod:
    """Intensities stand for features, their means for a network; `version` tells its features apart."""

    version: str = "1"

    @property
    def digest(self) -> str:
        return f"toy {self.version}"

    def features_bytes(self, shape: tuple[int, int, int]) -> int:
        return 2 * int(np.prod(shape))

    def features(self, image: np.ndarray, watch: Watch) -> StoredFeatures:
        watch.progress(1, 2)
        return StoredFeatures(image[None].astype(np.float16), image.shape, {})

    def coarse(
        self, template: StoredFeatures, label: np.ndarray, features: StoredFeatures
    ) -> tuple[np.ndarray, np.ndarray]:
        means = torch.tensor([template.values[0][label == index].mean() for index in range(int(label.max()) + 1)])
        probabilities = _probabilities(means.numpy(), features.values[0])
        return probabilities.argmax(0).astype(np.uint8), probabilities.max(0)

    def train(
        self,
        samples: Sequence[Sample],
        labelled: int,
        grids: Sequence[Geometry],
        classes: int,
        seed: int,
        watch: Watch,
    ) -> Network:
        total, count = np.zeros(classes), np.zeros(classes)
        for number, sample in enumerate(samples):
            watch.check()
            watch.progress(number, len(samples))
            for index in range(classes):
                where = sample.label == index
                total[index] += float(sample.image[where].sum())
                count[index] += int(where.sum())
        return Network({"means": torch.from_numpy(total / np.maximum(count, 1))}, {"seed": str(seed)})

    def predict(self, network: Network, image: np.ndarray) -> np.ndarray:
        return _probabilities(network.weights["means"].numpy(), image)

    def neighbours(self, views: Sequence[CaseView], watch: Watch) -> Sequence[Sequence[int]]:
        return [[(index + 1) % len(views)] for index in range(len(views))]

    def relabel(self, view: CaseView, neighbours: Sequence[CaseView], watch: Watch) -> np.ndarray:
        assert all(known.shares().shape == known.probabilities().shape for known in neighbours)
        return view.probabilities()

    def settled(self, believed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return believed.argmax(0).astype(np.uint8), believed.max(0)

    def collapsed(
        self, before: Sequence[np.ndarray], after: Sequence[np.ndarray], reference: Sequence[np.ndarray]
    ) -> str | None:
        empty = sum(not label.any() for label in after)
        return f"{empty} of {len(after)} labels are empty" if 2 * empty > len(after) else None

    def trusted(self, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView]) -> tuple[Sequence[int], str]:
        sure = [index for index, view in enumerate(unlabelled) if view.probabilities().max(0).mean() > 0.5]
        return sure, "mean confidence above 0.5"

    def rank(
        self, strategy: str, labelled: Sequence[CaseView], unlabelled: Sequence[CaseView], count: int, seed: int
    ) -> Sequence[tuple[int, float, str]]:
        if strategy == "random":
            order = np.random.default_rng(seed).permutation(len(unlabelled))
            return [(int(index), 0.0, "by chance") for index in order[:count]]
        scores = [float((1 - view.probabilities().max(0)).mean()) for view in unlabelled]
        order = np.argsort(scores)[::-1]
        return [(int(index), scores[index], "hard at the boundary") for index in order[:count]]


def _probabilities(means: np.ndarray, image: np.ndarray) -> np.ndarray:
    logits = -SHARPNESS * (image[None] - means.reshape(-1, 1, 1, 1).astype(np.float32)) ** 2
    odds = np.exp(logits - logits.max(0))
    return np.asarray(odds / odds.sum(0), np.float32)


def load_toy(settings: Settings, device: str | None = None) -> ToyMethod:
    return ToyMethod()


def a_case(seed: int, size: tuple[int, int, int] = SIZE) -> tuple[np.ndarray, np.ndarray]:
    """Image int16 and label uint8 (I, J, K) with two boxes of the values LABELS."""
    rng = np.random.default_rng(seed)
    classes = np.zeros(size, np.uint8)
    i, j, k = (int(rng.integers(1, length // 3)) for length in size)
    classes[i : i + 4, j : j + 4, k : k + 3] = 1
    classes[i + 4 : i + 7, j : j + 4, k : k + 3] = 2
    image = np.array(INTENSITIES)[classes] + rng.normal(0, 8, size)
    return image.astype(np.int16), np.array((0, *LABELS), np.uint8)[classes]


def write(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (1.0, 1.5, 2.0)) -> Path:
    """Write (I, J, K) or (I, J, K, channels) with an origin and a direction of its own."""
    axes = (2, 1, 0) if array.ndim == 3 else (2, 1, 0, 3)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(axes)), isVector=array.ndim == 4)
    image.SetSpacing(spacing)
    image.SetOrigin((-20.0, 10.0, 5.0))
    image.SetDirection((-1, 0, 0, 0, -1, 0, 0, 0, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def write_cohort(folder: Path, count: int, size: tuple[int, int, int] = SIZE) -> tuple[Path, Path, Path]:
    """Images case-000, ... and their labels below a folder; the folder of images, the template and its label."""
    for number in range(count):
        image, label = a_case(number, size)
        write(folder / "images" / f"case-{number:03}.nii.gz", image)
        write(folder / "labels" / f"case-{number:03}.nii.gz", label)
    return folder / "images", folder / "images" / "case-000.nii.gz", folder / "labels" / "case-000.nii.gz"


def begun(folder: Path, count: int = 5, size: tuple[int, int, int] = SIZE) -> Cohort:
    """A cohort in `folder / "cohort"` that has just begun."""
    images, template, label = write_cohort(folder, count, size)
    return begin(folder / "cohort", [images], template, label, "toy")


def trained(folder: Path, count: int = 5, rounds: int = 1) -> Cohort:
    """A cohort with proposals of a network."""
    cohort = begun(folder, count)
    propagate(cohort, ToyMethod(), LocalEngine(), unwatched)
    train(cohort, ToyMethod(), rounds, LocalEngine(), unwatched)
    return cohort


def unwatched(stage: str) -> Watch:
    return Watch()


def contents(folder: Path, *parts: str) -> dict[str, bytes]:
    """Bytes of all files below parts of a folder, by their paths."""
    files = (file for part in parts for file in sorted((folder / part).rglob("*")) if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def results(cohort: Cohort) -> dict[str, bytes]:
    """What the steps have computed, by path; headers of safetensors, which come in any order, are sorted."""
    return {name: _sorted(name, content) for name, content in contents(cohort.folder, "features", "rounds").items()}


def _sorted(name: str, content: bytes) -> bytes:
    if not name.endswith(".safetensors"):
        return content
    start = 8 + int.from_bytes(content[:8], "little")
    return json.dumps(json.loads(content[8:start]), sort_keys=True).encode() + content[start:]


def main() -> int:
    """The command line with these methods in place of the real ones."""
    from AdaptCore import cli
    from AdaptCore.cohort import method

    method.load_method = load_toy  # type: ignore[assignment]
    return cli.main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
