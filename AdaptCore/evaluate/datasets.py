"""Reads benchmark folders: the images of one target with their reference masks.

2D: `SET/images/<id>.*` with `SET/masks/<id>.png`, or `SET/masks/<id>__<rater>.png` where several experts drew.
3D: `SET/images/<id>.nii.gz` with `SET/labels/<id>.nii.gz`. Pixels above 0 belong to the object.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

import numpy as np

from AdaptCore.errors import AdaptSegError, ImageError
from AdaptCore.evaluate.objects import OBJECTS_PER_CASE, ObjectName, ObjectSlice, first_slice, object_mask, object_names
from AdaptCore.evaluate.users import rng_for
from AdaptCore.io import Volume, read_volume
from AdaptCore.predict.intensity import apply_window, auto_window
from AdaptCore.predict.masks import parts_of

PATIENT_PATTERNS: Mapping[str, str] = MappingProxyType(
    {
        "chase_db1": r"Image_(\d+)[LR]",
        "ct_lesion3d": r"CT_Lesion_(\d+)_",
    }
)
WHOLE_LABELS: Mapping[str, range] = MappingProxyType(
    {
        "fetal_brain_mr": range(1, 9),
        "totalseg_ct": range(52, 69),
    }
)
"""Labels of tissue and of vessels (classes of TotalSegmentator 2): each is one object, however many parts it has."""
NESTED_LEVEL = re.compile(r"min\d+of\d+$")
SMALLEST_INSTANCE_PIXELS = 16
SMALLEST_INSTANCE_SHARE = 0.02


@dataclass(frozen=True)
class Item:
    """One image with one wanted mask, read when asked for.

    Attributes:
        id: name of the image, with `#n` for its n-th instance.
        group: the patient where several images come from one, else the id of the image.
        image: gives float32 (H, W) or (H, W, 3) in [0, 1].
        truth: gives bool (H, W), never empty.
        spacing: gives millimetres from pixel to pixel along x and y, None where they are not known.
    """

    id: str
    group: str
    image: Callable[[], np.ndarray]
    truth: Callable[[], np.ndarray]
    spacing: Callable[[], tuple[float, float] | None] = lambda: None


@dataclass(frozen=True)
class VolumeItem:
    """One volume with one wanted mask, read when asked for.

    Attributes:
        id, group: as in `Item`.
        volume: gives the image.
        truth: gives bool (I, J, K), never empty.
    """

    id: str
    group: str
    volume: Callable[[], Volume]
    truth: Callable[[], np.ndarray]


@dataclass(frozen=True)
class ClassItem:
    """One volume with all its classes, read when asked for.

    Attributes:
        id: name of the volume.
        volume: gives the image.
        label: gives classes, uint8 (I, J, K), 0 for the background.
    """

    id: str
    volume: Callable[[], Volume]
    label: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Target:
    """The chosen items of `SET[:SELECTOR]`; `empty` masks were left out before choosing."""

    name: str
    items: tuple[Item, ...]
    empty: int


@dataclass(frozen=True)
class VolumeTarget:
    """The chosen volumes of `SET[:SELECTOR]`; `empty` masks were left out before choosing."""

    name: str
    items: tuple[VolumeItem, ...]
    empty: int


@dataclass(frozen=True)
class _Case:
    """The files of one image: masks by rater, where "" is the only rater."""

    id: str
    image: Path
    masks: Mapping[str, Path]


def load_target(data_dir: Path, target: str, limit: int | None = None, seed: int = 0) -> Target:
    """The 2D items of a target; of a 3D set the plane along the last axis with the largest area of the object.

    Selectors of a 2D set: a rater (the mask suffix, `obs1`); `majority`: what more than half of an image's raters drew
    (default where several drew; refused for nested levels such as `cup_min2of4`, which are no raters); `instances`:
    each 8-connected part of the (majority) mask of at least 16 pixels and 2 % of the mask is an item. Of a 3D set:
    `label=K`, `any` (default: every label), `instances` (the parts of the plane of `any`), `slices` (of each object of
    `load_objects` the slice through its first click, across the acquisition axis).

    Args:
        data_dir: folder of sets.
        target: `SET` or `SET:SELECTOR`.
        limit: at most so many items, spread evenly over the sorted ids; None takes all.
        seed: shifts the even spread.

    Raises:
        AdaptSegError: unknown set or selector, or nothing is left; the message names what exists.
    """
    folder, selector = _split(data_dir, target)
    volumes = (folder / "labels").is_dir()
    if volumes and selector == "slices":
        objects = load_objects(data_dir, folder.name, limit, seed)
        return Target(target, tuple(_slice_item(item, seed) for item in objects.items), objects.empty)
    items = _planes(folder, selector) if volumes else _images(folder, selector)
    if selector == "instances":
        found = [part for item in items for part in _instances(item)]
    else:
        found = [item for item in items if item.truth().any()]
    empty = len(items) - len({part.id.partition("#")[0] for part in found})
    return Target(target, tuple(_spread(_nonempty(found, target), limit, seed)), empty)


def users_of(data_dir: Path, target: str, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Selectors of the raters who drew a target: `SET`, or `SET:PART` for nested levels such as `cup` of `cup_min1of4`.

    Args:
        wanted: only these; none for all.

    Raises:
        AdaptSegError: unknown set, fewer than two raters, or one that is not among them.
    """
    folder, part = _split(data_dir, target)
    raters = sorted({rater for case in _cases(folder, "masks") for rater in case.masks if rater.startswith(part or "")})
    missing = [name for name in wanted if name not in raters]
    known = ", ".join(filter(None, raters)) or "none"
    if missing:
        raise AdaptSegError(f"{target}: Expected raters among {known}, got {', '.join(missing)}.")
    if len(raters) < 2:
        raise AdaptSegError(f"{target}: Expected at least 2 raters, got {known}.")
    return tuple(wanted) or tuple(raters)


