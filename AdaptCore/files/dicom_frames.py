"""What a DICOM file's header says of each of its frames."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from AdaptCore.errors import ImageError

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import Dataset
    from pydicom.uid import UID

DAMAGED: tuple[type[Exception], ...] = (
    EOFError,
    KeyError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
)
"""What Python raises for bytes that are no DICOM; see `damage`."""

OTHER_OBJECTS = ("1.2.840.10008.5.1.4.1.1.66", "1.2.840.10008.5.1.4.1.1.88", "1.2.840.10008.5.1.4.1.1.11")
"""Begin of the classes of segmentations and registrations, reports, and presentation states (PS3.4, B.5)."""
IMAGE = "Image Storage"
"""In the names of classes of images; one without rows of pixels is cut short."""
DOSE = "1.2.840.10008.5.1.4.1.1.481.2"
MOST_FRAMES = 100_000
MARKED_BYTES = 132
"""Length of the preamble and the mark after it; of a shorter file it cannot be told whether it was DICOM."""
MOST = 1e6
"""Of any number here, such as mm of a position; more is damage."""
FACTS = {
    "b-value": ("DiffusionBValue",),
    "time point": ("TemporalPositionIndex", "TemporalPositionIdentifier", "TemporalPositionTimeOffset"),
    "trigger time": ("NominalCardiacTriggerDelayTime", "TriggerTime"),
    "echo time": ("EffectiveEchoTime", "EchoTime"),
    "acquisition": ("AcquisitionNumber",),
    "acquisition time": ("FrameAcquisitionDateTime", "AcquisitionDateTime", "AcquisitionTime"),
    "kind": ("FrameType", "ImageType"),
    "stack": ("StackID",),
    "number": ("InstanceNumber",),
    "time": ("ContentTime",),
}
"""What may tell frames at one position apart -> elements that say it, the likeliest first."""


class NotAnImage(Exception):  # noqa: N818 (no error: a folder may hold such files)
    """A DICOM file without pixels of a patient; its message says what it is."""


@dataclass(frozen=True)
class File:
    """What holds for all frames of a file.

    Attributes:
        instance: its unique identifier.
        number: its place in the series.
        frames: how many there are.
        is_anatomy: False for a dose, which lies beside the series that it was planned on.
        is_film: whether its frames are points in time.
        corner: LPS of the first pixel in mm where the file gives it for all its frames at once.
    """

    path: Path
    series: str
    series_number: str
    instance: str
    number: int
    frames: int
    is_anatomy: bool
    is_film: bool
    corner: tuple[float, ...] | None


@dataclass(frozen=True, eq=False)
class Frame:
    """One plane of pixels.

    Attributes:
        index: in its file, from 0.
        samples: numbers of a pixel, 3 in colour.
        photometric: what they mean, such as MONOCHROME2.
        stored_range: the lowest and the highest number that can be stored.
        position: LPS of the first pixel's centre in mm, float (3,); None where the file does not tell.
        orientation: directions along rows and columns, float (6,); None likewise.
        spacing: mm along a row and along a column; None likewise.
        thickness: mm from slice to slice where no positions tell; None likewise.
        slope, intercept: value = slope x what is stored + intercept.
        facts: what may tell it apart from others at its position.
    """

    file: File
    index: int
    columns: int
    rows: int
    samples: int
    photometric: str
    stored_range: tuple[int, int]
    position: np.ndarray | None
    orientation: np.ndarray | None
    spacing: tuple[float, float] | None
    thickness: float | None
    slope: float
    intercept: float
    facts: dict[str, str]

    @property
    def name(self) -> str:
        return self.file.path.name if self.index == 0 else f"{self.file.path.name}, frame {self.index + 1}"


def has_dicom_mark(path: Path, or_header: bool = False) -> bool:
    """Whether a file begins as DICOM files do, whatever its name.

    Args:
        or_header: take one that begins with a DICOM element for one, too: old files have no mark.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(MARKED_BYTES)
    return head[128:] == b"DICM" or (or_header and head[:2] in (b"\x02\0", b"\x08\0") and head[3:4] == b"\0")


