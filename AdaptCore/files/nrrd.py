"""Headers of NRRD files, checked before ITK sees them.

ITK ignores the checksum of compressed voxels, takes any list of three for colours and a spacing of NaN for 1 mm
(source: ours, from trials).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from AdaptCore.errors import ImageError
from AdaptCore.files.geometry import LARGEST, MILLIMETRES
from AdaptCore.files.streams import SURPLUS, check_length, opened, skip

MOST_HEADER_BYTES = 1 << 24
DOMAINS = {"domain", "space", "???", "none"}
COLOURS = {"vector", "3-vector", "rgb-color", "hsv-color", "xyz-color", "3-color", "rgba-color", "4-color", "complex"}
"""Kinds of an axis that hold no points in time or layers; ITK writes colours as vectors (NRRD definition, kinds)."""
TYPE_BYTES = {
    1: "signed char, int8, int8_t, uchar, unsigned char, uint8, uint8_t",
    2: "short, short int, signed short, signed short int, int16, int16_t, "
    "ushort, unsigned short, unsigned short int, uint16, uint16_t",
    4: "int, signed int, int32, int32_t, uint, unsigned int, uint32, uint32_t, float",
    8: "longlong, long long, long long int, signed long long, signed long long int, int64, int64_t, "
    "ulonglong, unsigned long long, unsigned long long int, uint64, uint64_t, double",
}
VOXELS = "datafile"
"""Field that names the file of the voxels."""
ESCAPED = {"n": "\n", "\\": "\\"}
"""Letter after a backslash in a key's value -> what it stands for."""
NUMBER_BYTES = {name: size for size, names in TYPE_BYTES.items() for name in names.split(", ")}


@dataclass(frozen=True)
class NrrdHeader:
    """A header that can be.

    Attributes:
        unit: of length, "mm" also where none is named; empty where it tells no spacing.
        lists: kinds of axes that are neither space nor colours: layers of segments, or points in time.
        pairs: keys and values of its own, such as the names of segments.
    """

    unit: str
    lists: tuple[str, ...]
    pairs: dict[str, str]


def read_nrrd_header(path: Path) -> NrrdHeader:
    """Read a header, and check that the voxels are whole.

    Raises:
        ImageError: it is damaged or has no place that can be, or voxels are missing.
        OSError: the system could not read.
    """
    fields, pairs, start = _read(path)
    sizes = _sizes(path, fields)
    beside = [kind for kind, size in zip(_kinds(fields), sizes) if kind not in DOMAINS and size > 1]
    _check_place(path, fields)
    _check_voxels(path, fields, sizes, start)
    return NrrdHeader(
        _unit(fields) if "spacings" in fields or "(" in fields.get("spacedirections", "") else "",
        tuple(kind for kind in beside if kind not in COLOURS),
        pairs,
    )


def voxel_file(path: Path) -> Path | None:
    """The file that a header names for its voxels; None where they follow the header.

    Raises:
        ImageError: there is no header.
        OSError: the system could not read.
    """
    named = _read(path)[0].get(VOXELS)
    return None if named is None else path.parent / named


def _read(path: Path) -> tuple[dict[str, str], dict[str, str], int]:
    """Fields of a header, keys and values of its own, and where it ends."""
    with path.open("rb") as stream:
        head = stream.read(MOST_HEADER_BYTES)
    end = re.search(rb"\r?\n\r?\n", head)
    text = head[: end.start() if end else len(head)].decode("utf-8", "replace")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    if not lines or not re.fullmatch(r"NRRD000\d", lines[0].strip()):
        raise ImageError(
            f"{path}: The file has no NRRD header. Choose a NRRD, NIfTI, MetaImage, PNG, JPEG or DICOM image."
        )
    fields, pairs = {}, {}
    for line in lines[1:]:
        key, mark, value = line.partition(":")
        if value.startswith("="):
            pairs[key] = re.sub(r"\\([n\\])", lambda escaped: ESCAPED[escaped[1]], value[1:])
        elif mark:
            fields[key.lower().replace(" ", "")] = value.strip()
    return fields, pairs, end.end() if end else len(head)


