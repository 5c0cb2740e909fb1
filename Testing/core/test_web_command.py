"""`adaptseg web` where it cannot serve: what it says, before anything is loaded."""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

import pytest

from AdaptCore.cli import main


def without(monkeypatch: pytest.MonkeyPatch, *missing: str) -> None:
    """Let packages be missing, and all others be there."""

    def find(name: str, package: str | None = None) -> Any:
        return None if name in missing else object()

    monkeypatch.setattr(importlib.util, "find_spec", find)


def test_missing_packages_are_named_with_the_way_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without(monkeypatch, "trame_slicer", "slicer")
    assert main(["web", "ct.nrrd"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "(slicer, trame_slicer)" in told and 'pip install "adaptseg[web]"' in told and '"make web"' in told


def test_a_port_that_cannot_be_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    without(monkeypatch)
    assert main(["web", "--port", "65536"]) == 2
    assert "Expected a port from 0 to 65535, got 65536." in capsys.readouterr().err
    assert "AdaptWeb" not in sys.modules
