"""Volumes that can be opened, and the segmentation as a file; the page knows their places in a list, and no path."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from AdaptCore.errors import ImageError, OutputError
from AdaptCore.io import READERS, Geometry, Volume, read_volume, write_mask
from InteractiveAdaptSegLib.SegmentWriter import segmentBlock

DICOM = ".dcm"
FORMATS = (".seg.nrrd", ".nii.gz")
MOST_LABELS = 255


@dataclass(frozen=True)
class Source:
    """A volume that can be opened: its name in the list, and where it lies."""

    name: str
    path: Path

    def read(self) -> Volume:
        """The image.

        Raises:
            ImageError: it cannot be read; the message names the file, and no folder.
        """
        try:
            return read_volume(self.path)
        except ImageError as error:
            raise ImageError(str(error).replace(str(self.path), self.name)) from None


def sources(given: Sequence[Path]) -> list[Source]:
    """What can be opened of the files and folders that were given at the start.

    A folder gives the images that lie in it, and itself where it holds DICOM files or no image. What a link leads to
    outside of its folder is left out.

    Raises:
        ImageError: one is not there.
    """
    return [source for path in given for source in _sources_of(path)]


def _sources_of(path: Path) -> list[Source]:
    if not path.exists():
        raise ImageError(f"{path}: No such file or folder. Give images, or folders that hold images.")
    if not path.is_dir():
        return [Source(path.name, path)]
    images = [Source(image.name, image) for image in _images_in(path)]
    has_dicom = any(inside.name.lower().endswith(DICOM) for inside in path.iterdir())
    return [*images, Source(path.resolve().name, path)] if has_dicom or not images else images


def _images_in(folder: Path) -> Iterator[Path]:
    """Images that are one file each, and lie in the folder."""
    home, suffixes = folder.resolve(), tuple(suffix for suffix in READERS if suffix != DICOM)
    for path in sorted(folder.iterdir()):
        is_image = path.is_file() and path.name.lower().endswith(suffixes)
        if is_image and path.resolve().is_relative_to(home):
            yield path


def segmentation_file(segmentation_node: Any, volume_node: Any, geometry: Geometry, suffix: str) -> bytes:
    """The segmentation as a file.

    Args:
        geometry: of the image that the volume was read from; a labelmap has the same.
        suffix: ".seg.nrrd" for Slicer, with names, colours and overlaps; ".nii.gz" for a labelmap 1, 2, ... in the
            order of the segments.

    Raises:
        OutputError: there is no segment, segments cannot be a labelmap, or the file cannot be written.
    """
    if segmentation_node is None or not segmentation_node.GetSegmentation().GetNumberOfSegments():
        raise OutputError("There is nothing to download yet: accept a mask first.")
    with tempfile.TemporaryDirectory(prefix="adaptseg-") as folder:
        path = Path(folder) / f"segmentation{suffix}"
        if suffix == ".seg.nrrd":
            _write_segments(segmentation_node, path)
        else:
            write_mask(_labels(segmentation_node, volume_node, geometry), geometry, path)
        return path.read_bytes()


def _write_segments(segmentation_node: Any, path: Path) -> None:
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    if not storage.WriteData(segmentation_node):
        raise OutputError("Slicer could not write the segmentation. Is the disk full?")


def _labels(segmentation_node: Any, volume_node: Any, geometry: Geometry) -> np.ndarray:
    """Labels on the volume's voxels, uint8 (I, J, K).

    Raises:
        OutputError: there are too many segments, or some overlap.
    """
    segmentation = segmentation_node.GetSegmentation()
    if segmentation.GetNumberOfSegments() > MOST_LABELS:
        raise OutputError(f"A labelmap holds {MOST_LABELS} segments: download .seg.nrrd instead.")
    labels = np.zeros(geometry.size, np.uint8)
    for label, segment_id in enumerate(segmentation.GetSegmentIDs(), start=1):
        block = segmentBlock(volume_node, segmentation_node, segment_id)
        if block is None:
            continue
        place = labels[block.slices]
        if place[block.mask].any():
            name = segmentation.GetSegment(segment_id).GetName()
            raise OutputError(
                f"Segment '{name}' overlaps another one, which a labelmap cannot hold: download .seg.nrrd."
            )
        place[block.mask] = label
    return labels
