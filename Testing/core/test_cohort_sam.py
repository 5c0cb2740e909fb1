"""Cohorts whose features come from the code of official SAM, with small encoders in the place of the trained ones."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from AdaptCore import cli
from AdaptCore.cohort.arrays import read_features
from AdaptCore.cohort.features import CHANNELS, features_of, grid_of, size_of
from AdaptCore.cohort.folder import Cohort
from AdaptCore.models.sam import SamModel
from Testing.cohort_toy import write_cohort
from Testing.torchvision_for_tests import import_torchvision

CPU = torch.device("cpu")


@pytest.fixture(scope="module", autouse=True)
def a_torchvision() -> None:
    """segment_anything and the torchvision that it imports; skipped where they are not installed."""
    if not (find_spec("segment_anything") and find_spec("torchvision")):
        pytest.skip("segment-anything or torchvision is not installed")
    import_torchvision()


class PatchMeans(nn.AvgPool2d):
    """An encoder that tells the mean colour of each patch, on SAM's grid of 64 x 64."""

    img_size = 1024

    def __init__(self) -> None:
        super().__init__(16)
        self.place = nn.Parameter(torch.zeros(0), requires_grad=False)


def a_sam(encoder: nn.Module) -> Any:
    """SAM with vit_b's preprocessing and another encoder; there is nothing to decode with."""
    from segment_anything.modeling import Sam

    return Sam(encoder, nn.Identity(), nn.Identity(), [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


def a_small_sam(architecture: str) -> Any:
    """One block of vit_b's width on a quarter of its input, seeded."""
    from segment_anything.modeling import ImageEncoderViT

    torch.manual_seed(0)
    norm = partial(nn.LayerNorm, eps=1e-6)
    return a_sam(ImageEncoderViT(img_size=256, embed_dim=768, depth=1, out_chans=32, norm_layer=norm, use_rel_pos=True))


def a_model(network: Any) -> SamModel:
    return SamModel(network, architecture="sam_vit_b", name="small", digest="0" * 64, device=CPU)


def test_padding_to_a_square_moves_no_cell() -> None:
    volume = np.zeros((16, 32, 64), np.float32)
    volume[2:6, 22:28, 50:60] = 100
    values = features_of(a_model(a_sam(PatchMeans())), volume).values.astype(np.float32)
    similarity = np.einsum("c,cijk->ijk", values[:, -1, 0, 0], values)
    assert similarity.shape == (8, 16, 32)
    assert np.argwhere(similarity < 0).mean(0) == pytest.approx([1.5, 12, 27], abs=0.3)


def test_features_of_sam_have_the_size_that_was_told_and_come_again() -> None:
    model = a_model(a_small_sam("sam_vit_b"))
    volume = np.random.default_rng(0).normal(size=(40, 20, 5)).astype(np.float32)
    steps: list[tuple[int, int]] = []
    first = features_of(model, volume, lambda done, total: steps.append((done, total)))
    assert first.values.shape == (CHANNELS, *grid_of(volume.shape)) and first.nbytes == size_of(model, volume.shape)
    assert np.linalg.norm(first.values.astype(np.float32), axis=0) == pytest.approx(1, abs=2e-3)
    assert steps == [(plane, 5) for plane in range(1, 6)]
    assert np.array_equal(features_of(model, volume).values, first.values)


def test_a_cohort_takes_a_checkpoint_of_sam_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("AdaptCore.models.sam.build_network", a_small_sam)
    torch.save(a_small_sam("sam_vit_b").state_dict(), tmp_path / "sam.pth")
    images, template, label = write_cohort(tmp_path, 2, (20, 16, 6))
    folder = tmp_path / "cohort"
    monkeypatch.chdir(tmp_path)
    begun = ["cohort", "init", "cohort", "--images", images, "--template", template, "--label", label]
    assert cli.main([*map(str, begun), "--model", "sam.pth"]) == 0
    monkeypatch.chdir(images)
    capsys.readouterr()
    assert cli.main(["cohort", "propagate", str(folder)]) == 0
    assert "Features: 0.5 MB" in capsys.readouterr().out
    cohort = Cohort.open(folder)
    for case in cohort.cases():
        assert read_features(cohort.features_path(case.id)).values.shape == (CHANNELS, 20, 16, 6)
        assert cohort.has_proposal(case.id, 0)


def test_a_model_that_cannot_be_used_begins_no_cohort(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images, template, label = write_cohort(tmp_path, 2)
    begun = ["cohort", "init", tmp_path / "cohort", "--images", images, "--template", template, "--label", label]
    for model, reason in (("sam.pth", "sam.pth: The file cannot be read"), ("sam", "Unknown model 'sam'")):
        assert cli.main([*map(str, begun), "--model", model]) == 2
        assert reason in capsys.readouterr().err
    assert not (tmp_path / "cohort").exists()
