"""The user's work in the browser: real mouse and keys, and the voxels of what is downloaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("trame_slicer", reason="trame-slicer is missing: see Testing/web/conftest.py")

from AdaptCore.io import read_labels, read_volume
from Testing.web.conftest import PHANTOM, Server
from Testing.web.user import WebUser


def slices(labels: np.ndarray, label: int = 1) -> list[int]:
    """Axial slices that hold a label."""
    return np.flatnonzero((labels == label).any(axis=(0, 1))).tolist()


def middle(volume: np.ndarray) -> tuple[int, int, int]:
    i, j, k = (size // 2 for size in volume.shape)
    return i, j, k


def test_a_click_is_masked_picked_accepted_propagated_undone_and_redone(a_user: WebUser) -> None:
    volume = read_volume(PHANTOM)
    i, j, k = middle(volume.array)
    a_user.choose_unit("slice")
    a_user.take("positive")
    a_user.click()
    a_user.wait("status", "Accept the mask")
    a_user.part("candidate").nth(3).wait_for()
    a_user.key("2")
    a_user.page.wait_for_selector('[data-test="candidate"]:nth-child(2)[aria-pressed="true"]')
    a_user.key("Enter")
    a_user.wait("status", "Accepted")

    one = a_user.labels()
    assert one.shape == volume.array.shape
    assert len(slices(one)) == 1 and abs(slices(one)[0] - k) <= 1
    assert one[i - 3 : i + 4, j - 3 : j + 4, slices(one)[0]].any()
    bright = volume.array[..., slices(one)[0]][one[..., slices(one)[0]] == 1].mean()
    assert bright > volume.array[..., slices(one)[0]].mean() + volume.array.std() / 2

    a_user.key("p")
    a_user.wait_enabled("unsure")
    whole = a_user.labels()
    assert len(slices(whole)) > 5
    np.testing.assert_array_equal(whole[..., slices(one)[0]], one[..., slices(one)[0]])

    a_user.key("z")
    a_user.wait("result", "1 slice")
    np.testing.assert_array_equal(a_user.labels(), one)
    a_user.key("y")
    a_user.wait("result", f"{len(slices(whole))} slices")
    np.testing.assert_array_equal(a_user.labels(), whole)
    assert not a_user.problems


def test_a_reload_of_the_page_finds_the_work(a_user: WebUser) -> None:
    before = a_user.labels()
    a_user.page.reload()
    a_user.part("accept").wait_for()
    a_user.wait("result", "slices")
    np.testing.assert_array_equal(a_user.labels(), before)


def test_the_next_object_becomes_a_segment_of_its_own(a_user: WebUser) -> None:
    before = a_user.labels()
    a_user.press("newSegment")
    a_user.wait("segment", "Segment_2")
    a_user.take("box")
    a_user.drag((0.08, 0.3), (0.19, 0.62))
    a_user.wait("status", "Accept the mask")
    a_user.press("accept")
    a_user.wait("status", "Accepted")
    a_user.put_down()
    after = a_user.labels()
    assert (after == 2).any() and not ((after == 2) & (before == 1)).any()
    np.testing.assert_array_equal(after == 1, before == 1)

    names = read_labels(a_user.download(".seg.nrrd"))
    assert sorted(names.names.values()) == ["Segment_1", "Segment_2"]


def test_a_refusal_says_why_and_changes_nothing(a_user: WebUser) -> None:
    before = a_user.labels()
    a_user.take("lasso")
    a_user.click()
    a_user.wait("message", "A click draws nothing")
    a_user.put_down()
    np.testing.assert_array_equal(a_user.labels(), before)


def test_a_click_gives_the_whole_object_in_another_volume(a_user: WebUser) -> None:
    choose(a_user, "other.nrrd")
    a_user.choose_unit("object")
    a_user.take("positive")
    a_user.click("coronal")
    a_user.wait("status", "Accept the mask")
    a_user.press("accept")
    a_user.wait("status", "Accepted")
    a_user.put_down()
    whole = a_user.labels()
    assert len(slices(whole)) > 5
    assert whole[tuple(size // 2 for size in whole.shape)] == 1
    a_user.press("undo")
    a_user.wait("status", "Accept the mask")
    assert not a_user.labels().any()
    choose(a_user, PHANTOM.name)


def test_another_volume_has_its_own_segmentation_and_the_first_one_is_kept(a_user: WebUser) -> None:
    before = a_user.labels()
    choose(a_user, "other.nrrd")
    assert not a_user.labels().any()
    choose(a_user, PHANTOM.name)
    a_user.wait("segment", "Segment")
    np.testing.assert_array_equal(a_user.labels(), before)


def choose(user: WebUser, name: str) -> None:
    user.part("volume").click()
    user.page.get_by_role("option", name=name).click()
    user.wait("volume", name)


def test_a_browser_without_the_key_sees_nothing(a_browser: Any, a_server: Server) -> None:
    context = a_browser.new_context()
    page = context.new_page()
    for address in (a_server.place, f"{a_server.place}?key=wrong", f"{a_server.place}index.html"):
        answer = page.goto(address)
        assert answer.status == 403 and "adaptseg web" in page.inner_text("body")
    context.close()


def test_a_foreign_page_gets_no_socket_even_from_the_users_browser(a_user: WebUser, a_server: Server) -> None:
    """The page of another server on this computer: browsers give it this server's cookies."""
    page = a_user.page.context.new_page()
    page.route("http://127.0.0.1:9/", lambda route: route.fulfill(body="<p>foreign</p>", content_type="text/html"))
    page.goto("http://127.0.0.1:9/")
    address = a_server.place.replace("http", "ws") + "ws"
    script = """address => new Promise(done => {
        const socket = new WebSocket(address);
        socket.onopen = () => done("open");
        socket.onerror = () => done("refused");
    })"""
    assert page.evaluate(script, address) == "refused"
    own = a_user.page.evaluate(script, address)
    assert own == "open"


