"""Bytes of image files, read in blocks so that a header that promises too much costs no memory."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import BinaryIO

from AdaptCore.errors import ImageError

BLOCK_BYTES = 1 << 20
SURPLUS = 512
"""Bytes that may follow the voxels; more are voxels of which the header does not tell (ours)."""

Stream = BinaryIO | BufferedIOBase


@contextmanager
def opened(path: Path, compressed: bool, start: int = 0) -> Iterator[Stream]:
    """The content of a file, or of the gzip stream in it, whose checksum is checked by who reads to the end.

    Raises:
        ImageError: the stream is damaged or cut short.
        OSError: the system could not read.
    """
    try:
        with path.open("rb") as raw:
            raw.seek(start)
            if not compressed:
                yield raw
                return
            with gzip.GzipFile(fileobj=raw) as stream:
                yield stream
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ImageError(
            f"{path}: The compressed file is damaged or cut short ({error}). Choose a whole one."
        ) from error


def read_bytes(stream: Stream, count: int) -> bytearray:
    """The next `count` bytes, or those up to the end."""
    content = bytearray()
    while len(content) < count and (block := stream.read(min(count - len(content), BLOCK_BYTES))):
        content += block
    return content


def skip(stream: Stream, count: float = math.inf) -> int:
    """Pass over `count` bytes, or those up to the end; gives how many there were."""
    passed = 0
    while passed < count and (block := stream.read(int(min(count - passed, BLOCK_BYTES)))):
        passed += len(block)
    return passed


def inflated_bytes(path: Path, stream: Stream) -> int:
    """How many bytes the zlib stream that follows gives.

    Raises:
        ImageError: it is damaged or cut short.
    """
    inflater, count = zlib.decompressobj(), 0
    try:
        while not inflater.eof and (block := inflater.unconsumed_tail or stream.read(BLOCK_BYTES)):
            count += len(inflater.decompress(block, BLOCK_BYTES))
    except zlib.error as error:
        raise ImageError(f"{path}: The compressed voxels are damaged ({error}). Choose a whole file.") from error
    if not inflater.eof:
        raise ImageError(f"{path}: The compressed voxels are cut short. Choose a whole file.")
    return count


def check_length(path: Path, got: int, expected: int, surplus: float = math.inf) -> None:
    """Check that a file holds the bytes of voxels of which its header tells, and at most `surplus` more.

    Raises:
        ImageError: it does not, so file or header is damaged.
    """
    if got < expected:
        raise ImageError(
            f"{path}: The file is cut short ({got} bytes of image data of {expected}). Choose a whole one."
        )
    if got > expected + surplus:
        raise ImageError(
            f"{path}: The file holds {got} bytes of image data, its header tells of {expected}. Correct the header, or "
            "save the image again."
        )
