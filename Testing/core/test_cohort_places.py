"""A cohort takes, proposes, accepts and exports labels at the places of images that few formats can hold."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from AdaptCore.cohort.accepting import accept_file
from AdaptCore.cohort.beginning import begin
from AdaptCore.cohort.engine import LocalEngine
from AdaptCore.cohort.steps import propagate
from AdaptCore.errors import ImageError
from AdaptCore.files.geometry import Geometry, largest_shift
from AdaptCore.io import Volume, read_volume, write_mask, write_volume
from Testing.cohort_toy import SIZE, ToyMethod, a_case, unwatched
from Testing.nifti_files import write_nifti

SHEARED = np.array([[0.8, 0, 0.5, -40], [0, 0.9, 0, -30], [0, 0, 3.0, 12], [0, 0, 0, 1]])
SFORM, QFORM = np.diag([1.0, 1.0, 2.0, 1.0]), np.diag([1.0, 1.0, 2.0, 1.0])
QFORM[:3, 3] = 30, 0, 0

pytestmark = pytest.mark.filterwarnings("ignore:.*(sheared|sform and qform)")


def sheared(path: Path, image: np.ndarray) -> Path:
    write_volume(Volume(image, Geometry.from_affine(SIZE, SHEARED)), path.with_suffix(".nrrd"))
    return path.with_suffix(".nrrd")


def with_two_places(path: Path, image: np.ndarray) -> Path:
    return write_nifti(path.with_suffix(".nii"), image, SFORM, QFORM, (1, 2))


def nifti_place(path: Path) -> tuple[int, int, float, float]:
    """Codes of qform and sform, and where along x each puts the first voxel."""
    header = nibabel.load(path).header
    return (
        int(header["qform_code"]),
        int(header["sform_code"]),
        float(header["qoffset_x"]),
        float(header["srow_x"][3]),
    )


@pytest.mark.parametrize("make", [sheared, with_two_places])
@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".mha"])
def test_a_label_that_begins_a_cohort_is_accepted_and_lies_where_its_image_does(
    tmp_path: Path, make: object, suffix: str
) -> None:
    images = [make(tmp_path / f"case-{n}", a_case(n)[0]) for n in range(2)]  # type: ignore[operator]
    geometry = read_volume(images[0]).geometry
    labels = [tmp_path / f"label-{n}{suffix}" for n in range(2)]
    for n, path in enumerate(labels):
        write_mask(a_case(n)[1], geometry, path, {2: "Head", 5: "Body"})
    cohort = begin(tmp_path / "cohort", images, images[0], labels[0], "toy")
    propagate(cohort, ToyMethod(), LocalEngine(), unwatched)
    accept_file(cohort, "case-1", labels[1])
    accepted = sorted((cohort.folder / "accepted").glob("*.nii.gz"))
    proposed = list((cohort.folder / "rounds").rglob("proposals/*.nii.gz"))
    assert len(accepted) == 2 and proposed
    for file in (*accepted, *proposed):
        assert largest_shift(read_volume(file).geometry, geometry) < 1e-4
        if make is with_two_places:
            assert nifti_place(file) == nifti_place(images[0]) == (1, 2, 30.0, 0.0)
    np.testing.assert_array_equal(read_volume(accepted[1]).array, a_case(1)[1])


def test_a_label_at_the_nearest_perpendicular_axes_is_refused(tmp_path: Path) -> None:
    images = [sheared(tmp_path / f"case-{n}", a_case(n)[0]) for n in range(2)]
    geometry = read_volume(images[0]).geometry
    plain = replace(geometry, direction=(1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))
    write_mask(a_case(0)[1], plain, tmp_path / "label.nii.gz")
    with pytest.raises(ImageError, match=r"The label has direction \(1, 0, 0, .* in the image"):
        begin(tmp_path / "cohort", images, images[0], tmp_path / "label.nii.gz", "toy")
