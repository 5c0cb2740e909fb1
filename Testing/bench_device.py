"""What a click asks of an accelerator, counted on one that every machine has: operations, copies and waits.

Run from the checkout: `.venv/bin/python -m Testing.bench_device`. Seconds are not measured: the stand-in is slow.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from AdaptCore.adapt.learner import Learner
from AdaptCore.models.compact import CompactModel
from AdaptCore.models.registry import load_model, load_volume_model
from AdaptCore.models.volumetric import VolumetricModel
from AdaptCore.predict.block import BlockSession
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.latent import latent_of
from AdaptCore.preference.profile import Profile
from Testing.stand_in_device import ACCELERATOR, ACCELERATOR_DEVICE

PLANE = np.where(np.hypot(*(np.mgrid[:256, :300] - np.array([124, 130])[:, None, None])) < 40, 0.8, 0.2)
VOLUME = (np.linalg.norm(np.indices((64, 60, 40)) - np.array([32, 30, 20])[:, None, None, None], axis=0) < 12) * 1.0


def counted(what: str, work: Callable[[], object]) -> None:
    """Print what the work asks of the device."""
    ACCELERATOR.begin_anew()
    work()
    print(
        f"| {what} | {sum(ACCELERATOR.log.values())} | {ACCELERATOR.to_device} | {ACCELERATOR.to_host} "
        f"| {ACCELERATOR.waits} |"
    )


def of_planes() -> None:
    loaded = load_model("compact", "cpu")
    assert isinstance(loaded, CompactModel)
    model = CompactModel(loaded.network, loaded.name, loaded.digest, ACCELERATOR_DEVICE, torch.float32)
    latent = latent_of(model.digest)
    adviser = Adviser(Profile.fresh("bench", "bench", space_of(model, latent)), latent)
    with Learner(model) as learner:
        session = PlaneSession(model, PLANE.astype(np.float32), adapter=learner)
        counted("first click on a plane, all sizes at once", lambda: session.click(130, 124))
        counted("a round of candidates", lambda: adviser.ask(session))
        counted("next click, with an adaptation step", lambda: session.click(150, 124))
        counted("accepted mask", lambda: (learner.learn(session.examples(PLANE > 0.5)), learner.wait()))


def of_volumes() -> None:
    loaded = load_volume_model(device="cpu")
    model = VolumetricModel(loaded.network, loaded.name, loaded.digest, ACCELERATOR_DEVICE)
    session = BlockSession(model, VOLUME.astype(np.float32), (1.0, 1.0, 1.0))
    counted("first click in a volume", lambda: session.click(32, 30, 20))
    counted("next click in a volume", lambda: session.click(32, 30, 26))


if __name__ == "__main__":
    print("| | operations | copies to the device | copies back | waits |\n|---|---|---|---|---|")
    of_planes()
    of_volumes()