def _kinds(fields: dict[str, str]) -> list[str]:
    return fields.get("kinds", "").lower().split()


def _unit(fields: dict[str, str]) -> str:
    """The unit of space, or of the axes in it, as the file names it; "mm" for millimetres."""
    of_space, of_axes = (
        [quoted or plain for quoted, plain in re.findall(r'"([^"]*)"|(\S+)', fields.get(name, ""))]
        for name in ("spaceunits", "units")
    )
    kinds = _kinds(fields) or ["domain"] * len(of_axes)
    told = [*of_space, *(unit for unit, kind in zip(of_axes, kinds) if kind in DOMAINS)]
    return ", ".join(dict.fromkeys(unit for unit in told if unit.strip().lower() not in MILLIMETRES)) or "mm"


def _sizes(path: Path, fields: dict[str, str]) -> list[int]:
    told = fields.get("sizes", "").split()
    if not told or not all(re.fullmatch(r"\d{1,9}", size) and int(size) for size in told):
        raise ImageError(f"{path}: The NRRD header gives the sizes '{' '.join(told)}'. Expected whole numbers above 0.")
    if fields.get("dimension") != str(len(told)):
        raise ImageError(
            f"{path}: The NRRD header gives {len(told)} sizes and the dimension {fields.get('dimension', 'none')}. "
            "Expected as many."
        )
    return [int(size) for size in told]


def _check_place(path: Path, fields: dict[str, str]) -> None:
    kinds = _kinds(fields)
    spacings = fields.get("spacings", "").split()
    for number, spacing in enumerate(spacings):
        is_space = number >= len(kinds) or kinds[number] in DOMAINS
        if not _is_finite(spacing, least=0.0) and (is_space or spacing.lower() != "nan"):
            raise ImageError(
                f"{path}: The spacing is {spacing} mm. Expected numbers above 0, up to 1e6: correct the header."
            )
    for name, told in (("space directions", "spacedirections"), ("space origin", "spaceorigin")):
        for vector in re.findall(r"\(([^()]*)\)", fields.get(told, "")):
            if not all(_is_finite(number) for number in vector.split(",")):
                raise ImageError(f"{path}: The {name} are ({vector}). Expected numbers up to 1e6: correct the header.")


def _is_finite(text: str, least: float = -LARGEST) -> bool:
    try:
        return least < float(text) <= LARGEST
    except ValueError:
        return False


def _check_voxels(path: Path, fields: dict[str, str], sizes: list[int], start: int) -> None:
    """Check the number of voxels, and the checksum of compressed ones, in the file or the one that it names."""
    kind, encoding = fields.get("type", "").lower(), fields.get("encoding", "").lower()
    if kind not in NUMBER_BYTES:
        raise ImageError(f"{path}: The voxels are of type '{kind}'. Expected real numbers, such as short or float.")
    if encoding not in ("raw", "gzip", "gz"):
        raise ImageError(f"{path}: The voxels are encoded as '{encoding}'. Save the image as raw or gzip.")
    expected, is_compressed = math.prod(sizes) * NUMBER_BYTES[kind], encoding != "raw"
    named = fields.get(VOXELS)
    file = path if named is None else path.parent / named
    if not file.is_file():
        raise ImageError(
            f"{path}: The file of its voxels is missing: {named}. Put it beside the header; a list of several files is "
            "not read, so save the image in one piece (.nrrd)."
        )
    with opened(file, is_compressed, start if named is None else 0) as voxels:
        got = skip(voxels) if is_compressed else file.stat().st_size - voxels.tell()
    is_shifted = any(fields.get(name, "0") != "0" for name in ("lineskip", "byteskip"))
    check_length(path, got, expected, math.inf if is_shifted else SURPLUS)
