"""The segmentation network of a cohort: MONAI's U-Net, sized to the data and trained from scratch.

What lies outside of a volume teaches nothing. Volumes of a cohort are expected to have about the same voxel spacing.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F

from AdaptCore.errors import ImageError, ModelError
from AdaptCore.models.devices import choose_device, computes_bfloat16, on_device_or_cpu
from AdaptCore.predict.geometry import check_volume
from AdaptCore.predict.intensity import apply_window, auto_window

Progress = Callable[[int, int], None]
Weights = dict[str, torch.Tensor]

SMALLEST_HALVED = 16
"""An axis is halved while it has so many voxels."""

MOST_LEVELS = 4
PATCH_SIDE = 64
WINDOW_SIDE = 96
"""Longest side of a training patch, and of what is predicted at once, in voxels."""

LARGE = 4
"""A volume of so many patches is large: most of its patches would hold nothing but background."""

FIRST_CHANNELS = 32
THIN = 2.0
"""An axis whose voxels are so many times longer than the shortest is not halved."""


@dataclass(frozen=True)
class NetworkSettings:
    """Every size of the network and of its training; stored with the weights.

    Attributes:
        classes: number of classes, background included.
        channels: of each level, the finest first.
        strides: from each level to the next one, along i, j, k.
        patch: voxels of a training patch along i, j, k, multiples of the product of the strides.
        spacing: millimetres along i, j, k.
        steps, batch: training steps, and patches in each.
        learning_rate: of AdamW at its highest; it falls to zero along a cosine.
        seed: of the initial weights, the patches and their augmentation.
    """

    classes: int
    channels: tuple[int, ...]
    strides: tuple[tuple[int, int, int], ...]
    patch: tuple[int, int, int]
    spacing: tuple[float, float, float]
    steps: int = 300
    batch: int = 2
    learning_rate: float = 8e-3
    seed: int = 0

    @property
    def reduction(self) -> tuple[int, int, int]:
        """Voxels along i, j, k that share one voxel of the deepest level."""
        i, j, k = (math.prod(strides) for strides in zip(*self.strides))
        return i, j, k


@dataclass(frozen=True)
class Augmentation:
    """How patches are varied (ours; ranges as usual for medical volumes, uniform).

    Attributes:
        turn: largest rotation around each axis, in radians.
        scale: largest relative change of size.
        bend: largest shift of a control point of a smooth deformation, as a share of the patch.
        contrast: largest relative change of contrast.
        brightness: largest shift, in standard deviations of the volume.
        noise: largest standard deviation of added noise, in those of the volume.
    """

    turn: float = 0.25
    scale: float = 0.15
    bend: float = 0.08
    contrast: float = 0.3
    brightness: float = 0.3
    noise: float = 0.15


@dataclass(frozen=True, eq=False)
class Sample:
    """What the network learns from one volume.

    Attributes:
        image: (I, J, K), intensities as stored.
        label: classes, uint8 (I, J, K).
    """

    image: np.ndarray
    label: np.ndarray

    @property
    def nbytes(self) -> int:
        """Memory of the arrays in bytes."""
        return self.image.nbytes + self.label.nbytes


def check_installed() -> None:
    """Insist on MONAI.

    Raises:
        ModelError: it is not installed.
    """
    if importlib.util.find_spec("monai") is None:
        raise ModelError(
            "Training a cohort's network needs MONAI, which is not installed. Run pip install 'adaptseg[cohort]'."
        )


def settings_for(
    shapes: Sequence[Sequence[int]], spacing: Sequence[float], classes: int, seed: int = 0
) -> NetworkSettings:
    """Sizes for volumes of these shapes (I, J, K): the more voxels along an axis, the more often it is halved (ours).

    Args:
        spacing: millimetres along i, j, k, of a typical volume.
        classes: background included.

    Raises:
        ImageError: there is no shape, or fewer than two classes.
    """
    if not shapes or classes < 2:
        raise ImageError(f"Expected at least 1 volume and 2 classes, got {len(shapes)} and {classes}.")
    typical = [min(float(side), PATCH_SIDE) for side in np.median(np.asarray(shapes), axis=0)]
    sides, voxel = list(typical), [float(length) for length in spacing]
    strides: list[tuple[int, int, int]] = []
    while len(strides) < MOST_LEVELS - 1:
        i, j, k = (2 if n >= SMALLEST_HALVED and s < THIN * min(voxel) else 1 for n, s in zip(sides, voxel))
        if (i, j, k) == (1, 1, 1):
            break
        strides.append((i, j, k))
        sides = [n / step for n, step in zip(sides, (i, j, k))]
        voxel = [s * step for s, step in zip(voxel, (i, j, k))]
    strides = strides or [(1, 1, 1)]
    channels = tuple(FIRST_CHANNELS * 2**level for level in range(len(strides) + 1))
    reduction = [math.prod(steps) for steps in zip(*strides)]
    patch = [max(step, int(n) // step * step) for n, step in zip(typical, reduction)]
    return NetworkSettings(classes, channels, tuple(strides), _triple(patch), _triple(spacing), seed=seed)


def train(
    samples: Sequence[Sample],
    settings: NetworkSettings,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] | None = None,
    device: str | None = None,
) -> Weights:
    """Train from scratch with Dice and cross-entropy; the same seed gives the same weights.

    A sample is asked for when a patch of it is drawn and not kept. One that stands more than once in the sequence is
    drawn more often.

    Args:
        progress: called after each step with (done, to do).
        cancelled: asked before each step.
        device: where to compute; by default a CUDA device, else the CPU.

    Returns:
        Tensors of the network's state on the CPU, float32.

    Raises:
        CancelledError: `cancelled` said yes.
        ImageError: there is no sample, or one whose arrays differ in shape or whose label has too high a class.
    """
    if not samples:
        raise ImageError("Expected at least 1 sample to train on, got none.")
    return on_device_or_cpu(lambda place: _trained(samples, settings, place, progress, cancelled), _device(device))


def _trained(
    samples: Sequence[Sample],
    settings: NetworkSettings,
    place: torch.device,
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> Weights:
    generator = torch.Generator().manual_seed(settings.seed)
    network = _network(settings).to(place).train()
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.learning_rate, total_steps=settings.steps)
    for step in range(settings.steps):
        if cancelled is not None and cancelled():
            raise CancelledError
        chosen = torch.randint(len(samples), (settings.batch,), generator=generator).tolist()
        patches = torch.cat([_patch(samples[index], settings, generator) for index in chosen]).to(place)
        with _fast(place):
            logits = network(patches[:, :1])
        _loss(logits.float(), patches[:, 1:-1], patches[:, -1:]).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
        if progress is not None:
            progress(step + 1, settings.steps)
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}


def predict(weights: Weights, settings: NetworkSettings, image: np.ndarray, device: str | None = None) -> np.ndarray:
    """Probabilities float32 (classes, I, J, K), background first; large volumes in overlapping windows.

    Args:
        device: as for `train`.

    Raises:
        ImageError: the image is no volume of grey values.
    """
    volume = standardized(image)[None, None]
    return on_device_or_cpu(lambda place: _predicted(weights, settings, volume, place), _device(device))


def _predicted(weights: Weights, settings: NetworkSettings, volume: torch.Tensor, place: torch.device) -> np.ndarray:
    from monai.inferers import sliding_window_inference

    network = _network(settings).to(place).eval()
    network.load_state_dict(weights)
    window = [
        min(-(-side // step) * step, max(patch, WINDOW_SIDE // step * step))
        for side, step, patch in zip(volume.shape[2:], settings.reduction, settings.patch)
    ]
    with torch.no_grad(), _fast(place):
        logits = cast(
            torch.Tensor, sliding_window_inference(volume.to(place), window, 1, network, overlap=0.25, mode="gaussian")
        )
    return logits[0].float().softmax(0).cpu().numpy()


def standardized(image: np.ndarray) -> torch.Tensor:
    """A volume (I, J, K) within its window, with zero mean and unit deviation; float32.

    Raises:
        ImageError: it is no volume of grey values.
    """
    check_volume(image)
    if image.ndim != 3:
        raise ImageError(f"Expected a grey volume (I, J, K), got one of shape {image.shape}.")
    shown = torch.from_numpy(apply_window(image, auto_window(image)))
    return (shown - shown.mean()) / shown.std(correction=0).clamp(min=1e-3)


def _device(requested: str | None) -> torch.device:
    return choose_device(requested or ("cuda" if torch.cuda.is_available() else "cpu"))


def _fast(device: torch.device) -> torch.autocast:
    """Computes in bfloat16 where the device has instructions for it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=computes_bfloat16(device))


