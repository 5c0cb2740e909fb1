"""Finds image files that are cut short, damaged or not finite where ITK would read them without complaint.

ITK fills the missing voxels of a truncated NIfTI file with zeros, as it does its NaN and infinite ones, completes a
truncated JPEG with grey and ignores the checksums of compressed NRRD and MetaImage files, so these formats are checked
here before ITK sees them (source: ours, from trials).
"""

from __future__ import annotations

import gzip
import math
import struct
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

import numpy as np

from AdaptCore.errors import ImageError

BLOCK_BYTES = 1 << 20
NIFTI_HEADER_BYTES = {348: 1, 540: 2}
NIFTI_FLOATS = {16: "f4", 64: "f8"}
"""Datatype codes whose voxels ITK reads as real numbers and makes finite (nifti1.h)."""
FILL_BYTE = 0xFF
"""Any number of them may stand before a JPEG marker (ITU-T T.81, B.1.1.2)."""


@dataclass(frozen=True)
class _NiftiHeader:
    """What a NIfTI header says of its voxels.

    Attributes:
        start: byte of the first voxel.
        count: number of voxels, all channels together.
        bits: size of each.
        floats: their type where they are floating-point numbers, else None.
    """

    start: int
    count: int
    bits: int
    floats: np.dtype | None

    @property
    def voxel_bytes(self) -> int:
        return self.count * self.bits // 8


def check_whole(path: Path) -> np.ndarray | None:
    """Check that a file holds all the bytes which its format promises.

    Returns:
        True for each NaN or infinite voxel of a NIfTI file, in the order of the file (channel, k, j, i); None where ITK
        reads all voxels as they are.

    Raises:
        ImageError: the file is empty, cut short, or its checksum is wrong.
    """
    if path.stat().st_size == 0:
        raise ImageError(f"{path}: the file is empty; an image is wanted")
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _check_nifti(path)
    if name.endswith((".jpg", ".jpeg")):
        _check_jpeg(path)
    elif name.endswith(".nrrd"):
        _check_compressed_nrrd(path)
    elif name.endswith((".mha", ".mhd")):
        _check_compressed_meta_image(path)
    return None


def _truncated(path: Path, got: int, wanted: int) -> ImageError:
    return ImageError(f"{path}: the file is cut short ({got} bytes of image data, {wanted} wanted)")


@contextmanager
def _inflated(path: Path, start: int = 0) -> Iterator[BufferedIOBase]:
    """The content of a gzip stream; its checksum is checked by who reads to the end.

    Raises:
        ImageError: the stream is damaged or cut short.
    """
    try:
        with path.open("rb") as raw:
            raw.seek(start)
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(
            f"{path}: the compressed file is damaged or cut short ({error}); a whole one is wanted"
        ) from error


def _opened(path: Path, compressed: bool) -> AbstractContextManager[BufferedIOBase]:
    return _inflated(path) if compressed else path.open("rb")


def _blocks(stream: BufferedIOBase, count: int = sys.maxsize) -> Iterator[bytes]:
    """The next `count` bytes of a stream, or those up to its end; all blocks but the last are full."""
    while count > 0 and (block := stream.read(min(count, BLOCK_BYTES))):
        count -= len(block)
        yield block


def _read_through(stream: BufferedIOBase, count: int = sys.maxsize) -> None:
    for _ in _blocks(stream, count):
        pass


def _check_nifti(path: Path) -> np.ndarray | None:
    compressed = path.suffix.lower() == ".gz"
    with _opened(path, compressed) as stream:
        header = _nifti_header(path, stream.read(540))
    if not compressed and header.floats is None:
        got = path.stat().st_size - header.start
        if got < header.voxel_bytes:
            raise _truncated(path, max(got, 0), header.voxel_bytes)
        return None
    with _opened(path, compressed) as stream:
        _read_through(stream, header.start)
        return _check_nifti_voxels(path, stream, header)


def _check_nifti_voxels(path: Path, stream: BufferedIOBase, header: _NiftiHeader) -> np.ndarray | None:
    """Read to the end of the stream, but keep one bit for each voxel only."""
    got, packed = 0, []
    for block in _blocks(stream, header.voxel_bytes):
        got += len(block)
        if header.floats is not None:
            voxels = np.frombuffer(block, header.floats, len(block) // header.floats.itemsize)
            packed.append(np.packbits(~np.isfinite(voxels)))
    _read_through(stream)
    if got < header.voxel_bytes:
        raise _truncated(path, got, header.voxel_bytes)
    if not any(bits.any() for bits in packed):
        return None
    return np.unpackbits(np.concatenate(packed), count=header.count).astype(bool)


def _nifti_header(path: Path, head: bytes) -> _NiftiHeader:
    """Parse the first 540 bytes of a NIfTI file, of either version and byte order."""
    if len(head) < 348:
        raise _truncated(path, len(head), 348)
    order = "<" if struct.unpack_from("<i", head)[0] in NIFTI_HEADER_BYTES else ">"
    (length,) = struct.unpack_from(order + "i", head)
    version = NIFTI_HEADER_BYTES.get(length)
    if version is None or len(head) < length:
        raise ImageError(f"{path}: no NIfTI header; a NIfTI image is wanted")
    if version == 1:
        sizes = struct.unpack_from(order + "8h", head, 40)
        kind, bits = struct.unpack_from(order + "hh", head, 70)
        (start,) = struct.unpack_from(order + "f", head, 108)
        if not math.isfinite(start):
            raise ImageError(f"{path}: the header puts the voxels at byte {start}; a finite number is wanted")
    else:
        kind, bits = struct.unpack_from(order + "hh", head, 12)
        sizes = struct.unpack_from(order + "8q", head, 16)
        (start,) = struct.unpack_from(order + "q", head, 168)
    count = math.prod(max(size, 1) for size in sizes[1 : 1 + max(sizes[0], 0)])
    floats = np.dtype(order + NIFTI_FLOATS[kind]) if kind in NIFTI_FLOATS else None
    return _NiftiHeader(max(int(start), length), count, bits if floats is None else 8 * floats.itemsize, floats)


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
        with _inflated(path, end + mark_length) as stream:
            _read_through(stream)


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
