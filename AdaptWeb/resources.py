"""Where the files of the Slicer module lie that the page shows too."""

from __future__ import annotations

from pathlib import Path

from AdaptCore.errors import OutputError


def resource_path(name: str) -> Path:
    """Find a file of the module's resources in a pip install or the source tree, such as "UI/InteractiveAdaptSeg.ui".

    Raises:
        OutputError: it is in neither.
    """
    package = Path(__file__).resolve().parent
    folders = package / "Resources", package.parent / "InteractiveAdaptSeg" / "Resources"
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise OutputError(f"{name} is missing in {' and '.join(map(str, folders))}. Install adaptseg again.")
