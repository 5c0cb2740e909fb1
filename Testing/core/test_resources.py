"""Shipped files are found in each of the ways the product is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from AdaptCore.errors import ModelError
from AdaptCore.resources import resource_folders, resource_path, user_folder


def test_the_source_tree_finds_its_manifest(repository: Path) -> None:
    assert resource_path("models.json") == repository / "Resources" / "models.json"


@pytest.mark.parametrize(
    "folder",
    ["AdaptCore/Resources", "InteractiveAdaptSegResources", "Resources"],
    ids=["pip install", "Slicer's module folder", "source tree"],
)
def test_an_installed_package_finds_a_shipped_file(repository: Path, tmp_path: Path, folder: str) -> None:
    (tmp_path / "AdaptCore").mkdir()
    for module in ("__init__.py", "errors.py", "resources.py"):
        shutil.copy(repository / "AdaptCore" / module, tmp_path / "AdaptCore")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "models.json").write_text("{}")
    found = subprocess.run(
        [sys.executable, "-c", "from AdaptCore.resources import resource_path; print(resource_path('models.json'))"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == (tmp_path / folder / "models.json").resolve()


def test_the_folder_that_other_modules_share_comes_last(tmp_path: Path) -> None:
    assert resource_folders(tmp_path / "AdaptCore")[-1] == tmp_path / "Resources"


def test_a_missing_file_names_the_places_looked_at(repository: Path) -> None:
    with pytest.raises(ModelError, match=r"nothing\.bin is missing in ") as caught:
        resource_path("nothing.bin")
    assert str(repository / "Resources") in str(caught.value)


def test_the_users_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ADAPTSEG_HOME", str(tmp_path))
    assert user_folder() == tmp_path


def test_the_users_folder_is_the_platforms_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ADAPTSEG_HOME", raising=False)
    assert user_folder().is_absolute()
    assert user_folder().name == "InteractiveAdaptSeg"
