"""Which packages are missing, and that nothing is installed without a yes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

CORE_PACKAGES = ("AdaptCore/models", "AdaptCore/predict", "AdaptCore")
NOT_IN_THE_PANEL = {"cli", "io"}
OPTIONAL = {"segment_anything", "torchvision"}
WITH_SLICER = {"numpy", "vtk", "slicer"}
DISTRIBUTION_OF_MODULE = {"skimage": "scikit-image"}


class Machine:
    """A machine with some packages on it, and a record of what was asked and installed."""

    def __init__(self, **versions: str) -> None:
        self.versions = dict(versions)
        self.asked: list[list[str]] = []
        self.installed: list[str] = []

    def logic(self, folder: Path, requirements: str = "torch>=2.4\nsafetensors>=0.4\n") -> Any:
        from InteractiveAdaptSegLib.InstallLogic import InstallLogic

        file = folder / "requirements.txt"
        file.write_text(requirements)
        return InstallLogic(file, self.versions.get, self.install_torch, self.install_packages)

    def install_torch(self, requirement: Any) -> None:
        self.installed.append(f"torch extension: {requirement}")
        self.versions["torch"] = "2.13.0+cpu"

    def install_packages(self, requirements: Sequence[Any]) -> None:
        self.installed += [f"pip: {requirement}" for requirement in requirements]
        self.versions.update({requirement.name: requirement.minimum for requirement in requirements})

    def say(self, answer: bool) -> Any:
        def confirm(requirements: Sequence[Any]) -> bool:
            self.asked.append([str(requirement) for requirement in requirements])
            return answer

        return confirm


def test_missing_and_outdated_packages_are_named(tmp_path: Path) -> None:
    machine = Machine(torch="2.3.1+cu121")
    assert [str(one) for one in machine.logic(tmp_path).missing()] == ["torch>=2.4", "safetensors>=0.4"]
    machine.versions.update(torch="2.10.0+cpu", safetensors="0.4")
    assert machine.logic(tmp_path).missing() == []


def test_package_that_does_not_tell_its_version_is_left_alone(tmp_path: Path) -> None:
    assert Machine(torch="", safetensors="1.0").logic(tmp_path).missing() == []


def test_nothing_is_installed_without_a_yes(tmp_path: Path) -> None:
    machine = Machine()
    assert machine.logic(tmp_path).install(machine.say(False)) is False
    assert machine.asked == [["torch>=2.4", "safetensors>=0.4"]]
    assert machine.installed == []


def test_torch_comes_from_its_extension_and_the_rest_from_pip(tmp_path: Path) -> None:
    machine = Machine()
    assert machine.logic(tmp_path).install(machine.say(True)) is True
    assert machine.installed == ["torch extension: torch>=2.4", "pip: safetensors>=0.4"]


def test_only_what_is_missing_is_installed(tmp_path: Path) -> None:
    machine = Machine(torch="2.13.0")
    machine.logic(tmp_path).install(machine.say(True))
    assert machine.installed == ["pip: safetensors>=0.4"]


def test_nobody_is_asked_if_nothing_is_missing(tmp_path: Path) -> None:
    machine = Machine(torch="2.13.0", safetensors="0.5")
    assert machine.logic(tmp_path).install(machine.say(False)) is True
    assert machine.asked == []


def test_installation_that_changes_nothing_is_an_error(tmp_path: Path) -> None:
    from InteractiveAdaptSegLib.Errors import InstallError
    from InteractiveAdaptSegLib.InstallLogic import InstallLogic

    (tmp_path / "requirements.txt").write_text("safetensors>=0.4\n")
    logic = InstallLogic(tmp_path / "requirements.txt", lambda name: None, installPackages=lambda requirements: None)
    with pytest.raises(InstallError, match=r"safetensors>=0\.4 could not be installed"):
        logic.install(lambda requirements: True)


def test_missing_pytorch_extension_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from InteractiveAdaptSegLib.Errors import InstallError
    from InteractiveAdaptSegLib.InstallLogic import Requirement, installTorchWithPyTorchUtils

    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(InstallError, match="Extensions Manager"):
        installTorchWithPyTorchUtils(Requirement("torch", "2.4"))


def test_pytorch_extension_is_told_the_version_and_does_not_ask_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from InteractiveAdaptSegLib.InstallLogic import Requirement, installTorchWithPyTorchUtils

    calls: list[dict[str, Any]] = []

    class PyTorchUtilsLogic:
        def installTorch(self, **arguments: Any) -> None:
            calls.append(arguments)

    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = PyTorchUtilsLogic  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    installTorchWithPyTorchUtils(Requirement("torch", "2.4"))
    assert calls == [{"askConfirmation": False, "torchVersionRequirement": ">=2.4"}]


@pytest.fixture
def a_packaging(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Slicer's own installer, with the names of its arguments; it notes what it is asked for."""
    import slicer

    packaging = SimpleNamespace(ensured=[], isPipInstallInProgress=lambda: False)
    packaging.pip_ensure = lambda requirements, *, prompt_install, requester: packaging.ensured.append(
        (requirements, prompt_install, requester)
    )
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    return packaging


def test_packages_are_installed_by_slicers_own_installer_without_a_second_question(a_packaging: Any) -> None:
    from InteractiveAdaptSegLib.InstallLogic import Requirement, installPackagesWithSlicer

    installPackagesWithSlicer([Requirement("safetensors", "0.4")])
    assert a_packaging.ensured == [(["safetensors>=0.4"], False, "InteractiveAdaptSeg")]