def damage() -> tuple[type[Exception], ...]:
    """What pydicom raises for bytes that are no DICOM, as it reads them or only when an element is asked for.

    AttributeError is not among them: it would hide a fault of ours, or a name that a version of pydicom lacks.
    """
    from pydicom.errors import BytesLengthException

    return (*DAMAGED, BytesLengthException)


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Leave out pydicom's warnings, of which many files give some, while their elements are read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read_header(path: Path, pixels: bool = False) -> Dataset:
    """The elements of a DICOM file.

    Raises:
        ImageError: it is damaged or no DICOM file.
        OSError: the system could not read.
    """
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    try:
        if not has_dicom_mark(path, or_header=True):
            raise ValueError("it does not begin as one")
        with quiet_pydicom():
            dataset = _parsed(path, pixels)
            if "TransferSyntaxUID" not in dataset.file_meta:
                syntax = ImplicitVRLittleEndian if dataset.is_implicit_VR else ExplicitVRLittleEndian
                dataset.file_meta.TransferSyntaxUID = syntax
            if "SOPClassUID" not in dataset:
                raise ValueError("it does not say what it is")
            return dataset
    except damage() as error:
        raise ImageError(
            f"{path}: The DICOM file is damaged or cut short ({brief(error)}). Choose a whole one."
        ) from error


def _parsed(path: Path, pixels: bool) -> Dataset:
    """What pydicom makes of a file; it takes an identifier that is none for one (AttributeError)."""
    from pydicom import dcmread

    try:
        return dcmread(path, stop_before_pixels=not pixels, force=True)
    except AttributeError as error:
        raise ValueError(str(error)) from error


def elements_of(dataset: Dataset) -> list[DataElement]:
    """All elements; pydicom takes a name that is none for one (AttributeError).

    Raises:
        ValueError: one is damaged.
    """
    try:
        return list(dataset)
    except AttributeError as error:
        raise ValueError(str(error)) from error


def frames_of(path: Path) -> list[Frame]:
    """The frames of a DICOM image.

    Raises:
        NotAnImage: it is another object, such as a report.
        ImageError: it is damaged, or a number in it cannot be.
        OSError: the system could not read.
    """
    dataset = read_header(path)
    try:
        with quiet_pydicom():
            return list(_frames(path, dataset))
    except damage() as error:
        raise ImageError(f"{path}: The DICOM header is damaged ({brief(error)}). Choose a whole file.") from error


class _Group:
    """The elements that hold for one frame: its own functional groups, the shared ones, then the file's (C.7.6.16)."""

    def __init__(self, dataset: Dataset, index: int) -> None:
        self._own = _macros(_items(dataset, "PerFrameFunctionalGroupsSequence")[index : index + 1])
        shared = _macros(_items(dataset, "SharedFunctionalGroupsSequence")[:1])
        self._levels = [*self._own, *shared, dataset, *_items(dataset, "DetectorInformationSequence")[:1]]

    def has_own(self, name: str) -> bool:
        return any(_given(level, name) is not None for level in self._own)

    def get(self, name: str) -> Any:
        return next((value for level in self._levels if (value := _given(level, name)) is not None), None)

    def text(self, names: Sequence[str]) -> str:
        """The first of some elements that is there, as text."""
        value = next((value for name in names if (value := self.get(name)) is not None), "")
        return value if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)

    def number(self, name: str, otherwise: float) -> float:
        value = self.get(name)
        return otherwise if value is None else _finite(name, float(value))

    def numbers(self, name: str, count: int) -> np.ndarray | None:
        """Finite numbers, None where they are not given.

        Raises:
            ValueError: there are not as many, or one is no number.
        """
        value = self.get(name)
        if value is None:
            return None
        numbers = [_finite(name, float(number)) for number in value]
        if len(numbers) != count:
            raise ValueError(f"{name} of {len(numbers)} numbers")
        return np.array(numbers)

    def thickness(self) -> float | None:
        for name in ("SpacingBetweenSlices", "SliceThickness"):
            if (value := abs(self.number(name, 0.0))) > 0:
                return value
        return None


def _frames(path: Path, dataset: Dataset) -> Iterator[Frame]:
    kind = identifier(dataset, "SOPClassUID")
    if kind.startswith(OTHER_OBJECTS):
        raise NotAnImage(_kind(dataset))
    if "Rows" not in dataset:
        if IMAGE in kind.name:
            raise EOFError(f"{kind.name} without pixels")
        raise NotAnImage(_kind(dataset))
    count = int(_given(dataset, "NumberOfFrames") or 1)
    told = len(_items(dataset, "PerFrameFunctionalGroupsSequence"))
    if not 1 <= count <= MOST_FRAMES or told not in (0, count):
        raise ValueError(f"{count} frames, {told} of them described")
    corner = None if count == 1 else _Group(dataset, 0).numbers("ImagePositionPatient", 3)
    file = File(
        path,
        str(_given(dataset, "SeriesInstanceUID") or ""),
        str(_given(dataset, "SeriesNumber") or ""),
        str(_given(dataset, "SOPInstanceUID") or ""),
        int(_given(dataset, "InstanceNumber") or 0),
        count,
        kind != DOSE,
        count > 1 and any(_given(dataset, name) is not None for name in ("FrameTime", "FrameTimeVector")),
        None if corner is None else tuple(corner.tolist()),
    )
    positions = _old_positions(dataset, count)
    for index in range(count):
        yield _frame(file, dataset, index, None if positions is None else positions[index], count)