def load_volumes(data_dir: Path, target: str, limit: int | None = None, seed: int = 0) -> VolumeTarget:
    """The whole volumes of a 3D target, selectors `label=K` and `any` (default); else as `load_target`.

    Raises:
        AdaptSegError: as `load_target`, or a set of 2D images.
    """
    folder, selector = _split_volumes(data_dir, target)
    items = _volumes(folder, selector)
    found = [item for item in items if item.truth().any()]
    return VolumeTarget(target, tuple(_spread(_nonempty(found, target), limit, seed)), len(items) - len(found))


def load_objects(data_dir: Path, target: str, limit: int | None = None, seed: int = 0) -> VolumeTarget:
    """The objects of a 3D target: connected parts of at least 200 voxels of each label, or vessels and tissue as such.

    At most three objects of a volume, drawn by the seed. `empty` counts the volumes without one.

    Args:
        target: `SET` for the objects of every label, `SET:label=K`, or `SET:any` for those of all labels in one.
        limit, seed: as in `load_target`, for objects.

    Raises:
        AdaptSegError: as `load_volumes`.
    """
    folder, selector = _split_volumes(data_dir, target)
    label = _label(folder.name, selector)
    per_case = [_object_items(folder.name, case, selector, label, seed) for case in _cases(folder, "labels")]
    found = _nonempty([item for items in per_case for item in items], target)
    return VolumeTarget(target, tuple(_spread(found, limit, seed)), sum(not items for items in per_case))


def load_classes(data_dir: Path, target: str) -> tuple[ClassItem, ...]:
    """All volumes of a 3D set with their classes, in the order of their ids.

    Raises:
        AdaptSegError: unknown set, a selector, or a set of 2D images.
    """
    folder, selector = _split(data_dir, target)
    if selector is not None or not (folder / "labels").is_dir():
        raise AdaptSegError(f"Expected the name of a set of volumes without a selector, got {target!r}.")
    return tuple(_class_item(case) for case in _cases(folder, "labels"))


def _class_item(case: _Case) -> ClassItem:
    (labels_path,) = case.masks.values()
    return ClassItem(
        case.id, lambda: read_volume(case.image), lambda: read_volume(labels_path).array.astype(np.uint8, copy=False)
    )


