"""Gallery and user profile of the panel, in a stand-in for Slicer's window: real mouse, real keys, real dialogs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from AdaptCore.preference.adviser import space_of
from AdaptCore.preference.profile import Profile
from AdaptCore.preference.profiles import ProfileStore
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import MODULE, User
from Testing.toy_model import ToyModel

SPACE = space_of(ToyModel(), None)
ALL_BUTTONS = [1, 2, 3, 4]


@pytest.fixture
def a_choice(a_user: User) -> User:
    """A user named Anna, who sees the candidates beside the answer to one click."""
    from Testing.host.user import type_text

    type_text(a_user.ui.userSelector, "Anna")
    a_user.begin()
    a_user.click(CENTRE)
    a_user.wait()
    return a_user


def button(user: User, number: int) -> Any:
    return getattr(user.ui, f"candidateButton{number}")


def offered(user: User) -> list[int]:
    """Numbers of the candidates that can be picked."""
    return [number for number in ALL_BUTTONS if button(user, number).enabled]


def masks(user: User) -> list[np.ndarray]:
    return [view.mask for view in user.panel.session.candidates.views]


def written(user: User) -> np.ndarray:
    """What the segment holds of the slice, bool (H, W), and nothing of any other slice."""
    segment = user.segment()
    assert not np.delete(segment, CENTRE[2], axis=2).any()
    return segment[:, :, CENTRE[2]].T


def stored() -> Profile:
    return ProfileStore().load("Anna", "default", SPACE)


def icon_pixels(user: User, number: int) -> np.ndarray:
    """The picture on a button, uint8 (side, side, 3)."""
    from PySide6.QtGui import QImage

    image = button(user, number).icon.pixmap(72, 72).toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).copy()


@pytest.mark.parametrize("user", ["a_user", "an_oblique_user"])
def test_click_then_key_then_accept_then_undo_and_redo(user: str, request: pytest.FixtureRequest) -> None:
    from Testing.host.user import type_text

    a_user = request.getfixturevalue(user)
    type_text(a_user.ui.userSelector, "Anna")
    assert offered(a_user) == []
    a_user.begin()
    a_user.click(CENTRE)
    a_user.wait()
    assert len(offered(a_user)) >= 2
    answer, picked = a_user.panel.session.mask, masks(a_user)[1]
    a_user.host.press_key("2")
    np.testing.assert_array_equal(a_user.panel.session.mask, picked)
    assert [button(a_user, number).checked for number in ALL_BUTTONS] == [False, True, False, False]
    a_user.press("accept")
    np.testing.assert_array_equal(written(a_user), picked)
    assert offered(a_user) == []
    a_user.wait()
    assert stored().picks == 2, "the pick and the accepted mask"
    a_user.press("undo")
    assert not written(a_user).any()
    np.testing.assert_array_equal(a_user.panel.session.mask, picked)
    a_user.press("undo")
    np.testing.assert_array_equal(a_user.panel.session.mask, answer)
    a_user.wait()
    assert stored().picks == 0
    a_user.press("redo", "redo")
    np.testing.assert_array_equal(written(a_user), picked)
    a_user.wait()
    assert stored().picks == 2
    assert not np.array_equal(picked, answer)


def test_pressed_picture_is_picked(a_choice: User) -> None:
    from Testing.host.user import press

    wanted = masks(a_choice)
    for number in (1, 2, 2):
        press(button(a_choice, number))
        np.testing.assert_array_equal(a_choice.panel.session.mask, wanted[number - 1])
        assert [one for one in ALL_BUTTONS if button(a_choice, one).checked] == [number]
    a_choice.wait()
    assert stored().picks == 1


def test_mouse_on_a_picture_shows_its_mask_in_the_slice_view_and_changes_nothing(a_choice: User) -> None:
    from Testing.host.user import hover, leave

    answer, before = a_choice.panel.session.mask, a_choice.view.picture().astype(int)
    last = offered(a_choice)[-1]
    hover(button(a_choice, last))
    preview = a_choice.view.picture().astype(int)
    assert (np.abs(preview - before).sum(axis=2) > 60).mean() > 0.002
    assert a_choice.panel.session.mask is answer
    leave(button(a_choice, last))
    assert (np.abs(a_choice.view.picture().astype(int) - before).sum(axis=2) > 60).mean() == 0
    a_choice.press("accept")
    np.testing.assert_array_equal(written(a_choice), answer)


def test_pictures_show_the_added_in_blue_and_the_removed_in_orange(a_choice: User) -> None:
    views = a_choice.panel.session.candidates.views
    for number, view in enumerate(views, start=1):
        red, _, blue = (icon_pixels(a_choice, number).astype(int)[..., channel] for channel in range(3))
        assert (blue - red > 60).any() == view.added.any(), number
        assert (red - blue > 60).any() == view.removed.any(), number
    assert button(a_choice, 4).icon.isNull() == (len(views) < 4)


def test_words_tell_area_and_probability_and_the_key(a_choice: User) -> None:
    views = a_choice.panel.session.candidates.views
    for number, view in enumerate(views, start=1):
        text, tip = button(a_choice, number).text, button(a_choice, number).toolTip
        assert text.startswith(f"{number}: likely\n{round(100 * view.probability)} %\n")
        assert float(text.split("\n")[2].removesuffix(" mm²")) == pytest.approx(view.areaChange, abs=0.5)
        assert f"press {number} to pick it" in tip
    assert a_choice.ui.galleryLabel.text == "Round 1 of 6. Blue: added, orange: removed."


def test_pictures_leave_no_file_behind(a_choice: User, tmp_path: Path) -> None:
    assert list(tmp_path.rglob("*.png")) == []


def test_none_of_these_and_more_like_this_ask_again(a_choice: User) -> None:
    first = masks(a_choice)
    assert a_choice.ui.othersButton.enabled and not a_choice.ui.moreButton.enabled
    a_choice.press("others")
    a_choice.wait()
    assert a_choice.ui.galleryLabel.text.startswith("Round 2 of 6")
    assert not all(np.array_equal(one, other) for one, other in zip(masks(a_choice), first))
    a_choice.host.press_key("1")
    picked = a_choice.panel.session.mask
    assert a_choice.ui.moreButton.enabled
    a_choice.press("more")
    a_choice.wait()
    assert a_choice.ui.galleryLabel.text.startswith("Round 3 of 6")
    for view in a_choice.panel.session.candidates.views:
        np.testing.assert_array_equal(view.added, view.mask & ~picked)
    for _ in range(3):
        a_choice.press("others")
        a_choice.wait()
    assert not a_choice.ui.othersButton.enabled and not a_choice.ui.moreButton.enabled


def test_gallery_is_empty_while_a_new_click_is_answered(a_choice: User) -> None:
    assert offered(a_choice)
    a_choice.click((CENTRE[0] + 3, CENTRE[1], CENTRE[2]))
    assert offered(a_choice) == [] or not a_choice.panel.session.candidates.isAsking
    a_choice.wait()
    assert offered(a_choice)
    a_choice.press("clear")
    assert offered(a_choice) == []
    assert button(a_choice, 1).text == "" and button(a_choice, 1).icon.isNull()
    assert a_choice.ui.galleryLabel.text == "Candidates appear here with the next mask."


@pytest.mark.parametrize("where", ["nothing to pick", "closed gallery", "another module"])
def test_keys_are_slicers_where_nothing_can_be_picked(
    a_choice: User, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    from PySide6.QtTest import QTest

    from Testing.host.instances import unwrapped

    asked: list[int] = []
    monkeypatch.setattr(a_choice.panel.session, "pick", asked.append)
    a_choice.host.press_key("2")
    assert asked == [2]
    if where == "nothing to pick":
        a_choice.press("accept")
    elif where == "closed gallery":
        a_choice.ui.candidatesSection.collapsed = True
    else:
        a_choice.host.leave()
    QTest.keyClicks(unwrapped(a_choice.widget.parent), "2")
    assert asked == [2]


def test_digits_of_a_name_are_typed_and_pick_nothing(a_choice: User) -> None:
    from Testing.host.user import type_text

    answer = a_choice.panel.session.mask
    type_text(a_choice.ui.userSelector, "Anna 2")
    assert a_choice.panel.session.profile.user == "Anna 2"
    assert a_choice.panel.session.mask is answer


def test_reloaded_module_picks_once_for_one_key(a_choice: User) -> None:
    import slicer

    slicer.util.reloadScriptedModule(MODULE)
    a_choice.host.process_events()
    a_choice.widget = slicer.modules.InteractiveAdaptSegWidget
    a_choice.click((CENTRE[0] + 3, CENTRE[1], CENTRE[2]))
    a_choice.wait()
    a_choice.host.press_key("2")
    assert a_choice.panel.session.candidates.picked == 2
    a_choice.wait()
    assert stored().picks == 1


def test_closed_gallery_computes_nothing_and_opened_asks_at_once(a_choice: User) -> None:
    a_choice.ui.candidatesSection.collapsed = True
    assert masks(a_choice) == []
    a_choice.click((CENTRE[0] + 3, CENTRE[1], CENTRE[2]))
    assert not a_choice.panel.session.isBusy
    a_choice.ui.candidatesSection.collapsed = False
    a_choice.wait()
    assert offered(a_choice)


@pytest.mark.parametrize("gone", ["scene", "volume", "segmentation"])
def test_gallery_goes_with_its_nodes(a_choice: User, a_scene: Any, gone: str) -> None:
    a_choice.press("others")
    if gone == "scene":
        a_scene.Clear(False)
    else:
        a_scene.RemoveNode(a_choice.volume if gone == "volume" else a_choice.segmentation)
    a_choice.host.process_events()
    a_choice.wait()
    assert offered(a_choice) == [] and not a_choice.ui.othersButton.enabled
    a_choice.host.press_key("1")
    assert a_choice.enabled() <= {"undo", "redo", *(("positive", "negative") if gone == "segmentation" else ())}


def test_slicer_can_end_while_candidates_are_asked_for(a_choice: User) -> None:
    a_choice.host.press_key("1")
    a_choice.press("more")
    a_choice.host.close()
    assert a_choice.widget.panel is None and stored().picks == 1


def test_user_is_typed_told_and_remembered(a_choice: User, a_host: Any) -> None:
    from Testing.host.user import type_text

    assert a_choice.ui.profileLabel.text == "Anna: nothing picked or accepted yet"
    a_choice.host.press_key("1")
    a_choice.wait()
    assert a_choice.ui.profileLabel.text == "Anna: has learnt from 1 mask"
    assert a_host.application.userSettings().value("InteractiveAdaptSeg/User") == "Anna"
    type_text(a_choice.ui.userSelector, " ")
    assert a_choice.panel.session.profile.user is None
    assert a_choice.ui.profileLabel.text == "No user: what you pick is not learnt."
    names = [a_choice.ui.userSelector.itemText(row) for row in range(a_choice.ui.userSelector.count)]
    assert names == ["Anna"]


def test_user_of_the_last_session_is_chosen_again(a_host: Any, a_loaded_module: Any, a_volume: Any) -> None:
    a_host.application.userSettings().setValue("InteractiveAdaptSeg/User", "Ben")
    panel = a_host.open(MODULE).panel
    a_host.wait_until(lambda: panel.session.profile.user == "Ben")
    assert panel.ui.userSelector.currentText == "Ben"


def test_damaged_profile_is_told_of_and_the_user_stays(a_choice: User) -> None:
    from Testing.host.user import type_text

    path = ProfileStore().path("Ben", "default")
    path.write_bytes(b"rubbish")
    type_text(a_choice.ui.userSelector, "Ben")
    assert str(path) in a_choice.message
    assert a_choice.panel.session.profile.user == "Anna" == a_choice.ui.userSelector.currentText
    assert path.read_bytes() == b"rubbish"


def test_profile_is_exported_reset_and_imported(a_choice: User, tmp_path: Path) -> None:
    import slicer

    a_choice.ui.learningSection.collapsed = False
    assert not a_choice.ui.exportProfileButton.enabled
    a_choice.host.press_key("1")
    a_choice.wait()
    file = tmp_path / "anna.profile.safetensors"
    a_choice.host.name_file_in_next_dialog(file)
    a_choice.press("exportProfile")
    assert file.exists()
    slicer.app.setTestingEnabled(False)
    for answer, picks in (("Cancel", 1), ("OK", 0)):
        a_choice.host.answer_next_dialog(answer)
        a_choice.press("resetProfile")
        assert a_choice.panel.session.profile.picks == picks
    a_choice.host.name_file_in_next_dialog(file)
    a_choice.press("importProfile")
    assert a_choice.panel.session.profile.picks == stored().picks == 1
    assert a_choice.message == "Imported the profile of Anna for default, with 1 pick."


def test_cancelled_dialogs_change_nothing(a_choice: User) -> None:
    a_choice.ui.learningSection.collapsed = False
    a_choice.host.press_key("1")
    a_choice.wait()
    for name in ("exportProfile", "importProfile"):
        a_choice.host.answer_next_dialog("Cancel")
        a_choice.press(name)
    assert stored().picks == 1 and a_choice.message == ""


def test_panel_is_usable_while_it_waits_for_candidates(a_user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    from AdaptCore.preference.adviser import Adviser

    ask, goes_on = Adviser.ask, threading.Event()
    monkeypatch.setattr(Adviser, "ask", lambda *given, **options: goes_on.wait(20) and ask(*given, **options))
    a_user.begin()
    a_user.click(CENTRE)
    assert a_user.ui.galleryLabel.text == "Computing candidates..."
    assert a_user.panel._timer.active
    a_user.press("accept")
    assert written(a_user).any() and not a_user.panel._timer.active
    goes_on.set()


def test_areas_are_short_and_have_their_sign(a_loaded_module: Any) -> None:
    from InteractiveAdaptSegLib.Words import areaText

    areas = {12.34: "+12 mm²", -3.26: "-3.3 mm²", 0.94: "+0.9 mm²", -999.0: "-999 mm²", 1093.0: "+10.9 cm²"}
    assert {area: areaText(area) for area in areas} == areas
