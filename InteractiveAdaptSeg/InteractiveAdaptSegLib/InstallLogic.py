"""Says which Python packages are missing, and installs them after an explicit yes."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import logging
import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import slicer

from InteractiveAdaptSegLib.Errors import InstallError

LINE = re.compile(
    r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*"
    r"(>=\s*(?P<minimum>[0-9]+(\.[0-9]+)*)\s*(,\s*<\s*(?P<limit>[0-9]+(\.[0-9]+)*))?)?$"
)
REQUESTER = "InteractiveAdaptSeg"
PYTORCH = ("torch", "torchvision")
WHAT_NEXT = (
    "What went wrong is said in Slicer's Python console. Check the internet connection and the space on the disk, and "
    "press Install again; where it fails again, restart Slicer first, since files that are in use cannot be replaced"
)


@dataclass(frozen=True)
class Requirement:
    """A package with the lowest version that will do and the first that will not, such as "pydicom>=2.4,<4"."""

    name: str
    minimum: str = ""
    limit: str = ""

    def __str__(self) -> str:
        lowest = f">={self.minimum}" if self.minimum else ""
        return f"{self.name}{lowest},<{self.limit}" if self.limit else f"{self.name}{lowest}"

    def isMetBy(self, version: str | None) -> bool:
        """Whether an installed version will do: None for a missing package, "" for one that does not say."""
        if not version:
            return version is not None
        isBelow = not self.limit or _numbers(version) < _numbers(self.limit)
        return isBelow and _numbers(version) >= _numbers(self.minimum)


class InstallLogic:
    """What is missing, and its installation.

    Args:
        requirementsFile: one package per line, as NAME, NAME>=VERSION or NAME>=VERSION,<VERSION.
        installedVersion: version of an installed package, None if it is missing, "" if it does not say.
        installTorch: installs PyTorch, or its torchvision, in a build that fits the machine.
        installPackages: installs other packages.
    """

    def __init__(
        self,
        requirementsFile: Path,
        installedVersion: Callable[[str], str | None] | None = None,
        installTorch: Callable[[Requirement], None] | None = None,
        installPackages: Callable[[Sequence[Requirement]], None] | None = None,
    ) -> None:
        self._requirementsFile = requirementsFile
        self._installedVersion = installedVersion or installedPackageVersion
        self._installTorch = installTorch or installTorchWithPyTorchUtils
        self._installPackages = installPackages or installPackagesWithSlicer

    def missing(self) -> list[Requirement]:
        """Packages that are not installed, or too old."""
        wanted = readRequirements(self._requirementsFile)
        return [
            requirement for requirement in wanted if not requirement.isMetBy(self._installedVersion(requirement.name))
        ]

    def install(self, confirm: Callable[[Sequence[Requirement]], bool]) -> bool:
        """Install what is missing if the user says yes; whether everything is there now.

        Args:
            confirm: asked once with what would be installed; nothing is downloaded before it has said yes.

        Raises:
            InstallError: something is still missing afterwards, or the PyTorch extension is not installed; the message
                says what to do next.
        """
        missing = self.missing()
        if not missing:
            return True
        if not confirm(missing):
            return False
        others = [requirement for requirement in missing if requirement.name not in PYTORCH]
        cause = None
        try:
            for requirement in missing:
                if requirement.name in PYTORCH:
                    self._installTorch(requirement)
            if others:
                self._installPackages(others)
        except (ImportError, OSError, RuntimeError, subprocess.SubprocessError) as error:
            logging.getLogger(__name__).warning("an installation has failed", exc_info=True)
            cause = error
        importlib.invalidate_caches()
        still = self.missing()
        if still:
            raise InstallError(f"{', '.join(map(str, still))} could not be installed. {WHAT_NEXT}") from cause
        return True


def readRequirements(path: Path) -> list[Requirement]:
    """Packages of a requirements file; empty lines and comments do not count.

    Raises:
        InstallError: a line is not NAME, NAME>=VERSION or NAME>=VERSION,<VERSION.
    """
    requirements = []
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.split("#")[0].strip()
        match = LINE.match(text)
        if text and match is None:
            raise InstallError(f"{path.name}: {line!r} is not NAME, NAME>=VERSION or NAME>=VERSION,<VERSION")
        if match is not None:
            requirements.append(Requirement(match["name"], match["minimum"] or "", match["limit"] or ""))
    return requirements


def installedPackageVersion(name: str) -> str | None:
    """Version of an installed package, None if it is missing; "" if it can be imported and does not say.

    Packages that come with Slicer do not always carry the record that pip writes.
    """
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "" if importlib.util.find_spec(name) is not None else None


def installTorchWithPyTorchUtils(requirement: Requirement) -> None:
    """Install PyTorch through Slicer's PyTorch extension, which chooses the build for the machine's processor.

    It installs torch and torchvision together; for torchvision, the torch that is there stays.

    Raises:
        InstallError: the extension is not installed.
    """
    try:
        from PyTorchUtils import PyTorchUtilsLogic
    except ImportError:
        raise InstallError(
            "PyTorch is installed by the PyTorch extension, which is missing: install it in the Extensions Manager"
        ) from None
    if requirement.name == "torchvision":
        version: str | None = f"=={importlib.metadata.version('torch').split('+')[0]}"
    else:
        version = f">={requirement.minimum}" if requirement.minimum else None
    PyTorchUtilsLogic().installTorch(askConfirmation=False, torchVersionRequirement=version)


def installPackagesWithSlicer(requirements: Sequence[Requirement]) -> None:
    """Install packages as Slicer does: with its progress window and its offer to restart where it has them (5.11).

    Raises:
        InstallError: another extension is installing packages; two installations at once could damage each other.
    """
    names = [str(requirement) for requirement in requirements]
    try:
        from slicer import packaging
    except ImportError:
        slicer.util.pip_install(names)
        return
    if packaging.isPipInstallInProgress():
        raise InstallError(
            "Another extension is installing Python packages. Wait until it is done, and press Install again."
        )
    packaging.pip_ensure(names, prompt_install=False, requester=REQUESTER)


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu gives (2, 13, 0)."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match.group().split(".")) if match else ()
