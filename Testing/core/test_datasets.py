"""Benchmark folders are read as their layout says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import AdaptSegError, ImageError
from AdaptCore.evaluate.datasets import Item, load_target, load_volumes

SHAPE = (12, 16)


def save(array: np.ndarray, path: Path, vector: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=vector), str(path))


def a_mask(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Boxes as (first row, last row, first column, last column), ends excluded."""
    mask = np.zeros(SHAPE, np.uint8)
    for top, bottom, left, right in boxes:
        mask[top:bottom, left:right] = 255
    return mask


def a_ramp() -> np.ndarray:
    return np.tile(np.arange(SHAPE[1], dtype=np.uint8) * 10, (SHAPE[0], 1))


@pytest.fixture
def a_folder(tmp_path: Path) -> Path:
    """Sets: plain (10 images, 2 empty masks), raters (3 raters), levels (nested), chase_db1 (two children), volumes."""
    for number in range(10):
        save(a_ramp(), tmp_path / "plain" / "images" / f"i{number}.png")
        mask = a_mask() if number in (2, 5) else a_mask((2, 6, 3, 9))
        save(mask, tmp_path / "plain" / "masks" / f"i{number}.png")
    save(a_ramp(), tmp_path / "raters" / "images" / "x.png")
    for rater, right in (("ann", 6), ("bob", 8), ("cy", 12)):
        save(a_mask((2, 8, 2, right)), tmp_path / "raters" / "masks" / f"x__{rater}.png")
    save(a_ramp(), tmp_path / "levels" / "images" / "e.png")
    for name in ("cup_min1of2", "cup_min2of2"):
        save(a_mask((2, 8, 2, 9)), tmp_path / "levels" / "masks" / f"e__{name}.png")
    for eye in ("Image_01L", "Image_01R", "Image_02L"):
        save(np.stack([a_ramp()] * 3, axis=2), tmp_path / "chase_db1" / "images" / f"{eye}.jpg", vector=True)
        save(a_mask((2, 6, 3, 9)), tmp_path / "chase_db1" / "masks" / f"{eye}__1stHO.png")
    stored, labels = a_volume()
    save(stored, tmp_path / "volumes" / "images" / "v.nii.gz")
    save(labels, tmp_path / "volumes" / "labels" / "v.nii.gz")
    return tmp_path


def a_volume() -> tuple[np.ndarray, np.ndarray]:
    """Image and labels in (k, j, i) order: label 1 is largest in plane 1, label 2 in plane 3, both in plane 2."""
    stored = np.arange(5 * 8 * 10, dtype=np.int16).reshape(5, 8, 10)
    labels = np.zeros((5, 8, 10), np.uint8)
    labels[1, 0:3, 0:5] = 1
    labels[2, 0:3, 0:4] = 1
    labels[2, 4:8, 6:9] = 2
    labels[3, 4:8, 6:10] = 2
    return stored, labels


def the_item(folder: Path, target: str) -> Item:
    (item,) = load_target(folder, target).items
    return item


def test_images_without_object_are_left_out_and_counted(a_folder: Path) -> None:
    target = load_target(a_folder, "plain")
    assert [item.id for item in target.items] == ["i0", "i1", "i3", "i4", "i6", "i7", "i8", "i9"]
    assert target.empty == 2


def test_an_image_is_shown_from_zero_to_one_with_rows_first(a_folder: Path) -> None:
    item = load_target(a_folder, "plain").items[0]
    image = item.image()
    assert image.shape == item.truth().shape == SHAPE
    assert image.dtype == np.float32
    assert (image[:, 0].max(), image[:, -1].min()) == (0.0, 1.0)
    assert np.array_equal(item.truth(), a_mask((2, 6, 3, 9)) > 0)


