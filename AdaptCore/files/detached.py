"""Headers that name another file for their voxels."""

from __future__ import annotations

from pathlib import Path

from AdaptCore.errors import ImageError
from AdaptCore.files import meta_image, nrrd

NAMED = {
    **dict.fromkeys((".nrrd", ".nhdr"), nrrd.voxel_file),
    **dict.fromkeys((".mha", ".mhd"), meta_image.voxel_file),
}


def voxel_file(path: Path) -> Path | None:
    """The file that a header names for its voxels; None where they follow the header, and for other files.

    A file without the header of its kind names none: who reads the image is told.

    Raises:
        OSError: the system could not read the header.
    """
    find = NAMED.get(path.suffix.lower())
    try:
        return find(path) if find else None
    except ImageError:
        return None
