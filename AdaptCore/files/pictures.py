"""PNG and JPEG pictures: the alpha channel, and files that are cut short.

ITK does not read grey with alpha, and completes a truncated JPEG with grey (source: ours, from trials).
"""

from __future__ import annotations

import tempfile
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from AdaptCore.errors import ImageError
from AdaptCore.files.geometry import Geometry
from AdaptCore.files.itk import array_of, geometry_of, open_image, quiet_itk
from AdaptCore.files.streams import check_length

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_HEADER, PNG_SIZE, PNG_FORMAT, PNG_HEADER_CHECKSUM = slice(12, 29), slice(16, 24), slice(24, 26), slice(29, 33)
"""Bytes of a PNG; its format is bits and colour type (PNG specification, 11.2.1)."""
ALIKE_FORMATS = {bytes((8, 4)): bytes((16, 0)), bytes((16, 4)): bytes((8, 6))}
"""Grey with alpha, which ITK does not read -> a format that lays out the same bytes: plain grey of 16 bits, or RGBA."""
PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Colour type -> numbers of a pixel."""
DEFLATED, CODED = 1032, 2048
"""Most bytes of a picture that a byte of a PNG (RFC 1951) and of a JPEG (ours) can stand for. ITK asks for the memory
of the whole picture before it has seen the first pixel."""
JPEG_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers of a frame's header (ITU-T T.81, B.1.1.3)."""
FILL_BYTE = 0xFF
"""Any number of them may stand before a JPEG marker (ITU-T T.81, B.1.1.2)."""


def read_png(path: Path) -> tuple[np.ndarray, Geometry]:
    """Voxels (I, J, 1) or (I, J, 1, channels), alpha last, of a PNG.

    Raises:
        ImageError: it is damaged.
        RuntimeError: ITK cannot read it.
    """
    with path.open("rb") as stream:
        head = stream.read(PNG_HEADER_CHECKSUM.stop)
    if not head.startswith(PNG_SIGNATURE) or len(head) < PNG_HEADER_CHECKSUM.stop:
        raise ImageError(f"{path}: The PNG is damaged (it has no header). Choose a whole picture.")
    columns, rows = (int.from_bytes(head[PNG_SIZE][start : start + 4], "big") for start in (0, 4))
    bits, colour = head[PNG_FORMAT]
    check_length(path, DEFLATED * path.stat().st_size, columns * rows * bits * PNG_SAMPLES.get(colour, 1) // 8)
    return _read_grey_with_alpha(path) if head[PNG_FORMAT] in ALIKE_FORMATS else _read(path, "PNGImageIO")


def read_jpeg(path: Path) -> tuple[np.ndarray, Geometry]:
    """Voxels (I, J, 1) or (I, J, 1, 3) of a JPEG.

    Raises:
        ImageError: it is cut short.
        RuntimeError: ITK cannot read it.
    """
    _check_jpeg(path)
    return _read(path, "JPEGImageIO")


def _read(path: Path, format_name: str) -> tuple[np.ndarray, Geometry]:
    reader = open_image(path, format_name)
    with quiet_itk() as told:
        image = reader.Execute()
        damage = next((line for line in told().splitlines() if "orrupt" in line), "")
    if damage:
        warnings.warn(f"{path}: The picture is damaged ({damage}); parts of it may be wrong.", stacklevel=2)
    return array_of(image), replace(geometry_of(image), has_millimetres=False)


def _read_grey_with_alpha(path: Path) -> tuple[np.ndarray, Geometry]:
    """Read a copy of the PNG under its alike format, then pick the bytes of grey and alpha."""
    content = bytearray(path.read_bytes())
    content[PNG_FORMAT] = ALIKE_FORMATS[bytes(content[PNG_FORMAT])]
    content[PNG_HEADER_CHECKSUM] = zlib.crc32(content[PNG_HEADER]).to_bytes(4, "big")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "alike.png"
        copy.write_bytes(content)
        array, geometry = _read(copy, "PNGImageIO")
    if array.ndim == 3:
        return np.stack([array >> 8, array & 0xFF], axis=-1).astype(np.uint8), geometry
    high, low = array[..., ::2].astype(np.uint16), array[..., 1::2]
    return high << 8 | low, geometry


def _check_jpeg(path: Path) -> None:
    """Walk the segments up to the scan (a thumbnail has markers of its own), then look for the end marker."""
    data = path.read_bytes()
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == FILL_BYTE:
            position += 1
            continue
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        if marker in JPEG_FRAMES:
            rows, columns = (int.from_bytes(data[position + at : position + at + 2], "big") for at in (5, 7))
            check_length(path, CODED * len(data), rows * columns)
        position += 2 + length
        if marker == 0xDA:
            if b"\xff\xd9" in data[position:]:
                return
            break
    raise ImageError(f"{path}: The JPEG is damaged or cut short (its end marker is missing). Choose a whole picture.")
