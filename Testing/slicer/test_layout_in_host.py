"""Where things are in the panel: nothing is cut, nothing hops, and the status can always be seen."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import User

LEAST_WIDTH = 300
DEFAULT_WIDTH = 400
SECTIONS = ("candidatesSection", "learningSection", "cohortSection", "modelSection")
ORDER = (
    "statusLabel",
    "messageLabel",
    "volumeSelector",
    "positiveButton",
    "candidatesSection",
    "acceptButton",
    "undoButton",
    "resultLabel",
    "learningSection",
    "cohortSection",
    "modelSection",
)


def top_of(user: User, name: str) -> int:
    from PySide6.QtCore import QPoint

    from Testing.host.instances import unwrapped

    widget = unwrapped(getattr(user.ui, name))
    return int(widget.mapTo(unwrapped(user.widget.parent), QPoint(0, 0)).y())


def tops(user: User) -> dict[str, int]:
    """Where the widgets that the user works with begin."""
    settle(user)
    return {name: top_of(user, name) for name in ORDER}


def settle(user: User) -> None:
    for _ in range(5):
        user.host.process_events()


def cut(user: User) -> dict[str, int]:
    """Buttons that are narrower than their text, by how many pixels."""
    from PySide6.QtWidgets import QCheckBox, QPushButton, QToolButton, QWidget

    from Testing.host.instances import unwrapped

    settle(user)
    found = {}
    for button in unwrapped(user.widget.parent).findChildren(QWidget):
        if isinstance(button, (QCheckBox, QPushButton, QToolButton)) and button.isVisible() and button.text():
            missing = (
                max(button.fontMetrics().horizontalAdvance(line) for line in button.text().splitlines())
                - button.width()
            )
            if missing > 0:
                found[button.objectName()] = missing
    return found


def open_all(user: User) -> None:
    for name in SECTIONS:
        getattr(user.ui, name).collapsed = False
    settle(user)


def test_parts_follow_each_other_as_the_work_does(a_user: User) -> None:
    places = list(tops(a_user).values())
    assert places == sorted(places)
    assert len(set(places)) == len(places)


def test_panel_can_be_300_pixels_wide(a_user: User) -> None:
    open_all(a_user)
    a_user.widget.parent.resize(LEAST_WIDTH, 900)
    settle(a_user)
    assert a_user.widget.parent.width == LEAST_WIDTH
    assert cut(a_user) == {}


@pytest.fixture
def a_longer_language(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every word of the panel is 1.6 times as long."""
    from Testing.host import application, ui_files

    def longer(text: str) -> str:
        return re.sub(r"(?<![{A-Za-z])[A-Za-z]{2,}", lambda word: (2 * word[0])[: round(1.6 * len(word[0]))], text)

    monkeypatch.setattr(application.Application, "translate", lambda app, context, text: longer(text))
    monkeypatch.setattr(ui_files, "translated", longer)
    yield


def test_texts_of_other_languages_fit(a_longer_language: None, a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.wait()
    open_all(a_user)
    assert a_user.ui.acceptButton.text == "AcceptAcce (Return)"
    a_user.widget.parent.resize(DEFAULT_WIDTH, 900)
    assert cut(a_user) == {}
    a_user.widget.parent.resize(LEAST_WIDTH, 900)
    assert {name for name in cut(a_user) if not name.startswith("candidate")} == set()
    assert a_user.widget.parent.width == LEAST_WIDTH


def test_nothing_hops_from_the_first_mask_on(a_user: User) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    a_user.wait()
    before = tops(a_user)
    a_user.panel.messages.show("a message that is far too long for a single line of the panel " * 3)
    assert tops(a_user) == before
    a_user.panel.messages.show("")
    a_user.press("accept")
    a_user.wait()
    a_user.host.wait_until(lambda: a_user.ui.resultLabel.text != "")
    assert tops(a_user) == before
    a_user.press("propagate")
    assert a_user.ui.progressBar.isVisible() and tops(a_user) == before
    a_user.wait()
    assert not a_user.ui.progressBar.isVisible() and tops(a_user) == before
    a_user.press("undo", "undo", "undo")
    assert tops(a_user) == before


def test_status_and_message_are_at_the_top_and_a_refusal_has_an_icon(a_user: User) -> None:
    def has_icon() -> bool:
        picture = a_user.ui.messageIcon.pixmap
        return not (picture() if callable(picture) else picture).isNull()

    a_user.begin()
    assert not has_icon()
    a_user.view.node.SetFieldOfView(200.0, 200.0, 2.5)
    a_user.draw("box", (-30, CENTRE[1], CENTRE[2]), (-20, CENTRE[1] + 5, CENTRE[2]))
    assert a_user.message[0].isupper() and a_user.message.endswith(".") and has_icon()
    assert top_of(a_user, "messageLabel") < 120
    a_user.press("positive")
    a_user.click(CENTRE)
    a_user.press("accept")
    assert a_user.message == "" and not has_icon()


def test_candidates_open_with_the_first_mask_unless_the_user_closes_them(a_user: User) -> None:
    section = a_user.ui.candidatesSection
    assert section.collapsed
    a_user.begin()
    assert section.collapsed
    a_user.click(CENTRE)
    a_user.wait()
    assert not section.collapsed
    assert a_user.ui.candidateButton1.text.startswith("1: likely\n")
    section.collapsed = True
    a_user.press("undo")
    a_user.click(CENTRE)
    a_user.wait()
    assert section.collapsed and not a_user.panel.session.candidates.views


def test_undo_and_redo_name_their_step(a_user: User) -> None:
    a_user.begin()
    assert a_user.ui.undoButton.toolTip == "Nothing to undo."
    a_user.click(CENTRE)
    assert a_user.ui.undoButton.toolTip == f"Undo: point + on slice {CENTRE[2]}"
    a_user.press("accept")
    assert a_user.ui.undoButton.toolTip == f"Undo: accepted slice {CENTRE[2]}"
    a_user.press("propagate")
    a_user.wait()
    assert a_user.ui.undoButton.toolTip == f"Undo: propagated from slice {CENTRE[2]}"
    a_user.press("undo")
    assert a_user.ui.redoButton.toolTip == f"Redo: propagated from slice {CENTRE[2]}"


def test_tool_in_hand_is_seen_on_its_button_and_by_the_mouse(a_user: User) -> None:
    from PySide6.QtCore import Qt

    view = a_user.host.application._layout.widgets["Red"].sliceView()
    a_user.press("box")
    assert a_user.ui.boxButton.checked
    assert view.cursor.shape() == Qt.CursorShape.CrossCursor
    a_user.press("box")
    assert view.cursor is None
