"""The extension's CMake lists name every file that it needs and no other, and what it installs finds its resources."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

STUB = Path(__file__).resolve().parent
INSTALLED_FOLDER = Path("lib/Slicer/qt-scripted-modules")


def cmake(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = shutil.which("cmake")
    if program is None:
        pytest.skip("cmake is not installed")
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture
def configure(tmp_path: Path) -> Callable[[Path], subprocess.CompletedProcess[str]]:
    """Configures an extension against the stub of Slicer's CMake package."""

    def run(extension: Path) -> subprocess.CompletedProcess[str]:
        return cmake("-S", STUB, "-B", tmp_path / "build", f"-DEXTENSION={extension}")

    return run


@pytest.fixture
def a_copy(repository: Path, tmp_path: Path) -> Path:
    """A copy of the extension's sources that a test may change."""
    copy = tmp_path / "extension"
    copy.mkdir()
    shutil.copy(repository / "CMakeLists.txt", copy)
    for folder in ("AdaptCore", "InteractiveAdaptSeg", "Resources"):
        shutil.copytree(repository / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def test_every_file_is_listed_and_every_listed_file_is_there(
    repository: Path, configure: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    result = configure(repository)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    "file",
    ["AdaptCore/predict/plane.py", "InteractiveAdaptSeg/Resources/UI/InteractiveAdaptSeg.ui", "Resources/models.json"],
)
def test_listed_file_that_is_missing_fails(
    a_copy: Path, configure: Callable[[Path], subprocess.CompletedProcess[str]], file: str
) -> None:
    (a_copy / file).unlink()
    result = configure(a_copy)
    assert result.returncode != 0
    assert Path(file).name in result.stderr


@pytest.mark.parametrize(
    "file",
    ["AdaptCore/predict/forgotten.py", "InteractiveAdaptSeg/InteractiveAdaptSegLib/Forgotten.py", "Resources/new.bin"],
)
def test_file_that_is_not_listed_fails(
    a_copy: Path, configure: Callable[[Path], subprocess.CompletedProcess[str]], file: str
) -> None:
    (a_copy / file).write_text("")
    result = configure(a_copy)
    assert result.returncode != 0
    folder, name = file.split("/", 1)
    assert f"present but not listed in {folder}/CMakeLists.txt: {name}" in " ".join(result.stderr.split())


def test_installed_extension_finds_its_resources(
    repository: Path, tmp_path: Path, configure: Callable[[Path], subprocess.CompletedProcess[str]]
) -> None:
    assert configure(repository).returncode == 0
    installed = tmp_path / "installed"
    assert cmake("--install", tmp_path / "build", "--prefix", installed).returncode == 0
    modules = installed / INSTALLED_FOLDER
    script = (
        f"import sys; sys.path[:] = [p for p in sys.path if p not in ('', {str(repository)!r})]\n"
        f"sys.path.insert(0, {str(modules)!r})\n"
        "from pathlib import Path\n"
        "from InteractiveAdaptSegLib.CorePath import makeAdaptCoreImportable\n"
        f"makeAdaptCoreImportable(Path({str(modules)!r}))\n"
        "from AdaptCore.resources import resource_path\n"
        "print(resource_path('models.json'), resource_path('compact.safetensors'))\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    resources = modules / "InteractiveAdaptSegResources"
    assert result.stdout.split() == [str(resources / "models.json"), str(resources / "compact.safetensors")], (
        result.stderr
    )
    for file in ("InteractiveAdaptSeg.py", "Resources/requirements.txt", "Resources/Icons/InteractiveAdaptSeg.png"):
        assert (modules / file).is_file()


def test_installed_files_are_not_shadowed_by_a_package_of_the_same_name(repository: Path) -> None:
    for folder in ("AdaptCore", "InteractiveAdaptSeg"):
        for file in (repository / folder).rglob("*.py"):
            assert not file.with_suffix("").is_dir(), f"{file} cannot be imported beside the folder of its name"
