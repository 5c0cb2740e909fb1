"""Keys of the panel's buttons, in a stand-in for Slicer's window."""

from __future__ import annotations

from typing import Any

import pytest

from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import MODULE, User


@pytest.fixture
def a_mask(a_user: User) -> User:
    """A user who sees a mask that is not accepted."""
    a_user.begin()
    a_user.click(CENTRE)
    a_user.wait()
    return a_user


def pressed(user: User, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What keys ask of the session, from now on."""
    asked: list[str] = []
    for name in ("accept", "propagate", "undo", "redo"):
        monkeypatch.setattr(user.panel.session, name, lambda name=name: asked.append(name))
    return asked


def test_every_key_is_told_on_its_button(a_user: User) -> None:
    from InteractiveAdaptSegWidgets.Shortcuts import KEYS

    told = {name: getattr(a_user.ui, f"{name}Button").text for name in KEYS}
    assert {name: text.rsplit(" (", 1)[1] for name, text in told.items()} == {
        name: f"{keys[0]})" for name, keys in KEYS.items()
    }
    assert len({key for keys in KEYS.values() for key in keys}) == sum(map(len, KEYS.values()))


def test_keys_of_greyed_out_buttons_do_nothing(a_user: User, a_scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    a_scene.RemoveNode(a_user.volume)
    asked = pressed(a_user, monkeypatch)
    for key in ("Return", "P", "N", "Ctrl+Z", "Ctrl+Y", "Esc", "+", "-", "X", "L", "D", "E", "W", "Q"):
        a_user.host.press_key(key)
    assert asked == [] and a_user.message == ""
    assert not a_user.ui.positiveButton.checked
    assert a_user.panel.tools.name == ""


def test_plus_and_minus_give_the_mouse_to_prompts_and_back(a_mask: User) -> None:
    a_mask.host.press_key("-")
    assert (a_mask.ui.positiveButton.checked, a_mask.ui.negativeButton.checked) == (False, True)
    a_mask.host.press_key("-")
    assert not a_mask.ui.negativeButton.checked
    a_mask.host.press_key("+")
    assert a_mask.ui.positiveButton.checked


def test_keys_are_slicers_in_another_module(a_mask: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from PySide6.QtGui import QKeySequence
    from PySide6.QtTest import QTest

    from Testing.host.instances import unwrapped

    asked = pressed(a_mask, monkeypatch)
    a_mask.host.press_key("Ctrl+Z")
    assert asked == ["undo"]
    a_mask.host.leave()
    for key in ("Return", "P", "Ctrl+Z"):
        QTest.keySequence(unwrapped(a_mask.widget.parent), QKeySequence(key))
    assert asked == ["undo"]


def test_enter_that_ends_a_name_does_not_accept(a_mask: User) -> None:
    from Testing.host.user import type_text

    type_text(a_mask.ui.taskSelector, "P")
    assert not a_mask.segment().any()
    assert a_mask.panel.session.task.name is None, "the toy model cannot learn"
    a_mask.press("positive")
    a_mask.host.press_key("Return")
    assert a_mask.segment()[CENTRE]


def test_enter_of_the_number_block_accepts_too(a_mask: User) -> None:
    a_mask.host.press_key("Enter")
    assert a_mask.segment()[CENTRE]


def test_key_from_slicers_settings_takes_the_place_of_ours(a_host: Any, a_loaded_module: Any) -> None:
    a_host.application.userSettings().setValue("InteractiveAdaptSeg/Keys/unsure", "Ctrl+L")
    ui = a_host.open(MODULE).ui
    assert ui.unsureButton.text.endswith("(Ctrl+L)")


def test_nobody_watches_the_typing_after_the_panel_is_gone(a_user: User) -> None:
    import slicer
    from PySide6.QtWidgets import QApplication

    from Testing.host.signals import count_slots

    application = QApplication.instance()
    assert count_slots(application, "focusChanged") == 1
    slicer.util.reloadScriptedModule(MODULE)
    a_user.host.process_events()
    assert count_slots(application, "focusChanged") == 1
    a_user.host.close()
    assert count_slots(application, "focusChanged") == 0


def test_n_leads_to_the_least_sure_slice_and_on_until_all_are_accepted(a_mask: User) -> None:
    from InteractiveAdaptSegLib.VolumeGeometry import slicePlane

    a_mask.press("propagate")
    a_mask.wait()
    session = a_mask.panel.session
    confidences = dict(session._target.confidences)
    wanted = sorted(confidences, key=confidences.__getitem__)
    assert len(wanted) > 2
    for geometry in (*wanted, wanted[0]):
        a_mask.host.press_key("N")
        assert session.activePlane == geometry
        assert slicePlane(a_mask.view.node, a_mask.volume) == geometry
    assert a_mask.status == "The model is not confident of this slice: accept it as it is, or correct it."
    before = a_mask.segment()
    a_mask.press("accept")
    assert (a_mask.segment() == before).all()
    assert a_mask.status == "Accepted. Propagate it, or go on with another slice."
    a_mask.host.press_key("N")
    assert session.activePlane == wanted[1]
    a_mask.press("undo")
    assert session.activePlane == wanted[0] and session.isUnsure
    a_mask.press("undo")
    assert not a_mask.ui.unsureButton.enabled
    a_mask.press("redo")
    assert a_mask.ui.unsureButton.enabled


def test_keys_of_nninteractive(a_mask: User, a_host: Any) -> None:
    from Testing.host.user import choose

    ui = a_mask.ui
    ui.modelSection.collapsed = False
    choose(ui.keysSelector, "nnInteractive")
    ui.modelSection.collapsed = True
    assert (ui.positiveButton.text, ui.negativeButton.text) == ("Point + (P)", "Point -")
    assert ui.nextSegmentButton.text == "Next (E)" and ui.clearButton.text == "Clear (R)"
    tools = {"P": "positive", "B": "box", "S": "scribblePositive", "L": "lasso"}
    a_mask.press("positive")
    for key, tool in tools.items():
        a_mask.host.press_key(key)
        down = [name for name in ui.__dict__ if name.endswith("Button") and getattr(ui, name).checked]
        assert [name for name in down if name != "sliceButton"] == [f"{tool}Button"]
    for key, tool in (("S", "scribblePositive"), ("T", "scribbleNegative"), ("P", "positive"), ("T", "negative")):
        a_mask.host.press_key(key)
        assert getattr(ui, f"{tool}Button").checked
    a_mask.host.press_key("X")
    assert not ui.boxButton.checked, "the keys before are gone"
    a_mask.host.press_key("R")
    assert a_mask.panel.session.mask is None
    a_mask.host.press_key("Ctrl+Z")
    assert a_mask.panel.session.mask is not None
    a_mask.host.press_key("E")
    a_mask.wait()
    assert a_mask.segment()[CENTRE] and a_mask.segmentation.GetSegmentation().GetNumberOfSegments() == 2
    assert a_host.application.userSettings().value("InteractiveAdaptSeg/KeyScheme") == "nnInteractive"


OFFER = "The buttons show their keys. If you know those of nnInteractive, choose them in section Model."


def test_other_keys_are_offered_once(a_loaded_module: Any, a_host: Any) -> None:
    a_host.application.userSettings().remove("InteractiveAdaptSeg/KeyScheme")
    panel = a_host.open("InteractiveAdaptSeg").panel
    assert panel.ui.messageLabel.text == OFFER and panel.ui.positiveButton.text == "Point + (+)"
    panel.messages.show("")
    a_host.open("InteractiveAdaptSeg")
    assert panel.ui.messageLabel.text == "", "the panel was opened before"


@pytest.mark.parametrize("scheme", ["Interactive AdaptSeg", "nnInteractive"])
def test_keys_that_were_chosen_are_kept_without_an_offer(a_loaded_module: Any, a_host: Any, scheme: str) -> None:
    a_host.application.userSettings().setValue("InteractiveAdaptSeg/KeyScheme", scheme)
    ui = a_host.open("InteractiveAdaptSeg").panel.ui
    assert ui.messageLabel.text == "" and ui.keysSelector.currentText == scheme
