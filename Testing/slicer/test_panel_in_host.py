"""The panel as Slicer loads it, in a stand-in for Slicer's window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_try(a_host: Any, repository: Path, a_volume: Any) -> None:
    a_host.load(repository / "InteractiveAdaptSeg" / "InteractiveAdaptSeg.py")
    panel = a_host.open("InteractiveAdaptSeg")
    print(panel.ui.statusLabel.text)
    panel.parent.grab().save("/tmp/panel.png")
    panel.ui.newSegmentButton.click()
    print(panel.ui.statusLabel.text)
