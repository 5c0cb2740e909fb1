"""Official SAM (vit_b, vit_l, vit_h and models fine-tuned from them) behind our Model protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from AdaptCore.errors import ImageError, ModelError
from AdaptCore.models.base import Decoding, Embedding, Question
from AdaptCore.models.checkpoint import MEDSAM, load_into
from AdaptCore.models.placement import PlacedModel
from AdaptCore.prompts import Prompts

INSTALL = (
    "SAM needs the packages segment-anything and torchvision. Install segment-anything with pip, "
    "and torch and torchvision as a matching pair (https://pytorch.org/get-started)."
)


def build_network(architecture: str) -> Any:
    """A `segment_anything` Sam with random weights, in evaluation mode.

    Args:
        architecture: "sam_vit_b", "sam_vit_l", "sam_vit_h" or "sam_vit_b_medsam".

    Raises:
        ModelError: segment-anything or a torchvision that fits torch is missing.
    """
    try:
        from segment_anything import sam_model_registry
    except ImportError as error:
        raise ModelError(f"{INSTALL} (Reason: {error}.)") from error
    except RuntimeError as error:
        raise ModelError(f"The installed torchvision does not fit torch {torch.__version__}. {INSTALL}") from error
    return sam_model_registry[architecture.removeprefix("sam_").removesuffix("_medsam")]()


MIXING_LAYERS = ("transformer.", "iou_token.", "mask_tokens.")
"""Beginnings of the names of parameters that belong to the mask decoder's transformer."""