def _network(settings: NetworkSettings) -> torch.nn.Module:
    from monai.networks.nets import UNet

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(settings.seed)
        return UNet(
            spatial_dims=3,
            in_channels=1,
            out_channels=settings.classes,
            channels=settings.channels,
            strides=cast("Sequence[int]", settings.strides),  # a triple each is taken as well
            norm="instance",
        )


def _loss(logits: torch.Tensor, wanted: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Dice of the classes over the batch plus cross-entropy.

    Args:
        logits, wanted: B x C x h x w x d.
        inside: share of each voxel that lies in the volume, B x 1 x h x w x d.
    """
    from monai.losses import MaskedDiceLoss

    overlap = MaskedDiceLoss(softmax=True, include_background=False, batch=True)(logits, wanted, inside)
    entropy = F.cross_entropy(logits, wanted, reduction="none")
    return overlap + (entropy * inside[:, 0]).sum() / inside.sum().clamp(min=1.0)


def _patch(sample: Sample, settings: NetworkSettings, generator: torch.Generator) -> torch.Tensor:
    """A varied patch: image, classes one-hot, what lies in the volume; 1 x (classes + 2) x the patch's shape."""
    shape = sample.image.shape
    if sample.label.shape != shape:
        raise ImageError(f"Expected a label of the shape of the image, {shape}, got {sample.label.shape}.")
    if int(sample.label.max()) >= settings.classes:
        raise ImageError(f"Expected classes below {settings.classes}, got {int(sample.label.max())}.")
    places = _places(sample.label, settings, generator)
    box = _box(places, shape)
    label = torch.from_numpy(sample.label[box].astype(np.int64))
    classes = F.one_hot(label, settings.classes).permute(3, 0, 1, 2).float()
    known = torch.cat([standardized(sample.image)[box][None], classes, torch.ones(1, *label.shape)])
    first, size = (torch.tensor(values) for values in ([side.start for side in box], label.shape))
    grid = ((2 * (places - first) + 1) / size - 1).flip(-1)
    patch = F.grid_sample(known[None], grid[None], mode="bilinear", align_corners=False)
    patch[:, :1] = _with_other_intensities(patch[:, :1], generator)
    return patch


def _box(places: torch.Tensor, shape: Sequence[int]) -> tuple[slice, slice, slice]:
    """The voxels of a volume that are needed to interpolate at places (..., 3); at least one."""
    lowest, highest = (torch.stack(ends).tolist() for ends in zip(*(place.aminmax() for place in places.unbind(-1))))
    starts = [min(max(math.floor(low), 0), side - 1) for low, side in zip(lowest, shape)]
    i, j, k = (slice(start, max(start, math.floor(high) + 1) + 1) for start, high in zip(starts, highest))
    return i, j, k


def _places(label: np.ndarray, settings: NetworkSettings, generator: torch.Generator) -> torch.Tensor:
    """Voxels at which a varied patch of a volume is read, patch x 3."""
    vary, patch = Augmentation(), settings.patch
    spacing, side = (torch.tensor(values, dtype=torch.float32) for values in (settings.spacing, patch))
    angles = vary.turn * _uniform(3, generator)
    scales = 1 + vary.scale * _uniform(3, generator)
    matrix = _rotation(angles) * scales
    centre = _centre(label, patch, generator)
    axes = [torch.arange(n) - (n - 1) / 2 for n in patch]
    offset = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1)
    bend = vary.bend * _uniform(3 * 64, generator).view(1, 3, 4, 4, 4)
    bent = F.interpolate(bend, patch, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0) * side
    return centre + (offset * spacing) @ matrix.T / spacing + bent


