"""The latent space: halves for openings and later questions, files that are whole, and the shipped one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from AdaptCore.errors import ModelError
from AdaptCore.models.registry import answers_planes, load_model, load_volume_model
from AdaptCore.preference.latent import COMPONENTS, HALF, OWN_SHARE, latent_of, read_latent, write_latent
from Testing.core.test_samplers import a_latent
from Testing.tiny_model import tiny_model


@pytest.mark.parametrize("opening", [True, False])
def test_a_question_has_components_of_its_half_only(opening: bool) -> None:
    latent = a_latent(tiny_model())
    weights = latent.prior(torch.randn(32, generator=torch.Generator().manual_seed(1)), opening).weights
    own, other = (weights[:HALF], weights[HALF:]) if opening else (weights[HALF:], weights[:HALF])
    assert own.sum() == pytest.approx(1) and other.max() < 1e-9
    assert own[0] == pytest.approx(OWN_SHARE) and own[1:].std() > 0.001, "the gate tells the others apart"


def test_the_common_prior_knows_both_halves() -> None:
    average = a_latent(tiny_model()).average
    assert average.weights[[0, HALF]].tolist() == pytest.approx([OWN_SHARE / 2] * 2)
    assert average.weights.sum() == pytest.approx(1) and average.components == COMPONENTS


def test_a_latent_file_comes_back_as_it_was(tmp_path: Path) -> None:
    latent = a_latent(tiny_model())
    write_latent(tmp_path / "latent.safetensors", latent)
    back = read_latent(tmp_path / "latent.safetensors")
    assert back.digest == latent.digest
    for name in ("basis", "gate", "means", "variances"):
        assert torch.equal(getattr(back, name), getattr(latent, name))


def test_a_damaged_latent_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "latent.safetensors"
    write_latent(path, a_latent(tiny_model()))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="damaged"):
        read_latent(path)


@pytest.mark.parametrize(("model", "dimensions"), [("compact", 33), ("compact3d", 9)])
def test_the_shipped_spaces_are_those_of_the_built_in_models(model: str, dimensions: int) -> None:
    load = load_model if answers_planes(model) else load_volume_model
    latent = latent_of(load(model, device="cpu").digest)
    assert latent is not None and latent_of("0" * 64) is None, "with other weights: adaptseg train --preference MODEL"
    assert latent.basis.shape == (dimensions, dimensions) and np.allclose(latent.means[::HALF], 0)
    assert (latent.variances > 0).all() and torch.isfinite(latent.gate).all()
