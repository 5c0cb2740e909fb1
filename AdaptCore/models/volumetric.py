"""The built-in model of volumes: a small promptable network that encodes a window once and answers every prompt on it.

Architecture (ours): eight voxels at a time become channels, so that no layer works at full resolution and none of it
is lost. A convolutional encoder goes to 1/16, where three transformer blocks see the whole window; it knows no prompts.
The decoder receives prompts as dense maps in a pyramid of their own, with what a point's intensity has to do with the
rest, mixes them with mask tokens at 1/16, returns to 1/2 over skip connections and reads masks at full resolution from
features by one vector each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from AdaptCore.models.base import Canvas, Decoding
from AdaptCore.models.compact import Attention
from AdaptCore.models.conv3d import Conv3d
from AdaptCore.models.described import DescribedModel, DescribedNetwork
from AdaptCore.models.volume_prompts import (
    GUIDES,
    PADDING,
    POSITIVE,
    PROMPT_CHANNELS,
    Triple,
    VolumePrompts,
    fold,
    guides,
    prompt_maps,
)

WINDOW_SIDE = 48
"""Samples along each side of the windows that the product asks."""

PROMPT_LAYERS = ("dense_", "output_tokens", "quality")
HEAD_LAYERS = ("mix_half", "full", "hypernetworks")

IMAGE_CHANNELS = 8 + 8 + 1
"""Standardized and equalized intensities of eight voxels, and their share that lies in the volume."""


@dataclass(frozen=True)
class VolumetricConfig:
    """Every size of the network; stored with the weights.

    Attributes:
        channels: of the encoder at 1/2, 1/4, 1/8 and 1/16.
        prompts: of the prompt maps at 1/2, 1/4 and 1/8.
        heads: attention heads at 1/16.
        blocks: transformer blocks of the encoder, and of the decoder.
        readout: features at full resolution that masks are read from.
        alternatives: masks offered for a lone click, besides the single one.
        disk_radius: radius of a click on the narrow maps in voxels of the window.
        reach: decay length of a click's wide map as a share of the window's side.
    """

    channels: tuple[int, int, int, int] = (32, 64, 112, 160)
    prompts: tuple[int, int, int] = (16, 32, 64)
    heads: int = 5
    blocks: tuple[int, int] = (3, 2)
    readout: int = 8
    alternatives: int = 3
    disk_radius: float = 2.0
    reach: float = 0.125

    def __post_init__(self) -> None:
        if self.channels[3] % self.heads:
            raise ValueError(f"{self.channels[3]} channels at 1/16 must be a multiple of the {self.heads} heads")


def unfold(x: Tensor) -> Tensor:
    """B x 8C x h x h x h -> B x C x 2h x 2h x 2h, the inverse of `fold`."""
    batch, channels, *size = x.shape
    parts = x.reshape(batch, channels // 8, 2, 2, 2, *size).permute(0, 1, 5, 2, 6, 3, 7, 4)
    return parts.reshape(batch, channels // 8, *(2 * length for length in size))


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 x 3 convolution, group norm, SiLU."""
    return nn.Sequential(Conv3d(inputs, outputs, stride), nn.GroupNorm(max(1, outputs // 16), outputs), nn.SiLU())


class Residual(nn.Module):
    """Convolution added to its input, B x C x d x h x w."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_norm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Mixer(nn.Module):
    """Transformer block over the cells at 1/16 and the tokens beside them.

    The depthwise convolution tells where a cell lies among its neighbours, so that windows of any side can be read.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.position = nn.Conv3d(dim, dim, 3, 1, 1, groups=dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 3 * dim), nn.GELU(), nn.Linear(3 * dim, dim))

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Cells B x D x d x h x w and tokens B x T x D -> the same."""
        x = x + self.position(x)
        count = tokens.shape[1]
        joined = torch.cat([tokens, x.flatten(2).transpose(1, 2)], 1)
        normed = self.norm1(joined)
        joined = joined + self.attention(normed, normed, normed)
        joined = joined + self.mlp(self.norm2(joined))
        return joined[:, count:].transpose(1, 2).unflatten(2, x.shape[2:]), joined[:, :count]


class VolumetricEncoder(nn.Module):
    """Prepared window B x IMAGE_CHANNELS x S/2 x S/2 x S/2 -> guides at 1/2, and features at 1/2, 1/4, 1/8 and 1/16."""

    def __init__(self, config: VolumetricConfig) -> None:
        super().__init__()
        half, quarter, eighth, coarse = config.channels
        self.to_half = nn.Sequential(conv_norm(IMAGE_CHANNELS, half), Residual(half))
        self.to_quarter = nn.Sequential(conv_norm(half, quarter, 2), Residual(quarter), Residual(quarter))
        self.to_eighth = nn.Sequential(conv_norm(quarter, eighth, 2), *(Residual(eighth) for _ in range(3)))
        self.to_coarse = conv_norm(eighth, coarse, 2)
        self.blocks = nn.ModuleList(Mixer(coarse, config.heads) for _ in range(config.blocks[0]))
        self.neck = nn.GroupNorm(1, coarse)

    def forward(self, window: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        half = self.to_half(window)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        coarse = self.to_coarse(eighth)
        tokens = coarse.new_zeros(len(coarse), 0, coarse.shape[1])
        for block in self.blocks:
            coarse, tokens = block(coarse, tokens)
        return guides(window), half, quarter, eighth, self.neck(coarse)


class VolumetricDecoder(nn.Module):
    """Features and prompts -> what masks are read from.

    Mask 0 is the single answer, the others are the alternatives for a lone click.
    """

    def __init__(self, config: VolumetricConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter, eighth, coarse = config.channels
        fine, middle, wide = config.prompts
        self.masks = 1 + config.alternatives
        self.output_tokens = nn.Embedding(1 + self.masks, coarse)
        self.dense_half = conv_norm(PROMPT_CHANNELS, fine)
        self.dense_quarter = conv_norm(fine, middle, 2)
        self.dense_eighth = conv_norm(middle, wide, 2)
        self.dense_coarse = Conv3d(wide, coarse, 2, bias=True)
        self.blocks = nn.ModuleList(Mixer(coarse, config.heads) for _ in range(config.blocks[1]))
        self.up_eighth = nn.Conv3d(coarse, eighth, 1)
        self.skip_eighth = nn.Conv3d(eighth + wide, eighth, 1)
        self.mix_eighth = nn.Sequential(Residual(eighth), Residual(eighth))
        self.up_quarter = nn.Conv3d(eighth, quarter, 1)
        self.skip_quarter = nn.Conv3d(quarter + middle, quarter, 1)
        self.mix_quarter = nn.Sequential(Residual(quarter), Residual(quarter))
        self.up_half = nn.Conv3d(quarter, half, 1)
        # The maps once more as they are: norms on the way have taken off what is near and far, likely and unlikely.
        self.skip_half = nn.Conv3d(half + fine + PROMPT_CHANNELS, half, 1)
        self.mix_half = nn.Sequential(Residual(half), Residual(half))
        self.full = nn.Conv3d(half, 8 * config.readout, 1)
        self.hypernetworks = nn.ModuleList(
            nn.Sequential(nn.Linear(coarse, coarse), nn.GELU(), nn.Linear(coarse, config.readout + 1))
            for _ in range(self.masks)
        )
        self.quality = nn.Sequential(nn.Linear(coarse, coarse), nn.GELU(), nn.Linear(coarse, self.masks))

    def maps(self, prompts: VolumePrompts, guide: Tensor) -> Tensor:
        """Prompts as maps, with the encoder's guides: B x PROMPT_CHANNELS x S/2 x S/2 x S/2."""
        return prompt_maps(prompts, guide, self.config.disk_radius, self.config.reach)

    def drawn(self, features: Sequence[Tensor], maps: Tensor) -> tuple[Tensor, Tensor]:
        """Features B x readout x S x S x S and tokens B x T x D (quality, then masks).

        Args:
            features: of the encoder, without the guides.
            maps: of the prompts, B x PROMPT_CHANNELS x S/2 x S/2 x S/2.
        """
        half, quarter, eighth, coarse = features
        dense_half = self.dense_half(maps)
        dense_quarter = self.dense_quarter(dense_half)
        dense_eighth = self.dense_eighth(dense_quarter)
        x = coarse + self.dense_coarse(dense_eighth)
        tokens = self.output_tokens.weight[None].expand(len(x), -1, -1).to(x.dtype)
        for block in self.blocks:
            x, tokens = block(x, tokens)
        x = upsample(self.up_eighth(x)) + self.skip_eighth(torch.cat([eighth, dense_eighth], 1))
        x = upsample(self.up_quarter(self.mix_eighth(x))) + self.skip_quarter(torch.cat([quarter, dense_quarter], 1))
        x = upsample(self.up_half(self.mix_quarter(x))) + self.skip_half(torch.cat([half, dense_half, maps], 1))
        return unfold(self.full(self.mix_half(x))), tokens

    def vectors(self, tokens: Tensor) -> Tensor:
        """Readout vectors of all masks, B x (1 + alternatives) x (readout + 1); the last entry is a constant."""
        return torch.stack([net(tokens[:, 1 + k]) for k, net in enumerate(self.hypernetworks)], 1)

    def qualities(self, tokens: Tensor) -> Tensor:
        """Predicted IoU of all masks, float32 B x (1 + alternatives)."""
        return self.quality(tokens[:, 0]).float().sigmoid()


def read(drawn: Tensor, vectors: Tensor) -> Tensor:
    """Logits float32 B x K x S x S x S of readout vectors B x K x (readout + 1)."""
    flat = torch.baddbmm(vectors[..., -1:].float(), vectors[..., :-1].float(), drawn.float().flatten(2))
    return flat.unflatten(2, drawn.shape[2:])


def upsample(x: Tensor) -> Tensor:
    """B x C x d x h x w at twice the resolution, linearly."""
    return F.interpolate(x, scale_factor=2, mode="trilinear", align_corners=False)


class VolumetricNetwork(DescribedNetwork):
    """Encoder and decoder with their sizes."""

    sizes, parts = VolumetricConfig, (VolumetricEncoder, VolumetricDecoder)
    config: VolumetricConfig
    encoder: VolumetricEncoder
    decoder: VolumetricDecoder


def prepare(window: Tensor, inside: Tensor) -> Tensor:
    """What the encoder sees of windows, float32 B x IMAGE_CHANNELS x S/2 x S/2 x S/2.

    Each intensity is given twice: standardized, and as its rank among the window's voxels, which shows soft tissue
    beside bone and air.

    Args:
        window: float32 B x S x S x S, any scale; ignored where `inside` is False.
        inside: bool B x S x S x S, whether a voxel lies in the volume.
    """
    weight = inside.float()
    count = weight.sum((1, 2, 3), keepdim=True).clamp(min=1)
    mean = (window * weight).sum((1, 2, 3), keepdim=True) / count
    deviation = (((window - mean) * weight) ** 2).sum((1, 2, 3), keepdim=True).div(count).sqrt()
    standard = ((window - mean) / deviation.clamp(min=1e-6)).clamp(-4, 4) * weight
    ranks = torch.stack([ranked(values, mask) for values, mask in zip(standard, inside)])
    both = fold(torch.stack([standard, ranks * weight], 1))
    return torch.cat([both, F.avg_pool3d(weight[:, None], 2)], 1)


def ranked(values: Tensor, inside: Tensor, levels: int = 64, sample: int = 8192) -> Tensor:
    """Rank of each voxel among those inside, in [-1, 1]: histogram equalization, from quantiles of a sample.

    Args:
        values: float32 S x S x S.
        inside: bool S x S x S.
    """
    there = values[inside]
    if there.numel() == 0:
        return torch.zeros_like(values)
    step = max(1, there.numel() // sample)
    ordered = there[::step].sort().values
    picks = torch.linspace(0, ordered.numel() - 1, levels + 1, device=values.device).round().long()
    knots = ordered[picks]
    upper = torch.searchsorted(knots, values.contiguous()).clamp(1, levels)
    low, high = knots[upper - 1], knots[upper]
    part = ((values - low) / (high - low).clamp(min=1e-6)).clamp(0, 1)
    return 2 * (upper - 1 + part) / levels - 1


@dataclass(frozen=True, eq=False)
class VolumeEmbedding:
    """What the frozen encoder knows of one window, on the model's device.

    Attributes:
        features: guides at 1/2, features at 1/2, 1/4, 1/8 and 1/16, batch of one.
        side: samples S along each side of the window.
    """

    features: tuple[Tensor, ...]
    side: int

    @property
    def nbytes(self) -> int:
        """Memory of the features in bytes."""
        return sum(t.element_size() * t.nelement() for t in self.features)

    def on_grid(self, click: WindowClick, mask_side: int) -> Triple:
        """A click's coordinates in samples: a window is its own grid, whatever `mask_side` says here and below."""
        return click.position

    def cell(self, click: WindowClick, mask_side: int) -> tuple[int, int, int]:
        """The sample that holds a click, the nearest one of the window."""
        return click.place_in((self.side,) * 3)

    def inside(self, mask_side: int) -> np.ndarray:
        """bool S x S x S, False on samples outside of the volume."""
        share = self.features[0][0, GUIDES] >= 0.5
        for axis in range(3):
            share = share.repeat_interleave(2, axis)
        return np.asarray(share.cpu().numpy())

    def gridded(self, logits: Tensor, mask_side: int) -> Tensor:
        """Logits of the window as they are."""
        return logits.float()

    def from_grid(self, logits: Tensor) -> Tensor:
        """Logits of the window as they are."""
        return logits.float()


@dataclass(frozen=True)
class WindowClick:
    """A click in coordinates of a window's samples, in the order of its axes."""

    position: Triple
    positive: bool = True

    def place_in(self, shape: tuple[int, ...]) -> tuple[int, int, int]:
        """Its sample in an array of the window, the nearest one where it lies beside."""
        i, j, k = (min(max(round(at), 0), length - 1) for at, length in zip(self.position, shape))
        return i, j, k


@dataclass(frozen=True, eq=False)
class VolumeQuestion:
    """What the decoder is asked in one window.

    Attributes:
        embedding: of the window.
        prompts: a batch of one.
        is_ambiguous: whether it is a lone click, which gets alternatives.
    """

    embedding: VolumeEmbedding
    prompts: VolumePrompts
    is_ambiguous: bool = False

    @property
    def clicks(self) -> tuple[WindowClick, ...]:
        """Those that the window shows, in order."""
        points, labels = self.prompts.points[0].tolist(), self.prompts.labels[0].tolist()
        pairs = [((i, j, k), label) for (i, j, k), label in zip(points, labels) if label != PADDING]
        return tuple(WindowClick(position, label == POSITIVE) for position, label in pairs)

    @property
    def maps(self) -> tuple[Tensor, ...]:
        """What it has on the samples of the window."""
        return self.prompts.prior[0], self.prompts.slices[0], self.prompts.known[0]

    @property
    def nbytes(self) -> int:
        """Memory besides the embedding's in bytes."""
        return sum({part.data_ptr(): part.nbytes for part in self.maps}.values())

    def without(self, latest: int) -> VolumeQuestion:
        """The same without its latest clicks."""
        prompts = self.prompts
        shown = (prompts.labels[0] != PADDING).nonzero()[:-latest, 0]
        fewer = replace(prompts, points=prompts.points[:, shown], labels=prompts.labels[:, shown])
        return replace(self, prompts=fewer)

    @property
    def is_opening(self) -> bool:
        """Whether it is about the first click on an object, without a box."""
        return len(self.clicks) == 1 and bool(self.prompts.box.isnan().all())

    @property
    def opening(self) -> VolumeQuestion | None:
        """The same about its first click alone; None where that is not on the object."""
        clicks = self.clicks[:1]
        if not clicks or not clicks[0].positive:
            return None
        alone = VolumePrompts.empty(self.prompts.prior.shape, torch.device("cpu"))
        points = torch.tensor([[clicks[0].position]], dtype=torch.float32)
        return replace(
            self, prompts=replace(alone, points=points, labels=torch.tensor([[POSITIVE]])), is_ambiguous=True
        )

    def decoded_by(self, model: VolumetricModel) -> Decoding:
        """What a model answers."""
        return model.answer(self)


class VolumetricModel(DescribedModel):
    """The network behind the contract: encode windows once, decode prompts on them."""

    network_kind = VolumetricNetwork
    mask_side = WINDOW_SIDE

    def encode(self, windows: Tensor, inside: Tensor) -> list[VolumeEmbedding]:
        """Encode windows, float32 B x S x S x S of any scale, S a multiple of 16; `inside` bool as in `prepare`.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        features = self._run(lambda: self._encoded(windows, inside))
        return [
            VolumeEmbedding(tuple(part[row : row + 1] for part in features), windows.shape[-1])
            for row in range(len(windows))
        ]

    def decode(self, embeddings: Sequence[VolumeEmbedding], prompts: VolumePrompts) -> tuple[Tensor, Tensor]:
        """Answer prompts on windows of one side: logits float32 B x K x S x S x S on the CPU, predicted IoUs B x K.

        Mask 0 is the single answer, the others are alternatives for a lone click.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self._run(lambda: self._decoded(embeddings, prompts))

    def answer(self, question: VolumeQuestion) -> Decoding:
        """As `decode` for one window; gradients flow to the decoder's parameters where they ask for them."""
        drawn, vectors, quality, _ = self._drawn(question)
        return Decoding(read(drawn, vectors)[0], quality[0])

    def canvas(self, question: VolumeQuestion) -> Canvas:
        """What the answer to a question is read from; on the CPU.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self._run(lambda: self._canvas(question))

    def answers(self, questions: Sequence[VolumeQuestion]) -> list[Decoding]:
        """As `answer` for each of several questions."""
        return [self.answer(question) for question in questions]

    def decoder_parameters(self) -> dict[str, nn.Parameter]:
        """The decoder's parameters by name, without those of layers that read prompts alone."""
        named = self.network.decoder.named_parameters()
        return {name: each for name, each in named if not name.startswith(PROMPT_LAYERS)}

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """Those of them that lie behind the transformer blocks, at half resolution and above: cheap gradients."""
        return {name: each for name, each in self.decoder_parameters().items() if name.startswith(HEAD_LAYERS)}

    def _canvas(self, question: VolumeQuestion) -> Canvas:
        drawn, vectors, quality, tokens = self._drawn(question)
        best = int(quality[0].argmax())
        return Canvas(drawn[0].float().cpu(), vectors[0, best].float().cpu(), tokens[0, 1 + best].float().cpu())

    def _drawn(self, question: VolumeQuestion) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Features, readout vectors and predicted IoUs of the masks that answer, and all tokens; a batch of one."""
        decoder, device = self.network.decoder, self.device
        guide, *features = [part.to(device) for part in question.embedding.features]
        with torch.no_grad():
            maps = decoder.maps(question.prompts.to(device), guide)
        with self._autocast():
            drawn, tokens = decoder.drawn(features, maps)
            vectors, quality = decoder.vectors(tokens), decoder.qualities(tokens)
        masks = decoder.masks if question.is_ambiguous else 1
        return drawn, vectors[:, :masks], quality[:, :masks], tokens

    def _encoded(self, windows: Tensor, inside: Tensor) -> tuple[Tensor, ...]:
        prepared = prepare(windows.to(self.device), inside.to(self.device))
        with self._autocast():
            return self.network.encoder(prepared)

    def _decoded(self, embeddings: Sequence[VolumeEmbedding], prompts: VolumePrompts) -> tuple[Tensor, Tensor]:
        decoder, device = self.network.decoder, self.device
        guide, *features = [
            torch.cat([part.to(device) for part in parts]) for parts in zip(*(e.features for e in embeddings))
        ]
        maps = decoder.maps(prompts.to(device), guide)
        with self._autocast():
            drawn, tokens = decoder.drawn(features, maps)
            vectors, quality = decoder.vectors(tokens), decoder.qualities(tokens)
        return read(drawn, vectors).cpu(), quality.cpu()
