"""Calls of ITK: quiet, with reasons that a user can read, and in the order of axes that AdaptCore uses."""

from __future__ import annotations

import ctypes
import os
import re
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from AdaptCore.files.geometry import Geometry

STDOUT, STDERR = 1, 2
MOST_PRINTED = 1000
_STREAMS_LOCK = threading.Lock()


def open_image(path: Path, format_name: str) -> sitk.ImageFileReader:
    """A reader that has read the header only.

    Raises:
        RuntimeError: ITK cannot read it.
    """
    reader = sitk.ImageFileReader()
    reader.SetImageIO(format_name)
    reader.SetFileName(str(path))
    with quiet_itk():
        reader.ReadImageInformation()
    return reader


def array_of(image: sitk.Image) -> np.ndarray:
    """Voxels (I, J, K) or (I, J, K, C) of an image of 2 or 3 dimensions."""
    array = sitk.GetArrayFromImage(image)
    return np.swapaxes(array[None] if image.GetDimension() == 2 else array, 0, 2)


def geometry_of(image: sitk.Image | sitk.ImageFileReader) -> Geometry:
    """The geometry of an image of 2 or 3 dimensions."""
    dimensions = image.GetDimension()
    if dimensions == 3:
        return Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
    direction = np.eye(3)
    direction[:2, :2] = np.array(image.GetDirection()).reshape(2, 2)
    return Geometry(
        (*image.GetSize(), 1),
        (*image.GetSpacing(), 1.0),
        (*image.GetOrigin(), 0.0),
        tuple(direction.ravel().tolist()),
        dimensions,
    )


def reason(error: Exception) -> str:
    """The telling end of ITK's long messages, without its object addresses; MetaImage's own "Reason" misleads."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines or lines[-1].startswith("Reason:"):
        return "damaged or cut short"
    return re.sub(r"^(sitk::ERROR:|ITK ERROR:)?\s*(\w+\(0x[0-9a-f]+\):)?\s*", "", lines[-1]).rstrip(".")


@contextmanager
def quiet_itk() -> Iterator[Callable[[], str]]:
    """ITK and the C libraries under it print on both standard streams besides raising; keep that from the user.

    Gives what tells what they have printed so far.
    """
    with _STREAMS_LOCK, tempfile.TemporaryFile() as printed, ExitStack() as stack:
        stack.callback(sitk.ProcessObject.SetGlobalWarningDisplay, sitk.ProcessObject.GetGlobalWarningDisplay())
        sitk.ProcessObject.GlobalWarningDisplayOff()
        for stream in (STDOUT, STDERR):
            stack.enter_context(_redirected(stream, printed.fileno()))

        def told() -> str:
            _flush()
            printed.seek(0)
            return printed.read(MOST_PRINTED).decode("utf-8", "replace").strip()

        yield told


def _flush() -> None:
    """What C libraries have printed leaves their buffers; where it goes to no terminal it stays there until the end."""
    ctypes.CDLL("ucrtbase" if sys.platform == "win32" else None).fflush(None)


@contextmanager
def _redirected(stream: int, target: int) -> Iterator[None]:
    try:
        kept = os.dup(stream)
    except OSError:  # a program without a terminal may have none
        yield
        return
    _flush()
    os.dup2(target, stream)
    try:
        yield
    finally:
        _flush()
        os.dup2(kept, stream)
        os.close(kept)
