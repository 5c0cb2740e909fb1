"""The scripted module's file: what it imports at discovery, its panel's names, and its texts."""

from __future__ import annotations

import ast
import graphlib
import importlib.util
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

SLICERS_OWN = {"slicer", "vtk", "qt", "ctk"}


@pytest.fixture
def module_file(repository: Path) -> Path:
    return repository / "InteractiveAdaptSeg" / "InteractiveAdaptSeg.py"


@pytest.fixture
def module_files(module_file: Path) -> list[Path]:
    """All files of the module's two packages, and its own."""
    return [module_file, *module_file.parent.glob("InteractiveAdaptSeg*/*.py")]


@pytest.fixture
def panel_widgets(repository: Path) -> set[str]:
    """Names of the widgets in the panel's .ui file."""
    tree = ElementTree.parse(repository / "InteractiveAdaptSeg/Resources/UI/InteractiveAdaptSeg.ui")
    return {widget.get("name", "") for widget in tree.iter("widget")}


def module_level_imports(tree: ast.Module) -> set[str]:
    """Top-level packages that are imported when a file is, not when its functions run."""
    names: set[str] = set()
    waiting: list[ast.AST] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").split(".")[0])
        elif not isinstance(node, (ast.FunctionDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return names


def test_nothing_but_slicer_and_the_standard_library_is_imported_at_discovery(module_file: Path) -> None:
    imported = module_level_imports(ast.parse(module_file.read_text(encoding="utf-8")))
    assert {name for name in imported if name not in sys.stdlib_module_names} <= SLICERS_OWN


def test_logic_without_qt(repository: Path) -> None:
    for file in (repository / "InteractiveAdaptSeg/InteractiveAdaptSegLib").glob("*.py"):
        nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        imported = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        assert not imported & {"qt", "ctk"}, file.name


def test_heavy_packages_are_imported_only_when_needed(repository: Path) -> None:
    for file in (repository / "InteractiveAdaptSeg/InteractiveAdaptSegLib").glob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        at_import = ast.Module([node for node in tree.body if not is_type_checking(node)], [])
        imported = module_level_imports(at_import)
        known = SLICERS_OWN | {"numpy", "AdaptCore", "InteractiveAdaptSegLib"}
        assert {name for name in imported if name not in sys.stdlib_module_names} <= known, file.name
        from_core = {
            node.module
            for node in at_import.body
            if isinstance(node, ast.ImportFrom) and "AdaptCore" in str(node.module)
        }
        assert from_core <= {f"AdaptCore.{name}" for name in ("errors", "json_text", "printable", "prompts")}, file.name


def imports_of(file: Path) -> set[str]:
    """What a file imports at any time, dotted; imports for the type checker are left out."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kept = ast.Module([node for node in tree.body if not is_type_checking(node)], [])
    nodes = list(ast.walk(kept))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return plain | {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}


def test_module_imports_neither_commands_nor_training_nor_benchmarks(module_files: list[Path]) -> None:
    closed = ("AdaptCore.commands", "AdaptCore.training", "AdaptCore.evaluate")
    assert not {(file.name, name) for file in module_files for name in imports_of(file) if name.startswith(closed)}


def test_files_of_the_module_import_each_other_in_no_circle(module_files: list[Path]) -> None:
    names = {f"{file.parent.name}.{file.stem}": file for file in module_files}
    graph = {name: imports_of(file) & names.keys() for name, file in names.items()}
    assert sum(map(len, graph.values())) > 50
    graphlib.TopologicalSorter(graph).prepare()
    assert not {name for name in graph if "Lib." in name and any("Widgets." in other for other in graph[name])}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def test_panel_file_has_every_widget_that_the_code_uses(module_file: Path, panel_widgets: set[str]) -> None:
    files = [module_file, *(module_file.parent / "InteractiveAdaptSegWidgets").glob("*.py")]
    used = {
        node.attr
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Attribute) and node.value.attr == "ui"
    }
    assert used
    assert used <= panel_widgets


def test_panel_file_binds_only_parameters_that_exist(repository: Path, a_module: ModuleType) -> None:
    tree = ElementTree.parse(repository / "InteractiveAdaptSeg/Resources/UI/InteractiveAdaptSeg.ui")
    bound = {
        element.findtext("string") for element in tree.iter("property") if element.get("name") == "SlicerParameterName"
    }
    assert bound == {"inputVolume", "segmentation"}
    assert bound <= set(a_module.InteractiveAdaptSegParameterNode.__annotations__)


def test_scene_reaches_every_mrml_widget_of_the_panel(repository: Path) -> None:
    tree = ElementTree.parse(repository / "InteractiveAdaptSeg/Resources/UI/InteractiveAdaptSeg.ui")
    mrml_widgets = {
        widget.get("name") for widget in tree.iter("widget") if str(widget.get("class")).startswith("qMRML")
    } - {"InteractiveAdaptSeg"}
    receivers = {connection.findtext("receiver") for connection in tree.iter("connection")}
    assert mrml_widgets == receivers


@pytest.fixture
def a_module(a_scene: Any, module_file: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module file, with base classes in place of those that only Slicer's application has."""

    class Base:
        pass

    bases = {
        "qt": ModuleType("qt"),
        "slicer.i18n": SimpleNamespace(tr=lambda text: text, translate=lambda context, text: text),
        "slicer.parameterNodeWrapper": SimpleNamespace(parameterNodeWrapper=lambda cls: cls),
        "slicer.ScriptedLoadableModule": SimpleNamespace(
            ScriptedLoadableModule=Base,
            ScriptedLoadableModuleLogic=Base,
            ScriptedLoadableModuleTest=Base,
            ScriptedLoadableModuleWidget=Base,
        ),
    }
    for name, base in bases.items():
        monkeypatch.setitem(sys.modules, name, base)
    specification = importlib.util.spec_from_file_location("InteractiveAdaptSeg", module_file)
    assert specification is not None and specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_every_status_has_its_words(a_scene: Any) -> None:
    from InteractiveAdaptSegLib.ViewModel import Status
    from InteractiveAdaptSegLib.Words import statusText

    words = [statusText(status, str) for status in Status]
    assert len(set(words)) == len(Status)


def test_panel_tells_of_the_task_in_one_line(a_scene: Any) -> None:
    from AdaptCore.adapt.trial import Estimate
    from InteractiveAdaptSegLib.ViewModel import TaskState
    from InteractiveAdaptSegLib.Words import taskText

    frozen, adapted, unknown = "the frozen model predicts", "the adapted model predicts", "gain not known yet"
    slices, known = "12 slices of 5 volumes accepted", Estimate(0.124, 0.05, 0.2)
    gain = "gain of the first mask +0.12 IoU (+0.05 to +0.20)"
    lines = {
        TaskState("cup", isLearning=True): "cup: nothing accepted yet",
        TaskState("cup", True, 1, 1, isAdapted=True): f"cup: 1 slice of 1 volume accepted; {adapted}; {unknown}",
        TaskState("cup", False, 12, 5): f"cup: {slices}; {frozen}; {unknown}; not learning",
        TaskState("cup", True, 12, 5, gain=Estimate(-0.001, -0.1, 0.1)): (
            f"cup: {slices}; {frozen}; gain of the first mask not known yet: +0.00 IoU (-0.10 to +0.10)"
        ),
        TaskState("cup", True, 12, 5, True, gain=known): f"cup: {slices}; {adapted}; {gain}",
        TaskState("cup", True, 12, 5, True, True, known, Estimate(2.04, 1, 3), 8.3): (
            f"cup: {slices}; {adapted}; {gain}, 2.0 clicks saved for each object (1.0 to 3.0), "
            "measuring has cost 8 clicks"
        ),
        TaskState("cup", True, 12, 5, True, True, known, Estimate(0.5, -1, 2), -2.0): (
            f"cup: {slices}; {adapted}; {gain}, measuring has cost 0 clicks"
        ),
        TaskState(
            "cup", True, 12, 5, True, isMeasured=False, gain=known
        ): f"cup: {slices}; {adapted}; gain not measured",
    }
    for state, line in lines.items():
        assert taskText(state, str) == line
    assert "nothing is learnt" in taskText(None, str)


def test_new_segmentation_has_the_geometry_of_the_volume(a_scene: Any, a_volume: Any) -> None:
    import slicer

    from InteractiveAdaptSegLib.SceneNodes import addSegmentation

    node = addSegmentation(a_scene, a_volume)
    logic = slicer.vtkSlicerSegmentEditorLogic
    geometry = logic.GetReferenceImageGeometryStringFromSegmentation(node.GetSegmentation())
    assert geometry.split(";")[-7:-1] == ["0", "39", "0", "35", "0", "11"]


def test_no_segmentation_is_added_for_a_volume_that_cannot_be_worked_on(
    a_scene: Any, a_volume: Any, bend: Callable[..., None]
) -> None:
    from InteractiveAdaptSegLib.Errors import SceneError
    from InteractiveAdaptSegLib.SceneNodes import addSegmentation

    bend(a_volume)
    nodes = a_scene.GetNumberOfNodes()
    with pytest.raises(SceneError, match="'Volume' is under the non-linear transform 'Bend'"):
        addSegmentation(a_scene, a_volume)
    assert a_scene.GetNumberOfNodes() == nodes
