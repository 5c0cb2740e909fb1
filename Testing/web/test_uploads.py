"""Files that are dropped on the page: which are taken, under which names, and how much."""

from __future__ import annotations

import asyncio
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="trame-slicer is missing: see Testing/web/conftest.py")

from AdaptCore.errors import ImageError
from AdaptWeb import uploads
from AdaptWeb.uploads import Uploads
from Testing.dicom_files import write_series
from Testing.web.conftest import PHANTOM

DROP = "0123456789abcdef"


@pytest.fixture
def some_uploads() -> Iterator[Uploads]:
    taken = Uploads()
    yield taken
    taken.close()


def take(taken: Uploads, name: str, content: bytes, drop: str = DROP) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]

    asyncio.run(taken.take(drop, name, pieces()))


def zipped(path: Path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


def test_an_image_is_taken_whole_under_its_name(some_uploads: Uploads) -> None:
    take(some_uploads, "ct of anna.nrrd", PHANTOM.read_bytes())
    source = some_uploads.end(DROP)[0]
    assert source.name == "ct of anna.nrrd" and source.path.read_bytes() == PHANTOM.read_bytes()


@pytest.mark.parametrize(
    "name", ["../../evil.nrrd", "/etc/evil.nrrd", "..\\..\\evil.nrrd", "C:\\evil.nrrd", "a/evil.nrrd"]
)
def test_no_name_leads_out_of_the_folder(some_uploads: Uploads, name: str) -> None:
    take(some_uploads, name, b"1")
    source = some_uploads.end(DROP)[0]
    assert source.name == "evil.nrrd" and source.path.parent.name == DROP


@pytest.mark.parametrize("name", ["", "..", "a/..", "a\0.nrrd", "a\n.nrrd", "a:b.nrrd", "\u202egnp.nrrd"])
def test_a_name_that_no_file_can_have_is_refused(some_uploads: Uploads, name: str) -> None:
    with pytest.raises(ImageError, match="Expected the name of a file"):
        take(some_uploads, name, b"1")


@pytest.mark.parametrize("drop", ["", "..", "0123", "../0123456789abcd", "0123456789ABCDEF"])
def test_a_drop_has_a_number_and_no_path(some_uploads: Uploads, drop: str) -> None:
    with pytest.raises(ImageError, match="load the page again"):
        take(some_uploads, "a.nrrd", b"1", drop)


def test_files_of_one_name_are_all_kept(some_uploads: Uploads) -> None:
    take(some_uploads, "series1/IM1", b"1")
    take(some_uploads, "series2/IM1", b"2")
    folder = some_uploads.end(DROP)[0].path
    assert sorted(path.read_bytes() for path in folder.iterdir()) == [b"1", b"2"]


def test_too_much_is_refused_and_what_was_refused_does_not_count(
    some_uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_BYTES", 5000)
    take(some_uploads, "a.nrrd", bytes(3000))
    with pytest.raises(ImageError, match=r"^b\.nrrd: More than 0 GB"):
        take(some_uploads, "b.nrrd", bytes(2500))
    take(some_uploads, "c.nrrd", bytes(2000))
    some_uploads.drop(DROP)
    take(some_uploads, "d.nrrd", bytes(5000))


def test_too_many_files_are_refused(some_uploads: Uploads, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST_FILES", 2)
    take(some_uploads, "a.nrrd", b"1")
    take(some_uploads, "b.nrrd", b"1")
    with pytest.raises(ImageError, match="More than 2 files"):
        take(some_uploads, "c.nrrd", b"1")


def test_a_zip_file_of_a_dicom_folder_is_one_volume(some_uploads: Uploads, tmp_path: Path) -> None:
    voxels = np.arange(4 * 6 * 5, dtype=np.uint16).reshape(4, 6, 5)
    folder = write_series(tmp_path / "series", voxels)
    files = {f"anna/series/{path.name}": path.read_bytes() for path in folder.iterdir()}
    take(some_uploads, "anna.zip", zipped(tmp_path / "a.zip", files))
    (source,) = some_uploads.end(DROP)
    assert source.name == "DICOM folder"
    np.testing.assert_array_equal(source.read().array, voxels.T)


def test_a_zip_file_that_grows_beyond_the_bound_is_refused(
    some_uploads: Uploads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = zipped(tmp_path / "bomb.zip", {"zeros.nrrd": bytes(10_000_000)})
    monkeypatch.setattr(uploads, "MOST_BYTES", 1_000_000)
    assert len(content) < 100_000
    take(some_uploads, "bomb.zip", content)
    with pytest.raises(ImageError, match=r"^bomb\.zip: More than"):
        some_uploads.end(DROP)


def test_names_in_a_zip_file_lead_nowhere(some_uploads: Uploads, tmp_path: Path) -> None:
    take(some_uploads, "a.zip", zipped(tmp_path / "a.zip", {"../../../out.nrrd": b"1", "/abs.nrrd": b"2"}))
    assert {source.path.parent.name for source in some_uploads.end(DROP)} == {DROP}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"1" * 5000])
def test_a_damaged_zip_file_is_told(some_uploads: Uploads, content: bytes) -> None:
    take(some_uploads, "a.zip", content)
    with pytest.raises(ImageError, match=r"^a\.zip: The zip file is damaged"):
        some_uploads.end(DROP)


def test_what_was_uploaded_is_deleted_at_the_end() -> None:
    taken = Uploads()
    take(taken, "a.nrrd", b"1")
    home = taken.end(DROP)[0].path.parent.parent
    taken.close()
    assert not home.exists()


def test_an_empty_drop_is_told(some_uploads: Uploads) -> None:
    with pytest.raises(ImageError, match="Nothing was uploaded"):
        some_uploads.end(DROP)
