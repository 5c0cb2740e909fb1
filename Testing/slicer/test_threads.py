"""Work beside the window goes on while the panel asks for news: Slicer's idle event loop keeps Python's lock."""

from __future__ import annotations

import time

import pytest

from Testing.slicer.halted import halted_candidates
from Testing.slicer.scenes import CENTRE
from Testing.slicer.user import User


def test_panel_gives_time_to_threads_while_they_work(a_user: User) -> None:
    session = a_user.panel.session
    with halted_candidates() as goes_on:
        a_user.begin()
        a_user.click(CENTRE)
        assert session.needsTime and a_user.panel._timer.active
        start = time.perf_counter()
        session.update(0.05)
        assert time.perf_counter() - start >= 0.05
        goes_on.set()
        a_user.wait()
    a_user.host.wait_until(lambda: not a_user.panel._timer.active)
    assert not session.needsTime


def test_embeddings_of_neighbours_are_waited_for_too(a_user: User) -> None:
    from AdaptCore.predict.volume import VolumeSession

    a_user.begin()
    a_user.click(CENTRE)
    a_user.wait()
    a_user.host.wait_until(lambda: not a_user.panel._timer.active)
    session = a_user.panel.session
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VolumeSession, "wait", lambda volume_session, timeout=None: False)
        assert session.needsTime and not session.isBusy
        a_user.panel.follow()
        assert a_user.panel._timer.active
    a_user.host.wait_until(lambda: not a_user.panel._timer.active)
