"""Draws the phantom that Slicer's Sample Data module offers, and its picture there.

`python Testing/sample_data.py FOLDER`, with the module's `Resources` as the folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))

from AdaptCore.evaluate.phantom import make_phantom  # noqa: E402
from AdaptCore.io import write_volume  # noqa: E402

NAME = "AdaptSegPhantom"
WINDOW = (-20.0, 190.0)
PICTURE_SIDE = 260


def draw(folder: Path) -> None:
    """Write SampleData/AdaptSegPhantom.nrrd and Icons/AdaptSegPhantom.png into a folder."""
    from skimage.io import imsave
    from skimage.transform import resize

    phantom = make_phantom()
    for name in ("SampleData", "Icons"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_volume(phantom.volume, folder / "SampleData" / f"{NAME}.nrrd")
    middle = int(phantom.truth.any(axis=(0, 1)).nonzero()[0].mean())
    low, high = WINDOW
    plane = np.clip((phantom.volume.array[..., middle].T - low) / (high - low), 0, 1)
    edge = (plane.shape[1] - plane.shape[0]) // 2
    square = plane[:, edge : edge + plane.shape[0]]
    picture = resize(square, (PICTURE_SIDE, PICTURE_SIDE), order=1)
    imsave(folder / "Icons" / f"{NAME}.png", np.rint(255 * picture).astype(np.uint8), check_contrast=False)


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
