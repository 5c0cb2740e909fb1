"""Headers in a file of their own (.nhdr, .mhd): which file holds their voxels."""

from __future__ import annotations

import re
from pathlib import Path

MOST_HEADER_BYTES = 1 << 20

NAMED = {
    ".nhdr": re.compile(rb"^data ?file:[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE | re.IGNORECASE),
    ".mhd": re.compile(rb"^ElementDataFile[ \t]*=[ \t]*(.*?)[ \t]*\r?$", re.MULTILINE),
}
HERE = b"LOCAL"


def voxel_file(path: Path) -> Path | None:
    """The file that a header names for its voxels; None where they follow the header, and for other files.

    Raises:
        OSError: the system could not read the header.
    """
    pattern = NAMED.get(path.suffix.lower())
    if pattern is None:
        return None
    with path.open("rb") as stream:
        named = pattern.search(stream.read(MOST_HEADER_BYTES))
    if named is None or named[1].upper() == HERE:
        return None
    return path.parent / named[1].decode("utf-8", "replace")