def test_a_limit_spreads_over_the_set_and_is_replayed_by_its_seed(a_folder: Path) -> None:
    chosen = [[item.id for item in load_target(a_folder, "plain", limit=4, seed=seed).items] for seed in range(20)]
    assert chosen[7] == [item.id for item in load_target(a_folder, "plain", limit=4, seed=7).items]
    everything = ["i0", "i1", "i3", "i4", "i6", "i7", "i8", "i9"]
    for ids in chosen:
        assert [everything.index(id_) // 2 for id_ in ids] == [0, 1, 2, 3]
    assert {id_ for ids in chosen for id_ in ids} == set(everything)


def test_a_rater_is_chosen_by_the_suffix(a_folder: Path) -> None:
    assert np.array_equal(the_item(a_folder, "raters:bob").truth(), a_mask((2, 8, 2, 8)) > 0)


@pytest.mark.parametrize("target", ["raters", "raters:majority"])
def test_several_raters_give_what_more_than_half_drew(a_folder: Path, target: str) -> None:
    assert np.array_equal(the_item(a_folder, target).truth(), a_mask((2, 8, 2, 8)) > 0)


def test_two_raters_must_agree(a_folder: Path) -> None:
    (a_folder / "raters" / "masks" / "x__cy.png").unlink()
    assert np.array_equal(the_item(a_folder, "raters").truth(), a_mask((2, 8, 2, 6)) > 0)


def test_nested_levels_have_no_majority(a_folder: Path) -> None:
    with pytest.raises(AdaptSegError, match="Expected one of the selectors cup_min1of2, cup_min2of2, got"):
        load_target(a_folder, "levels")
    assert the_item(a_folder, "levels:cup_min1of2").truth().any()


def test_instances_are_the_parts_of_a_mask_without_specks(a_folder: Path) -> None:
    save(a_mask((0, 4, 0, 4), (6, 11, 8, 14), (0, 3, 10, 15)), a_folder / "plain" / "masks" / "i0.png")
    items = [item for item in load_target(a_folder, "plain:instances").items if item.id.startswith("i0#")]
    assert [int(item.truth().sum()) for item in items] == [16, 30]
    assert {item.group for item in items} == {"i0"}


def test_both_eyes_of_a_child_are_one_group(a_folder: Path) -> None:
    assert [item.group for item in load_target(a_folder, "chase_db1:1stHO").items] == ["01", "01", "02"]


def test_a_colour_image_keeps_its_channels(a_folder: Path) -> None:
    assert load_target(a_folder, "chase_db1:1stHO").items[0].image().shape == (*SHAPE, 3)


@pytest.mark.parametrize(("selector", "plane"), [("", 2), (":any", 2), (":label=1", 1), (":label=2", 3)])
def test_a_volume_gives_its_plane_with_most_object(a_folder: Path, selector: str, plane: int) -> None:
    item = the_item(a_folder, f"volumes{selector}")
    stored, labels = a_volume()
    wanted = labels > 0 if selector in ("", ":any") else labels == int(selector[-1])
    assert np.array_equal(item.truth(), wanted[plane])
    low, high = np.percentile(stored, (0.5, 99.5))
    assert np.allclose(item.image(), np.clip((stored[plane] - low) / (high - low), 0, 1), atol=1e-5)


def test_a_volume_is_given_whole_with_i_first(a_folder: Path) -> None:
    (item,) = load_volumes(a_folder, "volumes:label=2").items
    stored, labels = a_volume()
    assert np.array_equal(item.volume().array, stored.transpose(2, 1, 0))
    assert np.array_equal(item.truth(), (labels == 2).transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere", "one of the sets chase_db1, levels, plain, raters, volumes, got 'nowhere'"),
        ("", "one of the sets"),
        ("raters:dora", "Expected one of the selectors ann, bob, cy, majority, instances, got 'dora'"),
        ("plain:label=1", "Expected one of the selectors .*, got 'label=1'"),
        ("volumes:label=0", "Expected the selector label=K .*, got 'label=0'"),
        ("volumes:obs1", "Expected the selector label=K .*, got 'obs1'"),
        ("volumes:label=9", "Every mask is empty"),
    ],
)
def test_an_unknown_set_or_selector_is_refused_with_what_exists(a_folder: Path, target: str, message: str) -> None:
    with pytest.raises(AdaptSegError, match=message):
        load_target(a_folder, target)


def test_volumes_are_not_taken_from_a_set_of_pictures(a_folder: Path) -> None:
    with pytest.raises(AdaptSegError, match="Choose a set of volumes"):
        load_volumes(a_folder, "plain")


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(AdaptSegError, match="no_such"):
        load_target(tmp_path / "no_such", "plain")


def test_a_mask_without_image_is_named(a_folder: Path) -> None:
    (a_folder / "plain" / "images" / "i3.png").unlink()
    with pytest.raises(ImageError, match="no image for the masks i3"):
        load_target(a_folder, "plain")


@pytest.mark.data
@pytest.mark.parametrize(
    ("target", "count"),
    [
        ("bu_bil_2", 69),
        ("bu_bil_2:Person1_ImCell", 35),
        ("drishti_gs:od_min2of4", 101),
        ("drive:obs1", 20),
        ("chase_db1:1stHO", 28),
        ("busi", 140),
        ("lung_ct_2d", 40),
        ("msd_hippocampus:any", 200),
        ("ct_lesion3d", 6),
    ],
)
def test_the_real_sets_have_as_many_items_as_their_description_says(data_dir: Path, target: str, count: int) -> None:
    loaded = load_target(data_dir, target)
    assert len(loaded.items) + loaded.empty == count
    item = loaded.items[0]
    image, truth = item.image(), item.truth()
    assert image.shape[:2] == truth.shape
    assert image.min() == 0.0
    assert image.max() == 1.0


@pytest.mark.data
def test_children_and_patients_of_the_real_sets_are_groups(data_dir: Path) -> None:
    assert len({item.group for item in load_target(data_dir, "chase_db1:1stHO").items}) == 14
    assert len({item.group for item in load_target(data_dir, "ct_lesion3d").items}) == 5