class SamModel(PlacedModel):
    """Encodes as `SamPredictor.set_image` does and decodes as `SamPredictor.predict` does (Kirillov et al. 2023).

    MedSAM (Ma et al. 2024) was trained on boxes alone, and on planes stretched to a square, without padding, with
    intensities from 0 to 1; its planes are prepared like that.

    The encoder computes in `dtype`; prompts and decoder stay in float32.

    Args:
        network: a `segment_anything` Sam; becomes frozen, and moves to the device.
        architecture: "sam_vit_b", "sam_vit_l", "sam_vit_h" or "sam_vit_b_medsam".
        name, digest: as in `Model`.
        device: where to compute; the CPU where that device's memory is full.
        dtype: number format of the encoder.

    Attributes:
        mask_side: 256.
    """

    mask_side = 256
    follows_prior = False
    decoder_name = "mask_decoder"

    def __init__(
        self,
        network: Any,
        *,
        architecture: str,
        name: str,
        digest: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        from segment_anything.utils.transforms import ResizeLongestSide

        super().__init__(network, device, dtype)
        self.architecture, self.name, self.digest = architecture, name, digest
        self.resize = ResizeLongestSide(network.image_encoder.img_size)

    @classmethod
    def from_tensors(
        cls,
        tensors: Mapping[str, Tensor],
        architecture: str,
        *,
        name: str,
        digest: str,
        device: torch.device,
        dtype: torch.dtype = torch.float32,
        source: Path | str | None = None,
    ) -> SamModel:
        """Build the model that weights belong to.

        Raises:
            CheckpointError: a tensor is missing, left over or of another shape.
            ModelError: a package is missing.
        """
        network = build_network(architecture)
        load_into(network, tensors, source or name, architecture)
        return cls(network, architecture=architecture, name=name, digest=digest, device=device, dtype=dtype)

    @classmethod
    def random(cls, architecture: str = "sam_vit_b", seed: int = 0, device: torch.device | None = None) -> SamModel:
        """A model with seeded random weights, to measure speed and to test (ours).

        Raises:
            ModelError: a package is missing.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = build_network(architecture)
        name = f"{architecture}_random_{seed}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        return cls(network, architecture=architecture, name=name, digest=digest, device=device or torch.device("cpu"))

    def encode(self, image: np.ndarray) -> Embedding:
        """Encode a plane: float32 (H, W) or (H, W, 3) in [0, 1], rounded to 8 bits as SAM was trained.

        Raises:
            ImageError: the plane is so narrow that nothing is left of it at 1024 pixels.
            ModelError: out of memory, on the CPU too.
        """
        pixels = to_rgb8(image)
        side = self.resize.target_length
        if self.architecture == MEDSAM:
            square = stretched(pixels, side)
            return Embedding((self._run(lambda: self._encoded(square)),), image.shape[:2], (side, side), side)
        if min(self.resize.get_preprocess_shape(*pixels.shape[:2], side)) < 1:
            raise ImageError(
                f"A plane of {pixels.shape[1]} x {pixels.shape[0]} pixels is too narrow for SAM. Choose another model."
            )
        resized = torch.from_numpy(self.resize.apply_image(pixels)).permute(2, 0, 1)[None]
        features = self._run(lambda: self._encoded(resized))
        return Embedding((features,), image.shape[:2], (resized.shape[2], resized.shape[3]), side)

    def decode(self, embedding: Embedding, prompts: Prompts, prior_logits: Tensor | None = None) -> Decoding:
        """Answer prompts given in plane pixels; `prior_logits` is 256 x 256.

        A lone click without a prior is ambiguous and gives three masks, everything else gives one (as in SAM's own
        ONNX export).

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self._run(lambda: self.answer(Question(embedding, prompts, prior_logits)))

    def decoder_parameters(self) -> dict[str, nn.Parameter]:
        """The mask decoder's parameters by name, float32."""
        return dict(self.network.mask_decoder.named_parameters())

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """Those of `decoder_parameters` behind the transformer."""
        named = self.decoder_parameters().items()
        return {name: weight for name, weight in named if not name.startswith(MIXING_LAYERS)}

    def answer(self, question: Question) -> Decoding:
        """As `decode`; gradients flow to the decoder's parameters where they ask for them."""
        network = self.network
        device = network.device
        points, box = self._prompt_tensors(question.embedding, question.prompts, device)
        prior = None if question.prior is None else question.prior[None, None].float().to(device)
        sparse, dense = network.prompt_encoder(points=points, boxes=box, masks=prior)
        logits, scores = network.mask_decoder(
            image_embeddings=question.embedding.features[0].to(device).float(),
            image_pe=network.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=question.is_ambiguous,
        )
        return Decoding(logits[0], scores[0])

    def answers(self, questions: Sequence[Question]) -> list[Decoding]:
        """As `answer` for each of several questions, one after the other: SAM's decoder takes one image."""
        return [self.answer(question) for question in questions]

    def _encoded(self, resized: Tensor) -> Tensor:
        network = self.network
        device = network.device
        pixels = resized.to(device)
        if self.architecture != MEDSAM:
            pixels = network.preprocess(pixels)
        with torch.autocast(device.type, dtype=self.dtype, enabled=self.dtype != torch.float32):
            return network.image_encoder(pixels).float()

    def _prompt_tensors(
        self, embedding: Embedding, prompts: Prompts, device: torch.device
    ) -> tuple[tuple[Tensor, Tensor] | None, Tensor | None]:
        """Prompts in input pixels: points 1 x N x 2 with labels 1 x N, box 1 x 4."""
        points = box = None
        scale = np.array(embedding.scale)
        if clicks := prompts.seen:
            xy = np.array([(click.x, click.y) for click in clicks])
            scaled = torch.as_tensor(xy * scale, dtype=torch.float32)
            labels = torch.tensor([[int(click.positive) for click in clicks]], dtype=torch.int32)
            points = scaled[None].to(device), labels.to(device)
        if prompts.box:
            corners = np.array([(prompts.box.x0, prompts.box.y0), (prompts.box.x1, prompts.box.y1)])
            box = torch.as_tensor(corners * scale, dtype=torch.float32).reshape(1, 4).to(device)
        return points, box


def stretched(pixels: np.ndarray, side: int) -> Tensor:
    """A plane uint8 (H, W, 3) as MedSAM takes it: float32 1 x 3 x S x S, from 0 to 1."""
    from skimage.transform import resize

    square = resize(pixels, (side, side), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    low, high = int(square.min()), int(square.max())
    levels = (square.astype(np.float32) - low) / max(high - low, 1e-8)
    return torch.from_numpy(levels).permute(2, 0, 1)[None]


def to_rgb8(image: np.ndarray) -> np.ndarray:
    """Plane (H, W) or (H, W, 3) in [0, 1] as uint8 (H, W, 3)."""
    levels = np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, -1) if levels.ndim == 2 else levels