def _centre(label: np.ndarray, patch: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Where a patch lies: anywhere inside; in a large volume each second time on a voxel of the foreground."""
    size, side = (torch.tensor(values, dtype=torch.float32) for values in (label.shape, patch))
    centre = (size - 1) / 2 + (size - side).clamp(min=0) / 2 * _uniform(3, generator)
    if label.size < LARGE * math.prod(patch) or torch.rand((), generator=generator) < 0.5:
        return centre
    foreground = np.flatnonzero(label)
    if not foreground.size:
        return centre
    chosen = foreground[int(torch.randint(foreground.size, (), generator=generator))]
    return torch.tensor(np.unravel_index(chosen, label.shape), dtype=torch.float32)


def _rotation(angles: torch.Tensor) -> torch.Tensor:
    """Rotation by an angle around each axis in turn, 3 x 3."""
    skew = torch.zeros(3, 3)
    skew[2, 1], skew[0, 2], skew[1, 0] = angles
    return torch.matrix_exp(skew - skew.T)


def _with_other_intensities(image: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    vary = Augmentation()
    contrast, brightness, noise = _uniform(3, generator).tolist()
    varied = image * (1 + vary.contrast * contrast) + vary.brightness * brightness
    return varied + vary.noise * abs(noise) * torch.randn(image.shape, generator=generator)


def _uniform(count: int, generator: torch.Generator) -> torch.Tensor:
    """Numbers from -1 to 1."""
    return 2 * torch.rand(count, generator=generator) - 1


def _triple(values: Sequence[float]) -> tuple:
    first, second, third = values
    return first, second, third