def test_nothing_of_the_patient_is_logged(a_user: WebUser, a_server: Server) -> None:
    assert "key=" in a_server.told
    assert len(a_server.told.splitlines()) == 2, a_server.told


def test_no_other_file_can_be_read(a_browser: Any, a_server: Server) -> None:
    context = a_browser.new_context()
    assert context.request.get(a_server.address).status == 200
    for path in ("download/../../etc/passwd", "download/%2e%2e%2fserver.log", "__adaptseg/../server.py"):
        assert context.request.get(a_server.place + path).status == 404, path
    context.close()


def test_a_port_in_use_is_told(a_server: Server, tmp_path: Path) -> None:
    port = a_server.place.rstrip("/").rpartition(":")[2]
    with pytest.raises(AssertionError, match=f"Port {port} cannot be used"):
        Server(tmp_path, "--port", port)


def test_an_uploaded_image_is_listed_shown_and_segmented(a_user: WebUser, tmp_path: Path) -> None:
    copy = tmp_path / "dropped.nrrd"
    copy.write_bytes(PHANTOM.read_bytes())
    a_user.page.set_input_files("#upload", copy)
    a_user.wait("volume", "dropped.nrrd")
    a_user.choose_unit("slice")
    a_user.take("positive")
    a_user.click()
    a_user.wait("status", "Accept the mask")
    a_user.press("accept")
    a_user.wait("status", "Accepted")
    a_user.put_down()
    assert len(slices(a_user.labels())) == 1


def test_a_file_that_is_no_image_is_told_and_what_was_shown_stays(a_user: WebUser, tmp_path: Path) -> None:
    before = str(a_user.part("volume").inner_text())
    for name, content, told in (
        ("report.pdf", b"%PDF", "report.pdf: The file is no image"),
        ("cut.nrrd", b"", "cut.nrrd: The file is empty"),
        ("a.zip", b"PK", "a.zip: The zip file is damaged"),
    ):
        (tmp_path / name).write_bytes(content)
        a_user.page.set_input_files("#upload", tmp_path / name)
        a_user.wait("message", told)
        assert str(tmp_path) not in a_user.message and "adaptseg-web" not in a_user.message
    assert str(a_user.part("volume").inner_text()) == before


def test_an_accepted_mask_is_learnt_under_the_name_that_was_typed(a_user: WebUser) -> None:
    choose(a_user, "other.nrrd")
    a_user.choose_unit("slice")
    a_user.page.locator("summary").click()
    a_user.wait("task-text", "No task")
    field = a_user.part("task").locator("input")
    field.fill("Lesion")
    field.press("Enter")
    a_user.wait("task-text", "Lesion: nothing accepted yet")
    a_user.take("positive")
    a_user.click("sagittal")
    a_user.wait("status", "Accept the mask")
    a_user.key("Enter")
    a_user.wait("task-text", "Lesion: 1 slice of 1 volume accepted")
    a_user.put_down()
    assert len(np.flatnonzero(a_user.labels().any(axis=(1, 2)))) == 1
