"""The values of DICOM pixels: stored numbers as they are, each frame with its own rescale.

Plain pixels are taken from the file here, so that nothing is read that the file does not hold; ITK (GDCM) decodes
compressed and coloured ones.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from AdaptCore.errors import ImageError
from AdaptCore.files.dicom_frames import (
    Frame,
    brief,
    damage,
    elements_of,
    identifier,
    quiet_pydicom,
    read_header,
    required,
)
from AdaptCore.files.itk import array_of, open_image, quiet_itk, reason
from AdaptCore.files.pictures import CODED
from AdaptCore.files.streams import check_length

if TYPE_CHECKING:
    from pydicom.dataset import Dataset, FileDataset

GREY = ("MONOCHROME1", "MONOCHROME2")
PALETTE = "PALETTE COLOR"
ITEM = b"\xfe\xff\x00\xe0"
"""Compressed pixels begin with this tag (PS3.5, A.4)."""
PIXEL_GROUP = 0x0028
RESCALES = {"RescaleIntercept", "RescaleSlope", "RescaleType", "ModalityLUTSequence"}
SHORT = np.iinfo(np.int16)
WHOLE_TYPES = (np.uint8, np.int8, np.uint16, np.int16, np.int32, np.int64)


def frame_values(frames: Sequence[Frame]) -> np.ndarray:
    """The values of frames of one size, (I, J, K) in their order or, in colour, (I, J, K, 3).

    Raises:
        ImageError: a file holds more or fewer pixels than it says, or cannot be decoded.
        OSError: the system could not read.
    """
    places: dict[Path, list[int]] = defaultdict(list)
    for k, frame in enumerate(frames):
        places[frame.file.path].append(k)
    values = np.empty(0)
    for own in places.values():
        stored = _stored(frames[own[0]])
        if not values.size:
            shape = (frames[0].columns, frames[0].rows, len(frames), *stored.shape[3:])
            values = np.zeros(shape, _value_type(frames, stored.dtype), order="F")
        for k in own:
            values[:, :, k] = _rescaled(stored[frames[k].index], frames[k], values.dtype)
    is_wide = values.dtype == np.int32 and SHORT.min <= values.min() and values.max() <= SHORT.max
    return values.astype(np.int16) if is_wide else values


def _value_type(frames: Sequence[Frame], stored: np.dtype) -> np.dtype:
    """The smallest type that holds all values that there can be: whole numbers where every rescale is whole."""
    rescales = {(frame.slope, frame.intercept, *frame.stored_range) for frame in frames}
    if rescales == {(1.0, 0.0, *frames[0].stored_range)}:
        return stored
    if not all(slope.is_integer() and intercept.is_integer() for slope, intercept, *_ in rescales):
        return np.dtype(np.float32 if stored.itemsize <= 2 else np.float64)
    ends = [slope * end + intercept for slope, intercept, *ends in rescales for end in ends]
    limits = ((np.iinfo(kind), kind) for kind in WHOLE_TYPES)
    fitting = (kind for limit, kind in limits if limit.min <= min(ends) and max(ends) <= limit.max)
    return np.dtype(next(fitting, np.float64))


def _rescaled(stored: np.ndarray, frame: Frame, kind: np.dtype) -> np.ndarray:
    """Values (columns, rows[, 3]) of stored ones (rows, columns[, 3])."""
    turned = stored.swapaxes(0, 1)
    if (frame.slope, frame.intercept) == (1.0, 0.0):
        return turned
    wide = np.int64 if kind.kind in "iu" else np.float64
    return np.asarray((turned.astype(wide) * wide(frame.slope) + wide(frame.intercept)).astype(kind))


def _stored(frame: Frame) -> np.ndarray:
    """The stored numbers of a file, (frames, rows, columns) or (frames, rows, columns, 3)."""
    path = frame.file.path
    dataset = read_header(path, pixels=True)
    try:
        with quiet_pydicom():
            content = required(dataset, "PixelData")
            if not isinstance(content, bytes):  # of a damaged kind
                raise TypeError("PixelData of numbers or text")
            syntax = identifier(dataset.file_meta, "TransferSyntaxUID")
            is_compressed, is_little = syntax.is_compressed and not syntax.is_deflated, syntax.is_little_endian
            bits, used, top = (int(required(dataset, name)) for name in ("BitsAllocated", "BitsStored", "HighBit"))
            is_signed = int(required(dataset, "PixelRepresentation")) == 1
    except damage() as error:
        raise ImageError(f"{path}: The DICOM file holds no pixels that can be read ({brief(error)}).") from error
    if frame.samples not in (1, 3) or (frame.samples == 1) != (frame.photometric in (*GREY, PALETTE)):
        told = f"{frame.samples} numbers ({frame.photometric})"
        raise ImageError(f"{path}: Pixels of {told}. Expected 1 (grey) or 3 (colour).")
    if bits not in (8, 16, 32) or not used - 1 <= top < bits or used < 1:
        raise ImageError(f"{path}: Numbers of {used} in {bits} bits. Expected 8, 16 or 32 bits for each.")
    expected = frame.file.frames * frame.rows * frame.columns * frame.samples * bits // 8
    if is_compressed:
        if content[:4] != ITEM:
            raise ImageError(f"{path}: The pixels are not compressed, yet the header says so. Export the file again.")
        check_length(path, CODED * len(content), expected)
        return _decoded(frame, dataset)
    if not expected <= len(content) <= expected + 1:
        raise ImageError(
            f"{path}: The file holds {len(content)} bytes of pixels, its header tells of {expected}. It is cut short, "
            "or the header is wrong. Export it again."
        )
    if frame.photometric not in GREY:
        return _decoded(frame, dataset)
    kind = np.dtype(f"{'<' if is_little else '>'}{'i' if is_signed else 'u'}{bits // 8}")
    stored = np.frombuffer(content, kind, expected // kind.itemsize).reshape(-1, frame.rows, frame.columns)
    native = stored.astype(kind.newbyteorder("="), copy=False)
    return native if used == bits else (native << (bits - 1 - top)) >> (bits - used)


def _decoded(frame: Frame, dataset: Dataset) -> np.ndarray:
    """What ITK decodes of a copy that has only pixels and no rescale."""
    path = frame.file.path
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "pixels.dcm"
        try:
            with quiet_pydicom():
                _pixels_alone(dataset).save_as(copy)
            reader = open_image(copy, "GDCMImageIO")
            with quiet_itk():
                array = array_of(reader.Execute())
        except RuntimeError as error:
            raise ImageError(f"{path}: The pixels cannot be decoded ({reason(error)}).") from error
        except damage() as error:
            raise ImageError(f"{path}: The pixels cannot be decoded ({brief(error)}).") from error
    channels = () if frame.photometric in GREY else (3,)
    if array.shape != (frame.columns, frame.rows, frame.file.frames, *channels):
        got, expected = (
            " x ".join(map(str, shape))
            for shape in (array.shape, (frame.columns, frame.rows, frame.file.frames, *channels))
        )
        raise ImageError(
            f"{path}: The decoded pixels are {got}, the header tells of {expected}. Export the file again."
        )
    return array.swapaxes(0, 2)


def _pixels_alone(dataset: Dataset) -> FileDataset:
    """A copy of a file that has pixels and their description, without rescale."""
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax = identifier(dataset.file_meta, "TransferSyntaxUID")
    plain = FileDataset(
        "",
        {},
        preamble=bytes(128),
        file_meta=meta,
        is_implicit_VR=syntax.is_implicit_VR,
        is_little_endian=syntax.is_little_endian,
    )
    for element in elements_of(dataset.group_dataset(PIXEL_GROUP)):
        if element.keyword not in RESCALES:
            plain.add(element)
    for name in ("SOPClassUID", "SOPInstanceUID", "PixelData"):
        if name in dataset:
            plain[name] = dataset[name]
    return plain