def _split(data_dir: Path, target: str) -> tuple[Path, str | None]:
    name, _, selector = target.partition(":")
    folder = data_dir / name
    if not data_dir.is_dir():
        raise AdaptSegError(f"{data_dir}: No such folder. Choose a folder of benchmark sets.")
    if not name or not (folder / "images").is_dir():
        sets = sorted(path.parent.name for path in data_dir.glob("*/images"))
        raise AdaptSegError(f"Target {target!r}: Expected one of the sets {', '.join(sets) or '(none)'}, got {name!r}.")
    return folder, selector or None


def _split_volumes(data_dir: Path, target: str) -> tuple[Path, str | None]:
    """As `_split`, of whole volumes."""
    folder, selector = _split(data_dir, target)
    if not (folder / "labels").is_dir():
        raise AdaptSegError(f"{target}: {folder} has no folder labels. Choose a set of volumes.")
    if selector in ("instances", "slices"):
        raise AdaptSegError(f"{target}: Expected the selector label=K or any for volumes, got {selector}.")
    return folder, selector


def _nonempty(found: list, target: str) -> list:
    if not found:
        raise AdaptSegError(f"Target {target!r}: Every mask is empty. Choose a selector with objects.")
    return found


def _spread(items: list, limit: int | None, seed: int) -> list:
    """At most `limit` items at even distances, from an offset drawn with the seed."""
    if limit is None or limit >= len(items):
        return items
    if limit < 1:
        raise AdaptSegError(f"Expected a limit of at least 1, got {limit}.")
    offset = np.random.default_rng(seed).random()
    return [items[int((index + offset) * len(items) / limit)] for index in range(limit)]


def _group(set_name: str, case_id: str) -> str:
    pattern = PATIENT_PATTERNS.get(set_name)
    match = re.match(pattern, case_id) if pattern else None
    return match.group(1) if match else case_id


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[0]


def _cases(folder: Path, masks: str) -> list[_Case]:
    images = {_stem(path): path for path in sorted((folder / "images").iterdir()) if not path.name.startswith(".")}
    by_case: dict[str, dict[str, Path]] = {}
    for path in sorted((folder / masks).glob("[!.]*")):
        case_id, _, rater = _stem(path).partition("__")
        by_case.setdefault(case_id, {})[rater] = path
    orphans = sorted(set(by_case) - set(images))
    if orphans:
        raise ImageError(f"{folder}: There is no image for the masks {', '.join(orphans[:3])}. Add one for each.")
    if not by_case:
        raise ImageError(f"{folder}: There are no masks in {masks}. Add those of the images.")
    return [_Case(case_id, images[case_id], files) for case_id, files in by_case.items()]


def _images(folder: Path, selector: str | None) -> list[Item]:
    if not (folder / "masks").is_dir():
        raise ImageError(f"{folder}: Expected a folder masks or labels, got neither.")
    cases = _cases(folder, "masks")
    raters = sorted({rater for case in cases for rater in case.masks})
    chosen = _chosen_rater(folder.name, selector, raters)
    return [
        _image_item(folder.name, case, tuple(case.masks.values()) if chosen is None else (case.masks[chosen],))
        for case in cases
        if chosen is None or chosen in case.masks
    ]


def _chosen_rater(set_name: str, selector: str | None, raters: list[str]) -> str | None:
    """The name of one rater, or None for the majority of all."""
    if raters == [""] and selector in (None, "majority", "instances"):
        return ""
    if selector in raters:
        return selector
    nested = any(NESTED_LEVEL.search(rater) for rater in raters)
    if raters != [""] and not nested and selector in (None, "majority", "instances"):
        return None
    known = [rater for rater in raters if rater] + ([] if nested else ["majority", "instances"])
    raise AdaptSegError(f"{set_name}: Expected one of the selectors {', '.join(known)}, got {selector!r}.")


def _image_item(set_name: str, case: _Case, masks: tuple[Path, ...]) -> Item:
    def image() -> np.ndarray:
        stored = read_volume(case.image).array
        return apply_window(_plane(stored, 0, case.image), auto_window(stored))

    def truth() -> np.ndarray:
        votes = sum(_plane(read_volume(path).array, 0, path).astype(bool).astype(np.int32) for path in masks)
        return np.asarray(2 * votes > len(masks))

    return Item(case.id, _group(set_name, case.id), image, truth)