def _frame(file: File, dataset: Dataset, index: int, position: np.ndarray | None, count: int) -> Frame:
    group = _Group(dataset, index)
    if position is None and (count == 1 or group.has_own("ImagePositionPatient")):
        position = group.numbers("ImagePositionPatient", 3)
    spacing = group.numbers("PixelSpacing", 2)
    if spacing is None and position is None:
        spacing = group.numbers("ImagerPixelSpacing", 2)
    if spacing is not None and not (spacing > 0).all():
        raise ValueError(f"pixels {spacing[0]:g} x {spacing[1]:g} mm apart")
    slope = group.number("RescaleSlope", group.number("DoseGridScaling", 1.0))
    if slope == 0:
        raise ValueError("RescaleSlope 0")
    return Frame(
        file,
        index,
        int(required(dataset, "Columns")),
        int(required(dataset, "Rows")),
        int(required(dataset, "SamplesPerPixel")),
        str(required(dataset, "PhotometricInterpretation")),
        _stored_range(int(required(dataset, "BitsStored")), int(required(dataset, "PixelRepresentation")) == 1),
        position,
        group.numbers("ImageOrientationPatient", 6),
        None if spacing is None else (float(spacing[1]), float(spacing[0])),
        group.thickness(),
        slope,
        group.number("RescaleIntercept", 0.0),
        {name: told for name, names in FACTS.items() if (told := group.text(names))},
    )


def _old_positions(dataset: Dataset, count: int) -> np.ndarray | None:
    """Positions (count, 3) in files of many frames from before functional groups: doses, and nuclear medicine."""
    group = _Group(dataset, 0)
    if count == 1 or group.has_own("ImagePositionPatient"):
        return None
    first, orientation = group.numbers("ImagePositionPatient", 3), group.numbers("ImageOrientationPatient", 6)
    offsets = group.numbers("GridFrameOffsetVector", count)
    if offsets is None and (slices := group.numbers("SliceVector", count)) is not None:
        offsets = slices * group.number("SpacingBetweenSlices", 0.0)
    if first is None or orientation is None or offsets is None:
        return None
    along = offsets - offsets[0]
    return np.asarray(first + along[:, None] * np.cross(orientation[:3], orientation[3:]))


def _stored_range(bits: int, is_signed: bool) -> tuple[int, int]:
    if not 1 <= bits <= 32:
        raise ValueError(f"BitsStored {bits}")
    return (-(1 << bits - 1), (1 << bits - 1) - 1) if is_signed else (0, (1 << bits) - 1)


def _given(dataset: Dataset, name: str) -> Any:
    """An element's value, None where it is not there or empty."""
    value = dataset.get(name)
    return None if value is None or (hasattr(value, "__len__") and len(value) == 0) else value


def required(dataset: Dataset, name: str) -> Any:
    """An element's value.

    Raises:
        ValueError: it is not there or empty.
    """
    value = _given(dataset, name)
    if value is None:
        raise ValueError(f"no {name}")
    return value


def identifier(dataset: Dataset, name: str) -> UID:
    """An element that holds a unique identifier.

    Raises:
        ValueError: it is not there or empty.
    """
    from pydicom.uid import UID

    return UID(str(required(dataset, name)))


def _items(dataset: Dataset, name: str) -> Sequence[Dataset]:
    """The items of a sequence; none where it is not there.

    Raises:
        TypeError: it holds something else.
    """
    from pydicom.sequence import Sequence as Items

    value = _given(dataset, name)
    if not isinstance(value, Items | None):
        raise TypeError(f"{name} is no sequence")
    return value or ()


def _macros(groups: Sequence[Dataset]) -> list[Dataset]:
    """The items of the functional groups of a frame: position, orientation, measures, ..."""
    return [
        element.value[0] for group in groups for element in elements_of(group) if element.VR == "SQ" and element.value
    ]


def _finite(name: str, number: float) -> float:
    if not abs(number) < MOST:
        raise ValueError(f"{name} {number}")
    return number


def _kind(dataset: Dataset) -> str:
    """What an object is: its modality, such as SR, else the name of its class."""
    return str(_given(dataset, "Modality") or identifier(dataset, "SOPClassUID").name)


def brief(error: Exception) -> str:
    """An error of pydicom in some words."""
    return " ".join(str(error).split())[:80] or type(error).__name__
