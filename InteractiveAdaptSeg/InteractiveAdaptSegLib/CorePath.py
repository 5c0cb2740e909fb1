"""Finds AdaptCore: beside the module when the extension is installed, one folder up in the source tree."""

from __future__ import annotations

import sys
from pathlib import Path


def makeAdaptCoreImportable(moduleFolder: Path) -> None:
    """Add the folder that holds AdaptCore to the import path if it is not there yet.

    Raises:
        ModuleNotFoundError: AdaptCore is in neither place.
    """
    folders = (moduleFolder, moduleFolder.parent)
    for folder in folders:
        if (folder / "AdaptCore" / "__init__.py").is_file():
            if str(folder) not in sys.path:
                sys.path.append(str(folder))
            return
    raise ModuleNotFoundError(f"AdaptCore is missing; looked in {', '.join(map(str, folders))}")
