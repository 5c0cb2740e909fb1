"""Our SAM adapter answers exactly as `segment_anything.SamPredictor` does."""

from __future__ import annotations

import re
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from AdaptCore.errors import CheckpointError, ImageError, ModelError
from AdaptCore.models.base import Embedding, to_plane
from AdaptCore.models.checkpoint import MEDSAM, SAM_PATCH_WEIGHT
from AdaptCore.models.registry import load_model
from AdaptCore.models.sam import SamModel, build_network
from AdaptCore.predict.plane import PlaneSession
from AdaptCore.preference.adviser import Adviser, space_of
from AdaptCore.preference.profile import Profile
from AdaptCore.prompts import Box, Click, Prompts
from Testing.torchvision_for_tests import import_torchvision

LANDSCAPE, PORTRAIT, SQUARE = (90, 140), (133, 71), (64, 64)
CLICK = Click(31, 12)
CLICKS = (CLICK, Click(40.5, 33, positive=False), Click(5, 50), Click(60, 2, positive=False))
BOX = Box(4, 6.5, 50, 41)

PROMPTS = {
    "one click": Prompts((CLICK,)),
    "several clicks": Prompts(CLICKS),
    "box": Prompts((), BOX),
    "box and click": Prompts((CLICK,), BOX),
    "box and several clicks": Prompts(CLICKS, BOX),
}
WITH_PRIOR = ("one click", "box and several clicks")


@pytest.fixture(scope="module", autouse=True)
def a_torchvision() -> None:
    """segment_anything and the torchvision that it imports; skipped where they are not installed."""
    if not (find_spec("segment_anything") and find_spec("torchvision")):
        pytest.skip("segment-anything or torchvision is not installed")
    import_torchvision()


def a_random_sam(encoder_blocks: int) -> SamModel:
    """Random vit_b whose encoder keeps its first blocks; weights that start at zero are made random as well."""
    model = SamModel.random("sam_vit_b", seed=0)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.network.parameters():
        if not parameter.any():
            parameter.copy_(0.02 * torch.randn(parameter.shape, generator=generator))
    model.network.image_encoder.blocks = model.network.image_encoder.blocks[:encoder_blocks]
    return model


@pytest.fixture(scope="module")
def a_model() -> SamModel:
    """SAM with one encoder block, which is fast; its prompts and decoder are vit_b's."""
    return a_random_sam(encoder_blocks=1)


