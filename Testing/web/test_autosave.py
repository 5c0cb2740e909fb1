"""A killed server: the next one goes on with what was accepted; nothing is written beside the images."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="trame-slicer is missing: see Testing/web/conftest.py")

from trame_slicer.core import SlicerApp

from AdaptCore.errors import OutputError
from AdaptCore.io import read_volume
from AdaptWeb.autosave import Autosave
from InteractiveAdaptSegLib.SceneNodes import addSegmentation, addVolume
from Testing.web.conftest import PHANTOM, Server
from Testing.web.user import WebUser

Start = Callable[..., WebUser]


@pytest.fixture
def start(a_browser: Any, tmp_path: Path) -> Iterator[Start]:
    """Starts a server on the image, after killing the one before, and opens the page."""
    image = tmp_path / "images" / "ct.nrrd"
    image.parent.mkdir()
    shutil.copy(PHANTOM, image)
    servers: list[Server] = []
    context = a_browser.new_context(viewport={"width": 1280, "height": 800}, accept_downloads=True)

    def start(*options: str) -> WebUser:
        if servers:
            servers[-1].process.kill()
            servers[-1].process.wait(20)
        servers.append(Server(tmp_path, str(image), *options))
        return WebUser(context.new_page(), servers[-1].address)

    yield start
    context.close()
    servers[-1].kill()


def kept(folder: Path) -> list[Path]:
    return sorted((folder / "home" / "web").glob("*.seg.nrrd"))


def wait_for_copy(user: WebUser, folder: Path) -> None:
    end = time.monotonic() + 30
    while not kept(folder) and time.monotonic() < end:
        user.page.wait_for_timeout(100)


def test_a_killed_server_is_told_and_the_next_one_goes_on(start: Start, tmp_path: Path) -> None:
    user = start()
    user.choose_unit("slice")
    user.take("positive")
    user.click()
    user.wait("status", "Accept the mask")
    user.press("accept")
    user.wait("result", "1 slice")
    before = user.labels()
    wait_for_copy(user, tmp_path)

    again = start()
    user.part("lost").wait_for()
    again.wait("message", "Going on with the work of")
    np.testing.assert_array_equal(again.labels(), before)
    assert before.any()

    again.choose_unit("slice")
    again.take("positive")
    again.click("axial", 0.3, 0.5)
    again.wait("status", "Accept the mask")
    np.testing.assert_array_equal(again.labels(), before)

    assert os.name == "nt" or {path.stat().st_mode & 0o777 for path in kept(tmp_path)} == {0o600}
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["ct.nrrd"]


class Desk:
    """A scene with an image, and its segmentation with an empty segment."""

    def __init__(self) -> None:
        self.scene = SlicerApp().scene
        self.volume = read_volume(PHANTOM)
        self.node = addVolume(self.scene, "ct.nrrd", self.volume)

    def resume(self, autosave: Autosave) -> str:
        return autosave.resume(self.scene, self.node, self.volume)

    def segment(self) -> Any:
        segmentation = addSegmentation(self.scene, self.node)
        segmentation.GetSegmentation().AddEmptySegment("Segment_1", "Liver")
        return segmentation


@pytest.fixture
def a_desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    return Desk()


def test_a_damaged_copy_is_put_aside_and_told(a_desk: Desk, tmp_path: Path) -> None:
    autosave = Autosave()
    assert a_desk.resume(autosave) == "" and not kept(tmp_path)
    autosave.save(a_desk.node, a_desk.segment())
    autosave.close()
    (copy,) = kept(tmp_path)
    content = copy.read_bytes()
    with closing(Autosave()) as later:
        assert "1 segment" in Desk().resume(later)

    for cut in (0, 200, content.index(b"\n\n") + 4):
        copy.write_bytes(content[:cut])
        with closing(Autosave()) as later:
            assert "is damaged, and was put aside" in Desk().resume(later), cut
        assert [path.name.count(".damaged") for path in kept(tmp_path)] == [1]


def test_work_that_is_begun_anew_leaves_the_earlier_copy(a_desk: Desk, tmp_path: Path) -> None:
    with closing(Autosave()) as autosave:
        a_desk.resume(autosave)
        autosave.save(a_desk.node, a_desk.segment())
    (copy,) = kept(tmp_path)
    content = copy.read_bytes()
    with closing(Autosave(begins_anew=True)) as anew:
        desk = Desk()
        assert desk.resume(anew) == "" and not desk.scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    assert [path.read_bytes() for path in kept(tmp_path)] == [content]


def test_only_what_has_changed_is_written(a_desk: Desk, tmp_path: Path) -> None:
    autosave, segmentation = Autosave(), a_desk.segment()
    a_desk.resume(autosave)
    autosave.save(a_desk.node, segmentation)
    (copy,) = kept(tmp_path)
    copy.unlink()
    autosave.save(a_desk.node, segmentation)
    assert not kept(tmp_path)
    segmentation.GetSegmentation().GetNthSegment(0).SetName("Spleen")
    autosave.save(a_desk.node, segmentation)
    assert b"Spleen" in copy.read_bytes()


def test_an_image_that_is_open_elsewhere_is_told(a_desk: Desk, tmp_path: Path) -> None:
    first = Autosave()
    a_desk.resume(first)
    second, other = Autosave(), Desk()
    with pytest.raises(OutputError, match="is open in another place"):
        other.resume(second)
    second.save(other.node, other.segment())
    assert not kept(tmp_path)
    first.close()


def test_the_oldest_copies_go_beyond_the_bounds(a_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("AdaptWeb.autosave.MOST_FILES", 3)
    autosave = Autosave()
    a_desk.resume(autosave)
    for number in range(4):
        path = tmp_path / "home" / "web" / f"{number}.seg.nrrd"
        path.write_bytes(b"")
        os.utime(path, (number, number))
    autosave.save(a_desk.node, a_desk.segment())
    assert [path.name for path in kept(tmp_path)][:2] == ["2.seg.nrrd", "3.seg.nrrd"] and len(kept(tmp_path)) == 3
