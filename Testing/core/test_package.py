"""What is installed: the wheel's content, its dependencies, and which part of the package may import which."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

import AdaptCore

SHIPPED_RESOURCES = {
    "cohort.schema.json",
    "compact.md",
    "compact.safetensors",
    "compact3d.md",
    "compact3d.safetensors",
    "models.json",
    "models.schema.json",
    "points.schema.json",
    "preference.safetensors",
    "preference3d.safetensors",
}
PAGE_RESOURCES = {
    "AdaptWeb/serve/keys.js",
    "AdaptWeb/Resources/SampleData/AdaptSegPhantom.nrrd",
    "AdaptWeb/Resources/UI/InteractiveAdaptSeg.ui",
}
LIBRARY = "InteractiveAdaptSegLib"
DRAWING = {
    f"AdaptCore/{name}.py"
    for name in (
        "evaluate/cohort_figures",
        "evaluate/contact_sheet",
        "evaluate/learning_curve",
        "evaluate/pictures",
        "evaluate/profile_picture",
        "evaluate/surface_picture",
        "evaluate/task_curve",
        "training/table_picture",
    )
}
"""What draws imports matplotlib at once; a command looks whether it is there before it imports one of these."""

DISTRIBUTION_OF_MODULE = {"skimage": "scikit-image"}
OPTIONAL_MODULES = {
    "AdaptWeb",
    "argcomplete",
    "matplotlib",
    "monai",
    "mpl_toolkits",
    "ray",
    "segment_anything",
    "slicer",
    "torchvision",
    "vtk",
    "vtkmodules",
}
SLICER_AND_QT = {"slicer", "vtk", "vtkmodules", "qt", "ctk", "PySide6", "PythonQt"}
ROOMS_BELOW = {
    "files": {"files"},
    "models": {"models"},
    "predict": {"predict", "models"},
    "adapt": {"adapt", "predict", "models"},
    "preference": {"preference", "predict", "models"},
    "cohort": {"cohort", "adapt", "preference", "predict", "models", "files"},
    "evaluate": {"evaluate", "cohort", "adapt", "preference", "predict", "models", "files"},
    "training": {"training", "preference", "predict", "models"},
}


def package_files(repository: Path) -> list[Path]:
    return sorted((repository / "AdaptCore").rglob("*.py"))


def imported_modules(tree: ast.AST) -> Iterator[tuple[str, bool]]:
    """Dotted names that a file imports, each with whether that happens when the file is imported."""

    def walk(node: ast.AST, at_import: bool) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((f"{node.module}.{alias.name}", at_import) for alias in node.names)
        inside_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, at_import and not inside_function and not type_checking)

    return walk(tree, True)


def imports_of_package(repository: Path) -> Iterator[tuple[Path, str, bool]]:
    for path in package_files(repository):
        for name, at_import in imported_modules(ast.parse(path.read_text(encoding="utf-8"))):
            yield path.relative_to(repository), name, at_import


def declared_dependencies(repository: Path) -> set[str]:
    settings = (repository / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)^\]", settings, re.MULTILINE | re.DOTALL)
    assert listed is not None
    return {re.split(r"[<>=]", requirement)[0].lower() for requirement in re.findall(r'"(.+?)"', listed[1])}


def third_party(name: str) -> str | None:
    top = name.partition(".")[0]
    return None if top in sys.stdlib_module_names or top in ("AdaptCore", "__future__") else top


def test_every_import_is_a_declared_dependency(repository: Path) -> None:
    declared = declared_dependencies(repository)
    undeclared = {
        f"{path} imports {name}"
        for path, name, _ in imports_of_package(repository)
        if (top := third_party(name))
        and top not in OPTIONAL_MODULES
        and DISTRIBUTION_OF_MODULE.get(top, top).lower() not in declared
    }
    assert not undeclared


def test_every_declared_dependency_is_imported(repository: Path) -> None:
    tops = {third_party(name) for _, name, _ in imports_of_package(repository)} - {None}
    assert declared_dependencies(repository) <= {DISTRIBUTION_OF_MODULE.get(top, top).lower() for top in tops if top}


def test_slicer_is_given_the_same_lowest_versions(repository: Path) -> None:
    lowest = re.compile(r"^ *\"?([A-Za-z-]+)>=([0-9.]+)", re.MULTILINE)
    shipped = lowest.findall((repository / "InteractiveAdaptSeg/Resources/requirements.txt").read_text("utf-8"))
    declared = lowest.findall((repository / "pyproject.toml").read_text("utf-8"))
    assert len(shipped) > 5
    assert set(shipped) <= set(declared)


def test_optional_packages_are_imported_only_where_they_are_used(repository: Path) -> None:
    early = {
        f"{path} imports {name} at once"
        for path, name, at_import in imports_of_package(repository)
        if third_party(name) in OPTIONAL_MODULES and at_import and path.as_posix() not in DRAWING
    }
    assert not early


def test_only_what_draws_imports_matplotlib(repository: Path) -> None:
    users = {path.as_posix() for path, name, _ in imports_of_package(repository) if third_party(name) == "matplotlib"}
    assert users == DRAWING


def test_slicer_is_imported_only_by_the_comparison_with_its_tools(repository: Path) -> None:
    users = {path.as_posix() for path, name, _ in imports_of_package(repository) if third_party(name) in SLICER_AND_QT}
    assert users <= {"AdaptCore/evaluate/rivals.py"}


def test_nothing_but_the_command_imports_the_page(repository: Path) -> None:
    files = [*package_files(repository), *(repository / "InteractiveAdaptSeg").rglob("*.py")]
    users = {
        path.relative_to(repository).as_posix()
        for path in files
        for name, _ in imported_modules(ast.parse(path.read_text(encoding="utf-8")))
        if name.partition(".")[0] == "AdaptWeb"
    }
    assert users == {"AdaptCore/commands/web.py"}


def test_imports_point_one_way(repository: Path) -> None:
    against_the_arrows = set()
    for path, name, _ in imports_of_package(repository):
        room, parts = path.parts[1], name.split(".")
        if parts[0] != "AdaptCore" or room not in ROOMS_BELOW or len(parts) < 2:
            continue
        rooms = ROOMS_BELOW.keys() | {"commands", "cli"}
        if parts[1] in rooms and parts[1] not in ROOMS_BELOW[room]:
            against_the_arrows.add(f"{path} imports {name}")
    assert not against_the_arrows


def test_the_command_line_starts_without_the_heavy_libraries(repository: Path) -> None:
    script = "import sys, AdaptCore.cli as cli; cli.build_parser(); print(*sys.modules)"
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=repository, capture_output=True, encoding="utf-8", check=True
    )
    heavy = {"torch", "SimpleITK", "nibabel", "pydicom", "skimage", "scipy", "matplotlib", "vtk", "slicer"}
    assert not heavy & set(answer.stdout.split())


def test_the_model_manifest_follows_its_schema(repository: Path) -> None:
    schema = json.loads((repository / "Resources/models.schema.json").read_text(encoding="utf-8"))
    manifest = json.loads((repository / "Resources/models.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(manifest, schema)


@pytest.fixture(scope="module")
def a_wheel(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from the source distribution, offline."""
    source = tmp_path_factory.mktemp("source")
    for folder in ("AdaptCore", "AdaptWeb", "InteractiveAdaptSeg", "Resources"):
        shutil.copytree(repository / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE.txt"):
        shutil.copy(repository / name, source)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(source / "dist"), str(source)]
    answer = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return next((source / "dist").glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_their_resources_and_nothing_else(a_wheel: Path, repository: Path) -> None:
    names = set(zipfile.ZipFile(a_wheel).namelist())
    modules = {path.relative_to(repository).as_posix() for path in package_files(repository)}
    page = {f"AdaptWeb/{path.name}" for path in (repository / "AdaptWeb").glob("*.py")} | PAGE_RESOURCES
    library = {f"{LIBRARY}/{path.name}" for path in (repository / "InteractiveAdaptSeg" / LIBRARY).glob("*.py")}
    resources = {f"AdaptCore/Resources/{name}" for name in SHIPPED_RESOURCES}
    assert modules | resources | page | library | {"AdaptCore/py.typed"} <= names
    tops = {"AdaptCore", "AdaptWeb", LIBRARY, f"adaptseg-{AdaptCore.__version__}.dist-info"}
    assert {name.partition("/")[0] for name in names} == tops
    assert {name for name in names if name.startswith("AdaptWeb/Resources/")} <= PAGE_RESOURCES


@pytest.mark.slow
def test_the_installed_package_finds_its_own_weights(a_wheel: Path, repository: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(a_wheel).extractall(site)
    script = "from AdaptCore.resources import resource_path as p; print(p('compact.safetensors'), p('models.json'))"
    environment = {**os.environ, "PYTHONPATH": str(site)}
    answer = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", check=True
    )
    weights, manifest = map(Path, answer.stdout.split())
    assert weights == site / "AdaptCore/Resources/compact.safetensors"
    assert weights.read_bytes() == (repository / "Resources/compact.safetensors").read_bytes()
    assert manifest == site / "AdaptCore/Resources/models.json"


@pytest.mark.slow
def test_the_wheel_installs_the_command(a_wheel: Path) -> None:
    with zipfile.ZipFile(a_wheel) as wheel:
        folder = f"adaptseg-{AdaptCore.__version__}.dist-info"
        scripts = wheel.read(f"{folder}/entry_points.txt").decode()
        metadata = wheel.read(f"{folder}/METADATA").decode()
    assert "adaptseg = AdaptCore.cli:main" in scripts
    assert "License-Expression: Apache-2.0" in metadata
    assert "\nName: adaptseg\n" in metadata and "\nAuthor: InteractiveAdaptSeg contributors\n" in metadata
    assert "Project-URL: Homepage, https://example.org/InteractiveAdaptSeg\n" in metadata
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert "torch" in needed and not {"matplotlib", "jsonschema"} & set(needed)