def an_image(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smooth bright shapes and noise in [0, 1]."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[: shape[0], : shape[1]]
    waves = 0.5 + 0.3 * np.sin(x / 9) * np.cos(y / 7)
    image = waves[..., None] if len(shape) == 3 else waves
    return np.clip(image + 0.1 * generator.standard_normal(shape), 0, 1).astype(np.float32)


def a_prior(seed: int = 0) -> torch.Tensor:
    return 5 * torch.randn(256, 256, generator=torch.Generator().manual_seed(seed))


def predicted_by_sam(predictor: Any, prompts: Prompts, prior: torch.Tensor | None, multimask: bool) -> tuple:
    """Masks on the plane, scores and low-resolution logits of `SamPredictor.predict`."""
    clicks = np.array([(click.x, click.y) for click in prompts.clicks])
    box = prompts.box
    return predictor.predict(
        point_coords=clicks if prompts.clicks else None,
        point_labels=np.array([int(click.positive) for click in prompts.clicks]) if prompts.clicks else None,
        box=np.array([box.x0, box.y0, box.x1, box.y1]) if box else None,
        mask_input=None if prior is None else prior[None].numpy(),
        multimask_output=multimask,
        return_logits=True,
    )


def a_predictor(model: SamModel, image: np.ndarray) -> Any:
    """SamPredictor on the same network and image."""
    from segment_anything import SamPredictor

    levels = (image * 255).round().astype(np.uint8)
    predictor = SamPredictor(model.network)
    predictor.set_image(np.stack([levels] * 3, -1) if levels.ndim == 2 else levels)
    return predictor


def assert_all_prompts_agree(model: SamModel, embedding: Embedding, predictor: Any) -> None:
    for name, prompts in PROMPTS.items():
        for prior in (None, a_prior()) if name in WITH_PRIOR else (None,):
            alone = name == "one click" and prior is None
            masks, scores, logits = predicted_by_sam(predictor, prompts, prior, multimask=alone)
            decoding = model.decode(embedding, prompts, prior)
            assert decoding.logits.shape == ((3 if alone else 1), 256, 256), name
            np.testing.assert_allclose(decoding.logits.numpy(), logits, rtol=0, atol=1e-4, err_msg=name)
            np.testing.assert_allclose(decoding.scores.numpy(), scores, rtol=0, atol=1e-4, err_msg=name)
            on_plane = torch.stack([to_plane(mask, embedding) for mask in decoding.logits])
            np.testing.assert_allclose(on_plane.numpy(), masks, rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_logits_equal_those_of_sam_predictor_on_vit_b() -> None:
    model, image = a_random_sam(encoder_blocks=12), an_image((*LANDSCAPE, 3))
    assert_all_prompts_agree(model, model.encode(image), a_predictor(model, image))


@pytest.mark.parametrize(
    "shape",
    [(*LANDSCAPE, 3), (*PORTRAIT, 3), (*SQUARE, 3), PORTRAIT],
    ids=["landscape", "portrait", "square", "grey"],
)
def test_logits_equal_those_of_sam_predictor_on_planes_of_any_form(a_model: SamModel, shape: tuple[int, ...]) -> None:
    image = an_image(shape)
    embedding = a_model.encode(image)
    predictor = a_predictor(a_model, image)
    assert embedding.plane_shape == predictor.original_size
    assert embedding.input_shape == predictor.input_size
    assert embedding.input_side == 1024
    torch.testing.assert_close(embedding.features[0], predictor.features, rtol=0, atol=1e-5)
    assert_all_prompts_agree(a_model, embedding, predictor)


def test_the_answers_to_different_prompts_differ(a_model: SamModel) -> None:
    embedding = a_model.encode(an_image(SQUARE))
    answers = [a_model.decode(embedding, prompts).logits[0] for prompts in PROMPTS.values()]
    answers.append(a_model.decode(embedding, PROMPTS["one click"], a_prior()).logits[0])
    for i, first in enumerate(answers):
        for second in answers[i + 1 :]:
            assert float((first - second).abs().max()) > 1e-3


def test_encoding_leaves_the_image_as_it_was(a_model: SamModel) -> None:
    image = an_image(SQUARE)
    before = image.copy()
    a_model.encode(image)
    np.testing.assert_array_equal(image, before)


def test_a_plane_that_vanishes_at_sams_resolution_is_refused(a_model: SamModel) -> None:
    with pytest.raises(ImageError, match="plane of 5000 x 1 pixels is too narrow for SAM"):
        a_model.encode(np.zeros((1, 5000), np.float32))


def test_bfloat16_changes_the_encoder_a_little_and_gives_float32(a_model: SamModel) -> None:
    image = an_image(SQUARE)
    exact = a_model.encode(image).features[0]
    rough_model = SamModel(
        a_model.network,
        architecture="sam_vit_b",
        name="rough",
        digest="",
        device=torch.device("cpu"),
        dtype=torch.bfloat16,
    )
    rough = rough_model.encode(image).features[0]
    assert rough.dtype == torch.float32
    error = float((rough - exact).norm() / exact.norm())
    assert 1e-5 < error < 0.05


def test_a_seed_gives_the_same_random_weights_and_leaves_the_callers_randomness_alone() -> None:
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    first, second, other = SamModel.random(seed=1), SamModel.random(seed=1), SamModel.random(seed=2)
    assert torch.equal(torch.rand(3), wanted)
    weights = [model.network.state_dict()[SAM_PATCH_WEIGHT] for model in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert first.digest == second.digest != other.digest


def a_short_network(architecture: str) -> Any:
    network = build_network(architecture)
    network.image_encoder.blocks = network.image_encoder.blocks[:1]
    return network


def test_all_copies_of_a_sam_leave_a_full_device_together(monkeypatch: pytest.MonkeyPatch) -> None:
    from Testing.stand_in_device import ACCELERATOR, ACCELERATOR_DEVICE

    monkeypatch.setattr("AdaptCore.models.sam.build_network", a_short_network)
    image, prompts = an_image(SQUARE), PROMPTS["box and click"]
    expected = SamModel.random(seed=3)
    model = SamModel.random(seed=3, device=ACCELERATOR_DEVICE)
    taught = model.with_decoder({})
    full = ACCELERATOR.failing(torch.OutOfMemoryError("CUDA out of memory."))
    with pytest.warns(UserWarning, match=r"^standin:0 is out of memory\. Going on with the CPU") as told, full:
        embedding = taught.encode(image)
        logits = model.decode(embedding, prompts).logits
    assert len(told) == 1 and str(model.device) == str(taught.device) == "cpu"
    assert taught.network.image_encoder is model.network.image_encoder
    assert torch.equal(embedding.features[0], expected.encode(image).features[0])
    assert torch.equal(logits, expected.decode(embedding, prompts).logits)


def test_medsam_is_asked_as_its_authors_do() -> None:
    """As in MedSAM's own script: a stretched square from 0 to 1, the encoder without preprocessing, a scaled box."""
    from skimage.transform import resize

    network = a_short_network("sam_vit_b")
    cpu = torch.device("cpu")
    model = SamModel(network, architecture=MEDSAM, name="medsam", digest="0", device=cpu)
    image, (height, width) = an_image(LANDSCAPE), LANDSCAPE
    embedding = model.encode(image)
    assert (embedding.plane_shape, embedding.input_shape) == (LANDSCAPE, (1024, 1024))
    pixels = np.repeat(np.rint(image * 255).astype(np.uint8)[..., None], 3, -1)
    square = resize(pixels, (1024, 1024), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    square = (square - square.min()) / (square.max() - square.min())
    with torch.no_grad():
        features = network.image_encoder(torch.tensor(square).float().permute(2, 0, 1)[None])
        torch.testing.assert_close(embedding.features[0], features)
        box = np.array([[BOX.x0, BOX.y0, BOX.x1, BOX.y1]]) / [width, height, width, height] * 1024
        sparse, dense = network.prompt_encoder(points=None, boxes=torch.tensor(box).float(), masks=None)
        logits, _ = network.mask_decoder(
            image_embeddings=features,
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
    torch.testing.assert_close(model.decode(embedding, Prompts((), BOX)).logits, logits[0])


def test_a_checkpoint_file_is_recognised_and_loaded(tmp_path: Path) -> None:
    saved = SamModel.random("sam_vit_b", seed=4)
    path = tmp_path / "tuned.pth"
    torch.save(saved.network.state_dict(), path)
    loaded = load_model(path, device="cpu")
    path.unlink()
    assert isinstance(loaded, SamModel)
    assert (loaded.name, loaded.architecture, loaded.mask_side) == ("tuned", "sam_vit_b", 256)
    for name, tensor in saved.network.state_dict().items():
        assert torch.equal(loaded.network.state_dict()[name], tensor)


def test_a_checkpoint_that_lacks_tensors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.pth"
    torch.save({SAM_PATCH_WEIGHT: torch.zeros(768, 3, 16, 16)}, path)
    with pytest.raises(CheckpointError, match=r"part\.pth: Expected weights of sam_vit_b, got .* tensors missing: "):
        load_model(path, device="cpu")


def test_without_segment_anything_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(ModelError, match="Install segment-anything with pip"):
        build_network("sam_vit_b")


def test_a_torchvision_that_does_not_fit_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "segment_anything.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "segment_anything")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ModelError, match=re.escape(f"The installed torchvision does not fit torch {torch.__version__}")
    ):
        build_network("sam_vit_b")


def test_sam_has_candidates_and_a_profile_without_training(a_model: SamModel) -> None:
    adviser = Adviser(Profile.fresh("Anna", "cup", space_of(a_model, None)), None)
    session = PlaneSession(a_model, an_image((60, 80)), zoom=False, preference=adviser)
    session.click(40, 30)
    plain = session.prediction
    shown = adviser.ask(session)
    candidate = shown.proposal.candidates[0]
    mask = session.take(shown.look(candidate)).mask
    adviser.picked(shown, candidate)
    adviser.learn(a_model, session.examples(mask))
    assert adviser.profile.picks == 2 and adviser.profile.space.digest == a_model.digest
    again = PlaneSession(a_model, an_image((60, 80)), zoom=False, preference=adviser)
    assert plain and not np.array_equal(again.click(40, 30).logits, plain.logits), "the profile changes the next answer"
