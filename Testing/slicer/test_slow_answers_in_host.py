"""A slow model in the panel: the window goes on, says what it waits for, and Cancel drops it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.slicer.halted import halted_answers
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import User

BESIDE = (CENTRE[0] + 6, CENTRE[1], CENTRE[2])
LOOKING = "The model is predicting. This may take a while on this computer."


@pytest.fixture
def goes_on() -> Iterator[threading.Event]:
    """Answers are slow, and wait for this event."""
    with halted_answers() as event:
        yield event


def points(user: User) -> tuple[int, ...]:
    return tuple(node.GetNumberOfControlPoints() for node in user.panel.session.promptNodes.pointNodes)


def test_window_goes_on_while_a_slow_model_looks(
    goes_on: threading.Event, a_user: User, an_ellipsoid: np.ndarray
) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    assert a_user.status == LOOKING and a_user.enabled() == {"cancel"}
    assert a_user.ui.progressBar.isVisible() and a_user.ui.progressBar.maximum == 0
    choosers = ("volumeSelector", "segmentationSelector", "segmentSelector", "newSegmentButton", "modelSelector")
    assert not any(getattr(a_user.ui, name).enabled for name in choosers)
    looks: list[int] = []
    a_user.panel._timer.connect("timeout()", lambda: looks.append(1))
    a_user.host.wait_until(lambda: len(looks) >= 3)
    assert a_user.status == LOOKING and points(a_user) == (1, 0)
    a_user.click(BESIDE)
    assert a_user.message == "The model is predicting: wait for its answer or cancel it."
    assert points(a_user) == (1, 0) and a_user.ui.positiveButton.checked
    goes_on.set()
    a_user.wait()
    assert a_user.status == "Accept the mask, or correct it with + and - prompts."
    assert not a_user.ui.progressBar.isVisible() and a_user.ui.positiveButton.enabled
    a_user.press("accept")
    truth = an_ellipsoid[:, :, CENTRE[2]]
    found = a_user.segment()[:, :, CENTRE[2]]
    assert 2 * (found & truth).sum() / (found.sum() + truth.sum()) > 0.9
    a_user.press("undo", "undo")
    assert points(a_user) == (0, 0) and not a_user.segment().any()


@pytest.mark.parametrize("how", ["button", "key"])
def test_cancelled_answer_is_dropped_and_the_tool_stays_in_hand(
    goes_on: threading.Event, a_user: User, how: str
) -> None:
    a_user.begin()
    a_user.draw("box", CENTRE, (CENTRE[0] + 4, CENTRE[1] + 4, CENTRE[2]))
    assert a_user.status == LOOKING and len(a_user.panel.session.promptNodes.boxNodes) == 1
    if how == "button":
        a_user.press("cancel")
    else:
        a_user.host.press_key("Esc")
    assert a_user.status == "Choose a tool and point at the object in a slice view."
    assert a_user.panel.session.promptNodes.boxNodes == [] and "undo" not in a_user.enabled()
    assert a_user.ui.boxButton.checked and a_user.ui.boxButton.enabled
    goes_on.set()
    a_user.draw("box", (CENTRE[0] - 9, CENTRE[1] - 8, CENTRE[2]), (CENTRE[0] + 9, CENTRE[1] + 8, CENTRE[2]))
    a_user.wait()
    a_user.press("accept")
    assert a_user.segment()[CENTRE]


def test_scene_can_be_saved_while_a_slow_model_looks(
    goes_on: threading.Event, a_user: User, a_scene: Any, tmp_path: Path
) -> None:
    a_user.begin()
    a_user.click(CENTRE)
    path = str(tmp_path / "scene.mrb")
    assert a_scene.WriteToMRB(path, None)
    assert a_user.status == LOOKING
    goes_on.set()
    a_user.wait()
    mask = a_user.panel.session.mask
    a_scene.Clear(False)
    assert a_scene.ReadFromMRB(path, True, None)
    a_user.host.process_events()
    session = a_user.panel.session
    assert points(a_user) == (1, 0)
    assert session.showPlane(a_scene.GetFirstNodeByClass("vtkMRMLSliceNode"))
    a_user.wait()
    np.testing.assert_array_equal(session.mask, mask)
