"""Shared by the tests of AdaptCore: a user's folder apart from the real one, and weights to put into it."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def a_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder, empty and apart from the real one."""
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def a_checkpoint(tmp_path: Path) -> Path:
    """Random weights of a small compact model."""
    from Testing.small_model import write_small_model

    path = tmp_path / "little.safetensors"
    write_small_model(path)
    return path
