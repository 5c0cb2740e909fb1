"""What the scene or Slicer ends in the middle of work beside the window: nothing goes wrong, nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

from AdaptCore.adapt.tasks import TaskStore
from Testing.slicer.halted import halted_answers, halted_candidates, halted_learning, halted_propagation
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import MODULE, User

ENDS = ("scene closed", "volume deleted", "segment deleted", "module reloaded", "Slicer ended")
WORK = ("prediction", "slow prediction", "propagation", "learning")
HELD_UP = 0.2
"""Seconds that work goes on while something ends it, which waits for it where something would be lost."""


@pytest.fixture
def work(a_learning_model: None, a_user: User) -> Iterator[Callable[[str], None]]:
    """Brings the user into the middle of some work: work(name)."""
    from Testing.host.user import type_text

    with ExitStack() as ends:

        def go_on_later(goes_on: threading.Event) -> None:
            timer = threading.Timer(HELD_UP, goes_on.set)
            ends.callback(timer.join)
            timer.start()

        def begin(name: str) -> None:
            type_text(a_user.ui.taskSelector, "tube")
            type_text(a_user.ui.userSelector, "Anna")
            a_user.begin()
            if name == "prediction":
                goes_on = ends.enter_context(halted_candidates())
                a_user.click(CENTRE)
                assert a_user.panel.session.candidates.isAsking
                go_on_later(goes_on)
                return
            if name == "slow prediction":
                goes_on = ends.enter_context(halted_answers())
                a_user.click(CENTRE)
                assert a_user.panel.session.isPredicting
                go_on_later(goes_on)
                return
            a_user.click(CENTRE)
            a_user.wait()
            if name == "propagation":
                ends.enter_context(halted_propagation(planes=2))
                a_user.press("propagate")
                a_user.host.wait_until(lambda: a_user.ui.progressBar.value == 2)
            else:
                goes_on = ends.enter_context(halted_learning())
                a_user.press("accept")
                assert a_user.panel.session.isBusy
                go_on_later(goes_on)

        yield begin


def end(how: str, user: User, scene: Any) -> None:
    import slicer

    if how == "scene closed":
        scene.Clear(False)
    elif how == "volume deleted":
        scene.RemoveNode(user.volume)
    elif how == "segment deleted":
        segmentation = user.segmentation.GetSegmentation()
        segmentation.RemoveSegment(segmentation.GetNthSegmentID(0))
    elif how == "module reloaded":
        slicer.util.reloadScriptedModule(MODULE)
        user.widget = slicer.modules.InteractiveAdaptSegWidget
    else:
        user.host.close()
    user.host.process_events()


def own_threads() -> set[str]:
    names = ("AdaptCore", "InteractiveAdaptSeg")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(names)}


def watched_typing() -> int:
    """How many slots of the module hear where the user types."""
    from PySide6.QtWidgets import QApplication

    from Testing.host.signals import count_slots

    return count_slots(QApplication.instance(), "focusChanged")


def observed(session: Any) -> list[Any]:
    """What a session observes, the scene left out."""
    return [known[0] for known in session._observations._known if known[0] is not session._scene]


@pytest.mark.parametrize("doing", WORK)
@pytest.mark.parametrize("how", ENDS)
def test_work_can_be_ended_at_any_moment(
    work: Callable[[str], None], a_user: User, a_scene: Any, how: str, doing: str
) -> None:
    before = own_threads()
    work(doing)
    widget, panel, session = a_user.widget, a_user.panel, a_user.panel.session
    end(how, a_user, a_scene)
    if how in ("module reloaded", "Slicer ended"):
        assert (widget.panel, widget.Observations, panel.choices._observations._known) == (None, [], [])
        assert session._observations._known == []
        assert own_threads() <= before
        assert watched_typing() == (how == "module reloaded")
    else:
        a_user.wait()
        a_user.host.wait_until(lambda: not panel._timer.active)
        assert not session.hasTarget and session.isIdle and not session.candidates.isAsking
        assert observed(session) == []
        assert not {name for name in own_threads() if "propagation" in name}
        # A volume that is still there offers the tools, whose first prompt makes a segment.
        assert a_user.enabled() == ({"positive", "negative"} if how == "segment deleted" else set())
        assert watched_typing() == 1
    if doing == "learning":
        assert TaskStore().info("tube").accepted == 1


@pytest.mark.parametrize("doing", WORK)
def test_work_goes_on_in_the_reloaded_module(
    work: Callable[[str], None], a_user: User, a_scene: Any, an_ellipsoid: np.ndarray, doing: str
) -> None:
    work(doing)
    end("module reloaded", a_user, a_scene)
    if not a_user.ui.positiveButton.checked:
        a_user.press("positive")
    a_user.click((CENTRE[0] + 1, *CENTRE[1:]))
    a_user.wait()
    a_user.press("accept")
    assert a_user.segment()[CENTRE]
    a_user.wait()
