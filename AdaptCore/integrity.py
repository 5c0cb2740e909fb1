"""Finds image files that are cut short or damaged where ITK would read them without complaint.

ITK fills the missing voxels of a truncated NIfTI file with zeros, completes a truncated JPEG with grey and ignores the
checksums of compressed NRRD and MetaImage files, so these formats are checked here before ITK sees them (source: ours,
from trials).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from AdaptCore.errors import ImageError

BLOCK_BYTES = 1 << 20
NIFTI_HEADER_BYTES = {348: 1, 540: 2}
FILL_BYTE = 0xFF
"""Any number of them may stand before a JPEG marker (ITU-T T.81, B.1.1.2)."""


def check_whole(path: Path) -> None:
    """Check that a file holds all the bytes which its format promises.

    Raises:
        ImageError: the file is empty, cut short, or its checksum is wrong.
    """
    size = path.stat().st_size
    if size == 0:
        raise ImageError(f"{path}: the file is empty; an image is wanted")
    name = path.name.lower()
    if name.endswith(".nii.gz"):
        _check_nifti(path, _gzip_length(path, 0))
    elif name.endswith(".nii"):
        _check_nifti(path, size)
    elif name.endswith((".jpg", ".jpeg")):
        _check_jpeg(path)
    elif name.endswith(".nrrd"):
        _check_compressed_nrrd(path)
    elif name.endswith((".mha", ".mhd")):
        _check_compressed_meta_image(path)


def _truncated(path: Path, got: int, wanted: int) -> ImageError:
    return ImageError(f"{path}: the file is cut short ({got} bytes of image data, {wanted} wanted)")


def _gzip_length(path: Path, start: int) -> int:
    """Bytes that a gzip stream holds after decompression; its length and checksum are checked on the way."""
    length = 0
    try:
        with path.open("rb") as raw:
            raw.seek(start)
            with gzip.GzipFile(fileobj=raw) as stream:
                while block := stream.read(BLOCK_BYTES):
                    length += len(block)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(
            f"{path}: the compressed file is damaged or cut short ({error}); a whole one is wanted"
        ) from error
    return length


def _check_nifti(path: Path, length: int) -> None:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    with opener(path, "rb") as stream:
        header = stream.read(540)
    if len(header) < 348:
        raise _truncated(path, len(header), 348)
    order = "<" if struct.unpack_from("<i", header)[0] in NIFTI_HEADER_BYTES else ">"
    version = NIFTI_HEADER_BYTES.get(struct.unpack_from(order + "i", header)[0])
    if version is None or (version == 2 and len(header) < 540):
        raise ImageError(f"{path}: no NIfTI header; a NIfTI image is wanted")
    if version == 1:
        sizes = struct.unpack_from(order + "8h", header, 40)
        (bits,) = struct.unpack_from(order + "h", header, 72)
        (start,) = struct.unpack_from(order + "f", header, 108)
        if not math.isfinite(start):
            raise ImageError(f"{path}: the header puts the voxels at byte {start}; a finite number is wanted")
        offset = int(start)
    else:
        sizes = struct.unpack_from(order + "8q", header, 16)
        (bits,) = struct.unpack_from(order + "h", header, 14)
        (offset,) = struct.unpack_from(order + "q", header, 168)
    wanted = math.prod(max(size, 1) for size in sizes[1 : 1 + max(sizes[0], 0)]) * bits // 8
    if length - offset < wanted:
        raise _truncated(path, max(length - offset, 0), wanted)


def _check_jpeg(path: Path) -> None:
    """Walk the segments up to the scan (a thumbnail has markers of its own), then look for the end marker."""
    data = path.read_bytes()
    position = 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        if data[position + 1] == FILL_BYTE:
            position += 1
            continue
        marker, length = data[position + 1], int.from_bytes(data[position + 2 : position + 4], "big")
        position += 2 + length
        if marker == 0xDA:
            if b"\xff\xd9" in data[position:]:
                return
            break
    raise ImageError(f"{path}: the JPEG is damaged or cut short (its end marker is missing); a whole image is wanted")


def _check_compressed_nrrd(path: Path) -> None:
    with path.open("rb") as stream:
        head = stream.read(BLOCK_BYTES)
    ends = [(head.find(mark), len(mark)) for mark in (b"\n\n", b"\r\n\r\n") if mark in head]
    end, mark_length = min(ends, default=(len(head), 0))
    fields = head[:end].lower().replace(b" ", b"").splitlines()
    detached = any(line.startswith(b"datafile:") for line in fields)
    if not detached and any(line in (b"encoding:gzip", b"encoding:gz") for line in fields):
        _gzip_length(path, end + mark_length)


def _check_compressed_meta_image(path: Path) -> None:
    with path.open("rb") as stream:
        fields = {}
        while "ElementDataFile" not in fields and (line := stream.readline(BLOCK_BYTES)):
            key, _, value = line.decode("latin-1").partition("=")
            fields[key.strip()] = value.strip()
        if fields.get("CompressedData", "").lower() != "true":
            return
        place = fields.get("ElementDataFile", "")
        if place.upper() == "LOCAL":
            _check_zlib(path, stream)
        elif (path.parent / place).is_file():
            with (path.parent / place).open("rb") as voxels:
                _check_zlib(path, voxels)


def _check_zlib(path: Path, stream: BinaryIO) -> None:
    inflater = zlib.decompressobj()
    try:
        while block := stream.read(BLOCK_BYTES):
            inflater.decompress(block)
    except zlib.error as error:
        raise ImageError(f"{path}: the compressed voxels are damaged ({error})") from error
    if not inflater.eof:
        raise ImageError(f"{path}: the compressed voxels are cut short")
