"""Which volumes the page lists, and how it tells of those that cannot be read."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("trame_slicer", reason="trame-slicer is missing: see Testing/web/conftest.py")

from AdaptCore.errors import ImageError
from AdaptWeb.files import sources
from Testing.web.conftest import PHANTOM


def test_a_folder_gives_the_images_in_it_and_nothing_else(tmp_path: Path) -> None:
    for name in ("b.nrrd", "a.nii.gz", "notes.txt", "c.png"):
        (tmp_path / name).touch()
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.nrrd").touch()
    assert [source.name for source in sources([tmp_path])] == ["a.nii.gz", "b.nrrd", "c.png"]


def test_a_folder_of_slices_is_one_volume_beside_the_images_in_it(tmp_path: Path) -> None:
    for name in ("s1.dcm", "s2.DCM", "a.nii"):
        (tmp_path / name).touch()
    assert [source.path for source in sources([tmp_path])] == [tmp_path / "a.nii", tmp_path]


def test_a_link_that_leads_out_of_its_folder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "secret.nrrd").touch()
    (tmp_path / "given" / "own.nrrd").touch()
    (tmp_path / "given" / "out.nrrd").symlink_to(tmp_path / "secret.nrrd")
    (tmp_path / "given" / "in.nrrd").symlink_to(tmp_path / "given" / "own.nrrd")
    assert [source.name for source in sources([tmp_path / "given"])] == ["in.nrrd", "own.nrrd"]


def test_what_is_not_there_is_told_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nothing\.nrrd: No such file or folder"):
        sources([PHANTOM, tmp_path / "nothing.nrrd"])


def test_a_message_of_the_page_names_the_file_and_no_folder(tmp_path: Path) -> None:
    damaged = tmp_path / "anna" / "damaged.nrrd"
    damaged.parent.mkdir()
    damaged.write_bytes(PHANTOM.read_bytes()[:3000])
    with pytest.raises(ImageError) as refusal:
        sources([damaged])[0].read()
    assert str(refusal.value).startswith("damaged.nrrd: ") and "anna" not in str(refusal.value)


def test_a_folder_without_images_is_read_as_a_dicom_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="DICOM"):
        sources([tmp_path])[0].read()
    shutil.copy(PHANTOM, tmp_path)
    assert sources([tmp_path])[0].read().array.ndim == 3
