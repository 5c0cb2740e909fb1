"""Objects of 3D sets: which there are, where the first click goes, and the slice through it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import AdaptSegError
from AdaptCore.evaluate.datasets import load_objects, load_target
from AdaptCore.evaluate.objects import ObjectName, acquisition_axis, first_slice, object_mask, object_names
from AdaptCore.evaluate.users import rng_for
from AdaptCore.io import Geometry, Volume
from AdaptCore.predict.intensity import apply_window, auto_window

SHAPE = (30, 24, 20)


def boxes(*corners: tuple[int, int, int, int, int, int], label: int = 1) -> np.ndarray:
    """Labels uint8 (I, J, K) of boxes as (first, last) voxel along i, j, k, ends excluded."""
    labels = np.zeros(SHAPE, np.uint8)
    for i0, i1, j0, j1, k0, k1 in corners:
        labels[i0:i1, j0:j1, k0:k1] = label
    return labels


def a_ramp() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)


def save_case(folder: Path, case: str, labels: np.ndarray, spacing: tuple[float, float, float] = (1, 1, 1)) -> None:
    for part, array in (("images", a_ramp()), ("labels", labels)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        image = sitk.GetImageFromArray(array.transpose(2, 1, 0))
        image.SetSpacing(spacing)
        sitk.WriteImage(image, str(folder / part / f"{case}.nii.gz"))


LARGE, SECOND, SMALL = (0, 10, 0, 10, 0, 10), (20, 26, 0, 6, 0, 6), (20, 25, 15, 20, 0, 7)


def test_objects_are_the_parts_of_at_least_200_voxels_and_small_ones_are_left_out() -> None:
    labels = boxes(LARGE, SECOND, SMALL) + boxes((10, 15, 12, 16, 10, 20), label=3)
    assert object_names(labels, lambda label: False) == [ObjectName(1, 1), ObjectName(1, 2), ObjectName(3, 1)]
    sizes = [int(object_mask(labels, name).sum()) for name in object_names(labels, lambda label: False)]
    assert sizes == [1000, 216, 200]


def test_parts_that_touch_at_a_corner_are_one() -> None:
    labels = boxes((0, 6, 0, 6, 0, 6), (6, 12, 6, 12, 6, 12))
    assert object_names(labels, lambda label: False) == [ObjectName(1, 1)]


def test_tissue_is_one_object_with_all_its_parts() -> None:
    labels = boxes(LARGE, SMALL) + boxes((20, 25, 15, 20, 10, 17), label=2)
    (name,) = object_names(labels, lambda label: True)
    assert name == ObjectName(1)
    assert object_mask(labels, name).sum() == 1000 + 175


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 1), 2), ((0.5, 0.5, 3), 2), ((4, 1, 1), 0), ((1, 2, 1), 1), ((2, 2, 1), 1), ((3.906, 3.906, 3.9), 2)],
)
def test_slices_were_acquired_across_the_axis_of_the_largest_spacing(
    spacing: tuple[float, float, float], axis: int
) -> None:
    assert acquisition_axis(spacing) == axis


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_first_slice_shows_the_part_that_was_clicked_on(axis: int) -> None:
    sides, spacing = [12, 12, 12], [1.0, 1.5, 2.0]
    spacing[axis] = 3.0
    truth = np.zeros([20, 21, 22], bool)
    truth[tuple(slice(2, 2 + side) for side in sides)] = True
    bridge = [slice(2, 4), slice(2, 4), slice(2, 4)]
    bridge[(axis + 1) % 3] = slice(2, 19)
    truth[tuple(bridge)] = True
    strand = [slice(2, 14), slice(2, 14), slice(2, 14)]
    strand[(axis + 1) % 3] = slice(18, 20)
    truth[tuple(strand)] = True
    stored = np.random.default_rng(1).random(truth.shape).astype(np.float32)
    shown = first_slice(Volume(stored, Geometry(truth.shape, tuple(spacing))), truth, rng_for(0, "box"))
    images = [apply_window(stored.take(index, axis).T, auto_window(stored)) for index in range(truth.shape[axis])]
    (index,) = (index for index, image in enumerate(images) if np.array_equal(shown.image, image))
    assert 2 < index < 13
    assert shown.truth.sum() == 144 < truth.take(index, axis).sum()
    assert shown.spacing == tuple(spacing[other] for other in range(3) if other != axis)


def test_at_most_three_objects_of_a_volume_are_drawn_by_the_seed(tmp_path: Path) -> None:
    labels = sum(boxes((0, 10, 4 * row, 4 * row + 4, 0, 5), label=row + 1) for row in range(6))
    save_case(tmp_path / "many", "v", labels)
    chosen = {seed: [item.id for item in load_objects(tmp_path, "many", seed=seed).items] for seed in range(12)}
    assert chosen[3] == [item.id for item in load_objects(tmp_path, "many", seed=3).items]
    assert {len(set(ids)) for ids in chosen.values()} == {3}
    assert {id_ for ids in chosen.values() for id_ in ids} == {f"v#{label}.1" for label in range(1, 7)}
    assert all(ids == sorted(ids) for ids in chosen.values())


def test_objects_of_a_set_with_a_selector_and_a_limit(tmp_path: Path) -> None:
    save_case(tmp_path / "pairs", "a", boxes(LARGE) + boxes(SECOND, label=2))
    save_case(tmp_path / "pairs", "b", boxes(SMALL))
    save_case(tmp_path / "pairs", "c", boxes(LARGE))
    everything = load_objects(tmp_path, "pairs")
    assert [item.id for item in everything.items] == ["a#1.1", "a#2.1", "c#1.1"]
    assert [item.group for item in everything.items] == ["a", "a", "c"]
    assert everything.empty == 1
    assert [int(item.truth().sum()) for item in everything.items] == [1000, 216, 1000]
    assert [item.id for item in load_objects(tmp_path, "pairs:label=2").items] == ["a#2.1"]
    assert len(load_objects(tmp_path, "pairs", limit=2).items) == 2


def test_all_labels_in_one_give_one_object_where_they_touch(tmp_path: Path) -> None:
    save_case(tmp_path / "halves", "a", boxes(LARGE) + boxes((10, 14, 0, 10, 0, 10), label=2))
    assert [int(item.truth().sum()) for item in load_objects(tmp_path, "halves:any").items] == [1400]
    assert len(load_objects(tmp_path, "halves").items) == 2


def test_tissue_and_vessels_are_known_by_set_and_label(tmp_path: Path) -> None:
    parts = (LARGE, SECOND)
    save_case(tmp_path / "fetal_brain_mr", "a", boxes(*parts))
    save_case(tmp_path / "totalseg_ct", "a", boxes(*parts, label=52))
    save_case(tmp_path / "others", "a", boxes(*parts, label=52))
    names = {name: [item.id for item in load_objects(tmp_path, name).items] for name in ("fetal_brain_mr", "others")}
    assert names == {"fetal_brain_mr": ["a#1"], "others": ["a#52.1", "a#52.2"]}
    assert [item.id for item in load_objects(tmp_path, "totalseg_ct").items] == ["a#52"]


def test_slices_are_those_through_the_first_click_with_their_spacing(tmp_path: Path) -> None:
    labels = boxes((4, 9, 4, 13, 4, 13), (6, 7, 2, 17, 3, 18))
    save_case(tmp_path / "thick", "a", labels, (5.0, 0.5, 0.75))
    (item,) = load_target(tmp_path, "thick:slices").items
    assert (item.id, item.group, item.spacing()) == ("a#1.1", "a", (0.5, 0.75))
    assert np.array_equal(item.truth(), labels[6].T > 0)
    assert np.array_equal(item.image(), apply_window(a_ramp()[6].T, auto_window(a_ramp())))


def test_the_largest_plane_of_a_volume_has_its_spacing_and_a_photograph_has_none(tmp_path: Path) -> None:
    save_case(tmp_path / "thick", "a", boxes(LARGE), (0.5, 0.75, 3.0))
    for target in ("thick", "thick:instances"):
        (item,) = load_target(tmp_path, target).items
        assert item.spacing() == (0.5, 0.75)
    (tmp_path / "photos" / "images").mkdir(parents=True)
    (tmp_path / "photos" / "masks").mkdir()
    for part in ("images", "masks"):
        sitk.WriteImage(sitk.GetImageFromArray(boxes(LARGE)[:, :, 0]), str(tmp_path / "photos" / part / "p.png"))
    assert load_target(tmp_path, "photos").items[0].spacing() is None


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("few:label=9", "Every mask is empty"),
        ("few:obs1", "label=K"),
        ("few:slices", "Expected the selector label=K or any for volumes, got slices"),
        ("none", "got 'none'"),
    ],
)
def test_targets_without_objects_are_refused(tmp_path: Path, target: str, message: str) -> None:
    save_case(tmp_path / "few", "a", boxes(LARGE))
    with pytest.raises(AdaptSegError, match=message):
        load_objects(tmp_path, target)
