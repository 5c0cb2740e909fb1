"""Copies of the work that outlive the server: the segmentation of each volume, in the user's own folder."""

from __future__ import annotations

import hashlib
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK
import slicer

from AdaptCore.atomic import atomic_target, output_error
from AdaptCore.errors import OutputError
from AdaptCore.io import Volume
from AdaptCore.locks import FileLock
from AdaptCore.resources import user_folder
from InteractiveAdaptSegLib.SceneNodes import addSegmentation

FOLDER = "web"
SUFFIX, EARLIER, DAMAGED = ".seg.nrrd", ".earlier.seg.nrrd", ".damaged.seg.nrrd"
MOST_FILES, MOST_BYTES = 200, 2 * 1024**3
"""Kept of earlier work; the oldest goes first."""

FASTEST = "gzip_fastest"


@dataclass
class _Copy:
    """Where a volume's segmentation is kept, and as of when.

    Attributes:
        state: of the segmentation when it was written; see `_state`.
    """

    path: Path
    state: tuple[int, ...] = ()


class Autosave:
    """Writes what has changed, and finds what an earlier server has written for the same image.

    Masks are kept, with names and colours of segments; no image and no prompt. A file is for its user alone, and
    its name is a digest of the image and the image's name.

    Args:
        begins_anew: earlier work is not taken up, but kept until there is work in its place that is earlier, too.
    """

    def __init__(self, *, begins_anew: bool = False) -> None:
        self._begins_anew = begins_anew
        self._folder = user_folder() / FOLDER
        self._copies: dict[str, _Copy] = {}
        self._locks = ExitStack()

    def close(self) -> None:
        """Let other servers work on the same images."""
        self._locks.close()

    def resume(self, scene: Any, volume_node: Any, volume: Volume) -> str:
        """Keep the work on a volume from now on, and take up what was kept of it; what to tell the user of that.

        Raises:
            OutputError: the work cannot be kept, as where another server works on the same image.
        """
        path = self._folder / f"{_digest(volume_node.GetName(), volume)}{SUFFIX}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise output_error(f"{self._folder}: The work cannot be kept here", error) from error
        try:
            self._locks.enter_context(FileLock(path, patience=0.0))
        except OutputError as error:
            raise OutputError(
                "Work on this image is not kept when the server ends: the image is open in another place, or the disk "
                "of the user's folder cannot lock files. Download the segmentation."
            ) from error
        copy = self._copies[volume_node.GetID()] = _Copy(path)
        if not path.exists():
            return ""
        if self._begins_anew:
            path.replace(path.with_name(path.name.replace(SUFFIX, EARLIER)))
            return ""
        return _take_up(scene, volume_node, copy)

    def save(self, volume_node: Any, segmentation_node: Any) -> None:
        """Write the segmentation of a volume if it has changed.

        Raises:
            OutputError: it cannot be written; what was kept before stays.
        """
        copy = self._copies.get(volume_node.GetID()) if volume_node is not None else None
        if copy is None or segmentation_node is None:
            return
        state = _state(segmentation_node)
        if state != copy.state:
            copy.state = state
            with atomic_target(copy.path, SUFFIX, private=True) as temporary:
                _write(segmentation_node, temporary)
            self._bound(copy.path)

    def _bound(self, written: Path) -> None:
        """Remove the oldest files beyond the bounds."""
        files = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for number, path in enumerate(files, start=1):
            total += path.stat().st_size
            if (number > MOST_FILES or total > MOST_BYTES) and path != written:
                path.unlink()


def _take_up(scene: Any, volume_node: Any, copy: _Copy) -> str:
    if not _is_whole(copy.path):
        copy.path.replace(copy.path.with_name(copy.path.name.replace(SUFFIX, DAMAGED)))
        return "What was kept of the work on this image is damaged, and was put aside."
    node = addSegmentation(scene, volume_node)
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(copy.path))
    storage.ReadData(node)
    count = node.GetSegmentation().GetNumberOfSegments()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    copy.state = _state(node)
    when = time.strftime("%d %b %H:%M", time.localtime(copy.path.stat().st_mtime))
    segments = "1 segment" if count == 1 else f"{count} segments"
    return f"Going on with the work of {when} on this image: {segments}. To begin anew, start the server with --new."


def _is_whole(path: Path) -> bool:
    """Whether a copy can be read: at a damaged one, Slicer's reader ends the process."""
    try:
        SimpleITK.ReadImage(str(path))
    except RuntimeError:
        return False
    return True


def _write(segmentation_node: Any, path: Path) -> None:
    """Write only where segments are: a file of the whole volume would take seconds."""
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetCropToMinimumExtent(True)
    storage.SetCompressionParameter(FASTEST)
    storage.SetFileName(str(path))
    if not storage.WriteData(segmentation_node):
        raise OutputError("The work on this image could not be kept. Is the disk full? Download the segmentation.")


def _state(segmentation_node: Any) -> tuple[int, ...]:
    """Changes with the segments and their voxels; equal as long as nothing has changed."""
    segmentation = segmentation_node.GetSegmentation()
    segments = [segmentation.GetNthSegment(index) for index in range(segmentation.GetNumberOfSegments())]
    masks = [segment.GetRepresentation(segmentation.GetSourceRepresentationName()) for segment in segments]
    return tuple(part.GetMTime() for part in (*segments, *filter(None, masks)))


def _digest(name: str, volume: Volume) -> str:
    """Of the image: its name, where its voxels lie, and what they hold."""
    geometry = volume.geometry
    place = name, geometry.size, geometry.spacing, geometry.origin, geometry.direction, volume.array.dtype.str
    total = hashlib.blake2b(repr(place).encode(), digest_size=16)
    total.update(np.ascontiguousarray(volume.array.T).data)
    return total.hexdigest()
