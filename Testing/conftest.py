"""Shared by all tests: the optional folder of benchmark images."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of benchmark images; the test is skipped where it is absent."""
    folder = Path(os.environ.get("ADAPTSEG_DATA") or REPOSITORY.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"no benchmark images in {folder} (set ADAPTSEG_DATA)")
    return folder
