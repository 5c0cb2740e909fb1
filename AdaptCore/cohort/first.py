"""Which image to label first, while no label is there: one that the others resemble (ours).

One label is carried over to all others, so it matters most which one it is. Of the images i, r is the one whose
features, averaged in GRID^3 blocks, are most like those of the others (the highest median cosine). With f_i(x) the
features of i under the deformation that brings them onto r (`deformation.py`), and m(x) their mean over the images,

    typicality(i) = sum over x of |m(x)|^3 cos(f_i(x), m(x))  /  sum over x of |m(x)|^3

|m(x)| is high where the images agree, which is where there is anatomy that all of them show.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.cohort.deformation import met, moved
from AdaptCore.cohort.engine import Watch
from AdaptCore.cohort.features import Features, features_of
from AdaptCore.cohort.images import find_images, read_grey
from AdaptCore.errors import AdaptSegError, CohortError
from AdaptCore.models.base import Model

GRID = 8
MOST = 100
"""Images that are compared, drawn by chance where there are more: their features are in memory at once."""


@dataclass(frozen=True)
class Candidate:
    """An image that could be labelled first.

    Attributes:
        path: of the image.
        typicality: how much the others are like it, at most 1.
    """

    path: Path
    typicality: float


def candidates(
    places: Iterable[Path], model: Model, watching: Callable[[str], Watch] = lambda stage: Watch(), seed: int = 0
) -> list[Candidate]:
    """Images from the most typical one on; one that cannot be read is told and left out.

    Args:
        places: image files and folders with images; see `images.find_images`.
        watching: who watches a stage, by its name.
        seed: of what is drawn where there are more than `MOST`.

    Raises:
        CohortError: fewer than two images can be used.
        CancelledError: the watch says so.
    """
    paths = find_images(places)
    drawn = sorted(np.random.default_rng(seed).permutation(len(paths))[:MOST].tolist())
    found = dict(_readable([paths[index] for index in drawn], model, watching("features")))
    if len(found) < 2:
        raise CohortError(f"Expected at least 2 images to compare, got {len(found)} of {len(drawn)} that can be used.")
    scores = typicality(list(found.values()), watching("comparison")).tolist()
    return sorted(map(Candidate, found, scores), key=lambda one: -one.typicality)


def typicality(cases: Sequence[Features], watch: Watch | None = None) -> np.ndarray:
    """How much all cases are like each one, float64 (cases,) in [-1, 1], of at least one case.

    Raises:
        CancelledError: the watch says so.
    """
    watch = watch or Watch()
    pooled = F.normalize(torch.stack([_pooled(case) for case in cases]), dim=1)
    reference = cases[int((pooled @ pooled.T).median(1).values.argmax())]
    aligned: list[torch.Tensor] = []
    for number, case in enumerate(cases):
        watch.check()
        watch.progress(number, len(cases))
        aligned.append(met(case, reference, moved(case, reference)).half())
    mean = torch.zeros(aligned[0].shape)
    for values in aligned:
        mean += values.float() / len(aligned)
    weight = mean.square().sum(0)
    scores = [float(((values.float() * mean).sum(0) * weight).sum() / weight.pow(1.5).sum()) for values in aligned]
    watch.progress(len(cases), len(cases))
    return np.array(scores)


def _readable(paths: Sequence[Path], model: Model, watch: Watch) -> Iterable[tuple[Path, Features]]:
    for number, path in enumerate(paths):
        watch.check()
        part = watch.part(number, len(paths))
        try:
            yield path, features_of(model, read_grey(path).array, part.progress, part.cancelled)
        except AdaptSegError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
    watch.progress(len(paths), len(paths))


def _pooled(case: Features) -> torch.Tensor:
    return F.normalize(F.adaptive_avg_pool3d(case.tensor(), (GRID,) * 3), dim=0).flatten()
