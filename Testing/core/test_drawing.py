"""Without matplotlib all works but pictures, and what would draw one says so before it begins."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from AdaptCore.cli import main
from AdaptCore.io import Geometry, Volume, write_volume
from AdaptCore.models.checkpoint import sha256_of

NEEDED = (
    "adaptseg: Reports and pictures need the Python package matplotlib, which is not installed. "
    'Install it with: pip install "adaptseg[report]"'
)

pytestmark = pytest.mark.usefixtures("a_home", "no_matplotlib")


@pytest.fixture
def no_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine where it is not installed."""
    users = [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]
    drawing = [name for name in sys.modules if name.startswith("AdaptCore.evaluate.")]
    for name in (*users, *drawing):
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)


@pytest.fixture
def an_image(tmp_path: Path) -> Path:
    """A bright disc."""
    i, j = np.mgrid[:48, :48]
    disc = np.where((i - 24) ** 2 + (j - 24) ** 2 < 100, 900, 100).astype(np.int16)
    write_volume(Volume(disc[..., None], Geometry((48, 48, 1))), tmp_path / "disc.nrrd")
    return tmp_path / "disc.nrrd"


def test_a_mask_needs_no_matplotlib(an_image: Path, a_checkpoint: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.nrrd"
    words = ["segment", str(an_image), "--click", "24,24", "--model", str(a_checkpoint), "--out", str(mask)]
    assert main(words) == 0 and mask.is_file()


@pytest.mark.parametrize(
    "words",
    [
        ["segment", "disc.nrrd", "--click", "24,24", "--out", "mask.nrrd", "--report", "report.html"],
        ["segment", "disc.nrrd", "--click", "24,24", "--out", "mask.nrrd", "--candidates", "others"],
        ["demo", "--out", "demo"],
        ["bench", "adapt", "--data", ".", "--targets", "x", "--picture", "curve.png"],
        ["bench", "cohort", "--data", ".", "--targets", "x"],
        ["cohort", "report", ".", "report.html"],
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_picture_is_refused_before_anything_is_done(
    an_image: Path,
    words: Sequence[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(an_image.parent)
    before = sha256_of(an_image)
    assert main(words) == 2
    assert capsys.readouterr().err.strip() == NEEDED
    assert sha256_of(an_image) == before and [path.name for path in Path().iterdir() if path.name != "home"] == [
        "disc.nrrd"
    ]
