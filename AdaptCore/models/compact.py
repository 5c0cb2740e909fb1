"""The built-in compact model: a small promptable network with click maps at half resolution.

Architecture (ours): a convolutional stem keeps detail at 1/2, 1/4 and 1/8, five transformer blocks see the whole plane
at 1/16. The decoder receives every prompt twice, as dense maps and as SAM's sparse tokens (Kirillov et al. 2023,
section 3), mixes them in a two-way transformer at 1/16 and returns to half resolution over skip connections, where
hypernetwork vectors give the masks. Only the decoder is run for a click.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from AdaptCore.models.base import Canvas, Decoding, Embedding, Question
from AdaptCore.models.described import DescribedModel, DescribedNetwork
from AdaptCore.models.placement import device_of
from AdaptCore.prompts import Prompts

POSITIVE, NEGATIVE, BOX_FIRST, BOX_SECOND, PADDING = range(5)

PROMPT_LAYERS = ("point_kind", "dense_")
"""Beginnings of the names of the decoder's parameters that encode prompts; adaptation leaves them as they are."""

MIXING_LAYERS = ("blocks.", "output_tokens.")
"""Beginnings of the names of those that belong to the decoder's transformer."""

MOST_BLOCKS = 100

TOKENS = 8
"""Prompts are padded to a multiple of so many tokens: torch keeps 1.5 MB of plans for every other number of them."""


@dataclass(frozen=True)
class CompactConfig:
    """Every size of the network; stored with the weights.

    Attributes:
        input_side: side of the square input in pixels.
        stem: channels at 1/2, 1/4 and 1/8.
        dim: channels of the tokens at 1/16.
        heads: attention heads.
        blocks: transformer blocks of the encoder.
        decoder: channels of the decoder at 1/8, 1/4 and 1/2.
        mlp: hidden width of the decoder's feed-forward layers.
        alternatives: masks offered for an ambiguous first click, besides the single one.
        disk_radius: radius of a click on the dense maps, in pixels of the input.
        reach: decay length of a click's wide map, in pixels of the input.

    Raises:
        ValueError: `input_side` is no multiple of 16, `dim` no even multiple of `heads`, or there are too many blocks.
    """

    input_side: int = 256
    stem: tuple[int, int, int] = (32, 64, 128)
    dim: int = 192
    heads: int = 6
    blocks: int = 5
    decoder: tuple[int, int, int] = (96, 48, 32)
    mlp: int = 512
    alternatives: int = 3
    disk_radius: float = 5.0
    reach: float = 32.0

    def __post_init__(self) -> None:
        if self.input_side % 16 or self.dim % self.heads or self.dim % 2:
            raise ValueError(f"expected input_side a multiple of 16 and dim an even multiple of heads, got {self}")
        if self.blocks > MOST_BLOCKS:
            raise ValueError(f"{self}: at most {MOST_BLOCKS} blocks are allowed")


def conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, group norm, SiLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.GroupNorm(max(1, outputs // 16), outputs), nn.SiLU()
    )


class ResidualConv(nn.Module):
    """Convolution added to its input, B x C x h x w."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = conv_norm(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x)


class Attention(nn.Module):
    """Multi-head attention of queries (B, N, D) over keys and values (B, M, D)."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(dim, dim) for _ in range(4))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, key_mask: Tensor | None = None) -> Tensor:
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, x in ((self.query, query), (self.key, key), (self.value, value))
        )
        mask = None if key_mask is None else key_mask[:, None, None, :]
        return self.out(F.scaled_dot_product_attention(q, k, v, attn_mask=mask).transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """Depthwise position, self-attention, feed-forward; x is B x D x h x w."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.position = nn.Conv2d(dim, dim, 3, 1, 1, groups=dim)
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = Attention(dim, heads)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.position(x)
        tokens = x.flatten(2).transpose(1, 2)
        normed = self.norm1(tokens)
        tokens = tokens + self.attention(normed, normed, normed)
        tokens = tokens + self.mlp(self.norm2(tokens))
        return tokens.transpose(1, 2).unflatten(2, x.shape[-2:])


class CompactEncoder(nn.Module):
    """Standardized image B x 3 x S x S -> features at 1/2, 1/4, 1/8 and 1/16."""

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        half, quarter, eighth = config.stem
        self.to_half = conv_norm(3, half, 2)
        self.to_quarter = nn.Sequential(conv_norm(half, quarter, 2), ResidualConv(quarter))
        self.to_eighth = nn.Sequential(conv_norm(quarter, eighth, 2), ResidualConv(eighth))
        self.patch = conv_norm(eighth, config.dim, 2)
        self.blocks = nn.Sequential(*(EncoderBlock(config.dim, config.heads) for _ in range(config.blocks)))
        self.neck = nn.Sequential(nn.Conv2d(config.dim, config.dim, 1), nn.GroupNorm(1, config.dim))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        half = self.to_half(image)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        return half, quarter, eighth, self.neck(self.blocks(self.patch(eighth)))


class FourierPosition(nn.Module):
    """Random Fourier features of positions in [0, 1]^2 (as in SAM's prompt encoder)."""

    frequencies: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.register_buffer("frequencies", torch.empty(2, dim // 2).normal_(generator=generator))

    def forward(self, xy: Tensor) -> Tensor:
        phase = 2 * math.pi * (2 * xy.float() - 1) @ self.frequencies.float()
        return torch.cat([phase.sin(), phase.cos()], -1)

    def grid(self, height: int, width: int) -> Tensor:
        """Encoding of the centres of an h x w grid, (h * w, D)."""
        device = self.frequencies.device
        y, x = torch.meshgrid(
            (torch.arange(height, device=device) + 0.5) / height,
            (torch.arange(width, device=device) + 0.5) / width,
            indexing="ij",
        )
        return self(torch.stack([x, y], -1)).flatten(0, 1)


class TwoWayBlock(nn.Module):
    """Tokens attend to each other and to the image, then the image to the tokens (SAM, appendix A).

    Tokens and their positions are B x T x D, image and its positions B x N x D, the mask of valid tokens B x T.
    """

    def __init__(self, dim: int, heads: int, mlp: int) -> None:
        super().__init__()
        self.self_attention, self.to_image, self.to_tokens = (Attention(dim, heads) for _ in range(3))
        self.norm1, self.norm2, self.norm3, self.norm4 = (nn.LayerNorm(dim) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(dim, mlp), nn.GELU(), nn.Linear(mlp, dim))

    def forward(
        self, tokens: Tensor, image: Tensor, token_position: Tensor, image_position: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        query = tokens + token_position
        tokens = self.norm1(tokens + self.self_attention(query, query, tokens, mask))
        tokens = self.norm2(tokens + self.to_image(tokens + token_position, image + image_position, image))
        tokens = self.norm3(tokens + self.mlp(tokens))
        image = self.norm4(image + self.to_tokens(image + image_position, tokens + token_position, tokens, mask))
        return tokens, image


@dataclass(frozen=True, eq=False)
class PromptTensors:
    """A batch of prompts in input pixels.

    Attributes:
        points: float32 B x P x 2, (x, y) with pixel centres at whole numbers.
        labels: int64 B x P, one of POSITIVE, NEGATIVE, BOX_FIRST, BOX_SECOND, PADDING.
        prior: float32 B x h x w logits at mask resolution; ignored where `has_prior` is 0.
        has_prior: float32 B.
    """

    points: Tensor
    labels: Tensor
    prior: Tensor
    has_prior: Tensor

    def to(self, device: torch.device) -> PromptTensors:
        """The same prompts on a device."""
        return PromptTensors(*(getattr(self, part.name).to(device) for part in fields(self)))


def batched(prompts: Sequence[PromptTensors]) -> PromptTensors:
    """Batches of prompts as one; shorter ones are padded."""
    longest = max(one.points.shape[1] for one in prompts)
    missing = [longest - one.points.shape[1] for one in prompts]
    return PromptTensors(
        torch.cat([F.pad(one.points, (0, 0, 0, more)) for one, more in zip(prompts, missing, strict=True)]),
        torch.cat([F.pad(one.labels, (0, more), value=PADDING) for one, more in zip(prompts, missing, strict=True)]),
        torch.cat([one.prior for one in prompts]),
        torch.cat([one.has_prior for one in prompts]),
    )


def dense_maps(prompts: PromptTensors, side: int, config: CompactConfig) -> Tensor:
    """Prompts as seven maps at half resolution, float32 B x 7 x h x w.

    Disks and wide decaying maps of positive and negative clicks, the filled box, the prior and whether there is one.
    """
    points, labels = prompts.points.float(), prompts.labels
    grid = torch.arange(0, side, 2, device=points.device, dtype=torch.float32) + 0.5
    maps = []
    for label in (POSITIVE, NEGATIVE):
        nearest = _nearest(torch.where((labels == label)[..., None], points, torch.inf), grid)
        maps += [((config.disk_radius + 1 - nearest) / 2).clamp(0, 1), (-nearest / config.reach).exp()]
    maps.append(filled_box(points, labels, grid))
    known = prompts.has_prior[:, None, None]
    maps += [torch.tanh(prompts.prior.float() / 4) * known, known.expand_as(maps[0])]
    return torch.stack(maps, 1)


def _nearest(points: Tensor, grid: Tensor) -> Tensor:
    """Distance from each place of the grid to the nearest of each sample's points, B x h x w; infinite without any.

    Points that do not count are infinitely far: to mask their distances instead takes most of a click's time after a
    hundred of them.
    """
    if not points.shape[1]:
        return points.new_full((len(points), len(grid), len(grid)), torch.inf)
    along, across = ((grid - points[:, :, axis, None]) ** 2 for axis in (1, 0))
    return (along[:, :, :, None] + across[:, :, None, :]).amin(1).sqrt()


def filled_box(points: Tensor, labels: Tensor, grid: Tensor) -> Tensor:
    """Inside of each sample's box on the grid with soft edges, B x h x w; zero where there is no box."""
    first = torch.where((labels == BOX_FIRST)[..., None], points, torch.inf).amin(1)
    second = torch.where((labels == BOX_SECOND)[..., None], points, -torch.inf).amax(1)
    x = torch.minimum(grid[None] - first[:, :1], second[:, :1] - grid[None])
    y = torch.minimum(grid[None] - first[:, 1:], second[:, 1:] - grid[None])
    return (torch.minimum(x[:, None, :], y[:, :, None]) / 2 + 0.5).clamp(0, 1)


class CompactDecoder(nn.Module):
    """Features and prompts -> logits B x (1 + alternatives) x S/2 x S/2 and predicted IoUs B x (1 + alternatives).

    Mask 0 is the single answer, the others are the alternatives for an ambiguous first click.
    """

    def __init__(self, config: CompactConfig) -> None:
        super().__init__()
        self.config = config
        dim, (eighth, quarter, half) = config.dim, config.decoder
        self.masks = 1 + config.alternatives
        self.position = FourierPosition(dim)
        self.point_kind = nn.Embedding(5, dim)
        self.output_tokens = nn.Embedding(1 + self.masks, dim)
        self.dense_half = conv_norm(7, 16)
        self.dense_quarter = conv_norm(16, 32, 2)
        self.dense_eighth = conv_norm(32, 64, 2)
        self.dense_sixteenth = nn.Conv2d(64, dim, 3, 2, 1)
        self.blocks = nn.ModuleList(TwoWayBlock(dim, config.heads, config.mlp) for _ in range(2))
        self.up_eighth = nn.Conv2d(dim, eighth, 1)
        self.skip_eighth = nn.Conv2d(config.stem[2] + 64, eighth, 1)
        self.mix_eighth = nn.Sequential(ResidualConv(eighth), ResidualConv(eighth))
        self.up_quarter = nn.Conv2d(eighth, quarter, 1)
        self.skip_quarter = nn.Conv2d(config.stem[1] + 32, quarter, 1)
        self.mix_quarter = nn.Sequential(ResidualConv(quarter), ResidualConv(quarter))
        self.up_half = nn.Conv2d(quarter, half, 1)
        self.skip_half = nn.Conv2d(config.stem[0] + 16, half, 1)
        self.mix_half = ResidualConv(half)
        self.hypernetworks = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, half + 1)) for _ in range(self.masks)
        )
        self.quality = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, self.masks))

    def forward(self, features: tuple[Tensor, ...], prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        return self.read(*self.drawn(features, prompts))

    def drawn(self, features: tuple[Tensor, ...], prompts: PromptTensors) -> tuple[Tensor, Tensor]:
        """The last features B x C x S/2 x S/2, and the tokens B x N x D: quality, masks, prompts."""
        half, quarter, eighth, coarse = features
        side = 2 * half.shape[-1]
        dense_half = self.dense_half(dense_maps(prompts, side, self.config).to(half.dtype))
        dense_quarter = self.dense_quarter(dense_half)
        dense_eighth = self.dense_eighth(dense_quarter)
        coarse = coarse + self.dense_sixteenth(dense_eighth)
        tokens, image = self.mix(coarse, prompts, side)
        x = upsample(self.up_eighth(image)) + self.skip_eighth(torch.cat([eighth, dense_eighth], 1))
        x = self.mix_eighth(x)
        x = upsample(self.up_quarter(x)) + self.skip_quarter(torch.cat([quarter, dense_quarter], 1))
        x = self.mix_quarter(x)
        x = upsample(self.up_half(x)) + self.skip_half(torch.cat([half, dense_half], 1))
        return self.mix_half(x), tokens

    def vectors(self, tokens: Tensor) -> Tensor:
        """Readout vectors of all masks, B x (1 + alternatives) x (C + 1)."""
        return torch.stack([net(tokens[:, 1 + k]) for k, net in enumerate(self.hypernetworks)], 1)

    def read(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and predicted IoUs from what was drawn."""
        vectors = self.vectors(tokens)
        logits = torch.einsum("bkc,bchw->bkhw", vectors[..., :-1], x) + vectors[..., -1][..., None, None]
        return logits.float(), self.quality(tokens[:, 0]).float().sigmoid()

    def mix(self, coarse: Tensor, prompts: PromptTensors, side: int) -> tuple[Tensor, Tensor]:
        """Two-way transformer; returns tokens B x T x D (quality, then masks) and the image B x D x h x w."""
        batch, _, height, width = coarse.shape
        point_position = self.position((prompts.points + 0.5) / side)
        points = self.point_kind(prompts.labels)
        outputs = self.output_tokens.weight[None].expand(batch, -1, -1)
        tokens = torch.cat([outputs, points], 1).to(coarse.dtype)
        token_position = torch.cat([torch.zeros_like(outputs), point_position], 1).to(coarse.dtype)
        image_position = self.position.grid(height, width)[None].to(coarse.dtype)
        valid = torch.cat([prompts.labels.new_ones(batch, outputs.shape[1]), prompts.labels != PADDING], 1).bool()
        image = coarse.flatten(2).transpose(1, 2)
        for block in self.blocks:
            tokens, image = block(tokens, image, token_position, image_position, valid)
        return tokens, image.transpose(1, 2).unflatten(2, (height, width))


def upsample(x: Tensor) -> Tensor:
    """B x C x h x w at twice the resolution, linearly."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


class CompactNetwork(DescribedNetwork):
    """Encoder and decoder with their sizes."""

    sizes, parts = CompactConfig, (CompactEncoder, CompactDecoder)
    config: CompactConfig
    encoder: CompactEncoder
    decoder: CompactDecoder


def standardize(image: Tensor, sizes: Tensor) -> Tensor:
    """Zero mean and unit deviation over each image proper; padding becomes zero.

    Args:
        image: B x 3 x S x S.
        sizes: int64 B x 2, (h, w) of the image proper.
    """
    axis = torch.arange(image.shape[-1], device=image.device)
    rows, columns = (axis[None] < sizes[:, k : k + 1] for k in (0, 1))
    valid = (rows[:, None, :, None] & columns[:, None, None, :]).to(image.dtype)
    count = 3 * sizes.prod(1)[:, None, None, None]
    mean = (image * valid).sum((1, 2, 3), keepdim=True) / count
    deviation = (((image - mean) * valid) ** 2).sum((1, 2, 3), keepdim=True).div(count).sqrt()
    return (image - mean) / deviation.clamp(min=0.02) * valid


class CompactModel(DescribedModel):
    """The built-in model of planes behind the Model protocol."""

    network_kind = CompactNetwork
    follows_prior = True

    def __init__(
        self, network: CompactNetwork, name: str, digest: str, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        super().__init__(network, name, digest, device, dtype)
        self.mask_side = network.config.input_side // 2

    def encode(self, image: np.ndarray) -> Embedding:
        """Encode a plane: float32 (H, W) or (H, W, 3) in [0, 1].

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self.encode_all([image])[0]

    def encode_all(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        """As `encode` for each of several planes, at least one, in one batch.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self._run(lambda: self._encoded(images))

    def decode(self, embedding: Embedding, prompts: Prompts, prior_logits: Tensor | None = None) -> Decoding:
        """Answer prompts given in plane pixels; a lone first click gets all alternatives, anything else one mask.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self.decode_all([Question(embedding, prompts, prior_logits)])[0]

    def decode_all(self, questions: Sequence[Question]) -> list[Decoding]:
        """As `decode` for each of several questions, at least one, in one batch.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self._run(lambda: self.answers(questions))

    def decoder_parameters(self) -> dict[str, nn.Parameter]:
        """The mask decoder's parameters by name, float32; those of layers that read prompts are not among them."""
        return {
            name: weight
            for name, weight in self.network.decoder.named_parameters()
            if not name.startswith(PROMPT_LAYERS)
        }

    def head_parameters(self) -> dict[str, nn.Parameter]:
        """Those of `decoder_parameters` behind the transformer."""
        named = self.decoder_parameters().items()
        return {name: weight for name, weight in named if not name.startswith(MIXING_LAYERS)}

    def answer(self, question: Question) -> Decoding:
        """As `decode`; gradients flow to the decoder's parameters where they ask for them."""
        return self.answers([question])[0]

    def answers(self, questions: Sequence[Question]) -> list[Decoding]:
        """As `answer` for each of several questions, in one batch."""
        features, prompts = self._batched(questions)
        with self._autocast():
            logits, quality = self.network.decoder(features, prompts)
        kept = [slice(None) if one.is_ambiguous else slice(0, 1) for one in questions]
        return [Decoding(logits[place, masks], quality[place, masks]) for place, masks in enumerate(kept)]

    def canvas(self, question: Question) -> Canvas:
        """What the answer to a question is read from; on the CPU.

        Raises:
            ModelError: out of memory, on the CPU too.
        """
        return self._run(lambda: self._canvas(question))

    def _canvas(self, question: Question) -> Canvas:
        decoder = self.network.decoder
        features, prompts = self._batched([question])
        with self._autocast():
            drawn, tokens = decoder.drawn(features, prompts)
            vectors, (_, quality) = decoder.vectors(tokens)[0].float(), decoder.read(drawn, tokens)
        best = int(quality[0].argmax()) if question.is_ambiguous else 0
        return Canvas(drawn[0].float().cpu(), vectors[best].cpu(), tokens[0, 1 + best].float().cpu())

    def _batched(self, questions: Sequence[Question]) -> tuple[tuple[Tensor, ...], PromptTensors]:
        """Features and prompts of several questions as one batch."""
        device = self.device
        asked = [self.prompt_tensors(one.embedding, one.prompts, one.prior) for one in questions]
        *skips, coarse = zip(*(one.embedding.features for one in questions), strict=True)
        features = (*(_together(same, device, self.dtype) for same in skips), _together(coarse, device, torch.float32))
        return features, batched(asked).to(device)

    def _encoded(self, images: Sequence[np.ndarray]) -> list[Embedding]:
        network = self.network
        device = device_of(network)
        side = network.config.input_side
        resized = [resized_to(side, image) for image in images]
        sizes = [(plane.shape[2], plane.shape[3]) for plane in resized]
        squares = [F.pad(plane, (0, side - w, 0, side - h)) for plane, (h, w) in zip(resized, sizes)]
        standard = standardize(torch.cat(squares), torch.tensor(sizes)).to(device)
        with self._autocast():
            features = network.encoder(standard.contiguous(memory_format=torch.channels_last))
        return [
            Embedding(tuple(_only(each, place) for each in features), image.shape[:2], size, side)
            for place, (image, size) in enumerate(zip(images, sizes))
        ]

    def prompt_tensors(self, embedding: Embedding, prompts: Prompts, prior_logits: Tensor | None) -> PromptTensors:
        """Prompts of one plane as a batch of one in input pixels, on the CPU."""
        clicks = prompts.seen
        points = [(click.x, click.y) for click in clicks]
        labels = [POSITIVE if click.positive else NEGATIVE for click in clicks]
        if prompts.box:
            points += [(prompts.box.x0, prompts.box.y0), (prompts.box.x1, prompts.box.y1)]
            labels += [BOX_FIRST, BOX_SECOND]
        padding = -len(points) % TOKENS if points else TOKENS
        points, labels = points + padding * [(0.0, 0.0)], labels + padding * [PADDING]
        scale = torch.tensor(embedding.scale)
        xy = (torch.tensor(points, dtype=torch.float32).reshape(-1, 2) + 0.5) * scale - 0.5
        known = torch.tensor([0.0 if prior_logits is None else 1.0])
        prior = torch.zeros(self.mask_side, self.mask_side) if prior_logits is None else prior_logits.float()
        return PromptTensors(xy[None], torch.tensor([labels]), prior.cpu()[None], known)


def resized_to(side: int, image: np.ndarray) -> Tensor:
    """A plane (H, W) or (H, W, 3) as float32 1 x 3 x h x w with a longer side of `side` pixels."""
    height, width = image.shape[:2]
    scale = side / max(height, width)
    size = max(1, round(height * scale)), max(1, round(width * scale))
    pixels = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
    planes = pixels[None, None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)[None]
    return F.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True).expand(-1, 3, -1, -1)


def _only(features: Tensor, place: int) -> Tensor:
    """One plane's features of a batch, 1 x C x h x w; they do not keep those of the others in memory."""
    return features if len(features) == 1 else features[place : place + 1].clone()


def _together(features: Sequence[Tensor], device: torch.device, dtype: torch.dtype) -> Tensor:
    """Features of several planes as one batch; a single one is not copied without need."""
    moved = [feature.to(device, dtype) for feature in features]
    return moved[0] if len(moved) == 1 else torch.cat(moved)
