"""PNG and JPEG pictures: the alpha channel, and files that are cut short.

ITK does not read grey with alpha, and completes a truncated JPEG with grey (source: ours, from trials).
"""

from __future__ import annotations

import tempfile
import zlib
from pathlib import Path

import SimpleITK as sitk  # noqa: N813

from AdaptCore.errors import ImageError
from AdaptCore.files.itk import open_image, quiet_itk
from AdaptCore.files.streams import check_length

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


def read_png(path: Path) -> sitk.Image:
    """Raises RuntimeError where ITK cannot read it, ImageError where it is damaged or too large."""
    with path.open("rb") as stream:
        head = stream.read(PNG_HEADER_CHECKSUM.stop)
    columns, rows = (int.from_bytes(head[PNG_SIZE][start : start + 4], "big") for start in (0, 4))
    bits, colour = head[PNG_FORMAT] if len(head) == PNG_HEADER_CHECKSUM.stop else (0, 0)
    check_length(path, DEFLATED * path.stat().st_size, columns * rows * bits * PNG_SAMPLES.get(colour, 1) // 8)
    if head[PNG_FORMAT] in ALIKE_FORMATS:
        return _read_grey_with_alpha(path)
    reader = open_image(path, "PNGImageIO")
    with quiet_itk():
        return reader.Execute()


def read_jpeg(path: Path) -> sitk.Image:
    """Raises RuntimeError where ITK cannot read it, ImageError where it is cut short."""
    _check_jpeg(path)
    reader = open_image(path, "JPEGImageIO")
    with quiet_itk():
        return reader.Execute()


def _read_grey_with_alpha(path: Path) -> sitk.Image:
    """Read a copy of the PNG under its alike format, then pick the bytes of grey and alpha."""
    content = bytearray(path.read_bytes())
    content[PNG_FORMAT] = ALIKE_FORMATS[bytes(content[PNG_FORMAT])]
    content[PNG_HEADER_CHECKSUM] = zlib.crc32(content[PNG_HEADER]).to_bytes(4, "big")
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "alike.png"
        copy.write_bytes(content)
        reader = open_image(copy, "PNGImageIO")
        with quiet_itk():
            image = reader.Execute()
    if image.GetNumberOfComponentsPerPixel() == 1:
        return sitk.Compose(sitk.Cast(image // 256, sitk.sitkUInt8), sitk.Cast(image % 256, sitk.sitkUInt8))
    bands = [sitk.VectorIndexSelectionCast(image, band, sitk.sitkUInt16) for band in range(4)]
    return sitk.Compose(bands[0] * 256 + bands[1], bands[2] * 256 + bands[3])


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