def _plane(array: np.ndarray, index: int, path: Path) -> np.ndarray:
    """Plane `index` along the last axis as (H, W) or (H, W, 3): x runs along i, y along j."""
    if not index < array.shape[2]:
        raise ImageError(f"{path}: Expected a plane below {array.shape[2]}, got {index}.")
    return np.ascontiguousarray(np.swapaxes(array[:, :, index], 0, 1))


def _volumes(folder: Path, selector: str | None) -> list[VolumeItem]:
    cases = _cases(folder, "labels")
    label = _label(folder.name, selector)
    return [_volume_item(folder.name, case, label) for case in cases]


def _label(set_name: str, selector: str | None) -> int | None:
    """The wanted label, or None for every label above 0."""
    if selector in (None, "any", "instances"):
        return None
    match = re.fullmatch(r"label=(\d+)", selector or "")
    if not match or int(match.group(1)) == 0:
        raise AdaptSegError(
            f"{set_name}: Expected the selector label=K (K from 1), any, instances or slices, got {selector!r}."
        )
    return int(match.group(1))


def _volume_item(set_name: str, case: _Case, label: int | None) -> VolumeItem:
    (labels_path,) = case.masks.values()

    def truth() -> np.ndarray:
        labels = read_volume(labels_path).array
        return labels > 0 if label is None else labels == label

    return VolumeItem(case.id, _group(set_name, case.id), lambda: read_volume(case.image), truth)


def _object_items(set_name: str, case: _Case, selector: str | None, label: int | None, seed: int) -> list[VolumeItem]:
    """At most three objects of a volume, in the order of their names."""
    (labels_path,) = case.masks.values()

    def labels() -> np.ndarray:
        stored = read_volume(labels_path).array
        return (stored > 0).astype(np.uint8) if selector == "any" else stored

    def item(name: ObjectName) -> VolumeItem:
        return VolumeItem(
            f"{case.id}#{name}",
            _group(set_name, case.id),
            lambda: read_volume(case.image),
            lambda: object_mask(labels(), name),
        )

    whole = () if selector == "any" else WHOLE_LABELS.get(set_name, ())
    names = object_names(labels(), lambda value: value in whole)
    names = [name for name in names if label in (None, name.label)]
    count = min(OBJECTS_PER_CASE, len(names))
    chosen = sorted(rng_for(seed, case.id).choice(len(names), count, replace=False)) if names else []
    return [item(names[index]) for index in chosen]


def _slice_item(item: VolumeItem, seed: int) -> Item:
    @cache
    def cut() -> ObjectSlice:
        return first_slice(item.volume(), item.truth(), rng_for(seed, item.id))

    return Item(item.id, item.group, lambda: cut().image, lambda: cut().truth, lambda: cut().spacing)


def _planes(folder: Path, selector: str | None) -> list[Item]:
    return [_largest_plane(item) for item in _volumes(folder, selector)]


def _largest_plane(item: VolumeItem) -> Item:
    def index() -> int:
        return int(item.truth().sum(axis=(0, 1)).argmax())

    def image() -> np.ndarray:
        stored = item.volume().array
        return apply_window(_plane(stored, index(), Path(item.id)), auto_window(stored))

    def truth() -> np.ndarray:
        return _plane(item.truth(), index(), Path(item.id))

    def spacing() -> tuple[float, float]:
        x, y, _ = item.volume().geometry.spacing
        return x, y

    return Item(item.id, item.group, image, truth, spacing)


def _instances(item: Item) -> list[Item]:
    labels, count = parts_of(item.truth())
    sizes = np.bincount(labels.ravel())[1:]
    smallest = max(SMALLEST_INSTANCE_PIXELS, SMALLEST_INSTANCE_SHARE * sizes.sum())

    def part(label: int) -> Callable[[], np.ndarray]:
        return lambda: parts_of(item.truth())[0] == label

    return [
        Item(f"{item.id}#{label}", item.group, item.image, part(label), item.spacing)
        for label in range(1, count + 1)
        if sizes[label - 1] >= smallest
    ]