def test_two_installations_do_not_run_at_once(a_packaging: Any) -> None:
    from InteractiveAdaptSegLib.Errors import InstallError
    from InteractiveAdaptSegLib.InstallLogic import Requirement, installPackagesWithSlicer

    a_packaging.isPipInstallInProgress = lambda: True
    with pytest.raises(InstallError, match="Another extension is installing Python packages"):
        installPackagesWithSlicer([Requirement("safetensors", "0.4")])
    assert a_packaging.ensured == []


def test_older_slicer_installs_with_its_pip_function(monkeypatch: pytest.MonkeyPatch) -> None:
    import slicer

    from InteractiveAdaptSegLib.InstallLogic import Requirement, installPackagesWithSlicer

    calls: list[Any] = []
    monkeypatch.delattr(slicer, "packaging", raising=False)
    monkeypatch.setitem(sys.modules, "slicer.packaging", None)
    monkeypatch.setattr(slicer.util, "pip_install", calls.append)
    installPackagesWithSlicer([Requirement("safetensors", "0.4")])
    assert calls == [["safetensors>=0.4"]]


def test_line_that_is_no_requirement_is_named(tmp_path: Path) -> None:
    from InteractiveAdaptSegLib.Errors import InstallError

    with pytest.raises(InstallError, match="--index-url"):
        Machine().logic(tmp_path, "# fine\n\ntorch>=2.4\n--index-url somewhere\n").missing()


def test_installed_version_is_read_and_missing_packages_are_noticed() -> None:
    import numpy

    from InteractiveAdaptSegLib.InstallLogic import installedPackageVersion

    assert installedPackageVersion("numpy") == numpy.__version__
    assert installedPackageVersion("no-such-package") is None
    assert installedPackageVersion("json") == ""


def test_shipped_requirements_cover_what_the_panel_imports(repository: Path) -> None:
    from InteractiveAdaptSegLib.InstallLogic import readRequirements

    shipped = {
        one.name.lower() for one in readRequirements(repository / "InteractiveAdaptSeg/Resources/requirements.txt")
    }
    imported = set()
    for folder in (*CORE_PACKAGES, "InteractiveAdaptSeg/InteractiveAdaptSegLib"):
        for file in (repository / folder).glob("*.py"):
            if file.stem not in NOT_IN_THE_PANEL:
                imported |= third_party_imports(file)
    wanted = imported - OPTIONAL - WITH_SLICER
    assert {DISTRIBUTION_OF_MODULE.get(name, name) for name in wanted} <= shipped


def third_party_imports(file: Path) -> set[str]:
    """Top-level packages that a file imports anywhere, but for the standard library and our own."""
    names = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    tops = {re.split(r"\.", name)[0] for name in names}
    own = {"AdaptCore", "InteractiveAdaptSegLib", "PyTorchUtils"}
    return {name.lower() for name in tops if name not in sys.stdlib_module_names} - {name.lower() for name in own}


@pytest.mark.parametrize(
    "error",
    [subprocess.CalledProcessError(1, "pip"), ModuleNotFoundError("No module named 'torch'"), OSError(28, "full")],
)
def test_installation_that_breaks_off_says_what_to_do_next(tmp_path: Path, error: Exception) -> None:
    from InteractiveAdaptSegLib.Errors import InstallError

    machine = Machine(torch="2.13.0")

    def fail(requirements: Sequence[Any]) -> None:
        raise error

    logic = machine.logic(tmp_path)
    logic._installPackages = fail
    with pytest.raises(
        InstallError, match=r"safetensors>=0\.4 could not be installed\. .*press Install again"
    ) as raised:
        logic.install(lambda requirements: True)
    assert raised.value.__cause__ is error


def test_torchvision_comes_with_the_torch_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from InteractiveAdaptSegLib import InstallLogic

    calls: list[dict[str, Any]] = []
    module = ModuleType("PyTorchUtils")
    module.PyTorchUtilsLogic = lambda: SimpleNamespace(installTorch=lambda **given: calls.append(given))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "PyTorchUtils", module)
    monkeypatch.setattr(InstallLogic.importlib.metadata, "version", lambda name: {"torch": "2.9.1+cu128"}[name])
    InstallLogic.installTorchWithPyTorchUtils(InstallLogic.Requirement("torchvision", "0.21"))
    assert calls == [{"askConfirmation": False, "torchVersionRequirement": "==2.9.1"}]


def test_packages_of_sam_are_those_that_its_adapter_imports(repository: Path) -> None:
    from InteractiveAdaptSegLib.InstallLogic import readRequirements

    shipped = readRequirements(repository / "InteractiveAdaptSeg/Resources/requirements-sam.txt")
    assert {one.name.replace("-", "_") for one in shipped} == OPTIONAL


@pytest.mark.parametrize(
    ("version", "is_enough"),
    [("2.3", False), ("2.4.1", True), ("3.0.2", True), ("4", False), ("", True), (None, False)],
)
def test_a_package_may_be_too_new_as_well_as_too_old(tmp_path: Path, version: str | None, is_enough: bool) -> None:
    from InteractiveAdaptSegLib.InstallLogic import readRequirements

    path = tmp_path / "requirements.txt"
    path.write_text("pydicom>=2.4,<4\n", encoding="utf-8")
    (requirement,) = readRequirements(path)
    assert str(requirement) == "pydicom>=2.4,<4"
    assert requirement.isMetBy(version) is is_enough
