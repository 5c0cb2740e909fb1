"""Where files live: what ships with the product, and the user's own folder."""

from __future__ import annotations

import os
from pathlib import Path

from AdaptCore.errors import ModelError


def resource_path(name: str) -> Path:
    """Find a shipped file, e.g. "models.json" or "compact.safetensors".

    Works from the source tree, a pip install and Slicer's install tree.

    Raises:
        ModelError: in none of the folders; the message lists them.
    """
    folders = resource_folders(Path(__file__).resolve().parent)
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ModelError(f"{name} is missing in {', '.join(map(str, folders))}. Install AdaptSeg again.")


def resource_folders(package: Path) -> tuple[Path, ...]:
    """Folders to look in for an AdaptCore package at `package`, the least shared one first.

    In order: inside a pip-installed package, Slicer's module folder, the source tree.
    """
    return package / "Resources", package.parent / "InteractiveAdaptSegResources", package.parent / "Resources"


def user_folder() -> Path:
    """Folder of the user's own models: ADAPTSEG_HOME, else the platform's place for user data (not created here)."""
    from platformdirs import user_data_dir

    return Path(os.environ.get("ADAPTSEG_HOME") or user_data_dir("InteractiveAdaptSeg", appauthor=False))
