"""Whether pictures can be drawn: matplotlib comes with the extra `report`, and not into 3D Slicer."""

from __future__ import annotations

import importlib.util

from AdaptCore.errors import OutputError


def check_installed() -> None:
    """Check that pictures can be drawn, before work that ends with one.

    Raises:
        OutputError: matplotlib is missing.
    """
    if importlib.util.find_spec("matplotlib") is None:
        raise OutputError(
            "Reports and pictures need the Python package matplotlib, which is not installed. "
            'Install it with: pip install "adaptseg[report]"'
        )
