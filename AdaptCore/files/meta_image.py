"""Headers of MetaImage files, checked before ITK sees them.

ITK ends the process where one tells of 100 dimensions, ignores the checksum of compressed voxels, and gives memory of
the process as voxels where there are too few (source: ours, from trials).
"""

from __future__ import annotations

import math
import re
from pathlib import Path

from AdaptCore.errors import ImageError
from AdaptCore.files.geometry import LARGEST, MILLIMETRES
from AdaptCore.files.streams import BLOCK_BYTES, SURPLUS, Stream, check_length, inflated_bytes

TYPE_BYTES = {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 4, "LONG_LONG": 8}
NUMBER_BYTES = {f"MET_{sign}{name}": size for sign in ("", "U") for name, size in TYPE_BYTES.items()}
NUMBER_BYTES |= {"MET_FLOAT": 4, "MET_DOUBLE": 8}
SPACINGS = ("ElementSpacing", "ElementSize")
VOXELS, HERE = "ElementDataFile", "LOCAL"
"""Last field of a header, and what it holds where the voxels follow."""
PLACES = ("TransformMatrix", "Rotation", "Orientation", "Offset", "Origin", "Position")


def check_meta_image(path: Path) -> str:
    """Check a header and that the voxels are whole.

    Returns:
        The unit of length, "mm" also where none is named; empty where the header tells no spacing.

    Raises:
        ImageError: it is damaged, has no place that can be, or voxels are missing.
        OSError: the system could not read.
    """
    with path.open("rb") as stream:
        fields = _read(stream)
        if not fields.get(VOXELS) or "NDims" not in fields:
            raise ImageError(
                f"{path}: The file has no MetaImage header. Choose a NRRD, NIfTI, MetaImage, PNG, JPEG or DICOM image."
            )
        expected = _voxel_bytes(path, fields)
        _check_place(path, fields)
        _check_voxels(path, stream, fields, expected)
    if not any(name in fields for name in SPACINGS):
        return ""
    unit = fields.get("DistanceUnits", "")
    return "mm" if unit.lower() in MILLIMETRES else unit


def voxel_file(path: Path) -> Path | None:
    """The file that a header names for its voxels; None where they follow the header.

    Raises:
        OSError: the system could not read.
    """
    with path.open("rb") as stream:
        named = _read(stream).get(VOXELS, HERE)
    return None if named.upper() == HERE else path.parent / named


def _read(stream: Stream) -> dict[str, str]:
    """Fields of a header; the stream stands behind it."""
    fields: dict[str, str] = {}
    while VOXELS not in fields and (line := stream.readline(BLOCK_BYTES)):
        key, _, value = line.decode("latin-1").partition("=")
        fields[key.strip()] = value.strip()
    return fields


def _voxel_bytes(path: Path, fields: dict[str, str]) -> int:
    sizes = fields.get("DimSize", "").split()
    if fields["NDims"] not in ("1", "2", "3", "4") or len(sizes) != int(fields["NDims"]):
        raise ImageError(
            f"{path}: The MetaImage header tells of {fields['NDims']} dimensions and the size '{' '.join(sizes)}'. "
            "Expected 2 or 3 dimensions and as many numbers."
        )
    if not all(re.fullmatch(r"\d{1,9}", size) and int(size) for size in sizes):
        raise ImageError(f"{path}: The MetaImage header gives the size '{' '.join(sizes)}'. Expected numbers above 0.")
    kind, channels = fields.get("ElementType", ""), fields.get("ElementNumberOfChannels", "1")
    if kind not in NUMBER_BYTES or not re.fullmatch(r"[1-9]\d{0,3}", channels):
        raise ImageError(f"{path}: The voxels are {channels} of type '{kind}'. Expected one real number, or three.")
    return math.prod(map(int, sizes)) * int(channels) * NUMBER_BYTES[kind]


def _check_place(path: Path, fields: dict[str, str]) -> None:
    for name in (*SPACINGS, *PLACES):
        for text in fields.get(name, "").split():
            try:
                number = float(text)
            except ValueError:
                number = math.nan
            if not abs(number) <= LARGEST or (name in SPACINGS and number <= 0):
                wanted = "numbers above 0, up to 1e6" if name in SPACINGS else "numbers up to 1e6"
                raise ImageError(f"{path}: {name} is '{fields[name]}'. Expected {wanted}: correct the header.")


def _check_voxels(path: Path, stream: Stream, fields: dict[str, str], expected: int) -> None:
    place = fields[VOXELS]
    if place.upper() == HERE:
        _check_count(path, stream, path.stat().st_size - stream.tell(), fields, expected)
        return
    file = path.parent / place
    if not file.is_file():
        raise ImageError(
            f"{path}: The file of its voxels is missing: {place}. Put it beside the header; a list of several files is "
            "not read, so save the image in one piece (.mha)."
        )
    with file.open("rb") as voxels:
        _check_count(path, voxels, file.stat().st_size, fields, expected)


def _check_count(path: Path, voxels: Stream, there: int, fields: dict[str, str], expected: int) -> None:
    if fields.get("CompressedData", "").lower() == "true":
        check_length(path, inflated_bytes(path, voxels), expected, SURPLUS)
    elif fields.get("BinaryData", "True").lower() == "true":
        before = fields.get("HeaderSize", "0")
        skipped = int(before) if re.fullmatch(r"-?\d{1,9}", before) else 0
        check_length(path, there - max(skipped, 0), expected, math.inf if skipped < 0 else SURPLUS)
    else:
        raise ImageError(f"{path}: The voxels are written as text. Save the image with binary voxels.")
