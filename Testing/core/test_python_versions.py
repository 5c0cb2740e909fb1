"""The code is valid for every Python from the oldest supported one on, whichever of them runs the tests."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

OLDEST = (3, 10)
FOLDERS = ("AdaptCore", "InteractiveAdaptSeg", "Testing")


def python_files(repository: Path) -> list[Path]:
    return [path for folder in FOLDERS for path in sorted((repository / folder).rglob("*.py"))]


def test_every_file_is_valid_for_the_oldest_python(repository: Path) -> None:
    files = python_files(repository)
    assert len(files) > 20
    for path in files:
        ast.parse(path.read_text(encoding="utf-8"), filename=str(path), feature_version=OLDEST)


@pytest.mark.parametrize(
    "too_new",
    [
        "try:\n    pass\nexcept* ValueError:\n    pass\n",
        "def first[T](items: list[T]) -> T: ...\n",
        "type Pair = tuple[int, int]\n",
        'title = f"{\'a\' + "b"}"\n',
    ],
    ids=["except star", "type parameters", "type statement", "nested quotes in an f-string"],
)
def test_the_linter_refuses_newer_syntax(repository: Path, tmp_path: Path, too_new: str) -> None:
    path = tmp_path / "too_new.py"
    path.write_text(f'"""Syntax of a newer Python."""\n\n{too_new}', encoding="utf-8")
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--config", str(repository / "pyproject.toml")]
    answer = subprocess.run([*command, str(path)], capture_output=True, encoding="utf-8", check=False)
    assert answer.returncode == 1
    assert "Python 3.10" in answer.stdout


def test_the_oldest_python_is_the_same_in_every_setting(repository: Path) -> None:
    settings = (repository / "pyproject.toml").read_text(encoding="utf-8")
    oldest = ".".join(map(str, OLDEST))
    assert f'requires-python = ">={oldest}"' in settings
    assert f'target-version = "py{oldest.replace(".", "")}"' in settings
    assert re.search(
        rf"mypy --python-version {re.escape(oldest)}$",
        (repository / "Makefile").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
